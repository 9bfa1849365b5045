package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/orlop/orlop/event"
)

// A recording is a file of events, or several: one that has grown to a limit is
// renamed after the time of its last event, events.20260429T100000.000Z.ndjson.zst,
// and a new one takes its name.
type recording struct {
	name  string    // "-" is stdout
	limit int64     // bytes at which a file is rotated; 0 is never
	keep  int       // rotated files that are kept; 0 is all
	last  time.Time // of the last event in w

	out *counter
	zip *zstd.Encoder // nil if the file is not compressed
	w   *bufio.Writer
}

// A counter counts what is written to a file.
type counter struct {
	io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	return n, err
}

// open makes the file. What happens on a host is its owner's business alone.
func (r *recording) open(stdout io.Writer) error {
	if r.name != "-" {
		f, err := os.OpenFile(r.name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		stdout = f
	}
	r.out = &counter{Writer: stdout}
	var w io.Writer = r.out
	if strings.HasSuffix(r.name, ".zst") {
		var err error
		if r.zip, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)); err != nil {
			return err
		}
		w = r.zip
	}
	r.w = bufio.NewWriterSize(w, 64<<10)
	return nil
}

// add writes an event. A file is rotated between two events.
func (r *recording) add(e *event.Event) error {
	if bytes.IndexByte(e.Raw, '\n') >= 0 {
		return errors.New("bug: a document of two lines")
	}
	size := r.out.n
	if r.zip == nil {
		size += int64(r.w.Buffered())
	}
	if r.limit > 0 && r.name != "-" && size >= r.limit {
		if err := r.rotate(); err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
	}
	if _, err := r.w.Write(e.Raw); err != nil {
		return err
	}
	if e.Time.After(r.last) {
		r.last = e.Time
	}
	return r.w.WriteByte('\n')
}

const rotatedStamp = "20060102T150405.000Z"

func (r *recording) rotate() error {
	if err := r.close(); err != nil {
		return err
	}
	dir, base := filepath.Split(r.name)
	stem, ext, _ := strings.Cut(base, ".")
	if ext != "" {
		ext = "." + ext
	}
	rotated := func(at time.Time) string { return dir + stem + "." + at.UTC().Format(rotatedStamp) + ext }
	at := r.last
	for {
		if _, err := os.Lstat(rotated(at)); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		at = at.Add(time.Millisecond)
	}
	if err := os.Rename(r.name, rotated(at)); err != nil {
		return err
	}
	r.last = time.Time{}
	if err := r.sweep(dir, stem+".", ext); err != nil {
		return err
	}
	return r.open(nil)
}

// sweep removes the oldest of the rotated files.
func (r *recording) sweep(dir, before, after string) error {
	if r.keep == 0 {
		return nil
	}
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return err
	}
	var old []string // sorted by name, and so by time
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), before)
		stamp, ok2 := strings.CutSuffix(rest, after)
		if _, err := time.Parse(rotatedStamp, stamp); ok && ok2 && err == nil {
			old = append(old, e.Name())
		}
	}
	for len(old) > r.keep {
		if err := os.Remove(dir + old[0]); err != nil {
			return err
		}
		old = slices.Delete(old, 0, 1)
	}
	return nil
}

// close ends the file that is written to.
func (r *recording) close() error {
	errs := []error{r.w.Flush()}
	if r.zip != nil {
		errs = append(errs, r.zip.Close())
		r.zip = nil
	}
	if c, ok := r.out.Writer.(io.Closer); ok && r.name != "-" {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
