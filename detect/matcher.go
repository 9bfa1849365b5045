package detect

import (
	"cmp"
	"slices"

	"github.com/orlop/orlop/event"
)

// A Matcher finds the rules that want an event: what of an [Engine]'s work keeps nothing
// from event to event. Several may work at a time, each in a goroutine of its own, until
// SetRules; what they find is given to Apply.
type Matcher struct {
	x        *index
	any      bool            // see Engine
	wanted   map[string]bool // see Engine
	category event.Field
	meter    meter
	event    uint64 // number of the event that is being matched

	tested, hit []uint64 // by rule, the last event that it was tried on, and that it wanted
	costs       []Cost   // by rule, since there are more than one matcher
	finder

	tree tree
}

// Hits are the rules that want an event.
type Hits struct {
	rules    []*active // in their order
	filtered bool      // no rule asks for events of its category
}

// None reports whether no rule wants the event, and whether none even asks for events of
// its category.
func (h *Hits) None() (none, filtered bool) { return len(h.rules) == 0, h.filtered }

func newMatcher(g *Engine) *Matcher {
	x := g.index
	return &Matcher{
		x: x, any: g.any, wanted: g.wanted, category: g.category, meter: newMeter(),
		tested: make([]uint64, len(x.rules)), hit: make([]uint64, len(x.rules)),
		costs:  make([]Cost, len(x.rules)),
		finder: finder{seen: make([]uint64, x.found)}, tree: newTree(x),
	}
}

// Match finds the rules that want e and puts them into h, whose memory it uses again.
func (m *Matcher) Match(e *event.Event, h *Hits) {
	h.rules = h.rules[:0]
	if h.filtered = !m.concerns(e); h.filtered {
		return
	}
	m.meter.next()
	h.rules = m.match(e, h.rules)
}

// concerns reports whether a rule asks for one of e's categories.
func (m *Matcher) concerns(e *event.Event) bool {
	if m.any {
		return true
	}
	v := e.Get(m.category)
	for i := range v.Len() {
		if c := v.At(i); c.Kind() != event.KindString || m.wanted[c.Str()] {
			return true
		}
	}
	return false
}

// match appends the rules that want e to hits, in the order of the rules.
func (m *Matcher) match(e *event.Event, hits []*active) []*active {
	m.event++
	start := len(hits)
	entries := m.tree.sift(e, &m.finder)
	m.meter.start()
	for _, n := range entries {
		if m.hit[n.rule] == m.event {
			continue
		}
		cost := &m.costs[n.rule]
		if m.tested[n.rule] != m.event {
			m.tested[n.rule] = m.event
			cost.Candidates++
		}
		if n.pred.Match(e) {
			m.hit[n.rule] = m.event
			cost.Matches++
			hits = append(hits, m.x.rules[n.rule])
		}
		if m.meter.on { // Fast path: it mostly is not.
			m.meter.charge(cost)
		}
	}
	if len(hits)-start > 1 {
		slices.SortFunc(hits[start:], func(a, b *active) int { return cmp.Compare(a.place, b.place) })
	}
	return hits
}
