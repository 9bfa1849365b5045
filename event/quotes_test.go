package event

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
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

// The next quote is found from anywhere, however many blocks away.
func TestQuote(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	var d Decoder
	for range 2000 {
		b := bytes.Repeat([]byte{'x'}, r.IntN(400))
		for range r.IntN(4) {
			if len(b) > 0 {
				b[r.IntN(len(b))] = '"'
			}
		}
		d.scan(b)
		for i := range len(b) + 1 {
			want := len(b)
			if n := bytes.IndexByte(b[i:], '"'); n >= 0 {
				want = i + n
			}
			if got := d.quote(i); got != want {
				t.Fatalf("%q: the quote from %d on is at %d, want %d", b, i, got, want)
			}
		}
	}
}

// A number is read as strconv reads it, whatever is around it.
func TestNumbers(t *testing.T) {
	s := NewSchema()
	f, d := s.Field("n"), NewDecoder(s)
	var e Event
	r := rand.New(rand.NewPCG(3, 1))
	for range 50_000 {
		var n []byte
		for range 1 + r.IntN(21) {
			n = append(n, "0123456789"[r.IntN(10)])
		}
		text := []string{"", "", "", "-", "+", " "}[r.IntN(6)] + string(n) + []string{"", "", "", "", ".5", "e3", "/", ":", "x", "\u00b2"}[r.IntN(10)]
		doc := []byte([]string{`{"n":` + text + `}`, `{"n":` + text + ` }`, `{"n":[` + text + `]}`, `{"n":` + text + `,"m":"a longer text, so that there are more bytes"}`}[r.IntN(4)])
		err := d.Decode(doc, &e)
		if good := json.Valid(doc); good != (err == nil) {
			t.Fatalf("%s: %v, valid is %v", doc, err, good)
		}
		if err == nil && e.Get(f) != ParseNumber(strings.TrimSpace(text)) {
			t.Fatalf("%s: read as %v", doc, e.Get(f))
		}
	}
}
