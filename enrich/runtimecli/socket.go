package runtimecli

import (
	"path"
	"strings"
)

// A Certainty says how sure Socket is that a path is the runtime's socket.
type Certainty uint8

const (
	Guess  Certainty = iota // by its last element alone
	Likely                  // a well-known path seen from elsewhere: /host/…, /proc/1/root/…, a relative one
	Exact                   // a well-known path
)

func (c Certainty) String() string { return [...]string{"guess", "likely", "exact"}[c] }

// Socket returns the runtime whose socket address names: containerd,
// containerd-shim, crio, docker, podman, cri-dockerd, dockershim, buildkit or nri;
// or "". The address is a path, a unix: URL, or an abstract name beginning with
// '@' or NUL; cwd, if not empty, is what a relative path starts from.
func Socket(address, cwd string) (runtime string, c Certainty) {
	at := address
	for _, scheme := range [...]string{"unix://", "unix:", "http+unix://"} {
		if rest, ok := strings.CutPrefix(at, scheme); ok {
			at = rest
			if strings.HasPrefix(rest, "%2F") || strings.HasPrefix(rest, "%2f") {
				at, _, _ = strings.Cut(rest, "/")
				at = strings.ReplaceAll(strings.ReplaceAll(at, "%2F", "/"), "%2f", "/")
			}
			break
		}
	}
	if len(at) < 5 || len(at) > 4096 {
		return "", Guess
	}
	if at[0] == '@' || at[0] == 0 {
		name := strings.Trim(at[1:], "@\x00")
		switch {
		case strings.HasPrefix(name, "/containerd-shim/"), strings.HasPrefix(name, "containerd-shim/"):
			return "containerd-shim", Exact
		case strings.HasPrefix(name, "/run/containerd/s/"):
			return "containerd-shim", Likely
		}
		switch name = strings.TrimSuffix(base(name), ".sock"); name {
		case "docker", "containerd", "crio", "podman", "cri-dockerd":
			return name, Guess
		}
		return "", Guess
	}
	at, _, _ = strings.Cut(at, "\x00")
	c = Exact
	if at == "" {
		return "", Guess
	}
	if at[0] != '/' {
		if strings.Contains(at, "://") {
			return "", Guess
		}
		if cwd == "" {
			return byName(path.Clean(at)), Guess
		}
		at, c = cwd+"/"+at, Likely
	}
	at = path.Clean(at)
	if r := wellKnown(at); r != "" {
		return r, c
	}
	// The same file seen through another root: /proc/1/root/…, /host/…, /var/lib/…/rootfs/…
	for rest := at; ; {
		i := strings.Index(rest[1:], "/")
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		if strings.HasPrefix(rest, "/run/") || strings.HasPrefix(rest, "/var/run/") {
			if r := wellKnown(rest); r != "" {
				return r, Likely
			}
		}
	}
	return byName(at), Guess
}

// wellKnown returns the runtime of a clean absolute path.
func wellKnown(at string) string {
	rest, ok := strings.CutPrefix(at, "/var")
	if !ok || !strings.HasPrefix(rest, "/run/") {
		rest = at
	}
	rest, ok = strings.CutPrefix(rest, "/run/")
	if !ok {
		switch at {
		case "/var/snap/microk8s/common/run/containerd.sock", "/var/snap/microk8s/common/run/containerd.sock.ttrpc":
			return "containerd"
		case "/var/snap/docker/common/run/docker.sock":
			return "docker"
		}
		if strings.HasPrefix(at, "/home/") && strings.HasSuffix(at, "/.docker/run/docker.sock") || strings.HasSuffix(at, "/.docker/desktop/docker.sock") {
			return "docker"
		}
		return ""
	}
	switch strings.TrimSuffix(rest, ".ttrpc") {
	case "containerd/containerd.sock", "k3s/containerd/containerd.sock", "rke2/containerd/containerd.sock", "k0s/containerd.sock", "k0s/containerd/containerd.sock",
		"docker/containerd/containerd.sock", "docker/containerd/docker-containerd.sock", "docker/libcontainerd/docker-containerd.sock",
		"host-containerd/host-containerd.sock", "host-containerd/containerd.sock", "containerd/debug.sock", "containerd.sock":
		return "containerd"
	case "crio/crio.sock", "crio.sock":
		return "crio"
	case "docker.sock":
		return "docker"
	case "podman/podman.sock":
		return "podman"
	case "cri-dockerd.sock", "k3s/cri-dockerd/cri-dockerd.sock":
		return "cri-dockerd"
	case "dockershim.sock":
		return "dockershim"
	case "buildkit/buildkitd.sock", "buildkit-default/buildkitd.sock", "buildkit-k8s.io/buildkitd.sock":
		return "buildkit"
	case "nri/nri.sock":
		return "nri"
	}
	if strings.HasPrefix(rest, "containerd/s/") || strings.HasPrefix(rest, "containerd-shim/") {
		return "containerd-shim"
	}
	// Rootless: /run/user/1000/podman/podman.sock
	if rest, ok = strings.CutPrefix(rest, "user/"); ok {
		uid, rest, _ := strings.Cut(rest, "/")
		if !digits(uid) {
			return ""
		}
		switch rest {
		case "podman/podman.sock":
			return "podman"
		case "docker.sock":
			return "docker"
		case "containerd/containerd.sock", "containerd-rootless/containerd.sock":
			return "containerd"
		case "buildkit/buildkitd.sock", "buildkit-default/buildkitd.sock":
			return "buildkit"
		}
	}
	return ""
}

func byName(at string) string {
	switch strings.TrimSuffix(base(at), ".ttrpc") {
	case "containerd.sock", "docker-containerd.sock":
		return "containerd"
	case "crio.sock":
		return "crio"
	case "docker.sock":
		return "docker"
	case "podman.sock":
		return "podman"
	case "cri-dockerd.sock":
		return "cri-dockerd"
	case "dockershim.sock":
		return "dockershim"
	case "buildkitd.sock":
		return "buildkit"
	}
	return ""
}
