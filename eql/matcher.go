package eql

import (
	"cmp"
	"container/heap"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// How a sequence is followed.
//
// Elasticsearch collects pending sequences in one group for each stage and key
// and lets an event of stage i take the latest of stage i-1, removing it and all
// older ones (SequenceMatcher, OrdinalGroup). So one pending sequence for each
// stage and key is enough: a newer one takes the place of an older, which could
// never complete before it. Stages are tried from last to first, so that an
// event never follows itself. An until-event ends every pending sequence of its
// key, after it had its own chance to complete one.
//
// Missing events do not take part in that. The positive terms are matched alone,
// and then each candidate is tested (TumblingWindow.doCheckMissingEvents):
//
//   - between two positive events: no such event strictly between their times.
//   - leading: L is the latest such event before the first positive event.
//   - trailing: T is the earliest such event after the last one.
//
// The candidate stands if there is a window of maxspan around it without L and T.
// L and the events between are known when the positive event behind them comes,
// because events come in order: the two latest times of each missing term and
// key say it all. T is waited for, until no T could matter any more.

// A Match is one result of a sequence or sample.
type Match struct {
	Keys    []event.Value  // the values of the keys, in order; null for an optional key without one
	Events  []*event.Event // one for each item; nil for a missing event
	Ordinal int64          // of its last event, among those that Add was given; results are in its order
	Evicted int            // partial matches that the memory budget had cost so far
}

// A Matcher follows one sequence query through a stream of events. It has no
// clock, goroutine or lock: time is what events and Advance say. It is not safe
// for concurrent use.
type Matcher struct {
	q      *Query
	budget int64

	stages   []*Item             // the positive items
	gaps     [][]*missing        // gaps[i]: missing items in front of stage i; the last: behind all
	slots    []map[string]*chain // pending sequences whose last event is of stage i
	waiting  map[string][]*wait  // complete but for a trailing missing event
	deadline waitHeap

	oldest, newest *chain // pending sequences in order of their first event
	seen           *sighting
	lastSeen       *sighting
	ordinal        int64
	size           int64
	evicted        int
	keys           keyBuffer
}

// chain is a pending sequence.
type chain struct {
	key        string
	values     []event.Value
	stage      int // of the last event
	ordinal    int64
	events     []*event.Event
	size       int64
	bad        bool  // a missing event was there
	lead       int64 // L in milliseconds
	hasLead    bool
	prev, next *chain
}

// missing is a missing item and when its events were seen.
type missing struct {
	item *Item
	at   map[string]*sighting
}

// sighting is the two latest times, in milliseconds, at which the events of a
// missing item had a key: latest, and the latest before that.
type sighting struct {
	in             *missing
	key            string
	latest, before int64
	hasBefore      bool
	prev, next     *sighting
}

// wait is a candidate whose trailing missing events could still come.
type wait struct {
	chain *chain // nil once it is out of the heap
	until int64  // milliseconds: an event up to here counts
	index int
}

// What things cost in memory, in bytes, besides their text and lists; a test
// holds the sum against what the heap grows by.
const (
	chainOverhead = 280 // a chain, its slot in a map and its lists
	sightOverhead = 120 // a sighting and its slot in a map
	eventOverhead = 100 // a copy of an event, besides its Size
	valueOverhead = 24
)

// cost is the memory that a copy of e takes.
func cost(e *event.Event) int64 { return int64(e.Size()) + eventOverhead }

// NewMatcher returns a Matcher for a sequence query. It panics for other kinds.
func (q *Query) NewMatcher() *Matcher {
	if q.kind != Sequences {
		panic("eql: bug: NewMatcher on a " + q.kind.String() + " query")
	}
	m := &Matcher{q: q, budget: 1<<63 - 1, waiting: map[string][]*wait{}}
	gap := []*missing(nil)
	for i := range q.Items {
		it := &q.Items[i]
		if it.Missing {
			if n := len(gap); n == 0 || gap[n-1].item.Text != it.Text {
				gap = append(gap, &missing{it, map[string]*sighting{}})
			}
			continue
		}
		m.stages = append(m.stages, it)
		m.gaps = append(m.gaps, gap)
		gap = nil
	}
	m.gaps = append(m.gaps, gap)
	for range m.stages {
		m.slots = append(m.slots, map[string]*chain{})
	}
	return m
}

// SetBudget bounds the memory of partial matches, in bytes. When they need
// more, the oldest are given up, and counted in Evicted: sequences that are
// pending, candidates that wait for a missing event, and what is remembered of
// missing events that were there, without which a match may be made that should
// not be.
func (m *Matcher) SetBudget(bytes int64) { m.budget = bytes }

// Size is the memory that partial matches take, in bytes, about. An event that
// several of them share counts for each.
func (m *Matcher) Size() int64 { return m.size }

// Evicted counts the partial matches that were given up for the budget.
func (m *Matcher) Evicted() int { return m.evicted }

// Pending counts the partial matches.
func (m *Matcher) Pending() int {
	n := len(m.deadline)
	for _, s := range m.slots {
		n += len(s)
	}
	return n
}

func millis(e *event.Event) int64 { return e.Time.UnixMilli() }

// Add feeds e to the query and calls emit for each match that it completes.
// Events must come in order (see [Query.Compare]) and have a time by which they can
// be ordered (see [event.Orders]). The events
// of a Match are copies and stay valid.
func (m *Matcher) Add(e *event.Event, emit func(Match)) {
	now := millis(e)
	m.expire(e.Time, emit)
	m.ordinal++
	var kept *event.Event // one copy, shared by all who keep e
	keep := func() *event.Event {
		if kept == nil {
			kept = e.Clone()
		}
		return kept
	}
	last := len(m.stages) - 1
	for i := last; i >= 0; i-- {
		if i > 0 && len(m.slots[i-1]) == 0 {
			continue // Fast path: nothing to follow.
		}
		st := m.stages[i]
		if !st.Pred.Match(e) {
			continue
		}
		for key, values := range m.keys.each(st.Keys, e) {
			var c *chain
			if i == 0 {
				c = m.open(key, values, now)
			} else {
				c = m.slots[i-1][key]
				if c == nil {
					continue
				}
				delete(m.slots[i-1], key)
				if m.q.Span > 0 && e.Time.Sub(c.events[0].Time) > m.q.Span {
					m.drop(c)
					continue
				}
				c.bad = c.bad || m.between(i, key, millis(c.events[len(c.events)-1]), now)
			}
			c.stage = i
			c.events = append(c.events, keep())
			m.grow(c, cost(e)+valueOverhead)
			if i == last {
				c.ordinal = m.ordinal
				m.unlink(c)
				m.complete(c, emit)
				continue
			}
			if old := m.slots[i][key]; old != nil {
				m.drop(old)
			}
			m.slots[i][key] = c
		}
	}
	m.sight(e, now)
	if u := m.q.Until; u != nil && u.Pred.Match(e) {
		for key := range m.keys.each(u.Keys, e) {
			for _, slot := range m.slots {
				if c := slot[key]; c != nil {
					delete(slot, key)
					m.drop(c)
				}
			}
		}
	}
	for m.size > m.budget && m.Evict() {
	}
}

// Advance says that no event before now will come any more, and calls emit for
// the matches that only waited for a missing event.
func (m *Matcher) Advance(now time.Time, emit func(Match)) { m.expire(now, emit) }

// Flush says that no event will come any more.
func (m *Matcher) Flush(emit func(Match)) {
	for len(m.deadline) > 0 {
		m.settle(heap.Pop(&m.deadline).(*wait), emit)
	}
}

// open begins a sequence.
func (m *Matcher) open(key string, values []event.Value, now int64) *chain {
	c := &chain{key: key, values: cloneValues(values)}
	for _, g := range m.gaps[0] {
		if s := g.at[key]; s != nil {
			if t, ok := s.beforeTime(now); ok && (!c.hasLead || t > c.lead) {
				c.lead, c.hasLead = t, true
			}
		}
	}
	m.append(c)
	size := int64(len(key)) + chainOverhead
	for _, v := range values {
		size += valueOverhead + int64(len(v.Str()))
	}
	m.grow(c, size)
	return c
}

// append makes c the newest in the order of age.
func (m *Matcher) append(c *chain) {
	if c.prev = m.newest; c.prev != nil {
		c.prev.next = c
	} else {
		m.oldest = c
	}
	m.newest = c
}

func (m *Matcher) grow(c *chain, n int64) { c.size += n; m.size += n }

// unlink takes a chain out of the order of age.
func (m *Matcher) unlink(c *chain) {
	if c.prev != nil {
		c.prev.next = c.next
	} else if m.oldest == c {
		m.oldest = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else if m.newest == c {
		m.newest = c.prev
	}
	c.prev, c.next = nil, nil
}

// drop forgets a chain that is in no slot.
func (m *Matcher) drop(c *chain) {
	m.unlink(c)
	m.size -= c.size
}

// Evict gives up the oldest partial match, and reports whether there was one.
func (m *Matcher) Evict() bool {
	const never = 1<<63 - 1
	pending, waiting, seen := int64(never), int64(never), int64(never)
	if m.oldest != nil {
		pending = millis(m.oldest.events[0])
	}
	if len(m.deadline) > 0 {
		waiting = millis(m.deadline[0].chain.events[0])
	}
	if m.seen != nil {
		seen = m.seen.latest
	}
	switch oldest := min(pending, waiting, seen); {
	case oldest == never:
		return false
	case oldest == pending:
		c := m.oldest
		delete(m.slots[c.stage], c.key)
		m.drop(c)
	case oldest == waiting:
		m.size -= m.release(heap.Pop(&m.deadline).(*wait)).size
	default:
		m.forget(m.seen)
	}
	m.evicted++
	return true
}

// expire drops what is too old to complete, and settles what has waited enough.
func (m *Matcher) expire(now time.Time, emit func(Match)) {
	if m.q.Span == 0 {
		return
	}
	for c := m.oldest; c != nil && now.Sub(c.events[0].Time) > m.q.Span; c = m.oldest {
		delete(m.slots[c.stage], c.key)
		m.drop(c)
	}
	ms := now.UnixMilli()
	for s := m.seen; s != nil && ms-s.latest > m.q.Span.Milliseconds(); s = m.seen {
		m.forget(s)
	}
	for len(m.deadline) > 0 && m.deadline[0].until < ms {
		m.settle(heap.Pop(&m.deadline).(*wait), emit)
	}
}

// between reports whether a missing event in front of stage i was there.
func (m *Matcher) between(i int, key string, from, to int64) bool {
	for _, g := range m.gaps[i] {
		if s := g.at[key]; s != nil {
			if t, ok := s.beforeTime(to); ok && t > from {
				return true
			}
		}
	}
	return false
}

// beforeTime is the latest time strictly before t.
func (s *sighting) beforeTime(t int64) (int64, bool) {
	if s.latest < t {
		return s.latest, true
	}
	return s.before, s.hasBefore
}

// sight notes e where it is a missing event.
func (m *Matcher) sight(e *event.Event, now int64) {
	for i, gap := range m.gaps {
		for _, g := range gap {
			if !g.item.Pred.Match(e) {
				continue
			}
			for key := range m.keys.each(g.item.Keys, e) {
				if i == len(m.stages) {
					m.refute(key, now)
					continue
				}
				s := g.at[key]
				if s == nil {
					s = &sighting{in: g, key: key, latest: now}
					g.at[key] = s
					m.size += int64(len(key)) + sightOverhead
				} else {
					m.unlinkSighting(s)
					if now > s.latest {
						s.before, s.hasBefore, s.latest = s.latest, true, now
					}
				}
				m.appendSighting(s)
			}
		}
	}
}

func (m *Matcher) appendSighting(s *sighting) {
	if s.prev = m.lastSeen; s.prev != nil {
		s.prev.next = s
	} else {
		m.seen = s
	}
	m.lastSeen = s
}

func (m *Matcher) unlinkSighting(s *sighting) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		m.seen = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		m.lastSeen = s.prev
	}
	s.prev, s.next = nil, nil
}

