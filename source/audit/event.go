package audit

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"github.com/orlop/orlop/event"
)

// A parser takes the records of one event apart and writes its document. Its
// memory is reused; what it holds points into the event's records.
type parser struct {
	p *pending

	arch, nr  uint32
	called    bool   // nr is stated
	call      string // name of the system call, "" if unknown
	exec      bool   // the call is an exec
	sys       [nSys]field
	names     [nNames][]byte
	items     int
	cwd       field
	title     field
	saddr     []byte
	paths     []path
	extra     []field // of other records, for auditd.data
	subject   int     // index of the record that the event is about, -1 if that is the call
	subjectIs string  // its type's name
	msg       [nMsg]field

	args   []piece
	lens   []piece // n is the length of the whole argument's text
	argc   int     // -1 if not stated
	argsOK bool
	text   []byte // scratch
	arg    []byte // scratch
	doc    []byte

	sec   int64 // the second of stamp
	stamp [20]byte

	local local  // nil for records of who knows which host
	look  glance // at the process of an exec
}

// local is what the host whose records these are says of itself and its processes.
type local interface {
	// fields are the members of ECS's host, if the node of a record is this host.
	// Millis is the time of its records, which may be of an earlier boot.
	fields(node string, millis int64) (string, bool)
	user(id uint32) string
	group(id uint32) string
	// look looks at a process that has executed a program at that time, and at its
	// parent, if they are still there.
	look(g *glance, pid, ppid uint32, millis int64)
}

// A glance is what could be seen of a process: members of process and of
// process.parent, each with a comma before it.
type glance struct{ own, parent []byte }

// Fields of SYSCALL, and of records that stand for it.
const (
	fSuccess = iota
	fExit
	fA0
	fA1
	fA2
	fA3
	fPpid
	fPid
	fAuid
	fUid
	fGid
	fEuid
	fSuid
	fFsuid
	fEgid
	fSgid
	fFsgid
	fTty
	fSes
	fComm
	fExe
	fSubj
	fKey
	nSys
)

// Translated fields.
const (
	nmAuid = iota
	nmUid
	nmGid
	nmEuid
	nmSuid
	nmFsuid
	nmEgid
	nmSgid
	nmFsgid
	nNames
)

// Fields of a user message that have a place in ECS.
const (
	mRes = iota
	mAcct
	mID
	mAddr
	mHost
	nMsg
)

type path struct {
	item, name, inode, dev, mode, ouid, ogid, kind field
	owner, group                                   []byte
}

// A piece is a part of an argument: all of it, or one of aN[0], aN[1] ….
type piece struct {
	arg, n uint32
	from   uint32 // its text in the event's buf
	len    uint32
	quoted bool
}

// Bounds on what hostile records may make us keep.
const (
	maxArgs  = 1 << 18
	maxExtra = 128
)

// event parses p.
func (x *parser) event(p *pending) {
	*x = parser{
		p: p, argc: -1, subject: -1,
		paths: x.paths[:0], extra: x.extra[:0], args: x.args[:0], lens: x.lens[:0], text: x.text[:0], arg: x.arg[:0], sec: x.sec, stamp: x.stamp,
		local: x.local, look: glance{x.look.own[:0], x.look.parent[:0]},
	}
	if cap(x.args) > 1<<14 {
		x.args, x.lens = nil, nil
	}
	if cap(x.text) > 1<<20 || cap(x.arg) > 1<<20 {
		x.text, x.arg = nil, nil
	}
	for i := range p.recs {
		q := &p.recs[i]
		switch q.typ {
		case typeSyscall:
			x.syscall(p.rawOf(q))
			x.translated(p.namesOf(q))
		case typePath:
			x.path(p.rawOf(q), p.namesOf(q))
		case typeExecve:
			x.execve(q)
		case typeCwd:
			x.one(p.rawOf(q), "cwd", &x.cwd)
		case typeProctitle:
			x.one(p.rawOf(q), "proctitle", &x.title)
		case typeSockaddr:
			var f field
			x.one(p.rawOf(q), "saddr", &f)
			x.saddr = f.val
		case 1321: // BPRM_FCAPS comes with every exec of root; no field of ours is in it.
		default:
			if !part(q.typ) && x.subject < 0 {
				x.subject = i
				x.subjectIs = typeName(q, p)
			}
		}
	}
	x.exec = x.call == "execve" || x.call == "execveat"
	// What other records say comes second: the SYSCALL's own fields count.
	for i := range p.recs {
		switch q := &p.recs[i]; q.typ {
		case typeSyscall, typePath, typeExecve, typeCwd, typeProctitle, typeSockaddr, 1321:
		default:
			x.other(q)
		}
	}
	if p.has&hasExecve != 0 {
		x.argsOK = x.join()
	}
}

