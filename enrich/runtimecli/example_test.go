package runtimecli_test

import (
	"fmt"

	"github.com/orlop/orlop/enrich/runtimecli"
)

func ExampleParse() {
	call, ok := runtimecli.Parse(runtimecli.Command{
		Executable: "/usr/bin/sudo",
		Args:       []string{"sudo", "CONTAINERD_NAMESPACE=k8s.io", "nerdctl", "run", "-itv/:/host", "--pid=host", "alpine", "sh"},
	})
	fmt.Println(ok, call.Via, call.Command, call.Behaviours)
	fmt.Println(call.Namespace, call.HostAccess, call.Image, call.Payload)
	// Output:
	// true [sudo] nerdctl run [container-run host-mount]
	// k8s.io [mount:/ host-pid] docker.io/library/alpine:latest [sh]
}

func ExampleSocket() {
	fmt.Println(runtimecli.Socket("unix:///host/run/containerd/containerd.sock", ""))
	// Output:
	// containerd likely
}
