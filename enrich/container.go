package enrich

import (
	"strings"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
)

// shim is what the table knows of a containerd-shim beyond its process.
type shim struct {
	id      string // its -id argument
	cgroup  string // its own
	cri     bool   // of the CRI, where id is a pod
	started bool   // it was seen to start its container
	waiting []waiting
	came    waiting // the one that has shown itself last
}

// waiting is a program that runc was told to start and that has not shown itself.
type waiting struct {
	id     string
	until  int64
	exec   bool   // in a container that has begun,
	execID string // with this id
}

const (
	maxWaiting = 16
	patience   = int64(10e9) // how long a program may take to show itself, in nanoseconds
)

func (m *shim) size() int {
	n := 112 + len(m.id) + len(m.cgroup)
	for _, w := range m.waiting {
		n += 64 + len(w.id) + len(w.execID)
	}
	return n
}

func (m *shim) expire(t int64) {
	n := 0
	for _, w := range m.waiting {
		if w.until >= t {
			m.waiting[n] = w
			n++
		}
	}
	m.waiting = m.waiting[:n]
}

// expect notes that a program of a container will appear.
func (m *shim) expect(w waiting, t int64) {
	m.expire(t)
	if len(m.waiting) < maxWaiting {
		w.until = t + patience
		m.waiting = append(m.waiting, w)
	}
}

// arrive notes that a program of container id has appeared.
func (m *shim) arrive(id string) {
	m.came = waiting{}
	for i, w := range m.waiting {
		if w.id == id {
			m.came = w
			m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
			return
		}
	}
}

// next returns the container of a program that appears below the shim, if all that
// could appear are of the same one.
func (m *shim) next(t int64) string {
	m.expire(t)
	id := ""
	for _, w := range m.waiting {
		if id != "" && id != w.id {
			return ""
		}
		id = w.id
	}
	return id
}

// of returns the container of a program that appears below the shim. Its cgroup is
// path, or "" if none is stated, and names container named. What runc was told to start
// outweighs that: whoever makes a container may choose its cgroup.
func (m *shim) of(named, path string, t int64) string {
	next := m.next(t)
	chosen := ""
	for _, w := range m.waiting {
		if w.id == named {
			return named
		}
		if chosen == "" && !hex64(w.id) {
			chosen = w.id
		}
	}
	switch {
	case next != "":
		return next
	case path == "":
		if named == "" && m.started && !m.cri {
			return m.id
		}
	case path == m.cgroup || m.cgroup == "":
		// A helper of the shim, for all that is known.
	case len(m.waiting) > 0:
		if named == "" {
			return chosen // The CRI gives what it makes a cgroup that names it.
		}
	case !m.cri || !hex64(m.id):
		return m.id // It has one container.
	}
	return named
}

// contain finds the container of c, and reports whether that is news.
func (x *Enricher) contain(s *sight, c, p *proc) bool {
	e, f := s.e, &x.f
	was, hadShim := c.container, c.shim != nil
	if id := first(e.Get(f.container)).Str(); id != "" {
		if id != c.container {
			c.container = x.word(id)
		}
	} else if s.cgroup = first(x.cgroupOf(e)).Str(); s.cgroup != "" && !s.host.apart(c.container, s.cgroup) {
		id, ok := cgroup(s.cgroup)
		c.outside = !ok
		if id != c.container {
			c.container = x.word(id)
		}
	}
	if s.kind&(execed|seeded) != 0 && s.t >= c.since {
		x.runtime(c, p)
	}
	if c.shim != nil && s.cgroup != "" {
		c.shim.cgroup = x.word(s.cgroup)
	}
	if p != nil {
		x.inherit(s, c, p)
	}
	x.origin(s, c, p, x.mounted(s, c, p))
	return c.container != was || (c.shim != nil) != hadShim || p != nil && p.shim != nil || c.makes != ""
}

