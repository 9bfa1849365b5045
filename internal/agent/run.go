package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/source"
)

// A Stream is a live source and how its events are treated. The fields are set
// before a Live runs, and not changed.
type Stream struct {
	Name     string // of its events' Origin, and of its counters; no two are the same
	About    string // its kind and what it reads
	Source   LiveSource
	Rejects  *source.Stats // counts what the source cannot read; nil if it rejects nothing
	Lateness time.Duration // how much older than its newest event, or the clock, an event may be
	Include  *Filter       // only events that match it are judged; nil is all
	Exclude  *Filter       // events that match it are not; nil is none
	LoginUID *uint32       // the only login uid that the source watches; nil is all
	Opened   time.Time     // what happens from then on it tells

	overlaps []overlap
	outsider func(*event.Event) bool // is of a process that is not watched; nil is none

	// Guarded by Live.mu.
	handed    int64 // events that the source has handed on
	evaluated int64
	filtered  int64
	late      int64
	lost      int64     // as of noticed
	noticed   time.Time // up to when its losses are in the ledger
	newest    time.Time // event
	ended     bool
}

// An Account says what became of all that happened. In is Evaluated + Filtered + Late
// + Rejected + Lost, at any moment; what the source has seen is In and Waiting.
type Account struct {
	Source    string `json:"source"`
	In        int64  `json:"in"`
	Evaluated int64  `json:"evaluated"`
	Filtered  int64  `json:"filtered"`
	Late      int64  `json:"late"`
	Rejected  int64  `json:"rejected"`
	Lost      int64  `json:"lost"`
	Waiting   int64  `json:"waiting"` // neither judged nor lost yet

	// Programs that were judged without a look at what is in their file, or at what a
	// runtime has on record of their container: the look took too long.
	Unidentified int64 `json:"programs_unidentified"`
	Unrecorded   int64 `json:"programs_unrecorded"`

	Newest time.Time `json:"-"` // when the newest event happened that the source has handed on
}

func (a Account) String() string {
	s := fmt.Sprintf("%d = %d evaluated + %d filtered + %d late + %d rejected + %d lost", a.In, a.Evaluated, a.Filtered, a.Late, a.Rejected, a.Lost)
	if a.Waiting > 0 {
		s += fmt.Sprintf("; %d waiting", a.Waiting)
	}
	return s
}

// A Live runs the rules over what happens on this host. Make one with NewLive.
type Live struct {
	Schema  *event.Schema
	Engine  *detect.Engine
	Streams []*Stream
	Tuning  *Tuning // who is exempt; may be nil

	// Tick tells the time: it is received from until Run returns.
	Tick <-chan time.Time
	// Checkpoint is how much time passes between checkpoints in State.
	Checkpoint time.Duration
	State      *State              // what outlives the run; nil is nothing
	Outbox     *sink.Outbox        // gets every alert but building blocks, before emit does; nil is none
	Notify     func(now time.Time) // called at each tick, once events can be judged; may be nil
	Log        *slog.Logger        // nil is none

	started time.Time
	beat    atomic.Int64 // time of the last tick, in nanoseconds since 1970

	mu       sync.Mutex
	enricher *enrich.Enricher
	f        struct{ truncated event.Field }
	decided  decided
	ledger   ledger
	awake    bool      // an event or tick has come
	now      time.Time // of the last tick
	saved    time.Time // of the last checkpoint
	logged   time.Time // of the last account in the log
	lossy    bool      // the log has been told that events are lost
	reloads  struct {
		done, refused int64
		why           string // the last one was refused
		mistakes      int    // in rules that do not run; none since a reload
		mistaken      []string
	}
	repeated int64 // alerts that an earlier run had raised, building blocks not counted
	steps    int64 // times that the clock was set back
	failed   error // of emit
}

// DefaultCheckpoint is how often a run writes its state if it is told nothing else.
const DefaultCheckpoint = 10 * time.Second

// DefaultLateness is that of events of which nothing else is known, such as those
// that come through a pipe.
const DefaultLateness = 10 * time.Second

// reportEvery is how often the account is logged.
const reportEvery = time.Minute

// tableBytes is what the process table may take. A run shares the host with what it
// watches, and a checkpoint has a copy of the table: 8 MiB are some twelve thousand
// processes, those that run before those that have ended, and keep a run below 80 MB
// on a host that does nothing but start programs.
const tableBytes = 8 << 20

func newTable(s *event.Schema) *enrich.Enricher {
	return enrich.New(s, enrich.Options{MaxBytes: tableBytes})
}

// NewLive returns a Live without streams, whose engine has no rules yet. Of the
// options, lateness, evidence and exceptions are its own.
func NewLive(o detect.Options) *Live {
	l := &Live{Schema: o.Schema, started: time.Now(), Checkpoint: DefaultCheckpoint, enricher: newTable(o.Schema)}
	o.Lateness, o.Evidence, o.Except = DefaultLateness, l.evidence, l.except
	l.Engine = detect.New(o)
	l.f.truncated = o.Schema.Field("orlop.evidence.truncated")
	return l
}

