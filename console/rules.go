package console

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/store"
)

type rulesView struct {
	page
	Rules  []ruleRow
	Alone  bool // there is no engine: the rules are those of the alerts
	Sort   string
	Counts map[string]int
}

type ruleRow struct {
	Rule
	Alerts, Open int
	False        int // closed as false positives
	Last         string
	URL          string
	Disabled     bool
	State        *store.RuleState
	NS           float64 // an event
	Tactics      []string
	Tests        int
}

// ruleRows are all rules with what came of them.
func (s *Server) ruleRows(ctx context.Context) ([]ruleRow, error) {
	res, err := s.o.Store.Query(ctx, &store.Query{Filters: []store.Filter{{Field: fieldBlock, Not: true}}, GroupBy: []string{fieldRule, fieldRuleName}, Groups: 5000})
	if err != nil {
		return nil, err
	}
	count := func(f store.Filter) (map[string]int, error) {
		r, err := s.o.Store.Query(ctx, &store.Query{Filters: []store.Filter{{Field: fieldBlock, Not: true}, f}, Facets: []store.Facet{{Field: fieldRule, Limit: 5000}}})
		if err != nil {
			return nil, err
		}
		m := map[string]int{}
		for _, c := range r.Facets[0].Values {
			m[c.Value] = c.Count
		}
		return m, nil
	}
	open, err := count(store.Filter{Field: store.FieldStatus, Values: []string{string(store.StatusOpen)}})
	if err != nil {
		return nil, err
	}
	wrong, err := count(store.Filter{Field: store.FieldReason, Values: []string{"false_positive"}})
	if err != nil {
		return nil, err
	}
	states, err := s.o.Store.RuleStates(ctx)
	if err != nil {
		return nil, err
	}
	var rows []ruleRow
	at := map[string]int{}
	if s.o.Rules != nil {
		for _, r := range s.o.Rules() {
			at[r.ID] = len(rows)
			row := ruleRow{Rule: r, Tests: len(r.Tests)}
			if r.Events > 0 {
				row.NS = float64(r.Time.Nanoseconds()) / float64(r.Events)
			}
			for _, t := range r.Threat {
				row.Tactics = append(row.Tactics, t.Tactic.Name)
			}
			rows = append(rows, row)
		}
	}
	for _, g := range res.Groups {
		id := g.Values[0].Value
		i, ok := at[id]
		if !ok {
			i = len(rows)
			at[id] = i
			rows = append(rows, ruleRow{Rule: Rule{Rule: &rule.Rule{ID: id, Name: g.Values[1].Value, Severity: ""}, Idle: "not loaded here"}})
		}
		rows[i].Alerts += g.Count
	}
	for i := range rows {
		rows[i].Open, rows[i].False = open[rows[i].ID], wrong[rows[i].ID]
		rows[i].URL = "/rules/" + pathEscape(rows[i].ID)
		for _, st := range states {
			if st.RuleID == rows[i].ID {
				rows[i].State, rows[i].Disabled = st, st.Disabled
			}
		}
	}
	return rows, nil
}

func (s *Server) rules(w http.ResponseWriter, r *http.Request, u *who) error {
	rows, err := s.ruleRows(r.Context())
	if err != nil {
		return err
	}
	v := &rulesView{page: s.page(r, u, "Rules"), Rules: rows, Alone: s.o.Rules == nil, Sort: r.URL.Query().Get("sort")}
	slices.SortStableFunc(v.Rules, func(a, b ruleRow) int {
		name := strings.Compare(a.Name, b.Name)
		switch v.Sort {
		case "name":
			return name
		case "cost":
			return cmp.Or(cmp.Compare(b.NS, a.NS), name)
		case "noise":
			return cmp.Or(b.False-a.False, b.Open-a.Open, name)
		case "severity":
			return cmp.Or(rank(a.Severity)-rank(b.Severity), b.Alerts-a.Alerts, name)
		}
		return cmp.Or(b.Alerts-a.Alerts, rank(a.Severity)-rank(b.Severity), name)
	})
	return s.render(w, http.StatusOK, "rules", v)
}

func rank(severity string) int {
	if i := slices.Index(severities, severity); i >= 0 {
		return i
	}
	return len(severities)
}

