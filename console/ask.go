package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/store"
)

// An ask is what a URL asks for of the alerts: the state of the page.
//
//	status   open (that of no status), acknowledged, closed, all
//	from,to  2026-11-22T21:20:11Z, or now-24h
//	q        a condition in EQL or KQL, or words
//	f        field:value, -field:value, field (it is there), -field; several
//	by       a field to group by; up to three
//	sort     a field; asc=1
//	blocks   1: building blocks too
//	after, before, upto, n
//	t        abs
type ask struct {
	Status   string
	From, To string
	Q        string
	Filters  []filter
	By       []string
	Sort     string
	Asc      bool
	Blocks   bool
	After    store.Cursor
	Before   store.Cursor
	Upto     int64
	N        int
	T        string
}

// A filter is a value that a field has to have, or not.
type filter struct {
	Field, Value string
	Not, Any     bool // Any: whatever the value is
}

func (f filter) String() string {
	s := f.Field
	if !f.Any {
		s += ":" + f.Value
	}
	if f.Not {
		s = "-" + s
	}
	return s
}

func parseFilter(s string) (f filter, ok bool) {
	s, f.Not = strings.CutPrefix(s, "-")
	var valued bool
	f.Field, f.Value, valued = strings.Cut(s, ":")
	f.Any = !valued
	return f, f.Field != "" && len(f.Field) <= 256
}

const (
	pageSize = 50
	mostPage = 200
)

var statuses = []string{"open", "acknowledged", "closed", "all"}

// parseAsk reads a URL's query. What it cannot read is a problem.
func parseAsk(v url.Values) (*ask, error) {
	a := &ask{
		Status: v.Get("status"), From: v.Get("from"), To: v.Get("to"), Q: strings.TrimSpace(v.Get("q")), Sort: v.Get("sort"), Asc: v.Get("asc") == "1",
		Blocks: v.Get("blocks") == "1", After: store.Cursor(v.Get("after")), Before: store.Cursor(v.Get("before")), T: v.Get("t"),
	}
	bad := func(format string, args ...any) (*ask, error) {
		return nil, &problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
	}
	if a.Status == "" {
		a.Status = "open"
	}
	if !contains(statuses, a.Status) {
		return bad("status %q: expected %s.", plain(a.Status, 50), strings.Join(statuses, ", "))
	}
	for _, text := range v["f"] {
		f, ok := parseFilter(text)
		if !ok {
			return bad("f=%q: expected field:value, or -field:value.", plain(text, 100))
		}
		if !slices.Contains(a.Filters, f) {
			a.Filters = append(a.Filters, f)
		}
	}
	for _, f := range v["by"] {
		if f != "" && !contains(a.By, f) {
			a.By = append(a.By, f)
		}
	}
	if len(a.By) > 3 {
		return bad("Grouped by %d fields: expected at most 3.", len(a.By))
	}
	if t := v.Get("upto"); t != "" {
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil || n < 0 {
			return bad("upto %q: expected a number.", plain(t, 50))
		}
		a.Upto = n
	}
	a.N = pageSize
	if t := v.Get("n"); t != "" {
		n, err := strconv.Atoi(t)
		if err != nil || n < 1 || n > mostPage {
			return bad("n %q: expected 1 to %d.", plain(t, 50), mostPage)
		}
		a.N = n
	}
	if a.T != "abs" {
		a.T = ""
	}
	return a, nil
}

// values are those of a URL that asks for the same.
func (a *ask) values() url.Values {
	v := url.Values{}
	set := func(k, s string) {
		if s != "" {
			v.Set(k, s)
		}
	}
	if a.Status != "open" {
		set("status", a.Status)
	}
	set("from", a.From)
	set("to", a.To)
	set("q", a.Q)
	for _, f := range a.Filters {
		v.Add("f", f.String())
	}
	for _, f := range a.By {
		v.Add("by", f)
	}
	set("sort", a.Sort)
	if a.Asc {
		v.Set("asc", "1")
	}
	if a.Blocks {
		v.Set("blocks", "1")
	}
	set("after", string(a.After))
	set("before", string(a.Before))
	if a.Upto > 0 && (a.After != "" || a.Before != "") {
		v.Set("upto", strconv.FormatInt(a.Upto, 10))
	}
	if a.N != pageSize && a.N != 0 {
		v.Set("n", strconv.Itoa(a.N))
	}
	set("t", a.T)
	return v
}

// URL is that of the page of alerts which asks for this.
func (a *ask) URL() string { return a.path("/alerts") }

func (a *ask) path(p string) string {
	if q := a.values().Encode(); q != "" {
		return p + "?" + q
	}
	return p
}

// with is a changed copy, that begins at the first page.
func (a *ask) with(change func(*ask)) *ask {
	b := *a
	b.Filters, b.By = slices.Clone(a.Filters), slices.Clone(a.By)
	b.After, b.Before, b.Upto = "", "", 0
	change(&b)
	return &b
}

