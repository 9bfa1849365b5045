package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// A dict is the values of a column, each once. The first is that of alerts that lack the
// field. There may be a million, so they are packed: no map, and their text in few pieces
// of memory.
type dict struct {
	seed   maphash.Seed
	values []event.Value
	keys   []string // encodings of values
	table  []uint32 // numbers of values plus 1, by hash; a power of two, at most half full
	room   []byte   // for more keys
	buf    []byte
	bytes  int64

	mixed bool // some values are no texts: several may have the same text

	folded []byte // texts of the values in lower case, each before an endText
	ends   []int  // of each value's in folded

	ranks   []uint32 // of values in the order of a sort, or nil
	ordered []uint32 // values in that order
}

func newDict() *dict {
	d := &dict{seed: maphash.MakeSeed(), table: make([]uint32, 16)}
	d.id(event.Value{})
	d.mixed = false
	return d
}

// find is where a key is in the table, or would be.
func (d *dict) find(key []byte) int {
	mask := len(d.table) - 1
	at := int(maphash.Bytes(d.seed, key)) & mask
	for ; d.table[at] != 0; at = (at + 1) & mask {
		if d.keys[d.table[at]-1] == string(key) {
			break
		}
	}
	return at
}

// id is the number of a value, which gets one if it is new.
func (d *dict) id(v event.Value) uint32 {
	d.buf, _ = v.AppendBinary(d.buf[:0])
	at := d.find(d.buf)
	if n := d.table[at]; n > 0 {
		return n - 1
	}
	if 2*len(d.values) >= len(d.table) {
		d.table = make([]uint32, 2*len(d.table))
		for i, key := range d.keys {
			d.table[d.find([]byte(key))] = uint32(i) + 1
		}
		at = d.find(d.buf)
	}
	key := d.own(d.buf)
	w := v
	if v.Kind() == event.KindString {
		w = event.String(key[len(key)-len(v.Str()):])
	} else {
		w = own(key)
		d.mixed = true
	}
	d.keys = append(d.keys, key)
	d.values = append(d.values, w)
	d.table[at] = uint32(len(d.values))
	d.bytes += int64(len(key)) + 24 + 16 + 8
	d.ranks = nil
	return uint32(len(d.values) - 1)
}

// own is a copy of b that lives as long as the dict.
func (d *dict) own(b []byte) string {
	const piece = 64 << 10
	if len(b) > piece/4 {
		return string(b)
	}
	if cap(d.room)-len(d.room) < len(b) {
		d.room = make([]byte, 0, piece)
	}
	at := len(d.room)
	d.room = append(d.room, b...)
	return unsafe.String(&d.room[at:][0], len(b)) // nobody writes there any more
}

// endText is in no text.
const endText = 0xff

// with marks the values that have a word in them, in any case: 2, and 1 the others. The
// texts are looked through as one, since there may be a million.
func (d *dict) with(word string) []byte {
	for _, v := range d.values[len(d.ends):] {
		texts(v, func(t string) {
			d.folded = append(append(d.folded, strings.ToLower(t)...), endText)
		})
		d.ends = append(d.ends, len(d.folded))
	}
	memo := bytes.Repeat([]byte{1}, len(d.values))
	low := []byte(strings.ToLower(valid(word)))
	id := 0
	for at := 0; ; {
		i := bytes.Index(d.folded[at:], low)
		if i < 0 {
			return memo
		}
		for at += i; d.ends[id] <= at; {
			id++
		}
		memo[id] = 2
		at = d.ends[id]
	}
}

// rank puts the values into order: numbers, then texts; of a list, the least of its
// elements counts, and what is missing comes last.
func (d *dict) rank() []uint32 {
	if d.ranks != nil {
		return d.ranks
	}
	// What is new is put into order, and in between the others.
	var fresh []uint32
	for id := len(d.ordered); id < len(d.values); id++ {
		fresh = append(fresh, uint32(id))
	}
	keys := make([]sortKey, len(d.values))
	for i, v := range d.values {
		keys[i] = keyOf(v)
	}
	slices.SortFunc(fresh, func(a, b uint32) int { return keys[a].compare(keys[b]) })
	old := d.ordered
	d.ordered = make([]uint32, 0, len(d.values))
	for len(old) > 0 && len(fresh) > 0 {
		from := &old
		if keys[fresh[0]].compare(keys[old[0]]) < 0 {
			from = &fresh
		}
		d.ordered = append(d.ordered, (*from)[0])
		*from = (*from)[1:]
	}
	d.ordered = append(append(d.ordered, old...), fresh...)
	d.ranks = make([]uint32, len(d.values))
	for i, id := range d.ordered {
		d.ranks[id] = uint32(i)
		if i > 0 && keys[id].compare(keys[d.ordered[i-1]]) == 0 {
			d.ranks[id] = d.ranks[d.ordered[i-1]]
		}
	}
	return d.ranks
}

