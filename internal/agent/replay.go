package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
	"github.com/orlop/orlop/source/ecs"
)

// A Replay runs recorded inputs, one after the other, the one with the earliest
// first event first, through the enricher.
type Replay struct {
	Schema *event.Schema
	Format source.Format            // "" is found out for each input
	Enrich bool                     // fill what the stream has shown; see package enrich
	Reject func(r source.Rejection) // told of what cannot be read; may be nil
	Inputs []*source.Input
	Tuning *Tuning // who is exempt, if events are enriched; may be nil

	// Literals says which lines are of interest; nil is that all are. It has no effect
	// where all are for another reason: they are enriched, or Reject wants to know of
	// each that cannot be read.
	Literals source.Literals

	Ended func(*source.Input) // told of an input that has been read to its end; may be nil

	Stats source.Stats // may be looked at while Run runs
	Audit audit.Counts // of the records of audit logs, once Run has returned
}

// Run calls emit for each event of each input. What cannot be read is counted
// and rejected, and the run goes on; an error is that of ctx or of emit.
func (p *Replay) Run(ctx context.Context, emit func(*event.Event) error) error {
	return p.run(ctx, emit, nil)
}

// run is Run, with a crew for inputs that can do with one; nil is that there is none.
func (p *Replay) run(ctx context.Context, emit func(*event.Event) error, c *crew) error {
	o := source.Options{Schema: p.Schema, Stats: &p.Stats, Reject: p.Reject}
	if !p.Enrich && p.Reject == nil {
		o.Literals = p.Literals
	}
	next := emit
	if p.Enrich {
		x := enrich.New(p.Schema, enrich.Options{})
		fill := func(e *event.Event) {
			x.Apply(e)
			if p.Tuning != nil {
				p.Tuning.Apply(e)
			}
		}
		next = func(e *event.Event) error {
			fill(e)
			return emit(e)
		}
		if c != nil {
			c.enrich = fill
		}
	}
	inputs := slices.Clone(p.Inputs)
	if err := chronological(ctx, inputs); err != nil {
		return err
	}
	for _, in := range inputs {
		if err := p.read(ctx, in, o, next, c); err != nil {
			return err
		}
		if p.Ended != nil {
			p.Ended(in)
		}
	}
	return nil
}

func (p *Replay) read(ctx context.Context, in *source.Input, o source.Options, emit func(*event.Event) error, c *crew) (err error) {
	defer func() {
		if e := in.Close(); err == nil {
			err = e
		}
	}()
	format := p.Format
	if format == source.Unknown {
		if format, err = in.Format(ctx); err != nil {
			return err
		}
	}
	if format == source.Unknown {
		// Nothing tells what it is: read as documents, each line of what is
		// there is rejected with its reason, and an empty file is no events.
		format = source.ECS
	}
	for _, r := range readers {
		if r.format == format {
			src := r.open(in, o)
			// What comes through a pipe may be all there is for now.
			if docs, ok := src.(*ecs.Reader); ok && c != nil && in.Size() >= 0 {
				return c.run(ctx, docs, emit)
			}
			if a, ok := src.(*audit.Reader); ok {
				defer func() { p.count(a.Counts()) }()
			}
			return src.Run(ctx, emit)
		}
	}
	return fmt.Errorf("agent: bug: format %q", format)
}

func (p *Replay) count(c audit.Counts) {
	p.Audit.Events += c.Events
	p.Audit.Incomplete += c.Incomplete
	p.Audit.Evicted += c.Evicted
	p.Audit.Late += c.Late
	p.Audit.Gaps += c.Gaps
}

// Progress says how many of the inputs' stored bytes have been read, and of how
// many; total is -1 where that cannot be known. It may be called while Run runs.
func (p *Replay) Progress() (read, total int64) {
	for _, in := range p.Inputs {
		read += in.Read()
		if n := in.Size(); n < 0 || total < 0 {
			total = -1
		} else {
			total += n
		}
	}
	return read, total
}

// Discard closes inputs that are not run.
func Discard(inputs []*source.Input) error {
	var errs []error
	for _, in := range inputs {
		errs = append(errs, in.Close())
	}
	return errors.Join(errs...)
}
