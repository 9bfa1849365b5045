package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/orlop/orlop/internal/interrupt"
	"github.com/orlop/orlop/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"orlop": main})
}

// tests end the PostgreSQL that they have started.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	interrupt.Release() // Ctrl-C ends the tests.
	return storetest.Main(t.m)
}

// Each file of testdata/script is a claim about a command, and shows it.
func TestScript(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	seed, err := filepath.Abs("../../rules/execution_container_runtime_cli_suspicious_arguments.toml")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", examples)
			e.Setenv("SEED", seed)
			e.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    cmdExits,
			"fields":   cmdFields,
			"compress": cmdCompress,
			"repeat":   cmdRepeat,
			"unprint":  cmdUnprint,
			"acts":     cmdActs,
			"console":  cmdConsole,
		},
	})
}

// exits CODE PROGRAM [ARGS...] runs a program that must exit with the code. Its
// standard input is that of stdin.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		var x interface{ ExitCode() int }
		if !asExit(err, &x) {
			ts.Fatalf("%v", err)
		}
		got = x.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func asExit(err error, x *interface{ ExitCode() int }) bool {
	e, ok := err.(interface{ ExitCode() int })
	*x = e
	return ok
}

// acts FILE scans what the file tells and prints it, with the alerts of each act below it.
// A line with # begins a story, on a host of its own. A command is done by a shell there;
// what is JSON is the event, as far as it differs from that. Lines with a tab are skipped.
func cmdActs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: acts file")
	}
	type act = struct{ line, at string }
	var (
		acts   []act
		events bytes.Buffer
		host   int
	)
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for line := range strings.SplitSeq(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "\t"):
			continue
		case line == "" || line[0] == '#':
			host++
			at = at.Add(2 * time.Minute)
			acts = append(acts, act{line: line})
			continue
		}
		at = at.Add(time.Second)
		name := fmt.Sprintf("worker-%d", host)
		process := map[string]any{"pid": len(acts) + 100, "entity_id": fmt.Sprint("e", len(acts)),
			"parent": map[string]any{"pid": 50, "entity_id": "p" + name, "executable": "/usr/bin/bash", "name": "bash"}}
		doc := map[string]any{"@timestamp": at.Format(time.RFC3339Nano),
			"event": map[string]any{"category": []string{"process"}, "type": []string{"start"}, "action": "exec"},
			"host":  map[string]any{"id": name, "name": name, "os": map[string]any{"type": "linux"}},
			"user":  map[string]any{"name": "root"}, "process": process}
		if line[0] == '{' {
			ts.Check(json.Unmarshal([]byte(line), &doc)) // into what is there
			for key, v := range doc["process"].(map[string]any) {
				process[key] = v
			}
			doc["process"] = process
		} else {
			words := strings.Fields(line)
			process["args"], process["executable"] = words, words[0]
			if !strings.Contains(words[0], "/") {
				process["executable"] = "/usr/bin/" + words[0]
			}
		}
		if program, ok := process["executable"].(string); ok {
			process["name"] = path.Base(program)
		}
		ts.Check(json.NewEncoder(&events).Encode(doc))
		acts = append(acts, act{line, at.Format("2006-01-02T15:04:05.000Z")})
	}
	file := ts.MkAbs(args[0] + ".ndjson")
	ts.Check(os.WriteFile(file, events.Bytes(), 0o600))
	ts.Check(ts.Exec("orlop", "scan", "--quiet", "--output", "ndjson", file))
	told := map[string][]string{}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var doc map[string]any
		ts.Check(json.Unmarshal([]byte(line), &doc))
		if lookUp(doc, "kibana.alert.building_block_type") == nil {
			when := fmt.Sprint(lookUp(doc, "kibana.alert.original_time"))
			told[when] = append(told[when], fmt.Sprintf("\t%v: %v", lookUp(doc, "kibana.alert.severity"), lookUp(doc, "kibana.alert.rule.name")))
		}
	}
	for _, a := range acts {
		fmt.Fprintln(ts.Stdout(), a.line)
		slices.Sort(told[a.at])
		for _, alert := range told[a.at] {
			fmt.Fprintln(ts.Stdout(), alert)
		}
		delete(told, a.at)
	}
	for at, alerts := range told {
		ts.Fatalf("%s is no act's: %q", at, alerts)
	}
}

// fields FILE NAME... prints, for each line of JSON in a file (or stdout), the
// values of fields with a tab between: dotted names, nested or not. What an
// alert says about the time of the run is thus left out.
func cmdFields(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fields file name...")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			ts.Fatalf("%v: %s", err, line)
		}
		var out []string
		for _, name := range args[1:] {
			v := lookUp(doc, name)
			if s, ok := v.(string); ok {
				out = append(out, s)
				continue
			}
			b, _ := json.Marshal(v)
			out = append(out, string(b))
		}
		fmt.Fprintln(ts.Stdout(), strings.Join(out, "\t"))
	}
}

