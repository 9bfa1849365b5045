package runtimecli

import (
	"bytes"
	"compress/gzip"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"strings"
)

// coders are the programs whose output is known from their input, and is not it.
var coders = newWordSet("base64", "base32", "xxd", "openssl", "rev", "gunzip", "zcat")

// written returns what a script writes, as far as its last command tells.
func (u *unwrapper) written(script string) (out string, known bool) {
	vars := slices.Clip(u.vars)
	splitScript(script, nil, u, func(c simple) {
		if !c.fed && c.piped && known {
			c.stdin, c.fed = out, true
		}
		if out, known = u.output(&c); !u.spend(len(out)) {
			out, known = "", false
		}
	})
	u.vars = vars
	return out, known
}

// output returns what a simple command writes, if that depends on nothing that is not
// on the line.
func (u *unwrapper) output(c *simple) (string, bool) {
	if len(c.words) == 0 || c.open {
		return "", false
	}
	args := c.words[1:]
	switch name := base(c.words[0]); name {
	case "which", "command", "type":
		if len(args) > 0 && (name == "which" || args[0] == "-v" || args[0] == "-p" || args[0] == "-P") {
			return args[len(args)-1] + "\n", true // its place does not matter
		}
		return "", false
	case "echo":
		escapes, end := false, "\n"
		for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "neE") == "" {
			escapes = escapes || strings.Contains(args[0], "e")
			if strings.Contains(args[0], "n") {
				end = ""
			}
			args = args[1:]
		}
		text := strings.Join(args, " ")
		if escapes {
			text = unescaped(text)
		}
		return text + end, true
	case "printf":
		if len(args) > 0 && args[0] == "--" {
			args = args[1:]
		}
		if len(args) == 0 {
			return "", false
		}
		return printed(args[0], args[1:])
	case "cat", "tee", "pv", "sponge":
		// What is read goes on as it is; tee's files are copies.
		if name != "tee" && len(args) == 1 && args[0] == substituted && c.file != "" {
			return u.substitute(c.file)
		}
		for _, a := range args {
			if name == "cat" && a != "-" && a != "-u" && a != "/dev/stdin" {
				return "", false
			}
		}
		return c.stdin, c.fed
	}
	if !c.fed {
		return "", false
	}
	decodes := slices.ContainsFunc(args, func(a string) bool {
		return a == "--decode" || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.ContainsAny(a, "dDr")
	})
	packed := strings.Join(strings.Fields(c.stdin), "")
	switch base(c.words[0]) {
	case "base64", "openssl":
		if decodes && (base(c.words[0]) == "base64" || slices.ContainsFunc(args, func(a string) bool { return strings.TrimLeft(a, "-") == "base64" })) {
			b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(packed, "="))
			return string(b), err == nil
		}
	case "base32":
		if decodes {
			b, err := base32.StdEncoding.DecodeString(packed)
			return string(b), err == nil
		}
	case "xxd":
		if decodes {
			b, err := hex.DecodeString(packed)
			return string(b), err == nil
		}
	case "head", "tail", "sort", "uniq", "grep":
		return c.stdin, true // some of its lines, in some order
	case "tr":
		if len(args) == 2 && args[0] != "" && args[0][0] != '-' {
			return translated(c.stdin, args[0], args[1]), true
		}
	case "sed":
		if len(args) == 1 || len(args) == 2 && args[0] == "-e" {
			return replaced(c.stdin, args[len(args)-1])
		}
	case "rev":
		lines := strings.Split(strings.TrimSuffix(c.stdin, "\n"), "\n")
		for i, l := range lines {
			b := []byte(l)
			slices.Reverse(b)
			lines[i] = string(b)
		}
		return strings.Join(lines, "\n") + "\n", true
	case "gunzip", "zcat", "gzip":
		if base(c.words[0]) != "gzip" || decodes {
			r, err := gzip.NewReader(bytes.NewReader([]byte(c.stdin)))
			if err != nil {
				return "", false
			}
			b, err := io.ReadAll(io.LimitReader(r, maxScript+1))
			return string(b), err == nil
		}
	}
	return "", false
}

// printed returns what printf writes: the format is used again until all arguments are.
func printed(format string, args []string) (string, bool) {
	var out strings.Builder
	for turn := 0; turn == 0 || len(args) > 0; turn++ {
		before := len(args)
		rest := format
		for {
			text, after, ok := strings.Cut(rest, "%")
			out.WriteString(unescaped(text))
			if !ok {
				break
			}
			if after == "" || out.Len() > maxScript {
				return "", false
			}
			verb := after[0]
			if rest = after[1:]; verb == '%' {
				out.WriteByte('%')
				continue
			}
			arg := ""
			if len(args) > 0 {
				arg, args = args[0], args[1:]
			}
			switch verb {
			case 's', 'd', 'i', 'u':
				out.WriteString(arg)
			case 'b':
				out.WriteString(unescaped(arg))
			case 'c':
				out.WriteString(arg[:min(1, len(arg))])
			default: // a width, or a form of a number
				return "", false
			}
		}
		if len(args) == before {
			break // no argument was asked for
		}
	}
	return out.String(), true
}

// translated does what tr does with two sets of letters and ranges.
func translated(text, from, to string) string {
	spread := func(set string) []byte {
		set = unescaped(set)
		var out []byte
		for i := 0; i < len(set); i++ {
			if i+2 < len(set) && set[i+1] == '-' && set[i] <= set[i+2] {
				for b := int(set[i]); b <= int(set[i+2]); b++ {
					out = append(out, byte(b))
				}
				i += 2
				continue
			}
			out = append(out, set[i])
		}
		return out
	}
	var table [256]byte
	for i := range table {
		table[i] = byte(i)
	}
	a, b := spread(from), spread(to)
	if len(b) == 0 {
		return text
	}
	for i, c := range a {
		table[c] = b[min(i, len(b)-1)]
	}
	out := []byte(text)
	for i, c := range out {
		out[i] = table[c]
	}
	return string(out)
}

// replaced does what sed does with s/OLD/NEW/ where OLD is no pattern.
func replaced(text, script string) (string, bool) {
	if len(script) < 4 || script[0] != 's' {
		return "", false
	}
	part := strings.Split(script[2:], script[1:2])
	if len(part) != 3 || part[0] == "" || strings.ContainsAny(part[0], `.*[]^$\+?()`) || strings.ContainsAny(part[1], `\&`) {
		return "", false
	}
	n := 1 // in each line
	if strings.Contains(part[2], "g") {
		n = -1
	}
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		lines[i] = strings.Replace(l, part[0], part[1], n)
	}
	return strings.Join(lines, ""), true
}

// unescaped reads the backslashes of echo -e and printf.
func unescaped(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out []byte
	for i, part := range strings.Split(s, "'") { // that ends a $'…'
		if i > 0 {
			out = append(out, '\'')
		}
		out, _ = ansiQuoted(out, part, 0)
	}
	return string(out)
}
