package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/internal/smalldisk"
)

// On a full disk the status says so and exits with 1. A run that has nothing to leave but
// what all sinks have got ends with 0, and the next one repeats nothing; one that loses
// something says what, and ends with 3.
func TestRunOnAFullDisk(t *testing.T) {
	state := filepath.Join(smalldisk.Mount(t, "4m"), "state")
	rules := filepath.Join(t.TempDir(), "exec.toml")
	if err := os.WriteFile(rules, []byte(everyExec), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(out string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "orlop.yaml")
		text := fmt.Sprintf("sources: [{kind: stdin}]\nrules: [%q]\nstate: %q\ncheckpoint: 1s\noutput: none\nsinks: [{kind: file, path: %q}]\n", rules, state, out)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	serial := 0
	now := time.Now()
	records := func(n int) string {
		var text strings.Builder
		for range n {
			serial++
			fmt.Fprintf(&text, `type=SYSCALL msg=audit(%[1]d.000:%[2]d): arch=c000003e syscall=59 success=yes exit=0 items=0 ppid=2000000001 pid=%[3]d auid=1 uid=0 gid=0 comm="x" exe="/x"
type=EXECVE msg=audit(%[1]d.000:%[2]d): argc=2 a0="x" a1=%[4]q
type=CWD msg=audit(%[1]d.000:%[2]d): cwd="/"
type=PROCTITLE msg=audit(%[1]d.000:%[2]d): proctitle=78
`, now.Unix(), serial, 2_000_000_001+serial, strings.Repeat("y", 2000))
		}
		return text.String()
	}
	life := func(file string, during func(d *daemon, send func(text string))) (code int, log string) {
		t.Helper()
		d := prepare(t, program(t), "run", "--config", file)
		in, err := d.cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		d.begin()
		during(d, func(text string) {
			if _, err := io.WriteString(in, text); err != nil {
				t.Fatal(err)
			}
		})
		in.Close()
		for l := range d.log {
			d.logs = append(d.logs, l)
		}
		<-d.done
		err = d.cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return code, strings.Join(d.logs, "\n")
	}

	out := filepath.Join(t.TempDir(), "alerts.ndjson")
	code, log := life(config(out), func(d *daemon, send func(string)) {
		send(records(3))
		d.status(state, func(s *agent.Status) bool {
			return s.Ready && s.Checkpoint.Checkpoints > 0 && s.Outbox.Sinks[0].Delivered == 3
		})
		if code, text := statusOf(t, state); code != 0 || strings.Contains(text, "cannot be written") {
			t.Errorf("before the disk is full the status exits with %d: %s", code, text)
		}
		smalldisk.Fill(t, filepath.Dir(state))
		send(records(3))
		d.status(state, func(s *agent.Status) bool { return s.Outbox.Sinks[0].Delivered == 6 && s.Outbox.Failing != "" })
		if code, text := statusOf(t, state); code != exitFindings || !strings.Contains(text, "the outbox cannot be written: ") || !strings.Contains(text, "no space left on device") {
			t.Errorf("on a full disk the status exits with %d: %s", code, text)
		}
	})
	if code != 0 || strings.Contains(log, "alerts are lost") {
		t.Errorf("exit code %d, though nothing is lost: %s", code, log)
	}
	if code, log = life(config(out), func(*daemon, func(string)) {}); code != 0 {
		t.Errorf("exit code %d: %s", code, log)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(text)) {
		a, err := alert.Parse([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	slices.Sort(ids)
	if n := len(ids); n != 6 || len(slices.Compact(ids)) != 6 {
		t.Errorf("%d alerts, %d of them different; want 6", n, len(slices.Compact(ids)))
	}

	// This sink takes nothing.
	code, log = life(config(filepath.Join(t.TempDir(), "none", "alerts.ndjson")), func(d *daemon, send func(string)) {
		os.Remove(filepath.Join(filepath.Dir(state), "filler"))
		smalldisk.Fill(t, filepath.Dir(state))
		send(records(3))
	})
	for _, want := range []string{"orlop: outbox: close: 3 alerts are lost, which not all sinks had got: ", "orlop: the state of the run is not kept, so the next one may repeat alerts: "} {
		if code != exitIO || !strings.Contains(log, want) {
			t.Errorf("exit code %d, want %d and %q: %s", code, exitIO, want, log)
		}
	}
}
