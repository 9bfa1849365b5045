package agent_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/store"
	"github.com/orlop/orlop/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var ann = store.Actor{User: "ann"}

func openStore(t *testing.T, name string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), name, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// heeding is a run that acts on what people decide in a store, which is another program's
// as well.
type heeding struct {
	*running
	console *store.Store
	end     func()
}

func heed(t *testing.T, name, state string) *heeding {
	t.Helper()
	console := openStore(t, name)
	r := start(t, func(l *agent.Live) {
		var err error
		if l.State, err = agent.OpenState(state, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.State.Close() })
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	own := openStore(t, name)
	go func() {
		r.Heed(ctx, own)
		close(done)
	}()
	h := &heeding{running: r, console: console, end: func() { cancel(); <-done }}
	t.Cleanup(h.end)
	h.knows(agent.Decided{})
	return h
}

// knows waits until the run has heard of what was decided.
func (h *heeding) knows(want agent.Decided) {
	h.t.Helper()
	late := time.After(5 * time.Second)
	for {
		got := h.Decided()
		if got != nil && cmp.Equal(*got, want) {
			return
		}
		select {
		case <-late:
			h.t.Fatalf("the run knows %+v, want %+v", got, want)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (h *heeding) put(x *store.Exception) {
	h.t.Helper()
	x.Reason = "it is ours"
	if err := h.console.PutException(h.t.Context(), ann, clock("09:00:00"), x); err != nil {
		h.t.Fatal(err)
	}
}

// raises sends an event and says how many alerts it may raise.
func (h *heeding) raises(doc string, want uint64) {
	h.t.Helper()
	before := h.Counts().Engine.Alerts
	h.send(doc)
	if n := h.Counts().Engine.Alerts - before; n != want {
		h.t.Errorf("%d alerts, want %d, of %s", n, want, doc)
	}
}

func each(t *testing.T, f func(t *testing.T, name string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "orlop.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, storetest.Postgres(t)) })
}

// by is an event of a user, a field that no rule asks for.
func by(at, user string) string {
	return strings.Replace(process(at, "ctr"), `"process":`, `"user":{"name":"`+user+`"},"process":`, 1)
}

// A run acts on exceptions that another program has saved, changed or removed, from the
// next event on, and tells the store how often they held. They expire by the time of
// events.
func TestExceptionsHoldInARun(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		h := heed(t, name, t.TempDir())
		h.raises(by("10:00:00", "janitor"), 1)
		x := &store.Exception{Name: "janitor", Rules: []string{"one"}, Expires: clock("11:00:00"), Entries: []store.Entry{{Field: "user.name", Type: "match", Values: []string{"janitor"}}}}
		h.put(x)
		h.knows(agent.Decided{Exceptions: 1})
		h.raises(by("10:00:01", "janitor"), 0)
		h.raises(by("10:00:02", "kim"), 1)
		h.raises(by("11:00:00", "janitor"), 1)
		h.raises(by("10:00:03", "janitor"), 0) // it came late, and happened before

		other := &store.Exception{Name: "of another rule", Rules: []string{"pair"}, Where: `process.name == "ctr"`}
		h.put(other)
		h.knows(agent.Decided{Exceptions: 2})
		h.raises(by("10:00:04", "kim"), 1)
		other.Rules = nil // of all
		h.put(other)
		late := time.After(5 * time.Second)
		for n := h.Counts().Engine.Alerts; ; n++ { // It is not to be seen from outside.
			if h.send(by("10:00:05", "kim")); h.Counts().Engine.Alerts == n {
				break
			}
			select {
			case <-late:
				t.Fatal("the change is not heard of")
			case <-time.After(10 * time.Millisecond):
			}
		}
		if err := h.console.DeleteException(t.Context(), ann, clock("09:00:00"), other.ID, ""); err != nil {
			t.Fatal(err)
		}
		h.knows(agent.Decided{Exceptions: 1})
		h.raises(by("10:00:06", "kim"), 1)

		h.end()
		got, err := h.console.Holds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []*store.Hold{{Exception: x.ID, Rule: "one", Count: 2, Last: clock("10:00:03")}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// A rule that somebody switches off runs no more, also after a reload, until it is
// switched on.
func TestRulesAreSwitchedOff(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		h := heed(t, name, t.TempDir())
		set := func(off bool) {
			t.Helper()
			if err := h.console.PutRuleState(t.Context(), ann, clock("09:00:00"), &store.RuleState{RuleID: "one", Disabled: off, Reason: "loud"}); err != nil {
				t.Fatal(err)
			}
		}
		idle := func(want string) {
			t.Helper()
			if r := h.Rules(); len(r) != 2 || r[0].Idle != want {
				t.Errorf("%d rules, the first is %q, want %q", len(r), r[0].Idle, want)
			}
		}
		h.raises(process("10:00:00", "ctr"), 1)
		set(true)
		h.knows(agent.Decided{Off: 1})
		idle("switched off in the console")
		h.raises(process("10:00:01", "ctr"), 0)
		if err := h.Reload(pack(t, liveRules, sequenceRule), nil); err != nil {
			t.Fatal(err)
		}
		idle("switched off in the console")
		h.raises(process("10:00:02", "ctr"), 0)
		set(false)
		h.knows(agent.Decided{})
		idle("")
		h.raises(process("10:00:03", "ctr"), 1)
	})
}

// What was known last holds for a run that starts without its store.
func TestDecisionsOutliveTheStore(t *testing.T) {
	state := t.TempDir()
	h := heed(t, filepath.Join(t.TempDir(), "orlop.db"), state)
	h.put(&store.Exception{Name: "ours", Where: `process.name == "ctr"`})
	h.knows(agent.Decided{Exceptions: 1})
	h.stop()
	h.end()
	h.State.Close()

	f := func(what string, want uint64, fails bool) {
		t.Helper()
		r := start(t, func(l *agent.Live) {
			var err error
			if l.State, err = agent.OpenState(state, nil); err != nil {
				t.Fatal(err)
			}
			if err := l.Recall(); (err != nil) != fails {
				t.Errorf("%s: Recall: %v", what, err)
			}
		})
		r.send(process("10:00:00", "ctr"))
		if n := r.Counts().Engine.Alerts; n != want {
			t.Errorf("%s: %d alerts, want %d", what, n, want)
		}
		r.stop()
		r.State.Close()
	}
	f("as it was kept", 0, false)
	file := filepath.Join(state, "decisions.json")
	if err := os.WriteFile(file, []byte(`{"exceptions":[{`), 0o600); err != nil {
		t.Fatal(err)
	}
	f("half of it", 1, true)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	f("nothing", 1, false)
}

// An exception that cannot run does nothing, is told once, and the others hold.
func TestExceptionThatCannotRun(t *testing.T) {
	var log strings.Builder
	r := start(t, func(l *agent.Live) { l.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	bad := &store.Exception{Name: "bad", Reason: "r", Where: `process.name ==`}
	ours := &store.Exception{Name: "ours", Reason: "r", Where: `process.name == "ctr"`}
	for _, all := range [][]*store.Exception{{bad}, {bad, ours}} {
		if err := r.Decide(&agent.Decisions{Exceptions: all}); err != nil {
			t.Fatal(err)
		}
	}
	r.send(process("10:00:00", "ctr"))
	got := r.Decided()
	if got.Exceptions != 1 || len(got.Refused) != 1 || !strings.HasPrefix(got.Refused[0], `"bad": `) {
		t.Errorf("%+v", got)
	}
	if n := strings.Count(log.String(), "an exception cannot run"); n != 1 {
		t.Errorf("told %d times:\n%s", n, &log)
	}
	if n := len(r.stop()); n != 0 {
		t.Errorf("%d alerts", n)
	}
}

// A store that does not answer any more leaves what was known, and is brought how often
// that held when it does.
func TestHeedWithoutTheStore(t *testing.T) {
	name := filepath.Join(t.TempDir(), "orlop.db")
	s := openStore(t, name)
	x := &store.Exception{Name: "ours", Reason: "r", Where: `process.name == "ctr"`}
	if err := s.PutException(t.Context(), ann, clock("09:00:00"), x); err != nil {
		t.Fatal(err)
	}
	log := &listener{told: make(chan string, 100)}
	r := start(t, func(l *agent.Live) {
		l.Log = slog.New(slog.NewTextHandler(log, nil))
		if err := l.Learn(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	})
	s.Close()
	r.send(process("10:00:00", "ctr"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() {
		r.Heed(ctx, s)
		close(done)
	}()
	log.hears(t, "what was known last holds")
	r.send(process("10:00:01", "ctr"))
	cancel()
	<-done
	log.hears(t, "it is brought later")

	s = openStore(t, name)
	r.Heed(ctx, s) // which has ended: it brings what there is
	got, err := s.Holds(t.Context())
	if err != nil || len(got) != 1 || got[0].Count != 2 {
		t.Errorf("%+v (%v), want one that has held twice", got, err)
	}
	if n := len(r.stop()); n != 0 {
		t.Errorf("%d alerts", n)
	}
}

// listener is where a log is written to that a test waits for.
type listener struct{ told chan string }

func (l *listener) Write(p []byte) (int, error) {
	l.told <- string(p)
	return len(p), nil
}

func (l *listener) hears(t *testing.T, want string) {
	t.Helper()
	late := time.After(5 * time.Second)
	for {
		select {
		case line := <-l.told:
			if strings.Contains(line, want) {
				return
			}
		case <-late:
			t.Fatalf("the log does not say %q", want)
		}
	}
}
