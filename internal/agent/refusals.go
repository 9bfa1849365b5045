package agent

import (
	"log/slog"
	"time"

	"github.com/orlop/orlop/source"
)

// often is how long the log says nothing more of rejections of a class.
const often = time.Minute

// Refusals returns a function that logs what a source cannot read, and why: of each
// class of reasons a line a minute at most, which says how many it stands for. It is for
// one goroutine.
func Refusals(log *slog.Logger, stream string, now func() time.Time) func(source.Rejection) {
	type told struct {
		at    time.Time
		since int // rejections that no line was written for
	}
	classes := map[string]*told{}
	return func(r source.Rejection) {
		c := classes[r.Class]
		if c == nil {
			c = &told{}
			classes[r.Class] = c
		}
		c.since++
		if t := now(); c.at.IsZero() || t.Sub(c.at) >= often || t.Before(c.at) {
			log.Warn("rejected", "source", stream, "events", c.since, "class", r.Class, "reason", r.Reason, "at", r.Origin.Source, "offset", r.Origin.Offset)
			c.at, c.since = t, 0
		}
	}
}
