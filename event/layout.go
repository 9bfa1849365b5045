package event

import (
	"bytes"
	"unsafe"
)

// Documents of one source are laid out alike: the same objects have the same keys,
// mostly in the same order. A Decoder learns that order. Where the key that it expects
// stands in the document, byte for byte, it need not be parsed, hashed and looked up.
//
// A layout is what is known of the object that stands at one path. It has a place for each
// key, at most 64 so that those which an object has had are bits of a word.
type layout struct {
	places []*place
	start  place // before the first key
}

// A place is where a reader is in an object: behind a key, at its value. Its text is what
// leads there, from the key's quote to the value, such as "name": — as three words, which
// are at its start, in the middle and at its end and overlap if it is short, and in full.
//
// What every key takes comes first, so that it lies in one line of the cache.
type place struct {
	words     [3]uint64
	mask      uint64        // of each word
	mid, last uint8         // where the second word and the third begin
	size      uint16        // of text
	field     Field         // of kid
	bit       uint64        // of the places of its layout
	kid       *node         // nil: nobody wants the value
	next      [nexts]*place // that came next, the latest to be new first
	inner     *layout       // of the object that is the value, or an element of it
	memo      *memo         // of that object
	*spelling
	_ [16]byte // the rest of the second line
}

// A spelling is how the text that leads to a place is written.
type spelling struct {
	text, key string // key is without escapes
	hash      uint64 // of key
}

const (
	nexts     = 4
	maxPlaces = 1 << 13 // of a Decoder, about 150 bytes each
	maxLayout = 64      // places of a layout
	maxText   = 64      // a longer key is not learned
	maxCredit = 1 << 12 // see Decoder.credit
	earned    = 8       // a document without anything new earns so much
)

// forget makes the decoder learn anew.
func (d *Decoder) forget(root *node) {
	d.root, d.layout, d.places, d.refused, d.memos = root, new(layout), 0, 0, 0
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

// at reports whether p's text stands at i in b, which has at least maxText bytes from
// there on.
func (p *place) at(b []byte, i int) bool {
	at := unsafe.Pointer(&b[i])
	w := *(*uint64)(at) ^ p.words[0]
	w |= *(*uint64)(unsafe.Add(at, p.mid)) ^ p.words[1]
	w |= *(*uint64)(unsafe.Add(at, p.last)) ^ p.words[2]
	return w&p.mask == 0 && (p.size <= 24 || string(b[i:i+int(p.size)]) == p.text)
}

// follow returns the place of the key at i if it is one that has come next before.
func (p *place) follow(b []byte, i int) *place {
	room := len(b)-i >= maxText
	for _, q := range &p.next {
		if q == nil {
			return nil
		}
		if room && q.at(b, i) || !room && bytes.HasPrefix(b[i:], []byte(q.text)) {
			return q
		}
	}
	return nil
}

// learn returns the place of a key in l, which is now known to come after p; nil if it
// is new and there is no room for it. The text is that from the key to its value.
func (d *Decoder) learn(n *node, l *layout, p *place, key []byte, h uint64, text []byte) *place {
	var q *place
	for _, old := range l.places {
		if old.hash == h && old.key == string(key) {
			q = old
			break
		}
	}
	if q == nil {
		if len(l.places) == maxLayout || len(text) > maxText || !d.afford() {
			return nil
		}
		q = &place{bit: 1 << len(l.places), kid: n.kid(key, h), spelling: &spelling{key: string(key), hash: h}}
		if q.kid != nil {
			q.field = q.kid.field
		}
		q.spell(string(text))
		l.places = append(l.places, q)
	}
	if q.text == string(text) && p.next[0] != q {
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

// within returns the layout of the object which is the value at p, or nil.
func (d *Decoder) within(p *place) *layout {
	if p == nil {
		return nil
	}
	if p.inner == nil && d.afford() {
		p.inner = new(layout)
	}
	return p.inner
}