// A sortKey is what a value is sorted by.
type sortKey struct {
	kind byte // 0 number, 1 text, 2 nothing
	num  float64
	text string
}

func keyOf(v event.Value) sortKey {
	best := sortKey{kind: 2}
	for i := range v.Len() {
		k := sortKey{kind: 1, text: v.At(i).Text()}
		if w := v.At(i); w.Kind() == event.KindInt || w.Kind() == event.KindFloat {
			k = sortKey{num: w.Float(), text: k.text}
		}
		if i == 0 || k.compare(best) < 0 {
			best = k
		}
	}
	return best
}

func (k sortKey) compare(o sortKey) int {
	return cmp.Or(cmp.Compare(k.kind, o.kind), cmp.Compare(k.num, o.num), strings.Compare(k.text, o.text))
}

// A column is a field of all alerts that the index has.
type column struct {
	name   string
	dict   *dict
	chunks []*part // by block
	flow   bool    // people change it
	used   int64   // when, in queries
	bytes  int64
}

// A part is a column of a block, its values being those of the column's dict.
type part struct {
	values []uint32
	ids    []uint16 // nil: all rows have values[0]
	known  map[uint32]uint16
}

// at is the value of a row.
func (p *part) at(row int) uint32 {
	if p.ids == nil {
		return p.values[0]
	}
	return p.values[p.ids[row]]
}

// part makes a part of a chunk.
func (c *column) part(k chunk) *part {
	p := &part{values: make([]uint32, len(k.values)), ids: k.ids}
	for i, v := range k.values {
		p.values[i] = c.dict.id(v)
	}
	c.bytes += int64(4*len(p.values) + 2*len(p.ids) + 80)
	return p
}

// set changes the value of a row of a part that is not shared.
func (p *part) set(row, rows int, v uint32) {
	if p.ids == nil {
		if p.values[0] == v {
			return
		}
		p.ids = make([]uint16, rows, blockRows)
	}
	for len(p.ids) < rows {
		p.ids = append(p.ids, 0)
	}
	if p.known == nil || len(p.values) >= 4*blockRows {
		p.compact()
	}
	id, ok := p.known[v]
	if !ok {
		id = uint16(len(p.values))
		p.values = append(p.values, v)
		p.known[v] = id
	}
	p.ids[row] = id
}

// compact forgets values that no row has any more, but the first.
func (p *part) compact() {
	old := p.values
	p.values = []uint32{old[0]}
	p.known = map[uint32]uint16{old[0]: 0}
	for i, id := range p.ids {
		v := old[id]
		n, ok := p.known[v]
		if !ok {
			n = uint16(len(p.values))
			p.values = append(p.values, v)
			p.known[v] = n
		}
		p.ids[i] = n
	}
}

// A rowSet is some rows of a block.
type rowSet [blockRows / 64]uint64

func (b *rowSet) set(i int) { b[i>>6] |= 1 << (i & 63) }
func (b *rowSet) and(o *rowSet) {
	for i := range b {
		b[i] &= o[i]
	}
}

func (b *rowSet) or(o *rowSet) {
	for i := range b {
		b[i] |= o[i]
	}
}

// span sets from <= i < to.
func (b *rowSet) span(from, to int) {
	for ; from < to && from&63 != 0; from++ {
		b.set(from)
	}
	for ; from+64 <= to; from += 64 {
		b[from>>6] = ^uint64(0)
	}
	for ; from < to; from++ {
		b.set(from)
	}
}

// A node is a condition that blocks are asked.
type node interface {
	// match sets those of the n rows of a block that the condition holds for, in b, which
	// is empty.
	match(block, n int, b *rowSet)
}

type allNode []node
type anyNode []node
type notNode struct{ x node }
type constNode bool

func (x allNode) match(block, n int, b *rowSet) {
	b.span(0, n)
	for _, y := range x {
		var c rowSet
		y.match(block, n, &c)
		b.and(&c)
	}
}

func (x anyNode) match(block, n int, b *rowSet) {
	for _, y := range x {
		var c rowSet
		y.match(block, n, &c)
		b.or(&c)
	}
}

func (x notNode) match(block, n int, b *rowSet) {
	var c rowSet
	x.x.match(block, n, &c)
	b.span(0, n)
	for i := range b {
		b[i] &^= c[i]
	}
}

