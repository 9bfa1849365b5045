package runtimecli

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// The grammar of each tool and version is a file of grammar/, one command a line:
//
//	path|alias : class,… : arguments : flags
//
// The path lacks the tool's name and is "-" for the tool itself. An argument is a
// role (image, container, pod, file, …), in brackets if the command does without;
// "*" is the command to run in the container, with which the tool's own command
// line ends. A flag is written "name,other,…", then "=" if it takes a value,
// "@role" if its value means something to us, "^" if subcommands have it too;
// "+access" is host access that the command always has. A "tool" line names the
// tool, the version and the way that flags are written:
//
//	urfave         -name and --name alike, =value, no joined short flags
//	urfave-joined  the same, and -it is -i -t
//	urfave3        as urfave; global flags and flags after arguments are read too
//	pflag, argp    --name, joined and attached short flags: -itv/:/host
//
// and ends in "oci" if the tool is a low-level runtime: one that others have make their
// containers by the command line of the OCI runtime specification.
//
// "graft path tool path" copies a command of another tool, with its subcommands.
//
// A command line does not say which version it met. Versions of a tool are
// therefore merged, and where their readings differ the one that grants more is
// taken: global flags count wherever they stand, and flags count after arguments
// until the container's own command begins.
//
//go:generate go run generate.go ../../../shared/facts/runtime-cli.json
//go:embed grammar/*.txt
var grammarFiles embed.FS

// A tool is the merged grammar of all versions of one.
type tool struct {
	name   string
	joined bool // short flags join: -it
	oci    bool // it is a low-level runtime
	docker bool // its images are called as Docker calls them
	short  bool // one dash means short flags only, with values attached
	root   *verb
}

// A verb is a command of a tool, with its subcommands.
type verb struct {
	path    string // canonical: "ctr tasks exec"
	classes []string
	args    []string // roles of its arguments
	bare    bool     // it does without them
	grants  []string // host access that it always has
	reads   bool     // a file that is not read here says what it makes
	several bool     // it acts on as many as are named
	whole   bool     // or on all, with --all
	unused  bool     // it acts on what nothing uses
	all     bool     // it acts on all there are
	subs    map[string]*verb
	names   []string // its own name and aliases
	flags   map[string]*flagSpec
	parent  *verb
}

type flagSpec struct {
	name   string // the first of its names
	value  bool
	role   role
	stands bool // it stands for an argument: --all
}

// flag finds a flag of v by name, or one of the commands above it.
func (v *verb) flag(name string) *flagSpec {
	for ; v != nil; v = v.parent {
		if f := v.flags[name]; f != nil {
			return f
		}
	}
	return nil
}

// mark finds the commands that make what a file says, and those that act on several
// things or on all. A low-level runtime acts on one, and a signal may follow its name.
func (v *verb) mark(lowLevel bool) {
	switch v.classes[0] {
	case "container-start", "container-restart", "container-stop", "container-delete", "container-pause", "container-resume", "task-kill", "pod-stop", "pod-delete",
		"image-pull", "image-export", "image-tag", "image-delete", "checkpoint-delete":
		if n := len(v.args); n > 0 && !lowLevel {
			last := v.args[n-1]
			v.several = last == "container" || last == "pod" || last == "image"
			v.whole = v.several
		}
	}
	switch name := v.names; {
	case len(name) == 0:
	case name[0] == "prune":
		v.unused = true
	case name[0] == "reset" && v.classes[0] == "container-delete":
		v.all = true
	}
	switch v.classes[0] {
	case "container-run", "container-create", "container-start", "container-restart":
		v.reads = strings.Contains(v.path, " compose") || v.path == "docker stack deploy" || strings.Contains(v.path, " kube ") || strings.HasSuffix(v.path, " assemble create")
	}
	for _, sub := range v.subs {
		sub.mark(lowLevel)
	}
}

// group reports whether v does nothing itself and waits for a subcommand.
func (v *verb) group() bool { return len(v.subs) > 0 && v.classes[0] == "help" }

// grammars returns the tools by name.
var grammars = sync.OnceValue(func() map[string]*tool {
	tools, err := load(grammarFiles)
	if err != nil {
		panic("runtimecli: bug: " + err.Error())
	}
	return tools
})

