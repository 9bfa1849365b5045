package runtimecli

import (
	"path"
	"slices"
	"strings"
)

// maxArgs bounds the work on one line. The kernel passes on less.
const maxArgs = 1 << 20

// maxMore bounds what one command names of a kind.
const maxMore = 1024

// A parser reads the arguments of one tool.
type parser struct {
	call      Call
	cwd       string
	env       []string
	bools     [roleAPISocket + 1]bool
	hostMount bool
	selected  bool // the container is chosen by flags
	stands    bool // a flag stands for the argument: --all
	all       bool // and it is that
	unused    bool // or says what nothing uses
	untagged  bool // the image is any of a repository
	key       string
	unshared  []string // flags
	help      bool     // the tool prints its help, whatever else is asked
	more      bool     // arguments follow that are not on the line (xargs)
	n         int      // arguments seen

	// For identify: what does not fit, and what speaks for the tool.
	strict bool
	bad    bool
	points int
	strong bool // one piece of it suffices alone
	mark   bool // some of it only a client of a runtime has
}

// partial notes something not understood.
func (p *parser) partial() {
	p.call.Confidence = Partial
	p.bad = true
}

// run reads args by the grammar of t, beginning at command v.
func (p *parser) run(t *tool, v *verb, args []string) {
	p.call.Tool = t.name
	if len(args) > maxArgs {
		args = args[:maxArgs]
		p.partial()
	}
	open := true // flags are still read
	for i := 0; i < len(args); i++ {
		a := args[i]
		if p.n > 0 && p.n < len(v.args) && v.args[p.n] == "*" {
			p.call.Payload = args[i:] // even if it looks like a flag
			break
		}
		if open && len(a) > 1 && a[0] == '-' {
			if a == "--" {
				open = false
				continue
			}
			i = p.flag(t, v, args, i)
			if p.bad && p.strict {
				return
			}
			continue
		}
		if p.n == 0 {
			if sub := v.subs[a]; sub != nil {
				v = sub
				open = true // -- ended the flags of the command above
				continue
			}
			if v.group() || v == t.root && len(v.subs) > 0 {
				if a == "help" || a == "h" && !t.short || a == "__complete" || a == "__completeNoDesc" {
					p.help = true // of a command, or what a shell asks to complete a word
					break
				}
				p.unknownVerb(t, v, args[i:])
				return
			}
		}
		if p.argument(v, a) {
			p.call.Payload = args[i:]
			break
		}
	}
	p.finish(t, v)
}

// argument takes the next argument by its role. It reports whether a is where the
// command run in the container begins.
func (p *parser) argument(v *verb, a string) bool {
	n := p.n
	p.n++
	if n >= len(v.args) {
		// More of the same: ids to delete, references to tag.
		switch {
		case len(v.args) == 0:
		case v.args[len(v.args)-1] == "option":
			p.option(a)
		case v.several:
			p.another(a)
		}
		return false
	}
	switch v.args[n] {
	case "*":
		return true
	case "container":
		if p.selected {
			// crictl exec --name web sh: no id
			return n+1 < len(v.args) && v.args[n+1] == "*"
		}
		p.call.Container = a
	case "service":
		p.call.Container = a
	case "pod":
		p.call.Pod = a
	case "image":
		p.call.Image = a
	case "file":
		p.file(a)
	case "spec":
		p.access(roleSpec, a)
	case "bind":
		p.access(roleBind, a)
	case "option":
		p.option(a)
	case "instance":
		// [REMOTE:]INSTANCE[/PATH]
		_, name, ok := strings.Cut(a, ":")
		if !ok {
			name = a
		}
		p.call.Container, _, _ = strings.Cut(name, "/")
	case "copy":
		// CONTAINER:PATH, unless it is a path with a colon
		if name, _, ok := strings.Cut(a, ":"); ok && name != "" && !strings.ContainsAny(name, "/") {
			p.call.Container = name
		}
	}
	return false
}

// another takes one more of what the command acts on.
func (p *parser) another(name string) {
	if len(p.call.More) == maxMore {
		p.call.Confidence = Partial
		return
	}
	p.call.More = append(p.call.More, name)
}

func (p *parser) file(name string) {
	if len(p.call.Files) < maxAccess {
		p.call.Files = append(p.call.Files, name)
	}
}

