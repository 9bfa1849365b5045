package runtimecli

import (
	"path"
	"slices"
	"strings"
)

// A wrapper is a program that runs the rest of its line.
type wrapper struct {
	short   string // short options that take a value
	long    string // long options that take a value in the next word
	skip    int    // operands before the command
	assign  bool   // NAME=value may come before the command
	partial bool   // the command gets further arguments that are not on the line
	sub     bool   // the first word is a subcommand
	script  string // an option whose value is a shell script
}

// getopt stops at the first operand for all of these, so a flag table is enough.
var wrappers = map[string]wrapper{
	"sudo":                {short: "ughpCDRrtTUa", long: "user group host prompt close-from chdir chroot role type command-timeout other-user auth-type", assign: true},
	"doas":                {short: "uCa"},
	"pkexec":              {long: "user"},
	"run0":                {short: "ug", long: "user group unit property slice nice chdir setenv background"},
	"su":                  {short: "gGsw", long: "group supp-group shell whitelist-environment", script: "c command session-command"},
	"runuser":             {short: "ugGsw", long: "user group supp-group shell whitelist-environment", script: "c command session-command"},
	"env":                 {short: "uC", long: "unset chdir", assign: true},
	"nohup":               {},
	"setsid":              {},
	"timeout":             {short: "sk", long: "signal kill-after", skip: 1},
	"nice":                {short: "n", long: "adjustment"},
	"ionice":              {short: "cn", long: "class classdata"},
	"chrt":                {short: "TPD", skip: 1},
	"taskset":             {skip: 1},
	"numactl":             {short: "miNCp", long: "membind interleave cpunodebind physcpubind preferred"},
	"stdbuf":              {short: "ioe", long: "input output error"},
	"time":                {short: "fo", long: "format output"},
	"strace":              {short: "aeoOPpsSuUEIbX", long: "trace output attach user env"},
	"ltrace":              {short: "aeoplsuADFnwx", long: "output"},
	"gdb":                 {},
	"chroot":              {long: "userspec groups", skip: 1},
	"unshare":             {short: "RwSGl", long: "root wd setuid setgid propagation setgroups load-interp map-user map-group map-users map-groups monotonic boottime"},
	"xargs":               {short: "ILnPsEad", long: "replace max-lines max-args max-procs max-chars eof arg-file delimiter", partial: true},
	"parallel":            {short: "jnNI", long: "jobs max-args", partial: true},
	"systemd-run":         {short: "upEHM", long: "unit property slice uid gid setenv host machine description nice working-directory service-type on-active on-boot on-calendar on-startup timer-property path-property socket-property background"},
	"flock":               {short: "wE", long: "timeout wait conflict-exit-code", skip: 1, script: "c command"},
	"watch":               {short: "n", long: "interval", script: "*"},
	"script":              {short: "IOBTmoE", long: "log-in log-out log-io log-timing output-limit echo", script: "c command"},
	"setpriv":             {long: "ambient-caps inh-caps bounding-set ruid euid rgid egid reuid regid groups securebits selinux-label apparmor-profile pdeathsig landlock-access landlock-rule"},
	"capsh":               {script: "*"},
	"prlimit":             {},
	"cgexec":              {short: "g"},
	"unbuffer":            {},
	"chronic":             {},
	"catchsegv":           {},
	"eatmydata":           {},
	"proot":               {short: "rbqwk", long: "rootfs bind cwd"},
	"firejail":            {},
	"bwrap":               {},
	"fakechroot":          {short: "edlbc"},
	"systemd-inhibit":     {long: "what who why mode"},
	"systemd-cat":         {short: "tp", long: "identifier priority stderr-priority level-prefix namespace"},
	"entr":                {},
	"tar":                 {short: "CfTXbgHKNV", long: "directory file files-from exclude-from", script: "I to-command use-compress-program info-script new-volume-script checkpoint-action"},
	"rsync":               {script: "e rsh rsync-path"},
	"fd":                  {},
	"setarch":             {skip: 1},
	"linux64":             {},
	"linux32":             {},
	"choom":               {short: "np"},
	"start-stop-daemon":   {short: "xpucdnarR", long: "exec pidfile user chuid chdir startas name group chroot retry"},
	"daemonize":           {short: "acelopuE"},
	"tsp":                 {},
	"sg":                  {script: "c"},
	"tini":                {short: "pe"},
	"dumb-init":           {short: "r"},
	"gosu":                {skip: 1},
	"su-exec":             {skip: 1},
	"chpst":               {short: "uUbenmopfcdtr/"},
	"aa-exec":             {short: "pnf", long: "profile namespace"},
	"runcon":              {short: "turl", long: "type user role range"},
	"flatpak-spawn":       {},
	"distrobox-host-exec": {},
	"host-spawn":          {},
	"ld.so":               {long: "library-path preload argv0 audit glibc-hwcaps-prepend"},
	"ip":                  {},
	"fakeroot":            {},
	"perf":                {short: "eopCFGtsugDcm", long: "event output pid", sub: true},
	"valgrind":            {},
	"rlwrap":              {short: "bCfHlOpqsStwz"},
	"torsocks":            {short: "uaPp"},
	"torify":              {},
	"proxychains":         {short: "f"},
	"proxychains4":        {short: "f"},
	"dbus-run-session":    {long: "config-file dbus-daemon"},
	"xvfb-run":            {short: "efnpsw", long: "error-file auth-file server-num xauth-protocol server-args wait"},
	"cpulimit":            {short: "lpeP", long: "limit pid exe path"},
	"screen":              {short: "cehpsStTrRx"},
	"tmux":                {short: "cefnstxyFlLS"},
	"ssh":                 {short: "BbcDEeFIiJLlmOopQRSWw"},
	"at":                  {},
	"batch":               {},
	"crontab":             {},
	"sshpass":             {short: "fdpP"},
	"watchexec":           {short: "ewWfioEdrs", long: "exts watch watch-non-recursive filter ignore on-busy-update restart signal debounce env shell workdir"},
	"nodemon":             {script: "x exec"},
	"man":                 {short: "CLrRmMSseEpHTXZ", long: "config-file locale recode systems manpath sections extension encoding preprocessor", script: "P pager"},
	"ansible":             {},
	"git":                 {},
	"qemu-user":           {},
	"less":                {},
	"vi":                  {},
	"vim":                 {},
	"nvim":                {},
	"ex":                  {},
	"sqlite3":             {},
	"psql":                {},
	"mysql":               {},
	"mariadb":             {},
	"ftp":                 {},
	"sftp":                {},
	"lftp":                {},
	"noglob":              {}, // words of a shell
	"nocorrect":           {},
	"spawn":               {}, // of expect
	"exec":                {short: "a"},
	"command":             {},
	"builtin":             {},
	"eval":                {script: "*"},
	"find":                {},
}

