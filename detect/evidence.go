package detect

import (
	"time"

	"github.com/orlop/orlop/event"
)

// Evidence is what is not known of the time around an alert: orlop.evidence of its
// document, where zeros are left out.
type Evidence struct {
	Lost            int64 `json:"lost,omitempty"`             // events that nobody read
	Late            int64 `json:"late,omitempty"`             // events that came too late for sequences
	TruncatedEvents int64 `json:"truncated_events,omitempty"` // events that were not read whole
	Unwatched       int64 `json:"unwatched,omitempty"`        // seconds in which nobody watched
	Evicted         int   `json:"evicted,omitempty"`          // partial sequences given up for want of memory, ever

	// The rule asks for an event not to be there, and that one may have been lost.
	AbsenceUncertain bool `json:"absence_uncertain,omitempty"`
}

func (g *Engine) evidence(from, to time.Time) Evidence {
	if g.opts.Evidence == nil || from.IsZero() {
		return Evidence{}
	}
	return g.opts.Evidence(from, to)
}

// window is the time that a match speaks of. If an event is absent, it could have
// been anywhere within maxspan.
func (a *active) window(events []*event.Event) (from, to time.Time, absent bool) {
	for _, e := range events {
		switch {
		case e == nil:
			absent = true
		case from.IsZero():
			from, to = e.Time, e.Time
		default:
			if e.Time.Before(from) { // of a sample
				from = e.Time
			}
			if e.Time.After(to) {
				to = e.Time
			}
		}
	}
	if absent {
		first, last := from, to
		if at := last.Add(-a.query.Span); at.Before(from) {
			from = at
		}
		if at := first.Add(a.query.Span); at.After(to) {
			to = at
		}
	}
	return from, to, absent
}
