package spool_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/spool"
)

var start = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

// bench is a Queue of documents, ordered by time and by the field tie, where none
// comes last.
type bench struct {
	*spool.Queue
	schema                 *event.Schema
	decoder                *event.Decoder
	id, tie, derived, list event.Field
}

func newBench() *bench {
	s := event.NewSchema()
	b := &bench{schema: s, decoder: event.NewDecoder(s), id: s.Field("id"), tie: s.Field("tie"), derived: s.Field("derived"), list: s.Field("list")}
	b.Queue = spool.New(s, b.tie, func(x, y *event.Event) int {
		if c := x.Time.Compare(y.Time); c != 0 {
			return c
		}
		v, w := x.Get(b.tie), y.Get(b.tie)
		switch {
		case !v.Exists() || !w.Exists():
			return cmp.Compare(w.Len(), v.Len())
		}
		return strings.Compare(v.At(0).Text(), w.At(0).Text())
	})
	return b
}

func (b *bench) event(t rapid.TB, at time.Time, doc string) *event.Event {
	t.Helper()
	var e event.Event
	if err := b.decoder.Decode([]byte(doc), &e); err != nil {
		t.Fatal(err)
	}
	e.Time = at
	return &e
}

func (b *bench) take(t rapid.TB) (*event.Event, []uint32) {
	t.Helper()
	e, tags, err := b.Next()
	if err != nil {
		t.Fatal(err)
	}
	return e, tags
}

// Events come back in the order of a stable sort, whatever part of them was on
// disk and however often some were taken in between.
func TestOrder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	type entry struct {
		at, tie, id int
	}
	rapid.Check(t, func(r *rapid.T) {
		b := newBench()
		defer b.Close()
		limit := rapid.SampledFrom([]int64{0, 1000, 20000, 1 << 40}).Draw(r, "memory")
		var naive []entry
		take := func() {
			want := naive[0]
			naive = naive[1:]
			at, ok, err := b.First()
			if err != nil || !ok || !at.Equal(start.Add(time.Duration(want.at)*time.Second)) {
				r.Fatalf("First: %v, %v, %v; want %+v", at, ok, err, want)
			}
			e, tags := b.take(r)
			if got := e.Get(b.id).Int(); got != int64(want.id) || !e.Time.Equal(at) {
				r.Fatalf("got %d at %v, want %+v", got, e.Time, want)
			}
			if want := []uint32{uint32(want.id), 7}; !slices.Equal(tags, want) {
				r.Fatalf("tags %v, want %v", tags, want)
			}
		}
		for id := range rapid.IntRange(0, 400).Draw(r, "events") {
			n := entry{rapid.IntRange(0, 30).Draw(r, "at"), rapid.IntRange(-1, 2).Draw(r, "tie"), id}
			doc := fmt.Sprintf(`{"id":%d}`, id)
			if n.tie >= 0 {
				doc = fmt.Sprintf(`{"id":%d,"tie":%d}`, id, n.tie)
			} else {
				n.tie = 9
			}
			b.Add(b.event(r, start.Add(time.Duration(n.at)*time.Second), doc), []uint32{uint32(id), 7})
			if err := b.Bound(limit); err != nil {
				r.Fatal(err)
			}
			naive = append(naive, n)
			slices.SortStableFunc(naive, func(a, b entry) int { return cmp.Or(a.at-b.at, a.tie-b.tie) })
			if b.Len() != len(naive) || b.Size() > limit {
				r.Fatalf("%d events of %d bytes, want %d of at most %d", b.Len(), b.Size(), len(naive), limit)
			}
			for range rapid.SampledFrom([]int{0, 0, 0, 1, 3, 50}).Draw(r, "take") {
				if len(naive) > 0 {
					take()
				}
			}
		}
		for len(naive) > 0 {
			take()
		}
		if _, _, err := b.Next(); err != io.EOF || b.Len() != 0 || b.Size() != 0 {
			r.Errorf("%v with %d events of %d bytes left, want EOF", err, b.Len(), b.Size())
		}
		if _, ok, err := b.First(); ok || err != nil {
			r.Errorf("First of nothing: %v, %v", ok, err)
		}
	})
}

