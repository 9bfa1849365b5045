package event

import (
	"encoding/binary"
	"math/bits"
)

// What a document is made of is found out once, 64 bytes at a time: where its quotes
// are, a bit for each byte, and which of the rarer kinds of bytes it has at all.
// scanBlocks, of the processor, does what scanBlocksGo does.
const (
	hasSlash   = 1 << iota // a backslash
	hasControl             // a byte below 0x20
	hasHigh                // a byte above 0x7f
)

// scan notes the quotes of doc, and returns which bytes it has.
func (d *Decoder) scan(doc []byte) (has int) {
	blocks := len(doc) / 64
	if n := blocks + 2; cap(d.quotes) < n {
		d.quotes = make([]uint64, n+n/2)
	}
	d.quotes = d.quotes[:blocks+2]
	has = scanBlocks(doc[:blocks*64], d.quotes)
	var tail [64]byte
	for i := copy(tail[:], doc[blocks*64:]); i < 64; i++ {
		tail[i] = ' '
	}
	has |= scanBlocks(tail[:], d.quotes[blocks:])
	// Behind the end there is one, so that looking for one ends.
	end := len(doc) % 64
	d.quotes[blocks] |= 1 << end
	d.quotes[blocks+1] = 1
	return has
}

// quote is the position of the next quote at or behind i, or the document's length.
// It is never behind that, as i is not.
func (d *Decoder) quote(i int) int {
	w, n := i>>6, i&63
	// Where a block ends is no reason for a branch: it could not be foreseen.
	if q := d.quotes[w]>>n | d.quotes[w+1]<<(63-n)<<1; q != 0 {
		return i + bits.TrailingZeros64(q)
	}
	for {
		w++
		if q := d.quotes[w]; q != 0 {
			return w<<6 + bits.TrailingZeros64(q)
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// scanBlocksGo notes the quotes of whole blocks of 64 bytes, a word for each, and returns
// which bytes they have.
func scanBlocksGo(b []byte, quotes []uint64) (has int) {
	high, slash, control := uint64(0), uint64(0), uint64(0)
	for len(b) >= 64 {
		q := uint64(0)
		for k := 0; k < 64; k += 8 {
			x := binary.LittleEndian.Uint64(b[k:])
			high |= x
			c := x & (ones * 0xe0) // of a control character, zero
			control |= (c - ones) &^ c
			s := x ^ ones*'\\'
			slash |= (s - ones) &^ s
			y := x ^ ones*'"'
			m := ^((y&^highs + ^uint64(highs)) | y) & highs // of bytes that are quotes
			q |= (m >> 7) * 0x0102040810204080 >> 56 << k
		}
		quotes[0] = q
		b, quotes = b[64:], quotes[1:]
	}
	if high&highs != 0 {
		has |= hasHigh
	}
	if control&highs != 0 {
		has |= hasControl
	}
	if slash&highs != 0 {
		has |= hasSlash
	}
	return has
}
