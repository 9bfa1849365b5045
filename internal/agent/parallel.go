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
// error ends the run. Both are called as by Run, by one goroutine and in the order of the
// events, and so is Reject.
//
// Lines of documents go through it in batches: workers decode them, then the events are
// enriched in order, then workers find the rules that want them, and then these are told in
// order. What does not come in lines that are documents is read as Run does.
func (p *Replay) Detect(ctx context.Context, g *detect.Engine, emit func(*alert.Alert), step func(events int) error) error {
	one := func(e *event.Event) error {
		g.Process(e, emit)
		return step(1)
	}
	workers := runtime.GOMAXPROCS(0)
	if workers < 2 {
		return p.run(ctx, one, nil)
	}
	batches := 2*workers + 1
	c := &crew{g: g, emit: emit, step: step, jobs: make(chan *job, batches), done: make(chan *job, batches)}
	var running sync.WaitGroup
	defer running.Wait()
	defer close(c.jobs)
	for range workers {
		d, m := event.NewDecoder(p.Schema), g.Matcher()
		running.Go(func() {
			for j := range c.jobs {
				c.work(j, d, m)
				c.done <- j
			}
		})
	}
	for range batches {
		c.idle = append(c.idle, &job{})
	}
	return p.run(ctx, one, c)
}

// A crew is what Detect's goroutines share. All but work is the reader's own.
type crew struct {
	g      *detect.Engine
	enrich func(*event.Event) // nil if events are not
	emit   func(*alert.Alert)
	step   func(events int) error

	jobs, done chan *job // with room for all
	queue      []*job    // in the order of the input
	read       int       // of queue, those that are part of the stream
	idle       []*job
}

// A job is a batch on its way.
type job struct {
	ecs.Batch
	state state
	out   bool // a worker has it
	timed bool // the time of every event counts

	events []*event.Event // memory, of which n are in use
	hits   []detect.Hits  // by event
	n      int

	others, filtered int // events that nothing is to be done with, and of them those of no rule's category
}

// state is what is to be done with a job next.
type state uint8

const (
	toDecode state = iota
	toEnrich
	toMatch
	toApply
)

// work is what workers do: decode, match, or both if nothing comes between.
func (c *crew) work(j *job, d *event.Decoder, m *detect.Matcher) {
	if j.state == toMatch {
		for i := range j.n {
			m.Match(j.events[i], &j.hits[i])
		}
		j.state = toApply
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
	j.state = toEnrich
}

// firstPenalty is how many bytes are read without batches after a line that was no
// document. The next one doubles it, and batches that are whole make it less.
const firstPenalty = 256 << 10

// run reads an input of documents, those that are read without batches to emit.
func (c *crew) run(ctx context.Context, r *ecs.Reader, emit func(*event.Event) error) error {
	defer c.rest()
	r.Begin(ctx, emit)
	alone, penalty := int64(0), int64(firstPenalty)
	for more := true; more || len(c.queue) > 0; {
		c.collect(false)
		switch n := len(c.queue); {
		case c.read < n && !c.queue[c.read].out:
			if !c.admit(r) {
				alone, penalty = r.Offset()+penalty, min(2*penalty, 1<<40)
			}
		case n > 0 && !c.queue[0].out:
			if err := c.apply(); err != nil {
				return err
			}
			penalty = max(penalty-penalty/16, firstPenalty)
		case more && len(c.idle) > 0 && r.Offset() >= alone && r.Cut(&c.idle[len(c.idle)-1].Batch):
			j := c.idle[len(c.idle)-1]
			c.idle, c.queue = c.idle[:len(c.idle)-1], append(c.queue, j)
			j.timed = c.g.Timed()
			c.give(j, toDecode)
		case n > 0:
			c.collect(true)
		default:
			var err error
			if more, err = r.Step(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// give gives a job to the workers.
func (c *crew) give(j *job, what state) {
	j.state, j.out = what, true
	c.jobs <- j
}

// collect takes jobs back from the workers, waiting for one if need be.
func (c *crew) collect(wait bool) {
	for {
		if wait {
			(<-c.done).out = false
			wait = false
		}
		select {
		case j := <-c.done:
			j.out = false
		default:
			return
		}
	}
}

// rest waits until no worker has a job.
func (c *crew) rest() {
	for slices.ContainsFunc(c.queue, func(j *job) bool { return j.out }) {
		c.collect(true)
	}
	c.idle, c.queue, c.read = append(c.idle, c.queue...), c.queue[:0], 0
}

// admit takes the next job of the queue that is decoded into the stream. Where it is not
// whole, it reports false, and it is the last of the queue.
func (c *crew) admit(r *ecs.Reader) (whole bool) {
	j, later := c.queue[c.read], c.queue[c.read+1:]
	if whole = j.Whole(); whole {
		r.Count(&j.Batch)
	} else {
		var after []*ecs.Batch
		for _, l := range later {
			for l.out {
				c.collect(true)
			}
			after = append(after, &l.Batch)
		}
		r.Count(&j.Batch, after...)
		c.idle, c.queue = append(c.idle, later...), c.queue[:c.read+1]
	}
	c.read++
	if c.enrich == nil {
		j.state = toApply
		return whole
	}
	for _, e := range j.events[:j.n] {
		c.enrich(e)
	}
	c.give(j, toMatch)
	return whole
}

// apply tells the engine of the first job of the queue.
func (c *crew) apply() error {
	j := c.queue[0]
	c.g.Skip(j.others, j.filtered)
	for i, e := range j.events[:j.n] {
		c.g.Apply(e, &j.hits[i], c.emit)
	}
	c.queue, c.idle, c.read = slices.Delete(c.queue, 0, 1), append(c.idle, j), c.read-1
	return c.step(j.n + j.others)
}
