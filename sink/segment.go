package sink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/orlop/orlop/internal/own"
)

// The log is a row of segment files, each named after the number of its first
// record. A record is
//
//	magic   4 bytes
//	length  4 bytes, little endian like all that follows: of the document
//	crc32c  4 bytes, of all after it
//	number  8 bytes, one more than that of the record before
//	time    8 bytes, nanoseconds since 1970, when it was appended
//	document
//
// A document has no control characters, so no magic: however a file is torn or
// damaged, the next whole record is found, and numbers say how many are missing.
const (
	magic      = "\x00or\x01"
	headerSize = 28
	maxRecord  = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type record struct {
	number uint64
	time   time.Time
	doc    []byte
}

func (r record) size() int { return headerSize + len(r.doc) }

func (r record) append(b []byte) []byte {
	at := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.doc)))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, r.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.time.UnixNano()))
	b = append(b, r.doc...)
	binary.LittleEndian.PutUint32(b[at+8:], crc32.Checksum(b[at+12:], castagnoli))
	return b
}

// find returns the first whole record in b, which borrows from b, and where it
// ends. Without one, end is 0.
func find(b []byte) (r record, end int) {
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], []byte(magic))
		if i < 0 {
			return record{}, 0
		}
		at += i
		if len(b)-at < headerSize {
			return record{}, 0
		}
		h := b[at:]
		length := binary.LittleEndian.Uint32(h[4:])
		if length > maxRecord || int(length) > len(h)-headerSize {
			continue
		}
		h = h[:headerSize+int(length)]
		if crc32.Checksum(h[12:], castagnoli) != binary.LittleEndian.Uint32(h[8:]) {
			continue
		}
		return record{
			number: binary.LittleEndian.Uint64(h[12:]),
			time:   time.Unix(0, int64(binary.LittleEndian.Uint64(h[20:]))).UTC(),
			doc:    h[headerSize:],
		}, at + len(h)
	}
}

// A segment is one file of the log.
type segment struct {
	path  string
	first uint64    // number of its first record
	end   uint64    // number after its last
	size  int64     // in bytes
	began time.Time // when its first record was appended
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d.log", first))
}

// openSegments finds the segments of a folder, oldest first. What is torn off the
// end of the last is cut away: torn bytes.
func openSegments(dir string) (segs []*segment, torn int64, err error) {
	entries, err := os.ReadDir(dir) // in order of names
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		name, ours := strings.CutSuffix(e.Name(), ".log")
		first, err := strconv.ParseUint(name, 10, 64)
		if !ours || err != nil || len(name) != 20 {
			continue
		}
		s := &segment{path: filepath.Join(dir, e.Name()), first: first}
		info, err := e.Info()
		if err != nil {
			return nil, 0, err
		}
		s.size = info.Size()
		if n := len(segs); n > 0 {
			segs[n-1].end = first
		}
		segs = append(segs, s)
	}
	if len(segs) == 0 {
		return nil, 0, nil
	}
	for _, s := range segs[:len(segs)-1] {
		if s.began, err = firstTime(s.path); err != nil {
			return nil, 0, err
		}
	}
	last := segs[len(segs)-1]
	b, err := own.ReadFile(last.path)
	if err != nil {
		return nil, 0, err
	}
	whole := 0
	for last.end = last.first; ; {
		r, end := find(b[whole:])
		if end == 0 {
			break
		}
		if whole == 0 {
			last.began = r.time
		}
		whole += end
		last.end = r.number + 1
	}
	torn = int64(len(b) - whole)
	if whole == 0 {
		return segs[:len(segs)-1], torn, os.Remove(last.path)
	}
	if torn > 0 {
		if err := os.Truncate(last.path, int64(whole)); err != nil {
			return nil, 0, err
		}
	}
	last.size = int64(whole)
	return segs, torn, nil
}

// firstTime is the time of the first record of a file, or zero if that is damaged.
func firstTime(path string) (time.Time, error) {
	f, err := own.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	h := make([]byte, headerSize)
	if n, _ := f.ReadAt(h, 0); n < headerSize || string(h[:4]) != magic {
		return time.Time{}, nil
	}
	return time.Unix(0, int64(binary.LittleEndian.Uint64(h[20:]))).UTC(), nil
}

// read reads whole records of a file from offset to limit, at least one and no more
// than bytes unless one is longer. It returns where they end: limit, if there is
// no whole record left.
func read(f *os.File, offset, limit int64, bytes int) (recs []record, end int64, err error) {
	for window := int64(bytes); ; window *= 4 {
		window = min(window, limit-offset)
		b := make([]byte, window)
		if _, err := f.ReadAt(b, offset); err != nil {
			return nil, offset, err
		}
		at := 0
		for {
			r, n := find(b[at:])
			if n == 0 {
				break
			}
			at += n
			recs = append(recs, r)
		}
		switch {
		case len(recs) > 0:
			return recs, offset + int64(at), nil
		case window == limit-offset:
			return nil, limit, nil
		}
	}
}
