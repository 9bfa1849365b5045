package kubeaudit

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// A Tail is a source of the events of a log that a kube-apiserver of this host writes
// (its flag --audit-log-path), through its rotations.
type Tail struct {
	r      *Reader
	path   string
	f      *source.Follower
	limits []source.Check
	// behind is whether there may be lines that have not been read.
	behind atomic.Bool

	// What a position is made of. It is held while lines are read, and not while an event
	// is handed on.
	mu      sync.Mutex
	emitted int64
	at      int64 // offset of the line that is looked at, or is next,
	done    int   // and how many of its events were handed on,
	skip    int   // or by an earlier run
}

// A position is where a Tail is.
type position struct {
	source.Place
	Done int `json:"done,omitempty"` // how many events of the line were handed on
}

// glimpse is how often the file is looked at.
const glimpse = 100 * time.Millisecond

// OpenTail returns a Tail of the log at path. It goes on at the position of an earlier
// one, or if that is nil begins with what will be added. A log that is not there yet is
// waited for.
func OpenTail(path string, at []byte, o source.Options) (*Tail, error) {
	t := &Tail{r: New(nil, o), path: path}
	var from *source.Place
	if at != nil {
		var p position
		if err := json.Unmarshal(at, &p); err != nil {
			return nil, fmt.Errorf("kubeaudit: %s: position: %w", path, err)
		}
		from, t.skip = &p.Place, p.Done
	}
	var err error
	if t.f, err = source.Follow(path, from, &t.r.o); err != nil {
		return nil, source.FollowError("kubeaudit", err)
	}
	t.limits = t.f.Waits("give kube-apiserver --audit-log-path and --audit-policy-file, or name the file that it writes")
	t.at = t.f.Next()
	if from == nil || t.at != from.Off {
		t.skip = 0 // It is another line.
	}
	t.done = t.skip
	t.behind.Store(true)
	return t, nil
}

// String says what the source reads.
func (t *Tail) String() string { return "kubeaudit: the log " + t.path }

// Limits says that the log is not there yet.
func (t *Tail) Limits() []source.Check { return t.limits }

// Run implements [source.Source]: until ctx ends, and then what has been written until
// then. It may be called once.
func (t *Tail) Run(ctx context.Context, emit func(*event.Event) error) error {
	defer t.f.Close()
	tick := time.NewTicker(glimpse)
	defer tick.Stop()
	for {
		over := ctx.Err() != nil
		if err := t.look(emit); err != nil || over {
			return err
		}
		select {
		case <-ctx.Done(): // and once more
		case <-tick.C:
		}
	}
}

// look hands on what is there now.
func (t *Tail) look(emit func(*event.Event) error) error {
	defer t.behind.Store(false)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.f.Lines(func(line []byte, off int64) error {
		t.behind.Store(true)
		t.at, t.done = off, 0
		skip := t.skip
		t.skip = 0
		err := t.r.line(line, event.Origin{Source: t.path, Offset: off}, func(e *event.Event) error {
			if t.done < skip {
				t.done++
				return nil
			}
			t.mu.Unlock()
			err := emit(e)
			t.mu.Lock()
			if err == nil {
				t.done++
				t.emitted++
			}
			return err
		})
		if err == nil {
			t.at, t.done = t.f.Next(), 0
		}
		return err
	})
}

// Position says where to go on so that every event comes for which emit has not
// returned, and none for which it has; emitted is how many those are. It may be called
// at any time.
func (t *Tail) Position() (at []byte, emitted int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := json.Marshal(position{t.f.Place(t.at), t.done})
	if err != nil {
		panic("kubeaudit: bug: " + err.Error())
	}
	return b, t.emitted
}

// Progress says how many events were handed on, and whether there may be lines that have
// not been read. It may be called at any time.
func (t *Tail) Progress() (emitted int64, behind bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.emitted, t.behind.Load()
}

// Close does nothing: Run closes the log.
func (t *Tail) Close() error { return nil }
