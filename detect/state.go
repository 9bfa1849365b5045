package detect

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/spool"
)

// A State is what an Engine keeps from event to event, as plain data that
// encoding/gob can write: for a program that ends and goes on. It holds neither
// rules nor counters.
type State struct {
	Events []event.Record // the others name them by their place in it
	Orders []OrderState
	Rules  []RuleState // the stateful ones
	Told   []ToldState // the oldest first
}

// An OrderState is the events that wait to be put in order, by the fields that
// order them, and how far time has come.
type OrderState struct {
	Timestamp, Tiebreaker   string
	Waiting                 []Waiting
	Arrival                 uint64
	Sources                 []SourceState
	Now, Mark, Ticked, Done time.Time
}

// Waiting is an event that waits, and the stateful rules that want it.
type Waiting struct {
	Event   int
	Arrival uint64
	Rules   []int
}

// A SourceState is how far a source has come.
type SourceState struct {
	Source string
	At     time.Time
}

// A RuleState is what one rule keeps, either as a sequence or as a sample.
type RuleState struct {
	Identity string // of another rule it would mean nothing
	Sequence *eql.State
	Samples  *SamplesState
}

// A SamplesState is the events that a sample has collected.
type SamplesState struct {
	Evicted int
	Groups  []GroupState // the one without an event for longest first
}

// A GroupState is the events of a sample that share a key, for each item.
type GroupState struct {
	Key            string
	Values         []event.Value
	Events         [][]int
	Fired, Touched time.Time
}

// State returns what g keeps, but for what waits on disk: no source may be without a
// bound. It does not change with g.
func (g *Engine) State() *State {
	s := &State{}
	numbers := map[*event.Event]int{}
	number := func(e *event.Event) int {
		n, ok := numbers[e]
		if !ok {
			n = len(s.Events)
			numbers[e] = n
			s.Events = append(s.Events, e.Record(g.opts.Schema))
		}
		return n
	}
	places := map[uint32]int{}
	for i, a := range g.stateful {
		places[a.id] = i
		rs := RuleState{Identity: a.identity()}
		switch st := a.state.(type) {
		case *eql.Matcher:
			m := st.State(number)
			rs.Sequence = &m
		case *samples:
			rs.Samples = st.save(number)
		}
		s.Rules = append(s.Rules, rs)
	}
	for _, o := range g.orders {
		r := g.stateful[slices.IndexFunc(g.stateful, func(a *active) bool { return a.order == o })].rule
		os := OrderState{Timestamp: r.TimestampField, Tiebreaker: r.TiebreakerField, Arrival: o.waiting.Added(), Now: o.now, Mark: o.mark, Ticked: o.ticked, Done: o.done}
		o.waiting.Memory(func(e spool.Entry) {
			w := Waiting{Event: number(e.Event), Arrival: e.Arrival}
			for _, id := range e.Tags {
				if place, ok := places[id]; ok {
					w.Rules = append(w.Rules, place)
				}
			}
			os.Waiting = append(os.Waiting, w)
		})
		for _, c := range o.clocks {
			os.Sources = append(os.Sources, SourceState{c.source, c.at})
		}
		s.Orders = append(s.Orders, os)
	}
	for _, key := range g.told.order {
		s.Told = append(s.Told, ToldState{key, g.told.at[key]})
	}
	return s
}

var errState = errors.New("detect: the state is not one of an engine")

