package enrich_test

import (
	"fmt"
	"testing"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
)

func decoded(b testing.TB, s *event.Schema, docs ...string) []*event.Event {
	d := event.NewDecoder(s)
	var all []*event.Event
	for _, doc := range docs {
		e := new(event.Event)
		if err := d.Decode([]byte(doc), e); err != nil {
			b.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func BenchmarkNoProcess(b *testing.B) {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	e := decoded(b, s, `{"@timestamp":1795382411042,"host":{"id":"h"},"event":{"category":["network"]}}`)[0]
	b.ReportAllocs()
	for b.Loop() {
		x.Apply(e)
	}
}

// What Elastic Defend sends: nothing is missing.
func BenchmarkComplete(b *testing.B) {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	var docs []string
	docs = append(docs, `{"@timestamp":"2026-11-25T02:00:00Z","host":{"id":"f2d1a1b0c3d44e5f8a9b0c1d2e3f4a5b"},"event":{"category":["process"],"type":["start"],"action":["exec"]},
		"process":{"pid":7,"entity_id":"p7","executable":"/usr/bin/bash","args":["bash"],"start":"2026-11-25T01:00:00Z"}}`)
	for pid := range 63 {
		docs = append(docs, fmt.Sprintf(`{"@timestamp":"2026-11-25T02:00:00.1234567Z","host":{"id":"f2d1a1b0c3d44e5f8a9b0c1d2e3f4a5b","name":"node1"},
			"event":{"category":["process"],"type":["start"],"action":["exec"]},
			"container":{"id":"web1"},
			"process":{"pid":%d,"entity_id":"entity-%d","executable":"/usr/bin/ctr","name":"ctr","args":["ctr","-n","k8s.io","tasks","ls"],"args_count":5,
			"command_line":"ctr -n k8s.io tasks ls","start":"2026-11-25T02:00:00.12Z","Ext":{"ancestry":["a","b","c"]},
			"parent":{"pid":7,"entity_id":"p7","executable":"/usr/bin/bash","name":"bash","args":["bash"],"args_count":1,"command_line":"bash","start":"2026-11-25T01:00:00Z"}}}`, 1000+pid, pid))
	}
	all := decoded(b, s, docs...)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		x.Apply(all[i&63])
		i++
	}
}

// The recorded session again and again, with decoding and without.
func BenchmarkRecording(b *testing.B) {
	docs := recorded(b)
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	var e event.Event
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			d.Decode(docs[i%len(docs)], &e)
			i++
		}
	})
	b.Run("decode+apply", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			d.Decode(docs[i%len(docs)], &e)
			x.Apply(&e)
			i++
		}
	})
}

// Events of processes that are known: the steady state, which must not allocate.
func BenchmarkKnown(b *testing.B) {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	exec := func(pid, ppid int, exe string) string {
		return fmt.Sprintf(`{"@timestamp":1795382411042,"event":{"category":["process"],"type":["start"],"action":"executed"},"auditd":{"session":"84"},
			"process":{"pid":%d,"parent":{"pid":%d},"executable":%q,"args":["a","b"]}}`, pid, ppid, exe)
	}
	var e event.Event
	for _, doc := range []string{exec(100, 1, "/bin/bash"), exec(101, 100, "/usr/bin/ctr")} {
		if err := d.Decode([]byte(doc), &e); err != nil {
			b.Fatal(err)
		}
		x.Apply(&e)
	}
	doc := []byte(`{"@timestamp":1795382411043,"event":{"category":["network"],"action":"connected-to"},"auditd":{"session":"84"},"process":{"pid":101,"parent":{"pid":100}}}`)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.Decode(doc, &e)
		}
	})
	b.Run("decode+apply", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.Decode(doc, &e)
			x.Apply(&e)
		}
	})
}
