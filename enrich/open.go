package enrich

import (
	"slices"
	"strings"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// maxOpen bounds the text of a call that is remembered to be found again.
const maxOpen = 4096

// openCall is the call of a wrapper whose line leaves to the shell, to xargs or to find
// some of its words: $C, $(crictl ps -q), {}. It is "" for any other call, which the
// wrapped program repeats to the letter.
func openCall(c *runtimecli.Call) string {
	if len(c.Via) == 0 {
		return ""
	}
	more := ""
	if slices.ContainsFunc(c.Via, func(w string) bool { return w == "xargs" || w == "parallel" }) {
		more = "more" // words that follow those of the line
	}
	open := more != "" || c.Confidence == runtimecli.Partial
	for _, words := range [...][]string{c.Containers(), c.Pods(), c.Images(), c.Payload, {c.Namespace}} {
		open = open || slices.ContainsFunc(words, func(w string) bool { return expands(w) >= 0 })
	}
	if !open {
		return ""
	}
	parts := make([]string, 0, 8)
	for _, words := range [...][]string{{more, c.IdentifiedBy, handed.Replace(c.Command), c.Namespace}, c.Behaviours, c.HostAccess, c.Containers(), c.Pods(), c.Images(), c.Payload} {
		parts = append(parts, strings.Join(words, "\x00"))
	}
	text := strings.Join(parts, "\x01")
	if len(text) > maxOpen || strings.Count(text, "\x01") != len(parts)-1 {
		return ""
	}
	return text
}

// expands is where in a word something else is put in its place, or -1.
func expands(word string) int {
	at := strings.IndexAny(word, "$`")
	if braces := strings.Index(word, "{"); braces >= 0 && (at < 0 || braces < at) && strings.Contains(word[braces:], "}") {
		at = braces
	}
	return at
}

// cameOf reports whether a call is what an open one became: its words with others in
// the place of what was open, and nothing that the line did not say of what it does and
// reaches of the host.
func cameOf(c *runtimecli.Call, open string) bool {
	parts := strings.Split(open, "\x01")
	words := func(i int) []string {
		if parts[i] == "" {
			return nil
		}
		return strings.Split(parts[i], "\x00")
	}
	head := words(0)
	more := head[0] != ""
	if c.IdentifiedBy != head[1] || handed.Replace(c.Command) != head[2] || !fits([]string{c.Namespace}, head[3:4], false) {
		return false
	}
	within := func(some, all []string) bool {
		return !slices.ContainsFunc(some, func(w string) bool { return !slices.Contains(all, w) })
	}
	if !within(c.Behaviours, words(1)) || !within(c.HostAccess, words(2)) {
		return false
	}
	for i, names := range [...][]string{c.Containers(), c.Pods(), c.Images()} {
		// A name that is open may be the parser's to leave out.
		if said := words(3 + i); len(said) > 0 && !fits(names, said, true) {
			return false
		}
	}
	return fits(c.Payload, words(6), more)
}

// fits reports whether words are what a pattern of words became. What is open may have
// become any number of words; with more, others may follow.
func fits(words, pattern []string, more bool) bool {
	for len(pattern) > 0 {
		at := expands(pattern[0])
		if at < 0 {
			if len(words) == 0 || words[0] != pattern[0] {
				return false
			}
			words, pattern = words[1:], pattern[1:]
			continue
		}
		if len(words) > 0 && !strings.HasPrefix(words[0], pattern[0][:at]) {
			return false
		}
		// The rest is found from the first place where it begins: one that fits a later
		// place alone is told as an act of its own.
		pattern = pattern[1:]
		if len(pattern) == 0 {
			return true
		}
		if expands(pattern[0]) < 0 {
			next := slices.Index(words, pattern[0])
			if next < 0 {
				return false
			}
			words = words[next:]
		}
	}
	return more || len(words) == 0
}
