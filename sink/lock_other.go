//go:build !unix

package sink

import (
	"os"
	"path/filepath"

	"github.com/orlop/orlop/internal/own"
)

// lockDir does not keep others out where there is no flock.
func lockDir(dir string) (*os.File, error) {
	return own.Open(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}
