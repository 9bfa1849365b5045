package runtimecli

import (
	"slices"
	"strings"
	"sync"
)

// A kind is what the name of a program says it is.
type kind uint8

const (
	kindNone kind = iota
	kindTool
	kindLauncher // runs a tool named by its argument: k3s ctr …
	kindWrapper  // runs the rest of its line
	kindShell
	kindMulticall   // busybox
	kindInterpreter // may run a tool that is a script
	kindClient      // may talk to a socket
	kindEnter       // nsenter: a wrapper with a meaning of its own
)

// names is everything we know by name. A tool's entry is its grammar and, for a
// program that is only a part of it, the command it stands for.
var names = map[string]struct {
	kind kind
	tool string
}{
	"ctr": {kindTool, "ctr"}, "microk8s.ctr": {kindTool, "ctr"}, "ctr-remote": {kindTool, "ctr"}, "containerd-ctr": {kindTool, "ctr"}, "docker-containerd-ctr": {kindTool, "ctr"},
	"crictl": {kindTool, "crictl"}, "microk8s.crictl": {kindTool, "crictl"},
	"nerdctl": {kindTool, "nerdctl"}, "nerdctl.lima": {kindTool, "nerdctl"}, "finch": {kindTool, "nerdctl"}, "microk8s.nerdctl": {kindTool, "nerdctl"},
	"docker": {kindTool, "docker"}, "docker.io": {kindTool, "docker"}, "docker-cli": {kindTool, "docker"}, "docker-compose": {kindTool, "docker compose"}, "docker-buildx": {kindTool, "docker buildx"},
	"podman": {kindTool, "podman"}, "podman-remote": {kindTool, "podman"}, "podman-compose": {kindTool, "podman compose"},
	"runc": {kindTool, "runc"}, "docker-runc": {kindTool, "runc"}, "buildkit-runc": {kindTool, "runc"}, "containerd-runc": {kindTool, "runc"}, "crun": {kindTool, "crun"},
	"nvidia-container-runtime": {kindTool, "runc"}, "nvidia-container-runtime.cdi": {kindTool, "runc"}, "nvidia-container-runtime.legacy": {kindTool, "runc"}, "nvidia-container-runtime.real": {kindTool, "runc"},
	"habana-container-runtime": {kindTool, "runc"}, "amd-container-runtime": {kindTool, "runc"}, "sysbox-runc": {kindTool, "runc"},
	"crio-runc": {kindTool, "runc"}, "crio-crun": {kindTool, "crun"}, "runsc": {kindTool, "runsc"}, "railcar": {kindTool, "runc"}, "urunc": {kindTool, "runc"},
	"krun": {kindTool, "crun"}, "crun-vm": {kindTool, "crun"}, "crun-wasm": {kindTool, "crun"}, "crun-wasmedge": {kindTool, "crun"}, "crun-wasmtime": {kindTool, "crun"}, "crun-wasmer": {kindTool, "crun"},
	"kata-qemu": {kindTool, "kata-runtime"}, "kata-clh": {kindTool, "kata-runtime"}, "kata-fc": {kindTool, "kata-runtime"}, "kata-dragonball": {kindTool, "kata-runtime"},

	"youki": {kindTool, "youki"}, "buildah": {kindTool, "buildah"}, "kata-runtime": {kindTool, "kata-runtime"}, "kata-ctl": {kindTool, "kata-ctl"}, "minikube": {kindTool, "minikube"},
	"toolbox": {kindTool, "toolbox"}, "distrobox": {kindTool, "distrobox"}, "distrobox-create": {kindTool, "distrobox create"}, "distrobox-enter": {kindTool, "distrobox enter"},
	"distrobox-ephemeral": {kindTool, "distrobox ephemeral"}, "distrobox-rm": {kindTool, "distrobox rm"}, "distrobox-stop": {kindTool, "distrobox stop"}, "distrobox-list": {kindTool, "distrobox list"},
	"machinectl": {kindTool, "machinectl"}, "systemd-nspawn": {kindTool, "systemd-nspawn"},
	"lxc": {kindTool, "lxc"}, "incus": {kindTool, "incus"}, "lxc-attach": {kindTool, "lxc-attach"}, "lxc-autostart": {kindTool, "lxc-autostart"}, "lxc-checkpoint": {kindTool, "lxc-checkpoint"}, "lxc-console": {kindTool, "lxc-console"},
	"lxc-copy": {kindTool, "lxc-copy"}, "lxc-device": {kindTool, "lxc-device"}, "lxc-freeze": {kindTool, "lxc-freeze"}, "lxc-unfreeze": {kindTool, "lxc-unfreeze"}, "lxc-snapshot": {kindTool, "lxc-snapshot"}, "lxc-execute": {kindTool, "lxc-execute"}, "lxc-create": {kindTool, "lxc-create"},
	"lxc-start": {kindTool, "lxc-start"}, "lxc-stop": {kindTool, "lxc-stop"}, "lxc-destroy": {kindTool, "lxc-destroy"},

	"k3s": {kindLauncher, ""}, "k3s-server": {kindLauncher, ""}, "k3s-agent": {kindLauncher, ""}, "rke2": {kindLauncher, ""}, "k0s": {kindLauncher, ""}, "microk8s": {kindLauncher, ""},
	"lima": {kindLauncher, ""}, "limactl": {kindLauncher, ""}, "colima": {kindLauncher, ""},

	"sh": {kindShell, ""}, "bash": {kindShell, ""}, "dash": {kindShell, ""}, "ash": {kindShell, ""}, "zsh": {kindShell, ""}, "ksh": {kindShell, ""}, "mksh": {kindShell, ""}, "rbash": {kindShell, ""}, "csh": {kindShell, ""}, "tcsh": {kindShell, ""}, "yash": {kindShell, ""}, "osh": {kindShell, ""}, "fish": {kindShell, ""},
	"source": {kindShell, ""}, ".": {kindShell, ""}, // words of a shell
	"busybox": {kindMulticall, ""}, "toybox": {kindMulticall, ""},
	"python": {kindInterpreter, ""}, "perl": {kindInterpreter, ""}, "ruby": {kindInterpreter, ""}, "node": {kindInterpreter, ""}, "bun": {kindInterpreter, ""}, "deno": {kindInterpreter, ""}, "php": {kindInterpreter, ""}, "lua": {kindInterpreter, ""},
	"awk": {kindInterpreter, ""}, "gawk": {kindInterpreter, ""}, "mawk": {kindInterpreter, ""}, "nawk": {kindInterpreter, ""}, "tclsh": {kindInterpreter, ""}, "expect": {kindInterpreter, ""},
	"Rscript": {kindInterpreter, ""}, "julia": {kindInterpreter, ""}, "groovy": {kindInterpreter, ""}, "elixir": {kindInterpreter, ""}, "erl": {kindInterpreter, ""}, "scala": {kindInterpreter, ""},
	"ghc": {kindInterpreter, ""}, "emacs": {kindInterpreter, ""}, "pwsh": {kindInterpreter, ""}, "powershell": {kindInterpreter, ""},
	"curl": {kindClient, ""}, "socat": {kindClient, ""}, "nc": {kindClient, ""}, "ncat": {kindClient, ""}, "netcat": {kindClient, ""}, "nc.openbsd": {kindClient, ""}, "nc.traditional": {kindClient, ""},
	"grpcurl": {kindClient, ""}, "http": {kindClient, ""}, "https": {kindClient, ""}, "xh": {kindClient, ""}, "xhs": {kindClient, ""}, "wget": {kindClient, ""}, "websocat": {kindClient, ""},
	"grpc_cli": {kindClient, ""}, "evans": {kindClient, ""}, "ghz": {kindClient, ""}, "buf": {kindClient, ""}, "openssl": {kindClient, ""}, "go": {kindClient, ""},
	"nsenter": {kindEnter, ""},
}

