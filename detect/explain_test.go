package detect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
)

// Each file of testdata/explain has a rule's query, events, and what the alerts
// then say under orlop.explain. UPDATE=1 writes the last anew.
func TestExplain(t *testing.T) {
	files, _ := filepath.Glob("testdata/explain/*.txtar")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(ar.Files) != 3 || ar.Files[0].Name != "query.eql" || ar.Files[1].Name != "events.ndjson" || ar.Files[2].Name != "explain.json" {
				t.Fatal("want query.eql, events.ndjson and explain.json")
			}
			b := newBench(t, detect.Options{Lateness: -1}, eql("r", string(ar.Files[0].Data)))
			for line := range bytes.Lines(ar.Files[1].Data) {
				b.see("s", string(bytes.TrimSpace(line)))
			}
			b.Flush(b.emit)
			var got bytes.Buffer
			for _, a := range b.alerts {
				if x := explanation(t, a); x != nil {
					json.Indent(&got, x, "", "  ")
					got.WriteByte('\n')
				}
			}
			if os.Getenv("UPDATE") != "" {
				ar.Files[2].Data = got.Bytes()
				if err := os.WriteFile(file, txtar.Format(ar), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(string(ar.Files[2].Data), got.String()); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func explanation(t *testing.T, a *alert.Alert) json.RawMessage {
	var d struct {
		Orlop struct{ Explain json.RawMessage }
	}
	if err := json.Unmarshal(a.AppendJSON(nil), &d); err != nil {
		t.Fatal(err)
	}
	return d.Orlop.Explain
}

// However large an event is, its explanation is not: text, lists and clauses
// are clipped, and say so.
func TestExplainIsClipped(t *testing.T) {
	var names []string
	for i := range 3000 {
		names = append(names, fmt.Sprintf(`"tool%d"`, i))
	}
	b := newBench(t, detect.Options{}, eql("r", `process where process.args == "x" and process.name in (`+strings.Join(names, ", ")+`)`))
	args := strings.Repeat(`"`+strings.Repeat("ü", 5000)+`",`, 100) + `"x"`
	b.see("s", `{"event.category":"process","process.name":"tool7","process.args":[`+args+`]}`)
	if len(b.alerts) != 1 {
		t.Fatalf("%d alerts", len(b.alerts))
	}
	x := explanation(t, b.alerts[0])
	if len(x) > 64*500 {
		t.Errorf("the explanation has %d bytes", len(x))
	}
	if n := bytes.Count(x, []byte("…")); n < 3 {
		t.Errorf("%d ellipses, want one for the clause, the list and its texts each: %.300s", n, x)
	}
	if !json.Valid(x) || bytes.Contains(x, []byte("\ufffd")) {
		t.Error("a character is cut in two")
	}
}
