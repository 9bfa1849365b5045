package rule_test

import (
	"os"
	"strings"
	"testing"

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
