package store_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/store"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, now := context.Background(), time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC)
	s, err := store.Open(ctx, filepath.Join(dir, "orlop.db"), store.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	var alerts []*alert.Alert
	for i, host := range []string{"node-1", "node-2", "node-1"} {
		a, err := alert.Parse(fmt.Appendf(nil, `{"@timestamp":"2026-04-29T09:00:0%dZ","host":{"name":%q},"kibana.alert.uuid":"a%[1]d","kibana.alert.rule.rule_id":"r"}`, i, host))
		if err != nil {
			log.Fatal(err)
		}
		alerts = append(alerts, a)
	}
	added, err := s.Insert(ctx, now, alerts)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(added, "new")

	ann := store.Actor{User: "ann", Via: "session"}
	if _, err := s.Update(ctx, ann, now, []string{"a1"}, store.Change{Status: store.StatusClosed, Reason: "false_positive", Comment: "the nightly job"}); err != nil {
		log.Fatal(err)
	}
	r, err := s.Query(ctx, &store.Query{
		Filters: []store.Filter{{Field: store.FieldStatus, Values: []string{"open"}}},
		Facets:  []store.Facet{{Field: "host.name"}, {Field: store.FieldStatus}},
		Limit:   1,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Total, "open, the latest is", r.Records[0].Alert.ID, "and there are older ones:", r.Older)
	for _, f := range r.Facets {
		fmt.Println(f.Field, f.Values)
	}
	for a, err := range s.Actions(ctx, &store.ActionQuery{Alert: "a1"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(a.By.User, a.What, a.Note)
	}
	// Output:
	// 3 new
	// 2 open, the latest is a2 and there are older ones: true
	// host.name [{node-1 2}]
	// kibana.alert.workflow_status [{open 2} {closed 1}]
	// ann alert.update the nightly job
}

func ExampleStore_Preview() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, now := context.Background(), time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC)
	s, err := store.Open(ctx, filepath.Join(dir, "orlop.db"), store.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	a, err := alert.Parse([]byte(`{"@timestamp":"2026-04-29T09:00:00Z","process":{"name":"ctr"},"kibana.alert.uuid":"a","kibana.alert.rule.rule_id":"r","kibana.alert.rule.name":"ctr runs"}`))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := s.Insert(ctx, now, []*alert.Alert{a}); err != nil {
		log.Fatal(err)
	}
	p, err := s.Preview(ctx, &store.Exception{Entries: []store.Entry{
		{Field: "process.name", Type: "match", Operator: "included", Values: []string{"ctr"}},
	}}, now.AddDate(0, 0, -7), now, 10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("removes %d of %d: %+v\n", p.Removed, p.Total, p.Rules)
	// Output: removes 1 of 1: [{RuleID:r RuleName:ctr runs Total:1 Removed:1}]
}
