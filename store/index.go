package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orlop/orlop/event"
)

// An index is the columns that queries have read, in memory. It is empty until somebody
// asks, so a sensor without a console pays nothing. Before each query it is brought to
// what the database has.
type index struct {
	mu sync.Mutex
	s  *Store

	anchor  int64 // alerts up to it are gone
	head    int64 // the last alert that it knows
	first   int64 // number of the first block
	blocks  []*blockInfo
	columns map[string]*column
	flows   map[string]*column // those that people change
	rev     int64              // action that made the last change of them
	queries int64
}

type blockInfo struct {
	core
	min, max int64    // of times
	built    *builder // has its columns, if the database does not yet
}

func (b *blockInfo) rows() int { return len(b.times) }

func (b *blockInfo) bounds(from int) {
	for i, t := range b.times[from:] {
		if from+i == 0 {
			b.min, b.max = t, t
		}
		b.min, b.max = min(b.min, t), max(b.max, t)
	}
}

func newIndex(s *Store) *index {
	x := &index{s: s}
	x.reset(0)
	return x
}

func (x *index) reset(anchor int64) {
	x.anchor, x.head, x.first, x.rev = anchor, anchor, anchor/blockRows, 0
	x.blocks = nil
	x.columns, x.flows = map[string]*column{}, map[string]*column{}
	for _, name := range workflowFields {
		x.flows[name] = &column{name: name, dict: newDict(), flow: true}
	}
}

// refresh brings the index to what the database has. The caller holds mu.
func (x *index) refresh(ctx context.Context) error {
	s := x.s
	var anchor, head, acts Head
	err := s.snapshot(ctx, func(t *tx) (err error) {
		if anchor, err = t.anchor(alertChain); err != nil {
			return err
		}
		if head, err = t.head(alertChain); err != nil {
			return err
		}
		acts, err = t.head(actionChain)
		return err
	})
	if err != nil {
		return err
	}
	if anchor.Seq < x.anchor || head.Seq < x.head || anchor.Seq > x.head {
		x.reset(anchor.Seq) // another database, or nothing of what was known is left
	}
	x.drop(anchor.Seq)
	if head.Seq > x.head {
		if !s.o.ReadOnly && head.Seq/blockRows > x.head/blockRows {
			if err := s.seal(ctx); err != nil {
				s.log().Warn("store: make columns: they are in memory only", "err", s.fail(err))
			}
		}
		if err := x.grow(ctx, head.Seq); err != nil {
			x.reset(anchor.Seq)
			return err
		}
	}
	if acts.Seq > x.rev {
		return x.workflow(ctx, acts.Seq)
	}
	return nil
}

// drop forgets alerts that are gone.
func (x *index) drop(anchor int64) {
	x.anchor = anchor
	n := int(min(anchor/blockRows-x.first, int64(len(x.blocks))))
	if n <= 0 {
		return
	}
	x.first += int64(n)
	x.blocks = slices.Delete(x.blocks, 0, n)
	for _, c := range x.flows {
		c.chunks = slices.Delete(c.chunks, 0, min(n, len(c.chunks)))
	}
	// Their values would stay: they are read again when they are asked for.
	clear(x.columns)
}

// grow reads alerts up to head.
func (x *index) grow(ctx context.Context, head int64) error {
	cores := map[int64][]byte{}
	err := x.s.read(ctx).rows("SELECT n, data FROM block WHERE n >= ?", []any{x.head / blockRows}, func(scan func(...any) error) error {
		var n int64
		var data []byte
		err := scan(&n, &data)
		cores[n] = data
		return err
	})
	if err != nil {
		return err
	}
	for x.head < head {
		n := x.head / blockRows
		at := int(n - x.first)
		if at == len(x.blocks) {
			x.blocks = append(x.blocks, &blockInfo{})
		}
		for _, c := range x.columns {
			c.chunks = c.chunks[:min(at, len(c.chunks))]
		}
		b := x.blocks[at]
		if data := cores[n]; data != nil {
			if b.core, err = decodeCore(x.s.press.dec, data); err != nil {
				return fmt.Errorf("block %d: %w", n, err)
			}
			b.built = nil
			b.bounds(0)
			x.head = (n + 1) * blockRows
			continue
		}
		if b.built == nil {
			b.built = newBuilder()
			b.built.skip(int(max(x.anchor-n*blockRows, 0)))
		}
		from := b.built.rows()
		upto := min(head, (n+1)*blockRows)
		err := x.s.build(ctx, b.built, n*blockRows+int64(from), upto)
		if err != nil {
			return err
		}
		b.core = b.built.core
		b.bounds(from)
		x.head = upto
	}
	open := event.String(string(StatusOpen))
	for name, c := range x.flows {
		v := uint32(0)
		if name == FieldStatus {
			v = c.dict.id(open)
		}
		for i, b := range x.blocks {
			if i == len(c.chunks) {
				c.chunks = append(c.chunks, &part{values: []uint32{v}})
			}
			// Rows that are new have the first value.
			for p := c.chunks[i]; p.ids != nil && len(p.ids) < b.rows(); {
				p.ids = append(p.ids, 0)
			}
		}
	}
	return nil
}

