package store

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"time"
	"unicode/utf8"
)

// A Status is what has become of an alert.
type Status string

const (
	StatusOpen         Status = "open"
	StatusAcknowledged Status = "acknowledged"
	StatusClosed       Status = "closed"
)

// Reasons for which alerts are closed, as Elastic Security has them.
func Reasons() []string {
	return []string{"false_positive", "true_positive", "benign_positive", "duplicate", "automated_closure", "other"}
}

// A Workflow is what people have made of an alert. One that nobody has touched is StatusOpen.
type Workflow struct {
	Status    Status    `json:"status"`
	Reason    string    `json:"reason,omitempty"` // one of Reasons, of an alert that is closed
	Assignees []string  `json:"assignees,omitempty"`
	Tags      []string  `json:"tags,omitempty"`
	User      string    `json:"user,omitempty"`     // who changed the status last
	Updated   time.Time `json:"updated,omitzero"`   // and when
	Comments  int       `json:"comments,omitempty"` // how many; they are actions
}

// A Change is what is to be done to alerts. Its zero value does nothing.
type Change struct {
	Status   Status   // "" is as it was
	Reason   string   // with StatusClosed only; "" is none
	Assign   []string // users
	Unassign []string
	Tag      []string
	Untag    []string
	Comment  string
}

const (
	mostChanged = 10_000 // alerts of one Update
	mostLabels  = 100    // tags, or assignees, of an alert
	longLabel   = 256    // bytes
	longComment = 1 << 20
)

// Check says what is wrong with a change.
func (c *Change) Check() error {
	switch c.Status {
	case "", StatusOpen, StatusAcknowledged, StatusClosed:
	default:
		return fmt.Errorf("status %q: expected open, acknowledged or closed", c.Status)
	}
	switch {
	case c.Reason != "" && c.Status != StatusClosed:
		return fmt.Errorf("reason %q: only what is closed has one", c.Reason)
	case c.Reason != "" && !slices.Contains(Reasons(), c.Reason):
		return fmt.Errorf("reason %q: expected one of %q", c.Reason, Reasons())
	case len(c.Comment) > longComment:
		return fmt.Errorf("a comment of %d bytes: expected at most %d", len(c.Comment), longComment)
	}
	for _, l := range slices.Concat(c.Assign, c.Unassign, c.Tag, c.Untag) {
		if l == "" || len(l) > longLabel {
			return fmt.Errorf("a name or tag of %d bytes: expected 1 to %d", len(l), longLabel)
		}
	}
	return nil
}

const updateAction = "alert.update"

// An Updated says what came of an Update.
type Updated struct {
	Changed int      // alerts; one that was already as it should be is not among them
	Missing []string // the ids that no alert has, each once
}

// Update changes those of the alerts that are there, and says so in the audit log: once
// for all that were alike before.
func (s *Store) Update(ctx context.Context, by Actor, now time.Time, ids []string, c Change) (did Updated, err error) {
	if err := c.Check(); err != nil {
		return did, err
	}
	if len(ids) > mostChanged {
		return did, fmt.Errorf("%d alerts at once: expected at most %d", len(ids), mostChanged)
	}
	err = s.change(ctx, func(t *tx) error {
		did = Updated{}
		if _, err := t.lock(actionChain); err != nil { // who changes the same waits
			return err
		}
		targets, err := t.targets(ids)
		if err != nil {
			return err
		}
		did.Missing = missing(ids, targets)
		type group struct {
			before, after Workflow
			of            []target
		}
		groups := map[string]*group{}
		var order []*group
		for _, x := range targets {
			after, changed, err := x.flow.apply(by, unstamp(stamp(now)), &c)
			if err != nil {
				return fmt.Errorf("alert %.100q: %w", x.id, err)
			}
			if !changed {
				continue
			}
			key, err := encode(x.flow)
			if err != nil {
				return err
			}
			g := groups[string(key)]
			if g == nil {
				g = &group{before: x.flow, after: after}
				groups[string(key)] = g
				order = append(order, g)
			}
			g.of = append(g.of, x)
		}
		for _, g := range order {
			a := &Action{By: by, What: updateAction, Note: c.Comment}
			for _, x := range g.of {
				a.Alerts = append(a.Alerts, x.id)
				a.seqs = append(a.seqs, x.seq)
			}
			if a.Before, err = encode(g.before); err != nil {
				return err
			}
			if a.After, err = encode(g.after); err != nil {
				return err
			}
			if err := t.act(now, a); err != nil {
				return err
			}
			for part := range slices.Chunk(g.of, 300) {
				args := make([]any, 0, 3*len(part))
				for _, x := range part {
					args = append(args, x.seq, a.Seq, []byte(a.After))
				}
				q := "INSERT INTO workflow (alert, rev, data) VALUES " + repeat("(?, ?, ?)", len(part)) +
					" ON CONFLICT (alert) DO UPDATE SET rev = excluded.rev, data = excluded.data"
				if _, err := t.exec(q, args...); err != nil {
					return err
				}
			}
			did.Changed += len(g.of)
		}
		return nil
	})
	if err != nil {
		return Updated{}, s.fail(err)
	}
	return did, nil
}

