package eql

import (
	"container/heap"
	"errors"
	"maps"
	"slices"

	"github.com/orlop/orlop/event"
)

// A State is what a Matcher keeps, as plain data that encoding/gob can write: for
// a program that ends and goes on. Events are numbers that the caller gives out.
type State struct {
	Ordinal   int64
	Evicted   int
	Pending   []Partial // the oldest first
	Waiting   []Partial // for a missing event not to come
	Sightings []Sighting
}

// A Partial is a partial match.
type Partial struct {
	Key     string
	Values  []event.Value
	Ordinal int64
	Events  []int // those of the stages that are complete
	Bad     bool
	Lead    int64
	HasLead bool
	Until   int64 // of one that waits
	Place   int   // of one that waits, in the heap
}

// A Sighting is when events of a missing item were seen.
type Sighting struct {
	Gap, Item      int // the item is the Item-th in front of stage Gap
	Key            string
	Latest, Before int64
	HasBefore      bool
}

// State returns what m keeps. It calls number for each event, which does not change
// any more; the same event may come again.
func (m *Matcher) State(number func(*event.Event) int) State {
	s := State{Ordinal: m.ordinal, Evicted: m.evicted}
	partial := func(c *chain) Partial {
		p := Partial{Key: c.key, Values: c.values, Ordinal: c.ordinal, Bad: c.bad, Lead: c.lead, HasLead: c.hasLead}
		for _, e := range c.events {
			p.Events = append(p.Events, number(e))
		}
		return p
	}
	for c := m.oldest; c != nil; c = c.next {
		s.Pending = append(s.Pending, partial(c))
	}
	for _, key := range slices.Sorted(maps.Keys(m.waiting)) {
		for _, w := range m.waiting[key] {
			if w.chain != nil {
				p := partial(w.chain)
				p.Until, p.Place = w.until, w.index
				s.Waiting = append(s.Waiting, p)
			}
		}
	}
	type place struct{ gap, item int }
	places := map[*missing]place{}
	for i, gap := range m.gaps {
		for j, g := range gap {
			places[g] = place{i, j}
		}
	}
	for x := m.seen; x != nil; x = x.next {
		p := places[x.in]
		s.Sightings = append(s.Sightings, Sighting{p.gap, p.item, x.key, x.latest, x.before, x.hasBefore})
	}
	return s
}

var errState = errors.New("eql: the state is not one of this query")

// Restore makes a new Matcher m go on from s. It calls get for the event of a
// number, which is nil if there is none, and keeps it. If s is not a state of
// such a query, m is not to be used.
func (m *Matcher) Restore(s State, get func(int) *event.Event) error {
	m.ordinal, m.evicted = s.Ordinal, s.Evicted
	chainOf := func(p *Partial) (*chain, error) {
		c := &chain{key: p.Key, values: p.Values, ordinal: p.Ordinal, bad: p.Bad, lead: p.Lead, hasLead: p.HasLead, stage: len(p.Events) - 1}
		size := int64(len(c.key)) + chainOverhead
		for _, v := range c.values {
			size += valueOverhead + int64(len(v.Str()))
		}
		for _, n := range p.Events {
			e := get(n)
			if e == nil || e.Time.IsZero() {
				return nil, errState
			}
			c.events = append(c.events, e)
			size += cost(e) + valueOverhead
		}
		m.grow(c, size)
		return c, nil
	}
	for i := range s.Pending {
		p := &s.Pending[i]
		if n := len(p.Events); n == 0 || n >= len(m.stages) || m.slots[n-1][p.Key] != nil {
			return errState
		}
		c, err := chainOf(p)
		if err != nil {
			return err
		}
		m.slots[c.stage][c.key] = c
		m.append(c)
	}
	m.deadline = make(waitHeap, len(s.Waiting))
	for i := range s.Waiting {
		p := &s.Waiting[i]
		if len(p.Events) != len(m.stages) || p.Place < 0 || p.Place >= len(m.deadline) || m.deadline[p.Place] != nil {
			return errState
		}
		c, err := chainOf(p)
		if err != nil {
			return err
		}
		w := &wait{chain: c, until: p.Until, index: p.Place}
		m.deadline[p.Place] = w
		m.waiting[c.key] = append(m.waiting[c.key], w)
	}
	heap.Init(&m.deadline)
	for _, x := range s.Sightings {
		if x.Gap < 0 || x.Gap >= len(m.stages) || x.Item < 0 || x.Item >= len(m.gaps[x.Gap]) {
			return errState
		}
		g := m.gaps[x.Gap][x.Item]
		if g.at[x.Key] != nil {
			return errState
		}
		n := &sighting{in: g, key: x.Key, latest: x.Latest, before: x.Before, hasBefore: x.HasBefore}
		g.at[x.Key] = n
		m.size += int64(len(x.Key)) + sightOverhead
		m.appendSighting(n)
	}
	return nil
}
