package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/store"
)

type exceptView struct {
	page
	Alert    string // id of the alert that it began with
	Name     string
	Reason   string
	Expires  string
	Rule     string // rule_id, or "" for all
	RuleName string
	All      bool // for all rules
	Choices  []choice
	Where    string
	Preview  *store.Preview
	Rows     []row
	Days     int
	Wrong    string
	Text     string // the exception in words
	Others   []store.Removal
}

// A choice is a field of the alert that an exception may name.
type choice struct {
	Field, Value string
	On           bool
	How          string // is, starts, ends, contains, exists, not
	I            int
}

var hows = []string{"is", "starts", "ends", "contains", "exists", "not"}

// Hows are the ways in which a field may be named.
func (*exceptView) Hows() []string { return hows }

const mostEntries = 40

// chooseFields are those that are offered first.
var chooseFields = []string{
	"process.command_line", "process.executable", "process.name", "process.parent.executable", "process.parent.command_line", "process.parent.name",
	"user.name", "user.id", "host.name", "orlop.runtime.tool", "orlop.runtime.behaviour", "orlop.runtime.container", "orlop.runtime.image", "orlop.runtime.namespace",
	"orlop.runtime.payload_program", "container.id", "container.image.name", "process.working_directory", "file.path", "destination.ip", "event.action",
}

// entry is a choice as an exception has it. Patterns take what is special in them as it is
// written.
func (c choice) entry() store.Entry {
	e := store.Entry{Field: c.Field, Type: "match", Operator: "included", Values: []string{c.Value}}
	literal := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(c.Value)
	switch c.How {
	case "starts":
		e.Type, e.Values = "wildcard", []string{literal + "*"}
	case "ends":
		e.Type, e.Values = "wildcard", []string{"*" + literal}
	case "contains":
		e.Type, e.Values = "wildcard", []string{"*" + literal + "*"}
	case "exists":
		e.Type, e.Values = "exists", nil
	case "not":
		e.Operator = "excluded"
	}
	return e
}

// except asks for an exception: what it would be, and what it would have removed.
func (s *Server) except(w http.ResponseWriter, r *http.Request, u *who) error {
	v, x, err := s.readException(r, u, r.URL.Query())
	if err != nil {
		return err
	}
	if x != nil {
		if err := s.previewException(r, v, x); err != nil {
			return err
		}
	}
	return s.render(w, http.StatusOK, "except", v)
}

func (s *Server) readException(r *http.Request, u *who, q map[string][]string) (*exceptView, *store.Exception, error) {
	get := func(k string) string {
		if l := q[k]; len(l) > 0 {
			return l[0]
		}
		return ""
	}
	v := &exceptView{page: s.page(r, u, "Except this"), Alert: get("alert"), Name: get("name"), Reason: get("reason"), Expires: get("expires"), Where: strings.TrimSpace(get("where")), Days: 30}
	if v.Expires == "" && get("set") == "" {
		v.Expires = s.o.Now().AddDate(0, 0, 90).UTC().Format("2006-01-02")
	}
	v.All = get("rules") == "all"
	if v.Alert != "" {
		rec, err := s.o.Store.Alert(r.Context(), v.Alert)
		if err != nil {
			return nil, nil, err
		}
		v.Rule, v.RuleName = rec.Alert.RuleID, rec.Alert.RuleName
		d := read(rec)
		if v.Name == "" && get("set") == "" {
			v.Name = plain(d.text("process.name", "user.name")+": "+rec.Alert.RuleName, 120)
		}
		for _, f := range chooseFields {
			for _, value := range d.texts(f) {
				if len(value) > 4096 || len(v.Choices) >= mostEntries {
					continue
				}
				c := choice{Field: f, Value: value, How: "is", I: len(v.Choices)}
				if get("set") == "" {
					c.On = f == "process.command_line" || f == "user.name"
				}
				if slices.Contains(q["on"], fmt.Sprint(c.I)) {
					c.On = true
				}
				if h := get(fmt.Sprintf("how%d", c.I)); contains(hows, h) {
					c.How = h
				}
				if val := get(fmt.Sprintf("value%d", c.I)); val != "" && len(val) <= 4096 {
					c.Value = val
				}
				v.Choices = append(v.Choices, c)
			}
		}
	}
	x := &store.Exception{Name: strings.TrimSpace(v.Name), Where: v.Where, Reason: strings.TrimSpace(v.Reason)}
	if !v.All && v.Rule != "" {
		x.Rules = []string{v.Rule}
	}
	var said []string
	for _, c := range v.Choices {
		if c.On {
			x.Entries = append(x.Entries, c.entry())
			said = append(said, label(c.Field)+" "+map[string]string{"is": "is", "starts": "starts with", "ends": "ends with", "contains": "contains", "exists": "is there", "not": "is not"}[c.How]+
				map[bool]string{true: "", false: " " + plain(c.Value, 100)}[c.How == "exists"])
		}
	}
	if v.Where != "" {
		said = append(said, v.Where)
	}
	v.Text = strings.Join(said, " and ")
	if v.Expires != "" {
		t, err := time.Parse("2006-01-02", v.Expires)
		if err != nil {
			v.Wrong = "Expiry: expected a date such as 2027-01-31."
			return v, nil, nil
		}
		x.Expires = t
	}
	if len(x.Entries) == 0 && x.Where == "" {
		v.Wrong = "Choose at least one field: an exception without a condition removes everything."
		return v, nil, nil
	}
	return v, x, nil
}

