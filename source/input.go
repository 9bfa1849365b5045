package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// An Input is one file, or standard input, decompressed as it is read. It is
// read once, by one goroutine; Read may be polled from others.
type Input struct {
	name string
	path string // "" unless it is a regular file, which is opened when first read
	r    io.Reader
	c    io.Closer // closes r; nil for standard input
	size int64
	read atomic.Int64
	win  *Window
}

// An OpenError lists the arguments that cannot be read, each with its reason.
type OpenError struct{ Errs []error }

func (e *OpenError) Error() string { return errors.Join(e.Errs...).Error() }

// Unwrap returns the single reasons.
func (e *OpenError) Unwrap() []error { return e.Errs }

// Open returns the inputs that args name: files, glob patterns that the shell
// left alone, and "-" for stdin; stdin alone if there are no arguments.
//
// All arguments are checked before anything is read: the error is an
// *OpenError with everything that is wrong.
func Open(args []string, stdin io.Reader) ([]*Input, error) {
	if len(args) == 0 {
		args = []string{"-"}
	}
	var ins []*Input
	var errs []error
	for _, arg := range args {
		if arg == "-" {
			ins = append(ins, NewInput("-", stdin))
			continue
		}
		in, err := openFile(arg)
		switch {
		case err == nil:
			ins = append(ins, in)
		case errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(arg, "*?["):
			names, gerr := filepath.Glob(arg)
			if gerr != nil {
				errs = append(errs, fmt.Errorf("%s: bad pattern: %w", arg, gerr))
			} else if len(names) == 0 {
				errs = append(errs, fmt.Errorf("%s: no file matches the pattern: %w", arg, fs.ErrNotExist))
			}
			for _, name := range names {
				if st, err := os.Stat(name); err == nil && st.IsDir() {
					continue // A pattern means the files.
				}
				if in, err := openFile(name); err != nil {
					errs = append(errs, err)
				} else {
					ins = append(ins, in)
				}
			}
		default:
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		for _, in := range ins {
			in.Close()
		}
		return nil, &OpenError{errs}
	}
	return ins, nil
}

// openFile checks that name can be read. A regular file is closed again, so
// that a thousand arguments need one descriptor; a pipe can be opened only once.
func openFile(name string) (*Input, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s: is a directory (name its files, for example %s)", name, filepath.Join(name, "*"))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if st.Mode().IsRegular() {
		f.Close()
		return &Input{name: name, path: name, size: st.Size()}, nil
	}
	return &Input{name: name, r: f, c: f, size: -1}, nil
}

// NewInput returns an input that reads r under that name.
func NewInput(name string, r io.Reader) *Input {
	in := &Input{name: name, r: r, size: -1}
	switch r := r.(type) {
	case *os.File:
		if st, err := r.Stat(); err == nil && st.Mode().IsRegular() {
			in.size = st.Size()
		}
	case *bytes.Reader:
		in.size = int64(r.Len())
	}
	return in
}

// Name is the file's name as it was given, or "-".
func (in *Input) Name() string { return in.name }

// Size is the length of the file as it is stored, or -1 if it is not known.
func (in *Input) Size() int64 { return in.size }

// Read is how many of the stored bytes have been read so far.
func (in *Input) Read() int64 { return in.read.Load() }

// Close gives up the input.
func (in *Input) Close() error {
	if in.c == nil {
		return nil
	}
	c := in.c
	in.c = nil
	return c.Close()
}

// Window returns the input's window, always the same. The context is the one
// that ends its reads from now on.
func (in *Input) Window(ctx context.Context) *Window {
	if in.win == nil {
		in.win = &Window{in: in}
	}
	in.win.ctx = ctx
	return in.win
}

// reader opens the input and returns its stored bytes, counted.
func (in *Input) reader(w *Window) (io.Reader, error) {
	if in.r == nil {
		f, err := os.Open(in.path)
		if err != nil {
			return nil, err
		}
		in.r, in.c = f, f
		return &counter{r: f, n: &in.read}, nil
	}
	if f, ok := in.r.(*os.File); ok && in.size < 0 {
		return &counter{r: &pump{w: w, r: f}, n: &in.read}, nil
	}
	return &counter{r: in.r, n: &in.read}, nil
}

type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// A pump reads a pipe or terminal in a goroutine, since such a read cannot be
// interrupted: the window's context ends the wait, and the goroutine ends with
// the read that it is in.
type pump struct {
	w    *Window
	r    io.Reader
	ask  chan []byte
	got  chan result
	busy bool // a read is under way
	rest []byte
	err  error
}

type result struct {
	b   []byte
	err error
}

func (p *pump) Read(dst []byte) (int, error) {
	if len(p.rest) > 0 {
		n := copy(dst, p.rest)
		p.rest = p.rest[n:]
		return n, nil
	}
	if p.err != nil {
		return 0, p.err
	}
	if p.ask == nil {
		p.ask, p.got = make(chan []byte, 1), make(chan result, 1)
		go func() {
			buf := make([]byte, 64<<10)
			for range p.ask {
				n, err := p.r.Read(buf)
				p.got <- result{buf[:n], err}
			}
		}()
	}
	if !p.busy {
		p.ask <- nil
		p.busy = true
	}
	select {
	case res := <-p.got:
		p.busy = false
		p.rest, p.err = res.b, res.err
		if p.err != nil {
			close(p.ask)
		}
		n := copy(dst, p.rest)
		p.rest = p.rest[n:]
		if n == 0 && len(dst) > 0 {
			return 0, p.err
		}
		return n, nil
	case <-p.w.ctx.Done():
		return 0, p.w.ctx.Err()
	}
}
