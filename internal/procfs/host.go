//go:build linux

package procfs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/event"
)

// A Host is this host. Its memory is reused: it is not safe for concurrent use.
type Host struct {
	Fields string // the members of ECS's host, as JSON
	Before string // the same of an earlier boot, whose id nobody knows
	Name   string // host.name
	Own    string // what the host calls itself, if it was told another name
	BootID string
	Names  Names

	mnt  uint32 // the mount namespace whose users we know
	boot int64  // nanoseconds from boot time to the wall clock when we started, for process.start, which must not change
	wall int64  // the same now
	mono int64  // the same from the monotonic clock
	at   time.Time
	tmp  []byte
}

// NewHost looks at what the host is called, and calls it by the name if that is not "".
func NewHost(name string) (*Host, error) {
	f := hostFiles(firstProcess)
	own := f.name()
	h := &Host{Name: cmp.Or(name, own), Own: own, Names: Names{root: f.root}, mnt: f.mnt}
	var err error
	if h.BootID, err = BootID(); err != nil {
		return nil, fmt.Errorf("proc: %w", err)
	}
	var b []byte
	if id := f.id(); id != "" {
		b = append(event.AppendQuoted(append(b, `"id":`...), id), ',')
	}
	if h.Name != "" {
		b = append(event.AppendQuoted(append(b, `"name":`...), h.Name), ',')
	}
	b = append(event.AppendQuoted(append(b, `"boot":{"id":`...), h.BootID), "},"...)
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		b = append(event.AppendQuoted(append(b, `"architecture":`...), unix.ByteSliceToString(u.Machine[:])), `,"os":{"kernel":`...)
		b = append(event.AppendQuoted(b, unix.ByteSliceToString(u.Release[:])), `,"type":"linux"}`...)
	} else {
		b = append(b, `"os":{"type":"linux"}`...)
	}
	h.Fields = string(b)
	h.Before = strings.Replace(h.Fields, string(append(event.AppendQuoted([]byte(`"boot":{"id":`), h.BootID), "},"...)), "", 1)
	h.boot = offset(unix.CLOCK_BOOTTIME)
	h.wall, h.mono = h.boot, offset(unix.CLOCK_MONOTONIC)
	h.Names.refresh()
	h.at = time.Now()
	return h, nil
}

// Refresh follows the wall clock and the host's users. It may be called for every
// event: it looks once a second.
func (h *Host) Refresh() {
	now := time.Now()
	if now.Sub(h.at) < time.Second {
		return
	}
	h.at = now
	follow := func(was *int64, now int64) {
		if d := now - *was; d > 1e6 || d < -1e6 { // Less is the measurement's own noise.
			*was = now
		}
	}
	follow(&h.wall, offset(unix.CLOCK_BOOTTIME))
	follow(&h.mono, offset(unix.CLOCK_MONOTONIC))
	h.Names.refresh()
}

// Wall is the wall clock, in nanoseconds since 1970, at a boot time.
func (h *Host) Wall(boot uint64) int64 { return int64(boot) + h.wall }

// WallOf is the same at a time of the monotonic clock.
func (h *Host) WallOf(mono uint64) int64 { return int64(mono) + h.mono }

// slack is how far a record's clock may be behind: a tick, and as much again for a
// start that is told in whole ticks. A pid is not given out twice within that.
const slack = 2 * Tick

// Began reports whether a process that has a pid now had it at a time, in nanoseconds
// since 1970.
func (h *Host) Began(p *Process, at int64) bool { return h.Wall(p.Start)-slack <= at }

// Existing calls put for the document of each process of s, the oldest first, with its
// number. What was there by since, in nanoseconds since 1970, is of that moment, so that
// an event of its child that comes after it finds it; what began later is of the moment
// of s, for it has events of its own.
func (h *Host) Existing(s Snapshot, since int64, put func(doc []byte, seq uint64) error) error {
	var doc []byte
	for i, p := range s.Processes {
		seq := uint64(i + 1)
		at := since
		if h.Wall(p.Start) > since {
			at = s.At
		}
		doc = h.Document(doc[:0], Event{Dataset: "orlop.proc", Action: "existing_process", Type: "info", At: at, Sequence: seq}, p)
		if err := put(doc, seq); err != nil {
			return err
		}
	}
	return nil
}

