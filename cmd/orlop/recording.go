package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/internal/own"
	"github.com/orlop/orlop/internal/rotate"
)

// A recording is a file of events, or several: one that has grown to a limit is
// renamed after the time of that, events.20260429T100000.000Z.ndjson.zst, and a new
// one takes its name.
type recording struct {
	name  string           // "-" is standard output
	limit int64            // bytes at which a file is rotated; 0 is never
	keep  int              // rotated files that are kept; 0 is all
	now   func() time.Time // when a file is rotated

	mu    sync.Mutex    // of what follows
	file  *os.File      // nil is standard output
	out   counter       // of what has gone to it
	zip   *zstd.Encoder // nil if it is not compressed
	w     *bufio.Writer
	dirty bool  // there is what a flush would write
	err   error // of a write or a flush
}

// A kinship is what a recording of one login uid has of others: of the processes that were
// there already the ancestors of what it tells, so that the alerts that are made of it have
// the same parents as live.
type kinship struct {
	outsider     func(*event.Event) bool // nil is that all are recorded
	self, parent event.Field             // pids
	held         map[int64]*event.Event  // those that nothing has come of yet, by pid
	write        func(*event.Event) error
}

func newKinship(s *event.Schema, uid *uint32, write func(*event.Event) error) *kinship {
	k := &kinship{self: s.Field("process.pid"), parent: s.Field("process.parent.pid"), held: map[int64]*event.Event{}, write: write}
	if uid != nil {
		k.outsider = agent.Outsider(s, *uid)
	}
	return k
}

// add writes an event, and before it those of its ancestors that are not written yet.
func (k *kinship) add(e *event.Event) error {
	switch {
	case k.outsider == nil:
	case k.outsider(e):
		k.held[e.Get(k.self).Int()] = e.Clone()
		return nil
	case len(k.held) > 0:
		// The process itself: its login uid may be another now.
		if err := errors.Join(k.ancestor(e.Get(k.parent).Int()), k.ancestor(e.Get(k.self).Int())); err != nil {
			return err
		}
	}
	return k.write(e)
}

// ancestor writes a process that was there already, after its own ancestors.
func (k *kinship) ancestor(pid int64) error {
	e := k.held[pid]
	if e == nil {
		return nil
	}
	delete(k.held, pid)
	if err := k.ancestor(e.Get(k.parent).Int()); err != nil {
		return err
	}
	return k.write(e)
}

// A counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// begin opens the file. One that an earlier run has left is put aside, as when it has
// grown to the limit.
func (r *recording) begin(stdout io.Writer) error {
	if st, err := os.Stat(r.name); r.name != "-" && err == nil && st.Mode().IsRegular() && st.Size() > 0 {
		if err := r.aside(); err != nil {
			return err
		}
	}
	return r.open(stdout)
}

// create makes a file, for its owner alone, or begins it anew. To open a pipe might wait for
// ever for somebody who reads it.
func create(name string) (*os.File, error) {
	if st, err := os.Stat(name); err == nil && st.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("expected a file, and this is %s; what goes to standard output may go there", own.Kind(st.Mode()))}
	}
	return os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

// open makes the file. What happens on a host is its owner's business alone.
func (r *recording) open(stdout io.Writer) error {
	r.out = counter{w: stdout}
	if r.name != "-" {
		f, err := create(r.name)
		if err != nil {
			return err
		}
		r.file, r.out.w = f, f
	}
	var w io.Writer = &r.out
	if strings.HasSuffix(r.name, ".zst") {
		var err error
		if r.zip, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)); err != nil {
			return err
		}
		w = r.zip
	}
	r.w, r.dirty = bufio.NewWriterSize(w, 64<<10), false
	return nil
}

// add writes an event. A file is rotated between two events.
func (r *recording) add(e *event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.IndexByte(e.Raw, '\n') >= 0 {
		return errors.New("bug: a document of two lines")
	}
	size := r.out.n
	if r.zip == nil {
		size += int64(r.w.Buffered())
	}
	if r.limit > 0 && size >= r.limit {
		if err := r.rotate(); err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
	}
	if r.err != nil {
		return r.err
	}
	r.dirty = true
	if _, r.err = r.w.Write(e.Raw); r.err == nil {
		r.err = r.w.WriteByte('\n')
	}
	return r.err
}

// flush writes all that was added, so that it can be read whatever becomes of the program:
// a compressed file has a frame that ends there. If that fails, so does all that follows.
func (r *recording) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dirty || r.err != nil {
		return r.err
	}
	r.err = r.w.Flush()
	if r.zip != nil && r.err == nil {
		r.err = r.zip.Close()
		r.zip.Reset(&r.out)
	}
	r.dirty = false
	return r.err
}

// flushes flushes at each tick until ctx ends.
func (r *recording) flushes(ctx context.Context, ticks <-chan time.Time) error {
	for {
		select {
		case <-ticks:
			if err := r.flush(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// rotate puts the file aside and begins anew.
func (r *recording) rotate() error {
	if err := r.close(); err != nil {
		return err
	}
	if err := r.aside(); err != nil {
		return err
	}
	return r.open(nil)
}

// aside renames the file, and removes the oldest of those that were.
func (r *recording) aside() error {
	dot := len(r.name) // of the extensions, which stay last
	if i := strings.IndexByte(r.name[strings.LastIndexByte(r.name, '/')+1:], '.'); i > 0 {
		dot = strings.LastIndexByte(r.name, '/') + 1 + i
	}
	before, after := r.name[:dot]+".", r.name[dot:]
	all, err := rotate.List(before)
	if err != nil {
		return err
	}
	stamp := rotate.Next(all, r.now())
	if err := os.Rename(r.name, before+stamp+after); err != nil {
		return err
	}
	kept := 1 // the one that was put aside now
	for i := len(all) - 1; i >= 0 && r.keep > 0; i-- {
		if !all[i].Has(after) {
			continue
		}
		if kept++; kept > r.keep {
			if err := os.Remove(before + all[i].Stamp + after); err != nil {
				return err
			}
		}
	}
	return nil
}

// close ends the file that is written to. Nobody flushes any more, or the caller is add.
func (r *recording) close() error {
	if r.err != nil {
		if r.file != nil {
			r.file.Close()
		}
		return r.err
	}
	errs := []error{r.w.Flush()}
	if r.zip != nil {
		errs = append(errs, r.zip.Close())
		r.zip = nil
	}
	if r.file != nil {
		errs = append(errs, r.file.Close())
	}
	return errors.Join(errs...)
}
