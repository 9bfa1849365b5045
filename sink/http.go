package sink

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
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

// RetryAfter reads the header Retry-After of an answer, seconds or a date; 0 if there
// is none.
func RetryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
