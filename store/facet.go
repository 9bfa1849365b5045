package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// counts are how many selected alerts have each value of a column.
func (sel *selection) counts(col *column) []int32 {
	n := make([]int32, len(col.dict.values))
	var local [blockRows + 1]int32
	for i := range sel.bits {
		b := &sel.bits[i]
		p := col.chunks[i]
		if p.ids == nil {
			n[p.values[0]] += int32(b.count())
			continue
		}
		here := local[:]
		if len(p.values) > len(here) {
			here = make([]int32, len(p.values)) // changed often
		}
		here = here[:len(p.values)]
		clear(here)
		b.each(func(row int) { here[p.ids[row]]++ })
		for k, c := range here {
			n[p.values[k]] += c
		}
	}
	return n
}

// facet is the values of a column.
func (sel *selection) facet(col *column, limit int) FacetResult {
	r := FacetResult{Field: col.name, Missing: sel.n}
	n := sel.counts(col)
	top := leading[Count]{most: limit, compare: byCount}
	if !col.dict.mixed { // Fast path: each value is another text.
		r.Missing = int(n[0])
		for id, c := range n {
			if id == 0 || c == 0 {
				continue
			}
			r.Distinct++
			top.add(Count{col.dict.values[id].Str(), int(c)})
		}
	} else {
		by := map[string]int{}
		for id, c := range n {
			if c == 0 {
				continue
			}
			if col.dict.values[id].Exists() {
				r.Missing -= int(c)
			}
			texts(col.dict.values[id], func(t string) { by[t] += int(c) })
		}
		r.Distinct = len(by)
		for t, c := range by {
			top.add(Count{t, c})
		}
	}
	r.Values = slices.Clip(top.list())
	return r
}

// A leading keeps the first of many in an order.
type leading[T any] struct {
	all     []T
	most    int
	compare func(a, b T) int
	cut     bool // all begins with those that are first of what came before, in order
}

func (l *leading[T]) add(v T) {
	if l.all = append(l.all, v); len(l.all) >= 2*l.most+1000 {
		l.list()
		l.cut = true
	}
}

// list is those that are first, in order.
func (l *leading[T]) list() []T {
	slices.SortFunc(l.all, l.compare)
	clear(l.all[min(len(l.all), l.most):])
	l.all = l.all[:min(len(l.all), l.most)]
	return l.all
}

// byCount puts the most frequent first; of those that are as frequent, in order of text.
func byCount(a, b Count) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
}

func byGroup(a, b Group) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), slices.CompareFunc(a.Values, b.Values, func(v, w GroupValue) int {
		if v.Missing != w.Missing {
			if v.Missing {
				return 1
			}
			return -1
		}
		return strings.Compare(v.Value, w.Value)
	}))
}

// histogram counts by time.
func (sel *selection) histogram(interval int64, by *column) ([]Bucket, error) {
	const series = 10
	var names []string
	var of [][]int // by value of the column, its series
	if by != nil {
		index := map[string]int{}
		for _, c := range sel.facet(by, series).Values {
			index[c.Value] = len(names)
			names = append(names, c.Value)
		}
		of = make([][]int, len(by.dict.values))
		for id, v := range by.dict.values {
			texts(v, func(t string) {
				if i, ok := index[t]; ok {
					of[id] = append(of[id], i)
				}
			})
		}
	}
	type bucket struct {
		n  int
		by [series]int
	}
	buckets := map[int64]*bucket{}
	last, at := &bucket{}, int64(0)
	for i := range sel.bits {
		times := sel.x.blocks[i].times
		sel.bits[i].each(func(row int) {
			t := times[row]
			start := t - t%interval
			if t < start {
				start -= interval // before 1970
			}
			if last.n == 0 || start != at { // Fast path: as the one before.
				at = start
				if last = buckets[start]; last == nil {
					last = &bucket{}
					buckets[start] = last
				}
			}
			last.n++
			if by != nil {
				for _, k := range of[by.chunks[i].at(row)] {
					last.by[k]++
				}
			}
		})
		if len(buckets) > MostBuckets {
			return nil, fmt.Errorf("the histogram has more than %d buckets: take a longer interval, or less time", MostBuckets)
		}
	}
	out := make([]Bucket, 0, len(buckets))
	for start, b := range buckets {
		k := Bucket{Start: time.Unix(0, start).UTC(), Count: b.n}
		for i, name := range names {
			if b.by[i] > 0 {
				k.By = append(k.By, Count{name, b.by[i]})
			}
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Bucket) int { return a.Start.Compare(b.Start) })
	return out, nil
}

// A tally is a group that is being counted.
type tally struct {
	n           int32
	first, last int64
}

func (t *tally) add(n int32, first, last int64) {
	if t.n == 0 {
		t.first, t.last = first, last
	}
	t.n += n
	t.first, t.last = min(t.first, first), max(t.last, last)
}

