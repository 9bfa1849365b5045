//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A run that is ended before it has begun ends as any other, with 0 and its account.
func TestRunIsEndedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"--listen", "127.0.0.1:0"},
		{"--state", filepath.Join(dir, "state"), "--store", filepath.Join(dir, "orlop.db"), "--listen", "127.0.0.1:0"},
	} {
		var stderr bytes.Buffer
		code := run(ctx, append([]string{"run", "--source", "stdin"}, args...), strings.NewReader(""), &stderr, &stderr)
		if code != exitDone || !strings.Contains(stderr.String(), "msg=ended source=stdin") {
			t.Errorf("%q: exit code %d, want 0 and an account: %s", args, code, stderr.String())
		}
	}
}

// A run that cannot get on with its start, here since nobody reads its log, ends when it is
// told to.
func TestAStuckStartEnds(t *testing.T) {
	dir := t.TempDir()
	rules, config := filepath.Join(dir, "rules"), filepath.Join(dir, "orlop.yaml")
	if err := os.Mkdir(rules, 0o700); err != nil {
		t.Fatal(err)
	}
	writeRule(t, rules, "good", drillRule, "process where true")
	for i := range 2000 { // each with a line in the log, of which a pipe holds 64 kB
		writeRule(t, rules, fmt.Sprint("bad", i), fmt.Sprintf("11111111-1111-4111-8111-%012d", i), "process where (")
	}
	if err := os.WriteFile(config, []byte("drain: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin, never, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer never.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), "run", "--config", config, "--source", "stdin", "--rules", rules)
	cmd.Stdin = stdin
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = io.ReadFull(log, make([]byte, 1))
	}
	if err == nil {
		err = cmd.Process.Signal(syscall.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
	state, err := cmd.Process.Wait() // not cmd.Wait, which reads the log
	if err != nil || state.ExitCode() != exitIO {
		t.Errorf("it ended with %v, %v, want %d", state, err, exitIO)
	}
}

// An address that is taken is told before the run has made or changed anything: here the
// source would not open, and the state is not made.
func TestAnAddressIsTakenFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"run", "--source", "audit-log=" + filepath.Join(dir, "none", "audit.log"), "--state", state, "--listen", l.Addr().String()}, strings.NewReader(""), &stderr, &stderr)
	want := "orlop: --listen: listen tcp " + l.Addr().String() + ": bind: address already in use\n"
	if code != exitIO || stderr.String() != want {
		t.Errorf("exit code %d, %s; want %d, %s", code, stderr.String(), exitIO, want)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the state is there")
	}
}

// A console that is ended before it serves has not failed either.
func TestAConsoleIsEndedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"console", "--store", filepath.Join(t.TempDir(), "orlop.db"), "--listen", "127.0.0.1:0"},
		{"demo", "--listen", "127.0.0.1:0", "--no-open"},
	} {
		var stderr bytes.Buffer
		if code := run(ctx, args, strings.NewReader(""), &bytes.Buffer{}, &stderr); code != exitDone || stderr.Len() > 0 {
			t.Errorf("%q: exit code %d, want 0 and no word: %s", args, code, stderr.String())
		}
	}
}
