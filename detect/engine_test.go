package detect_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	lang "github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

// bench is an engine with its schema, and what it has raised.
type bench struct {
	tb rapid.TB
	*detect.Engine
	schema  *event.Schema
	decoder *event.Decoder
	alerts  []*alert.Alert
}

func newBench(tb rapid.TB, o detect.Options, rules ...*rule.Rule) *bench {
	tb.Helper()
	o.Schema = event.NewSchema()
	if o.Now == nil {
		o.Now = func() time.Time { return at(0) }
	}
	b := &bench{tb: tb, Engine: detect.New(o), schema: o.Schema, decoder: event.NewDecoder(o.Schema)}
	if err := b.SetRules(rules); err != nil {
		tb.Fatal(err)
	}
	return b
}

func (b *bench) emit(a *alert.Alert) { b.alerts = append(b.alerts, a) }

// see processes a document that came from a source.
func (b *bench) see(source, doc string) {
	b.tb.Helper()
	var e event.Event
	if err := b.decoder.Decode([]byte(doc), &e); err != nil {
		b.tb.Fatal(err)
	}
	e.Origin.Source = source
	b.Process(&e, b.emit)
}

// raised lists the ids of the rules that have alerted, building blocks left out,
// each with the time of the last event, and forgets them.
func (b *bench) raised() string {
	var out []string
	for _, a := range b.alerts {
		if a.BuildingBlock && a.Group != "" {
			continue
		}
		s := a.RuleID
		if !a.OriginalTime.IsZero() {
			s += fmt.Sprintf("@%d", int(a.OriginalTime.Sub(at(0)).Seconds()))
		}
		out = append(out, s)
	}
	b.alerts = nil
	return strings.Join(out, " ")
}

// at is a moment, in seconds after the beginning of all tests.
func at(sec float64) time.Time {
	return time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC).Add(time.Duration(sec * float64(time.Second)))
}

// doc is an event at a moment, with more fields.
func doc(sec float64, fields string) string {
	s := `{"@timestamp":"` + at(sec).Format(time.RFC3339Nano) + `"`
	if fields != "" {
		s += "," + fields
	}
	return s + "}"
}

func eql(id, query string) *rule.Rule {
	return &rule.Rule{
		ID: id, Name: "rule " + id, Type: "eql", Enabled: true, Severity: "low", RiskScore: 21,
		From: "now-6m", To: "now", Interval: "5m",
		Language: "eql", Query: syntax.Source{Name: id + ".toml", Text: query},
	}
}

// Which rules see which events is said by the categories of both.
func TestCategories(t *testing.T) {
	override := eql("override", `start where true`)
	override.EventCategoryOverride = "event.type"
	b := newBench(t, detect.Options{},
		eql("process", `process where true`),
		eql("file", `file where true`),
		eql("any", `any where process.name == "x"`),
		override,
	)
	f := func(fields, want string) {
		t.Helper()
		b.see("s", "{"+fields+"}")
		if got := b.raised(); got != want {
			t.Errorf("%s: got %q, want %q", fields, got, want)
		}
	}
	f(`"event.category":"process"`, "process")
	f(`"event.category":["process","file"]`, "process file")
	f(`"event.category":["file","process","file"]`, "process file") // once each, in the order of the rules
	f(`"event.category":"network"`, "")
	f(`"event.category":"Process"`, "")
	f(`"event.category":"process","event.type":"start"`, "process override")
	f(`"event.type":["change","start"]`, "override")
	f(`"process.name":"x"`, "any")
	f(`"message":"nothing of all that"`, "")
	f(`"event.category":null`, "")
	if s := b.Stats(); s.In != 10 || s.Evaluated != 10 || s.Filtered != 0 {
		t.Errorf("with a rule for any category: %+v", s)
	}
}

