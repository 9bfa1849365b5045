package syntax

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"
)

// How a query is laid out.
//
// The tree is printed line by line. Every line knows which piece of the source
// it stands for, and before it is written come the comments of the source that
// begin before the end of that piece: behind the line above if that is where
// they stood, else on lines of their own. So no comment can be lost, and one
// that has been moved to a line of its own stays there.

// width is the column that lines are broken at, where they can be.
const width = 100

// Format prints q in the one canonical layout, with the comments of its source,
// and a newline at the end. Formatting the result again changes nothing, and
// the result means the same as q:
//
//	sequence by host.id with maxspan=1m
//	  [process where process.name == "ctr"]
//	  [
//	    file where
//	      file.path : "/etc/*" and  // configuration
//	      not user.name in ("root", "admin")
//	  ]
//
// Operands of the outermost and, or of a condition stand on a line each; those
// further in do when they do not fit into 100 columns or have comments among
// them. Long lists are filled up to that width.
func Format(q *Query) string {
	l := lexer{src: q.Src, text: q.Src.Text}
	l.run()
	f := &formatter{src: q.Src.Text, tokens: l.tokens, comments: l.comments}
	f.query(q)
	f.flush(len(f.src)+1, 0)
	return f.b.String()
}

type formatter struct {
	src      string
	tokens   []token
	comments []Range // not yet printed
	b        bytes.Buffer
	end      int  // in the source, of the line printed last; 0 before the first
	closed   bool // the line printed last has a // behind it
}

// line prints one line, which stands for the source up to r.End.
func (f *formatter) line(indent int, text string, r Range) {
	f.flush(r.End, indent)
	f.write(indent, text)
	f.end = max(f.end, r.End)
	f.closed = false
}

func (f *formatter) write(indent int, text string) {
	f.b.WriteString(strings.Repeat(" ", indent))
	f.b.WriteString(text)
	f.b.WriteByte('\n')
}

// flush prints the comments that begin before the offset upto.
func (f *formatter) flush(upto, indent int) {
	for len(f.comments) > 0 && f.comments[0].Start < upto {
		c := f.comments[0]
		f.comments = f.comments[1:]
		text := strings.TrimRight(f.src[c.Start:c.End], " \t\r")
		if f.trails(c) {
			f.b.Truncate(f.b.Len() - 1)
			f.b.WriteString("  " + text + "\n")
			f.closed = strings.HasPrefix(text, "//")
			continue
		}
		f.write(indent, text)
		f.closed = true
	}
}

// trails reports whether a comment stands at the end of the source line that
// the line printed last ends on.
func (f *formatter) trails(c Range) bool {
	if f.end == 0 || f.closed || f.end > c.Start || strings.ContainsAny(f.src[f.end:c.End], "\r\n") {
		return false
	}
	rest := f.src[c.End:]
	if i := strings.IndexAny(rest, "\r\n"); i >= 0 {
		rest = rest[:i]
	}
	return strings.Trim(rest, " \t") == ""
}

// commented reports whether an unprinted comment begins inside r.
func (f *formatter) commented(r Range) bool {
	i := sort.Search(len(f.comments), func(i int) bool { return f.comments[i].Start >= r.Start })
	return i < len(f.comments) && f.comments[i].Start < r.End
}

// token returns the index of the first token at or behind an offset.
func (f *formatter) token(offset int) int {
	return sort.Search(len(f.tokens), func(i int) bool { return f.tokens[i].Start >= offset })
}

// find is the range of the next token of a kind at or behind an offset, or the
// empty range there.
func (f *formatter) find(offset int, kinds ...tokenKind) Range {
	for i := f.token(offset); i < len(f.tokens); i++ {
		for _, k := range kinds {
			if f.tokens[i].kind == k {
				return f.tokens[i].Range
			}
		}
	}
	return Range{offset, offset}
}

// parens widens r by the parentheses right around it, if it has some.
func (f *formatter) parens(r Range) (open, close Range) {
	i, j := f.token(r.Start)-1, f.token(r.End)
	if i >= 0 && j < len(f.tokens) && f.tokens[i].kind == tokLParen && f.tokens[j].kind == tokRParen {
		return f.tokens[i].Range, f.tokens[j].Range
	}
	return Range{r.Start, r.Start}, Range{r.End, r.End}
}

func (f *formatter) query(q *Query) {
	switch {
	case q.Event != nil:
		f.filter(0, q.Event)
	case q.Sequence != nil:
		s := q.Sequence
		head := "sequence" + byString(s.By)
		if s.MaxSpan > 0 {
			head += " with maxspan=" + Duration(s.MaxSpan)
		}
		f.terms(head, s.Range, s.Terms)
		if s.Until != nil {
			at := f.find(s.Terms[len(s.Terms)-1].End, tokUntil)
			f.line(0, "until", at)
			f.term(2, s.Until)
		}
	case q.Sample != nil:
		f.terms("sample"+byString(q.Sample.By), q.Sample.Range, q.Sample.Terms)
	}
	for _, p := range q.Pipes {
		text := "| " + p.Name
		for i, a := range p.Args {
			text += [2]string{" ", ", "}[min(i, 1)] + ExprString(a)
		}
		f.line(0, text, p.Range)
	}
}

func byString(keys []*Field) string {
	var b strings.Builder
	printBy(&b, keys)
	return b.String()
}

func (f *formatter) terms(head string, r Range, terms []*Term) {
	end := r.Start
	if i := f.token(terms[0].Start); i > 0 {
		end = f.tokens[i-1].End
	}
	f.line(0, head, Range{r.Start, end})
	for _, t := range terms {
		f.term(2, t)
	}
}

