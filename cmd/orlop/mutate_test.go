package main

import (
	"slices"
	"testing"

	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
)

// Every other spelling of what the pack's tests say must be seen is seen. The
// figures of the rule that the pack grew from stand beside it.
func TestPackSeesEverySpelling(t *testing.T) {
	pack := rule.LoadFS(rules.FS, "rules")
	if len(pack.Errors) > 0 {
		t.Fatal(pack.Errors)
	}
	tried := func(rs []*rule.Rule) *mutation {
		m, err := newMutation(rs)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range pack.Rules {
			if err := m.try(r); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	all := tried(pack.Rules)
	for _, k := range all.kinds {
		for _, args := range k.Missed {
			if k.Gate {
				t.Errorf("nothing sees %q (%s)", args, k.How)
			}
		}
	}
	if all.n < 500 || all.commands < 30 {
		t.Errorf("only %d spellings of %d commands", all.n, all.commands)
	}
	for _, how := range []string{
		"alias", "flag=value", "short for long", "split short flags", "order", "environment", "config file", "sudo", "sh -c", "nsenter", "unshare", "busybox",
		"k3s", "renamed copy", "symbolic link", "relative path", "working directory", "empty argument", "20 kB argument",
	} {
		if !slices.ContainsFunc(all.kinds, func(k *mutationKind) bool { return k.How == how && k.Gate && k.Spellings > 0 }) {
			t.Errorf("no spelling of the kind %q was tried", how)
		}
	}
	var seed []*rule.Rule
	for _, r := range pack.Rules {
		if r.ID == "86b3a245-03de-49a5-ab57-ae44d8f064da" {
			seed = append(seed, r)
		}
	}
	seen := func(m *mutation) (n int) {
		for _, k := range m.kinds {
			n += k.Pack
		}
		return n
	}
	t.Logf("of %d spellings the pack sees %d, the seed rule %d", all.n, seen(all), seen(tried(seed)))
}
