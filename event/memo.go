package event

import (
	"bytes"
	"hash/maphash"
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
	// Objects of one member mostly begin and end alike. What tells them apart is looked at
	// first: the word at an offset.
	offset uint16
	wrong  uint8          // how often it has not told ways apart, since it was chosen
	slots  [memoSlots]way // by a hash of the word: the first way, or 0
	others [memoWays]way  // by way: another one with that hash
	loose  way            // the first of those that are too short to have the word

	misses uint16 // less the hits
	rest   uint16 // so many objects are not looked up
	trial  int8   // how many objects will be recorded
	victim uint8
	met    [memoMet]uint64 // hashes of the latest objects that were not remembered
	ways   [memoWays]memoEntry
}

// A way is the number of an entry of a memo, from 1 on.
type way uint8

const (
	memoWays  = 32
	memoSlots = 4 * memoWays
	memoMet   = 2 * memoWays
	memoMin   = 24      // shorter objects are read as fast
	memoMax   = 2048    // longer ones hardly repeat
	memoRoom  = 4 << 20 // bytes of all objects of a Decoder
	maxMemos  = 128     // of a Decoder
	maxDeep   = 64      // objects deeper in a document are not remembered

	memoTrial = 8   // so many objects are recorded once one has repeated
	memoUse   = 16  // of an object at most; a hit adds two, and another that wants its place takes one
	memoTire  = 64  // after so many misses more than hits
	memoRest  = 512 // so many objects are not looked up
	memoWrong = 16  // after so many words that tell nothing, another offset is chosen
)

// memoEntry is an object, and what was read from it.
type memoEntry struct {
	raw  []byte
	adds []assign
	use  int8
}

// find returns the object that b begins with, or nil.
func (m *memo) find(b []byte) *memoEntry {
	if i := int(m.offset); len(b) >= i+8 {
		w := word(&b[i])
		for k := m.slots[slotOf(w)]; k != 0; k = m.others[k-1] {
			e := &m.ways[k-1]
			if len(e.raw) <= len(b) && bytes.Equal(b[:len(e.raw)], e.raw) {
				return e
			}
			if word(&e.raw[i]) != w {
				continue
			}
			if m.wrong++; m.wrong >= memoWrong {
				for i = 0; i < min(len(b), len(e.raw))-1 && b[i] == e.raw[i]; {
					i++
				}
				m.look(i)
				break
			}
		}
	}
	for k := m.loose; k != 0; k = m.others[k-1] {
		if e := &m.ways[k-1]; len(e.raw) <= len(b) && bytes.Equal(b[:len(e.raw)], e.raw) {
			return e
		}
	}
	return nil
}

// slotOf is a hash of a word.
func slotOf(w uint64) int { return int(w * 0x9e3779b97f4a7c15 >> 32 % memoSlots) }

// look makes m tell its ways apart by the word at i.
func (m *memo) look(i int) {
	m.offset, m.wrong, m.loose = uint16(i), 0, 0
	clear(m.slots[:])
	for k := range m.ways {
		first := &m.loose
		switch raw := m.ways[k].raw; {
		case len(raw) == 0:
			continue
		case len(raw) >= i+8:
			first = &m.slots[slotOf(word(&raw[i]))]
		}
		m.others[k], *first = *first, way(k+1)
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
		m.misses -= min(m.misses, 1)
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
		d.store(m, i, end, d.log[from:])
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
	k := hash % memoMet
	if m.met[k] == hash {
		return true
	}
	m.met[k] = hash
	return false
}

// store takes the next way for the object from i to end, unless what is there is of
// use. Where it nests very deep, nothing is stored: who meets it again does not count.
func (d *Decoder) store(m *memo, i, end int, log []assign) {
	e := &m.ways[m.victim%memoWays]
	m.victim++
	if e.use > 0 {
		e.use--
		return
	}
	raw := d.doc[i:end]
	if bytes.Count(raw, []byte{'['})+bytes.Count(raw, []byte{'{'}) > MaxDepth-maxDeep {
		return
	}
	if d.memory += len(raw) - len(e.raw); d.memory > memoRoom {
		d.memory -= len(raw) - len(e.raw)
		return
	}
	e.raw, e.adds = append(e.raw[:0], raw...), append(e.adds[:0], log...)
	m.look(int(m.offset))
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
