package console

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/store"
)

// A Trial is a rule by itself, for events that are given to it.
type Trial interface {
	// Run returns the alerts that the rule makes of events.
	Run(ctx context.Context, events []json.RawMessage) ([]*alert.Alert, error)
	// Why says what of the rule's query did not hold for events that it does not match.
	Why(events []json.RawMessage) ([]detect.Miss, error)
}

// longestTrial is how long what somebody has asked for by opening a page may compute.
const longestTrial = 5 * time.Second

// testResults are what the tests of rules came to, by rule. They are run when somebody
// looks at the rule, by one at a time, and again when the rule has been read anew.
type testResults struct {
	turn chan struct{}
	mu   sync.Mutex
	of   map[string]tested
}

func newTestResults() testResults {
	return testResults{turn: make(chan struct{}, 1), of: map[string]tested{}}
}

// tested is the tests of a rule, and how they ended.
type tested struct {
	rule   *rule.Rule
	All    []ruleTest
	Ran    bool
	Failed int
	Left   int // not run
	Took   time.Duration
}

// Passed is how many did.
func (t tested) Passed() int { return len(t.All) - t.Failed - t.Left }

type ruleTest struct {
	Name   string
	Must   bool
	Events int
	Result string // passed, failed, or "" if it was not run
	Wrong  string
}

