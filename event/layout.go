package event

import (
	"encoding/binary"
	"strings"
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

// A place is where a reader is in an object: behind a key, at its value.
type place struct {
	first, last uint64        // the first eight bytes of text, or all, and the last eight
	text        string        // from the key's quote to the value, such as "name":
	bit         uint64        // of the places of its layout
	kid         *node         // nil: nobody wants the value
	next        [nexts]*place // that came next, the latest to be new first
	inner       *layout       // of the object that is the value, or an element of it
	memo        *memo         // of that object
	key         string        // without escapes
	hash        uint64        // of key
}

const (
	nexts     = 4
	maxPlaces = 1 << 13 // of a Decoder, about 150 bytes each
	maxLayout = 64      // places of a layout
	maxText   = 256     // a longer key is not learned
	maxCredit = 1 << 12 // see Decoder.credit
	earned    = 8       // a document without anything new earns so much
)

// forget makes the decoder learn anew.
func (d *Decoder) forget(root *node) {
	d.root, d.layout, d.places, d.refused, d.memos = root, new(layout), 0, 0, 0
}

// follow returns the place of the key at i if it is one that has come next before.
func (p *place) follow(b []byte, i int) *place {
	if len(b)-i < 8 {
		return nil
	}
	w := binary.LittleEndian.Uint64(b[i:])
	for _, q := range &p.next {
		if q == nil {
			return nil
		}
		n := len(q.text)
		if n < 8 {
			if (w^q.first)<<(64-8*uint(n)) == 0 {
				return q
			}
			continue
		}
		if w != q.first || len(b)-i < n || binary.LittleEndian.Uint64(b[i+n-8:]) != q.last {
			continue
		}
		if n <= 16 || string(b[i+8:i+n-8]) == q.text[8:n-8] {
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
		q = &place{text: string(text), bit: 1 << len(l.places), kid: n.kid(key, h), hash: h}
		q.key = strings.Clone(string(key))
		if len(text) >= 8 {
			q.first, q.last = binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[len(text)-8:])
		} else {
			var w [8]byte
			copy(w[:], text)
			q.first = binary.LittleEndian.Uint64(w[:])
		}
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
