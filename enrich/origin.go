package enrich

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
)

// originFields are where a container comes from, and how a process got into it.
type originFields struct {
	entry, madeBy, enteredBy event.Field
	execID, namespace        event.Field
	announced, kubernetes    event.Field

	left, mnt        event.Field
	record, podUID   event.Field // as a source states the runtime's own record
	auditID, audited event.Field
}

func newOriginFields(s *event.Schema) originFields {
	f := func(name string) event.Field { return s.Field("orlop.container." + name) }
	return originFields{
		entry: f("entry"), madeBy: f("made_by"), enteredBy: f("entered_by"),
		execID: f("exec_id"), namespace: f("namespace"), announced: f("announced"),
		kubernetes: s.Field("orlop.host.kubernetes"),
		left:       f("left"), mnt: s.Field("orlop.namespace.mnt"),
		record: f("record"), podUID: f("pod_uid"),
		auditID: s.Field("kubernetes.audit.auditID"), audited: s.Field("orlop.kubernetes.audited"),
	}
}

// A container is what is known of one beyond its processes.
type container struct {
	id        string
	namespace string // containerd's
	pods      answer // its cgroup is one of the kubelet's
	cri       answer // it was made through the CRI
	pause     answer // it is the pod's own: the one that holds its namespaces
	own       bool   // its shim has its id, so that it is a pod's own or nobody's
	uid       string // of the pod, as its cgroup has it
	cgroup    string // as it was said last
	apart     bool   // that is called something else, which its maker chose
	begun     bool   // its first process was seen
	announced bool   // and a client's line had asked for it
	first     uint32 // the pid of that,
	mnt       uint32 // its mount namespace, and that of who started it; 0 is unknown
	outer     uint32
	of        pod // as the runtime has it on record
	habits    [4]habit
}

// answer is yes, no or not known.
type answer int8

const (
	denied   answer = -1
	affirmed answer = 1
)

func answerOf(b bool) answer {
	if b {
		return affirmed
	}
	return denied
}

// maxContainers bounds the containers that are remembered of a host, twice: those that
// were asked for lately, and those before. All hosts together may take a quarter of
// Options.MaxBytes for what they remember.
const maxContainers = 1024

// container returns what is known of a container, or nil if it cannot be one.
func (x *Enricher) container(h *host, id string) *container {
	if k := h.containers[id]; k != nil {
		return k
	}
	if len(id) > 256 {
		return nil
	}
	k := h.older[id]
	delete(h.older, id)
	if k == nil {
		k = &container{id: id}
		if x.hold(h, k.size()); x.kept > x.o.MaxBytes/4 {
			for _, h := range x.hosts {
				x.forget(h)
			}
			if x.kept > x.o.MaxBytes/8 {
				for _, h := range x.hosts {
					x.forget(h)
				}
			}
			x.hold(h, k.size())
		}
	}
	if len(h.containers) >= maxContainers {
		x.forget(h)
	}
	if h.containers == nil {
		h.containers = map[string]*container{}
	}
	h.containers[id] = k
	return k
}

// hold reckons n more bytes that h remembers.
func (x *Enricher) hold(h *host, n int) {
	h.kept += n
	x.kept += n
}

// forget lets the older containers of h go, and the others be the older ones.
func (x *Enricher) forget(h *host) {
	h.older, h.containers = h.containers, nil
	n := 0
	for _, k := range h.older {
		n += k.size()
	}
	for i := range h.calls {
		n += h.calls[i].size()
	}
	n += len(h.overs) * handOverSize
	for i := range h.visits {
		n += h.visits[i].size()
	}
	for i := range h.sockets {
		n += h.sockets[i].size()
	}
	x.hold(h, n-h.kept)
}

func (k *container) size() int {
	return int(unsafe.Sizeof(*k)) + 64 + len(k.id) + len(k.namespace) + len(k.uid) + len(k.cgroup) + k.of.size()
}

// A clientCall is what a client was asked to do to a container.
type clientCall struct {
	container string // as it was named; "" is unknown
	exact     bool   // the name is the id
	enter     bool
	wrapped   bool   // the line was a wrapper's: the client's own follows
	left      uint8  // how many processes that begin or enter it accounts for yet
	loose     bool   // others begin them, also when the client has ended
	execID    string // that the client gave, if it looks like one that the CRI draws
	pid       uint32 // of the client; 0 is unknown
	at, until int64  // between which it accounts for something
}

func (c *clientCall) size() int { return int(unsafe.Sizeof(*c)) + len(c.container) + len(c.execID) }

