package event_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/orlop/orlop/event"
)

// FuzzDecode holds the decoder against encoding/json: what the one refuses the
// other may accept only where the decoder is stricter on purpose, and a value
// that is read must be the value that is written.
func FuzzDecode(f *testing.F) {
	s := event.NewSchema()
	fields := []event.Field{s.Field("a"), s.Field("a.b"), s.Field("c")}
	d := event.NewDecoder(s)
	f.Fuzz(func(t *testing.T, doc []byte) {
		var e event.Event
		err := d.Decode(doc, &e)
		var ref map[string]json.RawMessage
		refErr := json.Unmarshal(doc, &ref)
		if err == nil && refErr != nil {
			t.Fatalf("accepted, but encoding/json says %v", refErr)
		}
		if err != nil {
			strict := strings.HasPrefix(err.Error(), "invalid UTF-8") || strings.HasPrefix(err.Error(), "duplicate key") || strings.HasPrefix(err.Error(), "nested too deep")
			if refErr == nil && ref != nil && !strict {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		for _, f := range fields {
			out := e.Get(f).AppendJSON(nil)
			if !json.Valid(out) {
				t.Fatalf("%s is no JSON", out)
			}
		}
		var str string
		if json.Unmarshal(ref["c"], &str) == nil && len(ref["c"]) > 0 && ref["c"][0] == '"' {
			if got := e.Get(fields[2]); got.Kind() == event.KindString && got.Str() != str {
				t.Fatalf("c: got %q, want %q", got.Str(), str)
			}
		}
		c := e.Clone()
		if !bytes.Equal(c.Raw, doc) || !c.Get(fields[0]).Equal(e.Get(fields[0])) {
			t.Fatal("the clone differs")
		}
	})
}
