//go:build ignore

// Generate writes grammar/*.txt from a catalogue of the tools' commands and flags.
//
//	go run generate.go CATALOGUE.json
//
// The catalogue has one record per tool, version and command path: aliases and
// flags as the tool's own parser has them. Only those facts are taken; its help
// texts are not. What a command does (its class) and what its arguments are is
// decided here, by the tables below. The format is described in grammar.go.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type catalogue struct {
	Commands []command `json:"commands"`
}

type command struct {
	Tool      string   `json:"tool"`
	Version   string   `json:"version"`
	Path      []string `json:"command_path"`
	Aliases   []string `json:"aliases"`
	Flags     []flag   `json:"flags"`
	Behaviour []string `json:"behaviour"`
}

type flag struct {
	Name       string   `json:"name"`
	Short      string   `json:"short"`
	Alt        []string `json:"alt"`
	TakesValue bool     `json:"takes_value"`
	Persistent bool     `json:"persistent"`
	Grants     bool     `json:"grants_host_access"`
}

// The flag library of each tool version, which decides how flags may be written.
var syntaxes = map[string]string{
	"ctr 1.6.20": "urfave", "ctr 2.3.4": "urfave", "ctr 2.4.2": "urfave3",
	"crictl 1.36.0": "urfave-joined", "nerdctl 2.3.5": "pflag",
	"docker 20.10.24": "pflag", "docker 28.2.2": "pflag", "podman 4.3.1": "pflag", "runc 1.1.5": "urfave",
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run generate.go CATALOGUE.json")
	}
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var c catalogue
	if err := json.Unmarshal(data, &c); err != nil {
		log.Fatal(err)
	}
	files := map[string][]command{}
	for _, cmd := range c.Commands {
		version, _, _ := strings.Cut(cmd.Version, " ")
		if id := cmd.Tool + " " + version; syntaxes[id] != "" {
			files[id] = append(files[id], cmd)
		}
	}
	for id := range syntaxes {
		if len(files[id]) == 0 {
			log.Fatalf("%s: no commands of %s", os.Args[1], id)
		}
		write(id, files[id])
	}
}

func write(id string, cmds []command) {
	var b bytes.Buffer
	oci := ""
	if strings.HasPrefix(id, "runc ") {
		oci = " oci"
	}
	fmt.Fprintf(&b, "# Made by generate.go; do not edit. The format is described in grammar.go.\ntool %s %s%s\n", id, syntaxes[id], oci)
	slices.SortFunc(cmds, func(a, b command) int { return slices.Compare(a.Path, b.Path) })
	siblings := map[string]bool{}
	for _, c := range cmds {
		siblings[strings.Join(c.Path, " ")] = true
	}
	for _, c := range cmds {
		parent := strings.Join(c.Path[:len(c.Path)-1], " ")
		name := c.Path[len(c.Path)-1]
		if len(c.Path) == 1 {
			name = "-"
		}
		names := []string{name}
		for _, a := range c.Aliases {
			// Help of "docker ps" names the aliases of "docker container ls": no aliases at this level.
			if siblings[parent+" "+a] || c.Tool == "docker" && len(c.Path) == 2 {
				continue
			}
			names = append(names, a)
		}
		slices.Sort(names[1:])
		group := false
		for p := range siblings {
			group = group || strings.HasPrefix(p, strings.Join(c.Path, " ")+" ")
		}
		class := classes(c, group)
		fmt.Fprintf(&b, "%s : %s : %s :%s\n",
			strings.Join(append(slices.Clone(c.Path[min(1, len(c.Path)-1):len(c.Path)-1]), strings.Join(slices.Compact(names), "|")), " "),
			strings.Join(class, ","), positionals(c, class[0]), flags(c, class[0]))
	}
	name := filepath.Join("grammar", strings.ReplaceAll(id, " ", "-")+".txt")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}

