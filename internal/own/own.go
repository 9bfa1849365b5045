// Package own opens the files that orlop keeps for itself, in folders that others may have
// put something into: what has the name of one and is no file is refused.
package own

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Open is [os.OpenFile] for a file of our own. It never waits: a pipe, a device, a folder
// or a link is refused with an error that is a [*fs.PathError].
func Open(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if err := Check(name); err != nil {
		return nil, err
	}
	// What has come meanwhile is not waited for either.
	f, err := os.OpenFile(name, flag|unfollowed, perm)
	if err != nil {
		return nil, errors.Join(Check(name), err)
	}
	st, err := f.Stat()
	if err == nil {
		err = check(name, st.Mode())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadFile is [os.ReadFile] for a file of our own, as [Open].
func ReadFile(name string) ([]byte, error) {
	f, err := Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// WriteFile is [os.WriteFile] for a file of our own, as [Open]; its owner alone may read it.
func WriteFile(name string, text []byte) error {
	f, err := Open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// Check reports what has the name of a file of our own and is none. Nothing may have it.
func Check(name string) error {
	st, err := os.Lstat(name)
	if err != nil {
		return nil // to open it says why
	}
	return check(name, st.Mode())
}

func check(name string, m fs.FileMode) error {
	if m.IsRegular() {
		return nil
	}
	return &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("expected a file of orlop's own, and this is %s: remove it", Kind(m))}
}

// Kind says what is not a regular file, with an article.
func Kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}