type ruleView struct {
	page
	Rule  ruleRow
	Query template.HTML
	Guide template.HTML
	Setup template.HTML
	Rows  []row
	URL   string
	Tests tested

	Last       time.Time // of its alerts
	PerDay     float64   // alerts, in the last Days
	Days       int
	Exceptions []exceptionRow
}

func (s *Server) rule(w http.ResponseWriter, r *http.Request, u *who) error {
	v, err := s.ruleOf(r)
	if err != nil {
		return err
	}
	v.page = s.page(r, u, plain(v.Rule.Name, 120))
	v.Query, v.Guide, v.Setup = colours(v.Rule.Query.Text), markdown(v.Rule.Note), markdown(v.Rule.Setup)
	return s.render(w, http.StatusOK, "rule", v)
}

// ruleOf is the rule of a request: all of it but what a page makes of texts.
func (s *Server) ruleOf(r *http.Request) (*ruleView, error) {
	rows, err := s.ruleRows(r.Context())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rows, func(x ruleRow) bool { return x.ID == r.PathValue("id") })
	if i < 0 {
		return nil, noRule(r.PathValue("id"))
	}
	v := &ruleView{Rule: rows[i], Days: 30}
	v.URL = (&ask{Status: "all", Filters: []filter{{Field: fieldRule, Value: v.Rule.ID}}}).URL()
	res, err := s.o.Store.Query(r.Context(), &store.Query{Filters: []store.Filter{{Field: fieldBlock, Not: true}, {Field: fieldRule, Values: []string{v.Rule.ID}}}, Limit: 10})
	if err != nil {
		return nil, err
	}
	for _, rec := range res.Records {
		v.Rows = append(v.Rows, newRow(rec))
		if rec.Alert.Time.After(v.Last) {
			v.Last = rec.Alert.Time
		}
	}
	lately, err := s.o.Store.Query(r.Context(), &store.Query{From: s.o.Now().AddDate(0, 0, -v.Days), Filters: []store.Filter{{Field: fieldBlock, Not: true}, {Field: fieldRule, Values: []string{v.Rule.ID}}}})
	if err != nil {
		return nil, err
	}
	v.PerDay = float64(lately.Total) / float64(v.Days)
	if v.Exceptions, err = s.exceptionRows(r.Context(), v.Rule.ID); err != nil {
		return nil, err
	}
	v.Tests, err = s.runTests(r.Context(), v.Rule.Rule.Rule)
	return v, err
}

func noRule(id string) error { return fmt.Errorf("rule %.100q: %w", id, store.ErrNotFound) }

// knowRule is an error unless there is a rule of the id: one that is loaded, has alerts,
// or was switched before.
func (s *Server) knowRule(ctx context.Context, id string) error {
	if s.o.Rules != nil && slices.ContainsFunc(s.o.Rules(), func(r Rule) bool { return r.ID == id }) {
		return nil
	}
	states, err := s.o.Store.RuleStates(ctx)
	if err != nil || slices.ContainsFunc(states, func(st *store.RuleState) bool { return st.RuleID == id }) {
		return err
	}
	res, err := s.o.Store.Query(ctx, &store.Query{Filters: []store.Filter{{Field: fieldRule, Values: []string{id}}}})
	if err == nil && res.Total == 0 {
		err = noRule(id)
	}
	return err
}

func (s *Server) ruleState(w http.ResponseWriter, r *http.Request, u *who) error {
	id := r.PathValue("id")
	st := &store.RuleState{RuleID: id, Disabled: r.PostForm.Get("disabled") == "1", Reason: plain(strings.TrimSpace(r.PostForm.Get("reason")), 1000)}
	if st.Disabled && st.Reason == "" {
		return &problem{http.StatusBadRequest, "Say why the rule is to be off."}
	}
	if err := s.knowRule(r.Context(), id); err != nil {
		return err
	}
	if err := s.o.Store.PutRuleState(r.Context(), u.actor(), s.o.Now(), st); err != nil {
		return err
	}
	http.Redirect(w, r, "/rules/"+pathEscape(id)+"?done="+queryEscape("The rule is "+map[bool]string{true: "off.", false: "on."}[st.Disabled]), http.StatusSeeOther)
	return nil
}

