package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/store"
)

// A store that does not open, for whatever reason, holds up nobody: the sensor and the
// other sinks go on, the outbox keeps, and the store gets all of it later, once.
func TestStoreThatDoesNotOpen(t *testing.T) {
	f := func(what, want string, spoil, mend func(name string) error) {
		t.Run(what, func(t *testing.T) {
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "alerts.ndjson")
			name := filepath.Join(t.TempDir(), "orlop.db")
			if err := spoil(name); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			at := clock("10:00:00")
			keeper := agent.NewKeeper(name, store.Retention{}, func() time.Time { return at }, slog.New(slog.NewTextHandler(&log, nil)))
			r := start(t, func(l *agent.Live) {
				st, err := agent.OpenState(dir, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { st.Close() })
				l.State = st
				if l.Outbox, err = agent.OpenOutbox(sinkConfig(t, dir, out), keeper, slog.New(slog.DiscardHandler)); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Outbox.Close() })
				l.Restore()
			})
			r.send(process("10:00:00", "ctr"), process("10:00:01", "ctr"))
			raised := r.stop()
			deliver := func() {
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				r.Outbox.Run(ended)
			}
			deliver()
			st := r.Outbox.Stats().Sinks
			if len(raised) != 2 || st[0].Name != "store" || st[0].Waiting != 2 || !strings.Contains(st[0].Failing, want) || !strings.Contains(st[0].Failing, name) {
				t.Errorf("%d raised: %+v, want %s", len(raised), st[0], want)
			}
			if got := idsIn(t, out); len(got) != 2 {
				t.Errorf("the other sink has %d", len(got))
			}
			if err := mend(name); err != nil {
				t.Fatal(err)
			}
			deliver()
			deliver()
			s, err := keeper.Store(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			res, err := s.Query(t.Context(), &store.Query{Limit: 10})
			if err != nil || res.Total != 2 || res.Records[0].Alert.ID != raised[1].ID || !res.Records[0].Stored.Equal(at) {
				t.Errorf("%+v %v", res, err)
			}
			if st := r.Outbox.Stats().Sinks[0]; st.Delivered != 2 || st.Failing != "" {
				t.Errorf("%+v", st)
			}
			r.Outbox.Close()
			// The log is a witness.
			h := strings.Contains(log.String(), "alerts=2:") && strings.Contains(log.String(), `msg="store: witness"`)
			if !h {
				t.Errorf("the log does not tell the end of the chain: %s", log.String())
			}
		})
	}
	f("no database", "the file is no SQLite database", func(name string) error {
		return os.WriteFile(name, []byte(strings.Repeat("not a database\n", 100)), 0o600)
	}, os.Remove)
	f("no folder", "no such file or directory", func(name string) error { return os.Remove(filepath.Dir(name)) }, func(name string) error {
		return os.Mkdir(filepath.Dir(name), 0o700)
	})
	f("a newer schema", "a newer orlop has written it", func(name string) error { return schemaIs(name, 99) }, func(name string) error { return schemaIs(name, 1) })
}

// The store of a run gets building blocks, which no other sink does, before what they are of.
func TestStoreKeepsBuildingBlocks(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "alerts.ndjson")
	at := clock("10:00:00")
	keeper := agent.NewKeeper(filepath.Join(t.TempDir(), "orlop.db"), store.Retention{}, func() time.Time { return at }, slog.New(slog.DiscardHandler))
	r := start(t, func(l *agent.Live) {
		st, err := agent.OpenState(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		l.State = st
		if l.Outbox, err = agent.OpenOutbox(sinkConfig(t, dir, out), keeper, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Outbox.Close() })
		l.Restore()
	})
	r.send(process("10:00:00", "a"))
	r.tick(clock("10:00:13"))
	raised := r.stop()
	if len(raised) != 2 || !raised[0].BuildingBlock {
		t.Fatalf("%d alerts, want a building block and a sequence", len(raised))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.Outbox.Run(ended)
	s, err := keeper.Store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Query(t.Context(), &store.Query{Limit: 10})
	if err != nil || res.Total != 2 || res.Records[0].Alert.ID != raised[1].ID || res.Records[1].Alert.ID != raised[0].ID {
		t.Errorf("%+v %v", res, err)
	}
	if got := idsIn(t, out); len(got) != 1 || got[0] != raised[1].ID {
		t.Errorf("the other sink has %q", got)
	}
}

// schemaIs says of a store that it has that schema.
func schemaIs(name string, n byte) error {
	if n == 99 {
		s, err := store.Open(context.Background(), name, store.Options{})
		if err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	b[63] = n // user_version, in the header of the file
	return os.WriteFile(name, b, 0o600)
}

func TestStoreConfig(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		name := filepath.Join(t.TempDir(), "orlop.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := agent.LoadConfig(name, false, agent.Flags{}, agent.NewConfig())
		got := ""
		var mistakes syntax.Errors
		if errors.As(err, &mistakes) {
			got = mistakes.Report()
		}
		if !strings.Contains(got, want) || want == "" && err != nil || strings.Contains(got, "hush") {
			t.Errorf("%s\ngot %s\nwant %s", text, got, want)
		}
	}
	f("state: /x\nstore: /x/orlop.db\nretention:\n  max_age: 2160h\n", "")
	f("store: /x/orlop.db\n", "without a state directory")
	f("state: /x\nstore: postgres://ann:hush@db/orlop\n", "PGPASSFILE")
	f("state: /x\nstore: 'postgres://ann:hush%zz@db/orlop'\n", "not valid")
	f("state: /x\nstore: a.db\nsinks:\n  - kind: file\n    name: store\n    path: /x/y\n", "that of the store")
	f("state: /x\nretention:\n  max_age: 1s\n", "max_age: expected at least 1h")
}
