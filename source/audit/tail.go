//go:build linux

package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// A Tail is a source of the events of a log that auditd writes, through its rotations.
type Tail struct {
	*core
	path   string
	f      *source.Follower
	limits []source.Check
	// behind is whether there may be lines that have not been read.
	behind atomic.Bool

	// What a position is made of, with f. It is held while lines are read and records put
	// together, and not while an event is handed on.
	pos     sync.Mutex
	emitted int64
	reading int64  // offset of the line that is looked at, or is next
	current *heard // the event that is handed on
	done    []heard
	goesOn  bool // where an earlier one ended,
	past    resumed
}

// heard is an event, and where its first record was.
type heard struct {
	off    int64
	node   string
	serial uint64
}

// A resumed position is what a position says, and what the events after it need.
type resumed struct {
	source.Place
	Until int64  `json:"until"` // the records before it were read, and
	Done  []span `json:"done"`  // of the events that they belong to, these were handed on
}

// A span is events of consecutive serials.
type span struct {
	Node  string `json:"node,omitempty"`
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// slack is how far behind a position records may come of an event that was handed on
// without them. No serial is given out again so soon.
const slack = 64 << 10

// maxPosition is how long a position may be.
const maxPosition = 4 << 10

// OpenTail returns a Tail of the log at path. It goes on at the position of an earlier
// one, or if that is nil begins with what will be added. A log that is not there yet is
// waited for.
func OpenTail(path string, position []byte, o Options) (*Tail, error) {
	c, err := newCore(o)
	if err != nil {
		return nil, err
	}
	t := &Tail{core: c, path: path}
	var from *source.Place
	if position != nil {
		if err := json.Unmarshal(position, &t.past); err != nil {
			return nil, fmt.Errorf("audit: %s: position: %w", path, err)
		}
		from, t.goesOn = &t.past.Place, true
	}
	if t.f, err = source.Follow(path, from, &t.o.Options); err != nil {
		return nil, source.FollowError("audit", err)
	}
	t.limits = t.f.Waits("start auditd, or name the file that log_file says in /etc/audit/auditd.conf: --source audit-log=FILE, or path: in a configuration")
	t.reading = t.f.Next()
	t.behind.Store(true)
	return t, nil
}

// String says what the source reads.
func (t *Tail) String() string { return "audit: the log " + t.path }

// Limits says that the log is not there yet.
func (t *Tail) Limits() []source.Check { return t.limits }

// Run implements [source.Source]: until ctx ends, and then what has been written until
// then. It may be called once.
func (t *Tail) Run(ctx context.Context, emit func(*event.Event) error) error {
	defer t.f.Close()
	seeded := false
	seed := func() error {
		seeded = true
		return t.existing(func(e *event.Event) error {
			err := emit(e)
			if err == nil {
				t.pos.Lock()
				t.emitted++
				t.pos.Unlock()
			}
			return err
		})
	}
	// The processes of today come after the events of yesterday.
	if !t.goesOn {
		if err := seed(); err != nil {
			return err
		}
	}
	report := t.counted(emit)
	out := func(e *event.Event) error {
		// The reassembler has forgotten the event already.
		h := heard{e.Origin.Offset, t.r.current.node, t.r.current.serial}
		if h.off < t.past.Until+slack && t.past.has(&h) {
			t.r.counts.Events--
			return nil
		}
		t.current = &h
		t.pos.Unlock()
		err := report(e)
		t.pos.Lock()
		if err != nil {
			return err // It stays the current one.
		}
		t.current = nil
		t.emitted++
		if t.done = append(t.done, h); len(t.done)&1023 == 0 {
			t.forget(t.start())
		}
		return nil
	}
	locked := func(f func() error) error {
		t.pos.Lock()
		defer t.pos.Unlock()
		return f()
	}
	var rec Record
	look := func() (bool, error) {
		defer t.behind.Store(false)
		err := locked(func() error { // A position is made of what Lines changes, too.
			return t.f.Lines(func(line []byte, off int64) error {
				t.behind.Store(true)
				t.reading = off
				err := t.line(&rec, line, event.Origin{Source: t.path, Offset: off}, out)
				if err == nil {
					t.reading = t.f.Next()
				}
				return err
			})
		})
		if err == nil && !seeded {
			t.since = time.Now().UnixNano()
			err = seed()
		}
		return false, err
	}
	advance := func(now time.Time) error { return locked(func() error { return t.advance(now, out) }) }
	if err := t.follow(ctx, nil, look, advance); err != nil {
		return err
	}
	return locked(func() error { return t.finish(out) })
}

// has reports whether an event was handed on before.
func (r *resumed) has(h *heard) bool {
	for _, s := range r.Done {
		if s.Node == h.node && h.serial >= s.First && h.serial <= s.Last {
			return true
		}
	}
	return false
}

// start is where the first record is of an event that has not been handed on. The
// caller holds pos.
func (t *Tail) start() int64 {
	at := t.reading
	if t.current != nil {
		at = min(at, t.current.off)
	}
	// Pending events are in the order of their first records.
	if p := t.r.all.head; p != nil {
		at = min(at, p.origin.Offset)
	}
	return at
}

// forget drops what a position at start does not need.
func (t *Tail) forget(start int64) {
	kept := t.done[:0]
	for _, h := range t.done {
		if h.off >= start-slack {
			kept = append(kept, h)
		}
	}
	t.done = kept
}

// Position says where to go on so that every event comes for which emit has not
// returned, and none for which it has; emitted is how many those are. It may be called
// at any time.
func (t *Tail) Position() (at []byte, emitted int64) {
	t.pos.Lock()
	defer t.pos.Unlock()
	start := t.start()
	t.forget(start)
	p := resumed{Place: t.f.Place(start), Until: t.reading}
	add := func(s span) {
		for i := range p.Done {
			d := &p.Done[i]
			if d.Node == s.Node && s.First <= d.Last+1 && s.Last+1 >= d.First {
				d.First, d.Last = min(d.First, s.First), max(d.Last, s.Last)
				return
			}
		}
		p.Done = append(p.Done, s)
	}
	if start-slack < t.past.Until {
		for _, s := range t.past.Done {
			add(s)
		}
		p.Until = max(p.Until, t.past.Until)
	}
	for _, h := range t.done {
		add(span{h.node, h.serial, h.serial})
	}
	for {
		b, err := json.Marshal(p)
		if err != nil {
			panic("audit: bug: " + err.Error())
		}
		if len(b) <= maxPosition {
			return b, t.emitted
		}
		// Too many holes: some events will come again, as alerts with the same ids.
		p.Done = p.Done[len(p.Done)/2+1:]
	}
}

// Stats returns the counters so far.
func (t *Tail) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.counts
	s.Blind = true
	if t.behind.Load() {
		s.Waiting++
	}
	return s
}

