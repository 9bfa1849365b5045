// Package ecs reads ECS documents in JSON, as Beats, Elastic Agent, Elastic
// Defend and Elasticsearch itself write them.
//
// It reads documents one a line, one after the other in any layout, or in an
// array; hits of a search, alone or in their response; and bulk requests. A
// document is emitted as it is, so that Event.Raw is what was read; only a hit
// is unwrapped, with its _id and _index put into the document:
//
//	r := ecs.New(in, source.Options{Schema: schema})
//	err := r.Run(ctx, func(e *event.Event) error { … })
package ecs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// A Reader is a source of the documents of one recorded input.
type Reader struct {
	in  *source.Input
	o   source.Options
	w   *source.Window
	max int
	dec *event.Decoder
	ev  event.Event

	emit   func(*event.Event) error
	around []byte // the brackets that are open around the documents
	indent int    // of the documents, -1 if not known
	oneRow int64  // up to this offset several documents share a line
	plain  int64  // up to this offset no search response begins
	scan   scan
	reason string        // why the last document is none
	action action        // of the bulk request's line before
	sieve  *source.Sieve // of lines that nobody wants to read; nil if there are none
	sifted bool          // whether there is one has been found out
	mem    []byte        // of a document that is put together
}

// New returns a Reader of in.
func New(in *source.Input, o source.Options) *Reader {
	return &Reader{in: in, o: o, max: o.Limit(), dec: event.NewDecoder(o.Schema)}
}

// Run implements [source.Source]. What is not a document is rejected, and the
// stream goes on with the next line, or the next element of an array.
func (r *Reader) Run(ctx context.Context, emit func(*event.Event) error) error {
	defer r.in.Close()
	r.begin(ctx, emit)
	for {
		if more, err := r.step(ctx); !more {
			return err
		}
	}
}

func (r *Reader) begin(ctx context.Context, emit func(*event.Event) error) {
	r.w, r.emit, r.indent = r.in.Window(ctx), emit, -1
	r.w.Count(r.o.Stats)
}

// step reads what is between documents, or the next one, and reports whether there may
// be more.
func (r *Reader) step(ctx context.Context) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	b := r.w.Bytes()
	n := 0
	for n < len(b) && space(b[n]) {
		n++
	}
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 && n < len(b) && b[n] == '{' {
		r.indent = n - i - 1
	}
	r.w.Discard(n)
	if n < len(b) {
		err := r.next(b[n])
		return err == nil, err
	}
	if r.w.More(r.max + 1) {
		return true, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if len(r.around) > 0 && r.w.Err() == nil {
		r.refuse(nil, source.ClassSyntax, "array does not end")
	}
	r.broken()
	return false, nil
}

// space reports whether a byte may stand between documents; 0x1e does in JSON
// text sequences.
func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == 0x1e }

// next reads what begins with c, the first byte of the window.
func (r *Reader) next(c byte) error {
	if n := len(r.around); n > 0 {
		switch c {
		case ',':
			r.w.Discard(1)
			return nil
		case ']':
			r.w.Discard(1)
			r.around = r.around[:n-1]
			r.leave()
			return nil
		case '{', '[':
			return r.value()
		}
		r.scalar()
		return nil
	}
	switch c {
	case '{':
		if r.w.Offset() < r.oneRow {
			return r.value()
		}
		if r.pass() || r.enter() {
			return nil
		}
		return r.line()
	case '[':
		r.w.Discard(1)
		r.around = append(r.around[:0], '[')
		r.indent = -1
		return nil
	}
	r.refuse(r.row(), source.ClassSyntax, "not a JSON object")
	r.w.SkipLine()
	return nil
}

// sampled is how much of an input says what its lines are like.
const sampled = 64 << 10