const (
	maxCalls = 32
	many     = 64 // containers of a call that does not say how many it begins
	// awaited is how long after its client's command line a container or a process in
	// it may begin: images are pulled first.
	awaited = int64(5 * 60e9)
	// settled is how long after its client has ended, which waits for what it asks for.
	settled = int64(2e9)
)

// called remembers what a command line asks for, so that its effect is not news. Again says
// that a wrapper's line has told of it.
func (x *Enricher) called(s *sight, call *runtimecli.Call, args []string, again bool) {
	h := s.host
	if h == nil || len(call.Behaviours) == 0 || len(call.Container) > 256 {
		return
	}
	c := clientCall{pid: s.pid, at: s.t, until: s.t + awaited, wrapped: len(call.Via) > 0}
	c.exact = call.Container != "" && (call.Tool == "ctr" || runtimecli.LowLevel(call.Tool))
	switch call.Behaviours[0] {
	case "container-create":
		if !c.exact {
			return // It begins when it is started.
		}
		c.left = 1
	case "container-run", "container-start", "container-restart", "pod-create", "restore":
		c.left = started(call)
		c.loose = c.left == many
	case "container-exec", "attach", "debug":
		c.enter, c.left = true, 1
		c.execID = chosen(args)
	default:
		return // What nobody knows announces nothing: it has an alert of its own.
	}
	c.container = strings.Clone(call.Container)
	for i := len(h.calls) - 1; again && i >= 0; i-- {
		if w := &h.calls[i]; w.wrapped && w.enter == c.enter && w.left > 0 {
			// The lines of one act account for what it does once.
			x.hold(h, -w.size())
			h.calls = slices.Delete(h.calls, i, i+1)
			break
		}
	}
	if len(h.calls) == maxCalls {
		x.hold(h, -h.calls[0].size())
		h.calls = append(h.calls[:0], h.calls[1:]...)
	}
	h.calls = append(h.calls, c)
	x.hold(h, c.size())
}

// hungUp notes that a client has ended: what it has asked for has begun, or never will,
// unless it leaves that to others.
func (h *host) hungUp(pid uint32, t int64) {
	for i := range h.calls {
		if c := &h.calls[i]; c.pid == pid && t >= c.at && !c.loose {
			c.until = min(c.until, t+settled)
		}
	}
}

// started is how many containers a call begins, the pod's own among them.
func started(call *runtimecli.Call) uint8 {
	switch {
	case call.Command == "crictl run":
		return 2
	case call.Command == "crictl runp":
		return 1
	case strings.Contains(call.Command, " service "): // Swarm begins them, as many as it likes.
		return many
	case call.Image != "" || call.Container != "" && !strings.Contains(call.Command, " pod "):
		n := max(len(call.Containers()), 1)
		if call.Tool == "podman" {
			n *= 2 // its pod, which has one of its own, may begin with it
		}
		return uint8(min(n, many))
	}
	return many // compose, stack, kube play, pod start
}

// chosen is the exec id of 64 hexadecimal digits that a command line gives, or a script
// in it: only ctr has a flag for it.
func chosen(args []string) string {
	for i, a := range args {
		_, v, ok := strings.Cut(a, "-exec-id")
		if !ok {
			continue
		}
		if v == "" && i+1 < len(args) {
			v = args[i+1]
		}
		if v = strings.TrimLeft(v, "= \t'\""); len(v) >= 64 && hex64(v[:64]) {
			return strings.Clone(v[:64])
		}
	}
	return ""
}

// asked reports whether a client of this host gave that id to an exec.
func (h *host) asked(execID string, t int64) bool {
	for i := range h.calls {
		if c := &h.calls[i]; c.execID == execID && t >= c.at && t <= c.until {
			return true
		}
	}
	return false
}

// accounted reports whether a client's command line asked for what is seen now. A name
// may stand for any container whose id the runtime has drawn. A call accounts for what it
// asked for, and must not hide who comes after. A container of a drawn id that begins again
// is the same one.
func (h *host) accounted(k *container, enter bool, t int64) bool {
	if !enter && k.announced {
		return true
	}
	for i := range h.calls {
		c := &h.calls[i]
		switch {
		case t < c.at || t > c.until || c.enter != enter || c.left == 0:
		case c.container == k.id, !c.exact && hex64(k.id):
			c.left--
			k.announced = !enter && hex64(k.id)
			return true
		}
	}
	return false
}

// node notes what shows that the host is a node of a Kubernetes cluster.
func (h *host) node(exe, cgroup string) {
	switch base(exe) {
	case "kubelet", "kubelite", "k3s-server", "k3s-agent":
		h.kubernetes = true
	}
	if strings.Contains(cgroup, "kubepods") {
		h.kubernetes = true
	}
}

