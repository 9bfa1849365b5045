package agent

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/orlop/orlop/event"
)

// A Spool keeps events until they can be had in order. What does not fit into
// memory goes into a temporary file; of each event only its place stays.
type Spool struct {
	schema  *event.Schema
	tie     event.Field
	entries []spooled
	memory  []byte
	file    *os.File
	written int64
	w       *bufio.Writer
}

type spooled struct {
	time   time.Time
	tie    event.Value
	offset int64
	length int
}

// spoolMemory is how much a Spool keeps in memory.
const spoolMemory = 16 << 20

// NewSpool returns an empty Spool for events of s that orders those of one time
// by the field tie, if it is not zero.
func NewSpool(s *event.Schema, tie event.Field) *Spool { return &Spool{schema: s, tie: tie} }

// Len is the number of events in the Spool.
func (p *Spool) Len() int { return len(p.entries) }

// Add keeps e.
func (p *Spool) Add(e *event.Event) error {
	if len(p.memory) > spoolMemory {
		if err := p.spill(); err != nil {
			return err
		}
	}
	start := len(p.memory)
	b := binary.AppendUvarint(p.memory, uint64(len(e.Raw)))
	b = append(b, e.Raw...)
	b = binary.AppendUvarint(b, uint64(len(e.Derived())))
	for _, f := range e.Derived() {
		b = binary.AppendUvarint(b, uint64(f))
		at := len(b)
		b = e.Get(f).AppendJSON(append(b, 0, 0, 0, 0))
		binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	p.memory = b
	entry := spooled{time: e.Time, offset: p.written + int64(start), length: len(b) - start}
	if v := e.Get(p.tie); p.tie != 0 && v.Exists() {
		entry.tie = v.At(0)
		if entry.tie.Kind() == event.KindString {
			entry.tie = event.String(string([]byte(entry.tie.Str())))
		}
	}
	p.entries = append(p.entries, entry)
	return nil
}

func (p *Spool) spill() error {
	if p.file == nil {
		f, err := os.CreateTemp("", "orlop-spool-")
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		// Without a name it is gone with the process, however that ends.
		if err := os.Remove(f.Name()); err != nil {
			f.Close()
			return fmt.Errorf("spool: %w", err)
		}
		p.file, p.w = f, bufio.NewWriterSize(f, 1<<20)
	}
	if _, err := p.w.Write(p.memory); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	p.written += int64(len(p.memory))
	p.memory = p.memory[:0]
	return nil
}

// Sort puts the events in order by compare, which sees their time and their tie
// only; those that are equal stay in the order in which they were added.
func (p *Spool) Sort(compare func(a, b *event.Event) int) {
	view := func(s *spooled) *event.Event {
		e := &event.Event{Time: s.time}
		if s.tie.Exists() {
			e.Set(p.tie, s.tie)
		}
		return e
	}
	byTime := func(a, b spooled) int { return a.time.Compare(b.time) }
	if p.tie == 0 {
		slices.SortStableFunc(p.entries, byTime)
		return
	}
	slices.SortStableFunc(p.entries, func(a, b spooled) int {
		if n := byTime(a, b); n != 0 {
			return n
		}
		return compare(view(&a), view(&b))
	})
}

// Keep drops all events but those at the places, which are in ascending order.
func (p *Spool) Keep(places []int) {
	kept := make([]spooled, len(places))
	for i, at := range places {
		kept[i] = p.entries[at]
	}
	p.entries = kept
}

// Each calls f for each event, in order. The event is borrowed for the call.
func (p *Spool) Each(f func(*event.Event) error) error {
	if p.file != nil {
		if err := p.w.Flush(); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	d := event.NewDecoder(p.schema)
	one := event.NewSchema()
	value := one.Field("v")
	dv := event.NewDecoder(one)
	var e event.Event
	var buf []byte
	for i := range p.entries {
		entry := &p.entries[i]
		if cap(buf) < entry.length {
			buf = make([]byte, entry.length)
		}
		buf = buf[:entry.length]
		if entry.offset >= p.written {
			copy(buf, p.memory[entry.offset-p.written:])
		} else if _, err := io.ReadFull(io.NewSectionReader(p.file, entry.offset, int64(entry.length)), buf); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		n, w := binary.Uvarint(buf)
		b := buf[w:]
		if err := d.Decode(b[:n:n], &e); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		e.Time = entry.time
		b = b[n:]
		count, w := binary.Uvarint(b)
		b = b[w:]
		for range count {
			field, w := binary.Uvarint(b)
			size := binary.LittleEndian.Uint32(b[w:])
			b = b[w+4:]
			var v event.Event
			doc := append(append([]byte(`{"v":`), b[:size]...), '}')
			if err := dv.Decode(doc, &v); err != nil {
				return fmt.Errorf("spool: %w", err)
			}
			e.Set(event.Field(field), v.Get(value))
			b = b[size:]
		}
		if err := f(&e); err != nil {
			return err
		}
	}
	return nil
}

// Close frees what the Spool holds.
func (p *Spool) Close() error {
	p.entries, p.memory = nil, nil
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}
