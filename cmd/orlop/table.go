package main

import (
	"io"
	"os"
	"strings"

	"github.com/rivo/uniseg"
)

// A column is one of a table's. The last takes what is left.
type column struct {
	name string
	want int // its width where there is room
	min  int // its width where there is not; 0 leaves it out
}

// A table lays cells out in columns that fit a terminal. On anything else they
// have the width they want, and only what no line should hold is cut: JSON has all of it.
type table struct {
	columns []column
	widths  []int // of each but the last; -1 is left out
	width   int   // of the terminal, 0 if it is none
	colour  bool  // of cells that name a severity
}

const columnGap = 2

// A command line may have megabytes. These bound the last cell of a row and the others
// where there is no terminal to do so.
const (
	maxLastCell = 512
	maxCell     = 128
)

// newTable returns a table for an output of a width. Columns shrink, from the
// left, until the last has what it wants or all have their least; then those
// that can be left out are, from the right.
func newTable(width int, colour bool, columns ...column) *table {
	t := &table{columns: columns, width: width, colour: colour}
	last := len(columns) - 1
	for _, c := range columns[:last] {
		t.widths = append(t.widths, c.want)
	}
	if width == 0 {
		return t
	}
	room := func() int {
		left := width
		for _, w := range t.widths {
			if w >= 0 {
				left -= w + columnGap
			}
		}
		return left
	}
	for i := range t.widths {
		if short := columns[last].want - room(); short > 0 && columns[i].min > 0 {
			t.widths[i] -= min(short, t.widths[i]-columns[i].min)
		}
	}
	for i := last - 1; i >= 0 && room() < columns[last].min; i-- {
		if columns[i].min == 0 {
			t.widths[i] = -1
		}
	}
	return t
}

// head is the first line.
func (t *table) head() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return t.row("", names...)
}

// row is a line: safe for a terminal, whatever the cells hold.
func (t *table) row(indent string, cells ...string) string {
	var b strings.Builder
	b.WriteString(indent)
	used := uniseg.StringWidth(indent)
	for i, c := range cells {
		more := len(c) > 8*maxLastCell // a character may have several bytes
		c = printable(c[:min(len(c), 8*maxLastCell)])
		if i == len(cells)-1 {
			room := maxLastCell
			if t.width > 0 {
				room = max(t.width-used, 1)
			}
			if cut := clip(c, room); cut == c && more {
				c += "…"
			} else {
				c = cut
			}
			b.WriteString(c)
			break
		}
		w := t.widths[i]
		if w < 0 {
			continue
		}
		if t.width > 0 {
			c = clip(c, w)
		} else {
			c = clip(c, max(w, maxCell))
		}
		pad := max(w-uniseg.StringWidth(c), 0) + columnGap
		used += uniseg.StringWidth(c) + pad
		if t.colour && severities[c] != "" {
			c = severities[c] + c + "\x1b[0m"
		}
		b.WriteString(c + strings.Repeat(" ", pad))
	}
	return strings.TrimRight(b.String(), " ")
}

// severities are colours.
var severities = map[string]string{
	"low":      "\x1b[36m",
	"medium":   "\x1b[33m",
	"high":     "\x1b[31m",
	"critical": "\x1b[1;31m",
}

// colourful reports whether w takes colours: a terminal does, unless NO_COLOR is
// set (https://no-color.org) or it is too dumb.
func colourful(w io.Writer) bool {
	return terminal(w) > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// clip cuts s to a width, at whose end there is then an ellipsis.
func clip(s string, width int) string {
	if uniseg.StringWidth(s) <= width {
		return s
	}
	var b strings.Builder
	state, used := -1, 0
	for s != "" {
		cluster, rest, w, next := uniseg.FirstGraphemeClusterInString(s, state)
		if used+w > width-1 {
			break
		}
		b.WriteString(cluster)
		used += w
		s, state = rest, next
	}
	return b.String() + "…"
}

// wrap breaks text into lines of a width, at blanks. Lines that begin with a
// blank, as those of code do, stay as they are.
func wrap(text string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if width < 20 || uniseg.StringWidth(line) <= width || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			b.WriteString(line + "\n")
			continue
		}
		used := 0
		for i, word := range strings.Fields(line) {
			w := uniseg.StringWidth(word)
			switch {
			case i == 0:
			case used+1+w > width:
				b.WriteString("\n")
				used = 0
			default:
				b.WriteString(" ")
				used++
			}
			b.WriteString(word)
			used += w
		}
		b.WriteString("\n")
	}
	return b.String()
}