// origin notes what e says of the container that c is in, and fills what is known of
// it. Of a process that came into the container from outside it says how. was is the mount
// namespace that c had before.
func (x *Enricher) origin(s *sight, c, p *proc, was uint32) {
	e, f, h := s.e, &x.of, s.host
	path := ""
	if v := first(x.cgroupOf(e)); v.Exists() {
		path = v.Str()
	}
	if s.kind&(execed|seeded) != 0 || path != "" {
		if s.apart || h.apart(c.container, path) {
			h.node(c.exe, "")
		} else {
			h.node(c.exe, path)
		}
	}
	if c.container == "" {
		return
	}
	k := x.container(h, c.container)
	if k == nil {
		return
	}
	if path != "" && (path != k.cgroup || s.apart != k.apart) && !h.apart(c.container, path) { // Fast path: all processes of a container say the same.
		x.place(h, k, path, s.apart)
	}
	switch first(e.Get(f.record)).Str() {
	case "cri":
		k.cri = affirmed
		if uid := first(e.Get(f.podUID)).Str(); uid != "" && k.uid != "" && uid != k.uid {
			k.cri = denied // The cgroup is another pod's.
		}
	case "other":
		k.cri = denied
	}
	if p != nil && p.shim != nil {
		k.own = k.own || p.shim.id == c.container
		if k.namespace == "" && p.shim.cri {
			x.setNamespace(h, k, "k8s.io")
		}
	}
	x.stated(h, k, e)
	if s.kind&execed != 0 && p != nil && p.container == k.id {
		if from := x.bornTo(c); from != nil && from != p && from.container == "" && !x.puts(from) {
			p = from // which has ended: the container's first process has adopted c, and did not start it
		}
	}
	how, execID := x.entry(s, c, p, k)
	switch {
	case how == "init":
		if k.own {
			k.pause = answerOf(base(c.exe) == "pause")
		}
		k.begins(c, p)
	case s.kind&seeded != 0 && (p == nil || p.container != c.container):
		k.begins(c, p)
	}

	x.fillText(e, f.namespace, k.namespace)
	x.fillText(e, f.madeBy, k.madeBy())
	if h.kubernetes {
		x.fill(e, f.kubernetes, event.Bool(true))
	}
	left := x.left(s, c, k, was)
	if left {
		x.fill(e, f.left, event.Bool(true))
	}
	joined := x.joined(s, c, p, k, path, was, how)
	if joined {
		how, c.told, c.visits = "exec", true, true
	}
	if left || joined {
		if c.joining(p, s.t) {
			x.fill(e, f.announced, event.Bool(true))
		}
	} else if how != "" && h.accounted(k, how == "exec", s.t) {
		x.fill(e, f.announced, event.Bool(true))
	}
	if how == "" {
		return
	}
	x.fillText(e, f.entry, how)
	if execID != "" {
		x.fillText(e, f.execID, e.Text([]byte(execID)))
	}
	if how == "exec" && p != nil {
		x.visited(s, c, p)
	}
	switch {
	case how != "exec":
	case k.namespace == "k8s.io" && execID != "":
		// The CRI draws the ids of what it executes, and does so in its own containers alone.
		// Nothing else that we see of its execs differs, so that who gives an id of that form
		// by a client unseen passes for it.
		by := "runtime"
		if hex64(execID) && k.madeBy() != "other" && !h.asked(execID, s.t) {
			by = "cri"
		}
		x.fillText(e, f.enteredBy, by)
		if by == "cri" && x.audited {
			x.entered(s, c, k)
		}
	case joined:
		x.fillText(e, f.enteredBy, "namespaces")
	}
	if x.audited {
		x.fill(e, f.audited, event.Bool(true))
	}
}

// setNamespace notes the containerd namespace that a container is in.
func (x *Enricher) setNamespace(h *host, k *container, namespace string) {
	if len(namespace) <= 256 {
		x.hold(h, len(namespace)-len(k.namespace))
		k.namespace = namespace
	}
}

// place notes the cgroup of a container, and what its path says if it names that. The
// kubelet has the containers of its pods in cgroups that do: one of another name is
// none of its, though "/" may be all that the source can see.
func (x *Enricher) place(h *host, k *container, path string, apart bool) {
	if _, ok := cgroup(path); !ok && !apart {
		return
	}
	was := k.size()
	k.cgroup, k.apart = x.word(path), apart
	switch {
	case !apart:
		k.pods = answerOf(strings.Contains(path, "kubepods"))
		k.uid = x.word(podUID(path))
		if k.namespace == "" {
			k.namespace = cgroupNamespace(path)
		}
	case !strings.HasSuffix(path, "/"):
		k.pods = denied
	}
	x.hold(h, k.size()-was)
}