// In is Evaluated and Filtered, always.
func TestStats(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: -1},
		eql("p", `process where process.name == "x"`),
		eql("s", `sequence by user.id [process where true] [network where true]`))
	f := func(doc string, want detect.Stats) {
		t.Helper()
		b.see("s", doc)
		if got := b.Stats(); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", doc, got, want)
		}
	}
	f(doc(0, `"event.category":"file"`), detect.Stats{In: 1, Filtered: 1})
	f(doc(0, `"event.category":"process","user.id":"1"`), detect.Stats{In: 2, Filtered: 1, Evaluated: 1})
	f(doc(0, `"event.category":"process","process.name":"x"`), detect.Stats{In: 3, Filtered: 1, Evaluated: 2, Alerts: 1})
	// Without a time, or in the year 2262, an event is still tried on rules of
	// single events; sequences cannot place it.
	f(`{"event.category":"process","process.name":"x"}`, detect.Stats{In: 4, Filtered: 1, Evaluated: 3, Alerts: 2, Untimed: 1})
	f(`{"@timestamp":"2262-04-12T00:00:00Z","event.category":"process","process.name":"x"}`,
		detect.Stats{In: 5, Filtered: 1, Evaluated: 4, Alerts: 3, Untimed: 2})
	f(`{"@timestamp":"1969-12-31T00:00:00Z","event.category":"network"}`,
		detect.Stats{In: 6, Filtered: 1, Evaluated: 5, Alerts: 3, Untimed: 3})
	f(`{"@timestamp":"2262-04-12T00:00:00Z","event.category":"file"}`,
		detect.Stats{In: 7, Filtered: 2, Evaluated: 5, Alerts: 3, Untimed: 3})
	b.see("s", doc(1, `"event.category":"network","user.id":"1"`))
	b.Flush(b.emit)
	if got, want := b.Stats(), (detect.Stats{In: 8, Filtered: 2, Evaluated: 6, Alerts: 4, Blocks: 2, Untimed: 3}); got != want {
		t.Errorf("after Flush:\n got %+v\nwant %+v", got, want)
	}
}

// A rule that stays keeps what it has seen across a reload; one that changes or
// goes does not, and neither does one that comes.
func TestReload(t *testing.T) {
	const query = `sequence by user.id [process where true] [network where true]`
	other := eql("changed", query)
	other.Query.Text = `sequence by user.id [process where user.id != "9"] [network where true]`
	severe := eql("same", query)
	severe.Severity, severe.File = "critical", "moved.toml"
	for _, lateness := range []time.Duration{0, -1, time.Minute} { // the first event is with the rule, or waits
		b := newBench(t, detect.Options{Lateness: lateness}, eql("same", query), eql("changed", query), eql("gone", query))
		b.see("s", doc(0, `"event.category":"process","user.id":"1"`))
		if err := b.SetRules([]*rule.Rule{eql("new", query), other, severe}); err != nil {
			t.Fatal(err)
		}
		b.see("s", doc(1, `"event.category":"network","user.id":"1"`))
		b.see("s", doc(2, `"event.category":"network","user.id":"1"`))
		b.Flush(b.emit)
		for _, a := range b.alerts {
			if a.Severity != "critical" {
				t.Errorf("lateness %v: the alert is of the old rule: severity %s", lateness, a.Severity)
			}
		}
		if got := b.raised(); got != "same@1" {
			t.Errorf("lateness %v: got %q, want same@1", lateness, got)
		}
	}
}

// Rules that are the same to the letter have each their own state, and a reload
// does not tie them together.
func TestReloadTwins(t *testing.T) {
	const query = `sequence by user.id [process where true] [network where true]`
	b := newBench(t, detect.Options{}, eql("twin", query), eql("twin", query))
	b.see("s", doc(0, `"event.category":"process","user.id":"1"`))
	if err := b.SetRules([]*rule.Rule{eql("twin", query), eql("twin", query)}); err != nil {
		t.Fatal(err)
	}
	b.see("s", doc(1, `"event.category":"network","user.id":"1"`))
	b.Flush(b.emit)
	if got := b.raised(); got != "twin@1 twin@1" {
		t.Errorf("got %q", got)
	}
}

// A rule that is wrong does not run and says where; the others run.
func TestMistakes(t *testing.T) {
	g := detect.New(detect.Options{Schema: event.NewSchema()})
	kql := eql("kql", "process.name: x")
	kql.Type = "query"
	rules := []*rule.Rule{eql("bad", `process where proc.name = "x"`), eql("good", `process where true`), eql("worse", `procss`), kql}
	err := g.SetRules(rules)
	mistakes, ok := err.(syntax.Errors)
	if !ok || len(mistakes) != 2 {
		t.Fatalf("got %v, want two mistakes", err)
	}
	for i, name := range []string{"bad.toml", "worse.toml"} {
		if mistakes[i].Src.Name != name {
			t.Errorf("mistake %d is in %s, want %s", i, mistakes[i].Src.Name, name)
		}
	}
	if d := gocmp.Diff(err, detect.Check(rules)); d != "" {
		t.Errorf("Check says something else: %s", d)
	}
	if err := detect.Check([]*rule.Rule{rules[1], kql}); err != nil {
		t.Errorf("without mistakes: %v", err)
	}
	// It compiles, and builds no engine.
	check := testing.AllocsPerRun(10, func() { detect.Check(nil) })
	schema := testing.AllocsPerRun(10, func() { event.NewSchema() })
	if check > schema {
		t.Errorf("to check nothing allocates %v times, its schema %v", check, schema)
	}
	var idle []string
	for _, s := range g.Rules() {
		idle = append(idle, s.Rule.ID+": "+s.Idle)
	}
	want := []string{"bad: its query has mistakes", "good: ", "worse: its query has mistakes", "kql: type query cannot run yet"}
	if d := gocmp.Diff(want, idle); d != "" {
		t.Error(d)
	}
}

