package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"html/template"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

func queryEscape(s string) string { return url.QueryEscape(s) }

func sumOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:8])
}

// hidden are characters that act on what shows them, or are not seen: controls, and what
// turns the direction of text or joins letters.
func hidden(r rune) bool {
	switch {
	case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r),
		unicode.Is(unicode.Co, r), unicode.Is(unicode.Cs, r), unicode.Is(unicode.Variation_Selector, r),
		r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0, r == 0x00a0, r == 0x2800:
		return true
	}
	return unicode.Is(unicode.Zs, r) && r != ' '
}

// mark is how a hidden character is shown.
func mark(r rune) string {
	switch r {
	case '\n':
		return "↵"
	case '\t':
		return "⇥"
	case utf8.RuneError:
		return "�"
	}
	if r < 0x20 {
		return string(rune(0x2400 + r)) // a control picture
	}
	return fmt.Sprintf("‹U+%04X›", r)
}

// clip is the first n characters of s, and how many bytes are left out.
func clip(s string, n int) (string, int) {
	if len(s) <= n {
		return s, 0
	}
	for i := range s {
		if n == 0 {
			return s[:i], len(s) - i
		}
		n--
	}
	return s, 0
}

// plain is text in which nothing acts on what shows it, of at most n characters.
func plain(s string, n int) string {
	s, left := clip(s, n)
	if strings.IndexFunc(s, hidden) >= 0 || !utf8.ValidString(s) {
		var b strings.Builder
		for _, r := range s {
			if hidden(r) {
				b.WriteString(mark(r))
			} else {
				b.WriteRune(r)
			}
		}
		s = b.String()
	}
	if left > 0 {
		s += "…"
	}
	return s
}

// visible is text as HTML, of at most n characters: what is hidden in it is shown as a
// mark, and marks of combining letters do not pile up.
func visible(s string, n int) template.HTML {
	s, left := clip(s, n)
	var b strings.Builder
	b.Grow(len(s) + 16)
	from, piled := 0, 0
	for i, r := range s {
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			piled++
		} else {
			piled = 0
		}
		if !hidden(r) && piled <= 2 {
			continue
		}
		b.WriteString(html.EscapeString(s[from:i]))
		fmt.Fprintf(&b, `<span class="ctl" title="U+%04X">%s</span>`, r, html.EscapeString(mark(r)))
		from = i + utf8.RuneLen(r)
		if r == utf8.RuneError {
			_, w := utf8.DecodeRuneInString(s[i:])
			from = i + w
		}
	}
	b.WriteString(html.EscapeString(s[from:]))
	if left > 0 {
		fmt.Fprintf(&b, `<span class="more" title="not all of it is shown">… %s more</span>`, size(int64(left)))
	}
	return template.HTML(b.String())
}

// size is a number of bytes for people.
func size(n int64) string {
	f := float64(n)
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if f < 1000 {
			if unit == "B" || f >= 100 {
				return fmt.Sprintf("%.0f %s", f, unit)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1000
	}
	return fmt.Sprintf("%.1f TB", f)
}

// number is a number with thousands apart.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural is a number of things.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	switch {
	case strings.HasSuffix(one, "s"), strings.HasSuffix(one, "h"):
		one += "es"
	case strings.HasSuffix(one, "ry"):
		one = strings.TrimSuffix(one, "y") + "ies"
	default:
		one += "s"
	}
	return number(n) + " " + one
}
