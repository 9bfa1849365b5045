package detect

import (
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/event"
)

// told is which processes rules have raised an alert about lately, of those rules that
// others follow: these would say the same act again.
type told struct {
	at    map[string]time.Time // by rule and process
	order []string             // its keys, the oldest first
}

const (
	// toldFor is how long after an alert about a process a rule that follows is silent
	// about that.
	toldFor = 5 * time.Minute
	// maxTold bounds the alerts that are remembered. After more in that time rules that
	// follow speak again.
	maxTold = 4096
)

// A ToldState is an alert that rules which follow its rule need to know of.
type ToldState struct {
	Key string
	At  time.Time
}

// tellOf is the key of an alert of a rule about a process, or "" if nothing says which
// that is.
func tellOf(id string, process event.Value) string {
	p := process.Str()
	if p == "" || len(p) > 256 {
		return ""
	}
	return id + "\x00" + p
}

func (t *told) note(key string, at time.Time) {
	if _, again := t.at[key]; again {
		i := slices.Index(t.order, key)
		t.order = slices.Delete(t.order, i, i+1)
	}
	if len(t.order) == maxTold {
		delete(t.at, t.order[0])
		t.order = slices.Delete(t.order, 0, 1)
	}
	if t.at == nil {
		t.at = map[string]time.Time{}
	}
	key = strings.Clone(key)
	t.at[key] = at
	t.order = append(t.order, key)
}

// follows reports whether a rule that a follows has raised an alert about the process of
// e, as part of the same act.
func (g *Engine) follows(a *active, e *event.Event) bool {
	for _, id := range a.rule.Orlop.Follows {
		if key := tellOf(id, e.Get(g.entity)); key != "" {
			if at, ok := g.told.at[key]; ok && e.Time.Sub(at) >= 0 && e.Time.Sub(at) < toldFor {
				return true
			}
		}
	}
	return false
}

// tell notes that a has raised an alert about e, if others follow a.
func (g *Engine) tell(a *active, e *event.Event) {
	if !a.followed {
		return
	}
	if key := tellOf(a.rule.ID, e.Get(g.entity)); key != "" {
		g.told.note(key, e.Time)
	}
}