// Reload gives the engine new rules and says who is exempt now, while it runs. If one
// of the rules is wrong all are refused, those it has stay, and so does the tuning.
func (l *Live) Reload(rules []*rule.Rule, t *Tuning) error {
	err := detect.Check(rules)
	if err != nil {
		return l.Refuse(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.decided.rules = rules
	if err := l.Engine.SetRules(l.wanted(rules)); err != nil {
		return err
	}
	l.Tuning = t
	l.reloads.done++
	l.reloads.why, l.reloads.mistakes, l.reloads.mistaken = "", 0, nil
	return nil
}

// mostMistakes is how many mistakes a Status has the text of.
const mostMistakes = 20

// Mistaken says what is wrong with rules that the run begins with, those that do not run.
// It holds until a reload, which takes no such rules.
func (l *Live) Mistaken(all syntax.Errors) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reloads.mistakes, l.reloads.mistaken = len(all), nil
	for _, m := range all[:min(len(all), mostMistakes)] {
		l.reloads.mistaken = append(l.reloads.mistaken, m.Error())
	}
}

// Refuse counts a reload that did not come to new rules, and returns why.
func (l *Live) Refuse(why error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reloads.refused++
	l.reloads.why = why.Error()
	return why
}

// Rules lists the rules with what they have raised.
func (l *Live) Rules() []detect.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.Engine.Rules()
	for i := range all {
		if l.decided.off[all[i].Rule.ID] {
			all[i].Idle = "switched off in the console"
		}
	}
	return all
}

// Run emits an alert for each match until ctx ends and what happened until then is
// judged, or until all sources end, one fails, or emit does. Alerts come one at a
// time. It may be called once.
//
// With a State, what is pending is kept for the next run; without, nothing comes any
// more and what waits for time to pass is judged as if it had.
func (l *Live) Run(ctx context.Context, emit func(*alert.Alert) error) error {
	raise := l.raise(emit)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.mu.Lock()
	l.expect()
	l.mu.Unlock()
	for _, s := range l.Streams {
		if s.LoginUID != nil {
			s.outsider = Outsider(l.Schema, *s.LoginUID)
		}
	}
	if l.State != nil && l.unplaced() {
		l.save() // so that a run that is killed before its first checkpoint is gone on from
	}

	done := make(chan struct{})
	var ticking, reading sync.WaitGroup
	ticking.Go(func() {
		for {
			select {
			case <-done:
				return
			case now := <-l.Tick:
				if l.tick(now, raise) {
					l.save()
				}
			}
		}
	})
	errs := make([]error, len(l.Streams))
	for i, s := range l.Streams {
		reading.Go(func() {
			err := s.Source.Run(ctx, func(e *event.Event) error { return l.judge(s, e, raise) })
			if err != nil && !errors.Is(err, context.Canceled) {
				errs[i] = fmt.Errorf("%s: %w", s.Name, err)
				cancel(err) // The others end as well.
			}
			l.mu.Lock()
			s.ended = true
			l.mu.Unlock()
		})
	}
	reading.Wait()
	close(done)
	ticking.Wait()

	err := errors.Join(errs...)
	switch {
	case l.failed != nil:
		return l.failed
	case l.State != nil:
		l.save()
	default:
		l.mu.Lock()
		l.Engine.Flush(raise)
		err = errors.Join(err, l.failed)
		l.mu.Unlock()
	}
	return err
}

// expect makes sequences wait for the streams.
func (l *Live) expect() {
	for _, s := range l.Streams {
		l.Engine.Expect(s.Name, s.Lateness)
	}
}

// raise hands an alert on, unless an earlier run did. The caller holds mu.
func (l *Live) raise(emit func(*alert.Alert) error) func(*alert.Alert) {
	return func(a *alert.Alert) {
		switch {
		case l.failed != nil:
		case l.State != nil && l.State.Raised(a.ID):
			if !a.BuildingBlock {
				l.repeated++
			}
		default:
			// What the outbox cannot keep it has logged. What is only in memory there
			// is raised again after a kill; what is too long never gets further.
			kept := true
			if l.Outbox != nil && (!a.BuildingBlock || l.Outbox.Blocks()) {
				err := l.Outbox.Append(a)
				kept = err == nil || errors.Is(err, sink.ErrTooLong)
			}
			if l.failed = emit(a); l.failed == nil && l.State != nil {
				l.State.Note(a.ID, kept)
			}
		}
	}
}

