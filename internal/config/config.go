// Package config reads a configuration file into Go values: strictly, with the place
// of every mistake.
//
//	errs := config.Read("orlop.yaml", text, config.World{Env: os.LookupEnv}, &c)
//
// The file is YAML without anchors and tags. Keys are the yaml tags of structs, and
// a key that is not there is a mistake. ${NAME} in a value is the variable of that
// name, ${NAME:-text} the text if there is none or it is empty, and $${ is ${. A
// value has the type that its key wants; one with a variable in it is read as that, so a
// variable may be a number. One that comes to nothing is as if the key were not there.
//
// A struct says with tags what it wants:
//
//	yaml      the name of the key; "-" is none
//	doc       a sentence, for the schema and the manual
//	enum      the values that there are, with | between
//	min, max  the least and the most that a number or duration may be
//	zero      "true" if it may be 0 all the same
//	format    how a text has to look, or those of a list: address, peer, url, node, sink, host, data stream, store
//	required  "true" for a key that has to be there; example is a hint
//	hint      for a number that is out of its bounds
//	file      "true" for the path of something that has to be there, or a list of those
//	secret    "true" for what [Show] does not show, and no mistake quotes
//
// Of a URL, whatever its tags, neither shows what [SecretsOf] says may be a secret.
//
// What tags do not say, [Ruled] does, of several keys together, and [Checker], of what a
// [Schema] cannot know.
package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/orlop/orlop/eql/syntax"
)

// A Variant is a part of a configuration whose keys depend on the one that is called
// kind.
type Variant interface {
	// Kinds lists the values of kind.
	Kinds() []string
	// Options returns a pointer to the struct that has the other keys of a kind,
	// as they are without any of them. What it points to is filled in and belongs
	// to the Variant.
	Options(kind string) any
}

// A Checker has something to say about its values beyond their tags. The key is the
// one that is wrong, or "".
type Checker interface {
	Check() (key, msg, hint string)
}

// A Reference is a struct that says where a secret is. The secret itself may stand in its
// place, so a mistake quotes nothing there but the keys that it has and their values.
type Reference interface{ RefersToSecret() }

// MaxSize is how many bytes a configuration may have.
const MaxSize = 1 << 20

// A World is what values may refer to.
type World struct {
	Env  func(name string) (string, bool) // variables
	File func(path string) error          // says why a file cannot be used; nil asks nobody

	// Instead are the keys at the top whose values something else gives, and its name, such
	// as --state. Set gives them, in place of what the file says: keys are held against
	// each other after that.
	Instead map[string]string
	Set     func()

	// Places, if it is not nil, is where Read puts down the place of the value of each key
	// that the file has, such as orlop.yaml:3:8, by its path, such as sources[0].kind: for
	// those who find later that a value does not do.
	Places map[string]string
}

// Read fills in what to points to, a struct that holds the defaults. The error, if
// there is one, is a [syntax.Errors] with all mistakes, or about a value that was given
// instead, and begins with the name of what gave it.
func Read(name string, text []byte, in World, to any) error {
	r := &reader{src: syntax.Source{Name: name, Text: string(text)}, in: in}
	r.read(text, reflect.ValueOf(to).Elem())
	if len(r.errs) == 0 {
		return r.other
	}
	r.hush()
	slices.SortStableFunc(r.errs, func(a, b *syntax.Error) int { return a.Range.Start - b.Range.Start })
	return r.errs
}

type reader struct {
	src  syntax.Source
	in   World
	errs syntax.Errors

	other error // about what the file does not say

	hidden []syntax.Range // of the text: they may be secrets
	secret bool           // what is read now may be one
}

