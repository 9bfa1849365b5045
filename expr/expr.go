// Package expr is the compiled predicate: leaves of the form "field op
// constants", scripts for everything else, and, or and not over them, with
// Elasticsearch's rules for nulls and arrays.
//
// A leaf is two-valued for each document. It is true if some element of the
// field makes it true; a missing field makes it false, so a Not over it is
// true. Inside a script nulls are three-valued, and a script that comes out
// null is false. (elastic/elasticsearch: x-pack/plugin/eql, query translation
// with nullSafeFilter and must_not.)
//
// A tree is immutable and may be shared by goroutines. It prints as EQL, and
// [Explain] says of each part why it held or did not.
package expr

import (
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
)

// A Pred is one of Bool, *All, *Any, *Not, *Exists, *IsNull, *In, *Compare, *Like,
// *Regex, *CIDR and *Script.
type Pred interface {
	// Match reports whether the predicate holds for e. It does not allocate
	// unless a Script has to make text.
	Match(e *event.Event) bool
	// String prints the predicate as EQL.
	String() string
	pred()
}

// A Ref is the field of a leaf: its number, its name and how it compares.
type Ref struct {
	Field event.Field
	Name  string
	Type  Type
}

func (r Ref) text() string { return syntax.FieldString(r.Name) }

// Bool is a predicate that is the same for every event.
type Bool bool

// All holds if every one of its parts does.
type All struct{ Xs []Pred }

// Any holds if one of its parts does.
type Any struct{ Xs []Pred }

// Not holds if X does not.
type Not struct{ X Pred }

// Exists holds if the field has a value that is not null.
type Exists struct{ Ref }

// IsNull holds if the document has the field with an explicit null, which a
// mapping's null_value gives a meaning.
type IsNull struct{ Ref }

// In holds if a value of the field equals one of the constants; Fold takes
// ASCII letters of either case as equal. Equality is an In of one.
type In struct {
	Ref
	Fold bool
	Cs   []Const

	set   map[string]struct{} // text of the string constants, where there are many
	ints  map[int64]struct{}  // the constants, where there are many and all are integers
	one   string              // the constant, where there is one
	plain bool                // no constant is or writes a number or a date
}

// Compare holds if a value of the field is on the right side of the constant.
type Compare struct {
	Ref
	Op string // < <= > >=
	C  Const
}

// Like holds if a value of the field matches one of the wildcards.
type Like struct {
	Ref
	Op       string // as written: ":", "like", "like~"
	Patterns []Pattern

	set   map[string]struct{} // those without wildcards
	few   []Pattern           // those with
	index *wildcardIndex      // of few, where they are many
}

// Regex holds if the whole of a value of the field matches the expression.
type Regex struct {
	Ref
	Op   string // regex, regex~
	Text []string
	re   matcher
}

// Size is how much the expressions are to compile and to keep: their characters,
// with repetitions written out, or the states of those with ~, & or #.
func (p *Regex) Size() int { return p.re.size() }

// CIDR holds if a value of the field is an address in one of the blocks.
type CIDR struct {
	Ref
	Blocks []netip.Prefix
	Text   []string
}

func (Bool) pred()     {}
func (*All) pred()     {}
func (*Any) pred()     {}
func (*Not) pred()     {}
func (*Exists) pred()  {}
func (*IsNull) pred()  {}
func (*In) pred()      {}
func (*Compare) pred() {}
func (*Like) pred()    {}
func (*Regex) pred()   {}
func (*CIDR) pred()    {}
func (*Script) pred()  {}

// NewIn returns an In.
func NewIn(r Ref, fold bool, vs ...event.Value) *In {
	p := &In{Ref: r, Fold: fold, plain: true, Cs: make([]Const, 0, len(vs))}
	ints := len(vs) > 8 && !fold && (r.Type == Untyped || r.Type == Number)
	for _, v := range vs {
		c := NewConst(v)
		p.Cs = append(p.Cs, c)
		ints = ints && v.Kind() == event.KindInt
		if v.Kind() != event.KindString || c.isAt || r.Type > Keyword {
			p.plain = false
		}
	}
	if fold {
		p.plain = true
	}
	if len(vs) == 1 {
		p.one = p.key(vs[0].Text())
		return p
	}
	if ints {
		p.ints = make(map[int64]struct{}, len(vs))
		for _, v := range vs {
			p.ints[v.Int()] = struct{}{}
		}
		return p
	}
	p.set = make(map[string]struct{}, len(vs))
	for _, v := range vs {
		p.set[p.key(v.Text())] = struct{}{}
	}
	return p
}

