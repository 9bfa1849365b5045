package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// An Exception says which alerts are not worth raising. It has the form of Elastic's
// exception items: all entries have to hold.
type Exception struct {
	ID      string   `json:"id"` // "" when it is new: PutException gives it one
	Name    string   `json:"name"`
	Rules   []string `json:"rules,omitempty"` // rule_id of those that it is for; none is all
	Entries []Entry  `json:"entries,omitempty"`
	Where   string   `json:"where,omitempty"` // and a condition in EQL

	Reason  string    `json:"reason"`           // why; it may not be empty
	Expires time.Time `json:"expires,omitzero"` // events from then on it does not take; zero is never
	Created time.Time `json:"created"`
	By      string    `json:"by"` // who put it last
}

// An Entry is one condition of an Exception.
type Entry struct {
	Field    string   `json:"field"`
	Type     string   `json:"type"`              // match, match_any, wildcard, exists, nested
	Operator string   `json:"operator"`          // included, excluded
	Values   []string `json:"values,omitempty"`  // one of match, some of match_any and wildcard
	Entries  []Entry  `json:"entries,omitempty"` // of nested, below Field; elements of a list are not told apart
}

// A Preview says what an exception would have removed.
type Preview struct {
	Total   int       // alerts of the time, of the rules that it is for
	Removed int       // those that it would have removed
	Rules   []Removal // by rule, the most first
	Alerts  []*Record // some of those, the latest first
	True    int       // of those, alerts that were closed as true_positive
	Worked  int       // or that are acknowledged or assigned to somebody
}

// A Removal is what an exception removes of one rule.
type Removal struct {
	RuleID, RuleName string
	Total, Removed   int
}

// Active reports whether it has not expired.
func (x *Exception) Active(now time.Time) bool { return x.Expires.IsZero() || now.Before(x.Expires) }

// Compile makes a predicate over alerts, or the events that they are of, whose fields are
// those of a schema. Rules and Expires are not part of it.
func (x *Exception) Compile(s *event.Schema) (expr.Pred, error) {
	var all []expr.Pred
	var errs []error
	for i := range x.Entries {
		p, err := x.Entries[i].compile(s, "", 0)
		if err != nil {
			errs = append(errs, fmt.Errorf("entry %d: %w", i+1, err))
			continue
		}
		all = append(all, p)
	}
	if x.Where != "" {
		p, err := compileWhere(x.Where, s)
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, p)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(all) == 0 {
		return nil, errors.New("it has no condition, and would remove everything")
	}
	p := expr.NewAll(all...)
	asks := false
	expr.Refs(p, func(expr.Ref) { asks = true })
	if !asks {
		return nil, errors.New("it asks for no field, and would remove everything or nothing")
	}
	return p, nil
}

func (e *Entry) compile(s *event.Schema, below string, depth int) (expr.Pred, error) {
	if e.Field == "" {
		return nil, errors.New("it names no field")
	}
	name := below + e.Field
	ref := expr.Ref{Field: s.Field(name), Name: name}
	fail := func(format string, args ...any) (expr.Pred, error) {
		return nil, fmt.Errorf("%.100q: "+format, append([]any{name}, args...)...)
	}
	var vs []event.Value
	for _, v := range e.Values {
		vs = append(vs, event.String(v))
	}
	var p expr.Pred
	switch e.Type {
	case "match":
		if len(vs) != 1 {
			return fail("match takes one value, found %d", len(vs))
		}
		p = expr.NewIn(ref, false, vs...)
	case "match_any":
		if len(vs) == 0 {
			return fail("match_any takes some values")
		}
		p = expr.NewIn(ref, false, vs...)
	case "wildcard":
		if len(vs) == 0 {
			return fail("wildcard takes a pattern")
		}
		for _, v := range e.Values {
			if strings.Trim(v, "*") == "" {
				return fail("the pattern %q is everything: exists says so", v)
			}
		}
		p = expr.NewLike(ref, "like", false, e.Values...)
	case "exists":
		if len(vs) != 0 {
			return fail("exists takes no value")
		}
		p = &expr.Exists{Ref: ref}
	case "nested":
		if len(e.Entries) == 0 || depth > 10 {
			return fail("nested takes entries")
		}
		var all []expr.Pred
		for i := range e.Entries {
			q, err := e.Entries[i].compile(s, name+".", depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, q)
		}
		p = expr.NewAll(all...)
	case "list":
		return fail("a value list (type list) is not known here: match_any takes its values")
	default:
		return fail("type %.100q: expected match, match_any, wildcard, exists or nested", e.Type)
	}
	switch e.Operator {
	case "included", "":
		return p, nil
	case "excluded":
		return expr.NewNot(p), nil
	}
	return fail("operator %.100q: expected included or excluded", e.Operator)
}

// Check says what is wrong with an exception.
func (x *Exception) Check() error {
	switch {
	case x.Name == "":
		return errors.New("an exception needs a name")
	case strings.TrimSpace(x.Reason) == "":
		return errors.New("an exception needs a reason: who looks at it in a year asks why")
	}
	p, err := x.Compile(event.NewSchema())
	if err != nil {
		return err
	}
	expr.Refs(p, func(r expr.Ref) {
		if ofAlert(r.Name) && err == nil {
			err = fmt.Errorf("%.100q is a field of alerts, and an exception is asked of the event: choose one that the event has", r.Name)
		}
	})
	return err
}

