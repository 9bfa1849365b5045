package source

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"

	"github.com/orlop/orlop/event"
)

// How a sieve looks for many literals at once.
//
// Of each literal a stretch is chosen in which s pairs of bytes follow each other, s
// being the stride, and all of them are marked in a table. Wherever the literal stands,
// looking up every s-th pair of the text meets one of the marked ones: then the literals
// that have it are compared. A longer stride looks at less of the text and marks more
// pairs; it and the stretches are those that would have been the cheapest on a sample.
// Where the processor can, a few literals are looked for by triples instead.

// Literals chooses text of which a document must have some to be of interest: see
// [event.Literal]. It is not ok if every document is.
type Literals func(cost func(event.Literal) float64) (ls []event.Literal, ok bool)

// A Sieve finds lines that have none of some literals and need not be decoded.
type Sieve struct {
	literals []event.Literal
	slash    bool // one of them has a slash, which may be written \/
	longest  int
	stride   int
	table    [1 << 16]uint8 // by pair: 1 + the bucket of those that may stand there
	buckets  [255][]anchor
	triples  *triples // instead of these, or nil

	text, escape ahead
}

// anchor is a place in a literal.
type anchor struct {
	literal, at int
}

// ahead is what a search has come to.
type ahead struct {
	at    int64 // offset in the input: the next hit, or how far there is none
	found bool
}

const (
	maxLiterals = 128 // that are looked for
	maxPriced   = 512 // that are chosen from
)

// NewSieve returns a sieve of lines like those of sample, or nil if it would let most
// of them through.
func NewSieve(choose Literals, sample []byte) *Sieve {
	lines := bytes.Count(sample, []byte{'\n'})
	if lines == 0 {
		return nil
	}
	sample = sample[:bytes.LastIndexByte(sample, '\n')+1]
	folded := lower(sample)
	prices := map[event.Literal]float64{}
	price := func(l event.Literal) float64 {
		p, ok := prices[l]
		if !ok {
			if len(prices) == maxPriced {
				return math.Inf(1)
			}
			in := sample
			if l.Fold {
				in = folded
			}
			// If the sample has none, long ones are less likely, and few.
			p = share(in, l.Text, lines) + 0.001 + 0.01/float64(len(l.Text))
			prices[l] = p
		}
		return p
	}
	ls, ok := choose(price)
	if !ok || len(ls) > maxLiterals {
		return nil
	}
	through := 0.0
	for _, l := range ls {
		through += price(l)
	}
	if through > 0.5 {
		return nil
	}
	s := &Sieve{literals: ls}
	for _, l := range ls {
		s.slash = s.slash || strings.Contains(l.Text, "/")
		s.longest = max(s.longest, len(l.Text))
	}
	s.build(sample)
	return s
}

// share is the share of lines that have the text.
func share(in []byte, text string, lines int) float64 {
	n := 0
	for sep := []byte(text); ; n++ {
		i := bytes.Index(in, sep)
		if i < 0 {
			return float64(n) / float64(lines)
		}
		in = in[i:]
		in = in[bytes.IndexByte(in, '\n')+1:]
	}
}

// build chooses the stride and the stretches, and marks the table.
func (s *Sieve) build(sample []byte) {
	s.stride = 1
	if len(s.literals) == 0 {
		return
	}
	often := make([]uint32, 1<<16)
	for i := range len(sample) - 1 {
		often[pair(sample[i], sample[i+1])]++
	}
	if s.triples = newTriples(s.literals, sample, often); s.triples != nil {
		return
	}
	const look, compare = 1, 20 // what these cost
	least := math.Inf(1)
	var best []int
	for _, stride := range []int{1, 2, 4, 8} {
		hits := 0.0
		var from []int
		for _, l := range s.literals {
			if len(l.Text) <= stride {
				hits = math.Inf(1)
				break
			}
			at, few := 0, math.Inf(1)
			for i := range len(l.Text) - stride {
				n := 0.0
				for k := range stride {
					pairsOf(l, i+k, func(p uint16) { n += float64(often[p]) / float64(len(sample)) })
				}
				if n < few {
					at, few = i, n
				}
			}
			from, hits = append(from, at), hits+few
		}
		if cost := (look + compare*hits) / float64(stride); cost < least {
			least, best, s.stride = cost, from, stride
		}
	}
	bucket := 0
	for i, l := range s.literals {
		for k := range s.stride {
			at := best[i] + k
			pairsOf(l, at, func(p uint16) {
				if s.table[p] == 0 {
					s.table[p] = uint8(bucket%len(s.buckets)) + 1
					bucket++
				}
				b := &s.buckets[s.table[p]-1]
				*b = append(*b, anchor{i, at})
			})
		}
	}
}

// pairsOf calls f for each spelling of the two bytes of a literal at i.
func pairsOf(l event.Literal, i int, f func(uint16)) {
	for _, a := range spellings(l, i) {
		for _, b := range spellings(l, i+1) {
			f(pair(a, b))
		}
	}
}

func spellings(l event.Literal, i int) []byte {
	c := l.Text[i]
	if l.Fold && c >= 'a' && c <= 'z' {
		return []byte{c, c - 'a' + 'A'}
	}
	return []byte{c}
}

func pair(a, b byte) uint16 { return uint16(a) | uint16(b)<<8 }

