package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// outputs are the values of --output. Where it is not given, a terminal gets a
// table and anything else lines of JSON.
var outputs = []string{"ndjson", "json", "table"}

func addOutput(cmd *cobra.Command, to *string, more ...string) {
	all := append(slices.Clone(outputs), more...)
	cmd.Flags().StringVarP(to, "output", "o", "", either(all)+" (default table on a terminal, else ndjson)")
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp))
}

// either is a list for people: a, b or c.
func either(all []string) string {
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// terminal returns the width of w if it is a terminal, else 0.
func terminal(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		return 80
	}
	return width
}

// A printer writes results in the form that --output asks for.
type printer struct {
	w     *bufio.Writer
	form  string
	width int  // of the terminal, 0 if it is none
	live  bool // somebody waits for each result
	table *table
	n     int
	err   error
}

// newPrinter returns a printer for cmd's standard output, whose table has the
// columns.
func newPrinter(cmd *cobra.Command, form string, columns ...column) (*printer, error) {
	w := cmd.OutOrStdout()
	p := &printer{w: bufio.NewWriterSize(w, 64<<10), form: form, width: terminal(w)}
	p.live = p.width > 0
	if len(columns) > 0 {
		p.table = newTable(p.width, colourful(w), columns...)
	}
	switch form {
	case "ndjson", "json", "table":
	case "":
		p.form = "ndjson"
		if p.width > 0 {
			p.form = "table"
		}
	default:
		return nil, usage("--output %q: expected %s", form, either(outputs))
	}
	return p, nil
}

// print writes one result: doc is its JSON, row makes its lines of a table, which
// must be safe for a terminal.
func (p *printer) print(doc []byte, row func() string) {
	if p.width > 0 && p.form != "table" {
		doc = escaped(doc)
	}
	switch p.form {
	case "ndjson":
		if bytes.IndexByte(doc, '\n') >= 0 || bytes.IndexByte(doc, '\r') >= 0 {
			var b bytes.Buffer
			if json.Compact(&b, doc) == nil {
				doc = b.Bytes()
			}
		}
		p.write(doc)
		p.write([]byte{'\n'})
	case "json":
		sep := ",\n"
		if p.n == 0 {
			sep = "[\n"
		}
		var b bytes.Buffer
		b.WriteString("  ")
		if json.Indent(&b, doc, "  ", "  ") != nil {
			b.Write(doc)
		}
		p.write([]byte(sep))
		p.write(b.Bytes())
	case "table":
		if p.n == 0 && p.table != nil {
			p.write([]byte(p.table.head() + "\n"))
		}
		p.write([]byte(row() + "\n"))
	}
	p.n++
	if p.live && p.err == nil {
		p.err = p.w.Flush()
	}
}

func (p *printer) write(b []byte) {
	if _, err := p.w.Write(b); err != nil && p.err == nil {
		p.err = err
	}
}

// close ends the output.
func (p *printer) close() error {
	if p.form == "json" {
		if p.n == 0 {
			p.write([]byte("[]\n"))
		} else {
			p.write([]byte("\n]\n"))
		}
	}
	if err := p.w.Flush(); err != nil && p.err == nil {
		p.err = err
	}
	if p.err != nil {
		return &failure{exitIO, p.err}
	}
	return nil
}

// escaped writes what a terminal would act on as JSON's \u: the document stays
// the same to whoever reads it, and somebody who looks at it is not misled.
func escaped(doc []byte) []byte {
	if !bytes.ContainsFunc(doc, hostile) && utf8.Valid(doc) {
		return doc
	}
	out := make([]byte, 0, len(doc)+16)
	for len(doc) > 0 {
		r, n := utf8.DecodeRune(doc)
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			out = append(out, doc[:n]...)
		case r == utf8.RuneError && n == 1:
			out = append(out, `\ufffd`...)
		case hostile(r):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, doc[:n]...)
		}
		doc = doc[n:]
	}
	return out
}

// hostile are the characters that a terminal acts on: controls, and what turns
// the direction of text or hides in it.
func hostile(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0,
		r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069,
		r >= 0x200b && r <= 0x200d, r == 0x2060, r == 0xfeff, r >= 0xfff9 && r <= 0xfffb:
		return true
	}
	return false
}

// printable replaces what is hostile, and what is not UTF-8.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case hostile(r):
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