func (m *Matcher) forget(s *sighting) {
	m.unlinkSighting(s)
	delete(s.in.at, s.key)
	m.size -= int64(len(s.key)) + sightOverhead
}

// complete takes a chain that has all its positive events.
func (m *Matcher) complete(c *chain, emit func(Match)) {
	first, last := millis(c.events[0]), millis(c.events[len(c.events)-1])
	span := m.q.Span.Milliseconds()
	leading, trailing := len(m.gaps[0]) > 0, len(m.gaps[len(m.stages)]) > 0
	switch {
	case c.bad:
		m.size -= c.size
		return
	case trailing && !leading:
		m.await(c, first+span)
	case trailing && c.hasLead && c.lead+span > last:
		m.await(c, c.lead+span)
	case leading && !trailing && c.hasLead && last-c.lead <= span:
		m.size -= c.size
	default:
		m.deliver(c, emit)
	}
}

func (m *Matcher) await(c *chain, until int64) {
	w := &wait{chain: c, until: until}
	m.waiting[c.key] = append(m.waiting[c.key], w)
	heap.Push(&m.deadline, w)
}

// refute kills the candidates that a trailing missing event at t speaks against.
func (m *Matcher) refute(key string, t int64) {
	ws := m.waiting[key]
	live := ws[:0]
	for _, w := range ws {
		switch {
		case w.chain == nil:
		case t > millis(w.chain.events[len(w.chain.events)-1]) && t <= w.until:
			heap.Remove(&m.deadline, w.index)
			m.size -= w.chain.size
		default:
			live = append(live, w)
		}
	}
	clear(ws[len(live):])
	m.keepWaiting(key, live)
}

