package eql

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// The examples of the functions are their tests.
func TestFunctionExamples(t *testing.T) {
	c := Compiler{Schema: event.NewSchema()}
	value := func(text string) event.Value {
		v, constant, err := c.CompileExpr(syntax.Source{Text: text})
		if err != nil || !constant {
			t.Errorf("%s: constant %v, error %v", text, constant, err)
		}
		return v
	}
	for _, f := range functions {
		if len(f.examples) == 0 || f.doc == "" {
			t.Errorf("%s has no examples or no doc", f.name)
		}
		for _, ex := range f.examples {
			if got, want := value(ex.expr), value(ex.want); !got.Equal(want) {
				t.Errorf("%s = %v %s, want %v %s", ex.expr, got.Kind(), got.Text(), want.Kind(), want.Text())
			}
		}
	}
}

const reference = "../docs/eql.md"

// TestReference holds the tables of docs/eql.md to what the code says, and its
// links to corpus files that are there. -update writes the tables.
func TestReference(t *testing.T) {
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	got := page
	for _, table := range []struct{ name, text string }{
		{"functions", functionTable()},
		{"limits", limitTable()},
	} {
		begin, end := []byte("<!-- "+table.name+" -->\n"), []byte("<!-- end -->\n")
		i := bytes.Index(got, begin)
		if i < 0 {
			t.Fatalf("%s has no place for the table of %s", reference, table.name)
		}
		i += len(begin)
		j := i + bytes.Index(got[i:], end)
		got = bytes.Join([][]byte{got[:i], []byte(table.text), got[j:]}, nil)
	}
	if !bytes.Equal(got, page) {
		if flag.Lookup("update").Value.String() != "true" {
			t.Errorf("%s is stale: go generate ./eql", reference)
		} else if err := os.WriteFile(reference, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Each paragraph of the reference ends in a link to what proves it. A table, and
// what leads to it, may have a paragraph of links behind it.
func TestReferenceIsProven(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	const link = `\[[^\]\n]+\]\(\.\./([^)#]+)\)`
	for _, m := range regexp.MustCompile(link).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat("../" + m[1]); err != nil {
			t.Errorf("%s links to %s, which is not there", reference, m[1])
		}
		if !strings.Contains(m[1], "/testdata/") && !strings.HasSuffix(m[1], "_test.go") {
			t.Errorf("%s links to %s, which proves nothing", reference, m[1])
		}
	}
	// What the page is about claims nothing, and the functions have examples.
	_, page, _ = strings.Cut(page, "more\nexamples are.\n\n")
	before, rest, _ := strings.Cut(page, "<!-- functions -->")
	_, after, ok := strings.Cut(rest, "<!-- end -->")
	if !ok {
		t.Fatal("the reference has another beginning, or no functions")
	}
	links, ends := regexp.MustCompile(`^(`+link+`[,\s]*)+$`), regexp.MustCompile(link+`\)?\.?$`)
	var claims []string // without a link, so far
	blame := func() {
		for _, p := range claims {
			t.Errorf("%s: nothing proves %.70q", reference, p)
		}
		claims = nil
	}
	for p := range strings.SplitSeq(before+after, "\n\n") {
		p = strings.TrimSuffix(strings.TrimPrefix(strings.TrimRight(p, "\n"), "<!-- limits -->\n"), "\n<!-- end -->")
		switch {
		case strings.TrimSpace(p) == "", strings.HasPrefix(p, "    "): // a query is shown
		case strings.HasPrefix(p, "## "):
			blame()
		case links.MatchString(p):
			claims = nil
		case ends.MatchString(p):
			blame()
		default:
			claims = append(claims, p)
		}
	}
	blame()

	// What Elasticsearch leaves open is proven question by question.
	corpus, err := os.ReadFile("testdata/open_questions_have_one_answer.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(after, "| question | here |\n|---|---|\n")
	if table == "" {
		t.Error("the reference has no open questions")
	}
	for row := range strings.Lines(table) {
		if !strings.HasPrefix(row, "| ") {
			break
		}
		question, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		if !strings.Contains(string(corpus), "\n# "+question+"\n") {
			t.Errorf("%s: no corpus answers %q", reference, question)
		}
	}
}

func functionTable() string {
	var b strings.Builder
	for _, f := range functions {
		var args []string
		for i, p := range f.params {
			name := [...]string{"value", "text", "number", "integer", "boolean", "address", "block"}[p]
			if i >= len(f.params)-f.optional {
				name = "[" + name + "]"
			}
			if f.variadic && i == len(f.params)-1 {
				name += ", …"
			}
			args = append(args, name)
		}
		fold := ""
		if f.fold {
			fold = ", `" + f.name + "~`"
		}
		fmt.Fprintf(&b, "**`%s(%s)`**%s  \n%s\n\n", f.name, strings.Join(args, ", "), fold, f.doc)
		for _, ex := range f.examples {
			fmt.Fprintf(&b, "    %-56s %s\n", ex.expr, ex.want)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func limitTable() string {
	var b strings.Builder
	b.WriteString("| limit | value | beyond it |\n|---|---|---|\n")
	row := func(what string, n int, then string) { fmt.Fprintf(&b, "| %s | %d | %s |\n", what, n, then) }
	row("bytes of a query", syntax.MaxText, "the query is refused")
	row("levels of parentheses, calls, `not`, signs and operators", syntax.MaxDepth, "the query is refused")
	row("levels of a field's name", syntax.MaxDepth, "the query is refused")
	row("different fields", syntax.MaxFields, "the query is refused")
	row("keys behind one `by`", syntax.MaxBy, "the query is refused")
	row("terms of a sequence or sample, runs written out", syntax.MaxStages, "the query is refused")
	row("days of `maxspan`", 106751, "the query is refused")
	row("characters of a regular expression, repetitions written out", expr.MaxRegexSize, "the query is refused")
	row("repetitions in repetitions of a regular expression, multiplied", 1000, "the query is refused")
	row("states of a regular expression with `~`, `&` or `#`", expr.MaxRegexStates, "the query is refused")
	row("characters and states of all regular expressions of a query", maxRegexes, "the query is refused")
	row("mistakes that are reported", maxMistakes, "the rest is not reported")
	row("depth of fields in a mapping", maxFieldDepth, "the mapping is refused")
	row("combinations of arrays that a computation tries", expr.MaxCombinations, "the computation does not hold")
	row("combinations of arrays that are keys of an event", MaxKeys, "the event has no further keys")
	return b.String()
}
