package eql

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// A dataType is an Elasticsearch field type, or "" where nothing is known.
type dataType string

const (
	unknownType dataType = ""
	numberType  dataType = "numeric" // computed, and it depends on the event of what kind
	nullType    dataType = "null"
	boolType    dataType = "boolean"
	intType     dataType = "integer"
	longType    dataType = "long"
	doubleType  dataType = "double"
	keywordType dataType = "keyword"
	textType    dataType = "text"
	ipType      dataType = "ip"
	versionType dataType = "version"
)

func (t dataType) isString() bool {
	switch t {
	case keywordType, textType, "constant_keyword", "wildcard":
		return true
	}
	return false
}

func (t dataType) isNumeric() bool { return t.isInteger() || t.isFraction() || t == numberType }

func (t dataType) isInteger() bool {
	switch t {
	case longType, intType, "short", "byte", "unsigned_long":
		return true
	}
	return false
}

func (t dataType) isFraction() bool {
	switch t {
	case doubleType, "float", "half_float", "scaled_float":
		return true
	}
	return false
}

func (t dataType) isDate() bool { return t == "date" || t == "date_nanos" }

// usable reports whether EQL can read a field of the type.
func (t dataType) usable() bool {
	return t.isString() || t.isInteger() || t.isFraction() || t.isDate() || t == boolType || t == ipType || t == versionType || t == "binary"
}

// matches reports whether values of the two types can be told apart at all;
// what is not known may always match.
func (t dataType) matches(u dataType) bool {
	switch {
	case t == unknownType || u == unknownType || t == nullType || u == nullType || t == u:
		return true
	case t.isString() && u.isString(), t.isNumeric() && u.isNumeric(), t.isDate() && u.isDate():
		return true
	}
	return false
}

// compare is how expr compares values of the type.
func (t dataType) compare() expr.Type {
	switch {
	case t.isString():
		return expr.Keyword
	case t.isNumeric():
		return expr.Number
	case t == "date":
		return expr.Date
	case t == "date_nanos":
		return expr.DateNanos
	case t == boolType:
		return expr.Boolean
	case t == ipType:
		return expr.IP
	case t == versionType:
		return expr.Version
	}
	return expr.Untyped
}

// A Mapping says which fields there are and of what type, as Elasticsearch's
// index mappings do. Compiling against one makes unknown fields and wrong types
// errors.
type Mapping struct {
	columns map[string]*column
	names   []string
}

// A column is one field of a mapping.
type column struct {
	name       string
	typ        dataType
	path       string  // where documents keep it: a multi-field is its parent's
	exact      *column // what exact tests on text use instead
	candidates int     // how many sub-fields could be exact
	normalizer bool
	nested     string // the nested object that it is in
	nullValue  *string
}

// mappingField is a field in the JSON form.
type mappingField struct {
	Type        string                   `json:"type"`
	Fields      map[string]*mappingField `json:"fields"`
	Properties  map[string]*mappingField `json:"properties"`
	Path        string                   `json:"path"`
	Normalizer  string                   `json:"normalizer"`
	NullValue   any                      `json:"null_value"`
	Unsupported bool                     `json:"unsupported_in_test"`
}

// ReadMapping reads a mapping in the form
//
//	{"fields": {"process.name": {"type": "keyword"}, "host": {"properties": {…}}}}
//
// where "properties" may stand for "fields", also below "mappings", as in an
// index mapping; a field may have sub-fields ("fields"), an alias its "path".
func ReadMapping(r io.Reader) (*Mapping, error) {
	var doc struct {
		Fields     map[string]*mappingField `json:"fields"`
		Properties map[string]*mappingField `json:"properties"`
		Mappings   *struct {
			Properties map[string]*mappingField `json:"properties"`
		} `json:"mappings"`
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	fields := doc.Fields
	switch {
	case fields != nil:
	case doc.Properties != nil:
		fields = doc.Properties
	case doc.Mappings != nil:
		fields = doc.Mappings.Properties
	}
	m := &Mapping{columns: map[string]*column{}}
	if fields == nil {
		if err := m.addEventSchema(data); err != nil {
			return nil, err
		}
	}
	aliases := map[string]string{}
	if err := m.add("", "", fields, 1, aliases); err != nil {
		return nil, err
	}
	// An alias stands for its target, which may come later in the file and is
	// none itself.
	targets := map[string]*column{}
	for name, path := range aliases {
		if target := m.columns[path]; target != nil {
			targets[name] = target
		}
	}
	maps.Copy(m.columns, targets)
	for n := range m.columns {
		m.names = append(m.names, n)
	}
	slices.Sort(m.names)
	return m, nil
}

// addEventSchema reads the python eql package's form: category -> field ->
// "string", "number", "boolean", a list of one of them, or an object.
func (m *Mapping) addEventSchema(data []byte) error {
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("mapping: %w", err)
	}
	types := map[string]dataType{"string": keywordType, "number": doubleType, "boolean": boolType}
	var walk func(prefix string, fields map[string]any) error
	walk = func(prefix string, fields map[string]any) error {
		for name, v := range fields {
			path := prefix + name
			if l, ok := v.([]any); ok && len(l) > 0 {
				v = l[0]
			}
			switch v := v.(type) {
			case string:
				t, ok := types[v]
				if !ok {
					return fmt.Errorf("mapping: field %q has unknown type %q", path, v)
				}
				m.columns[path] = &column{name: path, path: path, typ: t}
			case map[string]any:
				if err := walk(path+".", v); err != nil {
					return err
				}
			default:
				return fmt.Errorf("mapping: expected \"fields\" or \"properties\"; %q is neither a type nor fields", path)
			}
		}
		return nil
	}
	if len(doc) == 0 {
		return fmt.Errorf("mapping: it has no \"fields\"")
	}
	for category, v := range doc {
		fields, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("mapping: expected \"fields\" or \"properties\", found %q", category)
		}
		if err := walk("", fields); err != nil {
			return err
		}
	}
	m.columns["event.category"] = &column{name: "event.category", path: "event.category", typ: keywordType}
	return nil
}