// A combo is the values of a group, as columns number them.
type combo [3]uint32

// combos numbers combinations of values.
type combos struct {
	all   []combo
	shift [3]int  // of each value in a key, if all fit into 64 bits
	dense []int32 // by key, number plus 1: where that is small
	table []int32 // else by hash: number plus 1; a power of two, at most half full
}

func newCombos(cols []*column) *combos {
	c := &combos{}
	total := 0
	for i := len(cols) - 1; i >= 0; i-- {
		c.shift[i] = total
		total += bits.Len(uint(len(cols[i].dict.values)))
	}
	if total <= 22 {
		c.dense = make([]int32, 1<<total)
	} else {
		c.table = make([]int32, 1<<16)
	}
	return c
}

func (c *combos) key(k combo) uint64 {
	return uint64(k[0])<<c.shift[0] | uint64(k[1])<<c.shift[1] | uint64(k[2])<<c.shift[2]
}

// find is where a combination is in the table, or would be.
func (c *combos) find(k combo) int {
	h := (uint64(k[0])*0x9e3779b97f4a7c15 ^ uint64(k[1])) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>32 ^ uint64(k[2])) * 0x94d049bb133111eb
	mask := len(c.table) - 1
	at := int(h>>20) & mask
	for ; c.table[at] != 0 && c.all[c.table[at]-1] != k; at = (at + 1) & mask {
	}
	return at
}

// id is the number of a combination, which gets one if it is new.
func (c *combos) id(k combo) int32 {
	var slot *int32
	if c.dense != nil {
		slot = &c.dense[c.key(k)]
	} else {
		if 2*len(c.all) >= len(c.table) {
			c.table = make([]int32, 4*len(c.table))
			for i, k := range c.all {
				c.table[c.find(k)] = int32(i) + 1
			}
		}
		slot = &c.table[c.find(k)]
	}
	if *slot == 0 {
		c.all = append(c.all, k)
		*slot = int32(len(c.all))
	}
	return *slot - 1
}

// groups counts combinations of values.
func (sel *selection) groups(cols []*column, limit int) (groups []Group, all int) {
	index := newCombos(cols)
	var tallies []tally
	for i := range sel.bits {
		var parts [3]*part
		for k, c := range cols {
			parts[k] = c.chunks[i]
		}
		times := sel.x.blocks[i].times
		sel.bits[i].each(func(row int) {
			var key combo
			for k, p := range parts[:len(cols)] {
				key[k] = p.at(row)
			}
			id := int(index.id(key))
			if id == len(tallies) {
				tallies = append(tallies, tally{})
			}
			tallies[id].add(1, times[row], times[row])
		})
	}
	combos := index.all
	mixed := false
	for _, c := range cols {
		mixed = mixed || c.dict.mixed
	}
	values := func(key combo) []GroupValue {
		vs := make([]GroupValue, len(cols))
		for k, c := range cols {
			v := c.dict.values[key[k]]
			vs[k] = GroupValue{v.Str(), !v.Exists()}
		}
		return vs
	}
	made := func(t tally, vs []GroupValue) Group {
		return Group{vs, int(t.n), time.Unix(0, t.first).UTC(), time.Unix(0, t.last).UTC()}
	}
	top := leading[Group]{most: limit, compare: byGroup}
	if !mixed { // Fast path: each combination is a group.
		for i, t := range tallies {
			if top.cut && int(t.n) < top.all[limit-1].Count {
				continue // Fast path: makes no text of it.
			}
			top.add(made(t, values(combos[i])))
		}
		all = len(tallies)
	} else {
		byText := map[string]*tally{}
		texted := map[string][]GroupValue{}
		for i, key := range combos {
			var expand func(k int, vs []GroupValue)
			expand = func(k int, vs []GroupValue) {
				if k == len(cols) {
					name := groupKey(vs)
					t := byText[name]
					if t == nil {
						t = &tally{}
						byText[name] = t
						texted[name] = slices.Clone(vs)
					}
					t.add(tallies[i].n, tallies[i].first, tallies[i].last)
					return
				}
				v := cols[k].dict.values[key[k]]
				if !v.Exists() {
					expand(k+1, append(vs, GroupValue{Missing: true}))
				}
				texts(v, func(t string) { expand(k+1, append(vs, GroupValue{Value: t})) })
			}
			expand(0, make([]GroupValue, 0, len(cols)))
		}
		for name, t := range byText {
			top.add(made(*t, texted[name]))
		}
		all = len(byText)
	}
	return slices.Clip(top.list()), all
}

func groupKey(vs []GroupValue) string {
	var b []byte
	for _, v := range vs {
		if v.Missing {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(v.Value))+1)
		b = append(b, v.Value...)
	}
	return string(b)
}
