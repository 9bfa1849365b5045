// Package eql is Elastic's Event Query Language with the semantics of
// Elasticsearch's _eql/search: parse, check, compile, match.
//
// A query is compiled once, against an [event.Schema] that learns which fields
// it reads, and then matched against any number of events:
//
//	s := event.NewSchema()
//	q, err := eql.Compile(syntax.Source{Text: `process where process.name == "ctr"`}, s)
//	…
//	if q.Match(e) { … }
//
// # Meaning
//
// Missing fields: a test on a field that the event lacks is false, so its
// negation is true. Arrays: a test holds if some element passes it. Comparison
// is case-sensitive but for ":", in~, like~, regex~ and functions with a ~.
// Without a [Mapping] the kinds of values decide how they compare, and numbers
// and dates written as text compare as such.
//
// # Errors
//
// Compile's error is a [syntax.Errors]: every mistake with its place, of the
// class that Elasticsearch would raise.
package eql

import (
	"fmt"
	"slices"
	"time"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// A Compiler compiles queries. Its zero value but for the Schema compiles as
// Elasticsearch does by default.
type Compiler struct {
	Schema     *event.Schema
	Mapping    *Mapping // nil: any field may exist, of any type
	Category   string   // field of the event category; "" is event.category
	Timestamp  string   // field that orders events; "" is @timestamp
	Tiebreaker string   // field that orders events of one time; "" is none
}

// Kind says what a query's results are.
type Kind uint8

const (
	Events    Kind = iota // single events
	Sequences             // ordered lists of events
	Samples               // unordered lists of events
)

func (k Kind) String() string { return [...]string{"event", "sequence", "sample"}[k] }

// A Query is a compiled query. It is immutable and safe for concurrent use.
type Query struct {
	Source *syntax.Query
	Filter expr.Pred // the condition of an event query, its category included
	Items  []Item    // the terms of a sequence or sample, runs written out
	Until  *Item     // of a sequence, or nil
	Span   time.Duration

	Tiebreaker event.Field // zero if there is none

	kind  Kind
	pipes []window
}

// An Item is one term of a sequence or sample.
type Item struct {
	Pred    expr.Pred
	Keys    []Key
	Missing bool // ![ … ]
	Text    string
}

// A Key is a field that the events of one result share.
type Key struct {
	expr.Ref
	Optional bool // null is a value
}

// window is a head or tail pipe.
type window struct {
	tail bool
	n    int
}

// Compile compiles a query without a mapping. Its error is a [syntax.Errors].
func Compile(src syntax.Source, s *event.Schema) (*Query, error) {
	c := Compiler{Schema: s}
	return c.Compile(src)
}

// Compile compiles a query. Its error is a [syntax.Errors].
func (c *Compiler) Compile(src syntax.Source) (*Query, error) {
	tree, err := syntax.Parse(src)
	if err != nil {
		return nil, err
	}
	chk := &checker{src: src, mapping: c.Mapping, infos: map[syntax.Expr]info{}}
	q := &Query{Source: tree}
	for _, p := range tree.Pipes {
		q.pipes = append(q.pipes, chk.pipe(p))
	}
	if tree.Event != nil {
		c.checkFilter(chk, tree.Event)
	}
	for _, t := range tree.Terms() {
		c.checkFilter(chk, t.Filter)
	}
	c.checkKeys(chk, tree)
	if len(chk.errs) > 0 {
		slices.SortStableFunc(chk.errs, func(a, b *syntax.Error) int { return a.Range.Start - b.Range.Start })
		return nil, chk.errs
	}

	low := &lowering{checker: chk, schema: c.Schema}
	if c.Tiebreaker != "" {
		q.Tiebreaker = low.ref(&syntax.Field{Path: c.Tiebreaker}).Field
	}
	switch {
	case tree.Event != nil:
		q.Filter = c.filter(low, tree.Event)
	case tree.Sequence != nil:
		s := tree.Sequence
		q.kind, q.Span = Sequences, s.MaxSpan
		for _, t := range s.Terms {
			item := c.item(low, s.By, t)
			for range max(t.Runs, 1) {
				q.Items = append(q.Items, item)
			}
		}
		if s.Until != nil {
			until := c.item(low, s.By, s.Until)
			q.Until = &until
		}
	default:
		q.kind = Samples
		for _, t := range tree.Sample.Terms {
			q.Items = append(q.Items, c.item(low, tree.Sample.By, t))
		}
	}
	return q, nil
}

// CompileExpr checks an expression and returns its value if it is the same for
// every event.
func (c *Compiler) CompileExpr(src syntax.Source) (v event.Value, constant bool, err error) {
	x, err := syntax.ParseExpr(src)
	if err != nil {
		return event.Value{}, false, err
	}
	chk := &checker{src: src, mapping: c.Mapping, infos: map[syntax.Expr]info{}}
	i := chk.check(x)
	if len(chk.errs) > 0 {
		return event.Value{}, false, chk.errs
	}
	return i.value, i.konst, nil
}

func (c *Compiler) category() *syntax.Field {
	if c.Category == "" {
		return &syntax.Field{Path: "event.category"}
	}
	return &syntax.Field{Path: c.Category}
}

func (c *Compiler) checkFilter(chk *checker, f *syntax.Filter) {
	if name := c.category().Path; !f.Any && c.Mapping != nil && c.Mapping.lookup(name) == nil {
		chk.fail(syntax.Verification, syntax.Range{Start: f.Start, End: f.Start + 1}, "any where needs no category", "Unknown column [%s]", name)
	}
	chk.condition(f.Where)
}

func (c *Compiler) filter(low *lowering, f *syntax.Filter) expr.Pred {
	where := low.pred(f.Where)
	if f.Any {
		return where
	}
	return expr.NewAll(low.equal(c.category(), event.String(f.Category)), where)
}

func (c *Compiler) item(low *lowering, by []*syntax.Field, t *syntax.Term) Item {
	item := Item{Pred: c.filter(low, t.Filter), Missing: t.Missing, Text: t.String()}
	for _, k := range slices.Concat(by, t.By) {
		item.Keys = append(item.Keys, Key{low.ref(k), k.Optional})
	}
	return item
}

// checkKeys checks that the terms have as many keys, and of types that can be
// equal.
func (c *Compiler) checkKeys(chk *checker, tree *syntax.Query) {
	var by []*syntax.Field
	switch {
	case tree.Sequence != nil:
		by = tree.Sequence.By
	case tree.Sample != nil:
		by = tree.Sample.By
	}
	for _, k := range by {
		chk.check(k)
	}
	terms := tree.Terms()
	for n, t := range terms {
		if len(t.By) != len(terms[0].By) {
			chk.fail(syntax.Parsing, t.Range, "", "Inconsistent number of join keys specified; expected [%d] but found [%d]",
				len(by)+len(terms[0].By), len(by)+len(t.By))
			continue
		}
		for i, k := range t.By {
			info := chk.check(k)
			if n == 0 {
				continue
			}
			first := terms[0].By[i]
			if want := chk.infos[first].typ; !want.matches(info.typ) {
				chk.fail(syntax.Verification, k.Range, "", "Sequence key [%s] type [%s] is incompatible with key [%s] type [%s]", k.Path, info.typ, first.Path, want)
			}
		}
	}
}

// pipe reads the argument of head or tail.
func (c *checker) pipe(p *syntax.Pipe) window {
	arg := p.Args[0]
	known := len(c.errs)
	i := c.check(arg)
	w := window{tail: p.Name == "tail"}
	if !i.konst || !i.typ.isInteger() || i.value.Int() < 0 || i.value.Int() > 1<<31-1 {
		c.errs = c.errs[:known] // they come to this
		c.fail(syntax.Parsing, arg.Span(), "", "Pipe [%s] expects a constant integer of at least 0, found [%s]", p.Name, c.text(arg))
		return w
	}
	w.n = int(i.value.Int())
	return w
}

// Kind says what the query's results are.
func (q *Query) Kind() Kind { return q.kind }

// Match reports whether an event query matches e. It panics for other kinds.
func (q *Query) Match(e *event.Event) bool {
	if q.kind != Events {
		panic(fmt.Sprintf("eql: bug: Match on a %v query", q.kind))
	}
	return q.Filter.Match(e)
}

// Wants reports whether e can be part of a result: whether an event query
// matches it, or an item or the until of another does.
func (q *Query) Wants(e *event.Event) bool {
	if q.kind == Events {
		return q.Filter.Match(e)
	}
	for i := range q.Items {
		if i > 0 && q.Items[i].Pred == q.Items[i-1].Pred {
			continue // runs
		}
		if q.Items[i].Pred.Match(e) {
			return true
		}
	}
	return q.Until != nil && q.Until.Pred.Match(e)
}

// Literals chooses text of which an event that Wants is true for has some in its JSON.
// See [expr.Literals].
func (q *Query) Literals(cost func(event.Literal) float64) (ls []event.Literal, ok bool) {
	return expr.Literals(expr.NewAny(q.Preds()...), cost)
}

// Preds are the predicates of which one holds for an event that Wants is true for:
// those of items and until, each once.
func (q *Query) Preds() []expr.Pred {
	if q.kind == Events {
		return []expr.Pred{q.Filter}
	}
	var ps []expr.Pred
	for i := range q.Items {
		if p := q.Items[i].Pred; !slices.Contains(ps, p) {
			ps = append(ps, p) // of runs, once
		}
	}
	if q.Until != nil {
		ps = append(ps, q.Until.Pred)
	}
	return ps
}

// Limit says how many results a request for size of them keeps (negative: all),
// and whether from the end. Results are in order, earliest first; without a
// pipe the latest are kept, as _eql/search does, but of samples the first.
func (q *Query) Limit(size int) (n int, tail bool) {
	n, tail = size, q.kind != Samples
	if len(q.pipes) > 0 {
		tail = q.pipes[0].tail
		if n < 0 || q.pipes[0].n < n {
			n = q.pipes[0].n
		}
	}
	return n, tail
}

// Window applies the size of a request (negative: no limit) and the query's
// pipes to results that are in order.
func Window[T any](q *Query, size int, results []T) []T {
	from, to := q.Range(size, len(results))
	return results[from:to]
}

// Range is Window for results that nobody has in one place: of n, those from one
// place up to another are kept.
func (q *Query) Range(size, n int) (from, to int) {
	to = n
	cut := func(n int, tail bool) {
		switch {
		case n < 0 || n >= to-from:
		case tail:
			from = to - n
		default:
			to = from + n
		}
	}
	cut(q.Limit(size))
	for i, p := range q.pipes {
		if i > 0 {
			cut(p.n, p.tail)
		}
	}
	return from, to
}

// Compare orders events as results are: by time, then by tiebreaker, where none
// sorts last. Events that tie stay in the order they arrived.
func (q *Query) Compare(a, b *event.Event) int {
	if n := a.Time.Compare(b.Time); n != 0 || q.Tiebreaker == 0 {
		return n
	}
	x, y := a.Get(q.Tiebreaker), b.Get(q.Tiebreaker)
	switch {
	case !x.Exists() && !y.Exists():
		return 0
	case !x.Exists():
		return 1
	case !y.Exists():
		return -1
	}
	c := expr.NewConst(y.At(0))
	n, _ := c.Compare(x.At(0), expr.Untyped)
	return n
}
