package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orlop/orlop/eql/syntax"
)

// What a value may be is said once, by the tags of its field and the conditions of its
// struct. Read and Check hold values against that, and Schema says it in JSON Schema.

// A Ruled struct has conditions on several of its keys together.
type Ruled interface{ Conditions() []Condition }

// A Condition is that Then holds where If does. A mistake is told at the key At.
type Condition struct {
	If, Then      Clause
	At, Msg, Hint string
}

// A Clause says something about the keys of a struct. Make one with [Has], [Is],
// [Matches], [Once], [Any], [All] or [Not].
type Clause interface {
	holds(v map[string]reflect.Value) bool
	// schema is the clause in JSON Schema. A value with a variable in it may be
	// anything: where nothing is known of it, the clause is what sure says.
	schema(sure bool) map[string]any
}

type (
	has     string
	is      struct{ key, values string }
	matches struct{ key, format string }
	once    struct{ key, in, value string }
	not     struct{ c Clause }
	several struct {
		all bool
		of  []Clause
	}
)

// Has is that a key is there, and has something in it.
func Has(key string) Clause { return has(key) }

// Is is that the key has one of these values, with | between.
func Is(key, values string) Clause { return is{key, values} }

// Matches is that the values of a key, a text or a list of such, are of a format, or
// that it is not there.
func Matches(key, format string) Clause { return matches{key, format} }

// Once is that of a list of maps no more than one has that value.
func Once(list, key, value string) Clause { return once{list, key, value} }

// Not is that a clause does not hold.
func Not(c Clause) Clause { return not{c} }

// Any is that one of the clauses holds.
func Any(of ...Clause) Clause { return several{false, of} }

// All is that all clauses hold; without any, it does.
func All(of ...Clause) Clause { return several{true, of} }

func (c has) holds(v map[string]reflect.Value) bool {
	f := v[string(c)]
	return !f.IsZero() && (f.Kind() != reflect.Slice && f.Kind() != reflect.Map || f.Len() > 0)
}

func (c has) schema(sure bool) map[string]any {
	some := map[string]any{"minItems": 1, "minProperties": 1}
	if sure {
		some["not"] = variableText // which may come to nothing
	}
	return map[string]any{"required": []string{string(c)}, "properties": map[string]any{string(c): some}}
}

func (c is) holds(v map[string]reflect.Value) bool {
	return slices.Contains(strings.Split(c.values, "|"), v[c.key].String())
}

func (c is) schema(sure bool) map[string]any {
	of := []any{map[string]any{"enum": strings.Split(c.values, "|")}}
	if !sure {
		of = append(of, variableText)
	}
	return map[string]any{"required": []string{c.key}, "properties": map[string]any{c.key: map[string]any{"anyOf": of}}}
}

func (c matches) holds(v map[string]reflect.Value) bool {
	return each(v[c.key], func(s string) bool { return formats[c.format].wrong(s) == nil })
}

func (c matches) schema(sure bool) map[string]any {
	one := formats[c.format].schema()
	if !sure {
		one = map[string]any{"anyOf": []any{one, variableText}}
	}
	return map[string]any{"properties": map[string]any{c.key: map[string]any{
		"anyOf": []any{map[string]any{"type": "array"}, one}, "items": one,
	}}}
}

func (c once) holds(v map[string]reflect.Value) bool {
	n := 0
	for i := range v[c.key].Len() {
		fields, _, _ := collect(v[c.key].Index(i))
		if fields[c.in].String() == c.value {
			n++
		}
	}
	return n < 2
}

func (c once) schema(bool) map[string]any {
	return map[string]any{"properties": map[string]any{c.key: map[string]any{
		"contains":    map[string]any{"required": []string{c.in}, "properties": map[string]any{c.in: map[string]any{"const": c.value}}},
		"minContains": 0, "maxContains": 1,
	}}}
}

func (c not) holds(v map[string]reflect.Value) bool { return !c.c.holds(v) }

func (c not) schema(sure bool) map[string]any { return map[string]any{"not": c.c.schema(!sure)} }

func (c several) holds(v map[string]reflect.Value) bool {
	for _, one := range c.of {
		if one.holds(v) != c.all {
			return !c.all
		}
	}
	return c.all
}

