package detect

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// How the index works.
//
// A predicate is taken apart into branches, of which one must hold: the ways
// through its ors. A branch is a conjunction, and its leaves say what an event
// needs: a value of process.name that is one of some texts, one of process.args
// that has one of some texts in it. What says nothing of the kind, a not or a
// script, is left out, so a branch may hold for more events than it should; the
// predicate is asked in the end. See [expr.Needs].
//
// Each branch is a bit. An event begins with all of them, and goes from field to
// field: a matcher finds what its values have (in one pass, for all rules), and
// the branches stay that need nothing of the field or have what they need. A
// field is looked at only while a branch is left that needs something of it. So
// the fields that most branches ask for, which are a category and an operating
// system, go first and leave few, and long texts are searched only for those.
//
// Bits are in the order of what branches need of those first fields. What is left
// is then in few words, and an event costs what those rules cost that are about
// events of its kind.

// An index finds the rules that may match an event. It is not safe for concurrent
// use.
type index struct {
	fields  []indexed
	entries []*entry // by branch
	event   uint64   // number of the event that is being matched

	common int   // of fields, those whose values tell kinds of events apart
	place  []int // of fields, by event.Field; -1 is none
	kinds  []kind
	seed   maphash.Seed
	misses int // since the event with the number since
	since  uint64

	asked []uint64 // for each branch, a bit for each of the fields that it needs something of
	words []uint64 // the same for each word of branches
	width int      // how many words such a set of fields has

	// Of the event that is being matched.
	left  []uint64 // the branches that are left
	live  []int    // the words of left that are not 0
	have  []uint64 // the branches that have what they need of a field
	open  []uint64 // the fields that a branch that is left asks for
	there []uint64 // the fields that the event has
	key   []byte   // of its kind
}

// entry is a predicate that makes its rule interested in an event.
type entry struct {
	pred  expr.Pred
	rule  *active
	tried uint64 // the last event that it was tried on
}

// branch is what an event needs for a predicate to hold in one way: for each
// field, one of the needs.
type branch []condition

type condition struct {
	field event.Field
	needs []expr.Need
}

const (
	maxBranches = 16   // of a predicate
	maxNeeds    = 4096 // of what is put together from several leaves
)

// newIndex makes an index of the predicates of rules.
func newIndex(rules []*active) *index {
	x := &index{}
	g := newGuess()
	var entries []*entry
	for _, a := range rules {
		for _, p := range a.query.Preds() {
			entries = append(entries, &entry{pred: p, rule: a})
			g.learn(p)
		}
	}
	type placed struct {
		branch
		*entry
	}
	var all []placed
	gain, asks := map[event.Field]float64{}, map[event.Field]int{}
	for _, n := range entries {
		for _, b := range g.branches(n.pred) {
			all = append(all, placed{b, n})
			for _, c := range b {
				gain[c.field] += (1 - g.chance(c)) / effort(c)
				asks[c.field]++
			}
		}
		n.pred = g.order(n.pred)
	}
	for f := range gain {
		x.fields = append(x.fields, indexed{field: f, share: g.share(f, asks[f], len(all))})
	}
	slices.SortFunc(x.fields, func(a, b indexed) int {
		return cmp.Or(cmp.Compare(b.share, a.share), cmp.Compare(gain[b.field], gain[a.field]), cmp.Compare(a.field, b.field))
	})
	for i, f := range x.fields {
		for len(x.place) <= int(f.field) {
			x.place = append(x.place, -1)
		}
		x.place[f.field] = i
		if f.share > 0 {
			x.common++
		}
	}
	x.kinds, x.seed = make([]kind, maxKinds), maphash.MakeSeed()
	order := func(a, b condition) int { return cmp.Compare(x.place[a.field], x.place[b.field]) }
	for _, b := range all {
		slices.SortFunc(b.branch, order)
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		return slices.CompareFunc(a.branch, b.branch, func(a, b condition) int {
			return cmp.Or(order(a, b), slices.CompareFunc(a.needs, b.needs, compareNeeds))
		})
	})
	words := (len(all) + 63) / 64
	x.width = (len(x.fields) + 63) / 64
	x.asked, x.words = make([]uint64, len(all)*x.width), make([]uint64, words*x.width)
	x.left, x.have = make([]uint64, words), make([]uint64, words)
	x.live, x.open, x.there = make([]int, 0, words), make([]uint64, x.width), make([]uint64, x.width)
	for i := range x.fields {
		x.fields[i].asks = make([]uint64, words)
		x.fields[i].search = make([]uint64, words)
	}
	for i, b := range all {
		x.entries = append(x.entries, b.entry)
		for _, c := range b.branch {
			f := x.place[c.field]
			x.fields[f].add(c.needs, i)
			x.asked[i*x.width+f/64] |= 1 << (f % 64)
			x.words[i/64*x.width+f/64] |= 1 << (f % 64)
		}
	}
	for i := range x.fields {
		x.fields[i].build()
	}
	return x
}

