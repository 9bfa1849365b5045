package sink

import (
	"strings"
	"unicode"

	"github.com/orlop/orlop/event"
)

// Texts are the values of fields of an alert's [Document], as text: "" for one that
// is not there, and the elements of an array with a comma between. It reads all of
// the document, so it is best asked once.
func Texts(doc []byte, fields ...string) []string {
	s := event.NewSchema()
	ids := make([]event.Field, len(fields))
	for i, name := range fields {
		ids[i] = s.Field(name)
	}
	texts := make([]string, len(fields))
	var e event.Event
	if event.NewDecoder(s).Decode(doc, &e) != nil {
		return texts
	}
	for i, id := range ids {
		v := e.Get(id)
		var all []string
		for j := range v.Len() {
			all = append(all, v.At(j).Text())
		}
		texts[i] = strings.Join(all, ", ")
	}
	return texts
}

// Plain is s for people: a blank for each control character and for what turns the
// direction of text or hides in it, and no more than most characters.
func Plain(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}
