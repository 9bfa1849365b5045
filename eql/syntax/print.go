package syntax

import (
	"strconv"
	"strings"
	"time"
)

// String prints q on one line, so that parsing it gives q again.
func (q *Query) String() string {
	var b strings.Builder
	switch {
	case q.Event != nil:
		b.WriteString(q.Event.String())
	case q.Sequence != nil:
		s := q.Sequence
		b.WriteString("sequence")
		printBy(&b, s.By)
		if s.MaxSpan > 0 {
			b.WriteString(" with maxspan=" + Duration(s.MaxSpan))
		}
		for _, t := range s.Terms {
			b.WriteByte(' ')
			b.WriteString(t.String())
		}
		if s.Until != nil {
			b.WriteString(" until ")
			b.WriteString(s.Until.String())
		}
	case q.Sample != nil:
		b.WriteString("sample")
		printBy(&b, q.Sample.By)
		for _, t := range q.Sample.Terms {
			b.WriteByte(' ')
			b.WriteString(t.String())
		}
	}
	for _, p := range q.Pipes {
		b.WriteString(" | " + p.Name)
		for i, a := range p.Args {
			b.WriteString([2]string{" ", ", "}[min(i, 1)])
			b.WriteString(ExprString(a))
		}
	}
	return b.String()
}

// Duration prints d in the largest unit of maxspan that divides it.
func Duration(d time.Duration) string {
	units := [...]struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}
	for _, u := range units {
		if d%u.d == 0 {
			return strconv.FormatInt(int64(d/u.d), 10) + u.name
		}
	}
	return d.String()
}

func printBy(b *strings.Builder, keys []*Field) {
	for i, k := range keys {
		b.WriteString([2]string{" by ", ", "}[min(i, 1)])
		b.WriteString(ExprString(k))
	}
}

// String prints the term with its brackets, keys and runs.
func (t *Term) String() string {
	var b strings.Builder
	if t.Missing {
		b.WriteByte('!')
	}
	b.WriteString("[" + t.Filter.String() + "]" + t.tail())
	return b.String()
}

// tail is what stands behind the brackets.
func (t *Term) tail() string {
	s := byString(t.By)
	if t.Runs > 0 {
		s += " with runs=" + strconv.Itoa(t.Runs)
	}
	return s
}

// String prints the filter: category where condition.
func (f *Filter) String() string {
	return f.Head() + " " + ExprString(f.Where)
}

// Head prints the filter up to its condition: process where.
func (f *Filter) Head() string {
	switch {
	case f.Any:
		return "any where"
	case isName(f.Category):
		return f.Category + " where"
	}
	return QuoteString(f.Category) + " where"
}

// isName reports whether s can stand as an identifier without quotes.
func isName(s string) bool {
	if s == "" || IsKeyword(s) || isDigit(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && c != '_' && !(c == '@' && i == 0) {
			return false
		}
	}
	return true
}

// Binding strengths, loosest first.
const (
	precOr = iota
	precAnd
	precNot
	precCompare
	precSum
	precProduct
	precSign
	precPredicate
	precPrimary
)

func prec(x Expr) int {
	switch x := x.(type) {
	case *Logical:
		if x.Op == "or" {
			return precOr
		}
		return precAnd
	case *Not:
		return precNot
	case *Binary:
		switch x.Op {
		case "+", "-":
			return precSum
		case "*", "/", "%":
			return precProduct
		}
		return precCompare
	case *Neg:
		return precSign
	case *In, *StringOp:
		return precPredicate
	}
	return precPrimary
}

// ExprString prints x with the fewest parentheses that keep its shape, and with
// some around "and" inside "or", for the reader.
func ExprString(x Expr) string {
	var b strings.Builder
	printExpr(&b, x, precOr)
	return b.String()
}

