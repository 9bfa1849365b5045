package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
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
type Decoder struct {
	schema *Schema
	time   Field

	doc   []byte
	pos   int
	depth int
	e     *Event
	keys  [][]byte // keys of the objects that are open, innermost last
	err   SyntaxError
}

// NewDecoder returns a Decoder for the fields of s, now and later ones.
// The event's time is its @timestamp.
func NewDecoder(s *Schema) *Decoder {
	return &Decoder{schema: s, time: s.Field("@timestamp")}
}

// SetTimeField makes another field than @timestamp the event's time.
func (d *Decoder) SetTimeField(f Field) { d.time = f }

// Decode resets e and fills it from doc, which e borrows.
//
// The whole document is checked: it must be one JSON object in valid UTF-8, no
// deeper than MaxDepth and with no key twice in one object, else Decode returns
// a *SyntaxError, valid until the next call, and e is empty.
func (d *Decoder) Decode(doc []byte, e *Event) error {
	e.Reset()
	d.doc, d.pos, d.depth, d.e, d.keys = doc, 0, 0, e, d.keys[:0]
	t := d.schema.tab.Load()
	e.grow(len(t.names))
	if !d.document(t.root) {
		e.Reset()
		d.e = nil
		return &d.err
	}
	d.e = nil
	e.Raw = doc
	if tv := e.Get(d.time); tv.Exists() {
		e.Time, _ = TimeOf(tv.At(0))
	}
	return nil
}

func (d *Decoder) document(root *node) bool {
	if !utf8.Valid(d.doc) {
		return d.failAt(invalidUTF8(d.doc), "invalid UTF-8")
	}
	if d.space() != '{' {
		if d.pos == len(d.doc) {
			return d.fail("empty document")
		}
		return d.fail("not a JSON object")
	}
	if !d.object(root) {
		return false
	}
	if d.space(); d.pos < len(d.doc) {
		return d.fail("data after the document")
	}
	return true
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

func (d *Decoder) fail(msg string) bool { return d.failAt(d.pos, msg) }

func (d *Decoder) failAt(pos int, msg string) bool {
	if pos >= len(d.doc) {
		msg = "document ends early"
		if len(bytes.TrimSpace(d.doc)) == 0 {
			msg = "empty document"
		}
	}
	d.err = SyntaxError{pos, msg}
	return false
}

// space skips white space and returns the next byte, or 0 at the end.
func (d *Decoder) space() byte {
	for d.pos < len(d.doc) {
		c := d.doc[d.pos]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		d.pos++
	}
	return 0
}

// object reads an object; n is nil if nobody wants what is in it.
func (d *Decoder) object(n *node) bool {
	if d.depth++; d.depth > MaxDepth {
		return d.fail("nested too deep")
	}
	base := len(d.keys)
	var seen map[string]struct{} // only for objects with very many keys
	d.pos++                      // {
	c := d.space()
	if c == '}' {
		d.pos++
		d.depth--
		return true
	}
	for {
		if c != '"' {
			return d.fail("expected a key")
		}
		at := d.pos
		key, ok := d.key()
		if !ok {
			return false
		}
		if seen == nil {
			for _, k := range d.keys[base:] {
				if len(k) == len(key) && string(k) == string(key) {
					return d.failAt(at, "duplicate key")
				}
			}
			d.keys = append(d.keys, key)
			if len(d.keys)-base > 64 {
				seen = make(map[string]struct{}, 256)
				for _, k := range d.keys[base:] {
					seen[str(k)] = struct{}{}
				}
			}
		} else {
			if _, dup := seen[str(key)]; dup {
				return d.failAt(at, "duplicate key")
			}
			seen[str(key)] = struct{}{}
		}
		if d.space() != ':' {
			return d.fail("expected ':'")
		}
		d.pos++
		var k *node
		if n != nil {
			k = n.kid(key)
		}
		if !d.value(k) {
			return false
		}
		c = d.space()
		if c == ',' {
			d.pos++
			c = d.space()
			continue
		}
		if c != '}' {
			return d.fail("expected ',' or '}'")
		}
		d.pos++
		d.depth--
		d.keys = d.keys[:base]
		return true
	}
}

func (d *Decoder) value(n *node) bool {
	switch c := d.space(); c {
	case '{':
		return d.object(n)
	case '[':
		return d.array(n)
	case '"':
		if n == nil || n.field == 0 {
			_, _, ok := d.str()
			return ok
		}
		at := d.pos
		s, escaped, ok := d.str()
		if !ok {
			return false
		}
		if escaped {
			s = d.unescape(s)
			if s == nil {
				return d.failAt(at, "bad escape")
			}
		}
		d.e.add(n.field, String(str(s)))
		return true
	case 't':
		return d.literal("true", n, Bool(true))
	case 'f':
		return d.literal("false", n, Bool(false))
	case 'n':
		return d.literal("null", n, Null())
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return d.number(n)
		}
		return d.fail("expected a value")
	}
}

