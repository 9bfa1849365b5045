package alert

import (
	"bytes"
	"encoding/json"
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
	"destination.ip", "destination.port", "user.name", "host.name",
}

// reason is the sentence that Kibana makes.
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
	b.WriteString(" created " + a.Severity + " alert " + printable(a.RuleName) + ".")
	return b.String()
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
	const most = 256
	n := 0
	for i := range s {
		if n++; n > most {
			s = s[:i] + "…"
			break
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
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

// write makes the document out of the hit's.
func (a *Alert) write(r *rule.Rule, h *hit, m Match) {
	a.Reason = a.reason(h)
	d := h.doc
	for _, key := range slices.Clone(d.keys) {
		if rest, ok := strings.CutPrefix(key, "event."); ok {
			flatten(d, "kibana.alert.original_event."+rest, d.vals[key], 0)
		} else if key == "event" {
			flatten(d, "kibana.alert.original_event", d.vals[key], 0)
		}
	}
	now := stamp(a.Time)
	d.set("@timestamp", encode(now))
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

	put := func(key string, v any) { d.put("kibana."+key, &member{raw: encode(v)}) }
	// Kibana leaves out what a rule does not have.
	some := func(key, v string) {
		if v != "" {
			put(key, v)
		}
	}
	put("space_ids", []string{space})
	put("alert.uuid", a.ID)
	put("alert.instance.id", a.ID)
	put("alert.status", "active")
	put("alert.workflow_status", "open")
	put("alert.workflow_tags", []string{})
	put("alert.workflow_assignee_ids", []string{})
	put("alert.reason", a.Reason)
	put("alert.severity", a.Severity)
	put("alert.risk_score", a.RiskScore)
	put("alert.depth", a.Depth)
	put("alert.ancestors", a.Ancestors)
	if t := a.OriginalTime; !t.IsZero() && t.Year() >= 0 && t.Year() <= 9999 { // of others no date can be written
		put("alert.original_time", stamp(a.OriginalTime))
	}
	put("alert.start", now)
	put("alert.last_detected", now)
	put("alert.intended_timestamp", now)
	if a.BuildingBlock {
		put("alert.building_block_type", "default")
	}
	if a.Group != "" {
		put("alert.group.id", a.Group)
		if a.Group != a.ID {
			put("alert.group.index", a.GroupIndex)
		}
	}

	kind := kinds[r.Type]
	put("alert.rule.uuid", r.ID)
	put("alert.rule.rule_id", r.ID)
	put("alert.rule.name", a.RuleName)
	put("alert.rule.type", r.Type)
	some("alert.rule.rule_type_id", kind[0])
	some("alert.rule.category", kind[1])
	put("alert.rule.producer", "siem")
	put("alert.rule.consumer", "siem")
	put("alert.rule.execution.type", "scheduled")
	put("alert.rule.execution.timestamp", now)
	put("alert.rule.version", max(r.Version, 1))
	put("alert.rule.revision", r.Revision)
	put("alert.rule.enabled", r.Enabled)
	put("alert.rule.immutable", false)
	put("alert.rule.interval", r.Interval)
	put("alert.rule.from", r.From)
	put("alert.rule.to", r.To)
	put("alert.rule.max_signals", r.MaxSignals)
	put("alert.rule.severity", r.Severity)
	put("alert.rule.risk_score", r.RiskScore)
	put("alert.rule.author", list(r.Author))
	some("alert.rule.license", r.License)
	put("alert.rule.description", r.Description)
	some("alert.rule.note", r.Note)
	put("alert.rule.references", list(r.References))
	put("alert.rule.false_positives", list(r.FalsePositives))
	put("alert.rule.tags", list(r.Tags))
	put("alert.rule.threat", list(r.Threat))
	put("alert.rule.indices", list(r.Index))
	put("alert.rule.exceptions_list", list(r.ExceptionsList))
	put("alert.rule.actions", list(r.Actions))
	put("alert.rule.severity_mapping", list(r.SeverityMapping))
	put("alert.rule.risk_score_mapping", list(r.RiskScoreMapping))
	some("alert.rule.created_at", date(r.Metadata.CreationDate))
	some("alert.rule.updated_at", date(r.Metadata.UpdatedDate))
	some("alert.rule.timestamp_override", r.TimestampOverride)
	some("alert.rule.rule_name_override", r.RuleNameOverride)
	some("alert.rule.building_block_type", r.BuildingBlockType)
	some("alert.rule.timeline_id", r.TimelineID)
	some("alert.rule.timeline_title", r.TimelineTitle)
	put("alert.rule.parameters", r.Parameters())
	a.doc = d.append(nil)
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
