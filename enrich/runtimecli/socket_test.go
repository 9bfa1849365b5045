package runtimecli_test

import (
	"testing"

	"github.com/orlop/orlop/enrich/runtimecli"
)

func TestSocket(t *testing.T) {
	f := func(address, cwd, runtime string, sure runtimecli.Certainty) {
		t.Helper()
		if r, c := runtimecli.Socket(address, cwd); r != runtime || runtime != "" && c != sure {
			t.Errorf("Socket(%q, %q): got %q, %v, want %q, %v", address, cwd, r, c, runtime, sure)
		}
	}
	const exact, likely, guess = runtimecli.Exact, runtimecli.Likely, runtimecli.Guess
	f("/run/containerd/containerd.sock", "", "containerd", exact)
	f("/var/run/containerd/containerd.sock", "", "containerd", exact)
	f("/run/containerd/containerd.sock.ttrpc", "", "containerd", exact)
	f("unix:///run/containerd/containerd.sock", "", "containerd", exact)
	f("unix:/run/crio/crio.sock", "", "crio", exact)
	f("//run//containerd/../containerd/./containerd.sock", "", "containerd", exact)
	f("/run/k3s/containerd/containerd.sock", "", "containerd", exact)
	f("/run/k0s/containerd.sock", "", "containerd", exact)
	f("/var/snap/microk8s/common/run/containerd.sock", "", "containerd", exact)
	f("/run/docker/containerd/containerd.sock", "", "containerd", exact)
	f("/run/containerd/s/2f0d6b0e1c", "", "containerd-shim", exact)
	f("@/containerd-shim/k8s.io/abc/shim.sock@", "", "containerd-shim", exact)
	f("\x00/containerd-shim/abc.sock\x00\x00", "", "containerd-shim", exact)
	f("/var/run/docker.sock", "", "docker", exact)
	f("/run/user/1000/docker.sock", "", "docker", exact)
	f("/run/podman/podman.sock", "", "podman", exact)
	f("/run/user/1000/podman/podman.sock", "", "podman", exact)
	f("/run/user/x/podman/podman.sock", "", "podman", guess)
	f("/run/cri-dockerd.sock", "", "cri-dockerd", exact)
	f("/run/k3s/cri-dockerd/cri-dockerd.sock", "", "cri-dockerd", exact)
	f("/var/run/dockershim.sock", "", "dockershim", exact)
	f("/run/buildkit/buildkitd.sock", "", "buildkit", exact)
	f("/var/run/nri/nri.sock", "", "nri", exact)
	// Seen from elsewhere.
	f("/host/run/containerd/containerd.sock", "", "containerd", likely)
	f("/proc/1/root/run/containerd/containerd.sock", "", "containerd", likely)
	f("/google/host/var/run/docker.sock", "", "docker", likely)
	f("containerd.sock", "/run/containerd", "containerd", likely)
	f("../containerd/containerd.sock", "/run/x", "containerd", likely)
	f("/mnt/run/containerd/s/ab", "", "containerd-shim", likely)
	f("http+unix://%2Fvar%2Frun%2Fdocker.sock/info", "", "docker", exact)
	// By the last element alone.
	f("/tmp/containerd.sock", "", "containerd", guess)
	f("./docker.sock", "", "docker", guess)
	f("/run/bench1/containerd.sock", "", "containerd", guess)
	// None.
	f("/run/systemd/notify", "", "", guess)
	f("/run/containerd/fifo/1/stdin", "", "", guess)
	f("/run/containerd", "", "", guess)
	f("@/org/freedesktop/systemd1", "", "", guess)
	f("tcp://10.0.0.1:2375", "", "", guess)
	f("", "", "", guess)
	f("/", "", "", guess)
	f("unix://", "", "", guess)
	f("/run/snapd.socket", "/run", "", guess)
}

func TestGoClient(t *testing.T) {
	for name, want := range map[string]bool{"ctr": true, "crictl": true, "nerdctl": true, "docker": true, "podman": true, "docker-compose": true, "microk8s.ctr": true,
		"runc": false, "crun": false, "k3s": false, "sh": false, "curl": false, "machinectl": false, "podman-compose": false, "": false} {
		if got := runtimecli.GoClient(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestToolOfBuildInfo(t *testing.T) {
	f := func(path, tool string) {
		t.Helper()
		if got, ok := runtimecli.ToolOfBuildInfo(path); got != tool || ok != (tool != "") {
			t.Errorf("%s: got %q, %v, want %q", path, got, ok, tool)
		}
	}
	f("github.com/containerd/containerd/v2/cmd/ctr", "ctr")
	f("github.com/containerd/containerd/cmd/ctr", "ctr")
	f("sigs.k8s.io/cri-tools/cmd/crictl", "crictl")
	f("github.com/containerd/nerdctl/v2/cmd/nerdctl", "nerdctl")
	f("github.com/docker/cli/cmd/docker", "docker")
	f("github.com/docker/compose/v2/cmd", "docker compose")
	f("github.com/containers/podman/v5/cmd/podman", "podman")
	f("github.com/opencontainers/runc", "runc")
	f("github.com/containerd/containerd/v2/cmd/containerd", "")
	f("command-line-arguments", "")
	f("", "")
}
