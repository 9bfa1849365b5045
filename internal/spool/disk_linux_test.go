package spool_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// nameless are the files without a name that this process has open in dir, by names
// that open them again.
func nameless(t *testing.T, dir string) (names []string) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range open {
		name := "/proc/self/fd/" + f.Name()
		to, err := os.Readlink(name)
		if err == nil && strings.HasPrefix(to, dir+"/") && strings.HasSuffix(to, " (deleted)") {
			names = append(names, name)
		}
	}
	return names
}

// onDisk is the sum of the sizes of those files.
func onDisk(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	for _, name := range nameless(t, dir) {
		if st, err := os.Stat(name); err == nil {
			bytes += st.Size()
		}
	}
	return bytes
}

// Where events are added and taken in turns disk has what waits, four times at most,
// not all that ever waited; also where some of each run wait for long.
func TestDiskIsGivenBack(t *testing.T) {
	f := func(what string, ahead func(i int) time.Duration) {
		t.Helper()
		dir := t.TempDir()
		t.Setenv("TMPDIR", dir)
		b := newBench()
		doc := `{"pad":"` + strings.Repeat("x", 400) + `"}`
		const window, record, memory = 2000 * time.Second, 500, 50_000
		var written, most int64
		for i := range 30_000 {
			now := start.Add(time.Duration(i) * time.Second)
			b.Add(b.event(t, now.Add(ahead(i)), doc), nil)
			written += int64(len(doc))
			if err := b.Bound(memory); err != nil {
				t.Fatal(err)
			}
			for {
				at, ok, err := b.First()
				if err != nil {
					t.Fatal(err)
				}
				if !ok || at.After(now.Add(-window)) {
					break
				}
				b.take(t)
			}
			if i%100 == 0 {
				size := onDisk(t, dir)
				if waits := int64(b.Len()) * record; size > 4*waits+2*memory {
					t.Fatalf("%s: after %d events disk has %d bytes, %d wait", what, i, size, waits)
				}
				most = max(most, size)
			}
		}
		t.Logf("%s: %d bytes came, at most %d were on disk", what, written, most)
		if most == 0 {
			t.Errorf("%s: nothing was on disk", what)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if size := onDisk(t, dir); size > 0 {
			t.Errorf("%s: %d bytes are on disk after Close", what, size)
		}
	}
	f("in order", func(int) time.Duration { return 0 })
	f("out of order", func(i int) time.Duration { return time.Duration(i*7919%1000) * time.Second })
	f("some early", func(i int) time.Duration {
		if i%100 == 0 {
			return 10_000 * time.Second
		}
		return 0
	})
}

// A disk that gives back something else than was written is an error, be it met as
// events are taken or as runs are merged. Another directory would be no help.
func TestDamagedDisk(t *testing.T) {
	const events, record = 20, 450 // at least
	fill := func(b *bench) error {
		for i := range events {
			b.Add(b.event(t, start.Add(time.Duration(i)*time.Second), `{"pad":"`+strings.Repeat("x", 400)+`"}`), nil)
		}
		return b.Bound(0)
	}
	taken := func(b *bench) error {
		for range events {
			if _, _, err := b.Next(); err != nil {
				return err
			}
		}
		return nil
	}
	merged := func(b *bench) error {
		for range 64 {
			if err := fill(b); err != nil {
				return err
			}
		}
		return nil
	}
	f := func(what string, damage func(*os.File) error, want string) {
		t.Helper()
		for _, meet := range []func(*bench) error{taken, merged} {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			b := newBench()
			if err := fill(b); err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(nameless(t, dir)[0], os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(damage(file), file.Close()); err != nil {
				t.Fatal(err)
			}
			if err := meet(b); err == nil || err.Error() != "events that wait to be put in order go to "+dir+": "+want {
				t.Errorf("%s: got %v", what, err)
			}
			b.Close()
		}
	}
	flip := func(at int64) func(*os.File) error {
		return func(f *os.File) error {
			var b [1]byte
			if _, err := f.ReadAt(b[:], at); err != nil {
				return err
			}
			b[0] ^= 1
			_, err := f.WriteAt(b[:], at)
			return err
		}
	}
	for i := int64(0); i < 2*record; i += 13 {
		f(fmt.Sprintf("byte %d", i), flip(i), "what was written there has changed")
	}
	f("cut", func(f *os.File) error { return f.Truncate(events * record / 2) }, "unexpected EOF")
	f("empty", func(f *os.File) error { return f.Truncate(0) }, "unexpected EOF")
}
