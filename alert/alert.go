// Package alert is an alert: Elastic Security's document, its identity, and what
// led to it.
//
//	m := alert.NewMaker(schema)
//	a, err := m.Event(r, e, alert.Match{Now: now})
//	doc := a.AppendJSON(nil)
//
// The document is the source event, with the fields that enrichment derived put
// in, and kibana.alert.* about the rule and the alert. What only Orlop knows is
// under orlop.*.
package alert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

// An Alert is what a rule has to say about an event or a sequence of them. It
// does not change, and does not borrow from the event.
type Alert struct {
	ID           string    // the same whenever the same rule meets the same events
	Time         time.Time // when the alert was made
	OriginalTime time.Time // when the event happened, or the last of them; may be zero. The document has it up to 9999

	RuleID    string
	RuleName  string // after rule_name_override
	Severity  string // after severity_mapping
	RiskScore float64
	Reason    string // a sentence

	Depth         int // 1 above events, one more above alerts
	Ancestors     []Ancestor
	BuildingBlock bool   // not of interest by itself
	Group         string // of a sequence's alerts: the ID of the one for all
	GroupIndex    int    // of a building block: its position in the sequence

	doc []byte
}

// An Ancestor is an event or alert that an alert comes from.
type Ancestor struct {
	ID    string `json:"id"`
	Type  string `json:"type"` // event, signal
	Index string `json:"index"`
	Depth int    `json:"depth"`
	Rule  string `json:"rule,omitempty"` // of a signal
}

// A Match is what the engine adds to rule and event.
type Match struct {
	Now      time.Time // the alert's Time
	Explain  any       // why it matched, as orlop.explain; any value that encoding/json takes
	Evidence any       // what was lost around it, as orlop.evidence

	// Keys are the values of a sequence's keys, if its events have others as well:
	// then they are part of the alerts' IDs. Kibana's are of the events alone, so
	// that of several sequences of the same events it keeps one.
	Keys []event.Value
}

// AppendJSON appends the document, on one line.
func (a *Alert) AppendJSON(dst []byte) []byte { return append(dst, a.doc...) }

// MarshalJSON is the document.
func (a *Alert) MarshalJSON() ([]byte, error) { return a.doc, nil }

// A Maker makes alerts. What they say of a rule it writes once, so rules must not
// change while it is in use. It is not safe for concurrent use.
type Maker struct {
	schema *event.Schema // of the events
	about  map[*rule.Rule]*about

	checker *event.Decoder // for no field: whether a document is one
	fields  *event.Schema  // those of the reason, and of the rules' overrides
	reader  *event.Decoder // for fields
	buf     []byte         // of the last document
}

// NewMaker returns a Maker for events of a schema, which names their derived fields.
func NewMaker(s *event.Schema) *Maker {
	m := &Maker{schema: s, about: map[*rule.Rule]*about{}, checker: event.NewDecoder(event.NewSchema()), fields: event.NewSchema()}
	for _, name := range reasonFields {
		m.fields.Field(name)
	}
	m.reader = event.NewDecoder(m.fields)
	return m
}

// Event makes the alert of a rule that has matched an event. An error says that
// the event's Raw is not a document.
func (mk *Maker) Event(r *rule.Rule, e *event.Event, m Match) (*Alert, error) {
	text := mk.of(r)
	h, err := mk.hit(e)
	if err != nil {
		return nil, err
	}
	a := &Alert{
		ID:   digest(h.index, h.id, "undefined", space+":"+r.ID),
		Time: m.Now, OriginalTime: h.event.Time,
		RuleID: r.ID, RuleName: r.Name, Severity: r.Severity, RiskScore: float64(r.RiskScore),
		Depth: h.self().Depth + 1, Ancestors: append(slices.Clone(h.ancestors), h.self()),
		BuildingBlock: r.BuildingBlockType != "",
	}
	a.override(r, h)
	mk.write(a, text, h, m)
	return a, nil
}

