package rotate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orlop/orlop/internal/rotate"
)

// Files are found by their stamps, oldest first; others that only look like them are
// not among them, and the next stamp is after all.
func TestListAndNext(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"a.ndjson", "a.ndjson.20260429T100000.000Z", "a.ndjson.20260429T100000.000Z.gz", "a.ndjson.20260429T095959.999Z.zst",
		"a.ndjson.20260429T100000.000", "a.ndjson.20261329T100000.000Z", "a.ndjson.mine", "b.ndjson.20270101T000000.000Z",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := rotate.List(filepath.Join(dir, "a.ndjson."))
	if got, want := fmt.Sprint(files, err), "[{20260429T095959.999Z [.zst]} {20260429T100000.000Z [ .gz]}] <nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f := func(files []rotate.File, now, want string) {
		t.Helper()
		at, err := time.Parse(time.RFC3339Nano, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := rotate.Next(files, at); got != want {
			t.Errorf("at %s: %s, want %s", now, got, want)
		}
	}
	f(nil, "2026-04-29T12:00:00.0009+02:00", "20260429T100000.000Z")
	f(files, "2026-04-29T11:00:00Z", "20260429T110000.000Z")
	f(files, "2026-04-29T10:00:00Z", "20260429T100000.001Z")
	f(files, "2020-01-01T00:00:00Z", "20260429T100000.001Z")
	if _, err := rotate.List(filepath.Join(dir, "gone", "a.")); !os.IsNotExist(err) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
