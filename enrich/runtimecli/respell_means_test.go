package runtimecli

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
)

// Whatever Respell returns means what was respelled.
func TestRespellKeepsTheMeaning(t *testing.T) {
	for _, line := range []string{
		"ctr -n k8s.io tasks exec --exec-id x1 web1 sh -c id",
		"ctr --address /run/containerd/containerd.sock run --rm --privileged --net-host --mount type=bind,src=/,dst=/host,options=rbind:rw docker.io/library/alpine:3 c1 sh",
		"ctr images mount --rw docker.io/library/nginx:1 /mnt",
		"crictl -r unix:///run/containerd/containerd.sock exec -i -t 9a77 sh",
		"crictl exec -it 9a77 sh",
		"nerdctl -n k8s.io run -itv /:/host -mx alpine:3 sh",
		"docker run -dv/:/host alpine:3",
		"nerdctl --namespace k8s.io run -i -t --privileged --pid=host -v /:/host alpine:3 chroot /host",
		"docker -H unix:///run/docker.sock run -d --cap-add SYS_ADMIN alpine:3",
		"podman exec -l sh",
		"runc --root /run/containerd/runc/k8s.io exec -t web1 sh",
	} {
		args := strings.Fields(line)
		c := Command{Executable: "/usr/bin/" + args[0], Args: args}
		want, ok := Parse(c)
		if !ok {
			t.Fatalf("%s: not understood", line)
		}
		hows := map[string]bool{}
		for _, r := range Respell(c) {
			hows[r.How] = true
			got, ok := Parse(r.Command)
			if !ok || got.Command != want.Command || !slices.Equal(got.Behaviours, want.Behaviours) || got.Container != want.Container ||
				got.Image != want.Image || !slices.Equal(sorted(got.HostAccess), sorted(want.HostAccess)) || got.Namespace != want.Namespace {
				t.Errorf("%s: %q\ngot  %+v\nwant %+v", r.How, r.Command.Args, got, want)
			}
		}
		if len(hows) < 10 {
			t.Errorf("%s: only %d ways: %v", line, len(hows), hows)
		}
	}
}

// What one word joins is respelled flag by flag, and what follows it too.
func TestRespellTakesJoinedFlagsApart(t *testing.T) {
	got := map[string]bool{}
	for _, r := range Respell(Command{Executable: "/usr/bin/crictl", Args: []string{"crictl", "exec", "-it", "3f4e", "sh"}}) {
		line := strings.Join(r.Command.Args, " ")
		got[r.How+": "+line[:min(len(line), 60)]] = true
	}
	for _, want := range []string{
		"split short flags: crictl exec -i -t 3f4e sh",
		"long for short: crictl exec --interactive --tty 3f4e sh",
		"flag=true: crictl exec --interactive=true --tty=true 3f4e sh",
		"order: crictl exec -ti 3f4e sh",
		"order: crictl exec -t -i 3f4e sh",
		"empty argument: crictl exec -it 3f4e sh ",
		"20 kB argument: crictl exec -it 3f4e sh " + strings.Repeat("A", 36),
	} {
		if !got[want] {
			t.Errorf("no %q among %v", want, got)
		}
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// The lines of the corpora are respelled too.
func FuzzRespell(f *testing.F) {
	if file, err := os.Open("testdata/lines.txt"); err == nil {
		sc := bufio.NewScanner(file)
		for sc.Scan() {
			f.Add(sc.Text())
		}
		file.Close()
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		if len(args) == 0 || len(line) > 4096 {
			return
		}
		for _, r := range Respell(Command{Executable: "/usr/bin/" + args[0], Args: args}) {
			if len(r.Command.Args) == 0 {
				t.Fatalf("%s: no arguments", r.How)
			}
		}
	})
}
