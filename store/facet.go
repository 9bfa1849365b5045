package store

import (
	"cmp"
	"encoding/binary"
	"fmt"
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
	var all []Count
	if !col.dict.mixed { // Fast path: each value is another text.
		r.Missing = int(n[0])
		// Of many values most have few alerts; those are not looked at.
		least := leastOf(n[1:], limit)
		for id, c := range n {
			if id == 0 || c == 0 {
				continue
			}
			r.Distinct++
			if c >= least {
				all = append(all, Count{col.dict.values[id].Str(), int(c)})
			}
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
			all = append(all, Count{t, c})
		}
	}
	if !col.dict.mixed {
		r.Missing = int(n[0])
	}
	r.Values = firstCounts(all, limit)
	return r
}

// leastOf is a count that at least limit of the values reach, if so many do.
func leastOf(n []int32, limit int) int32 {
	var bySize [64]int // how many values have 2^i alerts or more, but not 2^(i+1)
	for _, c := range n {
		if c > 0 {
			bySize[log2(c)]++
		}
	}
	for i := len(bySize) - 1; i >= 0; i-- {
		if limit -= bySize[i]; limit <= 0 {
			return 1 << i
		}
	}
	return 1
}

func log2(c int32) (n int) {
	for ; c > 1; c >>= 1 {
		n++
	}
	return n
}

// firstCounts are the most frequent; of those that are as frequent, in order of text.
func firstCounts(all []Count, limit int) []Count {
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return slices.Clip(all[:min(len(all), limit)])
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
	n           int
	first, last int64
}

func (t *tally) add(n int, first, last int64) {
	if t.n == 0 {
		t.first, t.last = first, last
	}
	t.n += n
	t.first, t.last = min(t.first, first), max(t.last, last)
}

// groups counts combinations of values.
func (sel *selection) groups(cols []*column, limit int) (groups []Group, all int) {
	type combo [3]uint32
	index := map[combo]int32{}
	var tallies []tally
	var combos []combo
	// Within a block a combination is found by the numbers of its values there, if they
	// are few.
	const mostDense = 1 << 14
	dense := make([]int32, mostDense)
	for i := range sel.bits {
		size := 1
		var parts [3]*part
		for k, c := range cols {
			parts[k] = c.chunks[i]
			size *= len(parts[k].values)
		}
		here := dense[:min(size, mostDense)]
		for k := range here {
			here[k] = -1
		}
		times := sel.x.blocks[i].times
		sel.bits[i].each(func(row int) {
			var key combo
			at := 0
			for k, p := range parts[:len(cols)] {
				local := 0
				if p.ids != nil {
					local = int(p.ids[row])
				}
				key[k] = p.values[local]
				at = at*len(p.values) + local
			}
			id := int32(-1)
			if size <= mostDense {
				id = here[at]
			}
			if id < 0 {
				var ok bool
				if id, ok = index[key]; !ok {
					id = int32(len(tallies))
					index[key] = id
					tallies = append(tallies, tally{})
					combos = append(combos, key)
				}
				if size <= mostDense {
					here[at] = id
				}
			}
			tallies[id].add(1, times[row], times[row])
		})
	}
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
		return Group{vs, t.n, time.Unix(0, t.first).UTC(), time.Unix(0, t.last).UTC()}
	}
	if !mixed { // Fast path: each combination is a group.
		order := make([]int32, len(tallies))
		for i := range order {
			order[i] = int32(i)
		}
		// Texts are looked at only of those that may be among the first.
		slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(tallies[b].n, tallies[a].n) })
		keep := min(limit, len(order))
		for keep > 0 && keep < len(order) && tallies[order[keep]].n == tallies[order[keep-1]].n {
			keep++
		}
		for _, i := range order[:keep] {
			groups = append(groups, made(tallies[i], values(combos[i])))
		}
		all = len(order)
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
			groups = append(groups, made(*t, texted[name]))
		}
		all = len(groups)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.CompareFunc(a.Values, b.Values, func(v, w GroupValue) int {
			if v.Missing != w.Missing {
				if v.Missing {
					return 1
				}
				return -1
			}
			return strings.Compare(v.Value, w.Value)
		}))
	})
	return slices.Clip(groups[:min(len(groups), limit)]), all
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