// flag reads the flag at args[i] and returns the index of its last word.
func (p *parser) flag(t *tool, v *verb, args []string, i int) int {
	a := args[i]
	long := a[1:]
	double := long[0] == '-'
	if double {
		long = long[1:]
	}
	name, value, eq := strings.Cut(long, "=")
	if double || !t.short || len(name) == 1 {
		if f := v.flag(name); f != nil {
			return p.named(f, args, i, value, eq)
		}
		if name == "help" || name == "h" {
			p.asksHelp(t, value, eq)
			return i
		}
		if name == "version" {
			p.help = p.help || p.n == 0 && v == t.root
			return i
		}
	}
	if !double && t.short || !double && !eq && p.letters(t, v, long) {
		return p.shorts(t, v, args, i, long)
	}
	return p.unknownFlag(t, v, args, i, eq)
}

var readOnly = []string{"read"}

// asksHelp takes --help, which turns any command into a look at its usage. The
// older flag libraries see flags before the arguments alone: to them the help in
// "ctr tasks kill web --help" is an argument too many.
func (p *parser) asksHelp(t *tool, value string, eq bool) {
	if p.n > 0 && !t.short {
		return
	}
	p.help = true
	if eq {
		p.help, _ = truth(value)
	}
}

// incomplete reports whether v does nothing but complain that it was not told what to act on.
func (p *parser) incomplete(v *verb) bool {
	return p.n == 0 && len(v.args) > 0 && !v.bare && v.args[0] != "*" && !p.selected && !p.stands && !p.more && p.call.Confidence == Complete
}

// letters reports whether each letter of s is a flag: -it. Only some of the tools
// join them, the others refuse the line; nothing is lost by reading it.
func (p *parser) letters(t *tool, v *verb, s string) bool {
	for j := range len(s) {
		f := v.flag(s[j : j+1])
		if f == nil || f.value && j < len(s)-1 {
			return false
		}
	}
	if !t.joined {
		p.partial()
	}
	return true
}

// shorts reads joined short flags: -it, -itv /:/host, -v/:/host, -v=/:/host.
func (p *parser) shorts(t *tool, v *verb, args []string, i int, s string) int {
	for j := range len(s) {
		f := v.flag(s[j : j+1])
		rest := s[j+1:]
		switch {
		case f == nil:
			if s[j] == 'h' && (rest == "" || rest[0] == '=') {
				p.asksHelp(t, strings.TrimPrefix(rest, "="), rest != "")
				return i
			}
			return p.unknownFlag(t, v, args, i, true)
		case f.value && rest != "":
			p.set(f, strings.TrimPrefix(rest, "="))
			return i
		case f.value:
			return p.named(f, args, i, "", false)
		case strings.HasPrefix(rest, "="):
			p.boolean(f, rest[1:])
			return i
		}
		p.boolean(f, "true")
	}
	return i
}

// named reads flag f, its value being after the equals sign or in the next word.
func (p *parser) named(f *flagSpec, args []string, i int, value string, eq bool) int {
	switch {
	case !f.value && eq:
		p.boolean(f, value)
	case !f.value:
		p.boolean(f, "true")
	case eq:
		p.set(f, value)
	case i+1 < len(args):
		i++
		p.set(f, args[i])
	default:
		p.partial()
	}
	return i
}

// unknownFlag reads a flag of a version that we do not know. Whether the next
// word is its value cannot be known either: it is when a flag follows it, or when
// it is no command where one is due.
func (p *parser) unknownFlag(t *tool, v *verb, args []string, i int, eq bool) int {
	p.partial()
	if eq || i+1 >= len(args) || strings.HasPrefix(args[i+1], "-") {
		return i
	}
	next := args[i+1]
	if p.n == 0 && v.subs[next] != nil {
		return i
	}
	if p.n == 0 && (v.group() || v == t.root) {
		return i + 1
	}
	if i+2 < len(args) && len(args[i+2]) > 1 && args[i+2][0] == '-' && !strings.ContainsAny(next, "/:") {
		return i + 1
	}
	return i
}

// truth reads the value of a boolean flag as Go does. What it cannot read is true.
func truth(value string) (on, ok bool) {
	switch value {
	case "1", "t", "T", "true", "TRUE", "True":
		return true, true
	case "0", "f", "F", "false", "FALSE", "False":
		return false, true
	}
	return true, false
}