// missing are the ids that are of none of the alerts, each once.
func missing(ids []string, of []target) (none []string) {
	seen := make(map[string]bool, len(ids))
	for _, x := range of {
		seen[x.id] = true
	}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			none = append(none, id)
		}
	}
	return none
}

// apply is the workflow after a change, and whether that did anything.
func (w Workflow) apply(by Actor, now time.Time, c *Change) (after Workflow, did bool, err error) {
	after = w
	if c.Status != "" && (c.Status != w.Status || c.Reason != w.Reason && c.Reason != "") {
		after.Status, after.Reason, after.User, after.Updated = c.Status, c.Reason, by.User, now
	}
	after.Assignees = labels(w.Assignees, c.Assign, c.Unassign)
	after.Tags = labels(w.Tags, c.Tag, c.Untag)
	if len(after.Assignees) > mostLabels || len(after.Tags) > mostLabels {
		return w, false, fmt.Errorf("more than %d assignees or tags", mostLabels)
	}
	if c.Comment != "" {
		after.Comments++
	}
	return after, !reflect.DeepEqual(w, after), nil
}

// labels are sorted, each once.
func labels(was, add, remove []string) []string {
	out := slices.DeleteFunc(slices.Concat(was, add), func(l string) bool { return slices.Contains(remove, l) })
	sort.Strings(out)
	out = slices.Compact(out)
	if len(out) == 0 {
		return nil
	}
	return out
}

// A target is an alert that is to be changed.
type target struct {
	seq  int64
	id   string
	flow Workflow
}

// targets finds alerts by id, each once, in the order of their seq.
func (t *tx) targets(ids []string) ([]target, error) {
	byKey := map[string]string{}
	var keys []string
	for _, id := range ids {
		k := string(alertKey(id))
		if _, ok := byKey[k]; !ok {
			byKey[k] = id
			keys = append(keys, k)
		}
	}
	var out []target
	for part := range slices.Chunk(keys, 400) {
		args := make([]any, len(part))
		for i, k := range part {
			args[i] = []byte(k)
		}
		err := t.rows("SELECT a.seq, a.key, w.data FROM alert a LEFT JOIN workflow w ON w.alert = a.seq WHERE a.key IN ("+marks(len(part))+")", args, func(scan func(...any) error) error {
			var seq int64
			var key, data []byte
			if err := scan(&seq, &key, &data); err != nil {
				return err
			}
			w, err := readWorkflow(data)
			out = append(out, target{seq, byKey[string(key)], w})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b target) int { return int(a.seq - b.seq) })
	return out, nil
}

func readWorkflow(data []byte) (Workflow, error) {
	w := Workflow{Status: StatusOpen}
	if len(data) == 0 {
		return w, nil
	}
	return w, decode(data, &w)
}

// replay does to flows what an action did to alerts.
func replay(a *Action, flows map[int64]json.RawMessage) {
	if a.What != updateAction {
		return
	}
	for _, seq := range a.seqs {
		flows[seq] = a.After
	}
}

// verifyWorkflow holds the workflow of alerts against what actions made of it.
func (s *Store) verifyWorkflow(t *tx, flows map[int64]json.RawMessage, p Proof, emit func(Fault)) error {
	err := t.rows("SELECT alert, data FROM workflow ORDER BY alert", nil, func(scan func(...any) error) error {
		var seq int64
		var data []byte
		if err := scan(&seq, &data); err != nil {
			return err
		}
		want, ok := flows[seq]
		delete(flows, seq)
		switch {
		case ok && string(want) != string(data):
			emit(Fault{alertChain, seq, "its workflow (status, assignees, tags) is not what the last action made of it"})
		case !ok && p.ActionsAnchor.Seq == 0:
			emit(Fault{alertChain, seq, "its workflow (status, assignees, tags) was changed without an action"})
		}
		return nil
	})
	if err != nil {
		return err
	}
	var left []int64
	for seq := range flows {
		if seq > p.AlertsAnchor.Seq {
			left = append(left, seq)
		}
	}
	slices.Sort(left)
	for _, seq := range left {
		emit(Fault{alertChain, seq, "its workflow (status, assignees, tags) is gone, and an action had made one"})
	}
	return nil
}

// fields are the workflow as fields of the document.
func (w *Workflow) fields() map[string][]string {
	m := map[string][]string{FieldStatus: {string(w.Status)}, FieldTags: w.Tags, FieldAssignees: w.Assignees}
	for name, v := range map[string]string{FieldReason: w.Reason, FieldUser: w.User} {
		if v != "" {
			m[name] = []string{v}
		}
	}
	if !w.Updated.IsZero() {
		m[FieldUpdated] = []string{w.Updated.UTC().Format(timeForm)}
	}
	return m
}

// timeForm is how alerts write times.
const timeForm = "2006-01-02T15:04:05.000Z"

// valid is text as a document may hold it.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