func (p *In) key(s string) string {
	if p.Fold {
		return lowerASCII(s)
	}
	return s
}

// NewLike returns a Like over wildcards; fold for ":" and "like~".
func NewLike(r Ref, op string, fold bool, texts ...string) *Like {
	p := &Like{Ref: r, Op: op}
	for _, t := range texts {
		pat := NewPattern(t, fold)
		p.Patterns = append(p.Patterns, pat)
		if IsWildcard(t) {
			p.few = append(p.few, pat)
			continue
		}
		if p.set == nil {
			p.set = map[string]struct{}{}
		}
		p.set[pat.parts[0]] = struct{}{}
	}
	if len(p.few) > fewWildcards {
		p.index = newWildcardIndex(p.few)
	}
	return p
}

// NewRegex returns a Regex over Lucene regular expressions, of which a value
// has to match one.
func NewRegex(r Ref, op string, fold bool, texts ...string) (*Regex, error) {
	re, err := compileLucene(texts, fold)
	if err != nil {
		return nil, err
	}
	return &Regex{Ref: r, Op: op, Text: texts, re: re}, nil
}

// NewAll joins predicates by and, flat.
func NewAll(xs ...Pred) Pred {
	var out []Pred
	for _, x := range xs {
		switch x := x.(type) {
		case Bool:
			if !x {
				return x
			}
		case *All:
			out = append(out, x.Xs...)
		default:
			out = append(out, x)
		}
	}
	switch len(out) {
	case 0:
		return Bool(true)
	case 1:
		return out[0]
	}
	return &All{out}
}

// NewAny joins predicates by or, flat.
func NewAny(xs ...Pred) Pred {
	var out []Pred
	for _, x := range xs {
		switch x := x.(type) {
		case Bool:
			if x {
				return x
			}
		case *Any:
			out = append(out, x.Xs...)
		default:
			out = append(out, x)
		}
	}
	switch len(out) {
	case 0:
		return Bool(false)
	case 1:
		return out[0]
	}
	return &Any{out}
}

// NewNot negates a predicate.
func NewNot(x Pred) Pred {
	switch x := x.(type) {
	case Bool:
		return !x
	case *Not:
		return x.X
	}
	return &Not{x}
}

func (b Bool) Match(*event.Event) bool { return bool(b) }

func (p *All) Match(e *event.Event) bool {
	for _, x := range p.Xs {
		if !x.Match(e) {
			return false
		}
	}
	return true
}

func (p *Any) Match(e *event.Event) bool {
	for _, x := range p.Xs {
		if x.Match(e) {
			return true
		}
	}
	return false
}

func (p *Not) Match(e *event.Event) bool { return !p.X.Match(e) }

func (p *Exists) Match(e *event.Event) bool { return e.Get(p.Field).Exists() }

func (p *IsNull) Match(e *event.Event) bool { return e.Get(p.Field).Kind() == event.KindNull }

// element finds the first value of the field that test accepts.
func (r Ref) element(e *event.Event, test func(event.Value) bool) (event.Value, bool) {
	v := e.Get(r.Field)
	for i := range v.Len() {
		if w := v.At(i); test(w) {
			return w, true
		}
	}
	return event.Value{}, false
}

func (p *In) Match(e *event.Event) bool {
	v := e.Get(p.Field)
	if v.Kind() == event.KindString { // Fast path: one value, text.
		return p.test(v)
	}
	for i := range v.Len() {
		if p.test(v.At(i)) {
			return true
		}
	}
	return false
}

func (p *In) test(v event.Value) bool {
	if p.plain {
		if v.Kind() != event.KindString {
			if !p.Fold && p.Type == Untyped { // 5 against "5.0", true against "true"
				for i := range p.Cs {
					if n, ok := p.Cs[i].compareText(v); ok && n == 0 {
						return true
					}
				}
			}
			return p.has(v.Text())
		}
		return p.has(v.Str())
	}
	if p.ints != nil {
		return p.hasInt(v)
	}
	for i := range p.Cs {
		if p.Cs[i].Equal(v, p.Type) {
			return true
		}
	}
	return false
}

