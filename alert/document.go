package alert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

// override lets the event change the rule's severity, risk score and name.
func (a *Alert) override(r *rule.Rule, h *hit) {
	level := -1
	for _, m := range r.SeverityMapping {
		at := slices.Index([]string{"low", "medium", "high", "critical"}, m.Severity)
		if at >= level && matches(m, h.get(m.Field)) {
			level, a.Severity = at, m.Severity
		}
	}
	if len(r.RiskScoreMapping) > 0 {
		score := -1.0
		v := h.get(r.RiskScoreMapping[0].Field)
		for i := range v.Len() {
			n := v.At(i)
			if n.Kind() == event.KindString {
				n, _ = event.Number(n.Str())
			}
			if n.Kind() == event.KindInt || n.Kind() == event.KindFloat {
				if f := n.Float(); f >= 0 && f <= 100 {
					score = max(score, f)
				}
			}
		}
		if score >= 0 {
			a.RiskScore = score
		}
	}
	if r.RuleNameOverride != "" {
		v := h.get(r.RuleNameOverride)
		for i := range v.Len() {
			if s := v.At(i).Str(); s != "" {
				a.RuleName = s
				break
			}
		}
	}
}

func matches(m rule.SeverityMapping, v event.Value) bool {
	want, isNumber := event.Number(m.Value)
	for i := range v.Len() {
		// Kibana compares text, and only this one field as a number.
		if m.Field == "event.severity" && isNumber {
			n := v.At(i)
			if n.Kind() == event.KindString {
				n, _ = event.Number(n.Str())
			}
			if n.Exists() && n.Float() == want.Float() {
				return true
			}
		} else if v.At(i).Text() == m.Value {
			return true
		}
	}
	return false
}

var reasonFields = []string{
	"event.category", "process.name", "process.parent.name", "file.name", "source.ip", "source.port",
	"destination.ip", "destination.port", "user.name", "host.name", "orlop.kubernetes.user.name",
	// of a sequence
	"process.command_line", "process.args", "process.executable", "file.path", "destination.path", "event.action",
}

// reason is the sentence that Kibana makes, and of a process that the Kubernetes API was
// asked for, by whom.
func (a *Alert) reason(h *hit) string {
	var b strings.Builder
	with := false
	add := func(before, field, after string) {
		text := readable(h.get(field))
		if text == "" {
			return
		}
		if !with && field != "event.category" && field != "user.name" && field != "host.name" {
			with = true
			b.WriteString(" with")
		}
		b.WriteString(before + text + after)
	}
	add("", "event.category", " ")
	b.WriteString("event")
	add(" process ", "process.name", ",")
	add(" parent process ", "process.parent.name", ",")
	add(" file ", "file.name", ",")
	add(" source ", "source.ip", "")
	add(":", "source.port", ",")
	add(" destination ", "destination.ip", "")
	add(":", "destination.port", ",")
	add(" by ", "user.name", "")
	add(" on ", "host.name", "")
	if who := readable(h.get("orlop.kubernetes.user.name")); who != "" {
		b.WriteString(", asked for by " + who + " through the Kubernetes API,")
	}
	b.WriteString(" created " + a.Severity + " alert " + printable(a.RuleName) + ".")
	return b.String()
}

const (
	maxSteps = 6   // that a sentence tells of
	maxStep  = 120 // characters of each
)

