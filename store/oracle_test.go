package store_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/store"
	"github.com/orlop/orlop/store/storetest"
)

// An oracle answers queries by looking at each alert, as their documentation says.
type oracle struct {
	rows []*oracleRow // in order of seq
}

type oracleRow struct {
	seq    int64
	id     string
	time   time.Time
	doc    map[string]any // flat
	fields map[string]any // as set
	flow   store.Workflow
}

// values are the texts of a field, each once.
func (r *oracleRow) values(field string) (out []string) {
	add := func(v any) {
		if t := fmt.Sprint(v); v != nil && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	switch field {
	case store.FieldStatus:
		add(string(r.flow.Status))
	case store.FieldTags:
		for _, t := range r.flow.Tags {
			add(t)
		}
	case store.FieldReason:
		if r.flow.Reason != "" {
			add(r.flow.Reason)
		}
	default:
		switch v := r.doc[field].(type) {
		case []any:
			for _, w := range v {
				add(w)
			}
		default:
			add(v)
		}
	}
	return out
}

func (r *oracleRow) passes(f store.Filter) bool {
	vs := r.values(f.Field)
	yes := len(vs) > 0
	if len(f.Values) > 0 {
		yes = slices.ContainsFunc(vs, func(v string) bool { return slices.Contains(f.Values, v) })
	}
	return yes != f.Not
}

// selects reports whether a query does, the filters on one field that choose left out.
func (r *oracleRow) selects(q *store.Query, without string) bool {
	if !q.From.IsZero() && r.time.Before(q.From) || !q.To.IsZero() && !r.time.Before(q.To) || r.seq <= q.Since || q.Upto > 0 && r.seq > q.Upto {
		return false
	}
	for _, f := range q.Filters {
		if !(f.Field == without && !f.Not && len(f.Values) > 0) && !r.passes(f) {
			return false
		}
	}
	for _, w := range strings.Fields(q.Text) {
		if !slices.ContainsFunc(store.TextFields(), func(f string) bool {
			return slices.ContainsFunc(r.values(f), func(v string) bool { return strings.Contains(strings.ToLower(v), strings.ToLower(w)) })
		}) {
			return false
		}
	}
	return true
}

// where is those rows of which a condition holds for the document with its workflow.
func where(t *testing.T, text string, rows []*oracleRow) (out []*oracleRow) {
	if text == "" {
		return rows
	}
	s := event.NewSchema()
	d := event.NewDecoder(s)
	p, err := store.ParseWhereIn(text, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		all := maps.Clone(r.fields)
		all[store.FieldStatus] = string(r.flow.Status)
		all[store.FieldTags] = r.flow.Tags
		doc, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		if err := d.Decode(doc, &e); err != nil {
			t.Fatal(err)
		}
		if p.Match(&e) {
			out = append(out, r)
		}
	}
	return out
}

func (o *oracle) choose(t *testing.T, q *store.Query, cond, without string) (out []*oracleRow) {
	for _, r := range o.rows {
		if r.selects(q, without) {
			out = append(out, r)
		}
	}
	return where(t, cond, out)
}

// key is what a row is sorted by: numbers before texts, and nothing last.
func (r *oracleRow) key(field string) (kind int, num float64, text string) {
	if field == "" {
		return 0, float64(r.time.UnixNano()), ""
	}
	vs := r.values(field)
	if len(vs) == 0 {
		return 2, 0, ""
	}
	return 1, 0, slices.Min(vs)
}

func (o *oracle) sorted(rows []*oracleRow, s store.Sort) []*oracleRow {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b *oracleRow) int {
		ak, an, at := a.key(s.Field)
		bk, bn, bt := b.key(s.Field)
		if (ak == 2) != (bk == 2) {
			return cmp.Compare(ak, bk)
		}
		c := cmp.Or(cmp.Compare(an, bn), cmp.Compare(at, bt), cmp.Compare(a.seq, b.seq))
		if !s.Ascending {
			return -c
		}
		return c
	})
	return rows
}

