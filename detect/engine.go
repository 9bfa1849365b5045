// Package detect is the engine: rules against events, alerts out.
//
//	g := detect.New(detect.Options{Schema: schema})
//	err := g.SetRules(pack.Rules) // the rules that cannot run, with their reasons
//	g.Process(e, func(a *alert.Alert) { … })
//	g.Flush(func(a *alert.Alert) { … })
//
// Rules of single events are answered at once. An event that may be part of a
// sequence or sample waits until no earlier one can come any more, and is then
// given to the rule in the order of time: of the rule's timestamp_field and
// tiebreaker_field, then of arrival. How long it waits is said by the lateness of
// the sources: see [Options] and [Engine.Expect].
//
// A sample is raised when its last event comes, if all happened within the
// rule's look-back (from and to), and again for the same keys only after as much
// time has passed.
package detect

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
	"github.com/orlop/orlop/internal/spool"
	"github.com/orlop/orlop/rule"
)

// Options are the settings of an Engine.
type Options struct {
	Schema *event.Schema // of the events

	// Now is the clock that dates alerts; nil is time.Now. Nothing else looks
	// at it: what happens when is said by events and Advance.
	Now func() time.Time

	// Lateness is how much older than the newest event of its source an event
	// may be and still be seen in order by sequences, for sources that were not
	// announced by Expect. Negative is no bound, for recorded files: then events
	// wait for Flush, on disk (TMPDIR) if they are many, and none is late.
	Lateness time.Duration

	// Interrupted is asked while events that waited are put in order and given to
	// their rules, which of a long file takes a while: an error ends that, and is
	// Err. Nil is never.
	Interrupted func() error

	// Evidence says what is not known of the time between two moments; nil is
	// that all is. It is asked for each alert.
	Evidence func(from, to time.Time) Evidence

	// Except reports whether a rule is not to see an event that it asks for: it is asked
	// of no other. The rule acts as if the event were not there, in a sequence too. Rules
	// that it supersedes stay silent about the event. Nil is never.
	Except func(r *rule.Rule, e *event.Event) bool

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
	Late      uint64 // of Evaluated: too old for the sequences that it could be part of; see Engine.Late
	Early     uint64 // of Evaluated: did not wait for as long as they should, for want of memory
	Untimed   uint64 // of Evaluated: rejected by sequences, which cannot order it by its time; see event.Orders
	Evicted   uint64 // partial sequences given up for want of memory
	Alerts    uint64
	Blocks    uint64 // building blocks, which are not among Alerts
}

// An Engine runs rules. It is not safe for concurrent use.
type Engine struct {
	opts     Options
	category event.Field

	rules  []*active
	wanted map[string]bool // categories that a rule asks for
	any    bool            // a rule asks for any
	index  *index
	maker  *alert.Maker
	match  *Matcher // the engine's own
	others []*Matcher
	hits   Hits
	mine   []uint32 // of hits, the ids of those of one order

	entity event.Field // process.entity_id
	told   told

	expected map[string]time.Duration // sources, and their lateness
	late     map[string]uint64        // by source

	stateful []*active          // in the order of rules
	byID     map[uint32]*active // those
	lastID   uint32
	orders   []*order
	kept     int64 // bytes that all stateful rules keep
	stats    Stats
	meter    meter
	err      error
}

// active is a rule and its query. One that does not run has no query.
type active struct {
	rule     *rule.Rule
	why      string // it does not run
	query    *eql.Query
	category []string // that its events may have; nil is any
	alerts   uint64

	id    uint32 // of a stateful rule, the same as that of the one it follows
	place int    // among the rules
	cost  Cost   // but for State and Evicted

	state stateful  // nil for rules of single events
	order *order    // of a stateful rule
	by    []*active // the rules that supersede it, single events only

	followed bool // by other rules
}

// stateful is a query that keeps something from event to event.
type stateful interface {
	Add(e *event.Event, emit func(eql.Match)) // in order
	Advance(now time.Time, emit func(eql.Match))
	Flush(emit func(eql.Match))
	Size() int64 // bytes that it keeps
	Evict() bool // gives up its oldest
	Evicted() int
}

