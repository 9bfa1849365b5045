package detect

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
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

	tried       []uint64 // by entry, the last event that it was tried on
	tested, hit []uint64 // by rule, the last event that it was tried on, and that it wanted
	costs       []Cost   // by rule, since there are more than one matcher
	finder

	common int // as the index's, unless that has turned out to be too many
	kinds  []kind
	seed   maphash.Seed
	misses int // since the event with the number since
	since  uint64

	// Of the event that is being matched.
	left  []uint64 // the branches that are left
	live  []int    // the words of left that are not 0
	have  []uint64 // the branches that have what they need of a field
	open  []uint64 // the fields that a branch that is left asks for
	there []uint64 // the fields that the event has
	key   []byte   // of its kind
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
	words := (len(x.entries) + 63) / 64
	return &Matcher{
		x: x, any: g.any, wanted: g.wanted, category: g.category, meter: newMeter(),
		tried: make([]uint64, x.preds), tested: make([]uint64, len(x.rules)), hit: make([]uint64, len(x.rules)),
		costs:  make([]Cost, len(x.rules)),
		finder: finder{seen: make([]uint64, x.found)},
		common: x.common, kinds: make([]kind, maxKinds), seed: maphash.MakeSeed(),
		left: make([]uint64, words), have: make([]uint64, words), live: make([]int, 0, words),
		open: make([]uint64, x.width), there: make([]uint64, x.width),
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
	x := m.x
	m.event++
	start := len(hits)
	m.sift(e)
	m.meter.start()
	for _, w := range m.live {
		for left := m.left[w]; left != 0; left &= left - 1 {
			n := m.x.entries[w*64+bits.TrailingZeros64(left)]
			if m.tried[n.id] == m.event || m.hit[n.rule] == m.event {
				continue
			}
			m.tried[n.id] = m.event
			cost := &m.costs[n.rule]
			if m.tested[n.rule] != m.event {
				m.tested[n.rule] = m.event
				cost.Candidates++
			}
			if n.pred.Match(e) {
				m.hit[n.rule] = m.event
				cost.Matches++
				hits = append(hits, x.rules[n.rule])
			}
			if m.meter.on { // Fast path: it mostly is not.
				m.meter.charge(cost)
			}
		}
	}
	if len(hits)-start > 1 {
		slices.SortFunc(hits[start:], func(a, b *active) int { return cmp.Compare(a.place, b.place) })
	}
	return hits
}

// sift leaves the branches that have what they need of all fields, or a few more.
func (m *Matcher) sift(e *event.Event) {
	n := m.begin(e)
	planned := n
	for i := range m.open {
		for m.open[i] != 0 {
			if n <= 1 {
				return // to try it is as cheap
			}
			f := i*64 + bits.TrailingZeros64(m.open[i])
			m.open[i] &= m.open[i] - 1
			n = m.narrow(f, e)
			if n <= planned/4 {
				planned = n
				m.plan()
				m.open[i] &^= 1<<(f%64+1) - 1
				clear(m.open[:i])
			}
		}
	}
}

// begin leaves the branches that events of e's kind may have, and plans what
// comes next.
func (m *Matcher) begin(e *event.Event) int {
	k := m.kindOf(e)
	if k != nil && k.known {
		m.recall(k)
		return k.n
	}
	m.live = m.live[:0]
	for w := range m.left {
		m.left[w] = ^uint64(0)
		m.live = append(m.live, w)
	}
	if n := len(m.x.entries) % 64; n != 0 {
		m.left[len(m.left)-1] = 1<<n - 1
	}
	n := len(m.x.entries)
	for f := range m.x.fields {
		if there := m.there[f/64]&(1<<(f%64)) != 0; f < m.common || !there {
			n = m.narrow(f, e)
		}
	}
	m.plan()
	for f := range m.common {
		m.open[f/64] &^= 1 << (f % 64)
	}
	if k != nil {
		m.remember(k, n)
	}
	return n
}

