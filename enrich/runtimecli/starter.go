package runtimecli

import (
	"slices"
	"strings"
)

// Programs that start a command and say so in a way of their own, which the table of
// wrappers has no words for.

// ssh takes what runs on this host through its own loopback. What runs on others is
// their event.
func (u *unwrapper) ssh(w wrapper, args []string, depth int) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			continue
		}
		if len(a) > 1 && a[0] == '-' {
			value := ""
			if j := strings.IndexByte(a, 'R'); j > 0 {
				value = a[j+1:]
			}
			if takes(w, a) {
				i++
				if i < len(args) && strings.HasSuffix(a, "R") {
					value = args[i]
				}
			}
			u.forwarded(value)
			continue
		}
		host := strings.Trim(a[strings.LastIndexByte(a, '@')+1:], "[]")
		if host != "localhost" && host != "::1" && host != "ip6-localhost" && !strings.HasPrefix(host, "127.") {
			return
		}
		rest := args[i+1:]
		if len(rest) > 0 && rest[0] == "--" {
			rest = rest[1:]
		}
		u.script(strings.Join(rest, " "), nil, depth)
		return
	}
}

// forwarded takes what ssh -R lets others reach: [BIND:]PORT:SOCKET, of this host.
func (u *unwrapper) forwarded(value string) {
	at := value[strings.LastIndexByte(value, ':')+1:]
	if runtime, sure := Socket(at, u.cwd); at == value || runtime == "" || sure == Guess {
		return
	}
	u.speaks("ssh", at)
}

// git takes the commands that its configuration or its own commands are given: -c
// core.pager=…, -c alias.x='!…', rebase --exec …, bisect run ….
func (u *unwrapper) git(args []string, depth int) {
	for i, a := range args {
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		switch {
		case a == "-c":
			if key, value, ok := strings.Cut(next, "="); ok && !strings.HasPrefix(key, "user.") {
				u.script(strings.TrimPrefix(value, "!"), nil, depth)
			}
		case a == "--exec" || a == "-x":
			u.script(next, nil, depth)
		case strings.HasPrefix(a, "--exec="):
			u.script(a[len("--exec="):], nil, depth)
		case a == "bisect" && next == "run":
			u.words(args[i+2:], depth)
			return
		}
	}
}

// ansible takes what it runs on this host: ansible localhost -m shell -a '…'.
func (u *unwrapper) ansible(args []string, depth int) {
	here, command := false, ""
	for i, a := range args {
		switch {
		case a == "localhost" || strings.HasPrefix(a, "127."):
			here = true
		case (a == "-a" || a == "--args") && i+1 < len(args):
			command = args[i+1]
		case strings.HasPrefix(a, "--args="):
			command = a[len("--args="):]
		}
	}
	if here && command != "" {
		u.script(command, nil, depth)
	}
}

// afterEmulator skips the options of QEMU's user mode.
func afterEmulator(args []string) []string {
	for i := 0; i < len(args); i++ {
		if len(args[i]) < 2 || args[i][0] != '-' {
			return args[i:]
		}
		switch strings.TrimLeft(args[i], "-") {
		case "L", "g", "s", "cpu", "E", "U", "0", "r", "B", "R", "d", "dfilter", "D", "p", "plugin", "seed", "trace":
			i++
		}
	}
	return nil
}

// tmux takes the commands that start a shell's command in a pane, or type one.
func (u *unwrapper) tmux(w wrapper, args []string, depth int) {
	sub := false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case len(a) > 1 && a[0] == '-':
			if a != "--" && takes(w, a) {
				i++
			}
		case !sub:
			switch a {
			case "new-session", "new", "new-window", "neww", "split-window", "splitw", "respawn-pane", "respawnp", "respawn-window", "respawnw",
				"run-shell", "run", "display-popup", "popup", "send-keys", "send", "pipe-pane", "pipep":
				sub = true
			default:
				return
			}
		default:
			u.script(strings.Join(args[i:], " "), nil, depth)
			return
		}
	}
}

// editor takes the shell commands that vi is told to run: -c ':!…', +'!…'.
func (u *unwrapper) editor(args []string, depth int) {
	for i, a := range args {
		told := ""
		switch {
		case (a == "-c" || a == "--cmd") && i+1 < len(args):
			told = args[i+1]
		case strings.HasPrefix(a, "+"):
			told = a[1:]
		}
		if told = strings.TrimLeft(told, ": %"); strings.HasPrefix(told, "!") {
			u.script(told[1:], nil, depth)
		}
	}
}

// escapes are the words with which a program that reads commands of its own takes one
// for a shell.
var escapes = map[string][]string{
	"sqlite3": {".shell ", ".system "},
	"psql":    {`\!`},
	"mysql":   {"system ", `\!`},
	"mariadb": {"system ", `\!`},
	"gdb":     {"shell ", "!"},
	"ftp":     {"!"},
	"sftp":    {"!"},
	"lftp":    {"!"},
}

// escape takes the shell commands among those that a database's client, a debugger or
// the like is given on its line, or reads: sqlite3 x.db '.shell …', psql -c '\! …'.
func (u *unwrapper) escape(name string, args []string, depth int) {
	text := strings.Join(args, "\n")
	if u.fed {
		text += "\n" + u.stdin
		u.stdin, u.fed = "", false
	}
	text = text[:min(len(text), maxScript)]
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if flag, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(flag, "--") {
			line = value // --execute='system …'
		} else if len(line) > 2 && line[0] == '-' && line[1] != '-' {
			line = line[2:] // -e'system …'
		}
		for told := range strings.SplitAfterSeq(line, ";") { // one may follow others
			for _, word := range escapes[name] {
				if after, ok := strings.CutPrefix(strings.TrimLeft(told, " \t"), word); ok {
					u.script(after, nil, depth)
				}
			}
		}
	}
}

