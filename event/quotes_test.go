package event

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The processor's way to scan a document finds what the plain one finds.
func TestScanBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		b := make([]byte, 64*r.IntN(6))
		for i := range b {
			b[i] = byte(' ' + r.IntN(90))
		}
		for range r.IntN(3) {
			if len(b) > 0 {
				b[r.IntN(len(b))] = []byte{'"', '"', '\\', 0, 0x1f, 0x20, 0x7f, 0x80, 0xff, '!', '#', ']', '['}[r.IntN(13)]
			}
		}
		got, want := make([]uint64, len(b)/64), make([]uint64, len(b)/64)
		if has, must := scanBlocks(b, got), scanBlocksGo(b, want); has != must || !slices.Equal(got, want) {
			t.Fatalf("%q: got %d %x, want %d %x", b, has, got, must, want)
		}
		for i, c := range b {
			if q := want[i/64]>>(i%64)&1 == 1; q != (c == '"') {
				t.Fatalf("%q: byte %d is a quote: %v", b, i, q)
			}
		}
	}
}
