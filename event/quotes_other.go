//go:build !amd64 || purego

package event

func scanBlocks(b []byte, quotes []uint64) (has int) { return scanBlocksGo(b, quotes) }
