//go:build !purego

package event

import "golang.org/x/sys/cpu"

func scanBlocks(b []byte, quotes []uint64) (has int) {
	if !cpu.X86.HasAVX2 || len(b) < 64 {
		return scanBlocksGo(b, quotes)
	}
	slash, control, high := scanAVX2(b, quotes)
	if slash != 0 {
		has |= hasSlash
	}
	if control != 0 {
		has |= hasControl
	}
	if high != 0 {
		has |= hasHigh
	}
	return has
}

// scanAVX2 is scanBlocksGo for at least one block. What it returns is not 0 if there are
// such bytes.
//
//go:noescape
func scanAVX2(b []byte, quotes []uint64) (slash, control, high uint32)
