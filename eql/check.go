package eql

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// info is what checking finds out about an expression.
type info struct {
	typ   dataType
	konst bool        // has the same value for every event
	value event.Value // that value
	field *syntax.Field
}

// A checker types a query, folds its constants and collects its mistakes.
type checker struct {
	src     syntax.Source
	mapping *Mapping
	infos   map[syntax.Expr]info
	regexes int // how large those so far are
	errs    syntax.Errors
}

// maxRegexes bounds how large all regular expressions of a query are together.
const maxRegexes = 10 * expr.MaxRegexSize

// maxMistakes bounds how many mistakes one query is told of.
const maxMistakes = 100

func (c *checker) fail(class syntax.Class, r syntax.Range, hint, format string, args ...any) {
	if len(c.errs) >= maxMistakes {
		return
	}
	c.errs = append(c.errs, &syntax.Error{Class: class, Src: c.src, Range: r, Msg: syntax.Message(format, args...), Hint: hint})
}

// text is an expression as the query spells it.
func (c *checker) text(x syntax.Expr) string {
	r := x.Span()
	const most = 60
	if r.End-r.Start > most {
		end := r.Start + most
		for !utf8.RuneStart(c.src.Text[end]) {
			end--
		}
		return c.src.Text[r.Start:end] + "…"
	}
	return c.src.Text[r.Start:r.End]
}

func (c *checker) check(x syntax.Expr) info {
	known := len(c.errs)
	i := c.find(x)
	if len(c.errs) > known {
		i.typ = unknownType // what is around it is not to blame for its type
	}
	c.infos[x] = i
	return i
}

func (c *checker) find(x syntax.Expr) info {
	switch x := x.(type) {
	case *syntax.Literal:
		return literal(x)
	case *syntax.Field:
		return c.field(x)
	case *syntax.Not:
		i := c.check(x.X)
		c.boolean(x.X, i)
		return c.fold(x, boolType, i)
	case *syntax.Logical:
		all := make([]info, len(x.Xs))
		for n, y := range x.Xs {
			all[n] = c.check(y)
			c.boolean(y, all[n])
		}
		return c.fold(x, boolType, all...)
	case *syntax.Neg:
		i := c.check(x.X)
		c.numeric(x.X, i, "argument of ["+x.Op+"]")
		typ := i.typ
		if typ == unknownType {
			typ = numberType
		}
		return c.fold(x, typ, i)
	case *syntax.Binary:
		return c.binary(x)
	case *syntax.In:
		return c.in(x)
	case *syntax.StringOp:
		return c.stringOp(x)
	case *syntax.Call:
		return c.call(x)
	}
	panic(fmt.Sprintf("eql: bug: expression %T", x))
}

func literal(x *syntax.Literal) info {
	i := info{konst: true}
	switch x.Kind {
	case syntax.NullLit:
		i.typ, i.value = nullType, event.Null()
	case syntax.BoolLit:
		i.typ, i.value = boolType, event.Bool(x.Bool)
	case syntax.IntLit:
		i.typ, i.value = longType, event.Int(x.Int)
		if x.Int >= math.MinInt32 && x.Int <= math.MaxInt32 {
			i.typ = intType
		}
	case syntax.DecimalLit:
		i.typ, i.value = doubleType, event.Float(x.Float)
	case syntax.StringLit:
		i.typ, i.value = keywordType, event.String(x.Str)
	}
	return i
}

func (c *checker) field(x *syntax.Field) info {
	if x.Path == "" {
		c.fail(syntax.Verification, x.Range, "name a field between the backticks", "Unknown column []")
	}
	if c.mapping == nil {
		return info{field: x}
	}
	col := c.mapping.lookup(x.Path)
	if col == nil {
		if x.Optional {
			return info{typ: nullType, konst: true, value: event.Null()}
		}
		if len(c.errs) >= maxMistakes {
			return info{field: x}
		}
		near := syntax.Similar(x.Path, c.mapping.names)
		hint := syntax.DidYouMean(x.Path, c.mapping.names)
		if len(near) == 0 {
			if below := c.mapping.similar(x.Path); len(below) > 0 {
				hint = fmt.Sprintf("it is an object; did you mean %q?", below[0])
			}
		}
		c.fail(syntax.Verification, x.Range, hint, "Unknown column [%s]", x.Path)
		return info{field: x}
	}
	switch {
	case col.nested != "" && col.nested != col.name:
		c.fail(syntax.Verification, x.Range, "", "Cannot use field [%s] type [%s] with unsupported nested type in hierarchy (field [%s])", x.Path, col.typ, col.nested)
		return info{field: x}
	case !col.typ.usable():
		c.fail(syntax.Verification, x.Range, "", "Cannot use field [%s] with unsupported type [%s]", x.Path, col.typ)
		return info{field: x}
	}
	return info{typ: col.typ, field: x}
}

