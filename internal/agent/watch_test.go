package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orlop/orlop/internal/agent"
)

// watched is a Watch whose clock the test has.
type watched struct {
	t       *testing.T
	settle  chan time.Time
	asked   chan bool
	changed chan bool
	stop    func()
}

func watchPaths(t *testing.T, paths ...string) *watched {
	w := &watched{t: t, settle: make(chan time.Time), asked: make(chan bool, 100), changed: make(chan bool, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	wait, err := agent.Watch(ctx, paths, func(d time.Duration) <-chan time.Time {
		if d != agent.Settle {
			t.Errorf("waits for %v, want %v", d, agent.Settle)
		}
		w.asked <- true
		return w.settle
	}, func() { w.changed <- true })
	if err != nil {
		t.Fatal(err)
	}
	w.stop = func() { cancel(); wait() }
	t.Cleanup(w.stop)
	return w
}

func (w *watched) wait(c chan bool) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		w.t.Fatal("nothing happens")
	}
}

// sees makes a change, which must be seen, once, when things have settled.
func (w *watched) sees(what string, change func() error) {
	w.t.Helper()
	if err := change(); err != nil {
		w.t.Fatal(err)
	}
	w.wait(w.asked)
	if n := len(w.changed); n > 0 {
		w.t.Errorf("%s: told before it has settled", what)
	}
	w.settle <- time.Time{}
	w.wait(w.changed)
	// A change that took two steps may have begun another wait.
	for len(w.asked) > 0 {
		<-w.asked
		w.settle <- time.Time{}
		w.wait(w.changed)
	}
}

// Whatever way a rule changes, that is seen: also in folders that are new, and when
// an editor or a volume replaces things as a whole.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules")
	file := filepath.Join(dir, "tuning.toml")
	write := func(name string) func() error {
		return func() error { return os.WriteFile(name, []byte("x"), 0o644) }
	}
	if err := os.Mkdir(rules, 0o755); err != nil {
		t.Fatal(err)
	}
	w := watchPaths(t, rules, file)
	w.sees("a new file", write(filepath.Join(rules, "a.toml")))
	w.sees("the file again", write(filepath.Join(rules, "a.toml")))
	w.sees("a file that was not there", write(file))
	w.sees("another mode", func() error { return os.Chmod(filepath.Join(rules, "a.toml"), 0o600) })
	w.sees("a rename", func() error {
		if err := os.WriteFile(filepath.Join(rules, "b.tmp"), nil, 0o644); err != nil {
			return err
		}
		return os.Rename(filepath.Join(rules, "b.tmp"), filepath.Join(rules, "b.toml"))
	})
	w.sees("a new folder", func() error { return os.Mkdir(filepath.Join(rules, "more"), 0o755) })
	w.sees("a file in it", write(filepath.Join(rules, "more", "c.toml")))
	w.sees("the end of a file", func() error { return os.Remove(filepath.Join(rules, "a.toml")) })
	w.sees("a folder in place of the folder", func() error {
		if err := os.Rename(rules, rules+".old"); err != nil {
			return err
		}
		return os.Mkdir(rules, 0o755)
	})
	w.sees("a file in that", write(filepath.Join(rules, "d.toml")))

	// Kubernetes swings ..data to a new folder; files are links through it.
	volume := filepath.Join(dir, "volume")
	for _, v := range []string{"..1", "..2"} {
		if err := os.MkdirAll(filepath.Join(volume, v), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink("..1", filepath.Join(volume, "..data"))
	os.Symlink("..data/r.toml", filepath.Join(volume, "r.toml"))
	k := watchPaths(t, filepath.Join(volume, "r.toml"))
	k.sees("a volume that changes", func() error {
		if err := os.Symlink("..2", filepath.Join(volume, "..new")); err != nil {
			return err
		}
		return os.Rename(filepath.Join(volume, "..new"), filepath.Join(volume, "..data"))
	})
}
