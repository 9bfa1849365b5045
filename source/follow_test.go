package source_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	stdtime "time"

	"github.com/orlop/orlop/source"
)

// A log is a folder with a file that grows and a Follower of it.
type log struct {
	t    *testing.T
	path string
	f    *source.Follower
	o    source.Options
	bad  []string
	offs map[string]int64
}

func newLog(t *testing.T) *log {
	l := &log{t: t, path: filepath.Join(t.TempDir(), "audit.log"), offs: map[string]int64{}}
	l.o.Reject = func(r source.Rejection) { l.bad = append(l.bad, r.Reason) }
	return l
}

func (l *log) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *log) follow(from *source.Place) {
	l.t.Helper()
	if l.f != nil {
		l.must(l.f.Close())
	}
	var err error
	l.f, err = source.Follow(l.path, from, &l.o)
	l.must(err)
	l.t.Cleanup(func() { l.f.Close() })
}

func (l *log) add(text string) {
	l.t.Helper()
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	l.must(err)
	_, err = f.WriteString(text)
	l.must(errors.Join(err, f.Close()))
}

func (l *log) rename(from, to string) {
	l.t.Helper()
	l.must(os.Rename(l.path+from, l.path+to))
}

// want says which lines are there now.
func (l *log) want(want string) {
	l.t.Helper()
	var got []string
	err := l.f.Lines(func(line []byte, off int64) error {
		got = append(got, string(line))
		l.offs[string(line)] = off
		return nil
	})
	l.must(err)
	if s := strings.Join(got, " "); s != want {
		l.t.Errorf("lines %q, want %q", s, want)
	}
}

func (l *log) rejected(want string) {
	l.t.Helper()
	if got := strings.Join(l.bad, "; "); got != want {
		l.t.Errorf("rejected %q, want %q", got, want)
	}
	l.bad = nil
}

func TestFollowBeginsAtTheEnd(t *testing.T) {
	l := newLog(t)
	l.add("old:1\nold:2\nhalf")
	l.follow(nil)
	l.want("")
	l.add("-done\n")
	l.want("half-done")
	l.add("new")
	l.want("")
	l.add(":1\r\n\n  \nnew:2\n")
	l.want("new:1 new:2")
	l.rejected("")
}

func TestFollowWaitsForTheFile(t *testing.T) {
	l := newLog(t)
	l.follow(nil)
	l.want("")
	l.add("first:1\n")
	l.want("first:1")
}

func TestFollowThroughRotations(t *testing.T) {
	l := newLog(t)
	l.add("")
	l.follow(nil)
	l.add("a:1\n")
	l.want("a:1")
	// Renamed, and written to until the writer has opened the next one.
	l.add("a:2\n")
	l.rename("", ".1")
	l.want("a:2")
	l.must(os.WriteFile(l.path, nil, 0o600))
	f, err := os.OpenFile(l.path+".1", os.O_APPEND|os.O_WRONLY, 0)
	l.must(err)
	fmt.Fprint(f, "a:3\nlast-without-end")
	f.Close()
	l.want("a:3")
	l.add("b:1\n")
	l.want("last-without-end b:1")
	// Removed and made anew.
	l.must(os.Remove(l.path))
	l.want("")
	l.add("c:1\n")
	l.want("c:1")
	l.rejected("")
	// Offsets go on.
	if l.offs["a:1"] != 0 || l.offs["b:1"] <= l.offs["last-without-end"] || l.offs["c:1"] <= l.offs["b:1"] {
		t.Errorf("offsets %v", l.offs)
	}
}

// Files that came and went between two looks are read in their order.
func TestFollowThroughSeveralRotationsAtOnce(t *testing.T) {
	l := newLog(t)
	l.add("a:1\n")
	l.follow(nil)
	l.add("a:2\n")
	at := func(path string, sec int64) {
		l.must(os.Chtimes(path, time(sec), time(sec)))
	}
	at(l.path, 100)
	l.rename("", ".1")
	l.add("b:1\n")
	at(l.path, 200)
	l.rename(".1", ".2")
	l.rename("", ".1")
	l.must(os.WriteFile(l.path+".bak", []byte("not:ours\n"), 0o600))
	l.add("c:1\n")
	l.want("a:2 b:1 c:1")
	l.rejected("")
}

