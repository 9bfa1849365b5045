package runtimecli

import "strings"

// maxScript bounds how much of a shell script is looked at.
const maxScript = 64 << 10

// A simple is a simple command of a shell script.
type simple struct {
	assign []string // NAME=value before the command
	words  []string
	inner  []string // scripts of $(…), `…` and <(…)
	file   string   // the script of <(…), which leaves the word /dev/fd/63
	to     string   // the file that its output goes to
	open   bool     // a variable or pattern was left as written
	stdin  string   // of a here-document or here-string, if it is fed
	fed    bool
	piped  bool // its standard input is what the command before it writes,
	pipes  bool // and its output what the one after it reads
}

// splitScript calls emit for each simple command of a POSIX shell script: what
// stands between ;, &, |, &&, ||, newlines and parentheses, without redirections,
// keywords and quotes. Parameters, variables and substitutions are replaced by what
// they are known to be, else left as they are; u, which may be nil, knows. It never
// fails: what is no proper script is split as far as it goes.
func splitScript(s string, params []string, u *unwrapper, emit func(simple)) {
	var c simple
	var buf [128]byte
	word := buf[:0]
	var all []string // the words of all commands, so far
	begin := 0       // of the word, in s
	inWord, quoted, skipWord, toFile, named := false, false, false, false, false
	cases, subject, pattern := 0, false, false // of case … in …) …;; esac
	heredocs := []string(nil)
	wantHeredoc, wantString := false, false
	bodies := 0 // where the bodies of here-documents of this line go on, once known

	endWord := func() {
		if !inWord {
			return
		}
		var w string
		if end := begin + len(word); end <= len(s) && s[begin:end] == string(word) {
			w = s[begin:end] // as it is written, which most words are
		} else {
			w = string(word)
		}
		word, inWord = word[:0], false
		wasQuoted := quoted
		quoted = false
		if wantHeredoc {
			heredocs, wantHeredoc = append(heredocs, w), false
			if bodies == 0 {
				if bodies = strings.IndexByte(s[begin:], '\n') + begin; bodies < begin {
					bodies = len(s)
				}
			}
			from := min(bodies+1, len(s))
			bodies = skipHeredoc(s, bodies, w)
			c.stdin, c.fed = s[from:max(from, min(bodies, len(s)))], true
			if body, ok := strings.CutSuffix(strings.TrimSuffix(c.stdin, "\n"), w); ok {
				c.stdin = body
			}
			return
		}
		if wantString {
			c.stdin, c.fed, wantString = w, true, false
			return
		}
		if skipWord {
			if skipWord = false; toFile {
				c.to, toFile = w, false
			}
			return
		}
		switch {
		case subject:
			subject = w != "in"
			pattern = !subject
			return
		case pattern:
			if w == "esac" {
				pattern = false
				cases--
			}
			return
		}
		if named { // a function
			named = false
			return
		}
		if len(c.words) == 0 {
			if !wasQuoted && keywords[w] {
				switch w {
				case "function":
					named = true
				case "case":
					subject = true
					cases++
				case "esac":
					cases = max(0, cases-1)
				}
				return
			}
			if assignment(w) {
				c.assign = append(c.assign, w)
				return
			}
		}
		if params != nil && (w == "$@" || w == "$*") {
			c.words = append(c.words, params[min(1, len(params)):]...)
			return
		}
		if len(c.words) == 0 {
			if all == nil {
				all = make([]string, 0, min(strings.Count(s, " ")+2, 64))
			}
			c.words = all[len(all):]
		}
		if !wasQuoted && w[0] == '{' && w[len(w)-1] == '}' && strings.IndexByte(w, ',') > 0 {
			c.words = append(c.words, strings.Split(w[1:len(w)-1], ",")...) // {ctr,run,…}
			return
		}
		c.words = append(c.words, w)
	}
	endCommand := func() {
		endWord()
		skipWord, toFile, named = false, false, false
		if len(c.words) > 0 || len(c.assign) > 0 || len(c.inner) > 0 {
			params = u.remember(&c, params)
			if len(c.words) > 0 && c.words[0] == "for" {
				c.words = nil
			}
			if n := len(all) + len(c.words); n <= cap(all) {
				all = all[:n]
				c.words = c.words[:len(c.words):len(c.words)]
			}
			emit(c)
			c = simple{}
		}
		c = simple{piped: c.piped}
	}

	for i := 0; i < len(s); i++ {
		if !inWord {
			begin = i
		}
		switch b := s[i]; b {
		case ' ', '\t', '\r':
			endWord()
		case '\n':
			endCommand()
			if subject && !strings.HasPrefix(strings.TrimLeft(s[i+1:min(len(s), i+65)], " \t\n"), "in") {
				subject, cases = false, cases-1 // a case of fish's
			}
			for _, end := range heredocs {
				i = skipHeredoc(s, i, end)
			}
			heredocs, bodies = nil, 0
		case ';', '(', ')':
			endCommand()
			switch c.piped = false; {
			case subject:
				subject, cases = false, cases-1
			case b == ')':
				pattern = false
			case b == ';' && cases > 0 && i+1 < len(s) && (s[i+1] == ';' || s[i+1] == '&'): // ;; and ;&
				i++
				pattern = true
			}
		case '|':
			if pattern {
				endWord()
				continue
			}
			pipe := i+1 >= len(s) || s[i+1] != '|'
			endWord()
			c.pipes = pipe
			endCommand()
			if c.piped = pipe; !pipe || i+1 < len(s) && s[i+1] == '&' { // || and |&
				i++
			}
		case '&':
			if i+1 < len(s) && s[i+1] == '>' { // &>file
				endWord()
				i++
				skipWord = true
				continue
			}
			if i > 0 && (s[i-1] == '>' || s[i-1] == '<') { // 2>&1
				continue
			}
			endCommand()
			c.piped = false
		case '>', '<':
			if inWord && !quoted && digits(string(word)) { // 2>
				word, inWord = word[:0], false
			}
			endWord()
			if b == '<' && strings.HasPrefix(s[i:], "<<") && !strings.HasPrefix(s[i:], "<<<") {
				i++
				if i+1 < len(s) && s[i+1] == '-' {
					i++
				}
				wantHeredoc = true
				continue
			}
			if b == '<' && strings.HasPrefix(s[i:], "<<<") {
				i += 2
				wantString = true
				continue
			}
			if i+1 < len(s) && s[i+1] == '(' { // <(…)
				inner, end := parenthesised(s, i+1)
				c.inner, c.file = append(c.inner, inner), inner
				skipWord = false // sh < <(…) reads it as well
				word, inWord, quoted = append(word, substituted...), true, true
				i = end
				endWord()
				continue
			}
			skipWord, toFile = true, b == '>'
			for i+1 < len(s) && (s[i+1] == '>' || s[i+1] == '<' || s[i+1] == '|' || s[i+1] == '&') {
				i++
			}
			if i+1 < len(s) && s[i] == '&' && s[i+1] >= '0' && s[i+1] <= '9' { // >&1
				i++
				skipWord, toFile = false, false
			}
		case '#':
			if inWord {
				word = append(word, b)
				continue
			}
			for i+1 < len(s) && s[i+1] != '\n' {
				i++
			}
		case '\\':
			if i+1 < len(s) {
				i++
				if s[i] != '\n' {
					word, inWord = append(word, s[i]), true
					quoted = true
				}
			}
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				end = len(s) - i - 1
				c.open = true
			}
			word, inWord, quoted = append(word, s[i+1:i+1+end]...), true, true
			i += end + 1
		case '"':
			inWord, quoted = true, true
			for i++; i < len(s) && s[i] != '"'; i++ {
				switch {
				case s[i] == '\\' && i+1 < len(s) && strings.IndexByte("$`\"\\\n", s[i+1]) >= 0:
					i++
					if s[i] != '\n' {
						word = append(word, s[i])
					}
				case s[i] == '$' || s[i] == '`':
					value, inner, last, known := u.expand(s, i, params, len(word) > 0)
					if i = last; inner != "" {
						c.inner = append(c.inner, inner)
					}
					word = append(word, value...)
					c.open = c.open || !known
				default:
					word = append(word, s[i])
				}
			}
		case '$', '`':
			if b == '$' && i+1 < len(s) && (s[i+1] == '\'' || s[i+1] == '"') {
				inWord = true
				if s[i+1] == '"' {
					continue // $"…" is "…"
				}
				word, i = ansiQuoted(word, s, i+2)
				quoted = true
				continue
			}
			raw := i
			value, inner, last, known := u.expand(s, i, params, len(word) > 0)
			if i = last; inner != "" {
				c.inner = append(c.inner, inner)
			}
			c.open = c.open || !known
			if value == s[raw:last+1] { // as it is written
				word, inWord = append(word, value...), true
				continue
			}
			// A value ends words at its blanks, and can be no keyword.
			for j := range len(value) {
				if u.splits(value[j]) && !wantString && !assignment(string(word)) {
					endWord()
					continue
				}
				word, inWord, quoted = append(word, value[j]), true, true
			}
		default:
			// Fast path: most bytes stand for themselves.
			end := i + 1
			for end < len(s) && ordinary[s[end]] {
				end++
			}
			word, inWord = append(word, s[i:end]...), true
			i = end - 1
		}
	}
	endCommand()
}

