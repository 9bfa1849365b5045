// Package rule is a detection rule and a pack of them, as plain data.
//
// The format is the one that Elastic's prebuilt rules are written in: a TOML
// file with a [metadata] and a [rule] table. [Load] reads a folder of them:
//
//	pack := rule.Load("rules")
//	for _, r := range pack.Rules {
//		fmt.Println(r.Name, r.Idle()) // "" or why it does not run
//	}
//	fmt.Print(pack.Errors.Report())
//
// A file of ours may also carry events that the rule must and must not match:
// see [Test].
//
// The loader is no stricter than the rules that people have. A key that it does
// not know is a warning; a rule of a type that cannot run is loaded and says so.
// What would make a rule do something else than its author meant is an error,
// with its place, and the other files still load.
package rule

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/orlop/orlop/eql/syntax"
)

// A Rule is one rule. Field names and comments are those of the format; where a
// file leaves a key out, the field has the format's default.
type Rule struct {
	File string `json:"-"` // where it was read

	Metadata  Metadata       `json:"-"`
	Transform map[string]any `json:"-"` // plug-ins that Kibana renders into Note
	Tests     []Test         `json:"-"`
	Orlop     Orlop          `json:"-"`

	// What every rule has.
	ID          string   `json:"rule_id" rule:"required"` // usually a UUID
	Name        string   `json:"name" rule:"required"`
	Type        string   `json:"type" rule:"required"` // see Idle
	Description string   `json:"description" rule:"required"`
	Author      []string `json:"author" rule:"required"`
	Severity    string   `json:"severity" rule:"required"`   // low, medium, high, critical
	RiskScore   int      `json:"risk_score" rule:"required"` // 0 to 100

	License        string    `json:"license,omitempty"`
	Version        int       `json:"version,omitempty"`
	Revision       int       `json:"revision,omitempty"`
	Enabled        bool      `json:"enabled"`
	Tags           []string  `json:"tags,omitempty"`
	References     []string  `json:"references,omitempty"`
	FalsePositives []string  `json:"false_positives,omitempty"`
	Note           string    `json:"note,omitempty"`  // the investigation guide, Markdown
	Setup          string    `json:"setup,omitempty"` // Markdown
	Threat         []Threat  `json:"threat,omitempty"`
	ThreatMappings []Mapping `json:"threat_mappings,omitempty"` // other versions of Threat
	TimelineID     string    `json:"timeline_id,omitempty"`
	TimelineTitle  string    `json:"timeline_title,omitempty"`

	// When and over what it runs.
	Index                             []string `json:"index,omitempty"`
	DataViewID                        string   `json:"data_view_id,omitempty"`
	From                              string   `json:"from"`     // date math
	To                                string   `json:"to"`       // date math
	Interval                          string   `json:"interval"` // 5m
	MaxSignals                        int      `json:"max_signals"`
	TimestampOverride                 string   `json:"timestamp_override,omitempty"`
	TimestampOverrideFallbackDisabled bool     `json:"timestamp_override_fallback_disabled,omitempty"`

	// What its alerts are like.
	BuildingBlockType   string               `json:"building_block_type,omitempty"`
	SeverityMapping     []SeverityMapping    `json:"severity_mapping,omitempty"`
	RiskScoreMapping    []RiskScoreMapping   `json:"risk_score_mapping,omitempty"`
	RuleNameOverride    string               `json:"rule_name_override,omitempty"`
	InvestigationFields *InvestigationFields `json:"investigation_fields,omitempty"`
	AlertSuppression    *Suppression         `json:"alert_suppression,omitempty"`
	ExceptionsList      []ExceptionsList     `json:"exceptions_list,omitempty"`
	Actions             []map[string]any     `json:"actions,omitempty"`
	ResponseActions     []map[string]any     `json:"response_actions,omitempty"`
	Throttle            string               `json:"throttle,omitempty"`
	Meta                map[string]any       `json:"meta,omitempty"`

	RelatedIntegrations []Integration   `json:"related_integrations,omitempty"`
	RequiredFields      []RequiredField `json:"required_fields,omitempty"`

	// What it looks for.
	Language string           `json:"language,omitempty"` // eql, kuery, lucene, esql
	Query    syntax.Source    `json:"query,omitempty"`    // its Place is exact in File
	Filters  []map[string]any `json:"filters,omitempty"`  // Kibana's filter objects
	SavedID  string           `json:"saved_id,omitempty"`

	// Type eql.
	TimestampField        string `json:"timestamp_field,omitempty"`
	EventCategoryOverride string `json:"event_category_override,omitempty"`
	TiebreakerField       string `json:"tiebreaker_field,omitempty"`

	// Type threshold.
	Threshold *Threshold `json:"threshold,omitempty"`

	// Type new_terms.
	NewTermsFields     []string `json:"new_terms_fields,omitempty"`
	HistoryWindowStart string   `json:"history_window_start,omitempty"` // date math

	// Type threat_match.
	ThreatIndex         []string         `json:"threat_index,omitempty"`
	ThreatQuery         string           `json:"threat_query,omitempty"`
	ThreatLanguage      string           `json:"threat_language,omitempty"`
	ThreatFilters       []map[string]any `json:"threat_filters,omitempty"`
	ThreatMapping       []ThreatMapping  `json:"threat_mapping,omitempty"`
	ThreatIndicatorPath string           `json:"threat_indicator_path,omitempty"`
	ConcurrentSearches  int              `json:"concurrent_searches,omitempty"`
	ItemsPerSearch      int              `json:"items_per_search,omitempty"`

	// Type machine_learning.
	AnomalyThreshold     int     `json:"anomaly_threshold,omitempty"`
	MachineLearningJobID Strings `json:"machine_learning_job_id,omitempty"`

	text string // of the file
}