// lowLevels are the names of low-level runtimes.
var lowLevels = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for name, n := range names {
		if t := grammars()[n.tool]; t != nil && t.oci {
			m[name] = true
		}
	}
	return m
})

// LowLevel reports whether a program of that name, the last element of its path, is a
// low-level container runtime, such as runc: one that implements the OCI runtime
// specification, and that others have make their containers.
func LowLevel(name string) bool { return lowLevels()[name] }

// emulated are the machines whose programs QEMU runs, as its user mode names itself.
var emulated = newWordSet(strings.Fields("x86_64 i386 aarch64 aarch64_be arm armeb riscv32 riscv64 ppc ppc64 ppc64le s390x mips mipsel mips64 mips64el loongarch64 sparc sparc64 alpha m68k")...)

// A wordSet answers "is this one of ours?" for every process of a host. The answer
// is no nearly always, and then costs one or two looks at a bit.
type wordSet struct {
	lengths [128]uint64 // of the words, by their first letter
	bits    [16]uint64  // of their hashes
	buckets map[uint16][]string
}

func newWordSet(words ...string) *wordSet {
	s := &wordSet{buckets: map[uint16][]string{}}
	for _, w := range words {
		h := wordHash(w)
		s.lengths[w[0]] |= 1 << len(w)
		s.bits[h>>6] |= 1 << (h & 63)
		s.buckets[h] = append(s.buckets[h], w)
	}
	return s
}

