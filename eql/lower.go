package eql

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	syntaxre "regexp/syntax"
	"strings"
	"unicode"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// lowering turns a checked tree into predicates. Conditions become leaves where
// Elasticsearch would make a query of them, scripts elsewhere.
type lowering struct {
	*checker
	schema *event.Schema
	failed func(error) // told of run-time errors while constants are folded
}

func (l *lowering) ref(x *syntax.Field) expr.Ref {
	r := expr.Ref{Name: x.Path}
	path := x.Path
	if l.mapping != nil {
		if col := l.mapping.lookup(x.Path); col != nil {
			path, r.Type = col.path, col.typ.compare()
		}
	}
	if l.schema != nil {
		r.Field = l.schema.Field(path)
	}
	return r
}

// nullValue is what an explicit null in the field counts as.
func (l *lowering) nullValue(x *syntax.Field) *string {
	if l.mapping == nil {
		return nil
	}
	if col := l.mapping.lookup(x.Path); col != nil {
		return col.nullValue
	}
	return nil
}

// pred lowers a condition.
func (l *lowering) pred(x syntax.Expr) expr.Pred {
	if i := l.infos[x]; i.konst {
		return expr.Bool(i.value.Bool())
	}
	switch x := x.(type) {
	case *syntax.Field:
		return l.equal(x, event.Bool(true))
	case *syntax.Not:
		return expr.NewNot(l.pred(x.X))
	case *syntax.Logical:
		xs := make([]expr.Pred, len(x.Xs))
		for i, y := range x.Xs {
			xs[i] = l.pred(y)
		}
		if x.Op == "and" {
			return expr.NewAll(xs...)
		}
		return expr.NewAny(xs...)
	case *syntax.Binary:
		return l.compare(x)
	case *syntax.In:
		p := l.in(x)
		if x.Negated {
			return expr.NewNot(p)
		}
		return p
	case *syntax.StringOp:
		return l.stringOp(x)
	case *syntax.Call:
		return l.call(x)
	}
	return l.script(x, false)
}

func (l *lowering) script(x syntax.Expr, isNull bool) expr.Pred {
	text := syntax.ExprString(x)
	if isNull {
		switch x.(type) {
		case *syntax.Call:
		default:
			text = "(" + text + ")"
		}
		text += " == null"
	}
	return expr.NewScript(l.scalar(x), text, isNull)
}

var flipped = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}

func (l *lowering) compare(x *syntax.Binary) expr.Pred {
	side, op, value := x.X, x.Op, l.infos[x.Y]
	if l.infos[x.X].konst {
		side, op, value = x.Y, flipped[x.Op], l.infos[x.X]
	}
	negate := func(p expr.Pred, not bool) expr.Pred {
		if not {
			return expr.NewNot(p)
		}
		return p
	}
	f, isField := side.(*syntax.Field)
	if value.konst && (op == "==" || op == "!=") {
		switch {
		case !value.value.Exists() && isField:
			if l.nullValue(f) != nil {
				return negate(l.equalNullValue(f), op == "!=")
			}
			return negate(expr.NewNot(&expr.Exists{Ref: l.ref(f)}), op == "!=")
		case !value.value.Exists():
			return negate(l.script(side, true), op == "!=")
		case isField:
			return negate(l.equal(f, value.value), op == "!=")
		case value.value.Kind() == event.KindBool && l.infos[side].typ == boolType:
			return negate(l.pred(side), value.value.Bool() != (op == "=="))
		}
	}
	if value.konst && isField {
		return &expr.Compare{Ref: l.ref(f), Op: op, C: expr.NewConst(value.value)}
	}
	// != is the negation of ==: true where the script is null.
	if x.Op == "!=" {
		eq := *x
		eq.Op = "=="
		l.infos[&eq] = l.infos[x]
		return expr.NewNot(l.script(&eq, false))
	}
	return l.script(x, false)
}

func (l *lowering) equal(f *syntax.Field, v event.Value) expr.Pred {
	p := expr.NewIn(l.ref(f), false, v)
	if nv := l.nullValue(f); nv != nil && v.Text() == *nv {
		return expr.NewAny(p, &expr.IsNull{Ref: l.ref(f)})
	}
	return p
}

