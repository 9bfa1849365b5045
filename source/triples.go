package source

import "github.com/orlop/orlop/event"

// Triples look for a few literals 32 bytes at a time: of each, three bytes that follow each
// other and are rare, or both of two, which do not stand at the end of a text then. It may stand where all three of them do, of which each half of a byte
// says, by a table that the processor looks up for all places at once, for which eighth of
// the literals it would be right. (This way is known as Teddy, of Hyperscan and ripgrep.)
type triples struct {
	masks  [6][32]byte // by half of a byte, twice: low and high, of the first, second and third
	eighth [8][]anchor
}

const (
	maxTriples = 32  // literals
	maxChance  = 200 // fewer bytes between places that have to be looked at are too few
)

// newTriples returns what looks for the literals in text like the sample, of which often
// says how often it has each pair of bytes; nil if it would hardly be of use.
func newTriples(ls []event.Literal, sample []byte, often []uint32) *triples {
	if !hasTriples || len(ls) == 0 || len(ls) > maxTriples {
		return nil
	}
	t := &triples{}
	for k, l := range ls {
		if len(l.Text) < 2 {
			return nil
		}
		size := min(len(l.Text), 3)
		best, few := 0, ^uint32(0)
		for i := range len(l.Text) - size + 1 {
			least := ^uint32(0)
			for j := range size - 1 {
				n := uint32(0)
				pairsOf(l, i+j, func(p uint16) { n += often[p] })
				least = min(least, n)
			}
			if least < few {
				best, few = i, least
			}
		}
		for j := range 3 {
			right := make([]byte, 256) // any, behind both of two
			for c := range right {
				right[c] = byte(c)
			}
			if j < size {
				right = spellings(l, best+j)
			}
			for _, c := range right {
				for lane := 0; lane < 32; lane += 16 {
					t.masks[2*j][lane+int(c&15)] |= 1 << (k % 8)
					t.masks[2*j+1][lane+int(c>>4)] |= 1 << (k % 8)
				}
			}
		}
		t.eighth[k%8] = append(t.eighth[k%8], anchor{k, best})
	}
	hits := 0
	for i := t.next(sample, 0); i < len(sample); i = t.next(sample, i+1) {
		hits++
	}
	if hits > len(sample)/maxChance {
		return nil
	}
	return t
}

// may says which eighths of the literals may have their triple at b, a bit for each. There
// are three bytes.
func (t *triples) may(b []byte) byte {
	m := &t.masks
	return m[0][b[0]&15] & m[1][b[0]>>4] & m[2][b[1]&15] & m[3][b[1]>>4] & m[4][b[2]&15] & m[5][b[2]>>4]
}

// next returns the first place at or behind i where a triple may stand, or len(b).
func (t *triples) next(b []byte, i int) int {
	if n := (len(b) - i - 2) / 32 * 32; n > 0 {
		k := triplesAVX2(&b[i], n, &t.masks)
		i += k
		if k < n {
			return i
		}
	}
	for ; i+2 < len(b); i++ {
		if t.may(b[i:]) != 0 {
			return i
		}
	}
	return len(b)
}

// find returns where a literal begins in b, at or behind from, or len(b): the first, or one
// that begins before that has ended.
func (t *triples) find(ls []event.Literal, b []byte, from int) int {
	for i := t.next(b, from); i < len(b); i = t.next(b, i+1) {
		may := t.may(b[i:])
		for k := range t.eighth {
			if may&(1<<k) == 0 {
				continue
			}
			for _, a := range t.eighth[k] {
				if at := i - a.at; at >= from && stands(&ls[a.literal], b[at:]) {
					return at
				}
			}
		}
	}
	return len(b)
}
