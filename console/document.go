package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/orlop/orlop/store"
)

// A document is an alert's, read as JSON: dotted names and nested objects alike.
type document map[string]any

func read(r *store.Record) document {
	var d document
	dec := json.NewDecoder(bytes.NewReader(r.AppendJSON(nil)))
	dec.UseNumber()
	if dec.Decode(&d) != nil {
		return document{}
	}
	return d
}

// get is the value of a dotted name, or nil.
func (d document) get(name string) any { return lookup(d, name) }

func lookup(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	for i := 0; i < len(name); i++ {
		if name[i] != '.' {
			continue
		}
		if sub, ok := m[name[:i]].(map[string]any); ok {
			if v := lookup(sub, name[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

// text is a value as text: of a list the first.
func (d document) text(names ...string) string {
	for _, n := range names {
		if l := d.texts(n); len(l) > 0 {
			return l[0]
		}
	}
	return ""
}

// texts are the values of a name as text, as the store compares them.
func (d document) texts(name string) []string { return texts(d.get(name)) }

func texts(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return []string{v}
	case bool, json.Number:
		return []string{fmt.Sprint(v)}
	case []any:
		var out []string
		for _, w := range v {
			out = append(out, texts(w)...)
		}
		return out
	}
	b, _ := json.Marshal(v)
	return []string{string(b)}
}

func (d document) object(name string) document {
	m, _ := d.get(name).(map[string]any)
	return m
}

// A Field is a field of a document and its values.
type Field struct {
	Name    string
	Values  []string
	Left    int  // values that are not among them
	Derived bool // filled in by Orlop, not said by the source
}

const (
	mostFields = 600
	mostValues = 30
)

// fields are all of a document's, in order of name.
func (d document) fields() []Field {
	derived := map[string]bool{}
	for _, n := range d.texts("orlop.derived") {
		derived[n] = true
	}
	var out []Field
	var walk func(prefix string, m map[string]any, depth int)
	walk = func(prefix string, m map[string]any, depth int) {
		for k, v := range m {
			name := prefix + k
			if strings.HasPrefix(name, "orlop.explain") || strings.HasPrefix(name, "kibana.alert.rule.parameters") || name == "orlop.derived" {
				continue
			}
			if sub, ok := v.(map[string]any); ok && depth < 16 {
				walk(name+".", sub, depth+1)
				continue
			}
			vs := texts(v)
			f := Field{Name: name, Values: vs[:min(len(vs), mostValues)], Left: max(len(vs)-mostValues, 0), Derived: derived[name]}
			if len(vs) > 0 {
				out = append(out, f)
			}
		}
	}
	walk("", d, 0)
	slices.SortFunc(out, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return out[:min(len(out), mostFields)]
}

// what is what happened, in a line: the command, or what there is instead; of a sequence
// the steps.
func (d document) what() string {
	if d.text("kibana.alert.group.id") != "" && d.text("kibana.alert.building_block_type") == "" {
		if s := d.steps(); s != "" {
			return s
		}
	}
	if s := d.text("process.command_line"); s != "" {
		return s
	}
	if l := d.texts("process.args"); len(l) > 0 {
		return strings.Join(l, " ")
	}
	return d.text("process.executable", "process.title", "file.path", "message", "kibana.alert.reason")
}

// steps is the beginning of a sequence's reason. It goes on with who did it and where,
// which stand elsewhere on a page; each step ends with a quote or is before one that does.
func (d document) steps() string {
	s := d.text("kibana.alert.reason")
	s = s[:max(strings.LastIndex(s, " created "+d.text("kibana.alert.severity")+" alert "), 0)]
	quote := strings.LastIndexByte(s, '"')
	for _, rest := range [...]string{", asked for by ", " on ", ", by "} {
		if i := strings.LastIndex(s, rest); i > quote {
			s = s[:i]
		}
	}
	return s
}
