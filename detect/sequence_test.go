package detect_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

// A sequence makes a building block of each event and one alert for all, which
// has the fields that they have in common. (facts: Kibana's build_alert_group.)
func TestSequenceAlerts(t *testing.T) {
	r := eql("s", `sequence by user.id with maxspan=10s [process where true] [network where true] ![file where true]`)
	b := newBench(t, detect.Options{Lateness: -1}, r)
	b.see("s", doc(0, `"event.category":"process","user.id":"1","host.name":"n1","process.name":"ctr"`))
	b.see("s", doc(1, `"event.category":"network","user.id":"1","host.name":"n1","process.name":"sh"`))
	b.Flush(b.emit)
	if len(b.alerts) != 3 {
		t.Fatalf("%d alerts, want two building blocks and one for both", len(b.alerts))
	}
	all := b.alerts[2]
	for i, a := range b.alerts[:2] {
		if !a.BuildingBlock || a.Group != all.ID || a.GroupIndex != i || a.Depth != 1 {
			t.Errorf("block %d: %+v", i, a)
		}
	}
	if all.BuildingBlock || all.Group != all.ID || all.Depth != 2 || len(all.Ancestors) != 4 {
		t.Errorf("the alert for all: %+v", all)
	}
	var d map[string]any
	if err := json.Unmarshal(all.AppendJSON(nil), &d); err != nil {
		t.Fatal(err)
	}
	// Kibana's shell loses everything when an event is missing; ours does not.
	if d["host.name"] != "n1" || d["user.id"] != "1" || d["process.name"] != nil {
		t.Errorf("in common are host.name and user.id, not process.name: %v", d)
	}
	if n := b.Stats().Alerts; n != 1 {
		t.Errorf("%d alerts counted, want 1: building blocks do not count", n)
	}
	if s := b.Rules()[0]; s.Alerts != 1 || s.Kind.String() != "sequence" {
		t.Errorf("status %+v", s)
	}
}

// Sequences of the same events by several keys are several alerts. Where a key
// has one value the ids are Kibana's: of the ancestors and the rule alone.
func TestSequenceIdentity(t *testing.T) {
	type ids struct{ all, blocks []string }
	f := func(query string, docs ...string) (x ids) {
		t.Helper()
		b := newBench(t, detect.Options{Lateness: -1}, eql("s", query))
		for _, d := range docs {
			b.see("s", d)
		}
		b.Flush(b.emit)
		for _, a := range b.alerts {
			if a.BuildingBlock {
				x.blocks = append(x.blocks, a.ID)
			} else {
				x.all = append(x.all, a.ID)
			}
		}
		return x
	}
	distinct := func(x ids, n, blocks int) {
		t.Helper()
		slices.Sort(x.all)
		slices.Sort(x.blocks)
		if len(x.all) != n || len(slices.Compact(x.all)) != n || len(x.blocks) != blocks || len(slices.Compact(x.blocks)) != blocks {
			t.Errorf("want %d alerts and %d building blocks, each with its own id: %q", n, blocks, x)
		}
	}
	by, none := `sequence by user.id [process where true] [network where true]`, `sequence [process where true] [network where true]`
	list := []string{doc(0, `"event.category":"process","user.id":["1","2"]`), doc(1, `"event.category":"network","user.id":["2","1"]`)}
	distinct(f(by, list...), 2, 4)
	distinct(f(none, list...), 1, 2)
	sample := `sample by user.id [process where true] [network where true]`
	distinct(f(sample, list...), 2, 4)
	again, same := f(by, list...), f(by, list...)
	if !slices.Equal(again.all, same.all) || !slices.Equal(again.blocks, same.blocks) {
		t.Errorf("a replay has other ids: %q and %q", again, same)
	}
	// One value, also if it is written twice: what Kibana would hash.
	for _, id := range []string{`"1"`, `["1"]`, `["1","1"]`} {
		one := []string{doc(0, `"event.category":"process","user.id":`+id), doc(1, `"event.category":"network","user.id":"1"`)}
		if x, y := f(by, one...), f(none, one...); !slices.Equal(x.all, y.all) || !slices.Equal(x.blocks, y.blocks) {
			t.Errorf("user.id %s: the key counts: %q and %q", id, x, y)
		}
	}
}

