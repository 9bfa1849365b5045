package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// A Record is an Event as plain data that encoding/gob can write: what its
// source gave, and what was Set. Fields are named, since their numbers hold for
// one Schema only.
type Record struct {
	Time   time.Time
	Raw    []byte
	Origin Origin
	Names  []string // of the fields that were Set
	Values []Value
}

// Record returns e as plain data, which borrows from it. The schema is e's.
func (e *Event) Record(s *Schema) Record {
	r := Record{Time: e.Time, Raw: e.Raw, Origin: e.Origin}
	for _, f := range e.derived {
		r.Names = append(r.Names, s.Name(f))
		r.Values = append(r.Values, e.Get(f))
	}
	return r
}

// Restore makes e the event that r was made of, which it borrows.
func (d *Decoder) Restore(r *Record, e *Event) error {
	if len(r.Names) != len(r.Values) {
		return errors.New("event: a record of other names than values")
	}
	if err := d.Decode(r.Raw, e); err != nil {
		return err
	}
	e.Time, e.Origin = r.Time, r.Origin
	for i, name := range r.Names {
		e.Set(d.schema.Field(name), r.Values[i])
	}
	return nil
}

// MarshalBinary writes v for files, exactly.
func (v Value) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// AppendBinary appends what MarshalBinary writes. The error is nil.
func (v Value) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, byte(v.kind))
	switch v.kind {
	case KindBool, KindInt, KindFloat:
		dst = binary.LittleEndian.AppendUint64(dst, v.n)
	case KindString:
		dst = binary.AppendUvarint(dst, v.n)
		dst = append(dst, v.Str()...)
	case KindList:
		dst = binary.AppendUvarint(dst, v.n)
		for _, w := range v.List() {
			dst, _ = w.AppendBinary(dst)
		}
	}
	return dst, nil
}

// UnmarshalBinary reads what MarshalBinary has written, and keeps no part of b.
func (v *Value) UnmarshalBinary(b []byte) error {
	w, rest, err := valueIn(b, true, func(b []byte) string { return string(b) })
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("event: %d bytes after a value", len(rest))
	}
	if err == nil {
		*v = w
	}
	return err
}

// ReadValue reads the value that AppendBinary has written at the start of b, and
// returns the rest of b. Text is copied into memory that lives as long as e's document.
func (e *Event) ReadValue(b []byte) (v Value, rest []byte, err error) {
	return valueIn(b, true, e.Text)
}

var errValue = errors.New("event: not a value")

func valueIn(b []byte, lists bool, text func([]byte) string) (Value, []byte, error) {
	if len(b) == 0 {
		return Value{}, nil, errValue
	}
	kind, b := Kind(b[0]), b[1:]
	switch kind {
	case KindMissing, KindNull:
		return Value{kind: kind}, b, nil
	case KindBool, KindInt, KindFloat:
		if len(b) < 8 {
			return Value{}, nil, errValue
		}
		n := binary.LittleEndian.Uint64(b)
		switch kind {
		case KindBool:
			return Bool(n != 0), b[8:], nil
		case KindInt:
			return Int(int64(n)), b[8:], nil
		}
		return Float(math.Float64frombits(n)), b[8:], nil
	case KindString, KindList:
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return Value{}, nil, errValue
		}
		b = b[w:]
		if kind == KindString {
			return String(text(b[:n])), b[n:], nil
		}
		if !lists || n < 2 {
			return Value{}, nil, errValue
		}
		elems := make([]Value, n)
		for i := range elems {
			var err error
			if elems[i], b, err = valueIn(b, false, text); err != nil {
				return Value{}, nil, err
			}
			if !elems[i].Exists() {
				return Value{}, nil, errValue
			}
		}
		return List(elems), b, nil
	}
	return Value{}, nil, errValue
}
