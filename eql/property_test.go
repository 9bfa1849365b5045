package eql_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"pgregory.net/rapid"
)

// The property tests draw queries as trees and small streams of events in which
// things collide, and hold the package against the oracle. ORLOP_DRAWS says how
// many draws each makes.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		draws := os.Getenv("ORLOP_DRAWS")
		if draws == "" {
			draws = "2000"
		}
		if err := flag.Set("rapid.checks", draws); err != nil {
			fmt.Fprintln(os.Stderr, "ORLOP_DRAWS:", err)
			os.Exit(2)
		}
	}
	debug.SetGCPercent(400) // Each draw leaves much, and keeps nothing.
	os.Exit(m.Run())
}

// A drawer draws pieces of queries and events.
type drawer struct{ t *rapid.T }

func (d drawer) n(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "") }

func of[T any](d drawer, xs ...T) T { return xs[d.n(len(xs))] }

func str(s string) *syntax.Literal { return &syntax.Literal{Kind: syntax.StringLit, Str: s} }

func integer(i int64) *syntax.Literal { return &syntax.Literal{Kind: syntax.IntLit, Int: i} }

func (d drawer) str() *syntax.Literal {
	return str(of(d, "", "a", "A", "b", "ab", "aB", "bab", "1", "1.5", "true", "*", "é"))
}

func (d drawer) number() syntax.Expr {
	switch d.n(6) {
	case 0:
		return &syntax.Literal{Kind: syntax.DecimalLit, Float: of(d, 0.5, 1.0, 1.5)}
	case 1:
		return &syntax.Neg{Op: of(d, "-", "+"), X: integer(1)}
	}
	return integer(int64(d.n(4)))
}

func (d drawer) constant() syntax.Expr {
	switch d.n(8) {
	case 0:
		return &syntax.Literal{}
	case 1:
		return &syntax.Literal{Kind: syntax.BoolLit, Bool: d.n(2) == 0}
	case 2, 3, 4:
		return d.number()
	}
	return d.str()
}

// The fields that events have: text, mixed, numbers, booleans, and one that is
// never there.
func (d drawer) field(names ...string) *syntax.Field {
	if len(names) == 0 {
		names = []string{"s", "m.x", "n", "b", "none"}
	}
	return &syntax.Field{Path: of(d, names...), Optional: d.n(8) == 0}
}

func apply(name string, args ...syntax.Expr) *syntax.Call {
	return &syntax.Call{Name: name, Args: args}
}

func (d drawer) textExpr(depth int) syntax.Expr {
	if depth == 0 {
		return d.field("s", "m.x")
	}
	switch d.n(6) {
	case 0:
		return apply("concat", d.textExpr(depth-1), of[syntax.Expr](d, d.str(), d.field("n", "b", "s")))
	case 1:
		args := []syntax.Expr{d.textExpr(depth - 1), d.position()}
		if d.n(2) == 0 {
			args = append(args, d.position())
		}
		return apply("substring", args...)
	case 2:
		args := []syntax.Expr{d.textExpr(depth - 1), d.str(), d.str()}
		if d.n(2) == 0 {
			args = append(args, &syntax.Literal{Kind: syntax.BoolLit, Bool: d.n(2) == 0})
		}
		c := apply("between", args...)
		c.Fold = d.n(2) == 0
		return c
	case 3:
		return apply("string", d.numExpr(depth-1))
	}
	return d.field("s", "m.x")
}

func (d drawer) position() syntax.Expr {
	switch d.n(4) {
	case 0:
		return &syntax.Neg{Op: "-", X: integer(int64(d.n(3)))}
	case 1:
		return &syntax.Literal{}
	}
	return integer(int64(d.n(3)))
}

