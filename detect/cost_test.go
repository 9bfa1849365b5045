package detect_test

import (
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

// What a rule costs is told by rule: events that it was tried on and that it wanted,
// the time of that and of its alerts, but not of who takes those, and what it keeps.
func TestCost(t *testing.T) {
	rules := []*rule.Rule{
		eql("single", `process where process.name == "x" and not process.pid <= 5`),
		eql("pair", `sequence by user.id with maxspan=10s [process where process.name == "x"] [network where true]`),
		eql("idle", `registry where true`),
	}
	b := newBench(t, detect.Options{}, rules...)
	var now int64
	detect.Clock(b.Engine, func() int64 { now += 1000; return now })
	emit := func(a *alert.Alert) { now += int64(time.Hour) }
	see := func(doc string) {
		t.Helper()
		var e event.Event
		if err := b.decoder.Decode([]byte(doc), &e); err != nil {
			t.Fatal(err)
		}
		b.Process(&e, emit)
	}
	f := func(want map[string]detect.Cost) {
		t.Helper()
		for _, s := range b.Rules() {
			got, w := s.Cost, want[s.Rule.ID]
			if (got.Time > 0) != (w.Candidates > 0) || got.Time >= time.Hour {
				t.Errorf("%s: %v after %d candidates", s.Rule.ID, got.Time, got.Candidates)
			}
			if (got.State > 0) != (w.State > 0) || (got.Peak > 0) != (w.Peak > 0) || got.Peak < got.State {
				t.Errorf("%s: keeps %d bytes, at most %d", s.Rule.ID, got.State, got.Peak)
			}
			got.Time, got.State, got.Peak = 0, w.State, w.Peak
			if d := gocmp.Diff(w, got); d != "" {
				t.Errorf("%s: %s", s.Rule.ID, d)
			}
		}
	}
	f(nil)
	see(doc(0, `"event.category":"process","process.name":"x","process.pid":5,"user.id":"1"`))
	see(doc(1, `"event.category":"process","process.name":"x","process.pid":6,"user.id":"2"`))
	see(doc(1, `"event.category":"process","process.name":"y","process.pid":6,"user.id":"2"`)) // the index knows
	see(doc(2, `"event.category":"file"`))
	f(map[string]detect.Cost{"single": {Candidates: 2, Matches: 1}, "pair": {Candidates: 2, Matches: 2, State: 1, Peak: 1}})
	if err := b.SetRules(rules[:2]); err != nil { // a reload forgets nothing
		t.Fatal(err)
	}
	see(doc(3, `"event.category":"network","user.id":"2"`))
	see(doc(100, `"event.category":"network","user.id":"3"`))
	see(doc(101, `"event.category":"file"`))
	f(map[string]detect.Cost{"single": {Candidates: 2, Matches: 1}, "pair": {Candidates: 4, Matches: 4, Peak: 1}})
	if s := b.Stats(); s.Alerts != 2 {
		t.Errorf("%d alerts, want 2", s.Alerts)
	}
}

// One event in 64 is timed, also of those that come in turns.
func TestOneInSixtyFourIsTimed(t *testing.T) {
	const n = 1 << 20
	timed := detect.Timed(n)
	for period := 1; period <= 64; period++ {
		met := make([]int, period)
		for i, on := range timed {
			if on {
				met[i%period]++
			}
		}
		want := n / 64 / period
		for at, got := range met {
			if got < want*2/3 || got > want*4/3 {
				t.Errorf("of events %d of every %d %d are timed, want about %d", at, period, got, want)
			}
		}
	}
}

// A rule that keeps too much gives up its own, and is named; the others go on.
func TestRuleBudget(t *testing.T) {
	b := newBench(t, detect.Options{RuleBudget: 64 << 10},
		eql("many", `sequence by user.id with maxspan=5m [process where true] [network where true]`),
		eql("few", `sequence by host.id with maxspan=5m [process where true] [network where true]`))
	for i := range 1000 {
		fields := fmt.Sprintf(`"event.category":"process","user.id":"%d"`, i)
		if i == 0 {
			fields += `,"host.id":"h"`
		}
		b.see("s", doc(float64(i)/100, fields))
	}
	b.see("s", doc(60, `"event.category":"network","user.id":"0","host.id":"h"`))
	b.Flush(b.emit)
	if got := b.raised(); got != "few@60" {
		t.Errorf("got %q, want what few has kept", got)
	}
	many, few := b.Rules()[0].Cost, b.Rules()[1].Cost
	if many.Evicted == 0 || many.Evicted != b.Stats().Evicted || many.Peak > 64<<10 || few.Evicted != 0 {
		t.Errorf("many gave up %d of %d and kept %d bytes, few gave up %d", many.Evicted, b.Stats().Evicted, many.Peak, few.Evicted)
	}
}
