package runtimecli

import (
	"path"
	"slices"
	"strings"
)

// substituted is the word that a shell puts in the place of <(…).
const substituted = "/dev/fd/63"

// maxVars bounds the variables of a script that are kept.
const maxVars = 256

// aliased stands before the names of aliases among the variables.
const aliased = "alias "

// maxNested bounds substitutions within substitutions whose output is worked out.
const maxNested = 6

// splits reports whether an expansion ends a word at c.
func (u *unwrapper) splits(c byte) bool {
	if c == ' ' || c == '\t' || c == '\n' || u == nil || len(u.vars) == 0 {
		return c == ' ' || c == '\t' || c == '\n'
	}
	ifs, _ := u.variable("IFS")
	return strings.IndexByte(ifs, c) >= 0
}

// expand returns the expansion at s[i]: its value, if that is known, or else as it is
// written; the script inside a command substitution; and the index of the last byte.
// within says that it is not the first part of its word.
func (u *unwrapper) expand(s string, i int, params []string, within bool) (value, inner string, last int, known bool) {
	name := ""
	switch {
	case s[i] == '`':
		end := strings.IndexByte(s[i+1:], '`')
		if end < 0 {
			return s[i:], s[i+1:], len(s) - 1, false
		}
		last = i + 1 + end
		inner = s[i+1 : last]
	case strings.HasPrefix(s[i:], "$("):
		inner, last = parenthesised(s, i+1)
		if strings.HasPrefix(inner, "(") { // $((1+1))
			inner = ""
		}
	case strings.HasPrefix(s[i:], "${"):
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return s[i:], "", len(s) - 1, false
		}
		last, name = i+end, s[i+2:i+end]
	default:
		last = i
		for last+1 < len(s) {
			c := s[last+1]
			if c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
				last++
				if last == i+1 && c >= '0' && c <= '9' {
					break
				}
				continue
			}
			if last == i && strings.IndexByte("@*#?$!-", c) >= 0 {
				last++
			}
			break
		}
		name = s[i+1 : last+1]
	}
	raw := s[i : last+1]
	switch {
	case inner != "":
		if out, ok := u.substitute(inner); ok {
			return out, inner, last, true
		}
		return raw, inner, last, false
	case name == "":
		return raw, "", last, false
	case name == "@" || name == "*":
		switch {
		case params == nil:
			return raw, "", last, false
		case len(params) < 2 && (within || last+1 < len(s) && ordinary[s[last+1]]):
			return "", "", last, true // c$@tr
		}
		return raw, "", last, true // whoever ends the word knows it
	case len(name) == 1 && name[0] >= '0' && name[0] <= '9':
		n := int(name[0] - '0')
		switch {
		case params == nil || n == 0 && len(params) == 0:
			return raw, "", last, false
		case n < len(params):
			return params[n], "", last, true
		}
		return "", "", last, true
	}
	// ${NAME:-WORD}, ${NAME:=WORD}
	sign := -1
	if strings.HasPrefix(raw, "${") {
		sign = strings.IndexAny(name, "-=")
	}
	otherwise, colon := "", sign >= 0
	if colon {
		if name, otherwise = name[:sign], name[sign+1:]; u != nil && raw[2+sign] == '=' {
			defer func() { u.vars = append(u.vars, strings.TrimSuffix(name, ":")+"="+value) }()
		}
	}
	name = strings.TrimSuffix(name, ":")
	if v, ok := u.variable(name); ok && (v != "" || otherwise == "") {
		return v, "", last, true
	}
	if colon && assignment(name+"=") && strings.IndexFunc(otherwise, func(r rune) bool { return r >= 128 || !ordinary[r] }) < 0 {
		return otherwise, "", last, false
	}
	return raw, "", last, false
}

// variable returns the value of a shell's variable.
func (u *unwrapper) variable(name string) (string, bool) {
	if u == nil {
		return "", false
	}
	for _, list := range [...][]string{u.vars, u.env} {
		for _, kv := range slices.Backward(list) {
			if len(kv) > len(name) && kv[len(name)] == '=' && kv[:len(name)] == name {
				v := kv[len(name)+1:]
				if strings.ContainsAny(v, "$`") || !u.spend(len(v)) {
					return "", false // it was not known itself
				}
				return v, true
			}
		}
	}
	if name == "IFS" {
		return " \t\n", true
	}
	return "", false
}

// substitute returns what $(…) writes, without the newlines at its end.
func (u *unwrapper) substitute(script string) (string, bool) {
	if u == nil || u.nested >= maxNested || !u.spend(len(script)) {
		return "", false
	}
	u.nested++
	out, ok := u.written(script)
	u.nested--
	return strings.TrimRight(out, "\n"), ok
}

// spend takes n bytes from what may be made of a line; false when nothing is left.
func (u *unwrapper) spend(n int) bool {
	if n > maxScript-u.work {
		return false
	}
	u.work += n
	return true
}

// remember keeps what a command does to the shell itself: its variables, and the
// positional parameters, which it returns.
func (u *unwrapper) remember(c *simple, params []string) []string {
	if u == nil {
		return params
	}
	if len(u.vars) > maxVars {
		u.vars = slices.Clone(u.vars[len(u.vars)-maxVars/2:])
	}
	if len(c.words) == 0 {
		u.vars = append(u.vars, c.assign...)
		return params
	}
	switch rest := c.words[1:]; c.words[0] {
	case "export", "declare", "typeset", "readonly", "local":
		for _, w := range rest {
			if assignment(w) {
				u.vars = append(u.vars, w)
			}
		}
	case "read":
		// NAME… get the words of a line, the last one the rest.
		line, _, _ := strings.Cut(c.stdin, "\n")
		for i := 0; c.fed && i < len(rest); i++ {
			if strings.HasPrefix(rest[i], "-") {
				continue
			}
			word := strings.TrimSpace(line)
			if i+1 < len(rest) {
				word, line, _ = strings.Cut(word, " ")
			}
			u.vars = append(u.vars, rest[i]+"="+word)
		}
	case "alias":
		for _, w := range rest {
			if assignment(w) {
				u.vars = append(u.vars, aliased+w)
			}
		}
	case "for":
		// A loop over one word, or over tools, of which one turn stands for all.
		if len(rest) > 2 && rest[1] == "in" {
			i := slices.IndexFunc(rest, func(w string) bool { return classify(base(w)) == kindTool })
			if i < 0 && len(rest) == 3 {
				i = 2
			}
			if i > 1 {
				u.vars = append(u.vars, rest[0]+"="+rest[i])
			}
		}
	case "shift":
		n := 1
		if len(rest) > 0 && len(rest[0]) == 1 && digits(rest[0]) {
			n = int(rest[0][0] - '0')
		}
		if len(params) > 0 {
			return append(params[:1:1], params[min(1+n, len(params)):]...)
		}
	case "set":
		if len(rest) > 0 && rest[0] == "--" {
			return append([]string{"sh"}, rest[1:]...)
		}
	}
	return params
}

// globbed returns the tool that a pattern in the place of a command finds: /usr/bin/c?r.
func globbed(word string) string {
	pattern := base(word)
	if len(strings.Trim(pattern, "*?[]")) < 2 || !strings.ContainsAny(pattern, "*?[") {
		return ""
	}
	found := ""
	for name, n := range names {
		if ok, err := path.Match(pattern, name); ok && err == nil && n.kind == kindTool && (found == "" || name < found) {
			found = name
		}
	}
	return found
}
