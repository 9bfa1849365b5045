package enrich_test

import (
	"bytes"
	"encoding/gob"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata")

// Each file of testdata is a claim: its first line says it, "in" are documents,
// "want" is what Apply derives from each, one line a document. A file "only", if
// there is one, lists the fields to look at; else they are all but orlop.*. Entity ids that Apply made are
// written #1, #2, … in order of appearance.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata:", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var in, want []byte
			var only []string
			for _, f := range a.Files {
				switch f.Name {
				case "in":
					in = f.Data
				case "only":
					only = strings.Fields(string(f.Data))
				case "want":
					want = f.Data
				}
			}
			got := derive(t, in, only, false)
			if *update {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
				a.Files = append(a.Files, txtar.File{Name: "want", Data: got})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", bytes.TrimSpace(a.Comment), got, want)
			}
			if got := derive(t, in, only, true); !bytes.Equal(got, want) {
				t.Errorf("restarted before each event: %s\ngot:\n%s\nwant:\n%s", bytes.TrimSpace(a.Comment), got, want)
			}
		})
	}
}

// restarted is an Enricher that goes on from what a file could hold of x.
func restarted(t *testing.T, x *enrich.Enricher, s *event.Schema) *enrich.Enricher {
	t.Helper()
	var f bytes.Buffer
	if err := gob.NewEncoder(&f).Encode(x.State()); err != nil {
		t.Fatal(err)
	}
	var st enrich.State
	if err := gob.NewDecoder(&f).Decode(&st); err != nil {
		t.Fatal(err)
	}
	n := enrich.New(s, enrich.Options{})
	if err := n.Restore(&st); err != nil {
		t.Fatal(err)
	}
	if got, want := n.Stats().Bytes, x.Stats().Bytes; got != want {
		t.Fatalf("%d bytes after a restart, want %d", got, want)
	}
	return n
}

// derive applies a new Enricher to NDJSON and returns what it derives.
func derive(t *testing.T, in []byte, only []string, restart bool) []byte {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	ids := map[string]string{}
	var out bytes.Buffer
	var e event.Event
	for line := range bytes.Lines(in) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := d.Decode(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if restart {
			x = restarted(t, x, s)
		}
		x.Apply(&e)
		var fields []string
		for _, f := range e.Derived() {
			name := s.Name(f)
			if len(only) > 0 && !slices.Contains(only, name) || len(only) == 0 && strings.HasPrefix(name, "orlop.") {
				continue
			}
			text := string(e.Get(f).AppendJSON(nil))
			if strings.HasSuffix(name, "entity_id") || strings.HasSuffix(name, "ancestry") {
				for i := range e.Get(f).Len() {
					v := e.Get(f).At(i).Str()
					if len(v) == 16 {
						if ids[v] == "" {
							ids[v] = fmt.Sprint("#", len(ids)+1)
						}
						text = strings.ReplaceAll(text, string(event.AppendQuoted(nil, v)), ids[v])
					}
				}
			}
			fields = append(fields, strings.TrimPrefix(name, "process.")+"="+text)
		}
		slices.Sort(fields)
		if fields == nil {
			fields = []string{"-"}
		}
		fmt.Fprintln(&out, strings.Join(fields, " "))
	}
	return out.Bytes()
}
