package enrich

import (
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
)

// runtimeFields are what a container runtime's command line or socket means.
type runtimeFields struct {
	env, comm, cwd event.Field
	socketPath     event.Field // of a connect

	tool, identifiedBy, command       event.Field
	behaviour, hostAccess, mounts     event.Field
	container, pod, image, namespace  event.Field
	address, target, payload, via     event.Field
	payloadProgram                    event.Field // the first word of payload
	scope, removed                    event.Field
	files, confidence, unknown, again event.Field
	internal, ancestor, readsNetwork  event.Field
	maintains                         event.Field
	content, main                     event.Field // the tool that the file's build information names, or another program

	socket, socketRuntime, socketConfidence, socketIdentifiedBy event.Field
	listener, owner, inode, device                              event.Field // as a source states them
}

func newRuntimeFields(s *event.Schema) runtimeFields {
	f := func(name string) event.Field { return s.Field("orlop.runtime." + name) }
	return runtimeFields{
		env: s.Field("process.env_vars"), comm: s.Field("auditd.data.comm"), cwd: s.Field("process.working_directory"),
		socketPath: s.Field("destination.path"),
		tool:       f("tool"), identifiedBy: f("identified_by"), command: f("command"),
		behaviour: f("behaviour"), hostAccess: f("host_access"), mounts: f("mount"),
		container: f("container"), pod: f("pod"), image: f("image"), namespace: f("namespace"),
		address: f("address"), target: f("target"), payload: f("payload"), payloadProgram: f("payload_program"), via: f("via"),
		scope: f("scope"), removed: f("removed"),
		files: f("file"), confidence: f("confidence"), unknown: f("unknown_verb"), again: f("again"),
		internal: f("internal"), ancestor: s.Field("orlop.process.ancestor"),
		content: f("content_tool"), main: f("content_main"), readsNetwork: f("reads_network"), maintains: f("maintains"),
		socket: s.Field("orlop.socket.path"), socketRuntime: s.Field("orlop.socket.runtime"),
		socketConfidence: s.Field("orlop.socket.confidence"), socketIdentifiedBy: s.Field("orlop.socket.identified_by"),
		listener: s.Field("orlop.socket.listener"), owner: s.Field("orlop.socket.owner.executable"),
		inode: s.Field("orlop.socket.inode"), device: s.Field("orlop.socket.device"),
	}
}

// act is how long after a wrapper (sudo, sh -c, env) its command is still the
// same act.
const act = int64(time.Minute)