// hasInt is test for integers, as Const.Equal compares them.
func (p *In) hasInt(v event.Value) bool {
	n := number(v)
	switch n.Kind() {
	case event.KindInt:
		_, ok := p.ints[n.Int()]
		return ok
	case event.KindFloat:
		f := n.Float()
		if f != math.Trunc(f) || f >= 1<<63 || f < -1<<63 {
			return false
		}
		_, ok := p.ints[int64(f)]
		return ok
	}
	if at, ok := event.ParseTime(v.Str()); ok && p.Type == Untyped && len(v.Str()) >= len("2006-01-02") {
		_, ok := p.ints[at.UnixMilli()]
		return ok
	}
	return false
}

func (p *In) has(s string) bool {
	if p.set == nil {
		if p.Fold {
			return equalLower(s, p.one)
		}
		return s == p.one
	}
	if !p.Fold {
		_, ok := p.set[s]
		return ok
	}
	return hasLower(p.set, s)
}

// hasLower looks s up in a set of lower-case texts.
func hasLower(set map[string]struct{}, s string) bool {
	var buf [128]byte
	if len(s) > len(buf) {
		_, ok := set[lowerASCII(s)]
		return ok
	}
	b := buf[:len(s)]
	for i := range len(s) {
		b[i] = lowerByte(s[i])
	}
	_, ok := set[string(b)]
	return ok
}

func (p *Compare) Match(e *event.Event) bool {
	v := e.Get(p.Field)
	for i := range v.Len() {
		if p.test(v.At(i)) {
			return true
		}
	}
	return false
}

func (p *Compare) test(v event.Value) bool {
	n, ok := p.C.Compare(v, p.Type)
	return ok && Ordered(p.Op, n)
}

// Ordered reports whether a comparison that came out as n (negative, zero or
// positive) satisfies op.
func Ordered(op string, n int) bool {
	switch op {
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	case ">=":
		return n >= 0
	case "==":
		return n == 0
	}
	return n != 0
}

func (p *Like) Match(e *event.Event) bool {
	v := e.Get(p.Field)
	for i := range v.Len() {
		if p.test(v.At(i)) {
			return true
		}
	}
	return false
}

func (p *Like) test(v event.Value) bool {
	s := v.Text()
	if p.set != nil {
		if p.Patterns[0].fold {
			if hasLower(p.set, s) {
				return true
			}
		} else if _, ok := p.set[s]; ok {
			return true
		}
	}
	if p.index != nil {
		return p.index.match(p.few, s)
	}
	for i := range p.few {
		if p.few[i].Match(s) {
			return true
		}
	}
	return false
}

func (p *Regex) Match(e *event.Event) bool {
	_, ok := p.element(e, p.test)
	return ok
}

func (p *Regex) test(v event.Value) bool { return p.re.match(v.Text()) }

func (p *CIDR) Match(e *event.Event) bool {
	_, ok := p.element(e, p.test)
	return ok
}

func (p *CIDR) test(v event.Value) bool { return InBlocks(v.Str(), p.Blocks) }

// InBlocks reports whether s is an address in one of the blocks.
func InBlocks(s string, blocks []netip.Prefix) bool {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(blocks, func(b netip.Prefix) bool { return b.Contains(a) })
}

// ParseBlock reads a CIDR block; bits of the host may be set. An address alone
// is the block of just it.
func ParseBlock(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	b, err := netip.ParsePrefix(s)
	return b.Masked(), err
}

type matcher interface {
	match(s string) bool
	size() int // characters, repetitions written out, or states
}

type goRegexp struct {
	re *regexp.Regexp
	n  int
}

func (r goRegexp) size() int { return r.n }

func (r goRegexp) match(s string) bool { return r.re.MatchString(s) }

// verbatim is a regular expression without operators.
type verbatim struct {
	text string
	fold bool
}

func (v verbatim) size() int { return len(v.text) }

func (v verbatim) match(s string) bool {
	if v.fold {
		return equalLower(s, v.text)
	}
	return s == v.text
}

type anyMatcher []matcher

func (l anyMatcher) size() (n int) {
	for _, m := range l {
		n += m.size()
	}
	return n
}

func (l anyMatcher) match(s string) bool {
	for _, m := range l {
		if m.match(s) {
			return true
		}
	}
	return false
}
