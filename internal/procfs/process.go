//go:build linux

package procfs

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Unset is a login uid or session that is not set.
const Unset = 1<<32 - 1

// Tick is the unit of start times in /proc, in nanoseconds.
const Tick = 1e7

// A Process is what /proc says of one. What could not be read is zero.
type Process struct {
	PID, PPID         uint32
	PGID, SID         uint32
	TTY               uint32 // major<<20 | minor; 0 is none
	Start             uint64 // boot time in nanoseconds, in whole ticks
	ParentStart       uint64
	Comm, Exe, Cwd    string
	Deleted           bool
	Args              []byte // each ends with a NUL
	Cgroup            string
	UID, EUID, GID    uint32
	LoginUID, Session uint32
	Audit             bool // LoginUID is known,
	HasSession        bool // and Session
	Caps              uint64
	HasCaps           bool
	ExitCode          uint32
	Cred              bool   // UID, EUID and GID are known
	mnt               uint32 // mount namespace
}

// A Snapshot is the processes that there were at a time, the oldest first.
type Snapshot struct {
	At        int64 // nanoseconds since 1970
	Processes []*Process
}

// Processes reads all that are there.
func Processes() (Snapshot, error) {
	s := Snapshot{At: time.Now().UnixNano()}
	dir, err := os.Open("/proc")
	if err != nil {
		return s, err
	}
	names, err := dir.Readdirnames(-1)
	dir.Close()
	if err != nil {
		return s, err
	}
	starts := map[uint32]uint64{}
	for _, name := range names {
		pid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			continue
		}
		if p, ok := Read(uint32(pid)); ok {
			s.Processes = append(s.Processes, p)
			starts[p.PID] = p.Start
		}
	}
	for _, p := range s.Processes {
		p.ParentStart = starts[p.PPID]
	}
	slices.SortFunc(s.Processes, func(a, b *Process) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.PID, b.PID)) })
	return s, nil
}

// Stat reads what a process is to others: its parent, session, terminal and start.
// It reports false if the process is gone.
func (p *Process) Stat(pid uint32) bool {
	var buf [1024]byte // at most 52 numbers and 64 bytes of name
	stat, ok := readSmall(path(buf[:0], pid, "stat"), buf[:])
	return ok && p.parse(pid, stat)
}

func (p *Process) parse(pid uint32, stat []byte) bool {
	open, shut := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || shut < open {
		return false
	}
	// 3 state, 4 ppid, 5 pgrp, 6 session, 7 tty_nr … 22 starttime
	var f [20]int64
	n := 0
	for word := range bytes.FieldsSeq(stat[shut+1:]) {
		if n == len(f) {
			break
		}
		f[n], _ = strconv.ParseInt(string(word), 10, 64)
		n++
	}
	// One that is being reaped has lost its session: -1.
	if n < len(f) || f[2] < 0 || f[3] < 0 {
		return false
	}
	*p = Process{PID: pid, Comm: string(stat[open+1 : shut]), PPID: uint32(f[1]), PGID: uint32(f[2]), SID: uint32(f[3]), Start: uint64(f[19]) * Tick}
	if tty := uint32(f[4]); tty != 0 { // as new_encode_dev makes it
		p.TTY = tty>>8&0xfff<<20 | tty&0xff | tty>>12&0xfff00
	}
	return true
}

// path is /proc/PID/name, with a NUL behind it.
func path(dst []byte, pid uint32, name string) []byte {
	dst = append(dst, "/proc/"...)
	dst = strconv.AppendUint(dst, uint64(pid), 10)
	return append(append(append(dst, '/'), name...), 0)
}

// readSmall reads the beginning of a file without the cost of an os.File.
func readSmall(name, buf []byte) ([]byte, bool) {
	fd, err := unix.Open(string(name[:len(name)-1]), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil || n <= 0 {
		return nil, false
	}
	return buf[:n], true
}

// Read reads a process; it reports false if it is gone.
func Read(pid uint32) (*Process, bool) {
	p := &Process{}
	if !p.Stat(pid) {
		return nil, false
	}
	dir := "/proc/" + strconv.FormatUint(uint64(pid), 10) + "/"
	if exe, err := os.Readlink(dir + "exe"); err == nil {
		p.Exe, p.Deleted = strings.CutSuffix(exe, " (deleted)")
	}
	p.Cwd, _ = os.Readlink(dir + "cwd")
	p.Args, _ = os.ReadFile(dir + "cmdline")
	p.Cgroup = Cgroup(pid)
	status, _ := os.ReadFile(dir + "status")
	for line := range strings.Lines(string(status)) {
		key, rest, _ := strings.Cut(line, ":")
		switch v := strings.Fields(rest); {
		case key == "Uid" && len(v) > 1:
			p.UID, p.EUID, p.Cred = number(v[0]), number(v[1]), true
		case key == "Gid" && len(v) > 0:
			p.GID = number(v[0])
		case key == "CapEff" && len(v) > 0:
			p.Caps, _ = strconv.ParseUint(v[0], 16, 64)
			p.HasCaps = true
		}
	}
	p.LoginUID, p.Audit = Login(pid)
	if b, err := os.ReadFile(dir + "sessionid"); err == nil {
		p.Session, p.HasSession = number(strings.TrimSpace(string(b))), true
	}
	p.mnt = namespace(dir + "ns/mnt")
	return p, true
}

// Login reads the login uid of a process; ok is false if it is gone, or the kernel
// has none.
func Login(pid uint32) (uid uint32, ok bool) {
	var buf [64]byte
	b, ok := readSmall(path(buf[:0], pid, "loginuid"), buf[:])
	if !ok {
		return 0, false
	}
	return number(string(bytes.TrimSpace(b))), true
}

func number(s string) uint32 {
	v, _ := strconv.ParseInt(s, 10, 64)
	return uint32(v)
}

func namespace(file string) uint32 {
	var st unix.Stat_t
	if unix.Stat(file, &st) != nil {
		return 0
	}
	return uint32(st.Ino)
}

// Cgroup is the path of a process in the hierarchy of the pids controller, or else in
// that of version 2; "" if it is gone.
func Cgroup(pid uint32) string {
	var buf [4096]byte
	b, _ := readSmall(path(buf[:0], pid, "cgroup"), buf[:])
	var found []byte
	for line := range bytes.Lines(b) {
		id, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(":"))
		controllers, at, ok := bytes.Cut(rest, []byte(":"))
		if !ok {
			continue
		}
		if string(controllers) == "pids" {
			return string(at)
		}
		if string(id) == "0" {
			found = at
		}
	}
	return string(found)
}
