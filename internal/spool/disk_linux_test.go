package spool_test

import (
	"os"
	"strings"
	"testing"
	"time"
)

// onDisk is the sum of the sizes of files without a name that this process has open
// in dir.
func onDisk(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range open {
		name := "/proc/self/fd/" + f.Name()
		if to, err := os.Readlink(name); err != nil || !strings.HasPrefix(to, dir+"/") || !strings.HasSuffix(to, " (deleted)") {
			continue
		}
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
