package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/orlop/orlop/event"
)

// A Follower reads the lines of a file that grows, through its rotations: by renaming
// (audit.log becomes audit.log.1), by copying and truncating, and by removing. It looks
// when it is told to, so it needs nothing of the file system but stat and read.
type Follower struct {
	path string
	o    *Options

	f    *logFile
	head []byte // the first bytes of f, by which it is known again
	base int64  // offset of f's first byte: offsets go on from file to file
	buf  []byte // what has been read of f and not been handed on
	at   int64  // of buf in f
	skip bool   // we are in a line that is too long

	lastHead []byte // of the file before f,
	lastBase int64  // and its base
}

// A Place is where a Follower is.
type Place struct {
	Head []byte `json:"head"` // the first bytes of the file
	At   int64  `json:"at"`   // in the file
	Off  int64  `json:"off"`  // of all that was followed
}

const (
	headSize = 128 // the first record of an audit log differs from others within its first 40
	readSize = 128 << 10

	maxRotated = 999 // auditd's limit of num_logs; what is more is a date
)

// Follow returns a Follower of the file at path. It goes on at a place of an earlier
// one; if that is nil, it begins with what will be added to the file. A file that is
// not there yet is waited for, and read from its beginning.
func Follow(path string, from *Place, o *Options) (*Follower, error) {
	f := &Follower{path: path, o: o}
	if from != nil {
		return f, f.resume(from)
	}
	if err := f.open(path); err != nil || f.f == nil {
		return f, err
	}
	return f, f.toEnd()
}

// Waits says that the file is not there yet, as a check of a source. Fix is what else can be
// done than to wait.
func (f *Follower) Waits(fix string) []Check {
	if f.f != nil {
		return nil
	}
	state := f.path + " is not there: it is waited for, and then read from its beginning"
	if dir := filepath.Dir(f.path); !isDir(dir) {
		state = f.path + " is not there, nor is " + dir + ": it is waited for, and then read from its beginning"
	}
	return []Check{{Name: "log", State: state, Fix: fix}}
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// FollowError is why a file cannot be followed, if that is for want of a right a
// *MissingError.
func FollowError(source string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &MissingError{Source: source, What: err.Error(), Fix: "run as root or as its owner, or add CAP_DAC_READ_SEARCH"}
	}
	return fmt.Errorf("%s: %w", source, err)
}

// Place is where the line at off begins: the next one, or one that was handed on and is
// of this file or the one before.
func (f *Follower) Place(off int64) Place {
	if off < f.base && off >= f.lastBase {
		return Place{Head: f.lastHead, At: off - f.lastBase, Off: off}
	}
	return Place{Head: f.head, At: max(off-f.base, 0), Off: off}
}

// Next is the offset of the next line.
func (f *Follower) Next() int64 { return f.base + f.at }

// open opens a file, if it is there.
func (f *Follower) open(path string) error {
	file, err := f.openLog(path)
	if file != nil {
		f.use(file)
	}
	return err
}

// openLog opens a file, if it is there. Only what was rotated is decompressed.
func (f *Follower) openLog(path string) (*logFile, error) { return openLog(path, path != f.path) }

// use makes a file the one that is read, from its beginning.
func (f *Follower) use(file *logFile) {
	f.f, f.head, f.at, f.buf, f.skip = file, nil, 0, f.buf[:0], false
}

// toEnd goes to the beginning of the last line if that has no end yet, else to the end.
func (f *Follower) toEnd() error {
	st, err := f.f.Stat()
	if err != nil {
		return err
	}
	f.see()
	end := st.Size()
	from := max(end-readSize, 0)
	b := make([]byte, end-from)
	n, err := f.f.ReadAt(b, from)
	if err != nil && err != io.EOF {
		return err
	}
	f.at = from + int64(bytes.LastIndexByte(b[:n], '\n')+1)
	return nil
}

// see keeps the first bytes of the file.
func (f *Follower) see() {
	if len(f.head) < headSize {
		f.head = headOf(f.f)
	}
}