// pass goes past lines that have nothing of interest, and reports whether there were
// any. An action and the document on the next line belong together, so they are read.
func (r *Reader) pass() bool {
	if !r.sifted {
		r.sifted = true
		if r.o.Literals != nil {
			// A pipe may have no more than a line, for now.
			for b := r.w.Bytes(); bytes.IndexByte(b, '\n') < 0 || r.in.Size() >= 0 && len(b) < sampled; b = r.w.Bytes() {
				if !r.w.More(r.max + 1) {
					break
				}
			}
			r.sieve = source.NewSieve(r.o.Literals, r.w.Bytes())
		}
	}
	if r.sieve == nil || r.action.verb != 0 {
		return false
	}
	for last := false; ; {
		b := r.w.Bytes()
		n, lines, more := r.sieve.Skip(b, r.w.Offset(), last, r.max, unlike)
		if lines > 0 {
			r.w.Discard(n)
			if r.o.Stats != nil {
				r.o.Stats.Lines.Add(int64(lines))
				r.o.Stats.Skipped.Add(int64(lines))
			}
			return true
		}
		if !more || last || len(b) > r.max {
			return false
		}
		if last = !r.w.More(r.max + 1); last && r.w.Err() != nil {
			return false
		}
	}
}

// unlike reports whether an object may be more than a document: an action, or a search
// response.
func unlike(b []byte) bool {
	key := firstKey(b)
	return isAction(key) || isResponse(key)
}

// row returns the rest of the line, as far as it is in the window.
func (r *Reader) row() []byte {
	b, _, _ := bytes.Cut(r.w.Bytes(), []byte("\n"))
	return b
}

// line reads a document that is a line. If it is not one, value looks for the
// document's end.
func (r *Reader) line() error {
	// Fast path: one document a line, read where it lies.
	for from := 0; ; {
		b := r.w.Bytes()
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			from = len(b)
			if r.w.More(r.max + 1) {
				continue
			}
			b = r.w.Bytes()
			i = len(b) - from
		}
		end := from + i
		if end > r.max || end == len(b) && r.w.Err() != nil {
			return r.value()
		}
		used, err := r.document(bytes.TrimRight(b[:end], " \t\r"))
		if used {
			r.w.Discard(end)
			return err
		}
		r.oneRow = r.w.Offset() + int64(end)
		return r.value()
	}
}

// value reads a document by looking for its end.
func (r *Reader) value() error {
	r.scan.reset("")
	for {
		b := r.w.Bytes()
		end, ok := r.scan.run(b[:min(len(b), r.max)])
		switch {
		case ok:
			used, err := r.document(b[:end])
			if !used {
				r.refuse(b[:end], source.ClassSyntax, r.reason)
			}
			r.w.Discard(end)
			return err
		case r.scan.bad >= 0:
			r.resync(r.scan.bad, r.scan.why)
			return nil
		case len(b) > r.max:
			r.refuse(b[:r.max], source.ClassLong, fmt.Sprintf("document longer than %d bytes", r.max))
			r.skip()
			return nil
		}
		if !r.w.More(r.max + 1) {
			if r.w.Err() != nil {
				r.broken()
			} else {
				r.resync(len(r.w.Bytes()), "document ends early")
			}
			return nil
		}
	}
}

// broken rejects the rest of an input that could not be read to its end.
func (r *Reader) broken() {
	var rej *source.Rejection
	if errors.As(r.w.Err(), &rej) {
		r.o.Refuse(r.w.Broken())
	}
}

// resync rejects a document that broke at an offset of the window, and finds
// where the next one begins. Documents begin in the same column.
func (r *Reader) resync(bad int, reason string) {
	b := r.w.Bytes()
	bad = min(bad, len(b)-1)
	many := false
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 || i+n > bad {
			break
		}
		many = many || i+n < bad
		i += n + 1
		if r.begins(b[i:]) == 1 {
			r.refuse(b[:i-1], source.ClassSyntax, reason)
			r.w.Discard(i)
			return
		}
	}
	if many || len(r.around) > 0 {
		end := len(b)
		if i := bytes.IndexByte(b[bad:], '\n'); i >= 0 {
			end = bad + i
		}
		r.refuse(b[:end], source.ClassSyntax, reason)
		r.w.Discard(bad)
		r.skip()
		return
	}
	r.refuse(r.row(), source.ClassSyntax, reason)
	r.w.SkipLine()
}