// An alert's id is that of its rule and events: a replay gives the same ids,
// whatever else the events are among and whenever it is.
func TestReplaySameIDs(t *testing.T) {
	run := func(now time.Time, more bool) (ids []string) {
		b := newBench(t, detect.Options{Lateness: -1, Now: func() time.Time { return now }},
			eql("p", `process where process.name == "x"`),
			eql("s", `sequence by user.id with maxspan=10s [process where true] [network where true] ![file where true]`))
		if more {
			b.see("other", doc(-100, `"event.category":["file","process"],"user.id":"7","process.name":"y"`))
		}
		b.see("s", doc(0, `"event.category":"process","user.id":"1","process.name":"x"`))
		b.see("s", doc(1, `"event.category":"network","user.id":["1","2"]`))
		b.Flush(b.emit)
		for _, a := range b.alerts {
			ids = append(ids, a.RuleID+" "+a.ID)
		}
		return ids
	}
	first, second := run(at(0), false), run(at(1e6), true)
	if len(first) != 4 || !slices.Equal(first, second) {
		t.Errorf("got %d and %d alerts, want 4 of the same ids: %v %v", len(first), len(second), first, second)
	}
	if slices.Sort(first); len(slices.Compact(first)) != 4 {
		t.Error("ids repeat")
	}
}

// Events in any order of arrival inside the lateness of their sources give the alerts
// of the sorted order, whoever brings them and wherever they wait. Sorted is by time,
// by the rule's tiebreaker, where none comes last, and then by arrival.
func TestOrderOfArrival(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	queries := map[string]string{
		"seq":     `sequence by user.id with maxspan=20s [process where true] [network where true] until [file where true]`,
		"missing": `sequence by user.id with maxspan=5s [process where true] ![network where true]`,
		"between": `sequence by user.id with maxspan=9s [process where true] ![file where true] [network where true]`,
		"runs":    `sequence by user.id with maxspan=30s [process where true] with runs=3`,
		"sample":  `sample by user.id [process where true] [file where true]`,
	}
	var rules []*rule.Rule
	for _, id := range slices.Sorted(maps.Keys(queries)) {
		r := eql(id, queries[id])
		r.TiebreakerField = "tie"
		rules = append(rules, r, eql(id+" by arrival", queries[id]))
	}
	categories := []string{"process", "network", "file"}
	rapid.Check(t, func(r *rapid.T) {
		// Tenths of seconds, and how late its events are; -1 is not bound to anything.
		bounds := map[string]int{"a": rapid.IntRange(0, 100).Draw(r, "a"), "b": rapid.IntRange(0, 30).Draw(r, "b"), "c": rapid.SampledFrom([]int{-1, 5}).Draw(r, "c")}
		var events []arrival
		tenths := 0
		ends := map[string]float64{}
		for i := range rapid.IntRange(0, 40).Draw(r, "events") {
			tenths += rapid.IntRange(0, 40).Draw(r, "gap")
			sec := float64(tenths) / 10
			source := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "source")
			most := bounds[source]
			if most < 0 {
				most = 1000
			}
			e := arrival{
				arrives: sec + float64(rapid.IntRange(0, most).Draw(r, "delay"))/10, source: source,
				sec: sec, tie: [...]int{2, 0, 3, 1}[i/2%4], // two of one time have the same one, or not
			}
			fields := fmt.Sprintf(`"event.category":%q,"user.id":"%d","n":%d`,
				rapid.SampledFrom(categories).Draw(r, "category"), rapid.IntRange(0, 1).Draw(r, "user"), i)
			if e.tie < 3 { // else it has none
				fields += fmt.Sprintf(`,"tie":%d`, e.tie)
			}
			e.doc = doc(sec, fields)
			ends[source] = max(ends[source], e.arrives)
			events = append(events, e)
		}
		slowest, sources := 0, map[string]time.Duration{}
		for _, s := range slices.Sorted(maps.Keys(bounds)) {
			tenths := bounds[s]
			sources[s] = time.Duration(tenths) * 100 * time.Millisecond
			if slowest >= 0 {
				slowest = max(slowest, tenths)
			}
			if tenths < 0 {
				sources[s], slowest = -1, -1
				// It ends, and the others go on.
				events = append(events, arrival{arrives: ends[s], source: s})
			} else if rapid.Bool().Draw(r, "ends") {
				events = append(events, arrival{arrives: ends[s], source: s})
			}
		}
		slices.SortStableFunc(events, func(a, b arrival) int { return cmp.Compare(a.arrives, b.arrives) })
		all := time.Duration(slowest) * 100 * time.Millisecond
		if slowest < 0 {
			all = -1
		}
		want := matches(r, rules, events)
		memory := rapid.SampledFrom([]int64{0, 1500, 1 << 20}).Draw(r, "memory")
		for _, o := range []struct {
			what     string
			lateness time.Duration
			sources  map[string]time.Duration
		}{
			{"lateness of each source", 0, sources},
			{"lateness of each source, nobody else has a bound", -1, sources},
			{"one lateness for all", all, nil},
			{"no bound", -1, nil},
		} {
			if d := gocmp.Diff(want, ordered(r, rules, o.lateness, o.sources, memory, events)); d != "" {
				r.Errorf("%s:\n%s", o.what, d)
			}
		}
	})
}

