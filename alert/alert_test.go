package alert_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

var update = flag.Bool("update", false, "rewrite what the files under testdata want")

var now = time.Date(2026, 4, 29, 10, 0, 7, 0, time.UTC)

// Each testdata/*.txtar has a rule, an event for each line or more that it
// matched, fields derived for the first, and the documents of the alerts.
func TestDocuments(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no testdata")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := map[string][]byte{}
			kept := ar.Files[:0]
			for _, f := range ar.Files {
				in[f.Name] = f.Data
				if f.Name != "want.json" {
					kept = append(kept, f)
				}
			}
			r, _, err := rule.Parse("rule.toml", in["rule.toml"])
			if err != nil {
				t.Fatal(err)
			}
			s := event.NewSchema()
			var events []*event.Event
			for d := json.NewDecoder(bytes.NewReader(in["event.json"])); d.More(); {
				var raw json.RawMessage
				if err := d.Decode(&raw); err != nil {
					t.Fatal(err)
				}
				if string(raw) == "null" {
					events = append(events, nil)
					continue
				}
				events = append(events, decode(t, s, string(raw)))
			}
			derive(t, s, events[0], in["derived.json"])
			m := alert.Match{Now: now}
			if in["explain.json"] != nil {
				m.Explain = json.RawMessage(in["explain.json"])
			}
			var alerts []*alert.Alert
			mk := alert.NewMaker(s)
			if len(events) == 1 {
				a, err := mk.Event(r, events[0], m)
				if err != nil {
					t.Fatal(err)
				}
				alerts = append(alerts, a)
			} else {
				all, blocks, err := mk.Sequence(r, events, m)
				if err != nil {
					t.Fatal(err)
				}
				alerts = append([]*alert.Alert{all}, blocks...)
			}
			var got bytes.Buffer
			for _, a := range alerts {
				doc := a.AppendJSON(nil)
				if err := json.Indent(&got, doc, "", "  "); err != nil {
					t.Fatalf("%v: %s", err, doc)
				}
				got.WriteByte('\n')
				back, err := alert.Parse(doc)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(a, back, cmp.AllowUnexported(alert.Alert{})); d != "" {
					t.Errorf("Parse: want -, got +:\n%s", d)
				}
				var e event.Event
				if err := event.NewDecoder(s).Decode(doc, &e); err != nil {
					t.Errorf("the alert is no event: %v", err)
				}
			}
			if *update {
				ar.Files = append(kept, txtar.File{Name: "want.json", Data: got.Bytes()})
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(in["want.json"]), got.String()); d != "" {
				t.Errorf("%s: want -, got +:\n%s", file, d)
			}
		})
	}
}

func decode(t testing.TB, s *event.Schema, doc string) *event.Event {
	t.Helper()
	var e event.Event
	if err := event.NewDecoder(s).Decode([]byte(doc), &e); err != nil {
		t.Fatal(err)
	}
	return &e
}

func derive(t testing.TB, s *event.Schema, e *event.Event, doc []byte) {
	t.Helper()
	if doc == nil {
		return
	}
	own := event.NewSchema()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.Token()
	for d.More() {
		name, _ := d.Token()
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		f := own.Field("v")
		v := decode(t, own, `{"v":`+string(raw)+`}`).Get(f)
		e.Set(s.Field(name.(string)), v)
	}
}

