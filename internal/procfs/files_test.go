//go:build linux

package procfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// From within a container the host is called what its first process calls it, has that
// one's users, and its machine id.
func TestFilesOfTheHost(t *testing.T) {
	if first := os.Getenv("PROCFS_FIRST"); first != "" {
		f := hostFiles(first)
		n := Names{root: f.root}
		fmt.Printf("%s %s %s %s %v\n", f.name(), f.id(), n.User(0), n.Group(0), f.mnt == namespace(first+"/ns/mnt"))
		state, fix := f.identity(os.Getenv("PROCFS_NAME"))
		fmt.Println(state, fix)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	cmd := exec.Command("unshare", "-m", "-u", "-i", "sh", "-ec", `mount --bind "$1" /etc && hostname box && exec "$2" -test.run=^TestFilesOfTheHost$`, "sh", empty, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("PROCFS_FIRST=/proc/%d", os.Getpid()))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	name, _ := os.Hostname()
	here := files{}
	want := fmt.Sprintf("%s %s root root true\n%s, %s \n", name, here.id(), name, here.id())
	if !strings.HasPrefix(string(out), want) {
		t.Errorf("got %s\nwant %s", out, want)
	}
	// Where that one may not be looked at, it is not.
	cmd = exec.Command(cmd.Args[0], cmd.Args[1:]...)
	cmd.Env = append(os.Environ(), "PROCFS_FIRST=/nowhere")
	out, err = cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd = exec.Command(cmd.Args[0], cmd.Args[1:]...)
	cmd.Env = append(os.Environ(), "PROCFS_FIRST=/nowhere", "PROCFS_NAME=worker-1")
	if told, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(told), "host.name") {
		t.Errorf("told its name, it says %s (%v), want nothing of host.name", told, err)
	}
	for _, want := range []string{"box    false\n", "host.id is not known", "host.name is the container's, box", "mount the host's /etc/machine-id", "NODE_NAME"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("got %s\nwant %q", out, want)
		}
	}
}

// A line of passwd(5) that names no user is none.
func TestNameIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(file, []byte("root:x:0:0:root:/root:/bin/sh\n+nis:x:7:7::/:\n\nbroken:x\nok:x:7:7::/:\ntoo:x:70:7::/:"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(id uint32, want string) {
		t.Helper()
		if got := nameIn(file, id); got != want {
			t.Errorf("%d is %q, want %q", id, got, want)
		}
	}
	f(0, "root")
	f(7, "ok")
	f(70, "too")
	f(8, "")
	file += "x"
	f(0, "")
}
