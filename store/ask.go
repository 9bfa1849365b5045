package store

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// ParseWhere reads a condition in EQL or in KQL, such as
//
//	process.name : "ctr" and not host.name : "ci-*"
//	process.name: (ctr or crictl) and not host.name: ci-*
//
// for Query.Where. What is good EQL is EQL, in which : takes any case and has wildcards in
// quotes; in KQL a value is compared exactly, wildcards are outside of quotes, and text
// without a field is looked for as Query.Text is. A field alone, which EQL takes for a
// condition, is such text. A whole query of EQL for single events is taken by its category
// and condition. The error is a [syntax.Errors], with the place of each mistake, of the
// language in which more of the text is good.
func ParseWhere(text string) (expr.Pred, error) {
	a, err := parseWhere(text, event.NewSchema())
	if err != nil {
		return nil, err
	}
	return a.where, nil
}

// Ask makes what somebody has written into a query bar a condition of q: Where, or Text
// if it is nothing but words. It returns the language it is in: "EQL", "KQL" or "words".
// Its errors are those of ParseWhere. What is no mistake, but hardly what was meant, the
// Hints of the result tell.
func (q *Query) Ask(text string) (language string, err error) {
	a, err := parseWhere(text, event.NewSchema())
	if err != nil {
		return "", err
	}
	if a.words != "" {
		q.Text = a.words
		return "words", nil
	}
	q.Where, q.asked = a.where, a.mentions
	return a.language, nil
}

// An asking is what a text means.
type asking struct {
	where    expr.Pred
	words    string // the text, if it is words and nothing else
	language string
	mentions []mention
}

// A mention is where a text names a field, or compares one with a text.
type mention struct {
	syntax.Range
	field string
	own   bool   // EQL's ?field, which may be missing altogether
	text  string // that it is compared with, if compared
	with  bool   // compared: the Range is that of the text
}

func parseWhere(text string, s *event.Schema) (*asking, error) {
	q, inEQL := compileEQL(text, s)
	if inEQL == nil && !wordy(q.Source.Event.Where) {
		return askedInEQL(q, len(anyWhere)), nil
	}
	whole, inWhole := eql.Compile(syntax.Source{Text: text}, s)
	switch {
	case inWhole != nil:
	case whole.Kind() != eql.Events || whole.Source.Pipes != nil:
		return nil, refuse(whole)
	case constant(whole.Source.Event.Where) || !wordy(whole.Source.Event.Where):
		return askedInEQL(whole, 0), nil
	}
	a, inKQL := compileKQL(text, s)
	switch {
	case inKQL == nil:
		return a, nil
	case inEQL == nil:
		return askedInEQL(q, len(anyWhere)), nil
	case inWhole == nil:
		return askedInEQL(whole, 0), nil
	case looksSeveral.MatchString(text):
		word := looksSeveral.FindStringSubmatchIndex(text)
		return nil, syntax.Errors{one(syntax.Source{Text: text}, syntax.Range{Start: word[2], End: word[3]}, "")}
	case looksWhole.MatchString(text):
		return nil, inWhole
	}
	return nil, further(inEQL, inKQL)
}

// What a text looks like that somebody means as a query for events, and as one for several
// at once, where it is neither.
var (
	looksWhole   = regexp.MustCompile(`^\s*(?:\w+|"[^"]*")\s+where\s`)
	looksSeveral = regexp.MustCompile(`^\s*(sequence|sample)\s[^\[]*\[`)
)

// constant reports whether a condition is true or false.
func constant(x syntax.Expr) bool {
	l, ok := x.(*syntax.Literal)
	return ok && l.Kind == syntax.BoolLit
}

// refuse is what is wrong with a query that is more than a condition, and what to write.
func refuse(q *eql.Query) error {
	src := q.Source.Src
	if terms := q.Source.Terms(); len(terms) > 0 {
		r := syntax.Range{}
		if q.Source.Sequence != nil {
			r = q.Source.Sequence.Range
		} else {
			r = q.Source.Sample.Range
		}
		first := terms[0].Filter.Span()
		return syntax.Errors{one(src, r, src.Text[first.Start:first.End])}
	}
	p := q.Source.Pipes[0]
	return syntax.Errors{{Class: syntax.Verification, Src: src, Range: p.Range, Msg: "pipes are not taken here",
		Hint: "leave out what begins with the first |, and sort and group by the page"}}
}

