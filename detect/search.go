package detect

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/orlop/orlop/expr"
)

// A searcher finds which of many texts another text starts with, ends with or
// has in it, without regard to case, in one pass: an automaton of Aho and
// Corasick (1975), complete and over classes of bytes. A place in front of the
// text is a byte of its own, so that what must be at its start is found like
// anything else.
//
// Of a long text it looks for a part: it may find too much.
type searcher struct {
	needs []partOf

	class    [256]uint8
	classes  int
	next     []uint32 // state + class -> state; a state is its row's place
	start    uint32
	found    uint32 // states from here on have found something
	sets     []*set // what they have found, from the first of them on
	ends     []*set // by the number of a state: what is found if the text ends there
	anchored bool   // everything is at the start
	grams    *grams // nil if they say nothing
}

type partOf struct {
	how    expr.How
	text   string
	branch int
}

func (s *searcher) add(n expr.Need, branch int) {
	s.needs = append(s.needs, partOf{n.How, n.Text, branch})
}

// Bounds on an automaton: what is looked for is cut until there are fewer bytes.
const (
	maxSearchBytes = 1 << 17
	minSearchText  = 4
)

// cut shortens texts to n bytes, those at the end to the last ones.
func (p *partOf) cut(n int) string {
	if len(p.text) <= n {
		return p.text
	}
	if p.how == expr.Start {
		return p.text[:n]
	}
	return p.text[len(p.text)-n:]
}

// step is a state while the automaton is built.
type step struct {
	next map[uint8]int32
	fail int32
	set  *set
	end  *set
}

// build is called once everything is added. It returns the sets that searches find.
func (s *searcher) build() []*set {
	limit := 32
	for ; limit > minSearchText; limit /= 2 {
		sum := 0
		for i := range s.needs {
			sum += min(limit, len(s.needs[i].text))
		}
		if sum <= maxSearchBytes {
			break
		}
	}
	// Class 0 is of bytes that nobody looks for, 1 is the place in front.
	const front = 1
	s.classes, s.anchored = 2, true
	for i := range s.needs {
		text := s.needs[i].cut(limit)
		for j := range len(text) {
			if s.class[text[j]] == 0 {
				s.class[text[j]] = uint8(s.classes)
				s.classes++
			}
		}
		s.anchored = s.anchored && s.needs[i].how == expr.Start
	}
	for c := 'A'; c <= 'Z'; c++ {
		s.class[c] = s.class[lower(byte(c))]
	}
	steps := []step{{}}
	follow := func(at int32, c uint8) int32 {
		to, ok := steps[at].next[c]
		if !ok {
			to = int32(len(steps))
			if steps[at].next == nil {
				steps[at].next = map[uint8]int32{}
			}
			steps[at].next[c] = to
			steps = append(steps, step{})
		}
		return to
	}
	for i := range s.needs {
		n := &s.needs[i]
		at := int32(0)
		if n.how == expr.Start {
			at = follow(at, front)
		}
		text := n.cut(limit)
		for j := range len(text) {
			at = follow(at, s.class[text[j]])
		}
		to := &steps[at].set
		if n.how == expr.End {
			to = &steps[at].end
		}
		if *to == nil {
			*to = &set{}
		}
		(*to).add(n.branch)
	}
	if !s.anchored {
		s.grams = newGrams(s.needs, limit)
	}
	s.needs = nil
	s.number(steps)
	return slices.DeleteFunc(slices.Concat(s.sets, s.ends), func(x *set) bool { return x == nil })
}

