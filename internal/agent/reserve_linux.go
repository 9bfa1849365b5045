package agent

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve makes a file at least so many bytes long, for which the disk has room then.
// Where a file system promises no such thing, nothing is done.
func reserve(f *os.File, bytes int64) error { return allocate(f, 0, bytes) }

// reserveEnd does that for what is appended, and leaves the file as long as it is.
func reserveEnd(f *os.File, bytes int64) error {
	return allocate(f, unix.FALLOC_FL_KEEP_SIZE, bytes)
}

func allocate(f *os.File, mode uint32, bytes int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), mode, 0, bytes); {
		case err == unix.EINTR:
		case err == nil || errors.Is(err, errors.ErrUnsupported): // also ENOSYS
			return nil
		default:
			return &os.PathError{Op: "make room in", Path: f.Name(), Err: err}
		}
	}
}

// exchange makes two files change their names. Where a file system cannot, or there is
// no second one, the first gets the name of the second.
func exchange(a, b string) error {
	switch err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err {
	case nil:
		return nil
	case unix.ENOENT, unix.EINVAL, unix.ENOSYS:
		return os.Rename(a, b)
	default:
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
}
