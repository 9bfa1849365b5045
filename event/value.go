package event

import (
	"math"
	"slices"
	"strconv"
	"unsafe"
)

// Kind says what a Value holds.
type Kind uint8

const (
	KindMissing Kind = iota // the document has no such field
	KindNull                // the field is there and null, or an empty list
	KindBool
	KindInt   // int64, exact
	KindFloat // float64; integers outside int64 land here
	KindString
	KindList // two or more non-null scalars
)

var kindNames = [...]string{"missing", "null", "bool", "int", "float", "string", "list"}

func (k Kind) String() string { return kindNames[k] }

// A Value is the content of one field: a small tagged word, copied freely.
// The zero Value is missing.
//
// A string or list borrows its memory from the event it was read from and is
// valid as long as that event is.
type Value struct {
	p    unsafe.Pointer // string data or first list element
	n    uint64         // bool, int64 bits, float64 bits, or length of p
	kind Kind
}

// Null is the explicit null.
func Null() Value { return Value{kind: KindNull} }

// Bool returns a boolean Value.
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.n = 1
	}
	return v
}

// Int returns an integer Value.
func Int(i int64) Value { return Value{kind: KindInt, n: uint64(i)} }

// Float returns a floating-point Value.
func Float(f float64) Value { return Value{kind: KindFloat, n: math.Float64bits(f)} }

// String returns a string Value that shares memory with s.
func String(s string) Value {
	return Value{kind: KindString, n: uint64(len(s)), p: unsafe.Pointer(unsafe.StringData(s))}
}

// List returns the Value of a field with those elements, which it borrows.
// Nulls are not elements: a list of none is null, a list of one is that one.
func List(elems []Value) Value {
	switch len(elems) {
	case 0:
		return Null()
	case 1:
		return elems[0]
	}
	return Value{kind: KindList, n: uint64(len(elems)), p: unsafe.Pointer(unsafe.SliceData(elems))}
}

// Kind says what v holds.
func (v Value) Kind() Kind { return v.kind }

// Exists reports whether the field has at least one value that is not null.
func (v Value) Exists() bool { return v.kind > KindNull }

// Bool returns the boolean; it is false for other kinds.
func (v Value) Bool() bool { return v.kind == KindBool && v.n != 0 }

// Int returns the integer, or 0 for other kinds.
func (v Value) Int() int64 {
	if v.kind != KindInt {
		return 0
	}
	return int64(v.n)
}

// Float returns the number as a float64, or 0 for what is not a number.
func (v Value) Float() float64 {
	switch v.kind {
	case KindInt:
		return float64(int64(v.n))
	case KindFloat:
		return math.Float64frombits(v.n)
	}
	return 0
}

// Str returns the string, or "" for other kinds.
func (v Value) Str() string {
	if v.kind != KindString {
		return ""
	}
	return unsafe.String((*byte)(v.p), int(v.n))
}

// List returns the elements of a list, and nil for other kinds.
func (v Value) List() []Value {
	if v.kind != KindList {
		return nil
	}
	return unsafe.Slice((*Value)(v.p), int(v.n))
}

// Len is the number of values that v stands for: 0 for missing and null,
// 1 for a scalar, the number of elements for a list.
func (v Value) Len() int {
	switch v.kind {
	case KindMissing, KindNull:
		return 0
	case KindList:
		return int(v.n)
	}
	return 1
}

// At returns the i-th of the Len values.
func (v Value) At(i int) Value {
	if v.kind == KindList {
		return v.List()[i]
	}
	return v
}

// Append appends the text of a scalar as Elasticsearch prints it: numbers in
// Java's notation, booleans as true and false. Lists are printed as JSON.
func (v Value) Append(dst []byte) []byte {
	switch v.kind {
	case KindBool:
		return strconv.AppendBool(dst, v.n != 0)
	case KindInt:
		return strconv.AppendInt(dst, int64(v.n), 10)
	case KindFloat:
		return appendJavaDouble(dst, math.Float64frombits(v.n))
	case KindString:
		return append(dst, v.Str()...)
	case KindList:
		return v.AppendJSON(dst)
	}
	return append(dst, "null"...)
}

