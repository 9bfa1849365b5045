package detect

import (
	"container/heap"
	"time"

	"github.com/orlop/orlop/event"
)

// order puts the events that sequences want into the order of their time. It
// holds each back until the watermark has passed it: until no source can bring
// an older one, as far as its lateness goes.
type order struct {
	lateness time.Duration
	budget   int64

	waiting waitingEvents
	size    int64
	arrival uint64
	sources map[string]time.Time // newest event of each
	mark    time.Time            // the watermark: all before it are released
	ticked  time.Time            // the watermark when tick last said so
	done    time.Time            // time of the last event that was released
	closed  bool
}

// pending is an event that waits, and the rules that want it.
type pending struct {
	e       *event.Event
	arrival uint64
	rules   []*active
	size    int64
}

func newOrder(lateness time.Duration, budget int64) *order {
	return &order{lateness: lateness, budget: budget, sources: map[string]time.Time{}}
}

// maxSources bounds how many sources a watermark waits for.
const maxSources = 4096

// saw moves the watermark: it is the least of what the sources have reached,
// less the lateness.
func (o *order) saw(e *event.Event) {
	if o.lateness < 0 || e.Time.IsZero() {
		return
	}
	s := e.Origin.Source
	if at, ok := o.sources[s]; ok && !e.Time.After(at) {
		return
	}
	if len(o.sources) >= maxSources {
		clear(o.sources)
	}
	o.sources[s] = e.Time
	least := e.Time
	for _, t := range o.sources {
		if t.Before(least) {
			least = t
		}
	}
	o.raise(least.Add(-o.lateness))
}

// advance moves the watermark by the clock, so that a silent source does not
// hold the others back for ever.
func (o *order) advance(now time.Time) {
	if o.lateness >= 0 {
		o.raise(now.Add(-o.lateness))
	}
}

func (o *order) raise(mark time.Time) {
	if mark.After(o.mark) {
		o.mark = mark
	}
}

// close lets everything go.
func (o *order) close() { o.closed = true }

// add takes an event that rules want. It is false if the event is late: one
// after it has been released.
func (o *order) add(e *event.Event, rules []*active) bool {
	if e.Time.Before(o.done) || e.Time.Before(o.mark) {
		return false
	}
	o.arrival++
	p := &pending{e: e.Clone(), arrival: o.arrival, rules: rules}
	p.size = int64(len(e.Raw)) + 1024
	o.size += p.size
	heap.Push(&o.waiting, p)
	return true
}

// next takes the next event whose turn has come.
func (o *order) next() (*event.Event, []*active, bool) {
	if len(o.waiting) == 0 {
		return nil, nil, false
	}
	p := o.waiting[0]
	if !o.closed && o.size <= o.budget && !p.e.Time.Before(o.mark) {
		return nil, nil, false
	}
	heap.Pop(&o.waiting)
	o.size -= p.size
	o.done = p.e.Time
	return p.e, p.rules, true
}

// tick says, once for each second that the watermark moves, where it is.
func (o *order) tick() (time.Time, bool) {
	mark := o.mark
	if o.done.After(mark) {
		mark = o.done
	}
	if mark.Sub(o.ticked) < time.Second {
		return mark, false
	}
	o.ticked = mark
	return mark, true
}

// retain gives the events that wait to the rules that follow theirs.
func (o *order) retain(follow func(*active) *active) {
	for _, p := range o.waiting {
		var rules []*active
		for _, a := range p.rules {
			if b := follow(a); b != nil {
				rules = append(rules, b)
			}
		}
		p.rules = rules
	}
}

type waitingEvents []*pending

func (w waitingEvents) Len() int { return len(w) }

func (w waitingEvents) Less(i, j int) bool {
	if n := w[i].e.Time.Compare(w[j].e.Time); n != 0 {
		return n < 0
	}
	return w[i].arrival < w[j].arrival
}

func (w waitingEvents) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waitingEvents) Push(x any)   { *w = append(*w, x.(*pending)) }
func (w *waitingEvents) Pop() any {
	old := *w
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	return p
}