func headOf(file io.ReaderAt) []byte {
	b := make([]byte, headSize)
	n, _ := file.ReadAt(b, 0)
	return b[:n]
}

// is reports whether a file begins as the one with that head did, and is long enough
// for a place in it.
func is(file *logFile, head []byte, at int64) bool {
	return file.reaches(at) && len(head) > 0 && bytes.HasPrefix(headOf(file), head)
}

// same reports whether the file still begins as it did.
func (f *Follower) same() bool { return len(f.head) == 0 || is(f.f, f.head, 0) }

// resume opens the file that a place is in, which may have another name by now.
func (f *Follower) resume(from *Place) error {
	for _, r := range append([]rotated{{path: f.path}}, f.older()...) {
		if err := f.open(r.path); err != nil {
			return err
		}
		if f.f == nil {
			continue
		}
		if is(f.f, from.Head, from.At) {
			f.see()
			f.at, f.base = from.At, from.Off-from.At
			return nil
		}
		f.f.Close()
		f.f = nil
	}
	f.base = from.Off
	if len(from.Head) > 0 {
		f.refuse(nil, "the file that was read before is gone, and what was added to it since; this one is read from its beginning")
	}
	return f.open(f.path)
}

// A rotated file is what the file was once, under the name that it got.
type rotated struct {
	path string
	st   fs.FileInfo
}

// older lists what the file was rotated to, the newest first: audit.log.1; by logrotate's
// dateext audit.log-20260101; by kube-apiserver audit-2026-01-01T10-00-00.000.log. Each may
// be compressed since, which it is once it is gone under its own name.
//
// Files may be rotated meanwhile. As their numbers only grow, one after the other is
// found if all numbers are tried in order, though perhaps twice.
func (f *Follower) older() []rotated {
	var dates []string
	last := 0
	entries, _ := os.ReadDir(filepath.Dir(f.path))
	for _, e := range entries {
		stem, _ := unpacked(e.Name())
		if !isOlder(filepath.Base(f.path), stem) {
			continue
		}
		number, _ := strings.CutPrefix(stem, filepath.Base(f.path)+".")
		if i, err := strconv.Atoi(number); err == nil && i <= maxRotated {
			last = max(last, i)
		} else {
			dates = append(dates, filepath.Join(filepath.Dir(f.path), e.Name()))
		}
	}
	var found []rotated
	add := func(path string) {
		st, err := os.Stat(path)
		if stem, ok := unpacked(path); ok && err == nil {
			if _, there := os.Stat(stem); there == nil {
				return // It is being compressed.
			}
		}
		if err == nil && st.Mode().IsRegular() && !slices.ContainsFunc(found, func(r rotated) bool { return os.SameFile(r.st, st) }) {
			found = append(found, rotated{path, st})
		}
	}
	for i := range last + 2 { // A name that is moved to may not have been listed.
		for _, ext := range []string{"", ".gz", ".zst"} {
			add(f.path + "." + strconv.Itoa(i+1) + ext)
		}
	}
	numbered := len(found)
	for _, path := range slices.Backward(dates) { // ReadDir sorts them.
		add(path)
	}
	// Dates come in many layouts: the clock comes first, and then their text.
	byTime := func(a, b rotated) int { return b.st.ModTime().Compare(a.st.ModTime()) }
	slices.SortStableFunc(found[numbered:], byTime)
	if numbered > 0 && numbered < len(found) && byTime(found[numbered], found[0]) < 0 {
		return slices.Concat(found[numbered:], found[:numbered])
	}
	return found
}

// isOlder reports whether a file of that name was rotated from base.
func isOlder(base, name string) bool {
	if rest, ok := strings.CutPrefix(name, base); ok {
		return len(rest) > 1 && (rest[0] == '.' || rest[0] == '-') && strings.Trim(rest[1:], "0123456789-_") == ""
	}
	ext := filepath.Ext(base)
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(base, ext)+"-")
	rest, ends := strings.CutSuffix(rest, ext)
	return ok && ends && rest != "" && strings.Trim(rest, "0123456789-T.") == ""
}

