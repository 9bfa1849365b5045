package runtimecli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich/runtimecli"
)

type labelled struct {
	ID          string            `json:"id"`
	Argv        []string          `json:"argv"`
	Executable  string            `json:"executable"`
	Env         map[string]string `json:"env"`
	Tool        string            `json:"tool"`
	CommandPath []string          `json:"command_path"`
	Behaviours  []string          `json:"behaviours"`
	HostAccess  []string          `json:"host_access"`
	Alert       string            `json:"alert"`
	Transform   string            `json:"transform"`
}

// The labels' classes are coarser than ours.
var coarse = map[string]string{
	"container-run": "container-create", "container-create": "container-create", "container-start": "container-create", "container-restart": "container-create", "pod-create": "container-create", "shim-start": "container-create",
	"container-exec": "container-exec", "attach": "container-attach", "copy": "container-copy",
	"image-pull": "image-pull", "content-fetch": "image-pull", "image-import": "image-import", "image-delete": "image-delete",
	"image-push": "image-push/export", "image-export": "image-push/export", "container-export": "image-push/export", "snapshot-export": "image-push/export",
	"image-build": "image-build/commit", "image-commit": "image-build/commit", "image-tag": "image-build/commit", "snapshot-commit": "image-build/commit",
	"image-mount": "host-mount", "image-unmount": "host-mount", "snapshot-mount": "host-mount", "snapshot-prepare": "host-mount", "container-mount": "host-mount", "container-unmount": "host-mount", "volume": "host-mount", "host-mount": "host-mount",
	"checkpoint": "checkpoint", "restore": "checkpoint", "checkpoint-delete": "checkpoint",
	"container-delete": "container-delete/kill", "task-kill": "container-delete/kill", "container-stop": "container-delete/kill", "pod-stop": "container-delete/kill", "pod-delete": "container-delete/kill", "shim-delete": "container-delete/kill",
	"content-write": "namespace/leases/content", "content-delete": "namespace/leases/content", "lease-create": "namespace/leases/content", "lease-delete": "namespace/leases/content",
	"namespace-create": "namespace/leases/content", "namespace-update": "namespace/leases/content", "namespace-delete": "namespace/leases/content",
	"snapshot-update": "namespace/leases/content", "snapshot-delete": "namespace/leases/content", "volume-delete": "namespace/leases/content", "build-cache-delete": "namespace/leases/content",
	"read": "log/inspect", "network": "network", "port-forward": "network", "daemon": "daemon", "swarm": "daemon", "machine": "daemon",
	"namespace-enter": "host-namespace-entry",
}