// maxDepth bounds wrappers in wrappers, maxCalls what one line can ask for.
const (
	maxDepth  = 24
	maxCalls  = 64       // that are kept, of
	maxLooked = 16 << 10 // that are looked at
	maxFiles  = 64
	maxEnv    = 2048
)

// An unwrapper looks through wrappers, shells and launchers.
type unwrapper struct {
	calls     []Call
	via       []string
	cwd       string
	env       []string
	partial   bool
	more      bool     // arguments follow that are not on the line
	vars      []string // NAME=value that a script has set
	nested    int      // substitutions whose output is being worked out
	flattened bool
	work      int    // bytes of script that were looked at, or made
	stdin     string // what the command reads, if a script says:
	fed       bool
	files     map[string]string // what the script has written, by the names of the files
	looked    int               // at so many commands
	file      string            // what /dev/fd/63 holds, if <(…) says
	filed     bool
}

// command looks at one process or simple command.
func (u *unwrapper) command(c *Command, depth int) {
	if u.looked++; u.looked > maxLooked || len(c.Args) == 0 && c.Executable == "" {
		return
	}
	if depth > maxDepth {
		u.innermost(c.Args)
		return
	}
	k, by := nameKind(c)
	switch k {
	case kindTool:
		if rest, ok := ownMachine(c, by); ok {
			u.words(rest, depth+1)
			return
		}
		if rest := ownNode(c, by); len(rest) > 0 {
			n, env, cwd := len(u.calls), u.env, u.cwd
			u.via, u.env, u.cwd = append(u.via, "minikube"), nil, ""
			u.words(rest, depth+1)
			u.via, u.env, u.cwd = u.via[:len(u.via)-1], env, cwd
			if len(u.calls) > n {
				return
			}
		}
		if call, ok := parseOne(&Command{Executable: c.Executable, Args: c.Args, Env: u.env, Comm: c.Comm, Cwd: u.cwd, Tool: c.Tool}, k, by, u.more); ok {
			u.add(call)
		}
	case kindNone:
		if depth > 0 && len(c.Args) == 2 && c.Args[0] == "cd" { // a word of a shell
			dir := c.Args[1]
			if !strings.HasPrefix(dir, "/") {
				dir = u.cwd + "/" + dir
			}
			u.cwd = path.Clean(dir)
			return
		}
		if len(c.Args) > 1 && entering(c.Args[1:]) {
			n, via := len(u.calls), u.via
			u.via = append(via[:len(via):len(via)], base(c.Args[0]))
			u.enter(c.Args[1:], depth+1)
			u.via = via
			if len(u.calls) > n {
				u.calls[n].IdentifiedBy = "grammar"
			}
			return
		}
		if len(c.Args) > 1 && trigger(c.Args[1]) {
			if call, ok := identify(&Command{Executable: c.Executable, Args: c.Args, Cwd: u.cwd}, u.env, false); ok {
				u.add(call)
			}
		}
	case kindClient:
		if call, ok := client(c, by, u.stdin, u.fed); ok {
			u.add(call)
			return
		}
		if len(c.Args) == 0 {
			return
		}
		n, via := len(u.calls), u.via
		u.via = append(via[:len(via):len(via)], plain(base(c.Args[0])))
		u.started(c.Args[1:], depth+1)
		if u.via = via; len(u.calls) == n {
			u.disguised(c)
		}
	default:
		if len(c.Args) == 0 {
			return
		}
		name := plain(base(c.Executable))
		if by == "argv0" || k != classify(name) {
			name = plain(base(c.Args[0]))
		}
		n, found := len(u.via), len(u.calls)
		switch name {
		case "exec", "command", "builtin", "eval", "source", ".", "noglob", "nocorrect", "spawn": // words of the shell, no processes
		default:
			u.via = append(u.via, name)
		}
		cwd, env, partial, more := u.cwd, u.env, u.partial, u.more
		u.wrapped(k, name, c.Args[1:], depth+1)
		u.via, u.cwd, u.env, u.partial, u.more = u.via[:n], cwd, env, partial, more
		if k == kindEnter && by == "content" && len(u.calls) > found {
			u.calls[found].IdentifiedBy = by
		}
		if len(u.calls) == found {
			u.disguised(c)
		}
	}
}