func (c several) schema(sure bool) map[string]any {
	if len(c.of) == 0 {
		return map[string]any{}
	}
	var of []any
	for _, one := range c.of {
		of = append(of, one.schema(sure))
	}
	if c.all {
		return map[string]any{"allOf": of}
	}
	return map[string]any{"anyOf": of}
}

// schema is the condition in JSON Schema.
func (c Condition) schema() map[string]any {
	if c.If == nil {
		return c.Then.schema(false)
	}
	return map[string]any{"if": c.If.schema(true), "then": c.Then.schema(false)}
}

// A format is how a text has to look: all of its steps match.
type format []step

type step struct {
	re        *regexp.Regexp
	msg, hint string // of a text that does not match
}

func (f format) wrong(s string) *step {
	for i := range f {
		if !f[i].re.MatchString(s) {
			return &f[i]
		}
	}
	return nil
}

func (f format) schema() map[string]any {
	var all []any
	for _, s := range f {
		all = append(all, map[string]any{"pattern": s.re.String()})
	}
	return map[string]any{"type": "string", "allOf": all}
}

// Patterns are such that Go and ECMAScript, and so JSON Schema, read them alike.
const (
	port   = `(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	ipv6   = `\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[0-9A-Za-z_.-]+)?\]`
	host   = `[^\x00-\x20\x7f/?#@:%<>"\\^` + "`" + `{|}\[\]]+`
	inPath = `([^\x00-\x20\x7f%#]|%[0-9A-Fa-f]{2})*`
)

var formats = map[string]format{
	"address": {{regexp.MustCompile(`^(` + host + `|` + ipv6 + `)?:` + port + `$`), "expected an address and a port", "for example 127.0.0.1:7070"}},
	"peer":    {{regexp.MustCompile(`^(` + host + `|` + ipv6 + `):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$`), "expected a host and a port", "as in siem.example:6514"}},
	"url":     peerURL,
	"node":    append(slices.Clip(peerURL), step{regexp.MustCompile(`^[^?]*$`), "a URL of a node has no query", ""}),
	"sealed": {{regexp.MustCompile(`^([Hh][Tt][Tt][Pp][Ss]://|[Hh][Tt][Tt][Pp]://(127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\]|([a-z0-9.-]+\.)?localhost)(:[0-9]+)?([/?]|$))`),
		"a secret is not sent over a network without TLS", "use https"}},
	"sink":        {{regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`), "expected lower case letters, digits, dashes and underscores, 64 at most", ""}},
	"host":        {{regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`), "expected letters, digits and -_. in a name that begins with a letter or digit", "as in worker-1.example"}},
	"data stream": {{regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,254}$`), "expected lower case letters, digits and -_. in a name that begins with a letter or digit", ""}},
	"store":       {{regexp.MustCompile(`^(postgres(ql)?://[^\x00-\x20\x7f]*|([^:]|:[^/]|:/[^/])+(:/?)?)$`), "expected a path, or a URL of PostgreSQL", "as in postgres://orlop@db.example/orlop"}},
	"duration":    {{regexp.MustCompile(`^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^0$`), "expected a duration such as 500ms, 2s or 1h30m", ""}},
}

// peerURL is the address of a server.
var peerURL = format{
	{regexp.MustCompile(`^[Hh][Tt][Tt][Pp][Ss]?://([^\x00-\x20\x7f/?#@]*@)?(` + host + `|` + ipv6 + `)(:` + port + `)?([/?]` + inPath + `)?(#` + inPath + `)?$`),
		"expected a URL of a host, with http or https", "as in https://siem.example:8443/alerts"},
	{regexp.MustCompile(`^[A-Za-z]+://[^/?#@]*([/?#]|$)`), "a name and a password have no place in a URL", "put them into a secret"},
	{regexp.MustCompile(`^[^#]*$`), "a URL of a peer has no part after #", ""},
}

// Wrong says what is wrong with a text that is to be of a format, and what would be
// right; "" if nothing is.
func Wrong(format, text string) (msg, hint string) {
	if s := formats[format].wrong(text); s != nil {
		return s.msg, s.hint
	}
	return "", ""
}

// each reports whether all texts of a value, one or a list, are right. One that is
// not there is.
func each(v reflect.Value, right func(string) bool) bool {
	if v.Kind() == reflect.String {
		return v.Len() == 0 || right(v.String())
	}
	for i := range v.Len() {
		if s := v.Index(i).String(); s != "" && !right(s) {
			return false
		}
	}
	return true
}

// Check holds the values of the struct that of points to against its tags and
// conditions, those of structs in it not. The key is the one that is wrong, or "".
func Check(of any) (key, msg, hint string) {
	v := reflect.ValueOf(of).Elem()
	fields, tags, names := collect(v)
	for _, name := range names {
		if tags[name].Get("required") != "" && !has(name).holds(fields) {
			return name, "it has no " + name, tags[name].Get("example")
		}
		if msg, hint := amiss(fields[name], tags[name]); msg != "" {
			return name, name + ": " + msg, hint
		}
	}
	if r, ok := of.(Ruled); ok {
		for _, c := range r.Conditions() {
			if (c.If == nil || c.If.holds(fields)) && !c.Then.holds(fields) {
				return c.At, c.Msg, c.Hint
			}
		}
	}
	return "", "", ""
}

// amiss is what is wrong with a value by its own tags. One that is zero is not there.
func amiss(v reflect.Value, tag reflect.StructTag) (msg, hint string) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "", ""
		}
		v = v.Elem()
	}
	if v.CanInt() || v.CanUint() {
		return outside(v, tag), tag.Get("hint")
	}
	if v.Kind() != reflect.String && v.Kind() != reflect.Slice {
		return "", ""
	}
	if enum := tag.Get("enum"); enum != "" {
		all := strings.Split(enum, "|")
		if !each(v, func(s string) bool { return slices.Contains(all, s) }) {
			return "expected " + strings.Join(all, ", "), syntax.DidYouMean(v.String(), all)
		}
	}
	if name := tag.Get("format"); name != "" {
		each(v, func(s string) bool {
			msg, hint = Wrong(name, s)
			return msg == ""
		})
	}
	return msg, hint
}