// plan finds the fields that the branches that are left ask for, or some more.
func (m *Matcher) plan() {
	clear(m.open)
	for _, w := range m.live {
		left := m.left[w]
		if bits.OnesCount64(left) > 16 {
			m.ask(m.x.words[w*m.x.width:])
			continue
		}
		for ; left != 0; left &= left - 1 {
			m.ask(m.x.asked[(w*64+bits.TrailingZeros64(left))*m.x.width:])
		}
	}
	for i := range m.open {
		m.open[i] &= m.there[i]
	}
}

func (m *Matcher) ask(fields []uint64) {
	for i := range m.open {
		m.open[i] |= fields[i]
	}
}

// narrow takes away the branches that need something of a field that e has not,
// and returns how many are left.
func (m *Matcher) narrow(i int, e *event.Event) int {
	f := &m.x.fields[i]
	asks, search := uint64(0), uint64(0)
	for _, w := range m.live {
		m.have[w] = 0
		asks |= m.left[w] & f.asks[w]
		search |= m.left[w] & f.search[w]
	}
	if asks != 0 {
		if v := e.Get(f.field); v.Exists() {
			m.find(i, v, search != 0)
		}
	}
	live, n := m.live[:0], 0
	for _, w := range m.live {
		left := m.left[w] & (m.have[w] | ^f.asks[w])
		m.left[w] = left
		if left != 0 {
			live = append(live, w)
			n += bits.OnesCount64(left)
		}
	}
	m.live = live
	return n
}

// A kind is what is left of an index for the events that have the same values in
// the fields that most branches ask for, and that have the same fields at all.
// Events are of few kinds, so the latest are remembered.
type kind struct {
	key   []byte
	known bool
	n     int // branches that are left
	live  []int
	left  []uint64 // by live
	open  []uint64
}

const (
	maxKinds = 1024
	maxKey   = 255  // values that are longer together are not remembered
	trial    = 4096 // of so many events, half must be of a kind that is remembered
)

// kindOf finds the kind of an event, or the place for it; nil if there is none.
func (m *Matcher) kindOf(e *event.Event) *kind {
	clear(m.there)
	for _, f := range e.Fields() {
		if int(f) < len(m.x.place) && m.x.place[f] >= 0 {
			m.there[m.x.place[f]/64] |= 1 << (m.x.place[f] % 64)
		}
	}
	if m.kinds == nil {
		return nil
	}
	key := m.key[:0]
	for _, m := range m.there {
		key = binary.LittleEndian.AppendUint64(key, m)
	}
	head := len(key)
	for f := range m.common {
		v := e.Get(m.x.fields[f].field)
		key = append(key, byte(v.Kind()), byte(v.Len()))
		for i := range v.Len() {
			w := v.At(i)
			n := len(key)
			if n+len(w.Str()) <= head+maxKey {
				key = append(key, byte(w.Kind()), 0)
				key = w.Append(key)
				key[n+1] = byte(len(key) - n - 2)
			}
			if len(key) == n || len(key) > head+maxKey {
				m.missed()
				return nil
			}
		}
	}
	m.key = key
	k := &m.kinds[maphash.Bytes(m.seed, key)%maxKinds]
	if k.known && bytes.Equal(k.key, key) {
		return k
	}
	m.missed()
	if m.kinds == nil {
		return nil
	}
	k.known = false
	k.key = append(k.key[:0], key...)
	return k
}

// missed notes that an event was of no kind that is remembered. Where that is
// usual, the last of the common fields has too many values to tell kinds apart.
func (m *Matcher) missed() {
	if m.misses++; m.misses < trial/2 {
		return
	}
	if m.event-m.since < trial {
		if m.common--; m.common < 0 {
			m.common, m.kinds = 0, nil
		}
		for i := range m.kinds {
			m.kinds[i].known = false
		}
	}
	m.misses, m.since = 0, m.event
}

// remember keeps what is left for k.
func (m *Matcher) remember(k *kind, n int) {
	k.known, k.n = true, n
	k.live = append(k.live[:0], m.live...)
	k.open = append(k.open[:0], m.open...)
	k.left = k.left[:0]
	for _, w := range m.live {
		k.left = append(k.left, m.left[w])
	}
}

// recall leaves what is left for k.
func (m *Matcher) recall(k *kind) {
	m.live = append(m.live[:0], k.live...)
	copy(m.open, k.open)
	for i, w := range k.live {
		m.left[w] = k.left[i]
	}
}
