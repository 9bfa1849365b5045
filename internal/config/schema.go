package config

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Schema is the JSON Schema (2020-12) of the struct that of points to, which holds
// the defaults.
func Schema(title string, of any) []byte {
	s := schemaOf(reflect.ValueOf(of).Elem(), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: bug: " + err.Error())
	}
	return append(b, '\n')
}

// schemaOf is the schema of a value with those tags: Check in other words.
func schemaOf(v reflect.Value, tag reflect.StructTag) map[string]any {
	t := v.Type()
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(reflect.New(t.Elem()).Elem(), tag)
	case reflect.Struct:
		return objectSchema(v)
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(reflect.New(t.Elem()).Elem(), tag)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(reflect.New(t.Elem()).Elem(), tag)}
	case reflect.String:
		return textSchema(tag)
	}
	if t == durationType {
		return map[string]any{"anyOf": []any{formats["duration"].schema(), map[string]any{"const": 0}, wellFormed()}}
	}
	of := map[string]any{"type": "number"}
	switch {
	case t.Kind() == reflect.Bool:
		of["type"] = "boolean"
	case v.CanInt():
		of["type"], of["minimum"], of["maximum"] = "integer", int64(-1)<<(t.Bits()-1), uint64(1)<<(t.Bits()-1)-1
	case v.CanUint():
		of["type"], of["minimum"], of["maximum"] = "integer", 0, ^uint64(0)>>(64-t.Bits())
	}
	for name, bound := range map[string]string{"minimum": tag.Get("min"), "maximum": tag.Get("max")} {
		if bound != "" {
			of[name] = json.Number(bound)
		}
	}
	choice := []any{of, wellFormed()}
	if tag.Get("zero") != "" {
		choice = append(choice, map[string]any{"const": 0})
	}
	return map[string]any{"anyOf": choice}
}

func textSchema(tag reflect.StructTag) map[string]any {
	if enum := tag.Get("enum"); enum != "" {
		return map[string]any{"anyOf": []any{map[string]any{"enum": strings.Split(enum, "|")}, wellFormed()}}
	}
	if name := tag.Get("format"); name != "" {
		return map[string]any{"anyOf": []any{formats[name].schema(), wellFormed()}}
	}
	return map[string]any{"type": "string", "minLength": 1, "pattern": variables}
}

// wellFormed is a text with a variable, and without mistakes in those that it has.
func wellFormed() map[string]any {
	return map[string]any{"allOf": []any{variableText, map[string]any{"pattern": variables}}}
}

func objectSchema(v reflect.Value) map[string]any {
	x, ok := v.Addr().Interface().(Variant)
	if !ok {
		return keysSchema(v)
	}
	of := []any{}
	for _, kind := range x.Kinds() {
		s := keysSchema(v, reflect.ValueOf(x.Options(kind)).Elem())
		s["properties"].(map[string]any)["kind"] = map[string]any{"const": kind}
		s["required"] = append(s["required"].([]string), "kind")
		of = append(of, s)
	}
	return map[string]any{"oneOf": of}
}

// keysSchema is the schema of a map with the keys of some structs.
func keysSchema(parts ...reflect.Value) map[string]any {
	props, required, conditions := map[string]any{}, []string{}, []any{}
	for _, v := range parts {
		fields, tags, names := collect(v)
		for _, name := range names {
			f, tag := fields[name], tags[name]
			s := schemaOf(addressable(f), tag)
			if doc := tag.Get("doc"); doc != "" {
				s["description"] = doc
			}
			switch f.Kind() {
			case reflect.Struct, reflect.Slice, reflect.Map, reflect.Pointer:
			default:
				if !f.IsZero() && tag.Get("secret") == "" {
					s["default"] = plain(f, false)
				}
			}
			props[name] = s
			if tag.Get("required") != "" && f.IsZero() {
				required = append(required, name)
				if f.Kind() == reflect.Slice {
					s["minItems"] = 1
				}
			}
		}
		if r, ok := v.Addr().Interface().(Ruled); ok {
			for _, c := range r.Conditions() {
				conditions = append(conditions, c.schema())
			}
		}
	}
	s := map[string]any{"type": "object", "additionalProperties": false, "properties": props, "required": required}
	if len(conditions) > 0 {
		s["allOf"] = conditions
	}
	return s
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

// masked hides what may be a secret in a URL, and in a text with others only what is in
// front of a host: filters have URLs too, and are there to be read.
func masked(s string) string {
	if wholeURL.MatchString(s) {
		return Redacted(s)
	}
	return userinfo.ReplaceAllString(s, "://"+hidden+"@")
}