func (d *Decoder) array(n *node) bool {
	if d.depth++; d.depth > MaxDepth {
		return d.fail("nested too deep")
	}
	d.pos++ // [
	if d.space() == ']' {
		d.pos++
		d.depth--
		if n != nil && n.field != 0 {
			d.e.add(n.field, Null())
		}
		return true
	}
	for {
		if !d.value(n) {
			return false
		}
		switch d.space() {
		case ',':
			d.pos++
		case ']':
			d.pos++
			d.depth--
			return true
		default:
			return d.fail("expected ',' or ']'")
		}
	}
}

func (d *Decoder) literal(word string, n *node, v Value) bool {
	if len(d.doc)-d.pos < len(word) || string(d.doc[d.pos:d.pos+len(word)]) != word {
		return d.fail("expected " + word)
	}
	d.pos += len(word)
	if n != nil && n.field != 0 {
		d.e.add(n.field, v)
	}
	return true
}

func (d *Decoder) number(n *node) bool {
	b := d.doc[d.pos:]
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
		return d.fail("bad number")
	}
	exact := digits <= 18
	if i < len(b) && b[i] == '.' {
		j := i + 1
		for j < len(b) && b[j]-'0' <= 9 {
			j++
		}
		if j == i+1 {
			return d.fail("bad number")
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
			return d.fail("bad number")
		}
		i, exact = j, false
	}
	d.pos += i
	if n == nil || n.field == 0 {
		return true
	}
	if exact { // Fast path: an integer of at most 18 digits.
		v := int64(u)
		if neg {
			v = -v
		}
		d.e.add(n.field, Int(v))
		return true
	}
	d.e.add(n.field, ParseNumber(str(b[:i])))
	return true
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

// key reads a key and returns its text.
func (d *Decoder) key() ([]byte, bool) {
	at := d.pos
	s, escaped, ok := d.str()
	if ok && escaped {
		if s = d.unescape(s); s == nil {
			return nil, d.failAt(at, "bad escape")
		}
	}
	return s, ok
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// str reads a string and returns what is between its quotes.
func (d *Decoder) str() (s []byte, escaped, ok bool) {
	start := d.pos + 1
	b := d.doc
	i := start
	for {
		// Eight bytes at a time: stop at a quote, a backslash or a control.
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			q := w ^ ones*'"'
			s := w ^ ones*'\\'
			m := ((q-ones)&^q | (s-ones)&^s | (w-ones*0x20)&^w) & highs
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			d.pos = len(b)
			return nil, false, d.fail("string does not end")
		}
		switch c := b[i]; {
		case c == '"':
			d.pos = i + 1
			return b[start:i], escaped, true
		case c == '\\':
			escaped = true
			n, ok := escapeLen(b[i:])
			if !ok {
				return nil, false, d.failAt(i, "bad escape")
			}
			i += n
		case c < 0x20:
			return nil, false, d.failAt(i, "control character in a string")
		default:
			i++
		}
	}
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