func facetOf(rows []*oracleRow, f store.Facet) store.FacetResult {
	r := store.FacetResult{Field: f.Field}
	n := map[string]int{}
	for _, row := range rows {
		vs := row.values(f.Field)
		if len(vs) == 0 {
			r.Missing++
		}
		for _, v := range vs {
			n[v]++
		}
	}
	for v, c := range n {
		r.Values = append(r.Values, store.Count{Value: v, Count: c})
	}
	slices.SortFunc(r.Values, func(a, b store.Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	r.Distinct = len(n)
	r.Values = r.Values[:min(len(r.Values), cmp.Or(f.Limit, 10))]
	return r
}

var (
	oracleFields = []string{"host.name", "process.name", "user.name", "process.args", "n", "flag", "nothing"}
	oracleWords  = []string{"a", "b", "c", "Ab", "é", "x\x00y", "'; --", "*"}
	oracleWheres = []string{`host.name == "a"`, `process.args : "*b*" and not user.name == "c"`, `n > 2 or flag == true`, `concat(host.name, user.name) == "aa"`, `length(process.name) == 1`,
		`kibana.alert.workflow_status != "closed" and kibana.alert.workflow_tags == "t"`, `nothing != null`, `not nothing == "x"`}
)

// add makes the next alert, of what the choices say.
func (o *oracle) add(t testing.TB, choose func(n int) int) *alert.Alert {
	word := func() string { return oracleWords[choose(len(oracleWords))] }
	at := now.Add(time.Duration(choose(101)-50) * time.Minute)
	m := map[string]any{}
	for _, f := range oracleFields[:3] {
		if choose(5) > 0 {
			m[f] = word()
		}
	}
	switch choose(4) {
	case 0:
		m["process.args"] = word()
	case 1, 2:
		l := []any{}
		for range choose(5) {
			l = append(l, word())
		}
		m["process.args"] = l
	}
	switch choose(4) {
	case 0:
		m["n"] = choose(6)
	case 1:
		m["n"] = fmt.Sprint(choose(6)) // the same text
	case 2:
		m["flag"] = choose(2) == 0
	}
	seq := len(o.rows) + 1
	id := fmt.Sprint("id", seq)
	all := map[string]any{"@timestamp": at.Format("2006-01-02T15:04:05.000Z")}
	maps.Copy(all, m)
	flat := map[string]any{"kibana.alert.rule.name": "ctr runs", "kibana.alert.severity": "high"}
	maps.Copy(flat, m)
	o.rows = append(o.rows, &oracleRow{seq: int64(seq), id: id, time: at, doc: flat, fields: all, flow: store.Workflow{Status: store.StatusOpen}})
	return newAlert(t, id, all)
}

// Whatever is asked, the store and one that looks at each alert say the same: while
// alerts come, are worked with and go, and over restarts.
func TestOracle(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		rapid.Check(t, func(rt *rapid.T) {
			if isSQLite(name) {
				name = sqliteName(t)
			} else {
				name = storetest.Postgres(t)
			}
			s := open(t, name)
			defer func() { s.Close() }()
			o := &oracle{}
			insertSome := func(n int) {
				var as []*alert.Alert
				for range n {
					as = append(as, o.add(t, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "choice") }))
				}
				insert(t, s, as...)
			}
			insertSome(rapid.IntRange(0, 30).Draw(rt, "first"))
			for range rapid.IntRange(1, 6).Draw(rt, "steps") {
				switch rapid.IntRange(0, 5).Draw(rt, "step") {
				case 0:
					insertSome(rapid.IntRange(1, 10).Draw(rt, "more"))
				case 1, 2:
					var ids []string
					status := rapid.SampledFrom([]store.Status{store.StatusOpen, store.StatusAcknowledged, store.StatusClosed}).Draw(rt, "status")
					for _, r := range o.rows {
						if rapid.Bool().Draw(rt, "chosen") {
							ids = append(ids, r.id)
							r.flow.Status, r.flow.Reason = status, ""
							r.flow.Tags = []string{"t"}
						}
					}
					if _, err := s.Update(t.Context(), ann, now, ids, store.Change{Status: status, Tag: []string{"t"}}); err != nil {
						rt.Fatal(err)
					}
				case 3:
					s.Close()
					s = open(t, name)
				}
				checkOracle(rt, t, s, o)
			}
		})
	})
}