// identity is what a rule's state depends on.
func (a *active) identity() string {
	r := a.rule
	id := strings.Join([]string{r.ID, r.Query.Text, r.TimestampField, r.TiebreakerField, r.EventCategoryOverride}, "\x00")
	if a.query.Kind() == eql.Samples {
		id += "\x00" + r.Lookback().String()
	}
	return id
}

// A Status is a rule as the engine has it.
type Status struct {
	Rule   *rule.Rule
	Idle   string // why it does not run, or ""
	Kind   eql.Kind
	Alerts uint64 // raised so far, building blocks not counted
	Cost   Cost
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
	g := &Engine{
		opts: o, category: o.Schema.Field("event.category"), entity: o.Schema.Field("process.entity_id"), index: newIndex(nil),
		expected: map[string]time.Duration{}, late: map[string]uint64{}, meter: newMeter(),
	}
	g.match = newMatcher(g)
	return g
}

// SetRules gives the engine its rules, the first or new ones. A rule that stays
// the same keeps its state. A rule whose query is wrong does not run; the error
// is a [syntax.Errors] with every mistake of all of them, and the others run.
func (g *Engine) SetRules(rules []*rule.Rule) error {
	all, mistakes := compile(rules, g.opts.Schema)
	g.settle()
	g.inherit(all)
	g.rules, g.wanted, g.any = all, map[string]bool{}, false
	var running []*active
	for _, a := range all {
		if a.query == nil {
			continue
		}
		running = append(running, a)
		g.any = g.any || a.category == nil
		for _, c := range a.category {
			g.wanted[c] = true
		}
	}
	for _, b := range running {
		for _, id := range b.rule.Orlop.Supersedes {
			for _, a := range running {
				if a.rule.ID == id && a.state == nil && b.state == nil && !b.below(a) {
					a.by = append(a.by, b)
				}
			}
		}
	}
	for _, b := range running {
		for _, id := range b.rule.Orlop.Follows {
			for _, a := range running {
				a.followed = a.followed || a.rule.ID == id && a != b
			}
		}
	}
	g.index = newIndex(running)
	g.match, g.others = newMatcher(g), nil
	g.maker = alert.NewMaker(g.opts.Schema)
	return mistakes
}

// inherit gives new rules the state and the counters of those they follow.
func (g *Engine) inherit(rules []*active) {
	same := map[string]*active{}
	states := map[string][]*active{} // two rules may be the same
	for _, a := range g.rules {
		same[a.rule.ID] = a
	}
	for _, a := range g.stateful {
		states[a.identity()] = append(states[a.identity()], a)
	}
	orders := map[string]*order{}
	for _, a := range g.stateful {
		orders[a.rule.TimestampField+"\x00"+a.rule.TiebreakerField] = a.order
	}
	was := g.orders
	g.stateful, g.orders, g.kept, g.byID = nil, nil, 0, map[uint32]*active{}
	for _, a := range rules {
		if was := same[a.rule.ID]; was != nil {
			a.alerts, a.cost = was.alerts, was.cost
		}
		if a.query == nil || a.query.Kind() == eql.Events {
			continue
		}
		if was := states[a.identity()]; len(was) > 0 {
			states[a.identity()] = was[1:]
			a.state, a.query, a.id = was[0].state, was[0].query, was[0].id
		} else {
			g.lastID++
			a.id, a.state = g.lastID, a.newState(g.opts.RuleBudget)
		}
		g.byID[a.id] = a
		fields := a.rule.TimestampField + "\x00" + a.rule.TiebreakerField
		o := orders[fields]
		if o == nil {
			o = &order{
				usual: g.opts.Lateness, sources: map[string]*clock{},
				waiting: spool.New(g.opts.Schema, a.query.Tiebreaker, a.query.Compare),
			}
			o.waiting.Interrupted = g.opts.Interrupted
			for source, lateness := range g.expected {
				o.expect(source, lateness)
			}
			if f := a.rule.TimestampField; f != "" && f != "@timestamp" {
				o.field = g.opts.Schema.Field(f)
			}
			orders[fields] = o
		}
		if !slices.Contains(g.orders, o) {
			o.live = nil
			g.orders = append(g.orders, o)
		}
		a.order = o
		g.stateful = append(g.stateful, a)
		if n := a.state.Size(); n > 0 {
			g.kept += n
			o.keeps(a)
		}
	}
	for _, left := range states {
		for _, a := range left {
			g.stats.Evicted += uint64(a.state.Evicted())
		}
	}
	for _, o := range was {
		if !slices.Contains(g.orders, o) {
			o.waiting.Close() // It has no rules any more.
		}
	}
	for _, o := range g.orders {
		o.budget = g.opts.Budget / int64(len(g.orders))
		o.room = min(g.opts.Budget, spool.Enough) / int64(len(g.orders))
	}
}

