package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// outputs are the values of --output. Where it is not given, a terminal gets a
// table and anything else lines of JSON.
var outputs = []string{"ndjson", "json", "table"}

func addOutput(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVarP(to, "output", "o", "", "ndjson, json or table (default table on a terminal, else ndjson)")
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp))
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
	w      *bufio.Writer
	form   string
	width  int // of the terminal, 0 if it is none
	live   bool
	n      int
	header string
	err    error
}

// newPrinter returns a printer for cmd's standard output. The header is that of
// the table.
func newPrinter(cmd *cobra.Command, form, header string) (*printer, error) {
	p := &printer{w: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10), form: form, header: header}
	p.width = terminal(cmd.OutOrStdout())
	p.live = p.width > 0
	switch form {
	case "ndjson", "json", "table":
	case "":
		p.form = "ndjson"
		if p.live {
			p.form = "table"
		}
	default:
		return nil, usage("--output %q: expected ndjson, json or table", form)
	}
	return p, nil
}

// print writes one result: doc is its JSON, row makes its line of a table.
func (p *printer) print(doc []byte, row func() string) {
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
		if p.n == 0 {
			p.line(p.header)
		}
		for line := range strings.Lines(row()) {
			p.line(strings.TrimSuffix(line, "\n"))
		}
	}
	p.n++
	if p.live && p.err == nil {
		p.err = p.w.Flush() // somebody is looking
	}
}

func (p *printer) write(b []byte) {
	if _, err := p.w.Write(b); err != nil && p.err == nil {
		p.err = err
	}
}

// line writes a line of a table, cut at the width of the terminal.
func (p *printer) line(s string) {
	s = strings.TrimRight(printable(s), " ")
	if p.width > 0 {
		s = clip(s, p.width)
	}
	p.write([]byte(s + "\n"))
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

// clip cuts s to n characters, the last of which is then an ellipsis.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	i := 0
	for at := range s {
		if i == n-1 {
			return s[:at] + "…"
		}
		i++
	}
	return s
}

// columns lays cells out, each but the last clipped and padded to its width.
func columns(widths []int, cells ...string) string {
	var b strings.Builder
	for i, c := range cells {
		c = printable(c)
		if i < len(widths) {
			c = clip(c, widths[i])
			c += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2)
		}
		b.WriteString(c)
	}
	return b.String()
}