// has reports whether w is in the set.
func (s *wordSet) has(w string) bool {
	return s.may(w) && s.find(w)
}

// may reports false for most of what is not in the set.
func (s *wordSet) may(w string) bool {
	return w != "" && w[0] < 128 && s.lengths[w[0]]>>(uint(len(w))&63)&1 != 0 && len(w) < 64
}

func (s *wordSet) find(w string) bool {
	h := wordHash(w)
	if s.bits[h>>6]&(1<<(h&63)) == 0 {
		return false
	}
	return slices.Contains(s.buckets[h], w)
}

func wordHash(s string) uint16 {
	n := len(s)
	return (uint16(n)*37 ^ uint16(s[0])*19 ^ uint16(s[n-1])*251 ^ uint16(s[n/2])*89) & 1023
}

// known is the set of all names and wrappers.
var known = func() *wordSet {
	var words []string
	for name := range names {
		words = append(words, name)
	}
	for name := range wrappers {
		words = append(words, name)
	}
	return newWordSet(words...)
}()

// classify says what a program of this name is.
func classify(name string) kind {
	if name == "" {
		return kindNone
	}
	if known.has(name) {
		if n, ok := names[name]; ok {
			return n.kind
		}
		return kindWrapper
	}
	// ctr-1.7.2, crictl_v1.30, python3.11, .ctr, -bash, "ctr (deleted)"
	if c := name[len(name)-1]; c >= '0' && c <= '9' || name[0] == '.' || name[0] == '-' || c == ')' || strings.HasPrefix(name, "qemu-") {
		if s := plain(name); s != name {
			return classify(s)
		}
	}
	return kindNone
}

// plain strips a version, leading dots or dashes, and the kernel's mark of a deleted file.
func plain(name string) string {
	if name == "" {
		return name
	}
	if _, ok := names[name]; ok {
		return name
	}
	name = strings.TrimSuffix(name, " (deleted)")
	if len(name) > 1 && (name[0] == '.' || name[0] == '-') {
		name = strings.TrimLeft(name, ".-")
	}
	if name == "" {
		return name
	}
	if arch, ok := strings.CutPrefix(name, "qemu-"); ok && emulated.has(strings.TrimSuffix(arch, "-static")) {
		return "qemu-user"
	}
	if strings.HasPrefix(name, "ld") && strings.Contains(name, ".so") { // ld-linux-armhf.so.3, ld64.so.2
		return "ld.so"
	}
	if c := name[len(name)-1]; c >= '0' && c <= '9' {
		s := strings.TrimSuffix(strings.TrimRight(name, "0123456789."), "v")
		s = strings.TrimRight(s, "-_.")
		if _, ok := names[s]; ok {
			return s
		}
	}
	return name
}

// nameKind says what c is by its names, and which of them said so.
func nameKind(c *Command) (kind, string) {
	if c.Tool != "" {
		// Its name may say the same.
		if named := *c; named.Executable != "" {
			named.Tool = ""
			if k, by := nameKind(&named); k == kindTool && by == "name" && names[plain(base(c.Executable))].tool == c.Tool {
				return k, by
			}
		}
		if c.Tool == "nsenter" {
			if k, by := nameKind(&Command{Executable: c.Executable, Args: c.Args}); k == kindEnter {
				return k, by
			}
			return kindEnter, "content"
		}
		return kindTool, "content"
	}
	exe := base(c.Executable)
	k := classify(exe)
	if k == kindTool || k > kindLauncher && k != kindMulticall {
		return k, "name"
	}
	if len(c.Args) > 0 {
		if arg := base(c.Args[0]); arg != exe {
			if ka := classify(arg); ka != kindNone && (k == kindNone || k == kindMulticall || ka == kindTool) {
				if exe == "" {
					return ka, "name"
				}
				return ka, "argv0"
			}
		}
	}
	if k == kindNone && c.Comm != "" && c.Comm != exe && classify(c.Comm) == kindTool {
		return kindTool, "comm"
	}
	return k, "name"
}

