package sink

import "time"

// A Clock is where an outbox has the time from.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// How long after a failure a sink is tried again: twice as long each time, less up
// to half of it by chance, so that a fleet does not come back at one moment.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
	// A peer may ask for more patience, to a limit.
	mostPatience = 15 * time.Minute
)

// backoff is how long to wait after so many failures in a row. Chance is in [0, 1).
func backoff(failures int, chance float64) time.Duration {
	d := lastRetry
	if failures < 10 {
		d = min(d, firstRetry<<(failures-1))
	}
	return d/2 + time.Duration(float64(d/2)*chance)
}
