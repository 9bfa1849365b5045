package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/store"
)

type alertsView struct {
	page
	Ask    *ask
	Found  found
	Tabs   []tab
	Facets []facet
	Chips  []chip
	Chart  *chart
	Rows   []row
	Groups *groups
	Total  int
	Head   int64

	Newer, Older, Here string // URLs
	CSV, NDJSON, Live  string
	Ranges             []link
	GroupBy            []link
	Columns            []column
	Turn               string // URL with times the other way
	Blocks             string // URL with building blocks, or without
	All                string // URL of all statuses and times, where nothing is found
	Users              []string
	Reasons            []string
	Upto               int64
}

type tab struct {
	Name, URL string
	Count     int
	Current   bool
}

type link struct {
	Name, URL string
	Current   bool
}

type column struct {
	Name, URL string
	Sort      string // "", ascending, descending
}

type facet struct {
	Field   string
	Values  []facetValue
	More    int
	Missing int
	None    string // URL of those without the field
}

type facetValue struct {
	Value       string
	Count       int
	On, Off     bool   // it is a filter
	Plus, Minus string // URLs
	Width       int    // of 100
}

type chip struct {
	Filter filter
	URL    string // without it
	Turn   string // with the other sign
}

// A row is an alert in a list.
type row struct {
	ID, Severity, Rule, RuleID, What, Host, User string
	Time, Original                               time.Time
	Status, Reason                               string
	Tags, Assignees                              []string
	Comments                                     int
	Sequence, Block, Uncertain                   bool
	Behaviour                                    []string
}

type groups struct {
	Fields []string
	Rows   []groupRow
	All    int
}

type groupRow struct {
	Values      []groupValue
	Count       int
	First, Last time.Time
	URL         string
}

type groupValue struct {
	Value   string
	Missing bool
}

// facetFields are those beside the list, in order.
var facetFields = []string{
	fieldSeverity, fieldRuleName, "host.name", "user.name", "process.name", "orlop.runtime.behaviour",
	"kibana.alert.rule.threat.tactic.name", store.FieldTags, store.FieldAssignees,
}

var groupFields = []string{fieldRuleName, "host.name", "user.name", "process.name", "process.parent.executable", "orlop.runtime.container", fieldSeverity, store.FieldAssignees}

const facetSize = 7

func newRow(r *store.Record) row {
	d := read(r)
	a := r.Alert
	return row{
		ID: a.ID, Severity: a.Severity, Rule: a.RuleName, RuleID: a.RuleID, What: d.what(),
		Host: d.text("host.name", "host.hostname", "host.id"), User: d.text("user.name", "user.id"),
		Time: a.Time, Original: a.OriginalTime,
		Status: string(r.Workflow.Status), Reason: r.Workflow.Reason, Tags: r.Workflow.Tags, Assignees: r.Workflow.Assignees, Comments: r.Workflow.Comments,
		Sequence: a.Group != "" && !a.BuildingBlock, Block: a.BuildingBlock,
		Uncertain: len(d.object("orlop.evidence")) > 0, Behaviour: d.texts("orlop.runtime.behaviour"),
	}
}