// equalNullValue is f == null for a field whose explicit nulls have a value.
func (l *lowering) equalNullValue(f *syntax.Field) expr.Pred {
	r := l.ref(f)
	return expr.NewNot(expr.NewAny(&expr.Exists{Ref: r}, &expr.IsNull{Ref: r}))
}

func (l *lowering) in(x *syntax.In) expr.Pred {
	f, ok := x.X.(*syntax.Field)
	if !ok {
		plain := *x
		plain.Negated = false
		l.infos[&plain] = l.infos[x]
		return l.script(&plain, false)
	}
	var vs []event.Value
	for _, y := range x.List {
		if v := l.infos[y].value; v.Exists() {
			vs = append(vs, v)
		}
	}
	if len(vs) == 0 {
		return expr.Bool(false)
	}
	return expr.NewIn(l.ref(f), x.Fold, vs...)
}

func (l *lowering) stringOp(x *syntax.StringOp) expr.Pred {
	f, ok := x.X.(*syntax.Field)
	if !ok {
		return l.script(x, false)
	}
	var texts []string
	for _, y := range x.List {
		if y.Kind == syntax.StringLit {
			texts = append(texts, y.Str)
		}
	}
	if len(texts) == 0 {
		return expr.Bool(false)
	}
	r := l.ref(f)
	switch {
	case x.Op == "regex":
		p, err := expr.NewRegex(r, x.OpString(), x.Fold, texts...)
		if err != nil {
			panic("eql: bug: " + err.Error()) // checked before
		}
		return p
	case x.Op == ":" && len(texts) == 1 && !expr.IsWildcard(texts[0]):
		return expr.NewIn(r, true, event.String(texts[0]))
	}
	return expr.NewLike(r, x.OpString(), x.Op == ":" || x.Fold, texts...)
}

func (l *lowering) call(x *syntax.Call) expr.Pred {
	if findFunction(x.Name).name == "cidrMatch" {
		if f, ok := x.Args[0].(*syntax.Field); ok {
			p := &expr.CIDR{Ref: l.ref(f)}
			for _, a := range x.Args[1:] {
				s := l.infos[a].value.Str()
				b, _ := expr.ParseBlock(s)
				p.Blocks = append(p.Blocks, b)
				p.Text = append(p.Text, s)
			}
			return p
		}
	}
	return l.script(x, false)
}

// scalar lowers an expression to a computation.
func (l *lowering) scalar(x syntax.Expr) expr.Scalar {
	if i := l.infos[x]; i.konst {
		return &expr.ConstValue{V: i.value}
	}
	switch x := x.(type) {
	case *syntax.Literal:
		return &expr.ConstValue{V: literal(x).value}
	case *syntax.Field:
		return &expr.FieldValue{Ref: l.ref(x)}
	case *syntax.Not:
		return l.apply(func(a []event.Value) (event.Value, error) { return not(a[0]), nil }, x.X)
	case *syntax.Logical:
		if x.Op == "and" {
			return l.apply(func(a []event.Value) (event.Value, error) { return kleene(a, false), nil }, x.Xs...)
		}
		return l.apply(func(a []event.Value) (event.Value, error) { return kleene(a, true), nil }, x.Xs...)
	case *syntax.Neg:
		if x.Op == "+" {
			return l.scalar(x.X)
		}
		return l.apply(func(a []event.Value) (event.Value, error) {
			if v := numeric(a[0]); v.Kind() == event.KindFloat {
				return event.Float(-v.Float()), nil // keeps the sign of zero
			}
			return l.fit(x, event.Int(0), a[0], "-")
		}, x.X)
	case *syntax.Binary:
		return l.scalarBinary(x)
	case *syntax.In:
		return l.scalarIn(x)
	case *syntax.StringOp:
		return l.scalarString(x)
	case *syntax.Call:
		f := findFunction(x.Name)
		return l.apply(func(a []event.Value) (event.Value, error) {
			v, err := f.eval(x.Fold, a)
			return l.narrow(x, v), err
		}, x.Args...)
	}
	panic("eql: bug: scalar")
}