// toolOf returns the grammar for c, which nameKind found to be a tool, and where in it to begin.
func toolOf(c *Command, by string) (*tool, *verb) {
	var name string
	switch by {
	case "content":
		return find(c.Tool)
	case "comm":
		name = c.Comm
	case "argv0":
		name = base(c.Args[0])
	default:
		if name = base(c.Executable); classify(name) != kindTool && len(c.Args) > 0 {
			name = base(c.Args[0])
		}
	}
	t, v := find(names[plain(name)].tool)
	if t != nil && v != t.root && asPlugin(t, v, c.Args[min(1, len(c.Args)):]) {
		v = t.root
	}
	return t, v
}

// asPlugin reports whether the program of command v is given the line of the whole
// tool, as docker starts its plugins: docker-compose --context x compose ps.
func asPlugin(t *tool, v *verb, args []string) bool {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			return t.root.subs[a] == v
		}
		name, _, eq := strings.Cut(strings.TrimLeft(a, "-"), "=")
		f := t.root.flag(name)
		if f == nil {
			return false
		}
		if f.value && !eq {
			i++
		}
	}
	return false
}

// find returns a grammar by name, "docker compose" beginning at its compose.
func find(name string) (*tool, *verb) {
	name, sub, _ := strings.Cut(name, " ")
	t := grammars()[name]
	if t == nil {
		return nil, nil
	}
	v := t.root
	if sub != "" {
		if v = v.subs[sub]; v == nil {
			return nil, nil
		}
	}
	return t, v
}

// worth reports whether a word of c's arguments names a tool, or could begin the
// arguments of a renamed one. It spares the many shells and wrappers that run
// something else the allocation of a real parse.
func worth(c *Command) bool {
	k, _ := nameKind(c)
	switch k {
	case kindEnter, kindLauncher:
		return true
	case kindClient:
		return slices.ContainsFunc(c.Args[min(1, len(c.Args)):], func(a string) bool {
			return strings.Contains(a, "sock") || strings.IndexByte(a, ' ') > 0 && namesTool(a) || strings.Contains(a, "containerd-shim") || strings.Contains(a, "containerd/s/") || dockerURL(a) || a == "k8s.io" || strings.HasPrefix(a, "--exec-id")
		})
	case kindInterpreter:
		// A tool that is a script, python3 /usr/bin/docker-compose up, or code that names one or a socket.
		return slices.ContainsFunc(c.Args[min(1, len(c.Args)):min(16, len(c.Args))], func(a string) bool {
			return namesTool(a) || strings.Contains(a, ".sock") || strings.Contains(a, "/proc/") && containsAny(a, "chroot", "setns", "syscall") || strings.Contains(a, "chroot") && leadsToRoot(a) || len(a) > 20 && (containsAny(a, libraries...) || containsAny(a, "b64", "base64", "atob", `"+"`, `'+'`, `" + "`, `' + '`)) // put together
		})
	}
	if k == kindWrapper && slices.ContainsFunc(c.Args, func(a string) bool { return machineFlag(a) || strings.HasSuffix(a, ".sock") }) {
		return true // systemd-run --machine, ssh -R PORT:SOCKET
	}
	if k == kindWrapper && len(c.Args) > 0 && base(c.Args[0]) == "git" && !slices.ContainsFunc(c.Args, func(a string) bool {
		return a == "-c" || a == "-x" || a == "bisect" || strings.HasPrefix(a, "--exec")
	}) {
		return false // Fast path: git is run often.
	}
	if leadsToRoot(c.Cwd) {
		return true // chroot to the root of a container
	}
	for i, a := range c.Args {
		if len(a) > len("sh -t") && (leadsToRoot(a) || strings.IndexByte(a, ' ') >= 0 && containsAny(a, " -t", " --target")) {
			return true // also a script in which nsenter may have another name
		}
		if i > 0 && a != "" && a[0] != '-' && entering(c.Args[i+1:]) {
			return true
		}
	}
	budget, letter, filter, shell := maxScript, false, false, false
	for _, arg := range c.Args[min(1, len(c.Args)):] {
		if budget -= len(arg) + 1; budget < 0 {
			return true
		}
		start := 0
		for i := 0; i <= len(arg); i++ {
			if i < len(arg) && !wordEnd[arg[i]] {
				continue
			}
			if w := arg[start:i]; w != "" {
				switch classify(base(w)) {
				case kindTool, kindLauncher, kindClient, kindEnter:
					return true
				case kindShell:
					shell = true
				}
				if w == "IFS" {
					return true // its words may end anywhere
				}
				filter = filter || w == "tr" || w == "sed" // which may change what a shell reads
				// Its verb; flags alone say nothing, and an alias of one letter, which
				// a loop's variable is as well, little.
				if coders.has(w) {
					return true // What it decodes may be one.
				}
				if len(w) == 1 {
					letter = letter || verbs.has(w)
				} else if w[0] != '-' && trigger(w) {
					return true
				}
			}
			start = i + 1
		}
		if takenApart(arg) {
			return true
		}
	}
	return filter && shell || letter && slices.ContainsFunc(c.Args, func(a string) bool {
		return strings.Contains(a, "sock") || strings.Contains(a, "k8s.io") || strings.Contains(a, "moby")
	})
}