func (s *Server) alerts(w http.ResponseWriter, r *http.Request, u *who) error {
	ctx := r.Context()
	a, err := parseAsk(r.URL.Query())
	if err != nil {
		return err
	}
	p := s.page(r, u, "Alerts")
	q, how, err := a.query(p.Now)
	if err != nil {
		return err
	}
	v := &alertsView{page: p, Ask: a, Found: how, Reasons: store.Reasons(), Here: a.URL()}
	for _, f := range facetFields {
		q.Facets = append(q.Facets, store.Facet{Field: f, Limit: facetSize})
	}
	for _, f := range a.Filters { // a field that is filtered by is worth a facet
		if !f.Any && !contains(facetFields, f.Field) && len(q.Facets) < len(facetFields)+5 {
			q.Facets = append(q.Facets, store.Facet{Field: f.Field, Limit: facetSize})
		}
	}
	q.Facets = append(q.Facets, store.Facet{Field: store.FieldStatus, Limit: 3})
	q.GroupBy = a.By
	if len(a.By) > 0 {
		q.Limit = 0
	}
	from, to, err := s.extent(r, q)
	if err != nil {
		return err
	}
	each := interval(to.Sub(from))
	if from.Before(to) {
		q.Histogram = &store.Histogram{Interval: each, By: fieldSeverity}
	}
	heads, err := s.o.Store.Heads(ctx) // before: what is done meanwhile is told again
	if err != nil {
		return err
	}
	res, err := s.o.Store.Query(ctx, q)
	if err != nil {
		return refused(err)
	}
	v.Total, v.Head = res.Total, res.Head
	v.Found.Hints = s.hints(a.Q, res.Hints)
	v.Upto = a.Upto
	if v.Upto == 0 {
		v.Upto = res.Head
	}
	v.Chart = newChart(&p, a, from, to, each, res.Histogram)
	for _, rec := range res.Records {
		v.Rows = append(v.Rows, newRow(rec))
	}
	v.facets(a, res.Facets[:len(res.Facets)-1])
	v.tabs(a, res.Facets[len(res.Facets)-1])
	if len(a.By) > 0 {
		v.groups(a, res)
	}
	if n := len(res.Records); n > 0 {
		upto := v.Upto
		if res.Newer {
			v.Newer = a.with(func(b *ask) { b.Before, b.Upto = res.Records[0].Cursor, upto }).URL()
		}
		if res.Older {
			v.Older = a.with(func(b *ask) { b.After, b.Upto = res.Records[n-1].Cursor, upto }).URL()
		}
	}
	for _, f := range a.Filters {
		turned := f
		turned.Not = !f.Not
		v.Chips = append(v.Chips, chip{f, a.filter(f), a.filter(turned)})
	}
	none := a.with(func(b *ask) {})
	v.CSV, v.NDJSON = none.path("/alerts/export.csv"), none.path("/alerts/export.ndjson")
	live := none.values()
	live.Set("since", fmt.Sprint(v.Head))
	live.Set("did", fmt.Sprint(heads.Actions.Seq))
	v.Live = "/alerts/live?" + live.Encode()
	for _, d := range []link{{"1 h", "now-1h", false}, {"24 h", "now-24h", false}, {"7 d", "now-7d", false}, {"30 d", "now-30d", false}, {"all", "", false}} {
		v.Ranges = append(v.Ranges, link{d.Name, a.with(func(b *ask) { b.From, b.To = d.URL, "" }).URL(), a.From == d.URL && a.To == ""})
	}
	for _, f := range groupFields {
		on := contains(a.By, f)
		if !on && len(a.By) == 3 {
			continue
		}
		v.GroupBy = append(v.GroupBy, link{label(f), a.with(func(b *ask) {
			if on {
				b.By = slices.DeleteFunc(b.By, func(g string) bool { return g == f })
			} else {
				b.By = append(b.By, f)
			}
		}).URL(), on})
	}
	v.columns(a)
	v.Turn = a.with(func(b *ask) {
		b.After, b.Before, b.Upto = a.After, a.Before, a.Upto
		b.T = map[bool]string{false: "abs", true: ""}[a.T == "abs"]
	}).URL()
	v.Blocks = a.with(func(b *ask) { b.Blocks = !b.Blocks }).URL()
	v.All = (&ask{Status: "all", Filters: a.Filters, Q: a.Q, T: a.T}).URL()
	if u.may(store.Analyst) {
		if v.Users, err = s.names(r); err != nil {
			return err
		}
	}
	return s.render(w, http.StatusOK, "alerts", v)
}

// refused makes a problem of what the store does not take: cursors of another order.
func refused(err error) error {
	var p *problem
	if errors.As(err, &p) || err == nil {
		return err
	}
	if strings.Contains(err.Error(), "cursor") {
		return &problem{http.StatusBadRequest, "The page is refused: " + err.Error() + "."}
	}
	return err
}

// extent is the time that a histogram is of: that which is asked for, or that of all
// alerts which are asked for.
func (s *Server) extent(r *http.Request, q *store.Query) (from, to time.Time, err error) {
	from, to = q.From, q.To
	for _, end := range []struct {
		at  *time.Time
		asc bool
	}{{&from, true}, {&to, false}} {
		if !end.at.IsZero() {
			continue
		}
		one := *q
		one.Sort, one.Limit, one.After, one.Before = store.Sort{Ascending: end.asc}, 1, "", ""
		one.Facets, one.Histogram, one.GroupBy = nil, nil, nil
		res, err := s.o.Store.Query(r.Context(), &one)
		if err != nil {
			return from, to, refused(err)
		}
		if len(res.Records) > 0 {
			*end.at = res.Records[0].Alert.Time
			if !end.asc {
				*end.at = end.at.Add(time.Millisecond)
			}
		}
	}
	return from, to, nil
}