func (r *reader) read(text []byte, to reflect.Value) {
	whole := syntax.Range{}
	switch {
	case len(text) > MaxSize:
		r.src.Text = ""
		r.fail(whole, "", "it is larger than the %d kB that a configuration may have", MaxSize>>10)
		return
	case !utf8.Valid(text):
		r.src.Text = ""
		r.fail(whole, "save it as UTF-8", "it is not UTF-8")
		return
	}
	if at := tooDeep(text); at >= 0 {
		r.fail(syntax.Range{Start: at, End: at + 1}, "", "more than %d levels of lists and maps", maxDepth)
		r.hidden = append(r.hidden, r.afterKey(at))
		return
	}
	f, err := parse(text)
	if err != nil {
		at := whole
		if e, ok := err.(interface{ GetToken() *token.Token }); ok {
			at = r.place(e.GetToken())
		}
		msg := err.Error()
		if e, ok := err.(interface{ GetMessage() string }); ok {
			msg = e.GetMessage()
		}
		r.fail(at, "", "YAML: %s", msg)
		r.hidden = append(r.hidden, r.afterKey(at.Start))
		return
	}
	var docs []ast.Node
	for _, d := range f.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			docs = append(docs, d.Body)
		}
	}
	switch {
	case len(docs) == 0, len(docs) == 1 && docs[0].Type() == ast.NullType:
		r.together([]reflect.Value{to}, "", nil, whole)
	case len(docs) == 1:
		r.value(docs[0], "", to)
	default:
		r.fail(r.place(docs[1].GetToken()), "", "a second document")
	}
}

// maxDepth is how many lists and maps may be in each other. The parser takes the square of
// it in time.
const maxDepth = 100

// tooDeep is where there are more than maxDepth brackets that are open, or dashes that
// begin an element in front of each other; -1 is nowhere. What is in quotes or a comment
// does not count.
func tooDeep(text []byte) int {
	depth, dashes := 0, 0
	quote := byte(0) // that is open, 0 if none is; # is a comment
	apart := true    // the character follows a blank or a bracket, so that it may begin something
	for i := 0; i < len(text); i++ {
		c := text[i]
		blank := c == ' ' || c == '\t' || c == '\n' || c == '\r'
		switch {
		case c == '\n':
			quote, dashes = 0, 0 // A text in quotes may go on; its brackets count then.
		case quote == '"' && c == '\\':
			i++
		case quote == c && quote != '#':
			quote = 0 // Two single quotes, of one that is written, are an end and a beginning.
			if c == '\'' && i+1 < len(text) && text[i+1] == c {
				quote = c
				i++
			}
		case quote != 0:
		case apart && (c == '"' || c == '\'') || c == '#' && (i == 0 || strings.IndexByte(" \t\r\n", text[i-1]) >= 0):
			quote = c
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth = max(depth-1, 0)
		case apart && (c == '-' || c == '?') && i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\t'):
			dashes++
		case !blank:
			dashes = 0
		}
		if depth > maxDepth || dashes > maxDepth {
			return i
		}
		apart = blank || c == ',' || c == '[' || c == '{' || c == ':'
	}
	return -1
}

// parse parses YAML. The parser is not ours: what makes it panic is not YAML either.
func parse(text []byte) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it cannot be parsed: %v", p)
		}
	}()
	return parser.ParseBytes(text, 0)
}

