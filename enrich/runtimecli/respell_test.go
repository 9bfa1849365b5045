package runtimecli_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// A command means the same however it is spelled. Each line is respelled in every
// way that its tool reads alike, alone and in pairs.
func TestRespellingsMeanTheSame(t *testing.T) {
	type respelling struct {
		name  string
		tools string
		apply func([]string) []string
	}
	// value writes the value of a flag behind an equals sign, boolean appends to a boolean flag.
	value := func(args []string) []string {
		out := args[:0:0]
		for i := 0; i < len(args); i++ {
			if f := args[i]; strings.HasPrefix(f, "--") && valued[f] && i+1 < len(args) {
				out = append(out, f+"="+args[i+1])
				i++
				continue
			}
			out = append(out, args[i])
		}
		return out
	}
	boolean := func(suffix string) func([]string) []string {
		return func(args []string) []string {
			out := slices.Clone(args)
			for i, f := range out {
				if f == "--privileged" || f == "--net-host" || f == "--rm" {
					out[i] = f + suffix
				}
			}
			return out
		}
	}
	word := func(old, replacement string) func([]string) []string {
		return func(args []string) []string {
			out := slices.Clone(args)
			for i, f := range out {
				if f == old {
					out[i] = replacement
					break
				}
			}
			return out
		}
	}
	before := func(words ...string) func([]string) []string {
		return func(args []string) []string { return append(slices.Clone(words), args...) }
	}
	pad := func(with ...string) func([]string) []string {
		return func(args []string) []string {
			i := slices.IndexFunc(args, func(s string) bool { return s == "run" || s == "create" })
			if i < 0 {
				return args
			}
			return slices.Insert(slices.Clone(args), i+1, with...)
		}
	}
	quote := func(args []string) []string {
		var q []string
		for _, a := range args {
			q = append(q, "'"+a+"'")
		}
		return []string{"bash", "-c", "cd / && exec " + strings.Join(q, " ")}
	}
	all := "ctr crictl nerdctl docker podman"
	respellings := []respelling{
		{"flag=value", all, value},
		{"=true", all, boolean("=true")},
		{"=1", all, boolean("=1")},
		{"=T", all, boolean("=T")},
		{"one dash", "ctr", func(args []string) []string {
			out := slices.Clone(args)
			for i, f := range out {
				if strings.HasPrefix(f, "--") {
					out[i] = f[1:]
				}
			}
			return out
		}},
		{"alias t", "ctr", word("tasks", "t")},
		{"alias c", "ctr", word("containers", "c")},
		{"alias i", "ctr", word("images", "image")},
		{"alias snapshot", "ctr", word("snapshots", "snapshot")},
		{"management", "nerdctl docker podman", func(args []string) []string {
			i := slices.IndexFunc(args, func(s string) bool { return slices.Contains([]string{"run", "exec", "create", "start"}, s) })
			if i < 0 {
				return args
			}
			return slices.Insert(slices.Clone(args), i, "container")
		}},
		{"long namespace", "ctr nerdctl", word("-n", "--namespace")},
		{"sudo", all, before("sudo", "-u", "root")},
		{"env", all, before("env", "A=b")},
		{"timeout", all, before("timeout", "-k", "5", "30")},
		{"busybox", all, before("busybox", "nohup")},
		{"k3s", "ctr crictl", before("k3s")},
		{"sh -c", all, quote},
		{"empty label", "ctr nerdctl docker podman", pad("--label", "")},
		{"20 kB label", "ctr nerdctl docker podman", pad("--label", strings.Repeat("x", 20_000))},
		{"2,000 labels", "ctr nerdctl docker podman", pad(slices.Repeat([]string{"--label", "k=v"}, 2000)...)},
		{"a path", all, func(args []string) []string { return append([]string{"/tmp/.x/" + args[0]}, args[1:]...) }},
		{"a version", all, func(args []string) []string { return append([]string{args[0] + "-1.7.2"}, args[1:]...) }},
	}
	for _, line := range []string{
		"ctr -n k8s.io tasks exec --exec-id x web1 sh -c id",
		"ctr --address /run/containerd/containerd.sock run --rm --privileged --net-host --mount type=bind,src=/,dst=/h,options=rbind:rw docker.io/library/alpine:3.20 a sh",
		"ctr -n k8s.io containers create --with-ns pid:/proc/1/ns/pid --device /dev/sda docker.io/library/alpine:3.20 a",
		"ctr -n k8s.io images mount docker.io/library/alpine:3.20 /mnt",
		"ctr snapshots mounts /mnt key",
		"crictl --runtime-endpoint unix:///run/crio/crio.sock exec 87d3992f84f74 sh",
		"crictl runp --runtime kata pod.json",
		"nerdctl -n k8s.io run --rm --privileged --pid host --volume /:/host alpine sh",
		"nerdctl exec --user 0 web sh",
		"docker run --network host --security-opt seccomp=unconfined --cap-add SYS_ADMIN ubuntu bash",
		"podman create --privileged --volume /etc:/e alpine",
	} {
		args := strings.Fields(line)
		meaning := func(args []string) string {
			c, ok := runtimecli.Parse(runtimecli.Command{Args: args})
			access := slices.Sorted(slices.Values(c.HostAccess))
			return fmt.Sprint(ok, c.Command, c.Behaviours, access, c.Image, c.Container, c.Namespace, c.Address, c.Payload)
		}
		want := meaning(args)
		for _, a := range respellings {
			if !strings.Contains(a.tools, args[0]) {
				continue
			}
			if got := meaning(a.apply(args)); got != want {
				t.Errorf("%s of %q:\n got %s\nwant %s", a.name, line, got, want)
			}
			for _, b := range respellings {
				// What wraps comes last.
				if !strings.Contains(b.tools, args[0]) || wraps[a.name] || a.name == b.name {
					continue
				}
				if got := meaning(b.apply(a.apply(args))); got != want {
					t.Errorf("%s and %s of %q:\n got %s\nwant %s", a.name, b.name, line, got, want)
				}
			}
		}
	}
}

var (
	valued = map[string]bool{"--exec-id": true, "--address": true, "--mount": true, "--with-ns": true, "--device": true, "--runtime-endpoint": true, "--runtime": true, "--pid": true,
		"--volume": true, "--user": true, "--network": true, "--security-opt": true, "--cap-add": true, "--namespace": true, "--label": true}
	wraps = map[string]bool{"sudo": true, "env": true, "timeout": true, "busybox": true, "k3s": true, "sh -c": true, "a path": true, "a version": true}
)
