package syntax_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/rogpeppe/go-internal/txtar"
)

func quoteGo(s string) string { return strconv.Quote(s) }

// roundTrip checks that what is printed and what is formatted reads as the same
// query, that formatting is stable and that no comment is lost. It reports
// whether the text is a query at all.
func roundTrip(t *testing.T, text string) bool {
	t.Helper()
	q, err := syntax.Parse(syntax.Source{Text: text})
	if err != nil {
		return false
	}
	again := func(how, text string) *syntax.Query {
		p, err := syntax.Parse(syntax.Source{Text: text})
		if err != nil {
			t.Fatalf("%s:\n%s\n%v", how, text, err)
		}
		if !syntax.Equal(p, q) {
			t.Fatalf("%s: got %s\nwant %s", how, p, q)
		}
		return p
	}
	again("printed", q.String())
	f := syntax.Format(q)
	p := again("formatted", f)
	if g := syntax.Format(p); g != f {
		t.Fatalf("formatted twice:\n%sonce:\n%s", g, f)
	}
	for _, c := range comments(text) {
		if !strings.Contains(f, c) {
			t.Fatalf("lost the comment %q:\n%s", c, f)
		}
	}
	return true
}

// comments finds the comments of a query without a lexer: it removes strings
// and names, which may look as if they held some.
func comments(text string) []string {
	var found []string
	for i := 0; i < len(text); {
		rest := text[i:]
		skip := func(open, close string) bool {
			if !strings.HasPrefix(rest, open) {
				return false
			}
			n := strings.Index(rest[len(open):], close)
			if n < 0 {
				return false
			}
			i += len(open) + n + len(close)
			return true
		}
		switch {
		case skip(`"""`, `"""`):
			for i < len(text) && text[i] == '"' {
				i++
			}
		case rest[0] == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i++
		case skip("`", "`"):
		case strings.HasPrefix(rest, "//"):
			c := rest
			if n := strings.IndexAny(rest, "\r\n"); n >= 0 {
				c = rest[:n]
			}
			found = append(found, strings.TrimRight(c, " \t\r"))
			i += len(c)
		case strings.HasPrefix(rest, "/*"):
			start := i
			skip("/*", "*/")
			if i == start {
				return found
			}
			found = append(found, text[start:i])
		default:
			i++
		}
	}
	return found
}

// sources calls f for every query at hand: those of the corpora of this package
// and of package eql and, where they are, the shared conformance cases.
func sources(t testing.TB, f func(text string)) {
	files, _ := filepath.Glob("testdata/*.txtar")
	more, _ := filepath.Glob("../testdata/*.txtar")
	for _, name := range append(files, more...) {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range ar.Files {
			f(strings.TrimSuffix(string(part.Data), "\n"))
			for block := range strings.SplitSeq(string(part.Data), "\n\n") {
				f(block)
			}
			for line := range strings.Lines(string(part.Data)) {
				q, _, _ := strings.Cut(line, "=>")
				f(q)
				f("any where " + q)
			}
		}
	}
	suites, _ := filepath.Glob("../../../shared/conformance/eql/*.jsonl")
	for _, name := range suites {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(file)
		sc.Buffer(nil, 1<<22)
		for sc.Scan() {
			var c struct{ Query string }
			if json.Unmarshal(sc.Bytes(), &c) == nil {
				f(c.Query)
				f("any where " + c.Query)
			}
		}
		file.Close()
	}
}

func TestPrintedQueriesReadTheSame(t *testing.T) {
	n := 0
	sources(t, func(text string) {
		if roundTrip(t, text) {
			n++
		}
	})
	t.Logf("%d queries", n)
	if n < 100 {
		t.Errorf("only %d queries were found", n)
	}
}

