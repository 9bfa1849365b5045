package expr

import (
	"strings"
	"unicode/utf8"
)

// A Pattern is a compiled wildcard: * is any run of characters, ? is exactly
// one, everything else is itself. The whole value must match.
type Pattern struct {
	text   string
	fold   bool // ASCII letters match in either case
	parts  []string
	anyOne bool // some part holds a ?
}

// Text is the wildcard as it was given.
func (p *Pattern) Text() string { return p.text }

// NewPattern compiles a wildcard.
func NewPattern(text string, fold bool) Pattern {
	p := Pattern{text: text, fold: fold, anyOne: strings.Contains(text, "?")}
	if fold {
		text = lowerASCII(text)
	}
	p.parts = strings.Split(text, "*")
	return p
}

// IsWildcard reports whether s holds a wildcard character.
func IsWildcard(s string) bool { return strings.ContainsAny(s, "*?") }

// Match reports whether the whole of s matches.
func (p *Pattern) Match(s string) bool {
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	n, ok := p.prefix(s, first)
	if !ok {
		return false
	}
	s = s[n:]
	if len(p.parts) == 1 {
		return s == ""
	}
	for _, part := range p.parts[1 : len(p.parts)-1] {
		at, n := p.index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+n:]
	}
	return p.suffix(s, last)
}

// prefix reports whether s begins with part, and how long that is.
func (p *Pattern) prefix(s, part string) (int, bool) {
	if !p.anyOne {
		if len(s) < len(part) {
			return 0, false
		}
		if p.fold {
			return len(part), equalLower(s[:len(part)], part)
		}
		return len(part), s[:len(part)] == part
	}
	i := 0
	for j := 0; j < len(part); j++ {
		if i >= len(s) {
			return 0, false
		}
		if part[j] == '?' {
			_, n := utf8.DecodeRuneInString(s[i:])
			i += n
			continue
		}
		c := s[i]
		if p.fold {
			c = lowerByte(c)
		}
		if c != part[j] {
			return 0, false
		}
		i++
	}
	return i, true
}

// index finds the first place in s that part begins at, and how long it is.
func (p *Pattern) index(s, part string) (at, n int) {
	if part == "" {
		return 0, 0
	}
	if !p.fold && !p.anyOne {
		return strings.Index(s, part), len(part)
	}
	for i := 0; i < len(s); {
		if n, ok := p.prefix(s[i:], part); ok {
			return i, n
		}
		if p.anyOne {
			_, w := utf8.DecodeRuneInString(s[i:])
			i += w
			continue
		}
		i++
	}
	return -1, 0
}

func (p *Pattern) suffix(s, part string) bool {
	if !p.anyOne {
		if len(s) < len(part) {
			return false
		}
		s = s[len(s)-len(part):]
		if p.fold {
			return equalLower(s, part)
		}
		return s == part
	}
	// Step back as many characters as the part has.
	i := len(s)
	for range utf8.RuneCountInString(part) {
		if i == 0 {
			return false
		}
		_, w := utf8.DecodeLastRuneInString(s[:i])
		i -= w
	}
	n, ok := p.prefix(s[i:], part)
	return ok && i+n == len(s)
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// lowerASCII is s with A–Z in lower case, and nothing else changed.
func lowerASCII(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lowerByte(b[i])
			}
			return string(b)
		}
	}
	return s
}

// equalLower reports whether s with A–Z in lower case is low.
func equalLower(s, low string) bool {
	if len(s) != len(low) {
		return false
	}
	for i := range len(s) {
		if lowerByte(s[i]) != low[i] {
			return false
		}
	}
	return true
}
