package detect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// How the index works.
//
// Nearly every predicate is a conjunction, and some part of it says "this field
// is one of these texts": a category, an operating system, process.name in (…).
// Such a part is a necessary condition, so a predicate is tried only on events
// that have one of the texts. Of several parts the most selective one is taken:
// how often events have a text is guessed by how often the rules ask for it,
// among all that they ask of the field. Where no part is of the kind, one that
// a missing field makes false still says that the field must be there. What has
// neither is tried on every event.
//
// An event then costs a look-up for each value of each field of the index, and
// no more, unless something is found. What is found is tried with the cheap and
// selective parts of each conjunction first, whatever the order they are written
// in: parts have no effects.

// An index finds the rules that may match an event.
type index struct {
	fields []indexed
	always []*entry // has no key
	event  uint64   // number of the event that is being matched
}

// indexed is what predicates want of a field.
type indexed struct {
	field   event.Field
	exact   map[string][]*entry
	fold    map[string][]*entry // by text in lower case
	present []*entry            // any value will do
	texts   []*entry            // all of exact and fold: a number can be equal to a text
}

// entry is a predicate that makes its rule interested in an event.
type entry struct {
	pred  expr.Pred
	rule  *active
	tried uint64 // the last event that it was tried on
}

// key is something that an event must have.
type key struct {
	field event.Field
	how   uint8
	text  string
}

const (
	exactly   uint8 = iota
	folded          // in lower case
	something       // any value
)

// newIndex makes an index of the predicates of rules.
func newIndex(rules []*active) *index {
	var entries []*entry
	for _, a := range rules {
		for _, p := range a.preds() {
			entries = append(entries, &entry{pred: p, rule: a})
		}
	}
	g := guess{asked: map[key]int{}, total: map[event.Field]int{}}
	for _, n := range entries {
		g.learn(n.pred)
	}
	x := &index{}
	at := map[event.Field]*indexed{}
	for _, n := range entries {
		keys, ok := g.best(n.pred)
		n.pred = g.order(n.pred)
		if !ok {
			x.always = append(x.always, n)
			continue
		}
		for _, k := range keys {
			f := at[k.field]
			if f == nil {
				f = &indexed{field: k.field}
				at[k.field] = f
			}
			f.add(k, n)
		}
	}
	for _, f := range at {
		x.fields = append(x.fields, *f)
	}
	slices.SortFunc(x.fields, func(a, b indexed) int { return cmp.Compare(a.field, b.field) })
	return x
}

func (f *indexed) add(k key, n *entry) {
	if k.how == something {
		f.present = append(f.present, n)
		return
	}
	if last := len(f.texts) - 1; last < 0 || f.texts[last] != n {
		f.texts = append(f.texts, n)
	}
	to := &f.exact
	if k.how == folded {
		to = &f.fold
	}
	if *to == nil {
		*to = map[string][]*entry{}
	}
	(*to)[k.text] = append((*to)[k.text], n)
}

// match appends the rules that want e to hits, in the order of the rules.
func (x *index) match(e *event.Event, hits []*active) []*active {
	x.event++
	start := len(hits)
	hits = x.try(x.always, e, hits)
	for i := range x.fields {
		f := &x.fields[i]
		v := e.Get(f.field)
		if !v.Exists() {
			continue
		}
		if len(f.present) > 0 {
			hits = x.try(f.present, e, hits)
		}
		if len(f.texts) == 0 {
			continue
		}
		for j := range v.Len() {
			w := v.At(j)
			if w.Kind() != event.KindString {
				hits = x.try(f.texts, e, hits)
				continue
			}
			if f.exact != nil {
				if found := f.exact[w.Str()]; found != nil {
					hits = x.try(found, e, hits)
				}
			}
			if f.fold != nil {
				if found := lookUp(f.fold, w.Str()); found != nil {
					hits = x.try(found, e, hits)
				}
			}
		}
	}
	slices.SortFunc(hits[start:], func(a, b *active) int { return cmp.Compare(a.place, b.place) })
	return hits
}

func (x *index) try(entries []*entry, e *event.Event, hits []*active) []*active {
	for _, n := range entries {
		if n.tried == x.event || n.rule.hit == x.event {
			continue
		}
		n.tried = x.event
		if n.pred.Match(e) {
			n.rule.hit = x.event
			hits = append(hits, n.rule)
		}
	}
	return hits
}

