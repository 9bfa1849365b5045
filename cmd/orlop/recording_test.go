package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/internal/smalldisk"
	"github.com/orlop/orlop/source"
)

// A recording that is rotated is read back whole and in order, and only the newest
// of its files are kept.
func TestRecordingIsRotated(t *testing.T) {
	const n = 3000
	f := func(name string, keep, files, first int) {
		t.Helper()
		dir := t.TempDir()
		other := filepath.Join(dir, "events.mine.ndjson.zst")
		if err := os.WriteFile(other, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		// The clock stands still, and is then set back.
		clock := time.Date(2026, 4, 29, 12, 0, 0, 0, time.UTC)
		r := &recording{name: filepath.Join(dir, name), limit: 64 << 10, keep: keep, now: func() time.Time { return clock }}
		if err := r.open(nil); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC)
		for i := range n {
			at = at.Add(time.Second)
			if i == n/2 {
				clock = clock.Add(-time.Hour)
			}
			raw := fmt.Appendf(nil, `{"@timestamp":%q,"event":{"category":"process"},"n":%d,"text":%q}`, at.Format(time.RFC3339), i, noise(i))
			if err := r.add(&event.Event{Time: at, Raw: raw}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(other); err != nil {
			t.Errorf("a file that is not of the recording: %v", err)
		}
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(names) < files || keep > 0 && len(names) != keep+1 {
			t.Errorf("%s: %d files: %q", name, len(names), names)
		}
		ins, err := source.Open(names, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := event.NewSchema()
		number := s.Field("n")
		var got []int64
		err = (&agent.Replay{Schema: s, Inputs: ins}).Run(context.Background(), func(e *event.Event) error {
			got = append(got, e.Get(number).Int())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 || !slices.IsSorted(got) || got[len(got)-1] != n-1 || int(got[len(got)-1]-got[0])+1 != len(got) || first == 0 && got[0] != 0 {
			t.Errorf("%s: %d events from %d to %d", name, len(got), got[0], got[len(got)-1])
		}
	}
	f("events.ndjson", 0, 5, 0)
	f("events.ndjson.zst", 0, 3, 0)
	f("events", 0, 5, 0)
	f("events.ndjson.zst", 2, 3, -1)
}

// noise is text that does not compress well.
func noise(i int) string {
	var b strings.Builder
	for j := range 20 {
		fmt.Fprintf(&b, "%x", uint32(i*31+j)*2654435761)
	}
	return b.String()
}

// What was flushed is read back whatever becomes of the rest: a file that ends amid a frame
// or a line tells its events up to there, and of the cut.
func TestRecordingThatEndsAnywhere(t *testing.T) {
	for _, name := range []string{"events.ndjson", "events.ndjson.zst"} {
		name = filepath.Join(t.TempDir(), name)
		r := &recording{name: name}
		if err := r.open(nil); err != nil {
			t.Fatal(err)
		}
		var ends []int64 // of the file after each flush
		for i := range 40 {
			if err := r.add(&event.Event{Raw: fmt.Appendf(nil, `{"n":%d,"text":%q}`, i, noise(i))}); err != nil {
				t.Fatal(err)
			}
			if i%10 == 9 {
				if err := r.flush(); err != nil {
					t.Fatal(err)
				}
				st, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				ends = append(ends, st.Size())
			}
		}
		if err := r.flush(); err != nil { // there is nothing
			t.Fatal(err)
		}
		whole, err := os.ReadFile(name)
		if err != nil || int64(len(whole)) != ends[3] {
			t.Fatalf("%d bytes, %v; want %d", len(whole), err, ends[3])
		}
		for size := int64(0); size <= ends[3]; size += 17 {
			if err := os.WriteFile(name, whole[:size], 0o600); err != nil {
				t.Fatal(err)
			}
			ins, err := source.Open([]string{name}, nil)
			if err != nil {
				t.Fatal(err)
			}
			s := event.NewSchema()
			number, n, cut := s.Field("n"), int64(0), 0
			p := agent.Replay{Schema: s, Inputs: ins, Reject: func(source.Rejection) { cut++ }}
			err = p.Run(t.Context(), func(e *event.Event) error {
				if got := e.Get(number).Int(); got != n {
					t.Fatalf("%s, of which %d bytes are there: event %d, want %d", name, size, got, n)
				}
				n++
				return nil
			})
			flushed := 10 * int64(len(slices.DeleteFunc(slices.Clone(ends), func(end int64) bool { return end > size })))
			if err != nil || n < flushed {
				t.Fatalf("%s, of which %d bytes are there: %d events, %v; want %d", name, size, n, err, flushed)
			}
			if clean := size == 0 || slices.Contains(ends, size); filepath.Ext(name) == ".zst" && !clean && cut != 1 {
				t.Fatalf("%s, of which %d bytes are there: it is not told that it was cut", name, size)
			}
		}
	}
}

// A disk that takes nothing more ends the recording at the next tick, with the reason, said
// once.
func TestRecordingOnAFullDisk(t *testing.T) {
	for _, name := range []string{"events.ndjson", "events.ndjson.zst"} {
		dir := smalldisk.Mount(t, "4m")
		r := &recording{name: filepath.Join(dir, name)}
		if err := r.open(nil); err != nil {
			t.Fatal(err)
		}
		smalldisk.Fill(t, dir)
		doc := &event.Event{Raw: []byte(`{"n":1}`)}
		if err := r.add(doc); err != nil {
			t.Fatal(err)
		}
		ticks := make(chan time.Time, 1)
		ticks <- time.Time{}
		err := r.flushes(t.Context(), ticks)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: got %v", name, err)
		}
		if again := r.add(doc); again != err {
			t.Errorf("%s: then %v, want %v", name, again, err)
		}
		if again := r.close(); again != err {
			t.Errorf("%s: at the end %v, want %v", name, again, err)
		}
	}
}

// A file that cannot be made ends the recording, with the reason.
func TestRecordingWithoutAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	r := &recording{name: filepath.Join(dir, "x")}
	if err := r.open(nil); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("got %v", err)
	}
}

// What an earlier run has recorded is kept.
func TestRecordingPutsAnEarlierOneAside(t *testing.T) {
	name := filepath.Join(t.TempDir(), "events.ndjson")
	r := &recording{name: name, now: func() time.Time { return time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC) }}
	for _, doc := range []string{`{"run":1}`, `{"run":2}`} {
		if err := r.begin(nil); err != nil {
			t.Fatal(err)
		}
		if err := r.add(&event.Event{Raw: []byte(doc)}); err != nil {
			t.Fatal(err)
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{name: `{"run":2}`, strings.TrimSuffix(name, "ndjson") + "20260429T100000.000Z.ndjson": `{"run":1}`} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want+"\n" {
			t.Errorf("%s: %s, %v; want %s", filepath.Base(file), got, err, want)
		}
	}
}

// A disk that is full while an event is added is told once: close says the same.
func TestRecordingSaysOnceThatTheDiskIsFull(t *testing.T) {
	r := &recording{name: "/dev/full"}
	if err := r.open(nil); err != nil {
		t.Skip(err)
	}
	e := &event.Event{Raw: []byte(`{"n":"` + strings.Repeat("x", 100<<10) + `"}`)}
	err := r.add(e)
	if closed := r.close(); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, closed) {
		t.Errorf("add: %v; close: %v", err, closed)
	}
}
