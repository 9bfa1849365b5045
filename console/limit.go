package console

import (
	"sync"
	"time"
)

// A limiter bounds how often something is tried, by a name: a burst, then one each
// interval. It keeps a bounded number of names.
type limiter struct {
	mu   sync.Mutex
	full map[string]time.Time // when the name has its whole burst again
}

const mostNames = 10_000

func newLimiter() *limiter { return &limiter{full: map[string]time.Time{}} }

// take counts a try, and returns how long to wait if it is one too many.
func (l *limiter) take(now time.Time, name string, burst int, each time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.full[name]
	if at.Before(now) {
		at = now
	}
	if wait := at.Sub(now) - time.Duration(burst-1)*each; wait > 0 {
		return wait
	}
	if len(l.full) >= mostNames {
		for n, t := range l.full {
			if !t.After(now) {
				delete(l.full, n)
			}
		}
		if len(l.full) >= mostNames { // all are being tried: nobody gets in for a while
			return each
		}
	}
	l.full[name] = at.Add(each)
	return 0
}

func (l *limiter) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.full, name)
}
