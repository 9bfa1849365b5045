// Package spool puts events in order when there may be more of them than memory
// holds.
//
//	q := spool.New(schema, query.Tiebreaker, query.Compare)
//	defer q.Close()
//	q.Add(e, nil)                // for each event
//	err := q.Bound(spool.Enough) // the rest goes to disk
//	e, _, err := q.Next()        // until io.EOF
//
// Events may be added and taken in turns.
package spool

import (
	"bufio"
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/orlop/orlop/event"
)

// How events are kept on disk.
//
// What is in memory is a heap. When it is too big it is sorted and written as a
// run, whose first event is then a candidate for the next one, beside the top of
// the heap. Each run is a file, which goes when its last event has been taken. When
// there are fanIn runs of one level they are merged into one of the next level, so
// that n events are written log(n) times, and no more than fanIn runs of each level
// are open. Runs of which less than a quarter is left are merged before another is
// written: so disk, when it grows, has at most four times what waits there, and
// while runs are merged once more what is left of those.
// Of an event on disk nothing stays in memory, but for the first of each run.

// Enough is how much is worth keeping in memory, in bytes: more makes fewer
// runs, not faster ones.
const Enough = 16 << 20

const (
	fanIn      = 64
	readBuffer = 32 << 10
	overhead   = 200      // of an event in memory, besides its Size
	maxKeep    = 1 << 20  // of the buffer for one event
	maxTie     = 32 << 10 // of the text that a tiebreaker is compared by, on disk; Lucene takes no longer one
)

// A Queue gives events back in order, and those that are equal as they came. After
// an error it can only be closed. It is not safe for concurrent use.
type Queue struct {
	// Interrupted is asked while runs are merged, which of many events takes a while:
	// an error ends that. Nil is never.
	Interrupted func() error

	schema  *event.Schema
	tie     event.Field
	compare func(a, b *event.Event) int

	memory  []*waiting // a heap
	size    int64      // of memory
	onDisk  int
	arrival uint64
	heads   []*run // all runs, a heap once they are open
	ordered bool   // heads is one

	decoder *event.Decoder
	e       event.Event // the last one from disk
	tags    []uint32
	source  string
	buf     []byte
}

// waiting is an event in memory.
type waiting struct {
	e       *event.Event
	tags    []uint32
	arrival uint64
	size    int64
}

// New returns a Queue for events of s in the order that compare says, which
// looks at their Time and at the first value of the field tie; tie is zero if
// there is none.
func New(s *event.Schema, tie event.Field, compare func(a, b *event.Event) int) *Queue {
	return &Queue{schema: s, tie: tie, compare: compare}
}

// Add keeps a copy of e in memory. The tags come back with it.
func (q *Queue) Add(e *event.Event, tags []uint32) {
	q.arrival++
	q.push(Entry{e.Clone(), slices.Clone(tags), q.arrival})
}

func (q *Queue) push(e Entry) {
	w := &waiting{e: e.Event, tags: e.Tags, arrival: e.Arrival}
	w.size = int64(e.Event.Size()+4*len(e.Tags)) + overhead
	q.size += w.size
	heap.Push((*memoryHeap)(q), w)
}

// An Entry is an event in memory with what belongs to it.
type Entry struct {
	Event   *event.Event
	Tags    []uint32
	Arrival uint64 // the number of its Add, by which events that are equal are ordered
}

// Memory calls f for each event that is in memory, in no order. It does not change.
func (q *Queue) Memory(f func(Entry)) {
	for _, w := range q.memory {
		f(Entry{w.e, w.tags, w.arrival})
	}
}

// With returns a Queue that orders like q, to which so many events have been added,
// and of which the entries are left. It keeps their events.
func (q *Queue) With(added uint64, entries []Entry) *Queue {
	n := New(q.schema, q.tie, q.compare)
	n.Interrupted = q.Interrupted
	n.arrival = added
	for _, e := range entries {
		n.push(e)
	}
	return n
}

// Added is how many events have been added.
func (q *Queue) Added() uint64 { return q.arrival }

// Len is the number of events in the Queue.
func (q *Queue) Len() int { return len(q.memory) + q.onDisk }

