//go:build linux

package bpf

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/procfs"
)

// Containers know what the runtimes have on record of a container: the OCI
// configuration in its bundle, where those that the CRI makes name their pod. It is read
// when the first program is started in the container.
type containers struct {
	known, older map[containerKey]note // two generations
	looks        looks
	pids         bool // those of /proc are the kernel's
	missed       atomic.Int64
	host         uint32 // mount namespace
	searches     int    // since the second began
	second       uint64
}

// A containerKey is one life of a container, whose name may be given again.
type containerKey struct {
	id  string // that the cgroup names; "" is none
	mnt uint32 // its mount namespace
}

// A note is what documents say of a container.
type note struct {
	top []byte // members of the document
	own []byte // members of orlop.container
}

const (
	maxContainers = 1024
	maxBundle     = 1 << 20 // bytes of a configuration
	// maxSearches is how many mount namespaces are looked for in a second among all
	// containers: anybody may make as many as they like.
	maxSearches = 20
)

func (c *containers) init(pids bool) {
	c.looks.init()
	c.pids = pids
	c.known = map[containerKey]note{}
	c.host = inode("/proc/1/ns/mnt")
}

// note returns what is on record of the container that a program is started in. It is
// the one whose first program has the same mount namespace: the name of a cgroup is
// whatever the maker of the container says.
func (c *containers) note(r *record) (n note) {
	id := ""
	if r.flags&cgroupCut == 0 {
		id, _ = enrich.ContainerOf(string(appendPath(nil, r.parts[partCgroup])))
	}
	if strings.HasPrefix(id, ".") || len(id) > 255 {
		id = ""
	}
	if id == "" && (r.nsMnt == c.host || r.nsMnt == 0) {
		return n // Fast path: a program of the host.
	}
	key := containerKey{id, r.nsMnt}
	n, ok := c.known[key]
	if ok {
		return n
	}
	if n, ok = c.older[key]; !ok {
		if now := r.time / 1e9; now != c.second {
			c.second, c.searches = now, 0
		}
		search := c.searches < maxSearches
		if id == "" && !search {
			c.missed.Add(1)
			return n
		}
		c.searches++
		pid, ppid, mnt := r.pid, r.ppid, r.nsMnt
		if n, ok = within(&c.looks, func() (note, bool) {
			if !c.pids {
				return recordOf([]root{{ours: true, names: true}}, id, mnt, false), true
			}
			return recordOf(roots(ppid, pid, mnt, id), id, mnt, search), true
		}); !ok {
			c.missed.Add(1) // The next program may have more luck.
			return n
		}
	}
	if len(c.known) >= maxContainers {
		c.older, c.known = c.known, map[containerKey]note{}
	}
	c.known[key] = n
	return n
}

// A store is where a runtime keeps the bundle of a container, in a directory for each
// namespace or storage driver, and there below the id; and the file that has the pid of
// its first program.
type store struct{ dir, below, pidDir, pidFile string }

var bundles = [...]store{
	{dir: "/run/containerd/io.containerd.runtime.v2.task", pidFile: "init.pid"},
	{dir: "/run/k3s/containerd/io.containerd.runtime.v2.task", pidFile: "init.pid"},
	{dir: "/run/k0s/containerd/io.containerd.runtime.v2.task", pidFile: "init.pid"},
	{dir: "/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task", pidFile: "init.pid"},
	{dir: "/run/docker/containerd/daemon/io.containerd.runtime.v2.task", pidFile: "init.pid"},
	{dir: "/run/containers/storage", below: "userdata", pidFile: "pidfile"},
	{dir: "/var/lib/containers/storage", below: "userdata", pidDir: "/run/containers/storage", pidFile: "pidfile"},
}

// first is the file with the pid of a container's first program.
func (s *store) first(dir, id string) string {
	if s.pidDir != "" {
		return filepath.Join(s.pidDir, dir, id, s.below, s.pidFile)
	}
	return filepath.Join(s.dir, dir, id, s.below, s.pidFile)
}

// A root is where the record of a container is looked for.
type root struct {
	dir   string
	pid   uint32 // of the program, as those who write there count; 0 is unknown
	ours  bool   // nobody in a container writes there
	names bool   // the record of a container that the cgroup names is looked for
}

// roots are our own files and those of the host, if we are in a container, and last those
// of the process that started the program, which is the shim of a runtime that is in a
// container itself, or in a mount namespace of its own.
func roots(ppid, pid, mnt uint32, id string) []root {
	list := []root{{"", pid, true, true}, {"/proc/1/root", pid, true, true}}
	proc := "/proc/" + strconv.FormatUint(uint64(ppid), 10)
	if ns := inode(proc + "/ns/mnt"); ns == 0 || ns == mnt {
		return list // It is in the container, too.
	}
	if inode(proc+"/ns/pid") != inode("/proc/self/ns/pid") {
		pid = 0
	}
	return append(list, root{proc + "/root", pid, false, id != "" && outside(procfs.Cgroup(ppid), id)})
}

// outside reports whether a process in a cgroup is not in the container. What is in it
// has whatever files it likes, in a mount namespace of its own, too.
func outside(cgroup, id string) bool {
	return cgroup != "" && !strings.Contains(cgroup, id)
}