func classesOf(behaviours []string) []string {
	var out []string
	for _, b := range behaviours {
		c := coarse[b]
		if c == "" {
			c = "other"
		}
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	sort.Strings(out)
	return out
}

// accessOf writes our values of host access as the labels do.
func accessOf(values []string) []string {
	words := map[string]string{
		"host-net": "host network", "host-pid": "host pid", "host-ipc": "host ipc", "host-uts": "host uts", "host-user": "host userns", "cgroup-host": "host cgroupns",
		"seccomp-unconfined": "seccomp=unconfined", "apparmor-unconfined": "apparmor=unconfined",
	}
	var out []string
	for _, v := range values {
		switch kind, rest, _ := strings.Cut(v, ":"); {
		case words[v] != "":
			v = words[v]
		case kind == "mount":
			v = "bind " + rest
		case kind == "device":
			v = "device " + rest
		case kind == "cap":
			v = "cap " + rest
		case kind == "runtime-config":
			v = kind + "-path"
		case kind == "container-pid":
			v = "pid of another container"
		}
		out = append(out, strings.ToLower(v))
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func labelsOfAccess(x labelled) []string {
	var out []string
	for _, v := range x.HostAccess {
		if v == "joins namespace pid:/proc/1/ns/pid" {
			v = "host pid"
		}
		if at, ok := strings.CutPrefix(v, "bind "); ok {
			v = "bind " + path.Clean(at)
		}
		out = append(out, strings.ToLower(v))
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// TestLabelled holds the parser against command lines that people published, with
// labels given independently of it. They are not part of the repository.
func TestLabelled(t *testing.T) {
	const file = "../../../shared/efficacy/commands.ndjson"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Skip("labelled command lines are not here: ", err)
	}
	type score struct{ good, all int }
	scores := map[string]*score{}
	count := func(key string, good bool) {
		s := scores[key]
		if s == nil {
			s = &score{}
			scores[key] = s
		}
		s.all++
		if good {
			s.good++
		}
	}
	miss := func(x labelled, field string, got, want any) {
		if testing.Verbose() {
			t.Logf("%s %s %s: got %v, want %v: %q", x.ID, x.Alert, field, got, want, x.Argv)
		}
	}
	core := []string{"ctr", "crictl", "nerdctl"}
	for line := range bytes.Lines(data) {
		var x labelled
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatal(err)
		}
		var env []string
		for k, v := range x.Env {
			env = append(env, k+"="+v)
		}
		call, ok := runtimecli.Parse(runtimecli.Command{Executable: x.Executable, Args: x.Argv, Env: env})
		if x.Transform == "renamed binary" {
			// Only what is found by grammar can agree.
			count("renamed "+x.Alert+" found", ok)
			if ok {
				want := classesOf(nil)
				want = append(want, x.Behaviours...)
				sort.Strings(want)
				good := slices.Contains(classesOf(call.Behaviours), x.Behaviours[0])
				count("renamed, of those found, first behaviour", good)
				count("renamed, of those found, tool", call.Tool == x.Tool)
				if !good || call.Tool != x.Tool {
					miss(x, "renamed", []any{call.Tool, call.Behaviours}, []any{x.Tool, x.Behaviours})
				}
			} else {
				miss(x, "renamed", "not found", x.Tool)
			}
			continue
		}
		group := "other tools"
		if slices.Contains(core, x.Tool) {
			group = "ctr/crictl/nerdctl"
		}
		group += " " + x.Alert + " "
		check := func(field string, got, want any) {
			good := fmt.Sprint(got) == fmt.Sprint(want)
			count(group+field, good)
			if !good {
				miss(x, field, got, want)
			}
		}
		check("tool", call.Tool, x.Tool)
		wantPath := strings.Join(x.CommandPath, " ")
		wantPath = strings.Replace(wantPath, " container ", " ", 1)
		for _, v := range []string{"pull", "push", "load", "save", "build", "tag"} {
			wantPath = strings.Replace(wantPath, " image "+v, " "+v, 1)
		}
		check("command", call.Command, wantPath)
		want := slices.Clone(x.Behaviours)
		sort.Strings(want)
		check("behaviours", classesOf(call.Behaviours), want)
		if x.Tool != "nsenter" {
			check("host access", accessOf(call.HostAccess), labelsOfAccess(x))
		}
	}
	keys := make([]string, 0, len(scores))
	for k := range scores {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		s := scores[k]
		t.Logf("%-55s %4d/%4d %5.1f %%", k, s.good, s.all, 100*float64(s.good)/float64(s.all))
	}
	least := func(goal float64, keys ...string) {
		for _, k := range keys {
			if s := scores[k]; s == nil || float64(s.good) < goal*float64(s.all) {
				t.Errorf("%s: got %+v, want at least %.0f %%", k, s, 100*goal)
			}
		}
	}
	for _, alert := range []string{"yes", "depends", "no"} {
		least(.99, "ctr/crictl/nerdctl "+alert+" tool", "ctr/crictl/nerdctl "+alert+" command", "ctr/crictl/nerdctl "+alert+" behaviours")
	}
	least(.95, "other tools yes tool", "other tools yes behaviours", "other tools depends tool", "other tools depends behaviours")
	least(.50, "renamed yes found")
}