// meaning fills orlop.runtime.* of a process start and orlop.socket.* of that
// and of a connect. Of the entries c is the process and p its parent; either
// may be nil.
func (x *Enricher) meaning(s *sight, c, p *proc) {
	e, f := s.e, &x.rf
	if s.kind&execed == 0 {
		v := e.Get(f.socketPath)
		if v.Kind() == event.KindString && x.socket(s, v.Str(), first(e.Get(f.cwd)).Str()) {
			x.ancestors(e, c, p)
			if c != nil {
				x.fillText(e, f.main, c.main)
			}
			if x.spoken(s, c, p) {
				x.fill(e, f.again, event.Bool(true))
			}
		}
		return
	}
	if c != nil {
		if main := first(e.Get(f.main)).Str(); main != c.main {
			c.main = x.word(main)
			x.weigh(c)
		}
		c.acts, c.spoke = false, [2]spoken{} // What it was before said nothing of this program.
	}
	args, guessed := x.argsOf(s)
	x.args = texts(x.args[:0], args)
	cmd := runtimecli.Command{
		Executable: s.exe,
		Args:       x.args,
		Comm:       first(e.Get(f.comm)).Str(),
		Cwd:        first(e.Get(f.cwd)).Str(),
	}
	if v := e.Get(f.env); v.Exists() {
		x.env = texts(x.env[:0], v)
		cmd.Env = x.env
	}
	call, ok := runtimecli.Parse(cmd)
	if tool := first(e.Get(f.content)).Str(); tool != "" && (!ok || call.IdentifiedBy != "name") {
		// What a file is made of outweighs what it is called with.
		cmd.Tool = tool
		call, ok = runtimecli.Parse(cmd)
	}
	if !ok {
		return
	}
	if guessed {
		call.Confidence = runtimecli.Partial
	}
	asked := call // on the heap only now
	s.call = &asked
	text := func(field event.Field, v string) { x.fillText(e, field, v) }
	list := func(field event.Field, vs []string) {
		if len(vs) == 0 {
			return
		}
		out := make([]event.Value, len(vs))
		for i, v := range vs {
			out[i] = event.String(v)
		}
		x.fill(e, field, event.List(out))
	}
	text(f.tool, call.Tool)
	text(f.identifiedBy, call.IdentifiedBy)
	text(f.command, call.Command)
	list(f.behaviour, call.Behaviours)
	list(f.hostAccess, call.HostAccess)
	list(f.mounts, call.Mounts)
	list(f.container, call.Containers())
	list(f.pod, call.Pods())
	list(f.image, call.Images())
	text(f.scope, call.Scope.String())
	text(f.namespace, call.Namespace)
	text(f.address, call.Address)
	text(f.target, call.Target)
	list(f.payload, call.Payload)
	if len(call.Payload) > 0 {
		text(f.payloadProgram, call.Payload[0])
	}
	list(f.via, call.Via)
	list(f.files, call.Files)
	text(f.confidence, call.Confidence.String())
	text(f.maintains, call.Maintains())
	if readsNetwork(&call) {
		x.fill(e, f.readsNetwork, event.Bool(true))
	}
	if call.UnknownVerb {
		x.fill(e, f.unknown, event.Bool(true))
	}
	if call.Address != "" {
		x.socket(s, call.Address, cmd.Cwd)
	}
	id := callID(&call)
	again := x.announced(s, c, p, &call, id)
	if again {
		x.fill(e, f.again, event.Bool(true))
	}
	if x.internal(s, p, &call) {
		x.fill(e, f.internal, event.Bool(true))
	} else {
		x.called(s, &call, x.args, again)
		if c != nil && slices.Contains(call.Behaviours, "namespace-enter") && !(len(call.Entered) == 1 && call.Entered[0] == "net") {
			c.joins = s.t
		}
		x.removal(s, &call)
		if !again && slices.Contains(call.Via, "systemd-run") && s.host != nil {
			x.handOver(s.host, id, s.t)
		}
	}
	x.ancestors(e, c, p)
	if c != nil {
		c.act, c.actAt = id, s.t
		c.open = openCall(&call)
		x.weigh(c)
		c.acts = c.main == "" && (ofSystem(s.exe) || call.IdentifiedBy != "name" || first(e.Get(f.content)).Exists() || len(call.Behaviours) > 0 && !call.OnlyReads())
	}
}

// A spoken is what a program said first to a runtime.
type spoken struct {
	to uint64 // the runtime, and whether it answered; 0 is none
	at int64
}

// suppressed is how long after a program's connect further ones of it to the same
// runtime are the same act.
const suppressed = int64(5 * time.Minute)

// spoken reports whether a connect says no more than what was told of the process, or
// of the one that it was forked from without becoming another program: the start of a
// client, or an earlier connect to that runtime. The process is c and its parent p;
// either may be nil.
func (x *Enricher) spoken(s *sight, c, p *proc) bool {
	if p == nil && c != nil {
		p = x.bornTo(c) // A connect may say nothing of the parent.
	}
	one := c
	for range 4 { // socat, and what it forks for each that asks
		if p == nil || p.exe == "" || s.exe != p.exe || c != nil && c.command != "" && c.command != p.command {
			break
		}
		one = p
		p = x.procs[key{p.key.host, p.ppid}]
	}
	if one == nil {
		return false
	}
	if one.acts || c != nil && c.acts {
		return true
	}
	to := mix(offset64, first(s.e.Get(x.rf.socketRuntime)).Str())
	if first(s.e.Get(x.f.outcome)).Str() == "failure" {
		to = mix(to, "failure")
	}
	oldest := &one.spoke[0]
	for i := range one.spoke {
		was := &one.spoke[i]
		if was.to == to && s.t != 0 && s.t-was.at >= 0 && s.t-was.at < suppressed {
			return true
		}
		if was.at < oldest.at {
			oldest = was
		}
	}
	*oldest = spoken{to, s.t}
	return false
}

