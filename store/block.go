package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/event"
)

// Alerts are also kept by column: of each 4,096 of them, a block, the values of each
// field. They are made of the documents and nothing else, when a block is full; those of
// the last, unfinished block are in memory only. A query reads the columns that it
// names, of all blocks, which is two bytes an alert; and keeps them.
//
// A column of a block is the values that occur in it, each once, and for each alert
// which of them it has. So what is asked of a value is asked once a block and not once
// an alert, and most columns of a block are a few values and runs of the same.
const (
	blockRows = 4096

	longText   = 8191      // bytes of a text that are in a column: as long as a keyword of Elasticsearch
	mostFields = 1000      // fields of an alert that are in columns
	mostText   = 256 << 10 // bytes of an alert that are in columns
	mostNames  = 10_000    // columns of a block
)

// An alert of more fields or text than that is in columns in part, and noted in its block
// (rest): a column that it may be missing from is completed from its document.

// A chunk is a column of a block.
type chunk struct {
	values []event.Value // that occur; the first is that of ids == nil
	ids    []uint16      // for each row its value; nil if all have the first
}

// A core is what is known of a block besides columns.
type core struct {
	times []int64  // @timestamp, nanoseconds since 1970
	rest  []uint16 // rows whose columns are not complete
}

// A builder makes the columns of a block of alerts.
type builder struct {
	schema  *event.Schema
	decoder *event.Decoder
	e       event.Event
	names   map[string]event.Field
	core    core
	columns map[string]*columnBuilder
	buf     []byte
}

type columnBuilder struct {
	known map[string]uint16 // by encoding
	chunk chunk             // ids may be shorter than the block
}

func newBuilder() *builder {
	b := &builder{}
	b.reset()
	return b
}

// reset begins a block. Names that many documents made do not stay.
func (b *builder) reset() {
	if b.schema == nil || b.schema.Len() > 2*mostNames {
		b.schema = event.NewSchema()
		b.decoder = event.NewDecoder(b.schema)
		b.names = map[string]event.Field{}
	}
	b.core = core{}
	b.columns = map[string]*columnBuilder{}
}

func (b *builder) rows() int { return len(b.core.times) }

// add takes the next alert.
func (b *builder) add(doc []byte) {
	row := len(b.core.times)
	doc = readable(doc)
	whole := b.fields(doc)
	if b.decoder.Decode(doc, &b.e) != nil {
		// It is JSON, for alert.Parse has read it, but too deep or with a key twice.
		at := int64(0)
		if a, err := alert.Parse(doc); err == nil {
			at = clampTime(a.Time)
		}
		b.core.times = append(b.core.times, at)
		b.core.rest = append(b.core.rest, uint16(row))
		return
	}
	b.core.times = append(b.core.times, clampTime(b.e.Time))
	text := 0
	n := 0
	for _, f := range b.e.Fields() {
		v := b.e.Get(f)
		name := b.schema.Name(f)
		if v.Kind() == event.KindMissing || isWorkflow(name) {
			continue
		}
		v = short(v)
		b.buf, _ = v.AppendBinary(b.buf[:0])
		text += len(b.buf) + len(name)
		if n++; text > mostText || n > mostFields || !b.put(row, name, v) {
			whole = false
		}
	}
	if !whole {
		b.core.rest = append(b.core.rest, uint16(row))
	}
}

// skip leaves rows out, of alerts that retention has removed.
func (b *builder) skip(n int) {
	for range n {
		b.core.times = append(b.core.times, 0)
	}
}

// put sets a value of a row, whose encoding is in buf.
func (b *builder) put(row int, name string, v event.Value) bool {
	c := b.columns[name]
	if c == nil {
		if len(b.columns) >= mostNames {
			return false
		}
		c = &columnBuilder{known: map[string]uint16{}, chunk: chunk{values: []event.Value{{}}}}
		b.columns[string([]byte(name))] = c
	}
	id, ok := c.known[string(b.buf)]
	if !ok {
		key := string(b.buf)
		id = uint16(len(c.chunk.values))
		c.known[key] = id
		c.chunk.values = append(c.chunk.values, own(key))
	}
	for len(c.chunk.ids) < row {
		c.chunk.ids = append(c.chunk.ids, 0)
	}
	c.chunk.ids = append(c.chunk.ids, id)
	return true
}

// own is the value that an encoding stands for, in memory of its own.
func own(key string) (v event.Value) {
	if err := v.UnmarshalBinary([]byte(key)); err != nil {
		panic("store: bug: " + err.Error())
	}
	return v
}