// One act is one alert: a rule is silent where one that supersedes it matches.
func TestSupersedes(t *testing.T) {
	over := func(r *rule.Rule, ids ...string) *rule.Rule { r.Orlop.Supersedes = ids; return r }
	f := func(want string, rules ...*rule.Rule) {
		t.Helper()
		b := newBench(t, detect.Options{}, rules...)
		b.see("s", `{"event.category":"process","user.id":"1"}`)
		if got := b.raised(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	root, any := `process where user.id == "0"`, `process where true`
	f("b", eql("a", any), over(eql("b", any), "a"))
	f("a", eql("a", any), over(eql("b", root), "a")) // b does not match
	f("c", eql("a", any), over(eql("b", any), "a"), over(eql("c", any), "b"))
	f("b c", eql("a", any), over(eql("b", any), "a"), over(eql("c", any), "a", "nobody"))
	// Rules that would silence each other, or themselves, do not both.
	f("a", over(eql("a", any), "b"), over(eql("b", any), "a"))
	f("a", over(eql("a", any), "a"))
	// A sequence is no more than its events.
	f("a", eql("a", any), over(eql("b", `sequence [process where true] [file where true]`), "a"))
}

// A rule that follows another one is silent about a process for five minutes after an
// alert of that, also after a restart.
func TestFollows(t *testing.T) {
	start, connect := eql("start", `process where true`), eql("connect", `network where true`)
	connect.Orlop.Follows = []string{"start", "nobody"}
	see := func(b *bench, restart bool) {
		for _, e := range []string{
			doc(0, `"event.category":"network","process.entity_id":"x"`), // before any alert
			doc(1, `"event.category":"process","process.entity_id":"x"`),
			doc(2, `"event.category":"network","process.entity_id":"x"`),
			doc(3, `"event.category":"network","process.entity_id":"y"`), // another process
			doc(4, `"event.category":"network"`),                         // of nobody knows which
			doc(300, `"event.category":"network","process.entity_id":"x"`),
			doc(301, `"event.category":"network","process.entity_id":"x"`), // five minutes after
		} {
			b.see("s", e)
			if restart {
				b = b.restart(detect.Options{}, start, connect)
			}
		}
		if got, want := b.raised(), "connect@0 start@1 connect@3 connect@4 connect@301"; got != want {
			t.Errorf("restarted %v: got %q, want %q", restart, got, want)
		}
	}
	see(newBench(t, detect.Options{}, start, connect), false)
	see(newBench(t, detect.Options{}, start, connect), true)

	// An alert that was not raised tells nothing.
	connect = eql("connect", `network where true`)
	connect.Orlop.Follows = []string{"start"}
	b := newBench(t, detect.Options{Except: func(r *rule.Rule, e *event.Event) bool { return r.ID == "start" }}, start, connect)
	b.see("s", doc(1, `"event.category":"process","process.entity_id":"x"`))
	b.see("s", doc(2, `"event.category":"network","process.entity_id":"x"`))
	if got, want := b.raised(), "connect@2"; got != want {
		t.Errorf("excepted: got %q, want %q", got, want)
	}
}

// An event that is excepted from a rule is not there for it: it is no part of a
// sequence, does not take the place of one that is, and is not what must be absent.
func TestExcept(t *testing.T) {
	f := func(what, want string, rules ...*rule.Rule) {
		t.Helper()
		asked := 0
		var user event.Field
		b := newBench(t, detect.Options{Lateness: -1, Except: func(r *rule.Rule, e *event.Event) bool {
			asked++
			return r.ID != "other" && e.Get(user).Str() == "0"
		}}, rules...)
		user = b.schema.Field("user.id")
		b.see("s", doc(1, `"event.category":"process","user.id":"1"`))
		b.see("s", doc(2, `"event.category":"process","user.id":"0"`))
		b.see("s", doc(3, `"event.category":"file","user.id":"1"`))
		b.see("s", doc(4, `"event.category":"network","user.id":"0"`))
		b.Flush(b.emit)
		if got := b.raised(); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
		if asked == 0 || asked > 4*len(rules) {
			t.Errorf("%s: asked %d times", what, asked)
		}
	}
	f("an event", "a@1", eql("a", `process where true`))
	f("of one rule", "a@1 other@1 other@2", eql("a", `process where true`), eql("other", `process where true`))
	f("a sequence", "a@3", eql("a", `sequence [process where true] [file where true]`))
	f("its end", "", eql("a", `sequence [file where true] [network where true]`))
	f("the latest first event", "a@3", eql("a", `sequence with maxspan=1m [process where true] [file where user.id == "1"]`))
	f("what must be absent", "a@3", eql("a", `sequence with maxspan=1m [file where true] ![network where true]`))
	b := eql("b", `process where user.id == "0"`)
	b.Orlop.Supersedes = []string{"other"}
	f("what it supersedes", "other@1", eql("other", `process where true`), b)
}

// What the engine raised is not raised again when it comes back as an event.
func TestDescendants(t *testing.T) {
	b := newBench(t, detect.Options{}, eql("a", `process where true`), eql("b", `process where true`))
	b.see("s", doc(0, `"event.category":"process"`))
	back := string(b.alerts[0].AppendJSON(nil))
	b.raised()
	b.see("alerts", back)
	if got := b.raised(); got != "b@0" {
		t.Errorf("an alert of a came back: got %q, want b alone", got)
	}
}

// Whatever the decoder takes as an event, an alert can be made of.
func FuzzAlert(f *testing.F) {
	g := newBench(f, detect.Options{}, eql("r", `any where true`), eql("s", `sequence [any where true] with runs=2`))
	f.Fuzz(func(t *testing.T, s string) {
		var e event.Event
		if g.decoder.Decode([]byte(s), &e) != nil {
			return
		}
		g.alerts = nil
		g.Process(&e, g.emit)
		for _, a := range g.alerts {
			if !json.Valid(a.AppendJSON(nil)) {
				t.Errorf("%s\nthe alert is not JSON: %s", s, a.AppendJSON(nil))
			}
		}
	})
}

// Reads lists what an index template, or a source, has to have.
func TestReads(t *testing.T) {
	b := newBench(t, detect.Options{},
		eql("e", `process where process.name == "x" and length(process.args) > 3`),
		eql("s", `sequence by user.id, ?host.id [file where file.path : "/etc/*"] [any where true] until [process where event.type == "end"]`))
	want := []string{"event.category", "event.type", "file.path", "host.id", "process.args", "process.name", "user.id"}
	if got := b.Reads(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
