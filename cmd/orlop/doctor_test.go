//go:build linux

package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/orlop/orlop/source/audit/audittest"
)

// needs skips a test without root or one of these programs.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	needsKernel(t)
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s", p)
		}
	}
}

// without drops capabilities.
func without(caps string) []string {
	return []string{"setpriv", "--bounding-set=" + caps, "--inh-caps=-all"}
}

// What doctor says of a source is what run does: whether it works, and what it warns of.
func TestDoctorIsTrue(t *testing.T) {
	needs(t, "unshare", "setpriv")
	f := func(command []string, source string, works bool, wants ...string) {
		t.Helper()
		out, _ := exec.Command(command[0], append(command[1:], program(t), "doctor")...).Output()
		_, part, ok := strings.Cut(string(out), "\n--source "+source+" ")
		if !ok {
			t.Fatalf("%q doctor says %s", command, out)
		}
		part, _, _ = strings.Cut(part, "\n\n")
		if got := strings.HasPrefix(part, "works\n"); got != works {
			t.Errorf("%q: doctor says that %s %s", command, source, part)
		}
		line := regexp.MustCompile(`(?m)^  (\S.*?) +(limited|MISSING) +(.*)$`)
		for _, want := range wants {
			if !strings.Contains(part, want) {
				t.Errorf("%q: doctor says of %s\n%s\nwant %q", command, source, part, want)
			}
		}
		run := append(command, program(t), "run", "--loginuid", newUID(), "--source", source, "--output", "none")
		if !works {
			out, err := exec.Command(run[0], run[1:]...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitHost {
				t.Errorf("%q ends with %v, want %d\n%s", run, err, exitHost, out)
			}
			return
		}
		d := start(t, run...)
		if command[0] == "unshare" && command[1] == "-p" { // which hands no signal on
			d.kill()
			return
		}
		d.end()
		log := strings.Join(d.logs, "\n")
		for _, m := range line.FindAllStringSubmatch(part, -1) {
			if want := m[1] + ": " + m[3]; !strings.Contains(strings.ReplaceAll(log, `\"`, `"`), want) {
				t.Errorf("%q: run does not warn of %q\n%s", command, want, log)
			}
		}
		if n := strings.Count(log, `msg="not all is seen"`); n != len(line.FindAllString(part, -1)) {
			t.Errorf("%q: run warns %d times, doctor\n%s", command, n, part)
		}
	}
	host := []string{"env"}
	f(host, "bpf", true, "namespaces          ok       the host's pids")
	f([]string{"unshare", "-n"}, "bpf", true, "namespaces          ok       the host's pids")
	f([]string{"unshare", "-n"}, "proc", false, "namespaces          MISSING  a network namespace of its own, where there is no connector")
	f([]string{"unshare", "-p", "-f", "--kill-child", "--mount-proc"}, "bpf", true, "namespaces          limited  a pid namespace of its own")
	f([]string{"unshare", "-p", "-f", "--mount-proc"}, "audit", false, "namespaces          MISSING  a pid namespace of its own")
	f([]string{"unshare", "-U", "-r"}, "bpf", false, "namespaces          MISSING  a user namespace of its own")
	f([]string{"unshare", "-U", "-r"}, "audit", false, "namespaces          MISSING  a user namespace of its own")
	f([]string{"unshare", "-U", "-r"}, "proc", false, "namespaces          MISSING  a user namespace of its own")
	// Without the right to look at the first process, too.
	f([]string{"unshare", "-n", "setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all"}, "proc", false, "namespaces          MISSING  a network namespace of its own")
	f(without("-sys_ptrace"), "bpf", true, "CAP_SYS_PTRACE      limited  missing; not known of other users' or more capable processes: programs and working directories")
	f(append([]string{"unshare", "-m", "-u", "-i"}, without("-sys_ptrace")...), "bpf", true, "identity            limited  the host's files cannot be looked at", "host.name is the container's")
	f(without("-sys_ptrace"), "proc", true, "CAP_SYS_PTRACE      limited")
	f(without("-dac_read_search,-dac_override"), "bpf", true, "CAP_DAC_READ_SEARCH limited  missing; where only others may read: renamed runtime clients")
	f(without("-dac_read_search"), "bpf", true) // The other one is as good for reading.
	f(without("-bpf,-sys_admin"), "bpf", false, "capabilities        MISSING  no CAP_BPF\n")
	f(without("-perfmon,-sys_admin"), "bpf", false, "capabilities        MISSING  no CAP_PERFMON\n")
	f(without("-net_admin"), "proc", false, "capabilities        MISSING  no CAP_NET_ADMIN")
	f(without("-audit_control,-audit_read"), "audit", false, "capabilities        MISSING  no CAP_AUDIT_CONTROL, no CAP_AUDIT_READ")
	audittest.Need(t)
	f(host, "audit", true, "namespaces          ok       the host's\n")
	f([]string{"unshare", "-n"}, "audit", true, "namespaces          ok       a network namespace of its own, in which orlop can be the audit daemon")
	f(without("-sys_ptrace"), "audit", true, "CAP_SYS_PTRACE      limited")
	f(without("-net_admin"), "audit", true, "buffer              limited  the kernel keeps what ")
	f(without("-audit_control"), "audit", false, "multicast           MISSING  nothing is heard")
}

// A log that is not there is waited for, and that is said. One that may not be read is
// not.
func TestRunWaitsForALog(t *testing.T) {
	needs(t, "setpriv")
	dir := t.TempDir()
	log := filepath.Join(dir, "there", "audit.log")
	d := start(t, program(t), "run", "--source", "audit-log="+log, "--output", "none")
	d.end()
	want := "log: " + log + " is not there, nor is " + filepath.Dir(log) + ": it is waited for, and then read from its beginning"
	if got := strings.Join(d.logs, "\n"); !strings.Contains(got, want) || !strings.Contains(got, "log_file says in /etc/audit/auditd.conf") {
		t.Errorf("it says\n%s\nwant %q", got, want)
	}
	for _, name := range []string{"audit-log", "kube-audit"} {
		secret := filepath.Join(dir, name)
		addTo(t, secret, "")
		out, err := exec.Command("setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", program(t), "run", "--source", name+"="+secret).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitHost || !strings.Contains(string(out), "permission denied (run as root or as its owner, or add CAP_DAC_READ_SEARCH)") {
			t.Errorf("%s ends with %v and says %s", name, err, out)
		}
	}
}