func (m *Matcher) keepWaiting(key string, ws []*wait) {
	if len(ws) == 0 {
		delete(m.waiting, key)
		return
	}
	m.waiting[key] = ws
}

// release takes the chain of a candidate that is out of the heap. Candidates of
// one key mostly end in the order they began in, so the list gives up its front
// and leaves others, empty, to be passed over.
func (m *Matcher) release(w *wait) *chain {
	c := w.chain
	w.chain = nil
	ws := m.waiting[c.key]
	for len(ws) > 0 && ws[0].chain == nil {
		ws = ws[1:]
	}
	m.keepWaiting(c.key, ws)
	return c
}

// settle delivers a candidate that nothing can refute any more.
func (m *Matcher) settle(w *wait, emit func(Match)) { m.deliver(m.release(w), emit) }

func (m *Matcher) deliver(c *chain, emit func(Match)) {
	m.size -= c.size
	out := Match{Keys: c.values, Events: make([]*event.Event, 0, len(m.q.Items)), Ordinal: c.ordinal, Evicted: m.evicted}
	n := 0
	for _, it := range m.q.Items {
		if it.Missing {
			out.Events = append(out.Events, nil)
			continue
		}
		out.Events = append(out.Events, c.events[n])
		n++
	}
	emit(out)
}