func lookUp(doc map[string]any, name string) any {
	if v, ok := doc[name]; ok {
		return v
	}
	for i, c := range name {
		if c == '.' {
			if in, ok := doc[name[:i]].(map[string]any); ok {
				if v := lookUp(in, name[i+1:]); v != nil {
					return v
				}
			}
		}
	}
	return nil
}

// compress gzip|zstd|torn FROM TO writes a file compressed; torn is gzip without
// its last bytes.
func cmdCompress(ts *testscript.TestScript, neg bool, args []string) {
	var b bytes.Buffer
	text := []byte(ts.ReadFile(args[1]))
	switch args[0] {
	case "zstd":
		w, err := zstd.NewWriter(&b)
		ts.Check(err)
		w.Write(text)
		ts.Check(w.Close())
	default:
		w := gzip.NewWriter(&b)
		w.Write(text)
		ts.Check(w.Close())
	}
	out := b.Bytes()
	if args[0] == "torn" {
		out = out[:len(out)-200]
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), out, 0o666))
}

// repeat N FROM TO writes a file that is another, n times.
func cmdRepeat(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), bytes.Repeat([]byte(ts.ReadFile(args[1])), n), 0o666))
}

// unprint FILE fails if a file (or stdout, stderr) has something in it that a
// terminal acts on.
func cmdUnprint(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[0])
	for i, r := range text {
		if r != '\n' && hostile(r) {
			ts.Fatalf("%s: %q at %d: %.60q", args[0], r, i, text[i:])
		}
	}
}

// Signals are waited for before anything that takes time is initialised: a SIGTERM right
// after the start is no sudden death, but an end with 0.
func TestSignalsAreCaughtFirst(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	at := func(name string) int {
		i := strings.Index(string(out), "init github.com/"+name+" @")
		if i < 0 {
			t.Fatalf("%s is not initialised: %s", name, out)
		}
		return i
	}
	for _, name := range []string{"orlop/orlop/internal/config", "orlop/orlop/enrich/runtimecli", "goccy/go-yaml/token", "prometheus/client_golang/prometheus"} {
		if at("orlop/orlop/internal/interrupt") > at(name) {
			t.Errorf("%s is initialised before signals are waited for", name)
		}
	}
}

// An alert about what comes through a pipe does not wait for what comes after it.
func TestAlertsOfAPipeDoNotWait(t *testing.T) {
	const lines = `{"@timestamp":"2026-05-04T10:00:00Z","event":{"category":"process"},"process":{"name":"ctr"}}` + "\n"
	rule := filepath.Join(t.TempDir(), "rule.toml")
	text := `[rule]
author = ["us"]
description = "d"
name = "One"
risk_score = 21
rule_id = "b5d1c7a4-1c5d-4a1e-8f33-0d5d5f2b3a04"
severity = "low"
type = "eql"
language = "eql"
query = 'process where true'
`
	if err := os.WriteFile(rule, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{"ndjson", "json", "table"} {
		in, feed := io.Pipe()
		out, stdout := io.Pipe()
		done := make(chan int)
		go func() {
			code := run(context.Background(), []string{"scan", "-q", "-o", output, "--rules", rule}, in, stdout, io.Discard)
			stdout.Close()
			done <- code
		}()
		buf := make([]byte, 64<<10)
		for range 3 {
			io.WriteString(feed, lines)
			for got := ""; !strings.Contains(got, "One"); { // It would wait for ever.
				n, err := out.Read(buf)
				if err != nil {
					t.Fatalf("%s: %v", output, err)
				}
				got += string(buf[:n])
			}
		}
		feed.Close()
		if rest, _ := io.ReadAll(out); strings.Contains(string(rest), "One") {
			t.Errorf("%s: more than an alert each: %s", output, rest)
		}
		if code := <-done; code != 0 {
			t.Errorf("%s: exit code %d", output, code)
		}
	}
}

// Ctrl-C ends a scan at once: what was found is there, the summary says how far
// it came, and the exit code is 3.
func TestInterrupted(t *testing.T) {
	log, err := os.ReadFile("../../examples/node-session/audit.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{"ndjson", "json", "table"} {
		ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGUSR1)
		in := &endless{text: log, after: func() { cancel() }}
		var stdout, stderr bytes.Buffer
		code := run(ctx, []string{"scan", "-o", output, "--rules", "../../rules/execution_container_runtime_cli_suspicious_arguments.toml"}, in, &stdout, &stderr)
		if code != exitIO {
			t.Errorf("%s: exit code %d, want %d", output, code, exitIO)
		}
		for _, want := range []string{"orlop: interrupted", "events    ", "alerts    "} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%s: stderr lacks %q:\n%s", output, want, stderr.String())
			}
		}
		if output == "json" && !json.Valid(stdout.Bytes()) {
			t.Errorf("the JSON is not whole: %.200s", stdout.String())
		}
		if in.n > 1000 {
			t.Errorf("%s: read on %d times", output, in.n)
		}
	}
}

// endless is a log that never ends. After a hundred rounds it calls after.
type endless struct {
	text  []byte
	rest  []byte
	n     int
	after func()
}

func (r *endless) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		r.rest = r.text
		if r.n++; r.n == 20 {
			r.after()
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
