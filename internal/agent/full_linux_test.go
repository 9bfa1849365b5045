package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The disk has room for an alert's id, and none for the alert: after a kill the run that
// follows raises it again, and the sinks get it.
func TestAlertsInMemoryAreRaisedAgain(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "alerts.ndjson")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs a small file system, and to be root to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	var docs []string
	for i := range 12 {
		docs = append(docs, process(fmt.Sprintf("10:00:%02d", i), "ctr"))
	}
	r := startWithSinks(t, dir, out)
	r.send(docs[0]) // so that there is a page for ids
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 1<<10))
	}
	f.Close()
	r.send(docs[1:]...)
	st := r.Outbox.Stats()
	ids, err := os.ReadFile(filepath.Join(dir, "raised"))
	if err != nil {
		t.Fatal(err)
	}
	if onDisk := st.Appended - st.Unwritten; st.Unwritten == 0 || int64(len(ids)) != 32*onDisk {
		t.Errorf("%d bytes of ids of the %d alerts on disk, of %d", len(ids), onDisk, st.Appended)
	}
	killed := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil { // all that a kill leaves
		t.Fatal(err)
	}
	var all []string
	for _, a := range r.stop() {
		all = append(all, a.ID)
	}

	r = startWithSinks(t, killed, out)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Outbox.Run(ctx) }()
	r.send(docs...)
	raised := r.stop()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if int64(len(raised)) != st.Unwritten {
		t.Errorf("%d raised again, want %d", len(raised), st.Unwritten)
	}
	if got := idsIn(t, out); !slices.Equal(got, all) {
		t.Errorf("delivered\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"))
	}
}
