package store

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"unicode/utf8"
)

// mark begins a string that JSON could not hold as it is: base64 follows.
const mark = "\x00base64:"

// encode writes a value as JSON from which decode makes the same, also where its
// strings are no UTF-8.
func encode(v any) ([]byte, error) {
	p := reflect.New(reflect.TypeOf(v)).Elem()
	p.Set(reflect.ValueOf(v))
	return json.Marshal(eachString(p, func(s string) string {
		if utf8.ValidString(s) && !strings.HasPrefix(s, mark) {
			return s
		}
		return mark + base64.StdEncoding.EncodeToString([]byte(s))
	}).Interface())
}

// decode reads what encode has written into what v points to.
func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return err
	}
	e := reflect.ValueOf(v).Elem()
	e.Set(eachString(e, func(s string) string {
		if rest, ok := strings.CutPrefix(s, mark); ok {
			if b, err := base64.StdEncoding.DecodeString(rest); err == nil {
				return string(b)
			}
		}
		return s
	}))
	return nil
}

// eachString is v with f of every string in it. What v shares it copies.
func eachString(v reflect.Value, f func(string) string) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		out := reflect.New(v.Type()).Elem()
		out.SetString(f(v.String()))
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(eachString(v.Elem(), f))
		return out
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(eachString(v.Index(i), f))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMap(v.Type())
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(eachString(it.Key(), f), eachString(it.Value(), f))
		}
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if out.Field(i).CanSet() {
				out.Field(i).Set(eachString(v.Field(i), f))
			}
		}
		return out
	}
	return v
}
