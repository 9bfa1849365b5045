package rule_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/rule"
)

// ruleText is a rule file whose query is written as the TOML string literal.
func ruleText(literal string) string {
	return `[metadata]
creation_date = "2026/04/29"
updated_date = "2026/04/29"

[rule]
author = ["Orlop"]
description = "A rule."
name = "A rule"
risk_score = 21
severity = "low"
rule_id = "11111111-2222-4333-8444-555555555555"
type = "eql" # its query is below
query = ` + literal + ` # a comment behind it
language = "eql"
`
}

func TestRequeryChangesTheQueryAlone(t *testing.T) {
	f := func(literal, query, want string) {
		t.Helper()
		r, _, err := rule.Parse("a.toml", []byte(ruleText(literal)))
		if err != nil {
			t.Fatal(err)
		}
		got := r.Requery(query)
		if got != ruleText(want) {
			t.Errorf("%s\ngot\n%s\nwant\n%s", literal, got, ruleText(want))
			return
		}
		again, _, err := rule.Parse("a.toml", []byte(got))
		if err != nil {
			t.Fatalf("the file is broken: %v", err)
		}
		if strings.TrimSpace(again.Query.Text) != strings.TrimSpace(query) {
			t.Errorf("got query %q, want %q", again.Query.Text, query)
		}
	}
	f(`"any where true"`, "any where false\n", `"any where false"`)
	f(`'any where true'`, `any where a == "x\\y"`, `'any where a == "x\\y"'`)
	f(`"any where true"`, `any where a == "x\\y"`, `"any where a == \"x\\\\y\""`)
	f(`'any where true'`, `any where a == "it's"`, `"any where a == \"it's\""`)
	f("'''\nany where true\n'''", "any where\n  a == \"\\\\\"\n", "'''\nany where\n  a == \"\\\\\"\n'''")
	f("\"\"\"\nany where true\n\"\"\"", "any where\n  a : \"\"\"C:\\x\"\"\"\n", "\"\"\"\nany where\n  a : \"\"\\\"C:\\\\x\"\"\\\"\n\"\"\"")
	f("'''\nany where true\n'''", "any where\n  a == \"'''\"\n", "\"\"\"\nany where\n  a == \"'''\"\n\"\"\"")
}

func TestRequeryOfItsOwnQueryIsTheSameRule(t *testing.T) {
	text, err := os.ReadFile("../rules/execution_container_runtime_cli_suspicious_arguments.toml")
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := rule.Parse("seed.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Requery(r.Query.Text); got != string(text) {
		t.Error("the file changed")
	}
}

// literals are the ways to write text as a TOML string, with escapes where pick
// says so.
func literals(text string, pick func(n int) int) (list []string) {
	escape := func(lines bool) string {
		var b strings.Builder
		for _, c := range text {
			switch {
			case c == '\n' && lines:
				b.WriteRune(c)
			case c == '\n':
				b.WriteString(`\n`)
			case c == ' ' && lines && pick(20) == 0:
				b.WriteString("\\u0020\\\n  \n ") // a blank, and a line end that is none
			case c == '"' || c == '\\':
				b.WriteString(`\` + string(c))
			case c < ' ' && c != '\t', c == 0x7f, pick(20) == 0:
				fmt.Fprintf(&b, `\U%08x`, c)
			default:
				b.WriteRune(c)
			}
		}
		return b.String()
	}
	list = append(list, `"`+escape(false)+`"`, `"""`+"\n"+escape(true)+`"""`)
	if !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\t' && c != '\n' || c == 0x7f }) {
		if !strings.ContainsAny(text, "'\n") {
			list = append(list, "'"+text+"'")
		}
		if !strings.Contains(text, "''") {
			list = append(list, "'''\n"+text+"'''")
		}
	}
	return list
}

// Formatting the query of a rule file keeps the rest of the file to the byte and
// the query's meaning and comments, and is done once, however the string is
// written and wherever its comments stand.
func TestRequeryIsStable(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	blanks := []string{"\n", "\t", " // x\n", "/* it's */", "/* \"\"\" */", "/* ''' */", "// \\ \"\n", "/* a\n b\t\x1b */", "/*\u2028*/"}
	files, _ := filepath.Glob("../eql/syntax/testdata/*.txtar")
	n := 0
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range ar.Files {
			text := string(f.Data)
			q, err := syntax.Parse(syntax.Source{Text: text})
			if err != nil {
				continue
			}
			for range 300 {
				at := r.IntN(len(text) + 1)
				more := text[:at] + blanks[r.IntN(len(blanks))] + text[at:]
				if p, err := syntax.Parse(syntax.Source{Text: more}); err == nil && syntax.Equal(p, q) && r.IntN(20) == 0 {
					text = more
				}
			}
			for _, literal := range literals(text, r.IntN) {
				for _, end := range []string{"\n", "\r\n"} {
					n++
					requeried(t, strings.ReplaceAll(ruleText("\x00"), "\n", end), strings.ReplaceAll(literal, "\n", end), q)
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d files were tried", n)
	}
}

// requeried formats the query of a file, which is written as literal for the NUL.
func requeried(t *testing.T, file, literal string, q *syntax.Query) {
	t.Helper()
	before, after, _ := strings.Cut(file, "\x00")
	format := func(text string) (layout, out string) {
		r, _, err := rule.Parse("a.toml", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		p, err := syntax.Parse(r.Query)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !syntax.Equal(p, q) {
			t.Fatalf("another query: %s\nwant %s\n%s", p, q, text)
		}
		layout = syntax.Format(p)
		return layout, r.Requery(layout)
	}
	layout, out := format(before + literal + after)
	if !strings.HasPrefix(out, before) || !strings.HasSuffix(out, after) {
		t.Fatalf("more than the query changed:\n%q", out)
	}
	layout2, out2 := format(out)
	if layout2 != layout {
		t.Fatalf("got the query\n%s\nwant\n%s", layout2, layout)
	}
	if out2 != out {
		t.Fatalf("formatted twice:\n%q\nonce:\n%q", out2, out)
	}
}