// resolve asks the host for what the records do not say: the names of users, and what
// can be seen of a process that has just begun.
func (x *parser) resolve() {
	name := func(i, id int, of func(uint32) string) {
		if n, l := digits(x.sys[id].val); x.names[i] == nil && l > 0 && l == len(x.sys[id].val) && n < 1<<32-1 {
			if s := of(uint32(n)); s != "" {
				x.names[i] = unsafe.Slice(unsafe.StringData(s), len(s))
			}
		}
	}
	name(nmAuid, fAuid, x.local.user)
	name(nmUid, fUid, x.local.user)
	name(nmEuid, fEuid, x.local.user)
	name(nmSuid, fSuid, x.local.user)
	name(nmFsuid, fFsuid, x.local.user)
	name(nmGid, fGid, x.local.group)
	if x.started() {
		pid, _ := digits(x.sys[fPid].val)
		ppid, _ := digits(x.sys[fPpid].val)
		if pid > 0 && pid < 1<<31 && ppid < 1<<31 {
			x.local.look(&x.look, uint32(pid), uint32(ppid), x.p.millis)
		}
	}
}

func typeName(q *rec, p *pending) string {
	if name, ok := typeNames[q.typ]; ok {
		return name
	}
	if name := p.nameOf(q); len(name) > 0 {
		return string(name)
	}
	return "UNKNOWN[" + strconv.Itoa(int(q.typ)) + "]"
}

// whole reports whether nothing more can come that matters. An exec always has
// a working directory, and a call that took an address has that.
func (x *parser) whole() bool {
	if x.p.has&hasSyscall == 0 || x.p.has&hasProctitle == 0 || !x.settled() || x.exec && x.cwd.key == nil {
		return false
	}
	return x.saddr != nil || x.call != "connect" && x.call != "bind" || string(x.sys[fSuccess].val) != "yes"
}

// settled reports whether all that the SYSCALL promises is there.
func (x *parser) settled() bool {
	return x.p.has&hasPart == 0 || x.p.has&hasSyscall != 0 && len(x.paths) >= x.items && !x.incomplete()
}

// incomplete reports whether records are known to be missing. The number of
// PATH records is no proof: the kernel counts names that it does not print.
func (x *parser) incomplete() bool {
	if x.p.over {
		return true
	}
	if x.p.has&hasSyscall == 0 && x.p.has&hasPart != 0 && x.p.has&hasSubject == 0 {
		return true
	}
	return (x.started() || x.p.has&hasExecve != 0) && !x.argsOK
}

// started reports whether a program was started. Only then is there an EXECVE.
func (x *parser) started() bool {
	if x.p.has&hasSyscall == 0 {
		return x.p.has&hasExecve != 0
	}
	return x.exec && string(x.sys[fSuccess].val) == "yes"
}

func (x *parser) one(b []byte, key string, into *field) {
	var f field
	for b = f.next(b); b != nil; b = f.next(b) {
		if string(f.key) == key && into.key == nil {
			*into = f
			return
		}
	}
}

func (x *parser) syscall(b []byte) {
	var f field
	for b = f.next(b); b != nil; b = f.next(b) {
		i := sysField(f.key)
		if i >= 0 {
			if x.sys[i].key == nil {
				x.sys[i] = f
			}
			continue
		}
		switch string(f.key) {
		case "arch", "syscall":
			x.which(&f)
		case "items":
			if n, l := digits(f.val); l == len(f.val) && n < 1<<16 {
				x.items = int(n)
			}
		default:
			x.name(&f)
		}
	}
}

// which notes the architecture or the number of the system call.
func (x *parser) which(f *field) {
	if f.key[0] == 'a' {
		if n, err := strconv.ParseUint(string(f.val), 16, 32); err == nil {
			x.arch = uint32(n)
		}
		return
	}
	if n, l := digits(f.val); l == len(f.val) && l > 0 && n < 1<<31 {
		x.nr, x.called = uint32(n), true
		x.call = syscallName(x.arch, x.nr)
	} else if l == 0 {
		x.callNamed(f.val)
	}
}

// callNamed takes the name of a system call that our tables lack from auditd's
// translation, unless that is unknown-syscall(n) too.
func (x *parser) callNamed(name []byte) {
	if x.call != "" || len(name) == 0 || len(name) > 40 {
		return
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return
		}
	}
	switch string(name) { // Fast path: without a copy.
	case "execve":
		x.call = "execve"
	case "execveat":
		x.call = "execveat"
	default:
		x.call = string(name)
	}
}

func sysField(k []byte) int {
	switch string(k) {
	case "success":
		return fSuccess
	case "exit":
		return fExit
	case "a0":
		return fA0
	case "a1":
		return fA1
	case "a2":
		return fA2
	case "a3":
		return fA3
	case "ppid":
		return fPpid
	case "pid":
		return fPid
	case "auid":
		return fAuid
	case "uid":
		return fUid
	case "gid":
		return fGid
	case "euid":
		return fEuid
	case "suid":
		return fSuid
	case "fsuid":
		return fFsuid
	case "egid":
		return fEgid
	case "sgid":
		return fSgid
	case "fsgid":
		return fFsgid
	case "tty":
		return fTty
	case "ses":
		return fSes
	case "comm":
		return fComm
	case "exe":
		return fExe
	case "subj":
		return fSubj
	case "key":
		return fKey
	}
	return -1
}

func (x *parser) translated(b []byte) {
	var f field
	for b = f.next(b); b != nil; b = f.next(b) {
		x.name(&f)
	}
}

