package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Notice says that something has changed. It has numbers only: what they stand for is
// asked for.
type Notice struct {
	Alerts  int64 `json:"alerts"`  // Seq of the last alert
	Actions int64 `json:"actions"` // Seq of the last action
}

// channel is the name under which consoles that share PostgreSQL tell each other.
const channel = "orlop_store"

// lookEvery is how often a file of SQLite is looked at for what other programs did.
const lookEvery = 500 * time.Millisecond

// change is write, and tells those that watch.
func (s *Store) change(ctx context.Context, f func(*tx) error) error {
	err := s.write(ctx, func(t *tx) error {
		if err := f(t); err != nil {
			return err
		}
		if !s.db.postgres() {
			return nil
		}
		_, err := t.exec("SELECT pg_notify('" + channel + "', (SELECT json_object_agg(name, seq)::text FROM chain))")
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	return nil
}

// Watch calls emit at once and then whenever alerts or actions have come, until ctx ends
// or emit returns an error, and returns that. Several changes may be told as one.
//
// It hears of what this Store does at once, and of what other programs do within a second.
// In PostgreSQL it holds a connection for that: one Watch is for all of a program.
func (s *Store) Watch(ctx context.Context, emit func(Notice) error) error {
	if s.db.postgres() {
		return s.listen(ctx, emit)
	}
	// SQLite tells nobody of what another program has written: look, which takes two rows.
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var last *Notice
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if err := s.tell(ctx, &last, emit); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tell emits what is there now, if that is news.
func (s *Store) tell(ctx context.Context, last **Notice, emit func(Notice) error) error {
	h, err := s.Heads(ctx)
	if err != nil {
		return err
	}
	n := Notice{h.Alerts.Seq, h.Actions.Seq}
	if *last != nil && **last == n {
		return nil
	}
	*last = &n
	return emit(n)
}

// listen is Watch for PostgreSQL. It connects again when the connection is lost.
func (s *Store) listen(ctx context.Context, emit func(Notice) error) error {
	var last *Notice
	said := ""
	for {
		end, err := s.listenOnce(ctx, &last, &said, emit)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case end:
			return err
		}
		// A server may be down for hours: the same is not said again.
		if why := err.Error(); why != said {
			said = why
			s.log().Warn("store: the connection that tells of changes is lost, and made anew; until then nothing is heard of what others do", "err", s.fail(err))
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listenOnce listens on one connection; end says that another would not help. It forgets
// what was said of the connections before that did not come about.
func (s *Store) listenOnce(ctx context.Context, last **Notice, said *string, emit func(Notice) error) (end bool, err error) {
	c, err := pgx.ConnectConfig(ctx, s.pg)
	if err != nil {
		return false, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return false, err
	}
	*said = ""
	var told error
	say := func(n Notice) error {
		told = emit(n)
		return told
	}
	if err := s.tell(ctx, last, say); err != nil {
		return told != nil, err
	}
	for {
		got, err := c.WaitForNotification(ctx)
		if err != nil {
			return false, err
		}
		var n Notice
		if json.Unmarshal([]byte(got.Payload), &n) != nil {
			continue
		}
		// Two that commit at one time may tell of it in the other order.
		if *last != nil {
			n = Notice{max(n.Alerts, (*last).Alerts), max(n.Actions, (*last).Actions)}
			if n == **last {
				continue
			}
		}
		*last = &n
		if err := emit(n); err != nil {
			return true, err
		}
	}
}
