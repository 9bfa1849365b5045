package rule

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orlop/orlop/eql/syntax"
)

// Parse reads the text of one rule file. The name is for messages. The warnings
// are of what was read but looks wrong; an error is a syntax.Errors with all the
// mistakes of the file.
func Parse(name string, text []byte) (r *Rule, warnings syntax.Errors, err error) {
	r, warnings, errs := parse(name, text)
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	return r, warnings, nil
}

// parse is Parse, but returns what could be read beside the mistakes.
func parse(name string, text []byte) (r *Rule, warnings, errs syntax.Errors) {
	// Editors on Windows begin a file with a byte order mark.
	d := &document{src: syntax.Source{Name: name, Text: strings.TrimPrefix(string(text), "\uFEFF")}}
	if len(text) > MaxSize {
		d.src.Text = ""
		d.fail(syntax.Range{}, "", "larger than the %d kB that a rule file may have", MaxSize>>10)
		return nil, nil, d.errs
	}
	root := d.parse()
	if len(d.errs) == 0 {
		r = d.rule(root)
	}
	byPlace := func(a, b *syntax.Error) int { return a.Range.Start - b.Range.Start }
	slices.SortStableFunc(d.errs, byPlace)
	slices.SortStableFunc(d.warns, byPlace)
	return r, d.warns, d.errs
}

// rule makes the Rule of a file.
func (d *document) rule(root *node) *Rule {
	r := &Rule{
		File: d.src.Name, text: d.src.Text,
		Metadata: Metadata{Maturity: "production"},
		Enabled:  true, From: "now-6m", To: "now", Interval: "5m", MaxSignals: 100,
	}
	table := root.get("rule")
	if table == nil {
		what := "no [rule] table: not a rule"
		if root.get("hunt") != nil {
			what = "a hunting query, not a rule"
		} else if root.get("exceptions") != nil {
			what = "a list of exceptions, not a rule"
		}
		at := syntax.Range{}
		if len(root.keys) > 0 {
			at = root.keys[0].at
		}
		d.fail(at, "", "%s", what)
		return nil
	}
	tops := []string{"metadata", "rule", "orlop", "transform", "test_event", "test"}
	for _, k := range root.keys {
		switch k.name {
		case "metadata":
			d.decode(k.val, reflectOf(&r.Metadata), "metadata")
		case "orlop":
			d.decode(k.val, reflectOf(&r.Orlop), "orlop")
		case "transform":
			d.decode(k.val, reflectOf(&r.Transform), "transform")
		case "rule", "test", "test_event":
		default:
			d.warn(k.at, meant(nearest(k.name, tops)), "unknown key %q", k.name)
		}
	}
	if d.is(table, kTable, "rule") {
		d.table(table, reflectOf(r), "rule", needs(table), func(k *entry) bool {
			if k.name == "new_terms" {
				d.newTerms(r, k.val)
				return true
			}
			return false
		})
		d.check(r, table)
		d.lint(r, root.get("metadata"), table)
	}
	r.Tests = d.tests(root)
	return r
}

// newTerms reads the key as rule files have it:
//
//	[rule.new_terms]
//	field = "new_terms_fields"
//	value = ["host.id"]
//	[[rule.new_terms.history_window_start]]
//	field = "history_window_start"
//	value = "now-7d"
func (d *document) newTerms(r *Rule, n *node) {
	var t struct {
		Field   string   `json:"field"`
		Value   []string `json:"value" rule:"required"`
		History []struct {
			Field string `json:"field"`
			Value string `json:"value" rule:"required"`
		} `json:"history_window_start" rule:"required"`
	}
	d.decode(n, reflectOf(&t), "rule.new_terms")
	r.NewTermsFields = t.Value
	if len(t.History) > 0 {
		r.HistoryWindowStart = t.History[0].Value
	}
}

var severities = []string{"low", "medium", "high", "critical"}