// innermost takes the tool that is named behind more wrappers than we look through.
func (u *unwrapper) innermost(words []string) {
	for i := range words[:min(len(words), maxArgs)] {
		c := Command{Args: words[i:], Env: u.env, Cwd: u.cwd}
		if k, by := nameKind(&c); k == kindTool {
			partial := u.partial
			u.partial = true
			if call, ok := parseOne(&c, k, by, true); ok {
				u.add(call)
			}
			u.partial = partial
			return
		}
	}
}

// disguised takes a tool under the name of a wrapper, a shell or curl.
func (u *unwrapper) disguised(c *Command) {
	if len(c.Args) < 2 || !trigger(c.Args[1]) {
		return
	}
	if call, ok := identify(&Command{Executable: c.Executable, Args: c.Args, Cwd: u.cwd}, u.env, true); ok {
		u.add(call)
	}
}

func (u *unwrapper) add(call Call) {
	if u.partial {
		call.Confidence = Partial
	}
	if len(u.via) > 0 {
		call.Via = slices.Clone(u.via)
	}
	if len(u.calls) < maxCalls {
		u.calls = append(u.calls, call)
		return
	}
	// What weighs less gives way: a line may ask for much that is harmless.
	least := 0
	for i := range u.calls {
		if u.calls[i].weight() < u.calls[least].weight() {
			least = i
		}
	}
	if call.weight() > u.calls[least].weight() {
		u.calls[least] = call
	}
}

// words looks at a command that is given as words, the first being its name.
func (u *unwrapper) words(w []string, depth int) {
	if len(w) > 0 {
		u.command(&Command{Executable: "", Args: w}, depth)
	}
}