// begins tells whether a document begins on the line b: 1 yes, 0 no, -1 if b is
// too short to tell.
func (r *Reader) begins(b []byte) int {
	for i, c := range b {
		switch {
		case c == '{':
			if i == r.indent || r.indent < 0 && i <= 1 || len(r.around) == 0 && i == 0 {
				return 1
			}
			return 0
		case c == ']' && len(r.around) > 0:
			return 1
		case c != ' ' && c != '\t':
			return 0
		}
	}
	return -1
}

// skip discards up to the next line on which a document begins.
func (r *Reader) skip() {
	for {
		b := r.w.Bytes()
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			r.w.Discard(len(b))
			if !r.w.More(r.max + 1) {
				return
			}
			continue
		}
		switch r.begins(b[i+1:]) {
		case 1:
			r.w.Discard(i + 1)
			return
		case 0:
			r.w.Discard(i + 1)
			// The newline that ends this line is looked at next: keep it.
		default:
			r.w.Discard(i)
			if len(b)-i > 1<<10 || !r.w.More(r.max+1) {
				r.w.Discard(len(r.w.Bytes()))
				if !r.w.More(r.max + 1) {
					return
				}
			}
		}
	}
}

// scalar rejects an element of an array that is not an object.
func (r *Reader) scalar() {
	b := r.w.Bytes()
	n := 0
	for {
		n = bytes.IndexAny(b, ",]\n")
		if n >= 0 || len(b) > 1<<10 || !r.w.More(r.max+1) {
			break
		}
		b = r.w.Bytes()
	}
	if b = r.w.Bytes(); n < 0 {
		n = len(b)
	}
	r.refuse(b[:n], source.ClassSyntax, "not a JSON object")
	r.w.Discard(n)
}

func (r *Reader) refuse(b []byte, class, reason string) {
	if class == source.ClassSyntax && !utf8.Valid(b) {
		class = source.ClassEncoding
	}
	r.counted()
	r.action.verb = 0
	r.o.Refuse(source.Rejection{
		Origin: event.Origin{Source: r.in.Name(), Offset: r.w.Offset()},
		Class:  class, Reason: reason, Data: b,
	})
}

func (r *Reader) counted() {
	if r.o.Stats != nil {
		r.o.Stats.Lines.Add(1)
	}
}

// document emits b, the window's first document. It is not used if it is not
// a document, for r.reason.
func (r *Reader) document(b []byte) (used bool, err error) {
	doc := b
	key := firstKey(b)
	switch {
	case isAction(key) && len(r.around) == 0 && r.action.read(b):
		r.counted()
		return true, nil
	case r.action.verb == 'u':
		r.refuse(b, source.ClassSyntax, "part of a document, for a bulk update")
		return true, nil
	case r.action.verb != 0:
		doc, r.mem = withID(r.mem[:0], b, r.action.id, r.action.index)
	case len(key) > 0 && key[0] == '_':
		doc, r.mem = unwrap(r.mem[:0], b)
	}
	err = r.dec.Decode(doc, &r.ev)
	if err != nil && !utf8.Valid(doc) {
		// What a process is called with is any bytes. They must not hide it: each run of
		// those that are no text is U+FFFD, as shippers that care for it write.
		r.mem = append(r.mem[:0], bytes.ToValidUTF8(doc, []byte("\uFFFD"))...)
		err = r.dec.Decode(r.mem, &r.ev)
	}
	if err != nil {
		r.reason = err.Error()
		return false, nil
	}
	r.action.verb = 0
	r.ev.Origin = event.Origin{Source: r.in.Name(), Offset: r.w.Offset()}
	r.counted()
	r.o.Emitted()
	err = r.emit(&r.ev)
	if cap(r.mem) > 1<<20 {
		r.mem = nil
	}
	return true, err
}
