package ecs

import (
	"bytes"
	"context"

	"github.com/orlop/orlop/event"
)

// A Batch is lines of an input that are likely to be a document each, read apart from the
// rest. Several goroutines may read a batch each at a time:
//
//	r.Begin(ctx, emit)
//	for r.Cut(&batch) {
//		batch.Read(decoder, next, done) // in any goroutine
//		r.Count(&batch)                 // in the order in which they were cut
//	}
//
// Where a line turns out to be something else, what was cut from there on does not count:
// the reader takes it back, to go on by [Reader.Step].
type Batch struct {
	raw []byte // from behind a line, or the start of the input, to the end of another
	buf []byte // the memory that raw lies in
	mem []byte // of documents that are put together
	off int64  // of raw

	name   string
	max    int // longest line
	indent int // the reader's, before the batch

	read  int // so far there are documents
	lines int // how many
}

const (
	batchBytes = 256 << 10 // at least, where there are so many: to wake who waits for the next takes a while
	batchLines = 256       // about, of short ones, for the events of all of them have to be kept
	maxLines   = 4 * batchLines
)

// Begin makes the reader ready for Cut and Step. What Step reads goes to emit.
func (r *Reader) Begin(ctx context.Context, emit func(*event.Event) error) { r.begin(ctx, emit) }

// Step reads a document, or what is between documents, and reports whether there may be
// more.
func (r *Reader) Step(ctx context.Context) (more bool, err error) { return r.step(ctx) }

// Offset is how far the reader has come, in bytes of the decompressed input.
func (r *Reader) Offset() int64 { return r.w.Offset() }

// Cut cuts the next lines off. It reports false where there are no such: in an array, in a
// bulk request, at the end, and where lines of no interest are skipped.
func (r *Reader) Cut(t *Batch) bool {
	if len(r.around) > 0 || r.action.verb != 0 || r.w.Offset() < r.oneRow || r.sieve != nil || !r.sifted && r.o.Literals != nil {
		return false
	}
	b, begin := r.first()
	if begin < len(b) && b[begin] != '{' {
		return false // Nothing is moved for each of many such lines.
	}
	if len(b) < batchBytes {
		// The batch's memory is in the cache of who reads it, and the window's in anybody's.
		if cap(t.buf) < 2*batchBytes {
			t.buf = make([]byte, 2*batchBytes)
		}
		t.buf = r.w.Move(t.buf)
		for len(r.w.Bytes()) < batchBytes && r.w.More(batchBytes) {
		}
		if b, begin = r.first(); begin == len(b) || b[begin] != '{' {
			return false
		}
	}
	end := bytes.LastIndexByte(b, '\n')
	if end < begin {
		return false
	}
	if some := b[:min(len(b), 16<<10)]; bytes.Count(some, []byte{'\n'})*len(b) > batchLines*len(some) {
		end = begin
		for range batchLines {
			n := bytes.IndexByte(b[end+1:], '\n')
			if n < 0 {
				break
			}
			end += 1 + n
		}
	}
	*t = Batch{buf: t.buf, mem: t.mem[:0], name: r.in.Name(), off: r.w.Offset(), max: r.max, indent: r.indent}
	t.raw, t.buf = r.w.Take(end, t.buf)
	return true
}

// first returns the bytes that have been read, and where in them the first is that is no
// white space.
func (r *Reader) first() (b []byte, at int) {
	b = r.w.Bytes()
	for at < len(b) && space(b[at]) {
		at++
	}
	return b, at
}

// Read reads the documents of the batch, up to the first line that is none. Each is decoded
// into what next returns, and then handed to done. Their text is valid until the batch is
// cut anew.
func (t *Batch) Read(d *event.Decoder, next func() *event.Event, done func(*event.Event)) {
	for i := 0; i < len(t.raw); {
		begin := i
		for i < len(t.raw) && space(t.raw[i]) {
			i++
		}
		if i == len(t.raw) {
			t.read = i
			return
		}
		if t.lines == maxLines || t.raw[i] != '{' || i > begin && t.raw[i-1] != '\n' {
			return
		}
		end := len(t.raw)
		if n := bytes.IndexByte(t.raw[i:], '\n'); n >= 0 {
			end = i + n
		}
		if end-i > t.max {
			return
		}
		doc := bytes.TrimRight(t.raw[i:end], " \t\r")
		key := firstKey(doc)
		if isAction(key) || isResponse(key) {
			return
		}
		if len(key) > 0 && key[0] == '_' {
			doc, t.mem = unwrap(t.mem, doc)
		}
		e := next()
		if d.Decode(doc, e) != nil {
			return
		}
		e.Origin = event.Origin{Source: t.name, Offset: t.off + int64(i)}
		i = end
		t.read, t.lines = end, t.lines+1
		done(e)
	}
}

// Whole reports whether every line of the batch was a document.
func (t *Batch) Whole() bool { return t.read == len(t.raw) }

// Count counts what was read of a batch. Where that is not all of it, the reader takes the
// rest back, and all that was cut after it.
func (r *Reader) Count(t *Batch, after ...*Batch) {
	if r.o.Stats != nil {
		r.o.Stats.Lines.Add(int64(t.lines))
		r.o.Stats.Events.Add(int64(t.lines))
	}
	if t.Whole() {
		return
	}
	back := [][]byte{t.raw[t.read:]}
	for _, a := range after {
		back = append(back, a.raw)
	}
	r.w.Return(back...)
	if r.indent = t.indent; t.lines > 1 {
		r.indent = 0
	}
}
