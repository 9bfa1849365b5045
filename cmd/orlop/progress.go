package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/orlop/orlop/internal/agent"
)

// progress shows on a terminal how far a replay is: bytes, events a second and
// alerts. On anything else it is silent.
type progress struct {
	replay *agent.Replay
	bar    *progressbar.ProgressBar
	start  time.Time
	events int64
	alerts int64
}

func newProgress(w io.Writer, r *agent.Replay, quiet bool) *progress {
	p := &progress{replay: r, start: time.Now()}
	if terminal(w) == 0 || quiet {
		return p
	}
	_, total := r.Progress()
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(total > 0),
	)
	return p
}

// event counts an event, and now and then looks how far the replay is.
func (p *progress) event() {
	if p.events++; p.bar == nil || p.events%1024 != 0 {
		return
	}
	rate := float64(p.events) / time.Since(p.start).Seconds()
	p.bar.Describe(fmt.Sprintf("%.0f events/s, %d alerts", rate, p.alerts))
	read, _ := p.replay.Progress()
	p.set(read)
}

// alert makes room for a line of output.
func (p *progress) alert() {
	p.alerts++
	if p.bar != nil {
		p.clear()
	}
}

func (p *progress) done() {
	if p.bar != nil {
		p.clear()
	}
}

// The bar cannot fail in a way that matters: it is on a terminal, and only says
// how far things are.
func (p *progress) set(n int64) { p.bar.Set64(n) }
func (p *progress) clear()      { p.bar.Clear() }
