package runtimecli_test

import (
	"os"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// TestNoBenignProgramIsMistaken runs every line of testdata/benign.txt under its
// own name, and under one that says nothing. An @ marks tools that we know by their name.
func TestNoBenignProgramIsMistaken(t *testing.T) {
	data, err := os.ReadFile("testdata/benign.txt")
	if err != nil {
		t.Fatal(err)
	}
	n, alike := 0, 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		line, known := strings.CutPrefix(line, "@")
		line, likeDocker := strings.CutPrefix(line, "~")
		args := words(line)
		n++
		if call, ok := runtimecli.Parse(runtimecli.Command{Executable: "/usr/bin/" + args[0], Args: args}); ok != known {
			t.Errorf("%q: got %s by %s, want nothing", line, call.Command, call.IdentifiedBy)
		}
		if call, ok := runtimecli.Parse(runtimecli.Command{Executable: "/opt/x/prog", Args: append([]string{"/opt/x/prog"}, args[1:]...)}); ok {
			if !likeDocker {
				t.Errorf("%q under another name: got %s, want nothing", line, call.Command)
			}
			alike++
		}
	}
	t.Logf("%d benign lines; under another name %d, all of runtime clients written like docker, read as docker's", n, alike)
	if n < 200 {
		t.Errorf("got %d lines, want 200 at least", n)
	}
}