func compareNeeds(a, b expr.Need) int {
	return cmp.Or(cmp.Compare(a.How, b.How), strings.Compare(a.Text, b.Text), cmp.Compare(a.Number, b.Number),
		a.Block.Addr().Compare(b.Block.Addr()), cmp.Compare(a.Block.Bits(), b.Block.Bits()))
}

// match appends the rules that want e to hits, in the order of the rules.
func (x *index) match(e *event.Event, hits []*active, m *meter) []*active {
	x.event++
	start := len(hits)
	x.sift(e)
	m.start()
	for _, w := range x.live {
		for left := x.left[w]; left != 0; left &= left - 1 {
			n := x.entries[w*64+bits.TrailingZeros64(left)]
			a := n.rule
			if n.tried == x.event || a.hit == x.event {
				continue
			}
			n.tried = x.event
			if a.seen != x.event {
				a.seen = x.event
				a.cost.Candidates++
			}
			if n.pred.Match(e) {
				a.hit = x.event
				a.cost.Matches++
				hits = append(hits, a)
			}
			if m.on { // Fast path: it mostly is not.
				m.charge(a)
			}
		}
	}
	if len(hits)-start > 1 {
		slices.SortFunc(hits[start:], func(a, b *active) int { return cmp.Compare(a.place, b.place) })
	}
	return hits
}

// sift leaves the branches that have what they need of all fields, or a few more.
func (x *index) sift(e *event.Event) {
	n := x.begin(e)
	planned := n
	for i := range x.open {
		for x.open[i] != 0 {
			if n <= 1 {
				return // to try it is as cheap
			}
			f := i*64 + bits.TrailingZeros64(x.open[i])
			x.open[i] &= x.open[i] - 1
			n = x.narrow(&x.fields[f], e)
			if n <= planned/2 {
				planned = n
				x.plan()
				x.open[i] &^= 1<<(f%64+1) - 1
				clear(x.open[:i])
			}
		}
	}
}

// begin leaves the branches that events of e's kind may have, and plans what
// comes next.
func (x *index) begin(e *event.Event) int {
	k := x.kindOf(e)
	if k != nil && k.known {
		x.recall(k)
		return k.n
	}
	x.live = x.live[:0]
	for w := range x.left {
		x.left[w] = ^uint64(0)
		x.live = append(x.live, w)
	}
	if n := len(x.entries) % 64; n != 0 {
		x.left[len(x.left)-1] = 1<<n - 1
	}
	n := len(x.entries)
	for f := range x.fields {
		if there := x.there[f/64]&(1<<(f%64)) != 0; f < x.common || !there {
			n = x.narrow(&x.fields[f], e)
		}
	}
	x.plan()
	for f := range x.common {
		x.open[f/64] &^= 1 << (f % 64)
	}
	if k != nil {
		x.remember(k, n)
	}
	return n
}