// Over several blocks, with a part of one removed, and alerts that people work with.
func TestOracleOfBlocks(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := open(t, name)
		o := &oracle{}
		r := rand.New(rand.NewPCG(1, 2))
		fill := func(n int, at time.Time) {
			var as []*alert.Alert
			for range n {
				as = append(as, o.add(t, r.IntN))
			}
			for part := range slices.Chunk(as, 500) {
				if _, err := s.Insert(t.Context(), at, part); err != nil {
					t.Fatal(err)
				}
			}
		}
		work := func() {
			var ids []string
			for _, row := range o.rows {
				if r.IntN(3) == 0 && len(ids) < 5000 {
					ids = append(ids, row.id)
					row.flow.Status, row.flow.Tags = store.StatusClosed, []string{"t"}
				}
			}
			if _, err := s.Update(t.Context(), ann, now, ids, store.Change{Status: store.StatusClosed, Tag: []string{"t"}}); err != nil {
				t.Fatal(err)
			}
		}
		fill(store.BlockRows+1000, now)
		query(t, s, store.Query{Facets: []store.Facet{{Field: "host.name"}, {Field: "process.args"}}})
		fill(100, now.Add(time.Hour))
		work()
		check := func() {
			t.Helper()
			rapid.Check(t, func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "check") == 0 {
					checkOracle(rt, t, s, o)
				}
			})
		}
		check()
		// A block is full while its columns are in memory.
		fill(2*store.BlockRows, now.Add(2*time.Hour))
		check()
		if f := verify(t, s); f != nil {
			t.Fatal(f)
		}
		// Half of the first block is gone, then all of it and some of the next.
		for _, n := range []int{store.BlockRows / 2, store.BlockRows + 1000} {
			if err := s.RemoveUpto(t.Context(), now, int64(n)); err != nil {
				t.Fatal(err)
			}
			o.rows = o.rows[n-(int(o.rows[0].seq)-1):]
			check()
		}
		s.Close()
		s = open(t, name)
		check()
		if f := verify(t, s); f != nil {
			t.Fatal(f)
		}
		edit(t, name, "UPDATE field SET data = (SELECT data FROM field WHERE block = 2 AND name = ?) WHERE block = 2 AND name = ?", []byte("=user.name"), []byte("=host.name"))
		if f := verify(t, s); len(f) != 1 || !strings.Contains(f[0], "orlop store rebuild makes them anew") {
			t.Errorf("columns that were changed: %s", f)
		}
		if err := s.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		check()
		if f := verify(t, s); f != nil {
			t.Fatal(f)
		}
	})
}

