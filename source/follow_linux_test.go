package source_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/source"
)

// A pipe has no place to go on from. It is refused, and not waited for, which nothing
// could have interrupted.
func TestFollowRefusesAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Follow(path, nil, &source.Options{}); err == nil || !strings.HasSuffix(err.Error(), "/pipe: not a file that can be followed (the source stdin reads a pipe)") {
		t.Errorf("following a pipe: %v", err)
	}
}
