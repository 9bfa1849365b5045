//go:build linux

// Package audittest lets tests have the kernel's audit for themselves.
package audittest

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/orlop/orlop/source/audit"
)

var (
	mu   sync.Mutex
	lock *os.File
)

// Need skips a test that cannot have the kernel's audit: there is one, with one daemon and
// one list of rules. Until the test ends, those of other packages wait, which run beside it.
func Need(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	mu.Lock()
	defer mu.Unlock()
	if lock == nil {
		f, err := os.OpenFile(filepath.Join(os.TempDir(), "orlop-audit-tests.lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		lock = f
		t.Cleanup(func() {
			mu.Lock()
			defer mu.Unlock()
			lock.Close()
			lock = nil
		})
	}
	for _, c := range audit.Checks("") {
		if c.Needed && c.Fix != "" || c.Name == "daemon" && !strings.HasPrefix(c.State, "none") {
			t.Skipf("audit: %s: %s", c.Name, c.State)
		}
	}
}
