package runtimecli

import (
	"path"
	"slices"
	"strings"
)

// A renamed copy is known by its arguments when they fit a tool's grammar without
// a remainder and hold evidence that no other program's would: a containerd
// namespace, a runtime's socket, a flag that only this tool has, the id of a
// container, the root of the host mounted. What is usual for containers (an image
// reference, --rm, -v /data:/data, -p 80:80) adds weight, but many programs are
// written like docker: without such a mark it is never enough.
const (
	enough      = 100
	forNeighbor = 200
)

// evidence adds what a flag says for the tool being tried.
func (p *parser) evidence(name, value string) {
	n := 0
	switch name {
	case "namespace", "n":
		switch value {
		case "k8s.io":
			n = 100
		case "moby", "buildkit":
			n = 50
		}
	case "address", "a", "host", "H", "runtime-endpoint", "image-endpoint", "url":
		runtime, c := Socket(value, p.cwd)
		switch {
		case runtime == "":
		case !speaks(p.call.Tool, runtime):
			n = 40
		case c == Guess:
			n = 80
		default:
			n = 100
		}
		p.mark = p.mark || n >= 80
	case "root":
		if p.call.Tool != "runc" {
			break
		}
		if strings.HasPrefix(value, "/run/containerd/runc/") || strings.HasPrefix(value, "/run/docker/runtime-") || strings.HasPrefix(value, "/run/runc") || strings.HasPrefix(value, "/var/run/docker/runtime-") {
			n = 100
		}
	case "config":
		if strings.Contains(base(value), "crictl") {
			n = 60
		}
	case "exec-id", "net-host", "null-io", "with-ns", "snapshotter-label", "fifo-dir", "privileged-without-host-devices", "runtime-config-path", "runc-binary",
		"runc-root", "runc-systemd-cgroup", "remap-labels", "apparmor-default-profile", "selinux-enabled":
		n = 100
	case "annotation":
		n = 10
		if strings.HasPrefix(value, "nerdctl/") {
			n = 100
		}
	case "snapshotter", "storage-driver":
		n = 100
	case "runtime":
		if strings.HasPrefix(value, "io.containerd.") {
			n = 100
		}
	case "log-driver", "log-uri":
		if strings.HasPrefix(value, "binary://") {
			n = 100
		} else if name == "log-driver" {
			n = 40
		}
	case "hosts-dir":
		n = 60
	case "transport":
		if value == "websocket" || value == "spdy" {
			n = 100
		}
	case "sync", "ignore-errors", "parallel":
		n = 30
	case "privileged":
		n = 70
	case "cap-add", "security-opt", "volumes-from", "device-cgroup-rule", "no-healthcheck", "oom-kill-disable":
		n = 60
	case "mount":
		if strings.Contains(value, "type=bind") || strings.Contains(value, "options=rbind") {
			n = 70
		}
		p.mark = p.mark || strings.Contains(value, "options=rbind") // as OCI writes it
	case "volume":
		if from, to, ok := strings.Cut(value, ":"); ok && strings.HasPrefix(to, "/") {
			n = 30
			if from != "" && from[0] == '/' {
				n = 60
				runtime, _ := Socket(from, p.cwd)
				p.mark = p.mark || runtime != "" || path.Clean(from) == "/"
			}
		}
	case "network", "net", "pid", "ipc", "uts", "cgroupns", "userns":
		n = 20
		if value == "host" {
			n = 60
		} else if value == "none" {
			n = 40
		}
	case "rm":
		n = 35
	case "entrypoint":
		n = 45
	case "publish":
		if from, to, ok := strings.Cut(value, ":"); ok && digits(from) && digits(to) {
			n = 50
		}
	case "restart":
		n = 30
	case "device":
		if strings.HasPrefix(value, "/dev/") {
			n = 50
		}
	case "memory-limit", "rootfs-propagation", "allow-new-privs", "cap-drop", "tmpfs", "ulimit", "shm-size":
		n = 40
	case "platform":
		if strings.HasPrefix(value, "linux/") || value == "amd64" || value == "arm64" {
			n = 30
		}
	case "tty", "interactive":
		n = 8
	case "bundle":
		n = 50
		if strings.Contains(value, "containerd") {
			n = 100
		}
	case "name", "hostname", "workdir", "env", "env-file", "label", "user", "detach", "export", "all-platforms", "plain-http", "skip-verify", "pull":
		n = 10
	}
	p.points += n
	if n >= 100 {
		p.strong, p.mark = true, true
	}
}

