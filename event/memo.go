package event

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
)

// Documents of one host repeat themselves: the agent, the host, the parent and
// the session of a process are the same objects, byte for byte, in one document
// after the other. A memo remembers the latest objects at a place of a layout, and
// where in them is what was read, so that meeting one again costs a comparison of bytes.
//
// Only what has been met before is stored, and only where nothing of more use is:
// objects that never repeat, and more different ones than there is room for, cost no
// memory, and after a while next to no time.
type memo struct {
	ways   [memoWays]memoEntry
	after  [memoWays]uint8  // the way it was, when that of the object before was this one
	met    [memoWays]uint64 // hashes of the latest objects that were not remembered
	last   uint8            // of met
	victim uint8
	trial  int8   // how many objects will be recorded
	misses uint16 // since the last hit
	rest   uint16 // so many objects are not looked up
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
)

// memoEntry is an object, and what was read from it.
type memoEntry struct {
	raw  []byte
	adds []assign
	use  int8
}

// An assign is a value that was read. A string stands in the document at an offset,
// or, at -1, was written with escapes.
type assign struct {
	field Field
	at    int
	value Value
}

// nested reads the object at i, the value at p, of which kid is wanted; nil if
// nobody wants what is in it.
func (d *Decoder) nested(kid *node, p *place, i int) int {
	m := p.memo
	if m == nil {
		if d.memos < maxMemos && d.places < maxPlaces {
			d.memos++
			p.memo = new(memo)
		}
		return d.inside(kid, p, i)
	}
	if m.rest > 0 {
		m.rest--
		return d.inside(kid, p, i)
	}
	b := d.doc[i:]
	guess := m.after[d.way]
	for k := range uint8(memoWays) {
		w := guess ^ k
		e := &m.ways[w]
		if len(e.raw) == 0 || len(e.raw) > len(b) || !bytes.Equal(b[:len(e.raw)], e.raw) {
			continue
		}
		m.after[d.way], d.way = w, w
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
	end := d.inside(kid, p, i)
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

// inside reads the object at i, the value at p.
func (d *Decoder) inside(kid *node, p *place, i int) int {
	l := d.within(p)
	if kid == nil && l == nil {
		return d.skip(i)
	}
	return d.object(kid, l, i)
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
	e := &m.ways[m.victim%memoWays]
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
