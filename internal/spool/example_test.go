package spool_test

import (
	"fmt"
	"io"
	"log"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/spool"
)

func Example() {
	schema := event.NewSchema()
	name := schema.Field("process.name")
	q := spool.New(schema, 0, func(a, b *event.Event) int { return a.Time.Compare(b.Time) })
	defer q.Close()

	var e event.Event // borrowed: it may be used again after Add
	d := event.NewDecoder(schema)
	for _, doc := range []string{
		`{"@timestamp":"2026-05-04T09:00:02Z","process":{"name":"runc"}}`,
		`{"@timestamp":"2026-05-04T09:00:01Z","process":{"name":"ctr"}}`,
	} {
		if err := d.Decode([]byte(doc), &e); err != nil {
			log.Fatal(err)
		}
		q.Add(&e, nil)
		if err := q.Bound(0); err != nil { // all of them go to disk
			log.Fatal(err)
		}
	}
	for {
		e, _, err := q.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Time.Format(time.TimeOnly), e.Get(name).Text())
	}
	// Output:
	// 09:00:01 ctr
	// 09:00:02 runc
}