// one is the mistake of a sequence or sample at r. first is its first step, or "".
func one(src syntax.Source, r syntax.Range, first string) *syntax.Error {
	word := "sequence"
	if strings.HasPrefix(src.Text[r.Start:], "sample") {
		word = "sample"
	}
	hint := "write that of one of its steps, without the brackets"
	if first != "" {
		hint = "write that of one of its steps: " + cut(first)
	}
	r.End = min(r.End, r.Start+len(word))
	return &syntax.Error{Class: syntax.Verification, Src: src, Range: r, Hint: hint,
		Msg: "a " + word + " is not taken here: the alerts are asked one by one, by one condition"}
}

// askedInEQL is a query for events. skip is how many bytes were put in front of the text.
func askedInEQL(q *eql.Query, skip int) *asking {
	a := &asking{where: q.Filter, language: "EQL"}
	at := func(r syntax.Range) syntax.Range { return syntax.Range{Start: r.Start - skip, End: r.End - skip} }
	compared := func(x syntax.Expr, with ...syntax.Expr) {
		f, ok := x.(*syntax.Field)
		if !ok {
			return
		}
		for _, y := range with {
			if l, ok := y.(*syntax.Literal); ok && l.Kind == syntax.StringLit {
				a.mentions = append(a.mentions, mention{Range: at(l.Range), field: f.Path, text: l.Str, with: true})
			}
		}
	}
	syntax.Walk(q.Source.Event.Where, func(x syntax.Expr) bool {
		switch x := x.(type) {
		case *syntax.Field:
			a.mentions = append(a.mentions, mention{Range: at(x.Range), field: x.Path, own: x.Optional})
		case *syntax.Binary:
			compared(x.X, x.Y)
			compared(x.Y, x.X)
		case *syntax.In:
			compared(x.X, x.List...)
		case *syntax.StringOp:
			for _, l := range x.List {
				if x.Op != "regex" && !strings.ContainsAny(l.Str, "*?") {
					compared(x.X, l)
				}
			}
		}
		return true
	})
	return a
}

// compileWhere reads a condition in EQL.
func compileWhere(text string, s *event.Schema) (expr.Pred, error) {
	q, err := compileEQL(text, s)
	if err != nil {
		return nil, err
	}
	return q.Filter, nil
}

// anyWhere makes a query of a condition.
const anyWhere = "any where "

func compileEQL(text string, s *event.Schema) (*eql.Query, error) {
	q, err := eql.Compile(syntax.Source{Text: anyWhere + text}, s)
	if err != nil {
		var errs syntax.Errors
		if errors.As(err, &errs) {
			for _, e := range errs {
				e.Src.Text = text
				e.Range.Start = max(e.Range.Start-len(anyWhere), 0)
				e.Range.End = max(e.Range.End-len(anyWhere), 0)
			}
		}
		return nil, err
	}
	if q.Source.Pipes != nil {
		q.Source.Src.Text = text
		for _, p := range q.Source.Pipes {
			p.Range = syntax.Range{Start: p.Start - len(anyWhere), End: p.End - len(anyWhere)}
		}
		return nil, refuse(q)
	}
	return q, nil
}

// A Hint is about a piece of a text that was asked: bytes Start up to End.
type Hint struct {
	Start, End int
	Field      string
	Absent     bool // no alert has the field; else the text is no number, and the field's values are
}

// mostHints bounds what is said of a text.
const mostHints = 5

// hints are about fields that no alert has, and texts that no number is.
func (x *index) hints(ctx context.Context, asked []mention) (hints []Hint, err error) {
	absent := map[string]bool{}
	for _, m := range asked {
		if len(hints) == mostHints {
			break
		}
		if m.own || absent[m.field] || x.flows[m.field] != nil {
			continue
		}
		c, err := x.column(ctx, m.field)
		if err != nil {
			return nil, err
		}
		switch {
		case len(c.dict.values) == 1:
			if m.with { // The field has a mention of its own.
				continue
			}
			absent[m.field] = true
			hints = append(hints, Hint{m.Start, m.End, m.field, true})
		case m.with && !isNumber(m.text) && c.dict.numeric():
			hints = append(hints, Hint{m.Start, m.End, m.field, false})
		}
	}
	return hints, nil
}

func isNumber(s string) bool {
	_, ok := event.Number(s)
	return ok
}

// numeric reports whether the values are numbers, some of them maybe written as text.
func (d *dict) numeric() bool {
	some := false
	for _, v := range d.values[1:] {
		for i := range v.Len() {
			switch w := v.At(i); w.Kind() {
			case event.KindInt, event.KindFloat:
				some = true
			case event.KindString:
				if !isNumber(w.Str()) {
					return false
				}
			default:
				return false
			}
		}
	}
	return some
}
