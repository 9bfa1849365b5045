package syntax

import (
	"strconv"
	"strings"
)

// How a query becomes text.
//
// The tree is written down as words and what separates them. That is all there
// is to printing on one line. To format, a word also knows which token of the
// source it stands for, so that it finds the comments before it, and separators
// say where a line may end; see Format.

type nodeKind uint8

const (
	wordNode  nodeKind = iota
	spaceNode          // a blank
	lineNode           // a blank, or a new line if its group is broken
	softNode           // nothing, or a new line if its group is broken
	fillNode           // a blank, or a new line if its group is broken and what follows does not fit
	hardNode           // a new line
	openNode           // a group begins
	closeNode          // a group ends
)

type node struct {
	kind   nodeKind
	joint  bool   // of a word: it ends a line rather than begin one
	closes bool   // of a word: a closing bracket
	tight  bool   // of an open: it is broken only for comments
	broken bool   // of an open
	at     int32  // of a word: the token of the source that it begins with
	to     int32  // of an open: its close
	indent int32  // of the line that begins here
	inner  int32  // of comments before that line
	text   string // of a word
	*notes        // of a word: the comments before it, if there are any
}

// words is a query being written down.
type words struct {
	nodes  []node
	indent int32
	opens  []int // groups that have not ended

	// Of a query that is formatted.
	src    string
	tokens []token
	next   int // the first token that no word stands for yet
}