func (l *lowering) apply(fn func([]event.Value) (event.Value, error), args ...syntax.Expr) expr.Scalar {
	a := &expr.Apply{}
	for _, x := range args {
		a.Args = append(a.Args, l.scalar(x))
	}
	failed := l.failed
	a.Fn = func(args []event.Value) event.Value {
		v, err := fn(args)
		if err != nil {
			if failed != nil {
				failed(err)
			}
			return event.Null()
		}
		return v
	}
	return a
}

// fit computes an arithmetic operation and checks that its result has the
// width of its type.
func (l *lowering) fit(x syntax.Expr, a, b event.Value, op string) (event.Value, error) {
	v, err := arithmetic(op, a, b)
	if err == nil && l.infos[x].typ == intType && v.Kind() == event.KindInt && (v.Int() > math.MaxInt32 || v.Int() < math.MinInt32) {
		return event.Null(), errOverflow
	}
	return v, err
}

// narrow drops a result that is too wide for the 32-bit type of x.
func (l *lowering) narrow(x syntax.Expr, v event.Value) event.Value {
	if l.infos[x].typ == intType && v.Kind() == event.KindInt && (v.Int() > math.MaxInt32 || v.Int() < math.MinInt32) {
		return event.Null()
	}
	return v
}

func not(v event.Value) event.Value {
	if v.Kind() != event.KindBool {
		return event.Null()
	}
	return event.Bool(!v.Bool())
}

// kleene joins truth values: one that is decisive decides, else a null makes
// the whole null.
func kleene(a []event.Value, decisive bool) event.Value {
	null := false
	for _, v := range a {
		if v.Kind() != event.KindBool {
			null = true
		} else if v.Bool() == decisive {
			return event.Bool(decisive)
		}
	}
	if null {
		return event.Null()
	}
	return event.Bool(!decisive)
}

func (l *lowering) scalarBinary(x *syntax.Binary) expr.Scalar {
	switch x.Op {
	case "+", "-", "*", "/", "%":
		return l.apply(func(a []event.Value) (event.Value, error) { return l.fit(x, a[0], a[1], x.Op) }, x.X, x.Y)
	}
	side, op, k := x.X, x.Op, l.infos[x.Y]
	if !k.konst && l.infos[x.X].konst {
		side, op, k = x.Y, flipped[x.Op], l.infos[x.X]
	}
	if k.konst && !k.value.Exists() && (op == "==" || op == "!=") { // a null check is never null
		return l.apply(func(a []event.Value) (event.Value, error) { return event.Bool(a[0].Exists() == (op == "!=")), nil }, side)
	}
	if k.konst {
		c := expr.NewConst(k.value)
		return l.apply(func(a []event.Value) (event.Value, error) { return compareScalars(op, a[0], &c), nil }, side)
	}
	return l.apply(func(a []event.Value) (event.Value, error) {
		c := expr.NewConst(a[1])
		return compareScalars(op, a[0], &c), nil
	}, x.X, x.Y)
}

func compareScalars(op string, v event.Value, c *expr.Const) event.Value {
	if !v.Exists() || !c.V.Exists() {
		return event.Null()
	}
	n, ok := c.Compare(v, expr.Untyped)
	if !ok {
		return event.Bool(op == "!=")
	}
	return event.Bool(expr.Ordered(op, n))
}

func (l *lowering) scalarIn(x *syntax.In) expr.Scalar {
	var cs []expr.Const
	for _, y := range x.List {
		cs = append(cs, expr.NewConst(l.infos[y].value))
	}
	return l.apply(func(a []event.Value) (event.Value, error) {
		if !a[0].Exists() {
			return event.Null(), nil
		}
		for i := range cs {
			if !cs[i].V.Exists() {
				continue
			}
			if x.Fold && strings.EqualFold(a[0].Text(), cs[i].V.Text()) || !x.Fold && cs[i].Equal(a[0], expr.Untyped) {
				return event.Bool(!x.Negated), nil
			}
		}
		return event.Bool(x.Negated), nil
	}, x.X)
}