func (x constNode) match(_, n int, b *rowSet) {
	if x {
		b.span(0, n)
	}
}

// A valueNode is a condition on one column. Each value is asked once.
type valueNode struct {
	col  *column
	test func(event.Value) bool
	memo []byte // by value: 0 not asked, 1 no, 2 yes
}

func (x *valueNode) holds(id uint32) bool {
	if int(id) >= len(x.memo) {
		x.memo = append(x.memo, make([]byte, len(x.col.dict.values)-len(x.memo))...)
	}
	if x.memo[id] == 0 {
		x.memo[id] = 1
		if x.test(x.col.dict.values[id]) {
			x.memo[id] = 2
		}
	}
	return x.memo[id] == 2
}

func (x *valueNode) match(block, n int, b *rowSet) {
	p := x.col.chunks[block]
	if p.ids == nil {
		if x.holds(p.values[0]) {
			b.span(0, n)
		}
		return
	}
	var buf [blockRows + 1]bool
	yes := buf[:0]
	some := false
	for _, v := range p.values {
		h := x.holds(v)
		some = some || h
		yes = append(yes, h)
	}
	if !some {
		return
	}
	for i, id := range p.ids[:n] {
		if yes[id] {
			b[i>>6] |= 1 << (i & 63)
		}
	}
}

// A rowNode is a condition on several columns. Each combination of values is asked once.
type rowNode struct {
	cols   []*column
	fields []event.Field
	pred   expr.Pred
	memo   map[string]bool
	e      event.Event
	key    []byte
}

func (x *rowNode) match(block, n int, b *rowSet) {
	for row := range n {
		x.key = x.key[:0]
		for _, c := range x.cols {
			x.key = binary.LittleEndian.AppendUint32(x.key, c.chunks[block].at(row))
		}
		yes, ok := x.memo[string(x.key)]
		if !ok {
			x.e.Reset()
			for i, c := range x.cols {
				if v := c.dict.values[c.chunks[block].at(row)]; v.Kind() != event.KindMissing {
					x.e.Set(x.fields[i], v)
				}
			}
			yes = x.pred.Match(&x.e)
			if len(x.memo) >= 1<<20 {
				clear(x.memo)
			}
			x.memo[string(x.key)] = yes
		}
		if yes {
			b.set(row)
		}
	}
}

// compile makes a node of a predicate over columns.
func compile(p expr.Pred, col func(name string) *column) node {
	switch p := p.(type) {
	case expr.Bool:
		return constNode(p)
	case *expr.All:
		var x allNode
		for _, y := range p.Xs {
			x = append(x, compile(y, col))
		}
		return x
	case *expr.Any:
		var x anyNode
		for _, y := range p.Xs {
			x = append(x, compile(y, col))
		}
		return x
	case *expr.Not:
		return notNode{compile(p.X, col)}
	}
	x := &rowNode{pred: p, memo: map[string]bool{}}
	expr.Refs(p, func(r expr.Ref) {
		x.cols = append(x.cols, col(r.Name))
		x.fields = append(x.fields, r.Field)
	})
	switch len(x.cols) {
	case 0:
		return constNode(p.Match(&event.Event{}))
	case 1:
		return &valueNode{col: x.cols[0], memo: lacking(p, x.cols[0]), test: func(v event.Value) bool {
			x.e.Reset()
			if v.Kind() != event.KindMissing {
				x.e.Set(x.fields[0], v)
			}
			return p.Match(&x.e)
		}}
	}
	return x
}

// lacking is a memo in which values have a no that lack the word which a predicate looks
// for within a text: all of them are looked through as one, and the others are asked. What
// a predicate folds, lower case does too.
func lacking(p expr.Pred, c *column) []byte {
	l, ok := p.(*expr.Like)
	if !ok || len(l.Patterns) != 1 || c == nil || !slices.Contains(TextFields(), c.name) {
		return nil
	}
	word, ok := strings.CutPrefix(l.Patterns[0].Text(), "*")
	if word, ok2 := strings.CutSuffix(word, "*"); ok && ok2 && word != "" && utf8.ValidString(word) && !strings.ContainsAny(word, "*?") {
		memo := c.dict.with(word)
		for i := range memo {
			memo[i] &= 1
		}
		return memo
	}
	return nil
}

// texts are the texts of a value, each once.
func texts(v event.Value, f func(string)) {
	if v.Kind() != event.KindList {
		if v.Exists() {
			f(v.Text())
		}
		return
	}
	l := v.List()
	for i, w := range l {
		t := w.Text()
		if !slices.ContainsFunc(l[:i], func(u event.Value) bool { return u.Text() == t }) {
			f(t)
		}
	}
}
