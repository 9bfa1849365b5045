// Package detect is the engine: rules against events, alerts out.
//
//	g := detect.New(detect.Options{Schema: schema})
//	err := g.SetRules(pack.Rules) // the rules that cannot run, with their reasons
//	g.Process(e, func(a *alert.Alert) { … })
//	g.Flush(func(a *alert.Alert) { … })
//
// Rules of single events are answered at once. An event that may be part of a
// sequence waits until no earlier one can come any more (see [Options]), and
// is then given to the rule in the order of time.
package detect

import (
	"errors"
	"slices"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
	"github.com/orlop/orlop/rule"
)

// Options are the settings of an Engine.
type Options struct {
	Schema *event.Schema // of the events

	// Now is the clock that dates alerts; nil is time.Now. Nothing else looks
	// at it: what happens when is said by events and Advance.
	Now func() time.Time

	// Lateness is how much older than the newest event of its source an event
	// may be and still be seen in order by sequences. Negative is no bound, for
	// recorded files: then events wait for Flush, or until those that wait need
	// more than Budget.
	Lateness time.Duration

	// Budget bounds the memory of sequences, in bytes: what all of them keep,
	// and again what waits to be put in order. 0 is DefaultBudget.
	Budget int64
	// RuleBudget bounds what one rule keeps. 0 is Budget.
	RuleBudget int64
}

// DefaultBudget is the memory that sequences may take.
const DefaultBudget = 64 << 20

// Stats count events: In is Evaluated + Filtered.
type Stats struct {
	In        uint64
	Evaluated uint64 // tried on at least one rule
	Filtered  uint64 // of a category that no rule asks for
	Late      uint64 // of Evaluated: too old for the sequences that it could be part of
	Untimed   uint64 // of Evaluated: without a time that sequences could order it by
	Evicted   uint64 // partial sequences given up for want of memory
	Alerts    uint64 // building blocks are not counted
}

// An Engine runs rules. It is not safe for concurrent use.
type Engine struct {
	opts     Options
	category event.Field

	rules      []*active
	byCategory map[string][]*active
	everywhere []*active // rules of any category

	order *order
	keys  map[string]*active // stateful rules by identity, to keep their state
	stats Stats
}

// active is a rule and its query. One that does not run has no query.
type active struct {
	rule     *rule.Rule
	why      string // it does not run
	query    *eql.Query
	matcher  *eql.Matcher
	category []string // that its events may have; nil is any
	alerts   uint64
	evicted  int
}

// A Status is a rule as the engine has it.
type Status struct {
	Rule   *rule.Rule
	Idle   string // why it does not run, or ""
	Kind   eql.Kind
	Alerts uint64 // raised so far, building blocks not counted
}

// New returns an Engine without rules.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.RuleBudget == 0 {
		o.RuleBudget = o.Budget
	}
	return &Engine{opts: o, category: o.Schema.Field("event.category"), order: newOrder(o.Lateness, o.Budget)}
}