// offset is the wall clock less another clock, in nanoseconds: the best of a few
// measurements.
func offset(clock int32) int64 {
	best, diff := int64(1<<62), int64(0)
	for range 5 {
		var a, r, b unix.Timespec
		unix.ClockGettime(clock, &a)
		unix.ClockGettime(unix.CLOCK_REALTIME, &r)
		unix.ClockGettime(clock, &b)
		if d := b.Nano() - a.Nano(); d < best {
			best, diff = d, r.Nano()-(a.Nano()+d/2)
		}
	}
	return diff
}

// AppendEntity appends the id of a process: of the boot, its pid, and its start in
// ticks, so that a process has the same id whoever saw it.
func (h *Host) AppendEntity(dst []byte, pid uint32, start uint64) []byte {
	b := append(h.tmp[:0], h.BootID...)
	b = append(b, 0)
	b = strconv.AppendUint(b, uint64(pid), 10)
	b = append(b, 0)
	b = strconv.AppendUint(b, start/Tick, 10)
	h.tmp = b
	sum := sha256.Sum256(b)
	return base64.RawStdEncoding.AppendEncode(dst, sum[:12])
}

// Started is when a process began, in nanoseconds since 1970: the same however often it is
// asked, though the wall clock is set meanwhile.
func (h *Host) Started(start uint64) int64 { return int64(start) + h.boot }

// AppendStart appends when a process began.
func (h *Host) AppendStart(dst []byte, start uint64) []byte { return AppendTime(dst, h.Started(start)) }

// Knows reports whether the users of a mount namespace are those of Names.
func (h *Host) Knows(mnt uint32) bool { return mnt == h.mnt }

// AppendTime appends a time in nanoseconds since 1970.
func AppendTime(dst []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
}

// An Event is what happened to a process.
type Event struct {
	Dataset  string
	Action   string
	Type     string
	At       int64 // nanoseconds since 1970
	Sequence uint64
	// Incomplete says that the process was looked at after the event, or not at all.
	Incomplete bool
}

// Document appends the document of what happened to p. What is not known of p is left
// out.
func (h *Host) Document(dst []byte, e Event, p *Process) []byte {
	b := append(dst, `{"@timestamp":"`...)
	b = AppendTime(b, e.At)
	b = append(append(append(b, `","ecs":{"version":"8.17.0"},"host":{`...), h.Fields...), `},"event":{"kind":"event","module":"orlop","dataset":"`...)
	b = append(append(b, e.Dataset...), `","category":["process"],"type":["`...)
	b = append(append(append(append(b, e.Type...), `"],"action":"`...), e.Action...), `","sequence":`...)
	b = strconv.AppendUint(b, e.Sequence, 10)
	b = append(b, `},"process":{"pid":`...)
	b = strconv.AppendUint(b, uint64(p.PID), 10)
	if p.Start != 0 {
		b = h.AppendEntity(append(b, `,"entity_id":"`...), p.PID, p.Start)
		b = h.AppendStart(append(b, `","start":"`...), p.Start)
		b = append(b, '"')
	}
	switch {
	case p.Exe != "":
		b = event.AppendQuoted(append(b, `,"name":`...), p.Exe[strings.LastIndexByte(p.Exe, '/')+1:])
		b = event.AppendQuoted(append(b, `,"executable":`...), p.Exe)
	case p.Comm != "":
		b = event.AppendQuoted(append(b, `,"name":`...), p.Comm)
	}
	if p.Cwd != "" {
		b = event.AppendQuoted(append(b, `,"working_directory":`...), p.Cwd)
	}
	b = appendArgs(b, p.Args)
	if e.Action == "end" {
		b = strconv.AppendUint(append(b, `,"exit_code":`...), uint64(p.ExitCode), 10)
	}
	if p.PPID != 0 {
		b = strconv.AppendUint(append(b, `,"parent":{"pid":`...), uint64(p.PPID), 10)
		if p.ParentStart != 0 {
			b = h.AppendEntity(append(b, `,"entity_id":"`...), p.PPID, p.ParentStart)
			b = h.AppendStart(append(b, `","start":"`...), p.ParentStart)
			b = append(b, '"')
		}
		b = append(b, '}')
	}
	b = p.AppendSession(b)
	if p.HasCaps {
		b = append(AppendCapabilities(append(b, `,"thread":{"capabilities":{"effective":`...), p.Caps), `}}`...)
	}
	if p.Cgroup != "" {
		b = append(event.AppendQuoted(append(b, `,"cgroup":{"path":`...), p.Cgroup), '}')
	}
	b = append(b, '}')
	if p.Cred {
		b = h.appendCred(b, p)
	}
	if p.Audit {
		b = append(b, `,"auditd":{`...)
		if p.HasSession {
			b = append(appendUnset(append(b, `"session":"`...), p.Session), `",`...)
		}
		b = append(b, `"user":{"audit":{"id":"`...)
		b = append(appendUnset(b, p.LoginUID), '"')
		if name := h.Names.User(p.LoginUID); p.LoginUID != Unset && name != "" {
			b = event.AppendQuoted(append(b, `,"name":`...), name)
		}
		b = append(b, `}}}`...)
	}
	b = append(b, `,"orlop":{`...)
	if p.mnt != 0 {
		b = append(strconv.AppendUint(append(b, `"namespace":{"mnt":`...), uint64(p.mnt), 10), `},`...)
	}
	b = append(b, `"process":{`...)
	if p.Comm != "" {
		b = event.AppendQuoted(append(b, `"comm":`...), p.Comm)
		if p.Deleted {
			b = append(b, `,"deleted":true`...)
		}
	}
	b = append(b, '}')
	if e.Incomplete {
		b = append(b, `,"evidence":{"truncated":true}`...)
	}
	return append(b, `}}`...)
}

