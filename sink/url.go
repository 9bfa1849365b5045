package sink

import (
	"net/netip"
	"net/url"
	"strings"
)

// CheckURL says what is wrong with the address of a peer, and what would be right;
// "" if nothing is. Secret is whether a secret is sent there, which must not cross a
// network in the clear.
func CheckURL(text string, secret bool) (msg, hint string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return "expected a URL of a host, with http or https", "as in https://siem.example:8443/alerts"
	case u.User != nil:
		return "a name and a password have no place in a URL", "put them into a secret"
	case u.Fragment != "":
		return "a URL of a peer has no part after #", ""
	case secret && u.Scheme == "http" && !loopback(u.Hostname()):
		return "a secret is not sent over a network without TLS", "use https"
	}
	return "", ""
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
