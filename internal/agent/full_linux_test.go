package agent_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orlop/orlop/internal/smalldisk"
)

// The disk has room for an alert's id, and none for the alert: after a kill the run that
// follows raises it again, and the sinks get it.
func TestAlertsInMemoryAreRaisedAgain(t *testing.T) {
	dir, out := smalldisk.Mount(t, "256k"), filepath.Join(t.TempDir(), "alerts.ndjson")
	var docs []string
	for i := range 12 {
		docs = append(docs, process(fmt.Sprintf("10:00:%02d", i), "ctr"))
	}
	r := startWithSinks(t, dir, out)
	r.send(docs[0]) // so that there is a page for ids
	smalldisk.Fill(t, dir)
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

// delivering is a run with sinks whose outbox delivers. What end returns is what the
// state of the run could not be kept for.
func delivering(t *testing.T, dir, out string) (r *running, end func() error) {
	t.Helper()
	r = startWithSinks(t, dir, out)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- r.Outbox.Run(ctx) }()
	return r, func() error {
		t.Helper()
		r.stop()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		err := r.Keep()
		if e := r.Outbox.Close(); e != nil {
			t.Error(e)
		}
		r.State.Close()
		return err
	}
}

// What was delivered while the disk was full is not raised again after the end: the
// last checkpoint has room of its own, and remembers what sinks have got from memory.
func TestAFullDiskRepeatsNothing(t *testing.T) {
	dir, out := smalldisk.Mount(t, "256k"), filepath.Join(t.TempDir(), "alerts.ndjson")
	r, end := delivering(t, dir, out)
	var docs []string
	for i := range 8 {
		docs = append(docs, strings.Replace(process(fmt.Sprintf("10:00:%02d", i), "ctr"), `"pid"`, `"args":["`+strings.Repeat("x", 2000)+`"],"pid"`, 1))
	}
	r.send(docs[0])
	r.tick(clock("10:00:01"))
	r.tick(clock("10:00:03")) // a checkpoint
	smalldisk.Fill(t, dir)
	r.send(docs[1:]...)
	if s := r.Status(); s.Outbox.Unwritten == 0 || s.Outbox.Failing == "" {
		t.Errorf("the disk is not full: %+v", s.Outbox)
	}
	if err := end(); err != nil {
		t.Errorf("the state is not kept: %v", err)
	}
	all := idsIn(t, out)
	if len(all) != len(docs) {
		t.Errorf("%d alerts delivered, want %d", len(all), len(docs))
	}

	r, end = delivering(t, dir, out)
	r.send(docs...) // of a source that tells again
	if n := r.Counts().Repeated; n != int64(len(docs)) {
		t.Errorf("%d alerts are known, want %d", n, len(docs))
	}
	if err := end(); err != nil {
		t.Errorf("the state is not kept the second time: %v", err)
	}
	if got := idsIn(t, out); !slices.Equal(got, all) {
		t.Errorf("delivered\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"))
	}
}

// A state that cannot be written is told by status and metrics for as long as that is
// so, and by the end of the run.
func TestAFullDiskIsTold(t *testing.T) {
	dir := smalldisk.Mount(t, "256k")
	f := func(r *running, want string) {
		t.Helper()
		if got := r.Status().Checkpoint.Failing; !strings.Contains(got, want) || (got != "") != (want != "") {
			t.Errorf("the status says that the state fails for %q, want %q", got, want)
		}
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		metric := "orlop_state_failing 0\n"
		if want != "" {
			metric = "orlop_state_failing 1\n"
		}
		if !strings.Contains(w.Body.String(), metric) {
			t.Errorf("the metrics lack %s", metric)
		}
	}
	r, end := delivering(t, dir, filepath.Join(t.TempDir(), "alerts.ndjson"))
	r.tick(clock("10:00:00"))
	f(r, "")
	filler := smalldisk.Fill(t, dir)
	pid := 0
	grow := func(n int) { // beyond what a checkpoint has room for
		for range n {
			pid++
			r.send(strings.Replace(process("10:00:09", "x"), `"pid":9`, fmt.Sprintf(`"args":[%q],"pid":%d`, strings.Repeat("y", 100), 100+pid), 1))
		}
	}
	grow(40)
	r.tick(clock("10:00:10"))
	f(r, "no space left on device")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.tick(clock("10:00:20"))
	f(r, "")
	smalldisk.Fill(t, dir)
	grow(160)
	if err := end(); err == nil || !strings.Contains(err.Error(), "the state of the run is not kept") || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("the end says %v", err)
	}
}

// A checkpoint that is shorter than the room it has is read as it was written, and the
// room does not grow with each.
func TestCheckpointsChangePlaces(t *testing.T) {
	dir := smalldisk.Mount(t, "256k")
	size := func() (n int64) {
		t.Helper()
		for _, name := range []string{"checkpoint", "checkpoint.new"} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			n += info.Size()
		}
		return n
	}
	r, end := delivering(t, dir, filepath.Join(t.TempDir(), "alerts.ndjson"))
	for i := range 60 {
		r.tick(clock(fmt.Sprintf("10:00:%02d", i)))
		r.send(process(fmt.Sprintf("10:00:%02d", i), []string{"a", "ctr", "x"}[i%3]))
	}
	last := r.Status().Checkpoint
	if err := end(); err != nil || last.Failing != "" || last.Checkpoints < 50 {
		t.Errorf("%+v, and at the end %v", last, err)
	}
	if got, most := size(), 2*2*(2*last.Bytes+4096); got > most {
		t.Errorf("%d bytes for a checkpoint of %d, want at most %d", got, last.Bytes, most)
	}
	r, end = delivering(t, dir, filepath.Join(t.TempDir(), "alerts.ndjson"))
	r.send(process("10:00:58", "ctr"))
	if n := r.Counts().Repeated; n != 1 {
		t.Errorf("%d alerts are known to the next run, want 1", n)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}