func testRule(t testing.TB, keys string) *rule.Rule {
	t.Helper()
	r, _, err := rule.Parse("rule.toml", []byte(`[rule]
author = ["Ann"]
description = "x"
name = "ctr runs"
risk_score = 47
rule_id = "5a1d0000-0000-4000-8000-000000000001"
severity = "medium"
type = "eql"
query = "process where true"
`+keys))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newAlert(t testing.TB, r *rule.Rule, doc string, m alert.Match) *alert.Alert {
	t.Helper()
	s := event.NewSchema()
	a, err := alert.NewMaker(s).Event(r, decode(t, s, doc), m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestIdentity(t *testing.T) {
	r := testRule(t, "")
	id := func(doc string) string { return newAlert(t, r, doc, alert.Match{Now: now}).ID }
	hash := func(parts ...string) string {
		return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, ""))))
	}

	// Kibana's recipe, for a document that came out of Elasticsearch.
	got := id(`{"_index": "logs-x", "_id": "17", "process": {"name": "ctr"}}`)
	if want := hash("logs-x", "17", "undefined", "default:", r.ID); got != want {
		t.Errorf("id of an indexed document is %s, want %s", got, want)
	}
	// Any other is its text.
	got = id(`{"process": {"name": "ctr"}}`)
	if want := hash("orlop", hash(`{"process":{"name":"ctr"}}`), "undefined", "default:", r.ID); got != want {
		t.Errorf("id of any document is %s, want %s", got, want)
	}
	if again := id("{\"process\":\n{\"name\":\"ctr\"} }"); again != got {
		t.Errorf("blanks make another id: %s and %s", got, again)
	}
	if other := id(`{"process": {"name": "crictl"}}`); other == got {
		t.Error("two documents have one id")
	}

	// An event of kernel audit is its host, time and serial number.
	const exec = `{"@timestamp":"2026-11-25T10:00:00.123Z","event":{"module":"auditd","action":"executed","sequence":7},"host":{"id":"h"},"process":{"pid":1}}`
	one := id(exec)
	if again := id(strings.Replace(exec, `"pid":1`, `"pid":1,"parent":{"start":"2026-11-25T09:00:00Z"}`, 1)); again != one {
		t.Error("what is seen of its process makes another event")
	}
	for _, change := range [][2]string{{"00.123Z", "00.124Z"}, {`"sequence":7`, `"sequence":8`}, {`"id":"h"`, `"id":"i"`}, {`"module":"auditd"`, `"module":"x"`}} {
		if id(strings.Replace(exec, change[0], change[1], 1)) == one {
			t.Errorf("with %s it is the same event", change[1])
		}
	}

	// Neither the time nor the place nor what was derived counts.
	s := event.NewSchema()
	e := decode(t, s, `{"process": {"name": "ctr"}}`)
	e.Origin = event.Origin{Source: "other", Offset: 99}
	e.Set(s.Field("process.pid"), event.Int(1))
	a, err := alert.NewMaker(s).Event(r, e, alert.Match{Now: now.Add(time.Hour), Explain: "x", Evidence: "y"})
	if err != nil {
		t.Fatal(err)
	}
	if a.ID != got {
		t.Errorf("a replay has id %s, want %s", a.ID, got)
	}
}

func TestReason(t *testing.T) {
	f := func(doc, want string) {
		t.Helper()
		if got := newAlert(t, testRule(t, ""), doc, alert.Match{Now: now}).Reason; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", doc, got, want)
		}
	}
	f(`{}`, "event created medium alert ctr runs.")
	f(`{"event": {"category": ["process"]}, "process": {"name": "ctr", "parent": {"name": "bash"}}, "user": {"name": "root"}, "host": {"name": "worker-1"}}`,
		"process event with process ctr, parent process bash, by root on worker-1 created medium alert ctr runs.")
	f(`{"event": {"category": ["network", "session"]}, "source": {"ip": "10.0.0.1", "port": 40000}, "destination": {"ip": ["10.0.0.2", "10.0.0.3"], "port": 443}}`,
		"network, session event with source 10.0.0.1:40000, destination 10.0.0.2, 10.0.0.3:443, created medium alert ctr runs.")
	f(`{"event": {"category": ["process"]}, "process": {"name": "sh"}, "user": {"name": "root"}, "host": {"name": "worker-1"}, "orlop": {"kubernetes": {"user": {"name": "ann@example.org\u001b[31m"}}}}`,
		"process event with process sh, by root on worker-1, asked for by ann@example.org\uFFFD[31m through the Kubernetes API, created medium alert ctr runs.")
	f(`{"file": {"name": "-"}, "user": {"name": "root"}}`, "event by root created medium alert ctr runs.")
	f(`{"process": {"name": "a\nb\u001b[31m"}}`, "event with process a\uFFFDb\uFFFD[31m, created medium alert ctr runs.")
	f(`{"process": {"name": "`+strings.Repeat("x", 10000)+`"}}`,
		"event with process "+strings.Repeat("x", 256)+"…, created medium alert ctr runs.")
}

