//go:build linux

package bpf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// Where the kernel refuses tp_btf, raw tracepoints see the same.
func TestRawTracepoints(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	if err := ready(); err != nil {
		t.Skip(err)
	}
	uid := uint32(2_900_000_000 + os.Getpid())
	s := &Sensor{o: Options{Options: source.Options{Schema: event.NewSchema()}, LoginUID: &uid, Ring: 64 << 10}}
	defer s.Close()
	if err := s.load("raw_"); err != nil {
		t.Fatal(err)
	}
	if err := s.attach("raw_tracepoint"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/bin/sh", "-c", `echo "$1" >/proc/self/loginuid; (exit 3); exec /bin/true`, "sh", strconv.FormatUint(uint64(uid), 10)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := s.Stats().Sent, (KindStats{Exec: 1, Fork: 1, Exit: 2}); got.Exec != want.Exec || got.Fork != want.Fork || got.Exit != want.Exit {
		t.Errorf("sent %+v, want %+v", got, want)
	}
}

// What a container has itself where runtimes keep their records is not believed.
func TestARecordIsNotTheContainersOwn(t *testing.T) {
	const id = "5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b"
	f := func(cgroup string, want bool) {
		t.Helper()
		if got := outside(cgroup, id); got != want {
			t.Errorf("a process in %q is outside: %v, want %v", cgroup, got, want)
		}
	}
	f("/kubepods/pod1/"+id, false)
	f("/kubepods.slice/cri-containerd-"+id+".scope/init.scope", false)
	f("", false) // gone
	f("/system.slice/containerd.service", true)
	f("/docker/0a1b/system.slice/containerd.service", true)

	root := func(config string) string {
		dir := t.TempDir()
		bundle := filepath.Join(dir, bundles[0].dir, "k8s.io", id)
		if err := os.MkdirAll(bundle, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	made := root(`{"annotations":{}}`)
	forged := root(`{"annotations":{"io.kubernetes.cri.container-type":"container"}}`)
	if n := readBundle([]string{t.TempDir(), made, forged}, id); string(n.own) != `"record":"other"` {
		t.Errorf("the note is %s", n.own)
	}
	got := roots(uint32(os.Getpid()), id)
	if want := fmt.Sprintf("/proc/%d/root", os.Getpid()); len(got) != 3 || got[0] != "" || got[1] != "/proc/1/root" || got[2] != want {
		t.Errorf("looked for in %q", got)
	}
}

// That nobody could look is not that nothing is on record: the next program asks again.
func TestALookThatIsHeldUpIsRepeated(t *testing.T) {
	var c containers
	c.init()
	r := &record{ppid: uint32(os.Getpid()), nsMnt: 1}
	r.parts[partCgroup] = []byte("0f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b\x00pod1\x00kubepods\x00")
	for range maxLooks {
		c.looks.token <- struct{}{}
	}
	if c.note(r); len(c.known) != 0 || c.missed.Load() != 1 {
		t.Errorf("%d containers are known and %d looks were missed, want 0 and 1", len(c.known), c.missed.Load())
	}
	for range maxLooks {
		<-c.looks.token
	}
	if c.note(r); len(c.known) != 1 || c.missed.Load() != 1 {
		t.Errorf("%d containers are known and %d looks were missed, want 1 and 1", len(c.known), c.missed.Load())
	}
}