// check looks for values that cannot be meant.
func (d *document) check(r *Rule, n *node) {
	// A key that is missing or of the wrong kind has been reported.
	given := func(key string) (*node, bool) {
		k := n.get(key)
		return k, k != nil && (k.kind == kString || k.kind == kInteger)
	}
	oneOf := func(key, got string, want []string) {
		if k, ok := given(key); ok && !slices.Contains(want, got) {
			hint := meant(nearest(got, want))
			if hint == "" {
				hint = "one of " + strings.Join(want, ", ")
			}
			d.fail(k.at, hint, "no such %s: %q", key, short(got))
		}
	}
	var names []string
	for t := range types {
		names = append(names, t)
	}
	slices.Sort(names)
	oneOf("type", r.Type, names)
	oneOf("severity", r.Severity, severities)
	if k, ok := given("risk_score"); ok && (r.RiskScore < 0 || r.RiskScore > 100) {
		d.fail(k.at, "", "risk_score must be from 0 to 100, not %d", r.RiskScore)
	}
	for _, key := range []string{"name", "rule_id"} {
		if k, ok := given(key); ok && strings.TrimSpace(k.text) == "" {
			d.fail(k.at, "", "%s is empty", key)
		}
	}
	if k, ok := given("max_signals"); ok && r.MaxSignals < 1 {
		d.fail(k.at, "", "max_signals must be at least 1, not %d", r.MaxSignals)
	}
	if k, ok := given("interval"); ok {
		if _, ok := interval(r.Interval); !ok {
			d.fail(k.at, "a number and one of s, m, h, d, as in 5m", "not an interval: %q", short(r.Interval))
		}
	}
	from, fromOK := dateMath(r.From)
	to, toOK := dateMath(r.To)
	const dates = "now, or now less some time, as in now-9m"
	if k, ok := given("from"); ok && !fromOK {
		d.fail(k.at, dates, "not a time to look from: %q", short(r.From))
	} else if ok && toOK && from >= to {
		d.fail(k.at, "", "the rule looks at no time: from %s to %s", r.From, r.To)
	}
	if k, ok := given("to"); ok && !toOK {
		d.fail(k.at, dates, "not a time to look to: %q", short(r.To))
	}
	if k, ok := given("building_block_type"); ok && r.BuildingBlockType != "default" {
		d.fail(k.at, `write "default"`, "no such building_block_type: %q", short(r.BuildingBlockType))
	}
	for i, m := range r.SeverityMapping {
		if m.Severity != "" && !slices.Contains(severities, m.Severity) {
			d.fail(n.get("severity_mapping").items[i].at, meant(nearest(m.Severity, severities)), "no such severity: %q", short(m.Severity))
		}
	}
	if s := r.AlertSuppression; s != nil && s.Duration != nil && n.get("alert_suppression").get("duration").kind == kTable {
		at := n.get("alert_suppression").get("duration").at
		if s.Duration.Unit != "" && !slices.Contains([]string{"s", "m", "h"}, s.Duration.Unit) {
			d.fail(at, "one of s, m, h", "no such unit: %q", short(s.Duration.Unit))
		}
		if s.Duration.Value < 1 {
			d.fail(at, "", "a suppression lasts at least 1, not %d", s.Duration.Value)
		}
	}
	d.threat(r.Threat, n.get("threat"))
	techniques(r.Threat)
	for _, m := range r.ThreatMappings {
		techniques(m.Threat)
	}
	d.query(r, n, given)
}

// needs lists the keys that a type of rule needs besides those of every rule.
func needs(table *node) []string {
	t := table.get("type")
	if t == nil {
		return []string{"query"}
	}
	switch t.text {
	case "saved_query":
		return []string{"saved_id"}
	case "threshold":
		return []string{"query", "threshold"}
	case "new_terms":
		if table.get("new_terms") != nil {
			return []string{"query"}
		}
		return []string{"query", "new_terms_fields", "history_window_start"}
	case "threat_match":
		return []string{"query", "threat_index", "threat_mapping"}
	case "machine_learning":
		return []string{"anomaly_threshold", "machine_learning_job_id"}
	case "correlation":
		return nil
	}
	return []string{"query"}
}

// query checks the query and gives it its language.
func (d *document) query(r *Rule, n *node, given func(string) (*node, bool)) {
	if k, ok := given("query"); ok && strings.TrimSpace(k.text) == "" {
		d.fail(k.at, "", "the query is empty")
	}
	languages := []string{"kuery", "lucene"}
	switch r.Type {
	case "eql", "esql":
		languages = []string{r.Type}
	case "machine_learning", "correlation", "":
		return
	}
	if k, ok := given("language"); !ok {
		r.Language = languages[0]
	} else if _, known := types[r.Type]; known && !slices.Contains(languages, r.Language) {
		d.fail(k.at, "write "+strconv.Quote(languages[0]), "a rule of type %s cannot have language %q", r.Type, short(r.Language))
	}
}

var (
	tacticID    = regexp.MustCompile(`^(TA|AML\.TA)\d{4}$`)
	techniqueID = regexp.MustCompile(`^(AML\.)?T\d{4}$`)
	subID       = regexp.MustCompile(`^(AML\.)?T\d{4}\.\d{3}$`)
)