// Files that came within one tick of the clock are told apart, and those of dates, too.
// One that nothing was written to ends nobody's turn.
func TestFollowThroughRotationsWithinATick(t *testing.T) {
	for _, names := range [][]string{{".3", ".2", ".1"}, {"-2026010109", "-2026010110", "-2026010111"}} {
		l := newLog(t)
		l.add("a:1\n")
		l.follow(nil)
		l.add("a:2\n")
		l.rename("", names[0])
		for i, text := range []string{"b:1\n", "c:1\n"} {
			l.add(text)
			l.rename("", names[i+1])
		}
		for _, name := range names {
			l.must(os.Chtimes(l.path+name, time(100), time(100)))
		}
		l.want("a:2 b:1 c:1") // while there is no new one
		l.add("")
		l.want("")
		l.rename("", names[2]+"0")
		l.add("d:1\n")
		l.want("d:1")
		l.rejected("")
	}
}

// When more files come and go than are kept, that some may be missing is said.
func TestFollowSaysThatFilesMayBeMissing(t *testing.T) {
	l := newLog(t)
	l.add("a:1\n")
	l.follow(nil)
	l.add("a:2\n")
	l.want("a:2")
	for _, text := range []string{"b:1\n", "c:1\n", "d:1\n"} { // two are kept
		if _, err := os.Stat(l.path + ".1"); err == nil {
			l.rename(".1", ".2")
		}
		l.rename("", ".1")
		l.add(text)
	}
	l.want("b:1 c:1 d:1")
	l.rejected("the file that was read was rotated away, or compressed, before the next one was looked for: files in between may be gone unread")
}

// A writer that appends, renames and reopens, as auditd does, may do so at any moment.
func TestFollowLosesNothingAtRotation(t *testing.T) {
	const kept, each, files = 8, 21, 400
	l := newLog(t)
	l.add("")
	l.follow(nil)
	var seen atomic.Int64
	done := make(chan error, 1)
	go func() {
		for n := range files {
			for i := kept; i > 1; i-- {
				os.Rename(fmt.Sprintf("%s.%d", l.path, i-1), fmt.Sprintf("%s.%d", l.path, i))
			}
			os.Rename(l.path, l.path+".1")
			f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				done <- err
				return
			}
			for i := range each {
				fmt.Fprintf(f, "a line long enough to tell its file from all others: %d\n", n*each+i+1)
			}
			f.Close()
			for seen.Load() < int64((n-kept/2)*each) { // No more is rotated than is kept.
				runtime.Gosched()
			}
		}
		close(done)
	}()
	next, lost := int64(1), int64(0)
	read := func() {
		l.must(l.f.Lines(func(line []byte, _ int64) error {
			var n int64
			if _, err := fmt.Sscanf(string(line), "a line long enough to tell its file from all others: %d", &n); err != nil || n < next {
				t.Errorf("%q after line %d: %v", line, next-1, err)
			}
			lost += n - next
			next = n + 1
			seen.Store(n)
			return nil
		}))
	}
	for over := false; !over; {
		select {
		case err := <-done:
			l.must(err)
			over = true
		default:
		}
		read()
	}
	if next != files*each+1 || lost > 0 {
		t.Errorf("%d of %d lines lost, and the last is %d", lost, files*each, next-1)
	}
	l.rejected("")
}

func TestFollowThroughTruncation(t *testing.T) {
	l := newLog(t)
	l.add("a:1\n")
	l.follow(nil)
	l.add("a:2\npart")
	l.want("a:2")
	// Truncated without a copy: what was not read is gone.
	l.must(os.Truncate(l.path, 0))
	l.add("b:1\n")
	l.want("b:1")
	l.rejected("the file was truncated within a line")
	// Truncated and grown beyond where we were, between two looks; the rest is in the copy.
	l.add("b:2\n")
	text, err := os.ReadFile(l.path)
	l.must(err)
	l.must(os.WriteFile(l.path+".1", text, 0o600))
	l.must(os.Truncate(l.path, 0))
	l.add("c:1 with more text than there was before\nc:2\n")
	l.want("b:2 c:1 with more text than there was before c:2")
	l.rejected("")
}