// FuzzParse: no text makes Parse panic, and what it accepts survives printing
// and formatting.
func FuzzParse(f *testing.F) {
	n := 0
	sources(f, func(text string) {
		if n++; n%7 == 0 && len(text) < 2000 {
			f.Add(text)
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		if !roundTrip(t, text) {
			_, err := syntax.Parse(syntax.Source{Text: text})
			if len(err.(syntax.Errors).Report()) == 0 {
				t.Error("refused without a reason")
			}
		}
	})
}

// within fails a test that takes longer than hostile input may.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > d {
		t.Errorf("%s took %v, longer than %v", what, took, d)
	}
}

func TestHostileTextIsRefusedInTime(t *testing.T) {
	const second = 30 * time.Second // hundreds of times what it takes, for slow machines
	refused := func(what, text, want string) {
		t.Helper()
		within(t, second, what, func() {
			_, err := syntax.Parse(syntax.Source{Text: text})
			if err == nil {
				t.Errorf("%s: accepted", what)
				return
			}
			errs := err.(syntax.Errors)
			if got := errs[0].Msg; !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
			if len(errs) > 200 {
				t.Errorf("%s: %d mistakes", what, len(errs))
			}
			errs.Report()
		})
	}
	accepted := func(what, text string) {
		t.Helper()
		within(t, second, what, func() {
			if !roundTrip(t, text) {
				_, err := syntax.Parse(syntax.Source{Text: text})
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	many := strings.Repeat
	const deep = "nested deeper than the limit of 500 levels"
	refused("parentheses", "any where "+many("(", 10000)+"true"+many(")", 10000), deep)
	refused("open parentheses", "any where "+many("(", 500000), deep)
	refused("calls", "any where "+many("f(", 10000)+"1"+many(")", 10000), deep)
	refused("not", "any where "+many("not ", 10000)+"true", deep)
	refused("signs", "any where 1 == "+many("-", 10000)+"1", deep)
	refused("lists", "any where "+many("1 in (", 10000), deep)
	refused("a sum that leans to the left", "any where x == 1"+many("+1", 300000), deep)
	refused("a product inside a sum", "any where x == "+many("(", 400)+"1"+many(many("*1", 400)+")", 400), deep)
	refused("a pipe that leans to the left", "any where true | head 1"+many("+1", 300000), deep)
	refused("dollar signs", many("$", 500000), "token recognition error")
	refused("bad terms", "sequence "+many("[a where ] ", 50000), "mismatched input")
	refused("stages", "sequence "+many("[any where true] with runs=100 ", 1000), "more than the limit of 500 queries")
	refused("samples", "sample by x "+many("[any where true] ", 1000), "more than the limit of 500 queries")
	refused("a long text", "any where x == \""+many("a", syntax.MaxText)+"\"", "longer than the limit")
	refused("a comment that does not end", "any where true "+many("/* ", 250000), "comment does not end")
	refused("unclosed strings", many("\"\n", 200000), "token recognition error")
	refused("invalid UTF-8", "any where \xff", "not valid UTF-8")

	accepted("comments that half nest", "any where true "+many("/* /* */", 100000))
	accepted("comments that nest", "any where true "+many("/* ", 100000)+many("*/ ", 100000))
	accepted("line comments", "any where // x\n"+many("true // y\n and\n", 50000)+"true")
	accepted("a long list", `any where x in ("a"`+many(`, "b"`, 100000)+")")
	accepted("a long or", "any where x == 1"+many(" or x == 2", 50000))
	accepted("50,000 characters", "any where "+many(`process.name : "abc*" or `, 2000)+"true")
}

func TestPositionsCountCharacters(t *testing.T) {
	src := syntax.Source{Name: "r.eql", Text: "any where\n  \"é…\" == %x"}
	_, err := syntax.Parse(src)
	if err == nil || !strings.HasPrefix(err.Error(), "r.eql:2:11: mismatched input '%'") {
		t.Errorf("got %v", err)
	}
	src.Place = func(at int) (int, int) { return 100, at }
	_, err = syntax.Parse(src)
	if err == nil || !strings.HasPrefix(err.Error(), "r.eql:100:23: ") {
		t.Errorf("got %v", err)
	}
}
