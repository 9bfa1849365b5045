package runtimecli_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what the files of testdata want")

// Each file of testdata/corpus is a claim: its first line says it. In the file
// "cases" a line "$ …" is a command line, and the lines after it are what Parse
// returns, field by field, or "none". Words before the dollar set the rest of the
// process: exe=, comm=, cwd=, tool=, and NAME=value for the environment. A line
// "$$ …" stands for ParseAll; its calls are separated by "and".
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus:", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for line := range strings.Lines(string(a.Files[0].Data)) {
				switch command, args, ok := strings.Cut(line, "$ "); {
				case ok && !strings.HasPrefix(line, "  "):
					got.WriteString(line)
					got.WriteString(parseCase(command, strings.TrimSuffix(args, "\n")))
				case strings.HasPrefix(line, "#") || line == "\n":
					got.WriteString(line)
				}
			}
			if *update {
				a.Files[0].Data = got.Bytes()
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != string(a.Files[0].Data) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", bytes.TrimSpace(a.Comment), firstDifference(got.String(), string(a.Files[0].Data)), file)
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	last := ""
	for i := range g {
		if strings.Contains(g[i], "$ ") {
			last = g[i]
		}
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d of %s\n got %s\nwant %s", i+1, last, g[i], strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
		}
	}
	return "fewer lines than wanted"
}

func parseCase(settings, line string) string {
	var c runtimecli.Command
	all := false
	for _, w := range strings.Fields(settings) {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "exe":
			c.Executable = v
		case "comm":
			c.Comm = v
		case "cwd":
			c.Cwd = v
		case "tool":
			c.Tool = v
		case "$":
			all = true
		default:
			c.Env = append(c.Env, w)
		}
	}
	c.Args = words(line)
	if !all {
		call, ok := runtimecli.Parse(c)
		if !ok {
			return "  none\n"
		}
		return describe(call)
	}
	var out []string
	for _, call := range runtimecli.ParseAll(c) {
		out = append(out, describe(call))
	}
	if len(out) == 0 {
		return "  none\n"
	}
	return strings.Join(out, "  and\n")
}

// describe writes the fields of a call that are set, one a line.
func describe(c runtimecli.Call) string {
	var b strings.Builder
	list := func(name string, v []string) {
		if len(v) > 0 {
			fmt.Fprintf(&b, "  %s: %s\n", name, strings.Join(v, " "))
		}
	}
	one := func(name, v string) {
		if v != "" {
			fmt.Fprintf(&b, "  %s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "  %s: %s\n", c.Command, strings.Join(c.Behaviours, " "))
	if c.IdentifiedBy != "name" {
		one("by", c.IdentifiedBy)
	}
	list("via", c.Via)
	list("access", c.HostAccess)
	if strings.Join(c.Mounts, " ") != mountsOf(c.HostAccess) {
		list("mounts", c.Mounts)
	}
	list("image", c.Images())
	list("container", c.Containers())
	list("pod", c.Pods())
	one("scope", c.Scope.String())
	one("target", c.Target)
	list("files", c.Files)
	one("namespace", c.Namespace)
	one("address", c.Address)
	one("snapshotter", c.Snapshotter)
	one("config", c.Config)
	list("payload", c.Payload)
	if c.UnknownVerb {
		b.WriteString("  unknown verb\n")
	}
	if c.Confidence != runtimecli.Complete {
		fmt.Fprintf(&b, "  %s\n", c.Confidence)
	}
	return b.String()
}

func mountsOf(access []string) string {
	var out []string
	for _, a := range access {
		if at, ok := strings.CutPrefix(a, "mount:"); ok {
			out = append(out, at)
		}
	}
	return strings.Join(out, " ")
}

// words splits a line at spaces, quotes keeping them.
func words(line string) []string {
	var out []string
	var w strings.Builder
	in, quote := false, rune(0)
	for _, r := range line {
		switch {
		case quote == 0 && (r == '\'' || r == '"'):
			in, quote = true, r
		case r == quote:
			quote = 0
		case quote == 0 && r == ' ':
			if in {
				out = append(out, w.String())
				w.Reset()
			}
			in = false
		default:
			in = true
			w.WriteRune(r)
		}
	}
	if in {
		out = append(out, w.String())
	}
	return out
}
