package store

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/expr"
)

// Fields of an alert that people change. They are as Elastic Security has them, and
// asked for like any other.
const (
	FieldStatus    = "kibana.alert.workflow_status"
	FieldReason    = "kibana.alert.workflow_reason"
	FieldTags      = "kibana.alert.workflow_tags"
	FieldAssignees = "kibana.alert.workflow_assignee_ids"
	FieldUser      = "kibana.alert.workflow_user"              // who changed the status last
	FieldUpdated   = "kibana.alert.workflow_status_updated_at" // and when
)

// TextFields are those that Query.Text is looked for in.
func TextFields() []string {
	return []string{
		"kibana.alert.rule.name", "kibana.alert.rule.description", "kibana.alert.rule.tags",
		"message", "event.action", "host.name", "user.name", "process.name", "process.executable", "process.command_line",
		"process.parent.name", "process.parent.executable", "process.parent.command_line", "container.id", "container.name",
		"container.image.name", "file.path", "source.ip", "destination.ip", FieldTags,
	}
}

// A Query asks for alerts: one page of them, and what all that it selects have in common.
// Every part is optional; the zero Query selects all and returns none, but their number.
//
// Any field of an alert's document may be named. Its values are compared as text, as
// facets give them: numbers in Java's notation, true and false. A field that is a list
// has each of its elements. Of a text longer than 8,191 bytes a query sees the beginning;
// the record has all of it.
type Query struct {
	From, To time.Time // of @timestamp: From <= t < To; zero is no bound
	Filters  []Filter  // all hold
	Where    expr.Pred // holds for the document; nil is none. See ParseWhere and Ask
	Text     string    // words, each of which is somewhere in one of TextFields; case does not count

	// Since and Upto bound Record.Seq: Since < seq <= Upto; 0 is no bound. With the
	// Head of a first Result as Upto, later pages do not move when alerts arrive; with
	// it as Since, Total is how many have arrived.
	Since, Upto int64

	Sort  Sort
	Limit int // most records of a page

	// A page begins behind the record that After is the Cursor of, or ends before that
	// of Before. With neither it is the first.
	After, Before Cursor

	Facets    []Facet
	Histogram *Histogram
	GroupBy   []string // one to three fields
	Groups    int      // most groups, those of most alerts first; 0 is 100

	asked []mention // of the text that Ask took
}

// A Filter selects alerts by the values of a field.
type Filter struct {
	Field  string
	Values []string // the field has one of them; none: the field has any value
	Not    bool     // selects the other alerts
}

// Sort is the order of records: by @timestamp, latest first, if it is zero. Alerts
// without the field come last; among equals, the latest that was stored comes first, or
// last with Ascending.
type Sort struct {
	Field     string // "" is @timestamp
	Ascending bool
}

// A Cursor is the place of a record in an order, fit for a URL. It stays good when the
// record is gone.
type Cursor string

// A Facet asks for the values of a field, and how many alerts have each.
//
// Filters on the field itself that name values and are not Not do not count for it, so
// that the other values which could be chosen are seen.
type Facet struct {
	Field string
	Limit int // most values; 0 is 10
}

// A Histogram asks for numbers of alerts by time.
type Histogram struct {
	Interval time.Duration // of a bucket, which begins at a multiple of it since 1970
	By       string        // also by the values of this field, if it is not "": at most ten of them
}

// A Result answers a Query.
type Result struct {
	Total   int   // alerts that are selected, of which Records are a page
	Head    int64 // Seq of the last alert that was there
	Records []*Record
	Newer   bool // there are records before the page
	Older   bool // there are records behind it

	Facets    []FacetResult // in the order of Query.Facets
	Histogram []Bucket      // in order of time, without empty ones
	Groups    []Group
	AllGroups int // how many there are

	Hints []Hint // about the text that Ask took, in its order
}

// A Count is a value and how many alerts have it.
type Count struct {
	Value string
	Count int
}

// A FacetResult is the values of a field, the most frequent first.
type FacetResult struct {
	Field    string
	Values   []Count
	Distinct int // how many values there are
	Missing  int // alerts without the field
}

// A Bucket is the alerts of a time.
type Bucket struct {
	Start time.Time
	Count int
	By    []Count // of Histogram.By, the most frequent of all buckets first; alerts with none of those ten are in none
}