// AppendSession appends the members of process that say which session it is in, with a
// comma before each. Session 0 is that of the init process, where it began none.
func (p *Process) AppendSession(b []byte) []byte {
	if p.SID == 0 && p.Comm == "" {
		return b // It was gone before it could be read.
	}
	b = strconv.AppendUint(append(b, `,"group_leader":{"pid":`...), uint64(p.PGID), 10)
	b = strconv.AppendUint(append(b, `},"session_leader":{"pid":`...), uint64(p.SID), 10)
	b = append(b, `},"interactive":`...)
	if p.TTY == 0 {
		return append(b, `false`...)
	}
	b = strconv.AppendUint(append(b, `true,"tty":{"char_device":{"major":`...), uint64(p.TTY>>20), 10)
	b = strconv.AppendUint(append(b, `,"minor":`...), uint64(p.TTY&0xfffff), 10)
	return append(b, `}}`...)
}

func appendArgs(b, args []byte) []byte {
	if len(args) == 0 {
		return b
	}
	args = bytes.TrimSuffix(args, []byte{0})
	b = strconv.AppendInt(append(b, `,"args_count":`...), int64(bytes.Count(args, []byte{0})+1), 10)
	b = append(b, `,"args":[`...)
	for rest, more := args, true; more; {
		var a []byte
		a, rest, more = bytes.Cut(rest, []byte{0})
		b = event.AppendQuoted(b, str(a))
		if more {
			b = append(b, ',')
		}
	}
	b = append(b, `],"command_line":`...)
	return event.AppendQuoted(b, str(bytes.ReplaceAll(args, []byte{0}, []byte{' '})))
}

func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// appendCred appends user and group. A mount namespace of its own has users of its own.
func (h *Host) appendCred(b []byte, p *Process) []byte {
	id := func(id uint32, name string) {
		b = append(strconv.AppendUint(append(b, `"id":"`...), uint64(id), 10), '"')
		if name != "" && (h.Knows(p.mnt) || id == 0) {
			b = event.AppendQuoted(append(b, `,"name":`...), name)
		}
	}
	b = append(b, `,"user":{`...)
	id(p.UID, h.Names.User(p.UID))
	if p.EUID != p.UID {
		b = append(b, `,"effective":{`...)
		id(p.EUID, h.Names.User(p.EUID))
		b = append(b, '}')
	}
	b = append(b, `},"group":{`...)
	id(p.GID, h.Names.Group(p.GID))
	return append(b, '}')
}

func appendUnset(b []byte, n uint32) []byte {
	if n == Unset {
		return append(b, "unset"...)
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

var capNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// AppendCapabilities appends a mask of capabilities as an array of their names.
func AppendCapabilities(b []byte, mask uint64) []byte {
	b = append(b, '[')
	for i := range 64 {
		if mask>>i&1 == 0 {
			continue
		}
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = append(b, `"CAP_`...)
		if i < len(capNames) {
			b = append(b, capNames[i]...)
		} else {
			b = strconv.AppendInt(b, int64(i), 10)
		}
		b = append(b, '"')
	}
	return append(b, ']')
}