// sequenceReason is a sentence of our own: what the steps were, in order, by whom and where.
func (a *Alert) sequenceReason(hits []*hit) string {
	var b strings.Builder
	for i, h := range hits {
		if i > 0 {
			b.WriteString(", then ")
		}
		if i == maxSteps-1 && len(hits) > maxSteps {
			fmt.Fprintf(&b, "%d more", len(hits)-i)
			break
		}
		b.WriteString(h.step())
	}
	some := func(before, field, after string) {
		var texts []string
		for _, h := range hits {
			if text := readable(h.get(field)); text != "" && !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
		if len(texts) > maxSteps {
			texts = append(texts[:maxSteps], "…")
		}
		if len(texts) > 0 {
			b.WriteString(before + strings.Join(texts, ", ") + after)
		}
	}
	some(", by ", "user.name", "")
	some(" on ", "host.name", "")
	some(", asked for by ", "orlop.kubernetes.user.name", " through the Kubernetes API,")
	b.WriteString(" created " + a.Severity + " alert " + printable(a.RuleName) + ".")
	return b.String()
}

// step says what one event of a sequence was: the command, else what it was about.
func (h *hit) step() string {
	text := readable(h.get("process.command_line"))
	if args := h.get("process.args"); text == "" {
		for i := range min(args.Len(), 32) {
			text += " " + cut(printable(args.At(i).Text()), maxStep)
		}
		text = strings.TrimPrefix(text, " ")
	}
	action := readable(h.get("event.action"))
	for _, field := range [...]string{"process.executable", "process.name"} {
		if text == "" {
			text = readable(h.get(field))
		}
	}
	if text != "" && (action == "exec" || action == "executed") {
		action = "" // the command says it
	}
	if text = cut(text, maxStep); text != "" {
		text = `"` + text + `"`
	}
	about := ""
	for _, field := range [...]string{"file.path", "destination.path", "destination.ip"} {
		if about = cut(readable(h.get(field)), maxStep); about != "" {
			break
		}
	}
	parts := slices.DeleteFunc([]string{text, cut(action, maxStep), about}, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return strings.TrimSpace(readable(h.get("event.category")) + " event")
	}
	return strings.Join(parts, " ")
}

// cut shortens a text to so many characters.
func cut(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}

// readable is the text of a field for a sentence, or "" if it has none.
func readable(v event.Value) string {
	var texts []string
	for i := range v.Len() {
		if i == 10 {
			texts = append(texts, "…")
			break
		}
		texts = append(texts, printable(v.At(i).Text()))
	}
	if s := strings.Join(texts, ", "); s != "-" {
		return s
	}
	return ""
}

// printable keeps a value from acting on a terminal, and from being all of the sentence.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, cut(s, 256))
}

// kinds of rule as Kibana calls them.
var kinds = map[string][2]string{
	"eql":              {"siem.eqlRule", "Event Correlation Rule"},
	"query":            {"siem.queryRule", "Custom Query Rule"},
	"saved_query":      {"siem.savedQueryRule", "Saved Query Rule"},
	"threshold":        {"siem.thresholdRule", "Threshold Rule"},
	"new_terms":        {"siem.newTermsRule", "New Terms Rule"},
	"esql":             {"siem.esqlRule", "ES|QL Rule"},
	"threat_match":     {"siem.indicatorRule", "Indicator Match Rule"},
	"machine_learning": {"siem.mlRule", "Machine Learning Rule"},
}

// maxFlatten bounds how deep objects are taken apart.
const maxFlatten = 16

// about is what alerts say of their rule, as JSON: members that follow others.
type about struct {
	first []byte // up to the name, which the event may say
	kind  []byte // up to the time of the execution
	rest  []byte // behind it
}

// of returns what alerts say of a rule, and makes sure that the fields of its
// overrides are read.
func (mk *Maker) of(r *rule.Rule) *about {
	if a := mk.about[r]; a != nil {
		return a
	}
	if r.RuleNameOverride != "" {
		mk.fields.Field(r.RuleNameOverride)
	}
	for _, m := range r.SeverityMapping {
		mk.fields.Field(m.Field)
	}
	for _, m := range r.RiskScoreMapping {
		mk.fields.Field(m.Field)
	}
	a := &about{}
	to := &a.first
	put := func(key string, v any) { *to = appendMember(*to, "rule."+key, encode(v)) }
	// Kibana leaves out what a rule does not have.
	some := func(key, v string) {
		if v != "" {
			put(key, v)
		}
	}
	kind := kinds[r.Type]
	put("uuid", r.ID)
	put("rule_id", r.ID)
	to = &a.kind
	put("type", r.Type)
	some("rule_type_id", kind[0])
	some("category", kind[1])
	put("producer", "siem")
	put("consumer", "siem")
	put("execution.type", "scheduled")
	to = &a.rest
	put("version", max(r.Version, 1))
	put("revision", r.Revision)
	put("enabled", r.Enabled)
	put("immutable", false)
	put("interval", r.Interval)
	put("from", r.From)
	put("to", r.To)
	put("max_signals", r.MaxSignals)
	put("severity", r.Severity)
	put("risk_score", r.RiskScore)
	put("author", list(r.Author))
	some("license", r.License)
	put("description", r.Description)
	some("note", r.Note)
	put("references", list(r.References))
	put("false_positives", list(r.FalsePositives))
	put("tags", list(r.Tags))
	put("threat", list(r.Threat))
	put("indices", list(r.Index))
	put("exceptions_list", list(r.ExceptionsList))
	put("actions", list(r.Actions))
	put("severity_mapping", list(r.SeverityMapping))
	put("risk_score_mapping", list(r.RiskScoreMapping))
	some("created_at", date(r.Metadata.CreationDate))
	some("updated_at", date(r.Metadata.UpdatedDate))
	some("timestamp_override", r.TimestampOverride)
	some("rule_name_override", r.RuleNameOverride)
	some("building_block_type", r.BuildingBlockType)
	some("timeline_id", r.TimelineID)
	some("timeline_title", r.TimelineTitle)
	put("parameters", r.Parameters())
	mk.about[r] = a
	return a
}