// Close does nothing: Run closes the log.
func (t *Tail) Close() error { return nil }

// A Stream is a source of audit records as text that somebody sends, such as auditd to
// its plugins. It reads from NewStream on, and never lets the sender wait.
type Stream struct {
	*core
	queue *queue
}

// NewStream begins to read r, until its end. The goroutine that does ends with the read
// that it is in.
func NewStream(r io.Reader, o Options) (*Stream, error) {
	c, err := newCore(o)
	if err != nil {
		return nil, err
	}
	s := &Stream{core: c, queue: newQueue()}
	go s.read(r)
	return s, nil
}

func (s *Stream) read(r io.Reader) {
	in := bufio.NewReaderSize(r, 64<<10)
	var long []byte // a line that is longer than in's buffer
	skip := false
	for {
		line, err := in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			if skip = skip || len(long)+len(line) > s.o.Limit(); skip {
				long = nil
			} else {
				long = append(long, line...)
			}
			continue
		}
		if long != nil {
			long = append(long, line...)
			line = long
		}
		s.queue.mu.Lock()
		switch {
		case skip:
			s.queue.dropped++
		case len(line) > 0:
			s.queue.put(0, line)
		}
		s.queue.mu.Unlock()
		long, skip = nil, false
		if err != nil {
			s.queue.end(err)
			return
		}
		if b, _ := in.Peek(in.Buffered()); bytes.IndexByte(b, '\n') < 0 {
			s.queue.wake() // The next one has to be waited for.
		}
	}
}

// String says what the source reads.
func (s *Stream) String() string { return "audit: records on standard input" }

// Run implements [source.Source]: until the end of the input, or until ctx ends and
// then what has been read until then. It may be called once.
func (s *Stream) Run(ctx context.Context, emit func(*event.Event) error) error {
	if err := s.existing(emit); err != nil {
		return err
	}
	emit = s.counted(emit)
	var rec Record
	origin := event.Origin{Source: "-"}
	look := func() (bool, error) {
		b, ended := s.queue.take()
		for len(b) > 0 {
			var text []byte
			_, text, b = next(b)
			for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r' || text[len(text)-1] == 0) {
				text = text[:len(text)-1]
			}
			if len(text) > 0 {
				if err := s.line(&rec, text, origin, emit); err != nil {
					return false, err
				}
			}
			origin.Offset++
		}
		s.queue.did(0, true)
		if ended != nil && ended != io.EOF {
			return true, fmt.Errorf("audit: standard input: %w", ended)
		}
		return ended != nil, nil
	}
	advance := func(now time.Time) error { return s.advance(now, emit) }
	if err := s.follow(ctx, s.queue.ready, look, advance); err != nil {
		return err
	}
	return s.finish(emit)
}

// Stats returns the counters so far.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.counts
	waiting, dropped := s.queue.waiting()
	st.Waiting += waiting
	st.Dropped = dropped
	st.Blind = true
	return st
}

// Close does nothing: the input is not ours.
func (s *Stream) Close() error { return nil }
