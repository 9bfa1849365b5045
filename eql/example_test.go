package eql_test

import (
	"fmt"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
)

func ExampleCompile() {
	s := event.NewSchema()
	q, err := eql.Compile(syntax.Source{Text: `process where process.args == "run" and not user.name : "root"`}, s)
	if err != nil {
		fmt.Println(err)
		return
	}
	d := event.NewDecoder(s)
	for _, doc := range []string{
		`{"event":{"category":"process"},"process":{"args":["ctr","run"]},"user":{"name":"ada"}}`,
		`{"event":{"category":"process"},"process":{"args":["ctr","run"]},"user":{"name":"Root"}}`,
		`{"event":{"category":"process"},"process":{"args":["ctr","run"]}}`, // no user: the negation holds
	} {
		var e event.Event
		if err := d.Decode([]byte(doc), &e); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(q.Match(&e))
	}
	// Output:
	// true
	// false
	// true
}

func ExampleCompile_report() {
	_, err := eql.Compile(syntax.Source{Name: "rule.eql", Text: `process where
  lenght(process.name) > 3 and
  process.pid == process.ppid`}, event.NewSchema())
	if errs, ok := err.(syntax.Errors); ok {
		fmt.Print(errs.Report())
	}
	// Output:
	// rule.eql:2:3: Unknown function [lenght] (did you mean "length"?)
	//       lenght(process.name) > 3 and
	//       ^^^^^^
	// rule.eql:3:18: Comparisons against fields are not (currently) supported; offender [process.ppid] in [==] (compare a field with a constant)
	//       process.pid == process.ppid
	//                      ^^^^^^^^^^^^
}

// Events may come through a channel: the matcher belongs to the one goroutine
// that reads it, and time is what the events say.
func ExampleMatcher() {
	s := event.NewSchema()
	q, err := eql.Compile(syntax.Source{Text: `
		sequence by host.name with maxspan=1m
		  [process where process.name == "ctr"]
		  ![process where process.name == "kubelet"]
		  [file where file.path : "/etc/*"]`}, s)
	if err != nil {
		fmt.Println(err)
		return
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for _, l := range []string{
			`{"@timestamp":"2026-01-01T00:00:00Z","host.name":"a","event.category":"process","process.name":"ctr"}`,
			`{"@timestamp":"2026-01-01T00:00:01Z","host.name":"b","event.category":"process","process.name":"ctr"}`,
			`{"@timestamp":"2026-01-01T00:00:02Z","host.name":"b","event.category":"process","process.name":"kubelet"}`,
			`{"@timestamp":"2026-01-01T00:00:03Z","host.name":"b","event.category":"file","file.path":"/etc/shadow"}`,
			`{"@timestamp":"2026-01-01T00:00:04Z","host.name":"a","event.category":"file","file.path":"/etc/passwd"}`,
		} {
			lines <- l
		}
	}()

	d, path := event.NewDecoder(s), s.Field("file.path")
	m := q.NewMatcher()
	emit := func(m eql.Match) {
		fmt.Println(m.Keys[0].Text(), "touched", m.Last().Get(path).Text())
	}
	var e event.Event
	for l := range lines {
		if err := d.Decode([]byte(l), &e); err != nil {
			fmt.Println(err)
			continue
		}
		m.Add(&e, emit)
	}
	m.Flush(emit)
	// Output: a touched /etc/passwd
}
