package sink_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/smalldisk"
	"github.com/orlop/orlop/sink"
)

// While the disk is full, alerts reach the sinks that work, and what waits for the
// others goes to disk as soon as there is room.
func TestDiskFull(t *testing.T) {
	dir := smalldisk.Mount(t, "256k")
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
	filler := smalldisk.Fill(t, dir)
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
	smalldisk.Fill(t, dir)
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

// At the end of an outbox whose disk is full only that is lost which some sink has not
// got, and the error says how much; what all have got is not missed.
func TestDiskFullLosesWhatASinkHasNotGot(t *testing.T) {
	f := func(fast, slow []string, lost string) {
		t.Helper()
		dir := smalldisk.Mount(t, "256k")
		var log bytes.Buffer
		a, b := &memory{}, &memory{}
		o := sink.OutboxOptions{Dir: filepath.Join(dir, "outbox"), Log: slog.New(slog.NewTextHandler(&log, nil))}
		routes := []sink.Route{{Name: "a", Sink: a}, {Name: "b", Sink: b}}
		box := openBox(t, o, routes...)
		if why := box.Stats().Failing; why != "" {
			t.Errorf("fails before the disk is full: %s", why)
		}
		smalldisk.Fill(t, dir)
		long := func(id string) *alert.Alert { return small(t, id+strings.Repeat("x", 8<<10)) }
		for _, id := range fast {
			if err := box.Append(long(id)); err == nil {
				t.Fatal("the disk is not full")
			}
		}
		b.answer = func(alerts []*alert.Alert) error { return &sink.Partial{Done: len(slow), Err: errDown} }
		deliver(box)
		st := box.Stats()
		if want := len(fast) - len(slow); st.Memory != want || int(st.Sinks[1].Waiting) != want {
			t.Errorf("%+v, want %d in memory", st, want)
		}
		if !strings.Contains(st.Failing, "no space left on device") {
			t.Errorf("the outbox does not say that it fails: %+v", st)
		}
		if err := box.Sync(); (err != nil) != (lost != "") {
			t.Errorf("Sync: %v", err)
		}
		if err := box.Close(); (err != nil) != (lost != "") || err != nil && !strings.HasPrefix(err.Error(), "outbox: close: "+lost) {
			t.Errorf("Close: %v, want %q", err, lost)
		}
		if strings.Contains(log.String(), "lost") != (lost != "") {
			t.Errorf("the log says\n%s", log.String())
		}

		// The next one goes on where this one ended, though the disk is still full, and
		// tells who misses some.
		a, b = &memory{}, &memory{}
		routes[0].Sink, routes[1].Sink = a, b
		box = openBox(t, o, routes...)
		next := long("next").ID
		box.Append(long("next"))
		deliver(box)
		want(t, a.got, next)
		told := []string{next}
		if lost != "" {
			told = []string{fmt.Sprint("gave up ", len(fast)-len(slow)), next}
		}
		want(t, b.got, told...)
	}
	f([]string{"1", "2", "3"}, []string{"1", "2", "3"}, "")
	f([]string{"1", "2", "3"}, []string{"1"}, "2 alerts are lost")
}

// The outbox says that its disk fails until the disk takes something again, also when
// nothing waits for it.
func TestFailingUntilThereIsRoom(t *testing.T) {
	dir := smalldisk.Mount(t, "256k")
	box := openBox(t, sink.OutboxOptions{Dir: filepath.Join(dir, "outbox")}, sink.Route{Name: "m", Sink: &memory{}})
	filler := smalldisk.Fill(t, dir)
	f := func(failing bool) {
		t.Helper()
		deliver(box)
		deliver(box) // whose housekeeping tries again
		if st := box.Stats(); (st.Failing != "") != failing || st.Memory != 0 || st.Sinks[0].Waiting != 0 {
			t.Errorf("%+v, want it failing: %v", st, failing)
		}
	}
	for i := range 4 {
		box.Append(small(t, fmt.Sprint(i, strings.Repeat("x", 8<<10))))
	}
	f(true)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	f(false)
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
	add(t, box, "a")
	// A device that takes all, keeps nothing and cannot be synced becomes the file.
	file := filepath.Join(dir, fmt.Sprintf("%020d.log", 1))
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range open {
		if name, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && name == file {
			fd, err := strconv.Atoi(e.Name())
			if err == nil {
				err = unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
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
