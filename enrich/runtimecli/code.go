package runtimecli

import (
	"encoding/base64"
	"slices"
	"strings"
)

// maxCall bounds how far back the name of the call is looked for that a string stands in.
const maxCall = 512

// libraries are what the clients of a runtime's API are called in other languages:
// docker-py and podman-py, dockerode, docker-api.
var libraries = []string{"docker.from_env(", "docker.DockerClient(", "docker.APIClient(", "PodmanClient(", "'dockerode'", `"dockerode"`, "Docker::Container", "Docker::Image"}

// interpreter takes the code that an interpreter is given on its line or to read, or a
// tool that is a script of its language.
func (u *unwrapper) interpreter(name string, args []string, depth int) {
	if name == "awk" || name == "gawk" || name == "mawk" || name == "nawk" {
		for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
			if args[0] == "-f" {
				return // the program is in a file
			}
			if (args[0] == "-v" || args[0] == "-F") && len(args) > 1 {
				args = args[1:]
			}
			args = args[1:]
		}
		if len(args) > 0 {
			u.code(name, args[0], depth)
		}
		return
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "eval" && name == "deno" && i+1 < len(args) {
			u.code(name, args[len(args)-1], depth)
			return
		}
		if len(a) < 2 || a[0] != '-' {
			if a == "-" {
				break
			}
			if classify(base(a)) == kindTool {
				u.words(args[i:], depth)
			}
			return
		}
		opt, value, eq := strings.Cut(strings.TrimLeft(a, "-"), "=")
		long := strings.HasPrefix(a, "--") || opt == "eval" || strings.EqualFold(opt, "command") // as erl and pwsh have them
		last := opt[max(0, len(opt)-1):]
		switch {
		case opt == "m" && name == "python":
			return // a module
		case long && (opt == "eval" || opt == "print" || opt == "run" || strings.EqualFold(opt, "command")), !long && (last == "c" && name != "perl" && name != "ruby" && name != "ghc" && name != "elixir" || last == "e" || last == "E" || last == "r" && name == "php" || opt == "p" && name == "node"):
			if !eq || !long {
				if i+1 >= len(args) {
					return
				}
				i++
				value = args[i]
			}
			u.code(name, value, depth)
			if name == "perl" || name == "ruby" || name == "expect" {
				continue // it may be given in pieces
			}
			return
		}
	}
	if u.fed {
		text := u.stdin
		u.stdin, u.fed = "", false
		u.code(name, text, depth)
	}
}