func (u *unwrapper) wrapped(k kind, name string, args []string, depth int) {
	switch k {
	case kindLauncher:
		u.launcher(name, args, depth)
	case kindShell:
		u.shell(args, depth)
	case kindMulticall:
		u.words(args, depth)
	case kindInterpreter:
		u.interpreter(name, args, depth)
	case kindEnter:
		u.enter(args, depth)
	case kindWrapper:
		u.rooted(name, args, depth)
	}
}

// launcher takes "k3s ctr …", "microk8s kubectl" being none of ours.
func (u *unwrapper) launcher(name string, args []string, depth int) {
	for i := 0; i < len(args) && i < 16; i++ {
		a := args[i]
		if a == "" {
			return
		}
		if a[0] == '-' {
			continue
		}
		n := len(u.calls)
		switch plain(base(a)) {
		case "ctr", "crictl", "nerdctl", "docker", "podman", "runc":
			u.words(args[i:], depth)
		case "shell", "sudo", "ssh":
			// limactl shell INSTANCE nerdctl …
			for j := i + 1; j < len(args) && j < i+8; j++ {
				if k := classify(base(args[j])); k != kindNone {
					u.words(args[j:], depth)
					break
				}
			}
		case "images":
			// microk8s images import, which is ctr's with the standard input for a file.
			if name == "microk8s" && i+1 < len(args) && args[i+1] == "import" {
				file := "-"
				if i+2 < len(args) {
					file = args[i+2]
				}
				u.words([]string{"ctr", "images", "import", file}, depth)
			}
		default:
			if name == "lima" {
				u.words(args[i:], depth)
			} else if i > 0 && args[i-1][0] == '-' && !strings.Contains(args[i-1], "=") {
				continue // the value of a flag
			}
		}
		for j := n; j < len(u.calls); j++ {
			if u.calls[j].IdentifiedBy == "name" {
				u.calls[j].IdentifiedBy = "launcher"
			}
		}
		return
	}
}