// chunk is a column as it is now: that of n rows.
func (c *columnBuilder) chunkOf(n int) chunk {
	k := chunk{values: c.chunk.values, ids: c.chunk.ids[:len(c.chunk.ids):len(c.chunk.ids)]}
	for len(k.ids) < n {
		k.ids = append(k.ids, 0)
	}
	return k
}

// readable is a document that the decoder reads: what is no UTF-8 is replaced, as
// what gets it by a sink sees it.
func readable(doc []byte) []byte {
	if utf8.Valid(doc) {
		return doc
	}
	return []byte(valid(string(doc)))
}

// short is a value as columns have it. Of a text that is too long it keeps the beginning.
func short(v event.Value) event.Value {
	cut := func(s string) string {
		for n := longText; ; n-- {
			if utf8.RuneStart(s[n]) {
				return s[:n]
			}
		}
	}
	switch v.Kind() {
	case event.KindString:
		if s := v.Str(); len(s) > longText {
			return event.String(cut(s))
		}
	case event.KindList:
		if !slices.ContainsFunc(v.List(), func(w event.Value) bool { return len(w.Str()) > longText }) {
			return v
		}
		var elems []event.Value
		for _, w := range v.List() {
			elems = append(elems, short(w))
		}
		return event.List(elems)
	}
	return v
}

func isWorkflow(name string) bool { return slices.Contains(workflowFields[:], name) }

// fields makes the schema know the fields of a document, and reports whether it knows all.
func (b *builder) fields(doc []byte) bool {
	w := walker{doc: doc}
	whole := true
	w.each(func(path []byte) {
		if _, ok := b.names[string(path)]; ok {
			return
		}
		if len(b.names) >= 2*mostNames {
			whole = false
			return
		}
		name := string(path)
		b.names[name] = b.schema.Field(name)
	})
	return whole
}

// A walker finds the paths of the leaves of a document, which is JSON.
type walker struct {
	doc  []byte
	i    int
	path []byte
	f    func(path []byte)
}

func (w *walker) each(f func(path []byte)) {
	w.f = f
	w.space()
	w.value(0)
}

func (w *walker) space() {
	for w.i < len(w.doc) && (w.doc[w.i] == ' ' || w.doc[w.i] == '\n' || w.doc[w.i] == '\t' || w.doc[w.i] == '\r') {
		w.i++
	}
}

func (w *walker) value(depth int) {
	if w.i >= len(w.doc) || depth > event.MaxDepth {
		w.i = len(w.doc)
		return
	}
	switch w.doc[w.i] {
	case '{':
		w.i++
		for {
			w.space()
			if w.i >= len(w.doc) || w.doc[w.i] != '"' {
				break
			}
			start := w.i
			w.text()
			key := w.doc[start:w.i]
			at := len(w.path)
			if at > 0 {
				w.path = append(w.path, '.')
			}
			w.path = appendKey(w.path, key)
			w.space()
			w.i++ // :
			w.space()
			w.value(depth + 1)
			w.path = w.path[:at]
			w.space()
			if w.i >= len(w.doc) || w.doc[w.i] != ',' {
				break
			}
			w.i++
		}
		w.i++ // }
	case '[':
		w.i++
		w.space()
		for w.i < len(w.doc) && w.doc[w.i] != ']' {
			w.value(depth + 1)
			w.space()
			if w.i < len(w.doc) && w.doc[w.i] == ',' {
				w.i++
				w.space()
			}
		}
		w.i++    // ]
		w.leaf() // an empty list is null
	case '"':
		w.text()
		w.leaf()
	default:
		for w.i < len(w.doc) && w.doc[w.i] != ',' && w.doc[w.i] != '}' && w.doc[w.i] != ']' && w.doc[w.i] > ' ' {
			w.i++
		}
		w.leaf()
	}
}

func (w *walker) leaf() {
	if len(w.path) > 0 && len(w.path) < 1<<12 {
		w.f(w.path)
	}
}

// text goes behind a string.
func (w *walker) text() {
	for w.i++; w.i < len(w.doc) && w.doc[w.i] != '"'; w.i++ {
		if w.doc[w.i] == '\\' {
			w.i++
		}
	}
	w.i++
}

// appendKey appends what a quoted key stands for.
func appendKey(dst, quoted []byte) []byte {
	for _, c := range quoted {
		if c == '\\' {
			var s string
			if json.Unmarshal(quoted, &s) == nil {
				return append(dst, s...)
			}
			break
		}
	}
	return append(dst, quoted[1:len(quoted)-1]...)
}