type coverageView struct {
	page
	Tactics []coverTactic
	Rules   int
	Alone   bool
}

type coverTactic struct {
	ID, Name   string
	Techniques []*coverTechnique
	URL        string
	Alerts     int
}

type coverTechnique struct {
	ID, Name           string
	Rules, Off, Alerts int
	URL                string
	Names              []string
	Level              int // 0 none, 1 a rule, 2 rules, 3 many
}

// tacticOrder is that of ATT&CK's matrix for enterprises.
var tacticOrder = []string{"TA0043", "TA0042", "TA0001", "TA0002", "TA0003", "TA0004", "TA0005", "TA0006", "TA0007", "TA0008", "TA0009", "TA0011", "TA0010", "TA0040"}

func (s *Server) coverage(w http.ResponseWriter, r *http.Request, u *who) error {
	v, err := s.cover(r.Context())
	if err != nil {
		return err
	}
	v.page = s.page(r, u, "Coverage")
	return s.render(w, http.StatusOK, "coverage", v)
}

// cover is the matrix: all of a view but its page.
func (s *Server) cover(ctx context.Context) (*coverageView, error) {
	rows, err := s.ruleRows(ctx)
	if err != nil {
		return nil, err
	}
	v := &coverageView{Alone: s.o.Rules == nil}
	res, err := s.o.Store.Query(ctx, &store.Query{Filters: []store.Filter{{Field: fieldBlock, Not: true}}, Facets: []store.Facet{
		{Field: "kibana.alert.rule.threat.technique.id", Limit: 2000}, {Field: "kibana.alert.rule.threat.technique.subtechnique.id", Limit: 2000}, {Field: "kibana.alert.rule.threat.tactic.id", Limit: 100}}})
	if err != nil {
		return nil, err
	}
	alerts := map[string]int{}
	for _, f := range res.Facets {
		for _, c := range f.Values {
			alerts[c.Value] = c.Count
		}
	}
	at := map[string]int{}
	for _, rr := range rows {
		if rr.Idle == "" {
			v.Rules++
		}
		for _, t := range rr.Threat {
			i, ok := at[t.Tactic.ID]
			if !ok {
				i = len(v.Tactics)
				at[t.Tactic.ID] = i
				v.Tactics = append(v.Tactics, coverTactic{ID: t.Tactic.ID, Name: t.Tactic.Name, Alerts: alerts[t.Tactic.ID],
					URL: (&ask{Status: "all", Filters: []filter{{Field: "kibana.alert.rule.threat.tactic.id", Value: t.Tactic.ID}}}).URL()})
			}
			tac := &v.Tactics[i]
			add := func(x rule.Technique, field string) {
				j := slices.IndexFunc(tac.Techniques, func(c *coverTechnique) bool { return c.ID == x.ID })
				if j < 0 {
					j = len(tac.Techniques)
					tac.Techniques = append(tac.Techniques, &coverTechnique{ID: x.ID, Name: x.Name, Alerts: alerts[x.ID],
						URL: (&ask{Status: "all", Filters: []filter{{Field: field, Value: x.ID}}}).URL()})
				}
				c := tac.Techniques[j]
				if rr.Idle != "" || rr.Disabled {
					c.Off++
				} else {
					c.Rules++
				}
				c.Names = append(c.Names, rr.Name)
			}
			for _, x := range t.Technique {
				add(x, "kibana.alert.rule.threat.technique.id")
				for _, y := range x.Subtechnique {
					add(y, "kibana.alert.rule.threat.technique.subtechnique.id")
				}
			}
		}
	}
	slices.SortStableFunc(v.Tactics, func(a, b coverTactic) int {
		return cmp.Or(tacticRank(a.ID)-tacticRank(b.ID), strings.Compare(a.Name, b.Name))
	})
	for _, t := range v.Tactics {
		slices.SortFunc(t.Techniques, func(a, b *coverTechnique) int { return strings.Compare(a.ID, b.ID) })
		for _, c := range t.Techniques {
			c.Level = min(c.Rules, 1)
			if c.Rules >= 3 {
				c.Level = 2
			}
			if c.Rules >= 6 {
				c.Level = 3
			}
		}
	}
	return v, nil
}

