package detect_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/rule"
)

// restart is a bench that goes on from what a file could hold of b.
func (b *bench) restart(o detect.Options, rules ...*rule.Rule) *bench {
	b.tb.Helper()
	var f bytes.Buffer
	if err := gob.NewEncoder(&f).Encode(b.State()); err != nil {
		b.tb.Fatal(err)
	}
	var s detect.State
	if err := gob.NewDecoder(&f).Decode(&s); err != nil {
		b.tb.Fatal(err)
	}
	n := newBench(b.tb, o, rules...)
	if err := n.Restore(&s); err != nil {
		b.tb.Fatal(err)
	}
	n.alerts = b.alerts
	return n
}

// An engine that ends at any moment and goes on raises what one does that never
// ended: the same alerts, in the same order.
func TestRestartChangesNothing(t *testing.T) {
	rules := func() []*rule.Rule {
		sample := eql("sample", `sample by user.id [process where true] [file where true]`)
		sample.From = "now-5s"
		return []*rule.Rule{
			sample,
			eql("pair", `sequence by user.id with maxspan=3s [process where true] [file where true]`),
			eql("absent", `sequence by user.id with maxspan=3s [process where true] ![network where true]`),
			eql("between", `sequence by user.id with maxspan=4s ![network where true] [process where true] ![file where true] [process where true] until [library where true]`),
			eql("single", `file where true`),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		docs := make([]string, n)
		now := 0.0
		for i := range docs {
			now += rapid.Float64Range(0, 1).Draw(t, "step")
			category := rapid.SampledFrom([]string{"process", "file", "network", "library", "other"}).Draw(t, "category")
			docs[i] = doc(now+rapid.Float64Range(-3, 0).Draw(t, "late"), fmt.Sprintf(`"event.category":%q,"user.id":"%d","n":%d`, category, rapid.IntRange(1, 2).Draw(t, "user"), i))
		}
		o := detect.Options{Lateness: 2 * time.Second}
		whole, parts := newBench(t, o, rules()...), newBench(t, o, rules()...)
		restart := rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 3).Draw(t, "restart")
		for i, d := range docs {
			if slices.Contains(restart, i) {
				parts = parts.restart(o, rules()...)
			}
			for _, b := range []*bench{whole, parts} {
				b.see("s", d)
				if i%7 == 0 {
					b.Advance(at(now), b.emit)
				}
			}
		}
		ids := func(b *bench) string {
			b.Flush(b.emit)
			var ids []string
			for _, a := range b.alerts {
				ids = append(ids, a.RuleID+" "+a.ID+"\n")
			}
			return strings.Join(ids, "")
		}
		if got, want := ids(parts), ids(whole); got != want {
			t.Fatalf("restarted at %v:\n%swant\n%s", restart, got, want)
		}
	})
}

// What has changed in a rule's query is forgotten, and the rest kept.
func TestRestartWithOtherRules(t *testing.T) {
	pair := func(id, span string) *rule.Rule {
		return eql(id, `sequence by user.id with maxspan=`+span+` [process where true] [file where true]`)
	}
	o := detect.Options{}
	b := newBench(t, o, pair("a", "10s"), pair("b", "10s"), pair("c", "10s"))
	b.see("s", doc(0, `"event.category":"process","user.id":"1"`))
	b = b.restart(o, pair("b", "20s"), pair("c", "10s"), pair("d", "10s"))
	b.see("s", doc(1, `"event.category":"file","user.id":"1"`))
	b.Flush(b.emit)
	if got := b.raised(); got != "c@1" {
		t.Errorf("got %q, want c alone", got)
	}
}

// A state of something else is an error, and the engine as it was.
func TestRestoreRefuses(t *testing.T) {
	pair := eql("a", `sequence with maxspan=10s [process where true] [file where true]`)
	f := func(change func(*detect.State)) {
		t.Helper()
		b := newBench(t, detect.Options{}, pair)
		b.see("s", doc(0, `"event.category":"process"`))
		b.see("s", doc(9, `"event.category":"process"`))
		s := b.State()
		change(s)
		b = newBench(t, detect.Options{}, pair)
		if err := b.Restore(s); err == nil {
			t.Error("no error")
		}
		b.see("s", doc(1, `"event.category":"file"`))
		b.Flush(b.emit)
		if got := b.raised(); got != "" {
			t.Errorf("%q is raised from what was refused", got)
		}
	}
	f(func(s *detect.State) { s.Events = nil })
	f(func(s *detect.State) { s.Events[0].Raw = []byte("{") })
	f(func(s *detect.State) { s.Events[0].Names = []string{"x"} })
	f(func(s *detect.State) { s.Rules[0].Sequence = nil })
	f(func(s *detect.State) { s.Rules[0].Sequence.Pending[0].Events = []int{0, 0} })
	f(func(s *detect.State) { s.Rules[0].Sequence.Pending[0].Events = []int{-1} })
	f(func(s *detect.State) { s.Orders[0].Waiting[0].Rules = []int{7} })
	f(func(s *detect.State) { s.Orders[0].Waiting[0].Event = 7 })
}