// Size is the memory that events take, in bytes, about.
func (q *Queue) Size() int64 { return q.size }

// Bound puts the events that are in memory on disk if they take more than limit
// bytes.
func (q *Queue) Bound(limit int64) error {
	if q.size <= limit {
		return nil
	}
	if err := q.spill(); err != nil {
		return explain(err)
	}
	return nil
}

// explain says what was being done, and where.
func explain(err error) error {
	return fmt.Errorf("events that wait to be put in order go to %s: %w", os.TempDir(), err)
}

// elsewhere says what to do where a file cannot be written.
func elsewhere(err error) error { return fmt.Errorf("%w (TMPDIR names another place)", err) }

// First is the time of the first event; it is not ok if the Queue is empty.
func (q *Queue) First() (at time.Time, ok bool, err error) {
	if q.Len() == 0 {
		return time.Time{}, false, nil
	}
	r, err := q.first()
	switch {
	case err != nil:
		return time.Time{}, false, explain(err)
	case r != nil:
		return r.head.Time, true, nil
	}
	return q.memory[0].e.Time, true, nil
}

// Next takes the first event, which is borrowed until the next call, as its tags
// are. The error is io.EOF if the Queue is empty.
func (q *Queue) Next() (*event.Event, []uint32, error) {
	if q.Len() == 0 {
		return nil, nil, io.EOF
	}
	r, err := q.first()
	if err == nil && r != nil {
		err = q.take(r)
	}
	switch {
	case err != nil:
		return nil, nil, explain(err)
	case r != nil:
		return &q.e, q.tags, nil
	}
	w := heap.Pop((*memoryHeap)(q)).(*waiting)
	q.size -= w.size
	return w.e, w.tags, nil
}

// Close forgets all events and frees what they took.
func (q *Queue) Close() error {
	var errs []error
	for _, r := range q.heads {
		errs = append(errs, r.close())
	}
	q.heads, q.memory, q.size, q.onDisk = nil, nil, 0, 0
	return errors.Join(errs...)
}

// first is the run that has the first event; nil if that is in memory.
func (q *Queue) first() (*run, error) {
	if !q.ordered {
		for _, r := range q.heads {
			if err := q.open(r); err != nil {
				return nil, err
			}
		}
		heap.Init((*headHeap)(q))
		q.ordered = true
	}
	if len(q.heads) == 0 {
		return nil, nil
	}
	r := q.heads[0]
	if len(q.memory) > 0 && q.before(q.memory[0].e, q.memory[0].arrival, &r.head, r.arrival) {
		return nil, nil
	}
	return r, nil
}

func (q *Queue) before(a *event.Event, n uint64, b *event.Event, m uint64) bool {
	if c := q.compare(a, b); c != 0 {
		return c < 0
	}
	return n < m
}

// take reads the event that r, the first of the heads, is at.
func (q *Queue) take(r *run) error {
	body, err := r.readBody(q.buf)
	if err != nil {
		return err
	}
	q.buf = body
	if q.decoder == nil {
		q.decoder = event.NewDecoder(q.schema)
	}
	if err := q.restore(body, r.head.Time); err != nil {
		return err
	}
	q.onDisk--
	return q.advance(r)
}

// advance goes to the next event of r, the first of the heads.
func (q *Queue) advance(r *run) error {
	more, err := r.next(q.tie)
	switch {
	case err != nil:
		return err
	case more:
		heap.Fix((*headHeap)(q), 0)
		return nil
	}
	heap.Pop((*headHeap)(q))
	return r.close()
}