// exact checks that a field can be compared as a whole; where names the
// expression and argument that needs it.
func (c *checker) exact(i info, in syntax.Expr, which string) {
	if i.field == nil || c.mapping == nil {
		return
	}
	col := c.mapping.lookup(i.field.Path)
	if col == nil {
		return
	}
	why := ""
	switch {
	case col.typ == textType && col.candidates == 0:
		why = "No keyword/multi-field defined exact matches for [" + lastPart(col.name) + "]; define one or use MATCH/QUERY instead"
	case col.typ == textType && col.candidates > 1:
		why = "Multiple exact keyword candidates available for [" + lastPart(col.name) + "]; specify which one to use"
	case col.normalizer:
		why = "Normalized keyword field cannot be used for exact match operations"
	default:
		return
	}
	if which != "" {
		which += " argument "
	}
	c.fail(syntax.Verification, in.Span(), "", "[%s] cannot operate on %sfield of data type [%s]: %s", c.text(in), which, col.typ, why)
}

func lastPart(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[i+1:]
		}
	}
	return name
}

// condition checks the expression behind where.
func (c *checker) condition(x syntax.Expr) {
	i := c.check(x)
	switch i.typ {
	case boolType, nullType, unknownType:
		return
	}
	c.fail(syntax.Verification, x.Span(), "compare it with something", "Condition expression needs to be boolean, found [%s]", upper(i.typ))
}

func upper(t dataType) string {
	b := []byte(t)
	for i, ch := range b {
		if ch >= 'a' && ch <= 'z' {
			b[i] = ch - 32
		}
	}
	return string(b)
}

func (c *checker) boolean(x syntax.Expr, i info) {
	switch i.typ {
	case boolType, nullType, unknownType:
		return
	}
	c.fail(syntax.Verification, x.Span(), "compare it with something", "argument of a logical operator must be [boolean], found value [%s] type [%s]", c.text(x), i.typ)
}

// numeric checks that an operand may be a number.
func (c *checker) numeric(x syntax.Expr, i info, what string) {
	if i.typ.isNumeric() || i.typ == unknownType || i.typ == nullType {
		return
	}
	c.fail(syntax.Verification, x.Span(), "", "%s must be [numeric], found value [%s] type [%s]", what, c.text(x), i.typ)
}

var ordinals = [...]string{"first", "second", "third", "fourth", "fifth"}

func ordinal(n int) string {
	if n < len(ordinals) {
		return ordinals[n]
	}
	return fmt.Sprintf("%dth", n+1)
}

func (c *checker) binary(x *syntax.Binary) info {
	known := len(c.errs)
	a, b := c.check(x.X), c.check(x.Y)
	switch x.Op {
	case "+", "-", "*", "/", "%":
		c.numeric(x.X, a, "first argument of ["+x.Op+"]")
		c.numeric(x.Y, b, "second argument of ["+x.Op+"]")
		return c.fold(x, commonNumber(a.typ, b.typ), a, b)
	}
	if (a.konst && !a.value.Exists() || b.konst && !b.value.Exists()) && (x.Op == "==" || x.Op == "!=") {
		// A null check: x == null asks whether there is a value.
		if a.konst && b.konst {
			both := !a.value.Exists() && !b.value.Exists()
			return info{typ: boolType, konst: true, value: event.Bool(both == (x.Op == "=="))}
		}
		return info{typ: boolType}
	}
	c.exact(a, x, "first")
	c.exact(b, x, "second")
	// Elasticsearch says this of what has no other mistakes.
	if len(c.errs) == known && !a.konst && !b.konst && hasField(x.X) {
		if f := firstField(x.Y); f != nil {
			hint := "compare a field with a constant"
			if word := strings.ToLower(f.Path); word != f.Path && syntax.IsKeyword(word) {
				hint = "keywords are in lower case: " + word
			}
			c.fail(syntax.IllegalArgument, f.Range, hint, "Comparisons against fields are not (currently) supported; offender [%s] in [%s]", f.Path, x.Op)
		}
	}
	if a.konst && !a.value.Exists() || b.konst && !b.value.Exists() {
		return info{typ: boolType, konst: true, value: event.Null()} // x < null is null
	}
	return c.fold(x, boolType, a, b)
}

