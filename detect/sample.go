package detect

import (
	"slices"
	"strconv"
	"time"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// How samples run in a stream.
//
// A sample is a set of events with the same keys, one for each item, in any
// order. Kibana looks for the first one of each key within the look-back of the
// rule, every few minutes, and knows by its id one that it has seen. Here a
// sample is found when its last event comes: the events of a key are kept for
// the look-back, and when there is one for each item, all different, that is the
// sample. The next one of that key is due when the look-back has passed since,
// so that no event is in two.
//
// Of n items no more than the latest n events of each are kept, since n events
// are enough to find one that no other item has taken.

// samples is the state of a sample query.
type samples struct {
	q      *eql.Query
	window time.Duration
	budget int64

	groups         map[string]*group
	oldest, newest *group // in order of their latest event
	size           int64
	evicted        int
}

// group is the events that share a key, for each item.
type group struct {
	key        string
	values     []event.Value
	events     [][]*event.Event
	fired      time.Time // when it last was complete
	touched    time.Time // its latest event
	size       int64
	prev, next *group
}

const (
	groupOverhead = 300
	eventOverhead = 100
)

func newSamples(q *eql.Query, window time.Duration, budget int64) *samples {
	return &samples{q: q, window: window, budget: budget, groups: map[string]*group{}}
}

func (s *samples) Size() int64  { return s.size }
func (s *samples) Evicted() int { return s.evicted }

// Add takes e into account, and keeps a copy if it may be part of a sample.
// Events come in order.
func (s *samples) Add(e *event.Event, emit func(eql.Match)) {
	s.Advance(e.Time, emit)
	var kept *event.Event // one copy, shared by all who keep e
	for i := range s.q.Items {
		it := &s.q.Items[i]
		if !it.Pred.Match(e) {
			continue
		}
		if kept == nil {
			kept = e.Clone()
		}
		eachKey(it.Keys, kept, func(key []byte, values []event.Value) {
			g := s.groups[string(key)]
			if g == nil {
				g = &group{key: string(key), values: slices.Clone(values), events: make([][]*event.Event, len(s.q.Items))}
				s.groups[g.key] = g
				s.grow(g, groupOverhead+int64(len(key)))
			} else {
				s.unlink(g)
				s.age(g, e.Time)
			}
			s.append(g)
			g.touched = e.Time
			g.events[i] = append(g.events[i], kept)
			s.grow(g, eventSize(e))
			if l := g.events[i]; len(l) > len(s.q.Items) {
				s.grow(g, -eventSize(l[0]))
				g.events[i] = slices.Delete(l, 0, 1)
			}
			if !g.fired.IsZero() && e.Time.Sub(g.fired) <= s.window {
				return
			}
			if found := g.pick(); found != nil {
				g.fired = e.Time
				emit(eql.Match{Keys: g.values, Events: found, Evicted: s.evicted})
			}
		})
	}
	for s.size > s.budget && s.Evict() {
	}
}

// Advance forgets the keys that nothing has come for within the window.
func (s *samples) Advance(now time.Time, _ func(eql.Match)) {
	for g := s.oldest; g != nil && now.Sub(g.touched) > s.window; g = s.oldest {
		s.drop(g)
	}
}

// Flush has nothing to wait for.
func (s *samples) Flush(func(eql.Match)) {}

// Evict gives up the key that has waited longest.
func (s *samples) Evict() bool {
	if s.oldest == nil {
		return false
	}
	s.drop(s.oldest)
	s.evicted++
	return true
}

// age forgets the events of a group that are out of the window.
func (s *samples) age(g *group, now time.Time) {
	for i, l := range g.events {
		n := 0
		for n < len(l) && now.Sub(l[n].Time) > s.window {
			s.grow(g, -eventSize(l[n]))
			n++
		}
		g.events[i] = slices.Delete(l, 0, n)
	}
}

func eventSize(e *event.Event) int64 { return int64(e.Size()) + eventOverhead }

func (s *samples) grow(g *group, n int64) { g.size += n; s.size += n }

func (s *samples) drop(g *group) {
	s.unlink(g)
	delete(s.groups, g.key)
	s.size -= g.size
}

func (s *samples) append(g *group) {
	if g.prev = s.newest; g.prev != nil {
		g.prev.next = g
	} else {
		s.oldest = g
	}
	s.newest = g
}

func (s *samples) unlink(g *group) {
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		s.oldest = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		s.newest = g.prev
	}
	g.prev, g.next = nil, nil
}

// pick chooses an event for each item, all different and early ones first, or
// nil if there are not enough. An item whose events are all taken makes another
// take its next one, which has an end after at most items² steps where trying
// all would have none.
func (g *group) pick() []*event.Event {
	taken := map[*event.Event]int{} // by item
	var place func(i int, tried map[*event.Event]bool) bool
	place = func(i int, tried map[*event.Event]bool) bool {
		for _, e := range g.events[i] {
			if tried[e] {
				continue
			}
			tried[e] = true
			if other, ok := taken[e]; !ok || place(other, tried) {
				taken[e] = i
				return true
			}
		}
		return false
	}
	for i := range g.events {
		if !place(i, map[*event.Event]bool{}) {
			return nil
		}
	}
	out := make([]*event.Event, len(g.events))
	for e, i := range taken {
		out[i] = e
	}
	return out
}

// eachKey calls f for every combination of the values of keys: as text that is
// equal exactly for equal keys, which is borrowed, and as values. An event
// without a value for a key that needs one has none. (eql has the same for
// itself.)
func eachKey(keys []eql.Key, e *event.Event, f func(key []byte, values []event.Value)) {
	values := make([]event.Value, len(keys))
	seen := map[string]bool{}
	var next func(i int, text []byte)
	next = func(i int, text []byte) {
		if i == len(keys) {
			if !seen[string(text)] && len(seen) < eql.MaxKeys {
				seen[string(text)] = true
				f(text, values)
			}
			return
		}
		k := &keys[i]
		v := e.Get(k.Field)
		if !v.Exists() {
			if k.Optional {
				values[i] = event.Null()
				next(i+1, append(text, '-'))
			}
			return
		}
		for j := range v.Len() {
			if len(seen) >= eql.MaxKeys {
				return
			}
			values[i] = keyValue(v.At(j), k.Type)
			s := values[i].Text()
			next(i+1, append(append(strconv.AppendInt(text, int64(len(s)), 10), ':'), s...))
		}
	}
	next(0, nil)
}

// keyValue is v as keys are compared: dates by instant, numbers by value.
func keyValue(v event.Value, t expr.Type) event.Value {
	s := v.Str()
	date := t == expr.Date || t == expr.DateNanos
	if t == expr.Untyped && len(s) >= len("2006-01-02T15") && s[4] == '-' && s[7] == '-' && s[10] == 'T' {
		date = true
	}
	if date {
		if at, ok := event.TimeOf(v); ok && at.Equal(time.UnixMilli(at.UnixMilli())) {
			return event.Int(at.UnixMilli())
		}
	}
	if f := v.Float(); v.Kind() == event.KindFloat && f == float64(int64(f)) {
		return event.Int(int64(f))
	}
	return v
}