func (d drawer) numExpr(depth int) syntax.Expr {
	if depth == 0 {
		return d.field("n", "m.x")
	}
	switch d.n(8) {
	case 0:
		return apply("length", d.textExpr(depth-1))
	case 1:
		c := apply("indexOf", d.textExpr(depth-1), d.str())
		if d.n(2) == 0 {
			c.Args = append(c.Args, integer(int64(d.n(3))))
		}
		c.Fold = d.n(2) == 0
		return c
	case 2, 3:
		return &syntax.Binary{Op: of(d, "+", "-", "*"), X: d.numExpr(depth - 1), Y: of(d, d.number(), syntax.Expr(d.field("n")))}
	case 4:
		// A constant zero would be a mistake in the query.
		return &syntax.Binary{Op: of(d, "/", "%"), X: d.numExpr(depth - 1), Y: of[syntax.Expr](d, integer(2), d.field("n"))}
	case 5:
		return &syntax.Neg{Op: "-", X: d.numExpr(depth - 1)}
	case 6:
		return apply(of(d, "add", "SUBTRACT", "multiply"), d.numExpr(depth-1), d.number())
	}
	return d.field("n", "m.x")
}

func (d drawer) boolCall(depth int) syntax.Expr {
	c := apply(of(d, "startsWith", "endsWith", "stringContains", "STARTSWITH"), d.textExpr(depth), d.str())
	c.Fold = d.n(2) == 0
	if d.n(6) == 0 {
		c.Args[0], c.Args[1] = c.Args[1], c.Args[0]
	}
	return c
}

func (d drawer) wildcards() []*syntax.Literal {
	var l []*syntax.Literal
	for range 1 + d.n(2) {
		l = append(l, str(of(d, "a*", "*b", "?", "a?", "*", "A", "ab", "*a*b*", "", "1*", "é")))
	}
	return l
}

func (d drawer) leaf() syntax.Expr {
	// A constant to compare with, and the same kinds on both sides of in.
	switch d.n(12) {
	case 0, 1:
		op, f, c := of(d, "==", "!=", "<", "<=", ">", ">="), syntax.Expr(d.field()), d.constant()
		if d.n(3) == 0 {
			f, c = c, f
		}
		return &syntax.Binary{Op: op, X: f, Y: c}
	case 2:
		x := &syntax.In{X: d.field(), Negated: d.n(2) == 0}
		for range 1 + d.n(3) {
			x.List = append(x.List, d.constant())
		}
		return x
	case 3:
		x := &syntax.In{X: d.textExpr(d.n(2)), Fold: d.n(2) == 0, Negated: d.n(2) == 0}
		for range 1 + d.n(3) {
			x.List = append(x.List, d.str())
		}
		return x
	case 4, 5:
		op := of(d, ":", "like")
		return &syntax.StringOp{Op: op, Fold: op == "like" && d.n(2) == 0, X: d.textExpr(d.n(2)), List: d.wildcards()}
	case 6:
		x := &syntax.StringOp{Op: "regex", Fold: d.n(2) == 0, X: d.textExpr(d.n(2))}
		for range 1 + d.n(2) {
			x.List = append(x.List, str(of(d, "a.*", "ab|1", "(ab?)+", "b")))
		}
		return x
	case 7:
		return &syntax.Binary{Op: of(d, "==", "!=", "<", ">="), X: d.textExpr(2), Y: d.str()}
	case 8:
		return &syntax.Binary{Op: of(d, "==", "!=", "<", ">="), X: d.numExpr(2), Y: d.number()}
	case 9:
		return d.boolCall(1)
	case 10:
		return of[syntax.Expr](d, d.field("b"), &syntax.Literal{}, &syntax.Literal{Kind: syntax.BoolLit, Bool: true})
	}
	return &syntax.Binary{Op: of(d, "==", "!="), X: of(d, d.textExpr(1), d.numExpr(2)), Y: &syntax.Literal{}}
}