// Skip looks at the lines that b, which stands at offset in the input, begins with:
// n is where the last of those ends that may be skipped. They are JSON objects, each on
// a line of its own that is no longer than max, that have none of the literals, and of
// which keep does not say otherwise. If lines is 0, more says that more of the input may
// change that; at its end, last is true. From call to call b may grow, and what has been
// dealt with goes.
func (s *Sieve) Skip(b []byte, offset int64, last bool, max int, keep func(line []byte) bool) (n, lines int, more bool) {
	clear := min(s.text.next(b, offset, s.find, s.longest), s.escape.next(b, offset, s.findEscape, 2))
	for from := 0; ; {
		i := bytes.IndexByte(b[from:clear], '\n')
		if i < 0 {
			return n, lines, clear == len(b)
		}
		end := from + i
		line := b[from:end]
		if end > from && b[end-1] == '\r' {
			line = b[from : end-1]
		}
		// An object that goes on behind a brace goes on with , or } or ].
		switch {
		case len(line) < 2 || line[0] != '{' || line[len(line)-1] != '}' || len(line) > max || keep(line):
			return n, lines, false
		case end+1 == len(b) && !last:
			return n, lines, true
		case end+1 < len(b) && b[end+1] != '{':
			return n, lines, false
		}
		n, lines, from = end, lines+1, end+1
	}
}

// next is the place in b of the next hit, or len(b). What has been searched is not
// searched again.
func (a *ahead) next(b []byte, offset int64, find func(b []byte, from int) int, longest int) int {
	if a.at < offset {
		*a = ahead{at: offset}
	}
	from := int(a.at - offset)
	if a.found {
		return from
	}
	i := find(b, from)
	if a.found = i < len(b); a.found {
		a.at = offset + int64(i)
		return i
	}
	a.at = offset + int64(max(from, len(b)-longest+1)) // the next one may have begun
	return i
}

// find returns where the next literal at or behind from begins, or len(b).
func (s *Sieve) find(b []byte, from int) int {
	if s.triples != nil {
		return s.triples.find(s.literals, b, from)
	}
	if len(s.literals) == 0 {
		return len(b)
	}
	for i := from; i+1 < len(b); i += s.stride {
		if i = s.marked(b, i); i+1 >= len(b) {
			break
		}
		for _, a := range s.buckets[s.table[pair(b[i], b[i+1])]-1] {
			if at := i - a.at; at >= from && stands(&s.literals[a.literal], b[at:]) {
				return at
			}
		}
	}
	return len(b)
}

// marked returns the first of the places i, i+stride, … of b where a marked pair is, or
// one behind them.
func (s *Sieve) marked(b []byte, i int) int {
	t := &s.table
	// Fast path: several places without any.
	switch s.stride {
	case 1:
		for ; i+8 < len(b); i += 8 {
			x, y := binary.LittleEndian.Uint64(b[i:]), binary.LittleEndian.Uint64(b[i+1:])
			if t[uint16(x)]|t[uint16(x>>16)]|t[uint16(x>>32)]|t[x>>48]|t[uint16(y)]|t[uint16(y>>16)]|t[uint16(y>>32)]|t[y>>48] != 0 {
				break
			}
		}
	case 2:
		for ; i+16 <= len(b); i += 16 {
			x, y := binary.LittleEndian.Uint64(b[i:]), binary.LittleEndian.Uint64(b[i+8:])
			if t[uint16(x)]|t[uint16(x>>16)]|t[uint16(x>>32)]|t[x>>48]|t[uint16(y)]|t[uint16(y>>16)]|t[uint16(y>>32)]|t[y>>48] != 0 {
				break
			}
		}
	case 4:
		for ; i+32 <= len(b); i += 32 {
			w := (*[32]byte)(b[i:])
			x, y := binary.LittleEndian.Uint64(w[0:]), binary.LittleEndian.Uint64(w[8:])
			u, v := binary.LittleEndian.Uint64(w[16:]), binary.LittleEndian.Uint64(w[24:])
			if t[uint16(x)]|t[uint16(x>>32)]|t[uint16(y)]|t[uint16(y>>32)]|t[uint16(u)]|t[uint16(u>>32)]|t[uint16(v)]|t[uint16(v>>32)] != 0 {
				break
			}
		}
	case 8:
		for ; i+32 <= len(b); i += 32 {
			w := (*[32]byte)(b[i:])
			if t[binary.LittleEndian.Uint16(w[0:])]|t[binary.LittleEndian.Uint16(w[8:])]|t[binary.LittleEndian.Uint16(w[16:])]|t[binary.LittleEndian.Uint16(w[24:])] != 0 {
				break
			}
		}
	}
	for i+1 < len(b) && t[pair(b[i], b[i+1])] == 0 {
		i += s.stride
	}
	return i
}

// stands reports whether b begins with l.
func stands(l *event.Literal, b []byte) bool {
	if len(b) < len(l.Text) {
		return false
	}
	if !l.Fold {
		return string(b[:len(l.Text)]) == l.Text
	}
	for i := range len(l.Text) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != l.Text[i] {
			return false
		}
	}
	return true
}

// findEscape returns where the next escape is that may write what a literal has, or
// len(b).
func (s *Sieve) findEscape(b []byte, from int) int {
	for i := from; ; {
		n := bytes.IndexByte(b[i:], '\\')
		if n < 0 || i+n+1 >= len(b) {
			return len(b)
		}
		i += n
		if c := b[i+1]; c == 'u' || c == '/' && s.slash {
			return i
		}
		i++ // may be too much for \\, and finds more than there is
	}
}

// lower is b with A–Z in lower case.
func lower(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c | 0x20
		}
	}
	return out
}
