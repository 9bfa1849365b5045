//go:build linux

package bpf

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// seed writes a document for each process that /proc shows, parents first. since is a
// moment before the kernel told the first event. What was there by then is of that
// moment, so that an event of its child finds it, even one from before now; what began
// since has events of its own, and is of this moment.
func seed(w *writer, since uint64, put func(doc []byte) error) error {
	now := bootTime()
	dir, err := os.Open("/proc")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	dir.Close()
	if err != nil {
		return err
	}
	var all []*process
	starts := map[uint32]uint64{}
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		if p := readProcess(name); p != nil {
			all = append(all, p)
			starts[p.pid] = p.start
		}
	}
	slices.SortFunc(all, func(a, b *process) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.pid, b.pid)) })
	for _, p := range all {
		at := since
		if p.start > since {
			at = now
		}
		if err := put(w.existing(p, at, starts)); err != nil {
			return err
		}
	}
	return nil
}

// bootTime is what the kernel program states times in: nanoseconds since boot.
func bootTime() uint64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return uint64(ts.Nano())
}

// process is what /proc says of one.
type process struct {
	dir                 string
	pid, ppid           uint32
	pgid, sid, tty      uint32
	start               uint64 // boot time in nanoseconds, in whole ticks
	comm, exe, cwd      string
	deleted             bool
	cmdline             []byte
	cgroup              string
	uid, euid, gid      uint32
	loginuid, sessionid uint32
	audit               bool
	caps                uint64
	mnt                 uint32
}

// readProcess reads /proc/PID; it returns nil if the process is gone.
func readProcess(pid string) *process {
	p := &process{dir: "/proc/" + pid + "/"}
	stat, err := os.ReadFile(p.dir + "stat")
	if err != nil {
		return nil
	}
	open, shut := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || shut < open {
		return nil
	}
	p.comm = string(stat[open+1 : shut])
	f := strings.Fields(string(stat[shut+1:]))
	if len(f) < 20 {
		return nil
	}
	n := func(s string) uint32 { v, _ := strconv.ParseInt(s, 10, 64); return uint32(v) }
	p.pid, p.ppid, p.pgid, p.sid = n(pid), n(f[1]), n(f[2]), n(f[3])
	if tty := n(f[4]); tty != 0 { // as new_encode_dev makes it
		p.tty = tty>>8&0xfff<<20 | tty&0xff | tty>>12&0xfff00
	}
	ticks, _ := strconv.ParseUint(f[19], 10, 64)
	p.start = ticks * tick
	if exe, err := os.Readlink(p.dir + "exe"); err == nil {
		p.exe, p.deleted = strings.CutSuffix(exe, " (deleted)")
	}
	p.cwd, _ = os.Readlink(p.dir + "cwd")
	p.cmdline, _ = os.ReadFile(p.dir + "cmdline")
	p.cgroup = cgroupOf(p.dir + "cgroup")
	status, _ := os.ReadFile(p.dir + "status")
	for line := range strings.Lines(string(status)) {
		key, rest, _ := strings.Cut(line, ":")
		switch v := strings.Fields(rest); {
		case key == "Uid" && len(v) > 1:
			p.uid, p.euid = n(v[0]), n(v[1])
		case key == "Gid" && len(v) > 0:
			p.gid = n(v[0])
		case key == "CapEff" && len(v) > 0:
			p.caps, _ = strconv.ParseUint(v[0], 16, 64)
		}
	}
	if b, err := os.ReadFile(p.dir + "loginuid"); err == nil {
		p.audit = true
		p.loginuid = n(strings.TrimSpace(string(b)))
		b, _ = os.ReadFile(p.dir + "sessionid")
		p.sessionid = n(strings.TrimSpace(string(b)))
	}
	var st unix.Stat_t
	if unix.Stat(p.dir+"ns/mnt", &st) == nil {
		p.mnt = uint32(st.Ino)
	}
	return p
}

// cgroupOf is the path of the hierarchy that the kernel program looks at: that of
// the pids controller, or the one of version 2.
func cgroupOf(file string) string {
	b, _ := os.ReadFile(file)
	found := ""
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) < 3 {
			continue
		}
		if f[1] == "pids" {
			return f[2]
		}
		if f[0] == "0" {
			found = f[2]
		}
	}
	return found
}

// existing writes the document of a process that is there already.
func (w *writer) existing(p *process, now uint64, starts map[uint32]uint64) []byte {
	w.begin(now, `"category":["process"],"type":["info"],"action":"existing_process"`)
	w.raw(`,"process":{"pid":`)
	w.uint(p.pid)
	w.raw(`,"entity_id":"`)
	w.entity(p.pid, p.start)
	w.raw(`","start":"`)
	w.time(int64(p.start) + w.boot)
	w.raw(`","name":`)
	if p.exe != "" {
		w.string(p.exe[strings.LastIndexByte(p.exe, '/')+1:])
		w.raw(`,"executable":`)
		w.string(p.exe)
	} else {
		w.string(p.comm)
	}
	if p.cwd != "" {
		w.raw(`,"working_directory":`)
		w.string(p.cwd)
	}
	if n := bytes.Count(p.cmdline, []byte{0}); n > 0 {
		w.raw(`,"args_count":`)
		w.uint(uint32(n))
	}
	w.args(p.cmdline, false)
	if p.ppid != 0 {
		w.raw(`,"parent":{"pid":`)
		w.uint(p.ppid)
		if start, ok := starts[p.ppid]; ok {
			w.raw(`,"entity_id":"`)
			w.entity(p.ppid, start)
			w.raw(`","start":"`)
			w.time(int64(start) + w.boot)
			w.raw(`"`)
		}
		w.raw(`}`)
	}
	w.raw(`,"group_leader":{"pid":`)
	w.uint(p.pgid)
	w.raw(`},"session_leader":{"pid":`)
	w.uint(p.sid)
	w.raw(`},"interactive":`)
	if p.tty != 0 {
		w.raw(`true`)
	} else {
		w.raw(`false`)
	}
	w.raw(`,"thread":{"capabilities":{"effective":`)
	w.capabilities(p.caps)
	w.raw(`}}`)
	if p.cgroup != "" {
		w.raw(`,"cgroup":{"path":`)
		w.string(p.cgroup)
		w.raw(`}`)
	}
	w.raw(`}`)
	w.user(p.uid, p.euid, p.gid, p.mnt)
	if p.audit {
		w.login(p.loginuid, p.sessionid)
	}
	w.raw(`,"orlop":{"process":{"comm":`)
	w.string(p.comm)
	if p.deleted {
		w.raw(`,"deleted":true`)
	}
	w.raw(`}}}`)
	return w.doc
}
