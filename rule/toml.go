package rule

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/orlop/orlop/eql/syntax"
)

// A decoder that only returns values cannot say where they stood, so a file is
// read into a tree that keeps places and the order of keys. go-toml's parser
// knows the characters; who may extend which table, and depth, are judged here.

type kind uint8

const (
	kString kind = iota
	kInteger
	kFloat
	kBool
	kDate // any of TOML's four kinds
	kArray
	kTable
)

func (k kind) String() string {
	return [...]string{"a string", "an integer", "a float", "a boolean", "a date", "an array", "a table"}[k]
}

// A node is a value of a TOML file.
type node struct {
	kind kind
	at   syntax.Range // a scalar's bytes; of a table or array the key or header that made it
	text string       // a string's content; the token of another scalar

	items []*node // kArray

	keys []*entry // kTable, in the order of the file
	find map[string]*node

	// Who may add to a table or array.
	inline bool // nobody
	dotted bool // other dotted keys
	header bool // a [header] made it, a second one may not
	tables bool // an array of tables: another [[header]]
}

type entry struct {
	name string
	at   syntax.Range
	val  *node
}

func newTable(at syntax.Range) *node {
	return &node{kind: kTable, at: at, find: map[string]*node{}}
}

func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	return n.find[name]
}

// below returns what is at a dotted key, as far as there is something.
func (n *node) below(key string) *node {
	for name := range strings.SplitSeq(key, ".") {
		next := n.get(name)
		if i, err := strconv.Atoi(name); err == nil && 0 <= i && i < len(n.items) {
			next = n.items[i]
		}
		if next == nil {
			break
		}
		n = next
	}
	return n
}

func (n *node) add(name string, at syntax.Range, val *node) *node {
	n.keys = append(n.keys, &entry{name, at, val})
	n.find[name] = val
	return val
}

// A document is a file being read: its text and the mistakes found so far.
type document struct {
	src   syntax.Source
	errs  syntax.Errors
	warns syntax.Errors
}

// The kinds of mistake in a rule file.
const (
	TOML    syntax.Class = "TOML"    // not a TOML file
	Invalid syntax.Class = "Invalid" // a key or value that a rule cannot have
	Lint    syntax.Class = "Lint"    // a warning
)

// maxProblems bounds what one file reports.
const maxProblems = 100

func (d *document) report(list *syntax.Errors, class syntax.Class, at syntax.Range, hint, msg string) {
	if len(*list) < maxProblems {
		*list = append(*list, &syntax.Error{Class: class, Src: d.src, Range: at, Msg: msg, Hint: hint})
	}
}

func (d *document) fail(at syntax.Range, hint, format string, args ...any) {
	d.report(&d.errs, Invalid, at, hint, fmt.Sprintf(format, args...))
}

func (d *document) warn(at syntax.Range, hint, format string, args ...any) {
	d.report(&d.warns, Lint, at, hint, fmt.Sprintf(format, args...))
}

func (d *document) broken(at syntax.Range, format string, args ...any) {
	d.report(&d.errs, TOML, at, "", fmt.Sprintf(format, args...))
}

// maxDepth is how deep keys, tables and arrays may nest.
const maxDepth = 100

// parse reads d's text. The tree is of use only if d has no errors.
func (d *document) parse() *node {
	root := newTable(syntax.Range{})
	text := d.src.Text
	if i := invalidUTF8(text); i >= 0 {
		// The rest of the text is unfit for showing.
		d.src.Text = text[:i] + "\uFFFD"
		d.broken(syntax.Range{Start: i, End: i + len("\uFFFD")}, "byte 0x%02x is not UTF-8 text", text[i])
		return root
	}
	data := []byte(text)
	p := unstable.Parser{}
	p.Reset(data)
	here := root
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			here = d.header(root, e)
		case unstable.KeyValue:
			d.keyValue(here, e, 1)
		}
	}
	if err := p.Error(); err != nil {
		at := syntax.Range{Start: len(text), End: len(text)}
		var pe *unstable.ParserError
		if errors.As(err, &pe) {
			at.Start = min(max(cap(data)-cap(pe.Highlight), 0), len(text))
			at.End = min(at.Start+len(pe.Highlight), len(text))
			for at.End < len(text) && !utf8.RuneStart(text[at.End]) {
				at.End++
			}
		}
		d.broken(at, "%v", err)
	}
	return root
}

func invalidUTF8(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}

func span(n *unstable.Node) syntax.Range {
	return syntax.Range{Start: int(n.Raw.Offset), End: int(n.Raw.Offset + n.Raw.Length)}
}

// key lists the parts of a dotted key and says where it stands as a whole.
func (d *document) key(e *unstable.Node) (names []string, ats []syntax.Range, whole syntax.Range) {
	for it := e.Key(); it.Next(); {
		k := it.Node()
		names = append(names, string(k.Data))
		ats = append(ats, span(k))
	}
	whole = syntax.Range{Start: ats[0].Start, End: ats[len(ats)-1].End}
	if len(names) > maxDepth {
		d.broken(whole, "a key of more than %d parts", maxDepth)
		names, ats = names[:1], ats[:1]
	}
	return names, ats, whole
}