// plan finds the fields that the branches that are left ask for, or some more.
func (x *index) plan() {
	clear(x.open)
	for _, w := range x.live {
		left := x.left[w]
		if bits.OnesCount64(left) > 16 {
			x.ask(x.words[w*x.width:])
			continue
		}
		for ; left != 0; left &= left - 1 {
			x.ask(x.asked[(w*64+bits.TrailingZeros64(left))*x.width:])
		}
	}
	for i := range x.open {
		x.open[i] &= x.there[i]
	}
}

func (x *index) ask(fields []uint64) {
	for i := range x.open {
		x.open[i] |= fields[i]
	}
}

// narrow takes away the branches that need something of a field that e has not,
// and returns how many are left.
func (x *index) narrow(f *indexed, e *event.Event) int {
	asks, search := uint64(0), uint64(0)
	for _, w := range x.live {
		x.have[w] = 0
		asks |= x.left[w] & f.asks[w]
		search |= x.left[w] & f.search[w]
	}
	if asks != 0 {
		if v := e.Get(f.field); v.Exists() {
			f.find(v, search != 0, x.have)
		}
	}
	live, n := x.live[:0], 0
	for _, w := range x.live {
		left := x.left[w] & (x.have[w] | ^f.asks[w])
		x.left[w] = left
		if left != 0 {
			live = append(live, w)
			n += bits.OnesCount64(left)
		}
	}
	x.live = live
	return n
}

// A kind is what is left of an index for the events that have the same values in
// the fields that most branches ask for, and that have the same fields at all.
// Events are of few kinds, so the latest are remembered.
type kind struct {
	key   []byte
	known bool
	n     int // branches that are left
	live  []int
	left  []uint64 // by live
	open  []uint64
}

const (
	maxKinds = 1024
	maxKey   = 255  // values that are longer together are not remembered
	trial    = 4096 // of so many events, half must be of a kind that is remembered
)

// kindOf finds the kind of an event, or the place for it; nil if there is none.
func (x *index) kindOf(e *event.Event) *kind {
	clear(x.there)
	for _, f := range e.Fields() {
		if int(f) < len(x.place) && x.place[f] >= 0 {
			x.there[x.place[f]/64] |= 1 << (x.place[f] % 64)
		}
	}
	if x.kinds == nil {
		return nil
	}
	key := x.key[:0]
	for _, m := range x.there {
		key = binary.LittleEndian.AppendUint64(key, m)
	}
	head := len(key)
	for f := range x.common {
		v := e.Get(x.fields[f].field)
		key = append(key, byte(v.Kind()), byte(v.Len()))
		for i := range v.Len() {
			w := v.At(i)
			n := len(key)
			if n+len(w.Str()) <= head+maxKey {
				key = append(key, byte(w.Kind()), 0)
				key = w.Append(key)
				key[n+1] = byte(len(key) - n - 2)
			}
			if len(key) == n || len(key) > head+maxKey {
				x.missed()
				return nil
			}
		}
	}
	x.key = key
	k := &x.kinds[maphash.Bytes(x.seed, key)%maxKinds]
	if k.known && bytes.Equal(k.key, key) {
		return k
	}
	x.missed()
	if x.kinds == nil {
		return nil
	}
	k.known = false
	k.key = append(k.key[:0], key...)
	return k
}

// missed notes that an event was of no kind that is remembered. Where that is
// usual, the last of the common fields has too many values to tell kinds apart.
func (x *index) missed() {
	if x.misses++; x.misses < trial/2 {
		return
	}
	if x.event-x.since < trial {
		if x.common--; x.common < 0 {
			x.common, x.kinds = 0, nil
		}
		for i := range x.kinds {
			x.kinds[i].known = false
		}
	}
	x.misses, x.since = 0, x.event
}

// remember keeps what is left for k.
func (x *index) remember(k *kind, n int) {
	k.known, k.n = true, n
	k.live = append(k.live[:0], x.live...)
	k.open = append(k.open[:0], x.open...)
	k.left = k.left[:0]
	for _, w := range x.live {
		k.left = append(k.left, x.left[w])
	}
}

