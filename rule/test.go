package rule

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/orlop/orlop/event"
)

// A Test holds events that its rule must match, or must not. It is written
// below the rule:
//
//	[test_event] # what the events below have in common
//	host.os.type = "linux"
//	event.action = "exec"
//
//	[[test]]
//	name  = "a shell in somebody else's container"
//	match = true
//	[test.event]
//	process.name = "ctr"
//	process.args = ["ctr", "t", "exec", "web"]
//
//	[[test]]
//	name  = "an event as it was recorded"
//	match = false
//	event = '{"host": {"os": {"type": "linux"}}, "process": {"name": "ctr"}}'
//
// A table is merged into [test_event], the keys of the test winning. A string
// is a JSON document and taken as it is; so is one that must lack a field that
// [test_event] has. A test for a sequence has a list of either, in order:
//
//	[[test.events]]
//	process.name = "ctr"
//	[[test.events]]
//	process.name = "sh"
//
// A rule of several events matches if they make it alert at least once, and
// does not if they never do.
type Test struct {
	Name   string
	Match  bool
	Events []json.RawMessage // one JSON document each
}

// maxTests bounds the JSON that a file's tables grow into: [test_event] is in
// each of them.
const maxTests = 16 << 20

// tests reads the [[test]] tables of a file.
func (d *document) tests(root *node) []Test {
	base := root.get("test_event")
	if base != nil && !d.is(base, kTable, "test_event") {
		base = nil
	}
	list := root.get("test")
	if list == nil || !d.is(list, kArray, "test") {
		return nil
	}
	var tests []Test
	size := 0
	for _, n := range list.items {
		if !d.is(n, kTable, "test") {
			continue
		}
		var t Test
		var docs []*node
		for _, k := range n.keys {
			switch k.name {
			case "name":
				if d.is(k.val, kString, "test.name") {
					t.Name = k.val.text
				}
			case "match":
				if d.is(k.val, kBool, "test.match") {
					t.Match = k.val.text == "true"
				}
			case "event":
				docs = append(docs, k.val)
			case "events":
				if d.is(k.val, kArray, "test.events") {
					docs = append(docs, k.val.items...)
				}
			default:
				names := []string{"name", "match", "event", "events"}
				d.fail(k.at, meant(nearest(k.name, names)), "unknown key %q", k.name)
			}
		}
		var missing []string
		for _, key := range []string{"name", "match"} {
			if n.get(key) == nil {
				missing = append(missing, key)
			}
		}
		if n.get("event") != nil && n.get("events") != nil {
			d.fail(n.at, "put all into events", "test has both event and events")
		} else if len(docs) == 0 {
			missing = append(missing, "event")
		}
		if len(missing) > 0 {
			d.fail(n.at, "", "test has no %s", strings.Join(missing, ", "))
		}
		for _, doc := range docs {
			switch doc.kind {
			case kTable:
				t.Events = append(t.Events, d.json(nil, merge(base, doc)))
			case kString:
				t.Events = append(t.Events, d.recorded(doc))
			default:
				d.fail(doc.at, "", "an event must be a table or a string of JSON, not %s", doc.kind)
				continue
			}
			if size += len(t.Events[len(t.Events)-1]); size > maxTests {
				d.fail(n.at, "", "the test events of a rule are more than %d MB", maxTests>>20)
				return tests
			}
		}
		tests = append(tests, t)
	}
	return tests
}

// recorded checks a document written as a string.
func (d *document) recorded(n *node) json.RawMessage {
	var e event.Event
	if err := event.NewDecoder(event.NewSchema()).Decode([]byte(n.text), &e); err != nil {
		at := n.at
		if se, ok := err.(*event.SyntaxError); ok {
			t := token{pieces: pieces(d.src.Text, n.at)}
			at.Start = t.file(min(max(se.Offset, 0), len(n.text)))
			at.End = at.Start + 1
			d.fail(at, "", "not a JSON object: %s", se.Msg)
			return nil
		}
		d.fail(at, "", "not a JSON object: %v", err)
		return nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(n.text)); err != nil {
		d.fail(n.at, "", "not a JSON object: %v", err)
	}
	return b.Bytes()
}

// merge is base with the keys of n in it.
func merge(base, n *node) *node {
	if base == nil || base.kind != kTable || n.kind != kTable {
		return n
	}
	m := newTable(n.at)
	for _, k := range base.keys {
		if over := n.get(k.name); over != nil {
			m.add(k.name, k.at, merge(k.val, over))
		} else {
			m.add(k.name, k.at, k.val)
		}
	}
	for _, k := range n.keys {
		if base.get(k.name) == nil {
			m.add(k.name, k.at, k.val)
		}
	}
	return m
}

// json appends n as JSON, its keys in the order of the file.
func (d *document) json(dst []byte, n *node) []byte {
	switch n.kind {
	case kInteger:
		i, _ := integer(n.text)
		return event.Int(i).AppendJSON(dst)
	case kFloat:
		if strings.HasSuffix(n.text, "inf") || strings.HasSuffix(n.text, "nan") {
			d.fail(n.at, "", "JSON has no %s", n.text)
		}
		return event.Float(float(n.text)).AppendJSON(dst)
	case kBool:
		return append(dst, n.text...)
	case kArray:
		dst = append(dst, '[')
		for i, it := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = d.json(dst, it)
		}
		return append(dst, ']')
	case kTable:
		dst = append(dst, '{')
		for i, k := range n.keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = event.AppendQuoted(dst, k.name)
			dst = append(dst, ':')
			dst = d.json(dst, k.val)
		}
		return append(dst, '}')
	}
	return event.AppendQuoted(dst, n.text)
}
