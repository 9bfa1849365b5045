package store

import (
	"encoding/json"
	"time"
)

// An Action is something that somebody did: a line of the audit log. Actions are chained,
// and never changed.
type Action struct {
	Seq    int64           `json:"seq"`
	Time   time.Time       `json:"time"`
	By     Actor           `json:"by"`
	What   string          `json:"what"`             // alert.update, alert.comment, exception.put, user.put, session.begin …
	Object string          `json:"object,omitempty"` // the name or id of what it was done to, if that is no alert
	Alerts []string        `json:"alerts,omitempty"` // ids of the alerts that it was done to
	Before json.RawMessage `json:"before,omitempty"` // what was changed, as it was
	After  json.RawMessage `json:"after,omitempty"`  // and as it is now
	Note   string          `json:"note,omitempty"`   // a comment, or a reason
}

// An ActionQuery asks for actions, the latest first.
type ActionQuery struct {
	From, To time.Time // From <= t < To; zero is no bound
	User     string    // "" is anybody
	What     string    // or what begins with it and a dot; "" is anything
	Object   string    // "" is any
	Alert    string    // id of an alert; "" is any
	Before   int64     // only those of a lower Seq; 0 is all
	Limit    int       // 0 is 100
}
