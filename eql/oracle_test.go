package eql_test

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/orlop/orlop/eql/syntax"
)

// The oracle is the meaning of the language written down a second time, as
// plainly as possible and with no thought for speed: documents are maps,
// conditions are evaluated by recursion over the tree, sequences are matched
// stage by stage over complete lists of events, as Elasticsearch does it, and
// samples by trying everything. It shares no code with the package but the tree.

// A doc is a document: no entry is a missing field, an empty one is null.
// Values are bool, int64, float64 and string.
type doc struct {
	id     int64
	nanos  int64 // since some origin
	tie    any   // the tiebreaker, nil if there is none
	fields map[string][]any
}

// constant folds x where it is the same for every document.
func constant(x syntax.Expr) (any, bool) {
	switch x := x.(type) {
	case *syntax.Field:
		return nil, false
	case *syntax.Binary:
		// A comparison by order with null is null whatever the other side is.
		switch x.Op {
		case "<", "<=", ">", ">=":
			for _, side := range []syntax.Expr{x.X, x.Y} {
				if v, ok := constant(side); ok && v == nil {
					return nil, true
				}
			}
		}
	}
	fixed := true
	syntax.Walk(x, func(y syntax.Expr) bool {
		if y != x {
			_, ok := constant(y)
			fixed = fixed && ok
		}
		return y == x
	})
	if !fixed {
		return nil, false
	}
	return eval(x, nil), true
}

func fieldsOf(x syntax.Expr) []string {
	var names []string
	syntax.Walk(x, func(y syntax.Expr) bool {
		if f, ok := y.(*syntax.Field); ok && !slices.Contains(names, f.Path) {
			names = append(names, f.Path)
		}
		return true
	})
	return names
}

// holds evaluates a condition: leaves are two-valued, not negates.
func (d *doc) holds(x syntax.Expr) bool {
	if v, ok := constant(x); ok {
		return v == true
	}
	switch x := x.(type) {
	case *syntax.Not:
		return !d.holds(x.X)
	case *syntax.Logical:
		for _, y := range x.Xs {
			if d.holds(y) != (x.Op == "and") {
				return x.Op == "or"
			}
		}
		return x.Op == "and"
	case *syntax.In:
		if x.Negated {
			y := *x
			y.Negated = false
			return !d.holds(&y)
		}
	case *syntax.Binary:
		if x.Op == "!=" {
			y := *x
			y.Op = "=="
			return !d.holds(&y)
		}
		if x.Op == "==" {
			side, other := x.X, x.Y
			v, ok := constant(other)
			if !ok {
				side, other = other, side
				v, ok = constant(other)
			}
			switch {
			case ok && v == nil:
				return d.some(side, func(v any) bool { return v == nil })
			case ok && isBool(side) && v == true:
				return d.holds(side)
			case ok && isBool(side) && v == false:
				return !d.holds(side)
			}
		}
	}
	return d.some(x, func(v any) bool { return v == true })
}

// isBool reports whether x is a predicate, by its form.
func isBool(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.Not, *syntax.Logical, *syntax.In, *syntax.StringOp:
		return true
	case *syntax.Binary:
		return strings.Contains("== != <= >=", x.Op)
	case *syntax.Call:
		switch strings.ToLower(x.Name) {
		case "startswith", "endswith", "stringcontains", "cidrmatch":
			return true
		}
	}
	return false
}

// some reports whether test accepts the value of x for some choice of one value
// for each of its fields.
func (d *doc) some(x syntax.Expr, test func(any) bool) bool {
	names := fieldsOf(x)
	chosen := map[string]any{}
	var try func(n int) bool
	try = func(n int) bool {
		switch f, isField := x.(*syntax.Field); {
		case n < len(names):
			values := d.fields[names[n]]
			if len(values) == 0 {
				values = []any{nil}
			}
			for _, v := range values {
				chosen[names[n]] = v
				if try(n + 1) {
					return true
				}
			}
			return false
		case isField:
			return test(chosen[f.Path])
		}
		return test(eval(x, chosen))
	}
	return try(0)
}

