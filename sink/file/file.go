// Package file writes alerts to a file, a document a line, and rotates it.
//
// A file that somebody else moves away, as logrotate does, is made anew with the
// next alert. Nobody else writes to it. A rotated file is named after the time of its
// rotation:
//
//	alerts.ndjson
//	alerts.ndjson.20260429T100000.000Z.zst
package file

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/internal/rotate"
	"github.com/orlop/orlop/sink"
)

// Kind is the name of this kind of sink.
const Kind = "file"

// Options say where the file is and when it is rotated.
type Options struct {
	Path     string        `yaml:"path" required:"true" doc:"The file. It is made, for its owner alone, in a folder that is there."`
	MaxBytes int64         `yaml:"max_bytes" min:"0" doc:"The size at which it is rotated, in bytes. 0 is the default."`
	MaxAge   time.Duration `yaml:"max_age" min:"0s" doc:"The age of its first alert at which the next one rotates it. 0 is the default."`
	Keep     int           `yaml:"keep" min:"0" doc:"How many rotated files are kept. 0 is the default."`
	Compress string        `yaml:"compress" enum:"none|gzip|zstd" doc:"How rotated files are compressed."`

	Now func() time.Time `yaml:"-"` // nil is time.Now
	Log *slog.Logger     `yaml:"-"` // is told of a rotated file that stays as it is; nil is none
}

// Defaults is what options that are zero stand for.
func Defaults() Options {
	return Options{MaxBytes: 100 << 20, MaxAge: 24 * time.Hour, Keep: 7, Compress: "none"}
}

// Check says which option is wrong, why, and what would be right; "" if none is.
func (o *Options) Check() (key, msg, hint string) { return config.Check(o) }

type output struct {
	o     Options
	f     *os.File
	size  int64
	began time.Time // of the first alert; zero if there is none
	buf   []byte
}

// Open checks the options. The file is opened by the first Write, and again after
// it is gone.
func Open(o Options) (sink.Sink, error) {
	if _, msg, _ := o.Check(); msg != "" {
		return nil, errors.New("file: " + msg)
	}
	d := Defaults()
	o.MaxBytes, o.MaxAge, o.Keep = cmp.Or(o.MaxBytes, d.MaxBytes), cmp.Or(o.MaxAge, d.MaxAge), cmp.Or(o.Keep, d.Keep)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &output{o: o}, nil
}

// Write returns once the lines are on disk: all of them, or none.
func (w *output) Write(ctx context.Context, alerts []*alert.Alert) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	if len(alerts) == 0 {
		return nil
	}
	if err := w.open(ctx); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	b := w.buf[:0]
	for _, a := range alerts {
		b = append(append(b, sink.Document(a)...), '\n')
	}
	if w.buf = b; cap(b) > 1<<20 {
		w.buf = nil
	}
	if w.size > 0 && (w.size+int64(len(b)) > w.o.MaxBytes || w.o.Now().Sub(w.began) >= w.o.MaxAge) {
		if err := w.rotate(ctx); err != nil {
			return fmt.Errorf("file: rotate: %w", err)
		}
	}
	if w.size == 0 {
		w.began = w.o.Now()
	}
	if _, err := w.f.Write(b); err != nil {
		// Half a line would be no document.
		return fmt.Errorf("file: %w", errors.Join(err, w.f.Truncate(w.size)))
	}
	w.size += int64(len(b))
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return nil
}

