package store

import "time"

// An Exception says which alerts are not worth raising. It has the form of Elastic's
// exception items: all entries have to hold.
type Exception struct {
	ID      string   `json:"id"` // "" when it is new: Put gives it one
	Name    string   `json:"name"`
	Rules   []string `json:"rules,omitempty"` // rule_id of those that it is for; none is all
	Entries []Entry  `json:"entries,omitempty"`
	Where   string   `json:"where,omitempty"` // or, and also, a condition in EQL

	Reason  string    `json:"reason"`           // why: asked of people
	Expires time.Time `json:"expires,omitzero"` // from then on it does nothing; zero is never
	Created time.Time `json:"created"`
	By      string    `json:"by"`
}

// An Entry is one condition of an Exception.
type Entry struct {
	Field    string   `json:"field"`
	Type     string   `json:"type"`              // match, match_any, wildcard, exists, nested
	Operator string   `json:"operator"`          // included, excluded
	Values   []string `json:"values,omitempty"`  // one of match and wildcard, some of match_any
	Entries  []Entry  `json:"entries,omitempty"` // of nested, below Field
}

// A Preview says what an exception would have removed.
type Preview struct {
	Total   int // alerts of the time, of the rules that it is for
	Removed int
	Rules   []Removal // of the rules that it removes from, the most first
	Alerts  []*Record // some of them, the latest first
	True    int       // of those, alerts that were closed as true_positive
	Worked  int       // or are acknowledged, assigned or commented on
}

// A Removal is what an exception removes of one rule.
type Removal struct {
	RuleID, RuleName string
	Total, Removed   int
}