// classes says what a command does: its class first, then what it does besides.
func classes(c command, group bool) []string {
	path := c.Path[1:]
	if len(path) == 0 {
		return []string{"help"}
	}
	verb, parent := path[len(path)-1], ""
	if len(path) > 1 {
		parent = path[len(path)-2]
	}
	is := func(words ...string) bool { return slices.Contains(words, verb) }
	in := func(words ...string) bool { return slices.Contains(words, parent) }
	has := func(fact string) bool { return slices.Contains(c.Behaviour, fact) }
	one := func(class string) []string { return []string{class} }
	switch {
	case is("jsonschema", "completion", "help") || in("completion"):
		return one("help")
	case is("list", "ls", "ps", "inspect", "info", "show", "exists", "df", "join-token", "unlock-key"):
		return one("read")
	case is("pprof") || in("pprof"):
		return one("debug")
	// A group named alone prints its help; a few, such as crictl's create, are verbs too.
	case group && (len(c.Behaviour) == 0 || len(path) == 1 && c.Tool != "crictl" && !is("checkpoint") || is("connection", "key", "signer", "registry", "references", "trust")):
		return one("help")

	case in("shim") && is("start"):
		return one("shim-start")
	case in("shim") && is("delete", "shutdown"):
		return one("shim-delete")
	case in("plugin"):
		return one("plugin")
	case in("volume"):
		if is("rm", "prune") {
			return one("volume-delete")
		}
		return one("volume")
	case in("content"), in("prune"):
		switch {
		case is("fetch", "fetch-blob", "fetch-object"):
			return one("content-fetch")
		case is("push-object"):
			return one("image-push")
		case is("delete", "references"):
			return one("content-delete")
		case has("log/inspect"):
			return one("read")
		}
		return one("content-write")
	case in("leases"):
		if is("delete") {
			return one("lease-delete")
		}
		return one("lease-create")
	case in("namespaces", "namespace"):
		switch {
		case is("create"):
			return one("namespace-create")
		case is("remove"):
			return one("namespace-delete")
		}
		return one("namespace-update")
	case in("snapshots"):
		switch {
		case is("mounts"):
			return one("snapshot-mount")
		case is("prepare", "view"):
			return one("snapshot-prepare")
		case is("commit"):
			return one("snapshot-commit")
		case is("delete"):
			return one("snapshot-delete")
		case is("diff"):
			return one("snapshot-export")
		case has("log/inspect"):
			return one("read")
		}
		return one("snapshot-update")
	case in("swarm", "node"):
		return one("swarm")
	case in("machine"):
		return one("machine")
	case in("context", "connection"):
		return one("config")
	case in("secret", "config"):
		return one("secret")
	case in("trust", "key", "signer") || is("sign"):
		return one("trust")
	case in("apparmor"):
		return one("apparmor")
	case in("sandboxes") && is("run"), is("runp"), in("pod") && is("create", "clone"):
		return one("pod-create")
	case in("sandboxes") && is("remove"), is("rmp"), in("pod") && is("rm", "prune"):
		return one("pod-delete")
	case is("stopp"), in("pod") && is("stop", "kill"):
		return one("pod-stop")

	case is("pause"):
		return one("container-pause")
	case is("resume", "unpause"):
		return one("container-resume")
	case is("restore"):
		return one("restore")
	case in("healthcheck"), is("healthcheck"):
		return one("health-check")
	case has("container-exec") && !is("runlabel"):
		return one("container-exec")
	case has("container-create"):
		switch {
		case is("start"):
			return one("container-start")
		case is("restart"):
			return one("container-restart")
		case is("create", "init", "clone") && !in("service"):
			return one("container-create")
		case is("up") || c.Tool == "crictl":
			return []string{"container-run", "image-pull"}
		}
		return one("container-run")
	case has("container-attach"):
		return one("attach")
	case has("container-copy"):
		return one("copy")
	case has("checkpoint"):
		if is("rm") {
			return one("checkpoint-delete")
		}
		return one("checkpoint")
	case has("container-delete/kill") && has("image-delete"):
		return []string{"container-delete", "image-delete"}
	case has("container-delete/kill"):
		switch {
		case is("kill"):
			return one("task-kill")
		case is("stop"):
			return one("container-stop")
		}
		return one("container-delete")
	case has("image-delete"):
		return one("image-delete")
	case has("image-pull"):
		return one("image-pull")
	case has("image-import"):
		return one("image-import")
	case has("image-push/export"):
		switch {
		case is("push", "scp"):
			return one("image-push")
		case is("export") && c.Tool != "ctr":
			return one("container-export")
		}
		return one("image-export")
	case has("image-build/commit"):
		switch {
		case is("tag"):
			return one("image-tag")
		case is("commit"):
			return one("image-commit")
		}
		return one("image-build")
	case has("host-mount"):
		kind := "container"
		if in("images", "image") {
			kind = "image"
		}
		if strings.HasPrefix(verb, "un") {
			return one(kind + "-unmount")
		}
		return one(kind + "-mount")
	case in("builder"):
		return one("build-cache-delete")
	case is("port-forward"):
		return one("port-forward")
	case has("network"):
		return one("network")
	case has("log/inspect"):
		return one("read")
	case has("daemon"):
		return one("daemon")
	case in("images") && is("label", "build-erofs-cache"):
		return one("image-tag")
	case is("label", "rename", "update", "auto-update"):
		return one("container-update")
	case is("install"):
		return one("host-install")
	case is("login", "logout"):
		return one("login")
	case is("config", "update-runtime-config"):
		return one("config")
	case is("unshare"):
		return one("unshare")
	case is("oci-hook"):
		return one("hook")
	case is("set"):
		return one("trust")
	}
	log.Fatalf("%v %v: no class for facts %v", c.Tool, c.Path, c.Behaviour)
	return nil
}