func (p *parser) boolean(f *flagSpec, value string) {
	on, ok := truth(value)
	if !ok {
		p.partial() // the tool refuses it; the reading that grants more is true
	}
	if f.role >= rolePrivileged && f.role <= roleAPISocket {
		p.bools[f.role] = on
	}
	if f.role == roleSelector && on {
		p.selected = true
	}
	if f.role == roleUnshare && on {
		p.unshared = append(p.unshared, f.name)
	}
	if f.name == "version" && on {
		p.help = true
	}
	if on && f.stands {
		p.stands = true
		p.all = p.all || f.name == "all"
		p.unused = p.unused || f.name == "prune"
	}
	if p.strict && on {
		p.evidence(f.name, "")
	}
}

func (p *parser) set(f *flagSpec, value string) {
	if f.stands {
		p.stands = true
	}
	switch f.role {
	case 0:
	case roleAddress:
		p.call.Address = strings.TrimPrefix(value, "unix://")
	case roleNamespace:
		p.call.Namespace = value
	case roleSnapshotter:
		p.call.Snapshotter = value
	case roleConfigFile:
		p.call.Config = value
	case roleName:
		p.call.Container = value
	case roleFile:
		p.file(value)
	case roleSelector:
		p.selected = true
	case roleTarget:
		p.call.Container, p.selected = value, true
	case roleImage:
		if p.call.Image != "" {
			p.another(value) // build --tag A --tag B
		} else {
			p.call.Image = value
		}
	case roleRepository:
		p.call.Image, p.untagged = value, true
	case roleUnshare:
		p.unshared = append(p.unshared, f.name)
	case roleRoot:
		p.root(value)
	default:
		p.access(f.role, value)
	}
	if p.strict {
		p.evidence(f.name, value)
	}
}

// root takes runc's state directory, which ends in the containerd or Docker namespace.
func (p *parser) root(dir string) {
	dir = strings.TrimRight(dir, "/")
	if strings.Contains(dir, "runc") || strings.Contains(dir, "/crun") || strings.Contains(dir, "/youki") || strings.Contains(dir, "/runsc") {
		if ns := base(dir); ns != "runc" && ns != "crun" && ns != "youki" && ns != "runsc" && ns != "runtime-runc" {
			p.call.Namespace = ns
		}
	}
}

// finish gives the call what the command as a whole says.
func (p *parser) finish(t *tool, v *verb) {
	c := &p.call
	c.Command = v.path
	if p.help || p.incomplete(v) {
		c.Behaviours, c.HostAccess, c.Mounts = readOnly, nil, nil
		p.environment(t)
		return
	}
	c.Behaviours = v.classes[:len(v.classes):len(v.classes)]
	if len(c.Payload) > 0 && c.Payload[0] == "--" {
		c.Payload = c.Payload[1:]
	}
	if t.name == "machinectl" { // USER@MACHINE
		c.Container = c.Container[strings.LastIndexByte(c.Container, '@')+1:]
	}
	if v.reads {
		c.Confidence = Partial // what it does is in a file
	}
	p.share(v.grants)
	granting := [...]struct {
		role  role
		value string
	}{
		{roleAPISocket, "api-socket"}, {roleNewPrivs, "allow-new-privs"}, {roleNetHost, "host-net"},
		{roleNoDevices, "privileged-without-host-devices"}, {rolePrivileged, "privileged"},
	}
	for _, g := range granting {
		if p.bools[g.role] && !slices.Contains(c.HostAccess, g.value) {
			c.HostAccess = slices.Insert(c.HostAccess, 0, g.value)
		}
	}
	if p.bools[roleRootfs] && c.Image != "" {
		p.grant("rootfs:", c.Image)
		c.Image = ""
	}
	if v.path == "ctr run" || v.path == "ctr containers create" {
		// With --config the line is CONTAINER [COMMAND], but for a rootfs.
		if len(c.Files) > 0 && c.Container == "" {
			c.Container, c.Image = c.Image, ""
		}
	}
	if p.hostMount {
		c.Behaviours = append(c.Behaviours, "host-mount")
	}
	if v.unused || p.unused {
		c.Scope = Unused
	} else if v.all || p.all && v.whole && p.n == 0 {
		c.Scope = All
	}
	if t.docker && !p.strict {
		p.references()
	}
	p.environment(t)
}

// references writes the images of the call in full.
func (p *parser) references() {
	c := &p.call
	if c.Image == "" {
		return
	}
	if c.Image = reference(c.Image); p.untagged {
		c.Image = strings.TrimSuffix(c.Image, ":latest")
	}
	if c.ofImages() {
		for i, image := range c.More {
			c.More[i] = reference(image)
		}
	}
}

