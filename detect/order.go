package detect

import (
	"container/heap"
	"slices"
	"time"

	"github.com/orlop/orlop/event"
)

// order puts the events that stateful rules want into the order of their time.
// It holds each back until the watermark has passed it: until no source can
// bring an older one, as far as its lateness goes. Rules that order by the same
// fields share one.
type order struct {
	lateness time.Duration // of sources that were not expected
	budget   int64
	field    event.Field                 // that says when; zero is the event's own Time
	compare  func(a, b *event.Event) int // by Time, then by tiebreaker

	live []*active // rules that keep something, in the order of rules

	waiting waitingEvents
	size    int64
	arrival uint64
	sources map[string]*clock
	clocks  clocks    // the slowest first
	last    *clock    // of the last event
	now     time.Time // that advance has said
	mark    time.Time // the watermark: all before it are released
	ticked  time.Time // of the last tick
	done    time.Time // time of the last event that was released
	closed  bool
}

// pending is an event that waits, and the rules that want it.
type pending struct {
	e       *event.Event
	arrival uint64
	rules   []*active
	size    int64
}

// pendingOverhead is what an event that waits takes besides its Size, in bytes.
const pendingOverhead = 200

// clock is how far a source has come. One of which nothing is known yet is at the
// zero time, and holds the watermark.
type clock struct {
	source   string
	at       time.Time
	lateness time.Duration
	index    int // in clocks
}

// reach is the moment before which nothing is to come from the source.
func (c *clock) reach() time.Time { return c.at.Add(-c.lateness) }

func newOrder(lateness time.Duration, expected map[string]time.Duration) *order {
	o := &order{lateness: lateness, sources: map[string]*clock{}}
	for source, lateness := range expected {
		o.expect(source, lateness)
	}
	return o
}

// expect makes the watermark wait for a source.
func (o *order) expect(source string, lateness time.Duration) {
	c := o.clockOf(source)
	c.lateness = lateness
	heap.Fix(&o.clocks, c.index)
}

// clockOf returns the clock of a source, a new one if there is none.
func (o *order) clockOf(source string) *clock {
	c := o.last
	if c == nil || c.source != source {
		c = o.sources[source]
	}
	if c == nil {
		if len(o.clocks) >= maxSources {
			delete(o.sources, heap.Pop(&o.clocks).(*clock).source)
		}
		c = &clock{source: source, lateness: o.lateness}
		o.sources[source] = c
		heap.Push(&o.clocks, c)
	}
	o.last = c
	return c
}

// maxSources bounds how many sources a watermark waits for. Of more, the slowest
// is not waited for any more.
const maxSources = 4096

// timeOf is when e happened. It is not ok if sequences cannot order events by it.
func (o *order) timeOf(e *event.Event) (at time.Time, ok bool) {
	at = e.Time
	if o.field != 0 {
		at = time.Time{}
		if v := e.Get(o.field); v.Exists() {
			at, _ = event.TimeOf(v.At(0))
		}
	}
	return at, event.Orders(at)
}

// saw moves the watermark: it is the least of what the sources have reached,
// less the lateness.
func (o *order) saw(e *event.Event) {
	if o.lateness < 0 {
		return
	}
	at, ok := o.timeOf(e)
	if !ok {
		return
	}
	o.reached(o.clockOf(e.Origin.Source), at)
}

// reached says that a source has come to a moment.
func (o *order) reached(c *clock, at time.Time) {
	if at.After(c.at) {
		c.at = at
		heap.Fix(&o.clocks, c.index)
	}
	least := o.clocks[0].reach()
	if !o.now.IsZero() && least.After(o.now) {
		least = o.now // a host whose clock is ahead must not make all others late
	}
	o.raise(least)
}

// advance moves the watermark by the clock, so that a silent source does not
// hold the others back for ever.
func (o *order) advance(now time.Time) {
	if o.lateness >= 0 {
		o.now = now
		most := o.lateness
		for _, c := range o.clocks {
			most = max(most, c.lateness)
		}
		o.raise(now.Add(-most))
	}
}

