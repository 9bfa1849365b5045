//go:build linux

package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
)

// over is a context that has ended: a source then takes what there is, and no more.
func over() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}

func tailOptions() audit.Options {
	return audit.Options{Options: source.Options{Schema: event.NewSchema()}, NoSeed: true}
}

// execRecords are the records of an exec, as a file has them.
func execRecords(serial int) []string {
	stamp := fmt.Sprintf("msg=audit(1795382413.%03d:%d):", serial%1000, serial)
	return []string{
		fmt.Sprintf(`type=SYSCALL %s arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=8 items=1 ppid=6 pid=%d auid=1001 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=84 comm="ctr" exe="/usr/bin/ctr" key="exec"`, stamp, 2_000_000_000+serial),
		fmt.Sprintf(`type=EXECVE %s argc=2 a0="ctr" a1="%d"`, stamp, serial),
		fmt.Sprintf(`type=CWD %s cwd="/root"`, stamp),
		fmt.Sprintf(`type=PATH %s item=0 name="/usr/bin/ctr" inode=1 dev=fe:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL`, stamp),
		fmt.Sprintf(`type=PROCTITLE %s proctitle=637472`, stamp),
	}
}

// shuffled are the records of execs, with those of neighbours mixed. Of one in twenty
// some are missing.
func shuffled(r *rand.Rand, first, n int) []string {
	type placed struct {
		at   float64
		text string
	}
	var all []placed
	for i := range n {
		records := execRecords(first + i)
		if r.IntN(20) == 0 {
			records = records[:2]
		}
		for j, text := range records {
			all = append(all, placed{float64(i) + float64(j)*0.2 + r.Float64()*3, text})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	lines := make([]string, len(all))
	for i, p := range all {
		lines[i] = p.text + "\n"
	}
	return lines
}

func write(t *testing.T, path string, lines []string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = io.WriteString(f, strings.Join(lines, ""))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What was written before a tail was told to end comes, also when it has looked at the
// log already by then.
func TestTailReadsWhatWasWrittenBeforeItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, []string{strings.Join(execRecords(1), "\n") + "\n"})
	first, err := audit.OpenTail(path, nil, tailOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Run(over(), func(*event.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	position, _ := first.Position()
	o := tailOptions()
	o.NoSeed = false
	tail, err := audit.OpenTail(path, position, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	execs := 0
	err = tail.Run(ctx, func(e *event.Event) error {
		switch {
		case e.Origin.Source == path:
			execs++
		case ctx.Err() == nil: // It has looked at the log, and tells which processes there are.
			write(t, path, []string{strings.Join(execRecords(2), "\n") + "\n"})
			stop()
		}
		return nil
	})
	if err != nil || execs != 1 {
		t.Errorf("of one execution before the end, %d came: %v", execs, err)
	}
}

// Whenever a tail is killed, one that goes on at its position hands on exactly the
// events that it did not, through a rotation, too.
func TestTailGoesOnWhereOneEnded(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	killed := errors.New("killed")
	for round := range 15 {
		path := filepath.Join(t.TempDir(), "audit.log")
		const n = 60
		lines := shuffled(r, 1000, n)
		cut := r.IntN(len(lines))
		seen := map[uint64]int{}
		var position []byte
		emitted := int64(0)
		for life, last := 0, false; !last; life++ {
			tail, err := audit.OpenTail(path, position, tailOptions())
			if err != nil {
				t.Fatal(err)
			}
			switch life {
			case 0: // not there when the first one begins
				write(t, path, lines[:cut])
			case 1:
				if round%2 == 0 {
					old := time.Now().Add(-time.Hour)
					os.Chtimes(path, old, old)
					if err := os.Rename(path, path+".1"); err != nil && !os.IsNotExist(err) {
						t.Fatal(err)
					}
				}
				write(t, path, lines[cut:])
			case 4:
				last = true
			}
			left := r.IntN(n / 3)
			err = tail.Run(over(), func(e *event.Event) error {
				if left--; left < 0 && !last {
					return killed
				}
				seq := serialOf(t, e)
				seen[seq]++
				if !last {
					position, emitted = tail.Position()
				}
				return nil
			})
			if err != nil && err != killed {
				t.Fatal(err)
			}
			position, emitted = tail.Position()
			if len(position) > 4<<10 {
				t.Fatalf("a position of %d bytes", len(position))
			}
			if c := tail.Stats(); c.Events < emitted {
				t.Errorf("%d events, and %d handed on", c.Events, emitted)
			}
		}
		for serial := uint64(1000); serial < 1000+n; serial++ {
			if seen[serial] != 1 {
				t.Fatalf("seed %d, round %d, cut %d: event %d came %d times; all: %v", seed, round, cut, serial, seen[serial], seen)
			}
		}
	}
}

// A position may be asked for at any time, as the file is rotated, and says which file
// it is in and how far.
func TestTailPositionDuringRotations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, nil)
	tail, err := audit.OpenTail(path, nil, tailOptions())
	if err != nil {
		t.Fatal(err)
	}
	const n = 60
	var files []string
	for i := range n {
		files = append(files, strings.Join(execRecords(i+1), "\n")+"\n"+strings.Join(execRecords(n+i+1), "\n")+"\n")
	}
	ctx, stop := context.WithCancel(context.Background())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for ctx.Err() == nil {
			b, _ := tail.Position()
			var p source.Place
			if err := json.Unmarshal(b, &p); err != nil {
				t.Error(err)
				return
			}
			at := p.Off
			for _, text := range files {
				if at < int64(len(text)) || p.At == int64(len(text)) && at == p.At {
					if !strings.HasPrefix(text, string(p.Head)) || at != p.At {
						t.Errorf("at %d, which is %d of its file: %.40q, %d", p.Off, at, p.Head, p.At)
					}
					break
				}
				at -= int64(len(text))
			}
		}
	}()
	for i, text := range files {
		write(t, path, []string{text})
		if i < n-1 {
			if err := os.Rename(path, fmt.Sprintf("%s.%d", path, n-i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	events := 0
	if err := tail.Run(ctx, func(*event.Event) error {
		if events++; events == 2*n {
			stop()
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	stop()
	<-asked
	if events != 2*n {
		t.Errorf("%d events, want %d", events, 2*n)
	}
}

func serialOf(t *testing.T, e *event.Event) uint64 {
	t.Helper()
	_, rest, _ := strings.Cut(string(e.Raw), `"sequence":`)
	var n uint64
	if _, err := fmt.Sscan(rest[:strings.IndexAny(rest, ",}")], &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// An event that still lacks a record waits, and so does what has not been read.
func TestTailWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, nil)
	tail, err := audit.OpenTail(path, nil, tailOptions())
	if err != nil {
		t.Fatal(err)
	}
	if n := tail.Stats().Waiting; n == 0 {
		t.Error("nothing waits before anything is read")
	}
	whole, part := execRecords(1), execRecords(2)
	write(t, path, []string{strings.Join(part[:2], "\n") + "\n" + strings.Join(whole, "\n") + "\n"})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var during []int64
	err = tail.Run(ctx, func(e *event.Event) error {
		during = append(during, tail.Stats().Waiting)
		stop()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(during) != 2 || during[0] < 2 {
		t.Errorf("while it was read, %d waited; want at least the rest of the file and the one that lacks records, and two events", during)
	}
	if st := tail.Stats(); st.Waiting != 0 {
		t.Errorf("in the end %+v", st)
	}
}

// What auditd sends to a plugin is read to its end, and events are as from a file.
func TestStream(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		for _, line := range execRecords(i + 1) {
			text.WriteString(line + "\n")
		}
		fmt.Fprintf(&text, "type=EOE msg=audit(1795382413.%03d:%d):\n", i+1, i+1)
	}
	text.WriteString("no record\n" + strings.TrimSuffix(strings.Join(execRecords(101), "\n"), "\n")) // without its end
	o := tailOptions()
	var bad []string
	o.Reject = func(r source.Rejection) { bad = append(bad, r.Reason) }
	s, err := audit.NewStream(strings.NewReader(text.String()), o)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.Run(context.Background(), func(e *event.Event) error {
		n++
		if got := serialOf(t, e); got != uint64(n) {
			t.Errorf("event %d is %d", n, got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); n != 101 || st.Events != 101 || st.Incomplete != 0 || st.Gaps != 0 || st.Dropped != 0 {
		t.Errorf("%d events, %+v", n, st)
	}
	if len(bad) != 1 || bad[0] != "not an audit record" {
		t.Errorf("rejected %q", bad)
	}
}

// A stream whose sender says nothing ends with its context.
// auditd numbers its own records from anywhere: between those of the kernel nothing is
// missing.
func TestSerialsOfTheDaemonItself(t *testing.T) {
	var text strings.Builder
	own := 9504
	daemon := func(typ string) {
		own++
		fmt.Fprintf(&text, "type=%s msg=audit(1795382413.000:%d): op=start ver=3.0.9 format=enriched auid=4294967295 pid=1607 uid=0 ses=4294967295 res=success\n", typ, own)
	}
	daemon("DAEMON_START")
	for i := range 10 {
		if i == 5 {
			daemon("DAEMON_ROTATE")
		}
		text.WriteString(strings.Join(execRecords(519325+i), "\n") + "\n")
	}
	daemon("DAEMON_END")
	s, err := audit.NewStream(strings.NewReader(text.String()), tailOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background(), func(*event.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Events != 13 || st.Missing() != 0 {
		t.Errorf("%+v, want 13 events and none missing", st)
	}
}

func TestStreamEndsWithItsContext(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	s, err := audit.NewStream(r, tailOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(over(), func(*event.Event) error { return nil }); err != nil {
		t.Error(err)
	}
}

// A line that nobody could keep is left out, and the ones around it are read.
func TestStreamBoundsLines(t *testing.T) {
	o := tailOptions()
	o.MaxLine = 1 << 20
	text := strings.Join(execRecords(1), "\n") + "\n" + strings.Repeat("x", 3<<20) + "\n" + strings.Join(execRecords(2), "\n") + "\n"
	s, err := audit.NewStream(strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.Run(context.Background(), func(*event.Event) error { n++; return nil }); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); n != 2 || st.Dropped != 1 {
		t.Errorf("%d events, %+v", n, st)
	}
}

// Only events of one login uid are handed on; the others are counted.
func TestStreamFilters(t *testing.T) {
	text := strings.Join(execRecords(1), "\n") + "\n" + strings.ReplaceAll(strings.Join(execRecords(2), "\n"), "auid=1001", "auid=1002") + "\n"
	o := tailOptions()
	uid := uint32(1002)
	o.LoginUID = &uid
	s, err := audit.NewStream(strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	if err := s.Run(context.Background(), func(e *event.Event) error { got = append(got, serialOf(t, e)); return nil }); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); !slices.Equal(got, []uint64{2}) || st.Filtered != 1 || st.Events != 1 {
		t.Errorf("%v, %+v", got, st)
	}
}

// What was written before this boot does not have its id.
func TestTailOfAnEarlierBoot(t *testing.T) {
	boot := audit.BootOf(time.Now().UnixMilli())
	if boot == "" || audit.BootOf(1_600_000_000_000) != "" {
		t.Errorf("now it is %q, in 2020 %q", boot, audit.BootOf(1_600_000_000_000))
	}
}