// name notes a translated field.
func (x *parser) name(f *field) {
	i := -1
	switch string(f.key) {
	case "AUID":
		i = nmAuid
	case "UID":
		i = nmUid
	case "GID":
		i = nmGid
	case "EUID":
		i = nmEuid
	case "SUID":
		i = nmSuid
	case "FSUID":
		i = nmFsuid
	case "EGID":
		i = nmEgid
	case "SGID":
		i = nmSgid
	case "FSGID":
		i = nmFsgid
	case "SYSCALL":
		x.callNamed(f.val)
	}
	if i >= 0 && x.names[i] == nil && known(f) {
		x.names[i] = f.val
	}
}

// known reports whether auditd found a name for a number.
func known(f *field) bool {
	return !f.unset() && string(f.val) != "unset" && !hasPrefix(f.val, "unknown(")
}

func (x *parser) path(b, names []byte) {
	var f field
	var p path
	for b = f.next(b); b != nil; b = f.next(b) {
		p.set(&f)
	}
	for names = f.next(names); names != nil; names = f.next(names) {
		p.set(&f)
	}
	for i := range x.paths {
		if bytes.Equal(x.paths[i].item.val, p.item.val) && p.item.key != nil {
			return
		}
	}
	x.paths = append(x.paths, p)
}

func (p *path) set(f *field) {
	switch string(f.key) {
	case "item":
		p.item = *f
	case "name":
		p.name = *f
	case "inode":
		p.inode = *f
	case "dev":
		p.dev = *f
	case "mode":
		p.mode = *f
	case "ouid":
		p.ouid = *f
	case "ogid":
		p.ogid = *f
	case "nametype":
		p.kind = *f
	case "OUID":
		if known(f) {
			p.owner = f.val
		}
	case "OGID":
		if known(f) {
			p.group = f.val
		}
	}
}

// other reads a record that is not part of the usual ones.
func (x *parser) other(q *rec) {
	raw := x.p.rawOf(q)
	if q.typ == typeAVC || q.typ == 1107 {
		x.avc(raw)
	}
	x.fields(raw)
	x.translated(x.p.namesOf(q))
}

func (x *parser) fields(b []byte) {
	var f field
	for b = f.next(b); b != nil; b = f.next(b) {
		if f.quote == '\'' { // msg='…' of a user program
			x.fields(f.val)
			continue
		}
		x.name(&f)
		if i := sysField(f.key); i >= 0 {
			if x.sys[i].key == nil && !(i >= fA0 && i <= fA3) {
				x.sys[i] = f
			}
			continue
		}
		switch string(f.key) {
		case "arch", "syscall": // of a SECCOMP record; that of the SYSCALL is known already
			if x.p.has&hasSyscall == 0 {
				x.which(&f)
			}
			continue
		case "res", "result":
			x.message(mRes, &f)
		case "acct":
			x.message(mAcct, &f)
		case "id":
			x.message(mID, &f)
		case "addr":
			x.message(mAddr, &f)
		case "hostname":
			x.message(mHost, &f)
		}
		x.more(&f)
	}
}

func (x *parser) message(i int, f *field) {
	if x.msg[i].key == nil && !f.unset() {
		x.msg[i] = *f
	}
}

// more keeps a field for auditd.data.
func (x *parser) more(f *field) {
	if len(x.extra) >= maxExtra || len(f.key) == 0 || len(f.key) > 64 || f.unset() {
		return
	}
	upper := true
	for _, c := range f.key {
		switch {
		case c >= 'a' && c <= 'z':
			upper = false
		case c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-':
		default:
			return
		}
	}
	if upper { // translated
		return
	}
	if string(f.key) == "argc" || string(f.key) == "exit" { // ours
		return
	}
	for i := range x.extra {
		if sameKey(x.extra[i].key, f.key) {
			return
		}
	}
	x.extra = append(x.extra, *f)
}

// sameKey compares keys as they are in the document, where - is _.
func sameKey(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !((a[i] == '-' || a[i] == '_') && (b[i] == '-' || b[i] == '_')) {
			return false
		}
	}
	return true
}

// avc reads "avc:  denied  { read write } for …".
func (x *parser) avc(b []byte) {
	for _, word := range []string{"denied", "granted"} {
		i := bytes.Index(b, []byte(word))
		if i < 0 {
			continue
		}
		x.more(&field{key: []byte("seresult"), val: b[i : i+len(word)], quote: '"'})
		rest := b[i+len(word):]
		if i := bytes.IndexByte(rest, '{'); i >= 0 {
			if j := bytes.IndexByte(rest[i:], '}'); j >= 0 {
				x.more(&field{key: []byte("seperms"), val: bytes.TrimSpace(rest[i+1 : i+j]), quote: '"'})
			}
		}
		return
	}
}