// namesTool reports whether a word of s is the name of a tool, or of a socket.
func namesTool(s string) bool {
	start := 0
	for i := 0; i <= len(s) && i < maxScript; i++ {
		if i < len(s) && !wordEnd[s[i]] && s[i] != ',' && s[i] != ':' && s[i] != '[' && s[i] != ']' {
			continue
		}
		if w := s[start:i]; w != "" {
			if k := classify(base(w)); k == kindTool || k == kindLauncher || k == kindEnter || strings.HasSuffix(w, ".sock") {
				return true
			}
		}
		start = i + 1
	}
	return false
}

// takenApart reports whether a script puts words together that are not there as
// such: c\tr, ex""ec, $A$B, {ctr,run}. Where only quotes hide them, they must be telling.
func takenApart(s string) bool {
	s = s[:min(len(s), maxScript)]
	hidden := false
	for i := range len(s) {
		var before, after byte = ' ', ' '
		if i > 0 {
			before = s[i-1]
		}
		if i+1 < len(s) {
			after = s[i+1]
		}
		switch s[i] {
		case '\\':
			hidden = hidden || alphanumeric(after)
		case '"', '\'':
			hidden = hidden || (alphanumeric(before) || before == s[i]) && (alphanumeric(after) || after == '"' || after == '\'')
		case '$':
			if after == '\'' || alphanumeric(before) || before == '}' || alphanumeric(after) && i > 1 && before == '"' && alphanumeric(s[i-2]) {
				return true
			}
		case '{':
			if !wordEnd[before] || before == '{' {
				continue
			}
			word, _, ok := strings.Cut(s[i+1:min(len(s), i+65)], ",")
			if ok && classify(base(word)) != kindNone {
				return true
			}
		}
	}
	if !hidden {
		return false
	}
	for w := range strings.FieldsFuncSeq(unquote.Replace(s), func(r rune) bool { return r < 128 && wordEnd[r] }) {
		if k := classify(base(w)); k == kindTool || k == kindLauncher || k == kindClient || k == kindEnter || len(w) > 1 && w[0] != '-' && trigger(w) {
			return true
		}
	}
	return false
}

var unquote = strings.NewReplacer(`\`, "", `"`, "", `'`, "")

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

var wordEnd = func() (t [256]bool) {
	for _, c := range " \t\n\r;&|()<>'\"`$={}" {
		t[c] = true
	}
	return t
}()

// trigger reports whether s can begin the arguments of a tool that we know by
// grammar alone. It is asked of every process.
func trigger(s string) bool {
	if s == "" {
		return false
	}
	if s[0] != '-' {
		return verbs.has(s)
	}
	return flagTrigger(s)
}

func flagTrigger(s string) bool {
	// Most flags of most programs end here, at their first letter.
	first := byte('-')
	if len(s) > 1 {
		if first = s[1]; first == '-' && len(s) > 2 {
			first = s[2]
		}
	}
	if flags.lengths[first&127] == 0 {
		return false
	}
	name := flagName(s)
	return name != "" && (flags.has(name) || s[1] == 'n' || s[1] == 'H') // -nk8s.io
}

// flagName returns the name of a flag, without dashes and value.
func flagName(s string) string {
	s = s[1:]
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if i := strings.IndexByte(s, '='); i >= 0 {
		s = s[:i]
	}
	return s
}

var (
	verbs = newWordSet(strings.Fields("run exec create container containers c task tasks t images image i snapshots snapshot content leases runp start attach checkpoint cp pull push " +
		"import export commit kill delete rm rmi rmp stopp compose sandboxes sandbox sb s namespaces ns install shim restore build save load")...)
	flags = newWordSet(strings.Fields("n namespace a address r runtime-endpoint i image-endpoint c config t timeout D debug H host snapshotter root url log-level connect-timeout " +
		"storage-driver data-root cgroup-manager insecure-registry hosts-dir experimental context log systemd-cgroup v")...)
)
