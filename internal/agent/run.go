package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/bpf"
)

// A LiveSource is a source of what happens on this host.
type LiveSource interface {
	source.Source
	fmt.Stringer // what it is attached to
	io.Closer

	// Intake says what became of what happened. It may be called at any time.
	Intake() Intake
}

// An Intake accounts for what a live source saw: Seen is Emitted + Filtered + Lost
// + Waiting, and what was rejected.
type Intake struct {
	Seen     int64 // all that happened
	Emitted  int64
	Filtered int64 // known to be nothing new
	Lost     int64 // dropped, because nobody read fast enough
	Waiting  int64 // not read yet
}

// LiveOptions are what every live source wants to know.
type LiveOptions struct {
	source.Options
	LoginUID *uint32 // only processes of this login uid; nil is all
}

// A liveKind makes a live source.
type liveKind struct {
	name string
	open func(LiveOptions) (LiveSource, error)
}

// liveKinds are the live sources, the best first: auto takes the first that opens.
var liveKinds = []liveKind{
	{"bpf", func(o LiveOptions) (LiveSource, error) {
		s, err := bpf.Open(bpf.Options{Options: o.Options, LoginUID: o.LoginUID})
		if err != nil {
			return nil, err
		}
		return bpfSource{s}, nil
	}},
}

// LiveKinds lists what OpenLive can be asked for.
func LiveKinds() []string {
	names := []string{"auto"}
	for _, k := range liveKinds {
		names = append(names, k.name)
	}
	return names
}

// OpenLive opens the live source of that name, or of the first kind that works. The
// error says why none does.
func OpenLive(name string, o LiveOptions) (LiveSource, error) {
	var why []string
	for _, k := range liveKinds {
		if name != "auto" && name != k.name {
			continue
		}
		s, err := k.open(o)
		if err == nil {
			return s, nil
		}
		why = append(why, err.Error())
	}
	if len(why) == 0 {
		return nil, fmt.Errorf("source %q: expected %s", name, strings.Join(LiveKinds(), ", "))
	}
	return nil, fmt.Errorf("this host cannot be watched: %s", strings.Join(why, "; "))
}

type bpfSource struct{ *bpf.Sensor }

func (s bpfSource) Intake() Intake {
	st := s.Stats()
	return Intake{
		Seen:     st.Sent.Total() + st.Lost.Total() + st.Seeded,
		Emitted:  st.Received.Total() - st.Repeated + st.Seeded,
		Filtered: st.Repeated,
		Lost:     st.Lost.Total(),
		Waiting:  max(st.Sent.Total()-st.Received.Total(), 0),
	}
}

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
