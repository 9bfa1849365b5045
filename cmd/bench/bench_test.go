package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/rule"
)

// A thousand rules cost little more than one. The bound is generous, for others use the
// machine: it is 1.3 on an idle one, and without an index it would be hundreds.
func TestAThousandRulesCostLittleMoreThanOne(t *testing.T) {
	seed, err := seedRule()
	if err != nil {
		t.Fatal(err)
	}
	text := newFleet(2, 2).workday(400)
	one, err := scanner([]*rule.Rule{seed}, false)
	if err != nil {
		t.Fatal(err)
	}
	many, err := scanner(append([]*rule.Rule{seed}, synthesize(999)...), false)
	if err != nil {
		t.Fatal(err)
	}
	took := func(work func([]byte) error) float64 {
		start := time.Now()
		if err := work(text); err != nil {
			t.Fatal(err)
		}
		return time.Since(start).Seconds()
	}
	took(one)
	took(many)
	var ratios []float64
	for range 21 {
		a, b := took(one), took(many)
		ratios = append(ratios, b/a)
	}
	if r := median(ratios); r > 4 {
		t.Errorf("1,000 rules take %.2f times as long as one, want at most 4", r)
	} else {
		t.Logf("1,000 rules take %.2f times as long as one", r)
	}
}

// Documents and rules are the same in every run, documents are of the length of real
// ones, and each is a line of JSON.
func TestTheFleetIsTheSame(t *testing.T) {
	make := map[string]func() []byte{
		"processes": func() []byte { return newFleet(1, 2).processes(200) },
		"workday":   func() []byte { return newFleet(1, 2).workday(200) },
		"audit":     func() []byte { text, _ := newFleet(1, 2).audit(200); return text },
	}
	for name, f := range make {
		text := f()
		if !bytes.Equal(text, f()) {
			t.Errorf("%s differ from run to run", name)
		}
		if name == "audit" {
			continue
		}
		n := 0
		for l := range bytes.Lines(text) {
			n++
			if len(l) < 1000 || len(l) > 6000 || !json.Valid(l) {
				t.Errorf("%s: a document of %d bytes: %.100s", name, len(l), l)
			}
		}
		if n != 200 {
			t.Errorf("%s: %d documents, want 200", name, n)
		}
	}
}

// Every rule that is made compiles, from its file too.
func TestRulesCanRun(t *testing.T) {
	dir := t.TempDir()
	rules := synthesize(500)
	if err := detect.Check(rules); err != nil {
		t.Fatal(err)
	}
	for _, r := range rules[:20] {
		if err := os.WriteFile(filepath.Join(dir, r.ID+".toml"), []byte(file(r)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := rule.Load(dir)
	if len(p.Errors) > 0 || len(p.Rules) != 20 {
		t.Errorf("%d rules, %s", len(p.Rules), p.Errors.Report())
	}
}

// What a short run measures goes between the markers of a file, and what is around them
// stays.
func TestTablesGoBetweenTheMarkers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(name, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(1, 100, []int{1, 20, 30}, false, name); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	if !strings.HasPrefix(text, "before\n"+begin) || !strings.HasSuffix(text, end+"after\n") || strings.Contains(text, "old") {
		t.Errorf("the file is\n%s", text)
	}
	for _, want := range []string{"| Orlop, 30 rules |", "| `fastjson`, parse only |", "records/s", "Loading 30 rules"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "NaN") {
		t.Errorf("a figure is missing in\n%s", text)
	}
	if err := os.WriteFile(name, []byte("no markers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := between(name, ""); err == nil || !strings.Contains(err.Error(), "<!-- begin measured -->") {
		t.Errorf("error %v, want that the markers are missing", err)
	}
}