// A source that is expected holds sequences back until it has come as far, each by
// its own lateness.
func TestSourcesWaitForEachOther(t *testing.T) {
	b := newBench(t, detect.Options{}, eql("a", `sequence with maxspan=10s [process where true] [file where true]`))
	b.Expect("slow", 5*time.Second)
	b.Expect("fast", 0)
	f := func(want string) {
		t.Helper()
		if got := b.raised(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	b.see("fast", doc(12, `"event.category":"file"`))
	b.AdvanceSource("fast", at(20), b.emit)
	f("") // Nothing is known of the slow one.
	b.see("slow", doc(10, `"event.category":"process"`))
	b.see("slow", doc(16, `"event.category":"x"`))
	f("")
	b.see("slow", doc(18, `"event.category":"x"`))
	f("a@12")
	if n := b.Stats().Late; n != 0 {
		t.Errorf("%d late", n)
	}
	b.see("fast", doc(30, `"event.category":"process"`))
	b.see("fast", doc(31, `"event.category":"file"`))
	b.AdvanceSource("slow", at(37), b.emit)
	f("") // The fast one could still bring something from before.
	b.AdvanceSource("fast", at(37), b.emit)
	f("a@31")
}

// However many sources come that nobody expects, of which those that are furthest
// behind are given up, one that is expected is waited for.
func TestManySourcesWaitForTheExpected(t *testing.T) {
	b := newBench(t, detect.Options{}, eql("a", `sequence with maxspan=10s [process where true] [file where true]`))
	b.Expect("slow", 0)
	for i := range 5000 {
		b.see(fmt.Sprint("stranger", i), doc(100, `"event.category":"file"`))
	}
	b.see("slow", doc(95, `"event.category":"process"`))
	b.see("slow", doc(101, `"event.category":"x"`))
	b.Flush(b.emit)
	if got := b.raised(); got != "a@100" || b.Stats().Late != 0 {
		t.Errorf("got %q, %d late; want a@100", got, b.Stats().Late)
	}
}

// After the clock was set back, events are in order again at once, not only when
// the clock is where it was.
func TestClockSetBack(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: time.Second}, eql("a", `sequence with maxspan=10s [process where true] [file where true]`))
	b.see("s", doc(3600, `"event.category":"process"`))
	b.Advance(at(3602), b.emit)
	b.see("s", doc(3602, `"event.category":"file"`))
	b.SetBack(at(5), b.emit)
	if got := b.raised(); got != "a@3602" {
		t.Errorf("what waited: got %q, want a@3602", got)
	}
	b.see("s", doc(5, `"event.category":"process"`))
	b.see("s", doc(6, `"event.category":"file"`))
	b.Advance(at(8), b.emit)
	if got := b.raised(); got != "a@6" {
		t.Errorf("got %q, want a@6", got)
	}
	if n := b.Stats().Late; n != 0 {
		t.Errorf("%d late", n)
	}
}

// An alert says what is not known of its time, and one of an absence whether that
// is known.
func TestEvidence(t *testing.T) {
	f := func(known detect.Evidence, query, windows, want string) {
		t.Helper()
		var asked []string
		b := newBench(t, detect.Options{Evidence: func(from, to time.Time) detect.Evidence {
			asked = append(asked, fmt.Sprintf("%.0f-%.0f", from.Sub(at(0)).Seconds(), to.Sub(at(0)).Seconds()))
			return known
		}}, eql("a", query))
		b.see("s", doc(20, `"event.category":"process"`))
		b.see("s", doc(25, `"event.category":"file"`))
		b.see("s", doc(31, `"event.category":"x"`))
		var d struct {
			Orlop struct{ Evidence json.RawMessage }
		}
		if err := json.Unmarshal(b.alerts[len(b.alerts)-1].AppendJSON(nil), &d); err != nil {
			t.Fatal(err)
		}
		if got := string(d.Orlop.Evidence); got != want || strings.Join(asked, " ") != windows {
			t.Errorf("asked of %q and said %s, want %q and %s", asked, got, windows, want)
		}
	}
	single, pair := `file where true`, `sequence with maxspan=10s [process where true] [file where true]`
	absent := `sequence with maxspan=10s [process where true] ![library where true]`
	f(detect.Evidence{}, single, "25-25", ``)
	f(detect.Evidence{Lost: 3, TruncatedEvents: 1}, single, "25-25", `{"lost":3,"truncated_events":1}`)
	f(detect.Evidence{Late: 1}, pair, "20-25", `{"late":1}`)
	f(detect.Evidence{Unwatched: 2}, absent, "10-30", `{"unwatched":2,"absence_uncertain":true}`)
	f(detect.Evidence{TruncatedEvents: 2}, absent, "10-30", `{"truncated_events":2}`)
}
