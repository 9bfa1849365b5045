package agent

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"
)

// Restore makes l, which has its rules and streams and has not run, go on from the
// checkpoint of its State. One that does not fit is told to the log, and l begins anew.
func (l *Live) Restore() {
	if l.State == nil || l.State.at == nil {
		return
	}
	c := l.State.at
	defer func() { c.Engine, c.Table, c.Raised = nil, nil, nil }() // nobody asks for them again
	table := newTable(l.Schema)
	if err := table.Restore(c.Table); err != nil {
		l.log(slog.LevelError, "the checkpoint is not used, the run begins anew", "reason", err)
		return
	}
	l.expect() // so that no other source is waited for, which the earlier run may have had
	if err := l.Engine.Restore(c.Engine); err != nil {
		l.log(slog.LevelError, "the checkpoint is not used, the run begins anew", "reason", err)
		return
	}
	l.enricher = table
	said := []any{"events", len(c.Engine.Events), "processes", len(c.Table.Processes)}
	if !c.Time.IsZero() { // An earlier run has seen an event.
		said = append([]any{"of", c.Time}, said...)
	}
	l.log(slog.LevelInfo, "going on from the checkpoint", said...)
}

// resumed notes the time in which nobody watched, when the run sees its first event
// or tick. The caller holds mu.
func (l *Live) resumed(now time.Time) {
	if l.awake {
		return
	}
	l.awake = true
	if l.State == nil || l.State.at == nil || l.State.at.Time.IsZero() || !l.State.at.Time.Before(now) {
		return
	}
	for _, s := range l.Streams {
		if _, ok := s.Source.(Resumer); !ok {
			l.ledger.note(entry{from: l.State.at.Time, to: now, unwatched: true})
			return
		}
	}
}

// unplaced reports whether a source could go on where this run ends, and no checkpoint
// says yet where this one has begun.
func (l *Live) unplaced() bool {
	return slices.ContainsFunc(l.Streams, func(s *Stream) bool {
		_, ok := s.Source.(Resumer)
		return ok && l.State.Position(s.Name, s.About) == nil
	})
}

// snapshot returns a checkpoint of this moment, or nil if there is none. The caller
// holds mu.
func (l *Live) snapshot() *Checkpoint {
	c := &Checkpoint{Time: l.now, Sources: map[string]Position{}}
	if l.now.IsZero() && l.State.at != nil {
		c.Time = l.State.at.Time // Nothing was watched since.
	}
	for _, s := range l.Streams {
		r, ok := s.Source.(Resumer)
		if !ok {
			continue
		}
		at, n := r.Position()
		for try := 0; n != s.handed; try++ {
			if try == patience {
				return nil // At the next tick, then.
			}
			// emit has returned and the source is about to note it. It cannot
			// get further than the next emit, which waits for us.
			runtime.Gosched()
			at, n = r.Position()
		}
		c.Sources[s.Name] = Position{About: s.About, At: at}
	}
	c.Engine, c.Table = l.Engine.State(), l.enricher.State()
	l.saved = l.now
	l.State.begin(c)
	return c
}

// patience is how often a source is asked where it is.
const patience = 10000

// save writes a checkpoint of this moment, and does not hold up events for as long
// as the disk takes. An error has been noted.
func (l *Live) save() error {
	l.mu.Lock()
	c := l.snapshot()
	l.mu.Unlock()
	if c == nil {
		return nil
	}
	var n int64
	err := l.settle()
	if err == nil {
		n, err = l.State.finish(c)
	}
	l.mu.Lock()
	l.State.finished(c, n, err)
	l.mu.Unlock()
	if n > 0 {
		return nil // What failed is room for another one.
	}
	return err
}

// Keep writes the last checkpoint of Run once more if that failed: since then the sinks
// may have got what the outbox could not keep. The caller calls it when Run has returned
// and the outbox has delivered, and is not closed yet. The error says why the next run
// does not go on where this one has ended.
func (l *Live) Keep() error {
	if l.State == nil {
		return nil
	}
	l.mu.Lock()
	failing := l.State.ailing.checkpoint != ""
	l.mu.Unlock()
	if !failing {
		return nil
	}
	if err := l.save(); err != nil {
		return fmt.Errorf("the state of the run is not kept, so the next one may repeat alerts: %w", err)
	}
	return nil
}
