package syntax

import (
	"strings"
	"unicode/utf8"
)

// How a query is laid out, and what becomes of its comments.
//
// A comment stays in front of the word that it stood in front of. That alone is
// kept of where it stood, and what lines it shared:
//
//   - One that shares its line with the next word goes on to, in front of it.
//     In front of a closing bracket it shares that of the word before.
//   - Others end their line. One that began behind a word stays behind that
//     word; the rest stand on lines of their own.
//
// In front of words that end a line (and, or, where, a comma) there is no line
// to end, so there the comment passes on to the next word.
//
// The layout depends on nothing but the words, the comments in front of each and
// which of these end lines; and all that can be read off the result as it was
// read off the source. So formatting the result gives it again, whatever the
// comments are and wherever they stood.

// width is the column that lines are broken at, where they can be.
const width = 100

// Format prints q in the one canonical layout, with the comments of its source,
// and a newline at the end. Formatting the result again changes nothing, and
// the result means the same as q:
//
//	sequence by host.id with maxspan=1m
//	  [process where process.name == "ctr"]
//	  [
//	    file where
//	      file.path : "/etc/*" and  // configuration
//	      not user.name in ("root", "admin")
//	  ]
//
// Operands of the outermost and, or of a condition stand on a line each; those
// further in do when they do not fit into 100 columns or have comments among
// them that end lines. Long lists are filled up to that width.
func Format(q *Query) string {
	l := lexer{src: q.Src, text: q.Src.Text}
	l.run()
	f := &formatter{words: words{src: q.Src.Text, tokens: l.tokens}}
	f.query(q)
	f.sep(hardNode)
	f.take("", 1) // the end, for the comments before it
	f.attach(l.comments)
	f.groups()
	f.print()
	return f.b.String()
}

type formatter struct {
	words
	b      strings.Builder
	column int
	last   string // the word written last

	// What stands before the next word.
	before        nodeKind // spaceNode, hardNode, or wordNode for nothing
	indent, inner int32    // of a hardNode

	around []group
}

// notes are the comments in front of a word.
type notes struct {
	comments []comment // as the source has them

	above  []string // lines that they end
	behind bool     // the first of these begins behind the word before
	inline string   // those that share the line of the word or, of a closing bracket, of that before
}

// A comment is one of the source.
type comment struct {
	text          string
	before, after bool // a line ends there
}

const lineEnds = "\r\n"

var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// attach puts the comments in front of their words.
func (f *formatter) attach(comments []Range) {
	token, at := 0, 0 // at is a node
	for _, r := range comments {
		for f.tokens[token].Start < r.End {
			token++
		}
		for f.nodes[at].kind != wordNode || int(f.nodes[at].at) < token {
			at++
		}
		c := comment{text: newlines.Replace(f.src[r.Start:r.End])}
		start := 0
		if token > 0 {
			start = f.tokens[token-1].End
		}
		n := &f.nodes[at]
		lead := f.src[start:r.Start]
		tail := f.src[r.End:f.tokens[token].Start]
		// Blanks up to the comments on either side.
		if i := strings.LastIndexFunc(lead, notBlank); i >= 0 {
			lead = lead[i+1:]
		}
		if i := strings.IndexFunc(tail, notBlank); i >= 0 {
			tail = tail[:i]
		}
		lines := strings.ContainsAny(c.text, lineEnds)
		c.before = lines || strings.ContainsAny(lead, lineEnds)
		c.after = lines || n.text == "" || strings.ContainsAny(tail, lineEnds) || strings.HasPrefix(c.text, "//")
		if strings.HasPrefix(c.text, "//") {
			c.text = strings.TrimRight(c.text, " \t")
		}
		if n.notes == nil {
			n.notes = &notes{}
		}
		n.comments = append(n.comments, c)
	}
	var passed []comment
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.kind != wordNode || n.notes == nil && passed == nil {
			continue
		}
		if n.notes == nil {
			n.notes = &notes{}
		}
		n.comments = append(passed, n.comments...)
		passed = nil
		n.lines(n.closes)
		if n.joint && len(n.above) > 0 {
			passed, n.notes = n.comments, nil
		}
	}
}

func notBlank(r rune) bool { return r >= 0x80 || !isSpace(byte(r)) }

// lines sorts the comments into those of the lines above the word and those
// that share one with a word.
func (n *notes) lines(closes bool) {
	var line []string
	for i, c := range n.comments {
		line = append(line, c.text)
		if c.after || i+1 < len(n.comments) && n.comments[i+1].before {
			n.above, line = append(n.above, strings.Join(line, " ")), nil
		}
	}
	last := strings.Join(line, " ")
	n.behind = !n.comments[0].before
	switch {
	case !closes:
		n.inline = last
	case n.behind && len(n.above) == 0:
		n.inline = last
	case n.behind && len(n.above) == 1 && last == "" && !strings.HasPrefix(n.comments[len(n.comments)-1].text, "//"):
		n.inline, n.above = n.above[0], nil // it does not matter that the bracket is on the next line
	case last != "":
		n.above = append(n.above, last)
	}
}