// recall leaves what is left for k.
func (x *index) recall(k *kind) {
	x.live = append(x.live[:0], k.live...)
	copy(x.open, k.open)
	for i, w := range k.live {
		x.left[w] = k.left[i]
	}
}

// guess says how often events may have what is needed.
type guess struct {
	asked map[fieldNeed]int
	total map[event.Field]int
	needs map[event.Field]int // of total, the different ones
	leaf  map[expr.Pred]leaf
}

// leaf is what expr.Needs says of a leaf.
type leaf struct {
	condition
	ok bool
}

type fieldNeed struct {
	field event.Field
	need  expr.Need
}

func newGuess() guess {
	return guess{map[fieldNeed]int{}, map[event.Field]int{}, map[event.Field]int{}, map[expr.Pred]leaf{}}
}

func (g *guess) leafOf(p expr.Pred) (condition, bool) {
	l, known := g.leaf[p]
	if !known {
		r, needs, ok := expr.Needs(p)
		l = leaf{condition{r.Field, needs}, ok}
		g.leaf[p] = l
	}
	return l.condition, l.ok
}

// learn counts what a predicate asks for.
func (g *guess) learn(p expr.Pred) {
	switch p := p.(type) {
	case *expr.All:
		for _, x := range p.Xs {
			g.learn(x)
		}
	case *expr.Any:
		for _, x := range p.Xs {
			g.learn(x)
		}
	default:
		c, _ := g.leafOf(p)
		for _, n := range c.needs {
			k := fieldNeed{c.field, n}
			if g.asked[k]++; g.asked[k] == 1 {
				g.needs[c.field]++
			}
			g.total[c.field]++
		}
	}
}

// chance is the part of all events that meets a condition, as far as one can
// guess: how often events have a text is taken from how often rules ask for it,
// among all that they ask of the field.
func (g *guess) chance(c condition) float64 {
	p := 0.0
	for _, n := range c.needs {
		switch n.How {
		case expr.Whole, expr.Equal:
			p += float64(g.asked[fieldNeed{c.field, n}]) / float64(max(1, g.total[c.field]))
		case expr.Start, expr.End, expr.Part:
			p += 1 / float64(2+len(n.Text)*len(n.Text))
		default:
			p += 0.5
		}
	}
	return min(p, 1)
}

// effort is about what it takes to find out whether a condition is met.
func effort(c condition) float64 {
	for _, n := range c.needs {
		if n.How != expr.Whole && n.How != expr.Equal {
			return 8
		}
	}
	return 1
}

// share is how many branches ask for the same of a field, if that is many: then
// its values tell kinds of events apart. Otherwise it is 0.
func (g *guess) share(f event.Field, asks, branches int) float64 {
	if s := float64(asks) / float64(max(1, g.needs[f])); s > 2 && asks > branches/64 && asks > 8 {
		return s
	}
	return 0
}

// branches are the ways in which p can hold. There are none if it cannot.
func (g *guess) branches(p expr.Pred) []branch {
	switch p := p.(type) {
	case expr.Bool:
		if !p {
			return nil
		}
	case *expr.All:
		parts := make([][]branch, len(p.Xs))
		for i, x := range p.Xs {
			parts[i] = g.branches(x)
		}
		// Fewest first: of what would make too many, only what all have in common.
		slices.SortStableFunc(parts, func(a, b []branch) int { return cmp.Compare(len(a), len(b)) })
		out := []branch{nil}
		for _, bs := range parts {
			if len(out)*len(bs) > maxBranches {
				bs = []branch{common(bs)}
			}
			var next []branch
			for _, a := range out {
				for _, b := range bs {
					next = append(next, g.both(a, b))
				}
			}
			out = next
		}
		return out
	case *expr.Any:
		var out []branch
		for _, x := range p.Xs {
			out = append(out, g.branches(x)...)
		}
		return g.merge(out)
	default:
		if c, ok := g.leafOf(p); ok {
			return []branch{{c}}
		}
	}
	return []branch{nil}
}

