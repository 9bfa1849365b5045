//go:build !purego

package source

import "golang.org/x/sys/cpu"

var hasTriples = cpu.X86.HasAVX2

// triplesAVX2 returns the first of the n places of b at which a triple may stand, or one at
// or behind n. It looks at 32 places at a time, and reads the 2 bytes behind the last.
//
//go:noescape
func triplesAVX2(b *byte, n int, masks *[6][32]byte) int
