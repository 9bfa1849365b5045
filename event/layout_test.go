package event_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/orlop/orlop/event"
)

// writer writes documents that are alike and never quite: keys come in another order or
// not at all, again, with escapes and dots, and values of every kind; objects repeat.
type writer struct {
	r    *rand.Rand
	b    strings.Builder
	past []string // objects that were written
}

func (w *writer) pick(of ...string) string { return of[w.r.IntN(len(of))] }

func (w *writer) object(depth int) {
	if len(w.past) > 0 && w.r.IntN(4) == 0 {
		w.b.WriteString(w.past[w.r.IntN(len(w.past))])
		return
	}
	from := w.b.Len()
	w.b.WriteString("{" + w.pick("", "", "", " "))
	n, sep := w.r.IntN(7), ""
	for i := range n {
		key := w.pick("a", "b", "c", "a.b", "b.c", "name", "entity_id", "a_key_that_is_longer_than_others", `\u0061`, `n\"x`, "é", "")
		if w.r.IntN(12) > 0 {
			key = []string{"a", "b", "name", "entity_id", "c", "a_key_that_is_longer_than_others", "a.b"}[i] // in order
		}
		w.b.WriteString(sep + `"` + key + `"` + w.pick(":", ":", ":", ":", " : "))
		w.value(depth)
		sep = w.pick(",", ",", ",", ", ")
	}
	w.b.WriteString("}")
	if text := w.b.String()[from:]; len(text) > 30 && len(text) < 3000 {
		if w.past = append(w.past, text); len(w.past) > 12 {
			w.past = w.past[1:]
		}
	}
}

func (w *writer) value(depth int) {
	switch w.r.IntN(9) {
	case 0:
		w.b.WriteString(fmt.Sprint(w.r.IntN(1000)))
	case 1:
		w.b.WriteString(w.pick("true", "false", "null", "-0.5e3", "[]", "{}", `""`))
	case 2, 3, 4:
		w.b.WriteString(`"` + strings.Repeat(w.pick("x", "y", `\n`, "ü", "z"), w.r.IntN(80)) + `"`)
	case 5:
		w.b.WriteString("[")
		for i := range w.r.IntN(4) {
			if i > 0 {
				w.b.WriteString(",")
			}
			if depth > 0 && w.r.IntN(3) == 0 {
				w.object(depth - 1)
			} else {
				w.b.WriteString(`"` + w.pick("p", "q", `\"`) + `"`)
			}
		}
		w.b.WriteString("]")
	default:
		if depth > 0 {
			w.object(depth - 1)
		} else {
			w.b.WriteString("1")
		}
	}
}

// What a decoder has read before changes nothing of what it reads next.
func TestDecodeDoesNotDependOnWhatCameBefore(t *testing.T) {
	s := event.NewSchema()
	var fields []event.Field
	for _, f := range []string{"a", "a.b", "a.b.c", "b", "name", "a.name", "b.entity_id", "c.a.b", "a_key_that_is_longer_than_others", "a.a_key_that_is_longer_than_others.b"} {
		fields = append(fields, s.Field(f))
	}
	w := &writer{r: rand.New(rand.NewPCG(3, 1))}
	old := event.NewDecoder(s)
	var e, f event.Event
	bad := 0
	for i := range 30_000 {
		if i == 20_000 { // A schema that grows is another one.
			fields = append(fields, s.Field("b.name"), s.Field("entity_id"))
		}
		w.b.Reset()
		w.object(4)
		doc := []byte(w.b.String())
		switch w.r.IntN(20) {
		case 0:
			doc = doc[:w.r.IntN(len(doc))]
		case 1:
			doc[w.r.IntN(len(doc))] = w.pick("\"", "{", "}", ",", "\\", "\x01", "\xff", "x")[0]
		}
		got, want := old.Decode(doc, &e), event.NewDecoder(s).Decode(doc, &f)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("document %d, %q: got %v, want %v", i, doc, got, want)
		}
		if want != nil {
			bad++
			continue
		}
		for _, x := range fields {
			if !e.Get(x).Equal(f.Get(x)) {
				t.Fatalf("document %d, %q: %s: got %s, want %s", i, doc, s.Name(x), e.Get(x).Text(), f.Get(x).Text())
			}
		}
	}
	if bad < 2000 || bad > 20_000 {
		t.Errorf("%d of the documents are not valid: too few or too many to say much", bad)
	}
}
