package event

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
)

// Documents of one host repeat themselves: the agent, the host, the parent and
// the session of a process are the same objects, byte for byte, in one document
// after the other. A memo remembers the latest objects of a member, and
// where in them is what was read, so that meeting one again costs a comparison of bytes.
//
// Only what has been met before is stored, and only where nothing of more use is:
// objects that never repeat, and more different ones than there is room for, cost no
// memory, and after a while next to no time.
type memo struct {
	// Objects at one place mostly begin and end alike. What tells them apart is looked at
	// first: the word at an offset, of all ways at once and without a branch for each, for
	// which of them it is cannot be foreseen.
	words  [memoWays]uint64 // of those that are long enough
	offset uint16
	loose  uint8  // a bit for each way that is too short
	wrong  uint8  // how often a word has not told ways apart, since the offset was chosen
	misses uint16 // since the last hit
	rest   uint16 // so many objects are not looked up
	trial  int8   // how many objects will be recorded
	last   uint8  // of met
	victim uint8
	met    [memoWays]uint64 // hashes of the latest objects that were not remembered
	ways   [memoWays]memoEntry
}

const (
	memoWays = 8
	memoMin  = 24   // shorter objects are read as fast
	memoMax  = 2048 // longer ones hardly repeat
	maxMemos = 128  // of a Decoder
	maxDeep  = 64   // objects deeper in a document are not remembered

	memoTrial = 8   // so many objects are recorded once one has repeated
	memoUse   = 16  // of an object at most; a hit adds two, and another that wants its place takes one
	memoTire  = 64  // after so many misses
	memoRest  = 512 // so many objects are not looked up
	memoWrong = 4   // after so many words that tell nothing, another offset is chosen
)

// memoEntry is an object, and what was read from it.
type memoEntry struct {
	raw  []byte
	adds []assign
	use  int8
}

// candidates are the ways whose objects b may begin with, a bit for each.
func (m *memo) candidates(b []byte) uint8 {
	i := int(m.offset)
	if len(b) < i+8 {
		return 1<<memoWays - 1
	}
	w, c := word(&b[i]), m.loose
	for k := range m.words {
		c |= same(w, m.words[k]) << k
	}
	return c
}

// same is 1 if two words are the same, else 0.
func same(a, b uint64) uint8 {
	if a == b {
		return 1
	}
	return 0
}

// find returns the object that b begins with, or nil.
func (m *memo) find(b []byte) *memoEntry {
	for c := m.candidates(b); c != 0; c &= c - 1 {
		e := &m.ways[bits.TrailingZeros8(c)]
		switch {
		case len(e.raw) == 0 || len(e.raw) > len(b):
		case bytes.Equal(b[:len(e.raw)], e.raw):
			return e
		default:
			if m.wrong++; m.wrong < memoWrong {
				continue
			}
			i := 0
			for b[i] == e.raw[i] {
				i++
			}
			m.look(i)
		}
	}
	return nil
}

// look makes m tell its ways apart by the word at i.
func (m *memo) look(i int) {
	m.offset, m.loose, m.wrong = uint16(i), 0, 0
	for k := range m.ways {
		m.note(k)
	}
}

// note notes what tells a way apart.
func (m *memo) note(way int) {
	raw, bit := m.ways[way].raw, uint8(1)<<way
	m.words[way], m.loose = 0, m.loose&^bit
	switch i := int(m.offset); {
	case len(raw) >= i+8:
		m.words[way] = word(&raw[i])
	case len(raw) > 0:
		m.loose |= bit
	}
}

// An assign is a value that was read. A string stands in the document at an offset,
// or, at -1, was written with escapes.
type assign struct {
	field Field
	at    int
	value Value
}

// nested reads the object at i, the value of a member.
func (d *Decoder) nested(of *member, i int) int {
	m := of.memo
	if m == nil {
		if d.memos < maxMemos && d.places < maxPlaces {
			d.memos++
			of.memo = new(memo)
		}
		return d.inside(of, i)
	}
	if m.rest > 0 {
		m.rest--
		return d.inside(of, i)
	}
	b := d.doc[i:]
	if e := m.find(b); e != nil {
		e.use = min(e.use+2, memoUse)
		m.misses = 0
		for _, a := range e.adds {
			if a.at >= 0 {
				d.add(a.field, String(str(b[a.at:a.at+int(a.value.n)])), i+a.at)
			} else {
				d.add(a.field, a.value, -1)
			}
		}
		return i + len(e.raw)
	}
	if m.misses++; m.misses >= memoTire {
		m.misses, m.rest = memoTire-4, memoRest
	}
	record := m.trial > 0 && d.depth < maxDeep
	if record {
		d.recording++
	}
	from := len(d.log)
	end := d.inside(of, i)
	again := end-i >= memoMin && end-i <= memoMax && m.again(maphash.Bytes(d.seed, d.doc[i:end]))
	if !record {
		if again {
			m.trial = memoTrial
		}
		return end
	}
	d.recording--
	if again {
		m.store(d.doc, i, end, d.log[from:])
	} else {
		m.trial--
	}
	if d.recording == 0 {
		d.log = d.log[:0]
	}
	return end
}

// inside reads the object at i, the value of a member.
func (d *Decoder) inside(of *member, i int) int {
	l := d.within(of)
	if of.kid == nil && l == nil {
		return d.skip(i)
	}
	return d.object(of.kid, l, i)
}

// again reports whether an object with the hash was met before.
func (m *memo) again(hash uint64) bool {
	if slices.Contains(m.met[:], hash) {
		return true
	}
	m.met[m.last%memoWays] = hash
	m.last++
	return false
}

// store takes the next way for the object from i to end, unless what is there is of
// use. Where it nests very deep, nothing is stored: who meets it again does not count.
func (m *memo) store(doc []byte, i, end int, log []assign) {
	way := int(m.victim % memoWays)
	e := &m.ways[way]
	m.victim++
	if e.use > 0 {
		e.use--
		return
	}
	raw := doc[i:end]
	if bytes.Count(raw, []byte{'['})+bytes.Count(raw, []byte{'{'}) > MaxDepth-maxDeep {
		return
	}
	e.raw, e.adds = append(e.raw[:0], raw...), append(e.adds[:0], log...)
	m.note(way)
	for k := range e.adds {
		a := &e.adds[k]
		switch {
		case a.value.kind != KindString:
		case a.at >= 0:
			a.at -= i
		default:
			a.value = String(strings.Clone(a.value.Str()))
		}
		if a.at >= 0 {
			a.value.p = nil // lest it keep the document
		}
	}
}

// add gives the event a value, and notes it if it is part of something that is
// being recorded. A string that has no escapes stands in the document at an offset.
func (d *Decoder) add(f Field, v Value, at int) {
	d.e.add(f, v)
	if d.recording > 0 {
		d.log = append(d.log, assign{f, at, v})
	}
}