// An event comes back from disk as it was: document, place, time, and what was
// filled in, to the last bit.
func TestEventsComeBackWhole(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	b := newBench()
	defer b.Close()
	values := []event.Value{
		event.String("d\"\n\xff"), event.String(""), event.Int(math.MinInt64), event.Float(1), event.Float(math.NaN()), event.Float(math.Inf(-1)),
		event.Bool(true), event.Bool(false), event.Null(), event.String(strings.Repeat("é", 1<<20)),
		event.List([]event.Value{event.Int(1), event.String("é"), event.Bool(true), event.Float(-0.5)}),
	}
	raw := func(i int) string { return fmt.Sprintf(`{"id":%d,"list":["a",%d],"pad":"\u00e9 %d"}`, i, i, i) }
	when := func(i int) time.Time { return start.Add(time.Duration(i) * 123456789) }
	for i, v := range values {
		e := b.event(t, when(i), raw(i))
		e.Origin = event.Origin{Source: fmt.Sprint("log", i%2), Offset: int64(i) << 40}
		e.Set(b.derived, v)
		if i%2 == 1 {
			e.Set(b.list, event.String("again"))
		}
		b.Add(e, nil)
		e.Reset() // what Add was given is borrowed
	}
	b.Add(&event.Event{}, nil) // without a document and a time
	if err := b.Bound(0); err != nil {
		t.Fatal(err)
	}
	if e, tags := b.take(t); !e.Time.IsZero() || len(e.Raw) > 0 || len(tags) > 0 {
		t.Errorf("first is %v %q %v, want the event without a time", e.Time, e.Raw, tags)
	}
	var sources []string
	for i, v := range values {
		e, _ := b.take(t)
		if string(e.Raw) != raw(i) || !e.Time.Equal(when(i)) || e.Origin.Offset != int64(i)<<40 || e.Get(b.id).Int() != int64(i) {
			t.Errorf("%d: %s at %v from %+v", i, e.Raw, e.Time, e.Origin)
		}
		got := e.Get(b.derived)
		if same := got.Equal(v); !same {
			t.Errorf("%d: derived %v %.40s, want %v %.40s", i, got.Kind(), got.Text(), v.Kind(), v.Text())
		}
		want, derived := fmt.Sprintf(`["a",%d]`, i), []event.Field{b.derived}
		if i%2 == 1 {
			want, derived = "again", append(derived, b.list)
		}
		if list := e.Get(b.list).Text(); list != want || !slices.Equal(e.Derived(), derived) {
			t.Errorf("%d: list %s and derived %v, want %s and %v", i, list, e.Derived(), want, derived)
		}
		sources = append(sources, e.Origin.Source)
	}
	for i, s := range sources { // names are not borrowed
		if s != fmt.Sprint("log", i%2) {
			t.Errorf("%d came from %q", i, s)
		}
	}
}

// What is on disk has no name, and needs next to no memory however many there
// are: 200,000 events in runs of 100 are merged three times.
func TestMemoryDoesNotGrow(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	b := newBench()
	defer b.Close()
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n = 200_000
	before := heap()
	e := b.event(t, start, `{"id":1,"tie":"x"}`)
	for i := range n {
		e.Time = start.Add(time.Duration((i*7919)%n) * time.Second)
		b.Add(e, nil)
		if err := b.Bound(40_000); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%s is on disk under its name", left[0].Name())
	}
	for i := range n {
		e, _ := b.take(t)
		if want := start.Add(time.Duration(i) * time.Second); !e.Time.Equal(want) {
			t.Fatalf("event %d at %v, want %v", i, e.Time, want)
		}
		if i == 10 {
			grown := heap() - before
			t.Logf("%d events take %d bytes of memory", n, grown)
			if grown > 12<<20 {
				t.Errorf("%d events take %d bytes of memory", n, grown)
			}
		}
	}
}

// Where events cannot be kept, the error says what to do.
func TestWithoutDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	b := newBench()
	b.Add(b.event(t, start, `{}`), nil)
	err := b.Bound(0)
	if !errors.Is(err, os.ErrNotExist) || !strings.HasSuffix(err.Error(), "(TMPDIR names another place)") {
		t.Errorf("without a directory: %v", err)
	}
	b.Close()
}

// Whoever is asked to end need not first merge all that is on disk.
func TestInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	enough := errors.New("enough")
	b := newBench()
	defer b.Close()
	asked := 0
	b.Interrupted = func() error {
		if asked++; asked < 3 {
			return nil
		}
		return enough
	}
	e := b.event(t, start, `{}`)
	var err error
	for run := 1; run <= 64 && err == nil; run++ {
		if asked > 0 {
			t.Fatal("nothing is to be merged yet")
		}
		for range 100 {
			b.Add(e, nil)
		}
		err = b.Bound(0)
	}
	if !errors.Is(err, enough) || asked != 3 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
}
