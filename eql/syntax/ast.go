// Package syntax is EQL as text: it turns a query into a tree and back.
//
// The grammar is that of Elasticsearch's EQL (x-pack/plugin/eql, EqlBase.g4);
// grammar.txt beside this file writes it down. The tree keeps what was written:
// meaning, types and names are the business of package eql.
package syntax

import "time"

// A Query is a parsed query: one of its three forms, and pipes.
type Query struct {
	Src      Source
	Event    *Filter   // process where true
	Sequence *Sequence // sequence by host.id [...] [...]
	Sample   *Sample   // sample by host.id [...] [...]
	Pipes    []*Pipe
}

// A Filter is a category and a condition: process where process.name == "ctr".
type Filter struct {
	Range
	Any      bool   // any where …
	Category string // the category otherwise
	Where    Expr
}

// A Term is one item of a sequence or sample.
type Term struct {
	Range
	Missing bool // ![ … ]
	Filter  *Filter
	By      []*Field
	Runs    int // with runs=N; 0 where not written
}

// A Sequence is an ordered list of events.
type Sequence struct {
	Range
	By      []*Field
	MaxSpan time.Duration // 0 where not written
	Terms   []*Term
	Until   *Term
}

// A Sample is an unordered list of events that share keys.
type Sample struct {
	Range
	By    []*Field
	Terms []*Term
}

// A Pipe works on the results: | head 10.
type Pipe struct {
	Range
	Name string
	Args []Expr
}

// An Expr is one of *Field, *Literal, *Not, *Logical, *Binary, *Neg, *In,
// *StringOp and *Call.
type Expr interface {
	Span() Range
	expr()
}

// A Field is a dotted path; Optional if written ?path.
type Field struct {
	Range
	Path     string
	Optional bool
}

// LiteralKind says what a Literal is.
type LiteralKind uint8

const (
	NullLit LiteralKind = iota
	BoolLit
	IntLit     // fits an int64
	DecimalLit // has a point or exponent, or does not fit an int64
	StringLit
)

// A Literal is a constant as written.
type Literal struct {
	Range
	Kind  LiteralKind
	Bool  bool
	Int   int64
	Float float64
	Str   string
	Raw   bool // written as """…"""
}

// A Not is a negation: not X.
type Not struct {
	Range
	X Expr
}

// A Logical is a run of two or more operands joined by "and" or by "or".
type Logical struct {
	Range
	Op string
	Xs []Expr
}

// A Binary is a comparison or an arithmetic operation.
type Binary struct {
	Range
	Op   string // == != < <= > >= + - * / %
	X, Y Expr
	OpAt Range
}

// A Neg is a signed operand: -X or +X.
type Neg struct {
	Range
	Op string
	X  Expr
}

// An In tests membership: X in (…), X not in (…), in~.
type In struct {
	Range
	X       Expr
	Fold    bool // in~
	Negated bool
	List    []Expr
}

// A StringOp compares a string with constants: X : "a*", X like ("a*", "b").
type StringOp struct {
	Range
	Op   string // ":", "like" or "regex"
	Fold bool   // like~, regex~
	X    Expr
	List []*Literal
	OpAt Range
}

// A Call is a function applied to arguments.
type Call struct {
	Range
	Name   string
	Fold   bool // name~
	Args   []Expr
	NameAt Range
}

func (*Field) expr()    {}
func (*Literal) expr()  {}
func (*Not) expr()      {}
func (*Logical) expr()  {}
func (*Binary) expr()   {}
func (*Neg) expr()      {}
func (*In) expr()       {}
func (*StringOp) expr() {}
func (*Call) expr()     {}

// Walk calls f for x and everything in it, outside first, until f says no.
func Walk(x Expr, f func(Expr) bool) {
	if x == nil || !f(x) {
		return
	}
	children(x, func(y Expr) { Walk(y, f) })
}

// children calls f for the operands of x; the constants of a StringOp are none.
func children(x Expr, f func(Expr)) {
	list := func(xs []Expr) {
		for _, y := range xs {
			f(y)
		}
	}
	switch x := x.(type) {
	case *Not:
		f(x.X)
	case *Neg:
		f(x.X)
	case *Logical:
		list(x.Xs)
	case *Binary:
		f(x.X)
		f(x.Y)
	case *In:
		f(x.X)
		list(x.List)
	case *StringOp:
		f(x.X)
	case *Call:
		list(x.Args)
	}
}

// Terms lists the terms of a sequence, its until included, or of a sample.
func (q *Query) Terms() []*Term {
	switch {
	case q.Sequence != nil && q.Sequence.Until != nil:
		return append(q.Sequence.Terms[:len(q.Sequence.Terms):len(q.Sequence.Terms)], q.Sequence.Until)
	case q.Sequence != nil:
		return q.Sequence.Terms
	case q.Sample != nil:
		return q.Sample.Terms
	}
	return nil
}

// Fields calls f for every field that q names, as often as it does.
func (q *Query) Fields(f func(*Field)) {
	visit := func(x Expr) {
		Walk(x, func(y Expr) bool {
			if g, ok := y.(*Field); ok {
				f(g)
			}
			return true
		})
	}
	keys := func(by []*Field) {
		for _, k := range by {
			f(k)
		}
	}
	switch {
	case q.Event != nil:
		visit(q.Event.Where)
	case q.Sequence != nil:
		keys(q.Sequence.By)
	case q.Sample != nil:
		keys(q.Sample.By)
	}
	for _, t := range q.Terms() {
		visit(t.Filter.Where)
		keys(t.By)
	}
}