func load(fsys fs.FS) (map[string]*tool, error) {
	names, err := fs.Glob(fsys, "grammar/*.txt")
	if err != nil {
		return nil, err
	}
	// By hand comes last: it adds to what is generated.
	slices.SortFunc(names, func(a, b string) int {
		if x, y := strings.HasSuffix(a, "extra.txt"), strings.HasSuffix(b, "extra.txt"); x != y {
			if x {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	tools := map[string]*tool{}
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		if err := read(tools, string(data)); err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
	}
	for _, t := range tools {
		t.fold()
		t.root.mark(t.oci)
		t.docker = strings.Contains(" ctr crictl nerdctl docker podman buildah ", t.name)
	}
	return tools, nil
}

func read(tools map[string]*tool, text string) error {
	var t *tool
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "tool "); ok {
			f := strings.Fields(rest)
			if len(f) != 3 && !(len(f) == 4 && f[3] == "oci") {
				return fmt.Errorf("%d: tool line has %d words, want name, version, syntax", n, len(f))
			}
			if t = tools[f[0]]; t == nil {
				t = &tool{name: f[0], root: &verb{path: f[0], classes: []string{"help"}}}
				tools[f[0]] = t
			}
			t.short = f[2] == "pflag" || f[2] == "argp"
			t.oci = t.oci || len(f) == 4
			t.joined = t.short || f[2] == "urfave-joined"
			continue
		}
		if t == nil {
			return fmt.Errorf("%d: no tool line yet", n)
		}
		if rest, ok := strings.CutPrefix(line, "graft "); ok {
			f := strings.Fields(rest)
			from := tools[f[1]].root
			for _, w := range f[2:] {
				from = from.subs[w]
			}
			graft(t.root, f[0], from)
			continue
		}
		part := strings.SplitN(line, " :", 4)
		if len(part) != 4 {
			return fmt.Errorf("%d: %d parts, want path : class : arguments : flags", n, len(part))
		}
		v := t.root
		if part[0] != "-" {
			path := strings.Fields(part[0])
			for i, w := range path {
				names := strings.Split(w, "|")
				sub := v.subs[names[0]]
				if sub == nil {
					if i < len(path)-1 {
						return fmt.Errorf("%d: %s comes before %s", n, part[0], w)
					}
					sub = &verb{path: v.path + " " + names[0], parent: v, classes: []string{"help"}}
				}
				v.add(sub, names...)
				v = sub
			}
		}
		v.classes = strings.Split(strings.TrimSpace(part[1]), ",")
		v.args = strings.Fields(part[2])
		if len(v.args) > 0 {
			v.args[0], v.bare = strings.CutPrefix(v.args[0], "[")
			v.args[0] = strings.TrimSuffix(v.args[0], "]")
		}
		for _, w := range strings.Fields(part[3]) {
			if access, ok := strings.CutPrefix(w, "+"); ok {
				v.grants = append(v.grants, access)
				continue
			}
			if err := v.addFlag(w); err != nil {
				return fmt.Errorf("%d: %w", n, err)
			}
		}
	}
	return nil
}

func (v *verb) add(sub *verb, names ...string) {
	if v.subs == nil {
		v.subs = map[string]*verb{}
	}
	for _, name := range names {
		v.subs[name] = sub
		if !slices.Contains(sub.names, name) {
			sub.names = append(sub.names, name)
		}
	}
}

func (v *verb) addFlag(w string) error {
	w = strings.TrimSuffix(w, "^")
	w, roleName, _ := strings.Cut(w, "@")
	name, value := strings.CutSuffix(w, "=")
	names := strings.Split(name, ",")
	f := &flagSpec{name: names[0], value: value, stands: stands(names[0])}
	if roleName != "" {
		if f.role = roles[roleName]; f.role == 0 {
			return fmt.Errorf("flag %s has the unknown role %q", name, roleName)
		}
	}
	if v.flags == nil {
		v.flags = map[string]*flagSpec{}
	}
	for _, name := range names {
		if old := v.flags[name]; old != nil && f.role == 0 && old.value == f.value {
			continue // an earlier version knew a role
		}
		v.flags[name] = f
	}
	return nil
}

// graft copies from and what is below it to name under v.
func graft(v *verb, name string, from *verb) {
	sub := &verb{path: v.path + " " + name, parent: v, classes: from.classes, args: from.args, bare: from.bare, grants: from.grants, flags: map[string]*flagSpec{}}
	for n, f := range from.flags {
		sub.flags[n] = f
	}
	v.add(sub, name)
	for n, s := range from.subs {
		if n != s.names[0] {
			continue
		}
		graft(sub, n, s)
		sub.add(sub.subs[n], s.names...)
	}
}

// fold gives "docker container run" the path of "docker run", which it is, and
// "docker image pull" that of "docker pull".
func (t *tool) fold() {
	for _, group := range []string{"container", "image"} {
		g := t.root.subs[group]
		if g == nil || t.name != "docker" && t.name != "nerdctl" && t.name != "podman" {
			continue
		}
		for name, sub := range g.subs {
			top := t.root.subs[name]
			switch {
			case name != sub.names[0]:
				continue
			case group == "image" && name == "rm":
				top = t.root.subs["rmi"]
			case group == "image" && (name == "ls" || name == "list"):
				top = t.root.subs["images"]
			case group == "container" && (name == "ls" || name == "list" || name == "ps"):
				top = t.root.subs["ps"]
			}
			if top != nil && top.classes[0] == sub.classes[0] && name != "inspect" {
				sub.path = top.path
			}
		}
	}
}

// stands reports whether a flag of this name says what is acted on, in the place of an argument.
func stands(name string) bool {
	switch name {
	case "all", "latest", "last", "running", "filter", "label", "cidfile", "pod-id-file", "import", "file", "config", "rootfs", "prune", "regex":
		return true
	}
	return false
}
