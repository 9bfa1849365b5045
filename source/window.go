package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// MaxLine is the longest line or document that is read, unless Options say
// otherwise.
const MaxLine = 16 << 20

const (
	windowSize = 128 << 10
	maxZstd    = 64 << 20 // largest zstd window
)

// A Window slides over the decompressed bytes of an input. Its bytes are
// borrowed: they are valid until the next call of More.
type Window struct {
	in   *Input
	ctx  context.Context
	r    io.Reader
	kind string // "gzip" or "zstd" if compressed
	zst  *zstd.Decoder

	buf    []byte
	lo, hi int   // what is read and not yet discarded
	off    int64 // of buf[lo]
	eof    bool
	err    error
	read   int64 // decompressed bytes
	stats  *Stats
}

// Count makes s count the bytes of the window, from the first one on.
func (w *Window) Count(s *Stats) {
	if s != nil && w.stats == nil {
		s.Bytes.Add(w.read)
	}
	w.stats = s
}

// Bytes is what has been read and not discarded.
func (w *Window) Bytes() []byte { return w.buf[w.lo:w.hi] }

// Offset is the offset of Bytes in the decompressed input.
func (w *Window) Offset() int64 { return w.off }

// Discard drops the first n Bytes.
func (w *Window) Discard(n int) { w.lo, w.off = w.lo+n, w.off+int64(n) }

// Move moves Bytes to the beginning of buf, if they fit, and the window goes on there. It
// returns the memory in which they were, or buf.
func (w *Window) Move(buf []byte) []byte {
	if buf = buf[:cap(buf)]; w.hi-w.lo > len(buf) {
		return buf
	}
	old := w.buf
	w.hi = copy(buf, w.Bytes())
	w.buf, w.lo = buf, 0
	return old
}

// Take takes the first n Bytes out of the window, and returns them with the memory that
// they lie in. The window goes on with buf.
func (w *Window) Take(n int, buf []byte) (b, mem []byte) {
	b, mem = w.buf[w.lo:w.lo+n:w.lo+n], w.buf
	rest := w.buf[w.lo+n : w.hi]
	if buf = buf[:cap(buf)]; len(buf) < max(windowSize, len(rest)) {
		buf = make([]byte, max(windowSize, len(rest)))
	}
	w.buf, w.lo, w.hi, w.off = buf, 0, copy(buf, rest), w.off+int64(n)
	return b, mem
}

// Return puts bytes back that were taken or discarded last: those in front of Bytes.
func (w *Window) Return(b ...[]byte) {
	all := bytes.Join(append(b, w.Bytes()), nil)
	w.off -= int64(len(all) - (w.hi - w.lo))
	w.buf, w.lo, w.hi = all, 0, len(all)
}

// Err is why the input ended before its end: the context's error, or a
// *Rejection that says what is wrong with the rest. It is nil at a clean end.
func (w *Window) Err() error { return w.err }

// More reads more, so that Bytes grows, and reports whether it did. It does
// not once Bytes has max bytes or the input has ended.
func (w *Window) More(max int) bool {
	if w.eof || w.hi-w.lo >= max {
		return false
	}
	if err := w.ctx.Err(); err != nil {
		w.err = err
		return false
	}
	if errors.Is(w.err, context.Canceled) || errors.Is(w.err, context.DeadlineExceeded) {
		w.err = nil // a new context
	}
	if w.r == nil {
		if !w.open() {
			return false
		}
		if w.hi > w.lo { // its first bytes
			return true
		}
	}
	w.room(max)
	return w.fill()
}

// room makes room for one more read.
func (w *Window) room(max int) {
	n := w.hi - w.lo
	switch {
	case n < windowSize/2 && len(w.buf) > 1<<20:
		// A long line has gone by: give its memory back.
		b := make([]byte, windowSize)
		copy(b, w.Bytes())
		w.buf = b
	case len(w.buf)-w.hi >= 4<<10:
		return
	case w.lo > 0 && (n <= len(w.buf)/2 || len(w.buf) >= max+windowSize/2):
		copy(w.buf, w.Bytes())
	default:
		b := make([]byte, min(max, 2*len(w.buf))+windowSize/2)
		copy(b, w.Bytes())
		w.buf = b
	}
	w.lo, w.hi = 0, n
}

func (w *Window) fill() bool {
	for range 100 {
		n, err := w.r.Read(w.buf[w.hi:])
		w.hi += n
		w.read += int64(n)
		if w.stats != nil {
			w.stats.Bytes.Add(int64(n))
		}
		if err != nil {
			w.end(err)
		}
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	w.end(io.ErrNoProgress)
	return false
}

// end notes why reading stopped.
func (w *Window) end(err error) {
	if ctx := w.ctx.Err(); ctx != nil && errors.Is(err, ctx) {
		w.err = ctx
		return
	}
	w.eof = true
	if w.zst != nil {
		w.zst.Close()
	}
	if err == io.EOF {
		return
	}
	rej := &Rejection{Class: ClassRead, Reason: "read: " + err.Error()}
	if w.kind != "" {
		rej.Class = ClassCompression
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), w.kind+": "), "flate: ")
		if errors.Is(err, io.ErrUnexpectedEOF) {
			text = "unexpected end of data"
		}
		rej.Reason = w.kind + ": " + text
	}
	w.err = rej
}

