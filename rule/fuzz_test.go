package rule_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/rule"
)

// Any bytes are a rule or a list of mistakes that can be shown, and what is TOML
// to us is TOML to go-toml.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range ar.Files {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, warnings, err := rule.Parse("f.toml", text)
		if (r == nil) != (err != nil) {
			t.Fatalf("rule %v, error %v", r, err)
		}
		var errs syntax.Errors
		errors.As(err, &errs)
		broken := false
		for _, e := range append(errs, warnings...) {
			if e.Range.Start < 0 || e.Range.End < e.Range.Start || e.Range.End > len(e.Src.Text) {
				t.Errorf("%v: range %v of %d bytes", e, e.Range, len(e.Src.Text))
			}
			_ = e.Snippet()
			broken = broken || e.Class == rule.TOML
		}
		if r != nil {
			checkPlace(t, string(text), r.Query)
			if _, err := r.MarshalJSON(); err != nil {
				t.Error(err)
			}
		}
		var m map[string]any
		theirs := toml.Unmarshal([]byte(strings.TrimPrefix(string(text), "\uFEFF")), &m)
		if theirs == nil && broken && !strings.Contains(errs.Error(), "more than") {
			t.Errorf("go-toml takes it, we say %v", err)
		}
		if theirs != nil && !broken && !strings.Contains(theirs.Error(), "date") && !strings.Contains(theirs.Error(), "time") &&
			!strings.Contains(theirs.Error(), "month") && !strings.Contains(theirs.Error(), "day") && !strings.Contains(theirs.Error(), "hour") {
			t.Errorf("we take it, go-toml says %v", theirs)
		}
	})
}

const before = `[rule]
author = ["Ann"]
description = "x"
name = "x"
risk_score = 1
rule_id = "x"
severity = "low"
type = "eql"
`

// The place of each character of a query is where the file has the bytes that
// it is made of, in each of TOML's four kinds of string.
func FuzzPlace(f *testing.F) {
	f.Fuzz(func(t *testing.T, token string) {
		text := before + "query = " + token + "\n"
		r, _, err := rule.Parse("f.toml", []byte(text))
		if err != nil {
			return
		}
		checkPlace(t, text, r.Query)
	})
}

// checkPlace holds the text of a query against the file, character by character.
func checkPlace(t *testing.T, text string, q syntax.Source) {
	t.Helper()
	if q.Text == "" {
		return
	}
	text = strings.TrimPrefix(text, "\uFEFF")
	end, err := offset(text, q, len(q.Text))
	if err != nil || text[end] != '"' && text[end] != '\'' {
		t.Fatalf("%q: the end is at %d, %v", text, end, err)
	}
	last := -1
	for i, r := range q.Text {
		at, err := offset(text, q, i)
		if err != nil {
			t.Fatalf("%q: byte %d: %v", text, i, err)
		}
		if got := producedBy(text[at:], text[end] == '\''); got != r {
			t.Fatalf("%q: character %q at byte %d of the query: the file has %q at %d", text, r, i, got, at)
		}
		if at <= last {
			t.Fatalf("%q: byte %d is at %d, after %d", text, i, at, last)
		}
		last = at
		for j := 1; j < utf8.RuneLen(r); j++ {
			// The inner bytes of a character are in the same column.
			if in, err := offset(text, q, i+j); err == nil && in != at {
				t.Fatalf("%q: byte %d is at %d, its character at %d", text, i+j, in, at)
			}
		}
	}
}

// offset asks for the place of a byte and finds it in the file as an editor would.
func offset(text string, q syntax.Source, i int) (int, error) {
	line, col := q.Position(i)
	lines := strings.SplitAfter(text, "\n")
	if line < 1 || line > len(lines) {
		return 0, fmt.Errorf("line %d of %d", line, len(lines))
	}
	at := 0
	for _, l := range lines[:line-1] {
		at += len(l)
	}
	for n := range lines[line-1] {
		if col--; col == 0 {
			return at + n, nil
		}
	}
	return 0, fmt.Errorf("line %d has no column %d more", line, col)
}

// producedBy is the first character that a string with this in it has.
func producedBy(s string, literal bool) rune {
	if literal || s[0] != '\\' {
		r, _ := utf8.DecodeRuneInString(s)
		return r
	}
	var m map[string]string
	for n := 2; n <= min(10, len(s)); n++ {
		if toml.Unmarshal([]byte(`x = "`+s[:n]+`"`), &m) == nil {
			r, _ := utf8.DecodeRuneInString(m["x"])
			return r
		}
	}
	return utf8.RuneError
}

func TestPlaceByHand(t *testing.T) {
	f := func(token, find string, line, col int) {
		t.Helper()
		r, _, err := rule.Parse("f.toml", []byte(before+"query = "+token))
		if err != nil {
			t.Fatal(err)
		}
		gotLine, gotCol := r.Query.Position(strings.Index(r.Query.Text, find))
		if gotLine != line || gotCol != col {
			t.Errorf("%s: %s is at %d:%d, want %d:%d", token, strconv.Quote(find), gotLine, gotCol, line, col)
		}
	}
	f(`"any where x"`, "x", 9, 20)
	f(`'any where x'`, "x", 9, 20)
	f(`"any\n\\é\u00e9 x"`, "x", 9, 25)
	f("'''\nany\n  where x'''", "x", 11, 9)
	f("\"\"\"any \\\n\n   where x\"\"\"", "x", 11, 10)
	f("\"\"\"any\n\\\"é x\"\"\"", "x", 10, 5)
}
