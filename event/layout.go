package event

import (
	"bytes"
	"unsafe"
)

// Documents of one source are laid out alike: the same objects have the same keys,
// mostly in the same order. A Decoder learns that order. Where what it expects stands in
// the document, byte for byte, it need not be parsed, hashed and looked up.
//
// A layout is what is known of the object that stands at one path. Its members are those
// that it has had, at most 64 so that they are bits of a word.
type layout struct {
	members []*member
	places  []*place
	start   place // before the first key
}

// A member is a key of an object, and what is known of its value.
type member struct {
	key   string // without escapes
	hash  uint64
	bit   uint64  // of the members of its layout
	kid   *node   // nil: nobody wants the value
	inner *layout // of the object that is the value, or an element of it
	memo  *memo   // of that object
}

// A place is where a reader is in an object: where a value begins, or behind the end. Its
// text is what leads there from the end of the value before: such as ","name":" from one
// string to another, quotes and all. It is kept as three words, which are at its start, in
// the middle and at its end and overlap if it is short, and in full.
//
// What every key takes comes first, so that it lies in one line of the cache.
type place struct {
	words     [3]uint64
	mask      uint64        // of each word
	mid, last uint8         // where the second word and the third begin
	kind      uint8         // see the constants
	key       uint8         // where the key begins in the text
	size      uint16        // of the text
	field     Field         // of the member's kid
	bit       uint64        // of the member
	next      [nexts]*place // that came next, the latest to be new first
	*member
	text string
}

const (
	aValue  = iota
	aString // the place is behind its quote, and the text to the next begins with the other one
	theEnd  // behind the object
)

const (
	nexts     = 4
	maxPlaces = 1 << 13 // of a Decoder, about 250 bytes each
	maxLayout = 64      // members of a layout
	maxWays   = 256     // places of a layout
	maxText   = 64      // what is longer is not learned
	shortText = 24
	maxCredit = 1 << 12 // see Decoder.credit
	earned    = 8       // a document without anything new earns so much
)

// forget makes the decoder learn anew.
func (d *Decoder) forget(root *node) {
	d.root, d.layout, d.places, d.refused, d.memos, d.memory = root, new(layout), 0, 0, 0, 0
}

// spell makes text what leads to p.
func (p *place) spell(text string) {
	p.text, p.size = text, uint16(len(text))
	p.last = uint8(max(0, len(text)-8))
	p.mid = min(8, p.last)
	var b, mask [maxText + 8]byte
	copy(b[:], text)
	for i := range text {
		mask[i] = 0xff
	}
	p.mask = word(&mask[0])
	for i, at := range []uint8{0, p.mid, p.last} {
		p.words[i] = word(&b[at]) & p.mask
	}
}

// word is the eight bytes that begin with b.
func word(b *byte) uint64 { return *(*uint64)(unsafe.Pointer(b)) }

// begins reports whether p's text stands at b, as far as its words say, which say all of a
// text of shortText bytes. Behind b there are at least maxText bytes.
func (p *place) begins(b unsafe.Pointer) bool {
	w := *(*uint64)(b) ^ p.words[0]
	w |= *(*uint64)(unsafe.Add(b, p.mid)) ^ p.words[1]
	w |= *(*uint64)(unsafe.Add(b, p.last)) ^ p.words[2]
	return w&p.mask == 0
}

// at reports whether p's text stands at b. Behind that there are at least maxText bytes.
func (p *place) at(b unsafe.Pointer) bool {
	return p.begins(b) && (p.size <= shortText || unsafe.String((*byte)(b), int(p.size)) == p.text)
}

// follow returns the place that comes next at i if it is one that has before.
func (p *place) follow(b []byte, i int) *place {
	room := len(b)-i >= maxText
	for _, q := range &p.next {
		if q == nil {
			return nil
		}
		if room && q.at(unsafe.Pointer(&b[i])) || !room && bytes.HasPrefix(b[i:], []byte(q.text)) {
			return q
		}
	}
	return nil
}

// turn reads what leads on from p at i. It returns the place that it leads to, which is
// known from now on, and where that is. If there is no room for it, the place is nil and
// to is where the key is, or -1 if the document is wrong.
func (d *Decoder) turn(n *node, l *layout, p *place, i int) (q *place, to int) {
	b, from := d.doc, i
	if p.kind == aString {
		i++
	}
	i = d.space(i)
	switch c := at(b, i); {
	case c == '}':
		if q = d.learn(l, p, nil, b[from:i+1], 0, theEnd); q == nil {
			q = &unlearned
		}
		return q, i + 1
	case p == &l.start:
	case c != ',':
		return nil, d.fail(i, "expected ',' or '}'")
	default:
		i = d.space(i + 1)
	}
	key, h, v := d.key(i)
	if v < 0 {
		return nil, -1
	}
	kind := uint8(aValue)
	if at(b, v) == '"' {
		kind = aString
		v++
	}
	if m := d.member(n, l, key, h); m != nil {
		if q = d.learn(l, p, m, b[from:v], i-from, kind); q != nil {
			return q, v
		}
	}
	d.slash, d.clear = -1, -1 // The key is read again.
	return nil, i
}

// unlearned is the end of an object where there is no room to learn it.
var unlearned = place{kind: theEnd}

// member returns the member of l with a key; nil if it is new and there is no room for it.
func (d *Decoder) member(n *node, l *layout, key []byte, h uint64) *member {
	for _, m := range l.members {
		if m.hash == h && m.key == string(key) {
			return m
		}
	}
	if len(l.members) == maxLayout || len(key) > maxText || !d.afford() {
		return nil
	}
	m := &member{key: string(key), hash: h, bit: 1 << len(l.members), kid: n.kid(key, h)}
	l.members = append(l.members, m)
	return m
}

// learn returns the place of a member that a text leads to, which is now known to come
// after p; nil if it is new and there is no room for it. The key stands in the text where
// it says.
func (d *Decoder) learn(l *layout, p *place, m *member, text []byte, key int, kind uint8) *place {
	var q *place
	for _, old := range l.places {
		if old.text == string(text) {
			q = old
			break
		}
	}
	if q == nil {
		if len(l.places) == maxWays || len(text) > maxText || !d.afford() {
			return nil
		}
		q = &place{member: m, kind: kind, key: uint8(key)}
		if m != nil {
			q.bit = m.bit
			if m.kid != nil {
				q.field = m.kid.field
			}
		}
		q.spell(string(text))
		l.places = append(l.places, q)
	}
	if p.next[0] != q {
		copy(p.next[1:], p.next[:nexts-1])
		p.next[0] = q
	}
	return q
}

// afford reports whether something may be learned, and counts it. What is new has to be
// earned by documents that have nothing new, lest those that never repeat cost more than
// they would without.
func (d *Decoder) afford() bool {
	if d.places >= maxPlaces {
		d.refused++
		return false
	}
	if d.credit == 0 {
		return false
	}
	d.places++
	d.credit--
	return true
}

// within returns the layout of the object which is the value of m, or nil.
func (d *Decoder) within(m *member) *layout {
	if m == nil {
		return nil
	}
	if m.inner == nil && d.afford() {
		m.inner = new(layout)
	}
	return m.inner
}
