package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"github.com/orlop/orlop/event"
)

// A run is a file of events that are in order, and how far it has been read.
type run struct {
	level int      // how often its events have been merged
	file  *os.File // without a name; nil when it has been read
	size  int64
	left  int64         // of size, not read yet
	r     *bufio.Reader // nil until it is open

	head    event.Event // the time and the tiebreaker of the next event
	arrival uint64
	header  [headerSize]byte
	key     []byte
	body    int // its length; it has not been read yet
}

// close gives the room on disk back.
func (r *run) close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	return f.Close()
}

// A record is a header, a key and a body. The header has the lengths of both,
// the checksum of lengths and key, and that of the body: a disk that gives back
// something else is found out before it makes a wrong order or event.
const headerSize = 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("what was written there has changed")

// next reads the header and the key of the next record, if there is one.
func (r *run) next(tie event.Field) (bool, error) {
	if r.left == 0 {
		return false, nil
	}
	h := r.header[:]
	if _, err := io.ReadFull(r.r, h); err != nil {
		return false, unexpected(err)
	}
	n := binary.LittleEndian.Uint32(h)
	r.body = int(binary.LittleEndian.Uint32(h[4:]))
	if r.left -= headerSize + int64(n); n > maxTie+64 || int64(r.body) > r.left {
		return false, errDamaged
	}
	r.key = slices.Grow(r.key[:0], int(n))[:n]
	if _, err := io.ReadFull(r.r, r.key); err != nil {
		return false, unexpected(err)
	}
	if crc32.Update(crc32.Checksum(h[:8], castagnoli), castagnoli, r.key) != binary.LittleEndian.Uint32(h[8:]) {
		return false, errDamaged
	}
	r.head.Reset()
	k := decoding{r.key}
	r.arrival = k.uvarint()
	sec := k.varint()
	r.head.Time = time.Unix(sec, int64(k.uvarint())).UTC()
	v, _, err := r.head.ReadValue(k.b)
	if v.Exists() {
		r.head.Set(tie, v)
	}
	return true, err
}

// readBody reads the body of the record that r is at, into buf if that has room.
func (r *run) readBody(buf []byte) ([]byte, error) {
	if cap(buf) < r.body || cap(buf) > maxKeep && r.body <= maxKeep {
		buf = make([]byte, r.body)
	}
	buf = buf[:r.body]
	if _, err := io.ReadFull(r.r, buf); err != nil {
		return nil, unexpected(err)
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(r.header[12:]) {
		return nil, errDamaged
	}
	r.left -= int64(r.body)
	return buf, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendRecord writes an event: its order as key; as body where it was read, its
// tags, the document, and the values that were not read from that.
func appendRecord(b []byte, tie event.Field, w *waiting) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	b = binary.AppendUvarint(b, w.arrival)
	b = binary.AppendVarint(b, w.e.Time.Unix())
	b = binary.AppendUvarint(b, uint64(w.e.Time.Nanosecond()))
	var v event.Value
	if tie != 0 && w.e.Get(tie).Exists() {
		v = w.e.Get(tie).At(0)
		if s := v.Str(); len(s) > maxTie {
			v = event.String(s[:maxTie])
		}
	}
	b, _ = v.AppendBinary(b)
	body := len(b)

	b = appendText(b, w.e.Origin.Source)
	b = binary.AppendVarint(b, w.e.Origin.Offset)
	b = binary.AppendUvarint(b, uint64(len(w.tags)))
	for _, t := range w.tags {
		b = binary.AppendUvarint(b, uint64(t))
	}
	b = binary.AppendUvarint(b, uint64(len(w.e.Raw)))
	b = append(b, w.e.Raw...)
	for _, f := range w.e.Derived() {
		b = binary.AppendUvarint(b, uint64(f))
		b, _ = w.e.Get(f).AppendBinary(b)
	}
	if int64(len(b)) > math.MaxInt32 {
		return nil, fmt.Errorf("an event of %d bytes is too long", len(w.e.Raw))
	}
	h, key := b[start:start+headerSize], b[start+headerSize:body]
	binary.LittleEndian.PutUint32(h, uint32(len(key)))
	binary.LittleEndian.PutUint32(h[4:], uint32(len(b)-body))
	binary.LittleEndian.PutUint32(h[8:], crc32.Update(crc32.Checksum(h[:8], castagnoli), castagnoli, key))
	binary.LittleEndian.PutUint32(h[12:], crc32.Checksum(b[body:], castagnoli))
	return b, nil
}

// restore makes q.e and q.tags of a body, which they borrow.
func (q *Queue) restore(b []byte, at time.Time) error {
	d := decoding{b}
	if name := d.bytes(); string(name) != q.source {
		q.source = string(name) // copies of the event share it
	}
	offset := d.varint()
	q.tags = q.tags[:0]
	for range d.uvarint() {
		q.tags = append(q.tags, uint32(d.uvarint()))
	}
	raw := d.bytes()
	if len(raw) == 0 {
		q.e.Reset() // put together without a document
	} else if err := q.decoder.Decode(raw, &q.e); err != nil {
		return fmt.Errorf("spool: bug: a document that was read cannot be read again: %w", err)
	}
	q.e.Time, q.e.Origin = at, event.Origin{Source: q.source, Offset: offset}
	for len(d.b) > 0 {
		f := event.Field(d.uvarint())
		v, rest, err := q.e.ReadValue(d.b)
		if err != nil {
			return err
		}
		q.e.Set(f, v)
		d.b = rest
	}
	return nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoding reads what appendRecord has written; its checksum has been seen to.
type decoding struct{ b []byte }

func (d *decoding) uvarint() uint64 {
	n, w := binary.Uvarint(d.b)
	d.b = d.b[w:]
	return n
}

func (d *decoding) varint() int64 {
	n, w := binary.Varint(d.b)
	d.b = d.b[w:]
	return n
}

func (d *decoding) bytes() []byte {
	n := d.uvarint()
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}
