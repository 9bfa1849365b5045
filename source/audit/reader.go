package audit

import (
	"context"
	"io"
	"unsafe"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// A Reader is a source of the events of one recorded input.
type Reader struct {
	in *source.Input
	o  source.Options
	r  *Reassembler
}

// New returns a Reader of in.
func New(in *source.Input, o source.Options) *Reader {
	return &Reader{in: in, o: o, r: NewReassembler(o.Schema)}
}

// Counts returns what happened to the records so far.
func (r *Reader) Counts() Counts { return r.r.Counts() }

// Run implements [source.Source]. Lines that are not audit records are
// rejected; the separators of ausearch are not.
func (r *Reader) Run(ctx context.Context, emit func(*event.Event) error) error {
	defer r.in.Close()
	counted := func(e *event.Event) error {
		r.o.Emitted()
		return emit(e)
	}
	lines := source.NewLines(r.in.Window(ctx), &r.o)
	origin := event.Origin{Source: r.in.Name()}
	var rec Record
	for {
		line, off, err := lines.Next()
		if err == io.EOF {
			return r.r.Flush(counted)
		}
		if err != nil {
			return err
		}
		origin.Offset = off
		if err := rec.Parse(line); err != nil {
			if string(line) == "----" || hasPrefix(line, "time->") {
				continue
			}
			r.o.Refuse(source.Rejection{Origin: origin, Class: source.ClassRecord, Reason: err.Error(), Data: line})
			continue
		}
		if err := r.r.Push(&rec, origin, counted); err != nil {
			return err
		}
	}
}

// str views b as a string for as long as b does not change.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
