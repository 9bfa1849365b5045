//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// exits is a static program for amd64 that exits at once, so that an exec costs as
// little as it can and what we add shows most.
var exits = []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00\x01\x00\x00\x00" +
	"\x78\x00\x40\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x40\x00\x38\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
	"\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00" +
	"\x81\x00\x00\x00\x00\x00\x00\x00\x81\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00" +
	"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05")

// BenchmarkStorm measures what orlop run, with the built-in pack, takes from a host
// that does nothing but exec, on all cores. Rounds without and with it take turns.
// Run it alone: go test -run '^$' -bench Storm -benchtime 1x ./cmd/orlop
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
	run := func(program string, n int) {
		var off, on, rss, lost, cpu []float64
		for range rounds {
			off = append(off, execs(b, newUID(), storm, n, program))
			d := watch(b, newUID(), "run", "--output", "ndjson")
			before := cpuTime(d.cmd.Process.Pid)
			on = append(on, execs(b, d.uid, storm, n, program))
			cpu = append(cpu, (cpuTime(d.cmd.Process.Pid)-before)/float64(n)*1e6)
			rss = append(rss, peakRSS(d.cmd.Process.Pid))
			d.lossy = true
			d.end()
			lost = append(lost, float64(d.lost))
		}
		slices.Sort(off)
		slices.Sort(on)
		slices.Sort(cpu)
		name := filepath.Base(program)
		b.ReportMetric(off[rounds/2], name+"-off/s")
		b.ReportMetric(on[rounds/2], name+"-on/s")
		b.ReportMetric(on[rounds/2]/off[rounds/2], name+"-share")
		b.ReportMetric(on[rounds-1]/off[rounds-1], name+"-best-share")
		b.ReportMetric(cpu[rounds/2], name+"-cpu-us/exec")
		b.ReportMetric(slices.Max(rss), name+"-peak-MB")
		b.ReportMetric(slices.Max(lost), name+"-lost")
	}
	for b.Loop() {
		run(static, 10000)
		run("/bin/true", 1500)
	}
}

// execs starts a program n times from as many processes as there are cores and
// returns how often a second.
func execs(b *testing.B, uid, storm string, n int, program string) float64 {
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

// peakRSS is the most memory that a process has had, in MB.
func peakRSS(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
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
// standard output, with one at a time.
func BenchmarkLatency(b *testing.B) {
	needsKernel(b)
	d := watch(b, newUID(), "run", "--output", "ndjson")
	ctr := filepath.Join(b.TempDir(), "ctr")
	text, err := os.ReadFile("/bin/true")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(ctr, text, 0o755); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		d.run(ctr, "-n", "k8s.io", "run", "-d", "docker.io/library/alpine:3", "c"+strconv.Itoa(n))
	}
	d.end()
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
