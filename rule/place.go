package rule

import (
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/orlop/orlop/eql/syntax"
)

// A token maps the content of a TOML string back to the file.
type token struct {
	text   string // of the file
	pieces []piece
}

// A piece of a string's content begins at byte content of it and byte file of
// the text. A straight piece stands in the file as it is; all of another one
// comes from an escape that begins at file.
type piece struct {
	content, file int
	straight      bool
}

// place returns the function that says where in the file a byte of the content
// of the string n stands.
func (d *document) place(n *node) func(offset int) (line, col int) {
	t := &token{text: d.src.Text, pieces: pieces(d.src.Text, n.at)}
	whole := syntax.Source{Text: d.src.Text}
	return func(offset int) (line, col int) {
		at := t.file(offset)
		for at < len(t.text) && !utf8.RuneStart(t.text[at]) {
			at-- // from inside a character to it
		}
		return whole.Position(at)
	}
}

// file is the offset in the file of a byte of the content. The end of the
// content is where the closing quotes are.
func (t *token) file(offset int) int {
	i := sort.Search(len(t.pieces), func(i int) bool { return t.pieces[i].content > offset }) - 1
	if i < 0 {
		i = 0
	}
	p := t.pieces[i]
	if p.straight {
		return p.file + offset - p.content
	}
	return p.file
}

// pieces cuts the TOML string at a range of text, which has been parsed and so
// is well-formed.
func pieces(text string, at syntax.Range) []piece {
	raw := text[at.Start:at.End]
	quotes := 1
	if strings.HasPrefix(raw, `"""`) || strings.HasPrefix(raw, `'''`) {
		quotes = 3
	}
	i, end := quotes, len(raw)-quotes
	if quotes == 3 {
		if strings.HasPrefix(raw[i:], "\r\n") {
			i += 2
		} else if strings.HasPrefix(raw[i:], "\n") {
			i++
		}
	}
	var list []piece
	content := 0
	add := func(straight bool) { list = append(list, piece{content, at.Start + i, straight}) }
	add(true)
	if raw[0] == '"' {
		for {
			n := strings.IndexByte(raw[i:end], '\\')
			if n < 0 {
				break
			}
			content += n
			i += n
			if from, to := escape(raw[i:end]); to == 0 {
				i += from // a line-ending backslash: nothing
			} else {
				add(false)
				content += to
				i += from
			}
			add(true)
		}
	}
	content += end - i
	i = end
	add(false)
	return list
}

// escape measures the escape that s begins with, in the file and decoded.
func escape(s string) (from, to int) {
	if len(s) < 2 {
		return len(s), 0
	}
	digits := 0
	switch s[1] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case ' ', '\t', '\r', '\n':
		return len(s) - len(strings.TrimLeft(s[1:], " \t\r\n")), 0
	default:
		return 2, 1
	}
	var r rune
	for _, c := range []byte(s[2 : 2+digits]) {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return 2 + digits, utf8.RuneLen(r)
}

// TextAt is the string at a key of a TOML file, and its place. The key is written as for
// [Rule.Mistake]; the Text of one that the file lacks is empty.
func TextAt(name string, file []byte, key string) syntax.Source {
	d := &document{src: syntax.Source{Name: name, Text: string(file)}}
	n := d.parse().below(key)
	if n.kind != kString {
		return syntax.Source{Name: name}
	}
	return syntax.Source{Name: name, Text: n.text, Place: d.place(n)}
}
