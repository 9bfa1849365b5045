package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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

// mostTold is of how many alerts it is told at a time that somebody changed them.
const mostTold = 500

// A changed is what somebody made of an alert.
type changed struct {
	Status    store.Status `json:"status"`
	Reason    string       `json:"reason,omitempty"`
	Assignees []string     `json:"assignees,omitempty"`
	By        string       `json:"by"`
}

// changes are the alerts that were changed by actions behind did, as the last of these left
// them, and the last action there is.
func (s *Server) changes(ctx context.Context, did int64) (map[string]changed, int64, error) {
	h, err := s.o.Store.Heads(ctx)
	if err != nil || h.Actions.Seq == did {
		return nil, h.Actions.Seq, err
	}
	all := map[string]changed{}
	for a, err := range s.o.Store.Actions(ctx, &store.ActionQuery{What: "alert.update", Limit: mostTold}) {
		if err != nil {
			return nil, did, err
		}
		if a.Seq <= did || len(all) >= mostTold {
			break
		}
		var after store.Workflow
		if err := json.Unmarshal(a.After, &after); err != nil {
			return nil, did, err
		}
		for _, id := range a.Alerts {
			if _, later := all[id]; !later && len(all) < mostTold {
				all[id] = changed{after.Status, after.Reason, after.Assignees, a.By.User}
			}
		}
	}
	return all, h.Actions.Seq, nil
}

// alertsLive tells, as server-sent events, how many alerts have come that a query selects,
// and what people have made of any since the action did; without it, from now on.
func (s *Server) alertsLive(w http.ResponseWriter, r *http.Request, u *who) error {
	a, err := parseAsk(r.URL.Query())
	if err != nil {
		return err
	}
	since, err := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	if err != nil || since < 0 {
		return &problem{http.StatusBadRequest, "since: expected a number."}
	}
	_, did, err := s.changes(r.Context(), math.MaxInt64)
	if text := r.URL.Query().Get("did"); err == nil && text != "" {
		if did, err = strconv.ParseInt(text, 10, 64); err != nil || did < 0 {
			return &problem{http.StatusBadRequest, "did: expected a number."}
		}
	}
	if err != nil {
		return err
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
		news, looked := s.live.next(), time.Now()
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
		var all map[string]changed
		if all, did, err = s.changes(r.Context(), did); err != nil {
			return nil
		}
		if len(all) > 0 {
			b, err := json.Marshal(map[string]any{"alerts": all})
			if err != nil || send(fmt.Sprintf("event: changes\ndata: %s\n\n", b)) != nil {
				return nil
			}
		}
		select {
		case <-news:
			select {
			case <-time.After(time.Second - time.Since(looked)):
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
