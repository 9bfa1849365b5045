//go:build linux

package bpf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// Where the kernel refuses tp_btf, raw tracepoints see the same.
func TestRawTracepoints(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	if err := source.FirstMissing("bpf", Checks("")); err != nil {
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

	below := func(config string) string {
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
	made := below(`{"annotations":{}}`)
	forged := below(`{"annotations":{"io.kubernetes.cri.container-type":"container"}}`)
	if n := recordOf([]root{{t.TempDir(), 0, true, true}, {made, 0, true, true}, {forged, 0, false, true}}, id, 1, true); string(n.own) != `"record":"other"` {
		t.Errorf("the note is %s", n.own)
	}
	self := uint32(os.Getpid())
	own := inode("/proc/self/ns/mnt")
	if got, want := roots(self, 7, own, id), []root{{"", 7, true, true}, {"/proc/1/root", 7, true, true}}; !slices.Equal(got, want) {
		t.Errorf("of one whose parent is in the container, looked for in %v", got)
	}
	got := roots(self, 7, own+1, id)
	if want := (root{fmt.Sprintf("/proc/%d/root", self), 7, false, true}); len(got) != 3 || got[2] != want {
		t.Errorf("looked for in %v, want %v at last", got, want)
	}
	// Without a name, whoever can write there may only say that no CRI made it.
	first := filepath.Join(forged, bundles[0].first("k8s.io", id))
	if err := os.WriteFile(first, []byte("7"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := recordOf([]root{{forged, 7, false, false}}, "", 1, true); n.own != nil || n.top != nil {
		t.Errorf("the note of a forged record is %s %s", n.own, n.top)
	}
	first = filepath.Join(made, bundles[0].first("k8s.io", id))
	if err := os.WriteFile(first, []byte("7"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := recordOf([]root{{made, 7, false, false}}, "", 1, true); string(n.own) != other || n.top != nil {
		t.Errorf("the note is %s %s", n.own, n.top)
	}
}

// Whoever makes a container chooses its cgroup, and so its name: the container is the one
// whose first program has the mount namespace of what is started.
func TestARecordIsOfWhoHasTheNamespace(t *testing.T) {
	const pod = "5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b5f3c9a0b"
	const mine, others, gone = 4001, 4002, 4003 // pids
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ns := func(pid int) uint32 {
		name := fmt.Sprintf("proc/%d/ns/mnt", pid)
		put(name, "")
		return inode(filepath.Join(dir, name))
	}
	bundle := func(in, id, config string, pid int) {
		put(filepath.Join(in, id, "config.json"), config)
		put(filepath.Join(in, id, "init.pid"), fmt.Sprint(pid))
	}
	const cri = `{"annotations":{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-name":"web-0","io.kubernetes.cri.sandbox-namespace":"shop"}}`
	tasks := bundles[0].dir
	bundle(tasks+"/k8s.io", pod, cri, others)
	bundle(tasks+"/default", "ghost", `{}`, mine)
	bundle(tasks+"/k8s.io", strings.Repeat("a", 64), cri, gone)
	put("/run/runc/bare/state.json", `{"init_process_pid":4004,"config":{"labels":["bundle=/tmp/b"]}}`)
	put("/run/crun/small/status", `{"pid":4005,"bundle":"/tmp/b"}`)
	put("/var/lib/containers/storage/overlay-containers/pod1/userdata/config.json", `{}`)
	put("/run/containers/storage/overlay-containers/pod1/userdata/pidfile", "4006\n")
	first, second := ns(mine), ns(others)

	f := func(what, id string, pid, mnt uint32, search bool, own, top string) {
		t.Helper()
		n := recordOf([]root{{filepath.Join(dir, "nowhere"), pid, true, true}, {dir, pid, true, true}}, id, mnt, search)
		if string(n.own) != own || string(n.top) != top {
			t.Errorf("%s: got %s %s, want %s %s", what, n.own, n.top, own, top)
		}
	}
	const record, pods = `"record":"cri"`, `,"orchestrator":{"type":"kubernetes","namespace":"shop","resource":{"type":"pod","name":"web-0"}}`
	f("the pod's own", pod, 7, second, true, record, pods)
	f("a cgroup of any name", "", 7, first, true, `"record":"other"`, `,"container":{"id":"ghost"}`)
	f("the cgroup of a pod", pod, 7, first, true, `"record":"other"`, `,"container":{"id":"ghost"}`)
	f("the first program, which is gone by now", "", gone, 99, true, record, `,"container":{"id":"`+strings.Repeat("a", 64)+`"}`+pods)
	f("a namespace of its own in a pod", pod, 7, 99, true, record, pods)
	f("a pod's first program is gone", strings.Repeat("a", 64), 7, 99, false, record, pods)
	f("nobody's", "", 7, 99, true, "", "")
	f("no search", "", 7, first, false, "", "")
	f("runc alone", "", 4004, 98, true, `"record":"other"`, `,"container":{"id":"bare"}`)
	f("runc alone, by the namespace", "", 7, ns(4004), true, `"record":"other"`, `,"container":{"id":"bare"}`)
	f("crun alone", "", 7, ns(4005), true, `"record":"other"`, `,"container":{"id":"small"}`)
	f("podman's", "", 7, ns(4006), true, `"record":"other"`, `,"container":{"id":"pod1"}`)
}

// Searches are bounded: anybody may make as many mount namespaces as they like.
func TestSearchesAreBounded(t *testing.T) {
	var c containers
	c.init(true)
	for i := range uint32(3 * maxSearches) {
		c.note(&record{time: 5e9, pid: 1 << 30, nsMnt: 1 + i})
	}
	if n := c.missed.Load(); n != 2*maxSearches {
		t.Errorf("%d namespaces were not looked for, want %d", n, 2*maxSearches)
	}
	c.note(&record{time: 6e9, pid: 1 << 30, nsMnt: 1})
	c.note(&record{time: 6e9, pid: 1 << 30, nsMnt: 1 << 30})
	c.note(&record{time: 6e9, pid: 1 << 30, nsMnt: c.host})
	if n := c.missed.Load(); n != 2*maxSearches || len(c.known) != maxSearches+1 {
		t.Errorf("a second later %d were not looked for and %d are known, want %d and %d", n, len(c.known), 2*maxSearches, maxSearches+1)
	}
}

// That nobody could look is not that nothing is on record: the next program asks again.
func TestALookThatIsHeldUpIsRepeated(t *testing.T) {
	var c containers
	c.init(true)
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