// speaks reports whether tool is a client of runtime.
func speaks(tool, runtime string) bool {
	switch tool {
	case "ctr", "nerdctl":
		return runtime == "containerd"
	case "crictl":
		return runtime == "containerd" || runtime == "crio" || runtime == "cri-dockerd" || runtime == "dockershim"
	}
	return runtime == "docker" || runtime == "podman"
}

// identify reads the arguments of a program of unknown name. With onlyStrong it
// wants one piece of evidence that suffices alone.
func identify(c *Command, env []string, onlyStrong bool) (Call, bool) {
	args := c.Args[1:]
	if !hint(args) {
		return Call{}, false
	}
	if env == nil {
		env = c.Env
	}
	exe := c.Executable
	if exe == "" {
		exe = c.Args[0]
	}
	need := enough
	if neighbors[base(exe)] && !strings.HasPrefix(exe, "/tmp/") && !strings.HasPrefix(exe, "/var/tmp/") && !strings.HasPrefix(exe, "/dev/shm/") {
		need = forNeighbor
	}
	var best Call
	top := 0
	for _, name := range [...]string{"ctr", "crictl", "nerdctl", "docker", "podman", "runc"} {
		t := grammars()[name]
		p := parser{cwd: c.Cwd, env: env, strict: true}
		p.call.IdentifiedBy = "grammar"
		p.run(t, t.root, args)
		if p.bad || p.call.UnknownVerb || p.call.Command == name {
			continue
		}
		n, ok := p.score(args)
		if !ok || !p.mark || onlyStrong && !p.strong {
			continue
		}
		if n >= need && n > top {
			if t.docker {
				p.references()
			}
			top, best = n, p.call
		}
	}
	return best, top > 0
}