// eval computes x with null as nil.
func eval(x syntax.Expr, chosen map[string]any) any {
	at := func(y syntax.Expr) any { return eval(y, chosen) }
	switch x := x.(type) {
	case *syntax.Field:
		return chosen[x.Path]
	case *syntax.Literal:
		switch x.Kind {
		case syntax.BoolLit:
			return x.Bool
		case syntax.IntLit:
			return x.Int
		case syntax.DecimalLit:
			return x.Float
		case syntax.StringLit:
			return x.Str
		}
		return nil
	case *syntax.Not:
		if b, ok := at(x.X).(bool); ok {
			return !b
		}
		return nil
	case *syntax.Logical:
		var vs []any
		for _, y := range x.Xs {
			vs = append(vs, at(y))
		}
		return kleene(x.Op, vs)
	case *syntax.Neg:
		if x.Op == "+" {
			return at(x.X)
		}
		switch v := toNumber(at(x.X)).(type) {
		case int64:
			return -v
		case float64:
			return -v
		}
		return nil
	case *syntax.Binary:
		a, b := at(x.X), at(x.Y)
		switch x.Op {
		case "+", "-", "*", "/", "%":
			return arith(x.Op, a, b)
		case "==", "!=":
			an, aok := constant(x.X)
			bn, bok := constant(x.Y)
			if aok && an == nil || bok && bn == nil {
				return (a == nil && b == nil) == (x.Op == "==")
			}
		}
		if a == nil || b == nil {
			return nil
		}
		n, ok := 0, false
		if _, isConst := constant(x.Y); isConst {
			n, ok = order(a, b)
		} else {
			n, ok = order(b, a)
			n = -n
		}
		switch x.Op {
		case "==":
			return ok && n == 0
		case "!=":
			return !ok || n != 0
		case "<":
			return ok && n < 0
		case "<=":
			return ok && n <= 0
		case ">":
			return ok && n > 0
		}
		return ok && n >= 0
	case *syntax.In:
		a := at(x.X)
		if a == nil {
			return nil
		}
		_, isField := x.X.(*syntax.Field)
		found := false
		for _, y := range x.List {
			v := at(y)
			switch {
			case v == nil:
			case x.Fold && isField:
				found = found || lowerASCII(text(a)) == lowerASCII(text(v))
			case x.Fold:
				found = found || strings.EqualFold(text(a), text(v))
			default:
				n, ok := order(a, v)
				found = found || ok && n == 0
			}
		}
		return found != x.Negated
	case *syntax.StringOp:
		a := at(x.X)
		if a == nil {
			return nil
		}
		_, isField := x.X.(*syntax.Field)
		for _, l := range x.List {
			fold := x.Fold || x.Op == ":"
			s, p := text(a), l.Str
			if x.Op == "regex" {
				if patterns[p](s, fold) {
					return true
				}
				continue
			}
			switch {
			case fold && isField:
				s, p = lowerASCII(s), lowerASCII(p)
			case fold:
				s, p = strings.Map(unicode.ToLower, s), strings.Map(unicode.ToLower, p)
			}
			if wild([]rune(p), []rune(s)) {
				return true
			}
		}
		return false
	case *syntax.Call:
		var args []any
		for _, y := range x.Args {
			args = append(args, at(y))
		}
		return call(strings.ToLower(x.Name), x.Fold, args)
	}
	panic(fmt.Sprintf("%T", x))
}

func kleene(op string, vs []any) any {
	null := false
	for _, v := range vs {
		if v == (op == "or") {
			return v
		}
		null = null || v == nil
	}
	if null {
		return nil
	}
	return op == "and"
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// wild matches * and ?, by trying.
func wild(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '*':
		return wild(p[1:], s) || len(s) > 0 && wild(p, s[1:])
	}
	return len(s) > 0 && (p[0] == '?' || p[0] == s[0]) && wild(p[1:], s[1:])
}

// patterns are the regular expressions that are drawn, and what they mean.
// Both dialects agree on those that stand behind functions.
var patterns = map[string]func(s string, fold bool) bool{
	"a.*":  func(s string, fold bool) bool { return strings.HasPrefix(foldIf(s, fold), "a") },
	"ab|1": func(s string, fold bool) bool { s = foldIf(s, fold); return s == "ab" || s == "1" },
	"(ab?)+": func(s string, fold bool) bool {
		s = foldIf(s, fold)
		return strings.HasPrefix(s, "a") && strings.Trim(s, "ab") == "" && !strings.Contains(s, "bb")
	},
	"b": func(s string, fold bool) bool { return foldIf(s, fold) == "b" },
}

