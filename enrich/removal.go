package enrich

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
)

// A visit is a container that somebody has entered by a client of its runtime, so that
// the client that removes it later can be told from others. It may name it otherwise, by
// more or less of its id, or remove all there are.
type visit struct {
	container string // as it was named
	id        string // its id, and the sandbox of its pod, once
	pod       string // the process that the runtime starts for the visit has shown them
	payload   uint64 // what that runs; 0 is unknown
	engine    string
	namespace string
	at        int64
	ended     bool // and a client has stopped it since
}

const (
	maxVisits = 64
	// remembered is how long after a visit the removal of its container is of interest.
	remembered = int64(3600e9)
)

func (v *visit) size() int {
	return int(unsafe.Sizeof(*v)) + len(v.container) + len(v.id) + len(v.pod) + len(v.engine) + len(v.namespace)
}

// removal remembers which containers a call enters, and fills those of them that it
// removes, as they were named when they were entered.
func (x *Enricher) removal(s *sight, call *runtimecli.Call) {
	h := s.host
	if h == nil || len(call.Behaviours) == 0 {
		return
	}
	what := call.Behaviours[0]
	if what == "socket-client" && len(call.Behaviours) > 1 {
		what = call.Behaviours[1]
	}
	switch what {
	case "container-exec", "attach":
		x.visit(h, call, s.t)
	case "container-stop", "task-kill", "pod-stop":
		for i := range h.visits {
			if v := &h.visits[i]; v.meant(call, s.t) {
				v.ended = true
			}
		}
	case "container-start", "container-restart":
		for i := range h.visits {
			if v := &h.visits[i]; v.meant(call, s.t) {
				v.ended = false
			}
		}
	case "container-delete", "pod-delete":
		var list []event.Value
		for i := range h.visits {
			v := &h.visits[i]
			same := func(other event.Value) bool { return other.Str() == v.container } // in another namespace, or unknown
			if v.meant(call, s.t) && !slices.ContainsFunc(list, same) {
				list = append(list, event.String(v.container))
			}
		}
		if len(list) > 0 {
			x.fill(s.e, x.rf.removed, event.List(list))
		}
	}
}

func (x *Enricher) visit(h *host, call *runtimecli.Call, t int64) {
	name := call.Container
	if name == "" || len(name) > 256 || len(call.Namespace) > 256 {
		return
	}
	for i := range h.visits {
		if v := &h.visits[i]; v.container == name && v.engine == engineOf(call.Tool) && v.namespace == call.Namespace {
			v.at, v.payload, v.ended = max(v.at, t), payloadID(call.Payload), false
			return
		}
	}
	if len(h.visits) == maxVisits {
		x.hold(h, -h.visits[0].size())
		h.visits = append(h.visits[:0], h.visits[1:]...)
	}
	h.visits = append(h.visits, visit{
		container: strings.Clone(name), engine: engineOf(call.Tool), namespace: strings.Clone(call.Namespace), payload: payloadID(call.Payload), at: t,
	})
	x.hold(h, h.visits[len(h.visits)-1].size())
}

// visited notes which container a visit was to, by the process c that a runtime has put
// into one: the client named it by that id or, of another name, told it to run the same.
// Its shim knows the pod.
func (x *Enricher) visited(s *sight, c, p *proc) {
	h := s.host
	if len(h.visits) == 0 { // Fast path: nobody has.
		return
	}
	m := p.shim
	if m == nil { // the parent is runc
		if up := x.procs[key{p.key.host, p.ppid}]; up != nil {
			m = up.shim
		}
	}
	pod := ""
	if m != nil && m.cri {
		pod = m.id
	}
	x.args = texts(x.args[:0], s.e.Get(x.f.args))
	ran := payloadID(x.args)
	var found *visit
	for i := range h.visits {
		v := &h.visits[i]
		if s.t < v.at || s.t-v.at > patience {
			continue
		}
		if sameContainer(c.container, v.container) {
			found = v
			break
		}
		named := len(v.container) < 12 || strings.Trim(v.container, "0123456789abcdef") != ""
		if named && ran != 0 && v.payload == ran && (found == nil || found.id != "" && v.id == "") {
			found = v // the first of several whose container has not shown itself
		}
	}
	if found != nil {
		was := found.size()
		found.id, found.pod = x.word(c.container), x.word(pod)
		x.hold(h, found.size()-was)
	}
}

// payloadID tells commands apart: FNV-1a over their words; 0 is none.
func payloadID(words []string) uint64 {
	if len(words) == 0 {
		return 0
	}
	id := uint64(offset64)
	for _, w := range words {
		id = mix(id, w)
	}
	return id | 1
}

// meant reports whether a call at t acts on the container of the visit.
func (v *visit) meant(call *runtimecli.Call, t int64) bool {
	if t < v.at || t-v.at > remembered || v.namespace != "" && call.Namespace != "" && v.namespace != call.Namespace {
		return false
	}
	ours := v.engine == engineOf(call.Tool)
	switch call.Scope {
	case runtimecli.All:
		return ours
	case runtimecli.Unused:
		return ours && v.ended
	}
	for _, name := range call.Containers() {
		// The whole id is the same for whoever gives it.
		if (sameContainer(name, v.container) || v.id != "" && sameContainer(name, v.id)) && (ours || v.engine == "" || engineOf(call.Tool) == "" || hex64(name)) {
			return true
		}
	}
	for _, pod := range call.Pods() {
		if v.pod != "" && sameContainer(pod, v.pod) && (ours || v.engine == "" || hex64(pod)) {
			return true
		}
	}
	return false
}

// sameContainer reports whether two words are one name, or the beginning of one id. A
// short name may be of hexadecimal digits by chance.
func sameContainer(a, b string) bool {
	if a == b {
		return true
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	const short = 4
	return len(a) >= short && strings.HasPrefix(b, a) && len(b) <= 64 && strings.ContainsAny(a, "0123456789") && strings.Trim(b, "0123456789abcdef") == ""
}

// engineOf names whose containers a client sees; "" is a low-level runtime, which sees
// those of any.
func engineOf(tool string) string {
	switch tool {
	case "ctr", "crictl", "nerdctl":
		return "containerd"
	case "docker", "podman", "incus", "lxc", "machinectl":
		return tool
	case "curl", "http":
		return "docker" // or Podman, whose API is Docker's
	case "buildah", "toolbox":
		return "podman"
	}
	return ""
}