// wrapper takes the options of a program that runs the rest of its line.
func (u *unwrapper) wrapper(name string, args []string, depth int) {
	w := wrappers[name]
	if w.script == "*" {
		if name == "watch" || name == "eval" {
			for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
				if takes(w, args[0]) && len(args) > 1 {
					args = args[1:]
				}
				args = args[1:]
			}
		} else if i := slices.Index(args, "--"); i >= 0 { // capsh -- -c "…"
			u.shell(args[i+1:], depth)
			return
		}
		u.script(strings.Join(args, " "), nil, depth)
		return
	}
	switch name {
	case "ssh":
		u.ssh(w, args, depth)
		return
	case "tmux":
		u.tmux(w, args, depth)
		return
	case "git":
		u.git(args, depth)
		return
	case "ansible":
		u.ansible(args, depth)
		return
	case "qemu-user":
		u.words(afterEmulator(args), depth)
		return
	case "setarch":
		// Options come before or after the architecture, which may be left out.
		if len(args) > 0 && args[0] != "" && args[0][0] != '-' && classify(base(args[0])) == kindNone {
			args = args[1:]
		}
		w.skip = 0
	case "vi", "vim", "nvim", "ex", "less":
		u.editor(args, depth)
		return
	case "sqlite3", "psql", "mysql", "mariadb", "ftp", "sftp", "lftp":
		u.escape(name, args, depth)
		return
	case "at", "batch", "crontab":
		u.later(name, depth)
		return
	case "bwrap":
		u.words(afterBwrap(args), depth)
		return
	case "systemd-run":
		if u.inMachine(w, args) {
			return
		}
	case "sg":
		// sg GROUP [-c] COMMAND
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			u.script(args[1], nil, depth)
			return
		}
	case "gdb":
		u.escape(name, args, depth)
		// What it is given without --args is looked at, not run.
		if i := slices.IndexFunc(args, func(a string) bool { return a == "--args" || a == "-args" }); i >= 0 {
			u.words(args[i+1:], depth)
		}
		return
	case "parallel":
		args = inputs(args)
	}
	if w.sub && len(args) > 0 {
		args = args[1:]
	}
	if name == "find" || name == "fd" {
		what := "{}"
		for i, a := range args {
			if (a == "-name" || a == "-iname" || a == "-path" || a == "-wholename") && i+1 < len(args) {
				what = args[i+1]
				if tool := globbed(what); tool != "" {
					what = tool
				}
			}
			switch a {
			case "-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch":
			default:
				continue
			}
			if i+1 < len(args) {
				end := slices.IndexFunc(args[i+1:], func(s string) bool { return s == ";" || s == "+" })
				if end < 0 {
					end = len(args) - i - 1
				}
				u.partial = true
				run := args[i+1 : i+1+end]
				if len(run) > 0 && run[0] == "{}" { // what it finds is started
					run = append([]string{what}, run[1:]...)
				}
				u.words(run, depth)
			}
		}
		return
	}
	if name == "ip" {
		// ip netns exec NAME …, ip vrf exec NAME …
		if i := slices.Index(args, "exec"); i > 0 && i+2 < len(args) && (args[i-1] == "netns" || args[i-1] == "vrf") {
			u.words(args[i+2:], depth)
		}
		return
	}
	if name == "env" && len(args) > 0 && args[0] == "-" {
		args = args[1:]
	}
	skip := w.skip
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			u.operands(w, skip, args[i+1:], depth)
			return
		}
		if len(a) < 2 || a[0] != '-' {
			if w.script == "" {
				u.operands(w, skip, args[i:], depth)
				return
			}
			// su root -c "…": options may follow operands.
			if name == "runuser" && slices.ContainsFunc(args[:i], func(a string) bool { return strings.HasPrefix(a, "-u") || strings.HasPrefix(a, "--user") }) || name == "flock" && i > 0 && skip == 0 {
				u.operands(w, 0, args[i:], depth)
				return
			}
			if skip > 0 {
				if skip--; skip == 0 && i+1 < len(args) && !(len(args[i+1]) > 1 && args[i+1][0] == '-') {
					u.operands(w, 0, args[i+1:], depth)
					return
				}
			}
			continue
		}
		opt, value, eq := strings.Cut(a[1:], "=")
		if a[1] == '-' {
			opt = strings.TrimPrefix(opt, "-")
			if w.script != "" && listed(w.script, opt) {
				if !eq && i+1 < len(args) {
					value = args[i+1]
				}
				u.more = u.more || name == "rsync"
				if opt == "checkpoint-action" {
					value = strings.TrimPrefix(value, "exec=")
				}
				u.script(value, nil, depth)
				return
			}
			switch {
			case name == "env" && opt == "split-string":
				if !eq && i+1 < len(args) {
					i++
					value = args[i]
				}
				u.split(value, args[i+1:], depth)
				return
			case name == "start-stop-daemon" && (opt == "exec" || opt == "startas"):
				u.daemon(args, i, value, eq, depth)
				return
			case (opt == "chdir" || opt == "wd" || opt == "working-directory") && (eq || i+1 < len(args)):
				if !eq {
					value = args[i+1]
				}
				u.cwd = value
			}
			if !eq && listed(w.long, opt) {
				i++
			}
			continue
		}
		// Short options, perhaps joined.
		for j := 1; j < len(a); j++ {
			letter := a[j : j+1]
			rest := a[j+1:]
			if w.script != "" && listed(w.script, letter) {
				if rest == "" && i+1 < len(args) {
					rest = args[i+1]
				}
				u.more = u.more || name == "rsync" // the host, which may be a container
				u.script(rest, nil, depth)
				return
			}
			if name == "env" && letter == "S" {
				if rest == "" && i+1 < len(args) {
					i++
					rest = args[i]
				}
				u.split(rest, args[i+1:], depth)
				return
			}
			if name == "start-stop-daemon" && (letter == "x" || letter == "a") {
				u.daemon(args, i, rest, rest != "", depth)
				return
			}
			if strings.Contains(w.short, letter) {
				if rest == "" {
					if (letter == "C" && name == "env" || letter == "D" && name == "sudo") && i+1 < len(args) {
						u.cwd = args[i+1]
					}
					i++
				}
				break
			}
		}
	}
}