func (r *reader) fail(at syntax.Range, hint, format string, args ...any) {
	r.errs = append(r.errs, &syntax.Error{Class: syntax.Parsing, Src: r.src, Range: at, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// hide notes that what a node says is not to be quoted.
func (r *reader) hide(n ast.Node) {
	l := &last{}
	ast.Walk(l, n)
	at := r.place(n.GetToken())
	if l.token != nil {
		at = r.place(l.first)
		at.End = len(r.src.Text)
		if l.token.Next != nil {
			at.End = max(r.place(l.token.Next).Start, at.Start)
		}
	}
	r.hidden = append(r.hidden, at)
}

// last finds the first token of a node and the last.
type last struct{ first, token *token.Token }

func (l *last) Visit(n ast.Node) ast.Visitor {
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return l
	}
	if l.token == nil || t.Position.Offset > l.token.Position.Offset {
		l.token = t
	}
	if l.first == nil || t.Position.Offset < l.first.Position.Offset {
		l.first = t
	}
	return l
}

// afterKey is the rest of a line after the key that it begins with: where YAML is
// broken nobody knows what is a secret.
func (r *reader) afterKey(at int) syntax.Range {
	begin := strings.LastIndexByte(r.src.Text[:at], '\n') + 1
	line, _, _ := strings.Cut(r.src.Text[begin:], "\n")
	return syntax.Range{Start: begin + len(beginsWithKey.FindString(line)), End: begin + len(line)}
}

// userinfo is what a URL has in front of its host, a password too.
var userinfo = regexp.MustCompile(`://\S*@`)

var beginsWithKey = regexp.MustCompile(`^[ -]*[A-Za-z0-9_]+:`)

// hush puts stars in the place of what is hidden, for those who quote the text of a
// mistake. Lines and columns stay those of the file.
func (r *reader) hush() {
	for _, m := range userinfo.FindAllStringIndex(r.src.Text, -1) {
		r.hidden = append(r.hidden, syntax.Range{Start: m[0] + len("://"), End: m[1] - len("@")})
	}
	for _, m := range anyURL.FindAllStringIndex(r.src.Text, -1) {
		for _, at := range SecretsOf(r.src.Text[m[0]:m[1]]) {
			r.hidden = append(r.hidden, syntax.Range{Start: m[0] + at.Start, End: m[0] + at.End})
		}
	}
	if len(r.hidden) == 0 {
		return
	}
	text := []byte(r.src.Text)
	for _, at := range r.hidden {
		for i := at.Start; i < at.End; i++ {
			if text[i] > ' ' {
				text[i] = '*'
			}
		}
	}
	place := r.src.Position
	for _, e := range r.errs {
		if e.Src.Text != "" {
			e.Src.Text, e.Src.Place = string(text), place
		}
	}
}

// place is where a token stands.
func (r *reader) place(t *token.Token) syntax.Range {
	if t == nil || t.Position == nil {
		return syntax.Range{}
	}
	start := 0
	for range t.Position.Line - 1 {
		i := strings.IndexByte(r.src.Text[start:], '\n')
		if i < 0 {
			break
		}
		start += i + 1
	}
	for range t.Position.Column - 1 {
		if start >= len(r.src.Text) || r.src.Text[start] == '\n' {
			break
		}
		_, n := utf8.DecodeRuneInString(r.src.Text[start:])
		start += n
	}
	end := min(start+max(len(t.Value), 1), len(r.src.Text))
	if i := strings.IndexByte(r.src.Text[start:end], '\n'); i >= 0 {
		end = start + i
	}
	return syntax.Range{Start: start, End: end}
}

var durationType = reflect.TypeFor[time.Duration]()

// value reads a node. The path is that of its key, for messages.
func (r *reader) value(n ast.Node, path string, to reflect.Value) {
	at := r.place(n.GetToken())
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		r.fail(at, "write the value out", "anchors, aliases and tags are not read")
		return
	case *ast.NullNode:
		r.fail(at, "leave the key out for its default", "%s has no value", path)
		return
	}
	t := to.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		if to.IsNil() {
			to.Set(reflect.New(t.Elem()))
		}
		r.value(n, path, to.Elem())
	case t.Kind() == reflect.Struct:
		r.object(n, path, to)
	case t.Kind() == reflect.Slice:
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			r.fail(at, "begin each element with a dash", "%s: expected a list", path)
			return
		}
		out := reflect.MakeSlice(t, len(list.Values), len(list.Values))
		for i, v := range list.Values {
			r.value(v, fmt.Sprintf("%s[%d]", path, i), out.Index(i))
		}
		to.Set(out)
	case t.Kind() == reflect.Map:
		entries, ok := members(n)
		if !ok {
			r.fail(at, "", "%s: expected keys and values", path)
			return
		}
		out := reflect.MakeMap(t)
		for _, m := range entries {
			v := reflect.New(t.Elem()).Elem()
			r.value(m.Value, path+"."+keyOf(m), v)
			out.SetMapIndex(reflect.ValueOf(keyOf(m)), v)
		}
		to.Set(out)
	default:
		text, ok := r.scalar(n, path)
		if !ok {
			return
		}
		if msg, hint := set(to, n, text); msg != "" {
			r.fail(at, hint, "%s: expected %s", path, msg)
		}
	}
}

// set reads a node as what to is; msg says what was expected instead. Text is that of a
// string, with its variables: if it has some, it is read as what to is. A text of
// nothing, as variables may make, leaves the default.
func set(to reflect.Value, n ast.Node, text string) (msg, hint string) {
	raw, quoted := stringOf(n)
	if quoted && text == "" {
		return "", ""
	}
	if to.Type() == durationType {
		d, err := time.ParseDuration(text)
		if msg, _ := Wrong("duration", text); quoted && (msg != "" || err != nil) || !quoted && number(n) != "0" {
			return "a duration such as 500ms, 2s or 1h30m", ""
		}
		to.SetInt(int64(d))
		return "", ""
	}
	if to.Kind() == reflect.String {
		if !quoted {
			return "text", "put it into quotes"
		}
		to.SetString(text)
		return "", ""
	}
	msg = describe(to.Type())
	if !quoted {
		text = number(n)
	} else if !hasVariable(raw) {
		if t := n.GetToken().Type; t == token.SingleQuoteType || t == token.DoubleQuoteType {
			return msg, "without quotes"
		}
		return msg, ""
	}
	switch to.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			return msg, ""
		}
		to.SetBool(text == "true")
	case reflect.Int, reflect.Int64, reflect.Int32:
		i, err := strconv.ParseInt(text, 10, to.Type().Bits())
		if err != nil {
			return msg, ""
		}
		to.SetInt(i)
	case reflect.Uint32, reflect.Uint64:
		i, err := strconv.ParseUint(text, 10, to.Type().Bits())
		if err != nil {
			return msg, ""
		}
		to.SetUint(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return msg, ""
		}
		to.SetFloat(f)
	default:
		panic("config: bug: a field of type " + to.Type().String())
	}
	return "", ""
}