func tacticRank(id string) int {
	if i := slices.Index(tacticOrder, id); i >= 0 {
		return i
	}
	return len(tacticOrder)
}

type sourcesView struct {
	page
	Sources []sourceView
	Alone   bool
	Info    store.Info
}

type sourceView struct {
	Source
	Lines []line
}

// Part is what of 1000 a number is of a source's events.
func (x Source) Part(n uint64) string {
	if x.In == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f", float64(n)/float64(x.In)*1000)
}

func (s *Server) sources(w http.ResponseWriter, r *http.Request, u *who) error {
	v := &sourcesView{page: s.page(r, u, "Sources"), Alone: s.o.Sources == nil}
	if s.o.Sources != nil {
		for _, x := range s.o.Sources() {
			v.Sources = append(v.Sources, sourceView{x, s.course.lines(x.Name, v.Now)})
		}
	}
	var err error
	if v.Info, err = s.o.Store.Info(r.Context()); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "sources", v)
}

type hostsView struct {
	page
	Hosts   []hostRow
	Missing int
	All     int
	None    string
}

type hostRow struct {
	Name, URL string
	Count     int
	By        map[string]int
	Last      groupRow
}

func (s *Server) hosts(w http.ResponseWriter, r *http.Request, u *who) error {
	v := &hostsView{page: s.page(r, u, "Hosts")}
	base := []store.Filter{{Field: fieldBlock, Not: true}}
	res, err := s.o.Store.Query(r.Context(), &store.Query{Filters: base, GroupBy: []string{"host.name"}, Groups: 500})
	if err != nil {
		return err
	}
	sev, err := s.o.Store.Query(r.Context(), &store.Query{Filters: append(base, store.Filter{Field: store.FieldStatus, Values: []string{"open"}}), GroupBy: []string{"host.name", fieldSeverity}, Groups: 2000})
	if err != nil {
		return err
	}
	v.All = res.AllGroups
	at := map[string]int{}
	for _, g := range res.Groups {
		if g.Values[0].Missing {
			v.Missing = g.Count
			v.None = (&ask{Status: "all", Filters: []filter{{Field: "host.name", Any: true, Not: true}}}).URL()
			continue
		}
		name := g.Values[0].Value
		at[name] = len(v.Hosts)
		v.Hosts = append(v.Hosts, hostRow{Name: name, Count: g.Count, By: map[string]int{}, Last: groupRow{First: g.First, Last: g.Last},
			URL: (&ask{Status: "all", Filters: []filter{{Field: "host.name", Value: name}}}).URL()})
	}
	for _, g := range sev.Groups {
		if i, ok := at[g.Values[0].Value]; ok && !g.Values[0].Missing {
			v.Hosts[i].By[g.Values[1].Value] += g.Count
		}
	}
	return s.render(w, http.StatusOK, "hosts", v)
}

type auditView struct {
	page
	Actions      []*store.Action
	ByUser, What string
	Older        string
	Heads        store.Heads
}

func (s *Server) audit(w http.ResponseWriter, r *http.Request, u *who) error {
	q := r.URL.Query()
	v := &auditView{page: s.page(r, u, "Audit log"), ByUser: q.Get("user"), What: q.Get("what")}
	aq := &store.ActionQuery{User: v.ByUser, What: v.What, Limit: 101}
	if b := q.Get("before"); b != "" {
		if _, err := fmt.Sscan(b, &aq.Before); err != nil || aq.Before < 1 {
			return &problem{http.StatusBadRequest, "before: expected a number."}
		}
	}
	for a, err := range s.o.Store.Actions(r.Context(), aq) {
		if err != nil {
			return err
		}
		v.Actions = append(v.Actions, a)
	}
	if len(v.Actions) > 100 {
		v.Actions = v.Actions[:100]
		q.Set("before", fmt.Sprint(v.Actions[99].Seq))
		v.Older = "/audit?" + q.Encode()
	}
	var err error
	if v.Heads, err = s.o.Store.Heads(r.Context()); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "audit", v)
}