// open opens the input, and finds out how it is stored by its first bytes.
func (w *Window) open() bool {
	r, err := w.in.reader(w)
	if err != nil {
		w.eof = true
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		w.err = &Rejection{Class: ClassRead, Reason: "open: " + err.Error()}
		return false
	}
	magic, err := head(r, make([]byte, 0, 4), isMagic)
	src := io.MultiReader(bytes.NewReader(magic), &after{r, err})
	switch m := string(magic); {
	case strings.HasPrefix(m, gzipMagic):
		w.kind = "gzip"
		z, err := gzip.NewReader(src)
		if err != nil {
			w.end(err)
			return false
		}
		w.r = z
	case m == zstdMagic || len(m) == 4 && m[0]&0xf0 == 0x50 && m[1:] == skipMagic[1:]:
		w.kind = "zstd"
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstd))
		if err != nil {
			w.end(err)
			return false
		}
		w.r, w.zst = z, z
	default:
		w.r = src
	}
	w.buf = make([]byte, windowSize)

	// The encoding shows in the first bytes of the text.
	first, err := head(w.r, w.buf[:0], isEncoding)
	w.hi, w.read = len(first), int64(len(first))
	if w.stats != nil {
		w.stats.Bytes.Add(w.read)
	}
	if err != nil {
		w.r = &after{nil, err}
	}
	switch {
	case bytes.HasPrefix(first, []byte(bom)):
		w.Discard(3)
	case isUTF16(first):
		w.eof = true
		w.hi = 0
		w.err = &Rejection{Class: ClassEncoding, Reason: "UTF-16 text: convert it first (iconv -f UTF-16 -t UTF-8)"}
		return false
	}
	return true
}

// head reads four bytes into b, or fewer if these cannot be the begin of what
// is looked for: whoever writes a pipe may wait before the next one.
func head(r io.Reader, b []byte, begins func([]byte) bool) ([]byte, error) {
	for range 100 {
		n, err := r.Read(b[len(b):4])
		b = b[:len(b)+n]
		if err != nil || len(b) == 4 || len(b) > 0 && !begins(b) {
			return b, err
		}
	}
	return b, io.ErrNoProgress
}

const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
	skipMagic = "\x50\x2a\x4d\x18" // of a zstd frame without data; the first byte is one of 16
	bom       = "\xef\xbb\xbf"
)

func isMagic(b []byte) bool {
	s := string(b)
	return strings.HasPrefix(gzipMagic, s) || strings.HasPrefix(zstdMagic, s) ||
		b[0]&0xf0 == 0x50 && strings.HasPrefix(skipMagic[1:], s[1:])
}

func isEncoding(b []byte) bool {
	return strings.HasPrefix(bom, string(b)) || b[0] >= 0xfe || bytes.IndexByte(b, 0) >= 0
}

func isUTF16(b []byte) bool {
	if len(b) >= 2 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff) {
		return true
	}
	return len(b) == 4 && (b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0 || b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0)
}

// after gives an error that came with bytes once these have been read.
type after struct {
	r   io.Reader
	err error
}

func (a *after) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	return a.r.Read(p)
}

// Lines reads the lines of a window.
type Lines struct {
	w *Window
	o *Options
}

// NewLines returns the lines of w. What is wrong with the input is rejected
// through o.
func NewLines(w *Window, o *Options) *Lines {
	w.Count(o.Stats)
	return &Lines{w, o}
}

// Next returns the next line that is not blank, without its end, and its
// offset. The line is borrowed until the next call. At the end of the input,
// also when its end could not be read, the error is io.EOF; else it is that of
// the context.
func (l *Lines) Next() ([]byte, int64, error) {
	w, max := l.w, l.o.maxLine()
	for {
		if err := w.ctx.Err(); err != nil {
			return nil, 0, err
		}
		from, n := 0, -1
		for {
			b := w.Bytes()
			if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
				n = from + i
				break
			}
			from = len(b)
			if !w.More(max + 2) {
				break
			}
		}
		b, off := w.Bytes(), w.Offset()
		skip := n + 1
		if n < 0 {
			if err := w.ctx.Err(); err != nil {
				return nil, 0, err
			}
			if len(b) > max+1 || len(b) == max+1 && b[max] != '\r' {
				l.long(max)
				continue
			}
			var rej *Rejection
			if errors.As(w.Err(), &rej) {
				l.o.Refuse(w.Broken())
				return nil, 0, io.EOF
			}
			if len(b) == 0 {
				return nil, 0, io.EOF
			}
			n, skip = len(b), len(b)
		}
		line := b[:n]
		w.Discard(skip)
		if n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if l.o.Stats != nil {
			l.o.Stats.Lines.Add(1)
		}
		if len(line) > max {
			l.o.Refuse(tooLong(w, off, line, max))
			continue
		}
		if blank(line) {
			continue
		}
		return line, off, nil
	}
}

// long rejects a line of more than max bytes without keeping it.
func (l *Lines) long(max int) {
	w := l.w
	l.o.Refuse(tooLong(w, w.Offset(), w.Bytes(), max))
	if l.o.Stats != nil {
		l.o.Stats.Lines.Add(1)
	}
	w.SkipLine()
}

// SkipLine discards through the next line end, however far that is.
func (w *Window) SkipLine() {
	for {
		b := w.Bytes()
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			w.Discard(i + 1)
			return
		}
		w.Discard(len(b))
		if !w.More(windowSize) {
			return
		}
	}
}

// Broken returns the rejection that Err holds, with the place where the input
// broke and what is left before it, which it discards.
func (w *Window) Broken() Rejection {
	var rej *Rejection
	if !errors.As(w.err, &rej) {
		return Rejection{}
	}
	w.err = nil
	r := *rej
	r.Origin.Source, r.Origin.Offset, r.Data = w.in.name, w.off, w.Bytes()
	w.Discard(w.hi - w.lo)
	return r
}

func tooLong(w *Window, off int64, b []byte, max int) Rejection {
	r := Rejection{Class: ClassLong, Reason: fmt.Sprintf("line longer than %d bytes", max), Data: b}
	r.Origin.Source, r.Origin.Offset = w.in.name, off
	return r
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
