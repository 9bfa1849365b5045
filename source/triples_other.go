//go:build purego || !amd64

package source

const hasTriples = false

func triplesAVX2(*byte, int, *[6][32]byte) int { panic("source: bug: no AVX2") }
