package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is how deep arrays and objects of a document may nest, as in
// Elasticsearch's own parser (Jackson's StreamReadConstraints).
const MaxDepth = 1000

// A SyntaxError says why a document is not JSON.
type SyntaxError struct {
	Offset int // bytes from the start of the document
	Msg    string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Msg, e.Offset) }

// A Decoder fills events from JSON documents. It is not safe for concurrent use.
//
// The functions that read take the position to read at and return the position
// behind what they read, or -1 when they failed.
type Decoder struct {
	schema *Schema
	time   Field

	doc   []byte
	depth int
	e     *Event
	err   SyntaxError

	// The next backslash and the next control character at or behind where a
	// string was last read, so that most strings need a look for quotes only: up to
	// clear there is neither, nor the end of the document.
	slash, control, clear int
	quotes                []uint64 // see scan

	objects [MaxDepth/64 + 1]uint64 // of what is open and skipped, a bit for each that is no array

	// What was learned of the layout of documents, for the fields below root. Of
	// credit, each thing that is learned takes one; refused is what could not be.
	root    *node
	layout  *layout
	places  int
	credit  int
	refused int

	memos     int
	memory    int // bytes of the objects in them
	seed      maphash.Seed
	log       []assign // what is being read, while something is being recorded
	recording int      // how many objects are being recorded

	// Keys of the objects that are open and are read without a layout, innermost
	// last, to find duplicates.
	hashes []uint64
	keys   [][]byte
}

// NewDecoder returns a Decoder for the fields of s, now and later ones.
// The event's time is its @timestamp.
func NewDecoder(s *Schema) *Decoder {
	return &Decoder{schema: s, time: s.Field("@timestamp"), seed: maphash.MakeSeed(), credit: maxCredit}
}

// SetTimeField makes another field than @timestamp the event's time.
func (d *Decoder) SetTimeField(f Field) { d.time = f }

// Decode resets e and fills it from doc, which e borrows.
//
// The whole document is checked: it must be one JSON object in valid UTF-8, no
// deeper than MaxDepth and with no key twice in an object that is read from, else
// Decode returns a *SyntaxError, valid until the next call, and e is empty.
func (d *Decoder) Decode(doc []byte, e *Event) error {
	e.Reset()
	d.doc, d.depth, d.e = doc, 0, e
	d.hashes, d.keys = d.hashes[:0], d.keys[:0]
	d.log, d.recording = d.log[:0], 0
	has := d.scan(doc)
	d.slash, d.control, d.clear = len(doc), len(doc), len(doc)-1
	if has&hasSlash != 0 {
		d.slash, d.clear = -1, -1
	}
	if has&hasControl != 0 {
		d.control, d.clear = -1, -1
	}
	t := d.schema.tab.Load()
	e.grow(len(t.names))
	if t.root != d.root || d.refused > maxPlaces && d.credit == maxCredit {
		d.forget(t.root)
	}
	credit := d.credit
	ok := (has&hasHigh == 0 || d.valid()) && d.document(t.root)
	if d.credit == credit {
		d.credit = min(d.credit+earned, maxCredit)
	}
	d.e = nil
	if !ok {
		e.Reset()
		return &d.err
	}
	e.Raw = doc
	if tv := e.Get(d.time); tv.Exists() {
		e.Time, _ = TimeOf(tv.At(0))
	}
	return nil
}

func (d *Decoder) document(root *node) bool {
	i := d.space(0)
	if i == len(d.doc) {
		return d.fail(i, "empty document") >= 0
	}
	if d.doc[i] != '{' {
		return d.fail(i, "not a JSON object") >= 0
	}
	if i = d.object(root, d.layout, i); i < 0 {
		return false
	}
	if i = d.space(i); i < len(d.doc) {
		return d.fail(i, "data after the document") >= 0
	}
	return true
}