// score weighs the command itself and its arguments, after its flags.
// It reports false when arguments lack that the tool would insist on.
func (p *parser) score(args []string) (int, bool) {
	c := &p.call
	n := p.points
	switch c.Command {
	case "ctr run", "ctr containers create":
		if c.Container == "" && len(c.Files) == 0 {
			return 0, false
		}
		n += 10
		if c.Command != "ctr run" {
			n += 25
		}
		s := imageScore(c.Image)
		if !strings.Contains(c.Image, "/") && s > 0 {
			s -= 15 // ctr wants the whole reference
		}
		if strings.HasPrefix(c.Image, "docker.io/library/") && !strings.ContainsAny(c.Container, "/ .") {
			s += 5
		}
		n += s
	case "nerdctl run", "docker run", "podman run", "nerdctl create", "docker create", "podman create":
		if c.Image == "" {
			return 0, false
		}
		n += 10 + imageScore(c.Image)
		if strings.HasSuffix(c.Command, "create") {
			n -= 20 // other programs make other things of images
		}
		if c.Tool == "nerdctl" && strings.HasPrefix(c.Image, "ipfs://") && imageScore(c.Image) > 0 {
			n, p.mark = n+30, true // no other program takes its images from there
		}
	case "ctr tasks exec":
		if c.Container == "" || len(c.Payload) == 0 {
			return 0, false
		}
		n += 20
	case "crictl exec", "nerdctl exec", "docker exec", "podman exec":
		if c.Container == "" && !p.selected || len(c.Payload) == 0 {
			return 0, false
		}
		n += 10
		switch {
		case c.Tool == "crictl" && (hexID(c.Container, 13) || hexID(c.Container, 64)):
			n, p.mark = n+90, true
		case c.Tool != "crictl" && (hexID(c.Container, 12) || hexID(c.Container, 64)):
			n, p.mark = n+90, true
		}
	case "crictl runp":
		if len(c.Files) == 0 {
			return 0, false
		}
		n, p.mark = n+100, true // no other program has such a command
	case "crictl run", "crictl create":
		if len(c.Files) < 2 {
			return 0, false
		}
		f := c.Files
		n += 10
		if config(f[0]) && config(f[1]) {
			n += 50
			second := strings.ToLower(base(f[1]))
			if strings.Contains(second, "pod") || strings.Contains(second, "sandbox") {
				n, p.mark = n+50, true
			}
		}
		if hexID(c.Pod, 13) || hexID(c.Pod, 64) {
			n, p.mark = n+40, true
		}
	case "crictl checkpoint", "crictl attach", "crictl inspectp", "crictl stopp", "crictl rmp", "crictl start":
		if hexID(c.Container+c.Pod, 13) || hexID(c.Container+c.Pod, 64) {
			n, p.mark = n+90, true
		}
	case "runc run", "runc create", "runc exec", "runc restore":
		if c.Container == "" {
			return 0, false
		}
		n += 10
		if hexID(c.Container, 64) {
			n, p.mark = n+60, true
		}
	case "ctr images mount":
		if imageScore(c.Image) >= 70 && strings.HasPrefix(args[len(args)-1], "/") {
			n, p.mark = n+100, true // no other program mounts an image of a registry
		}
	case "ctr snapshots mounts", "ctr snapshots prepare", "ctr snapshots view":
		if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "sha256:") }) {
			n, p.mark = n+100, true // whose keys are the digests of layers
		}
	case "docker cp", "nerdctl cp", "podman cp":
		if c.Container == "" {
			return 0, false
		}
	}
	return n, true
}

// hint reports whether args can hold evidence at all, so that "npm run build"
// and "git -c x=y log" do not pay for six parses.
func hint(args []string) bool {
	for _, a := range args[:min(len(args), maxArgs)] {
		if len(a) < 4 {
			continue
		}
		if a[0] == '-' {
			if a[1] == 'v' && a[2] != 'e' || a[1] == 'n' || telling.has(flagName(a)) { // -v/:/host, -nk8s.io
				return true
			}
			continue
		}
		if tellingWords.has(a) || strings.HasPrefix(a, "nerdctl/") || len(a) >= 12 && hexIDs(a) {
			return true
		}
		// Everything else that tells has a dot or a colon in it.
		dot, colon := strings.IndexByte(a, '.'), strings.IndexByte(a, ':')
		if dot < 0 && colon < 0 {
			continue
		}
		switch {
		case colon > 0 && imageScore(a) >= 70, strings.HasPrefix(a, "sha256:"):
			return true
		case strings.HasSuffix(a, ".sock"), strings.Contains(a, ".sock:"), strings.HasPrefix(a, "/:"), strings.HasPrefix(a, "unix:"), strings.HasPrefix(a, "/run/"), strings.HasPrefix(a, "io.containerd."):
			return true
		case config(a) && (strings.Contains(a, "pod") || strings.Contains(a, "sandbox")):
			return true
		}
	}
	return false
}

func hexIDs(s string) bool {
	return hexID(s, 12) || hexID(s, 13) || hexID(s, 64)
}

var (
	tellingWords = newWordSet("k8s.io", "moby", "runp", "websocket", "spdy")
	telling      = newWordSet(strings.Fields("exec-id net-host null-io with-ns snapshotter-label fifo-dir privileged-without-host-devices runtime-config-path runc-binary runc-root snapshotter " +
		"storage-driver runtime log-driver log-uri mount volume bundle address runtime-endpoint root transport host url runc-systemd-cgroup image-endpoint remap-labels " +
		"apparmor-default-profile selinux-enabled")...)
)

