package event

import "unsafe"

// Documents of one host repeat themselves: the agent, the host, the parent and
// the session of a process are the same objects, byte for byte, in one document
// after the other. A memo remembers objects that were read, and what was read
// out of them, so that meeting one again costs a comparison of bytes.
//
// It is a cache with four places for each key, or whatever keys share them.
// What it gives away is never changed, only replaced, so an event may refer to
// it for as long as it likes. How often it stores is paid for by how often that
// was of use: an object that never repeats is soon no longer stored.
type memo struct {
	sets [memoSets]memoSet
	log  []assign // what is being read, while something is being recorded
	deep int      // how many objects are being recorded
}

const (
	memoSets = 128
	memoWays = 4
	memoMin  = 24   // shorter objects are read as fast
	memoMax  = 2048 // longer ones hardly repeat

	memoTokens = 32 // of a set, at most and to begin with
	memoCost   = 4  // tokens to store an object; a hit earns one
	memoRefill = 64 // misses that earn one
)

type memoSet struct {
	ways   [memoWays]memoEntry
	victim uint8
	tokens int16
	misses int16
	fresh  bool // whether tokens have been given out
}

// memoEntry is an object that stood at key below node, and what was read from it.
type memoEntry struct {
	node *node
	hash uint64
	key  string
	raw  string
	adds []assign
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
		if set.tokens < memoTokens {
			set.tokens++
		}
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
	if !set.fresh {
		set.fresh, set.tokens = true, memoTokens
	}
	if set.misses++; set.misses == memoRefill {
		set.misses = 0
		set.tokens = min(set.tokens+1, memoTokens)
	}
	record := set.tokens >= memoCost
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
	if !record {
		return end
	}
	d.memo.deep--
	if end > 0 && end-i >= memoMin && end-i <= memoMax {
		set.tokens -= memoCost
		m := &set.ways[set.victim%memoWays]
		set.victim++
		*m = memoEntry{node: n, hash: h, key: string(key), raw: string(d.doc[i:end])}
		for _, a := range d.memo.log[from:] {
			if a.value.kind == KindString {
				a.value = String(string([]byte(a.value.Str())))
			}
			m.adds = append(m.adds, a)
		}
	} else if end-i > memoMax {
		set.tokens-- // it will be as long the next time
	}
	if d.memo.deep == 0 {
		d.memo.log = d.memo.log[:0]
	}
	return end
}

// add gives the event a value, and notes it if it is part of something that is
// being recorded.
func (d *Decoder) add(f Field, v Value) {
	d.e.add(f, v)
	if d.memo.deep > 0 {
		d.memo.log = append(d.memo.log, assign{f, v})
	}
}
