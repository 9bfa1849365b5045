package expr

import (
	"math"
	"strings"

	"github.com/orlop/orlop/event"
)

// Literals finds text that says of a document, before it is decoded, that p cannot
// hold for it: p can only hold where the JSON has one of the literals. It is not ok if
// there are none such, as for a negation. A conjunction has a choice, of which cost
// decides: literals cost as much as all of them together, and an infinite cost is
// that of none.
func Literals(p Pred, cost func(event.Literal) float64) (ls []event.Literal, ok bool) {
	l := chooser{cost}
	c := l.choose(p)
	if math.IsInf(c.cost, 1) {
		return nil, false
	}
	seen := map[event.Literal]bool{}
	for _, x := range c.ls {
		if !seen[x] {
			seen[x] = true
			ls = append(ls, x)
		}
	}
	return ls, true
}

type chooser struct {
	price func(event.Literal) float64
}

// choice is a set of literals, of which a document has to have one.
type choice struct {
	ls   []event.Literal
	cost float64
}

var noChoice = choice{cost: math.Inf(1)}

func (l chooser) choose(p Pred) choice {
	var c choice
	switch p := p.(type) {
	case Bool:
		if p {
			return noChoice
		}
	case *All:
		c = noChoice
		for _, x := range p.Xs {
			c = cheaper(c, l.choose(x))
		}
	case *Any:
		for _, x := range p.Xs {
			if c.add(l.choose(x)); math.IsInf(c.cost, 1) {
				return noChoice // a thousand rules are not asked for their prices
			}
		}
	case *In:
		// Of other types, equal values may be written in many ways.
		if p.Type > Keyword && !p.Fold {
			return noChoice
		}
		for i := range p.Cs {
			if k := &p.Cs[i]; k.V.Kind() != event.KindString || !p.Fold && (k.isAt || k.num.Exists()) {
				return noChoice
			}
			c.add(l.piece(p.key(p.Cs[i].V.Text()), p.Fold, true, true))
		}
	case *Like:
		for i := range p.Patterns {
			c.add(l.pattern(&p.Patterns[i]))
		}
	case *Regex:
		for _, n := range p.needs() {
			switch n.How {
			case Whole:
				c.add(l.piece(n.Text, true, true, true))
			case Part:
				c.add(l.piece(n.Text, true, false, false))
			default:
				return noChoice
			}
		}
	default:
		return noChoice
	}
	return c
}

func cheaper(a, b choice) choice {
	if b.cost < a.cost {
		return b
	}
	return a
}

// add makes c the choice for what is an alternative to x.
func (c *choice) add(x choice) {
	if c.cost += x.cost; math.IsInf(c.cost, 1) {
		c.ls = nil
		return
	}
	c.ls = append(c.ls, x.ls...)
}

// pattern chooses among what is between the wildcards.
func (l chooser) pattern(p *Pattern) choice {
	text := p.text
	if p.fold {
		text = lowerASCII(text)
	}
	best := noChoice
	for from := 0; from <= len(text); {
		n := strings.IndexAny(text[from:], "*?")
		if n < 0 {
			n = len(text) - from
		}
		best = cheaper(best, l.piece(text[from:from+n], p.fold, from == 0, from+n == len(text)))
		from += n + 1
	}
	return best
}

// minLiteral is the length of the shortest literal that is worth looking for.
const minLiteral = 2

// piece chooses a literal out of text that a value has: at its start or its end, where
// a string's quotes stand, or anywhere in it. JSON writes quotes, backslashes and
// control characters by escapes, so it is what is between these.
func (l chooser) piece(text string, fold, start, end bool) choice {
	best := noChoice
	for from := 0; from <= len(text); {
		n := strings.IndexFunc(text[from:], func(r rune) bool { return r < 0x20 || r == '"' || r == '\\' || r == '\uFFFD' })
		if n < 0 {
			n = len(text) - from
		}
		if part := text[from : from+n]; part != "" && !unquoted(part, start && from == 0) {
			if start && from == 0 {
				part = `"` + part
			}
			if end && from+n == len(text) {
				part += `"`
			}
			if len(part) >= minLiteral {
				x := event.Literal{Text: part, Fold: fold}
				best = cheaper(best, choice{[]event.Literal{x}, l.price(x)})
			}
		}
		from += n + 1
	}
	return best
}

// unquoted reports whether text may be a part of what a number or a boolean writes, or
// the start of it, which JSON does without quotes, and numbers in more than one way.
func unquoted(text string, start bool) bool {
	if strings.Contains("true false -infinity nan", strings.ToLower(text)) {
		return true
	}
	return strings.Trim(text, "0123456789+-.eE") == "" && (!start || strings.ContainsRune("-0123456789", rune(text[0])))
}