// encode writes the columns of a finished block, each under its name.
func (b *builder) encode(z *zstd.Encoder) (coreData []byte, columns map[string][]byte) {
	n := b.rows()
	buf := binary.AppendUvarint(nil, uint64(n))
	last := int64(0)
	for _, t := range b.core.times {
		buf = binary.AppendVarint(buf, t-last)
		last = t
	}
	buf = binary.AppendUvarint(buf, uint64(len(b.core.rest)))
	for _, r := range b.core.rest {
		buf = binary.AppendUvarint(buf, uint64(r))
	}
	coreData = z.EncodeAll(buf, nil)
	columns = map[string][]byte{}
	for name, c := range b.columns {
		k := c.chunkOf(n)
		buf = binary.AppendUvarint(buf[:0], uint64(len(k.values)))
		for _, v := range k.values {
			buf, _ = v.AppendBinary(buf)
		}
		wide := len(k.values) > math.MaxUint8+1
		for _, id := range k.ids {
			if wide {
				buf = binary.LittleEndian.AppendUint16(buf, id)
			} else {
				buf = append(buf, byte(id))
			}
		}
		columns[name] = z.EncodeAll(buf, nil)
	}
	return coreData, columns
}

var errBlock = errors.New("the columns of a block are damaged: orlop store rebuild makes them anew")

func decodeCore(z *zstd.Decoder, data []byte) (c core, err error) {
	b, err := z.DecodeAll(data, nil)
	if err != nil {
		return c, errBlock
	}
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = errBlock
			return 0
		}
		b = b[n:]
		return v
	}
	n := next()
	if n > blockRows {
		return c, errBlock
	}
	last := int64(0)
	for range n {
		d, w := binary.Varint(b)
		if w <= 0 {
			return c, errBlock
		}
		b = b[w:]
		last += d
		c.times = append(c.times, last)
	}
	for range min(next(), blockRows) {
		r := next()
		if r >= n {
			return c, errBlock
		}
		c.rest = append(c.rest, uint16(r))
	}
	return c, err
}

func decodeChunk(z *zstd.Decoder, data []byte, rows int) (k chunk, err error) {
	b, err := z.DecodeAll(data, nil)
	if err != nil {
		return k, errBlock
	}
	n, w := binary.Uvarint(b)
	if w <= 0 || n == 0 || n > blockRows+1 {
		return k, errBlock
	}
	b = b[w:]
	k.values = make([]event.Value, n)
	var e event.Event
	for i := range k.values {
		if k.values[i], b, err = e.ReadValue(b); err != nil {
			return k, errBlock
		}
	}
	k.ids = make([]uint16, rows)
	switch {
	case n > math.MaxUint8+1 && len(b) == 2*rows:
		for i := range k.ids {
			k.ids[i] = binary.LittleEndian.Uint16(b[2*i:])
		}
	case n <= math.MaxUint8+1 && len(b) == rows:
		for i := range k.ids {
			k.ids[i] = uint16(b[i])
		}
	default:
		return k, errBlock
	}
	same := true
	for _, id := range k.ids {
		if uint64(id) >= n {
			return k, errBlock
		}
		same = same && id == k.ids[0]
	}
	if same && rows > 0 {
		k.values, k.ids = k.values[k.ids[0]:][:1], nil
	}
	return k, nil
}

// columnKey is what a column is found by: names may be long.
func columnKey(name string) []byte {
	if len(name) <= 200 {
		return []byte("=" + name)
	}
	return append([]byte("#"), alertKey(name)...)
}

// seal makes the columns of all blocks that are full.
func (s *Store) seal(ctx context.Context) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	for {
		var head, anchor Head
		var last int64 = -1
		err := s.snapshot(ctx, func(t *tx) (err error) {
			if head, err = t.head(alertChain); err != nil {
				return err
			}
			if anchor, err = t.anchor(alertChain); err != nil {
				return err
			}
			_, err = t.row("SELECT COALESCE(MAX(n), -1) FROM block", nil, &last)
			return err
		})
		if err != nil {
			return err
		}
		n := max(last+1, anchor.Seq/blockRows)
		if (n+1)*blockRows > head.Seq {
			return nil
		}
		if err := s.sealBlock(ctx, n); err != nil {
			return fmt.Errorf("block %d: %w", n, err)
		}
	}
}

