package store

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// An Action is something that somebody did: a line of the audit log. Actions are chained,
// and never changed.
type Action struct {
	Seq    int64           `json:"seq"`
	Time   time.Time       `json:"time"`
	By     Actor           `json:"by"`
	What   string          `json:"what"`             // alert.update, exception.put, user.put, store.prune, session.begin …
	Object string          `json:"object,omitempty"` // the name or id of what it was done to, if that is no alert
	Alerts []string        `json:"alerts,omitempty"` // ids of the alerts that it was done to
	Before json.RawMessage `json:"before,omitempty"` // what was changed, as it was
	After  json.RawMessage `json:"after,omitempty"`  // and as it is now
	Note   string          `json:"note,omitempty"`   // a comment, or a reason

	seqs []int64 // of the alerts
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

// act is an action as it is kept.
type act struct {
	By     Actor           `json:"by"`
	What   string          `json:"what"`
	Object string          `json:"object,omitempty"`
	Alerts []string        `json:"alerts,omitempty"`
	Seqs   []int64         `json:"seqs,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	Note   string          `json:"note,omitempty"`
}

// act appends an action to the chain and sets its Seq and Time.
func (t *tx) act(now time.Time, a *Action) error {
	if a.What == "" || a.By.User == "" {
		return fmt.Errorf("bug: an action without what and by whom")
	}
	h, err := t.lock(actionChain)
	if err != nil {
		return err
	}
	data, err := encode(act{a.By, a.What, a.Object, a.Alerts, a.seqs, a.Before, a.After, a.Note})
	if err != nil {
		return err
	}
	h = h.next(actionChain, stamp(now), data)
	if _, err := t.exec("INSERT INTO action (seq, time, data, sum) VALUES (?, ?, ?, ?)", h.Seq, stamp(now), data, h.Sum[:]); err != nil {
		return err
	}
	for part := range slices.Chunk(a.seqs, 400) {
		args := make([]any, 0, 2*len(part))
		for _, seq := range part {
			args = append(args, seq, h.Seq)
		}
		q := "INSERT INTO action_alert (alert, action) VALUES " + strings.TrimSuffix(strings.Repeat("(?, ?),", len(part)), ",")
		if _, err := t.exec(q, args...); err != nil {
			return err
		}
	}
	a.Seq, a.Time = h.Seq, unstamp(stamp(now))
	return t.setHead(actionChain, h)
}

func readAction(seq, at int64, data []byte) (*Action, error) {
	var d act
	if err := decode(data, &d); err != nil {
		return nil, err
	}
	return &Action{seq, unstamp(at), d.By, d.What, d.Object, d.Alerts, d.Before, d.After, d.Note, d.Seqs}, nil
}

// Note appends an action that changes nothing in the store, such as a sign-in or an
// export, and sets its Seq and Time.
func (s *Store) Note(ctx context.Context, now time.Time, a *Action) error {
	return s.fail(s.change(ctx, func(t *tx) error { return t.act(now, a) }))
}

// Actions are those that a query asks for, the latest first. An error ends them.
func (s *Store) Actions(ctx context.Context, q *ActionQuery) iter.Seq2[*Action, error] {
	return func(yield func(*Action, error) bool) {
		left := q.Limit
		if left <= 0 {
			left = 100
		}
		before := q.Before
		for left > 0 {
			page, err := s.actions(ctx, q, before)
			if err != nil {
				yield(nil, s.fail(err))
				return
			}
			if len(page) == 0 {
				return
			}
			before = page[len(page)-1].Seq
			for _, a := range page {
				if !q.wants(a) {
					continue
				}
				if !yield(a, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

// actions reads some of those that may be asked for.
func (s *Store) actions(ctx context.Context, q *ActionQuery, before int64) ([]*Action, error) {
	text, args := "SELECT seq, time, data FROM action", []any{}
	where := " WHERE"
	add := func(cond string, v ...any) {
		text += where + " " + cond
		where = " AND"
		args = append(args, v...)
	}
	if q.Alert != "" {
		add("seq IN (SELECT action FROM action_alert JOIN alert ON action_alert.alert = alert.seq WHERE alert.key = ?)", alertKey(q.Alert))
	}
	if before > 0 {
		add("seq < ?", before)
	}
	if !q.From.IsZero() {
		add("time >= ?", stamp(q.From))
	}
	if !q.To.IsZero() {
		add("time < ?", stamp(q.To))
	}
	var page []*Action
	err := s.read(ctx).rows(text+" ORDER BY seq DESC LIMIT 500", args, func(scan func(...any) error) error {
		var seq, at int64
		var data []byte
		if err := scan(&seq, &at, &data); err != nil {
			return err
		}
		a, err := readAction(seq, at, data)
		if err != nil {
			return fmt.Errorf("action %d: %w", seq, err)
		}
		page = append(page, a)
		return nil
	})
	return page, err
}

func (q *ActionQuery) wants(a *Action) bool {
	return (q.User == "" || a.By.User == q.User) && (q.Object == "" || a.Object == q.Object) &&
		(q.What == "" || a.What == q.What || strings.HasPrefix(a.What, q.What+"."))
}
