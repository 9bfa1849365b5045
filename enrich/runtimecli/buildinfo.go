package runtimecli

import (
	"strings"
	"sync"
)

// ToolOfBuildInfo returns the tool whose main package has this path, as the Go
// build information of a binary gives it. Renaming and stripping leave it as it is.
// The tool may be passed to Parse in Command.Tool. crun is a C program and has none.
func ToolOfBuildInfo(mainPath string) (tool string, ok bool) {
	// github.com/containerd/containerd/v2/cmd/ctr is the tool without /v2 too.
	var kept []string
	for e := range strings.SplitSeq(mainPath, "/") {
		if len(e) > 1 && e[0] == 'v' && digits(e[1:]) {
			continue
		}
		kept = append(kept, e)
	}
	tool, ok = mainPackages[strings.Join(kept, "/")]
	return tool, ok
}

// GoClient reports whether a program of that name, the last element of its path, is a
// runtime's client whose main package [ToolOfBuildInfo] knows: so that one of the name with
// another main package is none.
func GoClient(name string) bool { return goClients()[names[name].tool] }

var goClients = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for _, tool := range mainPackages {
		m[tool] = !LowLevel(tool)
	}
	return m
})

var mainPackages = map[string]string{
	"github.com/containerd/containerd/cmd/ctr":                                "ctr",
	"github.com/containerd/stargz-snapshotter/cmd/ctr-remote":                 "ctr",
	"sigs.k8s.io/cri-tools/cmd/crictl":                                        "crictl",
	"github.com/kubernetes-sigs/cri-tools/cmd/crictl":                         "crictl",
	"github.com/kubernetes-incubator/cri-tools/cmd/crictl":                    "crictl",
	"github.com/containerd/nerdctl/cmd/nerdctl":                               "nerdctl",
	"github.com/runfinch/finch/cmd/finch":                                     "nerdctl",
	"github.com/docker/cli/cmd/docker":                                        "docker",
	"github.com/docker/docker-ce/components/cli/cmd/docker":                   "docker",
	"github.com/docker/compose/cmd":                                           "docker compose",
	"github.com/docker/buildx/cmd/buildx":                                     "docker buildx",
	"github.com/containers/podman/cmd/podman":                                 "podman",
	"github.com/containers/libpod/cmd/podman":                                 "podman",
	"github.com/opencontainers/runc":                                          "runc",
	"github.com/containers/buildah/cmd/buildah":                               "buildah",
	"github.com/kata-containers/kata-containers/src/runtime/cmd/kata-runtime": "kata-runtime",
	"k8s.io/minikube/cmd/minikube":                                            "minikube",
	"github.com/containers/toolbox/src":                                       "toolbox",
	"github.com/lxc/incus/cmd/incus":                                          "incus",
	"github.com/canonical/lxd/lxc":                                            "lxc",
	"github.com/lxc/lxd/lxc":                                                  "lxc",
}
