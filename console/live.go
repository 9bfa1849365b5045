package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/orlop/orlop/store"
)

// A broadcast tells those who listen that the store has changed: that, not what.
type broadcast struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	ended   chan struct{}
	once    sync.Once
	seats   chan struct{}
}

const mostListeners = 200

func newBroadcast() *broadcast {
	return &broadcast{changed: make(chan struct{}), ended: make(chan struct{}), seats: make(chan struct{}, mostListeners)}
}

func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *broadcast) close() { b.once.Do(func() { close(b.ended) }) }

// watch waits for changes of the store, for all who listen.
func (s *Server) watch(ctx context.Context) {
	for {
		err := s.o.Store.Watch(ctx, func(store.Notice) error {
			s.live.tell()
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		s.o.Log.Warn("the console does not hear of new alerts; it tries again", "reason", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

// alertsLive tells, as server-sent events, how many alerts have come that a query selects.
func (s *Server) alertsLive(w http.ResponseWriter, r *http.Request, u *who) error {
	a, err := parseAsk(r.URL.Query())
	if err != nil {
		return err
	}
	since, err := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	if err != nil || since < 0 {
		return &problem{http.StatusBadRequest, "since: expected a number."}
	}
	select {
	case s.live.seats <- struct{}{}:
		defer func() { <-s.live.seats }()
	default:
		return &problem{http.StatusServiceUnavailable, "Too many pages are waiting for alerts."}
	}
	out := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	send := func(text string) error {
		if err := out.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := fmt.Fprint(w, text); err != nil {
			return err
		}
		return out.Flush()
	}
	if send("retry: 3000\n\n") != nil {
		return nil
	}
	// What is told is for people: no more often than each second, and now and then to
	// learn that nobody listens any more, and whether the session has ended.
	beat := time.NewTicker(20 * time.Second)
	defer beat.Stop()
	last := 0
	for {
		changed := s.live.next()
		q, how, err := a.query(s.o.Now())
		if err != nil || how.Wrong != "" {
			return nil
		}
		q.Since, q.Upto, q.Limit, q.After, q.Before = since, 0, 0, "", ""
		res, err := s.o.Store.Query(r.Context(), q)
		if err != nil {
			return nil
		}
		if res.Total != last {
			last = res.Total
			if send(fmt.Sprintf("event: alerts\ndata: {\"new\":%d}\n\n", last)) != nil {
				return nil
			}
		}
		select {
		case <-changed:
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				return nil
			case <-s.live.ended:
				return nil
			}
		case <-beat.C:
			if v, err := s.who(r); err != nil || v == nil {
				send("event: end\ndata: {}\n\n")
				return nil
			}
			if send(": \n\n") != nil {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-s.live.ended:
			return nil
		}
	}
}
