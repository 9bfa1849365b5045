package runtimecli

import "strings"

// An nsenterLine is what the arguments of nsenter say.
type nsenterLine struct {
	target string
	want   []entered
	longs  int // of want, those that are written out
	all    bool
	apart  bool     // it takes a root or folder of its own
	root   string   // that, if it is named
	rest   []string // what is run
}

// An entered is a namespace, by the letter of its option, and its file if one is named.
type entered struct {
	kind byte
	at   string
}

const nsenterKinds = "muinpUCT"

func kindOfLetter(letter byte) string {
	return [...]string{"mnt", "uts", "ipc", "net", "pid", "user", "cgroup", "time"}[strings.IndexByte(nsenterKinds, letter)]
}

// letterOf is the short form of a long option for a namespace, or 0.
func letterOf(long string) byte {
	switch long {
	case "mount":
		return 'm'
	case "uts":
		return 'u'
	case "ipc":
		return 'i'
	case "net":
		return 'n'
	case "pid":
		return 'p'
	case "user":
		return 'U'
	case "cgroup":
		return 'C'
	case "time":
		return 'T'
	}
	return 0
}

// readNsenter reads a line, with memory for what it wants. It reports whether all its
// options are ones that nsenter has; what is not does not end it unless it is strict.
func readNsenter(args []string, want []entered, strict bool) (l nsenterLine, known bool) {
	l.want, l.rest, known = want, args[len(args):], true
loop:
	for i := 0; i < len(args) && (known || !strict); i++ {
		a := args[i]
		switch {
		case a == "--":
			l.rest = args[i+1:]
			break loop
		case len(a) < 2 || a[0] != '-':
			l.rest = args[i:]
			break loop
		case a[1] == '-':
			opt, value, eq := strings.Cut(a[2:], "=")
			letter := letterOf(opt)
			switch opt {
			case "target", "setuid", "setgid", "wdns":
				if !eq && i+1 < len(args) {
					i++
					value = args[i]
				}
				if opt == "target" {
					l.target = value
				}
			case "all":
				l.all = true
			case "root", "wd":
				l.apart = true
				if opt == "root" {
					l.root = value
				}
			case "no-fork", "preserve-credentials", "keep-caps", "user-parent", "follow-context", "env", "join-cgroup":
			default:
				if letter == 0 || eq && !strings.HasPrefix(value, "/") {
					known = false
				}
				if letter != 0 {
					l.want, l.longs = append(l.want, entered{letter, value}), l.longs+1
				}
			}
		default:
			for j := 1; j < len(a); j++ {
				after := a[j+1:]
				switch letter := a[j]; {
				case letter == 't' || letter == 'S' || letter == 'G' || letter == 'W':
					if after == "" && i+1 < len(args) {
						i++
						after = args[i]
					}
					if letter == 't' {
						l.target = after
					}
					continue loop
				case letter == 'a':
					l.all = true
				case strings.IndexByte(nsenterKinds, letter) >= 0:
					at := strings.TrimPrefix(after, "=")
					if strings.HasPrefix(at, "/") || at != after {
						known = known && strings.HasPrefix(at, "/")
						l.want = append(l.want, entered{letter, at})
						continue loop
					}
					l.want = append(l.want, entered{letter, ""})
				case letter == 'r' || letter == 'w':
					l.apart = true
					if strings.HasPrefix(after, "/") {
						if letter == 'r' {
							l.root = after
						}
						continue loop
					}
				case strings.IndexByte("FZec", letter) < 0:
					if known = false; strict {
						return l, false
					}
				}
			}
		}
	}
	return l, known
}

// entering reports whether the arguments of a program of unknown name can only be
// nsenter's: a process, namespaces of it by options of nsenter's alone, its mounts among
// them, and then a program.
func entering(args []string) bool {
	if len(args) < 2 || len(args[0]) < 2 || args[0][0] != '-' {
		return false // Fast path: nearly all.
	}
	var room [8]entered // no line of another program takes memory
	l, known := readNsenter(args, room[:0], true)
	if !known || l.target == "" || len(l.target) > 7 || !digits(l.target) {
		return false
	}
	mounts := l.all
	for _, w := range l.want {
		mounts = mounts || w.kind == 'm'
	}
	if !mounts {
		return false
	}
	kinds := len(l.want)
	if len(l.rest) == 0 || l.rest[0] == "" { // its own default is a shell
		return l.longs > 1 || kinds > 3
	}
	name := l.rest[0]
	shell := classify(base(name)) == kindShell || classify(base(name)) == kindMulticall
	program := strings.HasPrefix(name, "/") && strings.Contains(name, "bin/")
	return shell || program && kinds > 1 || l.longs > 1
}

// enter takes nsenter: it enters the namespaces of a process, and runs the rest.
func (u *unwrapper) enter(args []string, depth int) {
	l, _ := readNsenter(args, nil, false)
	if pid := strings.TrimLeft(l.target, " +0"); digits(pid) {
		l.target = pid // as strtol reads it
	}
	var p parser
	p.call = Call{Tool: "nsenter", IdentifiedBy: "name", Command: "nsenter", Behaviours: []string{"namespace-enter"}, Payload: l.rest}
	found := l.target != ""
	if l.all {
		for _, k := range []byte(nsenterKinds[:len(nsenterKinds)-1]) {
			l.want = append(l.want, entered{k, ""})
		}
	}
	for _, w := range l.want {
		kind := kindOfLetter(w.kind)
		p.call.Entered = append(p.call.Entered, kind)
		switch {
		case w.at != "":
			// A file of /proc names a process; a file made by ip-netns or a CNI plugin does not.
			if pid := processOf(w.at); pid != "" {
				found = true
				if l.target == "" {
					l.target = pid
				}
			}
			p.namespaceAt(kind, w.at)
		case l.target == "1":
			p.grant(hostNamespace[kind], "")
		}
	}
	if c, ok := containerRoot("nsenter", l.root, u.cwd); ok && l.root != "" && l.target == "" {
		found, l.target = true, c.Target
		p.call.HostAccess, p.call.Container, p.call.Namespace = append(p.call.HostAccess, c.HostAccess...), c.Container, c.Namespace
	}
	if l.apart {
		p.call.Entered = append(p.call.Entered, "root")
	}
	if !found {
		u.words(l.rest, depth)
		return
	}
	p.call.Target = l.target
	own := u.itself(p.call)
	u.words(l.rest, depth)
	u.within(own)
}

// itself adds a call of the wrapper that is being looked through, which is the tool here,
// and returns where it stands.
func (u *unwrapper) itself(c Call) (at int) {
	via := u.via
	u.via = via[:max(0, len(via)-1)]
	at = len(u.calls)
	u.add(c)
	u.via = via
	return at
}

// within says of what the call at own runs, all that was added since, in which process's
// namespaces it does.
func (u *unwrapper) within(own int) {
	for i := own + 1; i < len(u.calls); i++ {
		if u.calls[i].Target == "" {
			u.calls[i].Target = u.calls[own].Target
		}
		if u.calls[i].weight() >= 40 { // as much as entering
			u.calls[own].wraps = true
		}
	}
}