// begins reports whether comments make the word begin a line.
func (n *notes) begins() bool { return n != nil && len(n.above) > 0 }

// groups marks those that have to be broken: with a word in them, their first
// aside, that begins a line.
func (f *formatter) groups() {
	lines := make([]int32, len(f.nodes)+1) // words before a node that begin one
	for i := range f.nodes {
		lines[i+1] = lines[i]
		if f.nodes[i].begins() {
			lines[i+1]++
		}
	}
	for i := range f.nodes {
		if n := &f.nodes[i]; n.kind == openNode {
			first := i + 1
			for f.nodes[first].kind != wordNode {
				first++
			}
			n.broken = n.broken || lines[n.to] > lines[first+1]
		}
	}
}

// group is one that is being printed.
type group struct {
	broken   bool
	comments bool // that is why
}

func (f *formatter) print() {
	f.before, f.around = hardNode, []group{{broken: true}}
	for i := range f.nodes {
		n := &f.nodes[i]
		in := f.around[len(f.around)-1]
		switch n.kind {
		case wordNode:
			f.write(n)
		case spaceNode:
			f.before = spaceNode
		case openNode:
			broken := in.broken && (n.broken || !n.tight && !f.fits(i, true))
			f.around = append(f.around, group{broken, n.broken})
		case closeNode:
			f.around = f.around[:len(f.around)-1]
		default:
			switch {
			case in.broken && (n.kind != fillNode || in.comments || !f.fits(i, false)):
				f.before, f.indent, f.inner = hardNode, n.indent, n.inner
			case n.kind != softNode:
				f.before = spaceNode
			}
		}
	}
}

// write writes a word, with what stands in front of it.
func (f *formatter) write(n *node) {
	c := n.notes
	if c == nil {
		c = &notes{}
	}
	for i, text := range c.above {
		if f.before != hardNode {
			// The layout asks for no new line here: it goes on from the one before.
			f.before, f.indent, f.inner = hardNode, n.indent, n.inner
		}
		if i == 0 && c.behind && f.last != "" {
			text = "  " + text
		} else {
			f.newline(f.inner)
		}
		f.text(text)
	}
	if n.text == "" {
		f.b.WriteByte('\n') // the end
		return
	}
	if c.inline != "" && n.closes {
		if f.last != "(" && f.last != "[" && f.last != "![" {
			f.text(" ")
		}
		f.text(c.inline)
	}
	switch {
	case f.before == hardNode:
		f.newline(f.indent)
	case f.before == spaceNode, c.inline != "" && n.text == "(" && f.last != "(", c.inline != "" && n.text == ",":
		f.text(" ")
	}
	if c.inline != "" && !n.closes {
		f.text(c.inline)
		if f.before != wordNode || n.text != "," {
			f.text(" ")
		}
	}
	f.text(n.text)
	f.last, f.before = n.text, wordNode
}

func (f *formatter) newline(indent int32) {
	if f.b.Len() > 0 {
		f.b.WriteByte('\n')
	}
	f.b.WriteString(strings.Repeat(" ", int(indent)))
	f.column = int(indent)
}

func (f *formatter) text(text string) {
	f.b.WriteString(text)
	f.column += utf8.RuneCountInString(text)
}

// fits reports whether what follows the node at i fits into the line: up to the
// end of the group that it opens, on one line, and on to where a line may end.
func (f *formatter) fits(i int, open bool) bool {
	room := width - f.column
	switch f.before {
	case hardNode:
		room = width - int(f.indent)
	case spaceNode:
		room--
	}
	var within []bool // groups that begin behind i: whether they are broken
	if open {
		within = append(within, false)
	} else {
		room--
	}
	around := len(f.around) - 1
	for first, j := true, i+1; j < len(f.nodes) && room >= 0; j++ {
		n := &f.nodes[j]
		broken := false
		if len(within) > 0 {
			broken = within[len(within)-1]
		} else {
			broken = f.around[around].broken
		}
		switch n.kind {
		case wordNode:
			if n.begins() {
				if !first || !open {
					return true
				}
				if f.before != hardNode {
					room = width - int(n.indent)
				}
			}
			if n.notes != nil && n.inline != "" {
				room -= utf8.RuneCountInString(n.inline) + 1
			}
			room -= utf8.RuneCountInString(n.text)
			first = false
		case spaceNode:
			room--
		case openNode:
			within = append(within, broken && n.broken)
		case closeNode:
			if len(within) > 0 {
				within = within[:len(within)-1]
			} else {
				around--
			}
		default:
			if broken || n.kind == hardNode {
				return true
			}
			if n.kind != softNode {
				room--
			}
		}
	}
	return room >= 0
}