// scalarString is : like and regex on computed text, where case folds in all of
// Unicode and regular expressions are Java's.
func (l *lowering) scalarString(x *syntax.StringOp) expr.Scalar {
	fold := x.Fold || x.Op == ":"
	var tests []func(string) bool
	for _, y := range x.List {
		if y.Kind != syntax.StringLit {
			continue
		}
		switch {
		case x.Op == "regex":
			re, _, err := javaRegex(y.Str, fold)
			if err != nil {
				panic("eql: bug: " + err.Error()) // checked before
			}
			tests = append(tests, re.MatchString)
		case fold:
			p := expr.NewPattern(lower(y.Str), false)
			tests = append(tests, func(s string) bool { return p.Match(lower(s)) })
		default:
			p := expr.NewPattern(y.Str, false)
			tests = append(tests, p.Match)
		}
	}
	return l.apply(func(a []event.Value) (event.Value, error) {
		if !a[0].Exists() || len(tests) == 0 {
			return event.Null(), nil
		}
		s := a[0].Text()
		for _, t := range tests {
			if t(s) {
				return event.Bool(true), nil
			}
		}
		return event.Bool(false), nil
	}, x.X)
}

// javaRegex compiles a java.util.regex pattern that has to match as a whole, and
// says how large it is. What cannot run in linear time (back references,
// look-around, possessive quantifiers) is refused, and so is what Go would read in
// another way.
func javaRegex(text string, fold bool) (re *regexp.Regexp, size int, err error) {
	if err := javaOnly(text); err != nil {
		return nil, 0, err
	}
	flags := syntaxre.Perl
	if fold {
		flags |= syntaxre.FoldCase
	}
	tree, err := syntaxre.Parse(text, flags)
	var wrong *syntaxre.Error
	switch {
	case errors.As(err, &wrong) && len(wrong.Expr) > 60:
		return nil, 0, errors.New(wrong.Code.String())
	case errors.As(err, &wrong):
		return nil, 0, fmt.Errorf("%v: %s", wrong.Code, wrong.Expr)
	case err != nil:
		return nil, 0, err
	}
	if size = javaSize(tree); size > expr.MaxRegexSize {
		return nil, 0, expr.ErrRegexSize
	}
	javaDots(tree)
	re, err = regexp.Compile(`\A(?:` + tree.String() + `)\z`)
	return re, size, err
}

// javaSize is how many characters and sets re has with its repetitions written out,
// or some number above MaxRegexSize.
func javaSize(re *syntaxre.Regexp) int {
	total := max(1, len(re.Rune))
	if re.Op == syntaxre.OpCharClass {
		total = 1
	}
	for _, sub := range re.Sub {
		if total += javaSize(sub); total > expr.MaxRegexSize {
			return total
		}
	}
	if re.Op == syntaxre.OpRepeat {
		total *= max(re.Min, re.Max, 1)
	}
	return total
}

// javaOnly refuses sets in sets, intersections of sets and a flag, which mean
// something else in Go.
func javaOnly(text string) error {
	class := false
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, `\Q`):
			n := strings.Index(rest, `\E`)
			if n < 0 {
				return nil
			}
			i += n + 1
		case rest[0] == '\\':
			i++
		case class && rest[0] == ']':
			class = false
		case class && strings.HasPrefix(rest, "&&"):
			return errors.New("intersections of sets, &&, are not supported")
		case class && rest[0] == '[':
			return errors.New("sets in sets are not supported; escape the bracket")
		case !class && rest[0] == '[':
			class = true
			for _, start := range []string{"[^]", "[]"} { // a bracket right behind the first is a character
				if strings.HasPrefix(rest, start) {
					i += len(start) - 1
				}
			}
		case !class && strings.HasPrefix(rest, "(?"):
			flags := rest[2 : 2+max(0, strings.IndexAny(rest[2:], ":)"))]
			if strings.Contains(flags, "U") && strings.Trim(flags, "imsxudU-") == "" {
				return errors.New("the flag U is not supported")
			}
		}
	}
	return nil
}

// javaDots narrows every dot to what Java's does not match: no line terminator.
func javaDots(re *syntaxre.Regexp) {
	if re.Op == syntaxre.OpAnyCharNotNL {
		re.Op = syntaxre.OpCharClass
		re.Rune = []rune{0, '\n' - 1, '\n' + 1, '\r' - 1, '\r' + 1, 0x84, 0x86, 0x2027, 0x202a, unicode.MaxRune}
	}
	for _, sub := range re.Sub {
		javaDots(sub)
	}
}