func (d *Decoder) valid() bool {
	return utf8.Valid(d.doc) || d.fail(invalidUTF8(d.doc), "invalid UTF-8") >= 0
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// fail notes what is wrong at pos and returns -1.
func (d *Decoder) fail(pos int, msg string) int {
	if pos >= len(d.doc) {
		msg = "document ends early"
		if len(bytes.TrimSpace(d.doc)) == 0 {
			msg = "empty document"
		}
	}
	d.err = SyntaxError{pos, msg}
	return -1
}

// space is the position of the next byte that is no white space.
func (d *Decoder) space(i int) int {
	for i < len(d.doc) {
		switch d.doc[i] {
		case ' ', '\n', '\t', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// at is the byte at i, or 0 behind the end.
func at(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// object reads the object at i, whose layout is l, for those who want something in it: for
// nobody if n is nil, and then a key may be there twice. Without a layout, l is nil.
func (d *Decoder) object(n *node, l *layout, i int) int {
	b := d.doc
	if d.depth++; d.depth > MaxDepth {
		return d.fail(i, "nested too deep")
	}
	i++
	if l == nil {
		if i = d.space(i); at(b, i) == '}' {
			d.depth--
			return i + 1
		}
		return d.wide(n, nil, 0, i)
	}
	var once uint64 // the members that may be there only once
	if n != nil {
		once = ^uint64(0)
	}
	seen, p, end := uint64(0), &l.start, 0
	for {
		var q *place
		p, q, i, end, seen = d.run(p, i, seen, once)
		if q == nil {
			if q = p.follow(b, i); q != nil {
				i += int(q.size)
			} else if q, i = d.turn(n, l, p, i); q == nil {
				if i >= 0 {
					i = d.wide(n, l, seen, i)
				}
				return i
			}
			if seen&q.bit&once != 0 {
				return d.fail(i-int(q.size)+int(q.key), "duplicate key")
			}
			seen |= q.bit
			end = -1
		}
		switch p = q; p.kind {
		case aString: // What comes next begins with its other quote.
			escaped := false
			if end < 0 {
				if end = d.quote(i); end > d.clear {
					if end, escaped = d.str(i); end < 0 {
						return -1
					}
				}
			}
			if p.field != 0 {
				d.text(p.field, i, end, escaped)
			}
			i = end
			continue
		case theEnd:
			d.depth--
			return i
		}
		switch at(b, i) {
		case '{':
			i = d.nested(p.member, i)
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			i = d.number(p.kid, i)
		case 't':
			i = d.literal("true", p.kid, Bool(true), i)
		case 'f':
			i = d.literal("false", p.kid, Bool(false), i)
		default:
			if p.kid != nil {
				i = d.value(p.kid, p.member, i)
			} else {
				i = d.skip(i)
			}
		}
		if i < 0 {
			return -1
		}
	}
}

// run goes on from p at i while what is expected comes, a string that nobody wants. It
// returns where it has come to, and the place that comes next and where that is, and, if
// it is of a string, where that ends, or -1: it is to be looked for. The place is nil if it
// is not the one that is expected.
func (d *Decoder) run(p *place, i int, seen, once uint64) (_, q *place, _, end int, _ uint64) {
	base, quotes := unsafe.Pointer(unsafe.SliceData(d.doc)), unsafe.Pointer(unsafe.SliceData(d.quotes))
	room, clear := len(d.doc)-maxText, d.clear
	for i <= room {
		q := p.next[0]
		if q == nil || !q.begins(unsafe.Add(base, i)) || q.size > shortText || seen&q.bit&once != 0 {
			break
		}
		seen |= q.bit
		i += int(q.size)
		if q.kind != aString {
			return p, q, i, -1, seen
		}
		w, n := unsafe.Add(quotes, i>>6<<3), uint(i)&63
		next := *(*uint64)(w)>>n | *(*uint64)(unsafe.Add(w, 8))<<(63-n)<<1
		if next == 0 {
			return p, q, i, -1, seen
		}
		end := i + bits.TrailingZeros64(next)
		if end > clear {
			return p, q, i, -1, seen
		}
		if q.field != 0 {
			return p, q, i, end, seen
		}
		p, i = q, end
	}
	return p, nil, i, 0, seen
}

// key reads the key at i, and returns it, its hash, and where its value begins.
func (d *Decoder) key(i int) (key []byte, h uint64, value int) {
	b := d.doc
	if at(b, i) != '"' {
		return nil, 0, d.fail(i, "expected a key")
	}
	end, escaped := d.quote(i+1), false
	if end > d.clear {
		if end, escaped = d.str(i + 1); end < 0 {
			return nil, 0, -1
		}
	}
	key = b[i+1 : end]
	if escaped {
		key = d.unescape(key)
	}
	if i = end + 1; at(b, i) != ':' {
		if i = d.space(i); at(b, i) != ':' {
			return nil, 0, d.fail(i, "expected ':'")
		}
	}
	if i++; at(b, i) <= ' ' {
		i = d.space(i)
	}
	return key, hashKey(key), i
}

// manyKeys is when an object's keys go into a map instead of a list.
const manyKeys = 64

// wide reads an object from the key at i on, without a layout: it has too many keys,
// or ones that are always others. Those that l has in seen were read before.
func (d *Decoder) wide(n *node, l *layout, seen uint64, i int) int {
	b := d.doc
	base := len(d.hashes)
	for ; seen != 0; seen &= seen - 1 {
		m := l.members[bits.TrailingZeros64(seen)]
		d.hashes, d.keys = append(d.hashes, m.hash), append(d.keys, []byte(m.key))
	}
	var many map[string]struct{} // once there are manyKeys
	for {
		begin := i
		key, h, v := d.key(i)
		if v < 0 {
			return -1
		}
		i = v
		switch {
		case n == nil: // A key may be there twice.
		case many != nil:
			if _, dup := many[str(key)]; dup {
				return d.fail(begin, "duplicate key")
			}
			many[str(key)] = struct{}{}
		default:
			for k, old := range d.hashes[base:] {
				if old == h && string(d.keys[base+k]) == string(key) {
					return d.fail(begin, "duplicate key")
				}
			}
			d.hashes, d.keys = append(d.hashes, h), append(d.keys, key)
			if len(d.hashes)-base > manyKeys {
				many = make(map[string]struct{}, 4*manyKeys)
				for _, k := range d.keys[base:] {
					many[str(k)] = struct{}{}
				}
			}
		}
		if kid := n.kid(key, h); kid != nil {
			i = d.value(kid, nil, i)
		} else {
			i = d.skip(i)
		}
		if i < 0 {
			return -1
		}
		i = d.space(i)
		switch at(b, i) {
		case ',':
			i = d.space(i + 1)
		case '}':
			d.depth--
			d.hashes, d.keys = d.hashes[:base], d.keys[:base]
			return i + 1
		default:
			return d.fail(i, "expected ',' or '}'")
		}
	}
}

// text gives the event the string from begin to end.
func (d *Decoder) text(f Field, begin, end int, escaped bool) {
	s := d.doc[begin:end]
	if escaped {
		d.add(f, String(str(d.unescape(s))), -1)
		return
	}
	d.add(f, String(str(s)), begin)
}

// value reads the value at or behind i, which somebody wants, and which is that of m, or
// an element of it; nil if that is not known.
func (d *Decoder) value(n *node, m *member, i int) int {
	b := d.doc
	c := at(b, i)
	if c <= ' ' {
		i = d.space(i)
		c = at(b, i)
	}
	switch c {
	case '"':
		end, escaped := d.quote(i+1), false
		if end > d.clear {
			if end, escaped = d.str(i + 1); end < 0 {
				return -1
			}
		}
		if n.field != 0 {
			d.text(n.field, i+1, end, escaped)
		}
		return end + 1
	case '{':
		return d.object(n, d.within(m), i)
	case '[':
		return d.array(n, m, i)
	case 't':
		return d.literal("true", n, Bool(true), i)
	case 'f':
		return d.literal("false", n, Bool(false), i)
	case 'n':
		return d.literal("null", n, Null(), i)
	}
	if c == '-' || c >= '0' && c <= '9' {
		return d.number(n, i)
	}
	return d.fail(i, "expected a value")
}

func (d *Decoder) array(n *node, m *member, i int) int {
	b := d.doc
	if d.depth++; d.depth > MaxDepth {
		return d.fail(i, "nested too deep")
	}
	i = d.space(i + 1)
	switch c := at(b, i); {
	case c == ']':
		d.depth--
		if n.field != 0 {
			d.add(n.field, Null(), -1)
		}
		return i + 1
	case c == '"' && n.field != 0 && d.recording == 0 && d.e.values[n.field].kind == KindMissing:
		i = d.texts(n.field, i)
	default:
		i = d.value(n, m, i)
	}
	for i >= 0 {
		i = d.space(i)
		switch at(b, i) {
		case ',':
			i = d.value(n, m, i+1)
		case ']':
			d.depth--
			return i + 1
		default:
			return d.fail(i, "expected ',' or ']'")
		}
	}
	return -1
}

// texts gives the event the strings from i on, the first elements of an array, as the
// values of f, which it has none of yet. It returns the position behind the last of them.
func (d *Decoder) texts(f Field, i int) int {
	b, e := d.doc, d.e
	l := e.lists[f][:0]
	if cap(l) > maxList {
		l = nil
	}
	for {
		end, escaped := d.quote(i+1), false
		if end > d.clear {
			if end, escaped = d.str(i + 1); end < 0 {
				return -1
			}
		}
		s := b[i+1 : end]
		if escaped {
			s = d.unescape(s)
		}
		l = append(l, String(str(s)))
		i = end + 1
		if at(b, i) != ',' || at(b, i+1) != '"' {
			break
		}
		i++
	}
	e.lists[f] = l
	e.add(f, List(l))
	return i
}

// skip checks the value at or behind i and passes over it. It keeps the kinds of
// what is open in a bit each, so that it need not call itself.
func (d *Decoder) skip(i int) int {
	b, objects, depth := d.doc, &d.objects, d.depth
	for {
		// A value.
		c := at(b, i)
		if c <= ' ' {
			i = d.space(i)
			c = at(b, i)
		}
		switch c {
		case '"':
			end := d.quote(i + 1)
			if end > d.clear {
				if end, _ = d.str(i + 1); end < 0 {
					return -1
				}
			}
			i = end + 1
		case '{', '[':
			if depth++; depth > MaxDepth {
				return d.fail(i, "nested too deep")
			}
			if i++; at(b, i) <= ' ' {
				i = d.space(i)
			}
			if c == '[' {
				objects[depth>>6] &^= 1 << (depth & 63)
				if at(b, i) != ']' {
					continue
				}
			} else {
				objects[depth>>6] |= 1 << (depth & 63)
				if at(b, i) != '}' {
					if i = d.skipKey(i); i < 0 {
						return -1
					}
					continue
				}
			}
			depth--
			i++
		case 't':
			i = d.literal("true", nil, Value{}, i)
		case 'f':
			i = d.literal("false", nil, Value{}, i)
		case 'n':
			i = d.literal("null", nil, Value{}, i)
		default:
			if c != '-' && c-'0' > 9 {
				return d.fail(i, "expected a value")
			}
			i = d.number(nil, i)
		}
		if i < 0 {
			return -1
		}
		// What follows it.
		for {
			if depth == d.depth {
				return i
			}
			if i < len(b) && b[i] <= ' ' {
				i = d.space(i)
			}
			object := objects[depth>>6]&(1<<(depth&63)) != 0
			c = at(b, i)
			if c == ',' {
				i++
				if object {
					if at(b, i) <= ' ' {
						i = d.space(i)
					}
					if i = d.skipKey(i); i < 0 {
						return -1
					}
				}
				break
			}
			switch {
			case object && c != '}':
				return d.fail(i, "expected ',' or '}'")
			case !object && c != ']':
				return d.fail(i, "expected ',' or ']'")
			}
			depth--
			i++
		}
	}
}

// skipKey passes over the key at i and its colon.
func (d *Decoder) skipKey(i int) int {
	b := d.doc
	if at(b, i) != '"' {
		return d.fail(i, "expected a key")
	}
	end := d.quote(i + 1)
	if end > d.clear {
		if end, _ = d.str(i + 1); end < 0 {
			return -1
		}
	}
	if i = end + 1; at(b, i) != ':' {
		if i = d.space(i); at(b, i) != ':' {
			return d.fail(i, "expected ':'")
		}
	}
	return i + 1
}

func (d *Decoder) literal(word string, n *node, v Value, i int) int {
	if len(d.doc)-i < len(word) || string(d.doc[i:i+len(word)]) != word {
		return d.fail(i, "expected "+word)
	}
	if n != nil && n.field != 0 {
		d.add(n.field, v, -1)
	}
	return i + len(word)
}

func (d *Decoder) number(n *node, at int) int {
	b := d.doc[at:]
	// Fast path: an integer of at most seven digits, and what comes behind it.
	if len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b) ^ ones*'0'
		k := bits.TrailingZeros64((w+ones*0x76|w)&highs) / 8 // digits
		if c := b[k&7]; k-1 < 7 && k > 0 && (c == ',' || c == '}' || c == ']') && (k == 1 || b[0] != '0') {
			if n != nil && n.field != 0 {
				// Pairs of digits, then fours, then all eight, of which the first are 0.
				w <<= 64 - 8*k
				w = w*10 + w>>8
				w = (w&0x000000ff000000ff*0x000f424000000064 + w>>16&0x000000ff000000ff*0x0000271000000001) >> 32
				d.add(n.field, Int(int64(w)), -1)
			}
			return at + k
		}
	}
	i, neg := 0, false
	if b[0] == '-' {
		neg, i = true, 1
	}
	digits := i
	var u uint64
	for i < len(b) && b[i]-'0' <= 9 {
		u = u*10 + uint64(b[i]-'0')
		i++
	}
	digits = i - digits
	if digits == 0 || digits > 1 && b[i-digits] == '0' {
		return d.fail(at, "bad number")
	}
	exact := digits <= 18
	if i < len(b) && b[i] == '.' {
		j := i + 1
		for j < len(b) && b[j]-'0' <= 9 {
			j++
		}
		if j == i+1 {
			return d.fail(at, "bad number")
		}
		i, exact = j, false
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		j := i + 1
		if j < len(b) && (b[j] == '+' || b[j] == '-') {
			j++
		}
		k := j
		for j < len(b) && b[j]-'0' <= 9 {
			j++
		}
		if j == k {
			return d.fail(at, "bad number")
		}
		i, exact = j, false
	}
	if n == nil || n.field == 0 {
		return at + i
	}
	if exact { // Fast path: an integer of at most 18 digits.
		v := int64(u)
		if neg {
			v = -v
		}
		d.add(n.field, Int(v), -1)
		return at + i
	}
	d.add(n.field, ParseNumber(str(b[:i])), -1)
	return at + i
}

// ParseNumber returns the number that a JSON number token writes: an int64
// where it is one, else the nearest float64.
func ParseNumber(s string) Value {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Int(i)
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range gives ±Inf, as Java does
	return Float(f)
}

// str reads the string whose text begins at start and returns where its closing
// quote is and whether it has escapes. Callers look for the quote themselves
// first and need str only where it stands behind d.clear.
func (d *Decoder) str(start int) (end int, escaped bool) {
	b := d.doc
	if d.control < start {
		d.control = nextControl(b, start)
	}
	for i := start; ; {
		if d.slash < i {
			d.slash = len(b)
			if n := bytes.IndexByte(b[i:], '\\'); n >= 0 {
				d.slash = i + n
			}
		}
		d.clear = min(d.slash, d.control, len(b)-1)
		if end < i { // Else it is as far as before: strings may be all escapes.
			end = d.quote(i)
		}
		if d.slash < end {
			escaped = true
			n, ok := escapeLen(b[d.slash:])
			if !ok {
				return d.fail(d.slash, "bad escape"), false
			}
			i = d.slash + n
			continue
		}
		if end == len(b) {
			return d.fail(end, "string does not end"), false
		}
		if d.control < end {
			return d.fail(d.control, "control character in a string"), false
		}
		return end, escaped
	}
}

// nextControl is the position of the next byte below 0x20, or len(b).
func nextControl(b []byte, i int) int {
	for i < len(b) && b[i] >= 0x20 {
		i++
	}
	return i
}

// escapeLen checks the escape that b begins with.
func escapeLen(b []byte) (int, bool) {
	if len(b) < 2 {
		return len(b), false
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, true
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6, true
		}
	}
	return 2, false
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// hashKey is a cheap hash of a key: its length, its first and its last bytes.
func hashKey(key []byte) uint64 {
	n := len(key)
	if n >= 8 {
		return mix(binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[n-8:]), n)
	}
	var w uint64
	if n >= 4 {
		w = uint64(binary.LittleEndian.Uint32(key)) | uint64(binary.LittleEndian.Uint32(key[n-4:]))<<32
	} else if n > 0 {
		w = uint64(key[0]) | uint64(key[n/2])<<8 | uint64(key[n-1])<<16
	}
	return mix(w, 0, n)
}

func mix(a, b uint64, n int) uint64 {
	h := (a ^ b*0x9e3779b97f4a7c15 ^ uint64(n)) * 0xff51afd7ed558ccd
	return h ^ h>>32
}

// unescape writes the text of s, whose escapes are known to be good, to the
// event's memory. A lone surrogate becomes U+FFFD.
func (d *Decoder) unescape(s []byte) []byte {
	e := d.e
	n := len(e.text)
	for len(s) > 0 {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			e.text = append(e.text, s...)
			break
		}
		e.text = append(e.text, s[:i]...)
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				lone := r
				r = utf8.RuneError
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					low, _ := hex4(s[2:])
					if r = utf16.DecodeRune(lone, low); r != utf8.RuneError {
						s = s[6:]
					}
				}
			}
			e.text = utf8.AppendRune(e.text, r)
			continue
		}
		e.text = append(e.text, c)
	}
	return e.text[n:len(e.text):len(e.text)]
}

// decodeRune is utf8.DecodeRuneInString with -1 for invalid.
func decodeRune(s string) (rune, int) {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n <= 1 {
		return -1, n
	}
	return r, n
}