// line is everything on one line.
func (w *words) line() string {
	var b strings.Builder
	for i := range w.nodes {
		switch n := &w.nodes[i]; n.kind {
		case wordNode:
			b.WriteString(n.text)
		case spaceNode, lineNode, fillNode, hardNode:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// word writes a word of the one token that is next, parentheses aside: those
// that change nothing are in the source alone.
func (w *words) word(text string) { w.take(text, 1) }

// joint writes a word that ends a line.
func (w *words) joint(text string) {
	w.take(text, 1)
	w.nodes[len(w.nodes)-1].joint = true
}

// take writes a word of n tokens.
func (w *words) take(text string, n int) {
	if w.tokens != nil {
		for k := w.tokens[w.next].kind; k == tokLParen || k == tokRParen; k = w.tokens[w.next].kind {
			w.next++
		}
		t := w.tokens[w.next]
		// A string may write the end of a comment with an escape, and must then
		// go on to: an unbalanced comment before it would nest up to there.
		if raw := w.src[t.Start:t.End]; strings.Contains(text, "*/") && !strings.Contains(raw, "*/") {
			text = raw
		}
	}
	w.put(text)
	w.next += n
}

func (w *words) put(text string) {
	closes := text == ")" || text == "]"
	w.nodes = append(w.nodes, node{kind: wordNode, text: text, closes: closes, at: int32(w.next), indent: w.indent + 2, inner: w.indent + 2})
}

// paren writes a parenthesis. Where the source has none, it stands for no token.
func (w *words) paren(kind tokenKind) {
	w.put([2]string{"(", ")"}[kind-tokLParen])
	switch {
	case w.tokens == nil:
	case w.tokens[w.next].kind == kind:
		w.next++
	case kind == tokRParen:
		w.nodes[len(w.nodes)-1].at-- // comments from here on are behind it
	}
}

func (w *words) sep(kind nodeKind) {
	w.nodes = append(w.nodes, node{kind: kind, indent: w.indent, inner: w.indent})
}

// open begins a group, which is on one line if it fits. A tight one is also
// where it does not, if there are no comments in it.
func (w *words) open(tight bool) {
	w.opens = append(w.opens, len(w.nodes))
	w.nodes = append(w.nodes, node{kind: openNode, tight: tight})
}

func (w *words) close() {
	last := len(w.opens) - 1
	w.nodes[w.opens[last]].to = int32(len(w.nodes))
	w.opens = w.opens[:last]
	w.nodes = append(w.nodes, node{kind: closeNode})
}

// inside writes what stands between brackets, on lines of its own if the group
// is broken.
func (w *words) inside(f func()) {
	w.indent += 2
	w.sep(softNode)
	f()
	w.sep(softNode)
	w.indent -= 2
	w.nodes[len(w.nodes)-1].indent = w.indent // of the closing bracket; comments before it are inside
}

func (w *words) query(q *Query) {
	switch {
	case q.Event != nil:
		w.open(false)
		// A condition of several operands always stands below its category, so
		// that adding one changes one line.
		_, w.nodes[0].broken = q.Event.Where.(*Logical)
		w.filter(q.Event)
		w.close()
	case q.Sequence != nil:
		s := q.Sequence
		w.word("sequence")
		w.by(s.By)
		if s.MaxSpan > 0 {
			w.sep(spaceNode)
			w.word("with")
			w.sep(spaceNode)
			w.take("maxspan="+Duration(s.MaxSpan), 4)
		}
		w.terms(s.Terms)
		if s.Until != nil {
			w.sep(hardNode)
			w.word("until")
			w.terms([]*Term{s.Until})
		}
	case q.Sample != nil:
		w.word("sample")
		w.by(q.Sample.By)
		w.terms(q.Sample.Terms)
	}
	for _, p := range q.Pipes {
		w.sep(hardNode)
		w.word("|")
		w.sep(spaceNode)
		w.word(p.Name)
		w.sep(spaceNode)
		for i, a := range p.Args {
			if i > 0 {
				w.joint(",")
				w.sep(spaceNode)
			}
			w.expr(a, precOr, true)
		}
	}
}

func (w *words) terms(terms []*Term) {
	w.indent += 2
	for _, t := range terms {
		w.sep(hardNode)
		w.term(t)
	}
	w.indent -= 2
}

func (w *words) term(t *Term) {
	w.open(false)
	if t.Missing {
		w.word("![")
	} else {
		w.word("[")
	}
	w.inside(func() { w.filter(t.Filter) })
	w.word("]")
	w.close()
	w.by(t.By)
	if t.Runs > 0 {
		w.sep(spaceNode)
		w.word("with")
		w.sep(spaceNode)
		w.take("runs="+strconv.Itoa(t.Runs), 3)
	}
}

func (w *words) by(keys []*Field) {
	for i, k := range keys {
		if i == 0 {
			w.sep(spaceNode)
			w.word("by")
		} else {
			w.joint(",")
		}
		w.sep(spaceNode)
		w.field(k)
	}
}

// filter writes a category and its condition, whose operands stand below it if
// the group around is broken.
func (w *words) filter(f *Filter) {
	switch {
	case f.Any:
		w.word("any")
	case isName(f.Category):
		w.word(f.Category)
	default:
		w.word(QuoteString(f.Category))
	}
	w.sep(spaceNode)
	w.joint("where")
	if _, ok := f.Where.(*Logical); !ok {
		w.sep(spaceNode)
		w.expr(f.Where, precOr, false)
		return
	}
	w.indent += 2
	w.sep(lineNode)
	w.expr(f.Where, precOr, false)
	w.indent -= 2
}

func (w *words) field(f *Field) {
	n := 1
	if w.tokens != nil {
		for w.tokens[w.next].Start < f.Start {
			w.next++ // parentheses
		}
		for w.tokens[w.next+n].Start < f.End {
			n++
		}
	}
	w.take(f.String(), n)
}

// expr writes x as an operand of something that binds as strongly as least. In
// tight places it is not broken for being long: it would not read better.
func (w *words) expr(x Expr, least int, tight bool) {
	if prec(x) < least {
		w.open(tight)
		w.paren(tokLParen)
		w.inside(func() { w.expr(x, precOr, tight) })
		w.paren(tokRParen)
		w.close()
		return
	}
	switch x := x.(type) {
	case *Field:
		w.field(x)
	case *Literal:
		w.word(x.String())
	case *Not:
		w.word("not")
		w.sep(spaceNode)
		w.expr(x.X, precNot, tight)
	case *Logical:
		for i, y := range x.Xs {
			if i > 0 {
				w.sep(spaceNode)
				w.joint(x.Op)
				w.sep(lineNode)
			}
			w.expr(y, precNot, tight)
		}
	case *Binary:
		left, right := prec(x), prec(x)+1
		if left == precCompare {
			left++ // a == b == c is not a query
		}
		w.expr(x.X, left, true)
		w.sep(spaceNode)
		w.word(x.Op)
		w.sep(spaceNode)
		w.expr(x.Y, right, true)
	case *Neg:
		w.word(x.Op)
		w.expr(x.X, precSign, true)
	case *In:
		w.expr(x.X, precPrimary, true)
		for op := range strings.FieldsSeq(x.OpString()) {
			w.sep(spaceNode)
			w.word(op)
		}
		w.sep(spaceNode)
		w.list(x.List, tight)
	case *StringOp:
		w.expr(x.X, precPrimary, true)
		w.sep(spaceNode)
		w.word(x.OpString())
		w.sep(spaceNode)
		if len(x.List) == 1 {
			w.word(x.List[0].String())
			return
		}
		xs := make([]Expr, len(x.List))
		for i, l := range x.List {
			xs[i] = l
		}
		w.list(xs, tight)
	case *Call:
		if x.Fold {
			w.word(x.Name + "~")
		} else {
			w.word(x.Name)
		}
		w.list(x.Args, tight)
	}
}

// list writes values in parentheses: where they are broken, as many on a line as
// fit or, if there are comments among them, one.
func (w *words) list(xs []Expr, tight bool) {
	w.open(tight)
	w.paren(tokLParen)
	w.inside(func() {
		for i, y := range xs {
			if i > 0 {
				w.joint(",")
				w.sep(fillNode)
			}
			switch y.(type) {
			case *Literal, *Field:
				w.expr(y, precOr, true)
			default:
				w.open(true)
				w.expr(y, precOr, true)
				w.close()
			}
		}
	})
	w.paren(tokRParen)
	w.close()
}
