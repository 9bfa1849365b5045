//go:build linux

package procfs

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// What the host's own namespaces are known by: their inode numbers (include/linux/
// proc_ns.h), those of the network and of mounts only since Linux 6.18.
const (
	initIPC    = 0xefffffff
	initUTS    = 0xeffffffe
	initUser   = 0xeffffffd
	initPID    = 0xeffffffc
	initCgroup = 0xeffffffb
	initNet    = 0xeffffff9
	initMount  = 0xeffffff8
)

// InitPIDs reports whether we are in the host's pid namespace.
func InitPIDs() bool { return namespace("/proc/self/ns/pid") == initPID }

// InitUsers reports whether we are in the host's user namespace.
func InitUsers() bool { return namespace("/proc/self/ns/user") == initUser }

// InitNet reports whether we are in the host's network namespace. Only there are the
// settings of the network that are of the whole host, such as the weight of its devices.
func InitNet() bool {
	own := namespace("/proc/self/ns/net")
	if own == initNet {
		return true
	}
	if _, err := os.Stat("/proc/sys/net/core"); err != nil { // It is hidden: all that is left is to ask.
		first := namespace("/proc/1/ns/net")
		return first == 0 || first == own
	}
	_, err := os.Stat("/proc/sys/net/core/dev_weight")
	return err == nil
}

// HostPIDs reports whether the pids of /proc are the host's: those of the kernel, which
// also sees processes that are in no pid namespace but the host's. Whoever is in another
// one may still have been given the host's /proc.
func HostPIDs() bool {
	if InitPIDs() {
		return true
	}
	// Only there the kernel's own threads are, the first of which has a number that is
	// always the same. Others can take the name, and not the flag.
	const kthread = 0x00200000 // PF_KTHREAD
	var buf [1024]byte
	stat, _ := readSmall(path(nil, 2, "stat"), buf[:])
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(string(f[6]), 10, 32)
	return err == nil && flags&kthread != 0
}

// Capabilities that decide what of others we may look at.
const (
	capDACOverride, capDACReadSearch, capSysPtrace = 1, 2, 19
)

// Unseen says what of other processes we may not look at, in two parts: what takes
// CAP_SYS_PTRACE, with what is hidden without it, and what takes CAP_DAC_READ_SEARCH.
func Unseen() (traced, hidden, files bool) {
	caps, _ := Capabilities()
	traced = caps>>capSysPtrace&1 == 0
	files = caps>>capDACReadSearch&1 == 0 && caps>>capDACOverride&1 == 0
	return traced, traced && hides(), files
}

// hides reports whether /proc shows nothing at all of the processes of others.
func hides() bool {
	b, _ := os.ReadFile("/proc/self/mounts")
	hides := false
	for line := range strings.Lines(string(b)) { // The last one at a place is the one that is seen.
		if f := strings.Fields(line); len(f) > 3 && f[1] == "/proc" {
			hides = strings.Contains(f[3], "hidepid=") && !strings.Contains(f[3], "hidepid=0") && !strings.Contains(f[3], "hidepid=off")
		}
	}
	return hides
}

// Capabilities reads our own effective ones, as a mask.
func Capabilities() (mask uint64, ok bool) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(b), "CapEff:")
	rest, _, _ = strings.Cut(rest, "\n")
	mask, err = strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
	return mask, err == nil
}