// internal reports whether a low-level runtime does the bidding of a high-level
// one: runc below a shim, and what runc starts of itself. Where the parent is
// not known, the log that only a shim asks for tells.
//
// Whose parent has a runtime's path may be any program that root has put there; whose
// command line is one that people write is not a runtime's child for all that.
func (x *Enricher) internal(s *sight, p *proc, call *runtimecli.Call) bool {
	if !runtimecli.LowLevel(call.Tool) {
		return false
	}
	if len(call.Behaviours) > 0 && call.Behaviours[0] == "hook" {
		return true // runc init
	}
	parent := path(s.e.Get(x.f.parentExe))
	if parent == "" && p != nil {
		parent = p.exe
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(x.args, func(a string) bool {
			name, _, _ := strings.Cut(a, "=")
			return slices.Contains(names, name)
		})
	}
	// No runtime executes by itself what a command line names: the process is in a file, and
	// what begins has its pid written.
	if slices.Contains(call.Behaviours, "container-exec") && !has("--process", "-p", "--pid-file") {
		return false
	}
	if parent != "" {
		return ofSystem(parent) && (runtimes[base(parent)] || runtimecli.LowLevel(base(parent)))
	}
	return has("--log") && has("--log-format")
}

// runtimes are the programs whose children low-level runtimes are by right, beside those themselves.
var runtimes = map[string]bool{
	"containerd": true, "containerd-shim": true, "containerd-shim-runc-v1": true, "containerd-shim-runc-v2": true, "containerd-shim-runsc-v1": true,
	"dockerd": true, "conmon": true, "conmonrs": true, "crio": true, "podman": true, "buildkitd": true,
	"k3s": true, "rke2": true, "k0s": true, "kubelet": true,
}

// ofSystem reports whether a program lies where only root installs programs.
func ofSystem(exe string) bool {
	for _, dir := range [...]string{"/usr/", "/bin/", "/sbin/", "/opt/", "/snap/", "/var/lib/rancher/", "/var/lib/k0s/", "/nix/store/"} {
		if len(exe) > len(dir) && exe[:len(dir)] == dir {
			return true
		}
	}
	return false
}

// ancestors fills the programs of the process's ancestors, nearest first, as far
// as the stream has shown them: orlop.process.ancestor. An orphan, which init has
// adopted, has above init also those that it comes from. The process is c and its
// parent p; either may be nil.
func (x *Enricher) ancestors(e *event.Event, c, p *proc) {
	var list []event.Value
	add := func(exe string) {
		if exe != "" && len(list) < 2*maxAnc && !(len(list) > 0 && list[len(list)-1].Str() == exe) {
			list = append(list, event.String(exe))
		}
	}
	if parent := path(e.Get(x.f.parentExe)); parent != "" && (p == nil || p.exe != parent) {
		add(parent)
	}
	x.above(p, add)
	if c != nil {
		if from := x.bornTo(c); from != p {
			x.above(from, add)
		}
	}
	if len(list) > 0 {
		x.fill(e, x.rf.ancestor, event.List(list))
	}
}

// above calls add for the programs of p and those above it.
func (x *Enricher) above(p *proc, add func(exe string)) {
	for range maxAnc {
		if p == nil || p.exe == "" {
			return
		}
		add(p.exe)
		// The table says who the next one is by pid; its entity id says that
		// it still is.
		next := x.procs[key{p.key.host, p.ppid}]
		if next == nil || len(p.ancestry) == 0 || p.ancestry[0].Str() != next.entity {
			next = x.bornTo(p)
		}
		p = next
	}
}