// Check compiles rules without running them and returns every mistake in their
// queries, as a [syntax.Errors].
func Check(rules []*rule.Rule) error {
	_, err := compile(rules, event.NewSchema())
	return err
}

// compile compiles the queries of rules that run, and checks those of the others
// all the same. The error is a syntax.Errors.
func compile(rules []*rule.Rule, s *event.Schema) (all []*active, err error) {
	var mistakes syntax.Errors
	for place, r := range rules {
		a := &active{rule: r, why: r.Idle(), place: place}
		all = append(all, a)
		if r.Type != "eql" {
			continue
		}
		c := eql.Compiler{Schema: s, Category: r.EventCategoryOverride, Timestamp: r.TimestampField, Tiebreaker: r.TiebreakerField}
		q, err := c.Compile(r.Query)
		switch {
		case err != nil:
			a.why = "its query has mistakes"
			mistakes = append(mistakes, err.(syntax.Errors)...)
		case a.why != "":
		case len(r.Filters) > 0:
			a.why = "its filters cannot run yet"
		default:
			a.query, a.category = q, categories(q, r)
		}
	}
	if len(mistakes) > 0 {
		err = mistakes
	}
	return all, err
}

// newState is what a rule keeps that has seen nothing yet.
func (a *active) newState(budget int64) stateful {
	if a.query.Kind() == eql.Samples {
		return newSamples(a.query, a.rule.Lookback(), budget)
	}
	m := a.query.NewMatcher()
	m.SetBudget(budget)
	return m
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

// Timed reports whether the time of every event is to be known, for it says what is late
// for a sequence, and that waiting is over. Otherwise events that no rule wants need not be
// given to Apply, but to Skip.
func (g *Engine) Timed() bool {
	return slices.ContainsFunc(g.orders, func(o *order) bool { return o.usual >= 0 || len(o.clocks) > 0 })
}

// Skip counts events that no rule wants, and of them those of a category that no rule asks
// for.
func (g *Engine) Skip(events, filtered int) {
	g.stats.In += uint64(events)
	g.stats.Filtered += uint64(filtered)
	g.stats.Evaluated += uint64(events - filtered)
}

// Literals chooses text of which an event that a rule asks for has some in its JSON, so
// that others need not be read. It is not ok if there is none such, or if the time of
// every event is to be known: what is late for a sequence is said by all of them.
// See [expr.Literals].
func (g *Engine) Literals(cost func(event.Literal) float64) (ls []event.Literal, ok bool) {
	var ps []expr.Pred
	for _, a := range g.rules {
		if a.query != nil {
			ps = append(ps, a.query.Preds()...)
		}
	}
	if g.Timed() {
		return nil, false
	}
	return expr.Literals(expr.NewAny(ps...), cost)
}

// settle adds what rules have cost matchers to what they have cost the engine.
func (g *Engine) settle() {
	for _, m := range slices.Concat(g.others, []*Matcher{g.match}) {
		for i := range m.costs {
			c := &m.x.rules[i].cost
			c.Candidates += m.costs[i].Candidates
			c.Matches += m.costs[i].Matches
			c.Time += m.costs[i].Time
		}
		clear(m.costs)
	}
}

// Rules lists the rules in the order they were given.
func (g *Engine) Rules() []Status {
	out := make([]Status, len(g.rules))
	g.settle()
	for i, a := range g.rules {
		out[i] = Status{Rule: a.rule, Idle: a.why, Alerts: a.alerts, Cost: a.cost}
		if a.query != nil {
			out[i].Kind = a.query.Kind()
		}
		if a.state != nil {
			out[i].Cost.State, out[i].Cost.Evicted = a.state.Size(), uint64(a.state.Evicted())
		}
	}
	return out
}

// Stats returns the counters so far.
func (g *Engine) Stats() Stats {
	s := g.stats
	for _, a := range g.stateful {
		s.Evicted += uint64(a.state.Evicted())
	}
	return s
}

// Late is how many events of each source came too late for sequences, all in all
// Stats.Late. Of more than 4096 sources, the others are under "".
func (g *Engine) Late() map[string]uint64 { return maps.Clone(g.late) }

// Err is why events that waited to be put in order were given up, if they were: the
// disk is full, say, or Interrupted said so. Rules of single events go on; the others have
// stopped, and what they would have found is not among the alerts.
func (g *Engine) Err() error { return g.err }

// An Outcome is what became of an event.
type Outcome uint8

const (
	Evaluated Outcome = iota // tried on at least one rule
	Filtered                 // of a category that no rule asks for
	Late                     // tried, but too old for the sequences that it could be part of
)

// Process tries e on the rules that it concerns, and calls emit for each alert.
// The event is borrowed for the call.
func (g *Engine) Process(e *event.Event, emit func(*alert.Alert)) Outcome {
	g.match.Match(e, &g.hits)
	return g.Apply(e, &g.hits, emit)
}

// Matchers returns n matchers for the rules that the engine has, which may be used until
// SetRules: those that it has returned before, for they remember what events are like, and
// more if need be. What rules cost them is among what [Engine.Rules] tells, which must not
// be called while they are at work.
func (g *Engine) Matchers(n int) []*Matcher {
	for len(g.others) < n {
		g.others = append(g.others, newMatcher(g))
	}
	return g.others[:n]
}

// Apply does what is to be done with an event for which a matcher has found hits, and
// calls emit for each alert. Events are given to it in the order they came in.
func (g *Engine) Apply(e *event.Event, hits *Hits, emit func(*alert.Alert)) Outcome {
	was := Evaluated
	g.stats.In++
	if hits.filtered {
		was = Filtered
		g.stats.Filtered++
	} else {
		g.stats.Evaluated++
	}
	for _, a := range hits.rules {
		if a.state == nil && !a.superseded(hits.rules) && !g.excepted(a, e) && !g.follows(a, e) {
			g.meter.next()
			g.meter.start()
			g.raise(a, e, emit)
		}
	}
	late, untimed := false, false
	for _, o := range g.orders {
		l, u := g.enqueue(o, e, hits)
		late, untimed = late || l, untimed || u
		g.release(o, emit)
	}
	if late {
		was = Late
		g.stats.Late++
		source := e.Origin.Source
		if _, known := g.late[source]; !known && len(g.late) >= maxSources {
			source = ""
		}
		g.late[source]++
	}
	if untimed {
		g.stats.Untimed++
	}
	return was
}

// below reports whether a is b, or one of the rules that supersede it, and those
// that supersede them: two must not silence each other.
func (a *active) below(b *active) bool {
	return a == b || slices.ContainsFunc(a.by, func(x *active) bool { return x.below(b) })
}

// superseded reports whether one of the rules that matched says more than a.
func (a *active) superseded(hits []*active) bool {
	for _, b := range a.by {
		if slices.Contains(hits, b) {
			return true
		}
	}
	return false
}

func (g *Engine) excepted(a *active, e *event.Event) bool {
	return g.opts.Except != nil && g.opts.Except(a.rule, e)
}

// enqueue gives an event to the stateful rules of o that want it, when its turn
// comes, and notes how far its source has come.
func (g *Engine) enqueue(o *order, e *event.Event, hits *Hits) (late, untimed bool) {
	g.mine = g.mine[:0]
	for _, a := range hits.rules {
		if a.order == o && !g.excepted(a, e) {
			g.mine = append(g.mine, a.id)
		}
	}
	wanted := len(g.mine) > 0 && g.err == nil
	if !wanted && o.endless { // Fast path: nobody asks when it was.
		return false, false
	}
	at, ok := o.timeOf(e)
	if !ok {
		return false, wanted
	}
	if wanted {
		late, g.err = o.add(e, at, g.mine)
	}
	o.saw(e.Origin.Source, at)
	return late, false
}

// Advance says that the time is now: events older than now less the lateness
// will not come any more.
func (g *Engine) Advance(now time.Time, emit func(*alert.Alert)) {
	for _, o := range g.orders {
		o.advance(now)
		g.release(o, emit)
	}
}

// Expect makes sequences wait for a source, named as the Origin of its events, which
// is so far behind the clock or its newest event at most; negative is no bound, until
// it has Ended. Without that, a source counts from its first event on.
func (g *Engine) Expect(source string, lateness time.Duration) {
	g.expected[source] = lateness
	for _, o := range g.orders {
		o.expect(source, lateness)
	}
}

// Ended says that a source will bring no events any more.
func (g *Engine) Ended(source string, emit func(*alert.Alert)) {
	delete(g.expected, source)
	for _, o := range g.orders {
		o.ended(source)
		o.settle()
		g.release(o, emit)
	}
}

// AdvanceSource is Advance for one source, which has handed on all that it has: a
// file that is still being read up to its end has not come to the present.
func (g *Engine) AdvanceSource(source string, now time.Time, emit func(*alert.Alert)) {
	for _, o := range g.orders {
		o.advanceSource(source, now)
		g.release(o, emit)
	}
}

// SetBack says that the clock has been set back to now. What waits is given to the
// rules, and what comes then is in order among itself: without that, all of it
// would be late until the clock is again where it was.
func (g *Engine) SetBack(now time.Time, emit func(*alert.Alert)) {
	for _, o := range g.orders {
		closed := o.closed
		o.closed = true
		g.release(o, emit)
		o.closed = closed
		o.restart(now)
	}
}

// Flush says that no event will come any more. Look at Err then.
func (g *Engine) Flush(emit func(*alert.Alert)) {
	for _, o := range g.orders {
		o.closed = true
		g.release(o, emit)
		o.waiting.Close() // It is empty, or has failed.
	}
	if g.err != nil {
		return
	}
	for _, a := range g.stateful {
		before := a.state.Size()
		g.meter.next()
		g.meter.start()
		a.state.Flush(func(m eql.Match) { g.raiseSequence(a, m, emit) })
		g.meter.charge(&a.cost)
		g.kept += a.state.Size() - before
	}
}

// release hands the events whose turn has come to their rules.
func (g *Engine) release(o *order, emit func(*alert.Alert)) {
	for n := 1; g.err == nil; n++ {
		if n%1024 == 0 && g.opts.Interrupted != nil {
			if g.err = g.opts.Interrupted(); g.err != nil {
				break
			}
		}
		e, rules, early, err := o.next()
		if g.err = err; e == nil {
			break
		}
		if early {
			g.stats.Early++
		}
		g.meter.next()
		for _, id := range rules {
			a := g.byID[id]
			if a == nil {
				continue // The rule is gone.
			}
			before := a.state.Size()
			g.meter.start()
			a.state.Add(e, func(m eql.Match) { g.raiseSequence(a, m, emit) })
			g.meter.charge(&a.cost)
			after := a.state.Size()
			a.cost.Peak = max(a.cost.Peak, after)
			g.kept += after - before
			if after > 0 {
				o.keeps(a)
			}
		}
		g.trim()
		g.tick(o, o.done, emit)
	}
	if g.err == nil && o.mark.After(o.done) {
		g.tick(o, o.mark, emit)
	}
}

// tick lets go of what has become too old, of all rules that keep something.
func (g *Engine) tick(o *order, now time.Time, emit func(*alert.Alert)) {
	if len(o.live) == 0 || !o.tick(now) {
		return
	}
	g.meter.next()
	live := o.live[:0]
	for _, a := range o.live {
		before := a.state.Size()
		g.meter.start()
		a.state.Advance(now, func(m eql.Match) { g.raiseSequence(a, m, emit) })
		g.meter.charge(&a.cost)
		after := a.state.Size()
		g.kept += after - before
		if after > 0 {
			live = append(live, a)
		}
	}
	clear(o.live[len(live):])
	o.live = live
}

// trim keeps all stateful rules together inside the budget: the one that has
// most gives up its oldest. It makes some room, so as not to look for that one
// at each event.
func (g *Engine) trim() {
	if g.kept <= g.opts.Budget {
		return
	}
	enough := g.opts.Budget - g.opts.Budget/16
	for g.kept > enough {
		var most *active
		for _, a := range g.stateful {
			if most == nil || a.state.Size() > most.state.Size() {
				most = a
			}
		}
		// Take turns: what is far over its share goes first.
		share := enough / int64(len(g.stateful))
		for g.kept > enough && most.state.Size() > share {
			before := most.state.Size()
			if !most.state.Evict() {
				return
			}
			g.kept += most.state.Size() - before
		}
	}
}

// descends reports whether an event is an alert of the rule, or comes from one.
func (g *Engine) descends(e *event.Event, ruleID string) bool {
	// Fast path: it is no alert. To ask an alert means to take it apart.
	return bytes.Contains(e.Raw, []byte("kibana")) && g.maker.Descends(e, ruleID)
}

func (g *Engine) raise(a *active, e *event.Event, emit func(*alert.Alert)) {
	if g.descends(e, a.rule.ID) {
		return
	}
	match := alert.Match{Now: g.opts.Now(), Explain: explainEvent(a.query, e)}
	if ev := g.evidence(e.Time, e.Time); ev != (Evidence{}) {
		match.Evidence = ev
	}
	al, err := g.maker.Event(a.rule, e, match)
	if err != nil {
		panic("detect: bug: " + err.Error()) // a decoder has read the document
	}
	g.count(a, al)
	g.tell(a, e)
	g.meter.charge(&a.cost)
	emit(al)
}

func (g *Engine) raiseSequence(a *active, m eql.Match, emit func(*alert.Alert)) {
	for _, e := range m.Events {
		if e != nil && g.descends(e, a.rule.ID) {
			return
		}
	}
	match := alert.Match{Now: g.opts.Now(), Explain: explainSequence(a.query, m)}
	if severalKeys(a.query, m) {
		match.Keys = m.Keys
	}
	from, to, absent := a.window(m.Events)
	if ev := g.evidence(from, to); m.Evicted > 0 || ev != (Evidence{}) {
		ev.Evicted = m.Evicted
		ev.AbsenceUncertain = absent && ev.Lost+ev.Late+ev.Unwatched > 0
		match.Evidence = ev
	}
	all, blocks, err := g.maker.Sequence(a.rule, m.Events, match)
	if err != nil {
		panic("detect: bug: " + err.Error())
	}
	g.meter.charge(&a.cost)
	for _, b := range blocks {
		g.count(a, b)
		emit(b)
	}
	g.count(a, all)
	emit(all)
	g.meter.start() // The rule goes on.
}

// severalKeys reports whether events of a match have other keys as well, by
// which they could make another one.
func severalKeys(q *eql.Query, m eql.Match) bool {
	for i, e := range m.Events {
		if e == nil {
			continue
		}
		for _, k := range q.Items[i].Keys {
			if v := e.Get(k.Field); slices.ContainsFunc(v.List(), func(x event.Value) bool { return !x.Equal(v.At(0)) }) {
				return true
			}
		}
	}
	return false
}

// count counts an alert, or a building block apart.
func (g *Engine) count(a *active, al *alert.Alert) {
	if al.BuildingBlock {
		g.stats.Blocks++
		return
	}
	a.alerts++
	g.stats.Alerts++
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
		items := a.query.Items
		if a.query.Until != nil {
			items = append(slices.Clip(items), *a.query.Until)
		}
		for i := range items {
			expr.Refs(items[i].Pred, add)
			for _, k := range items[i].Keys {
				add(k.Ref)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