// ordinary are bytes that no shell does anything with.
var ordinary = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_./:=,@%+", byte(c)) >= 0
	}
	return t
}()

// parenthesised returns what is between the parenthesis at s[i] and its partner,
// and the index of the partner.
func parenthesised(s string, i int) (inner string, last int) {
	depth := 0
	for j := i; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case '\'':
			if end := strings.IndexByte(s[j+1:], '\''); end >= 0 {
				j += end + 1
			}
		case '"':
			for j++; j < len(s) && s[j] != '"'; j++ {
				if s[j] == '\\' {
					j++
				}
			}
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1 : j], j
			}
		}
	}
	return s[min(i+1, len(s)):], len(s) - 1
}

// ansiQuoted reads $'…' from after its quote.
func ansiQuoted(word []byte, s string, i int) ([]byte, int) {
	for ; i < len(s) && s[i] != '\''; i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			word = append(word, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			word = append(word, '\n')
		case 't':
			word = append(word, '\t')
		case 'x':
			v, n := 0, 0
			for n < 2 && i+1 < len(s) && hexDigit(s[i+1]) >= 0 {
				i++
				n++
				v = v*16 + hexDigit(s[i])
			}
			word = append(word, byte(v))
		case '0', '1', '2', '3', '4', '5', '6', '7':
			v := int(s[i] - '0')
			for n := 1; n < 3 && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '7'; n++ {
				i++
				v = v*8 + int(s[i]-'0')
			}
			word = append(word, byte(v))
		default:
			word = append(word, s[i])
		}
	}
	return word, i
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// skipHeredoc returns the index of the newline that ends the line "end" after s[i].
func skipHeredoc(s string, i int, end string) int {
	for i < len(s) {
		line := s[i+1:]
		n := strings.IndexByte(line, '\n')
		if n < 0 {
			n = len(line)
		}
		i += n + 1
		if strings.TrimLeft(line[:n], "\t") == end || i >= len(s) {
			break
		}
	}
	return i
}

var keywords = map[string]bool{
	"if": true, "then": true, "else": true, "elif": true, "fi": true, "do": true, "done": true, "while": true, "until": true,
	"case": true, "esac": true, "{": true, "}": true, "!": true, "function": true, "in": true, "coproc": true,
}
