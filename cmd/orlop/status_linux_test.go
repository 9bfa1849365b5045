package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orlop/orlop/internal/agent"
)

// A rule that does not run from the start is told by the log, a line for each mistake, and
// by the status until a reload has none.
func TestStatusTellsOfBrokenRules(t *testing.T) {
	state, rules := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(rules, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good.toml", everyExec)
	write("bad.toml", strings.NewReplacer(`"exec"`, `"broken"`, "event.type ==", "event.type =").Replace(everyExec))
	if err := os.Symlink("nowhere", filepath.Join(rules, "gone.toml")); err != nil { // nobody can read it
		t.Fatal(err)
	}
	d := prepare(t, program(t), "run", "--source", "stdin", "--rules", rules, "--state", state)
	in, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.begin()
	d.status(state, func(s *agent.Status) bool { return s.Ready })
	mistakes := []string{`bad\.toml:\d+:\d+: `, `gone\.toml.*no such file`}
	code, text := statusOf(t, state)
	for _, m := range mistakes {
		if code != exitFindings || !regexp.MustCompile(m).MatchString(text) {
			t.Errorf("exit code %d, want %d and %s:\n%s", code, exitFindings, m, text)
		}
		line := regexp.MustCompile(`^time=\S+ level=ERROR msg="a rule does not run" reason=".*` + m)
		if !slices.ContainsFunc(d.logs, line.MatchString) {
			t.Errorf("the log lacks %s:\n%s", m, strings.Join(d.logs, "\n"))
		}
	}
	if err := os.Remove(filepath.Join(rules, "gone.toml")); err != nil {
		t.Fatal(err)
	}
	write("bad.toml", strings.Replace(everyExec, `"exec"`, `"mended"`, 1))
	d.status(state, func(s *agent.Status) bool { return s.Rules == 2 && s.Refusal == "" })
	if code, text := statusOf(t, state); code != 0 {
		t.Errorf("exit code %d once all rules run:\n%s", code, text)
	}
	in.Close()
	d.ended()
}

// statusOf is what orlop status prints of a run for people, and its exit code.
func statusOf(t *testing.T, state string) (code int, text string) {
	t.Helper()
	out, err := exec.Command(program(t), "status", "--state", state, "--output", "table").Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return code, string(out)
}