// environment takes what the line left to the environment, and to the working directory.
func (p *parser) environment(t *tool) {
	c := &p.call
	if len(p.env) > 0 {
		p.variables(t)
	}
	if a := c.Address; a != "" && p.cwd != "" && a[0] != '/' && a[0] != '@' && strings.IndexByte(a, ':') < 0 {
		c.Address = path.Join(p.cwd, a)
	}
}

func (p *parser) variables(t *tool) {
	c := &p.call
	or := func(to *string, names ...string) {
		for _, name := range names {
			if *to == "" {
				*to = getenv(p.env, name)
			}
		}
	}
	switch t.name {
	case "ctr", "nerdctl":
		or(&c.Address, "CONTAINERD_ADDRESS")
		or(&c.Namespace, "CONTAINERD_NAMESPACE")
		or(&c.Snapshotter, "CONTAINERD_SNAPSHOTTER")
		if t.name == "nerdctl" {
			or(&c.Config, "NERDCTL_TOML")
		}
	case "crictl":
		or(&c.Address, "CONTAINER_RUNTIME_ENDPOINT", "IMAGE_SERVICE_ENDPOINT")
		or(&c.Config, "CRI_CONFIG_FILE")
	case "docker":
		or(&c.Address, "DOCKER_HOST")
		or(&c.Config, "DOCKER_CONFIG")
	case "podman":
		or(&c.Address, "CONTAINER_HOST")
		or(&c.Config, "CONTAINERS_CONF")
	}
	c.Address = strings.TrimPrefix(c.Address, "unix://")
}

// getenv returns the last value of name in env.
func getenv(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if strings.HasPrefix(kv, name) && len(kv) > len(name) && kv[len(name)] == '=' {
			return kv[len(name)+1:]
		}
	}
	return ""
}

// unknownVerb ends a line whose command no version has. What its words usually
// mean is better than nothing.
func (p *parser) unknownVerb(t *tool, v *verb, rest []string) {
	p.partial()
	c := &p.call
	c.Command = v.path
	c.UnknownVerb = true
	c.Behaviours = unknownClass
	for _, w := range rest[:min(3, len(rest))] {
		if class := usual[w]; class != nil {
			c.Behaviours = class
			break
		}
	}
	// Flags that grant are called the same everywhere.
	for i, w := range rest {
		name, value, eq := strings.Cut(strings.TrimLeft(w, "-"), "=")
		if len(w) < 3 || w[0] != '-' {
			continue
		}
		r := usualFlags[name]
		if r == 0 {
			continue
		}
		if r <= roleAPISocket {
			p.grant(name, "")
			continue
		}
		if !eq && i+1 < len(rest) {
			value = rest[i+1]
		}
		p.access(r, value)
	}
	if p.hostMount {
		c.Behaviours = append(c.Behaviours[:len(c.Behaviours):len(c.Behaviours)], "host-mount")
	}
	p.environment(t)
}

var (
	unknownClass = []string{"unknown"}
	usual        = map[string][]string{
		"run": {"container-run"}, "create": {"container-create"}, "exec": {"container-exec"}, "start": {"container-start"}, "attach": {"attach"},
		"cp": {"copy"}, "copy": {"copy"}, "checkpoint": {"checkpoint"}, "restore": {"restore"}, "mount": {"image-mount"}, "pull": {"image-pull"},
		"push": {"image-push"}, "import": {"image-import"}, "load": {"image-import"}, "export": {"image-export"}, "save": {"image-export"},
		"rm": {"container-delete"}, "delete": {"container-delete"}, "remove": {"container-delete"}, "kill": {"task-kill"}, "stop": {"container-stop"},
		"list": {"read"}, "ls": {"read"}, "ps": {"read"}, "inspect": {"read"}, "info": {"read"}, "logs": {"read"}, "stats": {"read"},
	}
	usualFlags = map[string]role{
		"privileged": rolePrivileged, "mount": roleMount, "volume": roleVolume, "device": roleDevice, "cap-add": roleCap, "with-ns": roleWithNS,
		"pid": rolePID, "network": roleNet, "net": roleNet, "ipc": roleIPC, "uts": roleUTS, "userns": roleUser, "cgroupns": roleCgroup, "security-opt": roleSecurity,
	}
)