// An arrival is an event of a source, or without one its end.
type arrival struct {
	arrives     float64
	source, doc string

	sec float64
	tie int // 3 is none
}

// matches says what rules find in events that are sorted beforehand: for each match
// the rule and the numbers of its events. Sequences are followed without an engine.
func matches(t rapid.TB, rules []*rule.Rule, events []arrival) []string {
	var found []string
	for _, r := range rules {
		sorted := slices.DeleteFunc(slices.Clone(events), func(e arrival) bool { return e.doc == "" })
		slices.SortStableFunc(sorted, func(a, b arrival) int {
			c := cmp.Compare(a.sec, b.sec)
			if c == 0 && r.TiebreakerField != "" {
				c = cmp.Compare(a.tie, b.tie)
			}
			return c
		})
		s := event.NewSchema()
		c := lang.Compiler{Schema: s, Tiebreaker: r.TiebreakerField}
		q, err := c.Compile(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		if q.Kind() != lang.Sequences {
			found = append(found, ordered(t, []*rule.Rule{r}, -1, nil, 1<<20, sorted)...)
			continue
		}
		n, m, d := s.Field("n"), q.NewMatcher(), event.NewDecoder(s)
		emit := func(x lang.Match) {
			line := r.ID
			for _, e := range x.Events {
				if e != nil {
					line += " " + e.Get(n).Text()
				}
			}
			found = append(found, line)
		}
		for _, a := range sorted {
			var e event.Event
			if err := d.Decode([]byte(a.doc), &e); err != nil {
				t.Fatal(err)
			}
			m.Add(&e, emit)
		}
		m.Flush(emit)
	}
	slices.Sort(found)
	return found
}

// ordered says what an engine finds in events as they arrive, as matches does.
func ordered(t rapid.TB, rules []*rule.Rule, lateness time.Duration, sources map[string]time.Duration, memory int64, events []arrival) []string {
	b := newBench(t, detect.Options{Lateness: lateness}, rules...)
	detect.InMemory(b.Engine, memory)
	for s, l := range sources {
		b.Expect(s, l)
	}
	for _, e := range events {
		if e.doc == "" {
			b.Ended(e.source, b.emit)
			continue
		}
		b.see(e.source, e.doc)
	}
	b.Flush(b.emit)
	if st := b.Stats(); st.Late > 0 || st.Early > 0 || b.Err() != nil {
		t.Fatalf("%d events late, %d early, %v", st.Late, st.Early, b.Err())
	}
	var found []string
	line := ""
	for _, a := range b.alerts { // the building blocks of a match, and then the one for all
		if !a.BuildingBlock {
			found = append(found, a.RuleID+line)
			line = ""
			continue
		}
		var block struct{ N int }
		if err := json.Unmarshal(a.AppendJSON(nil), &block); err != nil {
			t.Fatal(err)
		}
		line += fmt.Sprintf(" %d", block.N)
	}
	slices.Sort(found) // the watermark decides which rule is first to know
	return found
}

// A missing event is decided once no source can bring an answer any more, and not
// before: all of them have come, less their lateness, past its window, or have
// ended, or the clock says so of one that is silent. It may take a second more of
// the time of events, since state is not looked at more often.
func TestMissingWaitsForAllSources(t *testing.T) {
	const span = 5 * time.Second
	r0 := eql("missing", `sequence by user.id with maxspan=5s [process where true] ![network where true]`)
	rapid.Check(t, func(r *rapid.T) {
		b := newBench(r, detect.Options{}, r0)
		lateness := map[string]time.Duration{"a": 0, "b": 3 * time.Second, "c": 10 * time.Second, "file": -1}
		came := map[string]time.Time{}
		live := slices.Sorted(maps.Keys(lateness))
		for _, s := range live {
			b.Expect(s, lateness[s])
		}
		var events []arrival
		var found []*alert.Alert
		var clock, mark time.Time // what the watermark should be
		for i := range rapid.IntRange(0, 60).Draw(r, "steps") {
			if len(live) == 0 {
				break
			}
			before := mark
			s := rapid.SampledFrom(live).Draw(r, "source")
			after := time.Duration(rapid.IntRange(-100, 40).Draw(r, "tenths")) * 100 * time.Millisecond
			switch rapid.SampledFrom([]string{"event", "event", "event", "silent", "ends"}).Draw(r, "step") {
			case "event":
				when := at(100)
				if !came[s].IsZero() {
					when = came[s]
				}
				if l := lateness[s]; l >= 0 {
					after = max(after, -l)
				}
				when = when.Add(after)
				e := arrival{source: s, sec: when.Sub(at(0)).Seconds(), doc: doc(when.Sub(at(0)).Seconds(),
					fmt.Sprintf(`"event.category":%q,"user.id":"%d","n":%d`, rapid.SampledFrom([]string{"process", "network"}).Draw(r, "category"), rapid.IntRange(0, 2).Draw(r, "user"), i))}
				events = append(events, e)
				if when.After(came[s]) {
					came[s] = when
				}
				b.see(s, e.doc)
			case "silent":
				if lateness[s] < 0 {
					continue // Nobody says that of a file.
				}
				clock = at(100 + float64(i))
				if clock.After(came[s]) {
					came[s] = clock
				}
				b.AdvanceSource(s, clock, b.emit)
			case "ends":
				live = slices.DeleteFunc(live, func(x string) bool { return x == s })
				b.Ended(s, b.emit)
			}
			var least time.Time
			for j, s := range live {
				reach := came[s].Add(-lateness[s])
				if came[s].IsZero() || lateness[s] < 0 {
					reach = time.Time{}
				}
				if j == 0 || reach.Before(least) {
					least = reach
				}
			}
			if !clock.IsZero() && least.After(clock) {
				least = clock
			}
			if least.After(mark) {
				mark = least
			}
			for _, a := range b.alerts {
				if a.BuildingBlock {
					continue
				}
				if end := a.OriginalTime.Add(span); !mark.After(end) || before.After(end.Add(time.Second)) {
					r.Errorf("the window that ends at %v is decided as the watermark goes from %v to %v", end, before, mark)
				}
			}
			found = append(found, b.alerts...)
			b.alerts = nil
		}
		b.Flush(b.emit)
		n := 0
		for _, a := range append(found, b.alerts...) {
			if !a.BuildingBlock {
				n++
			}
		}
		if want := matches(r, []*rule.Rule{r0}, events); n != len(want) {
			r.Errorf("%d alerts, want %d: %q", n, len(want), want)
		}
		if late := b.Stats().Late; late != 0 {
			r.Errorf("%d late", late)
		}
	})
}

// A file holds the others up until it has ended; a silent source with a bound only
// until the clock has passed it.
func TestEnded(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: 10 * time.Second},
		eql("m", `sequence by user.id with maxspan=5s [process where true] ![network where true]`))
	b.Expect("file", -1)
	b.see("live", doc(0, `"event.category":"process","user.id":"1"`))
	b.Advance(at(1000), b.emit)
	if got := b.raised(); got != "" {
		t.Errorf("the file may have an answer: got %q", got)
	}
	b.see("file", doc(2, `"event.category":"network","user.id":"1"`))
	b.see("file", doc(-900, `"event.category":"process","user.id":"2"`))
	b.Ended("file", b.emit)
	b.Advance(at(1000), b.emit)
	if got := b.raised(); got != "m@-900" || b.Stats().Late != 0 {
		t.Errorf("got %q, %d late; want the one of the file", got, b.Stats().Late)
	}
}