// Filter is the URL of this with one filter more, or without it if there is one.
func (a *ask) filter(f filter) string {
	return a.with(func(b *ask) {
		if i := slices.Index(b.Filters, f); i >= 0 {
			b.Filters = slices.Delete(b.Filters, i, i+1)
			return
		}
		other := f
		other.Not = !f.Not
		b.Filters = slices.DeleteFunc(b.Filters, func(g filter) bool { return g == other })
		b.Filters = append(b.Filters, f)
	}).URL()
}

// longValue is the longest value that + and − offer: it goes into a URL.
const longValue = 1024

// Plus is the URL with only alerts that have the value, Minus with only others.
func (a *ask) Plus(field, value string) string { return a.filter(filter{Field: field, Value: value}) }
func (a *ask) Minus(field, value string) string {
	return a.filter(filter{Field: field, Value: value, Not: true})
}

// moment reads a time: a date, or now less a duration.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if rest, ok := strings.CutPrefix(text, "now"); ok {
		if rest == "" {
			return now, nil
		}
		if d, err := span(strings.TrimPrefix(rest, "-")); err == nil && rest[0] == '-' {
			return now.Add(-d), nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &problem{http.StatusBadRequest, fmt.Sprintf("Time %q: expected one such as now-24h or 2026-11-22T21:20:00Z.", plain(text, 50))}
}

// span reads a duration of one unit: s, m, h, d, w.
func span(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if len(text) < 2 || len(text) > 8 {
		return 0, errors.New("expected a duration such as 24h or 7d")
	}
	n, err := strconv.Atoi(text[:len(text)-1])
	unit := units[text[len(text)-1]]
	if err != nil || unit == 0 || n < 0 || n > 100_000 {
		return 0, errors.New("expected a duration such as 24h or 7d")
	}
	return time.Duration(n) * unit, nil
}

// A found is how the text of the query bar was understood.
type found struct {
	Language string // EQL, KQL or words
	Wrong    string // what is wrong with it
	Where    string // the text up to the mistake
	Hints    []hint
}

// A hint is about a piece of the text that was understood, but hardly meant so.
type hint struct {
	Start, End  int // bytes
	Piece, Says string
}

// hints are those of a result, but for fields that are known though no alert has them.
func (s *Server) hints(text string, of []store.Hint) (hints []hint) {
	for _, h := range of {
		x := hint{h.Start, h.End, text[h.Start:h.End], "is no number, and " + plain(h.Field, 200) + " has numbers alone"}
		if h.Absent {
			x.Says = "is a field that no alert has"
			if s.o.Known != nil {
				known, near := s.o.Known(h.Field)
				if known {
					continue
				}
				if near != "" {
					x.Says += " (" + near + ")"
				}
			}
		}
		hints = append(hints, x)
	}
	return hints
}

// query is what the store is asked. A mistake in the query bar is told in found.
func (a *ask) query(now time.Time) (*store.Query, found, error) {
	var how found
	q := &store.Query{After: a.After, Before: a.Before, Upto: a.Upto, Limit: a.N, Sort: store.Sort{Field: a.Sort, Ascending: a.Asc}}
	var err error
	if q.From, err = moment(a.From, now); err != nil {
		return nil, how, err
	}
	if q.To, err = moment(a.To, now); err != nil {
		return nil, how, err
	}
	if a.Status != "all" {
		q.Filters = append(q.Filters, store.Filter{Field: store.FieldStatus, Values: []string{a.Status}})
	}
	if !a.Blocks {
		q.Filters = append(q.Filters, store.Filter{Field: fieldBlock, Not: true})
	}
	q.Filters = append(q.Filters, storeFilters(a.Filters)...)
	if a.Q != "" {
		if how.Language, err = q.Ask(a.Q); err != nil {
			how.Wrong = err.Error()
			var errs syntax.Errors
			if errors.As(err, &errs) && len(errs) > 0 {
				how.Wrong = errs[0].Msg
				if errs[0].Hint != "" {
					how.Wrong += " (" + errs[0].Hint + ")"
				}
				how.Where = a.Q[:min(max(errs[0].Range.Start, 0), len(a.Q))]
			}
		}
	}
	if err := q.Check(); err != nil {
		return nil, how, &problem{http.StatusBadRequest, "The query is refused: " + err.Error() + "."}
	}
	return q, how, nil
}

// storeFilters are filters as the store has them: values of one field are alternatives.
func storeFilters(fs []filter) []store.Filter {
	var out []store.Filter
next:
	for _, f := range fs {
		if f.Any {
			out = append(out, store.Filter{Field: f.Field, Not: f.Not})
			continue
		}
		for i := range out {
			if out[i].Field == f.Field && out[i].Not == f.Not && len(out[i].Values) > 0 {
				out[i].Values = append(out[i].Values, f.Value)
				continue next
			}
		}
		out = append(out, store.Filter{Field: f.Field, Not: f.Not, Values: []string{f.Value}})
	}
	return out
}