// A Group is the alerts that have the same values. An alert with a list is in a group for
// each element; one without a field is in the group whose value is Missing.
type Group struct {
	Values []GroupValue // as many as Query.GroupBy
	Count  int
	First  time.Time // @timestamp of the earliest
	Last   time.Time // and of the latest
}

// A GroupValue is a value of a field, or says that there is none.
type GroupValue struct {
	Value   string
	Missing bool
}

// Limits of a query, beyond which it is an error.
const (
	MostRecords = 10_000
	MostFacets  = 50
	MostValues  = 10_000 // of a facet
	MostBuckets = 10_000
	MostGroups  = 10_000
	mostFilters = 100
	mostWords   = 16
)

// Check says what is wrong with a query.
func (q *Query) Check() error {
	switch {
	case q.Limit < 0 || q.Limit > MostRecords:
		return fmt.Errorf("limit %d: expected at most %d", q.Limit, MostRecords)
	case q.After != "" && q.Before != "":
		return errors.New("a page is after a record or before one, not both")
	case len(q.Facets) > MostFacets:
		return fmt.Errorf("%d facets: expected at most %d", len(q.Facets), MostFacets)
	case len(q.GroupBy) > 3:
		return fmt.Errorf("grouped by %d fields: expected at most 3", len(q.GroupBy))
	case q.Groups < 0 || q.Groups > MostGroups:
		return fmt.Errorf("%d groups: expected at most %d", q.Groups, MostGroups)
	case q.Histogram != nil && q.Histogram.Interval < time.Millisecond:
		return fmt.Errorf("histogram of %v: expected an interval of at least 1ms", q.Histogram.Interval)
	case len(q.Filters) > mostFilters:
		return fmt.Errorf("%d filters: expected at most %d", len(q.Filters), mostFilters)
	case len(words(q.Text)) > mostWords:
		return fmt.Errorf("more than %d words", mostWords)
	}
	for _, f := range q.Facets {
		if f.Limit < 0 || f.Limit > MostValues {
			return fmt.Errorf("facet %.100q of %d values: expected at most %d", f.Field, f.Limit, MostValues)
		}
	}
	return nil
}

// words are those that a text is to have.
func words(text string) []string { return strings.Fields(text) }

// A place is where a record is in an order: by key, then by seq.
type place struct {
	key int64
	seq int64
}

// An order compares places. Keys are times, or ranks of the values of a column.
type order struct {
	col       *column // nil: by time
	ascending bool
	missing   int64 // key of those without the field, which come last both ways
}

// less reports whether a comes before b.
func (o *order) compare(a, b place) int {
	c := cmp.Compare(a.key, b.key)
	if o.col != nil && (a.key >= o.missing) != (b.key >= o.missing) {
		return c // last
	}
	c = cmp.Or(c, cmp.Compare(a.seq, b.seq))
	if !o.ascending {
		return -c
	}
	return c
}

func (x *index) order(ctx context.Context, s Sort) (*order, error) {
	o := &order{ascending: s.Ascending}
	if s.Field == "" || s.Field == "@timestamp" {
		return o, nil
	}
	c, err := x.column(ctx, s.Field)
	if err != nil {
		return nil, err
	}
	o.col = c
	o.missing = 2 * int64(c.dict.rank()[0])
	return o, nil
}

// cursor is what a Cursor holds.
type cursor struct {
	Seq  int64   `json:"s"`
	Time int64   `json:"t,omitempty"`
	Kind byte    `json:"k,omitempty"`
	Num  float64 `json:"n,omitempty"`
	Text []byte  `json:"x,omitempty"`
}

// cursor is the cursor of a place.
func (o *order) cursor(p place) Cursor {
	c := cursor{Seq: p.seq}
	if o.col == nil {
		c.Time = p.key
	} else {
		k := keyOf(o.col.dict.values[o.col.dict.ordered[p.key/2]])
		c.Kind, c.Num, c.Text = k.kind+1, k.num, []byte(k.text)
	}
	b, _ := json.Marshal(c)
	return Cursor(base64.RawURLEncoding.EncodeToString(b))
}

