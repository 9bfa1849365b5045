package event

import (
	"hash/maphash"
	"slices"
	"strings"
	"unsafe"
)

// Documents of one host repeat themselves: the agent, the host, the parent and
// the session of a process are the same objects, byte for byte, in one document
// after the other. A memo remembers objects that were read, and what was read
// out of them, so that meeting one again costs a comparison of bytes.
//
// It is a cache with eight places for each key, or whatever keys share them.
// What it gives away is never changed, only replaced, so an event may refer to
// it for as long as it likes. Only what has been met before is stored, and only
// where nothing of more use is: objects that never repeat, and more different ones
// than there are places for, cost no memory.
type memo struct {
	sets [memoSets]memoSet
	seed maphash.Seed
	log  []assign // what is being read, while something is being recorded
	deep int      // how many objects are being recorded
}

const (
	memoSets = 128
	memoWays = 8
	memoMin  = 24   // shorter objects are read as fast
	memoMax  = 2048 // longer ones hardly repeat

	memoTrial = 8  // so many objects are recorded once one has repeated
	memoUse   = 16 // of an object at most; a hit adds two, and another that wants its place takes one
)

type memoSet struct {
	ways   [memoWays]memoEntry
	met    [memoWays]uint64 // hashes of the latest objects that were not remembered
	last   uint8            // of met
	victim uint8
	trial  int8 // how many objects will be recorded
}

// memoEntry is an object that stood at key below node, and what was read from it.
type memoEntry struct {
	node *node
	hash uint64
	key  string
	raw  string
	adds []assign
	use  int8
}

type assign struct {
	field Field
	value Value
}

func (m *memo) set(n *node, h uint64) *memoSet {
	at := h ^ uint64(uintptr(unsafe.Pointer(n)))>>4*0x9e3779b97f4a7c15
	return &m.sets[at>>(64-7)]
}

// remembered reads the object at i, the value of key below n, from memory, or
// returns 0.
func (d *Decoder) remembered(set *memoSet, n *node, key []byte, h uint64, i int) int {
	b := d.doc[i:]
	for w := range set.ways {
		m := &set.ways[w]
		if m.node != n || m.hash != h || len(m.raw) > len(b) || str(b[:len(m.raw)]) != m.raw || m.key != str(key) {
			continue
		}
		m.use = min(m.use+2, memoUse)
		for _, a := range m.adds {
			d.add(a.field, a.value)
		}
		return i + len(m.raw)
	}
	return 0
}

// nested reads the object at i, the value of key below n; kid is nil if nobody
// wants what is in it.
func (d *Decoder) nested(n, kid *node, key []byte, h uint64, i int) int {
	set := d.memo.set(n, h)
	if end := d.remembered(set, n, key, h, i); end > 0 {
		return end
	}
	record := set.trial > 0
	if record {
		d.memo.deep++
	}
	from := len(d.memo.log)
	end := 0
	if kid != nil {
		end = d.object(kid, i)
	} else {
		end = d.skip(i)
	}
	again := end-i >= memoMin && end-i <= memoMax && set.again(maphash.Bytes(d.memo.seed, d.doc[i:end]))
	if !record {
		if again {
			set.trial = memoTrial
		}
		return end
	}
	d.memo.deep--
	if again {
		set.store(n, key, h, d.doc[i:end], d.memo.log[from:])
	} else {
		set.trial--
	}
	if d.memo.deep == 0 {
		d.memo.log = d.memo.log[:0]
	}
	return end
}

// again reports whether an object with the hash was met before.
func (s *memoSet) again(hash uint64) bool {
	if slices.Contains(s.met[:], hash) {
		return true
	}
	s.met[s.last%memoWays] = hash
	s.last++
	return false
}

// store takes the next place for an object, unless what is there is of use.
func (s *memoSet) store(n *node, key []byte, h uint64, raw []byte, log []assign) {
	m := &s.ways[s.victim%memoWays]
	s.victim++
	if m.use > 0 {
		m.use--
		return
	}
	*m = memoEntry{node: n, hash: h, key: string(key), raw: string(raw), adds: slices.Clone(log)}
	for i, a := range m.adds {
		if a.value.kind == KindString {
			m.adds[i].value = String(strings.Clone(a.value.Str()))
		}
	}
}

// add gives the event a value, and notes it if it is part of something that is
// being recorded.
func (d *Decoder) add(f Field, v Value) {
	d.e.add(f, v)
	if d.memo.deep > 0 {
		d.memo.log = append(d.memo.log, assign{f, v})
	}
}