func checkOracle(rt *rapid.T, t *testing.T, s *store.Store, o *oracle) {
	field := rapid.SampledFrom(append([]string{store.FieldStatus, store.FieldTags}, oracleFields...))
	word := rapid.SampledFrom(oracleWords)
	var q store.Query
	if rapid.Bool().Draw(rt, "from") {
		q.From = now.Add(time.Duration(rapid.IntRange(-60, 60).Draw(rt, "from")) * time.Minute)
	}
	if rapid.Bool().Draw(rt, "to") {
		q.To = now.Add(time.Duration(rapid.IntRange(-60, 60).Draw(rt, "to")) * time.Minute)
	}
	for range rapid.IntRange(0, 3).Draw(rt, "filters") {
		f := store.Filter{Field: field.Draw(rt, "field"), Not: rapid.Bool().Draw(rt, "not")}
		for range rapid.IntRange(0, 2).Draw(rt, "values") {
			f.Values = append(f.Values, rapid.OneOf(word, rapid.SampledFrom([]string{"open", "closed", "t", "3", "true"})).Draw(rt, "value"))
		}
		q.Filters = append(q.Filters, f)
	}
	cond := ""
	if rapid.IntRange(0, 2).Draw(rt, "where") == 0 {
		cond = rapid.SampledFrom(oracleWheres).Draw(rt, "condition")
		var err error
		if q.Where, err = store.ParseWhere(cond); err != nil {
			rt.Fatal(err)
		}
	}
	if rapid.IntRange(0, 3).Draw(rt, "text") == 0 {
		q.Text = rapid.SampledFrom([]string{"a", "AB", "ctr É", "b c", "*", "'; x"}).Draw(rt, "text")
	}
	if rapid.IntRange(0, 4).Draw(rt, "bounded") == 0 {
		q.Since, q.Upto = int64(rapid.IntRange(0, 10).Draw(rt, "since")), int64(rapid.IntRange(1, 30).Draw(rt, "upto"))
	}
	q.Sort.Ascending = rapid.Bool().Draw(rt, "ascending")
	if rapid.Bool().Draw(rt, "sort") {
		q.Sort.Field = rapid.SampledFrom([]string{"host.name", "process.args", store.FieldStatus, "nothing"}).Draw(rt, "sort")
	}
	q.Limit = rapid.IntRange(0, 8).Draw(rt, "limit")
	for range rapid.IntRange(0, 3).Draw(rt, "facets") {
		q.Facets = append(q.Facets, store.Facet{Field: field.Draw(rt, "facet"), Limit: rapid.IntRange(0, 4).Draw(rt, "facet limit")})
	}
	for range rapid.IntRange(0, 3).Draw(rt, "groups") {
		q.GroupBy = append(q.GroupBy, field.Draw(rt, "group"))
	}
	q.Histogram = &store.Histogram{Interval: 7 * time.Minute, By: rapid.SampledFrom([]string{"", "host.name", "process.args"}).Draw(rt, "by")}

	rows := o.choose(t, &q, cond, "")
	sorted := o.sorted(rows, q.Sort)
	got, err := s.Query(t.Context(), &q)
	if err != nil {
		rt.Fatal(err)
	}
	same := func(what string, want, got any) {
		if d := gocmp.Diff(want, got); d != "" {
			rt.Fatalf("%s of %+v where %q: want -, got +\n%s", what, q, cond, d)
		}
	}
	same("total", len(rows), got.Total)
	wantIDs := func(rows []*oracleRow) (out []string) {
		for _, r := range rows {
			out = append(out, r.id)
		}
		return out
	}
	same("page", wantIDs(sorted[:min(q.Limit, len(sorted))]), ids(got.Records))
	for i, f := range q.Facets {
		want := facetOf(o.choose(t, &q, cond, f.Field), f)
		if len(want.Values) == 0 {
			want.Values = got.Facets[i].Values[:0]
		}
		same("facet", want, got.Facets[i])
	}
	// All pages, there and back.
	if q.Limit > 0 {
		var there []string
		p := q
		p.Facets, p.GroupBy, p.Histogram = nil, nil, nil
		var last *store.Result
		for {
			r, err := s.Query(t.Context(), &p)
			if err != nil {
				rt.Fatal(err)
			}
			if r.Newer != (len(there) > 0) || r.Older != (len(there)+len(r.Records) < len(sorted)) {
				rt.Fatalf("newer %v, older %v at %d of %d", r.Newer, r.Older, len(there), len(sorted))
			}
			there = append(there, ids(r.Records)...)
			last = r
			if !r.Older || len(there) > 100 {
				break
			}
			p.After = r.Records[len(r.Records)-1].Cursor
		}
		same("pages", wantIDs(sorted[:len(there)]), there)
		if n := len(last.Records); n > 0 {
			p.After, p.Before = "", last.Records[0].Cursor
			r, err := s.Query(t.Context(), &p)
			if err != nil {
				rt.Fatal(err)
			}
			before := sorted[:len(there)-n]
			same("page before", wantIDs(before[max(0, len(before)-q.Limit):]), ids(r.Records))
			if r.Newer != (len(before) > q.Limit) || !r.Older && len(before)+n > 0 {
				rt.Fatalf("newer %v, older %v of the page before", r.Newer, r.Older)
			}
		}
	}
	var listed []string
	for r, err := range s.Records(t.Context(), &q) {
		if err != nil {
			rt.Fatal(err)
		}
		listed = append(listed, r.Alert.ID)
	}
	same("records", wantIDs(sorted), listed)

	buckets := map[int64]*store.Bucket{}
	counts := map[int64]map[string]int{}
	top := facetOf(rows, store.Facet{Field: q.Histogram.By})
	for _, r := range rows {
		at := r.time.UnixNano()
		start := at - at%int64(q.Histogram.Interval)
		b := buckets[start]
		if b == nil {
			b = &store.Bucket{Start: time.Unix(0, start).UTC()}
			buckets[start] = b
		}
		b.Count++
		if counts[start] == nil {
			counts[start] = map[string]int{}
		}
		for _, v := range r.values(q.Histogram.By) {
			counts[start][v]++
		}
	}
	var hist []store.Bucket
	for start, b := range buckets {
		if q.Histogram.By != "" {
			for _, v := range top.Values {
				if n := counts[start][v.Value]; n > 0 {
					b.By = append(b.By, store.Count{Value: v.Value, Count: n})
				}
			}
		}
		hist = append(hist, *b)
	}
	slices.SortFunc(hist, func(a, b store.Bucket) int { return a.Start.Compare(b.Start) })
	if len(hist) > 0 || len(got.Histogram) > 0 {
		same("histogram", hist, got.Histogram)
	}
	if len(q.GroupBy) == 0 {
		return
	}
	groups := map[string]*store.Group{}
	for _, r := range rows {
		var expand func(k int, vs []store.GroupValue)
		expand = func(k int, vs []store.GroupValue) {
			if k == len(q.GroupBy) {
				key := fmt.Sprintf("%#v", vs)
				g := groups[key]
				if g == nil {
					g = &store.Group{Values: slices.Clone(vs), First: r.time, Last: r.time}
					groups[key] = g
				}
				g.Count++
				if r.time.Before(g.First) {
					g.First = r.time
				}
				if r.time.After(g.Last) {
					g.Last = r.time
				}
				return
			}
			vals := r.values(q.GroupBy[k])
			if len(vals) == 0 {
				expand(k+1, append(vs, store.GroupValue{Missing: true}))
			}
			for _, v := range vals {
				expand(k+1, append(vs, store.GroupValue{Value: v}))
			}
		}
		expand(0, nil)
	}
	want := slices.SortedFunc(maps.Values(groups), func(a, b *store.Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.CompareFunc(a.Values, b.Values, func(v, w store.GroupValue) int {
			if v.Missing != w.Missing {
				if v.Missing {
					return 1
				}
				return -1
			}
			return cmp.Compare(v.Value, w.Value)
		}))
	})
	var wantGroups []store.Group
	for _, g := range want[:min(len(want), 100)] {
		wantGroups = append(wantGroups, *g)
	}
	same("groups", wantGroups, got.Groups)
	same("number of groups", len(want), got.AllGroups)
}
