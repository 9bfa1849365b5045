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
	missed       atomic.Int64
}

// A containerKey is one life of a container, whose name may be given again.
type containerKey struct {
	id  string
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
)

func (c *containers) init() {
	c.looks.init()
	c.known = map[containerKey]note{}
}

// note returns what is on record of the container that a program is started in.
func (c *containers) note(r *record) (n note) {
	if r.flags&cgroupCut != 0 {
		return n
	}
	id, ok := enrich.ContainerOf(string(appendPath(nil, r.parts[partCgroup])))
	if !ok || strings.HasPrefix(id, ".") || len(id) > 255 {
		return n
	}
	key := containerKey{id, r.nsMnt}
	if n, ok = c.known[key]; ok {
		return n
	}
	if n, ok = c.older[key]; !ok {
		ppid := r.ppid
		if n, ok = within(&c.looks, func() (note, bool) { return readBundle(roots(ppid, id), id), true }); !ok {
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

// bundles are where runtimes keep the bundle of a container: in a directory for each
// namespace or storage driver, and there below the id.
var bundles = [...]struct{ dir, below string }{
	{"/run/containerd/io.containerd.runtime.v2.task", ""},
	{"/run/k3s/containerd/io.containerd.runtime.v2.task", ""},
	{"/run/k0s/containerd/io.containerd.runtime.v2.task", ""},
	{"/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task", ""},
	{"/run/docker/containerd/daemon/io.containerd.runtime.v2.task", ""},
	{"/run/containers/storage", "userdata"},
	{"/var/lib/containers/storage", "userdata"},
}

// roots are where the record of a container is looked for: our own files and those of
// the host, if we are in a container, and last those of the process that started the
// program, which is the shim of a runtime that is in a container itself.
func roots(ppid uint32, id string) []string {
	dirs := []string{"", "/proc/1/root"}
	if outside(procfs.Cgroup(ppid), id) {
		dirs = append(dirs, "/proc/"+strconv.FormatUint(uint64(ppid), 10)+"/root")
	}
	return dirs
}

// outside reports whether a process in a cgroup is not in the container. What is in it
// has whatever files it likes, in a mount namespace of its own, too.
func outside(cgroup, id string) bool {
	return cgroup != "" && !strings.Contains(cgroup, id)
}

// readBundle reads the record of a container below the first of the roots that has it.
func readBundle(roots []string, id string) note {
	for _, root := range roots {
		for _, at := range bundles {
			for _, dir := range entries(root + at.dir) {
				if b, err := readFile(filepath.Join(root+at.dir, dir, id, at.below, "config.json")); err == nil {
					return noteOf(b)
				}
			}
		}
	}
	return note{}
}

// entries returns what is in a directory.
func entries(path string) []string {
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	list, _ := dir.Readdirnames(64)
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

// noteOf reads an OCI configuration. containerd's annotations are those of
// pkg/cri/annotations (io.kubernetes.cri.*), CRI-O's those of its package annotations.
func noteOf(config []byte) (n note) {
	var c struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return n
	}
	get := func(names ...string) string {
		for _, name := range names {
			if v := c.Annotations[name]; v != "" && len(v) <= 1024 {
				return v
			}
		}
		return ""
	}
	if get("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType") == "" {
		n.own = []byte(`"record":"other"`)
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