// judge is one event of a stream.
func (l *Live) judge(s *Stream, e *event.Event, raise func(*alert.Alert)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.handed++
	e.Origin.Source = s.Name
	if e.Time.After(s.newest) {
		s.newest = e.Time
	}
	if !l.awake && !e.Time.IsZero() {
		if _, ok := s.Source.(Resumer); !ok {
			l.resumed(e.Time)
		}
	}
	l.enricher.Apply(e)
	if e.Get(l.f.truncated).Bool() {
		l.ledger.note(entry{from: e.Time, to: e.Time, truncated: 1})
	}
	if s.told(e) || s.outsider != nil && s.outsider(e) || s.Include != nil && !s.Include.match(e) || s.Exclude != nil && s.Exclude.match(e) {
		s.filtered++
		return l.failed
	}
	if l.Tuning != nil {
		l.Tuning.Apply(e)
	}
	switch l.Engine.Process(e, raise) {
	case detect.Evaluated:
		s.evaluated++
	case detect.Filtered:
		s.filtered++
	case detect.Late:
		s.late++
		l.ledger.note(entry{from: e.Time, to: e.Time, late: 1})
	}
	return l.failed
}

// tick says that it is now, and reports whether a checkpoint is due.
func (l *Live) tick(now time.Time, raise func(*alert.Alert)) (due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wall := now.Round(0) // The monotonic clock does not know of steps.
	if wall.Before(l.now) {
		l.steps++
		l.log(slog.LevelWarn, "the clock was set back", "from", l.now, "to", wall)
		l.Engine.SetBack(wall, raise)
	}
	l.resumed(wall)
	if l.now.IsZero() {
		l.logged, l.saved = wall, wall
	}
	l.now = wall
	l.beat.Store(time.Now().UnixNano())
	for _, s := range l.Streams {
		in := s.Source.Intake()
		l.notice(s, in, wall)
		if in.Waiting == 0 || s.ended {
			l.Engine.AdvanceSource(s.Name, wall, raise)
		}
	}
	if since := wall.Sub(l.logged); since >= reportEvery || since < 0 {
		l.logged, l.lossy = wall, false
		for _, s := range l.Streams {
			l.log(slog.LevelInfo, "account", "source", s.Name, "events", l.account(s).String())
		}
	}
	if l.Notify != nil {
		l.Notify(now)
	}
	since := wall.Sub(l.saved)
	return l.State != nil && (since >= l.Checkpoint || since < 0)
}

// notice looks how much of a stream was lost up to now.
func (l *Live) notice(s *Stream, in Intake, now time.Time) {
	from, to := s.noticed, now // from zero, since nothing says when the source began
	if in.Waiting > 0 && !s.newest.IsZero() && s.newest.Before(now) {
		to = s.newest // It is behind: what it lost is of the time that it reads.
		if from.After(to) {
			from = to
		}
	}
	if n := in.Lost - s.lost; n > 0 {
		l.ledger.note(entry{from: from, to: to, lost: n})
		if !l.lossy {
			l.lossy = true
			l.log(slog.LevelWarn, "events are lost: they are not read as fast as they happen", "source", s.Name, "lost", n)
		}
	}
	s.lost, s.noticed = in.Lost, to
}

// evidence says what is not known of the time between two moments, as of now. The
// caller of the engine holds mu.
func (l *Live) evidence(from, to time.Time) detect.Evidence {
	for _, s := range l.Streams {
		upto := s.noticed
		if to.After(upto) {
			upto = to
		}
		l.notice(s, s.Source.Intake(), upto)
	}
	return l.ledger.evidence(from, to)
}

// Accounts says what became of what happened so far, for each stream.
func (l *Live) Accounts() []Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Account
	for _, s := range l.Streams {
		out = append(out, l.account(s))
	}
	return out
}

// account is that of a stream. What the source has handed on and is not judged yet
// waits, like what it has not read.
func (l *Live) account(s *Stream) Account {
	in := s.Source.Intake()
	a := Account{Source: s.Name, Evaluated: s.evaluated, Filtered: s.filtered + in.Filtered, Late: s.late, Lost: in.Lost, Unidentified: in.Unidentified, Unrecorded: in.Unrecorded, Newest: s.newest}
	if s.Rejects != nil {
		a.Rejected = s.Rejects.Rejected.Load()
	}
	a.In = a.Evaluated + a.Filtered + a.Late + a.Rejected + a.Lost
	a.Waiting = max(in.Seen-a.In, 0)
	return a
}

// Counts are what a run counts besides events.
type Counts struct {
	Engine     detect.Stats
	Table      enrich.Stats
	Repeated   int64 // alerts that an earlier run had raised, and this one would have
	ClockSteps int64 // times that the clock was set back
	Now        time.Time
}

// Counts returns the counters so far.
func (l *Live) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Counts{Engine: l.Engine.Stats(), Table: l.enricher.Stats(), Repeated: l.repeated, ClockSteps: l.steps, Now: l.now}
}

func (l *Live) log(level slog.Level, msg string, args ...any) {
	if l.Log != nil {
		l.Log.Log(context.Background(), level, msg, args...)
	}
}
