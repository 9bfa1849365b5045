//go:build linux

package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"path"
	"strconv"
	"time"
	"unsafe"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/procfs"
)

// A writer makes documents. Its memory is reused.
type writer struct {
	host []byte // ,"ecs":…,"host":…: the same in every document
	wall int64  // nanoseconds from boot time to now's wall clock, for @timestamp
	ps   *procfs.Host
	caps map[uint64][]byte
	made func(*record) made
	note func(*record) note
	pids bool // those of /proc are the kernel's

	seq  uint64
	doc  []byte
	tmp  []byte
	sec  int64
	date [20]byte
}

// process writes the document of a record.
func (w *writer) process(r *record) []byte {
	switch r.kind {
	case kindFork:
		w.begin(r.time, `"category":["process"],"type":["start"],"action":"fork"`, "")
	case kindExit:
		w.begin(r.time, `"category":["process"],"type":["end"],"action":"end"`, "")
	case kindConnect:
		w.begin(r.time, `"category":["network"],"type":["connection","start"],"action":"connected-to"`, outcome(r))
	default:
		w.begin(r.time, `"category":["process"],"type":["start"],"action":"exec"`, "")
	}
	w.doc = append(w.doc, `,"process":{"pid":`...)
	w.uint(r.pid)
	w.raw(`,"entity_id":"`)
	w.entity(r.pid, r.start)
	w.raw(`","start":"`)
	w.time(w.ps.Started(r.start))
	w.raw(`"`)
	var is made
	switch r.kind {
	case kindExec:
		w.program(r)
		if is = w.made(r); is.tool != "" && w.pids {
			w.environ(r.pid)
		}
	case kindExit:
		code := r.exitCode >> 8 & 0xff
		if sig := r.exitCode & 0x7f; sig != 0 {
			code = 128 + sig
		}
		w.raw(`,"exit_code":`)
		w.uint(code)
	}
	w.parent(r)
	if r.kind == kindExec {
		w.raw(`,"group_leader":{"pid":`)
		w.uint(r.pgid)
		w.raw(`},"session_leader":{"pid":`)
		w.uint(r.sid)
		w.raw(`},"interactive":`)
		if r.tty != 0 {
			w.raw(`true,"tty":{"char_device":{"major":`)
			w.uint(r.tty >> 20)
			w.raw(`,"minor":`)
			w.uint(r.tty & 0xfffff)
			w.raw(`}}`)
		} else {
			w.raw(`false`)
		}
		w.raw(`,"thread":{"capabilities":{"effective":`)
		w.capabilities(r.caps)
		w.raw(`}}`)
		if r.flags&cgroupCut == 0 {
			w.raw(`,"cgroup":{"path":`)
			w.path(r.parts[partCgroup])
			w.raw(`}`)
		}
	}
	w.raw(`}`)
	if r.kind == kindConnect {
		w.destination(r)
	}
	var n note
	if r.kind == kindExec {
		n = w.note(r)
		w.doc = append(w.doc, n.top...)
	}
	w.user(r.uid, r.euid, r.gid, r.nsMnt)
	if r.flags&noLogin == 0 {
		w.login(r.loginuid, r.session)
	}
	w.raw(`,"orlop":{"process":{"comm":`)
	w.text(r.comm)
	if r.kind == kindExec {
		w.raw(`,"filename":`)
		w.text(text(r.parts[partFilename]))
		if r.flags&exeDeleted != 0 {
			w.raw(`,"deleted":true`)
		}
		if r.flags&exeDetached != 0 {
			w.raw(`,"detached":true`)
		}
		w.raw(`},"namespace":{"pid":`)
		w.uint(r.nsPid)
		w.raw(`,"mnt":`)
		w.uint(r.nsMnt)
		w.raw(`,"net":`)
		w.uint(r.nsNet)
		w.raw(`,"user":`)
		w.uint(r.nsUser)
	}
	w.raw(`}`)
	if r.kind == kindConnect {
		w.listener(r)
	}
	if len(n.own) > 0 {
		w.raw(`,"container":{`)
		w.doc = append(w.doc, n.own...)
		w.raw(`}`)
	}
	switch {
	case is.tool != "":
		w.raw(`,"runtime":{"content_tool":`)
		w.string(is.tool)
		w.raw(`}`)
	case is.main != "" && runtimecli.GoClient(string(leaf(r.parts[partExe]))):
		w.raw(`,"runtime":{"content_main":`)
		w.string(is.main)
		w.raw(`}`)
	}
	if r.flags&(argsCut|argsFault) != 0 {
		w.raw(`,"evidence":{"truncated":true}`)
	}
	w.raw(`}}`)
	return w.doc
}

