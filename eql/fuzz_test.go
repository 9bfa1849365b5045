package eql_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/rogpeppe/go-internal/txtar"
)

// parts calls f for every section of the corpora.
func parts(t testing.TB, f func(name, text string)) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range ar.Files {
			f(part.Name, string(part.Data))
		}
	}
}

const fuzzMapping = `{"properties":{
	"event":{"properties":{"category":{"type":"keyword"}}},
	"s":{"type":"keyword"},"x":{"type":"keyword"},"n":{"type":"long"},"k":{"type":"keyword"},
	"ip":{"type":"ip"},"v":{"type":"version"},"when":{"type":"date"},"b":{"type":"boolean"},"args":{"type":"keyword"}}}`

// FuzzCompile: no text makes compiling or running a query panic or run long,
// and what is compiled with a mapping is compiled without.
func FuzzCompile(f *testing.F) {
	n := 0
	parts(f, func(name, text string) {
		if name == "queries" || strings.HasSuffix(name, ".query") {
			for l := range strings.Lines(text) {
				if q, _, _ := strings.Cut(l, "=>"); n%5 == 0 {
					f.Add(strings.TrimSpace(q))
				}
				n++
			}
		}
	})
	m, err := eql.ReadMapping(strings.NewReader(fuzzMapping))
	if err != nil {
		f.Fatal(err)
	}
	docs := []string{
		`{"s":"abc","x":["a","b"],"n":5,"k":"A","event":{"category":"process"},"b":true,"args":["tasks","exec"]}`,
		`{"s":"10.0.0.1","x":1,"n":"5","k":"B","ip":"10.0.0.1","v":"1.2.3","when":"2026-01-01T00:00:00Z"}`,
		`{"s":null,"x":[],"k":["A","B","C"]}`,
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		src := syntax.Source{Text: text}
		s := event.NewSchema()
		id := s.Field("id")
		q, err := eql.Compile(src, s)
		mapped := eql.Compiler{Schema: s, Mapping: m}
		// A mapping makes an unknown ?x a constant, which may stand where no field may.
		if _, merr := mapped.Compile(src); merr == nil && err != nil && !strings.Contains(text, "?") {
			t.Fatalf("compiles with a mapping only: %v", err)
		}
		if err != nil {
			if err.(syntax.Errors).Report() == "" {
				t.Fatal("refused without a reason")
			}
			return
		}
		d := event.NewDecoder(s)
		var events []*event.Event
		for range 2 {
			for _, doc := range docs {
				var e event.Event
				if err := d.Decode([]byte(doc), &e); err != nil {
					t.Fatal(err)
				}
				e.Time = time.Unix(int64(len(events)), 0)
				events = append(events, e.Clone())
			}
		}
		if q.Kind() == eql.Events {
			for _, e := range events {
				q.Match(e)
			}
			_ = q.Filter.String()
		} else {
			for _, m := range matches(q, 2, events) {
				line(m, id)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Fatalf("took %v", took)
		}
	})
}