// recordOf reads the record of the container of a program in that mount namespace, whose
// cgroup names id, or "", below the first of the roots that has it. The one that the
// cgroup names is it, unless its first program is seen to be elsewhere; with search the
// others are asked, too. Who can write below a root may say that nobody but he made it,
// and nothing else.
func recordOf(roots []root, id string, mnt uint32, search bool) note {
	var claimed *note
	for _, at := range roots {
		if id == "" || !at.names {
			continue
		}
		for _, in := range bundles {
			for _, dir := range entries(at.dir + in.dir) {
				b, err := readFile(filepath.Join(at.dir+in.dir, dir, id, in.below, "config.json"))
				if err != nil {
					continue
				}
				n := noteOf(b, "")
				if here, known := at.firstIs(in.first(dir, id), mnt); here || !known {
					return n
				}
				if claimed == nil {
					claimed = &n
				}
			}
		}
	}
	for _, at := range roots {
		if !search {
			break
		}
		n, ok := at.searched(mnt)
		if ok && at.ours {
			return n
		}
		if ok && string(n.own) == other {
			return note{own: n.own}
		}
	}
	if claimed != nil {
		return *claimed
	}
	return note{}
}

// searched looks for the container of a program among all that are below the root.
func (at root) searched(mnt uint32) (note, bool) {
	for _, in := range bundles {
		for _, dir := range entries(at.dir + in.dir) {
			for _, id := range entries(filepath.Join(at.dir+in.dir, dir)) {
				if here, _ := at.firstIs(in.first(dir, id), mnt); !here {
					continue
				}
				if b, err := readFile(filepath.Join(at.dir+in.dir, dir, id, in.below, "config.json")); err == nil {
					return noteOf(b, id), true
				}
			}
		}
	}
	// What runc and crun were told to run by themselves has its state alone.
	for _, id := range entries(at.dir + "/run/runc") {
		var state struct {
			Pid    uint32 `json:"init_process_pid"`
			Config struct {
				Labels []string `json:"labels"`
			} `json:"config"`
		}
		b, err := readFile(filepath.Join(at.dir, "/run/runc", id, "state.json"))
		if err != nil || json.Unmarshal(b, &state) != nil {
			continue
		}
		if here, _ := at.is(state.Pid, mnt); !here {
			continue
		}
		of := map[string]string{}
		for _, label := range state.Config.Labels { // the annotations are among them
			k, v, _ := strings.Cut(label, "=")
			of[k] = v
		}
		return annotated(of, id), true
	}
	for _, id := range entries(at.dir + "/run/crun") {
		var state struct {
			Pid    uint32 `json:"pid"`
			Bundle string `json:"bundle"`
		}
		b, err := readFile(filepath.Join(at.dir, "/run/crun", id, "status"))
		if err != nil || json.Unmarshal(b, &state) != nil {
			continue
		}
		if here, _ := at.is(state.Pid, mnt); !here {
			continue
		}
		if b, err := readFile(filepath.Join(at.dir, state.Bundle, "config.json")); err == nil {
			return noteOf(b, id), true
		}
		return annotated(nil, id), true
	}
	return note{}, false
}

// firstIs reports whether the program whose pid is in a file is the one that is started,
// or in the mount namespace, and whether that can be told.
func (at root) firstIs(file string, mnt uint32) (yes, known bool) {
	b, err := readFile(at.dir + file)
	if err != nil {
		return false, false
	}
	first, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return false, false
	}
	return at.is(uint32(first), mnt)
}

func (at root) is(first, mnt uint32) (yes, known bool) {
	if first == 0 || first == at.pid {
		return first != 0, first != 0
	}
	ns := inode(at.dir + "/proc/" + strconv.FormatUint(uint64(first), 10) + "/ns/mnt")
	return ns != 0 && ns == mnt, ns != 0
}

// inode is the number of a namespace's file, or 0.
func inode(file string) uint32 {
	var st unix.Stat_t
	if unix.Stat(file, &st) != nil {
		return 0
	}
	return uint32(st.Ino)
}

// entries returns what is in a directory.
func entries(path string) []string {
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	list, _ := dir.Readdirnames(maxContainers)
	return list
}

func readFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBundle))
}

const other = `"record":"other"`

// noteOf reads an OCI configuration, of a container whose id the cgroup does not say, or
// does with "".
func noteOf(config []byte, id string) (n note) {
	var c struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return n
	}
	return annotated(c.Annotations, id)
}

// annotated notes what annotations say. containerd's are those of pkg/cri/annotations
// (io.kubernetes.cri.*), CRI-O's those of its package annotations.
func annotated(annotations map[string]string, id string) (n note) {
	get := func(names ...string) string {
		for _, name := range names {
			if v := annotations[name]; v != "" && len(v) <= 1024 {
				return v
			}
		}
		return ""
	}
	if get("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType") == "" {
		n.own = []byte(other)
		if id != "" {
			n.top = append(event.AppendQuoted([]byte(`,"container":{"id":`), id), '}')
		}
		return n
	}
	n.own = []byte(`"record":"cri"`)
	if uid := get("io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"); uid != "" {
		n.own = event.AppendQuoted(append(n.own, `,"pod_uid":`...), uid)
	}
	var of []byte
	member := func(name, v string) {
		if v == "" {
			return
		}
		if len(of) > 0 {
			of = append(of, ',')
		}
		of = event.AppendQuoted(append(append(of, name...), ':'), v)
	}
	member(`"id"`, id)
	member(`"name"`, get("io.kubernetes.cri.container-name", "io.kubernetes.container.name"))
	if image := get("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"); image != "" {
		member(`"image":{"name"`, image)
		of = append(of, '}')
	}
	if len(of) > 0 {
		n.top = append(append(append(n.top, `,"container":{`...), of...), '}')
	}
	of = nil
	member(`"namespace"`, get("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"))
	if pod := get("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"); pod != "" {
		member(`"resource":{"type":"pod","name"`, pod)
		of = append(of, '}')
	}
	n.top = append(append(append(n.top, `,"orchestrator":{"type":"kubernetes"`...), comma(of)...), '}')
	return n
}

func comma(members []byte) []byte {
	if len(members) == 0 {
		return nil
	}
	return append([]byte{','}, members...)
}
