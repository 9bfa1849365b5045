package agent

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source/ecs"
)

// Detect runs the inputs through an engine, on as many cores as there are, and calls emit
// for each alert. Step is called after each few events, with how many there were: its
// error ends the run. Both are called one at a time and in the order of the events, as by
// Run, and so is Reject, but not always by the same goroutine.
//
// Lines of documents go through it in batches: each is decoded apart from the others, then
// the events are enriched in order, then the rules that want them are found, and then these
// are told in order. What does not come in lines that are documents is read as Run does.
func (p *Replay) Detect(ctx context.Context, g *detect.Engine, emit func(*alert.Alert), step func(events int) error) error {
	one := func(e *event.Event) error {
		g.Process(e, emit)
		return step(1)
	}
	workers := runtime.GOMAXPROCS(0)
	if workers < 2 {
		return p.run(ctx, one, nil)
	}
	c := &crew{g: g, emit: emit, step: step}
	c.done.L = &c.turn
	for _, m := range g.Matchers(workers) {
		w := &worker{d: event.NewDecoder(p.Schema), m: m}
		for range 3 { // one is decoded, one waits for its turn, and one is between
			w.idle = append(w.idle, &job{w: w})
		}
		c.workers = append(c.workers, w)
	}
	return p.run(ctx, one, c)
}

// A crew is workers who read an input together. Who has the turn cuts the next batch,
// which is then in the cache of the worker who decodes it, and does whatever has to be done
// in order; the rest is done by all at the same time.
type crew struct {
	g      *detect.Engine
	enrich func(*event.Event) // nil if events are not
	emit   func(*alert.Alert)
	step   func(events int) error

	workers []*worker

	turn    sync.Mutex // of what follows
	done    sync.Cond  // a job came back, or the input has ended
	queue   []*job     // in the order of the input
	read    int        // of queue, those that are part of the stream
	more    bool       // there may be more in the input
	alone   int64      // up to this offset nothing is read in batches
	penalty int64      // for the next line that is no document
	err     error      // ends the run
}

// A worker is what a goroutine has for itself.
type worker struct {
	d    *event.Decoder
	m    *detect.Matcher
	idle []*job // the crew's turn
}

// A job is a batch on its way.
type job struct {
	ecs.Batch
	w        *worker // whose memory it is
	admitted bool    // part of the stream, so that its events are to be matched
	out      bool    // a worker has it
	timed    bool    // the time of every event counts

	events []*event.Event // memory, of which n are in use
	hits   []detect.Hits  // by event
	n      int

	others, filtered int // events that nothing is to be done with, and of them those of no rule's category
}

// work is what is done by all at the same time: decode, match, or both if nothing comes
// between.
func (c *crew) work(j *job, d *event.Decoder, m *detect.Matcher) {
	if j.admitted {
		for i := range j.n {
			m.Match(j.events[i], &j.hits[i])
		}
		return
	}
	j.n, j.others, j.filtered = 0, 0, 0
	next := func() *event.Event {
		if j.n == len(j.events) {
			j.events, j.hits = append(j.events, new(event.Event)), append(j.hits, detect.Hits{})
		}
		return j.events[j.n]
	}
	j.Read(d, next, func(e *event.Event) {
		if c.enrich == nil {
			m.Match(e, &j.hits[j.n])
			if none, filtered := j.hits[j.n].None(); none && !j.timed {
				j.others++
				if filtered {
					j.filtered++
				}
				return
			}
		}
		j.n++
	})
}

// firstPenalty is how many bytes are read without batches after a line that was no
// document. The next one doubles it, and batches that are whole make it less.
const firstPenalty = 256 << 10

// run reads an input of documents, those that are read without batches to emit.
func (c *crew) run(ctx context.Context, r *ecs.Reader, emit func(*event.Event) error) error {
	r.Begin(ctx, emit)
	c.more, c.alone, c.penalty, c.err = true, 0, firstPenalty, nil
	var others sync.WaitGroup
	for _, w := range c.workers[1:] {
		others.Go(func() { c.serve(ctx, r, w) })
	}
	c.serve(ctx, r, c.workers[0])
	others.Wait()
	for _, j := range c.queue { // of a run that ended before its end
		j.w.idle = append(j.w.idle, j)
	}
	c.queue, c.read = c.queue[:0], 0
	return c.err
}

// serve works until the input has ended.
func (c *crew) serve(ctx context.Context, r *ecs.Reader, w *worker) {
	c.turn.Lock()
	for j := c.next(ctx, r, w); j != nil; j = c.next(ctx, r, w) {
		j.out = true
		c.turn.Unlock()
		c.work(j, w.d, w.m)
		c.turn.Lock()
		j.out = false
		c.done.Broadcast()
	}
	c.done.Broadcast()
	c.turn.Unlock()
}

// next does what has to be done in order until there is a job for the worker. It returns
// nil at the end.
func (c *crew) next(ctx context.Context, r *ecs.Reader, w *worker) *job {
	for c.err == nil && (c.more || len(c.queue) > 0) {
		switch n := len(c.queue); {
		case c.read < n && !c.queue[c.read].out:
			j := c.queue[c.read]
			if !j.Whole() {
				if slices.ContainsFunc(c.queue[c.read+1:], func(j *job) bool { return j.out }) {
					c.done.Wait()
					continue
				}
				c.alone, c.penalty = r.Offset()+c.penalty, min(2*c.penalty, 1<<40)
			}
			c.admit(r)
			if c.enrich != nil {
				return j
			}
		case n > 0 && !c.queue[0].out:
			c.err = c.apply()
			c.penalty = max(c.penalty-c.penalty/16, firstPenalty)
		case c.more && len(w.idle) > 0 && r.Offset() >= c.alone && r.Cut(&w.idle[len(w.idle)-1].Batch):
			j := w.idle[len(w.idle)-1]
			w.idle, c.queue = w.idle[:len(w.idle)-1], append(c.queue, j)
			j.admitted, j.timed = false, c.g.Timed()
			return j
		case n > 0:
			c.done.Wait()
		default:
			c.more, c.err = r.Step(ctx)
		}
	}
	return nil
}

// admit takes the next job of the queue, which is decoded, into the stream. Where it is not
// whole, it is the last of the queue, and the reader has what was cut after it.
func (c *crew) admit(r *ecs.Reader) {
	j, later := c.queue[c.read], c.queue[c.read+1:]
	c.read++
	if j.Whole() {
		r.Count(&j.Batch)
	} else {
		var after []*ecs.Batch
		for _, l := range later {
			after = append(after, &l.Batch)
			l.w.idle = append(l.w.idle, l)
		}
		r.Count(&j.Batch, after...)
		c.queue = c.queue[:c.read]
	}
	j.admitted = true
	if c.enrich != nil {
		for _, e := range j.events[:j.n] {
			c.enrich(e)
		}
	}
}

// apply tells the engine of the first job of the queue.
func (c *crew) apply() error {
	j := c.queue[0]
	c.g.Skip(j.others, j.filtered)
	for i, e := range j.events[:j.n] {
		c.g.Apply(e, &j.hits[i], c.emit)
	}
	c.queue, j.w.idle, c.read = slices.Delete(c.queue, 0, 1), append(j.w.idle, j), c.read-1
	return c.step(j.n + j.others)
}