// The reason of a sequence is what was done, step by step.
func TestReasonOfSequence(t *testing.T) {
	f := func(want string, docs ...string) {
		t.Helper()
		s := event.NewSchema()
		var events []*event.Event
		for _, doc := range docs {
			events = append(events, decode(t, s, doc))
		}
		all, _, err := alert.NewMaker(s).Sequence(testRule(t, ""), events, alert.Match{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if all.Reason != want {
			t.Errorf("got  %s\nwant %s", all.Reason, want)
		}
	}
	const on = `"user": {"name": "root"}, "host": {"name": "worker-1"}`
	f(`"ctr t exec web1 sh", then "ctr c rm web1", by root on worker-1 created medium alert ctr runs.`,
		`{"event": {"action": "exec"}, "process": {"command_line": "ctr t exec web1 sh", "name": "ctr"}, `+on+`}`,
		`{"event": {"action": "exec"}, "process": {"args": ["ctr", "c", "rm", "web1"], "executable": "/usr/bin/ctr"}, `+on+`}`)
	f(`"/tmp/x" connected /run/containerd/containerd.sock, then creation /etc/cron.d/x, then 10.0.0.1, then network event, by root, alice on worker-1 created medium alert ctr runs.`,
		`{"event": {"action": "connected"}, "process": {"executable": "/tmp/x"}, "destination": {"path": "/run/containerd/containerd.sock"}, `+on+`}`,
		`{"event": {"action": "creation"}, "file": {"path": "/etc/cron.d/x"}, "user": {"name": "alice"}}`,
		`{"destination": {"ip": "10.0.0.1"}}`, `{"event": {"category": "network"}}`)
	f(`create pods/exec, then "cat /etc/passwd", by ann, root on worker-1, asked for by ann through the Kubernetes API, created medium alert ctr runs.`,
		`{"event": {"action": "create pods/exec", "category": ["api"]}, "user": {"name": "ann"}}`,
		`{"event": {"action": "exec"}, "process": {"args": ["cat", "/etc/passwd"]}, `+on+`, "orlop": {"kubernetes": {"user": {"name": "ann"}}}}`)
	// It is bounded, and does nothing to a terminal.
	long := `"` + strings.Repeat("x", 120) + `…"`
	f(long+`, then "a�[31m", then "c", then "d", then "e", then 2 more created medium alert ctr runs.`,
		`{"process": {"args": ["`+strings.Repeat("x", 1<<16)+`", "y"]}}`, `{"process": {"command_line": "a\u001b[31m"}}`,
		`{"process": {"name": "c"}}`, `{"process": {"name": "d"}}`, `{"process": {"name": "e"}}`, `{"process": {"name": "f"}}`, `{"process": {"name": "g"}}`)
}

func TestDescends(t *testing.T) {
	r := testRule(t, "")
	other := testRule(t, "")
	other.ID = "another"
	s := event.NewSchema()
	source := decode(t, s, `{"process": {"name": "ctr"}}`)
	a := newAlert(t, r, string(source.Raw), alert.Match{Now: now})
	b := newAlert(t, other, string(a.AppendJSON(nil)), alert.Match{Now: now})
	if b.Depth != 2 || len(b.Ancestors) != 2 {
		t.Errorf("an alert on an alert has depth %d and ancestors %v", b.Depth, b.Ancestors)
	}
	m := alert.NewMaker(s)
	f := func(doc string, id string, want bool) {
		t.Helper()
		if got := m.Descends(decode(t, s, doc), id); got != want {
			t.Errorf("%s: descends from %s: %v, want %v", doc, id, got, want)
		}
	}
	f(string(source.Raw), r.ID, false)
	f(string(a.AppendJSON(nil)), r.ID, true)
	f(string(a.AppendJSON(nil)), other.ID, false)
	f(string(b.AppendJSON(nil)), r.ID, true)
	f(string(b.AppendJSON(nil)), other.ID, true)
}

// To ask whether an event is an alert costs less than to make one of it, so that
// who writes "kibana" into events does not slow the engine down.
func TestDescendsIsCheap(t *testing.T) {
	r, s := testRule(t, ""), event.NewSchema()
	e := decode(t, s, `{"process": {"name": "kibana"}}`)
	m := alert.NewMaker(s)
	asked := testing.AllocsPerRun(100, func() { m.Descends(e, r.ID) })
	made := testing.AllocsPerRun(100, func() {
		if _, err := m.Event(r, e, alert.Match{Now: now}); err != nil {
			t.Fatal(err)
		}
	})
	if asked >= made {
		t.Errorf("to ask allocates %v times, to make %v", asked, made)
	}
}

// An explanation that cannot be written does not cost the alert.
func TestExplainThatFails(t *testing.T) {
	a := newAlert(t, testRule(t, ""), `{}`, alert.Match{Now: now, Explain: func() {}})
	var doc struct {
		Orlop struct{ Explain struct{ Error string } }
	}
	if err := json.Unmarshal(a.AppendJSON(nil), &doc); err != nil {
		t.Fatal(err)
	}
	if want := "json: unsupported type: func()"; doc.Orlop.Explain.Error != want {
		t.Errorf("got %q, want %q", doc.Orlop.Explain.Error, want)
	}
}

func TestNotADocument(t *testing.T) {
	s := event.NewSchema()
	_, err := alert.NewMaker(s).Event(testRule(t, ""), &event.Event{Raw: []byte(`{"a":1,"a":2}`)}, alert.Match{})
	var se *event.SyntaxError
	if !errors.As(err, &se) {
		t.Errorf("got %v, want a syntax error", err)
	}
}

// Whatever an event holds, its alert is one document on one line that an engine
// can read, and says who made it.
func FuzzNew(f *testing.F) {
	r := testRule(f, "")
	f.Fuzz(func(t *testing.T, doc, second []byte, name, value string) {
		s := event.NewSchema()
		var e, e2 event.Event
		if event.NewDecoder(s).Decode(doc, &e) != nil {
			return
		}
		e.Set(s.Field(name), event.String(value))
		mk := alert.NewMaker(s)
		a, err := mk.Event(r, &e, alert.Match{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		alerts := []*alert.Alert{a}
		if event.NewDecoder(s).Decode(second, &e2) == nil {
			all, blocks, err := mk.Sequence(r, []*event.Event{&e, &e2}, alert.Match{Now: now})
			if err != nil {
				t.Fatal(err)
			}
			alerts = append(append(alerts, all), blocks...)
		}
		for _, a := range alerts {
			out := a.AppendJSON(nil)
			if !json.Valid(out) || bytes.ContainsRune(out, '\n') {
				t.Fatalf("%s", out)
			}
			s := event.NewSchema()
			uuid := s.Field("kibana.alert.uuid")
			var back event.Event
			if err := event.NewDecoder(s).Decode(out, &back); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := back.Get(uuid).Str(); got != a.ID {
				t.Fatalf("uuid %q, want %q: %s", got, a.ID, out)
			}
			if _, err := alert.Parse(out); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if !alert.NewMaker(s).Descends(&back, r.ID) {
				t.Fatalf("does not descend from its own rule: %s", out)
			}
		}
	})
}

// A Maker is as good for the second alert, of whatever rule, as for the first.
func TestMakerForgetsNothingAndKeepsNothing(t *testing.T) {
	a, b := testRule(t, ""), testRule(t, `note = "b"
rule_name_override = "process.title"
severity_mapping = [{field = "x.y", operator = "equals", value = "1", severity = "high"}]
`)
	b.ID = "another"
	docs := []string{
		`{"process":{"name":"ctr","title":"T"},"x.y":1}`, `{"a":"` + strings.Repeat("x", 3000) + `"}`, `{}`,
		`{"process":{"name":"ctr","title":"\u0041"},"x":{"y":"1"}}`,
	}
	s := event.NewSchema()
	mk := alert.NewMaker(s)
	m := alert.Match{Now: now}
	for range 3 {
		for _, r := range []*rule.Rule{a, b} {
			for _, doc := range docs {
				e := decode(t, s, doc)
				got, err := mk.Event(r, e, m)
				if err != nil {
					t.Fatal(err)
				}
				want, err := alert.NewMaker(s).Event(r, e, m)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got, cmp.AllowUnexported(alert.Alert{})); d != "" {
					t.Errorf("%s: want -, got +:\n%s", doc, d)
				}
			}
			all, blocks, err := mk.Sequence(r, []*event.Event{decode(t, s, docs[0]), nil, decode(t, s, docs[3])}, m)
			if err != nil || len(blocks) != 2 {
				t.Fatalf("%d blocks, %v", len(blocks), err)
			}
			if want := `"ctr", then "ctr" created medium alert ctr runs.`; all.Reason != want {
				t.Errorf("got %q, want %q", all.Reason, want)
			}
			if want := "event with process ctr, created medium alert ctr runs."; blocks[0].Reason != want {
				t.Errorf("got %q, want %q", blocks[0].Reason, want)
			}
		}
	}
}

// An alert of a rule that has alerted before, against a JSON encoder that writes
// the rule alone, which each alert carries.
func BenchmarkMaker(b *testing.B) {
	r := testRule(b, "note = '"+strings.Repeat("x", 4000)+"'\n")
	s := event.NewSchema()
	e := decode(b, s, `{"@timestamp":"2026-04-29T10:00:00Z","event":{"action":"exec","category":["process"]},"host":{"name":"w"},"process":{"name":"ctr","args":["ctr","t","exec"]}}`)
	e.Set(s.Field("process.parent.name"), event.String("bash"))
	m := alert.Match{Now: now}
	run := func(b *testing.B, f func() error) float64 {
		b.ReportAllocs()
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		return float64(b.Elapsed()) / float64(b.N)
	}
	var encode float64
	b.Run("rule=encode", func(b *testing.B) {
		encode = run(b, func() error { _, err := json.Marshal(r); return err })
	})
	b.Run("alert=first", func(b *testing.B) {
		each := run(b, func() error { _, err := alert.NewMaker(s).Event(r, e, m); return err })
		if encode > 0 {
			b.ReportMetric(each/encode, "of-encode")
		}
	})
	b.Run("descends", func(b *testing.B) {
		mk := alert.NewMaker(s)
		run(b, func() error { mk.Descends(e, r.ID); return nil })
	})
	b.Run("alert=again", func(b *testing.B) {
		mk := alert.NewMaker(s)
		each := run(b, func() error { _, err := mk.Event(r, e, m); return err })
		if encode > 0 {
			b.ReportMetric(each/encode, "of-encode")
		}
	})
}
