package source

import (
	"encoding/base64"
	"io"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/orlop/orlop/event"
)

// Options are what every reader of recorded input wants to know.
type Options struct {
	Schema  *event.Schema
	Host    string          // what a live source calls this host; "" is as it calls itself
	MaxLine int             // longest line or document, in bytes; 0 is MaxLine
	Stats   *Stats          // counted up if not nil; may be shared by readers
	Reject  func(Rejection) // told what could not be read; may be nil

	// Literals says which lines are of interest: readers of documents in JSON may
	// skip others unread, and count them in Stats.Skipped. Nil is that all are.
	Literals Literals
}

func (o *Options) maxLine() int {
	if o.MaxLine > 0 {
		return o.MaxLine
	}
	return MaxLine
}

// Limit is the longest line or document, in bytes.
func (o *Options) Limit() int { return o.maxLine() }

// Emitted counts an event.
func (o *Options) Emitted() {
	if o.Stats != nil {
		o.Stats.Events.Add(1)
	}
}

// Refuse counts r and tells Reject about it.
func (o *Options) Refuse(r Rejection) {
	if o.Stats != nil {
		o.Stats.refuse(r.Class)
	}
	if o.Reject != nil {
		o.Reject(r)
	}
}

// Classes of rejections, for counting.
const (
	ClassCompression = "compression" // the compressed data is broken
	ClassEncoding    = "encoding"    // not UTF-8
	ClassLong        = "too long"    // a line or document over the limit
	ClassRead        = "read"        // the file cannot be read on
	ClassRecord      = "record"      // a line that is not an audit record
	ClassSyntax      = "syntax"      // a document that is not JSON, or not an object
)

// A Rejection is a piece of input that could not be read, and why. Its Data is
// borrowed: valid until the call returns.
type Rejection struct {
	Origin event.Origin
	Class  string
	Reason string
	Data   []byte
}

// Error says where and why.
func (r *Rejection) Error() string {
	return r.Origin.Source + ":" + strconv.FormatInt(r.Origin.Offset, 10) + ": " + r.Reason
}

// Stats counts what readers did. Its counters may be read at any time.
type Stats struct {
	Bytes    atomic.Int64 // decompressed
	Lines    atomic.Int64 // lines, or documents that are not lines
	Events   atomic.Int64
	Rejected atomic.Int64
	Skipped  atomic.Int64 // of Lines: not read, for want of what makes them of interest

	mu      sync.Mutex
	classes map[string]int64
}

func (s *Stats) refuse(class string) {
	s.Rejected.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.classes == nil {
		s.classes = map[string]int64{}
	}
	s.classes[class]++
}

// Classes returns how many rejections there were of each class.
func (s *Stats) Classes() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.classes)
}

// MaxLetter is how much of a rejection's data a dead letter keeps.
const MaxLetter = 64 << 10

// A DeadLetter writes rejections as lines of JSON:
//
//	{"source":"audit.log","offset":120,"reason":"not an audit record","data":"…"}
//
// Data that is not UTF-8 is under "data_base64"; data that was cut has
// "truncated":true. It may be used from several goroutines.
type DeadLetter struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
	err error
}

// NewDeadLetter returns a DeadLetter that writes to w, one write a line.
func NewDeadLetter(w io.Writer) *DeadLetter { return &DeadLetter{w: w} }

// Reject writes r.
func (d *DeadLetter) Reject(r Rejection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return
	}
	b := append(d.buf[:0], `{"source":`...)
	b = event.AppendQuoted(b, r.Origin.Source)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, r.Origin.Offset, 10)
	b = append(b, `,"reason":`...)
	b = event.AppendQuoted(b, r.Reason)
	data, cut := r.Data, false
	if len(data) > MaxLetter {
		data, cut = data[:MaxLetter], true
		// Do not cut a character in two.
		for i := 1; i < utf8.UTFMax; i++ {
			if c := data[len(data)-i]; utf8.RuneStart(c) {
				if !utf8.FullRune(data[len(data)-i:]) {
					data = data[:len(data)-i]
				}
				break
			}
		}
	}
	if utf8.Valid(data) {
		b = append(b, `,"data":`...)
		b = event.AppendQuoted(b, string(data))
	} else {
		b = append(b, `,"data_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, data)
		b = append(b, '"')
	}
	if cut {
		b = append(b, `,"truncated":true`...)
	}
	b = append(b, "}\n"...)
	d.buf = b
	_, d.err = d.w.Write(b)
}

// Err returns the first error of writing.
func (d *DeadLetter) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}