// Orlop is what only Orlop knows of a rule: the [orlop] table.
type Orlop struct {
	// Supersedes names rules, by rule_id, that say less about the same event:
	// where this rule matches, they raise no alert.
	Supersedes []string `json:"supersedes"`
	// Follows names rules, by rule_id, that tell of the same act before: for five minutes
	// after an alert of theirs about a process (process.entity_id) this rule raises none
	// about single events of it. It has no meaning for sequences and samples.
	Follows []string `json:"follows"`
}

// Metadata is about the file and not part of the rule.
type Metadata struct {
	CreationDate          string         `json:"creation_date"` // 2026/04/29
	UpdatedDate           string         `json:"updated_date"`
	Maturity              string         `json:"maturity"` // production, if the file does not say
	Integration           Strings        `json:"integration"`
	MinStackVersion       string         `json:"min_stack_version"`
	MinStackComments      string         `json:"min_stack_comments"`
	DeprecationDate       string         `json:"deprecation_date"`
	DeprecatedReason      string         `json:"deprecated_reason"`
	BypassBBRTiming       bool           `json:"bypass_bbr_timing"`
	Promotion             bool           `json:"promotion"`
	Comments              string         `json:"comments"`
	OSTypeList            []string       `json:"os_type_list"`
	QuerySchemaValidation bool           `json:"query_schema_validation"`
	RelatedEndpointRules  []any          `json:"related_endpoint_rules"`
	Extended              map[string]any `json:"extended"`
}

// Strings is a list that may be written as a single string.
type Strings []string

// A Threat places the rule in a framework such as MITRE ATT&CK.
type Threat struct {
	Framework string      `json:"framework" rule:"required"`
	Tactic    Tactic      `json:"tactic" rule:"required"`
	Technique []Technique `json:"technique"`
}

// A Tactic is what an attacker wants.
type Tactic struct {
	ID        string `json:"id" rule:"required"`
	Name      string `json:"name" rule:"required"`
	Reference string `json:"reference"`
}

// A Technique is how, and may be narrowed down.
type Technique struct {
	ID           string      `json:"id" rule:"required"`
	Name         string      `json:"name" rule:"required"`
	Reference    string      `json:"reference"`
	Subtechnique []Technique `json:"subtechnique,omitempty"`
}

// A Mapping is what Threat says in another version of the framework.
type Mapping struct {
	Framework string   `json:"framework"`
	Version   string   `json:"version"`
	Threat    []Threat `json:"threat"`
}

// A SeverityMapping gives an alert another severity when a field of the event
// has a value.
type SeverityMapping struct {
	Field    string `json:"field" rule:"required"`
	Operator string `json:"operator"`
	Value    string `json:"value"`
	Severity string `json:"severity" rule:"required"`
}

// A RiskScoreMapping names the field that an alert's risk score is read from.
type RiskScoreMapping struct {
	Field     string `json:"field" rule:"required"`
	Operator  string `json:"operator"`
	Value     string `json:"value"`
	RiskScore int    `json:"risk_score,omitempty"`
}

