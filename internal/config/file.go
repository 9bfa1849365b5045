package config

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ReadFile reads a file that somebody wrote for us: a configuration, or a secret that one
// names. A pipe or device is refused, for to open it may wait, and to read it may never end;
// and so is a file of more than [MaxSize] bytes. An error that is a [*fs.PathError] says that
// it cannot be read.
func ReadFile(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err == nil && !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("expected a file, and this is %s", whatIs(st.Mode()))}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err == nil && len(b) > MaxSize {
		return nil, fmt.Errorf("%s: larger than the %d kB that is read of such a file", name, MaxSize>>10)
	}
	return b, err
}

func whatIs(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}
