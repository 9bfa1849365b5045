package sinktest

import (
	"slices"
	"sync"
	"time"
)

// A Clock stands still until it is told.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	timers  []timer
	changed chan struct{}
}

type timer struct {
	at time.Time
	d  time.Duration
	c  chan time.Time
}

// NewClock returns a Clock at some time.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC), changed: make(chan struct{})}
}

// Now is the time that the Clock was told.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After sends the time once it is d from now.
func (c *Clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := timer{c.now.Add(d), d, make(chan time.Time, 1)}
	c.timers = append(c.timers, t)
	close(c.changed)
	c.changed = make(chan struct{})
	return t.c
}

// Advance moves the time on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.timers = slices.DeleteFunc(c.timers, func(t timer) bool {
		if t.at.After(c.now) {
			return false
		}
		t.c <- c.now
		return true
	})
}

// Await returns when somebody waits for a time that the wish is true of, and how
// long they wait in all.
func (c *Clock) Await(wish func(d time.Duration) bool) time.Duration {
	for {
		c.mu.Lock()
		for _, t := range c.timers {
			if wish(t.d) {
				c.mu.Unlock()
				return t.d
			}
		}
		changed := c.changed
		c.mu.Unlock()
		<-changed
	}
}
