//go:build linux

package bpf

import "time"

// looks bound how long, and in how many goroutines, files are looked at that may lie in
// a file system of somebody's own.
type looks struct {
	token chan struct{} // one for each look under way
	timer *time.Timer
}

const (
	maxLooks = 4
	patience = 500 * time.Millisecond
)

func (l *looks) init() {
	l.token = make(chan struct{}, maxLooks)
	l.timer = time.NewTimer(0)
	<-l.timer.C
}

// within returns what f does, or false if that takes too long or all are held up.
func within[T any](l *looks, f func() (T, bool)) (v T, ok bool) {
	select {
	case l.token <- struct{}{}:
	default:
		return v, false
	}
	type answer struct {
		v  T
		ok bool
	}
	got := make(chan answer, 1)
	go func() {
		defer func() { <-l.token }()
		v, ok := f()
		got <- answer{v, ok}
	}()
	l.timer.Reset(patience)
	defer l.timer.Stop()
	select {
	case a := <-got:
		return a.v, a.ok
	case <-l.timer.C:
		return v, false
	}
}
