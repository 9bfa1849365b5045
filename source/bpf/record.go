//go:build linux

package bpf

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Kinds of records, as orlop.bpf.c numbers them.
const (
	kindExec = 1 + iota
	kindFork
	kindExit
	kindConnect
	nKinds
	kindMore = nKinds // a piece of the arguments of the exec that follows
)

// Flags of a record.
const (
	argsCut        = 1 << 0 // pieces with all of them have come before
	argsFault      = 1 << 1
	exeCut         = 1 << 2
	parentCut      = 1 << 3
	cwdCut         = 1 << 4
	exeDeleted     = 1 << 5
	exeDetached    = 1 << 6
	cwdDetached    = 1 << 7
	cgroupCut      = 1 << 8
	parentDetached = 1 << 9
	noMM           = 1 << 10
	noLogin        = 1 << 11
	reached        = 1 << 12
	socketCut      = 1 << 13
	socketDetached = 1 << 14
	ownerCut       = 1 << 15
)

// Parts of a record, in their order.
const (
	partArgs = iota
	partExe
	partParent
	partCwd
	partCgroup
	partFilename
	partAddress
	nParts
)

const (
	headerSize  = 224 // of struct header
	addressSize = 128 // that an address takes
	argsSize    = 16384
)

// record is struct header of orlop.bpf.c, and the parts behind it, which borrow
// the bytes that were parsed.
type record struct {
	time, start, parentStart uint64 // boot time in nanoseconds
	caps                     uint64
	file                     fileID
	kind, flags              uint32
	pid, tid, ppid, nspid    uint32
	uid, euid, suid          uint32
	gid, egid                uint32
	loginuid, session        uint32
	nsPid, nsMnt, nsNet      uint32
	nsUser                   uint32
	sid, pgid, tty           uint32
	exitCode                 uint32
	argc, argsSize           uint32
	owner, ownerUID          uint32
	result                   int32
	comm, parentComm         []byte
	parts                    [nParts][]byte
	socket, ownerExe         []byte // paths, of a connect that reached somebody
}

// fileID tells the content of a file: what changes the content changes the time
// of change, which nobody can set.
type fileID struct {
	dev, ino, size, ctime uint64
}

var errShort = errors.New("record shorter than it says")

func (r *record) parse(b []byte) error {
	if len(b) < headerSize {
		return errShort
	}
	at := 0
	u64 := func() uint64 { at += 8; return binary.LittleEndian.Uint64(b[at-8:]) }
	u32 := func() uint32 { at += 4; return binary.LittleEndian.Uint32(b[at-4:]) }
	r.time, r.start, r.parentStart = u64(), u64(), u64()
	r.caps = u64()
	r.file.ino, r.file.size, r.file.ctime = u64(), u64(), u64()
	r.file.dev = uint64(u32())
	r.kind, r.flags = u32(), u32()
	r.pid, r.tid, r.ppid, r.nspid = u32(), u32(), u32(), u32()
	r.uid, r.euid, r.suid, r.gid, r.egid = u32(), u32(), u32(), u32(), u32()
	r.loginuid, r.session = u32(), u32()
	r.nsPid, r.nsMnt, r.nsNet, r.nsUser = u32(), u32(), u32(), u32()
	r.sid, r.pgid, r.tty = u32(), u32(), u32()
	r.exitCode, r.argc, r.argsSize = u32(), u32(), u32()
	r.owner, r.ownerUID, r.result = u32(), u32(), int32(u32())
	u32()
	r.socket, r.ownerExe = nil, nil
	r.comm, r.parentComm = text(b[at:at+16]), text(b[at+16:at+32])
	at += 32
	lens := b[at : at+16]
	rest := b[headerSize:]
	if r.kind == kindConnect { // The address comes first and has a fixed place.
		if len(rest) < addressSize {
			return errShort
		}
		n := min(int(binary.LittleEndian.Uint16(lens[2*partAddress:])), addressSize)
		r.parts = [nParts][]byte{partAddress: rest[:n]}
		rest = rest[addressSize:]
		for _, part := range [...]struct {
			i int
			b *[]byte
		}{{partExe, &r.socket}, {partParent, &r.ownerExe}, {partCwd, &r.parts[partCwd]}} {
			n := int(binary.LittleEndian.Uint16(lens[2*part.i:]))
			if len(rest) < n {
				return errShort
			}
			*part.b, rest = rest[:n], rest[n:]
		}
		return nil
	}
	for i := range partAddress {
		n := int(binary.LittleEndian.Uint16(lens[2*i:]))
		if len(rest) < n {
			return errShort
		}
		r.parts[i], rest = rest[:n], rest[n:]
	}
	r.parts[partAddress] = nil
	return nil
}

// pieces are the long arguments of execs whose own record has not come yet, by
// thread.
type pieces map[uint32][]byte

// maxPieces is how many execs may be under way at once; more is a sign that
// records were lost.
const maxPieces = 64

func (p pieces) add(r *record) {
	b := p[r.tid]
	if r.argc == 0 {
		if len(p) >= maxPieces {
			clear(p)
		}
		b = nil
	}
	if len(b) != int(r.argc)*argsSize {
		delete(p, r.tid) // one was lost
		return
	}
	p[r.tid] = append(b, r.parts[partArgs]...)
}

// join gives an exec its arguments, if all have come.
func (p pieces) join(r *record) {
	b := p[r.tid]
	delete(p, r.tid)
	if len(b) == int(r.argsSize) {
		r.parts[partArgs] = b
		r.flags &^= argsCut | argsFault
	}
}

// text cuts b at its first NUL.
func text(b []byte) []byte {
	if i := slices.Index(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// appendPath appends the path that a part holds, whose names come leaf first.
func appendPath(dst, part []byte) []byte {
	n := len(dst)
	for len(part) > 0 {
		part = part[:len(part)-1] // the NUL
		i := len(part)
		for i > 0 && part[i-1] != 0 {
			i--
		}
		if i < len(part) {
			dst = append(append(dst, '/'), part[i:]...)
		}
		part = part[:i]
	}
	if len(dst) == n {
		dst = append(dst, '/')
	}
	return dst
}

// leaf is the first name of a part.
func leaf(part []byte) []byte { return text(part) }
