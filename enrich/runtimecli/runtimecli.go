package runtimecli

import "strings"

// A Command is a process as an event shows it. Only Args, or Executable, is needed.
type Command struct {
	Executable string   // the resolved path, when known
	Args       []string // from argv[0] on
	Env        []string // NAME=value, when known
	Comm       string   // the kernel's name of the task
	Cwd        string
	Tool       string // the tool, when the caller knows it otherwise; see ToolOfBuildInfo
}

// A Confidence says how much of a line was understood.
type Confidence uint8

const (
	Complete Confidence = iota // all of it
	Partial                    // an unknown flag or command, an open variable, or more than we look at
)

func (c Confidence) String() string {
	if c == Partial {
		return "partial"
	}
	return "complete"
}

// A Scope is what a command acts on beside what it names.
type Scope uint8

const (
	Named  Scope = iota
	Unused       // all that nothing uses: prune
	All          // all there are: --all
)

func (s Scope) String() string { return [...]string{"", "unused", "all"}[s] }

// A Call is what a command line asks of a container runtime. Its slices may share
// memory with the Command and with the package; read them only.
type Call struct {
	Tool         string   // ctr, crictl, nerdctl, docker, podman, runc, crun, nsenter, curl, socat, …
	IdentifiedBy string   // how it was known: name, argv0, comm, launcher, grammar, content
	Command      string   // canonical path, aliases resolved: "ctr tasks exec"
	Behaviours   []string // the class of the command first
	HostAccess   []string // what it reaches of the host
	Mounts       []string // every path of the host that it mounts, system or data
	Files        []string // files that decide what happens, and are not read here
	Container    string   // name or id
	Pod          string
	Image        string   // the whole reference: docker.io/library/nginx:latest
	More         []string // further ones of the last of these, which a command takes several of
	Scope        Scope    // what it takes without naming any
	Namespace    string   // the runtime's: k8s.io, moby
	Address      string   // socket or URL, "unix://" taken off
	Snapshotter  string
	Config       string   // the tool's configuration file, if it was chosen
	Target       string   // process whose namespaces are entered (nsenter), also by what runs in them,
	Entered      []string // and which: mnt, net, …, and root, its root or working directory
	Payload      []string // the command run in the container
	Confidence   Confidence
	UnknownVerb  bool     // the tool is known, the command is not
	Via          []string // wrappers, outermost first: sudo, sh, k3s
	wraps        bool     // it starts another call, which matters more
}

// Parse returns what c asks of a container runtime. A shell script may ask for
// several things; Parse returns the one that matters most, ParseAll all of them.
// It reports false for a process that is no runtime tool, at no cost.
func Parse(c Command) (Call, bool) {
	k, by := nameKind(&c)
	// Fast path: nearly every process of a host is none of ours.
	if k == kindNone {
		if len(c.Args) > 2 && entering(c.Args[1:]) {
			return parse(c, kindEnter, by)
		}
		if len(c.Args) < 2 || !trigger(c.Args[1]) || !hint(c.Args[1:]) {
			return Call{}, false
		}
	} else if k != kindTool && !worth(&c) {
		return Call{}, false
	}
	return parse(c, k, by)
}

func parse(c Command, k kind, by string) (Call, bool) {
	if k == kindTool || k == kindNone {
		call, ok := parseOne(&c, k, by, false)
		if call.Tool != "machinectl" && call.Command != "minikube ssh" {
			return call, ok
		}
		// It may be as su, or as ssh, and start another tool.
	}
	calls := ParseAll(c)
	if len(calls) == 0 {
		return Call{}, false
	}
	best := 0
	for i := range calls {
		if calls[i].weight() > calls[best].weight() {
			best = i
		}
	}
	return calls[best], true
}

// ParseAll returns everything that c asks of container runtimes, in its order.
func ParseAll(c Command) []Call {
	u := unwrapper{cwd: c.Cwd, env: c.Env}
	u.command(&c, 0)
	return u.calls
}

// parseOne parses a process that is a tool itself, or of an unknown name. With
// more, it gets further arguments that are not on the line.
func parseOne(c *Command, k kind, by string, more bool) (Call, bool) {
	if k == kindNone {
		return identify(c, nil, false)
	}
	t, first := toolOf(c, by)
	if t == nil {
		return Call{}, false
	}
	p := parser{cwd: c.Cwd, env: c.Env, more: more}
	p.call.IdentifiedBy = by
	p.run(t, first, c.Args[min(1, len(c.Args)):])
	if len(c.Args) == 0 {
		p.call.Confidence = Partial // the source did not have them
	}
	if p.call.UnknownVerb && by != "content" {
		// One tool under the name of another: docker -n k8s.io tasks exec …
		if call, ok := identify(c, nil, true); ok {
			return call, true
		}
	}
	return p.call, true
}

// Containers, Pods and Images are all that the call names of each.
func (c *Call) Containers() []string { return c.with(c.Container, c.Pod == "" && !c.ofImages()) }
func (c *Call) Pods() []string       { return c.with(c.Pod, !c.ofImages()) }
func (c *Call) Images() []string     { return c.with(c.Image, c.ofImages()) }

func (c *Call) with(first string, more bool) []string {
	if first == "" {
		return nil
	}
	if !more {
		return []string{first}
	}
	return append([]string{first}, c.More...)
}

// ofImages reports whether what there may be more of is an image.
func (c *Call) ofImages() bool {
	return len(c.Behaviours) > 0 && strings.HasPrefix(c.Behaviours[0], "image-")
}

// OnlyReads reports whether the call asks at most to see what there is: it reads, or it is
// that of a general client which does, and reads no container.
func (c *Call) OnlyReads() bool {
	switch b := c.Behaviours; {
	case len(b) == 0:
		return false
	case len(b) == 1:
		return b[0] == "read" || b[0] == "help"
	default:
		return len(b) == 2 && b[0] == "socket-client" && b[1] == "read"
	}
}

// weight orders calls by how much they matter.
func (c *Call) weight() int {
	if c.wraps {
		return 2
	}
	w := 0
	if c.OnlyReads() {
		w = 1
	} else if len(c.Behaviours) > 0 {
		switch c.Behaviours[0] {
		case "container-run", "container-create", "pod-create", "restore":
			w = 60
		case "container-exec", "namespace-enter":
			w = 50
		case "container-start", "container-restart", "attach", "copy", "checkpoint", "shim-start", "host-install":
			w = 45
		case "image-mount", "snapshot-mount", "snapshot-prepare", "container-mount":
			w = 40
		case "socket-client", "unknown", "container-export":
			w = 35
		case "image-import", "image-pull", "image-build", "image-commit", "content-fetch", "content-write":
			w = 30
		case "task-kill", "container-delete", "pod-delete", "image-delete":
			w = 25
		default:
			w = 10
		}
	}
	if w == 50 && c.Maintains() != "" {
		w = 20 // what it is beside counts
	}
	return w + 100*min(len(c.HostAccess), 20)
}

// base returns the last element of a path.
func base(path string) string {
	return path[strings.LastIndexByte(path, '/')+1:]
}
