package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/store"
	"github.com/orlop/orlop/store/storetest"
)

// Every test runs on both databases.

func TestMain(m *testing.M) {
	if os.Getenv("ORLOP_STORE_CHILD") != "" {
		child()
		return
	}
	os.Exit(storetest.Main(m))
}

// each runs f on SQLite and on PostgreSQL, with the name of a new, empty store.
func each(t *testing.T, f func(t *testing.T, name string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, sqliteName(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, storetest.Postgres(t)) })
}

func sqliteName(t testing.TB) string { return filepath.Join(t.TempDir(), "orlop.db") }

func open(t testing.TB, name string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), name, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// edit changes a store behind its back.
func edit(t *testing.T, name, query string, args ...any) {
	t.Helper()
	if err := editing(name, query, args...); err != nil {
		t.Fatal(err)
	}
}

func isSQLite(name string) bool { return !strings.HasPrefix(name, "postgres") }