func (f *formatter) term(indent int, t *Term) {
	text := t.String()
	close := f.find(t.Filter.End, tokRBrack)
	if indent+utf8.RuneCountInString(text) <= width && !f.commented(Range{t.Start, close.Start}) {
		f.line(indent, text, t.Range)
		return
	}
	open, tail := "[", (&Term{By: t.By, Runs: t.Runs}).tail()
	if t.Missing {
		open = "!["
	}
	f.line(indent, open, Range{t.Start, t.Start + len(open)})
	f.filter(indent+2, t.Filter)
	f.flush(close.Start, indent+2)
	f.line(indent, "]"+tail, Range{close.Start, max(close.End, t.End)})
}

// filter prints a category and its condition. A condition of several operands
// always stands below its category, so that adding one changes one line.
func (f *formatter) filter(indent int, x *Filter) {
	if l, ok := x.Where.(*Logical); ok {
		f.line(indent, x.Head(), f.find(x.Start, tokWhere))
		f.operands(indent+2, l, "")
		return
	}
	f.expr(indent, x.Head()+" ", x.Where, "")
}

func (f *formatter) operands(indent int, l *Logical, suffix string) {
	for i, y := range l.Xs {
		after := suffix
		if i < len(l.Xs)-1 {
			after = " " + l.Op
		}
		f.operand(indent, y, precNot, after)
	}
}

// operand prints x on one line if that is possible, else on several. What binds
// less than least is in parentheses.
func (f *formatter) operand(indent int, x Expr, least int, suffix string) {
	if f.fits(indent, "", x, least, suffix) {
		f.line(indent, f.oneLine(x, least)+suffix, x.Span())
		return
	}
	f.expr(indent, "", x, suffix)
}

func (f *formatter) oneLine(x Expr, least int) string {
	var b strings.Builder
	printExpr(&b, x, least)
	return b.String()
}

// fits reports whether x can stand on one line.
func (f *formatter) fits(indent int, prefix string, x Expr, least int, suffix string) bool {
	return !f.broken(x) && indent+utf8.RuneCountInString(prefix+f.oneLine(x, least)+suffix) <= width
}

// broken reports whether x has comments in a place where they can stay, which
// are those inside parentheses that lines can be broken in.
func (f *formatter) broken(x Expr) bool {
	switch x := x.(type) {
	case *Logical:
		open, close := f.parens(x.Range)
		return f.commented(Range{open.Start, close.End})
	case *Not:
		return f.broken(x.X)
	case *In, *StringOp, *Call:
		open, close := f.list(x)
		return f.commented(Range{open.End, close.Start})
	}
	return false
}

// list is where the parentheses of a list stand.
func (f *formatter) list(x Expr) (open, close Range) {
	switch x := x.(type) {
	case *In:
		open = f.find(f.find(x.X.Span().End, tokIn, tokInFold).End, tokLParen)
	case *StringOp:
		if i := f.token(x.OpAt.End); i < len(f.tokens) && f.tokens[i].kind == tokLParen {
			open = f.tokens[i].Range
		} else {
			return x.Range, Range{x.Start, x.Start}
		}
	case *Call:
		open = f.find(x.NameAt.End, tokLParen)
	}
	end := x.Span().End
	return open, Range{max(end-1, 0), end}
}

// expr prints x on as many lines as it needs.
func (f *formatter) expr(indent int, prefix string, x Expr, suffix string) {
	switch x := x.(type) {
	case *Logical:
		open, close := f.parens(x.Range)
		f.line(indent, prefix+"(", open)
		f.operands(indent+2, x, "")
		f.flush(close.Start, indent+2)
		f.line(indent, ")"+suffix, close)
		return
	case *Not:
		if !f.fits(indent, prefix, x, precNot, suffix) {
			f.expr(indent, prefix+"not ", x.X, suffix)
			return
		}
	case *In:
		if !f.fits(indent, prefix, x, precNot, suffix) {
			f.values(indent, prefix+f.oneLine(x.X, precPrimary)+" "+x.OpString()+" (", x, x.List, suffix)
			return
		}
	case *StringOp:
		if len(x.List) > 1 && !f.fits(indent, prefix, x, precNot, suffix) {
			xs := make([]Expr, len(x.List))
			for i, l := range x.List {
				xs[i] = l
			}
			f.values(indent, prefix+f.oneLine(x.X, precPrimary)+" "+x.OpString()+" (", x, xs, suffix)
			return
		}
	case *Call:
		if len(x.Args) > 0 && !f.fits(indent, prefix, x, precNot, suffix) {
			name := x.Name
			if x.Fold {
				name += "~"
			}
			f.values(indent, prefix+name+"(", x, x.Args, suffix)
			return
		}
	}
	f.line(indent, prefix+f.oneLine(x, precNot)+suffix, x.Span())
}

// values prints the values of a list: as many on a line as fit or, where there
// are comments among them, one.
func (f *formatter) values(indent int, head string, x Expr, xs []Expr, suffix string) {
	open, close := f.list(x)
	each := f.commented(Range{open.End, close.Start})
	f.line(indent, head, Range{x.Span().Start, open.End})
	var row strings.Builder
	var r Range
	flush := func() {
		if row.Len() > 0 {
			f.line(indent+2, row.String(), r)
			row.Reset()
		}
	}
	for i, y := range xs {
		text := f.oneLine(y, precOr)
		if i < len(xs)-1 {
			text += ","
		}
		if row.Len() > 0 && (each || indent+3+utf8.RuneCountInString(row.String()+text) > width) {
			flush()
		}
		if row.Len() > 0 {
			row.WriteByte(' ')
		}
		row.WriteString(text)
		r = y.Span()
	}
	flush()
	f.flush(close.Start, indent+2)
	f.line(indent, ")"+suffix, close)
}
