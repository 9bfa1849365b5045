package rule_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orlop/orlop/rule"
)

var update = flag.Bool("update", false, "rewrite what the files under testdata want")

// Each testdata/*.txtar is a folder of rules named for a claim, and what Load
// says about it: the rules, the errors, the warnings.
func TestLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fsys, want := fstest.MapFS{}, ""
			kept := ar.Files[:0]
			for _, f := range ar.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				kept = append(kept, f)
				fsys[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			got := describe(rule.LoadFS(fsys, ""))
			if *update {
				ar.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s: want -, got +:\n%s", file, d)
			}
			if bad := strings.HasSuffix(file, ".bad.txtar"); bad != strings.Contains(got, "errors:") {
				t.Errorf("%s: the name says otherwise", file)
			}
		})
	}
}

func describe(p *rule.Pack) string {
	var b strings.Builder
	for _, r := range p.Rules {
		fmt.Fprintf(&b, "%s: %s", r.File, r.Name)
		if why := r.Idle(); why != "" {
			fmt.Fprintf(&b, " (%s)", why)
		}
		b.WriteByte('\n')
	}
	if len(p.Errors) > 0 {
		b.WriteString("errors:\n" + p.Errors.Report())
	}
	if len(p.Warnings) > 0 {
		b.WriteString("warnings:\n" + p.Warnings.Report())
	}
	return b.String()
}
