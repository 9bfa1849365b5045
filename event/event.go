// Package event is one event: numbered fields, small values, and a decoder
// that reads only the fields that somebody asked for.
//
// Names become numbers once, in a [Schema]; a [Decoder] walks a JSON document
// once and fills an [Event] with the values of those fields:
//
//	s := event.NewSchema()
//	name := s.Field("process.name")
//	d := event.NewDecoder(s)
//	var e event.Event
//	err := d.Decode([]byte(`{"process":{"name":"ctr"}}`), &e)
//	e.Get(name).Str() // "ctr"
//
// Nested objects, dotted keys and any mix of them name the same field. An array
// is the set of its elements; arrays of objects are flattened per leaf path.
package event

import (
	"slices"
	"time"
	"unsafe"
)

// An Event is one document: the values of the fields of a Schema, and the raw
// JSON they came from.
//
// An Event that a source or decoder hands out is borrowed: it, its Raw bytes
// and the strings in its Values are valid until the call returns. Clone it to
// keep it. The zero Event is empty and ready for use; it is not safe for
// concurrent use.
type Event struct {
	Time   time.Time // when it happened; zero when the document does not say
	Raw    []byte    // the document, as the source gave it
	Origin Origin    // where it was read

	values  []Value // by Field
	lists   [][]Value
	touched []Field // those that have a value
	sparse  []Value // of a clone: their values, touched being in order and values empty
	derived []Field
	text    []byte // memory of unescaped strings
}

// An Origin says where a document was read, for messages and dead letters.
type Origin struct {
	Source string // a file name, "-" for standard input, or the name of a live source
	Offset int64  // bytes from the start of the (decompressed) file, or a sequence number
}

// Get returns the value of f, which is missing if the document has none.
func (e *Event) Get(f Field) Value {
	if int(f) >= len(e.values) {
		return e.rare(f)
	}
	return e.values[f]
}

// rare is Get for clones, and for fields that are newer than the event.
func (e *Event) rare(f Field) Value {
	if e.sparse == nil {
		return Value{}
	}
	if i, ok := slices.BinarySearch(e.touched, f); ok {
		return e.sparse[i]
	}
	return Value{}
}

// Fields lists the fields that have a value or null, in no order.
func (e *Event) Fields() []Field { return e.touched }

// spread makes a clone an event like any other, so that it can be written to.
func (e *Event) spread() {
	fields, values := e.touched, e.sparse
	e.touched, e.sparse = nil, nil
	for i, f := range fields {
		e.put(f, values[i])
	}
}

// Set gives f a value that the source did not state. It is listed in Derived.
// The value is borrowed, not copied.
func (e *Event) Set(f Field, v Value) {
	if e.sparse != nil {
		e.spread()
	}
	e.put(f, v)
	e.derived = append(e.derived, f)
}

// Derived lists the fields that were Set, in that order, not read from Raw.
func (e *Event) Derived() []Field { return e.derived }

// Reset empties e and keeps its memory for the next document.
func (e *Event) Reset() {
	if e.sparse == nil {
		for _, f := range e.touched {
			e.values[f] = Value{}
		}
	}
	if e.sparse != nil {
		e.touched, e.sparse = nil, nil // they may be shared
	}
	e.touched = e.touched[:0]
	e.derived = e.derived[:0]
	e.text = e.text[:0]
	if cap(e.text) > maxKeep {
		e.text = nil
	}
	e.Time, e.Raw, e.Origin = time.Time{}, nil, Origin{}
}

// What bounds the memory that an event keeps between documents.
const (
	maxKeep = 1 << 20 // bytes of text
	maxList = 1 << 12 // values of a list
)

// grow makes room for fields below n.
func (e *Event) grow(n int) {
	if n > len(e.values) {
		e.values = append(e.values, make([]Value, n-len(e.values))...)
		e.lists = append(e.lists, make([][]Value, n-len(e.lists))...)
	}
}

func (e *Event) put(f Field, v Value) {
	if int(f) >= len(e.values) {
		e.grow(int(f) + 1)
	}
	if e.values[f].kind == KindMissing {
		e.touched = append(e.touched, f)
	}
	e.values[f] = v
}

// add adds one element to the set of values of f.
func (e *Event) add(f Field, v Value) {
	old := &e.values[f]
	switch {
	case old.kind == KindMissing:
		e.touched = append(e.touched, f)
		*old = v
	case v.kind == KindNull:
	case old.kind == KindNull:
		*old = v
	case old.kind == KindList:
		l := append(e.lists[f], v)
		e.lists[f] = l
		*old = List(l)
	default:
		l := e.lists[f]
		if cap(l) > maxList {
			l = nil
		}
		l = append(l[:0], *old, v)
		e.lists[f] = l
		*old = List(l)
	}
}

// Text copies b into memory that lives as long as the document and returns it
// as a string.
func (e *Event) Text(b []byte) string {
	n := len(e.text)
	e.text = append(e.text, b...)
	return str(e.text[n:])
}

// Clone returns a copy of e that owns its memory, and takes no more than its
// values need.
func (e *Event) Clone() *Event {
	c := &Event{Time: e.Time, Origin: e.Origin}
	text, elems := e.extent()
	mem := make([]byte, 0, text)
	list := make([]Value, 0, elems)
	keep := func(v Value) Value {
		if v.kind == KindString {
			n := len(mem)
			mem = append(mem, v.Str()...)
			return String(str(mem[n:]))
		}
		return v
	}
	mem = append(mem, e.Raw...)
	c.Raw = mem[:len(mem):len(mem)]
	c.touched = slices.Clone(e.touched)
	slices.Sort(c.touched)
	c.derived = slices.Clone(e.derived)
	c.sparse = make([]Value, len(c.touched))
	for i, f := range c.touched {
		v := e.Get(f)
		if v.kind == KindList {
			n := len(list)
			for _, w := range v.List() {
				list = append(list, keep(w))
			}
			c.sparse[i] = List(list[n:])
			continue
		}
		c.sparse[i] = keep(v)
	}
	return c
}

// extent is how much text a clone of e has, and how many elements of lists.
func (e *Event) extent() (text, elems int) {
	text = len(e.Raw)
	for _, f := range e.touched {
		v := e.Get(f)
		elems += len(v.List())
		for i := range v.Len() {
			if w := v.At(i); w.kind == KindString {
				text += int(w.n)
			}
		}
	}
	return text, elems
}

// Size is how many bytes a Clone of e takes.
func (e *Event) Size() int {
	text, elems := e.extent()
	const value, field = int(unsafe.Sizeof(Value{})), int(unsafe.Sizeof(Field(0)))
	return int(unsafe.Sizeof(*e)) + text + elems*value + len(e.touched)*(value+field) + len(e.derived)*field
}

// str views b as a string; the caller keeps b from changing.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