// outside says in which bounds a number is not.
func outside(v reflect.Value, tag reflect.StructTag) string {
	least, most := tag.Get("min"), tag.Get("max")
	if v.IsZero() && tag.Get("zero") != "" {
		return ""
	}
	at := func(bound string) float64 {
		if v.Type() == durationType {
			d, err := time.ParseDuration(bound)
			if err != nil {
				panic("config: bug: " + err.Error())
			}
			return float64(d)
		}
		f, err := strconv.ParseFloat(bound, 64)
		if err != nil {
			panic("config: bug: " + err.Error())
		}
		return f
	}
	n := 0.0
	if v.CanInt() {
		n = float64(v.Int())
	} else {
		n = float64(v.Uint())
	}
	switch {
	case least != "" && n < at(least):
		return "expected at least " + least
	case most != "" && n > at(most):
		return "expected at most " + most
	}
	return ""
}

// collect lists the fields of a struct by the names of their keys, with their tags and
// in their order.
func collect(v reflect.Value) (fields map[string]reflect.Value, tags map[string]reflect.StructTag, names []string) {
	fields, tags = map[string]reflect.Value{}, map[string]reflect.StructTag{}
	var add func(v reflect.Value)
	add = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, inline := keyName(f)
			switch {
			case inline:
				add(v.Field(i))
			case name != "":
				fields[name], tags[name] = v.Field(i), f.Tag
				names = append(names, name)
			}
		}
	}
	add(v)
	return fields, tags, names
}

// A variable in a text, and texts whose variables are well-formed. $${ is no variable.
const (
	name      = `[A-Za-z_][A-Za-z0-9_]*`
	variables = `^([^$]|\$+[^${]|\$\$+\{|\$\{` + name + `(:-[^}]*)?\})*\$*$`
	oneAtAll  = `(^|[^$])\$\{`
)

var (
	hasVariable = regexp.MustCompile(oneAtAll).MatchString
	// variableText is what a value may be besides its own type.
	variableText = map[string]any{"type": "string", "pattern": oneAtAll}
)

// describe says what values of a type are.
func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number from 0 to %d", ^uint64(0)>>(64-t.Bits()))
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}