// execve collects the arguments of one of an event's EXECVE records.
func (x *parser) execve(q *rec) {
	start := x.p.rawOf(q)
	base := q.raw
	var f field
	for b := f.next(start); b != nil; b = f.next(b) {
		k := f.key
		if len(k) < 2 || k[0] != 'a' {
			continue
		}
		arg, n := digits(k[1:])
		if n == 0 {
			if string(k) == "argc" && x.argc < 0 {
				if v, l := digits(f.val); l == len(f.val) && l > 0 && l < 10 {
					x.argc = int(v)
				}
			}
			continue
		}
		if n > 9 || len(x.args) >= maxArgs {
			x.p.over = true
			continue
		}
		rest := k[1+n:]
		pc := piece{arg: uint32(arg), len: uint32(len(f.val)), quoted: f.quote != 0}
		if len(f.val) > 0 {
			// Where the value is, as an offset: the subslices share its end.
			pc.from = base + uint32(cap(start)-cap(f.val))
		}
		switch {
		case len(rest) == 0:
		case string(rest) == "_len":
			v, l := digits(f.val)
			if l == len(f.val) && l > 0 && l < 10 && len(x.lens) < maxArgs {
				x.lens = append(x.lens, piece{arg: uint32(arg), n: uint32(v)})
			}
			continue
		case rest[0] == '[' && rest[len(rest)-1] == ']':
			v, l := digits(rest[1:])
			if l != len(rest)-2 || l == 0 || l > 9 {
				continue
			}
			pc.n = uint32(v)
		default:
			continue
		}
		x.args = append(x.args, pc)
	}
}

// join puts the pieces in order and reports whether the arguments are exactly
// those that argc and the lengths promise.
func (x *parser) join() bool {
	byPlace := func(a, b piece) int {
		if c := cmp.Compare(a.arg, b.arg); c != 0 {
			return c
		}
		return cmp.Compare(a.n, b.n)
	}
	// Fast path: they mostly are in order.
	if !slices.IsSortedFunc(x.args, byPlace) {
		slices.SortStableFunc(x.args, byPlace)
	}
	if len(x.lens) > 1 {
		slices.SortStableFunc(x.lens, func(a, b piece) int { return cmp.Compare(a.arg, b.arg) })
	}
	x.args = slices.CompactFunc(x.args, func(a, b piece) bool { return a.arg == b.arg && a.n == b.n })
	ok := x.argc >= 0
	if ok {
		// An argument past argc is not one.
		i := len(x.args)
		for i > 0 && int(x.args[i-1].arg) >= x.argc {
			i--
		}
		ok = i == len(x.args)
		x.args = x.args[:i]
	}
	next, lens := uint32(0), x.lens
	for i := 0; i < len(x.args); {
		arg := x.args[i].arg
		ok = ok && arg == next
		next = arg + 1
		total := uint64(0)
		for n := uint32(0); i < len(x.args) && x.args[i].arg == arg; i++ {
			ok = ok && x.args[i].n == n
			n++
			total += uint64(x.args[i].len)
		}
		for len(lens) > 0 && lens[0].arg < arg {
			lens = lens[1:]
		}
		if len(lens) > 0 && lens[0].arg == arg {
			ok = ok && total == uint64(lens[0].n)
		}
	}
	return ok && int(next) == x.argc
}

// norm says what the event is, and the name of its type.
func (x *parser) norm() (n norm, typ string) {
	if x.exec || x.p.has&hasSyscall == 0 && x.p.has&hasExecve != 0 {
		n = syscallNorms["execve"]
		if !x.started() {
			n.types = `["info"]`
		}
		return n, "syscall"
	}
	if x.subject >= 0 {
		typ = x.subjectIs
		if typ == "AVC" {
			n = normal("violated-selinux-policy", "process", "info")
			for i := range x.extra {
				switch f := &x.extra[i]; {
				case string(f.key) == "apparmor":
					n.action = "violated-apparmor-policy"
					if string(f.val) == "DENIED" {
						n.types = `["denied"]`
					}
				case string(f.key) == "seresult" && string(f.val) == "denied":
					n.types = `["denied"]`
				}
			}
			return n, typ
		}
		if n, ok := typeNorms[typ]; ok {
			return n, typ
		}
		return norm{action: typ, category: `["process"]`, types: `["info"]`}, typ
	}
	if x.p.has&hasSyscall != 0 {
		if n, ok := syscallNorms[x.call]; ok {
			return n, "syscall"
		}
		return norm{action: x.call, category: `["process"]`, types: `["info"]`}, "syscall"
	}
	typ = typeName(&x.p.recs[0], x.p)
	return norm{action: typ, category: `["process"]`, types: `["info"]`}, typ
}

// outcome is success, failure or unknown.
func (x *parser) outcome() string {
	f := &x.sys[fSuccess]
	if f.key == nil {
		f = &x.msg[mRes]
	}
	switch string(f.val) {
	case "yes", "success", "1":
		return "success"
	case "no", "failed", "fail", "0":
		return "failure"
	}
	for i := range x.extra {
		if f := &x.extra[i]; string(f.key) == "seresult" && string(f.val) == "denied" || string(f.key) == "apparmor" && string(f.val) == "DENIED" {
			return "failure"
		}
	}
	if x.started() {
		return "success"
	}
	return "unknown"
}

// key begins a member of an object.
func (x *parser) key(k string) {
	d := x.doc
	if d[len(d)-1] != '{' {
		d = append(d, ',', '"')
	} else {
		d = append(d, '"')
	}
	d = append(d, k...)
	x.doc = append(d, '"', ':')
}

// open begins an object, shut ends it; one that stayed empty vanishes.
func (x *parser) open(k string) int {
	mark := len(x.doc)
	x.key(k)
	x.doc = append(x.doc, '{')
	return mark
}

