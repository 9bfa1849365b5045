//go:build unix

package own_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orlop/orlop/internal/own"
)

// What is no file is refused, and nobody waits for it, however it is opened.
func TestWhatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "raised")
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(what string, put func() error) {
		t.Helper()
		if err := put(); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(name)
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY | os.O_CREATE, os.O_RDWR | os.O_CREATE | os.O_APPEND} {
			file, err := own.Open(name, flag, 0o600)
			if file != nil {
				file.Close()
			}
			var pe *fs.PathError
			if err == nil || !errors.As(err, &pe) || !strings.Contains(err.Error(), name+": expected a file of orlop's own, and this is "+what+": remove it") {
				t.Errorf("%s, flags %x: %v", what, flag, err)
			}
		}
		if err := own.WriteFile(name, nil); err == nil {
			t.Errorf("%s is written", what)
		}
	}
	f("a pipe", func() error { return syscall.Mkfifo(name, 0o600) })
	f("a folder", func() error { return os.Mkdir(name, 0o700) })
	f("a link", func() error { return os.Symlink(target, name) })
	f("a link", func() error { return os.Symlink(filepath.Join(dir, "nothing"), name) })
	if os.Getuid() == 0 {
		f("a device", func() error { return syscall.Mknod(name, syscall.S_IFCHR|0o600, 1<<8|5) }) // as /dev/zero
	}
	if text, err := os.ReadFile(target); err != nil || string(text) != "theirs" {
		t.Errorf("what a link leads to has become %q: %v", text, err)
	}
	if err := own.WriteFile(name, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	if text, err := own.ReadFile(name); err != nil || string(text) != "ours" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := own.ReadFile(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}
