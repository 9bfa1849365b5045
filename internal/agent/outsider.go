package agent

import (
	"fmt"

	"github.com/orlop/orlop/event"
)

// Outsider returns what reports whether an event is of a process that was there already
// and is of another login uid than uid, the only one that is watched. It is told all the
// same, for it may be the ancestor of one that is watched, and is for the process table
// alone. It is called before the source runs.
func Outsider(s *event.Schema, uid uint32) func(*event.Event) bool {
	action, login, only := s.Field("event.action"), s.Field("auditd.user.audit.id"), fmt.Sprint(uid)
	return func(e *event.Event) bool { return text(e, action) == "existing_process" && text(e, login) != only }
}