// Sequence makes the alerts of a rule that has matched a sequence: a building
// block for each event, in order, and one alert for all of them that has the
// fields that all events have in common. An event that is nil stands for one
// whose absence was asked for, and is left out. Overrides do not apply. The
// Match's explanation and evidence go to the alert for all.
func (mk *Maker) Sequence(r *rule.Rule, events []*event.Event, m Match) (all *Alert, blocks []*Alert, err error) {
	text := mk.of(r)
	var hits []*hit
	var base strings.Builder
	for _, e := range events {
		if e == nil {
			continue
		}
		h, err := mk.hit(e)
		if err != nil {
			return nil, nil, err
		}
		hits = append(hits, h)
		for _, up := range append(slices.Clone(h.ancestors), h.self()) {
			base.WriteString(up.ID + up.Index)
		}
		base.WriteString(r.ID)
	}
	if len(hits) == 0 {
		return nil, nil, fmt.Errorf("alert: a sequence without events")
	}
	var keys []byte
	for _, k := range m.Keys {
		keys = append(k.AppendJSON(keys), '\n')
	}
	start := func(h *hit) *Alert {
		return &Alert{
			Time: m.Now, OriginalTime: h.event.Time,
			RuleID: r.ID, RuleName: r.Name, Severity: r.Severity, RiskScore: float64(r.RiskScore),
		}
	}
	shell := &hit{doc: hits[0].doc, fields: mk.fields}
	all = start(hits[len(hits)-1])
	for i, h := range hits {
		b := start(h)
		b.ID = digest(base.String(), string(keys), fmt.Sprint(i))
		b.Depth = h.self().Depth + 1
		b.Ancestors = append(slices.Clone(h.ancestors), h.self())
		b.BuildingBlock, b.GroupIndex = true, i
		blocks = append(blocks, b)
		all.Depth = max(all.Depth, b.Depth+1)
		all.Ancestors = append(all.Ancestors, b.Ancestors...)
		all.Ancestors = append(all.Ancestors, Ancestor{ID: b.ID, Type: "signal", Depth: b.Depth, Rule: r.ID})
		if i > 0 && shell.doc != nil {
			shell.doc = intersect(shell.doc, h.doc, 0)
		}
		shell.derived = append(shell.derived, h.derived...)
	}
	var up strings.Builder
	for _, a := range all.Ancestors {
		up.WriteString(a.ID + a.Index)
	}
	all.ID = digest(up.String(), r.ID, string(keys))
	all.Group = all.ID
	all.BuildingBlock = r.BuildingBlockType != ""
	if shell.doc == nil {
		shell.doc = newObject()
	}
	// A copy: the blocks' documents are still to be written.
	shell.doc = parse(shell.doc.append(nil))
	shell.derived = slices.DeleteFunc(shell.derived, func(name string) bool { return shell.doc.find(name) == nil })
	if err := shell.read(mk.reader); err != nil {
		return nil, nil, err
	}
	for i, b := range blocks {
		b.Group = all.ID
		mk.write(b, text, hits[i], Match{Now: m.Now})
	}
	all.Reason = all.sequenceReason(hits)
	mk.write(all, text, shell, m)
	return all, blocks, nil
}

// Parse reads an alert's document back.
func Parse(doc []byte) (*Alert, error) {
	var d struct {
		ID           string     `json:"kibana.alert.uuid"`
		Time         time.Time  `json:"@timestamp"`
		OriginalTime time.Time  `json:"kibana.alert.original_time"`
		RuleID       string     `json:"kibana.alert.rule.rule_id"`
		RuleName     string     `json:"kibana.alert.rule.name"`
		Severity     string     `json:"kibana.alert.severity"`
		RiskScore    float64    `json:"kibana.alert.risk_score"`
		Reason       string     `json:"kibana.alert.reason"`
		Depth        int        `json:"kibana.alert.depth"`
		Ancestors    []Ancestor `json:"kibana.alert.ancestors"`
		Block        string     `json:"kibana.alert.building_block_type"`
		Group        string     `json:"kibana.alert.group.id"`
		GroupIndex   int        `json:"kibana.alert.group.index"`
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, fmt.Errorf("alert: %w", err)
	}
	if d.ID == "" || d.RuleID == "" {
		return nil, fmt.Errorf("alert: not an alert: no kibana.alert.uuid or rule_id")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, doc); err != nil {
		return nil, fmt.Errorf("alert: %w", err)
	}
	return &Alert{
		ID: d.ID, Time: d.Time, OriginalTime: d.OriginalTime,
		RuleID: d.RuleID, RuleName: d.RuleName, Severity: d.Severity, RiskScore: d.RiskScore, Reason: d.Reason,
		Depth: d.Depth, Ancestors: d.Ancestors,
		BuildingBlock: d.Block != "", Group: d.Group, GroupIndex: d.GroupIndex,
		doc: b.Bytes(),
	}, nil
}

// Descends reports whether an event is an alert of the rule, or comes from one.
// An engine whose alerts come back to it as events does not raise those again.
//
// Ask it only of events from such a source: anybody who may write events freely
// could write this into them to go unseen.
func (mk *Maker) Descends(e *event.Event, ruleID string) bool {
	h, err := mk.hit(e)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(append(h.ancestors, h.self()), func(a Ancestor) bool { return a.Rule == ruleID })
}
