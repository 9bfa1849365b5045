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
	return int(unsafe.Sizeof(*v)) + len(v.container) + len(v.engine) + len(v.namespace)
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
	case "container-start":
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
			v.at, v.ended = max(v.at, t), false
			return
		}
	}
	if len(h.visits) == maxVisits {
		x.hold(h, -h.visits[0].size())
		h.visits = append(h.visits[:0], h.visits[1:]...)
	}
	h.visits = append(h.visits, visit{strings.Clone(name), engineOf(call.Tool), strings.Clone(call.Namespace), t, false})
	x.hold(h, h.visits[len(h.visits)-1].size())
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
		if sameContainer(name, v.container) && (ours || v.engine == "" || engineOf(call.Tool) == "" || hex64(name)) {
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
