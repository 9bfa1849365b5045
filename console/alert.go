package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/orlop/orlop/store"
)

type alertView struct {
	page
	Row        row
	Doc        document
	Said       saying
	Reason     string
	Rule       string
	Facts      []fact
	Explain    *explanation
	Tree       []proc
	Means      []meaning
	Lacks      []lack
	Whole      bool
	Tactics    []tactic
	Guide      template.HTML
	Describe   string
	False      []string
	Refs       []string
	Query      string
	Raw        string
	RawLeft    int
	Fields     []Field
	Prevalence []prevalence
	Around     []row
	AroundURL  string
	Group      []row
	History    []*store.Action
	Users      []string
	Reasons    []string
	Ask        *ask
	Next, Prev string
	Back       string
}

type fact struct {
	Name, Field, Value string
}

// A proc is a process of the tree.
type proc struct {
	Depth                   int
	Kind                    string // who came in, session, ancestor, parent, this, alert
	Name, Command, PID, URL string
	User                    string
	This                    bool
	Severity                string
	Args                    []string
}

type tactic struct {
	ID, Name   string
	Techniques []technique
}

type technique struct{ ID, Name string }

type prevalence struct {
	Name, Field, Value string
	Count, Hosts       int
	URL                string
	Rare               bool
}

const (
	prevalenceDays = 30
	aroundSpan     = 15 * time.Minute
	longRaw        = 200_000
)

