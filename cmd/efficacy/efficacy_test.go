package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/efficacy.md")

const (
	own       = "testdata/commands.ndjson"
	published = "../../../shared/efficacy/commands.ndjson"
	doc       = "../../docs/efficacy.md"
)

// tables are the parts of docs/efficacy.md that a corpus fills.
var tables = map[string]string{"own": own, "published": published}

func TestPackOnOurLines(t *testing.T) {
	lines, err := read(own)
	if err != nil {
		t.Fatal(err)
	}
	hold(t, lines, 1, 1, 0)
}

func TestPackOnPublishedLines(t *testing.T) {
	lines, err := read(published)
	if os.IsNotExist(err) {
		t.Skipf("no published lines in %s", published)
	}
	if err != nil {
		t.Fatal(err)
	}
	var direct, renamed []line
	for _, l := range lines {
		if l.Transform == "renamed binary" {
			renamed = append(renamed, l)
		} else {
			direct = append(direct, l)
		}
	}
	hold(t, direct, .99, .95, .02)
	hold(t, renamed, .50, .50, .02)
}

// hold asks for the recall on the core tools and on others, and for the most
// noise on lines that want silence.
func hold(t *testing.T, lines []line, core, others, noise float64) {
	t.Helper()
	ps, err := packs()
	if err != nil {
		t.Fatal(err)
	}
	top, err := judge(ps[1], lines)
	if err != nil {
		t.Fatal(err)
	}
	var yes, other, no score
	for i := range lines {
		l := &lines[i]
		switch {
		case l.Alert == "yes":
			s := &other
			if l.Tool == "ctr" || l.Tool == "crictl" || l.Tool == "nerdctl" {
				s = &yes
			}
			s.of++
			if top[i] > 0 {
				s.hits++
			} else if core == 1 {
				t.Errorf("missed: %q", l.Argv)
			}
		case l.Alert == "no":
			no.of++
			if top[i] >= 2 {
				no.hits++
				t.Logf("noise: %q", l.Argv)
			}
		}
	}
	t.Logf("ctr, crictl, nerdctl %v; other tools %v; noise %v", yes, other, no)
	if float64(yes.hits) < core*float64(yes.of) || float64(other.hits) < others*float64(other.of) || float64(no.hits) > noise*float64(no.of) {
		t.Errorf("want at least %v and %v, and at most %v of noise", core, others, noise)
	}
}

func TestTablesOfTheDocumentAreCurrent(t *testing.T) {
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range tables {
		lines, err := read(file)
		if os.IsNotExist(err) {
			t.Logf("no %s; its table is not checked", file)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := report(&b, lines); err != nil {
			t.Fatal(err)
		}
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		before, rest, ok := strings.Cut(string(text), begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("docs/efficacy.md has no %q", begin)
		}
		now := before + begin + b.String() + end + after
		if *update {
			text = []byte(now)
			continue
		}
		if now != string(text) {
			t.Errorf("the table %q of docs/efficacy.md is stale: go test ./cmd/efficacy -update", name)
		}
	}
	if *update {
		if err := os.WriteFile(doc, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
