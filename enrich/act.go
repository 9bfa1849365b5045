package enrich

import (
	"slices"
	"strings"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// readsNetwork reports whether an nsenter enters a network namespace and nothing else, for
// a program that reads there.
func readsNetwork(call *runtimecli.Call) bool {
	return len(call.Entered) == 1 && call.Entered[0] == "net" && len(call.Payload) > 0 && reads(call.Payload)
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
