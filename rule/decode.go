package rule

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/orlop/orlop/eql/syntax"
)

var (
	sourceType  = reflect.TypeFor[syntax.Source]()
	stringsType = reflect.TypeFor[Strings]()
)

// decode stores n in v, whose type says what n may be. Mistakes are reported
// and leave v as it was. The path is for messages.
func (d *document) decode(n *node, v reflect.Value, path string) {
	t := v.Type()
	switch {
	case t == sourceType:
		if d.is(n, kString, path) {
			v.Set(reflect.ValueOf(syntax.Source{Name: d.src.Name, Text: n.text, Place: d.place(n)}))
		}
		return
	case t == stringsType && n.kind == kString:
		v.Set(reflect.ValueOf(Strings{n.text}))
		return
	}
	switch t.Kind() {
	case reflect.String:
		if n.kind == kDate || d.is(n, kString, path) {
			v.SetString(n.text)
		}
	case reflect.Bool:
		if d.is(n, kBool, path) {
			v.SetBool(n.text == "true")
		}
	case reflect.Int:
		if f := float(n.text); n.kind == kFloat && f == float64(int32(f)) {
			v.SetInt(int64(f)) // 47.0
		} else if d.is(n, kInteger, path) {
			i, _ := integer(n.text)
			v.SetInt(i)
		}
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		d.decode(n, p.Elem(), path)
		v.Set(p)
	case reflect.Slice:
		if !d.is(n, kArray, path) {
			return
		}
		list := reflect.MakeSlice(t, len(n.items), len(n.items))
		for i, it := range n.items {
			d.decode(it, list.Index(i), path+"."+strconv.Itoa(i))
		}
		v.Set(list)
	case reflect.Map:
		if d.is(n, kTable, path) {
			v.Set(reflect.ValueOf(n.plain()))
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(n.plain()))
	case reflect.Struct:
		if d.is(n, kTable, path) {
			d.table(n, v, path, nil, nil)
		}
	default:
		panic("rule: bug: no way to decode into " + t.String())
	}
}

func (d *document) is(n *node, k kind, path string) bool {
	if n.kind == k {
		return true
	}
	hint := ""
	switch {
	case k == kArray && n.kind == kString:
		hint = "write [" + strconv.Quote(short(n.text)) + "]"
	case k == kInteger && n.kind == kString:
		if _, err := strconv.Atoi(n.text); err == nil {
			hint = "write it without quotes"
		}
	case k == kBool && (n.text == "true" || n.text == "false"):
		hint = "write it without quotes"
	}
	d.fail(n.at, hint, "%s must be %s, not %s", path, k, n.kind)
	return false
}

// short cuts s for a message.
func short(s string) string {
	n := 0
	for i := range s {
		if n++; n > 40 {
			return s[:i] + "…"
		}
	}
	return s
}

// table stores the keys of n in the fields of a struct. Those tagged as required
// and those in need must be there. Keys that have no field and that extra does
// not take are warned of. One that looks like a missing key is the mistake, not
// that it is missing.
func (d *document) table(n *node, v reflect.Value, path string, need []string, extra func(*entry) bool) {
	t := v.Type()
	fields := map[string]int{}
	var names, missing []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		fields[name] = i
		if n.get(name) != nil {
			continue
		}
		names = append(names, name)
		if t.Field(i).Tag.Get("rule") == "required" || slices.Contains(need, name) {
			missing = append(missing, name)
		}
	}
	for _, k := range n.keys {
		if i, ok := fields[k.name]; ok {
			d.decode(k.val, v.Field(i), join(path, k.name))
			continue
		}
		if extra != nil && extra(k) {
			continue
		}
		near := nearest(k.name, names)
		if i := slices.Index(missing, near); i >= 0 {
			d.fail(k.at, meant(near), "unknown key %q", k.name)
			missing = slices.Delete(missing, i, i+1)
		} else {
			d.warn(k.at, meant(near), "unknown key %q", k.name)
		}
	}
	if len(missing) > 0 {
		d.fail(n.at, "", "%s has no %s", path, strings.Join(missing, ", "))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func meant(name string) string {
	if name == "" {
		return ""
	}
	return `did you mean "` + name + `"?`
}

// nearest is the name that s is most likely a slip of the finger for, or "".
func nearest(s string, names []string) string {
	if len(s) > 64 {
		return ""
	}
	best, least := "", max(1, len(s)/3)+1
	for _, name := range names {
		if n := distance(strings.ToLower(s), strings.ToLower(name)); n < least {
			best, least = name, n
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with the next
// one to make a into b.
func distance(a, b string) int {
	prev, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			n := min(row[j+1], next[j]) + 1
			if a[i] == b[j] {
				n = min(n, row[j])
			} else {
				n = min(n, row[j]+1)
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				n = min(n, prev[j-1]+1)
			}
			next[j+1] = n
		}
		prev, row, next = row, next, prev
	}
	return row[len(b)]
}

func reflectOf(ptr any) reflect.Value { return reflect.ValueOf(ptr).Elem() }
