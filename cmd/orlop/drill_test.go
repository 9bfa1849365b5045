//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/internal/smalldisk"
)

// Drills are what goes wrong on a host, done to a real orlop run. After each, every
// event is accounted for, and no alert is lost or comes twice. ORLOP_DRILL, a
// number, makes their storms so many times longer: make drill.

// drillRule alerts on each start of a program whose first argument is "drill".
const drillRule = "11111111-1111-4111-8111-111111111111"

// pairRule alerts on a start with "first" and one with "second" after it.
const pairRule = "22222222-2222-4222-8222-222222222222"

func drillRules(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	writeRule(t, dir, "drill", drillRule, `process where event.action == "exec" and process.args == "drill"`)
	writeRule(t, dir, "pair", pairRule, `sequence with maxspan=10m
  [process where event.action == "exec" and process.args == "first"]
  [process where event.action == "exec" and process.args == "second"]`)
	return dir
}

// writeRule writes a rule file in one piece.
func writeRule(t *testing.T, dir, name, id, query string) {
	t.Helper()
	text := fmt.Sprintf("[rule]\nauthor = [\"Drill\"]\nname = %q\ndescription = \"of a drill\"\nrule_id = %q\nrisk_score = 1\nseverity = \"low\"\ntype = \"eql\"\nlanguage = \"eql\"\nquery = '''\n%s\n'''\n", name, id, query)
	file := filepath.Join(dir, name+".toml")
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// drillConfig writes a configuration with a state directory and frequent
// checkpoints, and returns both.
func drillConfig(t *testing.T, state string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "orlop.yaml")
	text := fmt.Sprintf("rules: [%q]\nstate: %q\ncheckpoint: 1s\noutput: ndjson\n", drillRules(t), state)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// times is n, as often as ORLOP_DRILL says.
func times(t testing.TB, n int) int {
	t.Helper()
	s := os.Getenv("ORLOP_DRILL")
	if s == "" {
		return n
	}
	k, err := strconv.Atoi(s)
	if err != nil || k < 1 {
		t.Fatalf("ORLOP_DRILL=%q: expected a number from 1", s)
	}
	return n * k
}

// storm starts a program as "drill NUMBER" for each number of a range, with another
// argument of that many bytes.
func (d *daemon) storm(from, to, pad int) {
	d.t.Helper()
	d.run("/bin/sh", "-c", `i=$1; while [ $i -lt $2 ]; do /bin/true drill $i "$3"; i=$((i+1)); done`, "storm", strconv.Itoa(from), strconv.Itoa(to), strings.Repeat("x", pad))
}

// status asks the run how it is, until it is as is asked for.
func (d *daemon) status(state string, is func(*agent.Status) bool) *agent.Status {
	d.t.Helper()
	for {
		out, err := exec.CommandContext(d.ctx, program(d.t), "status", "--state", state, "--output", "ndjson").Output()
		var s agent.Status
		if json.Unmarshal(out, &s) == nil && is(&s) {
			return &s
		}
		if d.ctx.Err() != nil {
			d.t.Fatalf("the status does not become what it should: %v: %s", err, out)
		}
	}
}

// numbers are those of the alerts of drillRule. It fails the test if an alert comes
// twice.
func numbers(t *testing.T, alerts []map[string]any) (all []int) {
	t.Helper()
	ids := map[any]bool{}
	for _, a := range alerts {
		id := lookUp(a, "kibana.alert.uuid")
		if ids[id] {
			t.Errorf("alert %v comes twice", id)
		}
		ids[id] = true
		if lookUp(a, "kibana.alert.rule.rule_id") == drillRule {
			n, err := strconv.Atoi(lookUp(a, "process.args").([]any)[2].(string))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

// wantNumbers wants each number of a range once.
func wantNumbers(t *testing.T, got []int, from, to int) {
	t.Helper()
	for i, n := range got {
		if n != from+i {
			t.Fatalf("the alert of %d is missing, or that of %d is too much: %d alerts", from+i, n, len(got))
		}
	}
	if len(got) != to-from {
		t.Errorf("%d alerts, want %d", len(got), to-from)
	}
}

// A reader that is stopped holds nobody up: what happens goes on, and what did not
// fit is lost, counted, and told by the alerts around it.
func TestDrillStoppedReader(t *testing.T) {
	d := watch(t, newUID(), "run", "--output", "ndjson", "--rules", drillRules(t))
	d.lossy = true
	n := times(t, 1000)
	d.storm(0, 10, 0)
	if err := d.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	d.storm(10, n, 12<<10) // returns while nobody reads
	if err := d.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	found := alerts(t, d.end())
	got := numbers(t, found)
	if d.lost == 0 || len(got) < 10 || len(got) >= n || n-len(got) > d.lost {
		t.Fatalf("%d starts, %d alerts, %d lost", n, len(got), d.lost)
	}
	last := found[len(found)-1]
	if lost, _ := lookUp(last, "orlop.evidence.lost").(float64); lost < 1 {
		t.Errorf("the last alert says nothing of the loss: %v", lookUp(last, "orlop.evidence"))
	}
}

// While the disk of the state is full the run goes on, and says so; once there is
// room it writes checkpoints again.
func TestDrillDiskFull(t *testing.T) {
	needsKernel(t)
	state := filepath.Join(smalldisk.Mount(t, "4m"), "state")
	d := watch(t, newUID(), "run", "--config", drillConfig(t, state))
	n := times(t, 200)
	d.storm(0, n, 0)
	d.status(state, func(s *agent.Status) bool { return s.Checkpoint.Checkpoints > 0 })
	filler := smalldisk.Fill(t, filepath.Dir(state))
	d.storm(n, 2*n, 0)
	d.status(state, func(s *agent.Status) bool { return s.Checkpoint.Failures > 0 })
	d.storm(2*n, 3*n, 0)
	was := d.status(state, func(s *agent.Status) bool { return s.Alerts == uint64(3*n) })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.status(state, func(s *agent.Status) bool { return s.Checkpoint.Checkpoints > was.Checkpoint.Checkpoints })
	wantNumbers(t, numbers(t, alerts(t, d.end())), 0, 3*n)
	if !slices.ContainsFunc(d.logs, func(l string) bool { return strings.Contains(l, "no space left on device") }) {
		t.Errorf("the log does not say that the disk is full:\n%s", strings.Join(d.logs, "\n"))
	}
}

// After a kill -9 amid a storm the next run goes on: what was raised is not raised
// again, half of a sequence waits for its other half, and alerts tell of the time in
// which nobody watched.
func TestDrillKilled(t *testing.T) {
	needsKernel(t)
	state := t.TempDir()
	file := drillConfig(t, state)
	uid := newUID()
	d := watch(t, uid, "run", "--config", file)
	const before = 50
	n := times(t, 500)
	d.run("/bin/true", "first")
	d.storm(0, before, 0)
	seen := d.status(state, func(s *agent.Status) bool { return s.Alerts == before }).Checkpoint.Checkpoints
	d.status(state, func(s *agent.Status) bool { return s.Checkpoint.Checkpoints > seen+1 }) // begun after that
	storm := make(chan bool)
	go func() {
		defer close(storm)
		d.storm(before, n, 0)
	}()
	d.status(state, func(s *agent.Status) bool { return s.Alerts > before+uint64(n)/10 })
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-storm
	for range d.log { // until its end
	}
	<-d.done
	d.cmd.Wait()
	lines := d.out
	if last := len(lines) - 1; !json.Valid([]byte(lines[last])) {
		lines = lines[:last] // It was killed while it wrote.
	}
	first := numbers(t, alerts(t, lines))
	if len(first) < before+n/10 {
		t.Fatalf("%d alerts before the kill", len(first))
	}
	wantNumbers(t, first, 0, len(first))

	again := watch(t, uid, "run", "--config", file)
	again.storm(n, n+before, 0)
	again.run("/bin/true", "second")
	again.status(state, func(s *agent.Status) bool { return s.Alerts == before+1 })
	found := alerts(t, again.end())
	got := numbers(t, append(alerts(t, lines), found...))
	wantNumbers(t, got[len(first):], n, n+before)
	pairs := slices.DeleteFunc(slices.Clone(found), func(a map[string]any) bool {
		return lookUp(a, "kibana.alert.rule.rule_id") != pairRule
	})
	if len(pairs) != 1 {
		t.Errorf("%d sequences that began before the kill, want 1", len(pairs))
	}
	for _, a := range found {
		if away, _ := lookUp(a, "orlop.evidence.unwatched").(float64); away < 1 {
			t.Fatalf("an alert says nothing of the time in which nobody watched: %v", lookUp(a, "orlop.evidence"))
		}
	}
}

// Rules that change amid a storm, for good and for bad, cost the others nothing.
func TestDrillReload(t *testing.T) {
	needsKernel(t)
	state := t.TempDir()
	file := drillConfig(t, state)
	d := watch(t, newUID(), "run", "--config", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(`["`))
	dir, _, _ := bytes.Cut(rest, []byte(`"]`))
	n := times(t, 500)
	d.run("/bin/true", "first")
	storm := make(chan bool)
	go func() {
		defer close(storm)
		d.storm(0, n, 0)
	}()
	reloads, refused := int64(0), int64(0)
	for round, under := 0, true; under; round++ {
		query := fmt.Sprintf("process where process.pid == %d", -round)
		good := round%2 == 0
		if !good {
			query = "process where ("
		}
		writeRule(t, string(dir), "other", "33333333-3333-4333-8333-333333333333", query)
		s := d.status(state, func(s *agent.Status) bool {
			return good && s.Reloads > reloads || !good && s.Refused > refused
		})
		reloads, refused = s.Reloads, s.Refused
		select {
		case <-storm:
			under = refused == 0 // both kinds
		default:
		}
	}
	d.run("/bin/true", "second")
	d.status(state, func(s *agent.Status) bool { return s.Alerts == uint64(n)+1 })
	found := alerts(t, d.end())
	wantNumbers(t, numbers(t, found), 0, n)
	if last := found[len(found)-1]; lookUp(last, "kibana.alert.rule.rule_id") != pairRule {
		t.Errorf("the sequence that began before the reloads does not end: %v", last["kibana.alert.rule.name"])
	}
	t.Logf("%d reloads, %d refused", reloads, refused)
}

// A run that is told to end while a storm goes on has judged all that it saw.
func TestDrillEndAmidAStorm(t *testing.T) {
	needsKernel(t)
	state := t.TempDir()
	d := watch(t, newUID(), "run", "--config", drillConfig(t, state))
	n := times(t, 500)
	storm := make(chan bool)
	go func() {
		defer close(storm)
		d.storm(0, n, 0)
	}()
	d.status(state, func(s *agent.Status) bool { return s.Alerts > uint64(n)/10 })
	got := numbers(t, alerts(t, d.end()))
	<-storm
	wantNumbers(t, got, 0, len(got))
	t.Logf("%d of %d before the end", len(got), n)
}

// A run of a sensor, with the built-in rules, that sees nothing but programs start and end
// takes no more than 80 MB, and no more in the end than it did before.
func TestDrillMemory(t *testing.T) {
	needsKernel(t)
	if os.Getenv("ORLOP_DRILL") == "" {
		t.Skip("it takes minutes: make drill")
	}
	storm := filepath.Join(t.TempDir(), "storm")
	buildGo(t, "storm", "testdata/storm/main.go", storm)
	d := watch(t, newUID(), "run", "--source", "bpf", "--output", "ndjson")
	d.lossy = true
	var rss []float64
	minutes := times(t, 1)
	for m := range minutes {
		n, rate := 0, 0.0
		for end := time.Now().Add(time.Minute); time.Now().Before(end); n += 5000 {
			rate = execs(t, d.uid, storm, 5000, "/bin/true")
		}
		now, peak := memory(d.cmd.Process.Pid, "VmRSS"), memory(d.cmd.Process.Pid, "VmHWM")
		t.Logf("minute %d: %d executions, %.0f a second at its end, %.1f MB resident, %.1f MB at most", m+1, n, rate, now, peak)
		if rss = append(rss, now); peak > 80 {
			t.Errorf("%.1f MB after %d minutes, want at most 80", peak, m+1)
		}
	}
	d.end()
	if half := minutes / 2; half > 1 {
		if before, after := slices.Max(rss[:half]), slices.Max(rss[half:]); after > before*1.1 {
			t.Errorf("it grows: %.1f MB in the first half, %.1f MB in the second", before, after)
		}
	}
}
