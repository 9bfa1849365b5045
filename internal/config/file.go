package config

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/orlop/orlop/internal/own"
)

// ReadFile reads a file that somebody wrote for us: a configuration, or a secret that one
// names. A pipe or device is refused, for to open it may wait, and to read it may never end;
// and so is a file of more than [MaxSize] bytes. An error that is a [*fs.PathError] says that
// it cannot be read.
func ReadFile(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err == nil && !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("expected a file, and this is %s", own.Kind(st.Mode()))}
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
