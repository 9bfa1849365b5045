package expr

import (
	"net/netip"
	"unicode/utf8"

	"github.com/orlop/orlop/event"
)

// A Need is something that a value may have. It says less than a leaf does, so
// that it can be looked up: text is compared without regard to case, numbers
// without regard to whether they are below a bound or at it.
type Need struct {
	How    How
	Text   string       // in lower case
	Number float64      // for Equal, AtMost and AtLeast
	Block  netip.Prefix // for Inside
}

// How is what a Need asks of a value.
type How uint8

const (
	Anything How = iota // any value will do
	Whole               // its text is Text
	Start               // its text starts with Text
	End                 // its text ends with Text
	Part                // Text is in its text
	Equal               // it is Number, or writes it, or is a date so many milliseconds after 1970
	AtMost
	AtLeast
	Inside // it is an address in Block
)

// Needs are what values need for a leaf to hold: it can only hold for an event
// where a value of its field has one of the needs. It is not ok if the leaf can
// hold without a value, and for what is no leaf.
func Needs(p Pred) (r Ref, needs []Need, ok bool) {
	switch p := p.(type) {
	case *Exists:
		r, needs = p.Ref, []Need{{}}
	case *In:
		r, needs = p.Ref, p.needs()
	case *Compare:
		r, needs = p.Ref, p.needs()
	case *Like:
		r = p.Ref
		for i := range p.Patterns {
			needs = append(needs, p.Patterns[i].need())
		}
	case *Regex:
		r, needs = p.Ref, p.needs()
	case *CIDR:
		r = p.Ref
		for _, b := range p.Blocks {
			needs = append(needs, Need{How: Inside, Block: b})
		}
	default:
		return r, nil, false
	}
	for _, n := range needs {
		if n.How == Anything {
			return r, []Need{{}}, true
		}
	}
	return r, needs, true
}

func (p *In) needs() (needs []Need) {
	if p.Type > Keyword {
		return []Need{{}} // equal values may be written in many ways
	}
	for i := range p.Cs {
		c := &p.Cs[i]
		// A date is equal to the same instant in other words.
		if c.isAt && !p.Fold && p.Type == Untyped {
			return []Need{{}}
		}
		number := c.num.Exists() && !p.Fold && p.Type == Untyped
		if number {
			needs = append(needs, Need{How: Equal, Number: c.num.Float()})
		}
		if !number || c.V.Kind() == event.KindString {
			needs = append(needs, Need{How: Whole, Text: lowerASCII(c.V.Text())})
		}
	}
	return needs
}

func (p *Compare) needs() []Need {
	n := Need{How: Anything}
	if k := p.C.V.Kind(); p.Type == Untyped && (k == event.KindInt || k == event.KindFloat) {
		n.Number = p.C.V.Float()
		switch p.Op {
		case "<", "<=":
			n.How = AtMost
		case ">", ">=":
			n.How = AtLeast
		}
	}
	return []Need{n}
}

// need is the longest text between the wildcards of p.
func (p *Pattern) need() Need {
	text := lowerASCII(p.text)
	best := Need{How: Anything}
	for from, i := 0, 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '*' && text[i] != '?' {
			continue
		}
		n := Need{How: Part, Text: text[from:i]}
		switch {
		case from == 0 && i == len(text):
			return Need{How: Whole, Text: text}
		case from == 0:
			n.How = Start
		case i == len(text):
			n.How = End
		}
		if len(n.Text) > len(best.Text) {
			best = n
		}
		from = i + 1
	}
	return best
}

// maxNeeds bounds the alternatives of one regular expression.
const maxNeeds = 32

func (p *Regex) needs() (needs []Need) {
	for _, text := range p.Text {
		if plain, ok := withoutOperators(text); ok {
			needs = append(needs, Need{How: Whole, Text: lowerASCII(plain)})
			continue
		}
		parser := luceneParser{s: text, fold: true}
		n, err := parser.parse()
		if err != nil {
			return []Need{{}}
		}
		if texts, ok := n.texts(); ok {
			for _, t := range texts {
				needs = append(needs, Need{How: Whole, Text: t})
			}
			continue
		}
		more, ok := n.needs()
		if !ok {
			return []Need{{}}
		}
		needs = append(needs, more...)
	}
	return needs
}

