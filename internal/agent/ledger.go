package agent

import (
	"slices"
	"time"

	"github.com/orlop/orlop/detect"
)

// A ledger remembers when what was not seen as it should be: for the evidence of
// alerts. All live sources are of this host, so there is one for all of them.
type ledger struct {
	entries []entry // in the order in which they were noted
}

// entry is what happened between two moments; nobody knows when exactly.
type entry struct {
	from, to              time.Time
	lost, late, truncated int64
	unwatched             bool
}

// maxEntries bounds a ledger. Of more, neighbours become one.
const maxEntries = 4096

// around is how far from a moment a loss still speaks of it.
const around = time.Minute

// note adds an entry. Those of a second are one.
func (l *ledger) note(e entry) {
	if e.to.Before(e.from) {
		e.to = e.from
	}
	if n := len(l.entries); n > 0 && !e.unwatched {
		if last := &l.entries[n-1]; !last.unwatched && !e.from.Before(last.from) && e.to.Sub(last.from) < time.Second {
			last.join(e)
			return
		}
	}
	if len(l.entries) >= maxEntries {
		half := l.entries[:0]
		for pair := range slices.Chunk(l.entries, 2) {
			e := pair[0]
			if len(pair) > 1 {
				e.join(pair[1])
			}
			half = append(half, e)
		}
		l.entries = half
	}
	l.entries = append(l.entries, e)
}

func (e *entry) join(o entry) {
	if o.from.Before(e.from) {
		e.from = o.from
	}
	if o.to.After(e.to) {
		e.to = o.to
	}
	e.lost += o.lost
	e.late += o.late
	e.truncated += o.truncated
	e.unwatched = e.unwatched || o.unwatched
}

// evidence sums up what is near the time between two moments.
func (l *ledger) evidence(from, to time.Time) detect.Evidence {
	var ev detect.Evidence
	var unwatched time.Duration
	from = from.Add(-around)
	for i := range l.entries {
		e := &l.entries[i]
		if e.to.Before(from) || e.from.After(to) {
			continue
		}
		ev.Lost += e.lost
		ev.Late += e.late
		ev.TruncatedEvents += e.truncated
		if e.unwatched {
			unwatched += e.to.Sub(e.from)
		}
	}
	if unwatched > 0 {
		ev.Unwatched = int64((unwatched + time.Second - 1) / time.Second)
	}
	return ev
}