func (x *Enricher) cgroupOf(e *event.Event) event.Value {
	f := &x.f
	for _, f := range [...]event.Field{f.cgroup, f.cgroupPath, f.orlopC} {
		if v := e.Get(f); v.Exists() {
			return v
		}
	}
	return event.Value{}
}

// runtime notes whether the program of c is part of a container runtime.
func (x *Enricher) runtime(c, p *proc) {
	c.verb, c.makes, c.execID, c.shim = "", "", "", nil
	switch tool := x.tool(c); {
	case runtimecli.LowLevel(tool):
		verb, id := runc(c.args)
		if id != "" {
			c.verb, c.makes = verb, x.word(id)
			execID, namespace := execIDOf(c.args)
			c.execID = x.word(execID)
			if k := x.container(c.host, c.makes); k != nil && namespace != "" {
				x.setNamespace(c.host, k, x.word(namespace))
			}
		}
	case strings.HasPrefix(tool, "containerd-shim"):
		if id, namespace, _ := shimArgs(c.args); id != "" {
			c.shim = &shim{id: x.word(id), cri: namespace == "k8s.io"}
		}
	case len(c.args) >= 7 && c.container == "" && (p == nil || p.container == "" && p.makes == "" && p.shim == nil):
		// Whoever makes a container may name the file of its shim, but containerd gives
		// that its arguments. What is in a container may have any, and is none.
		if id, namespace, address := shimArgs(c.args); id != "" && namespace != "" && strings.HasPrefix(address, "/") {
			c.shim = &shim{id: x.word(id), cri: namespace == "k8s.io"}
		}
	}
}

// tool names the program of c by its file, or by argv[0] when the file has no path,
// as that of a runc that executes itself.
func (x *Enricher) tool(c *proc) string {
	if c.exe != "" {
		return base(c.exe)
	}
	if len(c.args) > 0 {
		return base(c.args[0].Str())
	}
	return ""
}

// inherit gives c the container that its parent p passes on.
func (x *Enricher) inherit(s *sight, c, p *proc) {
	exec := s.kind&(execed|seeded) != 0
	tool := x.tool(c)
	isRunc := runtimecli.LowLevel(tool)
	switch {
	case p.makes != "":
		// runc init and its copies are on their way into the container; any other child of
		// a create is a hook, outside. An exec or run becomes the parent of its payload.
		init := len(c.args) == 2 && c.args[1].Str() == "init" && isRunc ||
			strings.HasPrefix(first(s.e.Get(x.f.name)).Str(), "runc:[")
		payload := exec && !isRunc && (p.verb == "exec" || p.verb == "run")
		if payload && p.verb == "exec" && !c.told {
			x.put(s, c, p.makes)
		}
		if c.container == "" && !c.outside && (init || payload) {
			c.container = p.makes
		}
		if payload && !c.entered && c.container == p.makes {
			c.entered = true
			if g := x.procs[key{s.host.num, p.ppid}]; g != nil && g.shim != nil {
				g.shim.arrive(p.makes)
				x.weigh(g)
			}
		}
	case p.shim != nil:
		m := p.shim
		switch {
		case !exec:
		case isRunc:
			switch c.verb {
			case "start":
				m.started = true
				fallthrough
			case "exec", "run":
				m.expect(waiting{id: c.makes, exec: c.verb == "exec", execID: c.execID}, s.t)
			}
		case c.shim != nil || strings.HasPrefix(tool, "containerd"):
		default:
			if !c.entered && !c.told {
				x.put(s, c, m.of(c.container, s.cgroup, s.t))
			}
			if !c.entered && c.container != "" {
				c.entered = true
				m.arrive(c.container)
			}
		}
		x.weigh(p)
	case s.cgroup != "" && s.host.apart(p.container, s.cgroup):
		c.container, c.outside = p.container, false
	case c.container == "" && !c.outside:
		c.container = p.container
	}
}

// put says that c is in container id, whatever its cgroup is called. A container.id that
// the source states is believed.
func (x *Enricher) put(s *sight, c *proc, id string) {
	if id == c.container || first(s.e.Get(x.f.container)).Str() != "" {
		return
	}
	c.container, c.outside = id, false
	s.apart = s.cgroup != ""
}