// later takes the script that at, batch and crontab read.
func (u *unwrapper) later(name string, depth int) {
	if !u.fed {
		return
	}
	text := u.stdin
	u.stdin, u.fed = "", false
	if name != "crontab" {
		u.script(text, nil, depth)
		return
	}
	for line := range strings.Lines(text) {
		n := 5 // minute, hour, day, month, weekday
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "@") {
			n = 1
		}
		for range n {
			_, line, _ = strings.Cut(strings.TrimLeft(line, " \t"), " ")
		}
		u.script(line, nil, depth)
	}
}

// inputs gives the command of parallel the first of its inputs: COMMAND ::: INPUT….
func inputs(args []string) []string {
	i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, ":::") && strings.Trim(a, ":+") == "" })
	if i < 0 {
		return args
	}
	if args[i] != ":::" || i+1 == len(args) {
		return args[:i] // from files
	}
	out, used := make([]string, 0, i+1), false
	for _, a := range args[:i] {
		used = used || strings.Contains(a, "{}")
		out = append(out, strings.ReplaceAll(a, "{}", args[i+1]))
	}
	if !used {
		out = append(out, args[i+1])
	}
	return out
}

// started takes what socat and nc connect to their socket: EXEC:…, -e PROGRAM, -c SCRIPT.
func (u *unwrapper) started(args []string, depth int) {
	for i, a := range args {
		kind, rest, ok := strings.Cut(a, ":")
		switch {
		case ok && (strings.EqualFold(kind, "EXEC") || strings.EqualFold(kind, "SYSTEM") || strings.EqualFold(kind, "SHELL")):
			rest, _, _ = strings.Cut(rest, ",")
			u.script(rest, nil, depth)
		case i+1 < len(args) && (a == "-e" || a == "-c" || a == "--exec" || a == "--sh-exec"):
			u.script(args[i+1], nil, depth)
		}
	}
}

// machineFlag reports whether a is systemd-run's --machine.
func machineFlag(a string) bool {
	return strings.HasPrefix(a, "-M") || strings.HasPrefix(a, "--machine")
}

// inMachine takes systemd-run --machine, which runs a command in a container.
func (u *unwrapper) inMachine(w wrapper, args []string) bool {
	machine := ""
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a != "--" && len(a) > 1 && a[0] == '-' {
			opt, value, eq := strings.Cut(a, "=")
			if !eq && takes(w, a) && i+1 < len(args) {
				i++
				value = args[i]
			}
			switch {
			case opt == "-M" || opt == "--machine":
				machine = value
			case strings.HasPrefix(a, "-M"):
				machine = a[2:]
			}
			continue
		}
		if machine == "" || machine == ".host" {
			return false
		}
		if a == "--" {
			i++
		}
		via := u.via
		u.via = via[:max(0, len(via)-1)] // it is the tool here, not a wrapper
		u.add(Call{Tool: "systemd-run", IdentifiedBy: "name", Command: "systemd-run", Behaviours: []string{"container-exec"},
			Container: machine[strings.LastIndexByte(machine, '@')+1:], Payload: args[min(i, len(args)):]})
		u.via = via
		return true
	}
	return false
}

// afterBwrap skips the options of bwrap, of which some take two values.
func afterBwrap(args []string) []string {
	for i := 0; i < len(args); i++ {
		opt, ok := strings.CutPrefix(args[i], "--")
		switch {
		case !ok:
			return args[i:]
		case opt == "":
			return args[i+1:]
		case strings.Contains(opt, "bind") || opt == "symlink" || opt == "setenv" || opt == "file" || opt == "chmod":
			i += 2
		case strings.HasPrefix(opt, "unshare-") || strings.HasPrefix(opt, "assert-") || opt == "share-net" || opt == "die-with-parent" || opt == "new-session" ||
			opt == "as-pid-1" || opt == "clearenv" || opt == "disable-userns":
		default:
			i++
		}
	}
	return nil
}

// ownMachine takes machinectl shell without the name of a machine, or with .host: the
// command runs on this host, as with su.
func ownMachine(c *Command, by string) ([]string, bool) {
	t, v := toolOf(c, by)
	if t == nil || t.name != "machinectl" {
		return nil, false
	}
	p := parser{}
	p.run(t, v, c.Args[min(1, len(c.Args)):])
	name := p.call.Container
	if (p.call.Command == "machinectl shell" || p.call.Command == "machinectl login") && (name == "" || name == ".host") {
		return p.call.Payload, true
	}
	return nil, false
}

// ownNode takes what minikube ssh runs on its node, if that is one command: one of a
// runtime's client counts for what that does there, as below limactl.
func ownNode(c *Command, by string) []string {
	t, v := toolOf(c, by)
	if t == nil || t.name != "minikube" {
		return nil
	}
	p := parser{}
	p.run(t, v, c.Args[min(1, len(c.Args)):])
	words := p.call.Payload
	if p.call.Command != "minikube ssh" || slices.ContainsFunc(words, func(w string) bool { return strings.ContainsAny(w, ";|&<>()`$\n") }) {
		return nil // the rest may be more than the client
	}
	return strings.Fields(strings.Join(words, " ")) // a shell there splits them again
}

// daemon takes start-stop-daemon --exec PROGRAM … -- ARGUMENTS.
func (u *unwrapper) daemon(args []string, i int, program string, attached bool, depth int) {
	if !attached && i+1 < len(args) {
		program = args[i+1]
	}
	words := []string{program}
	if j := slices.Index(args, "--"); j >= 0 {
		words = append(words, args[j+1:]...)
	}
	u.words(words, depth)
}