// Where events cannot wait, the engine says so, and goes on with single events.
func TestNowhereToWait(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	b := newBench(t, detect.Options{Lateness: -1},
		eql("p", `process where true`),
		eql("s", `sequence by user.id [process where true] [network where true]`))
	detect.InMemory(b.Engine, 0)
	b.see("s", doc(0, `"event.category":"process","user.id":"1"`))
	b.see("s", doc(1, `"event.category":"process","user.id":"2"`))
	b.Flush(b.emit)
	if got := b.raised(); got != "p@0 p@1" {
		t.Errorf("got %q", got)
	}
	if err := b.Err(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// Whoever is asked to end need not first give all that waits to the rules.
func TestInterrupted(t *testing.T) {
	enough := errors.New("enough")
	asked := 0
	b := newBench(t, detect.Options{Lateness: -1, Interrupted: func() error {
		if asked++; asked < 3 {
			return nil
		}
		return enough
	}}, eql("s", `sequence by user.id with maxspan=1h [process where true] [process where true]`))
	const n = 10_000
	for i := range n {
		b.see("s", doc(float64(i), `"event.category":"process","user.id":"1"`))
	}
	if asked > 0 {
		t.Error("nothing is given to rules yet")
	}
	b.Flush(b.emit)
	alerts := b.Stats().Alerts
	if asked != 3 || alerts == 0 || alerts > n/2-1000 || b.Err() != enough {
		t.Errorf("asked %d times, %d alerts, error %v", asked, alerts, b.Err())
	}
	b.see("s", doc(0, `"event.category":"process","user.id":"1"`))
	b.Flush(b.emit)
	if b.Stats().Alerts != alerts || asked != 3 {
		t.Errorf("went on: asked %d times, %d alerts", asked, b.Stats().Alerts-alerts)
	}
}

// What is later than the bound is counted, and seen by rules of single events.
func TestLate(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: 10 * time.Second},
		eql("p", `process where true`),
		eql("s", `sequence by user.id [process where true] [network where true]`))
	process, network := `"event.category":"process","user.id":"1"`, `"event.category":"network","user.id":"1"`
	b.see("s", doc(100, network))
	b.see("s", doc(90, process)) // just in time
	b.see("s", doc(89.9, process))
	if got := b.raised(); got != "p@90 p@89" {
		t.Errorf("got %q", got)
	}
	if late := b.Stats().Late; late != 1 {
		t.Errorf("%d late, want 1", late)
	}
	// Another source is behind, and holds back what the first one brings.
	b.see("t", doc(95, process))
	b.see("s", doc(200, network))
	b.see("t", doc(96, network))
	if late := b.Stats().Late; late != 1 {
		t.Errorf("%d late, want 1: the slow source is waited for", late)
	}
	b.raised()
	// Until the clock says that nothing will come.
	b.Advance(at(211), b.emit)
	if got := b.raised(); got != "s@96" {
		t.Errorf("after Advance got %q", got)
	}
}