// open makes sure that w.f is the file of that path, and knows its size.
func (w *output) open(ctx context.Context) error {
	if w.f != nil {
		there, err := os.Lstat(w.o.Path)
		ours, err2 := w.f.Stat()
		if err == nil && err2 == nil && os.SameFile(there, ours) {
			w.size = ours.Size() // somebody may have cut it
			return nil
		}
		w.f.Close()
		w.f = nil
	}
	// A pipe would make open wait for a reader, and of a link rotation would move the
	// link alone.
	if info, err := os.Lstat(w.o.Path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", w.o.Path)
	}
	f, err := os.OpenFile(w.o.Path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := w.adopt(f); err != nil {
		f.Close()
		return err
	}
	w.f = f
	return w.sweep(ctx)
}

// adopt makes a file of an earlier process ours: its unfinished last line is cut
// off, since that alert comes again.
func (w *output) adopt(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	b := make([]byte, 64<<10)
	for size > 0 {
		n := min(size, int64(len(b)))
		if _, err := f.ReadAt(b[:n], size-n); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
			size += int64(i+1) - n
			break
		}
		size -= n
	}
	if size < info.Size() {
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	w.size, w.began = size, info.ModTime()
	if size == 0 {
		return nil
	}
	first := make([]byte, min(size, 1<<20))
	if _, err := f.ReadAt(first, 0); err != nil {
		return err
	}
	line, _, _ := bytes.Cut(first, []byte{'\n'})
	if a, err := alert.Parse(line); err == nil && !a.Time.IsZero() && a.Time.Before(w.began) {
		w.began = a.Time
	}
	return nil
}

func (w *output) rotate(ctx context.Context) error {
	if err := w.f.Close(); err != nil {
		return err
	}
	w.f = nil
	files, err := rotate.List(w.o.Path + ".")
	if err != nil {
		return err
	}
	if err := os.Rename(w.o.Path, w.o.Path+"."+rotate.Next(files, w.o.Now())); err != nil {
		return err
	}
	return w.open(ctx)
}

// ours are what a rotated file may be called after its stamp.
var ours = []string{"", ".gz", ".zst", ".gz.part", ".zst.part"}

// sweep removes the oldest rotated files, and what an earlier process left half done,
// and compresses what is not compressed. If that fails a file stays as it is until
// the next rotation: alerts do not wait for it.
func (w *output) sweep(ctx context.Context) error {
	files, err := rotate.List(w.o.Path + ".")
	if err != nil {
		return err
	}
	for i := range files {
		files[i].Rests = slices.DeleteFunc(files[i].Rests, func(rest string) bool { return !slices.Contains(ours, rest) })
	}
	files = slices.DeleteFunc(files, func(f rotate.File) bool { return len(f.Rests) == 0 })
	kept := max(len(files)-w.o.Keep, 0)
	for i, f := range files {
		for _, rest := range f.Rests {
			if i >= kept && !strings.HasSuffix(rest, ".part") {
				continue
			}
			if err := os.Remove(w.o.Path + "." + f.Stamp + rest); err != nil {
				return err
			}
		}
	}
	suffix := map[string]string{"gzip": ".gz", "zstd": ".zst"}[w.o.Compress]
	for _, f := range files[kept:] {
		if suffix == "" || !f.Has("") {
			continue
		}
		name := w.o.Path + "." + f.Stamp
		if err := compress(ctx, name, name+suffix); err != nil {
			w.o.Log.Warn("file: a rotated file stays uncompressed for now", "err", err)
		}
	}
	return nil
}

// compress puts a compressed copy in the place of a file.
func compress(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	part := to + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var z io.WriteCloser
	if strings.HasSuffix(to, ".gz") {
		z = gzip.NewWriter(out)
	} else if z, err = zstd.NewWriter(out, zstd.WithEncoderConcurrency(1)); err != nil {
		out.Close()
		return err
	}
	_, err = io.Copy(z, &reader{ctx, in})
	if err = errors.Join(err, z.Close(), out.Sync(), out.Close()); err != nil {
		os.Remove(part)
		return err
	}
	if err := os.Rename(part, to); err != nil {
		os.Remove(part)
		return err
	}
	return os.Remove(from)
}

// A reader ends when its context does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// Close leaves the file where it is.
func (w *output) Close() error {
	if w.f == nil {
		return nil
	}
	return w.f.Close()
}