func (s *Server) previewException(r *http.Request, v *exceptView, x *store.Exception) error {
	now := s.o.Now()
	from := now.AddDate(0, 0, -v.Days)
	if v.Alert != "" { // of a recording: the days before it
		rec, err := s.o.Store.Alert(r.Context(), v.Alert)
		if err != nil {
			return err
		}
		if t := rec.Alert.Time.AddDate(0, 0, -v.Days); t.Before(from) {
			from = t
		}
	}
	p, err := s.o.Store.Preview(r.Context(), x, from, time.Time{}, 20)
	if err != nil {
		v.Wrong = "The condition is refused: " + err.Error()
		return nil
	}
	v.Preview = p
	for _, rec := range p.Alerts {
		v.Rows = append(v.Rows, newRow(rec))
	}
	if !v.All && len(x.Rules) > 0 { // what other rules say of the same
		all := *x
		all.Rules = nil
		o, err := s.o.Store.Preview(r.Context(), &all, from, time.Time{}, 0)
		if err != nil {
			return err
		}
		for _, rm := range o.Rules {
			if rm.RuleID != v.Rule {
				v.Others = append(v.Others, rm)
			}
		}
	}
	return nil
}

func (s *Server) exceptSave(w http.ResponseWriter, r *http.Request, u *who) error {
	v, x, err := s.readException(r, u, r.PostForm)
	if err != nil {
		return err
	}
	if x != nil {
		switch {
		case !x.Expires.IsZero() && !s.o.Now().Before(x.Expires):
			v.Wrong = "The expiry has passed."
		default:
			if err := x.Check(); err != nil {
				v.Wrong = err.Error() + "."
			}
		}
		if v.Wrong != "" {
			if err := s.previewException(r, v, x); err != nil {
				return err
			}
		}
	}
	if v.Wrong != "" {
		return s.render(w, http.StatusBadRequest, "except", v)
	}
	if err := s.o.Store.PutException(r.Context(), u.actor(), s.o.Now(), x); err != nil {
		return err
	}
	http.Redirect(w, r, "/exceptions?done="+queryEscape("The exception is kept."), http.StatusSeeOther)
	return nil
}

type exceptionsView struct {
	page
	All []exceptionRow
}

type exceptionRow struct {
	*store.Exception
	Text    string
	Active  bool
	Forever bool
	Held    int       // events that it has kept from rules
	Last    time.Time // the last of them
}

func (s *Server) exceptions(w http.ResponseWriter, r *http.Request, u *who) error {
	v := &exceptionsView{page: s.page(r, u, "Exceptions")}
	var err error
	if v.All, err = s.exceptionRows(r.Context(), ""); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "exceptions", v)
}

// exceptionRows are the exceptions that a rule has, and how often they held for it; without
// a rule, all of them and for all.
func (s *Server) exceptionRows(ctx context.Context, ruleID string) (rows []exceptionRow, err error) {
	all, err := s.o.Store.Exceptions(ctx)
	if err != nil {
		return nil, err
	}
	holds, err := s.o.Store.Holds(ctx)
	if err != nil {
		return nil, err
	}
	now := s.o.Now()
	for _, x := range all {
		if ruleID != "" && len(x.Rules) > 0 && !slices.Contains(x.Rules, ruleID) {
			continue
		}
		var said []string
		for _, e := range x.Entries {
			said = append(said, e.Field+" "+map[bool]string{true: "not ", false: ""}[e.Operator == "excluded"]+e.Type+" "+strings.Join(e.Values, ", "))
		}
		if x.Where != "" {
			said = append(said, x.Where)
		}
		row := exceptionRow{Exception: x, Text: strings.Join(said, " and "), Active: x.Active(now), Forever: x.Expires.IsZero()}
		for _, h := range holds {
			if h.Exception == x.ID && (ruleID == "" || h.Rule == ruleID) {
				row.Held += int(h.Count)
				if h.Last.After(row.Last) {
					row.Last = h.Last
				}
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (s *Server) exceptionDelete(w http.ResponseWriter, r *http.Request, u *who) error {
	if err := s.o.Store.DeleteException(r.Context(), u.actor(), s.o.Now(), r.PathValue("id"), plain(r.PostForm.Get("why"), 1000)); err != nil {
		return err
	}
	http.Redirect(w, r, "/exceptions?done="+queryEscape("The exception is gone."), http.StatusSeeOther)
	return nil
}
