package store

import (
	"time"

	"github.com/orlop/orlop/alert"
)

// A Record is an alert as the store has it.
type Record struct {
	Seq      int64     // its number: one more than that of the alert stored before
	Stored   time.Time // when Insert took it
	Alert    *alert.Alert
	Workflow Workflow
	Cursor   Cursor // its place in the order of the query
}