// number turns steps into rows, those that have found something last.
func (s *searcher) number(steps []step) {
	// In order of depth, so that the state that one fails to is done before.
	queue := make([]int32, 1, len(steps))
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		for c := range s.classes {
			to, ok := steps[at].next[uint8(c)]
			if !ok {
				continue
			}
			queue = append(queue, to)
			if at == 0 {
				continue
			}
			fail := steps[at].fail
			for {
				if n, ok := steps[fail].next[uint8(c)]; ok {
					steps[to].fail = n
					break
				}
				if fail == 0 {
					break
				}
				fail = steps[fail].fail
			}
		}
		f := &steps[steps[at].fail]
		if at != 0 {
			steps[at].set = steps[at].set.union(f.set)
			steps[at].end = steps[at].end.union(f.end)
		}
	}
	rows := make([]uint32, len(steps)) // by step
	n := uint32(0)
	for _, found := range []bool{false, true} {
		if found {
			s.found = n * uint32(s.classes)
		}
		for _, i := range queue { // those that are often come to together
			if (steps[i].set != nil) == found {
				rows[i] = n * uint32(s.classes)
				n++
			}
		}
	}
	s.next = make([]uint32, len(steps)*s.classes)
	s.sets = make([]*set, n-s.found/uint32(s.classes))
	s.ends = make([]*set, n)
	for _, at := range queue {
		row := s.next[rows[at]:][:s.classes]
		if at != 0 {
			copy(row, s.next[rows[steps[at].fail]:][:s.classes])
		} else {
			for c := range row {
				row[c] = rows[0]
			}
		}
		for c, to := range steps[at].next {
			row[c] = rows[to]
		}
		number := rows[at] / uint32(s.classes)
		s.ends[number] = steps[at].end
		if set := steps[at].set; set != nil {
			s.sets[number-s.found/uint32(s.classes)] = set
		}
	}
	s.start = s.next[rows[0]+1]
}

// find notes the sets of branches that look for something that text has.
func (s *searcher) find(text string, x *finder) {
	if s.grams != nil && !s.grams.in(text) {
		return
	}
	at := s.start
	for i := range len(text) {
		at = s.next[at+uint32(s.class[text[i]])]
		if at >= s.found {
			x.note(s.sets[(at-s.found)/uint32(s.classes)])
		}
		if at == 0 && s.anchored {
			return // the text does not go on as any of them
		}
	}
	if end := s.ends[at/uint32(s.classes)]; end != nil {
		x.note(end)
	}
}

// Most texts have nothing that is looked for. An automaton cannot look at a byte before it
// knows what the one before has led to; grams are a few bytes of each text that is looked
// for, which can be looked at anywhere. A text that has none of them needs no automaton: a
// filter of Bloom (1970) says so, with two bits for each of them.
type grams struct {
	size   int    // of a gram, in bytes
	mask   uint32 // of those bytes
	stride int    // each text has so many, one behind the other: of positions, one in so many is looked at
	bits   [gramBits / 64]uint64
}

const (
	gramBits  = 1 << 16
	maxGrams  = 1 << 12 // for more of them, too many texts would pass
	maxStride = 2
)

// newGrams returns the grams of what is looked for; nil if that is too short, or too much.
func newGrams(needs []partOf, limit int) *grams {
	least := maxSearchBytes
	for i := range needs {
		least = min(least, len(needs[i].cut(limit)))
	}
	g := &grams{size: min(4, least)}
	g.stride = min(maxStride, least-g.size+1)
	if g.size < 3 || len(needs)*g.stride > maxGrams {
		return nil
	}
	g.mask = 1<<(8*g.size-1)<<1 - 1
	for i := range needs {
		// Texts differ most where rules say most: behind what they start with, and before
		// what they end with.
		text := needs[i].cut(limit)
		at := len(text) - g.size - g.stride + 1
		if needs[i].how == expr.End {
			at = 0
		}
		for range g.stride {
			var b [4]byte
			copy(b[:], text[at:at+g.size])
			h := g.hash(binary.LittleEndian.Uint32(b[:]))
			g.set(h % gramBits)
			g.set(h / gramBits % gramBits)
			at++
		}
	}
	return g
}

// hash is the same for letters of either case.
func (g *grams) hash(w uint32) uint32 {
	return uint32(uint64((w|ones*0x20)&g.mask) * 0x9e3779b97f4a7c15 >> 32)
}

const ones = 0x01010101

func (g *grams) set(bit uint32)      { g.bits[bit/64] |= 1 << (bit % 64) }
func (g *grams) has(bit uint32) bool { return g.bits[bit/64]>>(bit%64)&1 != 0 }

// in reports whether text may have one of the grams.
func (g *grams) in(text string) bool {
	n := len(text)
	if n < 4 {
		return n >= g.size
	}
	b := unsafe.Slice(unsafe.StringData(text), n)
	for i := 0; i < n-3; i += g.stride {
		h := g.hash(binary.LittleEndian.Uint32(b[i : i+4]))
		if g.has(h%gramBits) && g.has(h/gramBits%gramBits) {
			return true
		}
	}
	if g.size == 4 {
		return false
	}
	h := g.hash(binary.LittleEndian.Uint32(b[n-4:]) >> 8)
	return g.has(h%gramBits) && g.has(h/gramBits%gramBits)
}
