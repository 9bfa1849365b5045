package expr

import (
	"slices"

	"github.com/orlop/orlop/event"
)

// An Explanation says of one part of a predicate whether it held and why.
type Explanation struct {
	Clause string        // the part, as EQL
	Held   bool          // whether it was true
	Fields []Used        // what it read, for a leaf
	Parts  []Explanation // the operands of and, or and not
	Op     string        // and, or, not; "" for a leaf
}

// Used is a field that a leaf read.
type Used struct {
	Field   string
	Value   event.Value // the whole value; missing where the event has none
	Matched event.Value // the element that made the leaf true; missing if none
}

// Explain evaluates every part of p on e, without short cuts. Values are
// borrowed from e.
func Explain(p Pred, e *event.Event) Explanation {
	x := Explanation{Clause: p.String(), Held: p.Match(e)}
	parts := func(op string, xs ...Pred) {
		x.Op = op
		for _, y := range xs {
			x.Parts = append(x.Parts, Explain(y, e))
		}
	}
	leaf := func(r Ref, test func(event.Value) bool) {
		m, _ := r.element(e, test)
		x.Fields = []Used{{r.Name, e.Get(r.Field), m}}
	}
	switch p := p.(type) {
	case *All:
		parts("and", p.Xs...)
	case *Any:
		parts("or", p.Xs...)
	case *Not:
		parts("not", p.X)
	case *Exists:
		leaf(p.Ref, event.Value.Exists)
	case *IsNull:
		leaf(p.Ref, func(event.Value) bool { return false })
	case *In:
		leaf(p.Ref, p.test)
	case *Compare:
		leaf(p.Ref, p.test)
	case *Like:
		leaf(p.Ref, p.test)
	case *Regex:
		leaf(p.Ref, p.test)
	case *CIDR:
		leaf(p.Ref, p.test)
	case *Script:
		Refs(p, func(r Ref) {
			x.Fields = append(x.Fields, Used{Field: r.Name, Value: e.Get(r.Field)})
		})
	}
	return x
}

// Refs calls f for each field that p reads, once.
func Refs(p Pred, f func(Ref)) {
	var seen []event.Field
	once := func(r Ref) {
		if !slices.Contains(seen, r.Field) {
			seen = append(seen, r.Field)
			f(r)
		}
	}
	var scalar func(Scalar)
	scalar = func(x Scalar) {
		if v, ok := x.(*FieldValue); ok {
			once(v.Ref)
		}
		x.each(scalar)
	}
	var walk func(Pred)
	walk = func(p Pred) {
		switch p := p.(type) {
		case *All:
			for _, x := range p.Xs {
				walk(x)
			}
		case *Any:
			for _, x := range p.Xs {
				walk(x)
			}
		case *Not:
			walk(p.X)
		case *Exists:
			once(p.Ref)
		case *IsNull:
			once(p.Ref)
		case *In:
			once(p.Ref)
		case *Compare:
			once(p.Ref)
		case *Like:
			once(p.Ref)
		case *Regex:
			once(p.Ref)
		case *CIDR:
			once(p.Ref)
		case *Script:
			scalar(p.X)
		}
	}
	walk(p)
}
