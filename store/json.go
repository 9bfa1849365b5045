package store

import "slices"

// dropMembers is a JSON object without some of its members. The others are as they were,
// to the byte.
func dropMembers(doc []byte, names []string) []byte {
	w := walker{doc: doc}
	w.space()
	if w.i >= len(doc) || doc[w.i] != '{' {
		return doc
	}
	w.f = func([]byte) {}
	w.i++
	out := append(make([]byte, 0, len(doc)), '{')
	for {
		w.space()
		if w.i >= len(doc) || doc[w.i] != '"' {
			break
		}
		start := w.i
		w.text()
		name := string(appendKey(nil, doc[start:w.i]))
		w.space()
		w.i++ // :
		w.space()
		w.value(1)
		if !slices.Contains(names, name) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, doc[start:w.i]...)
		}
		w.space()
		if w.i >= len(doc) || doc[w.i] != ',' {
			break
		}
		w.i++
	}
	return append(out, '}')
}