// neighbors are programs with commands of the same names. Under their own name,
// and not in a folder that anyone may write, they need twice the evidence.
var neighbors = func() map[string]bool {
	m := map[string]bool{}
	for _, s := range strings.Fields("git kubectl kubecolor oc helm npm npx yarn pnpm cargo go bazel systemd-run flatpak snap virsh lxd systemctl terraform tofu skopeo umoci img kaniko apptainer singularity " +
		"udocker kind k3d nomad vagrant act earthly dagger buildctl buildkitd crane oras cosign trivy grype syft dive slim docker-slim gcloud az aws openstack fly flyctl heroku gitlab-runner " +
		"cog krunvm ignite enroot charliecloud ch-run nix ansible ansible-playbook ansible-navigator uv poetry pipenv pdm conda mamba dotnet deno bun mvn gradle make act_runner concourse tilt skaffold okteto telepresence devspace " +
		"containerd containerd-shim-runc-v2 dockerd kubelet crio cri-dockerd conmon podman-system buildpacksio pack kn tkn argocd istioctl cilium hubble calicoctl velero sonobuoy stern") {
		m[s] = true
	}
	return m
}()

// imageScore says how sure it is that s is an image reference.
func imageScore(s string) int {
	if len(s) < 3 || len(s) > 512 || s[0] == '-' || s[0] == '/' || s[0] == '.' || s[0] == '$' || s[0] == '@' {
		return 0
	}
	if strings.HasPrefix(s, "ipfs://") || strings.HasPrefix(s, "ipns://") {
		return 70
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' || c == '/' || c == ':' || c == '@') {
			return 0
		}
	}
	if strings.Contains(s, "//") || strings.Contains(s, "::") {
		return 0
	}
	name, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		if !strings.HasPrefix(digest, "sha256:") || len(digest) < 39 {
			return 0
		}
		return 80
	}
	host, rest, slash := strings.Cut(name, "/")
	path, tag := name, ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		path, tag = name[:i], name[i+1:]
	}
	if strings.HasSuffix(path, "/") || strings.ToLower(path) != path || strings.HasSuffix(path, ".go") {
		return 0
	}
	tagged := 0
	if tag != "" {
		tagged = 20
	}
	switch {
	case slash && registries[host]:
		return 70 + tagged
	case slash && (strings.Contains(host, ".") || strings.Contains(host, ":")):
		switch {
		case host == "github.com" || host == "gitlab.com" || host == "golang.org" || host == "gopkg.in" || host == "bitbucket.org":
			return 0
		case tag != "":
			return 65
		case strings.Contains(host, ":"):
			return 45
		}
		return 25
	case slash && !strings.Contains(rest, "/"):
		return 15 + tagged
	case slash:
		return 5 + tagged
	case common[path]:
		return 25 + tagged
	case tag != "":
		return 15
	}
	return 0
}

var registries = map[string]bool{
	"docker.io": true, "index.docker.io": true, "registry-1.docker.io": true, "ghcr.io": true, "quay.io": true, "gcr.io": true, "us.gcr.io": true, "eu.gcr.io": true,
	"registry.k8s.io": true, "k8s.gcr.io": true, "mcr.microsoft.com": true, "public.ecr.aws": true, "registry.gitlab.com": true, "nvcr.io": true, "registry.access.redhat.com": true,
	"registry.redhat.io": true, "docker.elastic.co": true, "lscr.io": true, "cgr.dev": true,
}

var common = map[string]bool{
	"alpine": true, "busybox": true, "ubuntu": true, "debian": true, "fedora": true, "centos": true, "nginx": true, "redis": true, "httpd": true, "hello-world": true,
	"postgres": true, "mysql": true, "archlinux": true, "rockylinux": true, "almalinux": true,
}

func hexID(s string, n int) bool {
	if len(s) != n {
		return false
	}
	d := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			d = true
		case c < 'a' || c > 'f':
			return false
		}
	}
	return d
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func config(s string) bool {
	return strings.HasSuffix(s, ".json") || strings.HasSuffix(s, ".yaml") || strings.HasSuffix(s, ".yml")
}
