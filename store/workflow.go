package store

import "time"

// A Status is what has become of an alert.
type Status string

const (
	Open         Status = "open"
	Acknowledged Status = "acknowledged"
	Closed       Status = "closed"
)

// Reasons for which alerts are closed, as Elastic Security has them.
var Reasons = []string{"false_positive", "true_positive", "benign_positive", "duplicate", "automated_closure", "other"}

// A Workflow is what people have made of an alert. Its zero value is not valid: an alert
// that nobody has touched is Open.
type Workflow struct {
	Status    Status    `json:"status"`
	Reason    string    `json:"reason,omitempty"` // one of Reasons, of an alert that is Closed
	Assignees []string  `json:"assignees,omitempty"`
	Tags      []string  `json:"tags,omitempty"`
	User      string    `json:"user,omitempty"`     // who changed the status last
	Updated   time.Time `json:"updated,omitzero"`   // and when
	Comments  int       `json:"comments,omitempty"` // how many; they are actions
}

// A Change is what is to be done to alerts. Its zero value does nothing.
type Change struct {
	Status   Status   // "" is as it was
	Reason   string   // with Closed only
	Assign   []string // users
	Unassign []string
	Tag      []string
	Untag    []string
	Comment  string
}