// takes reports whether option a of w has its value in the next word.
func takes(w wrapper, a string) bool {
	if strings.HasPrefix(a, "--") {
		return listed(w.long, a[2:])
	}
	return strings.Contains(w.short, a[len(a)-1:])
}

// listed reports whether word is one of the words of list.
func listed(list, word string) bool {
	for len(list) > 0 {
		var w string
		w, list, _ = strings.Cut(list, " ")
		if w == word {
			return true
		}
	}
	return false
}

// operands looks at what follows a wrapper's options.
func (u *unwrapper) operands(w wrapper, skip int, args []string, depth int) {
	for skip > 0 && len(args) > 0 {
		args, skip = args[1:], skip-1
	}
	if w.assign {
		args = u.assignments(args)
	}
	if len(args) == 1 && w.partial && strings.Contains(args[0], " ") { // parallel 'ctr t kill {}'
		u.partial, u.more = true, true
		u.script(args[0], nil, depth)
		return
	}
	if w.partial {
		if u.fed {
			args = append(slices.Clip(args), strings.Fields(u.stdin)...)
		} else {
			u.partial, u.more = true, true
		}
	}
	u.words(args, depth)
}

// assignments takes NAME=value words off the front and into the environment.
func (u *unwrapper) assignments(args []string) []string {
	n := 0
	for n < len(args) && assignment(args[n]) {
		n++
	}
	if n > 0 {
		u.env = slices.Concat(u.env, args[:n])
	}
	return args[n:]
}

func assignment(s string) bool {
	i := strings.IndexByte(s, '=')
	if i < 1 {
		return false
	}
	for j := range i {
		c := s[j]
		if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || j > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}

// split takes env -S "NAME=value ctr run …".
func (u *unwrapper) split(line string, more []string, depth int) {
	var words []string
	splitScript(line, nil, u, func(c simple) {
		words = append(words, c.assign...)
		words = append(words, c.words...)
	})
	u.words(u.assignments(append(words, more...)), depth)
}

// shell takes the arguments of a shell: -c SCRIPT [NAME ARGUMENT…] or FILE ARGUMENT…
func (u *unwrapper) shell(args []string, depth int) {
	script, reads := false, false
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) > 1 && (a[0] == '-' || a[0] == '+') && a != "--" {
			switch {
			case a == "--rcfile" || a == "--init-file" || a == "-o" || a == "+o" || a == "-O" || a == "+O":
				i++
			case strings.HasPrefix(a, "--"):
			case a[0] == '-' && strings.Contains(a, "c"):
				script = true
				if strings.HasSuffix(a, "o") {
					i++ // -ceo pipefail
				}
			case strings.HasSuffix(a, "o"):
				i++ // -eo pipefail
			case a[0] == '-' && strings.Contains(a, "s"):
				reads = true
			}
			continue
		}
		if a == "--" || a == "-" {
			continue
		}
		if script {
			u.script(a, args[i+1:], depth)
			return
		}
		if u.filed && a == substituted {
			text := u.file
			u.file, u.filed = "", false
			u.script(text, args[i:], depth)
			return
		}
		if u.fed && (reads || standardInput(a)) {
			params := args[i:] // $1 on
			if !reads {
				params = args[i+1:]
			}
			u.read(append([]string{"sh"}, params...), depth)
			return
		}
		if text, ok := u.files[a]; ok { // that was written before
			u.script(text, args[i:], depth)
			return
		}
		// A file: a tool that is a script, or one that hands its arguments on.
		c := Command{Args: args[i:]}
		if k, _ := nameKind(&c); k == kindTool || k == kindLauncher {
			u.command(&c, depth)
		} else if len(args) > i+1 && trigger(args[i+1]) {
			if call, ok := identify(&Command{Args: args[i:], Cwd: u.cwd}, u.env, true); ok {
				call.Confidence = Partial
				u.add(call)
			}
		}
		return
	}
	if u.fed && !script {
		u.read(nil, depth)
	}
}

func standardInput(name string) bool {
	return name == "/dev/stdin" || name == "/dev/fd/0" || name == "/proc/self/fd/0"
}

// read looks at what a shell reads as its script.
func (u *unwrapper) read(params []string, depth int) {
	text := u.stdin
	u.stdin, u.fed = "", false
	u.script(text, params, depth)
}

