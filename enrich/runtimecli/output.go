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
	splitScript(script, nil, func(c simple) {
		if !c.fed && c.piped && known {
			c.stdin, c.fed = out, true
		}
		if out, known = output(&c); len(out) > maxScript-u.work {
			out, known = "", false
		}
		u.work += len(out)
	})
	return out, known
}

// output returns what a simple command writes, if that depends on nothing that is not
// on the line.
func output(c *simple) (string, bool) {
	if len(c.words) == 0 || c.open || len(c.inner) > 0 {
		return "", false
	}
	args := c.words[1:]
	switch name := base(c.words[0]); name {
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
		switch {
		case len(args) == 0:
		case !strings.Contains(args[0], "%"):
			return unescaped(args[0]), true
		case strings.Contains("%s%b", strings.TrimSuffix(args[0], `\n`)):
			return unescaped(strings.Join(args[1:], "")), true
		}
		return "", false
	}
	if !c.fed {
		return "", false
	}
	decodes := slices.ContainsFunc(args, func(a string) bool {
		return a == "--decode" || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.ContainsAny(a, "dDr")
	})
	packed := strings.Join(strings.Fields(c.stdin), "")
	switch base(c.words[0]) {
	case "cat":
		return c.stdin, len(args) == 0
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