// appendMember appends a member that follows others, of kibana.alert.
func appendMember(dst []byte, key string, raw []byte) []byte {
	dst = append(dst, `,"kibana.alert.`...)
	dst = append(dst, key...)
	return append(append(dst, `":`...), raw...)
}

// maxBuffer bounds the memory that a Maker keeps between documents.
const maxBuffer = 1 << 20

// write makes the document of a out of the hit's.
func (mk *Maker) write(a *Alert, r *about, h *hit, m Match) {
	if a.Reason == "" {
		a.Reason = a.reason(h)
	}
	d := h.doc
	for _, key := range slices.Clone(d.keys) {
		if rest, ok := strings.CutPrefix(key, "event."); ok {
			flatten(d, "kibana.alert.original_event."+rest, d.vals[key], 0)
		} else if key == "event" {
			flatten(d, "kibana.alert.original_event", d.vals[key], 0)
		}
	}
	now := encode(stamp(a.Time))
	d.set("@timestamp", now)
	d.remove("event.kind") // which may be there in more than one spelling
	d.set("event.kind", encode("signal"))
	if len(h.derived) > 0 {
		slices.Sort(h.derived)
		d.set("orlop.derived", encode(slices.Compact(h.derived)))
	}
	if m.Explain != nil {
		d.set("orlop.explain", encode(m.Explain))
	}
	if m.Evidence != nil {
		truncated := d.find("orlop.evidence.truncated")
		d.set("orlop.evidence", encode(m.Evidence))
		if truncated != nil {
			d.set("orlop.evidence.truncated", truncated)
		}
	}
	d.put("kibana.space_ids", &member{raw: encode([]string{space})})

	// The rest is behind it all, and no key of the document is like one of it.
	doc := d.append(mk.buf[:0])
	doc = doc[:len(doc)-1]
	put := func(key string, raw []byte) { doc = appendMember(doc, key, raw) }
	id := encode(a.ID)
	put("uuid", id)
	put("instance.id", id)
	doc = append(doc, `,"kibana.alert.status":"active","kibana.alert.workflow_status":"open","kibana.alert.workflow_tags":[],"kibana.alert.workflow_assignee_ids":[]`...)
	put("reason", encode(a.Reason))
	put("severity", encode(a.Severity))
	put("risk_score", encode(a.RiskScore))
	put("depth", encode(a.Depth))
	put("ancestors", encode(a.Ancestors))
	if t := a.OriginalTime; !t.IsZero() && t.Year() >= 0 && t.Year() <= 9999 { // of others no date can be written
		put("original_time", encode(stamp(t)))
	}
	put("start", now)
	put("last_detected", now)
	put("intended_timestamp", now)
	if a.BuildingBlock {
		put("building_block_type", encode("default"))
	}
	if a.Group != "" {
		put("group.id", encode(a.Group))
		if a.Group != a.ID {
			put("group.index", encode(a.GroupIndex))
		}
	}
	doc = append(doc, r.first...)
	put("rule.name", encode(a.RuleName))
	doc = append(doc, r.kind...)
	put("rule.execution.timestamp", now)
	doc = append(doc, r.rest...)
	doc = append(doc, '}')
	a.doc = bytes.Clone(doc)
	if mk.buf = doc; cap(doc) > maxBuffer {
		mk.buf = nil
	}
}

// flatten puts the leaves of m into d, under dotted keys.
func flatten(d *object, key string, m *member, depth int) {
	in := m.object()
	if in == nil || len(in.keys) == 0 || depth == maxFlatten {
		d.put(key, &member{raw: m.append(nil)})
		return
	}
	for _, k := range in.keys {
		flatten(d, key+"."+k, in.vals[k], depth+1)
	}
}

// list makes JSON's [] out of Go's nil.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// encode writes a value that is ours, or one that the engine gave. An alert is
// worth more than its explanation, so one that JSON cannot hold says so.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return encode(map[string]string{"error": err.Error()})
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// stamp writes a time as Kibana does, with more digits if it has them.
func stamp(t time.Time) string {
	if t.Nanosecond()%1e6 == 0 {
		return t.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z")
}

// date reads a date of a rule file.
func date(s string) string {
	t, err := time.Parse("2006/01/02", s)
	if err != nil {
		return ""
	}
	return stamp(t)
}