// InvestigationFields are shown first.
type InvestigationFields struct {
	FieldNames []string `json:"field_names" rule:"required"`
}

// A Suppression folds alerts with the same values into one.
type Suppression struct {
	GroupBy               []string  `json:"group_by,omitempty"`
	Duration              *Duration `json:"duration,omitempty"`
	MissingFieldsStrategy string    `json:"missing_fields_strategy,omitempty"` // suppress, doNotSuppress
}

// A Duration is a number of seconds, minutes or hours.
type Duration struct {
	Value int    `json:"value" rule:"required"`
	Unit  string `json:"unit" rule:"required"` // s, m, h
}

// An ExceptionsList refers to a list of exceptions.
type ExceptionsList struct {
	ID            string `json:"id"`
	ListID        string `json:"list_id" rule:"required"`
	NamespaceType string `json:"namespace_type"`
	Type          string `json:"type"`
}

// An Integration is a package whose data the rule reads.
type Integration struct {
	Package     string `json:"package" rule:"required"`
	Version     string `json:"version"`
	Integration string `json:"integration,omitempty"`
}

// A RequiredField is a field that the query reads.
type RequiredField struct {
	Name string `json:"name" rule:"required"`
	Type string `json:"type"`
	ECS  bool   `json:"ecs"`
}

// A Threshold is how many events make an alert.
type Threshold struct {
	Field       Strings       `json:"field"` // one count for each combination of their values
	Value       int           `json:"value" rule:"required"`
	Cardinality []Cardinality `json:"cardinality,omitempty"`
}

// A Cardinality asks for so many different values.
type Cardinality struct {
	Field string `json:"field" rule:"required"`
	Value int    `json:"value" rule:"required"`
}

// A ThreatMapping pairs fields of events and indicators, all of which have to be equal.
type ThreatMapping struct {
	Entries []ThreatEntry `json:"entries" rule:"required"`
}

// A ThreatEntry is one pair.
type ThreatEntry struct {
	Field  string `json:"field" rule:"required"`
	Type   string `json:"type"`
	Value  string `json:"value" rule:"required"`
	Negate bool   `json:"negate,omitempty"`
}

// types are the types of rule; true are those that the engine runs.
var types = map[string]bool{
	"eql":              true,
	"query":            false,
	"saved_query":      false,
	"threshold":        false,
	"new_terms":        false,
	"esql":             false,
	"threat_match":     false,
	"machine_learning": false,
	"correlation":      false,
}

// Idle is "" for a rule that runs, else why it is only listed.
func (r *Rule) Idle() string {
	switch {
	case r.Metadata.Maturity == "deprecated":
		return "deprecated"
	case !r.Enabled:
		return "enabled = false"
	case !types[r.Type]:
		return "type " + r.Type + " cannot run yet"
	}
	return ""
}

// Lookback is how much time a run of the rule covers: from From to To.
func (r *Rule) Lookback() time.Duration {
	from, _ := dateMath(r.From)
	to, _ := dateMath(r.To)
	return to - from
}

// Every is the Interval.
func (r *Rule) Every() time.Duration {
	d, _ := interval(r.Interval)
	return d
}

// Parameters is the rule in the form of Kibana's API, as alerts carry it. The
// values are fit for encoding/json; what the rule does not have is left out.
func (r *Rule) Parameters() map[string]any {
	m := map[string]any{}
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		name, opts, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" || opts == "omitempty" && empty(v.Field(i)) {
			continue
		}
		m[name] = v.Field(i).Interface()
	}
	if r.Query.Text != "" {
		m["query"] = r.Query.Text
	} else {
		delete(m, "query")
	}
	return m
}

func empty(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// MarshalJSON writes the rule in the form of Kibana's API.
func (r *Rule) MarshalJSON() ([]byte, error) { return json.Marshal(r.Parameters()) }

// Mistake says that something is wrong with a key of the rule's file. The key is
// dotted and has a number for each element of an array: "rule.from",
// "rule.threat.0.tactic", "test.2". One that the file lacks is taken for the
// table that should have it.
func (r *Rule) Mistake(key, msg, hint string) *syntax.Error {
	// Mistakes are rare and 2,000 trees are large: read the file again.
	d := &document{src: syntax.Source{Name: r.File, Text: r.text}}
	n := d.parse().below(key)
	return &syntax.Error{Class: Invalid, Src: d.src, Range: n.at, Msg: msg, Hint: hint}
}