// FuzzMapping: no JSON makes reading a mapping, or compiling against it, panic.
func FuzzMapping(f *testing.F) {
	parts(f, func(name, text string) {
		if name == "mapping" {
			f.Add(text)
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		m, err := eql.ReadMapping(strings.NewReader(text))
		if err != nil {
			if err.Error() == "" {
				t.Fatal("refused without a reason")
			}
			return
		}
		c := eql.Compiler{Schema: event.NewSchema(), Mapping: m}
		for _, q := range []string{`any where a == "x"`, `any where ?a.k : "x*" and ?b > 1`, `sequence by ?a [any where ?b == null] [process where true]`, `any where a in ("x", null)`} {
			if q, err := c.Compile(syntax.Source{Text: q}); err == nil && q.Kind() == eql.Events {
				var e event.Event
				q.Match(&e)
			}
		}
	})
}

// Hostile queries are refused or compiled, in bounded time, and run.
func TestHostileQueries(t *testing.T) {
	many := strings.Repeat
	compiles := func(what, text string) *eql.Query {
		t.Helper()
		start := time.Now()
		q, err := eql.Compile(syntax.Source{Text: text}, event.NewSchema())
		if err != nil {
			t.Errorf("%s: %.200v", what, err)
		}
		took := time.Since(start)
		t.Logf("%-32s %8d bytes %8.1f ms", what, len(text), float64(took.Microseconds())/1000)
		if took > 5*time.Second {
			t.Errorf("%s took %v", what, took)
		}
		return q
	}
	refused := func(what, text, want string) {
		t.Helper()
		start := time.Now()
		_, err := eql.Compile(syntax.Source{Text: text}, event.NewSchema())
		if err == nil {
			t.Errorf("%s: accepted", what)
			return
		}
		if got := err.(syntax.Errors)[0].Msg; !strings.Contains(got, want) {
			t.Errorf("%s: got %.200q, want %q", what, got, want)
		}
		_ = err.(syntax.Errors).Report()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
	list := func(n int, item string) string { return "(" + many(item+", ", n-1) + item + ")" }
	compiles("3,000 literals, equality", "any where x in "+list(3000, `"/usr/bin/something"`))
	compiles("3,000 literals, wildcards", "any where x : "+list(3000, `"/usr/*/something"`))
	compiles("3,000 literals, regex", "any where x regex "+list(3000, `"/usr/[a-z]+/some"`))
	compiles("3,000 numbers", "any where x in "+list(3000, "4711"))
	compiles("100,000 literals", "any where x in "+list(100000, `"ab"`))
	compiles("a chain of 20,000 or", "any where x == 1"+many(` or y : "ab*"`, 20000))
	compiles("50,000 characters", "any where "+many(`(process.name : "abc*" and not process.args == "x") or `, 900)+"true")
	compiles("450 levels", "any where "+many("not (a == 1 or ", 225)+"b"+many(")", 225))
	compiles("450 levels of calls", "any where "+many("concat(x, ", 450)+"x"+many(")", 450)+` == "x"`)
	compiles("a sum of 400", "any where x"+many(" + 1", 400)+" == 5")
	compiles("a folded sum of 400", "any where x == 1"+many(" + 1", 400))
	compiles("500 stages", "sequence by x "+many("[any where true] with runs=100 ", 5))
	compiles("450 filters", "sequence by x "+many("[any where true] ", 450))
	refused("10,000 levels", "any where "+many("not (a == 1 or ", 5000)+"b"+many(")", 5000), "nested deeper")
	refused("a big repetition", `any where x regex "(a{1000}){1000}"`, "larger than 10000")
	refused("many states", `any where x regex "(a|b)*a(a|b){20}&@"`, "too many states")
	refused("a big Java repetition", `any where concat(x) regex "(a{1000}){1000}"`, "invalid repeat count")
	refused("many mistakes", "any where "+many(`nofunction(x) and `, 20000)+"true", "Unknown function")

	// A mapping of 10,000 fields, and a query of names that are not in it.
	var b strings.Builder
	b.WriteString(`{"properties":{"event":{"properties":{"category":{"type":"keyword"}}}`)
	for i := range 10000 {
		b.WriteString(`,"process_field_` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26%9) + `_` + time.Duration(i).String() + `":{"type":"keyword"}`)
	}
	b.WriteString("}}")
	m, err := eql.ReadMapping(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c := eql.Compiler{Schema: event.NewSchema(), Mapping: m}
	if _, err := c.Compile(syntax.Source{Text: "any where " + many(`process_field_xyz == "a" or `, 5000) + "true"}); err == nil {
		t.Error("unknown fields: accepted")
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("unknown fields took %v", took)
	}
	if _, err := eql.ReadMapping(strings.NewReader(many(`{"properties":{"a":`, 2000) + "{}" + many("}}", 2000))); err == nil || !strings.Contains(err.Error(), "deeper") {
		t.Errorf("a deep mapping: got %v", err)
	}
}

// A sample of many equal filters has no more events than it can use, but very
// many ways to try them.
func TestSamplesDoNotTryEveryOrder(t *testing.T) {
	s := event.NewSchema()
	q, err := eql.Compile(syntax.Source{Text: "sample by x " + strings.Repeat("[any where true] ", 20)}, s)
	if err != nil {
		t.Fatal(err)
	}
	sampler := q.NewSampler()
	d := event.NewDecoder(s)
	for range 19 {
		var e event.Event
		if err := d.Decode([]byte(`{"x":1}`), &e); err != nil {
			t.Fatal(err)
		}
		sampler.Add(&e)
	}
	start := time.Now()
	sampler.Samples(1, func(eql.Match) bool { t.Error("found a sample of 20 among 19 events"); return false })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