func (s *Store) sealBlock(ctx context.Context, n int64) error {
	b := s.builder
	b.reset()
	anchor, err := s.read(ctx).anchor(alertChain)
	if err != nil {
		return err
	}
	first := n * blockRows
	b.skip(int(max(anchor.Seq-first, 0)))
	if err := s.build(ctx, b, max(first, anchor.Seq), first+blockRows); err != nil {
		return err
	}
	coreData, columns := b.encode(s.press.enc)
	return s.write(ctx, func(t *tx) error {
		made, err := t.exec("INSERT INTO block (n, data) VALUES (?, ?) ON CONFLICT DO NOTHING", n, coreData)
		if err != nil || made == 0 {
			return err
		}
		var args []any
		flush := func() error {
			if len(args) == 0 {
				return nil
			}
			_, err := t.exec("INSERT INTO field (name, block, data) VALUES "+repeat("(?, ?, ?)", len(args)/3), args...)
			args = args[:0]
			return err
		}
		for name, data := range columns {
			if args = append(args, columnKey(name), n, data); len(args) == 3*insertRows {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return flush()
	})
}

// build adds the alerts above one number up to another.
func (s *Store) build(ctx context.Context, b *builder, above, upto int64) error {
	err := s.docs(ctx, above, upto, func(seq int64, doc []byte) error {
		if seq != above+1 {
			return fmt.Errorf("alert %d is missing: orlop store verify says more", above+1)
		}
		above = seq
		b.add(doc)
		return nil
	})
	if err == nil && above != upto {
		err = fmt.Errorf("alert %d is missing: orlop store verify says more", above+1)
	}
	return err
}

// docs calls f for the documents above one number up to another, in order.
func (s *Store) docs(ctx context.Context, above, upto int64, f func(seq int64, doc []byte) error) error {
	for above < upto {
		type row struct {
			seq int64
			doc []byte
		}
		var rows []row
		size := 0
		t := s.read(ctx)
		err := t.rows("SELECT seq, doc FROM alert WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 512", []any{above, upto}, func(scan func(...any) error) error {
			var r row
			if err := scan(&r.seq, &r.doc); err != nil {
				return err
			}
			rows = append(rows, r)
			if size += len(r.doc); size > 16<<20 {
				return errFound
			}
			return nil
		})
		if err != nil && err != errFound {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		for _, r := range rows {
			doc, err := s.press.unpack(t, r.doc)
			if err != nil {
				return fmt.Errorf("alert %d: %w", r.seq, err)
			}
			if err := f(r.seq, doc); err != nil {
				return err
			}
			above = r.seq
		}
	}
	return nil
}

// checkBlock holds the columns of a block in the database against those that its
// documents make, and says what is wrong with them, or "".
func (s *Store) checkBlock(t *tx, n int64, b *builder, anchor int64) (wrong string, err error) {
	var data []byte
	ok, err := t.row("SELECT data FROM block WHERE n = ?", []any{n}, &data)
	if err != nil || !ok {
		return "", err // it has none yet
	}
	const damaged = "the columns that queries are answered from are not what its documents make: orlop store rebuild makes them anew"
	c, err := decodeCore(s.press.dec, data)
	if err != nil || len(c.times) != b.rows() {
		return damaged, nil
	}
	from := int(max(anchor-n*blockRows, 0)) // what retention has removed is not looked at
	if !slices.Equal(c.times[from:], b.core.times[from:]) {
		return damaged, nil
	}
	want := map[string]chunk{}
	for name, k := range b.columns {
		want[string(columnKey(name))] = k.chunkOf(b.rows())
	}
	same := true
	err = t.rows("SELECT name, data FROM field WHERE block = ?", []any{n}, func(scan func(...any) error) error {
		var name, data []byte
		if err := scan(&name, &data); err != nil {
			return err
		}
		is, err := decodeChunk(s.press.dec, data, b.rows())
		w, ok := want[string(name)]
		if err != nil {
			same = false
			return nil
		}
		delete(want, string(name))
		for row := from; same && row < b.rows(); row++ {
			v := event.Value{}
			if ok {
				v = w.at(row)
			}
			same = is.at(row).Equal(v)
		}
		return nil
	})
	if err == nil && (!same || len(want) > 0) {
		wrong = damaged
	}
	return wrong, err
}

func (k *chunk) at(row int) event.Value {
	if k.ids == nil {
		return k.values[0]
	}
	return k.values[k.ids[row]]
}

// Rebuild makes all columns anew from the documents.
func (s *Store) Rebuild(ctx context.Context) error {
	err := s.write(ctx, func(t *tx) error {
		for _, q := range []string{"DELETE FROM field", "DELETE FROM block"} {
			if _, err := t.exec(q); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.index.mu.Lock()
		s.index.reset(0)
		s.index.mu.Unlock()
		err = s.seal(ctx)
	}
	return s.fail(err)
}