// bornTo returns the process that started p, if the table still has it.
func (x *Enricher) bornTo(p *proc) *proc {
	from := x.procs[key{p.key.host, p.under}]
	if p.under == 0 || from == nil || len(p.ancestry) == 0 || p.ancestry[0].Str() != from.entity {
		return nil
	}
	return from
}

// announced reports whether the process, before it became what it is, or one of
// those that started it was a wrapper of the very same call: sudo and the ctr
// that it runs are one act. So are a shell's line and what it runs, whatever became
// of the expansions in it.
func (x *Enricher) announced(s *sight, c, p *proc, call *runtimecli.Call, id uint64) bool {
	near := func(q *proc) bool {
		return s.t-q.actAt >= 0 && s.t-q.actAt <= act && q.act != 0 && (q.act == id || q.open != "" && cameOf(call, q.open))
	}
	if c != nil {
		if near(c) {
			return true
		}
		if from := x.bornTo(c); p == nil || from != nil && from != p {
			p = from // init has adopted it since
		}
	}
	for range 4 {
		if p == nil {
			break
		}
		if near(p) {
			return true
		}
		next := x.procs[key{p.key.host, p.ppid}]
		if from := x.bornTo(p); from != nil {
			next = from
		}
		p = next
	}
	if s.ppid == 1 && s.host != nil && s.host.handed(id, s.t) {
		return true
	}
	if s.ppid != 1 || c == nil || c.session == 0 || c.session == unset {
		return false
	}
	// An orphan of a source that tells no forks: the line was one of its session.
	for _, ring := range [...]*proc{&x.lru, &x.over} {
		q := ring.next
		for n := 0; n < 64 && q != ring; n, q = n+1, q.next {
			if q.key.host == c.key.host && q.session == c.session && q.exe != c.exe && near(q) {
				return true
			}
		}
	}
	return false
}

// A handOver is a call that init was asked to make: the client is no child of whoever asked.
type handOver struct {
	id uint64
	at int64
}

const maxHandOvers = 8

func (x *Enricher) handOver(h *host, id uint64, t int64) {
	if len(h.overs) == maxHandOvers {
		h.overs = append(h.overs[:0], h.overs[1:]...)
		x.hold(h, -handOverSize)
	}
	h.overs = append(h.overs, handOver{id, t})
	x.hold(h, handOverSize)
}

const handOverSize = int(unsafe.Sizeof(handOver{}))

// handed reports whether a child of init makes a call that init was asked to make; once.
func (h *host) handed(id uint64, t int64) bool {
	for i, o := range h.overs {
		if o.id == id && t-o.at >= 0 && t-o.at <= act {
			h.overs[i].id = 0
			return true
		}
	}
	return false
}

// callID tells calls apart: FNV-1a over what they do to what. It is never 0.
func callID(c *runtimecli.Call) uint64 {
	h := uint64(offset64)
	add := func(s string) { h = mix(h, s) }
	add(handed.Replace(c.Command))
	add(c.Container)
	add(c.Image)
	for _, name := range c.More {
		add(name)
	}
	add(c.Namespace)
	for _, p := range c.Payload {
		add(p)
	}
	return h | 1
}

// offset64 is where FNV-1a begins.
const offset64 = 14695981039346656037

// mix takes a word, and its end, into an FNV-1a hash.
func mix(h uint64, word string) uint64 {
	for i := range len(word) {
		h = (h ^ uint64(word[i])) * 1099511628211
	}
	return (h ^ 0xff) * 1099511628211
}

// handed are the commands that one tool hands to another, or to a plugin of its own,
// under another name: docker build is its buildx build, podman compose is docker's.
var handed = strings.NewReplacer("docker buildx ", "docker ", "docker builder ", "docker ", "podman compose", "docker compose")

// texts appends the values of a field as text, which is borrowed.
func texts(dst []string, v event.Value) []string {
	for i := range v.Len() {
		dst = append(dst, v.At(i).Text())
	}
	return dst
}
