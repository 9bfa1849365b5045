package detect

import (
	"cmp"
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
// field: a finder says what its values have (in one pass, for all rules), and
// the branches stay that need nothing of the field or have what they need. A
// field is looked at only while a branch is left that needs something of it.
//
// Events are much alike, so which field comes next, and which branches stay, is
// remembered: see tree. An event then costs what it takes to look at a few of its
// values, and the rules that are about it. Bits are in the order of what branches need
// of the fields that most of them ask for, so that what is left is in few words.

// An index finds the rules that may match an event. It is not changed once it is made; a
// [Matcher] has what it takes to use it.
type index struct {
	fields  []indexed
	entries []*entry // by branch
	rules   []*active
	preds   int // how many different entries there are
	found   int // how many sets searches find

	common int   // of fields, those whose values tell kinds of events apart
	place  []int // of fields, by event.Field; -1 is none

	asked []uint64 // for each branch, a bit for each of the fields that it needs something of
	words []uint64 // the same for each word of branches
	width int      // how many words such a set of fields has
}

// entry is a predicate that makes its rule interested in an event.
type entry struct {
	pred expr.Pred
	rule int // of the index's
	id   int
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
	x := &index{rules: rules}
	g := newGuess()
	var entries []*entry
	for i, a := range rules {
		for _, p := range a.query.Preds() {
			entries = append(entries, &entry{p, i, len(entries)})
			g.learn(p)
		}
	}
	x.preds = len(entries)
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
		x.fields[i].build(&x.found)
	}
	return x
}

func compareNeeds(a, b expr.Need) int {
	return cmp.Or(cmp.Compare(a.How, b.How), strings.Compare(a.Text, b.Text), cmp.Compare(a.Number, b.Number),
		a.Block.Addr().Compare(b.Block.Addr()), cmp.Compare(a.Block.Bits(), b.Block.Bits()))
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
	if s := float64(asks) / float64(max(1, g.needs[f])); s > 4 && asks > branches/64 && asks > 8 {
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