// A host whose clock is years ahead does not make everybody else late.
func TestFuture(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: 10 * time.Second},
		eql("s", `sequence by user.id [process where true] [network where true]`))
	b.Advance(at(0), b.emit)
	b.see("s", doc(1e8, `"event.category":"process","user.id":"9"`))
	b.see("s", doc(1, `"event.category":"process","user.id":"1"`))
	b.see("s", doc(2, `"event.category":"network","user.id":"1"`))
	b.Advance(at(20), b.emit)
	if got := b.raised(); got != "s@2" || b.Stats().Late != 0 {
		t.Errorf("got %q, %d late", got, b.Stats().Late)
	}
	// Nor does one that is in a year that no rule can order.
	b.see("s", `{"@timestamp":"9999-12-31T00:00:00Z","event.category":"file"}`)
	b.see("s", doc(21, `"event.category":"process","user.id":"2"`))
	b.see("s", doc(22, `"event.category":"network","user.id":"2"`))
	b.Advance(at(40), b.emit)
	if got := b.raised(); got != "s@22" || b.Stats().Late != 0 {
		t.Errorf("got %q, %d late", got, b.Stats().Late)
	}
}

// A missing event at the end is decided when its window has passed, by events
// or by the clock, and not before.
func TestMissingAtTheEnd(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: 10 * time.Second},
		eql("m", `sequence by user.id with maxspan=30s [process where true] ![network where true]`))
	b.see("s", doc(0, `"event.category":"process","user.id":"1"`))
	b.see("s", doc(39, `"event.category":"file"`))
	if got := b.raised(); got != "" {
		t.Errorf("too early: %q", got)
	}
	b.see("s", doc(42, `"event.category":"file"`))
	if got := b.raised(); got != "m@0" {
		t.Errorf("by an event: got %q", got)
	}
	b.see("s", doc(50, `"event.category":"process","user.id":"1"`))
	b.Advance(at(89), b.emit)
	if got := b.raised(); got != "" {
		t.Errorf("too early: %q", got)
	}
	b.Advance(at(92), b.emit)
	if got := b.raised(); got != "m@50" {
		t.Errorf("by the clock: got %q", got)
	}
}