// spill writes what is in memory as a run.
func (q *Queue) spill() error {
	var most []*run // have been read
	level := 0
	for _, r := range q.heads {
		if r.left < r.size/4 {
			most = append(most, r)
			level = max(level, r.level)
		}
	}
	if err := q.merge(most, level); err != nil {
		return err
	}
	slices.SortFunc(q.memory, func(a, b *waiting) int {
		if c := q.compare(a.e, b.e); c != 0 {
			return c
		}
		return cmp.Compare(a.arrival, b.arrival)
	})
	err := q.write(0, func(w *bufio.Writer) (err error) {
		for _, m := range q.memory {
			if q.buf, err = appendRecord(q.buf[:0], q.tie, m); err != nil {
				return err
			}
			if _, err := w.Write(q.buf); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if cap(q.buf) > maxKeep {
		q.buf = nil
	}
	q.onDisk += len(q.memory)
	clear(q.memory)
	q.memory, q.size = q.memory[:0], 0
	for level := 0; ; level++ {
		var runs []*run
		for _, r := range q.heads {
			if r.level == level {
				runs = append(runs, r)
			}
		}
		if len(runs) < fanIn {
			return nil
		}
		if err := q.merge(runs, level+1); err != nil {
			return err
		}
	}
}

// write makes a run of what fill writes.
func (q *Queue) write(level int, fill func(*bufio.Writer) error) error {
	f, err := os.CreateTemp("", "orlop-spool-")
	if err != nil {
		return elsewhere(err)
	}
	r := &run{level: level, file: f}
	w := bufio.NewWriterSize(f, 256<<10)
	// Without a name it is gone with the process, however that ends.
	if err = os.Remove(f.Name()); err == nil {
		err = fill(w)
	}
	if failed := w.Flush(); failed != nil { // now, or when fill wrote
		err = elsewhere(failed)
	}
	if err == nil {
		r.size, err = f.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		r.close()
		return err
	}
	r.left = r.size
	q.heads = append(q.heads, r)
	q.ordered = false
	return nil
}

// merge makes one run of what is left of several.
func (q *Queue) merge(runs []*run, level int) error {
	if len(runs) == 0 {
		return nil
	}
	m := &Queue{tie: q.tie, compare: q.compare, heads: runs}
	err := q.write(level, func(w *bufio.Writer) error {
		for n := 1; ; n++ {
			if n%1024 == 0 && q.Interrupted != nil {
				if err := q.Interrupted(); err != nil {
					return err
				}
			}
			r, err := m.first()
			if r == nil || err != nil {
				return err
			}
			if m.buf, err = r.readBody(m.buf); err != nil {
				return err
			}
			for _, b := range [][]byte{r.header[:], r.key, m.buf} {
				if _, err := w.Write(b); err != nil {
					return err
				}
			}
			if err := m.advance(r); err != nil {
				return err
			}
		}
	})
	q.heads = slices.DeleteFunc(q.heads, func(r *run) bool { return r.file == nil })
	return err
}

// open reads the first event of r, if that has not been done.
func (q *Queue) open(r *run) error {
	if r.r != nil {
		return nil
	}
	r.r = bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.size), readBuffer)
	more, err := r.next(q.tie)
	if err == nil && !more {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// memoryHeap is the events in memory, the first in order on top.
type memoryHeap Queue

func (h *memoryHeap) Len() int { return len(h.memory) }
func (h *memoryHeap) Less(i, j int) bool {
	a, b := h.memory[i], h.memory[j]
	return (*Queue)(h).before(a.e, a.arrival, b.e, b.arrival)
}
func (h *memoryHeap) Swap(i, j int) { h.memory[i], h.memory[j] = h.memory[j], h.memory[i] }
func (h *memoryHeap) Push(x any)    { h.memory = append(h.memory, x.(*waiting)) }
func (h *memoryHeap) Pop() any {
	n := len(h.memory) - 1
	x := h.memory[n]
	h.memory[n] = nil
	h.memory = h.memory[:n]
	return x
}

// headHeap is the runs, the one with the first event on top.
type headHeap Queue

func (h *headHeap) Len() int { return len(h.heads) }
func (h *headHeap) Less(i, j int) bool {
	a, b := h.heads[i], h.heads[j]
	return (*Queue)(h).before(&a.head, a.arrival, &b.head, b.arrival)
}
func (h *headHeap) Swap(i, j int) { h.heads[i], h.heads[j] = h.heads[j], h.heads[i] }
func (h *headHeap) Push(any)      { panic("spool: bug: runs are not pushed") }
func (h *headHeap) Pop() any {
	n := len(h.heads) - 1
	x := h.heads[n]
	h.heads[n] = nil
	h.heads = h.heads[:n]
	return x
}