func foldIf(s string, fold bool) string {
	if fold {
		return lowerASCII(s)
	}
	return s
}

// text prints a scalar as Java does.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		switch {
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		case math.IsNaN(v):
			return "NaN"
		}
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return fmt.Sprint(v)
}

// order compares a value with a constant. Without a mapping, text that writes a
// number compares with numbers as one.
func order(v, c any) (int, bool) {
	num := func(v any) (float64, bool) {
		switch v := toNumber(v).(type) {
		case int64:
			return float64(v), true
		case float64:
			return v, true
		}
		return 0, false
	}
	truth := func(v any) (int, bool) {
		switch v {
		case true, "true":
			return 1, true
		case false, "false":
			return 0, true
		}
		return 0, false
	}
	_, vs := v.(string)
	_, cs := c.(string)
	_, vb := v.(bool)
	_, cb := c.(bool)
	switch {
	case vs && cs:
		return strings.Compare(v.(string), c.(string)), true
	case vb || cb:
		a, ok := truth(v)
		b, ok2 := truth(c)
		return a - b, ok && ok2
	}
	a, ok := num(v)
	b, ok2 := num(c)
	return cmp.Compare(a, b), ok && ok2 && !math.IsNaN(a) && !math.IsNaN(b)
}

// toNumber is v as a number: int64 or float64, or nil.
func toNumber(v any) any {
	switch v := v.(type) {
	case int64, float64:
		return v
	case string:
		if i, err := strconv.ParseInt(v, 10, 64); err == nil {
			return i
		}
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return f
		}
	}
	return nil
}

func arith(op string, a, b any) any {
	a, b = toNumber(a), toNumber(b)
	if a == nil || b == nil {
		return nil
	}
	x, xi := a.(int64)
	y, yi := b.(int64)
	if xi && yi {
		switch {
		case op == "+":
			return x + y
		case op == "-":
			return x - y
		case op == "*":
			return x * y
		case y == 0:
			return nil
		case op == "/":
			return x / y
		}
		return x % y
	}
	f := func(v any) float64 {
		if i, ok := v.(int64); ok {
			return float64(i)
		}
		return v.(float64)
	}
	switch op {
	case "+":
		return f(a) + f(b)
	case "-":
		return f(a) - f(b)
	case "*":
		return f(a) * f(b)
	case "/":
		return f(a) / f(b)
	}
	return math.Mod(f(a), f(b))
}