// code looks at the strings of a program in another language that are given to what
// starts processes: system("…"), subprocess.run([…, …]), exec qw(…), `…`; and at those
// that name a runtime's socket. No language is parsed; strings, and the calls that they
// stand in, are alike in most.
func (u *unwrapper) code(lang, s string, depth int) {
	u.partial = true
	if len(s) > maxScript {
		s = s[:maxScript]
	}
	if lang == "expect" || lang == "tclsh" || lang == "pwsh" || lang == "powershell" {
		u.script(strings.TrimLeft(s, "& "), nil, depth) // its commands are words
		return
	}
	before := len(u.calls)
	defer func() {
		if len(u.calls) == before && containsAny(s, libraries...) {
			u.speaks(lang, "")
		}
		if pid := entersInCode(s); pid != "" && len(u.calls) == before {
			c := Call{Tool: lang, IdentifiedBy: "name", Command: lang, Behaviours: []string{"namespace-enter"}, Entered: []string{"root"}}
			if pid != "?" {
				c.Target = pid
			}
			u.itself(c)
		}
	}()
	var list []string // strings in a row
	var start, end int
	flush := func() {
		if len(list) == 0 {
			return
		}
		words := list
		list = nil
		if name := assigned(s[:start]); name != "" {
			// c = […]; run(c)
			for at, n := end, 0; n < 8; n++ {
				i := strings.Index(s[at:], name)
				if i < 0 {
					break
				}
				i, at = at+i, at+i+len(name)
				if !alphanumeric(s[i-1]) && (at == len(s) || !alphanumeric(s[at]) && s[at] != '=') && slices.ContainsFunc(callers(s[max(0, i-maxCall):i]), starts) {
					start = i
					break
				}
			}
		}
		after := strings.TrimLeft(s[end:], " \t\n")
		runs, looks := strings.HasPrefix(after, ".execute(") || strings.HasPrefix(after, ".!"), false // Groovy's and Scala's
		for _, name := range callers(s[max(0, start-maxCall):start]) {
			if containsAny(name, "b64decode", "base64_decode", "decode64", "atob") {
				for i, w := range words {
					if b, err := base64.StdEncoding.DecodeString(w); err == nil {
						words[i] = string(b)
					}
				}
			}
			if (name == "eval" || name == "exec" && lang == "python") && len(words) == 1 && u.nested < maxNested {
				u.nested++
				u.code(lang, words[0], depth)
				u.nested--
				return
			}
			runs = runs || starts(name)
			looks = looks || containsAny(name, "stat", "exist", "access", "isfile", "print", "puts", "echo")
			if name == "open" && len(words) > 0 {
				if w := strings.TrimSpace(words[0]); w == "-|" || w == "|-" {
					words, runs = words[1:], true
				} else if strings.HasPrefix(w, "|") || strings.HasSuffix(w, "|") {
					words, runs = []string{strings.Trim(w, "| ")}, true
				}
			}
		}
		if rest, ok := strings.CutPrefix(after, "|"); ok && strings.HasSuffix(lang, "awk") {
			rest = strings.TrimLeft(rest, ` "&`)
			to := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz/"))]
			runs = runs || to == "getline" || classify(base(to)) == kindShell
		}
		for _, w := range words {
			if !looks {
				u.socketIn(lang, w)
			}
		}
		switch {
		case !runs:
		case len(words) == 1:
			u.script(words[0], nil, depth)
		case len(words) > 1:
			if base(words[0]) == base(words[1]) { // execvp("ctr", ["ctr", …
				words = words[1:]
			}
			u.words(words, depth)
		}
	}
	shellish := lang == "perl" || lang == "ruby" || lang == "php" || lang == "julia"
	for i := 0; i < len(s); i++ {
		quote := -1
		if lang == "perl" && s[i] == 'q' {
			quote = perlQuote(s, i)
		}
		switch c := s[i]; {
		case c == '\'' || c == '"' || c == '`' || quote >= 0:
			var text string
			var last int
			if quote >= 0 {
				text, last = bracketed(s, quote)
			} else {
				text, last = literal(s, i)
			}
			if c == '`' && shellish {
				flush()
				u.script(text, nil, depth)
				i = last
				continue
			}
			gap := strings.TrimSpace(s[end:i])
			if len(list) > 0 && (gap == "+" || gap == "." || gap == "..") { // "do" + "cker"
				list[len(list)-1] += text
				i = last
				end = min(i+1, len(s))
				continue
			}
			if len(list) > 0 && strings.Trim(strings.Replace(gap, "args:", "", 1), " \t\n,[({") != "" {
				flush()
			}
			if len(list) == 0 {
				start = i
			}
			list = append(list, text)
			i = last
			end = min(i+1, len(s))
		case (c == 'q' && i+2 < len(s) && (s[i+1] == 'w' || s[i+1] == 'x') || c == '%' && i+2 < len(s) && (s[i+1] == 'x' || s[i+1] == 'w')) && strings.IndexByte("({[/|!", s[i+2]) >= 0 && (i == 0 || !alphanumeric(s[i-1])) && shellish:
			closing := s[i+2]
			if j := strings.IndexByte("({[", closing); j >= 0 {
				closing = ")}]"[j]
			}
			n := strings.IndexByte(s[i+3:min(len(s), i+3+maxValue)], closing)
			if n < 0 {
				continue
			}
			flush()
			text := s[i+3 : i+3+n]
			if s[i+1] == 'x' {
				u.script(text, nil, depth)
			} else {
				list, start, end = strings.Fields(text), i, i+3+n+1
				flush()
			}
			i += 3 + n
		}
	}
	flush()
}

// socketIn takes a string that names a runtime's socket by a path that is no other's, with
// what may come after it in a URL, for what its program speaks to.
func (u *unwrapper) socketIn(lang, w string) {
	end := strings.Index(w, ".sock")
	if end < 0 {
		return // Fast path: nearly no string names a socket.
	}
	end += len(".sock")
	if strings.HasPrefix(w[end:], ".ttrpc") {
		end += len(".ttrpc")
	}
	w = w[:end]
	if runtime, sure := Socket(w, u.cwd); runtime != "" && sure > Guess {
		u.speaks(lang, strings.TrimPrefix(w, "unix://"))
	}
}