// workflow reads what people have changed.
func (x *index) workflow(ctx context.Context, upto int64) error {
	err := x.s.read(ctx).rows("SELECT alert, rev, data FROM workflow WHERE rev > ? AND alert <= ?", []any{x.rev, x.head}, func(scan func(...any) error) error {
		var seq, rev int64
		var data []byte
		if err := scan(&seq, &rev, &data); err != nil {
			return err
		}
		w, err := readWorkflow(data)
		if err != nil {
			return fmt.Errorf("workflow of alert %d: %w", seq, err)
		}
		block := int((seq-1)/blockRows - x.first)
		if seq <= x.anchor || block < 0 || block >= len(x.blocks) {
			return nil
		}
		fields := w.fields()
		for name, c := range x.flows {
			var elems []event.Value
			for _, v := range fields[name] {
				elems = append(elems, event.String(valid(v)))
			}
			id := uint32(0)
			if len(elems) > 0 {
				id = c.dict.id(event.List(elems))
			}
			c.chunks[block].set(int((seq-1)%blockRows), x.blocks[block].rows(), id)
		}
		return nil
	})
	if err == nil {
		x.rev = upto
	}
	return err
}

// column returns a column of all alerts, and reads what is missing of it.
func (x *index) column(ctx context.Context, name string) (*column, error) {
	if c := x.flows[name]; c != nil {
		return c, nil
	}
	c := x.columns[name]
	if c == nil {
		c = &column{name: name, dict: newDict()}
		x.columns[name] = c
	}
	c.used = x.queries
	if len(c.chunks) == len(x.blocks) {
		return c, nil
	}
	if err := x.load(ctx, c); err != nil {
		delete(x.columns, name)
		return nil, fmt.Errorf("field %.100q: %w", name, err)
	}
	return c, nil
}

func (x *index) load(ctx context.Context, c *column) error {
	from := len(c.chunks)
	type piece struct {
		n    int64
		data []byte
	}
	key := columnKey(c.name)
	last := x.first + int64(len(x.blocks))
	for from < len(x.blocks) && x.blocks[from].built == nil {
		var pieces []piece
		err := x.s.read(ctx).rows("SELECT block, data FROM field WHERE name = ? AND block >= ? AND block < ? ORDER BY block LIMIT 64", []any{key, x.first + int64(from), last}, func(scan func(...any) error) error {
			var p piece
			err := scan(&p.n, &p.data)
			pieces = append(pieces, p)
			return err
		})
		if err != nil {
			return err
		}
		// The blocks before the last that was read, or all, are known.
		upto := len(x.blocks)
		if len(pieces) == 64 {
			upto = int(pieces[63].n-x.first) + 1
		}
		for ; from < upto && x.blocks[from].built == nil; from++ {
			b := x.blocks[from]
			k := chunk{values: []event.Value{{}}}
			if len(pieces) > 0 && pieces[0].n == x.first+int64(from) {
				if k, err = decodeChunk(x.s.press.dec, pieces[0].data, b.rows()); err != nil {
					return fmt.Errorf("block %d: %w", pieces[0].n, err)
				}
				pieces = pieces[1:]
			}
			p := c.part(k)
			if err := x.complete(ctx, c, p, from); err != nil {
				return err
			}
			c.chunks = append(c.chunks, p)
		}
	}
	for ; from < len(x.blocks); from++ {
		k := chunk{values: []event.Value{{}}}
		if cb := x.blocks[from].built.columns[c.name]; cb != nil {
			k = cb.chunkOf(x.blocks[from].rows())
		}
		p := c.part(k)
		if err := x.complete(ctx, c, p, from); err != nil {
			return err
		}
		c.chunks = append(c.chunks, p)
	}
	return nil
}