// texts are all the texts that n matches, in lower case, if they are few.
func (n *reNode) texts() (texts []string, ok bool) {
	switch n.op {
	case reEmptyText:
		return []string{""}, true
	case reNothing:
		return nil, true
	case reSet:
		for _, r := range n.set {
			if r.hi-r.lo >= maxNeeds || len(texts) > maxNeeds {
				return nil, false
			}
			for c := r.lo; c <= r.hi; c++ {
				if c == utf8.RuneError {
					return nil, false // stands for whatever is not UTF-8, too
				}
				texts = append(texts, lowerASCII(string(c)))
			}
		}
	case reConcat:
		texts = []string{""}
		for _, s := range n.subs {
			more, ok := s.texts()
			if !ok || len(texts)*len(more) > maxNeeds {
				return nil, false
			}
			texts = cross(texts, more)
		}
	case reUnion:
		for _, s := range n.subs {
			more, ok := s.texts()
			if !ok {
				return nil, false
			}
			texts = append(texts, more...)
		}
	case reRepeat:
		if n.min != n.max || n.max > 16 {
			if n.min == 0 && n.max == 1 {
				texts, ok = n.subs[0].texts()
				return unique(append(texts, "")), ok
			}
			return nil, false
		}
		one, ok := n.subs[0].texts()
		if !ok {
			return nil, false
		}
		texts = []string{""}
		for range n.min {
			if len(texts)*len(one) > maxNeeds {
				return nil, false
			}
			texts = cross(texts, one)
		}
	default:
		return nil, false
	}
	texts = unique(texts)
	return texts, len(texts) <= maxNeeds
}

func cross(a, b []string) []string {
	var out []string
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return unique(out)
}

func unique(texts []string) []string {
	seen := map[string]bool{}
	out := texts[:0]
	for _, t := range texts {
		if !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out
}

// needs are texts of which a text that n matches has at least one, if there are
// such. What n matches is all of the value or, for inner nodes, a part of it, so
// only reConcat knows what stands at an end.
func (n *reNode) needs() (needs []Need, ok bool) {
	switch n.op {
	case reConcat:
		return n.run()
	case reUnion:
		for _, s := range n.subs {
			more, ok := s.needs()
			if !ok || len(needs)+len(more) > maxNeeds {
				return nil, false
			}
			needs = append(needs, more...)
		}
		return needs, true
	case reIntersect:
		for _, s := range n.subs {
			if more, good := s.needs(); good && better(more, needs) {
				needs, ok = more, true
			}
		}
		return needs, ok
	case reRepeat:
		if n.min == 0 {
			return nil, false
		}
		return n.subs[0].needs()
	}
	texts, ok := n.texts()
	return parts(texts), ok && shortest(parts(texts)) > 0
}

// run finds the best of the runs of subs that match few texts, and of what the
// other subs need.
func (n *reNode) run() (best []Need, ok bool) {
	offer := func(needs []Need) {
		if shortest(needs) > 0 && better(needs, best) {
			best, ok = needs, true
		}
	}
	run := []string{""}
	for _, s := range n.subs {
		texts, few := s.texts()
		if few && len(texts)*len(run) <= maxNeeds {
			run = cross(run, texts)
			continue
		}
		offer(parts(run))
		if run = []string{""}; few {
			run = texts
		} else if needs, ok := s.needs(); ok {
			offer(needs)
		}
	}
	offer(parts(run))
	return best, ok
}

func parts(texts []string) (needs []Need) {
	for _, t := range texts {
		needs = append(needs, Need{How: Part, Text: t})
	}
	return needs
}

// shortest is the length of the shortest text of needs.
func shortest(needs []Need) int {
	n := 0
	for i, x := range needs {
		if i == 0 || len(x.Text) < n {
			n = len(x.Text)
		}
	}
	return n
}

// better reports whether fewer values have one of a than one of b: its shortest
// text is longer or, if not, there are fewer of them.
func better(a, b []Need) bool {
	if n, m := shortest(a), shortest(b); n != m {
		return n > m
	}
	return len(a) < len(b)
}
