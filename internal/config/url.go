package config

import (
	"regexp"
	"strings"

	"github.com/orlop/orlop/eql/syntax"
)

var (
	// anyURL is a URL in a text, as far as a blank.
	anyURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://\S+`)
	// wholeURL is a text that is one.
	wholeURL = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://\S+$`)
	// plainElement is what the first element of a path may be, to be no secret: services,
	// api, v2, workflows.
	plainElement = regexp.MustCompile(`^[a-z][a-z_-]{0,19}[0-9]{0,2}$`)
	plainKey     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,31}$`)
)

// Redacted is a URL without what may be a secret in it: what is in front of its host, its
// path beyond the first element, and that too if it is no word, and the values of its query.
// The host is left to recognise it by.
func Redacted(url string) string {
	var b strings.Builder
	from := 0
	for _, at := range SecretsOf(url) {
		b.WriteString(url[from:at.Start])
		b.WriteString(hidden)
		from = at.End
	}
	return b.String() + url[from:]
}

// SecretsOf are the parts of a URL that may be secrets, in their order. What is no URL has
// none.
func SecretsOf(url string) []syntax.Range {
	at := strings.Index(url, "://")
	if at < 0 {
		return nil
	}
	at += len("://")
	var secrets []syntax.Range
	hide := func(start, end int) {
		if start < end {
			secrets = append(secrets, syntax.Range{Start: start, End: end})
		}
	}
	// upTo is where the first of the signs is, or the end.
	upTo := func(from int, signs string) int {
		if i := strings.IndexAny(url[from:], signs); i >= 0 {
			return from + i
		}
		return len(url)
	}
	host := upTo(at, "/?#")
	if user := strings.LastIndexByte(url[at:host], '@'); user >= 0 {
		hide(at, at+user)
	}
	at = host
	if at < len(url) && url[at] == '/' {
		path := upTo(at, "?#")
		first := upTo(at+1, "/?#")
		if at+1 < first && !plainElement.MatchString(url[at+1:first]) {
			first = at
		}
		hide(min(first+1, path), path)
		at = path
	}
	if at < len(url) && url[at] == '?' {
		for query := upTo(at, "#"); at < query; {
			begin := at + 1
			at = min(upTo(begin, "&#"), query)
			key := min(upTo(begin, "=&#"), at)
			if key < at && plainKey.MatchString(url[begin:key]) {
				begin = key + 1
			}
			hide(begin, at)
		}
	}
	if at < len(url) {
		hide(at+1, len(url)) // after #
	}
	return secrets
}