// threat checks the ids of the frameworks that it knows.
func (d *document) threat(threats []Threat, n *node) {
	for i, t := range threats {
		if t.Framework != "MITRE ATT&CK" && t.Framework != "MITRE ATLAS" {
			if near := nearest(t.Framework, []string{"MITRE ATT&CK", "MITRE ATLAS"}); near != "" {
				d.warn(n.items[i].get("framework").at, meant(near), "unknown framework %q", t.Framework)
			}
			continue
		}
		in := n.items[i]
		id := func(in *node, id string, want *regexp.Regexp, hint string) {
			if at := in.get("id"); at != nil && at.kind == kString && !want.MatchString(id) {
				d.fail(at.at, hint, "not an id of %s: %q", t.Framework, short(id))
			}
		}
		id(in.get("tactic"), t.Tactic.ID, tacticID, "a tactic's is like TA0002")
		for i, te := range t.Technique {
			in := in.get("technique").items[i]
			id(in, te.ID, techniqueID, "a technique's is like T1611")
			for i, sub := range te.Subtechnique {
				id(in.get("subtechnique").items[i], sub.ID, subID, "a subtechnique's is like T1059.004")
			}
		}
	}
}

// techniques gives each threat a list of them, as Kibana does.
func techniques(threats []Threat) {
	for i := range threats {
		if threats[i].Technique == nil {
			threats[i].Technique = []Technique{}
		}
	}
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

const license = "Elastic License v2"

// lint warns of what works and is likely not meant.
func (d *document) lint(r *Rule, meta, n *node) {
	if k := n.get("rule_id"); k != nil && r.ID != "" && !uuid.MatchString(r.ID) {
		d.warn(k.at, "", "rule_id is not a UUID")
	}
	if k := n.get("license"); k != nil && r.License != license && nearest(r.License, []string{license}) != "" {
		d.warn(k.at, meant(license), "unusual license %q", r.License)
	}
	if meta == nil {
		return
	}
	if k := meta.get("integration"); k != nil && k.kind == kString {
		d.warn(k.at, "write ["+strconv.Quote(short(k.text))+"]", "integration should be a list")
	}
	maturities := []string{"development", "experimental", "beta", "production", "deprecated"}
	if k := meta.get("maturity"); k != nil && k.kind == kString && !slices.Contains(maturities, r.Metadata.Maturity) {
		hint := meant(nearest(r.Metadata.Maturity, maturities))
		d.warn(k.at, hint, "no such maturity: %q", short(r.Metadata.Maturity))
	}
	for _, key := range []string{"creation_date", "updated_date"} {
		if k := meta.get(key); k != nil && k.kind == kString {
			if _, err := time.Parse("2006/01/02", k.text); err != nil {
				d.warn(k.at, "write it like 2026/04/29", "%s is not a date", key)
			}
		}
	}
}

// interval reads a number with a unit.
func interval(s string) (time.Duration, bool) {
	if len(s) < 2 {
		return 0, false
	}
	unit, ok := units[s[len(s)-1]]
	if n, err := strconv.ParseUint(s[:len(s)-1], 10, 32); ok && err == nil && n > 0 && s[0] != '+' && unit <= 24*time.Hour {
		return scale(int64(n), unit), true
	}
	return 0, false
}

// units of date math. A month is 30 days and a year 365.
var units = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'H': time.Hour, 'd': 24 * time.Hour,
	'w': 7 * 24 * time.Hour, 'M': 30 * 24 * time.Hour, 'y': 365 * 24 * time.Hour,
}

func scale(n int64, unit time.Duration) time.Duration {
	if n > int64(math.MaxInt64/unit)/64 {
		return math.MaxInt64 / 64
	}
	return time.Duration(n) * unit
}

var dateSteps = regexp.MustCompile(`^now((?:[+-]\d{1,9}[smhHdwMy]){0,8})(?:/[smhHdwMy])?$`)

// dateMath reads an expression like now-9m as the time that it adds to now.
func dateMath(s string) (time.Duration, bool) {
	m := dateSteps.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	var sum time.Duration
	for s := m[1]; s != ""; {
		end := 1 + strings.IndexAny(s[1:], "smhHdwMy")
		n, _ := strconv.ParseInt(s[1:end], 10, 64)
		step := scale(n, units[s[end]])
		if s[0] == '-' {
			step = -step
		}
		sum += step
		s = s[end+1:]
	}
	return sum, true
}
