package alert

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/orlop/orlop/event"
)

// Identity. Kibana hashes where a document is and which rule it met, so a second
// run over it makes no second alert. We do the same, so that an engine beside
// Kibana, over the same index, and a second engine, and a replay agree:
//
//   - A document that came out of Elasticsearch says its _index and _id.
//   - An alert that came back says its kibana.alert.uuid.
//   - An event of kernel audit is named by its host, time and serial number, which the
//     kernel gives once. Its text may differ when a log is read again on its host: a
//     look at the process, which may be gone by then, adds to it.
//   - Any other document is named by the hash of its text, blanks between tokens
//     aside, in the index "orlop". Where it was read does not count: what is
//     delivered twice is one event. Two events that are equal to the last byte
//     are therefore one as well; a source that could make such should number them.
//
// A sequence is named by its events. If a key of one of them has several values,
// other sequences may be of the same events, and the values of the keys count as
// well; Kibana would keep one of them.
//
// Derived fields do not count either, since a replay may derive more or less.

const (
	space    = "default"
	ourIndex = "orlop"
)

// metadata of a document is not a part of it, and Elasticsearch refuses one that
// has such keys.
var metadata = []string{
	"_id", "_index", "_source", "_version", "_score", "_type", "_routing", "_seq_no", "_primary_term",
	"_ignored", "_field_names", "_size", "_doc_count", "_nested_path", "_tier",
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// A hit is an event on its way into an alert.
type hit struct {
	doc       *object // without what an alert must not have
	id, index string
	signal    bool // it is an alert itself
	depth     int
	rule      string // of the alert that it is
	ancestors []Ancestor
	derived   []string // names of fields

	fields *event.Schema
	event  event.Event // doc, of fields, for get
}

// hit reads an event.
func (mk *Maker) hit(e *event.Event) (*hit, error) {
	var compact bytes.Buffer
	raw := e.Raw
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	// The decoder is stricter than encoding/json: one object, no key twice.
	var checked event.Event
	if err := mk.checker.Decode(raw, &checked); err != nil {
		return nil, fmt.Errorf("alert: event: %w", err)
	}
	if err := json.Compact(&compact, raw); err != nil {
		return nil, fmt.Errorf("alert: event: %w", err)
	}
	h := &hit{doc: parse(compact.Bytes()), fields: mk.fields}
	h.id, h.index = h.text("_id"), h.text("_index")
	if uuid := h.text("kibana.alert.uuid"); uuid != "" {
		h.signal, h.depth, h.rule = true, 1, h.text("kibana.alert.rule.uuid")
		json.Unmarshal(h.doc.find("kibana.alert.depth"), &h.depth)
		json.Unmarshal(h.doc.find("kibana.alert.ancestors"), &h.ancestors)
		if h.id == "" {
			h.id = uuid
		}
	}
	doc := newObject()
	for _, key := range h.doc.keys {
		top, _, _ := strings.Cut(key, ".")
		if top != "kibana" && top != "signal" && !slices.Contains(metadata, key) {
			doc.put(key, h.doc.vals[key])
		}
	}
	h.doc = doc
	// What a source could not read whole stays said; the rest is ours to say.
	truncated := string(h.doc.find("orlop.evidence.truncated")) == "true"
	for _, path := range []string{"orlop.derived", "orlop.explain", "orlop.evidence"} {
		h.doc.remove(path)
	}
	if truncated {
		h.doc.set("orlop.evidence.truncated", []byte("true"))
	}
	for _, f := range e.Derived() {
		name := mk.schema.Name(f)
		if name == "" || e.Get(f).Kind() == event.KindMissing || slices.Contains(h.derived, name) {
			continue
		}
		h.derived = append(h.derived, name)
		h.doc.set(name, e.Get(f).AppendJSON(nil))
	}
	if h.id == "" {
		text := compact.Bytes()
		if len(e.Raw) == 0 {
			text = h.doc.append(nil)
		}
		if h.id = h.serial(); h.id == "" {
			h.id = digest(string(text))
		}
	}
	if h.index == "" {
		h.index = ourIndex
	}
	return h, h.read(mk.reader)
}

// serial names an event of kernel audit, or is "".
func (h *hit) serial() string {
	seq, at := h.doc.find("event.sequence"), h.text("@timestamp")
	if h.text("event.module") != "auditd" || len(seq) == 0 || at == "" {
		return ""
	}
	host := h.text("host.id")
	if host == "" {
		host = h.text("host.name")
	}
	return digest(host, "\x00", at, "\x00", string(seq), "\x00", h.text("event.action"))
}

// self is the hit as an ancestor.
func (h *hit) self() Ancestor {
	a := Ancestor{ID: h.id, Type: "event", Index: h.index}
	if h.signal {
		a.Type, a.Depth, a.Rule = "signal", h.depth, h.rule
	}
	return a
}

// text is a string of the document, or "".
func (h *hit) text(path string) (s string) {
	json.Unmarshal(h.doc.find(path), &s)
	return s
}

// read makes the document's fields available to get.
func (h *hit) read(d *event.Decoder) error {
	if err := d.Decode(h.doc.append(nil), &h.event); err != nil {
		return fmt.Errorf("alert: event: %w", err)
	}
	return nil
}

// get is the value of a field of the reason, or of the rule's overrides.
func (h *hit) get(name string) event.Value {
	f, _ := h.fields.Lookup(name)
	return h.event.Get(f)
}
