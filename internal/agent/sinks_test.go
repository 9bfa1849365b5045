package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/sink/sinktest"
)

// sinkConfig is a configuration with a file as sink.
func sinkConfig(t *testing.T, state, out string) *agent.Config {
	t.Helper()
	name := filepath.Join(t.TempDir(), "orlop.yaml")
	text := fmt.Sprintf("state: %q\nsinks:\n  - kind: file\n    name: log\n    path: %q\n", state, out)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := agent.NewConfig()
	if err := agent.LoadConfig(name, true, agent.Flags{}, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// startWithSinks starts a run that has a state directory and a file as sink.
func startWithSinks(t *testing.T, dir, out string, then ...func(*agent.Live)) *running {
	t.Helper()
	r := start(t, func(l *agent.Live) {
		st, err := agent.OpenState(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		l.State, l.Checkpoint = st, time.Second
		if l.Outbox, err = agent.OpenOutbox(sinkConfig(t, dir, out), nil, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Outbox.Close() })
		l.Restore()
		for _, f := range then {
			f(l)
		}
	})
	return r
}

// idsIn are the ids of the alerts in a file.
func idsIn(t *testing.T, name string) (ids []string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		a, err := alert.Parse([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	return ids
}

// What the outbox says itself is of the host that the configuration names.
func TestGivenUpNamesTheHost(t *testing.T) {
	state, out := t.TempDir(), filepath.Join(t.TempDir(), "alerts.ndjson")
	c := sinkConfig(t, state, out)
	c.HostName, c.Outbox.MaxBytes = "worker-1", 64<<10
	box, err := agent.OpenOutbox(c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if err := box.Append(sinktest.Alert(t, fmt.Sprint(i), "node")); err != nil {
			t.Fatal(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(box.Run(ended), box.Close()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	a, err := alert.Parse([]byte(first))
	if err != nil {
		t.Fatal(err)
	}
	if host := sink.Texts(sink.Document(a), "host.name"); a.RuleID != sink.GivenUpRule || !slices.Equal(host, []string{"worker-1"}) {
		t.Errorf("the alert of rule %s is of %q, want one of those given up, of worker-1", a.RuleID, host)
	}
}

// What was raised before a kill, and not delivered, is delivered by the next run, and
// nothing twice, though the source tells again what came after the checkpoint.
func TestSinksGetWhatAKillLeft(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "alerts.ndjson")
	docs := []string{process("10:00:00", "ctr"), process("10:00:01", "ctr"), process("10:00:02", "ctr"), process("10:00:03", "ctr")}
	r := startWithSinks(t, dir, out)
	r.send(docs[0])
	r.tick(clock("10:00:01"))
	r.tick(clock("10:00:03")) // a checkpoint
	r.send(docs[1])
	killed := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil { // all that a kill leaves
		t.Fatal(err)
	}
	r.stop()
	if _, err := os.Stat(out); err == nil {
		t.Fatal("delivered though nobody delivers")
	}

	r = startWithSinks(t, killed, out)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Outbox.Run(ctx) }()
	r.send(docs[1:]...)
	raised := r.stop()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	got := idsIn(t, out)
	if n := r.Counts().Repeated; len(got) != 4 || len(raised) != 2 || n != 1 {
		t.Errorf("%d delivered, %d raised by the second run, %d known to it; want 4, 2, 1", len(got), len(raised), n)
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != 4 {
		t.Errorf("an alert came twice: %q", got)
	}
}

// A checkpoint that remembers alerts is not written before they are in the outbox.
func TestCheckpointWaitsForTheOutbox(t *testing.T) {
	dir := t.TempDir()
	r := startWithSinks(t, dir, filepath.Join(t.TempDir(), "alerts.ndjson"), func(l *agent.Live) {
		if err := l.Outbox.Close(); err != nil {
			t.Error(err)
		}
	})
	r.send(process("10:00:00", "ctr"))
	r.tick(clock("10:00:01"))
	r.tick(clock("10:00:03"))
	if w := r.Status().Checkpoint; w.Checkpoints != 0 || w.Failures == 0 {
		t.Errorf("%+v", w)
	}
	if alerts := r.stop(); len(alerts) != 1 {
		t.Errorf("%d alerts, want 1: the run goes on", len(alerts))
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); err == nil {
		t.Error("a checkpoint was written")
	}
}

// Status and metrics say what became of the alerts.
func TestSinksAreCounted(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	r := startWithSinks(t, t.TempDir(), filepath.Join(folder, "alerts.ndjson"))
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	r.send(process("10:00:00", "ctr"), process("10:00:01", "ctr"))
	r.stop()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.Outbox.Run(ended)
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`orlop_outbox_alerts_total{outcome="written"} 2`, `orlop_outbox_failing 0`, `orlop_state_failing 0`, `orlop_sink_alerts_total{outcome="delivered",sink="log"} 0`,
		`orlop_sink_alerts_waiting{sink="log"} 2`, `orlop_sink_failures_total{sink="log"} 1`, `orlop_sink_failing{sink="log"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	doc, err := json.Marshal(r.Status().Outbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"appended":2`, `"sinks":[{"sink":"log","delivered":0,"refused":0,"given_up":0,"waiting":2,"failures":1,"failing":"file: open `} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("the status lacks %s: %s", want, doc)
		}
	}
}

// Building blocks are printed, and are nothing that a sink gets, counts or waits for.
func TestSinksGetNoBuildingBlocks(t *testing.T) {
	out := filepath.Join(t.TempDir(), "alerts.ndjson")
	r := startWithSinks(t, t.TempDir(), out)
	r.send(process("10:00:00", "a"))
	r.tick(clock("10:00:13"))
	raised := r.stop()
	if len(raised) != 2 || !raised[0].BuildingBlock || raised[1].BuildingBlock {
		t.Fatalf("%d alerts, want a building block and a sequence", len(raised))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.Outbox.Run(ended)
	if got := idsIn(t, out); !slices.Equal(got, []string{raised[1].ID}) {
		t.Errorf("the sink got %q, want %q", got, raised[1].ID)
	}
	s := r.Status()
	if k := s.Outbox.Sinks[0]; s.Alerts != 1 || s.Outbox.Appended != 1 || k.Delivered != 1 || k.Waiting != 0 {
		t.Errorf("%d alerts, %d in the outbox, %+v; want 1 of each", s.Alerts, s.Outbox.Appended, k)
	}
}

// A secret that stands in the configuration itself, by mistake, does not get into a log.
func TestMistakesQuoteNoSecret(t *testing.T) {
	for _, key := range []string{"secret: hush", "authorization: [hush]", "url_secret: {evn: hush}", "secret: {hush: x}", "secret: |\n      hush", "secret: {env: [hush]}"} {
		name := filepath.Join(t.TempDir(), "orlop.yaml")
		if err := os.WriteFile(name, []byte("state: /x\nsinks:\n  - kind: webhook\n    "+key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := agent.LoadConfig(name, true, agent.Flags{}, agent.NewConfig())
		var mistakes syntax.Errors
		if !errors.As(err, &mistakes) {
			t.Fatal(err)
		}
		if report := mistakes.Report(); !strings.Contains(report, ":4:") || strings.Contains(report, "hush") {
			t.Errorf("%s:\n%s", key, report)
		}
	}
}
