package detect

import (
	"container/heap"
	"slices"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/spool"
)

// How events are put in the order of their time.
//
// An order holds each event that stateful rules want until the watermark has
// passed it: until no source can bring an older one, as far as its lateness goes.
// The watermark is the least over the sources of the time that each has reached,
// less its lateness. A source without a bound holds it where it is, for as long as
// that source lasts.
//
// While one does, what does not fit into memory waits on disk, and nothing is late.
// Else memory is the bound: the oldest goes to its rules early, and what is older
// than that and comes afterwards is late.

// order is one for all rules that order by the same fields.
type order struct {
	usual   time.Duration // lateness of sources that nobody expects; negative is no bound
	budget  int64         // of memory for what waits, where lateness is bounded
	room    int64         // and where it is not, before it goes to disk
	field   event.Field   // that says when; zero is the event's own Time
	waiting *spool.Queue

	live []*active // rules that keep something, in the order of rules

	sources   map[string]*clock
	clocks    clocks    // of sources with a bound, the one that is furthest behind first
	unbounded int       // sources that are expected and have no bound
	endless   bool      // one without a bound came that nobody expected, and whose end nobody will tell
	last      *clock    // of the last event
	now       time.Time // that advance has said
	mark      time.Time // the watermark: all before it are released
	ticked    time.Time // of the last tick
	done      time.Time // time of the last event that was released
	closed    bool
}

// clock is how far a source has come. One of which nothing is known yet is at the
// zero time, and holds the watermark.
type clock struct {
	source   string
	at       time.Time
	lateness time.Duration // negative is no bound
	expected bool          // it was announced
	index    int           // in clocks
}

// reach is the moment before which nothing is to come from the source.
func (c *clock) reach() time.Time { return c.at.Add(-c.lateness) }

// held reports whether the watermark stands still.
func (o *order) held() bool { return o.endless || o.unbounded > 0 }

// spills reports whether what does not fit into memory goes to disk.
func (o *order) spills() bool { return o.held() || o.usual < 0 }

// expect makes the watermark wait for a source that was announced.
func (o *order) expect(source string, lateness time.Duration) {
	o.follow(&clock{source: source, lateness: lateness, expected: true})
}

// follow makes the watermark wait for a source, and returns its clock.
func (o *order) follow(c *clock) *clock {
	if was := o.sources[c.source]; was != nil {
		c.at = was.at
		o.ended(c.source)
	}
	o.sources[c.source] = c
	if c.lateness < 0 {
		o.unbounded++
	} else {
		heap.Push(&o.clocks, c)
	}
	return c
}

// ended makes it wait no longer.
func (o *order) ended(source string) {
	c := o.sources[source]
	if c == nil {
		return
	}
	delete(o.sources, source)
	o.last = nil
	if c.lateness < 0 {
		o.unbounded--
	} else {
		heap.Remove(&o.clocks, c.index)
	}
}

// clockOf returns the clock of a source, a new one if there is none; nil if it has
// no bound and nobody expects it.
func (o *order) clockOf(source string) *clock {
	c := o.last
	if c == nil || c.source != source {
		c = o.sources[source]
	}
	if c == nil {
		if o.usual < 0 {
			o.endless = true
			return nil
		}
		if len(o.clocks) >= maxSources {
			o.forget()
		}
		c = o.follow(&clock{source: source, lateness: o.usual})
	}
	o.last = c
	return c
}

// maxSources bounds how many sources that nobody expects a watermark waits for. Of
// more, the one that is furthest behind is not waited for any more.
const maxSources = 4096

// forget makes room for one that nobody expects, if there are so many of them.
func (o *order) forget() {
	var last *clock
	n := 0
	for _, c := range o.clocks {
		if c.expected {
			continue
		}
		if n++; last == nil || c.reach().Before(last.reach()) {
			last = c
		}
	}
	if n >= maxSources {
		o.ended(last.source)
	}
}

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

// saw notes that a source has come to a moment.
func (o *order) saw(source string, at time.Time) {
	if o.endless {
		return
	}
	if c := o.clockOf(source); c != nil && at.After(c.at) {
		c.at = at
		if c.lateness >= 0 {
			heap.Fix(&o.clocks, c.index)
		}
	}
	o.settle()
}

// settle moves the watermark to where the sources are.
func (o *order) settle() {
	if o.held() || len(o.clocks) == 0 {
		return
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
	o.now = now
	if o.held() {
		return
	}
	most := o.usual
	for _, c := range o.clocks {
		most = max(most, c.lateness)
	}
	if most >= 0 {
		o.raise(now.Add(-most))
	}
}

// advanceSource does so for one source, and the others hold it back as before.
func (o *order) advanceSource(source string, now time.Time) {
	if now.After(o.now) {
		o.now = now
	}
	o.saw(source, now)
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

// add takes an event that rules, by their ids, want. It is late if one after it
// has been released.
func (o *order) add(e *event.Event, at time.Time, rules []uint32) (late bool, err error) {
	if at.Before(o.done) || at.Before(o.mark) {
		return true, nil
	}
	was := e.Time
	e.Time = at
	o.waiting.Add(e, rules)
	e.Time = was
	if o.spills() {
		err = o.waiting.Bound(o.room)
	}
	return false, err
}

// next takes the next event whose turn has come, and says whether it came early,
// for want of memory. The event is borrowed until the next call; nil is none.
func (o *order) next() (e *event.Event, rules []uint32, early bool, err error) {
	wait := o.spills() || o.waiting.Size() <= o.budget
	if !o.closed && wait && o.mark.IsZero() { // Fast path: nothing may go yet.
		return nil, nil, false, nil
	}
	at, ok, err := o.waiting.First()
	if !ok || err != nil {
		return nil, nil, false, err
	}
	due := o.closed || at.Before(o.mark)
	if !due && wait {
		return nil, nil, false, nil
	}
	if e, rules, err = o.waiting.Next(); err != nil {
		return nil, nil, false, err
	}
	o.done = at
	return e, rules, !due, nil
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

// clocks is a heap of clocks, the one that is furthest behind on top.
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
