package sink_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orlop/orlop/sink"
)

// While the disk is full, alerts reach the sinks that work, and what waits for the
// others goes to disk as soon as there is room.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs a small file system, and to be root to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	slow, fast := &memory{answer: down}, &memory{}
	routes := []sink.Route{{Name: "slow", Sink: slow}, {Name: "fast", Sink: fast}}
	o := sink.OutboxOptions{Dir: filepath.Join(dir, "outbox"), MaxBytes: 8 << 20}
	box := openBox(t, o, routes...)
	var all []string
	next := func() string {
		all = append(all, fmt.Sprintf("%d-%s", len(all), strings.Repeat("x", 500)))
		return all[len(all)-1]
	}
	add(t, box, next(), next())
	deliver(box)

	// Somebody else fills the disk.
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 1<<10))
	}
	f.Close()
	refused := 0
	for range 300 {
		if err := box.Append(small(t, next())); err != nil {
			refused++
			if !strings.Contains(err.Error(), "no space left on device") {
				t.Fatal(err)
			}
		}
	}
	deliver(box)
	want(t, fast.list(), all...)
	st := box.Stats()
	if refused == 0 || st.Unwritten != int64(refused) || st.Memory != refused || st.Sinks[0].Waiting != 302 {
		t.Errorf("%d were refused: %+v", refused, st)
	}

	// There is room again.
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	add(t, box, next())
	if st := box.Stats(); st.Memory != 0 {
		t.Errorf("%+v", st)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	slow = &memory{}
	routes[0].Sink = slow
	box = openBox(t, o, routes...)
	add(t, box, next())
	deliver(box)
	want(t, slow.list(), all...)
	want(t, fast.list(), all...)

	// Full for long: memory is bounded too, and the oldest of it goes.
	slow.answer = down
	f, err = os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 1<<10))
	}
	f.Close()
	slow.got = nil
	const n = 100
	for i := range n {
		box.Append(small(t, fmt.Sprint(i, strings.Repeat("y", 200<<10))))
	}
	deliver(box)
	slow.answer = nil
	deliver(box)
	st = box.Stats()
	s := st.Sinks[0]
	if s.GivenUp < 50 || s.GivenUp+int64(len(slow.list()))-1 != n || slow.got[0] != fmt.Sprint("gave up ", s.GivenUp) {
		t.Errorf("%d got, first %.20q: %+v", len(slow.got), slow.got[0], s)
	}
}

// What a sync did not bring to disk no later one does, though it reports no error any
// more: Sync says so until nobody waits for it.
func TestSyncRemembersItsFailure(t *testing.T) {
	dir := t.TempDir()
	slow := &memory{answer: down}
	box := openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "slow", Sink: slow})
	f := func(want string) {
		t.Helper()
		got := ""
		if err := box.Sync(); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("Sync: %q, want %q", got, want)
		}
	}
	f("")
	// This device takes all, keeps nothing and cannot be synced.
	if err := os.Symlink("/dev/null", filepath.Join(dir, fmt.Sprintf("%020d.log", 1))); err != nil {
		t.Fatal(err)
	}
	add(t, box, "a")
	f("outbox: sync: sync ")
	f("outbox: sync: sync ")
	add(t, box, "b")
	deliver(box) // whose housekeeping syncs as well
	f("outbox: sync: sync ")
	slow.answer = nil
	deliver(box)
	want(t, slow.list(), "gave up 2")
	f("")
}
