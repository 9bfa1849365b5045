package sink

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orlop/orlop/internal/config"
)

// CheckURL says what is wrong with the address of a peer, and what would be right;
// "" if nothing is. Secret is whether a secret is sent there, which must not cross a
// network in the clear.
func CheckURL(text string, secret bool) (msg, hint string) {
	if msg, hint := config.Wrong("url", text); msg != "" {
		return msg, hint
	}
	if _, err := url.Parse(text); err != nil {
		return "expected a URL of a host, with http or https", ""
	}
	if secret {
		return config.Wrong("sealed", text)
	}
	return "", ""
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

// Hush hides secrets in what a server answers: those, as they are sent, and those of its
// address. Many tell in an error which path they do not know, and some what was in a header.
func Hush(address string, secrets ...string) *strings.Replacer {
	secrets = slices.Clone(secrets)
	for _, at := range config.SecretsOf(address) {
		text := address[at.Start:at.End]
		secrets = append(secrets, text)
		secrets = append(secrets, strings.Split(text, "/")...)
	}
	for _, s := range secrets {
		if plain, err := url.PathUnescape(s); err == nil {
			secrets = append(secrets, plain)
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range secrets {
		if len(s) >= 4 { // What is shorter is none, and in many words.
			pairs = append(pairs, s, "(hidden)")
		}
	}
	return strings.NewReplacer(pairs...)
}

// Bounded is a transport that reads most bytes of the body of an answer, and no more.
// Redirects are the client's.
func Bounded(t http.RoundTripper, most int64) http.RoundTripper { return bounded{t, most} }

type bounded struct {
	http.RoundTripper
	most int64
}

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	w, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		w.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(w.Body, b.most), w.Body}
	}
	return w, err
}
