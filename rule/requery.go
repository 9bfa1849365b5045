package rule

import (
	"fmt"
	"strings"

	"github.com/orlop/orlop/eql/syntax"
)

// Requery is the text of the rule's file with another query in place of its
// own, and nothing else changed. The string keeps the kind of quotes that it is
// written in where they can hold the query.
func (r *Rule) Requery(query string) string {
	d := &document{src: syntax.Source{Name: r.File, Text: r.text}}
	n := d.parse().get("rule").get("query")
	literal := quote(query, r.text[n.at.Start])
	if i := strings.IndexByte(r.text, '\n'); i > 0 && r.text[i-1] == '\r' {
		literal = strings.ReplaceAll(literal, "\n", "\r\n") // the lines of the file end so
	}
	return r.text[:n.at.Start] + literal + r.text[n.at.End:]
}

// quote writes s as a TOML string: on one line if it is one, else between three
// quotes with a line for each of its own.
func quote(s string, with byte) string {
	one := !strings.Contains(strings.TrimSuffix(s, "\n"), "\n")
	if one {
		s = strings.TrimSuffix(s, "\n")
	} else if !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	if with == '\'' && verbatim(s, one) {
		if one {
			return "'" + s + "'"
		}
		return "'''\n" + s + "'''"
	}
	var b strings.Builder
	quotes := 0
	for _, c := range s {
		if c == '"' {
			quotes++
		} else {
			quotes = 0
		}
		switch {
		case c == '\\', c == '"' && (one || quotes == 3):
			b.WriteByte('\\')
			b.WriteRune(c)
			quotes = 0
		case c == '\n' && !one, c == '\t':
			b.WriteRune(c)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", c)
		default:
			b.WriteRune(c)
		}
	}
	if one {
		return `"` + b.String() + `"`
	}
	return "\"\"\"\n" + b.String() + `"""`
}

// verbatim reports whether single quotes can hold s, as they know no escapes.
func verbatim(s string, one bool) bool {
	if one && strings.Contains(s, "'") || strings.Contains(s, "''") {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return c < 0x20 && c != '\t' && (c != '\n' || one) || c == 0x7f }) < 0
}
