package main

import (
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

// A table fits its terminal: columns shrink to their least, and then some go.
func TestTableFits(t *testing.T) {
	columns := []column{{"TIME", 19, 14}, {"SEVERITY", 8, 8}, {"RULE", 40, 24}, {"HOST", 12, 0}, {"USER", 8, 0}, {"WHAT", 30, 24}}
	f := func(width int, want string) {
		t.Helper()
		tab := newTable(width, false, columns...)
		if got := strings.Join(strings.Fields(tab.head()), " "); got != want {
			t.Errorf("at %d: %q, want %q", width, got, want)
		}
		row := tab.row("", "2026-05-04 09:00:00", "critical", strings.Repeat("r", 50), "host", "user", strings.Repeat("w", 200))
		if n := uniseg.StringWidth(row); n > width {
			t.Errorf("at %d: a row of %d: %q", width, n, row)
		}
	}
	f(80, "TIME SEVERITY RULE WHAT")
	f(90, "TIME SEVERITY RULE HOST WHAT")
	f(140, "TIME SEVERITY RULE HOST USER WHAT")
	f(200, "TIME SEVERITY RULE HOST USER WHAT")
	// Where there is room, the name of a rule is whole.
	name := strings.Repeat("r", 40)
	for _, width := range []int{0, 140, 200} {
		if row := newTable(width, false, columns...).row("", "t", "low", name, "h", "u", "w"); !strings.Contains(row, name) {
			t.Errorf("at %d the rule is cut: %q", width, row)
		}
	}
}

// Where there is no terminal a row is bounded too: an argument of 20 kB is one line
// that can be read, and JSON has all of it.
func TestTableIsBounded(t *testing.T) {
	columns := []column{{"TIME", 19, 14}, {"RULE", 40, 24}, {"WHAT", 30, 24}}
	for _, arg := range []string{strings.Repeat("A", 20000), strings.Repeat("é", 20000), strings.Repeat("日", 20000), "a" + strings.Repeat("\u0301", 20000), strings.Repeat("\x1b", 2<<20), strings.Repeat("\xff", 20000)} {
		row := newTable(0, false, columns...).row("", arg, "rule", "ctr t exec web1 "+arg)
		if n := uniseg.StringWidth(row); n > 128+2+40+2+512 || len(row) > 20000 || !strings.HasSuffix(row, "…") || !strings.Contains(row, "ctr t exec web1 ") {
			t.Errorf("%.10q…: a row of %d columns, %d bytes", arg, n, len(row))
		}
	}
}

// Colour is for severities, and does not count as width.
func TestTableColour(t *testing.T) {
	tab := newTable(80, true, column{"S", 8, 8}, column{"W", 10, 10})
	if got, want := tab.row("", "high", "low"), "\x1b[31mhigh\x1b[0m      low"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a cell holds cannot act on a terminal or turn its text around.
func TestPrintable(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := printable(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
	f("ls -l é 日本 🙂", "ls -l é 日本 🙂")
	f("a\tb\nc\rd", "a b c d")
	f("\x1b[2Jx", "\ufffd[2Jx")
	f("\x1b]52;c;ZXZpbA==\x07", "\ufffd]52;c;ZXZpbA==\ufffd")
	f("\u202egpj.exe", "\ufffdgpj.exe")
	f("\u2066a\u2069\u200b\ufeff", "\ufffda\ufffd\ufffd\ufffd")
	f("\u009b2J", "\ufffd2J")
	f("a\xff\x9bb", "a\ufffdb")
	f("<b>", "<b>")
}

// JSON on a terminal says the same and cannot act either.
func TestEscaped(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := string(escaped([]byte(s))); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
	f(`{"a":"é 日本"}`, `{"a":"é 日本"}`)
	f("{\n\t\"a\":\"\u009b2J\u202e\x7f\"}", "{\n\t\"a\":\"\\u009b2J\\u202e\\u007f\"}")
	f("{\"a\":\"\xff\x1b\"}", `{"a":"\ufffd\u001b"}`)
}

// Clip counts what is seen: wide characters are two, marks none.
func TestClip(t *testing.T) {
	f := func(s string, width int, want string) {
		t.Helper()
		if got := clip(s, width); got != want {
			t.Errorf("%q at %d: got %q, want %q", s, width, got, want)
		}
	}
	f("abc", 3, "abc")
	f("abcd", 3, "ab…")
	f("日本語", 6, "日本語")
	f("日本語", 5, "日本…")
	f("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301")
	f("e\u0301e\u0301e\u0301", 2, "e\u0301…")
}