// both is the branch of what two have in common. Of two conditions on a field it
// has the one that fewer events meet.
func (g *guess) both(a, b branch) branch {
	out := slices.Clone(a)
	for _, c := range b {
		i := slices.IndexFunc(out, func(o condition) bool { return o.field == c.field })
		if i < 0 {
			out = append(out, c)
		} else if g.chance(c) < g.chance(out[i]) {
			out[i] = c
		}
	}
	return out
}

// merge makes fewer branches of the parts of an or. Those that only ask for the
// same field become one, and if there are still too many, there is only one of
// the fields that all of them ask for.
func (g *guess) merge(bs []branch) []branch {
	var out []branch
	for _, b := range bs {
		if len(b) == 0 {
			return []branch{nil} // it holds for any event, for all that is known
		}
		i := slices.IndexFunc(out, func(o branch) bool {
			return len(b) == 1 && len(o) == 1 && o[0].field == b[0].field && len(o[0].needs)+len(b[0].needs) <= maxNeeds
		})
		if i < 0 {
			out = append(out, slices.Clone(b))
		} else {
			out[i][0].needs = slices.Concat(out[i][0].needs, b[0].needs)
		}
	}
	if len(out) <= maxBranches {
		return out
	}
	return []branch{common(out)}
}

// common is one branch for many: the fields that all of them ask for, and what
// any of them needs there.
func common(bs []branch) branch {
	one := bs[0]
	for _, b := range bs[1:] {
		var both branch
		for _, c := range one {
			i := slices.IndexFunc(b, func(o condition) bool { return o.field == c.field })
			if i >= 0 && len(c.needs)+len(b[i].needs) <= maxNeeds {
				both = append(both, condition{c.field, slices.Concat(c.needs, b[i].needs)})
			}
		}
		one = both
	}
	return one
}

// order sorts the parts of conjunctions so that what fails, fails soon: by price
// over the chance to fail. Parts have no effects.
func (g *guess) order(p expr.Pred) expr.Pred {
	switch p := p.(type) {
	case *expr.All:
		type part struct {
			pred expr.Pred
			rank float64
		}
		parts := make([]part, len(p.Xs))
		for i, x := range p.Xs {
			parts[i] = part{g.order(x), price(x) / (1 - min(g.holds(x), 0.99))}
		}
		slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.rank, b.rank) })
		xs := make([]expr.Pred, len(parts))
		for i := range parts {
			xs[i] = parts[i].pred
		}
		return expr.NewAll(xs...)
	case *expr.Any:
		xs := make([]expr.Pred, len(p.Xs))
		for i, x := range p.Xs {
			xs[i] = g.order(x)
		}
		return expr.NewAny(xs...)
	case *expr.Not:
		return expr.NewNot(g.order(p.X))
	}
	return p
}

// holds is the part of all events that p holds for, as far as one can guess.
func (g *guess) holds(p expr.Pred) float64 {
	switch p := p.(type) {
	case *expr.All:
		least := 1.0
		for _, x := range p.Xs {
			least = min(least, g.holds(x))
		}
		return least
	case *expr.Any:
		sum := 0.0
		for _, x := range p.Xs {
			sum += g.holds(x)
		}
		return min(sum, 1)
	}
	if c, ok := g.leafOf(p); ok {
		return g.chance(c)
	}
	return 0.8 // most of what rules exclude is rare
}

// price is about what it costs to try a predicate, in comparisons of two texts.
func price(p expr.Pred) float64 {
	sum := 0.0
	switch p := p.(type) {
	case *expr.All:
		return 1 + price(p.Xs[0]) // which is mostly the end of it
	case *expr.Any:
		for _, x := range p.Xs {
			sum += price(x)
		}
		return sum
	case *expr.Not:
		return price(p.X)
	case *expr.Like:
		return 3 + float64(len(p.Patterns))
	case *expr.Regex, *expr.CIDR:
		return 20
	case *expr.Script:
		return 40
	}
	return 1
}
