//go:build unix

package sink

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/orlop/orlop/internal/own"
)

// lockDir keeps other processes out of a folder until the file is closed, or the
// process is gone.
func lockDir(dir string) (*os.File, error) {
	f, err := own.Open(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	return f, nil
}