// program writes what was started.
func (w *writer) program(r *record) {
	if r.nspid != r.pid {
		w.raw(`,"vpid":`)
		w.uint(r.nspid)
	}
	exe := r.parts[partExe]
	name := leaf(exe)
	w.raw(`,"name":`)
	if len(name) > 0 {
		w.text(name)
	} else {
		w.text(r.comm)
	}
	if len(exe) > 0 && r.flags&exeCut == 0 && (r.flags&exeDetached == 0 || bytes.HasPrefix(name, []byte("memfd:"))) {
		w.raw(`,"executable":`)
		w.path(exe)
	}
	if r.flags&cwdDetached == 0 && r.flags&cwdCut == 0 {
		w.raw(`,"working_directory":`)
		w.path(r.parts[partCwd])
	}
	if r.flags&argsFault != 0 {
		return
	}
	args := r.parts[partArgs]
	w.raw(`,"args_count":`)
	w.uint(r.argc)
	w.args(args, r.flags&argsCut != 0)
}

// args writes process.args and process.command_line. Each argument ends with a
// NUL, but for one that was cut.
func (w *writer) args(args []byte, cut bool) {
	if len(args) == 0 {
		return
	}
	args = bytes.TrimSuffix(args, []byte{0})
	w.raw(`,"args":[`)
	for rest, more := args, true; more; {
		var a []byte
		a, rest, more = bytes.Cut(rest, []byte{0})
		w.text(a)
		if more {
			w.raw(`,`)
		}
	}
	w.raw(`],"command_line":`)
	w.tmp = append(w.tmp[:0], args...)
	for i, c := range w.tmp {
		if c == 0 {
			w.tmp[i] = ' '
		}
	}
	w.text(w.tmp)
	if cut {
		w.raw(`,"Ext":{"command_line_truncated":true}`)
	}
}

// environ writes what the environment tells a runtime's client.
func (w *writer) environ(pid uint32) {
	vars := environ(pid)
	if len(vars) == 0 {
		return
	}
	w.raw(`,"env_vars":[`)
	for i, v := range vars {
		if i > 0 {
			w.raw(`,`)
		}
		w.text(v)
	}
	w.raw(`]`)
}

func (w *writer) parent(r *record) {
	if r.ppid == 0 {
		return
	}
	w.raw(`,"parent":{"pid":`)
	w.uint(r.ppid)
	w.raw(`,"entity_id":"`)
	w.entity(r.ppid, r.parentStart)
	w.raw(`","start":"`)
	w.time(w.ps.Started(r.parentStart))
	w.raw(`"`)
	exe := r.parts[partParent]
	switch {
	case len(exe) > 0:
		w.raw(`,"name":`)
		w.text(leaf(exe))
		if r.flags&(parentCut|parentDetached) == 0 || bytes.HasPrefix(exe, []byte("memfd:")) {
			w.raw(`,"executable":`)
			w.path(exe)
		}
	case r.kind == kindExec && r.flags&noMM != 0:
		w.raw(`,"name":`)
		w.text(r.parentComm)
	}
	w.raw(`}`)
}

// destination writes what a connect was given as its address.
func (w *writer) destination(r *record) {
	b := r.parts[partAddress]
	if len(b) < 4 {
		return
	}
	var ip netip.Addr
	switch binary.LittleEndian.Uint16(b) {
	case 1:
		name := b[2:]
		abstract := name[0] == 0
		if abstract {
			name = name[1:]
		}
		name = text(name)
		if len(name) == 0 {
			return
		}
		w.tmp = w.tmp[:0]
		if abstract {
			w.tmp = append(w.tmp, '@')
		}
		w.tmp = append(w.tmp, name...)
		w.raw(`,"destination":{"address":`)
		w.text(w.tmp)
		if cwd := r.parts[partCwd]; len(cwd) > 0 || !abstract && name[0] != '/' {
			if r.flags&(cwdCut|cwdDetached) == 0 {
				w.tmp = append(appendPath(w.tmp[:0], cwd), '/')
				w.tmp = append(w.tmp, name...)
			}
			w.tmp = append(w.tmp[:0], path.Clean(string(w.tmp))...)
		}
		w.raw(`,"path":`)
		w.text(w.tmp)
		w.raw(`},"network":{"type":"unix"}`)
		return
	case 2:
		if len(b) < 8 {
			return
		}
		ip = netip.AddrFrom4([4]byte(b[4:8]))
	case 10:
		if len(b) < 24 {
			return
		}
		ip = netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	default:
		return
	}
	w.raw(`,"destination":{"address":"`)
	w.doc = ip.AppendTo(w.doc)
	w.raw(`","ip":"`)
	w.doc = ip.AppendTo(w.doc)
	w.raw(`","port":`)
	w.uint(uint32(binary.BigEndian.Uint16(b[2:])))
	if ip.Is4() {
		w.raw(`},"network":{"type":"ipv4","direction":"egress"}`)
	} else {
		w.raw(`},"network":{"type":"ipv6","direction":"egress"}`)
	}
}

// outcome says how a connect ended, if that is known.
func outcome(r *record) string {
	switch {
	case r.flags&reached == 0:
		return ""
	case r.result == 0:
		return `,"outcome":"success"`
	}
	return `,"outcome":"failure"`
}