// What answers for a missing event may come as late as the bound allows, after much
// else, and from a source of which nothing was heard before.
func TestMissingHearsTheLate(t *testing.T) {
	f := func(comes bool, want string) {
		t.Helper()
		b := newBench(t, detect.Options{Lateness: 10 * time.Second},
			eql("m", `sequence by user.id with maxspan=5s [process where true] ![network where true]`))
		b.see("a", doc(0, `"event.category":"process","user.id":"1"`))
		for _, source := range []string{"a", "b"} {
			b.see(source, doc(14.9, `"event.category":"process","user.id":"2"`))
		}
		if got := b.raised(); got != "" {
			t.Errorf("too early: %q", got)
		}
		if comes {
			b.see("c", doc(4.9, `"event.category":"network","user.id":"1"`))
		}
		b.see("b", doc(20, `"event.category":"file","user.id":"2"`))
		b.see("a", doc(20, `"event.category":"file","user.id":"2"`))
		b.see("c", doc(20, `"event.category":"file","user.id":"2"`))
		if got := b.raised(); got != want || b.Stats().Late != 0 {
			t.Errorf("answered %v: got %q, %d late; want %q", comes, got, b.Stats().Late, want)
		}
	}
	f(true, "")
	f(false, "m@0")
}

// A rule may have its own field for the time, and another for what is at one.
func TestTimestampField(t *testing.T) {
	const query = `sequence by user.id with maxspan=10s [process where true] [network where true]`
	own := eql("own", query)
	own.TimestampField, own.TiebreakerField = "event.created", "event.sequence"
	b := newBench(t, detect.Options{Lateness: -1}, own, eql("usual", query))
	f := func(want string, docs ...string) {
		t.Helper()
		b := newBench(t, detect.Options{Lateness: -1}, own, eql("usual", query))
		for _, d := range docs {
			b.see("s", d)
		}
		b.Flush(b.emit)
		if got := b.raised(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	event := func(category, created string, seq int) string {
		return fmt.Sprintf(`"event.category":%q,"user.id":"1","event.created":%q,"event.sequence":%d`, category, created, seq)
	}
	f("own@2 usual@1", // to one the first network event is out of reach, to the other the second
		doc(0, event("process", "2026-01-01T00:00:00Z", 1)),
		doc(1, event("network", "2026-01-01T00:01:00Z", 2)),
		doc(2, event("network", "2026-01-01T00:00:05Z", 3)))
	f("own@0", // equal times: the sequence number decides
		doc(5, event("process", "2026-01-01T00:00:00Z", 1)),
		doc(0, event("network", "2026-01-01T00:00:00Z", 2)))
	f("usual@2", // and the other way round
		doc(1, event("process", "2026-01-01T00:00:00Z", 2)),
		doc(2, event("network", "2026-01-01T00:00:00Z", 1)))
	b.see("s", doc(0, `"event.category":"process","user.id":"1"`))
	if n := b.Stats().Untimed; n != 1 {
		t.Errorf("%d untimed, want the one without event.created", n)
	}
}

// Samples of a stream: once all are there, in any order, inside the look-back.
func TestSamples(t *testing.T) {
	r := eql("s", `sample by host.id [process where true] [file where true] [any where user.id == "0"]`)
	p, f, root := `"event.category":"process","host.id":"h"`, `"event.category":"file","host.id":"h"`, `"host.id":"h","user.id":"0"`
	run := func(want string, docs ...string) {
		t.Helper()
		b := newBench(t, detect.Options{}, r)
		for _, d := range docs {
			b.see("s", d)
		}
		b.Flush(b.emit)
		if got := b.raised(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	run("s@2", doc(0, p), doc(1, f), doc(2, root))
	run("s@0", doc(0, root), doc(1, f), doc(2, p)) // dated by the last item
	run("", doc(0, p), doc(1, f), doc(2, strings.Replace(root, `"h"`, `"i"`, 1)))
	run("", doc(0, p), doc(1, f), doc(362, root))      // the first is out of the window
	run("s@359", doc(0, p), doc(1, f), doc(359, root)) // still in it
	run("s@2", doc(0, p), doc(1, f), doc(2, root), doc(3, p), doc(4, f), doc(5, root))
	run("s@2 s@400", doc(0, p), doc(1, f), doc(2, root), doc(390, p), doc(395, f), doc(400, root))
	// One event is not two: the process of root is either.
	run("", doc(0, p+`,"user.id":"0"`), doc(1, f))
	run("s@0", doc(0, p+`,"user.id":"0"`), doc(1, f+`,"user.id":"0"`), doc(2, p))
	// Each value of a key is a key.
	run("s@2 s@2", doc(0, strings.Replace(p, `"h"`, `["h","i"]`, 1)), doc(1, strings.Replace(f, `"h"`, `["i","h"]`, 1)),
		doc(2, strings.Replace(root, `"h"`, `["h","i","h"]`, 1)))
	// Without a key, no sample, unless the query says that it may lack.
	r = eql("s", `sample by ?host.id, user.name [process where true] [file where true]`)
	run("s@1", doc(0, `"event.category":"process","user.name":"u"`), doc(1, `"event.category":"file","user.name":"u"`))
	run("", doc(0, `"event.category":"process","host.id":"u"`), doc(1, `"event.category":"file","host.id":"u"`))
}

// Memory is bounded: the oldest is given up, and the alert says so.
func TestBudget(t *testing.T) {
	const query = `sequence by user.id with maxspan=5m [process where true] [network where true]`
	const sample = `sample by user.id [process where true] [network where true]`
	for _, q := range []string{query, sample} {
		b := newBench(t, detect.Options{Budget: 1 << 20}, eql("a", q), eql("b", query))
		for i := range 5000 {
			b.see("s", doc(float64(i)/100, fmt.Sprintf(`"event.category":"process","user.id":"%d"`, i)))
		}
		b.see("s", doc(60, `"event.category":"network","user.id":"0"`))    // given up
		b.see("s", doc(60, `"event.category":"network","user.id":"4999"`)) // still there
		b.Flush(b.emit)
		var evidence int
		for _, a := range b.alerts {
			if !a.BuildingBlock && strings.Contains(string(a.AppendJSON(nil)), `"orlop":{`) && strings.Contains(string(a.AppendJSON(nil)), `"evicted":`) {
				evidence++
			}
		}
		if got := b.raised(); got != "a@60 b@60" || evidence != 2 {
			t.Errorf("%s: got %q, %d with evidence", q, got, evidence)
		}
		if n := b.Stats().Evicted; n < 5000 || n > 10000 {
			t.Errorf("%s: %d evicted of 10,000", q, n)
		}
		// A counter does not run backwards when a rule goes.
		was := b.Stats().Evicted
		if err := b.SetRules(nil); err != nil || b.Stats().Evicted != was {
			t.Errorf("after SetRules %d evicted, before %d (error %v)", b.Stats().Evicted, was, err)
		}
	}
}

// What waits to be put in order is bounded too: a file that is in order by and
// large is read right however long it is.
func TestBudgetOfOrder(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: -1, Budget: 1 << 19},
		eql("s", `sequence by user.id with maxspan=1m [process where true] [network where true]`))
	r := rand.New(rand.NewPCG(1, 2))
	n := 0
	for i := range 2000 {
		sec := float64(i)/10 + float64(r.IntN(100))/10
		b.see("s", doc(sec, fmt.Sprintf(`"event.category":"process","user.id":"%d"`, i)))
		b.see("s", doc(sec+20, fmt.Sprintf(`"event.category":"network","user.id":"%d"`, i)))
		n += strings.Count(b.raised(), "s@")
	}
	b.Flush(b.emit)
	n += strings.Count(b.raised(), "s@")
	if n != 2000 || b.Stats().Late != 0 {
		t.Errorf("%d alerts, %d late; want 2000 and 0", n, b.Stats().Late)
	}
}
