package detect

import (
	"cmp"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// indexed is what branches need of a field, and the matcher that finds it in a
// value, for all of them at once.
type indexed struct {
	field  event.Field
	share  float64  // see guess.share
	asks   []uint64 // the branches that need something of it
	search []uint64 // of asks, those for which texts must be searched

	some    *set // those that need any value
	whole   map[string]*set
	looks   [16]uint64 // of whole: see look
	longest int        // of whole
	parts   *searcher
	equal   map[float64]*set
	least   []bound // from the lowest
	most    []bound // from the highest
	blocks  map[netip.Prefix]*set
	bits    []int // the lengths of blocks
	numeric bool  // equal, least or most
}

type bound struct {
	at float64
	*set
}

// A set is some branches: those of a few words.
type set struct {
	words []word
	id    int // among those of an index, if values are found to have it
}

type word struct {
	at   int
	bits uint64
}

func (s *set) add(branch int) {
	at, bit := branch/64, uint64(1)<<(branch%64)
	if n := len(s.words); n > 0 && s.words[n-1].at == at { // Fast path: they come in order.
		s.words[n-1].bits |= bit
		return
	}
	s.words = append(s.words, word{at, bit})
}

// union returns a set of the branches of both.
func (s *set) union(o *set) *set {
	if s == nil || o == nil || s == o {
		return cmp.Or(s, o)
	}
	u := &set{}
	i, j := 0, 0
	for i < len(s.words) || j < len(o.words) {
		switch {
		case j == len(o.words) || i < len(s.words) && s.words[i].at < o.words[j].at:
			u.words = append(u.words, s.words[i])
			i++
		case i == len(s.words) || o.words[j].at < s.words[i].at:
			u.words = append(u.words, o.words[j])
			j++
		default:
			u.words = append(u.words, word{s.words[i].at, s.words[i].bits | o.words[j].bits})
			i, j = i+1, j+1
		}
	}
	return u
}

func (s *set) into(have []uint64) {
	for _, w := range s.words {
		have[w.at] |= w.bits
	}
}

// add says that a branch needs one of needs. Branches come in order.
func (f *indexed) add(needs []expr.Need, branch int) {
	at, bit := branch/64, uint64(1)<<(branch%64)
	f.asks[at] |= bit
	for _, n := range needs {
		switch n.How {
		case expr.Anything:
			if f.some == nil {
				f.some = &set{}
			}
			f.some.add(branch)
		case expr.Whole:
			addTo(&f.whole, n.Text, branch)
			f.longest = max(f.longest, len(n.Text))
			k := look(n.Text)
			f.looks[k/64] |= 1 << (k % 64)
		case expr.Start, expr.End, expr.Part:
			if f.parts == nil {
				f.parts = &searcher{}
			}
			f.parts.add(n, branch)
			f.search[at] |= bit
		case expr.Equal:
			addTo(&f.equal, n.Number+0, branch) // no negative zero
		case expr.AtLeast:
			addBound(&f.least, n.Number, branch)
		case expr.AtMost:
			addBound(&f.most, n.Number, branch)
		case expr.Inside:
			addTo(&f.blocks, n.Block, branch)
			f.search[at] |= bit
		}
	}
}

func addTo[K comparable](m *map[K]*set, k K, branch int) {
	if *m == nil {
		*m = map[K]*set{}
	}
	s := (*m)[k]
	if s == nil {
		s = &set{}
		(*m)[k] = s
	}
	s.add(branch)
}

func addBound(bs *[]bound, at float64, branch int) {
	s := &set{}
	s.add(branch)
	*bs = append(*bs, bound{at, s})
}

// build is called once everything is added. It counts the sets that values may be found
// to have in found.
func (f *indexed) build(found *int) {
	f.numeric = len(f.equal)+len(f.least)+len(f.most) > 0
	f.least = joinBounds(f.least)
	f.most = joinBounds(f.most)
	slices.Reverse(f.most)
	for b := range f.blocks {
		if !slices.Contains(f.bits, b.Bits()) {
			f.bits = append(f.bits, b.Bits())
		}
	}
	number := func(s *set) {
		s.id = *found
		*found++
	}
	for _, s := range f.whole {
		number(s)
	}
	for _, s := range f.equal {
		number(s)
	}
	for _, s := range f.blocks {
		number(s)
	}
	for _, b := range slices.Concat(f.least, f.most) {
		number(b.set)
	}
	if f.parts != nil {
		for _, s := range f.parts.build() {
			number(s)
		}
	}
}

// joinBounds sorts bounds and joins those that are the same.
func joinBounds(bs []bound) []bound {
	slices.SortStableFunc(bs, func(a, b bound) int { return cmp.Compare(a.at, b.at) })
	out := bs[:0]
	for _, b := range bs {
		if n := len(out); n > 0 && out[n-1].at == b.at {
			out[n-1].set = out[n-1].union(b.set)
			continue
		}
		out = append(out, b)
	}
	return out
}

// A finder looks into the values of a field. What it finds is in found.
type finder struct {
	found  []*set
	seen   []uint64 // by the id of a set, the last search that found it
	search uint64   // number of the search
	text   []byte   // of the value that is being looked at, if it is none
	low    []byte   // text in lower case
}

// note adds a set that is found, once: a long text may have it everywhere.
func (x *finder) note(s *set) {
	if x.seen[s.id] != x.search {
		x.seen[s.id] = x.search
		x.found = append(x.found, s)
	}
}

// find finds the sets of branches that have what they need in v, but those that need
// any value. Without search, those may be left out for which texts must be searched.
func (x *finder) find(f *indexed, v event.Value, search bool) {
	x.found = x.found[:0]
	x.search++
	for k := range v.Len() {
		x.look(f, v.At(k), search)
	}
}

// look is find in a value that is no list.
func (x *finder) look(f *indexed, v event.Value, search bool) {
	text, number := v.Str(), v
	if v.Kind() != event.KindString {
		// What compares texts compares what other values print as.
		x.text = v.Append(x.text[:0])
		text = unsafe.String(unsafe.SliceData(x.text), len(x.text))
	} else if f.numeric && text != "" && text[0] <= '9' { // Fast path: no number begins with a letter.
		if n, ok := event.Number(text); ok {
			number = n
		} else if at, ok := event.ParseTime(text); ok {
			number = event.Int(at.UnixMilli())
		}
	}
	if f.may(text) {
		x.low = append(x.low[:0], text...)
		for i, c := range x.low {
			x.low[i] = lower(c)
		}
		if s := f.whole[string(x.low)]; s != nil {
			x.note(s)
		}
	}
	if k := number.Kind(); f.numeric && (k == event.KindInt || k == event.KindFloat) {
		x.findNumber(f, number.Float())
	}
	if !search {
		return
	}
	if f.parts != nil {
		f.parts.find(text, x)
	}
	if f.blocks != nil && v.Kind() == event.KindString {
		x.findBlocks(f, text)
	}
}

// may reports whether a text may be one of those that are needed whole.
func (f *indexed) may(text string) bool {
	if f.whole == nil || len(text) > f.longest {
		return false
	}
	k := look(text)
	return f.looks[k/64]>>(k%64)&1 != 0
}

// look is what a text looks like at a glance: its length, its first and its last byte, of
// letters of either case the same, as a number below 1024.
func look(text string) uint {
	n := uint(len(text))
	if n == 0 {
		return 0
	}
	return (n*67 + uint(text[0]|0x20)*37 + uint(text[n-1]|0x20)*151) % 1024
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func (x *finder) findNumber(f *indexed, n float64) {
	if s := f.equal[n]; s != nil {
		x.note(s)
	}
	for i := 0; i < len(f.least) && f.least[i].at <= n; i++ {
		x.note(f.least[i].set)
	}
	for i := 0; i < len(f.most) && f.most[i].at >= n; i++ {
		x.note(f.most[i].set)
	}
}

func (x *finder) findBlocks(f *indexed, text string) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	a = a.Unmap().WithZone("")
	for _, n := range f.bits {
		if b, err := a.Prefix(n); err == nil {
			if s := f.blocks[b]; s != nil {
				x.note(s)
			}
		}
	}
}
