package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
)

// A Live runs the rules over what happens on this host.
type Live struct {
	Schema *event.Schema
	Source LiveSource
	Engine *detect.Engine   // nil only hands events on, enriched
	Tuning *Tuning          // who is exempt; may be nil
	Tick   <-chan time.Time // when the time has moved on: about twice a second
	Log    *slog.Logger     // nil is none

	mu   sync.Mutex
	loss loss
}

// An Account says what became of all that happened: In is Evaluated + Filtered +
// Rejected + Lost + Waiting. Late is the part of Evaluated that came too late for
// sequences.
type Account struct {
	In, Evaluated, Filtered, Rejected, Lost, Waiting, Late, Alerts int64
}

func (a Account) String() string {
	s := fmt.Sprintf("%d = %d evaluated + %d filtered + %d rejected + %d lost", a.In, a.Evaluated, a.Filtered, a.Rejected, a.Lost)
	if a.Waiting > 0 {
		s += fmt.Sprintf(" + %d waiting", a.Waiting)
	}
	return s
}

// loss is what has been lost of late.
type loss struct {
	total  int64 // as of the last tick
	recent int64 // in the window
	at     time.Time
}

// lossWindow is how long after a loss events carry orlop.evidence.lost.
const lossWindow = time.Minute

// reportEvery is how often the account is logged.
const reportEvery = time.Minute

// Run emits an alert for each match until ctx ends and what happened until then is
// judged, or until the source fails or emit does. Alerts come one at a time.
func (l *Live) Run(ctx context.Context, emit func(*alert.Alert) error) error {
	var failed error
	raise := func(a *alert.Alert) {
		if failed == nil {
			failed = emit(a)
		}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var logged time.Time
		for {
			select {
			case <-done:
				return
			case now := <-l.Tick:
				l.mu.Lock()
				if l.Engine != nil {
					l.Engine.Advance(now, raise)
				}
				l.tick(now)
				account := l.look()
				l.mu.Unlock()
				if logged.IsZero() {
					logged = now
				} else if now.Sub(logged) >= reportEvery {
					logged = now
					l.log("account", "events", account.String(), "late", account.Late, "alerts", account.Alerts)
				}
			}
		}
	})
	err := l.Events(ctx, func(e *event.Event) error {
		if l.Engine == nil {
			return nil
		}
		l.Engine.Process(e, raise)
		return failed
	})
	close(done)
	wg.Wait()
	if err == nil && l.Engine != nil {
		l.Engine.Flush(raise)
		err = failed
	}
	return err
}

// Events calls f for each event, enriched, until ctx ends. Run is made of it.
func (l *Live) Events(ctx context.Context, f func(*event.Event) error) error {
	x := enrich.New(l.Schema, enrich.Options{})
	truncated := l.Schema.Field("orlop.evidence.truncated")
	lost := l.Schema.Field("orlop.evidence.lost")
	return l.Source.Run(ctx, func(e *event.Event) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		x.Apply(e)
		if l.Tuning != nil {
			l.Tuning.Apply(e)
		}
		// An alert takes nobody's word for evidence but ours.
		if v := e.Get(truncated); v.Exists() {
			e.Set(truncated, v)
		}
		if l.loss.recent > 0 {
			e.Set(lost, event.Int(l.loss.recent))
		}
		return f(e)
	})
}

// tick looks whether events were lost. The caller holds mu.
func (l *Live) tick(now time.Time) {
	total := l.Source.Intake().Lost
	switch n := total - l.loss.total; {
	case n > 0:
		if l.loss.recent == 0 {
			l.log("events are lost: they are not read as fast as they happen", "lost", n)
		}
		l.loss.total, l.loss.at = total, now
		l.loss.recent += n
	case l.loss.recent > 0 && now.Sub(l.loss.at) > lossWindow:
		l.loss.recent = 0
	}
}

// Account says what became of what happened so far.
func (l *Live) Account() Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.look()
}

func (l *Live) look() Account {
	in := l.Source.Intake()
	a := Account{In: in.Seen, Filtered: in.Filtered, Lost: in.Lost, Waiting: in.Waiting, Evaluated: in.Emitted}
	if l.Engine != nil {
		st := l.Engine.Stats()
		a.Evaluated, a.Late, a.Alerts = int64(st.Evaluated), int64(st.Late), int64(st.Alerts)
		a.Filtered += int64(st.Filtered)
		a.Rejected = in.Emitted - int64(st.In) // what could not be read
	}
	return a
}

func (l *Live) log(msg string, args ...any) {
	if l.Log != nil {
		l.Log.Info(msg, args...)
	}
}