// take waits until nobody else tries anything.
func (s *Server) take(ctx context.Context) (free func(), err error) {
	select {
	case s.tests.turn <- struct{}{}:
		return func() { <-s.tests.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// runTests runs the tests of a rule, if they are not run yet.
func (s *Server) runTests(ctx context.Context, r *rule.Rule) (tested, error) {
	t := tested{rule: r}
	for _, x := range r.Tests {
		t.All = append(t.All, ruleTest{Name: x.Name, Must: x.Match, Events: len(x.Events)})
	}
	if s.o.Trial == nil || len(t.All) == 0 {
		return t, nil
	}
	known := func() (tested, bool) {
		s.tests.mu.Lock()
		defer s.tests.mu.Unlock()
		k, ok := s.tests.of[r.ID]
		return k, ok && k.rule == r
	}
	if k, ok := known(); ok {
		return k, nil
	}
	free, err := s.take(ctx)
	if err != nil {
		return t, err
	}
	defer free()
	if k, ok := known(); ok { // in the meantime
		return k, nil
	}
	start := time.Now()
	within, cancel := context.WithTimeout(ctx, longestTrial)
	defer cancel()
	trial, err := s.o.Trial(r, false)
	if err != nil {
		return t, nil // it does not run, and its page says why
	}
	t.Ran = true
	for i, x := range r.Tests {
		alerts, err := trial.Run(within, x.Events)
		if ctx.Err() != nil {
			return t, ctx.Err()
		}
		res := &t.All[i]
		switch {
		case within.Err() != nil:
			t.Left++
			continue
		case err != nil:
			res.Wrong = plain(err.Error(), 500)
		case x.Match && len(alerts) == 0:
			res.Wrong = "The rule does not match, and must."
		case !x.Match && len(alerts) > 0:
			res.Wrong = "The rule matches, and must not."
		}
		res.Result = "passed"
		if res.Wrong != "" {
			res.Result = "failed"
			t.Failed++
		}
	}
	t.Took = time.Since(start).Round(time.Millisecond)
	s.tests.mu.Lock()
	s.tests.of[r.ID] = t
	s.tests.mu.Unlock()
	return t, nil
}

type replayView struct {
	page
	Row      row
	Events   int
	Left     int    // events that are not stored any more
	Idle     string // why nothing can be said
	Matches  bool
	Severity string // of the new alert, where it is another
	Changed  bool   // the query is another
	Off      string // why no alert would come all the same
	Holds    []string
	Explain  *explanation
	Why      []missed
	Ask      *ask
}

// A missed is a part of the query that did not hold.
type missed struct {
	Item    string
	Missing bool
	Clauses []clause
}

const mostReplayed = 50

// replay runs the rule as it is today over the events that an alert has kept.
func (s *Server) replay(w http.ResponseWriter, r *http.Request, u *who) error {
	v, err := s.replayOf(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v.page = s.page(r, u, "Replay")
	return s.render(w, http.StatusOK, "replay", v)
}

// replayOf is the replay of an alert: all of a view but its page.
func (s *Server) replayOf(ctx context.Context, id string) (*replayView, error) {
	rec, err := s.o.Store.Alert(ctx, id)
	if err != nil {
		return nil, err
	}
	v := &replayView{Row: newRow(rec), Ask: &ask{Status: "all", N: pageSize}}
	recs := []*store.Record{rec}
	if rec.Alert.Group != "" {
		res, err := s.o.Store.Query(ctx, &store.Query{Filters: []store.Filter{{Field: fieldGroup, Values: []string{rec.Alert.Group}}, {Field: fieldBlock}},
			Sort: store.Sort{Field: "kibana.alert.group.index", Ascending: true}, Limit: mostReplayed})
		if err != nil {
			return nil, err
		}
		recs = res.Records
		if x := read(rec).explained(); x != nil {
			for _, it := range x.Items {
				if !it.Missing {
					v.Left++
				}
			}
			v.Left = max(v.Left-len(recs), 0)
		}
		slices.SortStableFunc(recs, func(a, b *store.Record) int { return a.Alert.GroupIndex - b.Alert.GroupIndex })
	}
	var events []json.RawMessage
	for _, x := range recs {
		events = append(events, original(read(x)))
	}
	v.Events = len(events)
	return v, s.tryAgain(ctx, v, rec, events)
}

func (s *Server) tryAgain(ctx context.Context, v *replayView, rec *store.Record, events []json.RawMessage) error {
	var now *Rule
	if s.o.Rules != nil && s.o.Trial != nil {
		for _, x := range s.o.Rules() {
			if x.ID == rec.Alert.RuleID {
				now = &x
			}
		}
	}
	off := ""
	if now != nil {
		states, err := s.o.Store.RuleStates(ctx)
		if err != nil {
			return err
		}
		for _, st := range states {
			if st.RuleID == now.ID && st.Disabled {
				off = "The rule is switched off: " + st.Reason
			}
		}
	}
	switch {
	case s.o.Trial == nil:
		v.Idle = "No engine runs here: orlop run --store serves a console that can."
	case now == nil:
		v.Idle = "The rule is not among those that run here now."
	case now.Idle != "" && off == "":
		v.Idle = "The rule does not run: " + now.Idle + "."
	case len(events) == 0:
		v.Idle = "The events of the sequence are not stored any more."
	}
	if v.Idle != "" {
		return nil
	}
	v.Off = off
	v.Changed = read(rec).text("kibana.alert.rule.parameters.query") != now.Query.Text
	free, err := s.take(ctx)
	if err != nil {
		return err
	}
	defer free()
	within, cancel := context.WithTimeout(ctx, longestTrial)
	defer cancel()
	trial, err := s.o.Trial(now.Rule, true)
	if err != nil {
		v.Idle = "It cannot be run: " + plain(err.Error(), 500)
		return nil
	}
	alerts, err := trial.Run(within, events)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		v.Idle = "It cannot be run: " + plain(err.Error(), 500)
		return nil
	}
	for _, a := range alerts {
		if a.Group == "" || !a.BuildingBlock { // a step of a sequence is no match
			v.Matches = true
			v.Explain = read(&store.Record{Alert: a}).explained()
			if a.Severity != rec.Alert.Severity {
				v.Severity = a.Severity
			}
		}
	}
	if v.Matches {
		v.Holds, err = s.excepting(ctx, now.ID, events)
		return err
	}
	misses, err := trial.Why(events)
	if err != nil {
		return err
	}
	for _, m := range misses[:min(len(misses), mostClauses)] {
		v.Why = append(v.Why, missed{m.Item, m.Missing, readClauses(plainJSON(m.Clauses))})
	}
	return nil
}

// plainJSON is a value as JSON has it.
func plainJSON(v any) (out any) {
	b, err := json.Marshal(v)
	if err == nil {
		dec := json.NewDecoder(strings.NewReader(string(b)))
		dec.UseNumber()
		err = dec.Decode(&out)
	}
	if err != nil {
		return nil
	}
	return out
}

// excepting are the names of the exceptions that keep one of the events from a rule.
func (s *Server) excepting(ctx context.Context, id string, events []json.RawMessage) (names []string, err error) {
	all, err := s.o.Store.Exceptions(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		if !x.Active(s.o.Now()) || len(x.Rules) > 0 && !contains(x.Rules, id) {
			continue
		}
		schema := event.NewSchema()
		p, err := x.Compile(schema)
		if err != nil {
			continue
		}
		d := event.NewDecoder(schema)
		for _, doc := range events {
			var e event.Event
			if d.Decode(doc, &e) == nil && p.Match(&e) {
				names = append(names, x.Name)
				break
			}
		}
	}
	return names, nil
}

// original is the event that an alert is of, as it was when the rule saw it: with what was
// filled in then, since who its ancestors were is known from nothing else any more.
func original(d document) json.RawMessage {
	e := map[string]any{}
	for k, v := range d {
		if top, _, _ := strings.Cut(k, "."); top != "kibana" && top != "signal" {
			e[k] = v
		}
	}
	for _, name := range []string{"orlop.explain", "orlop.evidence", "orlop.derived", "orlop.tuning", "event.kind"} {
		drop(e, name)
	}
	if kind := d.get("kibana.alert.original_event.kind"); kind != nil {
		e["event.kind"] = kind
	}
	if at := d.get("kibana.alert.original_time"); at != nil {
		e["@timestamp"] = at
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	return b
}

// drop removes a name, and what is below it, however it is written.
func drop(m map[string]any, name string) {
	for k, v := range m {
		if k == name || strings.HasPrefix(k, name+".") {
			delete(m, k)
			continue
		}
		if rest, ok := strings.CutPrefix(name, k+"."); ok {
			if sub, ok := v.(map[string]any); ok {
				drop(sub, rest)
			}
		}
	}
}
