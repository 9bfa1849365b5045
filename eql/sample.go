package eql

import (
	"cmp"
	"slices"
	"strings"

	"github.com/orlop/orlop/event"
)

// A Sampler collects the events of a sample query. Samples need no order and
// no time, so what it has collected is answered when it is asked. It is not
// safe for concurrent use.
type Sampler struct {
	q      *Query
	groups map[string]*group
	keys   keyBuffer
}

// group is the events that share a key, for each item.
type group struct {
	values []event.Value
	events [][]*event.Event
}

// NewSampler returns a Sampler. It panics for queries that are no samples.
func (q *Query) NewSampler() *Sampler {
	if q.kind != Samples {
		panic("eql: bug: NewSampler on a " + q.kind.String() + " query")
	}
	return &Sampler{q: q, groups: map[string]*group{}}
}

// Add takes e into account, and keeps a copy if it may be part of a sample.
func (s *Sampler) Add(e *event.Event) {
	var kept *event.Event
	for i := range s.q.Items {
		it := &s.q.Items[i]
		if !it.Pred.Match(e) {
			continue
		}
		for key, values := range s.keys.each(it.Keys, e) {
			g := s.groups[key]
			if g == nil {
				g = &group{cloneValues(values), make([][]*event.Event, len(s.q.Items))}
				for i, k := range it.Keys {
					g.values[i] = keyValue(g.values[i], k.Type)
				}
				s.groups[key] = g
			}
			if kept == nil {
				kept = e.Clone()
			}
			g.events[i] = append(g.events[i], kept)
		}
	}
}

// Samples calls emit for the samples, in ascending order of their keys, at most
// perKey for each key; perKey below 1 is 1, as max_samples_per_key defaults to.
// It stops when emit says no.
func (s *Sampler) Samples(perKey int, emit func(Match) bool) {
	groups := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		if !slices.ContainsFunc(g.events, func(l []*event.Event) bool { return len(l) == 0 }) {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b *group) int {
		for i := range a.values {
			if n := compareKeys(a.values[i], b.values[i]); n != 0 {
				return n
			}
		}
		return 0
	})
	for _, g := range groups {
		left := max(perKey, 1)
		pick := make([]*event.Event, 0, len(g.events))
		if g.possible(pick) && !g.pick(pick, &left, emit) {
			return
		}
	}
}

// pick chooses an event for each item, all different, first ones first, until
// no more samples are left to find. It is false if emit was.
func (g *group) pick(chosen []*event.Event, left *int, emit func(Match) bool) bool {
	n := len(chosen)
	if n == len(g.events) {
		*left--
		return emit(Match{Keys: g.values, Events: slices.Clone(chosen)})
	}
	for _, e := range g.events[n] {
		if slices.Contains(chosen, e) || !g.possible(append(chosen, e)) {
			continue
		}
		if !g.pick(append(chosen, e), left, emit) {
			return false
		}
		if *left == 0 {
			return true
		}
	}
	return true
}

// possible reports whether the items behind those that are chosen can all have
// events of their own. Without it, a choice that leads nowhere would be found
// out by trying every order of the rest. It is a matching by augmenting paths;
// an item needs no more candidates than there are items.
func (g *group) possible(chosen []*event.Event) bool {
	of := map[*event.Event]int{} // the item that an event is given to
	var give func(item int, asked map[*event.Event]bool) bool
	give = func(item int, asked map[*event.Event]bool) bool {
		candidates := 0
		for _, e := range g.events[item] {
			if slices.Contains(chosen, e) {
				continue
			}
			if candidates++; candidates > len(g.events) {
				break
			}
			if asked[e] {
				continue
			}
			asked[e] = true
			if other, taken := of[e]; !taken || give(other, asked) {
				of[e] = item
				return true
			}
		}
		return false
	}
	for item := len(chosen); item < len(g.events); item++ {
		if len(g.events[item]) < len(g.events) && !give(item, map[*event.Event]bool{}) {
			return false
		}
	}
	return true
}

// compareKeys orders key values: null first, false before true, numbers by
// value, text by bytes.
func compareKeys(a, b event.Value) int {
	if n := cmp.Compare(keyRank(a), keyRank(b)); n != 0 {
		return n
	}
	switch a.Kind() {
	case event.KindString:
		return strings.Compare(a.Str(), b.Str())
	case event.KindBool:
		switch {
		case a.Bool() == b.Bool():
			return 0
		case a.Bool():
			return 1
		}
		return -1
	case event.KindInt:
		if b.Kind() == event.KindInt {
			return cmp.Compare(a.Int(), b.Int())
		}
	}
	return cmp.Compare(a.Float(), b.Float())
}

func keyRank(v event.Value) int {
	switch v.Kind() {
	case event.KindMissing, event.KindNull:
		return 0
	case event.KindBool:
		return 1
	case event.KindInt, event.KindFloat:
		return 2
	}
	return 3
}