func (s *Server) alert(w http.ResponseWriter, r *http.Request, u *who) error {
	ctx := r.Context()
	rec, err := s.o.Store.Alert(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	d := read(rec)
	v := &alertView{page: s.page(r, u, ""), Row: newRow(rec), Doc: d, Said: d.happened(), Reason: rec.Alert.Reason, Reasons: store.Reasons(), Ask: &ask{Status: "all", N: pageSize}}
	v.Title = plain(rec.Alert.RuleName, 120)
	v.Back = s.back(r)
	for _, f := range []fact{
		{"Host", "host.name", ""}, {"User", "user.name", ""}, {"Signed in as", "auditd.user.audit.name", ""}, {"Process", "process.executable", ""},
		{"Parent", "process.parent.executable", ""}, {"Directory", "process.working_directory", ""}, {"Container", "container.id", ""},
		{"Pod", "orchestrator.resource.name", ""}, {"File", "file.path", ""}, {"Destination", "destination.ip", ""},
		{"Outcome", "event.outcome", ""}, {"Source", "event.dataset", ""}, {"Risk", "kibana.alert.risk_score", ""},
	} {
		if f.Value = d.text(f.Field); f.Value != "" {
			v.Facts = append(v.Facts, f)
		}
	}
	v.Explain, v.Means = d.explained(), d.meanings()
	v.Lacks, v.Whole = d.lacks()
	v.Tactics = d.tactics()
	v.Guide = markdown(d.text("kibana.alert.rule.note"))
	v.Describe = d.text("kibana.alert.rule.description")
	v.False, v.Refs = d.texts("kibana.alert.rule.false_positives"), d.texts("kibana.alert.rule.references")
	v.Query = d.text("kibana.alert.rule.parameters.query")
	v.Fields = d.fields()
	var raw bytes.Buffer
	if err := json.Indent(&raw, escaped(rec.AppendJSON(nil)), "", "  "); err == nil {
		v.Raw, v.RawLeft = clip(raw.String(), longRaw)
	}
	if err := s.prevalence(r, v, d); err != nil {
		return err
	}
	if err := s.around(r, v, rec, d); err != nil {
		return err
	}
	if err := s.tree(r, v, rec, d); err != nil {
		return err
	}
	for a, err := range s.o.Store.Actions(ctx, &store.ActionQuery{Alert: rec.Alert.ID, Limit: 200}) {
		if err != nil {
			return err
		}
		v.History = append(v.History, a)
	}
	if u.may(store.Analyst) {
		if v.Users, err = s.names(r); err != nil {
			return err
		}
	}
	return s.render(w, http.StatusOK, "alert", v)
}

// back is the list that somebody came from.
func (s *Server) back(r *http.Request) string {
	if b := r.URL.Query().Get("back"); b != "" {
		return s.local(b)
	}
	if ref := r.Referer(); ref != "" {
		if i := strings.Index(ref, "://"); i > 0 {
			if host, path, ok := strings.Cut(ref[i+3:], "/"); ok && host == r.Host && strings.HasPrefix("/"+path, "/alerts?") {
				return "/" + path
			}
		}
	}
	return "/alerts"
}

func (d document) tactics() []tactic {
	threats, _ := d.get("kibana.alert.rule.threat").([]any)
	var out []tactic
	for _, t := range threats[:min(len(threats), 20)] {
		m, ok := t.(map[string]any)
		if !ok {
			continue
		}
		td := document(m)
		tt := tactic{ID: td.text("tactic.id"), Name: td.text("tactic.name")}
		techniques, _ := m["technique"].([]any)
		for _, x := range techniques[:min(len(techniques), 20)] {
			xm, ok := x.(map[string]any)
			if !ok {
				continue
			}
			tt.Techniques = append(tt.Techniques, technique{str(xm["id"]), str(xm["name"])})
			subs, _ := xm["subtechnique"].([]any)
			for _, y := range subs[:min(len(subs), 20)] {
				if ym, ok := y.(map[string]any); ok {
					tt.Techniques = append(tt.Techniques, technique{str(ym["id"]), str(ym["name"])})
				}
			}
		}
		out = append(out, tt)
	}
	return out
}

// prevalence is how often what the alert is about was in alerts of late.
func (s *Server) prevalence(r *http.Request, v *alertView, d document) error {
	from := v.Row.Time.Add(-prevalenceDays * 24 * time.Hour)
	for _, p := range []prevalence{
		{Name: "Command", Field: "process.command_line"}, {Name: "Program", Field: "process.executable"}, {Name: "Parent", Field: "process.parent.executable"},
		{Name: "User", Field: "user.name"}, {Name: "Host", Field: "host.name"}, {Name: "Container", Field: "orlop.runtime.container"}, {Name: "Rule", Field: fieldRuleName},
	} {
		p.Value = d.text(p.Field)
		if p.Value == "" || len(p.Value) > longValue {
			continue
		}
		res, err := s.o.Store.Query(r.Context(), &store.Query{
			From: from, Filters: []store.Filter{{Field: fieldBlock, Not: true}, {Field: p.Field, Values: []string{p.Value}}},
			Facets: []store.Facet{{Field: "host.name", Limit: 1}},
		})
		if err != nil {
			return err
		}
		p.Count, p.Hosts = res.Total, res.Facets[0].Distinct
		p.Rare = p.Count <= 1
		p.URL = (&ask{Status: "all", From: from.UTC().Format(time.RFC3339), Filters: []filter{{Field: p.Field, Value: p.Value}}}).URL()
		v.Prevalence = append(v.Prevalence, p)
	}
	return nil
}

// around are the alerts of the same host near in time.
func (s *Server) around(r *http.Request, v *alertView, rec *store.Record, d document) error {
	at := rec.Alert.Time
	a := &ask{Status: "all", From: at.Add(-aroundSpan).UTC().Format(time.RFC3339Nano), To: at.Add(aroundSpan).UTC().Format(time.RFC3339Nano), Asc: true}
	if host := d.text("host.name"); host != "" && len(host) <= longValue {
		a.Filters = []filter{{Field: "host.name", Value: host}}
	}
	v.AroundURL = a.URL()
	for i, half := range []*ask{{Status: "all", From: a.From, To: at.UTC().Format(time.RFC3339Nano)}, {Status: "all", From: at.UTC().Format(time.RFC3339Nano), To: a.To, Asc: true}} {
		half.Filters, half.N = a.Filters, 12
		q, _, err := half.query(v.Now)
		if err != nil {
			return err
		}
		res, err := s.o.Store.Query(r.Context(), q)
		if err != nil {
			return err
		}
		var rows []row
		for _, x := range res.Records {
			rows = append(rows, newRow(x))
		}
		if i == 0 {
			for j := len(rows) - 1; j >= 0; j-- {
				v.Around = append(v.Around, rows[j])
			}
		} else {
			v.Around = append(v.Around, rows...)
		}
	}
	if g := rec.Alert.Group; g != "" {
		res, err := s.o.Store.Query(r.Context(), &store.Query{Filters: []store.Filter{{Field: fieldGroup, Values: []string{g}}}, Sort: store.Sort{Field: "kibana.alert.group.index", Ascending: true}, Limit: 50})
		if err != nil {
			return err
		}
		for _, x := range res.Records {
			v.Group = append(v.Group, newRow(x))
		}
	}
	return nil
}

// tree is the processes that the document tells of, with the alerts about others that the
// same parent started, or this one.
func (s *Server) tree(r *http.Request, v *alertView, rec *store.Record, d document) error {
	depth := 0
	seen := map[string]bool{}
	add := func(kind, field string) {
		id := d.text(field+".entity_id", field+".pid")
		p := proc{Depth: depth, Kind: kind, Name: d.text(field+".name", field+".executable"), PID: d.text(field + ".pid"), User: d.text(field + ".user.name"),
			Command: d.text(field + ".command_line"), Args: d.texts(field + ".args"), This: kind == "this"}
		if p.Command == "" {
			p.Command = strings.Join(p.Args, " ")
		}
		if p.Command == "" {
			p.Command = d.text(field + ".executable")
		}
		if p.Name == "" && p.PID == "" && p.Command == "" || id != "" && seen[id] {
			return
		}
		seen[id] = true
		v.Tree = append(v.Tree, p)
		depth++
	}
	if d.text("process.pid", "process.name", "process.executable") == "" {
		return nil
	}
	me := d.text("process.entity_id", "process.pid")
	seen[me] = true
	if parent := d.text("process.parent.entity_id", "process.parent.pid"); parent != "" {
		seen[parent] = true
	}
	add("came in by", "process.entry_leader")
	add("session", "process.session_leader")
	add("group", "process.group_leader")
	// Ancestors above the parent are known by their programs alone.
	for i, exe := range reversed(d.texts("orlop.process.ancestor")) {
		if i == len(d.texts("orlop.process.ancestor"))-1 && exe == d.text("process.parent.executable") || i > 20 {
			continue
		}
		v.Tree = append(v.Tree, proc{Depth: depth, Kind: "ancestor", Name: exe[strings.LastIndex(exe, "/")+1:], Command: exe})
		depth++
	}
	delete(seen, d.text("process.parent.entity_id", "process.parent.pid"))
	add("parent", "process.parent")
	delete(seen, me)
	at := depth
	add("this", "process")
	near := func(field, value string, depth int, kind string) error {
		if value == "" {
			return nil
		}
		res, err := s.o.Store.Query(r.Context(), &store.Query{Filters: []store.Filter{{Field: field, Values: []string{value}}}, Sort: store.Sort{Ascending: true}, Limit: 30})
		if err != nil {
			return err
		}
		for _, x := range res.Records {
			xd := read(x)
			id := xd.text("process.entity_id")
			if x.Alert.ID == rec.Alert.ID || id == "" || seen[id] {
				continue
			}
			seen[id] = true
			v.Tree = append(v.Tree, proc{Depth: depth, Kind: kind, Name: xd.text("process.name"), PID: xd.text("process.pid"), Command: xd.what(), URL: "/alerts/" + x.Alert.ID, Severity: x.Alert.Severity})
		}
		return nil
	}
	if err := near("process.parent.entity_id", d.text("process.entity_id"), at+1, "child"); err != nil {
		return err
	}
	return near("process.parent.entity_id", d.text("process.parent.entity_id"), at, "sibling")
}

func reversed(l []string) []string {
	out := make([]string, 0, len(l))
	for i := len(l) - 1; i >= 0; i-- {
		out = append(out, l[i])
	}
	return out
}

// Did is what an action did, in words.
func (p *page) Did(a *store.Action) string {
	var was, is store.Workflow
	json.Unmarshal(a.Before, &was)
	json.Unmarshal(a.After, &is)
	switch a.What {
	case "alert.update":
		var did []string
		if was.Status != is.Status || was.Reason != is.Reason {
			t := map[store.Status]string{store.StatusOpen: "opened it again", store.StatusAcknowledged: "acknowledged it", store.StatusClosed: "closed it"}[is.Status]
			if is.Reason != "" {
				t += " as " + strings.ReplaceAll(is.Reason, "_", " ")
			}
			did = append(did, t)
		}
		for _, x := range []struct {
			verb     string
			from, to []string
		}{{"assigned ", was.Assignees, is.Assignees}, {"unassigned ", is.Assignees, was.Assignees}, {"tagged it ", was.Tags, is.Tags}, {"took off the tag ", is.Tags, was.Tags}} {
			var more []string
			for _, t := range x.to {
				if !contains(x.from, t) {
					more = append(more, t)
				}
			}
			if len(more) > 0 {
				did = append(did, x.verb+list(more))
			}
		}
		if a.Note != "" {
			did = append(did, "commented")
		}
		return list(did)
	}
	return fmt.Sprint(a.What, " ", a.Object)
}