// lookUp looks the lower case of s up.
func lookUp(m map[string][]*entry, s string) []*entry {
	var buf [128]byte
	b := append(buf[:0], s...) // does not allocate for what is short
	for i, c := range b {
		b[i] = lower(c)
	}
	return m[string(b)]
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// guess says how often events may have a key.
type guess struct {
	asked map[key]int
	total map[event.Field]int
}

// learn counts the texts that a predicate asks for.
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
		for _, k := range texts(p) {
			g.asked[k]++
			g.total[k.field]++
		}
	}
}

// best are keys of which an event that p matches has at least one. It is not ok
// if nothing can be said.
func (g *guess) best(p expr.Pred) (keys []key, ok bool) {
	cost := 0.0
	offer := func(ks []key, good bool) {
		if !good {
			return
		}
		// Of equals the last: queries begin with what is common to many.
		if c := g.cost(ks); !ok || c <= cost {
			keys, cost, ok = ks, c, true
		}
	}
	switch p := p.(type) {
	case expr.Bool:
		return nil, !bool(p) // what never matches needs no event
	case *expr.All:
		for _, x := range p.Xs {
			offer(g.best(x))
		}
	case *expr.Any:
		for _, x := range p.Xs {
			ks, ok := g.best(x)
			if !ok {
				return nil, false
			}
			keys = append(keys, ks...)
		}
		return keys, true
	case *expr.Exists:
		offer([]key{{p.Field, something, ""}}, true)
	case *expr.In:
		offer([]key{{p.Field, something, ""}}, true)
	case *expr.Compare:
		offer([]key{{p.Field, something, ""}}, true)
	case *expr.Like:
		offer([]key{{p.Field, something, ""}}, true)
	case *expr.Regex:
		offer([]key{{p.Field, something, ""}}, true)
	case *expr.CIDR:
		offer([]key{{p.Field, something, ""}}, true)
	}
	if ks := texts(p); len(ks) > 0 {
		offer(ks, true)
	}
	return keys, ok
}

// cost is the part of all events that has one of the keys, as far as one can
// guess.
func (g *guess) cost(ks []key) float64 {
	c := 0.0
	for _, k := range ks {
		if k.how == something {
			c += 0.5
		} else {
			c += float64(g.asked[k]) / float64(max(1, g.total[k.field]))
		}
	}
	return c
}

// order sorts the parts of conjunctions so that what fails, fails soon: by price
// over the chance to fail.
func (g *guess) order(p expr.Pred) expr.Pred {
	switch p := p.(type) {
	case *expr.All:
		type part struct {
			pred expr.Pred
			rank float64
		}
		parts := make([]part, len(p.Xs))
		for i, x := range p.Xs {
			holds := 0.8 // most of what rules exclude is rare
			if ks, ok := g.best(x); ok {
				holds = min(g.cost(ks), 0.99)
			}
			parts[i] = part{g.order(x), price(x) / (1 - holds)}
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

// texts are the keys of a leaf that holds only where a value of its field is one
// of some texts, be it that the value is no text itself. Otherwise there are none.
func texts(p expr.Pred) (keys []key) {
	seen := map[key]bool{}
	add := func(r expr.Ref, fold bool, s string) {
		k := key{r.Field, exactly, s}
		if fold {
			k.how = folded
			b := []byte(s)
			for i, c := range b {
				b[i] = lower(c)
			}
			k.text = string(b)
		}
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	switch p := p.(type) {
	case *expr.In:
		if p.Type > expr.Keyword {
			return nil
		}
		for _, c := range p.Cs {
			if c.V.Kind() != event.KindString {
				return nil
			}
			// A date is equal to the same instant in other words.
			if _, date := event.ParseTime(c.V.Str()); date && !p.Fold {
				return nil
			}
			add(p.Ref, p.Fold, c.V.Str())
		}
	case *expr.Like:
		// A Like shows its patterns only as EQL.
		x, err := syntax.ParseExpr(syntax.Source{Text: p.String()})
		op, ok := x.(*syntax.StringOp)
		if err != nil || !ok {
			return nil
		}
		for _, y := range op.List {
			if expr.IsWildcard(y.Str) {
				return nil
			}
			add(p.Ref, p.Op == ":" || strings.HasSuffix(p.Op, "~"), y.Str)
		}
	}
	return keys
}