func call(name string, fold bool, args []any) any {
	arg := func(i int) any {
		if i < len(args) {
			return args[i]
		}
		return nil
	}
	runes := func(i int) []rune {
		s := text(args[i])
		if fold {
			s = strings.Map(unicode.ToLower, s)
		}
		return []rune(s)
	}
	// at lists where sub stands in s.
	at := func(s, sub []rune) (places []int) {
		for i := 0; i+len(sub) <= len(s); i++ {
			if slices.Equal(s[i:i+len(sub)], sub) {
				places = append(places, i)
			}
		}
		return places
	}
	switch name {
	case "add", "subtract", "multiply", "divide", "modulo":
		return arith(map[string]string{"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "modulo": "%"}[name], args[0], args[1])
	case "concat":
		s := ""
		for _, v := range args {
			if v == nil {
				return nil
			}
			s += text(v)
		}
		return s
	}
	if args[0] == nil {
		return nil
	}
	switch name {
	case "length":
		return int64(len([]rune(text(args[0]))))
	case "string":
		return text(args[0])
	case "startswith", "endswith", "stringcontains":
		if args[1] == nil {
			return nil
		}
		s, sub := runes(0), runes(1)
		places := at(s, sub)
		switch name {
		case "startswith":
			return slices.Contains(places, 0)
		case "endswith":
			return slices.Contains(places, len(s)-len(sub))
		}
		return len(s) > 0 && len(sub) > 0 && len(places) > 0
	case "indexof":
		if args[1] == nil {
			return nil
		}
		start, _ := arg(2).(int64)
		for _, i := range at(runes(0), runes(1)) {
			if int64(i) >= start {
				return int64(i)
			}
		}
		return nil
	case "substring":
		s := []rune(text(args[0]))
		from, ok := arg(1).(int64)
		if !ok {
			return text(args[0])
		}
		to, ok := arg(2).(int64)
		if !ok {
			to = int64(len(s))
		}
		place := func(i int64) int64 {
			if i < 0 {
				i += int64(len(s))
			}
			return max(0, min(i, int64(len(s))))
		}
		if from, to = place(from), place(to); from >= to {
			return ""
		}
		return string(s[from:to])
	case "between":
		s, left, right := text(args[0]), args[1], args[2]
		if s == "" || left == nil || right == nil || left == "" || right == "" {
			return text(args[0])
		}
		lefts := at(runes(0), runes(1))
		if len(lefts) == 0 {
			return ""
		}
		from := lefts[0] + len(runes(1))
		var rights []int
		for _, i := range at(runes(0), runes(2)) {
			if i >= from {
				rights = append(rights, i)
			}
		}
		if len(rights) == 0 {
			return ""
		}
		to := rights[0]
		if arg(3) == true {
			to = rights[len(rights)-1]
		}
		return string([]rune(s)[from:to])
	case "number":
		if v, err := strconv.ParseInt(strings.TrimPrefix(text(args[0]), "+"), 10, 64); err == nil {
			return v
		}
		if v, err := strconv.ParseFloat(text(args[0]), 64); err == nil {
			return v
		}
		return nil
	case "cidrmatch":
		a, err := netip.ParseAddr(text(args[0]))
		for _, b := range args[1:] {
			if p, _ := netip.ParsePrefix(text(b)); err == nil && p.Masked().Contains(a) {
				return true
			}
		}
		return false
	}
	panic(name)
}

// inOrder sorts documents by time, tiebreaker (none is last) and place.
func inOrder(docs []*doc) []*doc {
	out := slices.Clone(docs)
	slices.SortStableFunc(out, func(a, b *doc) int {
		if n := cmp.Compare(a.nanos, b.nanos); n != 0 {
			return n
		}
		switch {
		case a.tie == nil && b.tie == nil:
			return 0
		case a.tie == nil:
			return 1
		case b.tie == nil:
			return -1
		}
		return cmp.Compare(a.tie.(int64), b.tie.(int64))
	})
	return out
}

func (d *doc) matches(f *syntax.Filter) bool {
	if !f.Any && !slices.Contains(d.fields["event.category"], any(f.Category)) {
		return false
	}
	return d.holds(f.Where)
}

// keysOf lists the different keys that a document has for a term, as text that
// is equal for equal keys. Numbers and text that writes them are equal.
func (d *doc) keysOf(by []*syntax.Field) []string {
	keys := []string{""}
	for _, k := range by {
		values := d.fields[k.Path]
		if len(values) == 0 {
			if !k.Optional {
				return nil
			}
			values = []any{nil}
		}
		var next []string
		for _, key := range keys {
			for _, v := range values {
				part := "null;"
				if v != nil {
					part = strconv.Quote(text(v)) + ";"
				}
				if !slices.Contains(next, key+part) {
					next = append(next, key+part)
				}
			}
		}
		keys = next
	}
	return keys
}

// found is a document at its place in the order.
type found struct {
	at int
	*doc
}

// sequences finds the sequences of s, as key and ids, -1 for a missing event.
func sequences(s *syntax.Sequence, docs []*doc) []string {
	docs = inOrder(docs)
	// hits[term][key] are the events of a term that have a key.
	hits := func(t *syntax.Term) map[string][]found {
		m := map[string][]found{}
		for i, d := range docs {
			if !d.matches(t.Filter) {
				continue
			}
			for _, key := range d.keysOf(slices.Concat(s.By, t.By)) {
				m[key] = append(m[key], found{i, d})
			}
		}
		return m
	}
	var terms []*syntax.Term // runs written out
	for _, t := range s.Terms {
		for range max(t.Runs, 1) {
			terms = append(terms, t)
		}
	}
	byTerm := make([]map[string][]found, len(terms))
	keys := map[string]bool{}
	for i, t := range terms {
		byTerm[i] = hits(t)
		for k := range byTerm[i] {
			keys[k] = true
		}
	}
	until := map[string][]found{}
	if s.Until != nil {
		until = hits(s.Until)
	}
	var out []string
	for key := range keys {
		// Stage by stage: pending are all sequences of the stage before.
		var pending [][]found
		first := true
		for i, t := range terms {
			if t.Missing {
				continue
			}
			var next [][]found
			for _, e := range byTerm[i][key] {
				if first {
					next = append(next, []found{e})
					continue
				}
				latest := -1
				for j, p := range pending {
					if p[len(p)-1].at < e.at {
						latest = j
					}
				}
				if latest < 0 {
					continue
				}
				p := pending[latest]
				pending = pending[latest+1:]
				if s.MaxSpan > 0 && e.nanos-p[0].nanos > int64(s.MaxSpan) {
					continue
				}
				end := -1
				for _, u := range until[key] {
					if u.at < e.at {
						end = u.at
					}
				}
				if end >= p[len(p)-1].at {
					continue
				}
				next = append(next, append(slices.Clone(p), e))
			}
			pending, first = next, false
		}
		for _, p := range pending {
			if accept(s, terms, byTerm, key, p) {
				line := key + " ["
				n := 0
				for _, t := range terms {
					if t.Missing {
						line += " -1"
						continue
					}
					line += fmt.Sprintf(" %d", p[n].id)
					n++
				}
				out = append(out, line+" ]")
			}
		}
	}
	slices.Sort(out)
	return out
}

// accept tests a candidate against the missing terms, by the formula of
// TumblingWindow.doCheckMissingEvents.
func accept(s *syntax.Sequence, terms []*syntax.Term, hits []map[string][]found, key string, p []found) bool {
	const none = math.MinInt64
	ms := func(f found) int64 { return f.nanos / 1e6 }
	span := s.MaxSpan.Milliseconds()
	first, last := ms(p[0]), ms(p[len(p)-1])
	lead, trail := int64(none), int64(none)
	n := 0 // positive terms passed
	for i, t := range terms {
		if !t.Missing {
			n++
			continue
		}
		for _, e := range hits[i][key] {
			switch at := ms(e); {
			case n == 0:
				if at < first && (lead == none || at > lead) {
					lead = at
				}
			case n == len(p):
				if at > last && (trail == none || at < trail) {
					trail = at
				}
			case at > ms(p[n-1]) && at < ms(p[n]):
				return false
			}
		}
	}
	firstMissing, lastMissing := terms[0].Missing, terms[len(terms)-1].Missing
	noLead, noTrail := lead == none, trail == none
	return noLead && noTrail ||
		firstMissing && noLead ||
		lastMissing && noTrail ||
		firstMissing && lastMissing && trail-lead > span ||
		firstMissing && !lastMissing && last-lead > span ||
		!firstMissing && lastMissing && trail-first > span
}

// samples finds the samples of s, at most perKey for each key, as ids.
func samples(s *syntax.Sample, docs []*doc, perKey int) []string {
	hits := make([]map[string][]*doc, len(s.Terms))
	keys := map[string]bool{}
	for i, t := range s.Terms {
		hits[i] = map[string][]*doc{}
		for _, d := range docs {
			if d.matches(t.Filter) {
				for _, k := range d.keysOf(slices.Concat(s.By, t.By)) {
					hits[i][k] = append(hits[i][k], d)
					keys[k] = true
				}
			}
		}
	}
	var out []string
	for key := range keys {
		left := perKey
		var choose func(chosen []*doc)
		choose = func(chosen []*doc) {
			if len(chosen) == len(hits) {
				if left--; left >= 0 {
					line := key + " ["
					for _, d := range chosen {
						line += fmt.Sprintf(" %d", d.id)
					}
					out = append(out, line+" ]")
				}
				return
			}
			for _, d := range hits[len(chosen)][key] {
				if !slices.Contains(chosen, d) {
					choose(append(slices.Clone(chosen), d))
				}
			}
		}
		choose(nil)
	}
	slices.Sort(out)
	return out
}
