package runtimecli

import (
	"slices"
	"strings"
)

// Maintains names what the payload looks after without reading or changing what it keeps:
// "etcd" for etcdctl and etcdutl where they check, compact and tidy up a cluster. Who is a
// member is no such thing: a new one gets every key. It is "" for all else, and for a
// program elsewhere than where etcd's images have it.
func (c *Call) Maintains() string {
	if len(c.Payload) == 0 {
		return ""
	}
	switch c.Payload[0] {
	case "etcdctl", "/bin/etcdctl", "/usr/bin/etcdctl", "/usr/local/bin/etcdctl",
		"etcdutl", "/bin/etcdutl", "/usr/bin/etcdutl", "/usr/local/bin/etcdutl":
	default:
		return ""
	}
	var words []string // the command and what it is to do
	for i := 1; i < len(c.Payload) && len(words) < 2; i++ {
		a := c.Payload[i]
		if !strings.HasPrefix(a, "-") {
			words = append(words, a)
			continue
		}
		if !strings.Contains(a, "=") && slices.Contains(etcdValues, strings.TrimLeft(a, "-")) {
			i++
		}
	}
	words = append(words, "", "")
	switch words[0] {
	case "endpoint", "alarm", "version", "check", "defrag", "hashkv", "compact", "compaction", "cluster-health":
		return "etcd"
	case "member":
		if words[1] == "list" {
			return "etcd"
		}
	case "snapshot":
		if words[1] == "status" {
			return "etcd"
		}
	}
	return ""
}

// etcdValues are the flags of etcdctl that take a value, before and after its command
// (etcdctl 3.6 and 2.3, etcdctl --help). What is not here and takes one makes its value
// the command, which is none.
var etcdValues = []string{
	"endpoints", "cacert", "cert", "key", "command-timeout", "dial-timeout", "keepalive-time", "keepalive-timeout",
	"user", "password", "auth-jwt-token", "discovery-srv", "d", "discovery-srv-name", "write-out", "w", "max-request-bytes", "max-recv-bytes",
	"ca-file", "cert-file", "key-file", "peers", "endpoint", "C", "timeout", "total-timeout", "username", "u", "output", "o",
	"data-dir", "rev", "load", "prefix",
}