func (d drawer) condition(depth int) syntax.Expr {
	if depth == 0 {
		return d.leaf()
	}
	switch d.n(10) {
	case 0, 1:
		return &syntax.Not{X: d.condition(depth - 1)}
	case 2, 3, 4:
		l := &syntax.Logical{Op: of(d, "and", "or")}
		for range 2 + d.n(2) {
			l.Xs = append(l.Xs, d.condition(depth-1))
		}
		return l
	case 5:
		// A predicate that is compared with true, false or null.
		var x syntax.Expr
		for x = d.condition(depth - 1); ; x = d.boolCall(1) {
			if _, isField := x.(*syntax.Field); !isField {
				break
			}
		}
		c := of(d, &syntax.Literal{}, &syntax.Literal{Kind: syntax.BoolLit, Bool: true}, &syntax.Literal{Kind: syntax.BoolLit})
		b := &syntax.Binary{Op: of(d, "==", "!="), X: x, Y: c}
		if d.n(3) == 0 {
			b.X, b.Y = b.Y, b.X
		}
		return b
	}
	return d.leaf()
}

// values draws the values of a field: missing, null, one or several.
func (d drawer) values(pool []any) (vs []any, there bool) {
	switch d.n(6) {
	case 0:
		return nil, false
	case 1:
		return []any{}, true
	case 2, 3:
		for range 2 + d.n(2) {
			vs = append(vs, of(d, pool...))
		}
		return vs, true
	}
	return []any{of(d, pool...)}, true
}

var (
	textPool   = []any{"", "a", "A", "b", "ab", "aB", "bab", "1", "é"}
	mixedPool  = []any{"a", "1", "1.5", "true", int64(1), int64(0), 1.5, true, "ab"}
	numberPool = []any{int64(0), int64(1), int64(-1), int64(2), int64(3), 0.5, 1.5}
	boolPool   = []any{true, false}
	keyPool    = []any{int64(1), int64(2), "1", "a"}
)

// document writes d as JSON.
func (d *doc) document() []byte {
	out := map[string]any{"id": d.id, "@timestamp": time.Unix(0, d.nanos).UTC().Format("2006-01-02T15:04:05.000000000Z")}
	if d.tie != nil {
		out["tie"] = d.tie
	}
	for k, vs := range d.fields {
		switch len(vs) {
		case 0:
			out[k] = nil
		case 1:
			out[k] = vs[0]
		default:
			out[k] = vs
		}
	}
	b, _ := json.Marshal(out)
	return b
}

func (d *doc) decode(t *rapid.T, dec *event.Decoder) *event.Event {
	var e event.Event
	if err := dec.Decode(d.document(), &e); err != nil {
		t.Fatal(err)
	}
	return &e
}

// compile compiles q from its text, which has to read as q.
func compile(t *rapid.T, q *syntax.Query, s *event.Schema) *eql.Query {
	src := syntax.Source{Text: q.String()}
	p, err := syntax.Parse(src)
	if err != nil {
		t.Fatalf("%s\n%v", src.Text, err)
	}
	if !syntax.Equal(p, q) {
		t.Fatalf("%s\nreads as\n%s", src.Text, p)
	}
	f := syntax.Format(p)
	if r, err := syntax.Parse(syntax.Source{Text: f}); err != nil || !syntax.Equal(r, q) || syntax.Format(r) != f {
		t.Fatalf("%s\nis formatted as\n%s\n%v", src.Text, f, err)
	}
	c := eql.Compiler{Schema: s, Tiebreaker: "tie"}
	compiled, err := c.Compile(src)
	if err != nil {
		t.Fatalf("%s\n%v", src.Text, err)
	}
	return compiled
}

func TestEventQueriesMeanWhatTheOracleSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawer{t}
		q := &syntax.Query{Event: &syntax.Filter{Any: true, Where: d.condition(1 + d.n(2))}}
		s := event.NewSchema()
		for _, n := range []string{"id", "s", "m.x", "n", "b", "none"} {
			s.Field(n)
		}
		compiled, dec := compile(t, q, s), event.NewDecoder(s)
		// What an alert explains is EQL, and means the same.
		again, err := eql.Compile(syntax.Source{Text: "any where " + compiled.Filter.String()}, s)
		if err != nil {
			t.Fatalf("%s\nis compiled to\n%s\n%v", q, compiled.Filter, err)
		}
		for range 4 {
			doc := &doc{fields: map[string][]any{}}
			for _, f := range []struct {
				name string
				pool []any
			}{{"s", textPool}, {"m.x", mixedPool}, {"n", numberPool}, {"b", boolPool}} {
				if vs, ok := d.values(f.pool); ok {
					doc.fields[f.name] = vs
				}
			}
			e := doc.decode(t, dec)
			if got, want := compiled.Match(e), doc.holds(q.Event.Where); got != want {
				t.Fatalf("%s\non %s\ngot %v, want %v\ncompiled: %s", q, e.Raw, got, want, compiled.Filter)
			} else if again.Match(e) != got {
				t.Fatalf("%s\nis compiled to\n%s\nwhich on %s gives %v", q, compiled.Filter, e.Raw, !got)
			}
		}
	})
}