// apart reports whether path is that of container id, or below it, and is called
// something else.
func (h *host) apart(id, path string) bool {
	if id == "" || path == "" {
		return false
	}
	k := h.known(id)
	if k == nil || !k.apart {
		return false
	}
	below, ok := strings.CutPrefix(path, k.cgroup)
	return ok && k.cgroup != "" && (below == "" || below[0] == '/')
}

// madeBy says who asked for a container: "kubernetes", "other", or "" if nothing tells.
func (k *container) madeBy() string {
	drawn := hex64(k.id) // the CRI draws its ids
	switch {
	case k.cri == denied, k.pods == denied, !drawn && k.namespace != "", k.namespace != "" && k.namespace != "k8s.io":
		return "other"
	case k.pods == affirmed:
		return "kubernetes"
	case k.own && k.pause == denied:
		return "other" // The first container of a pod holds its namespaces, and does nothing else.
	case drawn && k.namespace == "k8s.io":
		return "kubernetes"
	}
	return ""
}

// entry says how c, which has just been started, got into its container: as its first
// process ("init"), as one that a runtime put there later ("exec"), or "" if it was
// inside already or is on its way.
func (x *Enricher) entry(s *sight, c, p *proc, k *container) (how, execID string) {
	switch {
	case c.told || runtimecli.LowLevel(x.tool(c)) || s.kind&(forked|execed|seeded) == 0:
		return "", ""
	case s.kind&seeded != 0:
		c.told, k.begun = true, true
		return "", ""
	case p == nil:
		// Where it came from is not known.
		c.told = s.kind&execed != 0
		k.begun = k.begun || c.told
		return "", ""
	case p.container == c.container && p.makes == "" && !runtimecli.LowLevel(x.tool(p)):
		c.told, c.visits = true, p.visits
		return "", ""
	case s.kind&execed == 0:
		return "", ""
	}
	c.told = true
	how = "init"
	switch {
	case p.makes == c.container && p.verb == "exec":
		how, execID = "exec", p.execID
	case p.makes == c.container:
	case p.shim != nil && p.shim.came.id == c.container:
		if p.shim.came.exec {
			how, execID = "exec", p.shim.came.execID
		}
	case k.begun:
		how = "exec"
	}
	k.begun = true
	c.visits = how == "exec"
	return how, execID
}

// podUID is the uid of the pod whose cgroup a path is, written with hyphens.
func podUID(path string) string {
	for e := range strings.SplitSeq(path, "/") {
		e = strings.TrimSuffix(e, ".slice")
		if i := strings.LastIndex(e, "pod"); i >= 0 && (i == 0 || e[i-1] == '-') && strings.Contains(path, "kubepods") {
			if uid := e[i+3:]; len(uid) >= 32 {
				return strings.ReplaceAll(uid, "_", "-")
			}
		}
	}
	return ""
}

// cgroupNamespace is containerd's namespace, which is the first element of the
// cgroups that it chooses itself.
func cgroupNamespace(path string) string {
	if i := strings.IndexByte(path, '/'); i > 0 {
		path = path[i:]
	}
	ns, _, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")
	switch ns {
	case "k8s.io":
		return "k8s.io"
	case "default":
		return "default"
	case "moby":
		return "moby"
	}
	return ""
}

// execIDOf is the id of what a runc exec starts, and the containerd namespace, which
// the paths that a shim gives it say: …/io.containerd.runtime.v2.task/NS/ID/EXEC.pid.
func execIDOf(args []event.Value) (execID, namespace string) {
	for i := 1; i < len(args); i++ {
		name, value, ok := strings.Cut(strings.TrimLeft(args[i].Str(), "-"), "=")
		if !ok && i+1 < len(args) {
			value = args[i+1].Str()
		}
		switch name {
		case "root": // /run/containerd/runc/NS
			if dir, ns, ok := cutLast(value); ok && base(dir) == "runc" {
				namespace = ns
			}
		case "pid-file":
			dir, file, _ := cutLast(value)
			if !strings.Contains(dir, "/io.containerd.runtime.") {
				break
			}
			if execID = strings.TrimSuffix(file, ".pid"); execID == "init" {
				execID = ""
			}
		}
	}
	return execID, namespace
}

func cutLast(path string) (dir, file string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}
