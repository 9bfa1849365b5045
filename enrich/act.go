package enrich

import (
	"slices"
	"strings"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// behind returns what a program asks for behind nsenter, if that grants more of the
// host than to have entered namespaces does: a container that outlives the command.
func behind(cmd runtimecli.Command, call runtimecli.Call) runtimecli.Call {
	if call.Tool != "nsenter" {
		return call
	}
	best := call
	for _, c := range runtimecli.ParseAll(cmd) {
		if c.Tool == "nsenter" || len(c.HostAccess) == 0 {
			continue
		}
		if best.Tool == "nsenter" || len(c.HostAccess) > len(best.HostAccess) {
			best = c
		}
	}
	return best
}

// readsNetwork reports whether an nsenter enters a network namespace and no other, for a
// program that reads there. args is its command line, or that of a wrapper.
func readsNetwork(args []string, call *runtimecli.Call) bool {
	i := slices.IndexFunc(args, func(a string) bool { return base(a) == "nsenter" })
	n := len(call.Payload)
	if i < 0 || n == 0 || len(args)-n < i+1 || !slices.Equal(args[len(args)-n:], call.Payload) {
		return false
	}
	flags := args[i+1 : len(args)-n]
	for j := 0; j < len(flags); j++ {
		switch a := flags[j]; {
		case a == "-t" || a == "--target":
			j++
		case a == "--" || a == "-n" || a == "--net":
		case strings.HasPrefix(a, "--target=") || strings.HasPrefix(a, "--net="):
		case strings.HasPrefix(a, "-n/"): // a file
		case len(a) > 2 && (a[:2] == "-t" || a[:3] == "-nt"):
			digits := strings.TrimPrefix(strings.TrimPrefix(a[1:], "n"), "t")
			if digits == "" {
				j++
			} else if strings.Trim(digits, "0123456789") != "" {
				return false
			}
		default:
			return false
		}
	}
	return reads(call.Payload)
}

// reads reports whether a command of network tools reads and no more.
func reads(cmd []string) bool {
	args := cmd[1:]
	changes := func(words ...string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return slices.Contains(words, a) })
	}
	switch base(cmd[0]) {
	case "netstat", "ping", "ping6", "traceroute", "traceroute6", "tracepath", "dig", "nslookup", "host", "iptables-save", "ip6tables-save", "id", "true":
		return !changes("-w", "-f", "-M") // that name a file
	case "ss":
		return !slices.ContainsFunc(args, func(a string) bool {
			short := len(a) > 1 && a[0] == '-' && a[1] != '-'
			return short && strings.ContainsAny(a, "KD") || strings.HasPrefix(a, "--k") || strings.HasPrefix(a, "--d")
		})
	case "ip", "bridge", "tc":
		// A word may be shortened, so that those that read are named.
		at := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
		if at < 0 || slices.ContainsFunc(args[:at], func(a string) bool { return strings.HasPrefix(a, "-b") || strings.HasPrefix(a, "-n") }) {
			return false
		}
		if at+1 == len(args) {
			return args[at] != "netns" && args[at] != "vrf"
		}
		return slices.Contains([]string{"show", "list", "ls", "get", "s", "sh", "l"}, args[at+1]) && !changes("exec")
	case "ifconfig", "arp", "route":
		return !slices.ContainsFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") || strings.ContainsAny(a, "dsf") })
	case "iptables", "ip6tables":
		return changes("-L", "-S", "-nL", "-nvL", "-vnL", "--list", "--list-rules") && !slices.ContainsFunc(args, func(a string) bool {
			short := len(a) > 1 && a[0] == '-' && a[1] != '-'
			return short && strings.ContainsAny(a, "ADIRFZNXPEM") || slices.Contains([]string{"--append", "--delete", "--insert", "--replace", "--flush", "--zero", "--new", "--delete-chain", "--policy", "--rename-chain", "--modprobe"}, a)
		})
	}
	return false
}

// inline returns a call for an interpreter whose program is on its command line and
// names a runtime's socket by its well-known path.
func inline(cmd runtimecli.Command) (runtimecli.Call, bool) {
	var call runtimecli.Call
	if len(cmd.Args) < 3 {
		return call, false
	}
	name := strings.TrimRight(base(cmd.Executable), "0123456789.")
	if cmd.Executable == "" {
		name = strings.TrimRight(base(cmd.Args[0]), "0123456789.")
	}
	var flags string
	switch name {
	case "python", "pypy":
		flags = "c"
	case "perl":
		flags = "eE"
	case "ruby", "lua", "luajit":
		flags = "e"
	case "node", "nodejs", "bun":
		flags = "ep"
	case "php":
		flags = "rBRE"
	default:
		return call, false
	}
	for i, a := range cmd.Args[1 : len(cmd.Args)-1] {
		code := cmd.Args[i+2]
		if len(a) < 2 || a[0] != '-' {
			return call, false // a script, whose arguments follow
		}
		if a != "--eval" && a != "--print" && a != "--run" && (a[1] == '-' || !strings.ContainsAny(a[len(a)-1:], flags)) {
			continue
		}
		code = code[:min(len(code), 64<<10)]
		for rest := code; ; {
			at := strings.Index(rest, ".sock")
			if at < 0 {
				return call, false
			}
			from := strings.LastIndexAny(rest[:at], "\"'`(,= \t\n<>") + 1
			to := at + len(".sock")
			if strings.HasPrefix(rest[to:], ".ttrpc") {
				to += len(".ttrpc")
			}
			if runtime, sure := runtimecli.Socket(rest[from:to], cmd.Cwd); runtime != "" && sure > runtimecli.Guess {
				return runtimecli.Call{
					Tool: name, IdentifiedBy: "name", Command: name, Behaviours: []string{"socket-client"},
					Address: strings.TrimPrefix(rest[from:to], "unix://"), Confidence: runtimecli.Partial,
				}, true
			}
			rest = rest[to:]
		}
	}
	return call, false
}