// ofAlert reports whether a field comes with the alert, and the event has none such.
func ofAlert(name string) bool {
	for _, of := range [...]string{"kibana", "signal", "orlop.explain", "orlop.evidence"} {
		if name == of || strings.HasPrefix(name, of+".") {
			return name != "orlop.evidence.truncated"
		}
	}
	return false
}

// PutException adds or changes an exception, and gives one that is new its ID.
func (s *Store) PutException(ctx context.Context, by Actor, now time.Time, x *Exception) error {
	if err := x.Check(); err != nil {
		return fmt.Errorf("exception %.100q: %w", x.Name, err)
	}
	v := *x
	if v.ID == "" {
		v.ID = newID()
	}
	err := set(ctx, s, exceptions, by, now, v.ID, x.Reason, same, func(was *Exception) (*Exception, error) {
		v.By, v.Created = by.User, now.UTC()
		if was != nil {
			v.Created = was.Created
		}
		return &v, nil
	})
	if err == nil {
		*x = v
	}
	return err
}

// DeleteException removes an exception; why goes to the audit log.
func (s *Store) DeleteException(ctx context.Context, by Actor, now time.Time, id, why string) error {
	err := set(ctx, s, exceptions, by, now, id, why, same, func(*Exception) (*Exception, error) { return nil, nil })
	if err != nil {
		return err
	}
	return s.fail(s.write(ctx, func(t *tx) error {
		all, err := holds.all(t)
		for _, h := range all {
			if err == nil && h.Exception == id {
				err = holds.remove(t, h.key())
			}
		}
		return err
	}))
}

// Exception is the exception of an id, or ErrNotFound.
func (s *Store) Exception(ctx context.Context, id string) (*Exception, error) {
	x, err := exceptions.get(s.read(ctx), id)
	return x, s.fail(err)
}

// Exceptions are all of them, in order of name.
func (s *Store) Exceptions(ctx context.Context) ([]*Exception, error) {
	all, err := exceptions.all(s.read(ctx))
	slices.SortFunc(all, func(a, b *Exception) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all, s.fail(err)
}

// A Hold says how often an exception has kept an event from a rule.
type Hold struct {
	Exception string    `json:"exception"` // its ID
	Rule      string    `json:"rule"`      // rule_id
	Count     int64     `json:"count"`
	Last      time.Time `json:"last"` // of the last of those events
}

func (h *Hold) key() string { return h.Exception + "\x00" + h.Rule }

// AddHolds adds to what is known of holds. Those of an exception that is gone are dropped.
func (s *Store) AddHolds(ctx context.Context, more []Hold) error {
	return s.fail(s.write(ctx, func(t *tx) error {
		if _, err := t.lock(actionChain); err != nil { // one at a time
			return err
		}
		for i := range more {
			h := more[i]
			if _, err := exceptions.get(t, h.Exception); isNotFound(err) {
				continue
			} else if err != nil {
				return err
			}
			switch was, err := holds.get(t, h.key()); {
			case err == nil:
				h.Count += was.Count
				if was.Last.After(h.Last) {
					h.Last = was.Last
				}
			case !isNotFound(err):
				return err
			}
			if err := holds.put(t, h.key(), &h); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Holds are all of them, in order of exception and rule.
func (s *Store) Holds(ctx context.Context) ([]*Hold, error) {
	all, err := holds.all(s.read(ctx))
	slices.SortFunc(all, func(a, b *Hold) int { return cmp.Compare(a.key(), b.key()) })
	return all, s.fail(err)
}

const fieldRule = "kibana.alert.rule.rule_id"

// Preview says which alerts of a time an exception would have removed, and gives up to
// sample of them.
func (s *Store) Preview(ctx context.Context, x *Exception, from, to time.Time, sample int) (*Preview, error) {
	schema := event.NewSchema()
	p, err := x.Compile(schema)
	if err != nil {
		return nil, fmt.Errorf("exception %.100q: %w", x.Name, err)
	}
	all := Query{From: from, To: to, GroupBy: []string{fieldRule, "kibana.alert.rule.name"}, Groups: MostGroups}
	if len(x.Rules) > 0 {
		all.Filters = []Filter{{Field: fieldRule, Values: x.Rules}}
	}
	before, err := s.Query(ctx, &all)
	if err != nil {
		return nil, err
	}
	gone := all
	gone.Where, gone.Upto, gone.Limit = p, before.Head, sample
	gone.Facets = []Facet{{Field: FieldReason, Limit: len(Reasons())}}
	after, err := s.Query(ctx, &gone)
	if err != nil {
		return nil, err
	}
	out := &Preview{Total: before.Total, Removed: after.Total, Alerts: after.Records}
	for _, c := range after.Facets[0].Values {
		if c.Value == "true_positive" {
			out.True = c.Count
		}
	}
	worked := gone
	worked.Limit, worked.Facets, worked.GroupBy = 0, nil, nil
	touched, err := compileWhere(FieldStatus+` == "acknowledged" or `+FieldAssignees+" != null", schema)
	if err != nil {
		return nil, err
	}
	worked.Where = expr.NewAll(p, touched)
	w, err := s.Query(ctx, &worked)
	if err != nil {
		return nil, err
	}
	out.Worked = w.Total
	type key struct{ id, name string }
	totals := map[key]int{}
	for _, g := range before.Groups {
		totals[key{g.Values[0].Value, g.Values[1].Value}] = g.Count
	}
	for _, g := range after.Groups {
		k := key{g.Values[0].Value, g.Values[1].Value}
		out.Rules = append(out.Rules, Removal{k.id, k.name, totals[k], g.Count})
	}
	return out, nil
}
