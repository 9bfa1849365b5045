package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A logFile is a file that a Follower reads, or one that was compressed when it was rotated
// and is decompressed as it is read: from where it is to its end, once.
type logFile struct {
	*os.File
	packed bool
	z      io.Reader
	free   func()
	head   []byte
	at     int64 // what comes next
	over   bool  // nothing comes
	bad    error // why, if it should
}

// unpacked is the name of a compressed file without its extension.
func unpacked(name string) (stem string, ok bool) {
	switch ext := filepath.Ext(name); ext {
	case ".gz", ".zst":
		return name[:len(name)-len(ext)], true
	}
	return name, false
}

// openLog opens a file, if it is there; decompressed, if it may be and is. What is wrong
// with what is compressed is its bad.
func openLog(path string, mayBe bool) (*logFile, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // of a pipe, to open waits for who writes
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if st, err := file.Stat(); err != nil || !st.Mode().IsRegular() {
		file.Close()
		return nil, errors.Join(err, fmt.Errorf("%s: not a file that can be followed (the source stdin reads a pipe)", path))
	}
	f := &logFile{File: file}
	if _, ok := unpacked(path); ok && mayBe {
		f.unpack(filepath.Ext(path))
	}
	return f, nil
}

// unpack begins to read a compressed file.
func (f *logFile) unpack(ext string) {
	f.packed = true
	if ext == ".gz" {
		z, err := gzip.NewReader(f.File)
		if err != nil {
			f.bad = err
			return
		}
		f.z = z
	} else {
		z, err := zstd.NewReader(f.File, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstd))
		if err != nil {
			f.bad = err
			return
		}
		f.z, f.free = z, z.Close
	}
	b := make([]byte, headSize)
	f.head = b[:f.fill(b)]
}

// fill reads what comes next into b. There is no more if b is not full.
func (f *logFile) fill(b []byte) (n int) {
	for n < len(b) && !f.over {
		m, err := f.z.Read(b[n:])
		n += m
		if err != nil {
			f.over = true
			if err != io.EOF {
				f.bad = err
			}
		}
	}
	f.at += int64(n)
	return n
}

// ReadAt reads what is at off. What is compressed is read once, but for its head.
func (f *logFile) ReadAt(b []byte, off int64) (n int, err error) {
	if !f.packed {
		return f.File.ReadAt(b, off)
	}
	if f.z == nil {
		return 0, io.EOF
	}
	if off < int64(len(f.head)) {
		n = copy(b, f.head[off:])
		off += int64(n)
	}
	for skip := make([]byte, 32<<10); f.at < off && !f.over; {
		f.fill(skip[:min(int64(len(skip)), off-f.at)])
	}
	if off == f.at {
		n += f.fill(b[n:])
	}
	if n < len(b) {
		err = io.EOF
	}
	return n, err
}

// reaches reports whether the file is at least that long, as far as can be told without
// reading it.
func (f *logFile) reaches(size int64) bool {
	st, err := f.Stat()
	return err == nil && (f.packed || st.Size() >= size)
}

// Close closes the file.
func (f *logFile) Close() error {
	if f.free != nil {
		f.free()
		f.free = nil
	}
	return f.File.Close()
}