// printExpr prints x as an operand of something that binds as strongly as least.
func printExpr(b *strings.Builder, x Expr, least int) {
	if prec(x) < least {
		b.WriteByte('(')
		printExpr(b, x, precOr)
		b.WriteByte(')')
		return
	}
	switch x := x.(type) {
	case *Field:
		b.WriteString(x.String())
	case *Literal:
		b.WriteString(x.String())
	case *Not:
		b.WriteString("not ")
		printExpr(b, x.X, precNot)
	case *Logical:
		for i, y := range x.Xs {
			if i > 0 {
				b.WriteString(" " + x.Op + " ")
			}
			printExpr(b, y, precNot)
		}
	case *Binary:
		left, right := prec(x), prec(x)+1
		if left == precCompare {
			left++ // a == b == c is not a query
		}
		printExpr(b, x.X, left)
		b.WriteString(" " + x.Op + " ")
		printExpr(b, x.Y, right)
	case *Neg:
		b.WriteString(x.Op)
		printExpr(b, x.X, precSign)
	case *In:
		printExpr(b, x.X, precPrimary)
		b.WriteString(" " + x.OpString() + " (")
		for i, y := range x.List {
			if i > 0 {
				b.WriteString(", ")
			}
			printExpr(b, y, precOr)
		}
		b.WriteByte(')')
	case *StringOp:
		printExpr(b, x.X, precPrimary)
		b.WriteString(" " + x.OpString() + " ")
		if len(x.List) == 1 {
			b.WriteString(x.List[0].String())
			return
		}
		b.WriteByte('(')
		for i, l := range x.List {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(l.String())
		}
		b.WriteByte(')')
	case *Call:
		b.WriteString(x.Name)
		if x.Fold {
			b.WriteByte('~')
		}
		b.WriteByte('(')
		for i, y := range x.Args {
			if i > 0 {
				b.WriteString(", ")
			}
			printExpr(b, y, precOr)
		}
		b.WriteByte(')')
	}
}

// OpString is the operator as written: in, not in, in~, not in~.
func (x *In) OpString() string {
	op := "in"
	if x.Fold {
		op = "in~"
	}
	if x.Negated {
		op = "not " + op
	}
	return op
}

// OpString is the operator as written: :, like, like~, regex, regex~.
func (x *StringOp) OpString() string {
	if x.Fold {
		return x.Op + "~"
	}
	return x.Op
}

// String prints the path, in backticks where its parts need them.
func (f *Field) String() string {
	path := FieldString(f.Path)
	if f.Optional {
		return "?" + path
	}
	return path
}

// FieldString prints a dotted path as a query would write it.
func FieldString(path string) string {
	parts := strings.Split(path, ".")
	for _, p := range parts {
		if p == "" {
			return "`" + strings.ReplaceAll(path, "`", "``") + "`"
		}
	}
	for i, p := range parts {
		if !isName(p) {
			parts[i] = "`" + strings.ReplaceAll(p, "`", "``") + "`"
		}
	}
	return strings.Join(parts, ".")
}

// String prints the constant.
func (l *Literal) String() string {
	switch l.Kind {
	case BoolLit:
		return strconv.FormatBool(l.Bool)
	case IntLit:
		return strconv.FormatInt(l.Int, 10)
	case DecimalLit:
		s := strconv.FormatFloat(l.Float, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	case StringLit:
		quoted := QuoteString(l.Str)
		if l.Raw && canBeRaw(l.Str, quoted) {
			return `"""` + l.Str + `"""`
		}
		return quoted
	}
	return "null"
}

// canBeRaw reports whether s reads better raw, and can be: it has a backslash
// or a quote, no three quotes in a row and nothing else that has to be escaped.
func canBeRaw(s, quoted string) bool {
	plain := strings.Count(s, `\`) + strings.Count(s, `"`)
	return plain > 0 && len(quoted) == len(s)+plain+2 && !strings.Contains(s, `"""`)
}

// QuoteString prints s as a string constant.
func QuoteString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if i := strings.IndexRune("\b\t\n\f\r\"\\", r); i >= 0 {
			b.WriteByte('\\')
			b.WriteByte(`btnfr"\`[i])
			continue
		}
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			h := strconv.FormatInt(int64(r), 16)
			if len(h) < 2 {
				h = "0" + h
			}
			b.WriteString(`\u{` + h + `}`)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}