// place is where a cursor is. A value that is gone is between two ranks.
func (o *order) place(cur Cursor) (p place, err error) {
	b, err := base64.RawURLEncoding.DecodeString(string(cur))
	var c cursor
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || (c.Kind == 0) != (o.col == nil) {
		return p, errors.New("the cursor is not of this order: leave it out")
	}
	p.seq = c.Seq
	if o.col == nil {
		p.key = c.Time
		return p, nil
	}
	d := o.col.dict
	want := sortKey{c.Kind - 1, c.Num, string(c.Text)}
	i, found := slices.BinarySearchFunc(d.ordered, want, func(id uint32, k sortKey) int { return keyOf(d.values[id]).compare(k) })
	if found {
		p.key = 2 * int64(d.ranks[d.ordered[i]])
	} else {
		p.key = 2*int64(i) - 1
	}
	return p, nil
}

// each calls f for each place of a selection. skip says of a block, by the latest and
// earliest time in it, that none of its rows is of interest.
func (o *order) each(sel *selection, skip func(b *blockInfo) bool, f func(place)) {
	x := sel.x
	var ranks []uint32
	if o.col != nil {
		ranks = o.col.dict.rank()
	}
	// The last blocks have the latest alerts: then the others can be skipped.
	for k := range x.blocks {
		i := k
		if !o.ascending {
			i = len(x.blocks) - 1 - k
		}
		info := x.blocks[i]
		if o.col == nil && skip != nil && skip(info) {
			continue
		}
		base := (x.first+int64(i))*blockRows + 1
		sel.bits[i].each(func(row int) {
			p := place{seq: base + int64(row)}
			if o.col == nil {
				p.key = info.times[row]
			} else {
				p.key = 2 * int64(ranks[o.col.chunks[i].at(row)])
			}
			f(p)
		})
	}
}

func (b *rowSet) each(f func(row int)) {
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			f(w*64 + bits.TrailingZeros64(word))
		}
	}
}

func (b *rowSet) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// best keeps the first n places of an order, the last of them on top.
type best struct {
	order func(a, b place) int
	all   []place
}

func (h *best) Len() int           { return len(h.all) }
func (h *best) Less(i, j int) bool { return h.order(h.all[i], h.all[j]) > 0 }
func (h *best) Swap(i, j int)      { h.all[i], h.all[j] = h.all[j], h.all[i] }
func (h *best) Push(v any)         { h.all = append(h.all, v.(place)) }
func (h *best) Pop() any {
	v := h.all[len(h.all)-1]
	h.all = h.all[:len(h.all)-1]
	return v
}

// page finds the places of a page, and whether there are others around it.
func (o *order) page(sel *selection, q *Query) (page []place, newer, older bool, err error) {
	compare := o.compare
	var from *place
	if cur := cmp.Or(q.After, q.Before); cur != "" {
		p, err := o.place(cur)
		if err != nil {
			return nil, false, false, err
		}
		from = &p
	}
	back := q.Before != ""
	if back {
		compare = func(a, b place) int { return o.compare(b, a) }
	}
	h := &best{order: compare}
	others := false // on the other side of the cursor
	skip := func(b *blockInfo) bool {
		if len(h.all) <= q.Limit || from != nil && !others {
			return false
		}
		// Of equal times the number decides.
		worst := h.all[0].key
		if o.ascending != back {
			return b.min > worst
		}
		return b.max < worst
	}
	o.each(sel, skip, func(p place) {
		if from != nil && compare(p, *from) <= 0 {
			others = others || p.seq != from.seq || p.key != from.key
			return
		}
		switch {
		case len(h.all) <= q.Limit:
			heap.Push(h, p)
		case compare(p, h.all[0]) < 0:
			h.all[0] = p
			heap.Fix(h, 0)
		}
	})
	slices.SortFunc(h.all, compare)
	more := len(h.all) > q.Limit
	page = h.all[:min(len(h.all), q.Limit)]
	// The record of the cursor itself is on the other side, if it is selected still.
	if from != nil && !others {
		o.each(sel, nil, func(p place) { others = others || p == *from })
	}
	if back {
		slices.Reverse(page)
		return page, more, others, nil
	}
	return page, others, more, nil
}

