//go:build linux

package audit

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/procfs"
	"github.com/orlop/orlop/source"
)

// every is how often the clock moves on when nothing comes.
const every = 500 * time.Millisecond

// A core is what the live sources of audit have in common: they put records together
// and know the host.
type core struct {
	o     Options
	since int64 // a time before the first event, in nanoseconds since 1970
	host  *hostLook
	r     *Reassembler

	mu     sync.Mutex
	counts Stats // as of the last event
}

func newCore(o Options) (*core, error) {
	h, err := procfs.NewHost(o.Host)
	if err != nil {
		return nil, err
	}
	c := &core{o: o, since: time.Now().Add(-coarse).UnixNano(), host: &hostLook{h: h, pids: procfs.HostPIDs()}, r: NewReassembler(o.Schema)}
	c.r.parse.local = c.host
	if o.LoginUID != nil {
		c.r.only = strconv.AppendUint(nil, uint64(*o.LoginUID), 10)
	}
	return c, nil
}

// coarse is how far the clock of audit's records may be behind: a tick.
const coarse = 10 * time.Millisecond

// counted is emit, with what has been counted up to the event.
func (c *core) counted(emit func(*event.Event) error) func(*event.Event) error {
	return func(e *event.Event) error {
		c.publish(false)
		c.o.Emitted()
		return emit(e)
	}
}

// publish makes the counters those of this moment.
func (c *core) publish(final bool) {
	n := c.r.counts // Without what may still come.
	if final {
		n = c.r.Counts()
	}
	c.mu.Lock()
	c.counts.Counts, c.counts.Filtered, c.counts.Waiting = n, c.r.filtered, int64(c.r.n)
	c.mu.Unlock()
}

// existing emits the processes that are there already.
func (c *core) existing(emit func(*event.Event) error) error {
	if c.o.NoSeed || !c.host.pids {
		return nil
	}
	all, err := procfs.Processes()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	dec := event.NewDecoder(c.o.Schema)
	var e event.Event
	return c.host.h.Existing(all, c.since, func(doc []byte, seq uint64) error {
		origin := event.Origin{Source: "proc", Offset: int64(seq)}
		if err := dec.Decode(doc, &e); err != nil {
			c.o.Refuse(source.Rejection{Origin: origin, Class: source.ClassSyntax, Reason: "proc: bug: " + err.Error(), Data: doc})
			return nil
		}
		e.Origin = origin
		c.o.Emitted()
		c.mu.Lock()
		c.counts.Seeded++
		c.mu.Unlock()
		return emit(&e)
	})
}

// advance moves the clock on.
func (c *core) advance(now time.Time, emit func(*event.Event) error) error {
	c.host.h.Refresh()
	return c.r.Advance(now, emit)
}

// finish emits what is pending.
func (c *core) finish(emit func(*event.Event) error) error {
	err := c.r.Flush(emit)
	c.publish(true)
	return err
}

// line puts a line of text together with others.
func (c *core) line(rec *Record, line []byte, origin event.Origin, emit func(*event.Event) error) error {
	if err := rec.Parse(line); err != nil {
		c.o.Refuse(source.Rejection{Origin: origin, Class: source.ClassRecord, Reason: err.Error(), Data: line})
		return nil
	}
	return c.r.Push(rec, origin, emit)
}

// follow calls look whenever it may find more, which is what wake or the passing of
// time says, until it finds that there will be no more or ctx ends, and advance when
// the clock has moved on.
func (c *core) follow(ctx context.Context, wake <-chan struct{}, look func() (over bool, err error), advance func(now time.Time) error) error {
	tick := time.NewTicker(glimpse)
	defer tick.Stop()
	moved := time.Now()
	for {
		ended := ctx.Err() != nil // before it looks, so that it sees what came before that
		over, err := look()
		if err != nil {
			return err
		}
		c.publish(false)
		if over || ended {
			return nil
		}
		select {
		case <-ctx.Done(): // and once more
		case <-wake:
		case now := <-tick.C:
			if now.Sub(moved) >= every {
				moved = now
				if err := advance(now); err != nil {
					return err
				}
			}
		}
	}
}

// glimpse is how often a file is looked at.
const glimpse = 100 * time.Millisecond