// AppendKey appends words which are the same for values of the same kind with the same
// content only, unless there are more than max in all: then it stops behind those.
func (v Value) AppendKey(dst []uint64, max int) []uint64 {
	dst = append(dst, v.n<<8|uint64(v.kind))
	switch v.kind {
	case KindInt, KindFloat:
		dst = append(dst, v.n)
	case KindList:
		for _, w := range v.List() {
			if len(dst) > max {
				break
			}
			dst = w.AppendKey(dst, max)
		}
	case KindString:
		// The last word overlaps the one before. Behind the length, that is no matter.
		switch p, n := v.p, v.n; {
		case n > 8*uint64(max):
			dst = slices.Grow(dst, max+1)[:len(dst)+max+1]
		case n >= 8:
			for i := uint64(0); i < n-8; i += 8 {
				dst = append(dst, *(*uint64)(unsafe.Add(p, i)))
			}
			dst = append(dst, *(*uint64)(unsafe.Add(p, n-8)))
		case n >= 4:
			dst = append(dst, uint64(*(*uint32)(p))|uint64(*(*uint32)(unsafe.Add(p, n-4)))<<32)
		case n > 0:
			dst = append(dst, uint64(*(*byte)(p))|uint64(*(*byte)(unsafe.Add(p, n/2)))<<8|uint64(*(*byte)(unsafe.Add(p, n-1)))<<16)
		}
	}
	return dst
}

// Text is the string that Append makes.
func (v Value) Text() string {
	if v.kind == KindString {
		return v.Str()
	}
	return string(v.Append(nil))
}

// AppendJSON appends v as JSON. A missing value is null; NaN and the
// infinities, which JSON lacks, are strings.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case KindString:
		return AppendQuoted(dst, v.Str())
	case KindFloat:
		f := math.Float64frombits(v.n)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return AppendQuoted(dst, v.Text())
		}
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	case KindList:
		dst = append(dst, '[')
		for i, e := range v.List() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.AppendJSON(dst)
		}
		return append(dst, ']')
	}
	return v.Append(dst)
}

// Equal reports whether v and w have the same kind and content.
func (v Value) Equal(w Value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case KindString:
		return v.Str() == w.Str()
	case KindList:
		a, b := v.List(), w.List()
		if len(a) != len(b) {
			return false
		}
		for i := range a {
			if !a[i].Equal(b[i]) {
				return false
			}
		}
		return true
	}
	return v.n == w.n
}

// appendJavaDouble prints f as Java's Double.toString does: 42.5, 21.0, 1.0E10.
func appendJavaDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if a := math.Abs(f); f == 0 || a >= 1e-3 && a < 1e7 {
		n := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		for _, c := range dst[n:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, ".0"...)
	}
	var tmp [32]byte
	s := strconv.AppendFloat(tmp[:0], f, 'E', -1, 64)
	mant, exp := s, []byte(nil)
	for i, c := range s {
		if c == 'E' {
			mant, exp = s[:i], s[i+1:]
		}
	}
	dst = append(dst, mant...)
	if len(mant) == 1 || len(mant) == 2 && mant[0] == '-' {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E')
	if exp[0] == '-' {
		dst = append(dst, '-')
	}
	exp = exp[1:]
	for len(exp) > 1 && exp[0] == '0' {
		exp = exp[1:]
	}
	return append(dst, exp...)
}

const hexDigits = "0123456789abcdef"

// AppendQuoted appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= 0x80 {
			r, n := decodeRune(s[i:])
			if r >= 0 {
				i += n
				continue
			}
			dst = append(append(dst, s[start:i]...), "\ufffd"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