// names are those of users that alerts can be assigned to.
func (s *Server) names(r *http.Request) ([]string, error) {
	all, err := s.o.Store.Users(r.Context())
	var out []string
	for _, u := range all {
		if !u.Disabled && u.Role != store.Viewer {
			out = append(out, u.Name)
		}
	}
	return out, err
}

func (v *alertsView) facets(a *ask, results []store.FacetResult) {
	for _, res := range results {
		f := facet{Field: res.Field, Missing: res.Missing, More: res.Distinct - len(res.Values)}
		most := 1
		values := res.Values
		if res.Field == fieldSeverity {
			values = slices.Clone(values)
			slices.SortStableFunc(values, func(x, y store.Count) int {
				return slices.Index(severities, x.Value) - slices.Index(severities, y.Value)
			})
		}
		for _, c := range values {
			most = max(most, c.Count)
		}
		seen := map[string]bool{}
		add := func(value string, count int) {
			seen[value] = true
			f.Values = append(f.Values, facetValue{
				Value: value, Count: count, Plus: a.Plus(res.Field, value), Minus: a.Minus(res.Field, value), Width: count * 100 / most,
				On:  slices.Contains(a.Filters, filter{Field: res.Field, Value: value}),
				Off: slices.Contains(a.Filters, filter{Field: res.Field, Value: value, Not: true}),
			})
		}
		for _, c := range values {
			if len(c.Value) <= longValue {
				add(c.Value, c.Count)
			}
		}
		for _, g := range a.Filters {
			if g.Field == res.Field && !g.Any && !seen[g.Value] {
				add(g.Value, 0)
			}
		}
		if f.Missing > 0 && len(f.Values) > 0 {
			f.None = a.filter(filter{Field: res.Field, Not: true, Any: true})
		}
		if len(f.Values) > 0 {
			v.Facets = append(v.Facets, f)
		}
	}
}

func (v *alertsView) tabs(a *ask, res store.FacetResult) {
	total := 0
	counts := map[string]int{}
	for _, c := range res.Values {
		counts[c.Value] = c.Count
		total += c.Count
	}
	counts["all"] = total
	for _, name := range statuses {
		v.Tabs = append(v.Tabs, tab{name, a.with(func(b *ask) { b.Status = name }).URL(), counts[name], a.Status == name})
	}
}

func (v *alertsView) groups(a *ask, res *store.Result) {
	v.Groups = &groups{Fields: a.By, All: res.AllGroups}
	for _, g := range res.Groups {
		gr := groupRow{Count: g.Count, First: g.First, Last: g.Last}
		gr.URL = a.with(func(b *ask) {
			b.By = nil
			for i, x := range g.Values {
				gr.Values = append(gr.Values, groupValue{x.Value, x.Missing})
				f := filter{Field: a.By[i], Value: x.Value}
				if x.Missing {
					f = filter{Field: a.By[i], Any: true, Not: true}
				}
				if len(x.Value) <= longValue && !slices.Contains(b.Filters, f) {
					b.Filters = append(b.Filters, f)
				}
			}
		}).URL()
		v.Groups.Rows = append(v.Groups.Rows, gr)
	}
}

func (v *alertsView) columns(a *ask) {
	for _, c := range []struct{ name, field string }{
		{"Time", ""}, {"Severity", "kibana.alert.risk_score"}, {"Rule", fieldRuleName}, {"What", "process.command_line"}, {"Host", "host.name"}, {"User", "user.name"}, {"Work", store.FieldStatus},
	} {
		col := column{Name: c.name}
		now := a.Sort == c.field
		if now {
			col.Sort = map[bool]string{true: "ascending", false: "descending"}[a.Asc]
		}
		col.URL = a.with(func(b *ask) {
			b.Sort = c.field
			b.Asc = now && !a.Asc || !now && c.field != "" && c.field != "kibana.alert.risk_score"
		}).URL()
		v.Columns = append(v.Columns, col)
	}
}

