package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/orlop/orlop/internal/agent"
)

// progress shows on a terminal how far a replay is, and how many events it does
// a second, on one line:
//
//	[########----------------]  34%  0.6/1.6 GB  98000/s  12 alerts  14s left
//
// On anything else it is silent.
type progress struct {
	w      io.Writer
	width  int // of the terminal, 0 for silence
	shared bool
	replay *agent.Replay
	start  time.Time
	drawn  time.Time // the last time
	shown  bool
	n      int64 // events
	alerts int64
}

// newProgress returns a progress on w, which is shared if alerts go to the same
// terminal.
func newProgress(w io.Writer, r *agent.Replay, quiet, shared bool) *progress {
	p := &progress{w: w, replay: r, start: time.Now(), shared: shared}
	if !quiet {
		p.width = terminal(w)
	}
	return p
}

// events counts some, and now and then shows how far the replay is.
func (p *progress) events(n int) {
	before := p.n
	if p.n += int64(n); p.width == 0 || p.n>>8 == before>>8 {
		return
	}
	now := time.Now()
	if now.Sub(p.drawn) < 100*time.Millisecond || now.Sub(p.start) < 300*time.Millisecond {
		return
	}
	p.drawn, p.shown = now, true
	read, total := p.replay.Progress()
	fmt.Fprintf(p.w, "\r%s\x1b[K", clip(p.line(read, total, now.Sub(p.start)), p.width-1))
}

func (p *progress) line(read, total int64, took time.Duration) string {
	rest := fmt.Sprintf("%d/s  %s", int64(float64(p.n)/took.Seconds()), count(int(p.alerts), "alert"))
	if total <= 0 {
		return fmt.Sprintf("%s  %s", amount(read), rest)
	}
	cells := 24
	if p.width < 100 {
		cells = 10
	}
	part := min(float64(read)/float64(total), 1)
	full := int(part * float64(cells))
	line := fmt.Sprintf("[%s%s] %3.0f%%  %s of %s  %s", strings.Repeat("#", full), strings.Repeat("-", cells-full), part*100, amount(read), amount(total), rest)
	if part > 0.01 {
		left := time.Duration(float64(took) * (1 - part) / part)
		line += fmt.Sprintf("  %s left", left.Round(time.Second))
	}
	return line
}

// amount is a number of bytes for people.
func amount(n int64) string {
	f := float64(n)
	for _, unit := range []string{"B", "kB", "MB"} {
		if f < 1000 {
			return fmt.Sprintf("%.3g %s", f, unit)
		}
		f /= 1000
	}
	return fmt.Sprintf("%.3g GB", f)
}

// alert counts an alert, and makes room for its line.
func (p *progress) alert() {
	p.alerts++
	if p.shared {
		p.done()
	}
}

// done takes the line away.
func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