// runc reads a runc or crun command line: what it does, and to which container.
// Both are "" for one that starts nothing.
func runc(args []event.Value) (verb, id string) {
	for i := 1; i < len(args); i++ {
		a := args[i].Str()
		if strings.HasPrefix(a, "-") && len(a) > 1 {
			if takesValue(a) {
				i++
			}
			continue
		}
		if verb != "" {
			return verb, a
		}
		switch a {
		case "create", "run", "start", "exec", "restore":
			if verb = a; verb == "restore" {
				verb = "run"
			}
		default:
			return "", ""
		}
	}
	return "", ""
}

// takesValue reports whether the argument after the flag a belongs to it.
func takesValue(a string) bool {
	if strings.Contains(a, "=") {
		return false
	}
	switch strings.TrimLeft(a, "-") {
	case "log", "log-format", "log-level", "root", "criu", "rootless", "cgroup-manager",
		"bundle", "b", "config", "f", "console-socket", "pidfd-socket", "pid-file", "preserve-fds",
		"cwd", "env", "e", "user", "u", "additional-gids", "g", "process", "p", "process-label",
		"apparmor", "cap", "c", "cgroup",
		"image-path", "work-path", "parent-path", "manage-cgroups-mode", "lsm-profile", "lsm-mount-context":
		return true
	}
	return false
}

// shimArgs reads the command line of a containerd-shim that stays. The one that
// starts it or cleans up after it has a verb.
func shimArgs(args []event.Value) (id, namespace, address string) {
	for i := 1; i < len(args); i++ {
		name, value, ok := strings.Cut(strings.TrimLeft(args[i].Str(), "-"), "=")
		if !strings.HasPrefix(args[i].Str(), "-") {
			return "", "", "" // start, delete
		}
		switch name {
		case "id", "namespace", "address", "publish-binary", "socket", "bundle", "workdir", "runtime-root", "criu", "containerd-binary":
			if !ok && i+1 < len(args) {
				i++
				value = args[i].Str()
			}
			switch name {
			case "id":
				id = value
			case "namespace":
				namespace = value
			case "address":
				address = value
			}
		}
	}
	return id, namespace, address
}

// ContainerOf returns the id of the container that a cgroup path names, and false if
// it names none.
func ContainerOf(path string) (id string, ok bool) { return cgroup(path) }

// cgroup returns the container id that a cgroup path names:
//
//	…/cri-containerd-<64 hex>.scope     and docker-, crio-, libpod-, nerdctl-
//	…/kubepods…/<64 hex>                the cgroupfs driver
//	/docker/<64 hex>                    and what lies below
//	/k8s.io/<id>, /default/<id>, /moby/<id>
func cgroup(p string) (string, bool) {
	// The lines of /proc/PID/cgroup begin with numbers and controllers.
	if i := strings.IndexByte(p, '/'); i > 0 {
		p = p[i:]
	}
	pods, before := false, ""
	id := ""
	depth := 0
	for p != "" {
		var e string
		e, p, _ = strings.Cut(strings.TrimLeft(p, "/"), "/")
		if e == "" {
			continue
		}
		depth++
		name := strings.TrimSuffix(e, ".scope")
		if name != e {
			for _, tool := range [...]string{"cri-containerd-", "docker-", "crio-", "libpod-", "nerdctl-"} {
				if h, ok := strings.CutPrefix(name, tool); ok && hex64(h) {
					id = h
				}
			}
		}
		switch {
		case pods && hex64(e):
			id = e
		case before == "docker" && hex64(e):
			id = e
		case depth == 2 && (before == "k8s.io" || before == "default" || before == "moby"):
			id = e
		}
		pods = pods || strings.HasPrefix(e, "kubepods")
		before = e
	}
	return id, id != ""
}

func hex64(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < '0' || c > '9' && c < 'a' || c > 'f' {
			return false
		}
	}
	return true
}