func TestFollowGoesOn(t *testing.T) {
	l := newLog(t)
	l.follow(nil)
	l.add("a:1\na:2\na:3\n")
	l.want("a:1 a:2 a:3")
	p := l.f.Place(l.offs["a:2"])
	l.follow(&p)
	l.want("a:2 a:3")
	// The file was rotated in between.
	l.add("a:4\n")
	p = l.f.Place(l.f.Next())
	l.must(os.Chtimes(l.path, time(100), time(100)))
	l.rename("", "-20260101")
	l.add("b:1\n")
	l.follow(&p)
	l.want("a:4 b:1")
	// A place in the file before.
	p = l.f.Place(l.offs["a:4"])
	l.follow(&p)
	l.want("a:4 b:1")
	l.rejected("")
	if l.offs["a:1"] != 0 || l.offs["b:1"] != 16 {
		t.Errorf("offsets %v", l.offs)
	}
	// The file is gone.
	p = l.f.Place(l.f.Next())
	l.must(os.Remove(l.path))
	l.must(os.Remove(l.path + "-20260101"))
	l.add("c:1\n")
	l.follow(&p)
	l.want("c:1")
	l.rejected("the file that was read before is gone, and what was added to it since; this one is read from its beginning")
}

func TestFollowBoundsLines(t *testing.T) {
	l := newLog(t)
	l.o.MaxLine = 1000
	l.follow(nil)
	l.add("a:1\n" + strings.Repeat("x", 300000))
	l.want("a:1")
	l.add(strings.Repeat("x", 300000) + "\na:2\n")
	l.want("a:2")
	l.rejected("line longer than 1000 bytes")
}

func TestFollowSaysWhatCannotBeFollowed(t *testing.T) {
	dir := t.TempDir()
	if _, err := source.Follow(dir, nil, &source.Options{}); err == nil || !strings.Contains(err.Error(), dir+": not a file that can be followed") {
		t.Errorf("a folder: %v", err)
	}
}

func time(sec int64) stdtime.Time { return stdtime.Unix(sec, 0) }

// What was rotated and compressed between two looks may hold lines that nobody has read:
// that is said, if it is compressed in a way that we cannot read.
func TestFollowSaysThatFilesAreCompressed(t *testing.T) {
	for _, ext := range []string{".xz", ".bz2", ".lz4"} {
		l := newLog(t)
		l.add("one\n")
		l.follow(nil)
		l.must(l.f.Lines(func([]byte, int64) error { return nil }))
		l.must(os.Remove(l.path))
		l.must(os.WriteFile(l.path+".2"+ext, []byte("one"), 0o600))
		l.must(os.WriteFile(l.path+".1"+ext, []byte("two"), 0o600))
		l.add("three\n")
		var got []string
		l.must(l.f.Lines(func(line []byte, _ int64) error { got = append(got, string(line)); return nil }))
		if len(got) != 1 || got[0] != "three" || len(l.bad) != 1 || !strings.Contains(l.bad[0], "or compressed") {
			t.Errorf("%s: lines %q, rejected %q", ext, got, l.bad)
		}
	}
}

// compress does to a rotated file what logrotate does: the new one is whole before the old
// one goes, and has its time.
func (l *log) compress(name, ext string) {
	l.t.Helper()
	text, err := os.ReadFile(l.path + name)
	l.must(err)
	packed := gz(string(text))
	if ext == ".zst" {
		packed = zst(string(text))
	}
	st, err := os.Stat(l.path + name)
	l.must(err)
	l.must(os.WriteFile(l.path+name+ext, []byte(packed[:len(packed)/2]), 0o600))
	l.want("") // half of it is not looked at
	l.must(os.WriteFile(l.path+name+ext, []byte(packed), 0o600))
	l.must(os.Chtimes(l.path+name+ext, st.ModTime(), st.ModTime()))
	l.must(os.Remove(l.path + name))
}