// maxFieldDepth bounds how deep fields nest; Elasticsearch's own limit,
// index.mapping.depth.limit, is 20.
const maxFieldDepth = 100

func (m *Mapping) add(prefix, nested string, fields map[string]*mappingField, depth int, aliases map[string]string) error {
	if depth > maxFieldDepth {
		return fmt.Errorf("mapping: fields nest deeper than the limit of %d", maxFieldDepth)
	}
	// In order, so that of two fields of one name the same always wins.
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		if f == nil {
			continue
		}
		path := prefix + name
		inner := nested
		if f.Type == "nested" {
			inner = path
		}
		if f.Properties != nil {
			if err := m.add(path+".", inner, f.Properties, depth+1, aliases); err != nil {
				return err
			}
		}
		if f.Type == "alias" && !f.Unsupported {
			aliases[path] = f.Path
		}
		if f.Type == "" || f.Type == "object" {
			continue
		}
		c := &column{name: path, typ: dataType(f.Type), path: path, normalizer: f.Normalizer != "", nested: inner}
		switch v := f.NullValue.(type) {
		case string:
			c.nullValue = &v
		case bool, float64:
			s := fmt.Sprint(v)
			c.nullValue = &s
		}
		m.columns[path] = c
		for _, sub := range slices.Sorted(maps.Keys(f.Fields)) {
			g := f.Fields[sub]
			if g == nil {
				continue
			}
			s := &column{name: path + "." + sub, typ: dataType(g.Type), path: path, normalizer: g.Normalizer != "", nested: inner}
			m.columns[s.name] = s
			if s.typ.isString() && s.typ != textType && !s.normalizer {
				c.exact = s
				c.candidates++
			}
		}
	}
	return nil
}

// Observe adds a field that the mapping lacks with the type that Elasticsearch's
// dynamic mapping gives it on seeing v: long, float, boolean, date, or text
// with a keyword. It reports whether the mapping now has the field.
func (m *Mapping) Observe(name string, v event.Value) bool {
	if m.columns[name] != nil {
		return true
	}
	if !v.Exists() {
		return false
	}
	c := &column{name: name, path: name}
	switch v = v.At(0); v.Kind() {
	case event.KindBool:
		c.typ = boolType
	case event.KindInt:
		c.typ = longType
	case event.KindFloat:
		c.typ = "float"
	case event.KindString:
		if _, ok := event.ParseTime(v.Str()); ok && len(v.Str()) >= len("2006-01-02") {
			c.typ = "date"
			break
		}
		c.typ = textType
		c.exact, c.candidates = &column{name: name + ".keyword", path: name, typ: keywordType}, 1
		m.columns[name+".keyword"] = c.exact
	}
	m.columns[name] = c
	m.names = append(m.names, name)
	slices.Sort(m.names)
	return true
}

// Has reports whether the mapping has the field.
func (m *Mapping) Has(name string) bool { return m.columns[name] != nil }

// lookup finds a column by the name that a query uses.
func (m *Mapping) lookup(name string) *column { return m.columns[name] }

// similar finds columns that name may be a misspelling of; objects are not
// columns, so "processe.pid" is near "processes.pid".
func (m *Mapping) similar(name string) []string {
	var prefixed []string
	for _, n := range m.names {
		if strings.HasPrefix(n, name+".") {
			prefixed = append(prefixed, n)
		}
	}
	return prefixed
}