// act does to alerts what a form says.
func (s *Server) act(w http.ResponseWriter, r *http.Request, u *who) error {
	f := r.PostForm
	c := store.Change{Comment: strings.TrimSpace(f.Get("comment"))}
	switch do := f.Get("do"); do {
	case "acknowledge":
		c.Status = store.StatusAcknowledged
	case "open":
		c.Status = store.StatusOpen
	case "close":
		c.Status, c.Reason = store.StatusClosed, f.Get("reason")
	case "assign":
		name := f.Get("assignee")
		if name == "" {
			name = u.User.Name
		}
		c.Assign = []string{name}
	case "unassign":
		c.Unassign = words(f.Get("assignee"))
	case "tag":
		c.Tag = tags(f.Get("tag"))
	case "untag":
		c.Untag = tags(f.Get("tag"))
	case "comment":
		if c.Comment == "" {
			return &problem{http.StatusBadRequest, "The comment is empty."}
		}
	default:
		return &problem{http.StatusBadRequest, fmt.Sprintf("do %q: expected acknowledge, open, close, assign, unassign, tag, untag or comment.", plain(do, 50))}
	}
	if len(c.Tag)+len(c.Untag) == 0 && strings.HasSuffix(f.Get("do"), "tag") {
		return &problem{http.StatusBadRequest, "There is no tag."}
	}
	ids := f["id"]
	if f.Get("all") == "1" {
		var err error
		if ids, err = s.selected(r, f.Get("back")); err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		return &problem{http.StatusBadRequest, "No alert is selected."}
	}
	did, err := s.update(r, u, ids, c)
	if err != nil {
		return err
	}
	if r.Header.Get("Accept") == "application/json" {
		return writeJSON(w, http.StatusOK, did)
	}
	done := plural(did.Changed, "alert") + " changed."
	if len(did.Missing) > 0 {
		done += " There is no alert " + named(did.Missing) + " any more."
	}
	back, err := url.Parse(s.local(f.Get("back")))
	if err != nil {
		back = &url.URL{Path: "/alerts"}
	}
	q := back.Query()
	q.Set("done", done)
	back.RawQuery = q.Encode()
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
	return nil
}

// updated is what a change of alerts answers.
type updated struct {
	Changed int      `json:"changed"`
	Missing []string `json:"missing,omitempty"`
}

// update changes those of the alerts that are there, once the change is known to be right.
// It is a problem if none is.
func (s *Server) update(r *http.Request, u *who, ids []string, c store.Change) (*updated, error) {
	if err := c.Check(); err != nil {
		return nil, &problem{http.StatusBadRequest, "The change is refused: " + err.Error() + "."}
	}
	for _, name := range c.Assign {
		if _, err := s.o.Store.User(r.Context(), name); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				return nil, &problem{http.StatusBadRequest, fmt.Sprintf("There is no user %q.", plain(name, 100))}
			}
			return nil, err
		}
	}
	did, err := s.o.Store.Update(r.Context(), u.actor(), s.o.Now(), ids, c)
	if err != nil {
		return nil, err
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	if len(did.Missing) == len(slices.Compact(ids)) {
		return nil, &problem{http.StatusNotFound, "There is no alert " + named(did.Missing) + "."}
	}
	return &updated{did.Changed, did.Missing}, nil
}

// named are ids in a sentence: some of them, if there are many.
func named(ids []string) string {
	var out []string
	for _, id := range ids[:min(len(ids), 10)] {
		out = append(out, fmt.Sprintf("%q", plain(id, 100)))
	}
	if more := len(ids) - len(out); more > 0 {
		out = append(out, plural(more, "other"))
	}
	if n := len(out) - 1; n > 0 {
		return strings.Join(out[:n], ", ") + " or " + out[n]
	}
	return out[0]
}

const mostChanged = 10_000

// selected are the ids of all alerts that a URL of the list selects.
func (s *Server) selected(r *http.Request, back string) ([]string, error) {
	at, err := url.Parse(back)
	if err != nil {
		return nil, &problem{http.StatusBadRequest, "The query cannot be read."}
	}
	v := at.Query()
	if upto := r.PostForm.Get("upto"); upto != "" {
		v.Set("upto", upto)
	}
	a, err := parseAsk(v)
	if err != nil {
		return nil, err
	}
	q, how, err := a.query(s.o.Now())
	if err != nil {
		return nil, err
	}
	if how.Wrong != "" {
		return nil, &problem{http.StatusBadRequest, "The query has a mistake: " + how.Wrong + "."}
	}
	q.After, q.Before, q.Limit = "", "", mostChanged
	res, err := s.o.Store.Query(r.Context(), q)
	if err != nil {
		return nil, refused(err)
	}
	if res.Total > mostChanged {
		return nil, &problem{http.StatusBadRequest, fmt.Sprintf("The query selects %s alerts; %s can be changed at once.", number(res.Total), number(mostChanged))}
	}
	var ids []string
	for _, rec := range res.Records {
		ids = append(ids, rec.Alert.ID)
	}
	return ids, nil
}

func words(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return []string{s}
}

// tags are those of a text with commas.
func tags(s string) []string {
	var out []string
	for t := range strings.SplitSeq(s, ",") {
		if t = strings.TrimSpace(t); t != "" && !contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}