// Query answers a query.
//
// It reads columns, not documents, and keeps those that it has read in memory: two bytes
// an alert and column, and each different value once. The first query that names a field
// reads its column; the next are answered from memory.
func (s *Store) Query(ctx context.Context, q *Query) (*Result, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	x := s.index
	r, page, o, err := x.query(ctx, q)
	if err != nil {
		return nil, s.fail(err)
	}
	seqs := make([]int64, len(page))
	for i, p := range page {
		seqs[i] = p.seq
	}
	if r.Records, err = s.bySeq(ctx, seqs); err != nil {
		return nil, s.fail(err)
	}
	i := 0
	for _, rec := range r.Records {
		for page[i].seq != rec.Seq {
			i++
		}
		rec.Cursor = o[i]
	}
	return r, nil
}

func (x *index) query(ctx context.Context, q *Query) (r *Result, page []place, cursors []Cursor, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.refresh(ctx); err != nil {
		return nil, nil, nil, err
	}
	x.queries++
	defer x.evict(x.s.cacheBytes())
	c, err := x.conditions(ctx, q)
	if err != nil {
		return nil, nil, nil, err
	}
	sel := x.choose(c, "")
	r = &Result{Total: sel.n, Head: x.head}
	if r.Hints, err = x.hints(ctx, q.asked); err != nil {
		return nil, nil, nil, err
	}
	o, err := x.order(ctx, q.Sort)
	if err != nil {
		return nil, nil, nil, err
	}
	if q.Limit > 0 {
		if page, r.Newer, r.Older, err = o.page(sel, q); err != nil {
			return nil, nil, nil, err
		}
		for _, p := range page {
			cursors = append(cursors, o.cursor(p))
		}
	}
	for _, f := range q.Facets {
		in := sel
		if slices.ContainsFunc(c.filters, func(n filterNode) bool { return n.free && n.field == f.Field }) {
			in = x.choose(c, f.Field)
		}
		col, err := x.column(ctx, f.Field)
		if err != nil {
			return nil, nil, nil, err
		}
		r.Facets = append(r.Facets, in.facet(col, cmp.Or(f.Limit, 10)))
	}
	if q.Histogram != nil {
		var by *column
		if q.Histogram.By != "" {
			if by, err = x.column(ctx, q.Histogram.By); err != nil {
				return nil, nil, nil, err
			}
		}
		if r.Histogram, err = sel.histogram(int64(q.Histogram.Interval), by); err != nil {
			return nil, nil, nil, err
		}
	}
	if len(q.GroupBy) > 0 {
		var cols []*column
		for _, name := range q.GroupBy {
			col, err := x.column(ctx, name)
			if err != nil {
				return nil, nil, nil, err
			}
			cols = append(cols, col)
		}
		r.Groups, r.AllGroups = sel.groups(cols, cmp.Or(q.Groups, 100))
	}
	return r, page, cursors, nil
}

// Records are all that a query selects, in its order: Limit, After and Before, facets and
// the like do not count. Those that come while it runs are not among them. An error ends
// them.
func (s *Store) Records(ctx context.Context, q *Query) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		seqs, err := s.index.list(ctx, q)
		if err != nil {
			yield(nil, s.fail(err))
			return
		}
		for part := range slices.Chunk(seqs, 256) {
			recs, err := s.bySeq(ctx, part)
			if err != nil {
				yield(nil, s.fail(err))
				return
			}
			for _, r := range recs {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// list is the numbers of all that a query selects.
func (x *index) list(ctx context.Context, q *Query) ([]int64, error) {
	if err := q.Check(); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.refresh(ctx); err != nil {
		return nil, err
	}
	x.queries++
	defer x.evict(x.s.cacheBytes())
	c, err := x.conditions(ctx, q)
	if err != nil {
		return nil, err
	}
	sel := x.choose(c, "")
	o, err := x.order(ctx, q.Sort)
	if err != nil {
		return nil, err
	}
	all := make([]place, 0, sel.n)
	o.each(sel, nil, func(p place) { all = append(all, p) })
	slices.SortFunc(all, o.compare)
	seqs := make([]int64, len(all))
	for i, p := range all {
		seqs[i] = p.seq
	}
	return seqs, nil
}