// filter draws a condition for sequences and samples, where they, and not the
// conditions, are what is looked at.
func (d drawer) filter() *syntax.Filter {
	kind := &syntax.Field{Path: "kind"}
	f := &syntax.Filter{Any: true}
	switch d.n(6) {
	case 0:
		f.Where = &syntax.Literal{Kind: syntax.BoolLit, Bool: true}
	case 1:
		f.Where = &syntax.Binary{Op: "!=", X: kind, Y: str(of(d, "A", "B", "C"))}
	case 2:
		f.Any, f.Category = false, of(d, "A", "B")
		f.Where = &syntax.Literal{Kind: syntax.BoolLit, Bool: true}
	default:
		f.Where = &syntax.Binary{Op: "==", X: kind, Y: str(of(d, "A", "B", "C"))}
	}
	return f
}

func (d drawer) keys(n int) []*syntax.Field {
	var keys []*syntax.Field
	for range n {
		keys = append(keys, &syntax.Field{Path: of(d, "x", "y"), Optional: d.n(3) == 0})
	}
	return keys
}

func (d drawer) stream(steps []int64) []*doc {
	var docs []*doc
	now := int64(0)
	for i := range 2 + d.n(14) {
		now += of(d, steps...)
		doc := &doc{id: int64(i), nanos: now, fields: map[string][]any{"kind": {of[any](d, "A", "B", "C")}}}
		if d.n(3) > 0 {
			doc.tie = int64(d.n(3))
		}
		if d.n(2) == 0 {
			doc.fields["event.category"] = []any{of[any](d, "A", "B")}
		}
		for _, k := range []string{"x", "y"} {
			switch d.n(6) {
			case 0:
			case 1:
				doc.fields[k] = []any{of(d, keyPool...), of(d, keyPool...)}
			case 2:
				doc.fields[k] = []any{of(d, keyPool...)}
			default:
				doc.fields[k] = []any{int64(1)}
			}
		}
		docs = append(docs, doc)
	}
	return docs
}

func line(m eql.Match, id event.Field) string {
	var b strings.Builder
	for _, k := range m.Keys {
		if k.Exists() {
			b.WriteString(strconv.Quote(k.Text()) + ";")
		} else {
			b.WriteString("null;")
		}
	}
	b.WriteString(" [")
	for _, e := range m.Events {
		if e == nil {
			b.WriteString(" -1")
		} else {
			fmt.Fprintf(&b, " %d", e.Get(id).Int())
		}
	}
	return b.String() + " ]"
}

func drawSequence(d drawer) *syntax.Sequence {
	s := &syntax.Sequence{By: d.keys(d.n(2))}
	if d.n(3) > 0 {
		s.MaxSpan = of(d, time.Second, 2*time.Second, 5*time.Second, 1500*time.Millisecond)
	}
	own := d.n(2)
	term := func() *syntax.Term { return &syntax.Term{Filter: d.filter(), By: d.keys(own)} }
	positive := 0
	for range 2 + d.n(3) {
		x := term()
		x.Missing = s.MaxSpan > 0 && d.n(3) == 0
		if d.n(6) == 0 {
			x.Runs = 1 + d.n(3)
		}
		if !x.Missing {
			positive++
		}
		s.Terms = append(s.Terms, x)
	}
	if positive == 0 {
		s.Terms[d.n(len(s.Terms))].Missing = false
	}
	if d.n(3) == 0 {
		s.Until = term()
	}
	return s
}