func (x *parser) shut(mark int) {
	if x.doc[len(x.doc)-1] == '{' {
		x.doc = x.doc[:mark]
		return
	}
	x.doc = append(x.doc, '}')
}

func (x *parser) quote(b []byte) { x.doc = event.AppendQuoted(x.doc, str(b)) }

// put writes a member as it is in the record.
func (x *parser) put(k string, b []byte) {
	if len(b) > 0 {
		x.key(k)
		x.quote(b)
	}
}

// plain writes a field that is never hexadecimal.
func (x *parser) plain(k string, f *field) {
	if !f.unset() {
		x.put(k, f.val)
	}
}

// decode returns the text of a field, until the next call.
func (x *parser) decode(f *field) []byte {
	if f.quote != 0 {
		return f.val
	}
	x.text = appendUnhex(x.text[:0], f.val)
	return x.text
}

// string writes a field that can be hexadecimal.
func (x *parser) string(k string, f *field) {
	if !f.unset() {
		x.put(k, x.decode(f))
	}
}

// number writes a field as a JSON number.
func (x *parser) number(k string, f *field) {
	if v, n := digits(f.val); n > 0 && n == len(f.val) && n < 19 {
		x.key(k)
		x.doc = strconv.AppendUint(x.doc, v, 10)
	}
}

// id writes a numeric id and its name. The kernel's -1 is unset.
func (x *parser) id(k string, f *field, name []byte) {
	m := x.open(k)
	x.idIn(f, name)
	x.shut(m)
}

func (x *parser) idIn(f *field, name []byte) {
	if f.unset() {
		return
	}
	x.key("id")
	x.unsetID(f)
	x.put("name", name)
}

func (x *parser) unsetID(f *field) {
	if s := string(f.val); s == "4294967295" || s == "-1" {
		x.doc = append(x.doc, `"unset"`...)
		return
	}
	x.quote(f.val)
}

// appendDoc appends the event's document to dst.
func (x *parser) appendDoc(dst []byte, cut bool) []byte {
	n, typ := x.norm()
	outcome := x.outcome()
	host, here := "", false
	if x.local != nil {
		if host, here = x.local.fields(x.p.n.name, x.p.millis); here {
			x.resolve()
		}
	}
	x.doc = append(dst, `{"@timestamp":"`...)
	x.time(x.p.millis)
	x.doc = append(x.doc, `","ecs":{"version":"8.17.0"},"host":{`...)
	if here {
		x.doc = append(x.doc, host...)
	} else {
		if x.p.n.name != "" {
			x.key("name")
			x.doc = event.AppendQuoted(x.doc, x.p.n.name)
		}
		x.key("os")
		x.doc = append(x.doc, `{"type":"linux"}`...)
	}
	x.doc = append(x.doc, `},"event":{"kind":"event","module":"auditd","dataset":"auditd"`...)
	if n.category != "" {
		x.doc = append(append(x.doc, `,"category":`...), n.category...)
		x.doc = append(append(x.doc, `,"type":`...), n.types...)
	}
	x.key("action")
	switch {
	case n.action == "":
		x.doc = append(x.doc, `"syscall-`...)
		x.doc = strconv.AppendUint(x.doc, uint64(x.nr), 10)
		x.doc = append(x.doc, '"')
	case n.action == typ:
		x.lower(typ)
	default:
		x.doc = event.AppendQuoted(x.doc, n.action)
	}
	x.key("outcome")
	x.doc = append(append(append(x.doc, '"'), outcome...), '"')
	x.key("sequence")
	x.doc = strconv.AppendUint(x.doc, x.p.serial, 10)
	x.doc = append(x.doc, '}')

	x.process()
	x.user()
	x.network()
	if x.subject < 0 || x.p.has&hasSyscall != 0 {
		x.file(n)
	}
	x.auditd(typ, outcome)
	x.tags()
	x.orlop(cut)
	x.doc = append(x.doc, '}')
	doc := x.doc
	x.doc = nil
	return doc
}

// lower writes the name of a record type.
func (x *parser) lower(s string) {
	x.doc = append(x.doc, '"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		x.doc = append(x.doc, c)
	}
	x.doc = append(x.doc, '"')
}

