package runtimecli

import (
	"slices"
	"strings"
)

// A Respelling is another way to ask for what a command line asks for.
type Respelling struct {
	How     string // alias, flag=value, sudo, renamed copy, …
	Command Command

	// NeedsContent says that the line alone need not give the tool away: what
	// runs is known by the program's own content.
	NeedsContent bool

	// NeedsSocket says that a file has the address, which the line had: where it
	// goes is known by the connect.
	NeedsSocket bool
}

// Respell returns equivalent spellings of c, which calls a tool by its own name,
// or nothing if it does not. The tool takes each of them for the same request.
func Respell(c Command) []Respelling {
	if len(c.Args) == 0 {
		return nil
	}
	k, by := nameKind(&c)
	if k != kindTool {
		return nil
	}
	t, v := toolOf(&c, by)
	if t == nil {
		return nil
	}
	l := layOut(t, v, c.Args)
	var out []Respelling
	add := func(how string, words [][]string) {
		args := append([]string{c.Args[0]}, slices.Concat(words...)...)
		args = append(args, l.payload...)
		if slices.Equal(args, c.Args) {
			return
		}
		n := c
		n.Args = args
		out = append(out, Respelling{How: how, Command: n})
	}
	words := l.words()
	with := func(i int, w ...string) [][]string {
		n := slices.Clone(words)
		n[i] = w
		return n
	}
	for i, p := range l.pieces {
		switch {
		case p.verb != nil:
			for _, name := range p.verb.names {
				if name != p.text[0] {
					add("alias", with(i, name))
				}
			}
		case p.flag != nil:
			for _, s := range p.spellings(t) {
				add(s.how, with(i, s.words...))
			}
		case p.joined != nil:
			for _, s := range p.apart() {
				add(s.how, with(i, s.words...))
			}
		}
	}
	// Flags of one command may come in any order.
	for i := range len(l.pieces) - 1 {
		if l.pieces[i].isFlag() && l.pieces[i+1].isFlag() {
			n := slices.Clone(words)
			n[i], n[i+1] = n[i+1], n[i]
			add("order", n)
		}
	}
	if t.joined {
		for i := range len(l.pieces) - 1 {
			a, b := &l.pieces[i], &l.pieces[i+1]
			if a.short() && !a.flag.value && b.short() {
				n := slices.Clone(words)
				n[i] = append([]string{a.text[0] + b.text[0][1:]}, b.text[1:]...)
				n[i+1] = nil
				add("joined short flags", n)
			}
		}
	}
	for i, p := range l.pieces {
		if name := p.variable(t); name != "" {
			add("environment", with(i))
			last := &out[len(out)-1].Command
			last.Env = append(slices.Clone(c.Env), name+"="+p.value)
		}
	}
	out = append(out, configured(&c, t, l)...)
	out = append(out, elsewhere(&c, t, l)...)
	// Padding is a label or variable of the container, or an argument more of its command.
	for _, pad := range [...]struct{ how, value string }{{"empty argument", ""}, {"20 kB argument", strings.Repeat("A", 20_000)}} {
		if len(l.payload) > 0 && l.runs {
			n := c
			n.Args = append(slices.Clone(c.Args), pad.value)
			out = append(out, Respelling{How: pad.how, Command: n})
		}
		for i, p := range l.pieces {
			if p.verb == nil || i+1 < len(l.pieces) && l.pieces[i+1].verb != nil {
				continue
			}
			for _, name := range [...]string{"label", "env"} {
				if f := p.verb.flags[name]; f != nil && f.value && f.role == 0 {
					add(pad.how, with(i, p.text[0], "--"+name, pad.value))
				}
			}
		}
	}
	if t.name == "docker" || t.name == "nerdctl" || t.name == "podman" {
		for i, p := range l.pieces {
			if group := t.root.subs["container"]; i == 0 && p.verb != nil && p.verb.parent == t.root && group != nil && group.subs[p.text[0]] != nil && group.subs[p.text[0]].path == p.verb.path {
				add("management command", with(i, "container", p.text[0]))
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Respelling) int { return strings.Compare(a.How, b.How) })
	return append(out, wrapped(&c, t)...)
}

// configured are the ways to leave the address to a configuration file, or to name one.
func configured(c *Command, t *tool, l *layout) []Respelling {
	option, variable, file := "", "", ""
	switch t.name {
	case "crictl":
		option, variable, file = "--config", "CRI_CONFIG_FILE", "/tmp/crictl.yaml"
	case "docker":
		option, variable, file = "--config", "DOCKER_CONFIG", "/tmp/.docker"
	case "nerdctl":
		variable, file = "NERDCTL_TOML", "/tmp/nerdctl.toml"
	case "podman":
		variable, file = "CONTAINERS_CONF", "/tmp/containers.conf"
	default: // ctr and the low-level runtimes have none
		return nil
	}
	var kept []string
	moved := false
	for _, p := range l.pieces {
		if p.flag != nil && p.flag.role == roleAddress {
			moved = true
			continue // the file has it
		}
		kept = append(kept, p.text...)
	}
	kept = append(kept, l.payload...)
	n := *c
	n.Args = append([]string{c.Args[0]}, kept...)
	n.Env = append(slices.Clone(c.Env), variable+"="+file)
	out := []Respelling{{How: "config file", Command: n}}
	if option != "" {
		n.Args = append([]string{c.Args[0], option, file}, kept...)
		n.Env = c.Env
		out = append(out, Respelling{How: "config file", Command: n})
		n.Args = append([]string{c.Args[0], option + "=" + file}, kept...)
		out = append(out, Respelling{How: "config file", Command: n})
	}
	if t.name == "docker" {
		n.Args = append([]string{c.Args[0], "--context", "other"}, kept...)
		out = append(out, Respelling{How: "config file", Command: n})
	}
	for i := range out {
		out[i].NeedsSocket = moved
	}
	return out
}

// elsewhere are the ways to write paths against a working directory: of the program,
// of the socket, and of what is mounted.
func elsewhere(c *Command, t *tool, l *layout) []Respelling {
	var out []Respelling
	add := func(cwd string, args ...string) {
		n := *c
		n.Cwd, n.Args = cwd, args
		out = append(out, Respelling{How: "working directory", Command: n})
	}
	if dir, name, ok := cutLast(c.Executable); ok && c.Cwd == "" {
		add(dir, append([]string{"./" + name}, c.Args[1:]...)...)
		add("/root", append([]string{".." + c.Executable}, c.Args[1:]...)...)
	}
	addressed := false
	for i, p := range l.pieces {
		if p.flag == nil || c.Cwd != "" {
			continue
		}
		value, cwd := "", ""
		switch p.flag.role {
		case roleAddress:
			addressed = true
			dir, name, ok := cutLast(strings.TrimPrefix(p.value, "unix://"))
			if t.name != "ctr" && t.name != "nerdctl" || !ok {
				continue // a URL is absolute
			}
			value, cwd = name, dir
		case roleVolume:
			source, target, ok := strings.Cut(p.value, ":")
			if !ok || !strings.HasPrefix(source, "/") {
				continue
			}
			value, cwd = "."+source+":"+target, "/"
		default:
			continue
		}
		words := l.words()
		words[i] = []string{strings.TrimSuffix(p.text[0], "="+p.value), value}
		if p.short() || strings.HasPrefix(p.text[0], "-") {
			add(cwd, append([]string{c.Args[0]}, append(slices.Concat(words...), l.payload...)...)...)
		}
	}
	if (t.name == "ctr" || t.name == "nerdctl") && !addressed && c.Cwd == "" && getenv(c.Env, "CONTAINERD_ADDRESS") == "" {
		add("/run/containerd", append([]string{c.Args[0], "--address", "containerd.sock"}, c.Args[1:]...)...)
	}
	return out
}

// cutLast cuts an absolute path into its folder and its last element.
func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 1 || path[0] != '/' {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

// A layout is a command line taken apart: what may be respelled piece by piece,
// and the payload, which may not.
type layout struct {
	pieces  []piece
	payload []string
	runs    bool // the payload is a command to run in the container
}

// A piece is a subcommand, a flag with its value, or any other word.
type piece struct {
	text  []string // as written
	verb  *verb
	flag  *flagSpec
	name  string // of the flag, as written
	value string
	owner *verb // the command that has the flag

	joined []piece // the flags in one word: -itv /:/host
}

func (p *piece) isFlag() bool { return p.flag != nil || p.joined != nil }

func (p *piece) short() bool { return p.flag != nil && len(p.name) == 1 && len(p.text[0]) == 2 }

func (l *layout) words() [][]string {
	w := make([][]string, len(l.pieces))
	for i := range l.pieces {
		w[i] = l.pieces[i].text
	}
	return w
}

// layOut reads args as parser.run does. From the first word on that it is not
// sure of, it leaves them be.
func layOut(t *tool, v *verb, args []string) *layout {
	l := &layout{}
	n := 0
	for i := 1; i < len(args); i++ {
		a := args[i]
		if n > 0 && n < len(v.args) && v.args[n] == "*" {
			l.payload, l.runs = args[i:], true
			return l
		}
		if len(a) > 1 && a[0] == '-' {
			name, value, eq := strings.Cut(strings.TrimPrefix(a[1:], "-"), "=")
			f := v.flag(name)
			if t.joined && a[1] != '-' && len(name) > 1 && (t.short || f == nil) {
				if p := join(t, v, args[i:]); p.joined != nil {
					i += len(p.text) - 1
					l.pieces = append(l.pieces, p)
					continue
				}
			}
			if f == nil || t.short && a[1] != '-' && len(name) > 1 {
				l.payload = args[i:]
				return l
			}
			p := piece{text: args[i : i+1], flag: f, name: name, value: value, owner: v}
			if f.value && !eq {
				if i+1 == len(args) {
					l.payload = args[i:]
					return l
				}
				i++
				p.text, p.value = args[i-1:i+1], args[i]
			}
			l.pieces = append(l.pieces, p)
			continue
		}
		if sub := v.subs[a]; sub != nil && n == 0 {
			v = sub
			l.pieces = append(l.pieces, piece{text: args[i : i+1], verb: sub})
			continue
		}
		l.pieces = append(l.pieces, piece{text: args[i : i+1]})
		n++
	}
	return l
}

// join reads a word of several short flags, the last of which may have a value in
// the same word or the next one. It returns no flags if it is not sure.
func join(t *tool, v *verb, args []string) piece {
	p := piece{text: args[:1]}
	letters := args[0][1:]
	for i := range len(letters) {
		f := v.flag(letters[i : i+1])
		if f == nil || f.value && !t.short && i+1 < len(letters) {
			return piece{}
		}
		one := piece{flag: f, name: letters[i : i+1], text: []string{"-" + letters[i:i+1]}, owner: v}
		if f.value {
			if one.value = letters[i+1:]; one.value == "" {
				if len(args) < 2 {
					return piece{}
				}
				one.value, p.text = args[1], args[:2]
			}
			one.text = append(one.text, one.value)
			p.joined = append(p.joined, one)
			return p
		}
		p.joined = append(p.joined, one)
	}
	return p
}

// apart are the ways to write flags that are joined in one word.
func (p *piece) apart() []spelling {
	var split, reversed, long, on []string
	swapped := "-"
	for i := range p.joined {
		one := &p.joined[i]
		name := one.longName()
		split = append(split, one.text...)
		reversed = append(slices.Clone(one.text), reversed...)
		if one.flag.value {
			long, on = append(long, name, one.value), append(on, name+"="+one.value)
			continue
		}
		long, on = append(long, name), append(on, name+"=true")
		swapped = "-" + one.name + swapped[1:]
	}
	out := []spelling{{"split short flags", split}, {"long for short", long}, {"flag=true", on}, {"order", reversed}}
	if !p.joined[len(p.joined)-1].flag.value {
		out = append(out, spelling{"order", []string{swapped}})
	}
	return out
}

// longName returns the flag by its long name, if it has one.
func (p *piece) longName() string {
	long := p.text[0]
	for w := p.owner; w != nil; w = w.parent {
		for name, f := range w.flags {
			if f == p.flag && len(name) > 1 && (len(long) == 2 || "--"+name < long) {
				long = "--" + name
			}
		}
	}
	return long
}

type spelling struct {
	how   string
	words []string
}

// spellings are the ways to write a flag.
func (p *piece) spellings(t *tool) []spelling {
	var out []spelling
	dashes := func(name string) string {
		if len(name) == 1 {
			return "-"
		}
		return "--"
	}
	for w := p.owner; w != nil; w = w.parent {
		for name, f := range w.flags {
			if f == p.flag && name != p.name {
				how := "long for short"
				if len(name) == 1 {
					how = "short for long"
				}
				words := []string{dashes(name) + name}
				if f.value {
					words = append(words, p.value)
				} else if strings.Contains(p.text[0], "=") {
					words[0] += "=" + p.value
				}
				out = append(out, spelling{how, words})
			}
		}
	}
	slices.SortFunc(out, func(a, b spelling) int { return strings.Compare(a.words[0], b.words[0]) })
	d := dashes(p.name)
	if p.flag.value {
		if len(p.text) == 2 {
			out = append(out, spelling{"flag=value", []string{d + p.name + "=" + p.value}})
			if t.short && len(p.name) == 1 && p.value != "" {
				out = append(out, spelling{"attached value", []string{"-" + p.name + p.value}})
			}
		} else {
			out = append(out, spelling{"flag value", []string{d + p.name, p.value}})
		}
	} else if len(p.text[0]) == len(d)+len(p.name) {
		out = append(out, spelling{"flag=true", []string{d + p.name + "=true"}}, spelling{"flag=1", []string{d + p.name + "=1"}})
	}
	if !t.short && d == "--" {
		out = append(out, spelling{"one dash", append([]string{p.text[0][1:]}, p.text[1:]...)})
	}
	return out
}

// variable is the environment variable that stands for a global flag.
func (p *piece) variable(t *tool) string {
	if p.flag == nil {
		return ""
	}
	switch t.name + " " + p.flag.name {
	case "ctr address", "nerdctl address":
		return "CONTAINERD_ADDRESS"
	case "ctr namespace", "nerdctl namespace":
		return "CONTAINERD_NAMESPACE"
	case "crictl runtime-endpoint":
		return "CONTAINER_RUNTIME_ENDPOINT"
	case "docker host":
		return "DOCKER_HOST"
	}
	return ""
}

// wrapped are the ways to start a tool: through a wrapper, from elsewhere, and
// under another name.
func wrapped(c *Command, t *tool) []Respelling {
	var out []Respelling
	add := func(how, exe string, args ...string) *Respelling {
		n := *c
		n.Executable, n.Args, n.Comm = exe, args, ""
		out = append(out, Respelling{How: how, Command: n})
		return &out[len(out)-1]
	}
	line := append([]string{base(c.Args[0])}, c.Args[1:]...)
	if base(c.Args[0]) != base(c.Executable) && c.Executable != "" {
		line[0] = base(c.Executable)
	}
	front := func(words ...string) []string { return append(words, line...) }
	rest := c.Args[1:]
	add("sudo", "/usr/bin/sudo", front("sudo")...)
	add("sudo -u", "/usr/bin/sudo", front("sudo", "-n", "-u", "root")...)
	add("env", "/usr/bin/env", front("env", "A=1")...)
	add("nohup", "/usr/bin/nohup", front("nohup")...)
	add("timeout", "/usr/bin/timeout", front("timeout", "-k", "5", "60")...)
	add("nice", "/usr/bin/nice", front("nice", "-n", "19")...)
	add("setsid", "/usr/bin/setsid", front("setsid")...)
	add("sh -c", "/usr/bin/dash", "sh", "-c", quoteWords(line))
	add("sh -c among others", "/usr/bin/bash", "bash", "-c", "cd /tmp && "+quoteWords(line)+" >/dev/null 2>&1; true")
	add("sh reads it", "/usr/bin/bash", "bash", "-c", "sh <<'E'\n"+quoteWords(line)+"\nE")
	add("chroot", "/usr/sbin/chroot", front("chroot", "/host")...)
	add("nsenter", "/usr/bin/nsenter", front("nsenter", "-t", "1", "-m", "-u", "-i", "-n", "-p", "--")...)
	add("nsenter --target=1 --all", "/usr/bin/nsenter", front("nsenter", "--target=1", "--all")...)
	add("unshare", "/usr/bin/unshare", front("unshare", "-m", "--propagation", "unchanged")...)
	add("busybox", "/usr/bin/busybox", front("busybox", "nohup")...)
	add("busybox", "/usr/bin/busybox", "busybox", "sh", "-c", quoteWords(line))
	add("busybox", "/usr/bin/busybox", front("timeout", "60")...)
	add("env -S", "/usr/bin/env", "env", "-S", quoteWords(line))
	add("su -c", "/usr/bin/su", "su", "-", "root", "-c", quoteWords(line))
	add("script -c", "/usr/bin/script", "script", "-qc", quoteWords(line), "/dev/null")
	add("python3 -c", "/usr/bin/python3", "python3", "-c", "import subprocess; subprocess.run(["+quoteList(line)+"])")
	add("perl -e", "/usr/bin/perl", "perl", "-e", "exec "+quoteList(line))
	add("find -exec", "/usr/bin/find", append(front("find", "/etc/hostname", "-exec"), ";")...)
	add("tmux", "/usr/bin/tmux", "tmux", "new-session", "-d", quoteWords(line))
	add("at", "/usr/bin/bash", "bash", "-c", "at now <<'E'\n"+quoteWords(line)+"\nE")
	add("a variable", "/usr/bin/dash", "sh", "-c", "T="+line[0]+"; $T "+quoteWords(line[1:]))
	add("systemd-run", "/usr/bin/systemd-run", front("systemd-run", "--scope", "-q")...)
	add("the loader", "/usr/lib64/ld-linux-x86-64.so.2", append([]string{"/lib64/ld-linux-x86-64.so.2", c.Executable}, rest...)...)
	add("full path", c.Executable, append([]string{c.Executable}, rest...)...)
	add("relative path", c.Executable, append([]string{"./" + base(c.Executable)}, rest...)...)
	add("forged argv[0]", c.Executable, append([]string{"[kworker/0:1]"}, rest...)...)
	add("symbolic link", c.Executable, append([]string{"ls"}, rest...)...)
	switch t.name {
	case "ctr", "crictl":
		add("k3s", "/usr/local/bin/k3s", front("k3s")...)
		add("k3s, multi-call", "/var/lib/rancher/k3s/data/current/bin/k3s", line...)
		if t.name == "ctr" {
			add("microk8s", "/snap/bin/microk8s", front("microk8s")...)
			add("k0s", "/usr/local/bin/k0s", front("k0s")...)
		}
	}
	r := add("renamed copy", "/usr/local/bin/node-helper", append([]string{"node-helper"}, rest...)...)
	r.NeedsContent, r.Command.Tool = true, t.name
	return out
}

// quoteList writes words as most languages read a list of strings.
func quoteList(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(w) + "'"
	}
	return strings.Join(out, ", ")
}

// quoteWords writes words as a shell reads them.
func quoteWords(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if w != "" && strings.IndexFunc(w, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r))
		}) < 0 {
			out[i] = w
			continue
		}
		out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(out, " ")
}