func hasField(x syntax.Expr) bool { return firstField(x) != nil }

func firstField(x syntax.Expr) (f *syntax.Field) {
	syntax.Walk(x, func(y syntax.Expr) bool {
		if g, ok := y.(*syntax.Field); ok && f == nil {
			f = g
		}
		return f == nil
	})
	return f
}

func commonNumber(a, b dataType) dataType {
	switch {
	case a.isFraction() || b.isFraction():
		return doubleType
	case a == unknownType || b == unknownType || a == numberType || b == numberType:
		return numberType
	case a == nullType || b == nullType:
		return nullType
	case small(a) && small(b):
		return intType
	}
	return longType
}

// small reports whether values of the type are 32-bit integers.
func small(t dataType) bool { return t == intType || t == "short" || t == "byte" }

func (c *checker) in(x *syntax.In) info {
	a := c.check(x.X)
	c.exact(a, x, "first")
	all := []info{a}
	if x.Fold && !a.typ.isString() && a.typ != unknownType && a.typ != nullType {
		c.fail(syntax.Verification, x.X.Span(), "use in", "first argument of [in~] must be [string], found value [%s] type [%s]", c.text(x.X), a.typ)
		return info{typ: boolType}
	}
	for n, y := range x.List {
		b := c.check(y)
		all = append(all, b)
		if f := firstField(y); f != nil && !b.konst {
			c.fail(syntax.Verification, x.Range, "list constants", "Comparisons against fields are not (currently) supported; offender [%s] in [%s]", f.Path, c.text(x))
			continue
		}
		want := a.typ
		if want.isDate() || want == ipType || want == versionType || want == "binary" {
			continue // written as text or numbers
		}
		if x.Fold && !b.typ.isString() && b.typ != nullType {
			want = keywordType
		}
		if !want.matches(b.typ) {
			c.fail(syntax.Verification, y.Span(), "", "%s argument of [%s] must be [%s], found value [%s] type [%s]", ordinal(n+1), c.text(x), want, c.text(y), b.typ)
		}
	}
	return c.fold(x, boolType, all...)
}

func (c *checker) stringOp(x *syntax.StringOp) info {
	a := c.check(x.X)
	if !a.typ.isString() && a.typ != unknownType && a.typ != nullType {
		hint := ""
		if x.Op == ":" {
			hint = "consider using [==] instead"
		}
		c.fail(syntax.Verification, x.X.Span(), hint, "first argument of [%s] must be [string], found value [%s] type [%s]", x.OpString(), c.text(x.X), a.typ)
	}
	c.exact(a, x, "first")
	all := []info{a}
	for _, l := range x.List {
		b := c.check(l)
		all = append(all, b)
		if !b.typ.isString() && (b.typ != nullType || x.Op != ":") {
			hint := ""
			if x.Op == ":" {
				hint = "consider using [==] instead"
			}
			c.fail(syntax.Verification, l.Range, hint, "second argument of [%s] must be [string], found value [%s] type [%s]", x.OpString(), c.text(l), b.typ)
			continue
		}
		if x.Op == "regex" && b.typ != nullType {
			_, isField := x.X.(*syntax.Field)
			c.regex(l, isField, x.Fold)
		}
	}
	if len(c.errs) > 0 {
		return info{typ: boolType}
	}
	return c.fold(x, boolType, all...)
}