// SetRules gives the engine its rules, the first or new ones. A rule that stays
// the same keeps its state. A rule whose query is wrong does not run; the error
// is a [syntax.Errors] with every mistake of all of them, and the others run.
func (g *Engine) SetRules(rules []*rule.Rule) error {
	old := g.keys
	g.rules, g.everywhere = nil, nil
	g.byCategory, g.keys = map[string][]*active{}, map[string]*active{}
	var errs syntax.Errors
	for _, r := range rules {
		a, err := g.compile(r)
		if err != nil {
			var mistakes syntax.Errors
			if !errors.As(err, &mistakes) {
				return err
			}
			errs = append(errs, mistakes...)
		}
		g.rules = append(g.rules, a)
		if a.query == nil {
			continue
		}
		if a.matcher != nil {
			id := r.ID + "\x00" + r.Query.Text + "\x00" + r.TimestampField + "\x00" + r.TiebreakerField + "\x00" + r.EventCategoryOverride
			if was := old[id]; was != nil {
				a.matcher, a.query, a.evicted = was.matcher, was.query, was.evicted
			}
			g.keys[id] = a
		}
		if a.category == nil {
			g.everywhere = append(g.everywhere, a)
		}
		for _, c := range a.category {
			g.byCategory[c] = append(g.byCategory[c], a)
		}
	}
	g.order.retain(func(a *active) *active {
		for id, was := range old {
			if was == a {
				return g.keys[id]
			}
		}
		return nil
	})
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// Check compiles rules without running them and returns every mistake in their
// queries, as a [syntax.Errors].
func Check(rules []*rule.Rule) error {
	return New(Options{Schema: event.NewSchema()}).SetRules(rules)
}

func (g *Engine) compile(r *rule.Rule) (*active, error) {
	a := &active{rule: r, why: r.Idle()}
	if r.Type != "eql" {
		return a, nil
	}
	// The query of a rule that does not run is checked all the same.
	c := eql.Compiler{Schema: g.opts.Schema, Category: r.EventCategoryOverride, Timestamp: r.TimestampField, Tiebreaker: r.TiebreakerField}
	q, err := c.Compile(r.Query)
	switch {
	case err != nil:
		a.why = "its query has mistakes"
		return a, err
	case a.why != "":
	case len(r.Filters) > 0:
		a.why = "its filters cannot run yet"
	case q.Kind() == eql.Samples:
		a.why = "sample queries cannot run in a stream yet"
	case r.TimestampField != "" && r.TimestampField != "@timestamp":
		a.why = "timestamp_field cannot be other than @timestamp yet"
	default:
		a.query = q
		a.category = categories(q, r)
		if q.Kind() == eql.Sequences {
			a.matcher = q.NewMatcher()
			a.matcher.SetBudget(g.opts.RuleBudget)
		}
	}
	return a, nil
}

// categories are the event categories that a query asks for; nil is any.
func categories(q *eql.Query, r *rule.Rule) []string {
	if r.EventCategoryOverride != "" && r.EventCategoryOverride != "event.category" {
		return nil
	}
	filters := []*syntax.Filter{q.Source.Event}
	if q.Source.Event == nil {
		filters = filters[:0]
		for _, t := range q.Source.Terms() {
			filters = append(filters, t.Filter)
		}
	}
	var names []string
	for _, f := range filters {
		if f.Any {
			return nil
		}
		if !slices.Contains(names, f.Category) {
			names = append(names, f.Category)
		}
	}
	return names
}

// Rules lists the rules in the order they were given.
func (g *Engine) Rules() []Status {
	out := make([]Status, len(g.rules))
	for i, a := range g.rules {
		out[i] = Status{Rule: a.rule, Idle: a.why, Alerts: a.alerts}
		if a.query != nil {
			out[i].Kind = a.query.Kind()
		}
	}
	return out
}

// Stats returns the counters so far.
func (g *Engine) Stats() Stats {
	s := g.stats
	for _, a := range g.keys {
		s.Evicted += uint64(a.matcher.Evicted())
	}
	return s
}

// Process tries e on every rule that its category concerns, and calls emit for
// each alert. The event is borrowed for the call.
func (g *Engine) Process(e *event.Event, emit func(*alert.Alert)) {
	g.stats.In++
	tried := len(g.everywhere) > 0
	var hits []*active
	try := func(rules []*active) {
		for _, a := range rules {
			if a.matcher != nil {
				if a.query.Wants(e) && !slices.Contains(hits, a) {
					hits = append(hits, a)
				}
				continue
			}
			if a.query.Match(e) {
				g.raise(a, e, emit)
			}
		}
	}
	try(g.everywhere)
	v := e.Get(g.category)
	for i := range v.Len() {
		c := v.At(i)
		repeated := false
		for j := range i {
			repeated = repeated || v.At(j).Equal(c)
		}
		if rules := g.byCategory[c.Str()]; len(rules) > 0 && !repeated {
			if i > 0 {
				rules = unseen(rules, g, v, i)
			}
			tried = true
			try(rules)
		}
	}
	if !tried {
		g.stats.Filtered++
	} else {
		g.stats.Evaluated++
	}
	if len(hits) > 0 {
		if e.Time.IsZero() || e.Time.Unix() < 0 || e.Time.Year() > 2261 {
			g.stats.Untimed++ // nanoseconds since 1970 have no such time
		} else if !g.order.add(e, hits) {
			g.stats.Late++
		}
	}
	if len(g.keys) > 0 {
		g.order.saw(e)
		g.release(emit)
	}
}

// unseen leaves out the rules that an earlier category of the event has tried.
func unseen(rules []*active, g *Engine, v event.Value, n int) []*active {
	var out []*active
next:
	for _, a := range rules {
		for j := range n {
			if slices.Contains(a.category, v.At(j).Str()) {
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}

// Advance says that the time is now: events older than now less the lateness
// will not come any more.
func (g *Engine) Advance(now time.Time, emit func(*alert.Alert)) {
	g.order.advance(now)
	g.release(emit)
}

// Flush says that no event will come any more.
func (g *Engine) Flush(emit func(*alert.Alert)) {
	g.order.close()
	g.release(emit)
	for _, a := range g.rules {
		if a.matcher != nil && a.query != nil {
			a.matcher.Flush(func(m eql.Match) { g.raiseSequence(a, m, emit) })
		}
	}
}

// release hands the events whose turn has come to their rules.
func (g *Engine) release(emit func(*alert.Alert)) {
	for {
		e, rules, ok := g.order.next()
		if !ok {
			break
		}
		for _, a := range rules {
			a.matcher.Add(e, func(m eql.Match) { g.raiseSequence(a, m, emit) })
		}
		g.trim()
	}
	if mark, ok := g.order.tick(); ok {
		for _, a := range g.keys {
			if a.query.Span > 0 {
				a.matcher.Advance(mark, func(m eql.Match) { g.raiseSequence(a, m, emit) })
			}
		}
	}
}

// trim keeps all sequences together inside the budget: the rule that has most
// gives up its oldest.
func (g *Engine) trim() {
	total, most := int64(0), (*active)(nil)
	if len(g.keys) < 2 {
		return // the rule's own budget is the whole one
	}
	for _, a := range g.keys {
		total += a.matcher.Size()
		if most == nil || a.matcher.Size() > most.matcher.Size() {
			most = a
		}
	}
	for total > g.opts.Budget && most.matcher.Size() > 0 {
		before := most.matcher.Size()
		if !most.matcher.Evict() {
			return
		}
		total -= before - most.matcher.Size()
	}
}

func (g *Engine) raise(a *active, e *event.Event, emit func(*alert.Alert)) {
	if alert.Descends(e, a.rule.ID) {
		return
	}
	al, err := alert.New(a.rule, e, g.opts.Schema, alert.Match{Now: g.opts.Now(), Explain: explainEvent(a.query, e)})
	if err != nil {
		panic("detect: bug: " + err.Error()) // a decoder has read the document
	}
	if !al.BuildingBlock {
		a.alerts++
		g.stats.Alerts++
	}
	emit(al)
}

func (g *Engine) raiseSequence(a *active, m eql.Match, emit func(*alert.Alert)) {
	for _, e := range m.Events {
		if e != nil && alert.Descends(e, a.rule.ID) {
			return
		}
	}
	match := alert.Match{Now: g.opts.Now(), Explain: explainSequence(a.query, m)}
	if m.Evicted > 0 {
		match.Evidence = map[string]any{"evicted": m.Evicted}
	}
	all, blocks, err := alert.NewSequence(a.rule, m.Events, g.opts.Schema, match)
	if err != nil {
		panic("detect: bug: " + err.Error())
	}
	for _, b := range blocks {
		emit(b)
	}
	if !all.BuildingBlock {
		a.alerts++
		g.stats.Alerts++
	}
	emit(all)
}

// Reads lists the fields that the rules that run read.
func (g *Engine) Reads() []string {
	var names []string
	add := func(r expr.Ref) { names = append(names, r.Name) }
	for _, a := range g.rules {
		if a.query == nil {
			continue
		}
		if a.query.Filter != nil {
			expr.Refs(a.query.Filter, add)
		}
		for i := range a.query.Items {
			expr.Refs(a.query.Items[i].Pred, add)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