// number is a node's number or boolean in the one way to write it: 0x10 is 16, and 7.0
// is 7.
func number(n ast.Node) string {
	switch n := n.(type) {
	case *ast.BoolNode:
		return strconv.FormatBool(n.Value)
	case *ast.IntegerNode:
		return fmt.Sprint(n.Value)
	case *ast.FloatNode:
		return strconv.FormatFloat(n.Value, 'f', -1, 64)
	}
	return ""
}

// stringOf is the text of a node that is a string.
func stringOf(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// scalar is the text of a scalar with its variables.
func (r *reader) scalar(n ast.Node, path string) (string, bool) {
	at := r.place(n.GetToken())
	text, ok := stringOf(n)
	if !ok {
		switch n.(type) {
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
			return n.GetToken().Value, true
		}
		r.fail(at, "", "%s: expected a single value", path)
		return "", false
	}
	if text == "" {
		r.fail(at, "leave the key out for its default", "%s has no value", path)
		return "", false
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), true
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before + "{")
			text = rest
			continue
		}
		b.WriteString(before)
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			r.fail(at, "write $${ for the two characters", "%s: ${ without }", path)
			return "", false
		}
		name, fallback, has := strings.Cut(name, ":-")
		if !variable(name) {
			what := strconv.Quote(name)
			if r.secret {
				what = "what is in ${}"
			}
			r.fail(at, "letters, digits and _, as in ${NAME} or ${NAME:-default}; write $${ for the two characters", "%s: %s is not the name of a variable", path, what)
			return "", false
		}
		v, ok := r.in.Env(name)
		switch {
		case has && v == "":
			v = fallback
		case !ok:
			r.fail(at, "set it, or write ${"+name+":-default}", "%s: the variable %s is not set", path, name)
			return "", false
		}
		b.WriteString(v)
		text = after
	}
}

