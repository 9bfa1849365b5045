package rules_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
)

// The engine's tests run each rule over its events; here they only have to load.
func TestRulesLoad(t *testing.T) {
	p := rule.LoadFS(rules.FS, "rules")
	if len(p.Errors)+len(p.Warnings) > 0 {
		t.Errorf("errors:\n%s\nwarnings:\n%s", p.Errors.Report(), p.Warnings.Report())
	}
	if len(p.Rules) == 0 {
		t.Fatal("no rules")
	}
	for _, r := range p.Rules {
		yes, no := 0, 0
		names := map[string]bool{}
		for _, test := range r.Tests {
			if names[test.Name] {
				t.Errorf("%s: two tests %q", r.File, test.Name)
			}
			names[test.Name] = true
			if test.Match {
				yes++
			} else {
				no++
			}
			for _, doc := range test.Events {
				if !json.Valid(doc) || bytes.ContainsRune(doc, '\n') {
					t.Errorf("%s: %q: event %s", r.File, test.Name, doc)
				}
			}
		}
		if yes == 0 || no == 0 {
			t.Errorf("%s: %d tests that match and %d that do not: want some of both", r.File, yes, no)
		}
	}
}

// The queries are laid out as orlop fmt does it, and tags name the tactics that the
// threats do. The seed is as it was handed to us.
func TestRulesAreAlike(t *testing.T) {
	for _, r := range rule.LoadFS(rules.FS, "rules").Rules {
		if r.ID == "86b3a245-03de-49a5-ab57-ae44d8f064da" {
			continue
		}
		tree, err := syntax.Parse(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(syntax.Format(tree)) != strings.TrimSpace(r.Query.Text) {
			t.Errorf("%s: want the layout of orlop fmt", r.File)
		}
		var tagged, meant []string
		for _, tag := range r.Tags {
			if name, ok := strings.CutPrefix(tag, "Tactic: "); ok {
				tagged = append(tagged, name)
			}
		}
		for _, threat := range r.Threat {
			meant = append(meant, threat.Tactic.Name)
		}
		slices.Sort(tagged)
		slices.Sort(meant)
		if !slices.Equal(tagged, meant) {
			t.Errorf("%s: tags name the tactics %q, threats %q", r.File, tagged, meant)
		}
	}
}

// The seed's query is what was handed to us, to the letter.
func TestSeedQuery(t *testing.T) {
	for _, r := range rule.LoadFS(rules.FS, "rules").Rules {
		if r.ID != "86b3a245-03de-49a5-ab57-ae44d8f064da" {
			continue
		}
		want, err := os.ReadFile("testdata/seed.eql")
		if err != nil {
			t.Fatal(err)
		}
		if r.Query.Text != string(want) {
			t.Errorf("got %s\nwant %s", r.Query.Text, want)
		}
		line, col := r.Query.Position(strings.Index(r.Query.Text, "snapshots"))
		text, _ := rules.FS.ReadFile("execution_container_runtime_cli_suspicious_arguments.toml")
		if got := strings.Split(string(text), "\n")[line-1][col-1:]; !strings.HasPrefix(got, "snapshots") {
			t.Errorf("the file has %q where the query has snapshots", got)
		}
		return
	}
	t.Error("the seed rule is not there")
}