// speaks adds the last of the wrappers as what it is then, a client on a runtime's socket.
func (u *unwrapper) speaks(name, address string) {
	via := u.via
	u.via = via[:max(0, len(via)-1)]
	u.add(Call{Tool: name, IdentifiedBy: "name", Command: name, Behaviours: []string{"socket-client"}, Address: address})
	u.via = via
}

// perlQuote returns where the delimiter of q{…} or qq{…} at s[i] is, or -1.
func perlQuote(s string, i int) int {
	at := i + 1
	if at < len(s) && s[at] == 'q' {
		at++
	}
	if at >= len(s) || strings.IndexByte("({[</|!", s[at]) < 0 || i > 0 && (alphanumeric(s[i-1]) || strings.IndexByte("$@%&_>", s[i-1]) >= 0) {
		return -1 // a name
	}
	return at
}

// bracketed returns what is between the delimiter at s[i] and its partner, and the index
// of that. Brackets nest.
func bracketed(s string, i int) (string, int) {
	opening, closing := s[i], s[i]
	if j := strings.IndexByte("({[<", opening); j >= 0 {
		closing = ")}]>"[j]
	}
	depth := 1
	for j := i + 1; j < min(len(s), i+1+maxValue); j++ {
		switch s[j] {
		case '\\':
			j++
		case closing:
			if depth--; depth == 0 {
				return s[i+1 : j], j
			}
		case opening:
			depth++
		}
	}
	return "", i // none: it is something else
}

// literal returns the string that begins at s[i], and the index of its last byte.
func literal(s string, i int) (string, int) {
	quote := s[i]
	if strings.HasPrefix(s[i:], strings.Repeat(string(quote), 3)) { // """…"""
		if n := strings.Index(s[i+3:min(len(s), i+3+maxValue)], s[i:i+3]); n >= 0 {
			return s[i+3 : i+3+n], i + 3 + n + 2
		}
	}
	var out []byte
	for j := i + 1; j < len(s); j++ {
		switch {
		case s[j] == quote:
			return string(out), j
		case s[j] == '\\' && j+1 < len(s):
			end := min(j+4, len(s))
			if s[j+1] != 'x' && (s[j+1] < '0' || s[j+1] > '7') {
				end = j + 2
			}
			var last int
			out, last = ansiQuoted(out, s[:end], j)
			for j < last-1 { // what it took
				j++
			}
		default:
			out = append(out, s[j])
		}
	}
	return string(out), len(s) - 1
}

// callers returns the names of the calls that the end of s stands in, in lower case
// and without what they are members of; or the word before it, if there is none.
func callers(s string) []string {
	var names []string
	depth := 0
	for i := len(s) - 1; i >= 0 && len(names) < 8; i-- {
		switch s[i] {
		case ')':
			depth++
		case '(':
			if depth > 0 {
				depth--
				continue
			}
			if name := lastName(s[:i]); name != "" {
				names = append(names, name)
			}
		case ';', '\n':
			if depth == 0 && len(names) > 0 {
				return names
			}
		}
	}
	return append(names, lastName(strings.TrimRight(s, " \t([{")))
}

func lastName(s string) string { return strings.ToLower(lastNameOf(s)) }

func lastNameOf(s string) string {
	s = strings.TrimRight(s, " \t")
	i := len(s)
	for i > 0 && (alphanumeric(s[i-1]) || s[i-1] == '_') {
		i--
	}
	return s[i:]
}

// starts reports whether a function of this name starts a process.
func starts(name string) bool {
	return name == "cmd" || containsAny(name, "system", "exec", "popen", "spawn", "run", "call", "check_", "output", "passthru", "shell", "command")
}

// assigned returns the name that a string at the end of s is assigned to.
func assigned(s string) string {
	s = strings.TrimRight(s, " \t[(")
	if !strings.HasSuffix(s, "=") || strings.HasSuffix(s, "==") {
		return ""
	}
	return lastNameOf(s[:len(s)-1])
}

func containsAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}