func variable(s string) bool {
	for i, c := range []byte(s) {
		if !(c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return s != ""
}

// members are the entries of a mapping.
func members(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func keyOf(m *ast.MappingValueNode) string {
	if k, ok := m.Key.(*ast.StringNode); ok {
		return k.Value
	}
	return m.Key.GetToken().Value
}

// object reads a mapping into a struct.
func (r *reader) object(n ast.Node, path string, to reflect.Value) {
	entries, ok := members(n)
	if !ok {
		what := path
		if what == "" {
			what = "the file"
		}
		r.fail(r.place(n.GetToken()), "as in key: value", "%s: expected keys and values", what)
		return
	}
	parts := []reflect.Value{to}
	if v, ok := to.Addr().Interface().(Variant); ok {
		kind := r.kind(n, entries, path, v)
		if kind == "" {
			return
		}
		parts = append(parts, reflect.ValueOf(v.Options(kind)).Elem())
	}
	fields, tags := map[string]reflect.Value{}, map[string]reflect.StructTag{}
	for _, p := range parts {
		f, t, _ := collect(p)
		maps.Copy(fields, f)
		maps.Copy(tags, t)
	}
	failed := len(r.errs)
	places := map[string]syntax.Range{}
	for _, m := range entries {
		name := keyOf(m)
		at := r.place(m.Key.GetToken())
		f, ok := fields[name]
		if !ok {
			if r.secret {
				r.hide(m) // of a Reference
			}
			hint := syntax.DidYouMean(name, slices.Sorted(maps.Keys(fields)))
			if r.secret && hint == "" {
				r.fail(at, "expected "+strings.Join(slices.Sorted(maps.Keys(fields)), ", "), "unknown key in %s", path)
			} else if path != "" {
				r.fail(at, hint, "unknown key %q in %s", name, path)
			} else {
				r.fail(at, hint, "unknown key %q", name)
			}
			continue
		}
		if _, twice := places[name]; twice {
			r.fail(at, "", "the key %q is there twice", name)
			continue
		}
		places[name] = at
		if m.Value == nil {
			r.fail(at, "", "%s has no value", join(path, name))
			continue
		}
		if r.in.Places != nil {
			line, column := r.src.Position(r.place(m.Value.GetToken()).Start)
			r.in.Places[join(path, name)] = fmt.Sprintf("%s:%d:%d", r.src.Name, line, column)
		}
		before := len(r.errs)
		outer := r.secret
		_, object := members(m.Value)
		_, refers := f.Addr().Interface().(Reference)
		_, text := m.Value.(*ast.StringNode)
		secret := refers || tags[name].Get("secret") != ""
		if secret && !(refers && object) || outer && !text {
			r.hide(m.Value)
		}
		r.secret = outer || secret
		r.value(m.Value, join(path, name), f)
		r.secret = outer
		if len(r.errs) == before {
			r.judge(m.Value, join(path, name), f, tags[name])
		}
	}
	if len(r.errs) == failed {
		r.together(parts, path, places, r.place(n.GetToken()))
	}
}

// together holds the values of an object against each other. The places are those of its
// keys, at that of what has none.
func (r *reader) together(parts []reflect.Value, path string, places map[string]syntax.Range, at syntax.Range) {
	if path == "" && r.in.Set != nil {
		r.in.Set()
	}
	for _, p := range parts {
		key, msg, hint := Check(p.Addr().Interface())
		if x, ok := p.Addr().Interface().(Checker); ok && msg == "" {
			key, msg, hint = x.Check()
		}
		if msg == "" {
			continue
		}
		if name := r.instead(path, key); name != "" {
			msg = name + ": " + strings.TrimPrefix(msg, key+": ")
			if hint != "" {
				msg += " (" + hint + ")"
			}
			r.other = errors.New(msg)
			continue
		}
		if place, ok := places[key]; ok {
			at = place
		}
		r.fail(at, hint, "%s", strings.TrimPrefix(path+": ", ": ")+msg)
	}
}

// instead is the name of what gives a key's value in place of the file, "" if nothing does.
func (r *reader) instead(path, key string) string {
	if path != "" {
		key, _, _ = strings.Cut(path, ".")
		key, _, _ = strings.Cut(key, "[")
	}
	return r.in.Instead[key]
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// kind reads the key that says which other keys there are.
func (r *reader) kind(n ast.Node, entries []*ast.MappingValueNode, path string, v Variant) string {
	all := v.Kinds()
	for _, m := range entries {
		if keyOf(m) != "kind" || m.Value == nil {
			continue
		}
		kind, ok := stringOf(m.Value)
		if ok && hasVariable(kind) {
			r.fail(r.place(m.Value.GetToken()), "it says which other keys there are", "%s.kind: expected no variable", path)
			return ""
		}
		if ok && slices.Contains(all, kind) {
			return kind
		}
		r.fail(r.place(m.Value.GetToken()), syntax.DidYouMean(kind, all), "%s.kind: expected %s", path, strings.Join(all, ", "))
		return ""
	}
	r.fail(r.place(n.GetToken()), "", "%s has no kind: expected %s", path, strings.Join(all, ", "))
	return ""
}

// judge holds a value against the tags of its key.
func (r *reader) judge(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if list, ok := n.(*ast.SequenceNode); ok {
		for i, n := range list.Values {
			r.judge(n, fmt.Sprintf("%s[%d]", path, i), v.Index(i), tag)
		}
		return
	}
	if msg, hint := amiss(v, tag); msg != "" {
		r.fail(r.place(n.GetToken()), hint, "%s: %s", path, msg)
		return
	}
	if tag.Get("file") == "" || r.in.File == nil || r.instead(path, "") != "" || v.Kind() != reflect.String || v.Len() == 0 {
		return
	}
	if err := r.in.File(v.String()); err != nil {
		r.fail(r.place(n.GetToken()), "", "%s: %v", path, err)
	}
}

// keyName is the key of a field, "" if it has none.
func keyName(f reflect.StructField) (name string, inline bool) {
	name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if !f.IsExported() || name == "-" {
		return "", false
	}
	return name, opts == "inline"
}
