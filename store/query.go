package store

import (
	"time"

	"github.com/orlop/orlop/expr"
)

// Fields of an alert that people change. They are as Elastic Security has them, and
// asked for like any other.
const (
	FieldStatus    = "kibana.alert.workflow_status"
	FieldReason    = "kibana.alert.workflow_reason"
	FieldTags      = "kibana.alert.workflow_tags"
	FieldAssignees = "kibana.alert.workflow_assignee_ids"
	FieldUser      = "kibana.alert.workflow_user"              // who changed the status last
	FieldUpdated   = "kibana.alert.workflow_status_updated_at" // and when
)

// A Query asks for alerts: one page of them, and what all that it selects have in common.
// Every part is optional; the zero Query selects all and returns none, but their number.
//
// Any field of an alert's document may be named. Its values are compared as text, as
// facets give them: numbers in Java's notation, true and false. A field that is a list
// has each of its elements.
type Query struct {
	From, To time.Time // of @timestamp: From <= t < To; zero is no bound
	Filters  []Filter  // all hold
	Where    expr.Pred // holds for the document; nil is none. See ParseWhere
	Text     string    // words, each of which is somewhere in one of TextFields; case does not count

	// Since and Upto bound Record.Seq: Since < seq <= Upto; 0 is no bound. With the
	// Head of a first Result as Upto, later pages do not move when alerts arrive; with
	// it as Since, Total is how many have arrived.
	Since, Upto int64

	Sort  Sort
	Limit int // most records of a page

	// A page begins behind the record that After is the Cursor of, or ends before that
	// of Before. With neither it is the first.
	After, Before Cursor

	Facets    []Facet
	Histogram *Histogram
	GroupBy   []string // one to three fields
	Groups    int      // most groups, those of most alerts first; 0 is 100
}

// A Filter selects alerts by the values of a field.
type Filter struct {
	Field  string
	Values []string // the field has one of them; none: the field has any value
	Not    bool     // selects the other alerts
}

// Sort is the order of records: by @timestamp, latest first, if it is zero. Alerts
// without the field come last; among equals, the latest that was stored comes first, or
// last with Ascending.
type Sort struct {
	Field     string // "" is @timestamp
	Ascending bool
}

// A Cursor is the place of a record in an order, fit for a URL. It stays good when the
// record is gone.
type Cursor string

// A Facet asks for the values of a field, and how many alerts have each.
//
// Filters on the field itself that are not Not do not count for it, so that the other
// values which could be chosen are seen.
type Facet struct {
	Field string
	Limit int // most values; 0 is 10
}

// A Histogram asks for numbers of alerts by time.
type Histogram struct {
	Interval time.Duration // of a bucket, which begins at a multiple of it since 1970
	By       string        // also by the values of this field, if it is not ""; at most ten, the rest is ""
}

// A Result answers a Query.
type Result struct {
	Total   int // alerts that are selected, of which Records are a page
	Head    int64
	Records []*Record
	Newer   bool // there are records before the page
	Older   bool // there are records behind it

	Facets    []FacetResult // in the order of Query.Facets
	Histogram []Bucket      // in order of time, without empty ones
	Groups    []Group
	AllGroups int // how many there are
}

// A Count is a value and how many alerts have it.
type Count struct {
	Value string
	Count int
}

// A FacetResult is the values of a field, the most frequent first.
type FacetResult struct {
	Field    string
	Values   []Count
	Distinct int // how many values there are
	Missing  int // alerts without the field
}

// A Bucket is the alerts of a time.
type Bucket struct {
	Start time.Time
	Count int
	By    []Count // of Histogram.By, the most frequent of all buckets first
}

// A Group is the alerts that have the same values. An alert with a list is in a group for
// each element; one without a field is in the group whose value is Missing.
type Group struct {
	Values []GroupValue // as many as Query.GroupBy
	Count  int
	First  time.Time // @timestamp of the earliest
	Last   time.Time // and of the latest
}

// A GroupValue is a value of a field, or says that there is none.
type GroupValue struct {
	Value   string
	Missing bool
}
