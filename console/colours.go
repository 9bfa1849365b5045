package console

import (
	"html/template"
	"regexp"
	"strings"

	"github.com/orlop/orlop/eql/syntax"
)

// tokens are those of EQL that have a colour: comments, texts, numbers, names.
var tokens = regexp.MustCompile(`(?s)//[^\n]*|/\*.*?\*/|"""(?:.*?)"""|"(?:\\.|[^"\\])*"|` + "`[^`]*`" + `|\b\d+(?:\.\d+)?[smhd]?\b|[A-Za-z_@][\w.@-]*~?`)

// colours is a query with its words in colours.
func colours(query string) template.HTML {
	if len(query) > 100_000 {
		return visible(query, 100_000)
	}
	var b strings.Builder
	plainText := func(s string) {
		for i, line := range strings.Split(s, "\n") {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(string(visible(strings.ReplaceAll(line, "\t", "  "), len(line)+1)))
		}
	}
	at := 0
	for _, m := range tokens.FindAllStringIndex(query, -1) {
		plainText(query[at:m[0]])
		t := query[m[0]:m[1]]
		class := "q-name"
		switch {
		case strings.HasPrefix(t, "//"), strings.HasPrefix(t, "/*"):
			class = "q-comment"
		case t[0] == '"':
			class = "q-text"
		case t[0] >= '0' && t[0] <= '9':
			class = "q-number"
		case syntax.IsKeyword(strings.ToLower(t)):
			class = "q-word"
		case strings.HasPrefix(query[m[1]:], "("):
			class = "q-call"
		}
		b.WriteString(`<span class="` + class + `">`)
		plainText(t)
		b.WriteString(`</span>`)
		at = m[1]
	}
	plainText(query[at:])
	return template.HTML(b.String())
}