// regex checks a regular expression, of Lucene on a field and else of Java.
func (c *checker) regex(l *syntax.Literal, onField, fold bool) {
	if c.regexes > maxRegexes {
		return // that has been said
	}
	size, err := 0, error(nil)
	if onField {
		var p *expr.Regex
		if p, err = expr.NewRegex(expr.Ref{}, "regex", fold, l.Str); err == nil {
			size = p.Size()
		}
	} else {
		_, size, err = javaRegex(l.Str, fold)
	}
	if err != nil {
		c.regexes += expr.MaxRegexStates // to find it out took about as long
		c.fail(syntax.IllegalArgument, l.Range, "", "Cannot compile the regular expression: %v", err)
		return
	}
	if c.regexes += size; c.regexes > maxRegexes {
		c.fail(syntax.IllegalArgument, l.Range, "", "the regular expressions of the query are larger than the limit of %d characters with their repetitions written out", maxRegexes)
	}
}

func (c *checker) call(x *syntax.Call) info {
	args := make([]info, len(x.Args))
	for i, a := range x.Args {
		args[i] = c.check(a)
	}
	f := findFunction(x.Name)
	if f == nil {
		c.fail(syntax.Verification, x.NameAt, syntax.DidYouMean(x.Name, functionNames()), "Unknown function [%s]", x.Name)
		return info{}
	}
	if x.Fold && !f.fold {
		c.fail(syntax.Parsing, x.NameAt, "leave the ~ out", "Function [%s] does not support case-(in)sensitivity", f.name)
		return info{typ: f.result}
	}
	if !f.accepts(len(args)) {
		c.fail(syntax.Parsing, x.NameAt, "", "error building [%s]: expects %s, found %d", f.name, f.arity(), len(args))
		return info{typ: f.result}
	}
	good := true
	for i, a := range args {
		good = c.argument(x, f, i, a) && good
	}
	if !good {
		return info{typ: f.result}
	}
	typ := f.result
	if typ == numberType && len(args) == 2 && f.name != "number" {
		typ = commonNumber(args[0].typ, args[1].typ)
	}
	return c.fold(x, typ, args...)
}

// argument checks one argument and reports whether it may be used.
func (c *checker) argument(x *syntax.Call, f *function, i int, a info) bool {
	p := f.param(i)
	t := a.typ
	ok := t == unknownType || t == nullType
	switch p {
	case anyParam:
		ok = true
	case stringParam:
		ok = ok || t.isString()
	case numberParam:
		ok = ok || t.isNumeric()
	case intParam:
		ok = ok || t.isInteger() || t == numberType
	case boolParam:
		ok = ok || t == boolType
	case ipParam:
		ok = ok || t == ipType || a.field == nil && t.isString()
	case blockParam:
		ok = t.isString() || t == unknownType
	}
	if !ok {
		c.fail(syntax.Verification, x.Range, "", "%s argument of [%s] must be [%s], found value [%s] type [%s]", ordinal(i), c.text(x), p, c.text(x.Args[i]), t)
		return false
	}
	if p == stringParam || p == anyParam {
		n := len(c.errs)
		which := ordinal(i)
		if len(f.params) == 1 {
			which = ""
		}
		c.exact(a, x, which)
		if len(c.errs) > n {
			return false
		}
	}
	if p == blockParam {
		if !a.konst {
			c.fail(syntax.Verification, x.Args[i].Span(), "", "%s argument of [%s] must be a constant, received [%s]", ordinal(i), c.text(x), c.text(x.Args[i]))
			return false
		}
		if _, err := expr.ParseBlock(a.value.Str()); err != nil {
			c.fail(syntax.Verification, x.Args[i].Span(), "write an address, a slash and a number of bits, such as 10.0.0.0/8", "[%s] is not a CIDR block", a.value.Str())
			return false
		}
	}
	return true
}

// fold computes x if all its parts are constants.
func (c *checker) fold(x syntax.Expr, typ dataType, parts ...info) info {
	i := info{typ: typ}
	if slices.ContainsFunc(parts, func(p info) bool { return !p.konst }) || len(c.errs) > 0 {
		return i
	}
	var err error
	l := lowering{checker: c, failed: func(e error) { err = e }}
	c.infos[x] = i
	i.value = l.scalar(x).Eval(&expr.Frame{})
	i.konst = true
	if err != nil {
		c.fail(syntax.IllegalArgument, x.Span(), "", "Cannot compute [%s]: %v", c.text(x), err)
		return info{typ: typ}
	}
	if i.value.Kind() == event.KindMissing {
		i.value = event.Null()
	}
	if !i.value.Exists() {
		i.typ = nullType
	}
	return i
}
