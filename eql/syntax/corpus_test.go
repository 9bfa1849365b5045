package syntax_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the corpora give into them")

// A corpus file of this package begins with a sentence, and holds:
//
//	same       lines of two expressions, A  <=>  B, that are the same tree
//	differ     lines of two expressions, A  <=>  B, that are not
//	print      lines of an expression and how it is printed, A  =>  B
//	strings    lines of a string constant and its value as Go writes it, A  =>  "B"
//	x.query    a query, and
//	x.report   the mistakes that are found in it, for people
//	x.in       a query, and
//	x.out      how it is formatted
func TestCorpus(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no corpora")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(string(ar.Comment), "\n"); !strings.HasSuffix(first, ".") {
				t.Errorf("the first line is no sentence: %q", first)
			}
			if runCorpus(t, ar) && *update {
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func runCorpus(t *testing.T, ar *txtar.Archive) (changed bool) {
	pairs := func(data []byte, sep string, f func(a, b string)) {
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			a, b, ok := strings.Cut(line, sep)
			if !ok {
				t.Fatalf("no %s in %s", sep, line)
			}
			f(strings.TrimSpace(a), strings.TrimSpace(b))
		}
	}
	parse := func(s string) syntax.Expr {
		t.Helper()
		x, err := syntax.ParseExpr(syntax.Source{Text: s})
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		roundTrip(t, "any where "+s)
		return x
	}
	var input string
	for i := range ar.Files {
		f := &ar.Files[i]
		want := string(f.Data)
		got := want
		switch ext := filepath.Ext(f.Name); {
		case f.Name == "same":
			pairs(f.Data, "<=>", func(a, b string) {
				if x, y := parse(a), parse(b); !syntax.EqualExpr(x, y) {
					t.Errorf("%s is %s\n%s is %s", a, syntax.ExprString(x), b, syntax.ExprString(y))
				}
			})
		case f.Name == "differ":
			pairs(f.Data, "<=>", func(a, b string) {
				if syntax.EqualExpr(parse(a), parse(b)) {
					t.Errorf("%s and %s are the same", a, b)
				}
			})
		case f.Name == "print":
			pairs(f.Data, "=>", func(a, b string) {
				if got := syntax.ExprString(parse(a)); got != b {
					t.Errorf("%s\ngot  %s\nwant %s", a, got, b)
				}
			})
		case f.Name == "strings":
			pairs(f.Data, "=>", func(a, b string) {
				if l, ok := parse(a).(*syntax.Literal); !ok || quoteGo(l.Str) != b {
					t.Errorf("%s\ngot  %s\nwant %s", a, quoteGo(l.Str), b)
				}
			})
		case ext == ".query", ext == ".in":
			input = strings.TrimSuffix(want, "\n")
		case ext == ".report":
			_, err := syntax.Parse(syntax.Source{Text: input})
			got = "accepted\n"
			if errs, ok := err.(syntax.Errors); ok {
				got = errs.Report()
			}
		case ext == ".out":
			q, err := syntax.Parse(syntax.Source{Text: input})
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			roundTrip(t, input)
			got = syntax.Format(q)
		default:
			t.Fatalf("unknown section %q", f.Name)
		}
		if got != want {
			changed = true
			f.Data = []byte(got)
			if !*update {
				t.Errorf("%s: got\n%swant\n%s", f.Name, got, want)
			}
		}
	}
	return changed
}
