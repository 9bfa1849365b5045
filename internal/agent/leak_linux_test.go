package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
)

// grows does something once, for what is opened by the first and kept, and then 50 times
// more, after which no file is open and no goroutine there that was not before.
func grows(t *testing.T, what string, once func(i int)) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close files that were forgotten
	open := func() (names []string) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
				names = append(names, name)
			}
		}
		return names
	}
	once(0)
	files, goroutines := open(), runtime.NumGoroutine()
	for i := range 50 {
		once(i + 1)
	}
	if now := open(); len(now) > len(files) {
		t.Errorf("%s: %d files are open, want %d:\n%q\nwere\n%q", what, len(now), len(files), now, files)
	}
	// One that has said that it is done may still be there for a moment.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Errorf("%s: %d goroutines, want %d:\n%s", what, runtime.NumGoroutine(), goroutines, stacks[:runtime.Stack(stacks, true)])
			return
		}
	}
}

// However often rules are changed, read again and taken, it leaves nothing behind.
func TestReloadsLeakNothing(t *testing.T) {
	dir := t.TempDir()
	rules, tuning := filepath.Join(dir, "rules"), filepath.Join(dir, "tuning.toml")
	if err := os.Mkdir(rules, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tuning, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, nil)
	w := watchPaths(t, rules, tuning)
	grows(t, "reloads", func(i int) {
		w.sees("a rule", func() error {
			return os.WriteFile(filepath.Join(rules, "one.toml"), fmt.Appendf([]byte(liveRules), "# %d\n", i), 0o600)
		})
		w.sees("a folder", func() error {
			more := filepath.Join(rules, "more")
			os.Remove(more)
			return os.Mkdir(more, 0o700)
		})
		p := rule.Load(rules)
		tuned, err := agent.LoadTuning(tuning, r.Schema)
		if err != nil || len(p.Errors) > 0 {
			t.Fatal(err, p.Errors)
		}
		if err := r.Reload(p.Rules, tuned); err != nil {
			t.Fatal(err)
		}
		r.send(process(fmt.Sprintf("10:00:%02d", i), "ctr"))
	})
	r.stop()
}

// However often a run with sinks ends and begins, its couriers, sinks and state are gone.
func TestRestartsLeakNothing(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "alerts.ndjson")
	grows(t, "restarts", func(i int) {
		r, end := delivering(t, dir, out)
		at := fmt.Sprintf("10:00:%02d", i)
		r.send(process(at, "ctr"))
		r.tick(clock(at))
		if err := end(); err != nil {
			t.Fatal(err)
		}
	})
	if n := len(idsIn(t, out)); n != 51 {
		t.Errorf("%d alerts, want 51", n)
	}
}