// Compare orders matches as results are: by their last event, then by their keys.
func (m *Match) Compare(o *Match) int {
	if n := cmp.Compare(m.Ordinal, o.Ordinal); n != 0 {
		return n
	}
	for i := range min(len(m.Keys), len(o.Keys)) {
		if n := compareKeys(m.Keys[i], o.Keys[i]); n != 0 {
			return n
		}
	}
	return 0
}

// Last is the last event of a match that is there.
func (m *Match) Last() *event.Event {
	for _, e := range slices.Backward(m.Events) {
		if e != nil {
			return e
		}
	}
	return nil
}

type waitHeap []*wait

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h waitHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *waitHeap) Push(x any)        { w := x.(*wait); w.index = len(*h); *h = append(*h, w) }
func (h *waitHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	*h = old[:len(old)-1]
	return w
}

// MaxKeys bounds the combinations of key values that one event stands for. The
// product of the lengths of hostile arrays has no other limit.
const MaxKeys = 1 << 12

// keyBuffer computes the keys of events.
type keyBuffer struct {
	text   []byte
	values []event.Value
}

// each yields every combination of the values of keys once: as text that is
// equal exactly for equal keys, and as values, which are borrowed. An event
// without a value for a key that needs one yields nothing.
func (b *keyBuffer) each(keys []Key, e *event.Event) func(func(string, []event.Value) bool) {
	return func(yield func(string, []event.Value) bool) {
		single := true
		for _, k := range keys {
			v := e.Get(k.Field)
			if !v.Exists() && !k.Optional {
				return
			}
			single = single && v.Kind() != event.KindList
		}
		values := b.values[:0]
		if single { // Fast path: one value a key.
			text := b.text[:0]
			for _, k := range keys {
				v := e.Get(k.Field)
				values = append(values, v)
				text = appendKey(text, keyValue(v, k.Type))
			}
			b.text, b.values = text, values
			yield(string(text), values)
			return
		}
		seen := map[string]bool{}
		choice := make([]int, len(keys))
		for range MaxKeys {
			values = values[:0]
			text := b.text[:0]
			for i, k := range keys {
				v := e.Get(k.Field)
				if v.Exists() {
					v = v.At(choice[i])
				}
				values = append(values, v)
				text = appendKey(text, keyValue(v, k.Type))
			}
			b.text, b.values = text, values
			if !seen[string(text)] {
				seen[string(text)] = true
				if !yield(string(text), values) {
					return
				}
			}
			i := len(choice) - 1
			for ; i >= 0; i-- {
				if choice[i]++; choice[i] < e.Get(keys[i].Field).Len() {
					break
				}
				choice[i] = 0
			}
			if i < 0 {
				return
			}
		}
	}
}

