//go:build unix

package spool_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// A disk that takes no more is an error. Here it is a limit of the process, which
// may not write files longer than that.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Skip(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: was.Max}); err != nil {
		t.Skip(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was)
	b := newBench()
	defer b.Close()
	var err error
	e := b.event(t, start, `{"pad":"`+strings.Repeat("x", 1000)+`"}`)
	for range 3000 {
		b.Add(e, nil)
		if err = b.Bound(2 << 20); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EFBIG) || !strings.HasPrefix(err.Error(), "events that wait to be put in order go to "+dir+": write ") ||
		!strings.HasSuffix(err.Error(), "(TMPDIR names another place)") {
		t.Errorf("on a full disk: %v", err)
	}
}
