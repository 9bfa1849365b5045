package runtimecli_test

import (
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// A parse is to cost less than 2 µs, a script of one command with it, but for a body of JSON, and nothing for a process that is no runtime
// tool: less than 20 ns and no allocation.
func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct{ name, exe, line string }{
		{"None/gcc", "/usr/bin/gcc", "gcc -O2 -Wall -c main.c -o main.o"},
		{"None/ls", "/usr/bin/ls", "ls -la /var/lib/kubelet/pods"},
		{"None/runc-like", "/usr/bin/systemctl", "systemctl restart containerd.service"},
		{"None/npm-run", "/usr/bin/node", "npm run build"},
		{"None/git", "/usr/bin/git", "git -c user.name=x commit -m y"},
		{"None/kubectl-exec", "/usr/bin/kubectl", "kubectl exec -it -n kube-system etcd-node1 -- sh"},
		{"None/sh", "/usr/bin/dash", "sh -c 'cd /srv && test -f x || touch x'"},
		{"None/sudo", "/usr/bin/sudo", "sudo systemctl status kubelet"},
		{"None/curl", "/usr/bin/curl", "curl -s http://localhost:10248/healthz"},
		{"Exec", "/usr/bin/ctr", "ctr -n k8s.io tasks exec --exec-id x5 web1 /bin/id"},
		{"Run", "/usr/bin/ctr", "ctr -n k8s.io run --rm --privileged --net-host --mount type=bind,src=/,dst=/host,options=rbind:rw docker.io/library/alpine:3.20 esc sh"},
		{"Docker", "/usr/bin/docker", "docker run --rm -it --pid=host --privileged -v /:/host -v /proc:/p --cap-add SYS_ADMIN ubuntu:24.04 chroot /host bash"},
		{"Sudo", "/usr/bin/sudo", "sudo -u root crictl exec -it 87d3992f84f74 sh"},
		{"Shell", "/usr/bin/dash", "sh -c 'ctr -n k8s.io t ls -q | xargs -n1 ctr -n k8s.io t kill -s 9'"},
		{"ShellExec", "/usr/bin/dash", "sh -c 'ctr -n k8s.io tasks exec --exec-id x5 web1 /bin/id'"},
		{"ShellBase64", "/usr/bin/dash", "sh -c 'echo Y3RyIC1uIGs4cy5pbyB0IGV4ZWMgLS1leGVjLWlkIHo5IGRiMCBzaA== | base64 -d | sh'"},
		{"Curl", "/usr/bin/curl", "curl -s --unix-socket /var/run/docker.sock http://d/containers/json"},
		{"CurlBody", "/usr/bin/curl", `curl -s --unix-socket /var/run/docker.sock -d '{"Image":"alpine","HostConfig":{"Privileged":true,"Binds":["/:/h"]}}' http://d/containers/create`},
		{"Grammar", "/tmp/.x/kworker", "/tmp/.x/kworker -n k8s.io tasks exec --exec-id x5 web1 /bin/id"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c := runtimecli.Command{Executable: bb.exe, Args: words(bb.line), Comm: bb.exe[strings.LastIndexByte(bb.exe, '/')+1:]}
			if _, ok := runtimecli.Parse(c); ok == strings.HasPrefix(bb.name, "None") {
				b.Fatalf("%q: found: %v", bb.line, ok)
			}
			b.ReportAllocs()
			found := false
			for range b.N { // b.Loop would keep, and so copy, every Call
				_, found = runtimecli.Parse(c)
			}
			if b.N < 0 {
				b.Log(found)
			}
		})
	}
}

func TestNoCostForOthers(t *testing.T) {
	for _, line := range []string{"gcc -O2 -c main.c", "ls -la /", "npm run build", "git -c x=y log", "kubectl exec -it web-0 -- sh", "sh -c 'cd /srv && ls'", "sudo systemctl restart x"} {
		args := words(line)
		c := runtimecli.Command{Executable: "/usr/bin/" + args[0], Args: args}
		if n := testing.AllocsPerRun(100, func() { runtimecli.Parse(c) }); n != 0 {
			t.Errorf("%q: got %v allocations, want none", line, n)
		}
	}
}
