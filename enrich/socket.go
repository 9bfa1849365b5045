package enrich

import (
	"strings"
	"unsafe"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
)

// A socketFile is a file that a runtime listens at. Its path may be any that leads
// there; the file is one.
type socketFile struct {
	device, inode string
	runtime       string
}

// maxSockets bounds the files that are remembered of a host. It has one for each
// runtime, and a new one when that starts again.
const maxSockets = 64

// socket fills what is known of the socket at address, a path or URL, and reports
// whether it is a runtime's. How it is known, the surest first:
//
//	listener  the path that the kernel found its file at
//	owner     the program that listens there
//	inode     the file, which others reached by a path that is known
//	path      the address as it was given
func (x *Enricher) socket(s *sight, address, cwd string) bool {
	e, f := s.e, &x.rf
	runtime, sure := runtimecli.Socket(address, cwd)
	by := "path"
	file := socketFile{device: ordinal(e.Get(f.device)), inode: ordinal(e.Get(f.inode))}
	if path := first(e.Get(f.listener)).Str(); path != "" {
		if r, c := runtimecli.Socket(path, ""); r != "" && c > runtimecli.Guess && (runtime == "" || c >= sure) {
			runtime, sure, by = r, c, "listener"
		}
	}
	if by == "path" {
		if r := listeners[base(path(e.Get(f.owner)))]; r != "" {
			runtime, sure, by = r, runtimecli.Exact, "owner"
		}
	}
	if file.inode != "" && file.device != "" && s.host != nil { // An inode is one only of its device's.
		if sure < runtimecli.Exact {
			if known := s.host.socketAt(file); known != nil {
				runtime, sure, by = known.runtime, runtimecli.Exact, "inode"
			}
		}
		if file.runtime = runtime; sure == runtimecli.Exact {
			x.learnSocket(s.host, file)
		}
	}
	if runtime == "" {
		return false
	}
	x.fillText(e, f.socket, address)
	x.fillText(e, f.socketRuntime, runtime)
	x.fillText(e, f.socketConfidence, sure.String())
	x.fillText(e, f.socketIdentifiedBy, by)
	return true
}

// ordinal is the text of a field that numbers something, "" where the source does not say.
func ordinal(v event.Value) string {
	if v = first(v); v.Kind() != event.KindString && v.Kind() != event.KindInt {
		return ""
	}
	return v.Text()
}

// listeners are the programs that listen at a runtime's sockets, and the runtime.
var listeners = map[string]string{
	"containerd": "containerd", "docker-containerd": "containerd", "host-containerd": "containerd",
	"containerd-shim": "containerd-shim", "containerd-shim-runc-v1": "containerd-shim", "containerd-shim-runc-v2": "containerd-shim",
	"dockerd": "docker", "crio": "crio", "podman": "podman", "cri-dockerd": "cri-dockerd", "buildkitd": "buildkit",
}

func (h *host) socketAt(f socketFile) *socketFile {
	for i := range h.sockets {
		if known := &h.sockets[i]; known.inode == f.inode && known.device == f.device {
			return known
		}
	}
	return nil
}

// learnSocket remembers a runtime's socket. Those of shims are not: there is one for
// each pod, and nobody but their runtime uses them. A file whose number is given again
// is another runtime's.
func (x *Enricher) learnSocket(h *host, f socketFile) {
	if f.runtime == "containerd-shim" || len(f.inode) > 20 || len(f.device) > 20 {
		return
	}
	if known := h.socketAt(f); known != nil {
		known.runtime = f.runtime
		return
	}
	if len(h.sockets) == maxSockets {
		x.hold(h, -h.sockets[0].size())
		h.sockets = append(h.sockets[:0], h.sockets[1:]...)
	}
	f.device, f.inode = strings.Clone(f.device), strings.Clone(f.inode)
	h.sockets = append(h.sockets, f)
	x.hold(h, f.size())
}

func (f *socketFile) size() int { return int(unsafe.Sizeof(*f)) + len(f.device) + len(f.inode) }
