//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
)

// exits is a static program for amd64 that exits at once, so that an exec costs as
// little as it can and what we add shows most.
var exits = []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00\x01\x00\x00\x00" +
	"\x78\x00\x40\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x40\x00\x38\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
	"\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00" +
	"\x81\x00\x00\x00\x00\x00\x00\x00\x81\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00" +
	"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05")

// A setup is a way to watch a host: what runs while programs are executed under a
// login uid.
type setup struct {
	name   string
	auditd bool   // with rules for execve
	source string // of an orlop run with the built-in pack; "" is none
}

// setups are those that this host lets us measure, without any first.
func setups(b *testing.B) []setup {
	all := []setup{{"off", false, ""}, {"bpf", false, "bpf"}, {"proc", false, "proc"}}
	for _, c := range audit.Checks("") {
		if c.Needed && c.Fix != "" || c.Name == "daemon" && !strings.HasPrefix(c.State, "none") {
			b.Logf("without audit: %s: %s", c.Name, c.State)
			return all
		}
	}
	all = append(all, setup{"audit-unicast", false, "audit"})
	for _, name := range []string{"auditd", "auditctl"} {
		if _, err := exec.LookPath(name); err != nil {
			b.Log("without auditd: it is not installed (apt-get install auditd)")
			return all
		}
	}
	return append(all, setup{"auditd", true, ""}, setup{"auditd+audit-multicast", true, "audit"}, setup{"auditd+audit-log", true, "audit-log"})
}

// begin begins to watch; d is nil if no orlop does.
func (s *setup) begin(b *testing.B, uid string) (d *daemon, end func()) {
	var ends []func()
	source := s.source
	if s.auditd {
		log, stop := startAuditd(b, uid)
		ends = append(ends, stop)
		if source == "audit-log" {
			source += "=" + log
		}
	}
	if source != "" {
		d = watch(b, uid, "run", "--source", source, "--output", "ndjson")
		d.lossy = true
		ends = append(ends, func() { d.end() })
	}
	return d, func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
}

