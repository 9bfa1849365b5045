//go:build linux

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/internal/procfs"
	"github.com/orlop/orlop/source"
)

const capBPF, capPerfmon, capSysAdmin = 39, 38, 21

// Checks looks at what the source needs, without loading anything that stays. Host is what
// the host is to be called, "" if nobody says.
func Checks(host string) []source.Check {
	var out []source.Check
	add := func(needed bool, name, state, fix string) {
		out = append(out, source.Check{Name: name, State: state, Fix: fix, Needed: needed})
	}
	caps, seen := procfs.Capabilities()
	has := func(c int) bool { return caps>>c&1 == 1 || caps>>capSysAdmin&1 == 1 }
	switch {
	case !seen:
		add(true, "capabilities", "/proc/self/status cannot be read", "mount /proc")
	case !has(capBPF) || !has(capPerfmon):
		var lack []string
		if !has(capBPF) {
			lack = append(lack, "CAP_BPF")
		}
		if !has(capPerfmon) {
			lack = append(lack, "CAP_PERFMON")
		}
		add(true, "capabilities", "no "+strings.Join(lack, ", no "),
			"run as root, or with AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH in the unit")
	default:
		add(true, "capabilities", "CAP_BPF, CAP_PERFMON", "")
	}
	switch {
	case !procfs.InitUsers():
		add(true, "namespaces", "a user namespace of its own, whose capabilities do not count for BPF programs", "run it outside: without userns-remap, hostUsers: false or --user")
		return out
	case !procfs.HostPIDs():
		add(false, "namespaces", "a pid namespace of its own, and its /proc: not known are the processes that are there already and their sessions, environments of runtime clients, renamed ones whose file is not to be found in our own mounts, pods of containers",
			"run it with hostPID: true, or --pid=host")
	default:
		add(true, "namespaces", "the host's pids", "")
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		add(true, "BTF", "/sys/kernel/btf/vmlinux is missing", "boot a kernel with CONFIG_DEBUG_INFO_BTF=y, or mount /sys; or use --source audit")
	} else {
		add(true, "BTF", "/sys/kernel/btf/vmlinux", "")
	}
	switch mode := lockdown(); mode {
	case "":
		add(true, "lockdown", "none", "")
	case "confidentiality":
		add(true, "lockdown", mode, "in this mode no program may read the kernel's memory: boot with lockdown=integrity, or use --source audit")
	default:
		add(true, "lockdown", mode, "")
	}
	if err := features.HaveMapType(ebpf.RingBuf); errors.Is(err, ebpf.ErrNotSupported) {
		add(true, "ring buffer", "not in this kernel", "boot Linux 5.8 or later, or use --source audit")
	} else if err != nil {
		add(true, "ring buffer", "cannot be tried: "+reason(err), "see capabilities")
	} else {
		add(true, "ring buffer", "yes", "")
	}
	var fs unix.Statfs_t
	const connect = "/sys/kernel/tracing/events/syscalls/sys_enter_connect/id"
	mounted := unix.Statfs("/sys/kernel/tracing", &fs) == nil && fs.Type == unix.TRACEFS_MAGIC
	_, err := os.ReadFile(connect)
	switch {
	case mounted && errors.Is(err, os.ErrPermission):
		add(false, "tracefs", connect+" may not be read, so connects are not seen", "add CAP_DAC_READ_SEARCH, or run as root")
	case mounted && err != nil:
		add(false, "tracefs", connect+" is not there, so connects are not seen", "boot a kernel with CONFIG_FTRACE_SYSCALLS=y")
	case mounted:
		add(false, "tracefs", "/sys/kernel/tracing", "")
	case caps>>capSysAdmin&1 == 1:
		add(false, "tracefs", "not mounted; mounted for a moment, by and for orlop alone", "")
	default:
		add(false, "tracefs", "not mounted, so connects are not seen", "mount -t tracefs tracefs /sys/kernel/tracing")
	}
	state, fix := procfs.Identity(host)
	add(false, "identity", state, fix)
	return append(out, sight()...)
}

// sight says what we do not see in /proc and files. Whatever the kernel tells is whole
// without.
func sight() (out []source.Check) {
	traced, hidden, files := procfs.Unseen()
	if traced {
		what := "programs and working directories of what is there already, such as ancestors and session leaders of later events, and environments of runtime clients"
		if hidden {
			what = "what is there already, and environments of runtime clients, since /proc hides them (hidepid)"
		}
		out = append(out, source.Check{Name: "CAP_SYS_PTRACE", State: "missing; not known of other users' or more capable processes: " + what, Fix: "AmbientCapabilities=CAP_SYS_PTRACE in the unit, or --cap-add=SYS_PTRACE"})
	}
	if files {
		out = append(out, source.Check{Name: "CAP_DAC_READ_SEARCH", State: "missing; where only others may read: renamed runtime clients by their content, environments of runtime clients, and pods and images of containers from what the runtime has on record",
			Fix: "AmbientCapabilities=CAP_DAC_READ_SEARCH in the unit, or --cap-add=DAC_READ_SEARCH"})
	}
	return out
}

// explain says what a refusal of the kernel means.
func explain(err error) error {
	var ve *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES) && !errors.As(err, &ve):
		return &source.MissingError{Source: "bpf", What: "the kernel refuses BPF programs", Err: errors.New(reason(err)),
			Fix: "look for a container's seccomp profile, lockdown=confidentiality or an LSM; or use --source audit"}
	case errors.As(err, &ve):
		return fmt.Errorf("bpf: the kernel's verifier refuses the program: %w (please report this with the output of orlop doctor)", errors.New(reason(err)))
	}
	return fmt.Errorf("bpf: load: %w", err)
}

// reason is the innermost error, on one line.
func reason(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		err = next
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func lockdown() string {
	b, _ := os.ReadFile("/sys/kernel/security/lockdown")
	_, rest, _ := bytes.Cut(b, []byte{'['})
	mode, _, _ := bytes.Cut(rest, []byte{']'})
	if string(mode) == "none" {
		return ""
	}
	return string(mode)
}

// newWriter looks at what the host is called, if it is not told.
func newWriter(host string) (*writer, error) {
	w := &writer{caps: map[uint64][]byte{}, made: func(*record) made { return made{} }, note: func(*record) note { return note{} }}
	ps, err := procfs.NewHost(host)
	if err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	w.ps = ps
	w.host = append(append(append(w.host, `,"ecs":{"version":"8.17.0"},"host":{`...), ps.Fields...), '}')
	w.wall = ps.Wall(0)
	return w, nil
}

// refresh follows the wall clock and the host's users.
func (w *writer) refresh() {
	w.ps.Refresh()
	w.wall = w.ps.Wall(0)
}

// bootTime is what the kernel program states times in: nanoseconds since boot.
func bootTime() uint64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return uint64(ts.Nano())
}
