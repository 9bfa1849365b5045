package syntax

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// String prints q on one line, so that parsing it gives q again.
func (q *Query) String() string {
	var w words
	w.query(q)
	return w.line()
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

// String prints the term with its brackets, keys and runs.
func (t *Term) String() string {
	var w words
	w.term(t)
	return w.line()
}

// String prints the filter: category where condition.
func (f *Filter) String() string {
	var w words
	w.filter(f)
	return w.line()
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
	var w words
	w.expr(x, precOr, true)
	return w.line()
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

// QuoteString prints s as a string constant, in which nothing is invisible.
func QuoteString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if i := strings.IndexRune("\b\t\n\f\r\"\\", r); i >= 0 {
			b.WriteByte('\\')
			b.WriteByte(`btnfr"\`[i])
			continue
		}
		if !unicode.IsPrint(r) {
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
