package agent

import (
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
	l.log(slog.LevelInfo, "going on from the checkpoint", "of", c.Time, "events", len(c.Engine.Events), "processes", len(c.Table.Processes))
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
// as the disk takes.
func (l *Live) save() {
	l.mu.Lock()
	c := l.snapshot()
	l.mu.Unlock()
	if c == nil {
		return
	}
	var n int64
	err := l.settle()
	if err == nil {
		n, err = l.State.finish(c)
	}
	l.mu.Lock()
	l.State.finished(c, n, err)
	l.mu.Unlock()
}
