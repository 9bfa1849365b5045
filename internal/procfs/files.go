//go:build linux

package procfs

import (
	"bytes"
	"cmp"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// files are where the host's own files are, which say what it is called and who its users
// are: ours, or, from within a container, those of its first process.
type files struct {
	first string // the folder of the host's first process
	root  string // before a name
	mnt   uint32 // the mount namespace that they are of
	named bool   // our host name is the host's
	boxed bool   // they are not the host's, as far as we know
}

// hostFiles looks for them. The mount namespace tells whether they are ours, where that of
// the first process may be looked at or has a number that is always the same; else the
// namespaces that a container has of its own and that have such a number. First is the
// folder of the first process.
func hostFiles(first string) files {
	f := files{first: first, mnt: namespace("/proc/self/ns/mnt"), named: namespace("/proc/self/ns/uts") == initUTS}
	if f.mnt == initMount {
		return f
	}
	switch first := namespace(first + "/ns/mnt"); {
	case first == f.mnt && HostPIDs():
	case first != 0 && HostPIDs():
		f.root, f.mnt = f.first+"/root", first
	default:
		f.boxed = !f.named || namespace("/proc/self/ns/ipc") != initIPC || namespace("/proc/self/ns/cgroup") != initCgroup
	}
	return f
}

const firstProcess = "/proc/1"

// id is the machine's.
func (f *files) id() string {
	b, _ := os.ReadFile(f.root + "/etc/machine-id")
	return string(bytes.TrimSpace(b))
}

// name is the host's: as its first process has it, or else as it is called at boot.
func (f *files) name() string {
	if !f.named && f.root != "" {
		if name := f.firstName(); name != "" {
			return name
		}
		if b, err := os.ReadFile(f.root + "/etc/hostname"); err == nil && len(bytes.TrimSpace(b)) > 0 {
			return string(bytes.TrimSpace(b))
		}
	}
	name, _ := os.Hostname()
	return name
}

// HostName is what the host calls itself.
func HostName() string {
	f := hostFiles(firstProcess)
	return f.name()
}

// firstName asks for the name of the host in the namespace of its first process, which
// takes CAP_SYS_ADMIN.
func (f *files) firstName() (name string) {
	ns, err := os.Open(f.first + "/ns/uts")
	if err != nil {
		return ""
	}
	defer ns.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var u unix.Utsname
		if unix.Setns(int(ns.Fd()), unix.CLONE_NEWUTS) == nil && unix.Uname(&u) == nil {
			name = unix.ByteSliceToString(u.Nodename[:])
		}
	}()
	<-done
	return name
}

// Identity says whether events name the host and its users as the host does, and if not
// what to do. Name is what the host is to be called, "" if nobody says.
func Identity(name string) (state, fix string) {
	f := hostFiles(firstProcess)
	return f.identity(name)
}

func (f *files) identity(told string) (state, fix string) {
	var not []string
	if f.boxed {
		not = append(not, "the host's files cannot be looked at, so users' names are those of the container")
		if f.id() == "" {
			not = append(not, "host.id is not known")
		} else {
			not = append(not, "host.id is what its /etc/machine-id says")
		}
	} else if f.id() == "" {
		not = append(not, "/etc/machine-id is not there, so host.id is not known")
	}
	named := f.named || told != ""
	if f.boxed && !named {
		name, _ := os.Hostname()
		not = append(not, "host.name is the container's, "+name)
	}
	if len(not) == 0 {
		return cmp.Or(told, f.name()) + ", " + f.id(), ""
	}
	fix = "systemd-machine-id-setup"
	if f.boxed {
		fix = "mount the host's /etc/machine-id, unless that is it"
		if !named {
			fix += ", and say the node's name: --host-name, or NODE_NAME in the environment"
		}
		if traced, _, _ := Unseen(); traced || !HostPIDs() {
			fix = "run it with hostPID: true and CAP_SYS_PTRACE; or " + fix
		}
	}
	return strings.Join(not, "; "), fix
}