// time writes the time without quotes. Most events are of the same second as
// the one before.
func (x *parser) time(millis int64) {
	sec := millis / 1000
	if sec != x.sec || x.stamp[0] == 0 {
		time.Unix(sec, 0).UTC().AppendFormat(x.stamp[:0], "2006-01-02T15:04:05.")
		x.sec = sec
	}
	ms := millis % 1000
	x.doc = append(x.doc, x.stamp[:]...)
	x.doc = append(x.doc, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

var deleted = []byte(" (deleted)")

func (x *parser) process() {
	m := x.open("process")
	x.number("pid", &x.sys[fPid])
	x.doc = append(x.doc, x.look.own...)
	if len(x.look.own) == 0 {
		x.terminal()
	}
	if !x.sys[fPpid].unset() {
		p := x.open("parent")
		x.number("pid", &x.sys[fPpid])
		x.doc = append(x.doc, x.look.parent...)
		x.shut(p)
	}
	var exe []byte
	if !x.sys[fExe].unset() {
		exe = bytes.TrimSuffix(x.decode(&x.sys[fExe]), deleted)
	}
	base := exe[bytes.LastIndexByte(exe, '/')+1:]
	switch {
	case len(base) > 0:
		x.put("name", base)
		x.put("executable", exe)
	default:
		// runc runs itself from a detached mount, whose path is "/".
		x.string("name", &x.sys[fComm])
	}
	if x.started() {
		x.arguments()
	}
	if !x.title.unset() {
		t := x.decode(&x.title)
		t = bytes.TrimRight(t, "\x00")
		if x.title.quote != 0 {
			x.put("title", t)
		} else {
			for i, c := range t { // decode gave us a copy
				if c == 0 {
					t[i] = ' '
				}
			}
			x.put("title", t)
		}
	}
	x.string("working_directory", &x.cwd)
	if x.call == "exit_group" || x.call == "exit" {
		if code, err := strconv.ParseUint(string(x.sys[fA0].val), 16, 64); err == nil {
			x.key("exit_code")
			x.doc = strconv.AppendUint(x.doc, code&0xff, 10)
		}
	}
	x.shut(m)
}

// terminal writes what a record says of a process's terminal: the name that the kernel has
// for it, of which the numbers are known (Documentation/admin-guide/devices.txt).
func (x *parser) terminal() {
	tty := x.sys[fTty].val
	if len(tty) == 0 {
		return
	}
	x.key("interactive")
	if string(tty) == "(none)" {
		x.doc = append(x.doc, "false"...)
		return
	}
	x.doc = append(x.doc, "true"...)
	major, first, most := 4, 0, 63
	name, ok := bytes.CutPrefix(tty, []byte("pts"))
	if ok {
		major, most = 136, 1<<20-1
	} else if name, ok = bytes.CutPrefix(tty, []byte("ttyS")); ok {
		first, most = 64, 191
	} else if name, ok = bytes.CutPrefix(tty, []byte("tty")); !ok {
		return
	}
	n, l := digits(name)
	if l == 0 || l != len(name) || n > uint64(most) {
		return
	}
	t := x.open("tty")
	d := x.open("char_device")
	x.key("major")
	x.doc = strconv.AppendInt(x.doc, int64(major), 10)
	x.key("minor")
	x.doc = strconv.AppendUint(x.doc, uint64(first)+n, 10)
	x.shut(d)
	x.shut(t)
}

// arguments writes process.args: those of the EXECVE records, or as a last
// resort the title, which the kernel cuts at 128 bytes and may be an old one.
func (x *parser) arguments() {
	if len(x.args) == 0 {
		if x.p.has&hasExecve != 0 && x.argsOK || x.title.unset() {
			return
		}
		t := bytes.TrimRight(x.decode(&x.title), "\x00")
		x.key("args")
		x.doc = append(x.doc, '[')
		for i := 0; ; i++ {
			a, rest, more := bytes.Cut(t, []byte{0})
			if i > 0 {
				x.doc = append(x.doc, ',')
			}
			x.quote(a)
			if t = rest; !more {
				break
			}
		}
		x.doc = append(x.doc, ']')
		return
	}
	if x.argc >= 0 { // also of those that are cut
		x.key("args_count")
		x.doc = strconv.AppendInt(x.doc, int64(x.argc), 10)
	}
	x.key("args")
	x.doc = append(x.doc, '[')
	buf := x.p.buf
	for i := 0; i < len(x.args); {
		if i > 0 {
			x.doc = append(x.doc, ',')
		}
		a := x.args[i]
		j := i + 1
		for j < len(x.args) && x.args[j].arg == a.arg {
			j++
		}
		text := buf[a.from : a.from+a.len]
		if j > i+1 {
			x.text = x.text[:0]
			for _, pc := range x.args[i:j] {
				t := buf[pc.from : pc.from+pc.len]
				if pc.quoted != a.quoted && pc.quoted { // Not seen; a text among hexadecimal.
					x.text = appendHex(x.text, t)
					continue
				}
				x.text = append(x.text, t...)
			}
			text = x.text
		}
		if !a.quoted {
			x.arg = appendUnhex(x.arg[:0], text)
			text = x.arg
		}
		x.quote(text)
		i = j
	}
	x.doc = append(x.doc, ']')
}

func appendHex(dst, s []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range s {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

func (x *parser) user() {
	uid, name := &x.sys[fUid], x.names[nmUid]
	euid, ename := &x.sys[fEuid], x.names[nmEuid]
	m := x.open("user")
	if acct := &x.msg[mAcct]; x.p.has&hasSyscall == 0 && (acct.key != nil || x.msg[mID].key != nil) {
		// A user program tells who did something (auid, else its own uid) to whom.
		if f := &x.sys[fAuid]; !f.unset() && string(f.val) != "4294967295" && string(f.val) != "-1" {
			uid, name = f, x.names[nmAuid]
		}
		x.idIn(uid, name)
		e := x.open("effective")
		x.plain("id", &x.msg[mID])
		x.string("name", acct)
		x.shut(e)
	} else {
		x.idIn(uid, name)
		x.id("effective", euid, ename)
	}
	x.shut(m)
	x.id("group", &x.sys[fGid], x.names[nmGid])
}

// network writes what the socket address says.
func (x *parser) network() {
	side := "destination"
	switch x.call {
	case "accept", "accept4", "recv", "recvfrom", "recvmsg":
		side = "source"
	}
	if f := &x.msg[mAddr]; f.key != nil && x.saddr == nil {
		m := x.open("source")
		if a, err := netip.ParseAddr(string(f.val)); err == nil {
			x.key("ip")
			x.doc = append(a.Unmap().AppendTo(append(x.doc, '"')), '"')
		}
		x.plain("address", f)
		x.shut(m)
		return
	}
	if len(x.saddr) < 4 {
		return
	}
	x.text = appendUnhex(x.text[:0], x.saddr)
	b := x.text
	if len(b) == len(x.saddr) { // not hexadecimal
		return
	}
	family := int(b[0]) | int(b[1])<<8
	if b[0] == 0 { // a big-endian machine
		family = int(b[1])
	}
	var ip netip.Addr
	switch family {
	case 1:
		name := b[2:]
		abstract := len(name) > 1 && name[0] == 0
		if abstract {
			name = name[1:]
		}
		// After the name comes rubbish from the caller's stack.
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		if len(name) == 0 {
			return
		}
		m := x.open(side)
		for _, k := range [...]string{"address", "path"} {
			x.key(k)
			at := len(x.doc)
			x.quote(name)
			if abstract {
				x.doc = slices.Insert(x.doc, at+1, '@')
			}
		}
		x.shut(m)
		x.doc = append(x.doc, `,"network":{"type":"unix"}`...)
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
	m := x.open(side)
	x.key("address")
	x.doc = append(ip.AppendTo(append(x.doc, '"')), '"')
	x.key("ip")
	x.doc = append(ip.AppendTo(append(x.doc, '"')), '"')
	x.key("port")
	x.doc = strconv.AppendUint(x.doc, uint64(b[2])<<8|uint64(b[3]), 10)
	x.shut(m)
	x.doc = append(x.doc, `,"network":{"type":"ipv4"`...)
	if ip.Is6() {
		x.doc[len(x.doc)-2] = '6'
	}
	switch x.call {
	case "connect":
		x.doc = append(x.doc, `,"direction":"egress"`...)
	case "accept", "accept4":
		x.doc = append(x.doc, `,"direction":"ingress"`...)
	}
	x.doc = append(x.doc, '}')
}

// file writes the file that the call was about: the first that is not just the
// directory it is in. A started program is process.executable, not a file event.
func (x *parser) file(n norm) {
	if x.started() || len(x.paths) == 0 || n.category == `["network"]` {
		return
	}
	p := &x.paths[0]
	for i := range x.paths {
		if string(x.paths[i].kind.val) != "PARENT" {
			p = &x.paths[i]
			break
		}
	}
	if p.name.unset() || len(p.name.val) == 0 {
		return
	}
	m := x.open("file")
	x.key("path")
	name := x.decode(&p.name)
	if len(name) > 0 && name[0] != '/' && x.relative() {
		// A relative name continues the working directory.
		at := len(name)
		x.text = append(x.text[:0], name...)
		x.text = append(appendText(x.text, &x.cwd), '/')
		x.text = append(x.text, x.text[:at]...)
		x.quote(clean(x.text[at:]))
	} else {
		x.quote(name)
	}
	x.plain("inode", &p.inode)
	if mode := p.mode.val; len(mode) >= 4 {
		x.put("mode", mode[len(mode)-4:])
	}
	x.plain("uid", &p.ouid)
	x.plain("gid", &p.ogid)
	x.put("owner", p.owner)
	x.put("group", p.group)
	x.shut(m)
}

// orlop writes what no other schema has a place for: that the record was cut, and the
// file that a connect has reached, which is one whatever path leads there.
func (x *parser) orlop(cut bool) {
	m := x.open("orlop")
	if cut {
		x.doc = append(x.doc, `"evidence":{"truncated":true}`...)
	}
	if x.call == "connect" && len(x.paths) > 0 {
		p := &x.paths[0]
		// A socket's mode is 0140000 and its permissions.
		if major, minor, ok := deviceOf(p.dev.val); ok && !p.inode.unset() && bytes.HasPrefix(p.mode.val, []byte("014")) {
			d := x.open("socket")
			x.plain("inode", &p.inode)
			x.key("device")
			x.doc = strconv.AppendUint(append(x.doc, '"'), major, 10)
			x.doc = strconv.AppendUint(append(x.doc, ':'), minor, 10)
			x.doc = append(x.doc, '"')
			x.shut(d)
		}
	}
	x.shut(m)
}

// deviceOf reads a device number as audit writes it, in hexadecimal: fe:00.
func deviceOf(b []byte) (major, minor uint64, ok bool) {
	l, r, found := bytes.Cut(b, []byte{':'})
	major, err := strconv.ParseUint(string(l), 16, 32)
	minor, err2 := strconv.ParseUint(string(r), 16, 32)
	return major, minor, found && err == nil && err2 == nil
}

// relative reports whether a relative name is relative to the working
// directory, as far as the call says: not if it had a directory to start from.
func (x *parser) relative() bool {
	if x.cwd.unset() {
		return false
	}
	if n := len(x.call); n > 2 && x.call[n-2:] == "at" || x.call == "renameat2" || x.call == "openat2" || x.call == "faccessat2" || x.call == "fchmodat2" {
		a0 := x.sys[fA0].val
		return string(a0) == "ffffff9c" || string(a0) == "ffffffffffffff9c"
	}
	return true
}

// clean removes "." and "//" from an absolute path, in place, and ".." with
// what it goes back over.
func clean(b []byte) []byte {
	w := 0
	for i := 0; i < len(b); {
		for i < len(b) && b[i] == '/' {
			i++
		}
		j := i
		for j < len(b) && b[j] != '/' {
			j++
		}
		switch s := b[i:j]; {
		case len(s) == 0 || string(s) == ".":
		case string(s) == "..":
			for w > 0 {
				if w--; b[w] == '/' {
					break
				}
			}
		default:
			b[w] = '/'
			w += 1 + copy(b[w+1:], s)
		}
		i = j
	}
	if w == 0 {
		return append(b[:0], '/')
	}
	return b[:w]
}

// auditd writes what has no place in ECS.
func (x *parser) auditd(typ, outcome string) {
	m := x.open("auditd")
	x.key("message_type")
	x.lower(typ)
	if outcome != "unknown" {
		x.key("result")
		if outcome == "success" {
			x.doc = append(x.doc, `"success"`...)
		} else {
			x.doc = append(x.doc, `"fail"`...)
		}
	}
	if f := &x.sys[fSes]; !f.unset() {
		x.key("session")
		x.unsetID(f)
	}

	d := x.open("data")
	if name := archName(x.arch); name != "" {
		x.key("arch")
		x.doc = event.AppendQuoted(x.doc, name)
	} else if x.arch != 0 {
		x.key("arch")
		x.doc = append(strconv.AppendUint(append(x.doc, '"'), uint64(x.arch), 16), '"')
	}
	if x.call != "" {
		x.key("syscall")
		x.doc = event.AppendQuoted(x.doc, x.call)
	} else if x.called {
		x.key("syscall")
		x.doc = append(strconv.AppendUint(append(x.doc, '"'), uint64(x.nr), 10), '"')
	}
	x.plain("exit", &x.sys[fExit])
	if x.argc >= 0 {
		x.key("argc")
		x.doc = append(strconv.AppendUint(append(x.doc, '"'), uint64(x.argc), 10), '"')
	}
	x.plain("a0", &x.sys[fA0])
	x.plain("a1", &x.sys[fA1])
	x.plain("a2", &x.sys[fA2])
	x.plain("a3", &x.sys[fA3])
	x.plain("tty", &x.sys[fTty])
	x.string("comm", &x.sys[fComm])
	x.plain("subj", &x.sys[fSubj])
	for i := range x.extra {
		f := &x.extra[i]
		x.key("")
		x.doc = x.doc[:len(x.doc)-2] // the quote and colon of the empty key
		for _, c := range f.key {
			if c == '-' {
				c = '_'
			}
			x.doc = append(x.doc, c)
		}
		x.doc = append(x.doc, '"', ':')
		if texts(f.key) {
			x.quote(x.decode(f))
		} else {
			x.quote(f.val)
		}
	}
	x.shut(d)

	u := x.open("user")
	x.id("audit", &x.sys[fAuid], x.names[nmAuid])
	x.id("saved", &x.sys[fSuid], x.names[nmSuid])
	x.id("filesystem", &x.sys[fFsuid], x.names[nmFsuid])
	x.shut(u)

	if len(x.paths) > 0 {
		x.key("paths")
		x.doc = append(x.doc, '[')
		for i := range x.paths {
			p := &x.paths[i]
			if i > 0 {
				x.doc = append(x.doc, ',')
			}
			x.doc = append(x.doc, '{')
			x.plain("item", &p.item)
			x.string("name", &p.name)
			x.plain("nametype", &p.kind)
			x.plain("inode", &p.inode)
			x.plain("dev", &p.dev)
			x.plain("mode", &p.mode)
			x.plain("ouid", &p.ouid)
			x.plain("ogid", &p.ogid)
			x.doc = append(x.doc, '}')
		}
		x.doc = append(x.doc, ']')
	}
	x.shut(m)
}

// texts reports whether a bare value of a field is hexadecimal text. The
// kernel's numbers look the same, so the fields have to be known.
func texts(k []byte) bool {
	switch string(k) {
	case "acct", "cmd", "cwd", "data", "name", "path", "ocomm", "profile", "grp", "new_group", "unit", "vm", "file",
		"old-disk", "new-disk", "device", "dir", "watch", "sw":
		return true
	}
	return false
}

// tags writes the keys of the rules that selected the event.
func (x *parser) tags() {
	f := &x.sys[fKey]
	if f.unset() {
		return
	}
	k := x.decode(f)
	x.key("tags")
	x.doc = append(x.doc, '[')
	for i := 0; ; i++ {
		tag, rest, more := bytes.Cut(k, []byte{1})
		if i > 0 {
			x.doc = append(x.doc, ',')
		}
		x.quote(tag)
		if k = rest; !more {
			break
		}
	}
	x.doc = append(x.doc, ']')
}