// keyValue is v as it is compared in a key: dates by instant, as milliseconds,
// numbers and addresses of a mapping by value.
func keyValue(v event.Value, t expr.Type) event.Value {
	switch {
	case !v.Exists():
		return event.Null()
	case t == expr.Date || t == expr.DateNanos || t == expr.Untyped && looksLikeDate(v):
		if at, ok := event.TimeOf(v); ok {
			if ms := at.UnixMilli(); at.Equal(time.UnixMilli(ms)) {
				return event.Int(ms)
			}
		}
	case t == expr.Number:
		if n := numeric(v); n.Exists() {
			return n
		}
	case t == expr.IP:
		if a, err := netip.ParseAddr(v.Str()); err == nil {
			return event.String(a.Unmap().String())
		}
	}
	return v
}

func looksLikeDate(v event.Value) bool {
	s := v.Str()
	return len(s) >= len("2006-01-02T15") && s[4] == '-' && s[7] == '-' && s[10] == 'T'
}

// appendKey appends one part of a key: its length keeps parts apart, and
// numbers and text that writes them are the same.
func appendKey(dst []byte, v event.Value) []byte {
	if !v.Exists() {
		return append(dst, '-')
	}
	if v.Kind() == event.KindFloat && v.Float() == float64(int64(v.Float())) {
		v = event.Int(int64(v.Float()))
	}
	var buf [32]byte
	text := buf[:0]
	if v.Kind() == event.KindString {
		dst = strconv.AppendInt(dst, int64(len(v.Str())), 10)
		dst = append(dst, ':')
		return append(dst, v.Str()...)
	}
	text = v.Append(text)
	dst = strconv.AppendInt(dst, int64(len(text)), 10)
	dst = append(dst, ':')
	return append(dst, text...)
}

// cloneValues copies key values so that they outlive their event.
func cloneValues(vs []event.Value) []event.Value {
	out := make([]event.Value, len(vs))
	for i, v := range vs {
		if v.Kind() == event.KindString {
			v = event.String(string([]byte(v.Str())))
		}
		if !v.Exists() {
			v = event.Null()
		}
		out[i] = v
	}
	return out
}