// positionals says what the arguments of a command are; "*" is the command run in
// the container, and everything from there on is its.
func positionals(c command, class string) string {
	path := strings.Join(c.Path[1:], " ")
	ctr, crictl := c.Tool == "ctr", c.Tool == "crictl"
	switch {
	case len(c.Path) == 1:
		return ""
	case c.Path[1] == "compose":
		if class == "container-exec" || strings.HasSuffix(path, " run") {
			return "service *"
		}
		return ""
	case ctr && (path == "run" || path == "containers create"):
		return "image container *"
	case ctr && (path == "containers restore" || path == "containers checkpoint"):
		return "container image"
	case ctr && path == "images export":
		return "file image"
	case ctr && path == "shim exec":
		return "*"
	case ctr && path == "images unmount", ctr && path == "shim start", ctr && path == "shim delete":
		return ""
	case ctr && strings.HasPrefix(path, "snapshots"):
		return ""
	case ctr && (class == "pod-create"):
		return "file pod"
	case crictl && path == "create":
		return "pod file file"
	case crictl && path == "run":
		return "file file"
	case crictl && path == "runp":
		return "file"
	case crictl && (path == "inspectp" || path == "port-forward"):
		return "pod"
	case crictl && path == "inspecti":
		return "image"
	case path == "kube play", path == "kube down":
		return "file"
	case path == "container runlabel":
		return "label image *"
	case path == "container clone", path == "container init", path == "init":
		return "container"
	case c.Tool == "runc" && class != "container-exec":
		return "container"
	case strings.Contains(path, "healthcheck"):
		return "container"
	case strings.HasPrefix(path, "service ") && path != "service create", path == "stack rm", path == "stack deploy":
		return ""
	}
	switch class {
	case "container-run", "container-create":
		return "image *"
	case "container-exec":
		return "container *"
	case "attach", "container-start", "container-restart", "container-stop", "container-delete", "container-pause", "container-resume",
		"container-update", "task-kill", "checkpoint", "restore", "container-export", "container-mount":
		if strings.HasSuffix(path, " prune") || strings.HasPrefix(path, "system ") {
			return ""
		}
		return "container"
	case "copy":
		return "copy copy"
	case "image-commit":
		return "container image"
	case "image-pull", "image-push", "image-export", "image-delete", "image-tag", "image-mount", "content-fetch", "host-install":
		if strings.HasSuffix(path, " prune") {
			return ""
		}
		return "image"
	case "image-build":
		if strings.HasPrefix(path, "image") && !strings.HasSuffix(path, " build") {
			return "image"
		}
	case "pod-stop", "pod-delete":
		if !strings.HasSuffix(path, " prune") {
			return "pod"
		}
	case "read":
		switch c.Path[1] {
		case "image", "images", "history":
			return "image"
		case "container", "containers", "tasks", "logs", "inspect", "stats", "top", "port", "diff", "wait":
			if verb := c.Path[len(c.Path)-1]; verb != "list" && verb != "ls" && verb != "ps" || ctr && verb == "ps" {
				return "container"
			}
		case "pod":
			return "pod"
		}
	}
	return ""
}

