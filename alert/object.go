package alert

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/orlop/orlop/event"
)

// An alert keeps what the source wrote to the byte: numbers of any length,
// escapes, the order of keys. So a document is taken apart only where a field
// has to go in or out, and all else stays raw.

// An object is a JSON object whose members are still JSON.
type object struct {
	keys []string
	vals map[string]*member
}

// A member is raw, until it is opened because something in it is wanted.
type member struct {
	raw  []byte
	open *object
}

func newObject() *object { return &object{vals: map[string]*member{}} }

// parse takes apart the outermost level of a valid, compact JSON object.
func parse(raw []byte) *object {
	o := newObject()
	for key, val := range members(raw) {
		o.put(key, &member{raw: val})
	}
	return o
}

// members yields the keys and values of a valid, compact JSON object.
func members(raw []byte) func(yield func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		for i := 1; i < len(raw)-1; i++ {
			n := skip(raw[i:])
			key := string(raw[i+1 : i+n-1])
			if strings.IndexByte(key, '\\') >= 0 {
				json.Unmarshal(raw[i:i+n], &key)
			}
			i += n + 1 // the colon
			n = skip(raw[i:])
			if !yield(key, raw[i:i+n:i+n]) {
				return
			}
			i += n // the comma
		}
	}
}

// elements are the elements of a valid, compact JSON array.
func elements(raw []byte) (list [][]byte) {
	for i := 1; i < len(raw)-1; i++ {
		n := skip(raw[i:])
		list = append(list, raw[i:i+n:i+n])
		i += n
	}
	return list
}

// skip is the length of the value that b begins with.
func skip(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
			if depth < 0 {
				return i // a number or word before it
			}
		case ',', ':':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(b)
}

func (o *object) put(key string, m *member) {
	if o.vals[key] == nil {
		o.keys = append(o.keys, key)
	}
	o.vals[key] = m
}

func (o *object) drop(key string) {
	delete(o.vals, key)
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
}

// object is the member as an object, or nil.
func (m *member) object() *object {
	if m == nil {
		return nil
	}
	if m.open == nil && len(m.raw) > 0 && m.raw[0] == '{' {
		m.open = parse(m.raw)
	}
	return m.open
}

func (m *member) append(dst []byte) []byte {
	if m.open == nil {
		return append(dst, m.raw...)
	}
	return m.open.append(dst)
}

func (o *object) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i, key := range o.keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = event.AppendQuoted(dst, key)
		dst = append(dst, ':')
		dst = o.vals[key].append(dst)
	}
	return append(dst, '}')
}

// A dotted path may be spelled with nested objects, with dots in keys, or both.
// The functions below take any of that.

// routes calls f for each way to begin a path in o: with a key that is all of
// it, when rest is "", or with one that holds an object. It ends when f is true.
func (o *object) routes(path string, f func(in *object, key, rest string) bool) bool {
	if o.vals[path] != nil && f(o, path, "") {
		return true
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '.' {
			continue
		}
		if in := o.vals[path[:i]].object(); in != nil && f(in, path[:i], path[i+1:]) {
			return true
		}
	}
	return false
}

// find is the raw value at a path, or nil.
func (o *object) find(path string) (raw []byte) {
	o.routes(path, func(in *object, key, rest string) bool {
		if rest == "" {
			raw = in.vals[key].append(nil)
		} else {
			raw = in.find(rest)
		}
		return raw != nil
	})
	return raw
}

// remove drops every spelling of a path.
func (o *object) remove(path string) {
	o.routes(path, func(in *object, key, rest string) bool {
		if rest == "" {
			in.drop(key)
		} else {
			in.remove(rest)
		}
		return false
	})
}

func (o *object) replace(path string, raw []byte) bool {
	return o.routes(path, func(in *object, key, rest string) bool {
		if rest == "" {
			in.vals[key] = &member{raw: raw}
			return true
		}
		return in.replace(rest, raw)
	})
}

// set puts a value where the path is or, if it is not there, where its
// neighbours are: in the deepest object there is for it.
func (o *object) set(path string, raw []byte) {
	if !o.replace(path, raw) {
		o.insert(path, raw)
	}
}

func (o *object) insert(path string, raw []byte) {
	if o.routes(path, func(in *object, key, rest string) bool {
		in.insert(rest, raw)
		return true
	}) {
		return
	}
	first, rest, nested := strings.Cut(path, ".")
	dotted := func(key string) bool { return strings.HasPrefix(key, first+".") }
	if !nested || o.vals[first] != nil || slices.ContainsFunc(o.keys, dotted) {
		// The objects it would go into are scalars or spelled with dots.
		o.put(path, &member{raw: raw})
		return
	}
	in := newObject()
	in.insert(rest, raw)
	o.put(first, &member{open: in})
}

// intersect is what two objects have in common, as Kibana sees it: equal
// scalars, the common elements of arrays, and so on inwards. It is nil if that
// is nothing.
func intersect(a, b *object, depth int) *object {
	common := newObject()
	for _, key := range a.keys {
		m, n := a.vals[key], b.vals[key]
		if n == nil {
			continue
		}
		if x, y := m.object(), n.object(); x != nil && y != nil && depth < maxFlatten {
			if in := intersect(x, y, depth+1); in != nil {
				common.put(key, &member{open: in})
			}
			continue
		}
		x, y := m.append(nil), n.append(nil)
		switch {
		case bytes.Equal(x, y):
			common.put(key, &member{raw: x})
		case x[0] == '[' || y[0] == '[':
			common.put(key, &member{raw: both(x, y)})
		}
	}
	if len(common.keys) == 0 {
		return nil
	}
	return common
}

// both is the array of the values that are in x and in y, each of them an array
// or one value.
func both(x, y []byte) []byte {
	list := func(raw []byte) [][]byte {
		if raw[0] == '[' {
			return elements(raw)
		}
		return [][]byte{raw}
	}
	in := map[string]bool{}
	for _, e := range list(y) {
		in[string(e)] = true
	}
	out := []byte{'['}
	for _, e := range list(x) {
		if in[string(e)] {
			delete(in, string(e))
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, e...)
		}
	}
	return append(out, ']')
}