func TestSequencesAreWhatTheOracleFinds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawer{t}
		q := &syntax.Query{Sequence: drawSequence(d)}
		s := event.NewSchema()
		id := s.Field("id")
		compiled, dec := compile(t, q, s), event.NewDecoder(s)
		docs := d.stream([]int64{0, 1, 1e6, 500e6, 1e9, 1e9, 1500e6})
		var events []*event.Event
		for _, doc := range docs {
			events = append(events, doc.decode(t, dec))
		}
		slices.SortStableFunc(events, compiled.Compare)

		var got []string
		emit := func(m eql.Match) { got = append(got, line(m, id)) }
		m := compiled.NewMatcher()
		early := d.n(2) == 0
		restart := d.n(2 * len(events)) // as often as not there is none
		for i, e := range events {
			if i == restart {
				m = restarted(t, m, compiled, s)
			}
			// Time may be told at any moment up to the next event.
			if early && i > 0 {
				gap := e.Time.Sub(events[i-1].Time)
				m.Advance(events[i-1].Time.Add(gap*time.Duration(d.n(3))/2), emit)
			}
			m.Add(e, emit)
		}
		m.Flush(emit)
		slices.Sort(got)
		want := sequences(q.Sequence, docs)
		if !slices.Equal(got, want) {
			t.Fatalf("%s\non\n%s\ngot  %s\nwant %s", q, dump(docs), strings.Join(got, " "), strings.Join(want, " "))
		}
	})
}

// restarted is a matcher that goes on where m is, from what a file could hold.
func restarted(t *rapid.T, m *eql.Matcher, q *eql.Query, s *event.Schema) *eql.Matcher {
	var records []event.Record
	numbers := map[*event.Event]int{}
	state := m.State(func(e *event.Event) int {
		n, ok := numbers[e]
		if !ok {
			n = len(records)
			numbers[e] = n
			records = append(records, e.Record(s))
		}
		return n
	})
	type file struct {
		State   eql.State
		Records []event.Record
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(file{state, records}); err != nil {
		t.Fatal(err)
	}
	var f file
	if err := gob.NewDecoder(&b).Decode(&f); err != nil {
		t.Fatal(err)
	}
	events := make([]*event.Event, len(f.Records))
	for i := range f.Records {
		var e event.Event
		if err := event.NewDecoder(s).Restore(&f.Records[i], &e); err != nil {
			t.Fatal(err)
		}
		events[i] = e.Clone()
	}
	n := q.NewMatcher()
	if err := n.Restore(f.State, func(i int) *event.Event { return events[i] }); err != nil {
		t.Fatal(err)
	}
	if n.Size() != m.Size() || n.Pending() != m.Pending() {
		t.Fatalf("%d bytes and %d pending, want %d and %d", n.Size(), n.Pending(), m.Size(), m.Pending())
	}
	return n
}

func TestSamplesAreWhatTheOracleFinds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawer{t}
		own := d.n(2)
		q := &syntax.Query{Sample: &syntax.Sample{By: d.keys(1 - own + d.n(2))}}
		for range 2 + d.n(2) {
			q.Sample.Terms = append(q.Sample.Terms, &syntax.Term{Filter: d.filter(), By: d.keys(own)})
		}
		s := event.NewSchema()
		id := s.Field("id")
		compiled, dec := compile(t, q, s), event.NewDecoder(s)
		docs := d.stream([]int64{0, 1e9})
		sampler := compiled.NewSampler()
		for _, doc := range docs {
			sampler.Add(doc.decode(t, dec))
		}
		perKey := 1 + d.n(3)
		var got []string
		sampler.Samples(perKey, func(m eql.Match) bool { got = append(got, line(m, id)); return true })
		slices.Sort(got)
		if want := samples(q.Sample, docs, perKey); !slices.Equal(got, want) {
			t.Fatalf("%s\non\n%s\ngot  %s\nwant %s", q, dump(docs), strings.Join(got, " "), strings.Join(want, " "))
		}
	})
}

func dump(docs []*doc) string {
	var b strings.Builder
	for _, d := range docs {
		b.Write(d.document())
		b.WriteByte('\n')
	}
	return b.String()
}
