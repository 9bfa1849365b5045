package syntax

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Source is the text of a query and where it stands.
type Source struct {
	Name string // of the file, "" if the query is not in one
	Text string

	// Place gives the line and column, both from 1 and in characters, that a
	// byte offset into Text has in the file. It is nil where Text is the whole
	// file. A query inside a rule file has one that knows TOML's escapes.
	Place func(offset int) (line, col int)
}

// Position returns the line and column of a byte offset, both from 1, counted
// in characters.
func (s Source) Position(offset int) (line, col int) {
	if s.Place != nil {
		return s.Place(offset)
	}
	before := s.Text[:min(offset, len(s.Text))]
	nl := strings.LastIndexByte(before, '\n')
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[nl+1:]) + 1
}

// A Range is a piece of a Source's Text: bytes Start up to, not including, End.
type Range struct{ Start, End int }

// Span returns r, so that every node of the tree that has a Range says where it is.
func (r Range) Span() Range { return r }

// to is the range from the start of r to the end of o.
func (r Range) to(o Range) Range { return Range{r.Start, o.End} }

// A Class is the kind of mistake, named as Elasticsearch names the exception
// that it would raise.
type Class string

const (
	Parsing         Class = "ParsingException"           // characters, grammar, arity, literals, pipes
	Verification    Class = "VerificationException"      // names and types
	IllegalArgument Class = "QlIllegalArgumentException" // raised while planning
)

// An Error is one mistake in a query.
type Error struct {
	Class Class
	Src   Source
	Range Range
	Msg   string
	Hint  string // what may have been meant, or what to do; may be ""
}

// Error is file:line:column: message (hint), on one line.
func (e *Error) Error() string {
	line, col := e.Src.Position(e.Range.Start)
	var b strings.Builder
	if e.Src.Name != "" {
		b.WriteString(e.Src.Name)
		b.WriteByte(':')
	}
	fmt.Fprintf(&b, "%d:%d: %s", line, col, e.Msg)
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// Snippet is the line that the error is on and below it a caret under each
// character of the range. Both end in a newline.
func (e *Error) Snippet() string {
	text := e.Src.Text
	if text == "" {
		return "" // a mistake of the file itself: it cannot be read, say
	}
	start := min(e.Range.Start, len(text))
	begin := strings.LastIndexByte(text[:start], '\n') + 1
	end := len(text)
	if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
		end = start + i
	}
	// A very long line is shown around the mistake only.
	const around = 80
	head, tail := "", ""
	if start-begin > around {
		begin = start - around
		for begin < start && !utf8.RuneStart(text[begin]) {
			begin++
		}
		head = "…"
	}
	stop := max(min(e.Range.End, end), start)
	if end-start > 2*around {
		end = start + 2*around
		for end > start && !utf8.RuneStart(text[end]) {
			end--
		}
		stop, tail = min(stop, end), "…"
	}
	var line, mark strings.Builder
	line.WriteString(head)
	mark.WriteString(strings.Repeat(" ", utf8.RuneCountInString(head)))
	for i, r := range text[begin:end] {
		switch {
		case r == '\t':
			r = ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			r = utf8.RuneError // a terminal must not act on it
		}
		line.WriteRune(r)
		if at := begin + i; at < start {
			mark.WriteByte(' ')
		} else if at < stop {
			mark.WriteByte('^')
		}
	}
	if stop == start {
		mark.WriteByte('^')
	}
	return strings.TrimRight(line.String()+tail, " ") + "\n" + mark.String() + "\n"
}

// Errors are all the mistakes found in a query, in the order of their places.
type Errors []*Error

// Error is one line a mistake.
func (l Errors) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Report is for people: each mistake with its Snippet.
func (l Errors) Report() string {
	var b strings.Builder
	for _, e := range l {
		b.WriteString(e.Error())
		b.WriteByte('\n')
		for s := range strings.Lines(e.Snippet()) {
			b.WriteString("    ")
			b.WriteString(s)
		}
	}
	return b.String()
}

// Unwrap lets errors.As find a single *Error.
func (l Errors) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}
