//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orlop/orlop/source/audit"
	"github.com/orlop/orlop/source/audit/audittest"
)

// everyExec is a rule for all that is executed.
const everyExec = `[metadata]
[rule]
author = ["x"]
from = "now-9m"
license = "Apache-2.0"
rule_id = "exec"
name = "exec"
description = "d"
risk_score = 1
severity = "low"
type = "eql"
language = "eql"
query = '''
process where event.type == "start" and event.action in ("exec", "executed")
'''
`

// copyOf copies a program under other names.
func copyOf(t testing.TB, program, dir string, names ...string) {
	t.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// Bpf and audit see the same: of one process tree, with thousands of short processes
// and every odd argument, all executions, with the same value in every field that
// both know, and so the same alerts.
func TestSourcesAgree(t *testing.T) {
	needsKernel(t)
	audittest.Need(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	storm, short := filepath.Join(dir, "storm"), filepath.Join(dir, "short")
	buildGo(t, "storm", "testdata/storm/main.go", storm)
	copyOf(t, "/bin/true", dir, "short", "ctr", "crictl", "ein Programm")
	if runtime.GOARCH == "amd64" {
		if err := os.WriteFile(short, exits, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh -e\n"+dir+"/ctr -n k8s.io t exec --exec-id a b sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	rule := filepath.Join(dir, "rule.toml")
	if err := os.WriteFile(rule, []byte(everyExec), 0o644); err != nil {
		t.Fatal(err)
	}
	patient := filepath.Join(dir, "patient.yaml") // An alert for each execution takes its time.
	if err := os.WriteFile(patient, []byte("drain: 10m\noutput: ndjson\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	uid := newUID()
	watched := map[string]*daemon{}
	for _, source := range []string{"bpf", "audit"} {
		watched[source] = watch(t, uid, "run", "--config", patient, "--source", source, "--rules", rule)
		watched[source+" pack"] = watch(t, uid, "run", "--config", patient, "--source", source)
	}
	const cores = 2
	n := times(t, 1000) // at length, 20,000 in all
	ctx := watched["bpf"].ctx
	var wg sync.WaitGroup
	for i := range cores {
		wg.Go(func() { runAs(t, ctx, uid, storm, strconv.Itoa(n), short, "mark", strconv.Itoa(i), "{}") })
	}
	wg.Wait()
	runAs(t, ctx, uid, filepath.Join(dir, "ein Programm"), "", "größe", "a\nb\t\"\\c", "")
	runAs(t, ctx, uid, filepath.Join(dir, "ctr"), "run", "--privileged", "docker.io/library/alpine:3", strings.Repeat("x", 9000))
	runAs(t, ctx, uid, script)
	runAs(t, ctx, uid, "/bin/sh", "-c", dir+"/crictl exec -it 0123456789ab sh; /nowhere/there; "+dir+"/ctr -n k8s.io c rm b & wait")

	found := map[string][]map[string]any{}
	for _, name := range []string{"bpf", "audit", "bpf pack", "audit pack"} {
		watched[name].lossy = true
		found[name] = alerts(t, watched[name].end())
	}
	lost := 0
	for name, d := range watched {
		if lost += d.lost; d.lost > 0 {
			t.Logf("%s lost %d", name, d.lost)
		}
	}
	// What is executed, in the order of pids, which do not wrap so soon.
	execs := map[string]map[string]map[string]any{}
	for _, source := range []string{"bpf", "audit"} {
		execs[source] = map[string]map[string]any{}
		marks := map[string]int{}
		for _, a := range found[source] {
			args := fmt.Sprint(lookUp(a, "process.args"))
			execs[source][fmt.Sprint(lookUp(a, "process.pid"), args)] = a
			if strings.HasPrefix(args, "["+short+" mark ") {
				marks[args]++
			}
		}
		if got := len(marks) + watched[source].lost; got < n*cores {
			t.Errorf("%s: %d of %d short processes are seen or lost", source, got, n*cores)
		}
		for mark, times := range marks {
			if times != 1 {
				t.Errorf("%s: %s is seen %d times", source, mark, times)
			}
		}
		if len(execs[source]) != len(found[source]) {
			t.Errorf("%s: %d of %d alerts are of different executions", source, len(execs[source]), len(found[source]))
		}
	}
	if lost > 0 {
		t.Logf("not compared: %d events were lost, and counted", lost)
		return
	}
	bad := 0
	for key, b := range execs["bpf"] {
		a := execs["audit"][key]
		if a == nil {
			t.Errorf("audit has not seen %.200s", key)
			continue
		}
		if lookUp(b, "process.entry_leader.entry_meta.type") == nil {
			t.Errorf("%.100s: nobody knows by whom it came in", key)
		}
		for _, field := range []string{"process.args", "process.args_count", "process.command_line", "process.executable", "process.name", "process.working_directory",
			"process.parent.pid", "process.parent.executable", "process.parent.name", "process.parent.args", "process.parent.command_line", "orlop.process.ancestor",
			"process.session_leader.pid", "process.session_leader.executable", "process.session_leader.entity_id", "process.group_leader.pid", "process.interactive",
			"process.entry_leader.pid", "process.entry_leader.entity_id",
			"user.id", "user.name", "group.id", "group.name", "auditd.user.audit.id", "auditd.session", "host.name", "host.id", "host.boot.id", "host.os.type", "event.type", "event.category"} {
			if got, want := lookUp(a, field), lookUp(b, field); !reflect.DeepEqual(got, want) && (got != nil && want != nil || required[field]) && bad < 20 {
				bad++
				t.Errorf("%.100s: %s is\n%.300v by audit and\n%.300v by bpf", key, field, got, want)
			}
		}
	}
	if len(execs["audit"]) != len(execs["bpf"]) {
		t.Errorf("audit has seen %d executions, bpf %d", len(execs["audit"]), len(execs["bpf"]))
	}
	if b, a := summaryOf(found["bpf pack"]), summaryOf(found["audit pack"]); a != b || len(b) == 0 {
		t.Errorf("alerts by audit:\n%sby bpf:\n%s", a, b)
	}
}

// required are the fields that every execution has, whoever saw it.
var required = map[string]bool{
	"process.args": true, "process.args_count": true, "process.command_line": true, "process.executable": true, "process.name": true,
	"process.parent.pid": true, "process.parent.executable": true, "process.parent.name": true, "process.parent.args": true,
	"user.id": true, "auditd.user.audit.id": true, "host.name": true, "host.id": true, "event.type": true, "event.category": true,
}

// Without the rights for bpf, auto takes audit, and without those for that, proc; each
// time it says why. What they change is put back.
func TestAutoTakesTheNextBest(t *testing.T) {
	needsKernel(t)
	audittest.Need(t)
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("needs setpriv")
	}
	f := func(without string, wants ...string) {
		t.Helper()
		uid := newUID()
		d := start(t, "setpriv", "--bounding-set="+without, "--inh-caps=-all", program(t), "run", "--loginuid", uid, "--output", "ndjson")
		first := d.logs[len(d.logs)-1]
		for _, want := range wants {
			if !strings.Contains(first, want) {
				t.Errorf("without %s it says %s, want %q", without, first, want)
			}
		}
		d.end()
	}
	f("-bpf,-perfmon,-sys_admin", `source="audit: unicast`, "; no bpf: capabilities: no CAP_BPF, no CAP_PERFMON (")
	f("-bpf,-perfmon,-sys_admin,-audit_control,-audit_read", `source="proc: `, "; no bpf: ", "; audit: capabilities: no CAP_AUDIT_CONTROL, no CAP_AUDIT_READ (")
}

// The proc connector raises the alert of what lives long enough to be looked at.
func TestRunByProcConnector(t *testing.T) {
	d := watch(t, newUID(), "run", "--source", "proc", "--output", "ndjson")
	ctr := filepath.Join(t.TempDir(), "ctr")
	buildGo(t, "box", "testdata/box/main.go", ctr)
	cmd := exec.CommandContext(d.ctx, "/bin/sh", "-c", `echo "$1" >/proc/self/loginuid && exec "$2" tasks exec --exec-id e c1 sh`, "sh", d.uid, ctr)
	cmd.Env = []string{"BOX_WAIT=1"}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	d.lines(1)
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got, want := summaryOf(alerts(t, d.end())), "medium: Container Entered Below the Kubernetes API: ctr tasks exec\n"; !strings.Contains(got, want) {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// A run on audit that was killed leaves rules that slow the host down. The next one,
// whatever its source, takes them away.
func TestNextRunClearsWhatAKilledOneLeft(t *testing.T) {
	needsKernel(t)
	audittest.Need(t)
	d := watch(t, newUID(), "run", "--source", "audit", "--output", "none")
	notes := filepath.Join(audit.DefaultState, "audit.json")
	var was struct{ PID int }
	text, err := os.ReadFile(notes)
	if err == nil {
		err = json.Unmarshal(text, &was)
	}
	if err != nil || was.PID != d.cmd.Process.Pid {
		t.Fatalf("notes of %d: %v, %s", d.cmd.Process.Pid, err, text)
	}
	doctor := func() string {
		t.Helper()
		out, err := exec.Command(program(t), "doctor").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	left := regexp.MustCompile(`  left behind +limited +\d+ of an orlop that was killed are loaded, .*\n +fix: the next orlop run or record takes them out, .*\n`)
	if said := doctor(); strings.Contains(said, "left behind") {
		t.Errorf("while it runs, doctor says %s", said)
	}
	d.kill()
	if said := doctor(); !left.MatchString(said) {
		t.Errorf("after it was killed, doctor says %s", said)
	}
	watch(t, newUID(), "run", "--source", "bpf", "--output", "none").end()
	if said := doctor(); strings.Contains(said, "left behind") {
		t.Errorf("after the next run, doctor says %s", said)
	}
	if _, err := os.Stat(notes); !os.IsNotExist(err) {
		t.Errorf("the notes are still there: %v", err)
	}
	for _, c := range audit.Checks("") {
		if c.Name == "rules" && c.State != "orlop loads its own" {
			t.Errorf("rules: %s", c.State)
		}
	}
}

// recordsOf are those of an execution, as auditd writes them.
func recordsOf(serial int, at time.Time, args ...string) string {
	stamp := fmt.Sprintf("msg=audit(%d.%03d:%d):", at.Unix(), at.Nanosecond()/1e6, serial)
	b := fmt.Sprintf("type=SYSCALL %s arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=8 items=1 ppid=2000000001 pid=%d auid=1001 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=84 comm=%q exe=%q key=\"exec\"\n",
		stamp, 2_000_000_001+serial, args[0], "/usr/bin/"+args[0])
	b += fmt.Sprintf("type=EXECVE %s argc=%d", stamp, len(args))
	for i, a := range args {
		b += fmt.Sprintf(" a%d=%q", i, a)
	}
	return b + fmt.Sprintf("\ntype=CWD %s cwd=\"/root\"\ntype=PATH %s item=0 name=%q inode=1 dev=fe:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL\ntype=PROCTITLE %s proctitle=637472\n", stamp, stamp, "/usr/bin/"+args[0], stamp)
}

func addTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = io.WriteString(f, text)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A log is followed through its rotations, by renaming and by truncating, and through
// a kill: what was written meanwhile is judged, once.
func TestRunFollowsALog(t *testing.T) {
	dir := t.TempDir()
	log, state, rule := filepath.Join(dir, "audit.log"), filepath.Join(dir, "state"), filepath.Join(dir, "rule.toml")
	addTo(t, rule, strings.Replace(everyExec, `event.type == "start"`, `process.parent.pid == 2000000001`, 1))
	addTo(t, log, recordsOf(1, time.Now().Add(-3*time.Hour), "old", "0"))
	config := filepath.Join(dir, "orlop.yaml")
	addTo(t, config, "sources:\n  - kind: audit-log\n    path: "+log+"\nrules: ["+rule+"]\nstate: "+state+"\ncheckpoint: 1s\noutput: ndjson\n")

	at, serial := time.Now().Add(-10*time.Minute), 1
	write := func(args ...string) string {
		serial++
		at = at.Add(10 * time.Second)
		return recordsOf(serial, at, args...)
	}
	var got []string
	seen := map[string]bool{}
	life := func(during func(d *daemon)) {
		t.Helper()
		d := start(t, program(t), "run", "--config", config)
		during(d)
		if d.cmd.ProcessState == nil {
			d.end()
		}
		for _, a := range alerts(t, d.out) {
			// A kill at the moment of an alert repeats it, with the same id.
			if id := fmt.Sprint(lookUp(a, "kibana.alert.uuid")); !seen[id] {
				seen[id] = true
				got = append(got, fmt.Sprint(lookUp(a, "process.args")))
			}
		}
	}
	life(func(d *daemon) {
		d.wait("checkpoint", func() bool { _, err := os.Stat(filepath.Join(state, "checkpoint")); return err == nil })
		addTo(t, log, write("a", "1")+write("a", "2"))
		d.lines(2)
		d.kill()
	})
	addTo(t, log, write("a", "3")+write("a", "4"))
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	addTo(t, log, write("a", "5"))
	life(func(*daemon) { addTo(t, log, write("a", "6")) })
	life(func(*daemon) {
		addTo(t, log, write("a", "7"))
		text, err := os.ReadFile(log)
		if err == nil {
			err = os.WriteFile(log+".2", text, 0o600)
		}
		if err == nil {
			err = os.Truncate(log, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		addTo(t, log, write("a", "8"))
	})
	var want []string
	for i := range 8 {
		want = append(want, fmt.Sprintf("[a %d]", i+1))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("alerts %q,\nwant %q", got, want)
	}
}

// What auditd sends to a plugin is judged up to its end, as from a file, and the
// signal by which auditd says that its settings have changed does not end it.
func TestRunAsAPluginOfAuditd(t *testing.T) {
	text, err := os.ReadFile("../../examples/node-session/audit.log")
	if err != nil {
		t.Fatal(err)
	}
	// As if it happened now.
	stamp := regexp.MustCompile(`audit\(\d+`)
	seconds := func(b []byte) int64 { n, _ := strconv.ParseInt(string(b[len("audit("):]), 10, 64); return n }
	shift := time.Now().Unix() - seconds(stamp.Find(text))
	text = stamp.ReplaceAllFunc(text, func(b []byte) []byte { return fmt.Appendf(nil, "audit(%d", seconds(b)+shift) })
	for _, verb := range []string{"run", "record"} {
		d := prepare(t, program(t), verb, "--source", "stdin")
		if verb == "run" {
			d.cmd.Args = append(d.cmd.Args, "--output", "ndjson")
		}
		in, err := d.cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		d.begin()
		half := len(text) / 2
		in.Write(text[:half])
		d.cmd.Process.Signal(syscall.SIGHUP)
		in.Write(text[half:])
		in.Close()
		lines := d.ended()
		if verb == "record" {
			out, err := exec.Command("sh", "-c", `"$1" scan --output ndjson --quiet - <"$2"`, "sh", program(t), saved(t, lines)).Output()
			if err != nil {
				t.Fatal(err)
			}
			lines = strings.Split(strings.TrimSpace(string(out)), "\n")
		}
		out, err := exec.Command(program(t), "scan", "--output", "ndjson", "--quiet", "../../examples/node-session/audit.log").Output()
		if err != nil {
			t.Fatal(err)
		}
		got := summaryOf(alerts(t, lines))
		if want := summaryOf(alerts(t, strings.Split(strings.TrimSpace(string(out)), "\n"))); got != want {
			t.Errorf("%s as a plugin raises:\n%sscan:\n%s", verb, got, want)
		}
	}
}

// What a recording has had for a second is there after a kill -9, without another event.
func TestRecordIsKilled(t *testing.T) {
	text, err := os.ReadFile("../../examples/node-session/audit.log")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "events.ndjson.zst")
	d := prepare(t, program(t), "record", "--source", "stdin", "--out", name)
	in, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	d.begin()
	if _, err := in.Write(text); err != nil {
		t.Fatal(err)
	}
	scan := func(file string) (lines string) {
		out, _ := exec.Command(program(t), "scan", "--output", "ndjson", "--quiet", file).Output() // may end amid a frame
		return summaryOf(alerts(t, strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })))
	}
	want := scan("../../examples/node-session/audit.log")
	d.wait("what scan says of its input", func() bool { return scan(name) == want })
	d.kill()
	if got := scan(name); got != want {
		t.Errorf("after a kill scan says\n%swant\n%s", got, want)
	}
}

func saved(t *testing.T, lines []string) string {
	name := filepath.Join(t.TempDir(), "events.ndjson")
	addTo(t, name, strings.Join(lines, "\n")+"\n")
	return name
}

// Of two sources that tell of the same acts one is heard: each act is one alert, whoever
// comes first, and the account of both adds up.
func TestOneActIsOneAlert(t *testing.T) {
	audittest.Need(t)
	dir := t.TempDir()
	rule, ctr := filepath.Join(dir, "rule.toml"), filepath.Join(dir, "ctr")
	addTo(t, rule, everyExec)
	copyOf(t, "/bin/true", dir, "ctr")
	f := func(sources string, twice bool, wants ...string) {
		t.Helper()
		config := filepath.Join(t.TempDir(), "orlop.yaml")
		uid := newUID()
		addTo(t, config, "rules: ["+rule+"]\noutput: ndjson\nsources:\n"+strings.ReplaceAll(sources, "UID", uid))
		d := start(t, program(t), "run", "--config", config)
		d.uid = uid
		d.wait("the other source", func() bool {
			select {
			case l := <-d.log:
				d.logs = append(d.logs, l)
				return strings.Contains(l, "two sources tell") || strings.Count(strings.Join(d.logs, "\n"), "msg=watching") == 2 && twice
			default:
				return false
			}
		})
		for i := range 5 {
			d.run(ctr, strconv.Itoa(i))
		}
		d.run("/bin/sh", "-c", "/nowhere/there; "+ctr+" 5")
		var got []string
		for _, a := range alerts(t, d.end()) {
			if args, _ := lookUp(a, "process.args").([]any); len(args) == 2 && args[0] == ctr {
				got = append(got, fmt.Sprint(args[1]))
			}
		}
		slices.Sort(got)
		want := []string{"0", "1", "2", "3", "4", "5"}
		if twice {
			want = []string{"0", "0", "1", "1", "2", "2", "3", "3", "4", "4", "5", "5"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: alerts for %q, want %q", sources, got, want)
		}
		log := strings.Join(d.logs, "\n")
		for _, w := range wants {
			if !regexp.MustCompile(w).MatchString(log) {
				t.Errorf("%s: the log is\n%s\nwant %s", sources, log, w)
			}
		}
		for _, m := range regexp.MustCompile(`msg=ended.*events="(\d+) = (\d+) evaluated \+ (\d+) filtered \+ (\d+) late \+ (\d+) rejected \+ (\d+) lost`).FindAllStringSubmatch(log, -1) {
			sum := 0
			for _, n := range m[2:] {
				i, _ := strconv.Atoi(n)
				sum += i
			}
			if m[1] != strconv.Itoa(sum) {
				t.Errorf("%s: %s", sources, m[0])
			}
		}
	}
	const bpf, audit, proc = "  - kind: bpf\n    loginuid: UID\n", "  - kind: audit\n    loginuid: UID\n", "  - kind: proc\n    loginuid: UID\n"
	f(bpf+audit, false, "level=INFO .*what audit tells, too, is judged as bpf tells it, and filtered from audit", `source=audit .*= \d evaluated \+ [1-9]\d* filtered`, `source=bpf .*= [1-9]\d+ evaluated`) // of bpf no more is filtered than what others had run before
	f(audit+bpf, false, "what audit tells, too, is judged as bpf tells it")
	f(bpf+proc, false, "what proc tells, too, is judged as bpf tells it")
	f(proc+audit, false, "what proc tells, too, is judged as audit tells it")
	f("  - kind: bpf\n    loginuid: UID\n  - kind: bpf\n    name: again\n    loginuid: UID\n", false, "what again tells, too, is judged as bpf tells it")
	// What the better one does not judge the other does; what it judges, only it.
	f("  - kind: bpf\n    loginuid: UID\n    exclude: process where process.args == \"3\"\n"+audit, false, "judged as bpf tells it")

}

// auditd starts the kernel's audit daemon, with a log and a plugin of our own, and rules
// for a login uid. It returns the log and what the plugin is sent.
func auditd(t *testing.T, uid string) (log string, plugin *os.File) {
	t.Helper()
	audittest.Need(t)
	for _, p := range []string{"auditd", "auditctl", "mkfifo"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s", p)
		}
	}
	dir := t.TempDir()
	log = filepath.Join(dir, "audit.log")
	fifo, script := filepath.Join(dir, "fifo"), filepath.Join(dir, "plugin")
	ctl := func(args ...string) string {
		out, err := exec.Command("auditctl", args...).CombinedOutput()
		if err != nil {
			t.Errorf("auditctl %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	setting := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + ` (\d+)`).FindStringSubmatch(ctl("-s"))
		if m == nil {
			t.Fatalf("auditctl says nothing of %s", name)
		}
		return m[1]
	}
	for name, text := range map[string]string{
		"auditd.conf": "local_events = yes\nwrite_logs = yes\nlog_file = " + log + "\nlog_group = root\nlog_format = ENRICHED\nflush = INCREMENTAL_ASYNC\nfreq = 50\n" +
			"max_log_file = 1\nnum_logs = 20\nmax_log_file_action = ROTATE\nplugin_dir = " + dir + "/plugins.d\nq_depth = 20000\noverflow_action = IGNORE\n" +
			"space_left = 2\nadmin_space_left = 1\nspace_left_action = IGNORE\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\n",
		"plugins.d/orlop.conf": "active = yes\ndirection = out\npath = " + script + "\ntype = always\nformat = string\n",
		"plugin":               "#!/bin/sh\nexec cat >" + fifo + "\n",
	} {
		os.MkdirAll(filepath.Join(dir, "plugins.d"), 0o750)
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(script, 0o750), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	plugin, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	enabled, backlog := setting("enabled"), setting("backlog_limit")
	cmd := exec.Command("auditd", "-n", "-c", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rule := []string{"always,exit", "-F", "arch=b64", "-S", "execve,execveat", "-F", "auid=" + uid, "-k", "orlop-test"}
	t.Cleanup(func() {
		ctl(append([]string{"-d"}, rule...)...)
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("auditd: %v", err)
		}
		plugin.Close()
		ctl("-e", enabled)
		ctl("-b", backlog)
	})
	d := &daemon{t: t, ctx: t.Context()}
	d.wait("auditd", func() bool {
		_, err := os.Stat(log)
		return err == nil && setting("pid") == strconv.Itoa(cmd.Process.Pid)
	})
	ctl("-b", "8192")
	ctl(append([]string{"-a"}, rule...)...)
	return log, plugin
}

// Beside auditd the kernel's multicast, auditd's log through its rotations and auditd's
// plugin tell of the same acts, all of them. Together each act is one alert. It is a drill
// of its own: on a host that is busy auditd itself falls behind, and its log and plugin
// lack what the kernel has told.
func TestBesideAuditd(t *testing.T) {
	if os.Getenv("ORLOP_DRILL") == "" {
		t.Skip("auditd wants a host with nothing else to do: make drill")
	}
	dir := t.TempDir()
	rule, storm := filepath.Join(dir, "rule.toml"), filepath.Join(dir, "storm")
	addTo(t, rule, everyExec)
	uid := newUID()
	log, plugin := auditd(t, uid)
	buildGo(t, "storm", "testdata/storm/main.go", storm)
	const n = 1000 // more than a log of 1 MB holds
	f := func(kinds []string, wants ...string) {
		t.Helper()
		mark := "of-" + strings.Join(kinds, "-")
		config := filepath.Join(t.TempDir(), "orlop.yaml")
		text := "rules: [" + rule + "]\noutput: ndjson\ndrain: 1m\nsources:\n"
		for _, kind := range kinds {
			text += "  - kind: " + kind + "\n    loginuid: " + uid + "\n"
			if kind == "audit-log" {
				text += "    path: " + log + "\n"
			}
		}
		addTo(t, config, text)
		d := prepare(t, program(t), "run", "--config", config)
		d.uid = uid
		if slices.Contains(kinds, "stdin") {
			d.cmd.Stdin = plugin
		}
		d.begin()
		d.run(storm, strconv.Itoa(n), "/bin/true", mark, "{}")
		d.wait("alerts", func() bool { // auditd writes and sends when it likes.
			d.mu.Lock()
			defer d.mu.Unlock()
			seen := 0
			for _, l := range d.out {
				if strings.Contains(l, `["/bin/true","`+mark+`",`) {
					seen++
				}
			}
			return seen >= n
		})
		times := map[string]int{}
		for _, a := range alerts(t, d.end()) {
			if args, _ := lookUp(a, "process.args").([]any); len(args) == 3 && args[1] == mark {
				times[fmt.Sprint(args[2])]++
			}
		}
		for i := range n {
			if got := times[strconv.Itoa(i)]; got != 1 {
				t.Fatalf("%q: exec %d is %d alerts, want 1, of %d; the log is\n%s", kinds, i, got, len(times), strings.Join(d.logs, "\n"))
			}
		}
		for _, want := range wants {
			if !regexp.MustCompile(want).MatchString(strings.Join(d.logs, "\n")) {
				t.Errorf("%q: the log is\n%s\nwant %s", kinds, strings.Join(d.logs, "\n"), want)
			}
		}
	}
	const all = `evaluated \+ \d+ filtered \+ 0 late \+ 0 rejected \+ 0 lost`
	// Those on standard input first, for from then on the plugin is read by us: where nobody
	// reads it auditd waits, and the kernel, which waits for auditd, loses records for all.
	f([]string{"stdin"}, "records on standard input", all)
	f([]string{"audit", "stdin"}, "what stdin tells, too, is judged as audit tells it", `source=stdin .*= \d+ evaluated \+ [1-9]\d{2,} filtered \+ 0 late \+ 0 rejected \+ 0 lost`)
	go io.Copy(io.Discard, plugin)
	f([]string{"audit"}, "multicast, beside the audit daemon", all)
	f([]string{"audit-log"}, "the log "+log, all)
	f([]string{"audit", "audit-log"}, "what audit-log tells, too, is judged as audit tells it", `source=audit-log .*= \d+ evaluated \+ [1-9]\d{2,} filtered \+ 0 late \+ 0 rejected \+ 0 lost`)
	if _, err := os.Stat(log + ".1"); err != nil {
		t.Errorf("the log was not rotated: %v", err)
	}
}
