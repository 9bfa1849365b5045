//go:build !unix

package sink

import (
	"os"
	"path/filepath"
)

// lockDir does not keep others out where there is no flock.
func lockDir(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}