// startAuditd makes auditd the kernel's daemon, with a log of its own and rules for one
// login uid. Stop puts everything back.
func startAuditd(b testing.TB, uid string) (log string, stop func()) {
	b.Helper()
	dir := b.TempDir()
	log = filepath.Join(dir, "audit.log")
	auditctl := func(args ...string) string {
		out, err := exec.Command("auditctl", args...).CombinedOutput()
		if err != nil {
			b.Fatalf("auditctl %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	enabled := regexp.MustCompile(`enabled (\d)`).FindStringSubmatch(auditctl("-s"))[1]
	conf := "log_file = " + log + "\nlog_format = RAW\nwrite_logs = yes\nflush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 50\nnum_logs = 5\nmax_log_file_action = ROTATE\nplugin_dir = " + dir + "/plugins.d\n" +
		"space_left = 75\nspace_left_action = IGNORE\nadmin_space_left = 50\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\n"
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "plugins.d"), 0o750), os.WriteFile(filepath.Join(dir, "auditd.conf"), []byte(conf), 0o640)); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("auditd", "-n", "-c", dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	for !strings.Contains(auditctl("-s"), fmt.Sprintf("pid %d\n", cmd.Process.Pid)) {
		select {
		case err := <-over:
			b.Fatalf("auditd: %v; its reason is in the system's log", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	rule := func(do, arch string) {
		auditctl(do, "always,exit", "-F", "arch="+arch, "-S", "execve,execveat,connect,exit_group", "-F", "auid="+uid, "-k", "orlop-bench")
	}
	rule("-a", "b64")
	rule("-a", "b32")
	return log, func() {
		rule("-d", "b64")
		rule("-d", "b32")
		cmd.Process.Signal(syscall.SIGTERM)
		<-over
		auditctl("-e", enabled)
	}
}

// BenchmarkStorm measures what a sensor, with the built-in pack, takes from a host that
// does nothing but exec, on all cores: each in turn, also auditd, which writes its log
// and judges nothing. Share is of the execs a second without any.
// Run it alone: make bench-live
func BenchmarkStorm(b *testing.B) {
	needsKernel(b)
	dir := b.TempDir()
	storm := filepath.Join(dir, "storm")
	buildGo(b, "storm", "testdata/storm/main.go", storm)
	static := filepath.Join(dir, "exits")
	if err := os.WriteFile(static, exits, 0o755); err != nil {
		b.Fatal(err)
	}
	if runtime.GOARCH != "amd64" {
		static = "/bin/true"
	}
	const rounds = 3
	all := setups(b)
	run := func(program string, n int) {
		type figures struct{ rate, rss, lost, cpu []float64 }
		found := make([]figures, len(all))
		for range rounds {
			for i := range all {
				f, uid := &found[i], newUID()
				d, end := all[i].begin(b, uid)
				before := 0.0
				if d != nil {
					before = cpuTime(d.cmd.Process.Pid)
				}
				f.rate = append(f.rate, execs(b, uid, storm, n, program))
				if d != nil {
					f.cpu = append(f.cpu, (cpuTime(d.cmd.Process.Pid)-before)/float64(n)*1e6)
					f.rss = append(f.rss, memory(d.cmd.Process.Pid, "VmHWM"))
				}
				end()
				if d != nil {
					f.lost = append(f.lost, float64(d.lost))
				}
			}
		}
		name := filepath.Base(program) + "-"
		for i := range all {
			f := &found[i]
			slices.Sort(f.rate)
			b.ReportMetric(f.rate[rounds/2], name+all[i].name+"/s")
			if i > 0 {
				b.ReportMetric(f.rate[rounds/2]/found[0].rate[rounds/2], name+all[i].name+"-share")
			}
			if f.cpu != nil {
				slices.Sort(f.cpu)
				b.ReportMetric(f.cpu[rounds/2], name+all[i].name+"-cpu-us/exec")
				b.ReportMetric(slices.Max(f.rss), name+all[i].name+"-peak-MB")
				b.ReportMetric(slices.Max(f.lost), name+all[i].name+"-lost")
			}
		}
	}
	for b.Loop() {
		run(static, 10000)
		run("/bin/true", 1500)
	}
}

// execs starts a program n times from as many processes as there are cores and
// returns how often a second.
func execs(b testing.TB, uid, storm string, n int, program string) float64 {
	var wg sync.WaitGroup
	cores := runtime.NumCPU()
	took := make([]float64, cores)
	for i := range cores {
		wg.Go(func() {
			out, err := exec.Command("/bin/sh", "-c", `echo "$1" >/proc/self/loginuid && shift && exec "$@"`, "sh", uid, storm, strconv.Itoa(n/cores), program).Output()
			if err != nil {
				b.Error(err)
			}
			took[i], _ = strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		})
	}
	wg.Wait()
	return float64(n) / (slices.Max(took) / 1e9)
}

// memory is how much a process has, in MB: VmRSS is resident now, VmHWM was at most.
func memory(pid int, which string) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, which+":"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// cpuTime is how many seconds of processor a process has used.
func cpuTime(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	sys, _ := strconv.ParseFloat(f[12], 64)
	return (user + sys) / 100
}

// BenchmarkLatency measures the time from an exec in the kernel to its alert on
// standard output, with one at a time, by each way of watching; the one through
// auditd's log is what there was before. Audit tells the time in ticks, so that up to
// one, 1 to 10 ms, is too much of its figures.
func BenchmarkLatency(b *testing.B) {
	needsKernel(b)
	for _, s := range setups(b) {
		if s.source != "" && s.source != "proc" { // which does not see what is so short
			b.Run(s.name, func(b *testing.B) { latency(b, s) })
		}
	}
}

func latency(b *testing.B, s setup) {
	uid := newUID()
	d, end := s.begin(b, uid)
	d.uid = uid
	dir := b.TempDir()
	copyOf(b, "/bin/true", dir, "ctr")
	n := 0
	for b.Loop() {
		n++
		d.run(filepath.Join(dir, "ctr"), "-n", "k8s.io", "run", "-d", "docker.io/library/alpine:3", "c"+strconv.Itoa(n))
	}
	end()
	var took []time.Duration
	for i, line := range d.out {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			b.Fatal(err)
		}
		text, _ := lookUp(doc, "@timestamp").(string)
		if original, ok := lookUp(doc, "kibana.alert.original_time").(string); ok {
			text = original
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			b.Fatal(err)
		}
		if lookUp(doc, "kibana.alert.building_block_type") == nil && strings.Contains(line, "Container Created") {
			took = append(took, d.at[i].Sub(at))
		}
	}
	if len(took) != n {
		b.Fatalf("%d alerts, want %d", len(took), n)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[n/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(took[n*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[n-1].Microseconds())/1000, "max-ms")
}
