package proc

import (
	"encoding/binary"
	"testing"
)

func datagram(cpu, seq, what uint32, args ...uint32) []byte {
	b := make([]byte, nlHeader+cnHeader+eventLen)
	put := func(at int, v uint32) { binary.NativeEndian.PutUint32(b[at:], v) }
	put(nlHeader, idxProc)
	put(nlHeader+4, valProc)
	put(nlHeader+8, seq)
	put(nlHeader+cnHeader, what)
	put(nlHeader+cnHeader+4, cpu)
	for i, a := range args {
		put(nlHeader+cnHeader+16+4*i, a)
	}
	return b
}

// Each cpu numbers its messages; what is missing was lost, also where a number is the last.
func TestLossByCPU(t *testing.T) {
	c := counters{}
	f := func(cpu, seq uint32, want int64) {
		t.Helper()
		var m message
		if !m.parse(datagram(cpu, seq, whatFork, 1, 1, 2, 2)) {
			t.Fatal("not parsed")
		}
		if got := c.lost(&m); got != want {
			t.Errorf("cpu %d, number %d: %d lost, want %d", cpu, seq, got, want)
		}
	}
	f(0, 100, 0)
	f(1, 7, 0)
	f(0, 101, 0)
	f(0, 105, 3)
	f(1, 8, 0)
	f(1, 1<<32-1, 0) // backwards: it has begun anew
	f(1, 0, 0)
	f(1, 2, 1)
}

func FuzzParse(f *testing.F) {
	f.Add(datagram(1, 2, whatExec, 3, 3))
	f.Add(datagram(1, 2, whatFork, 3, 3)[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		var m message
		if m.parse(b) && len(b) < nlHeader+cnHeader+16 {
			t.Error("too short")
		}
	})
}
