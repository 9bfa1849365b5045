package proc

import "encoding/binary"

// What linux/cn_proc.h says.
const (
	whatNone = 0
	whatFork = 1
	whatExec = 2
	whatExit = 0x80000000

	idxProc, valProc = 1, 1
	opListen         = 1

	nlHeader = 16
	cnHeader = 20
	eventLen = 40 // of struct proc_event
)

// A message is one of the connector's.
type message struct {
	what, cpu uint32
	seq       uint32 // of the cpu
	at        uint64 // monotonic clock, nanoseconds
	args      [6]uint32
}

// parse reads a datagram. ok is false if it is not one of the connector's.
func (m *message) parse(b []byte) (ok bool) {
	// Kernels before 2.6.33 and tests have shorter events.
	if len(b) < nlHeader+cnHeader+16 {
		return false
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	if u32(nlHeader) != idxProc || u32(nlHeader+4) != valProc {
		return false
	}
	e := nlHeader + cnHeader
	*m = message{seq: u32(nlHeader + 8), what: u32(e), cpu: u32(e + 4), at: binary.NativeEndian.Uint64(b[e+8:])}
	for i := range m.args {
		if at := e + 16 + 4*i; at+4 <= len(b) {
			m.args[i] = u32(at)
		}
	}
	return true
}

// listenRequest asks for all messages, so that their numbers have no holes.
func listenRequest(pid uint32) []byte {
	b := make([]byte, nlHeader+cnHeader+4)
	put := func(at int, v uint32) { binary.NativeEndian.PutUint32(b[at:], v) }
	put(0, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], 3) // NLMSG_DONE
	put(12, pid)
	put(nlHeader, idxProc)
	put(nlHeader+4, valProc)
	binary.NativeEndian.PutUint16(b[nlHeader+16:], 4)
	put(nlHeader+cnHeader, opListen)
	return b
}

// counters follow the numbers of each cpu's messages.
type counters map[uint32]uint32

// lost counts a message and returns how many are missing before it.
func (c counters) lost(m *message) int64 {
	last, seen := c[m.cpu]
	c[m.cpu] = m.seq
	if d := m.seq - last - 1; seen && d < 1<<31 {
		return int64(d)
	}
	return 0
}