// advanceSource does so for one source, and the others hold it back as before.
func (o *order) advanceSource(source string, now time.Time) {
	if o.lateness >= 0 {
		if now.After(o.now) {
			o.now = now
		}
		o.reached(o.clockOf(source), now)
	}
}

// restart begins the order anew at a moment before what was there already.
func (o *order) restart(now time.Time) {
	o.mark, o.done, o.ticked, o.now = time.Time{}, time.Time{}, time.Time{}, now
	for _, c := range o.clocks {
		if c.at.After(now) {
			c.at = now
		}
	}
	heap.Init(&o.clocks)
}

func (o *order) raise(mark time.Time) {
	if mark.After(o.mark) {
		o.mark = mark
	}
}

// add takes an event that rules want. It is false if the event is late: one
// after it has been released.
func (o *order) add(e *event.Event, at time.Time, rules []*active) bool {
	if at.Before(o.done) || at.Before(o.mark) {
		return false
	}
	o.arrival++
	p := &pending{e: e.Clone(), arrival: o.arrival, rules: slices.Clone(rules)}
	p.e.Time = at
	p.size = int64(e.Size()) + pendingOverhead
	o.size += p.size
	o.waiting.compare = o.compare
	heap.Push(&o.waiting, p)
	return true
}

// next takes the next event whose turn has come.
func (o *order) next() (*event.Event, []*active, bool) {
	if len(o.waiting.list) == 0 {
		return nil, nil, false
	}
	p := o.waiting.list[0]
	if !o.closed && o.size <= o.budget && !p.e.Time.Before(o.mark) {
		return nil, nil, false
	}
	heap.Pop(&o.waiting)
	o.size -= p.size
	o.done = p.e.Time
	return p.e, p.rules, true
}

// tick reports, about once for each second that time moves, that it has come to
// now: all events before it are released.
func (o *order) tick(now time.Time) bool {
	if now.Sub(o.ticked) < time.Second {
		return false
	}
	o.ticked = now
	return true
}

// keeps notes that a rule has something that can become too old.
func (o *order) keeps(a *active) {
	i, found := slices.BinarySearchFunc(o.live, a.place, func(b *active, place int) int { return b.place - place })
	if !found {
		o.live = slices.Insert(o.live, i, a)
	}
}

// retain gives the events that wait to the rules that follow theirs; an event
// without any is forgotten.
func (o *order) retain(follow map[*active]*active) {
	var kept []*pending
	for _, p := range o.waiting.list {
		var rules []*active
		for _, a := range p.rules {
			if b := follow[a]; b != nil {
				rules = append(rules, b)
			}
		}
		if p.rules = rules; len(rules) > 0 {
			kept = append(kept, p)
		} else {
			o.size -= p.size
		}
	}
	o.waiting.list = kept
	heap.Init(&o.waiting)
}

// waitingEvents is a heap of events, the first in order on top.
type waitingEvents struct {
	list    []*pending
	compare func(a, b *event.Event) int
}

func (w *waitingEvents) Len() int { return len(w.list) }

func (w *waitingEvents) Less(i, j int) bool {
	if n := w.compare(w.list[i].e, w.list[j].e); n != 0 {
		return n < 0
	}
	return w.list[i].arrival < w.list[j].arrival
}

func (w *waitingEvents) Swap(i, j int) { w.list[i], w.list[j] = w.list[j], w.list[i] }
func (w *waitingEvents) Push(x any)    { w.list = append(w.list, x.(*pending)) }
func (w *waitingEvents) Pop() any {
	n := len(w.list) - 1
	p := w.list[n]
	w.list[n] = nil
	w.list = w.list[:n]
	return p
}

// clocks is a heap of clocks, the slowest on top.
type clocks []*clock

func (c clocks) Len() int           { return len(c) }
func (c clocks) Less(i, j int) bool { return c[i].reach().Before(c[j].reach()) }
func (c clocks) Swap(i, j int)      { c[i], c[j] = c[j], c[i]; c[i].index, c[j].index = i, j }
func (c *clocks) Push(x any)        { x.(*clock).index = len(*c); *c = append(*c, x.(*clock)) }
func (c *clocks) Pop() any {
	n := len(*c) - 1
	x := (*c)[n]
	(*c)[n] = nil
	*c = (*c)[:n]
	return x
}