// listener writes whose socket a connect has reached. Its path is that of the file as
// the listener's own mounts show it, whatever links and mounts led there.
func (w *writer) listener(r *record) {
	if len(r.socket) == 0 && r.owner == 0 {
		return
	}
	w.raw(`,"socket":{`)
	comma := ""
	if len(r.socket) > 0 {
		if r.flags&(socketCut|socketDetached) == 0 {
			w.raw(`"listener":`)
			w.path(r.socket)
			comma = `,`
		}
		w.raw(comma + `"inode":"`)
		w.doc = strconv.AppendUint(w.doc, r.file.ino, 10)
		w.raw(`","device":"`)
		w.uint(uint32(r.file.dev) >> 20)
		w.raw(`:`)
		w.uint(uint32(r.file.dev) & 0xfffff)
		w.raw(`"`)
		comma = `,`
	}
	if r.owner != 0 {
		w.raw(comma + `"owner":{"pid":`)
		w.uint(r.owner)
		w.raw(`,"user":{"id":"`)
		w.uint(r.ownerUID)
		w.raw(`"}`)
		if len(r.ownerExe) > 0 && r.flags&ownerCut == 0 {
			w.raw(`,"executable":`)
			w.path(r.ownerExe)
		}
		w.raw(`}`)
	}
	w.raw(`}`)
}

// begin starts a document with the kind of its event, and how it ended or "".
func (w *writer) begin(bootTime uint64, what, outcome string) {
	w.seq++
	w.doc = append(w.doc[:0], `{"@timestamp":"`...)
	w.time(int64(bootTime) + w.wall)
	w.raw(`"`)
	w.doc = append(w.doc, w.host...)
	w.raw(`,"event":{"kind":"event","module":"orlop","dataset":"orlop.bpf",`)
	w.raw(what)
	w.raw(outcome)
	w.raw(`,"sequence":`)
	w.doc = strconv.AppendUint(w.doc, w.seq, 10)
	w.raw(`}`)
}

func (w *writer) user(uid, euid, gid, mnt uint32) {
	w.raw(`,"user":{"id":"`)
	w.uint(uid)
	w.raw(`"`)
	known := w.ps.Knows(mnt)
	if name := w.ps.Names.User(uid); name != "" && (known || uid == 0) {
		w.raw(`,"name":`)
		w.string(name)
	}
	if euid != uid {
		w.raw(`,"effective":{"id":"`)
		w.uint(euid)
		w.raw(`"`)
		if name := w.ps.Names.User(euid); name != "" && (known || euid == 0) {
			w.raw(`,"name":`)
			w.string(name)
		}
		w.raw(`}`)
	}
	w.raw(`},"group":{"id":"`)
	w.uint(gid)
	w.raw(`"`)
	if name := w.ps.Names.Group(gid); name != "" && (known || gid == 0) {
		w.raw(`,"name":`)
		w.string(name)
	}
	w.raw(`}`)
}

// login writes the login uid and session where audit events have them.
func (w *writer) login(uid, session uint32) {
	w.raw(`,"auditd":{"session":"`)
	w.unset(session)
	w.raw(`","user":{"audit":{"id":"`)
	w.unset(uid)
	w.raw(`"`)
	if uid != none {
		if name := w.ps.Names.User(uid); name != "" {
			w.raw(`,"name":`)
			w.string(name)
		}
	}
	w.raw(`}}}`)
}

const none = 1<<32 - 1 // a login uid or session that is not set

func (w *writer) unset(n uint32) {
	if n == none {
		w.raw(`unset`)
		return
	}
	w.uint(n)
}

// entity writes the id of a process.
func (w *writer) entity(pid uint32, start uint64) {
	w.doc = w.ps.AppendEntity(w.doc, pid, start)
}

// time writes a time. Most events are of the same second as the one before.
func (w *writer) time(ns int64) {
	sec, frac := ns/1e9, ns%1e9
	if sec != w.sec || w.date[0] == 0 {
		time.Unix(sec, 0).UTC().AppendFormat(w.date[:0], "2006-01-02T15:04:05.")
		w.sec = sec
	}
	w.doc = append(w.doc, w.date[:]...)
	for div := int64(1e8); div > 0; div /= 10 {
		w.doc = append(w.doc, byte('0'+frac/div%10))
	}
	w.doc = append(w.doc, 'Z')
}

func (w *writer) capabilities(mask uint64) {
	if text, ok := w.caps[mask]; ok { // Fast path: there are few masks.
		w.doc = append(w.doc, text...)
		return
	}
	text := procfs.AppendCapabilities(nil, mask)
	if len(w.caps) > 256 {
		clear(w.caps)
	}
	w.caps[mask] = text
	w.doc = append(w.doc, text...)
}

func (w *writer) path(part []byte) {
	w.tmp = appendPath(w.tmp[:0], part)
	w.text(w.tmp)
}

func (w *writer) raw(s string)    { w.doc = append(w.doc, s...) }
func (w *writer) uint(n uint32)   { w.doc = strconv.AppendUint(w.doc, uint64(n), 10) }
func (w *writer) string(s string) { w.doc = event.AppendQuoted(w.doc, s) }
func (w *writer) text(b []byte) {
	w.doc = event.AppendQuoted(w.doc, unsafe.String(unsafe.SliceData(b), len(b)))
}
