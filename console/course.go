package console

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	sampleEach = 10 * time.Second
	courseSpan = time.Hour
)

// A course is how the numbers of sources changed in the last hour, in memory.
type course struct {
	mu      sync.Mutex
	samples []sample // the latest last
}

type sample struct {
	at time.Time
	of map[string]Source
}

// follow takes samples until ctx ends.
func (s *Server) follow(ctx context.Context) {
	tick := time.NewTicker(sampleEach)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.course.add(s.o.Now(), s.o.Sources())
		case <-ctx.Done():
			return
		}
	}
}

// add takes a sample. One that is before the last begins anew: the clock was set.
func (c *course) add(at time.Time, sources []Source) {
	of := map[string]Source{}
	for _, x := range sources {
		if x.Live {
			of[x.Name] = x
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.samples); n > 0 {
		switch last := c.samples[n-1].at; {
		case at.Equal(last):
			return
		case at.Before(last):
			c.samples = nil
		}
	}
	old := 0 // one from before the hour is where its first difference begins
	for old+1 < len(c.samples) && c.samples[old+1].at.Before(at.Add(-courseSpan)) {
		old++
	}
	c.samples = append(c.samples[:0], c.samples[old:]...)
	c.samples = append(c.samples, sample{at, of})
}

// A line is one number over time, 360 wide and 40 high.
type line struct {
	Name, Now, Most string
	Path            string
	Bad             bool // it should be 0, and was not
}

// lines are those of a source: none until there are two samples of it.
func (c *course) lines(name string, now time.Time) []line {
	c.mu.Lock()
	defer c.mu.Unlock()
	type step struct {
		from, to time.Time
		was, is  Source
	}
	var steps []step
	for i := 1; i < len(c.samples); i++ {
		a, b := c.samples[i-1], c.samples[i]
		was, ok := a.of[name]
		is, ok2 := b.of[name]
		if ok && ok2 && !b.at.After(now) && now.Sub(b.at) < courseSpan {
			steps = append(steps, step{a.at, b.at, was, is})
		}
	}
	if len(steps) == 0 {
		return nil
	}
	more := func(was, is uint64) float64 { // a counter that is less began anew
		if is < was {
			return 0
		}
		return float64(is - was)
	}
	count := func(f func(Source) uint64) func(step) float64 {
		return func(s step) float64 { return more(f(s.was), f(s.is)) }
	}
	var out []line
	for _, k := range []struct {
		name  string
		bad   bool
		value func(step) float64
		say   func(float64) string
	}{
		{"Rate", false, func(s step) float64 { return more(s.was.In, s.is.In) / s.to.Sub(s.from).Seconds() }, func(f float64) string { return fmt.Sprintf("%s/s", brisk(f)) }},
		{"Lag", false, func(s step) float64 { return s.is.lag(s.to).Seconds() }, func(f float64) string { return brisk(f) + " s" }},
		{"Late", true, count(func(x Source) uint64 { return x.Late }), brisk},
		{"Rejected", true, count(func(x Source) uint64 { return x.Rejected }), brisk},
		{"Lost", true, count(func(x Source) uint64 { return x.Lost }), brisk},
	} {
		most, last := 0.0, 0.0
		for _, s := range steps {
			last = k.value(s)
			most = max(most, last)
		}
		var path strings.Builder
		x := func(at time.Time) float64 {
			return max(360*(1-now.Sub(at).Seconds()/courseSpan.Seconds()), 0)
		}
		for _, s := range steps {
			if v := k.value(s); v > 0 {
				h := max(38*v/most, 1) // what there was is seen
				fmt.Fprintf(&path, "M%.1f 40V%.1fH%.1fV40z", x(s.from), 40-h, x(s.to))
			}
		}
		out = append(out, line{k.name, k.say(last), k.say(most), path.String(), k.bad && most > 0})
	}
	return out
}

// lag is how long ago the newest event happened, if others wait.
func (x Source) lag(now time.Time) time.Duration {
	if x.Waiting == 0 || x.Newest.IsZero() {
		return 0
	}
	return max(now.Sub(x.Newest), 0)
}

// brisk is a number with as many digits as tell something.
func brisk(f float64) string {
	if f >= 10 || f == float64(int64(f)) {
		return number(int(f + 0.5))
	}
	return fmt.Sprintf("%.1f", f)
}
