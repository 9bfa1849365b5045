package expr

import (
	"strings"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
)

func (b Bool) String() string {
	if b {
		return "true"
	}
	return "false"
}

func (p *All) String() string { return join(p.Xs, " and ") }
func (p *Any) String() string { return join(p.Xs, " or ") }

func join(xs []Pred, op string) string {
	var b strings.Builder
	for i, x := range xs {
		if i > 0 {
			b.WriteString(op)
		}
		switch x.(type) {
		case *All, *Any:
			b.WriteString("(" + x.String() + ")")
		default:
			b.WriteString(x.String())
		}
	}
	return b.String()
}

func (p *Not) String() string {
	switch x := p.X.(type) {
	case *All, *Any:
		return "not (" + x.String() + ")"
	case *Exists:
		return x.text() + " == null"
	case *In:
		if !x.Fold {
			if len(x.Cs) == 1 {
				return x.text() + " != " + constText(x.Cs[0].V)
			}
			return x.text() + " not in " + constList(x.Cs)
		}
	}
	return "not " + p.X.String()
}

func (p *Exists) String() string { return p.text() + " != null" }

func (p *IsNull) String() string { return p.text() + " is an explicit null" }

func (p *In) String() string {
	switch {
	case p.Fold && len(p.Cs) == 1 && !IsWildcard(p.Cs[0].V.Text()):
		return p.text() + " : " + constText(p.Cs[0].V)
	case p.Fold:
		return p.text() + " in~ " + constList(p.Cs)
	case len(p.Cs) == 1:
		return p.text() + " == " + constText(p.Cs[0].V)
	}
	return p.text() + " in " + constList(p.Cs)
}

func (p *Compare) String() string { return p.text() + " " + p.Op + " " + constText(p.C.V) }

func (p *Like) String() string {
	texts := make([]string, len(p.Patterns))
	for i := range p.Patterns {
		texts[i] = p.Patterns[i].text
	}
	return p.text() + " " + p.Op + " " + textList(texts)
}

func (p *Regex) String() string { return p.text() + " " + p.Op + " " + textList(p.Text) }

func (p *CIDR) String() string {
	var b strings.Builder
	b.WriteString("cidrMatch(" + p.text())
	for _, t := range p.Text {
		b.WriteString(", " + syntax.QuoteString(t))
	}
	return b.String() + ")"
}

func constText(v event.Value) string {
	if v.Kind() == event.KindString {
		return syntax.QuoteString(v.Str())
	}
	return v.Text()
}

func constList(cs []Const) string {
	texts := make([]string, len(cs))
	for i := range cs {
		texts[i] = constText(cs[i].V)
	}
	return "(" + strings.Join(texts, ", ") + ")"
}

func textList(texts []string) string {
	if len(texts) == 1 {
		return syntax.QuoteString(texts[0])
	}
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = syntax.QuoteString(t)
	}
	return "(" + strings.Join(quoted, ", ") + ")"
}
