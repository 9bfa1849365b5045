package agent_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
)

// A Spool gives back what it was given, in order, derived fields and all, however
// much it is; what does not fit into memory leaves no file behind.
func TestSpool(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, n := range []int{0, 1, 50, 6000} { // the last is 24 MB
		schema := event.NewSchema()
		id, tie, derived, list := schema.Field("id"), schema.Field("tie"), schema.Field("derived"), schema.Field("list")
		p := agent.NewSpool(schema, tie)
		d := event.NewDecoder(schema)
		start := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
		r := rand.New(rand.NewPCG(1, 2))
		pad := strings.Repeat("x", 4000)
		for _, i := range r.Perm(n) {
			var e event.Event
			doc := fmt.Sprintf(`{"id":%d,"tie":"%06d","pad":"%s"}`, i, i, pad)
			if err := d.Decode([]byte(doc), &e); err != nil {
				t.Fatal(err)
			}
			e.Time = start.Add(time.Duration(i/3) * time.Second) // three of each time
			e.Set(derived, event.String(fmt.Sprintf("d\"%d\n", i)))
			e.Set(list, event.List([]event.Value{event.Int(int64(i)), event.String("é"), event.Bool(true)}))
			if err := p.Add(&e); err != nil {
				t.Fatal(err)
			}
			e.Reset() // what Add was given is borrowed
		}
		p.Sort(func(a, b *event.Event) int { return strings.Compare(a.Get(tie).Str(), b.Get(tie).Str()) })
		if p.Len() != n {
			t.Errorf("%d events, want %d", p.Len(), n)
		}
		next := 0
		check := func(e *event.Event) error {
			if got := e.Get(id).Int(); got != int64(next) {
				return fmt.Errorf("event %d, want %d", got, next)
			}
			if want := start.Add(time.Duration(next/3) * time.Second); !e.Time.Equal(want) {
				return fmt.Errorf("event %d at %v, want %v", next, e.Time, want)
			}
			if got, want := e.Get(derived).Str(), fmt.Sprintf("d\"%d\n", next); got != want {
				return fmt.Errorf("derived %q, want %q", got, want)
			}
			if got := e.Get(list).Text(); got != fmt.Sprintf(`[%d,"é",true]`, next) {
				return fmt.Errorf("list %s", got)
			}
			if len(e.Derived()) != 2 {
				return fmt.Errorf("%d derived fields, want 2", len(e.Derived()))
			}
			next++
			return nil
		}
		for range 2 { // as often as one likes
			next = 0
			if err := p.Each(check); err != nil || next != n {
				t.Fatalf("%d events, after %d of them: %v", n, next, err)
			}
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s is on disk under its name", left[0].Name())
		}
		if n > 2 {
			p.Keep([]int{1, n - 1})
			var got []int64
			p.Each(func(e *event.Event) error { got = append(got, e.Get(id).Int()); return nil })
			if p.Len() != 2 || len(got) != 2 || got[0] != 1 || got[1] != int64(n-1) {
				t.Errorf("kept %v", got)
			}
			stop := errors.New("stop")
			if err := p.Each(func(*event.Event) error { return stop }); err != stop {
				t.Errorf("got %v, want the error of the function", err)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Without room for its file, a Spool says so.
func TestSpoolWithoutRoom(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	p := agent.NewSpool(event.NewSchema(), 0)
	defer p.Close()
	e := event.Event{Raw: []byte(`{"pad":"` + strings.Repeat("x", 1<<20) + `"}`)}
	for range 64 {
		if err := p.Add(&e); err != nil {
			if !strings.HasPrefix(err.Error(), "spool: ") {
				t.Errorf("got %v", err)
			}
			return
		}
	}
	t.Error("64 MB fit into 16")
}
