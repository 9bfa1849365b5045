package audit

import (
	"encoding/binary"
	"sync"
)

// A queue keeps the records that have been read until somebody looks at them, so that
// reading never waits. When it is full, what comes is dropped and counted.
type queue struct {
	ready chan struct{} // has a value when there is something to take

	mu      sync.Mutex
	buf     []byte
	spare   []byte
	ends    int64 // EOE records in buf
	held    bool  // what take returned is being looked at,
	rest    int64 // with so many EOE records
	dropped int64
	ended   error // why there will be no more; nil if there may be
}

// maxQueue is how much is kept: some 20,000 execs, and as much again of those that are
// being looked at.
const maxQueue = 16 << 20

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

const entryLen = 6 // length and type

// put adds a record. The caller holds mu, and calls wake when it has put some.
func (q *queue) put(typ Type, text []byte) {
	if len(q.buf)+entryLen+len(text) > maxQueue {
		q.dropped++
		return
	}
	if typ == typeEOE {
		q.ends++
	}
	q.buf = binary.NativeEndian.AppendUint32(q.buf, uint32(len(text)))
	q.buf = binary.NativeEndian.AppendUint16(q.buf, uint16(typ))
	q.buf = append(q.buf, text...)
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// end says that there will be no more, and why.
func (q *queue) end(err error) {
	q.mu.Lock()
	q.ended = err
	q.mu.Unlock()
	q.wake()
}

// take returns what there is. It is valid until the next call.
func (q *queue) take() (b []byte, ended error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b, ended = q.buf, q.ended
	if cap(q.spare) > 1<<20 && len(b) < 64<<10 {
		q.spare = nil // a flood has gone by
	}
	q.buf, q.spare = q.spare[:0], b
	q.held, q.rest, q.ends = len(b) > 0, q.ends, 0
	return b, ended
}

// did says that n events less are to be looked at of what take returned.
func (q *queue) did(n int64, all bool) {
	q.mu.Lock()
	q.rest = max(q.rest-n, 0)
	if all {
		q.held, q.rest = false, 0
	}
	q.mu.Unlock()
}

// next cuts the first record off what take returned.
func next(b []byte) (typ Type, text, rest []byte) {
	n := binary.NativeEndian.Uint32(b)
	typ = Type(binary.NativeEndian.Uint16(b[4:]))
	return typ, b[entryLen : entryLen+n], b[entryLen+n:]
}

// waiting is how many events are to be looked at, as far as their ends tell: at least
// one if there are records.
func (q *queue) waiting() (events, dropped int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events = q.ends + q.rest
	if events == 0 && (q.held || len(q.buf) > 0) {
		events = 1
	}
	return events, q.dropped
}