// granting names what a flag that grants host access does with its value.
var granting = map[string]string{
	"privileged": "privileged", "privileged-without-host-devices": "nodevices", "allow-new-privs": "newprivs",
	"network": "net", "net": "net", "net-host": "nethost", "pid": "pid", "ipc": "ipc", "uts": "uts", "userns": "userns",
	"cgroupns": "cgroupns", "with-ns": "withns", "volume": "volume", "mount": "mount", "device": "device",
	"device-cgroup-rule": "devicerule", "cap-add": "cap", "cap": "cap", "security-opt": "secopt", "rootfs": "rootfs",
	"log-uri": "loguri", "runtime": "runtime", "runc-binary": "runtime", "runtime-config-path": "runtimeconfig",
	"volumes-from": "volumesfrom", "use-api-socket": "apisocket", "rootfs-propagation": "propagation",
	"sandbox": "sandbox", "apparmor-profile": "apparmor", "bundle": "spec", "process": "spec", "spec": "spec",
}

// settings are flags of the tool itself, and a few that name the target.
var settings = map[string]string{
	"ctr address": "address", "ctr a": "address", "ctr namespace": "namespace", "ctr n": "namespace",
	"nerdctl address": "address", "nerdctl a": "address", "nerdctl host": "address", "nerdctl H": "address",
	"nerdctl namespace": "namespace", "nerdctl n": "namespace", "ctr snapshotter": "snapshotter", "nerdctl snapshotter": "snapshotter",
	"nerdctl storage-driver":  "snapshotter",
	"crictl runtime-endpoint": "address", "crictl config": "configfile",
	"docker host": "address", "docker config": "configfile", "podman url": "address", "podman namespace": "namespace",
	"podman hooks-dir": "hooks", "podman runtime": "runtime", "podman conmon": "runtime", "runc root": "root", "runc criu": "runtime",
}

func flags(c command, class string) string {
	var out []string
	for _, f := range c.Flags {
		names := []string{f.Name}
		for _, n := range append([]string{f.Short}, f.Alt...) {
			if n != "" && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		s := strings.Join(names, ",")
		if f.TakesValue {
			s += "="
		}
		role := ""
		if f.Grants {
			role = granting[f.Name]
			if f.Name == "config" && c.Tool == "ctr" {
				role = "spec"
			}
			if f.Name == "privileged" && f.TakesValue {
				role = ""
			}
			if c.Tool == "crictl" {
				role = "" // --runtime names a handler of the runtime's configuration
			}
		}
		if len(c.Path) == 1 || f.Name == "snapshotter" {
			role = cmp.Or(settings[c.Tool+" "+f.Name], role)
		}
		switch {
		case f.Name == "log-driver" && (class == "container-run" || class == "container-create"):
			role = "loguri"
		case f.Name == "name" && (class == "container-run" || class == "container-create") && c.Tool != "crictl":
			role = "name"
		case f.Name == "grant-all-permissions": // a plugin's own, on the host
			role = "privileged"
		case class == "image-build" && f.Name == "network":
			role = "net"
		case f.Name == "opt" && class == "volume":
			role = "volumeopt"
		case c.Path[len(c.Path)-1] == "compose" && (f.Name == "file" || f.Name == "f"), f.Name == "compose-file":
			role = "file"
		case c.Tool == "crictl" && class == "container-exec" && slices.Contains([]string{"name", "pod", "image", "state", "label", "latest", "last"}, f.Name):
			role = "selector"
		case c.Tool == "podman" && f.Name == "latest":
			role = "selector"
		case c.Path[1%len(c.Path)] == "compose" && (f.Name == "volume" || f.Name == "privileged"):
			role = f.Name
		case c.Tool == "runc" && f.Name == "apparmor":
			role = "apparmor"
		case f.Name == "pid-host" || f.Name == "init-binary" || f.Name == "init-path":
			role = ""
		}
		if role != "" {
			s += "@" + role
		}
		if f.Persistent {
			s += "^"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	if len(out) == 0 {
		return ""
	}
	return " " + strings.Join(slices.Compact(out), " ")
}
