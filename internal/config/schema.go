package config

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Schema is the JSON Schema (2020-12) of the struct that of points to, which holds
// the defaults.
func Schema(title string, of any) []byte {
	s := schemaOf(reflect.ValueOf(of).Elem())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: bug: " + err.Error())
	}
	return append(b, '\n')
}

// text is what a value may be besides its own type: a string with a variable.
var text = map[string]any{"type": "string", "pattern": `\$\{`}

func schemaOf(v reflect.Value) map[string]any {
	t := v.Type()
	switch {
	case t == durationType:
		return map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$|\$\{`}
	case t.Kind() == reflect.Pointer:
		return schemaOf(reflect.New(t.Elem()).Elem())
	case t.Kind() == reflect.Struct:
		return objectSchema(v)
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(reflect.New(t.Elem()).Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(reflect.New(t.Elem()).Elem())}
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"anyOf": []any{map[string]any{"type": "boolean"}, text}}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return map[string]any{"anyOf": []any{map[string]any{"type": "integer"}, text}}
	case reflect.Uint32, reflect.Uint64:
		return map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 0}, text}}
	case reflect.Float64:
		return map[string]any{"anyOf": []any{map[string]any{"type": "number"}, text}}
	}
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

func objectSchema(v reflect.Value) map[string]any {
	x, ok := v.Addr().Interface().(Variant)
	if !ok {
		props := map[string]any{}
		properties(v, props)
		return map[string]any{"type": "object", "additionalProperties": false, "properties": props}
	}
	var of []any
	for _, kind := range x.Kinds() {
		props := map[string]any{}
		properties(v, props)
		properties(reflect.ValueOf(x.Options(kind)).Elem(), props)
		props["kind"] = map[string]any{"const": kind}
		of = append(of, map[string]any{"type": "object", "additionalProperties": false, "properties": props, "required": []string{"kind"}})
	}
	if of == nil {
		return map[string]any{"not": map[string]any{}} // There are no kinds yet.
	}
	return map[string]any{"oneOf": of}
}

func properties(v reflect.Value, props map[string]any) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, inline := keyName(f)
		if inline {
			properties(v.Field(i), props)
			continue
		}
		if name == "" {
			continue
		}
		s := schemaOf(addressable(v.Field(i)))
		if doc := f.Tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			s = map[string]any{"anyOf": []any{map[string]any{"enum": strings.Split(enum, "|")}, text}, "description": f.Tag.Get("doc")}
		}
		switch v.Field(i).Kind() {
		case reflect.Struct, reflect.Slice, reflect.Map, reflect.Pointer:
		default:
			if !v.Field(i).IsZero() && f.Tag.Get("secret") == "" {
				s["default"] = plain(v.Field(i), false)
			}
		}
		props[name] = s
	}
}

func addressable(v reflect.Value) reflect.Value {
	n := reflect.New(v.Type()).Elem()
	n.Set(v)
	return n
}

// Show is the struct that of points to as a file would say it, without secrets.
func Show(of any) []byte {
	b, err := yaml.MarshalWithOptions(plain(reflect.ValueOf(of).Elem(), true), yaml.IndentSequence(true))
	if err != nil {
		panic("config: bug: " + err.Error())
	}
	return b
}

// hidden stands for a secret.
const hidden = "(hidden)"

// plain is a value as YAML has it, nil if there is nothing to say.
func plain(v reflect.Value, top bool) any {
	if v.Type() == durationType {
		return time.Duration(v.Int()).String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem(), false)
	case reflect.Struct:
		m := yaml.MapSlice{}
		show(addressable(v), &m)
		if len(m) == 0 && !top {
			return nil
		}
		return m
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i), false)
		}
		return list
	case reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		m := yaml.MapSlice{}
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range names {
			m = append(m, yaml.MapItem{Key: k.String(), Value: plain(v.MapIndex(k), false)})
		}
		return m
	case reflect.String:
		if v.String() == "" {
			return nil
		}
		return masked(v.String())
	}
	return v.Interface()
}

func show(v reflect.Value, m *yaml.MapSlice) {
	if x, ok := v.Addr().Interface().(Variant); ok {
		fields(v, m)
		for _, item := range *m {
			if item.Key == "kind" {
				fields(reflect.ValueOf(x.Options(item.Value.(string))).Elem(), m)
				break
			}
		}
		return
	}
	fields(v, m)
}

func fields(v reflect.Value, m *yaml.MapSlice) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, inline := keyName(f)
		if inline {
			fields(v.Field(i), m)
			continue
		}
		if name == "" {
			continue
		}
		value := plain(v.Field(i), false)
		if value != nil && f.Tag.Get("secret") != "" {
			value = mask(value)
		}
		if value != nil {
			*m = append(*m, yaml.MapItem{Key: name, Value: value})
		}
	}
}

// mask hides all values below one that is secret.
func mask(v any) any {
	switch v := v.(type) {
	case yaml.MapSlice:
		for i := range v {
			v[i].Value = mask(v[i].Value)
		}
		return v
	case []any:
		for i := range v {
			v[i] = mask(v[i])
		}
		return v
	}
	return hidden
}

// masked hides the password of a URL.
func masked(s string) string {
	if !strings.Contains(s, "://") || !strings.Contains(s, "@") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil {
		return hidden // with a password in it, perhaps
	}
	if u.User == nil {
		return s
	}
	return u.Redacted()
}
