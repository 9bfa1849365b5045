//go:build linux

package bpf

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// A content knows programs by what is in their files. Each file is looked at once,
// by the goroutine that reads the ring buffer or, if the file is slow, not at all:
// a file system in user space must not hold us up.
type content struct {
	known, older map[fileID]made // two generations
	looks        looks
	pids         bool // those of /proc are the kernel's
	missed       atomic.Int64
}

// made is what a program is made of: the tool that it is, or the main package of another
// program in Go.
type made struct{ tool, main string }

const (
	maxKnown   = 4096
	minClient  = 1 << 20  // smaller is no client of a container runtime, which are Go's
	minProgram = 16 << 10 // smaller is not even nsenter
	maxSearch  = 96 << 20 // of a file without build information
)

func (c *content) init(pids bool) {
	c.looks.init()
	c.pids = pids
	c.known = map[fileID]made{}
}

// of returns what the program of an exec is made of.
func (c *content) of(r *record) made {
	if r.file.size < minProgram || r.file.ino == 0 {
		return made{}
	}
	if m, ok := c.known[r.file]; ok {
		return m
	}
	if m, ok := c.older[r.file]; ok {
		c.keep(r.file, m)
		return m
	}
	id, pid, ppid := r.file, r.pid, r.ppid
	var paths []string
	proc := func(pid uint32, name string) {
		if c.pids {
			paths = append(paths, "/proc/"+strconv.FormatUint(uint64(pid), 10)+name)
		}
	}
	proc(pid, "/exe")
	if r.flags&(exeCut|exeDetached) == 0 {
		exe := string(appendPath(nil, r.parts[partExe]))
		proc(ppid, "/root"+exe)
		paths = append(paths, exe)
	}
	m, ok := within(&c.looks, func() (made, bool) {
		m, err := look(id, paths)
		return m, err == nil
	})
	if !ok {
		if id.size >= minClient {
			c.missed.Add(1)
		}
		return made{}
	}
	c.keep(id, m)
	return m
}

func (c *content) keep(id fileID, m made) {
	if len(c.known) >= maxKnown {
		c.older, c.known = c.known, map[fileID]made{}
	}
	c.known[id] = m
}

var errOther = errors.New("bpf: the file is another by now")

// look opens the program under the first of the paths that has it: that of the process,
// or if it has ended, the file of that path in its mounts, which its parent likely shares.
func look(id fileID, paths []string) (made, error) {
	err := errOther
	for _, path := range paths {
		f, e := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if e != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(int(f.Fd()), &st) != nil || uint64(st.Size) != id.size || uint64(st.Ctim.Nano()) != id.ctime {
			f.Close()
			continue
		}
		var m made
		if id.size < minClient {
			m.tool = smallTool(f, id.size)
		} else {
			m = madeOf(f)
		}
		f.Close()
		return m, nil
	}
	return made{}, err
}

const longMain = 256 // bytes of a main package's path that are kept

// madeOf says which tool a Go program is, or which other program.
func madeOf(f io.ReaderAt) made {
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil || string(magic[:]) != "\x7fELF" {
		return made{}
	}
	if info, err := buildinfo.Read(f); err == nil && info.Path != "" {
		tool, ok := runtimecli.ToolOfBuildInfo(info.Path)
		if ok {
			return made{tool: tool}
		}
		if info.Path != "command-line-arguments" {
			return made{main: strings.Clone(info.Path[:min(len(info.Path), longMain)])}
		}
	}
	return made{tool: toolOfText(f)}
}

// smallTool says whether a program that is no Go client is nsenter, by what it prints.
func smallTool(f io.ReaderAt, size uint64) string {
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		return ""
	}
	if bytes.HasPrefix(b, []byte("\x7fELF")) && (bytes.Contains(b, []byte("Run a program with namespaces of other processes")) || bytes.Contains(b, []byte("reassociate to namespace"))) {
		return "nsenter"
	}
	return ""
}

// mainFiles are the source files of main packages, whose names the table of
// functions has: it is needed for stack traces, so nobody strips it.
var mainFiles = []struct {
	name []byte
	tool string
}{
	{[]byte("/cmd/ctr/main.go"), "ctr"},
	{[]byte("/cmd/crictl/main.go"), "crictl"},
	{[]byte("/cmd/nerdctl/main.go"), "nerdctl"},
	{[]byte("/cmd/docker/docker.go"), "docker"},
	{[]byte("/cmd/podman/main.go"), "podman"},
	{[]byte("opencontainers/runc/main.go"), "runc"},
}

// toolOfText looks for the names of source files.
func toolOfText(f io.ReaderAt) string {
	const window, overlap = 1 << 20, 64
	buf := make([]byte, window+overlap)
	for off := int64(0); off < maxSearch; off += window {
		n, err := f.ReadAt(buf, off)
		b := buf[:n]
		// One search for what all of them end in.
		for at := 0; ; {
			i := bytes.Index(b[at:], []byte(".go\x00"))
			if i < 0 {
				break
			}
			at += i + 3
			for _, m := range mainFiles {
				if bytes.HasSuffix(b[:at], m.name) {
					return m.tool
				}
			}
		}
		if err != nil {
			return ""
		}
	}
	return ""
}

// clientEnv are the variables that a runtime's client takes its settings from. No
// others are reported: an environment holds secrets.
var clientEnv = []string{
	"CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE", "CONTAINERD_SNAPSHOTTER", "NERDCTL_TOML",
	"CONTAINER_RUNTIME_ENDPOINT", "IMAGE_SERVICE_ENDPOINT", "CRI_CONFIG_FILE", "DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST",
}

// environ returns those variables of a process, if it still runs.
func environ(pid uint32) (vars [][]byte) {
	f, err := os.Open("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/environ")
	if err != nil {
		return nil
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	for v := range bytes.SplitSeq(b, []byte{0}) {
		name, _, _ := bytes.Cut(v, []byte{'='})
		if slices.Contains(clientEnv, string(name)) {
			vars = append(vars, v)
		}
	}
	return vars
}