// Restore makes g, which has its rules and has seen nothing yet, go on from s. What
// s has of rules that g has not, or has with another query, is forgotten. After
// an error g is as before.
func (g *Engine) Restore(s *State) error {
	events := make([]*event.Event, len(s.Events))
	d := event.NewDecoder(g.opts.Schema)
	var e event.Event
	for i := range s.Events {
		if err := d.Restore(&s.Events[i], &e); err != nil {
			return fmt.Errorf("detect: restore: %w", err)
		}
		events[i] = e.Clone()
	}
	get := func(n int) *event.Event {
		if n < 0 || n >= len(events) {
			return nil
		}
		return events[n]
	}
	rules := make([]*active, len(s.Rules)) // ours for theirs
	states := map[*active]stateful{}
	for i, rs := range s.Rules {
		for _, a := range g.stateful {
			if states[a] != nil || a.identity() != rs.Identity {
				continue
			}
			st, err := a.restored(&rs, g.opts.RuleBudget, get)
			if err != nil {
				return err
			}
			rules[i], states[a] = a, st
			break
		}
	}
	orders := make([]*order, len(g.orders))
	for i, o := range g.orders {
		r := g.stateful[slices.IndexFunc(g.stateful, func(a *active) bool { return a.order == o })].rule
		for j := range s.Orders {
			if os := &s.Orders[j]; os.Timestamp == r.TimestampField && os.Tiebreaker == r.TiebreakerField {
				var err error
				if orders[i], err = o.restored(os, rules, get); err != nil {
					return err
				}
			}
		}
	}
	for i, o := range g.orders {
		if orders[i] != nil {
			*o = *orders[i]
		}
	}
	for _, t := range s.Told {
		g.told.note(t.Key, t.At)
	}
	for a, st := range states {
		g.kept += st.Size() - a.state.Size()
		a.state = st
		if st.Size() > 0 {
			a.order.keeps(a)
		}
	}
	return nil
}

// restored is a new state for a that goes on from rs.
func (a *active) restored(rs *RuleState, budget int64, get func(int) *event.Event) (stateful, error) {
	switch st := a.newState(budget).(type) {
	case *eql.Matcher:
		if rs.Sequence == nil {
			return nil, errState
		}
		return st, st.Restore(*rs.Sequence, get)
	case *samples:
		if rs.Samples == nil {
			return nil, errState
		}
		return st, st.restore(rs.Samples, get)
	}
	return nil, errState
}

// restored is a copy of o that goes on from os. The rules are ours for those of os.
func (o *order) restored(os *OrderState, rules []*active, get func(int) *event.Event) (*order, error) {
	n := *o
	n.now, n.mark, n.ticked, n.done = os.Now, os.Mark, os.Ticked, os.Done
	var entries []spool.Entry
	for _, w := range os.Waiting {
		e := spool.Entry{Event: get(w.Event), Arrival: w.Arrival}
		if e.Event == nil || e.Event.Time.IsZero() {
			return nil, errState
		}
		for _, r := range w.Rules {
			if r < 0 || r >= len(rules) {
				return nil, errState
			}
			if a := rules[r]; a != nil && a.order == o {
				e.Tags = append(e.Tags, a.id)
			}
		}
		if len(e.Tags) > 0 {
			entries = append(entries, e)
		}
	}
	n.waiting = o.waiting.With(os.Arrival, entries)
	n.sources, n.clocks, n.unbounded, n.last = map[string]*clock{}, nil, 0, nil
	for _, c := range o.sources {
		n.expect(c.source, c.lateness)
	}
	for _, was := range os.Sources {
		// A source that is not expected any more must not hold the others back.
		if c := n.sources[was.Source]; c != nil || len(o.sources) == 0 {
			if c = n.clockOf(was.Source); c != nil && c.lateness >= 0 {
				c.at = was.At
				heap.Fix(&n.clocks, c.index)
			}
		}
	}
	return &n, nil
}

func (s *samples) save(number func(*event.Event) int) *SamplesState {
	st := &SamplesState{Evicted: s.evicted}
	for g := s.oldest; g != nil; g = g.next {
		gs := GroupState{Key: g.key, Values: g.values, Fired: g.fired, Touched: g.touched}
		for _, l := range g.events {
			var ns []int
			for _, e := range l {
				ns = append(ns, number(e))
			}
			gs.Events = append(gs.Events, ns)
		}
		st.Groups = append(st.Groups, gs)
	}
	return st
}

func (s *samples) restore(st *SamplesState, get func(int) *event.Event) error {
	s.evicted = st.Evicted
	for _, gs := range st.Groups {
		if len(gs.Events) != len(s.q.Items) || s.groups[gs.Key] != nil {
			return errState
		}
		g := &group{key: gs.Key, values: gs.Values, events: make([][]*event.Event, len(s.q.Items)), fired: gs.Fired, touched: gs.Touched}
		s.groups[g.key] = g
		s.grow(g, groupOverhead+int64(len(g.key)))
		for i, ns := range gs.Events {
			for _, n := range ns {
				e := get(n)
				if e == nil {
					return errState
				}
				g.events[i] = append(g.events[i], e)
				s.grow(g, eventSize(e))
			}
		}
		s.append(g)
	}
	return nil
}