// complete reads the values of alerts whose columns are not complete from their documents.
func (x *index) complete(ctx context.Context, c *column, p *part, block int) error {
	b := x.blocks[block]
	if len(b.rest) == 0 {
		return nil
	}
	if p.ids != nil {
		p.ids = slices.Clone(p.ids)
	}
	s := event.NewSchema()
	f := s.Field(c.name)
	d := event.NewDecoder(s)
	var e event.Event
	for _, row := range b.rest {
		seq := (x.first+int64(block))*blockRows + int64(row) + 1
		if seq <= x.anchor {
			continue
		}
		err := x.s.docs(ctx, seq-1, seq, func(_ int64, doc []byte) error {
			if d.Decode(readable(doc), &e) == nil {
				p.set(int(row), b.rows(), c.dict.id(short(e.Get(f))))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// evict forgets the columns that were not used for the longest, if there are too many.
func (x *index) evict(most int64) {
	for {
		var total int64
		var oldest *column
		for _, c := range x.columns {
			total += c.bytes + c.dict.bytes + int64(cap(c.dict.folded)+8*cap(c.dict.ends)+8*cap(c.dict.ordered))
			if c.used < x.queries && (oldest == nil || c.used < oldest.used) {
				oldest = c
			}
		}
		if total <= most || oldest == nil {
			return
		}
		delete(x.columns, oldest.name)
	}
}

// A selection is the alerts that a query selects, by block.
type selection struct {
	x    *index
	bits []rowSet // by block
	n    int
}

// conditions are those of a query, one by one.
type conditions struct {
	base    []node // all but the filters that a facet may leave out
	filters []filterNode
	from    int64 // of times
	to      int64
	since   int64
	upto    int64
}

type filterNode struct {
	field string
	free  bool // a facet of the field leaves it out
	node  node
}

func (x *index) conditions(ctx context.Context, q *Query) (c *conditions, err error) {
	c = &conditions{from: minTime, to: maxTime, since: max(q.Since, x.anchor), upto: x.head}
	if !q.From.IsZero() {
		c.from = clampTime(q.From)
	}
	if !q.To.IsZero() {
		c.to = clampTime(q.To)
	}
	if q.Upto > 0 {
		c.upto = min(c.upto, q.Upto)
	}
	col := func(name string) *column {
		if err != nil {
			return nil
		}
		var k *column
		k, err = x.column(ctx, name)
		return k
	}
	for _, f := range q.Filters {
		n := node(&valueNode{col: col(f.Field), test: f.test()})
		if f.Not {
			n = notNode{n}
		}
		c.filters = append(c.filters, filterNode{f.Field, !f.Not && len(f.Values) > 0, n})
	}
	if q.Where != nil {
		c.base = append(c.base, compile(q.Where, col))
	}
	for _, word := range words(q.Text) {
		var any anyNode
		for _, name := range TextFields() {
			if k := col(name); k != nil {
				any = append(any, &valueNode{col: k, memo: k.dict.with(word)})
			}
		}
		c.base = append(c.base, any)
	}
	return c, err
}

// test is whether a value passes the filter, but for Not.
func (f *Filter) test() func(event.Value) bool {
	if len(f.Values) == 0 {
		return event.Value.Exists
	}
	want := map[string]bool{}
	for _, v := range f.Values {
		want[short(event.String(v)).Str()] = true
	}
	return func(v event.Value) bool {
		if v.Kind() == event.KindString { // Fast path: most are.
			return want[v.Str()]
		}
		yes := false
		texts(v, func(t string) { yes = yes || want[t] })
		return yes
	}
}

const (
	minTime = -1 << 63
	maxTime = 1<<63 - 1
)

// clampTime is a time as columns have it, also if it is out of what they can have.
func clampTime(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return minTime
	case t.Year() > 2261:
		return maxTime
	}
	return t.UnixNano()
}

// rows sets the rows of a block that are of the time and numbers asked for, and reports
// whether there are any.
func (c *conditions) rows(x *index, block int, b *rowSet) bool {
	info := x.blocks[block]
	n := info.rows()
	base := (x.first + int64(block)) * blockRows
	from, to := max(c.since-base, 0), min(c.upto-base, int64(n))
	if from >= to || info.max < c.from || info.min >= c.to {
		return false
	}
	b.span(int(from), int(to))
	if info.min >= c.from && info.max < c.to {
		return true
	}
	some := false
	for i := int(from); i < int(to); i++ {
		if t := info.times[i]; t < c.from || t >= c.to {
			b[i>>6] &^= 1 << (i & 63)
		} else {
			some = true
		}
	}
	return some
}

// select finds the alerts of which all conditions hold, those on one field left out.
func (x *index) choose(c *conditions, without string) *selection {
	sel := &selection{x: x, bits: make([]rowSet, len(x.blocks))}
	for i := range x.blocks {
		b := &sel.bits[i]
		if !c.rows(x, i, b) {
			*b = rowSet{}
			continue
		}
		n := x.blocks[i].rows()
		apply := func(y node) bool {
			var m rowSet
			y.match(i, n, &m)
			b.and(&m)
			return *b != rowSet{}
		}
		some := true
		for _, f := range c.filters {
			if f.free && f.field == without && without != "" {
				continue
			}
			if some = some && apply(f.node); !some {
				break
			}
		}
		for _, y := range c.base {
			if some = some && apply(y); !some {
				break
			}
		}
		sel.n += b.count()
	}
	return sel
}