// Lines hands on all whole lines that are there now, each without its end and with its
// offset. A line is valid until emit returns; the error is that of emit, or of reading.
func (f *Follower) Lines(emit func(line []byte, off int64) error) error {
	for {
		if f.f == nil {
			if err := f.open(f.path); err != nil || f.f == nil {
				return err
			}
		}
		n, err := f.read()
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		if err := f.split(emit); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if turned, err := f.turn(emit); err != nil || !turned {
			return err
		}
	}
}

func (f *Follower) read() (int, error) {
	f.buf = slices.Grow(f.buf, readSize)
	n, err := f.f.ReadAt(f.buf[len(f.buf):len(f.buf)+readSize], f.at+int64(len(f.buf)))
	if n > 0 && !f.same() {
		return 0, nil // It is another text by now: turn sees to it.
	}
	f.buf = f.buf[:len(f.buf)+n]
	if n > 0 {
		f.see()
		if f.o.Stats != nil {
			f.o.Stats.Bytes.Add(int64(n))
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// split hands on the whole lines of buf.
func (f *Follower) split(emit func([]byte, int64) error) (err error) {
	used := 0
	for err == nil {
		i := bytes.IndexByte(f.buf[used:], '\n')
		if i < 0 {
			break
		}
		line, off := f.buf[used:used+i], f.Next()
		used += i + 1
		f.at += int64(i + 1)
		if f.skip {
			f.skip = false
			continue
		}
		err = f.hand(line, off, emit)
	}
	f.buf = f.buf[:copy(f.buf, f.buf[used:])]
	if limit := f.o.Limit(); len(f.buf) > limit {
		if !f.skip {
			f.refuse(f.buf, fmt.Sprintf("line longer than %d bytes", limit))
		}
		f.at += int64(len(f.buf))
		f.buf, f.skip = nil, true
	}
	return err
}

func (f *Follower) hand(line []byte, off int64, emit func([]byte, int64) error) error {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if blank(line) {
		return nil
	}
	if f.o.Stats != nil {
		f.o.Stats.Lines.Add(1)
	}
	return emit(line, off)
}

func (f *Follower) refuse(data []byte, why string) {
	f.o.Refuse(Rejection{Origin: event.Origin{Source: f.path, Offset: f.Next()}, Class: ClassRead, Reason: why, Data: data})
}

// spoilt rejects the rest of a compressed file that is not as it should be.
func (f *Follower) spoilt() {
	if f.f.bad != nil {
		f.refuse(nil, fmt.Sprintf("%s cannot be read to its end: %v", f.f.Name(), f.f.bad))
	}
}

// turn looks what became of a file that has been read to its end, and reports whether
// there is more to read, in it or the next.
func (f *Follower) turn(emit func([]byte, int64) error) (bool, error) {
	now, err := os.Stat(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	// Only now: what was added before the file was renamed is to be seen.
	was, err := f.f.Stat()
	if err != nil {
		return false, err
	}
	end := f.at + int64(len(f.buf))
	if now != nil && os.SameFile(was, now) {
		if now.Size() >= end && f.same() {
			return now.Size() > end, nil
		}
		// Truncated, and perhaps written to again. What was added before that and not
		// read is in the copy, if there is one.
		if rest := f.copied(end); rest != nil {
			old := f.f
			defer old.Close()
			f.f = rest
			for {
				n, err := f.read()
				if err == nil {
					err = f.split(emit)
				}
				if err != nil {
					return false, err
				}
				if n == 0 {
					break
				}
			}
			f.spoilt()
			rest.Close()
			end = f.at + int64(len(f.buf))
		} else {
			f.f.Close()
		}
		f.cut()
		f.leave(end)
		return true, f.open(f.path)
	}
	if !f.f.packed && was.Size() > end && f.same() {
		return true, nil
	}
	next, lost, err := f.follow(was)
	if next == nil {
		return false, err // Who writes may still have the old one open.
	}
	// Renamed. A last line without its end will not get one.
	if len(f.buf) > 0 && !f.skip {
		line := f.buf
		off := f.Next()
		f.at += int64(len(f.buf))
		f.buf = nil
		if err := f.hand(line, off, emit); err != nil {
			next.Close()
			return false, err
		}
	}
	f.spoilt()
	f.f.Close()
	f.leave(end)
	f.use(next)
	if lost {
		f.refuse(nil, "the file that was read was rotated away, or compressed, before the next one was looked for: files in between may be gone unread")
	}
	return true, nil
}

// follow opens the file that came after one that was renamed, if something was written
// to it. There may have been several since, and there may be more at any moment.
func (f *Follower) follow(was fs.FileInfo) (next *logFile, lost bool, err error) {
	const tries = 10
	for try := range tries {
		at, lost := f.after(was)
		if lost && try < tries/2 {
			continue // It may have been renamed while we looked.
		}
		file, err := f.openLog(at.path)
		if err != nil {
			return nil, false, err
		}
		if file == nil {
			continue
		}
		// It is the one, unless the names have moved on meanwhile.
		if st, err := file.Stat(); err == nil && st.Size() > 0 {
			again, gone := f.after(was)
			if gone == lost && (at.st == nil && again.st == nil || again.st != nil && os.SameFile(st, again.st)) {
				return file, lost, nil
			}
		}
		file.Close()
	}
	return nil, false, nil
}

// after is what came after a file that was renamed: another that was, or the one of
// today, which has no st. If the file is not there any more, it is the first of those
// that are not older, and some may be lost.
func (f *Follower) after(was fs.FileInfo) (next rotated, lost bool) {
	older := f.older()
	i := slices.IndexFunc(older, func(r rotated) bool { return os.SameFile(r.st, was) })
	if i < 0 { // It may be compressed by now.
		i = slices.IndexFunc(older, func(r rotated) bool {
			_, ok := unpacked(r.path)
			return ok && f.begins(r.path, f.head)
		})
	}
	if i < 0 {
		i = slices.IndexFunc(older, func(r rotated) bool {
			return r.st.ModTime().Before(was.ModTime()) || f.begins(r.path, f.lastHead)
		})
		if i < 0 {
			i = len(older)
		}
		lost = i > 0 || f.unreadable()
	}
	for _, r := range slices.Backward(older[:i]) {
		if r.st.Size() > 0 {
			return r, lost
		}
	}
	return rotated{path: f.path}, lost
}

// unreadable reports whether there are rotated files that are compressed in a way that we
// cannot read.
func (f *Follower) unreadable() bool {
	entries, _ := os.ReadDir(filepath.Dir(f.path))
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		name := e.Name()
		stem := strings.TrimSuffix(name, filepath.Ext(name))
		switch filepath.Ext(name) {
		case ".xz", ".bz2", ".lz4", ".lzma", ".Z":
			return isOlder(filepath.Base(f.path), stem)
		}
		return false
	})
}

// begins reports whether a file begins as one did that was read.
func (f *Follower) begins(path string, head []byte) bool {
	file, _ := f.openLog(path)
	if file == nil {
		return false
	}
	defer file.Close()
	return is(file, head, 0)
}

// leave notes that f, of that length, is done with.
func (f *Follower) leave(end int64) {
	f.lastHead, f.lastBase = f.head, f.base
	f.base += end
	f.f, f.head, f.at = nil, nil, 0
}

// copied is the file that ours was copied to before it was truncated, if it has more
// than we have read.
func (f *Follower) copied(end int64) *logFile {
	for _, r := range f.older() {
		file, _ := f.openLog(r.path)
		if file == nil {
			continue
		}
		if is(file, f.head, end+1) {
			return file
		}
		file.Close()
	}
	return nil
}

// cut rejects a last line that was truncated away.
func (f *Follower) cut() {
	if len(f.buf) > 0 && !f.skip {
		f.refuse(f.buf, "the file was truncated within a line")
	}
	f.buf = f.buf[:0]
}

// Close closes the file.
func (f *Follower) Close() error {
	if f.f == nil {
		return nil
	}
	return f.f.Close()
}