// What was rotated and compressed between two looks, or two runs, is read all the same, each
// line once: by number, by date, and by kube-apiserver.
func TestFollowReadsCompressedFiles(t *testing.T) {
	for _, ext := range []string{".gz", ".zst"} {
		for _, names := range [][]string{{".3", ".2", ".1"}, {"-20260101", "-20260102", "-20260103"}} {
			l := newLog(t)
			l.add("a:1\n")
			l.follow(nil)
			l.add("a:2\n")
			l.want("a:2")
			place := l.f.Place(l.f.Next())
			turn := func(name string, sec int64) {
				l.must(os.Chtimes(l.path, time(sec), time(sec)))
				l.rename("", name)
			}
			l.add("a:3\n" + strings.Repeat("a:long line that makes the file longer than its head\n", 5) + "a:4\n")
			text, err := os.ReadFile(l.path)
			l.must(err)
			turn(names[0], 100)
			l.want("a:3" + strings.Repeat(" a:long line that makes the file longer than its head", 5) + " a:4")
			l.compress(names[0], ext)
			l.add("b:1\nb:2\n")
			turn(names[1], 200)
			if err := os.WriteFile(l.path+names[1]+ext, []byte(map[string]string{".gz": gz("b:1\nb:2\n"), ".zst": zst("b:1\nb:2\n")}[ext]), 0o600); err != nil {
				t.Fatal(err)
			}
			l.must(os.Chtimes(l.path+names[1]+ext, time(200), time(200)))
			l.must(os.Remove(l.path + names[1]))
			l.add("c:1\n")
			turn(names[2], 300)
			l.add("d:1\n")
			l.want("b:1 b:2 c:1 d:1")
			l.rejected("")
			// Another run goes on within the first one.
			l.follow(&place)
			l.want("a:3" + strings.Repeat(" a:long line that makes the file longer than its head", 5) + " a:4 b:1 b:2 c:1 d:1")
			l.rejected("")
			if want := int64(len(text)); l.offs["b:1"] != want {
				t.Errorf("%s: b:1 is at %d, want %d", ext, l.offs["b:1"], want)
			}
		}
	}
}

// A copy that was compressed after the file was truncated has the rest of it.
func TestFollowReadsACompressedCopy(t *testing.T) {
	l := newLog(t)
	l.follow(nil)
	l.add("a:1\n")
	l.want("a:1")
	l.add("a:2\n")
	l.must(os.WriteFile(l.path+".1.gz", []byte(gz("a:1\na:2\n")), 0o600))
	l.must(os.Truncate(l.path, 0))
	l.add("b:1\n")
	l.want("a:2 b:1")
	l.rejected("")
}

// What is damaged is read as far as that goes; the rest is rejected, and the next file read.
func TestFollowADamagedCompressedFile(t *testing.T) {
	f := func(packed string, want, bad string) {
		t.Helper()
		l := newLog(t)
		l.add("a:1\n")
		l.follow(nil)
		l.must(os.Chtimes(l.path, time(100), time(100)))
		l.rename("", ".2")
		l.must(os.WriteFile(l.path+".1.gz", []byte(packed), 0o600))
		l.must(os.Chtimes(l.path+".1.gz", time(200), time(200)))
		l.add("c:1\n")
		l.want(want)
		l.rejected(l.path + ".1.gz cannot be read to its end: " + bad)
	}
	whole := gz("b:1\nb:2\n")
	f(whole[:len(whole)-4], "b:1 b:2 c:1", "unexpected EOF")
	f("no gzip at all", "c:1", "gzip: invalid header")
	f(whole+"x", "b:1 b:2 c:1", "unexpected EOF")
}

// A log that is named like a compressed file is followed as it is.
func TestFollowWhateverItsName(t *testing.T) {
	l := newLog(t)
	l.path += ".gz"
	l.follow(nil)
	l.add("a:1\n")
	l.want("a:1")
}
