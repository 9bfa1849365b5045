package sinktest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/sink"
)

// A Peer is the other end of a sink: a real one, that reads strictly.
type Peer interface {
	// Open makes a sink to the peer.
	Open(t *testing.T) sink.Sink

	// Down makes the peer refuse, and Up takes it back up.
	Down()
	Up()

	// Received is the IDs of the alerts that the peer has, in the order in which they
	// came. It fails the test if the peer got what is no message of its format.
	// Where the network may still be under way, it waits for n.
	Received(t *testing.T, n int) []string
}

// A Hanger is a Peer that can take a message and never answer.
type Hanger interface {
	Hang()
}

// Contract proves that the sinks of a kind keep the contract. New makes another peer.
func Contract(t *testing.T, newPeer func(t *testing.T) Peer) {
	t.Run("delivers in order", func(t *testing.T) {
		p := newPeer(t)
		s := p.Open(t)
		defer s.Close()
		all := Alerts(t, "order", 300)
		for i := 0; i < len(all); {
			n := min(1+i*2, len(all)-i)
			if err := s.Write(t.Context(), all[i:i+n]); err != nil {
				t.Fatal(err)
			}
			i += n
		}
		same(t, p.Received(t, len(all)), IDs(all))
	})

	t.Run("an alert that is written twice has one ID", func(t *testing.T) {
		p := newPeer(t)
		s := p.Open(t)
		defer s.Close()
		all := Alerts(t, "twice", 3)
		for range 2 {
			if err := s.Write(t.Context(), all); err != nil {
				t.Fatal(err)
			}
		}
		got := p.Received(t, 3)
		for i := range got {
			if got[i] != all[i%3].ID {
				t.Fatalf("got %q", got)
			}
		}
	})

	t.Run("delivers when the peer is back", func(t *testing.T) {
		p := newPeer(t)
		clock := NewClock()
		box, err := sink.OpenOutbox(sink.OutboxOptions{Dir: t.TempDir(), Clock: clock}, sink.Route{Name: "peer", Sink: p.Open(t)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- box.Run(ctx) }()
		all := Alerts(t, "back", 30)
		add := func(alerts []*alert.Alert) {
			for _, a := range alerts {
				if err := box.Append(a); err != nil {
					t.Fatal(err)
				}
			}
		}
		// A second is the housekeeping's.
		retry := func(d time.Duration) bool { return d != time.Second }
		add(all[:10])
		p.Received(t, 10)
		p.Down()
		add(all[10:20])
		for range 3 {
			clock.Advance(clock.Await(retry))
		}
		if st := box.Stats().Sinks[0]; st.Failures == 0 || st.Failing == "" {
			t.Errorf("the peer is down, and the outbox says %+v", st)
		}
		add(all[20:])
		clock.Await(retry)
		p.Up()
		clock.Advance(time.Minute)
		// At least once is not once: a message that was written as the peer fell may come again.
		got := p.Received(t, 30)
		for len(unique(got)) < 30 {
			got = p.Received(t, len(got)+1)
		}
		same(t, unique(got), IDs(all))
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if st := box.Stats().Sinks[0]; st.Delivered != 30 || st.Waiting != 0 || st.Failing != "" {
			t.Errorf("after that the outbox says %+v", st)
		}
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})

	for _, name := range slices.Sorted(maps.Keys(Hostile)) {
		t.Run("is not misled by "+name, func(t *testing.T) {
			p := newPeer(t)
			s := p.Open(t)
			defer s.Close()
			all := []*alert.Alert{Alert(t, "before", "x"), hostile(t, name), Alert(t, "after", "x")}
			for _, a := range all {
				if err := s.Write(t.Context(), []*alert.Alert{a}); err != nil {
					t.Fatalf("%s: %v", a.ID, err)
				}
			}
			same(t, p.Received(t, 3), IDs(all))
		})
	}

	t.Run("ends when it is told", func(t *testing.T) {
		p := newPeer(t)
		h, ok := p.(Hanger)
		if !ok {
			return // nobody to wait for
		}
		s := p.Open(t)
		defer s.Close()
		h.Hang()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Write(ctx, Alerts(t, "hang", 1)) }()
		cancel()
		if err := <-done; err == nil || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

// unique drops what came before.
func unique(ids []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}