// header finds or makes the table that a [header] or [[header]] opens.
func (d *document) header(root *node, e *unstable.Node) *node {
	names, ats, whole := d.key(e)
	last := len(names) - 1
	at := root
	for i, name := range names[:last] {
		next := at.get(name)
		switch {
		case next == nil:
			next = at.add(name, ats[i], newTable(whole))
		case next.tables:
			next = next.items[len(next.items)-1]
		case next.kind != kTable || next.inline:
			d.broken(ats[i], "key %q is already %s and cannot be extended", name, next.kind)
			return newTable(whole)
		}
		at = next
	}
	name, old := names[last], at.get(names[last])
	if e.Kind == unstable.ArrayTable {
		if old == nil {
			old = at.add(name, ats[last], &node{kind: kArray, at: whole, tables: true})
		}
		if !old.tables {
			d.broken(whole, "key %q is already %s", name, old.kind)
			return newTable(whole)
		}
		t := newTable(whole)
		t.header = true
		old.items = append(old.items, t)
		return t
	}
	if old == nil {
		old = at.add(name, ats[last], newTable(whole))
	} else if old.kind != kTable || old.inline || old.dotted || old.header {
		d.broken(whole, "table %q is already defined", name)
		return newTable(whole)
	}
	old.header, old.at = true, whole
	return old
}

func (d *document) keyValue(t *node, e *unstable.Node, depth int) {
	names, ats, whole := d.key(e)
	last := len(names) - 1
	for i, name := range names[:last] {
		next := t.get(name)
		switch {
		case next == nil:
			next = t.add(name, ats[i], newTable(ats[i]))
			next.dotted = true
		case !next.dotted:
			d.broken(ats[i], "key %q is already defined", name)
			return
		}
		t = next
	}
	if t.get(names[last]) != nil {
		d.broken(whole, "key %q is already defined", names[last])
		return
	}
	t.add(names[last], ats[last], d.value(e.Value(), ats[last], depth+last))
}

func (d *document) value(v *unstable.Node, key syntax.Range, depth int) *node {
	n := &node{at: span(v), inline: true}
	if depth > maxDepth && (v.Kind == unstable.Array || v.Kind == unstable.InlineTable) {
		d.broken(key, "nested more than %d deep", maxDepth)
		return n
	}
	if v.Kind != unstable.String {
		n.text = d.src.Text[n.at.Start:n.at.End]
	}
	switch v.Kind {
	case unstable.String:
		n.kind = kString
		// Most strings stand in the file as they are and need no copy.
		if p := pieces(d.src.Text, n.at); len(p) == 2 {
			n.text = d.src.Text[p[0].file:p[1].file]
		} else {
			n.text = string(v.Data)
		}
	case unstable.Integer:
		n.kind = kInteger
		if _, err := integer(n.text); err != nil {
			d.broken(n.at, "integer %s does not fit into 64 bits", n.text)
		}
	case unstable.Float:
		n.kind = kFloat
		if f := float(n.text); math.IsInf(f, 0) && !strings.HasSuffix(n.text, "inf") {
			d.broken(n.at, "float %s is out of range", n.text)
		}
	case unstable.Bool:
		n.kind = kBool
	case unstable.Array:
		n.kind, n.at = kArray, key
		for it := v.Children(); it.Next(); {
			n.items = append(n.items, d.value(it.Node(), key, depth+1))
		}
	case unstable.InlineTable:
		n.kind, n.at = kTable, key
		n.find = map[string]*node{}
		for it := v.Children(); it.Next(); {
			d.keyValue(n, it.Node(), depth+1)
		}
		n.close()
	default:
		n.kind = kDate
	}
	return n
}

// close ends an inline table: its dotted keys made tables that nobody may
// extend either.
func (n *node) close() {
	for _, k := range n.keys {
		if k.val.dotted {
			k.val.inline, k.val.dotted = true, false
			k.val.close()
		}
	}
}

func integer(s string) (int64, error) {
	return strconv.ParseInt(strings.ReplaceAll(strings.TrimPrefix(s, "+"), "_", ""), base(s), 64)
}

// base is 0, which reads the prefix, for 0x, 0o and 0b.
func base(s string) int {
	if len(s) > 1 && s[0] == '0' {
		return 0
	}
	return 10
}

func float(s string) float64 {
	f, _ := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f
}

// plain is the value as encoding/json would have decoded it, but for integers,
// which stay int64. Dates are text.
func (n *node) plain() any {
	switch n.kind {
	case kInteger:
		i, _ := integer(n.text)
		return i
	case kFloat:
		return float(n.text)
	case kBool:
		return n.text == "true"
	case kArray:
		list := make([]any, len(n.items))
		for i, it := range n.items {
			list[i] = it.plain()
		}
		return list
	case kTable:
		m := make(map[string]any, len(n.keys))
		for _, k := range n.keys {
			m[k.name] = k.val.plain()
		}
		return m
	}
	return n.text
}