// skim looks at what a script too long to be read says of container runtimes: the lines
// that name one, as far as they are not too many.
func (u *unwrapper) skim(text string, params []string, depth int) {
	const maxLine, maxLines = 4096, 64
	partial := u.partial
	u.partial = true
	for i, lines := 0, 0; i < len(text) && lines < maxLines; {
		begin := i
		for i < len(text) && wordByte(text[i]) {
			i++
		}
		if word := text[begin:i]; known.may(word) && classify(word) == kindTool {
			from := strings.LastIndexAny(text[max(0, begin-maxLine):begin], "\n;&|") + max(0, begin-maxLine) + 1
			line := text[from:min(len(text), begin+maxLine)]
			if n := strings.IndexByte(line[begin-from:], '\n'); n >= 0 {
				line = line[:begin-from+n]
			}
			splitScript(line, params, nil, func(c simple) { u.words(c.words, depth+1) })
			i, lines = from+len(line), lines+1
			continue
		}
		i++
	}
	u.partial = partial
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}

// flat makes a script of substitutions within substitutions one of commands in a row.
var flat = strings.NewReplacer("$(", ";", "<(", ";", "`", ";")

// script looks at each simple command of a shell script.
func (u *unwrapper) script(text string, params []string, depth int) {
	if depth > maxDepth || len(text) > maxScript-u.work && u.work > 0 {
		if !u.flattened {
			u.flattened = true // once, for it has no budget
			splitScript(flat.Replace(text[:min(len(text), maxScript)]), nil, nil, func(c simple) { u.innermost(c.words) })
		}
		return
	}
	if len(text) > maxScript {
		u.skim(text[maxScript:], params, depth)
		text = text[:maxScript]
		u.partial = true
	}
	u.work += len(text)
	vars := slices.Clip(u.vars)
	if u.calls == nil {
		u.calls = make([]Call, 0, 2) // Fast path: most scripts have as much as one pipe.
	}
	var out string // what the command before has written
	var known bool
	splitScript(text, params, u, func(c simple) {
		env, partial, stdin, fed := u.env, u.partial, u.stdin, u.fed
		if !c.fed && c.piped && known {
			c.stdin, c.fed = out, true
		}
		if c.fed || c.piped {
			u.stdin, u.fed = c.stdin, c.fed
		}
		if c.file != "" {
			u.file, u.filed = u.substitute(c.file) // bash <(…)
		}
		if known = false; c.pipes {
			if out, known = u.output(&c); !u.spend(len(out)) {
				out, known = "", false
			}
		}
		if c.to != "" && c.to != "/dev/null" && len(u.files) < maxFiles {
			if text, ok := u.output(&c); ok && u.spend(len(text)) {
				if u.files == nil {
					u.files = map[string]string{}
				}
				u.files[c.to] += text
			}
		}
		if len(c.words) > 0 && u.files != nil {
			if text, ok := u.files[c.words[0]]; ok { // chmod +x FILE; FILE
				u.script(text, c.words, depth+1)
			}
		}
		if len(c.assign) > 0 && len(u.env) < maxEnv {
			u.env = slices.Concat(u.env, c.assign)
		}
		u.partial = u.partial || c.open
		if len(c.words) > 0 && len(u.vars) > 0 {
			if v, ok := u.variable(aliased + c.words[0]); ok {
				c.words = append(strings.Fields(v), c.words[1:]...)
			}
		}
		if len(c.words) > 1 && c.words[0] == "trap" {
			u.script(c.words[1], params, depth+1)
		}
		if len(c.words) > 0 && strings.ContainsAny(c.words[0], "*?[") {
			if name := globbed(c.words[0]); name != "" {
				c.words[0], u.partial = name, true
			}
		}
		if len(c.words) > 0 && c.words[0] != "echo" && c.words[0] != "printf" { // words of the shell
			u.words(c.words, depth)
		}
		for _, inner := range c.inner {
			u.script(inner, params, depth+1)
		}
		if len(c.words) > 0 && !(c.words[0] == "export") {
			u.env = env
		} else if len(c.words) > 1 {
			u.env = env
			u.assignments(c.words[1:])
		}
		u.partial, u.stdin, u.fed = partial, stdin, fed
		u.file, u.filed = "", false
	})
	u.vars = vars
}
