package expr

import (
	"slices"
	"strings"
)

// fewWildcards is how many patterns are tried one after another; more are looked
// up in a wildcardIndex.
const fewWildcards = 8

// A wildcardIndex finds the patterns of a long list that a text may match: those
// whose beginning up to the first wildcard it begins with, or whose end behind
// the last one it ends with. Both are looked up by length, of which a list has
// few. What begins and ends with a wildcard is tried.
type wildcardIndex struct {
	fold     bool
	prefixes affixes
	suffixes affixes
	rest     []int
}

type affixes struct {
	lengths []int // ascending
	by      map[string][]int
}

// maxAffix is as much of a beginning or end as is looked at.
const maxAffix = 64

func newWildcardIndex(ps []Pattern) *wildcardIndex {
	x := &wildcardIndex{fold: ps[0].fold}
	for i := range ps {
		first, last := ps[i].parts[0], ps[i].parts[len(ps[i].parts)-1]
		if j := strings.IndexByte(first, '?'); j >= 0 {
			first = first[:j]
		}
		if j := strings.LastIndexByte(last, '?'); j >= 0 {
			last = last[j+1:]
		}
		switch {
		case len(first) >= len(last) && first != "":
			x.prefixes.add(first[:min(len(first), maxAffix)], i)
		case last != "":
			x.suffixes.add(last[max(0, len(last)-maxAffix):], i)
		default:
			x.rest = append(x.rest, i)
		}
	}
	return x
}

func (a *affixes) add(s string, i int) {
	if a.by == nil {
		a.by = map[string][]int{}
	}
	a.by[s] = append(a.by[s], i)
	if j, ok := slices.BinarySearch(a.lengths, len(s)); !ok {
		a.lengths = slices.Insert(a.lengths, j, len(s))
	}
}

func (x *wildcardIndex) match(ps []Pattern, s string) bool {
	for _, i := range x.rest {
		if ps[i].Match(s) {
			return true
		}
	}
	var buf [maxAffix]byte
	head := x.affix(&buf, s[:min(len(s), maxAffix)])
	for _, n := range x.prefixes.lengths {
		if n > len(head) {
			break
		}
		for _, i := range x.prefixes.by[string(head[:n])] {
			if ps[i].Match(s) {
				return true
			}
		}
	}
	tail := x.affix(&buf, s[max(0, len(s)-maxAffix):])
	for _, n := range x.suffixes.lengths {
		if n > len(tail) {
			break
		}
		for _, i := range x.suffixes.by[string(tail[len(tail)-n:])] {
			if ps[i].Match(s) {
				return true
			}
		}
	}
	return false
}

// affix copies an end of a text, in lower case if case does not matter.
func (x *wildcardIndex) affix(buf *[maxAffix]byte, s string) []byte {
	b := buf[:copy(buf[:], s)]
	if x.fold {
		for i := range b {
			b[i] = lowerByte(b[i])
		}
	}
	return b
}
