package source

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/orlop/orlop/event"
)

// Triples find the first literal there is, or one that begins before that has ended, from
// anywhere in a text of any length, in any case of letters where it does not matter.
func TestTriples(t *testing.T) {
	if !hasTriples {
		t.Skip("this processor, or this build, has no AVX2")
	}
	r := rand.New(rand.NewPCG(4, 1))
	text := func(n int, of string) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = of[r.IntN(len(of))]
		}
		return b
	}
	found := 0
	for range 20_000 {
		var ls []event.Literal
		for range 1 + r.IntN(12) {
			fold := r.IntN(2) == 0
			l := text(2+r.IntN(6), `ab"/.z`)
			if !fold {
				l = text(2+r.IntN(6), `aAb"/.Z`)
			}
			ls = append(ls, event.Literal{Text: string(l), Fold: fold})
		}
		often := make([]uint32, 1<<16)
		sample := text(100, "xy")
		for _, p := range []string{"ab", `"/`, "zz"} {
			often[pair(p[0], p[1])] = uint32(r.IntN(9))
		}
		s := newTriples(ls, sample, often)
		if s == nil {
			t.Fatalf("%+v: not looked for in a text that has none", ls)
		}
		// The two bytes behind it are none of a literal: see triples.
		b := append(text(r.IntN(200), []string{`xyXY{},:0`, `xyaAbBzZ"/.`}[r.IntN(2)]), "}\n"...)
		if r.IntN(2) == 0 && len(b) > 10 {
			copy(b[r.IntN(len(b)-9):], ls[r.IntN(len(ls))].Text)
		}
		from := r.IntN(len(b))
		first, end := len(b), 0
		for i := from; i < len(b) && first == len(b); i++ {
			for _, l := range ls {
				if stands(&l, b[i:]) {
					first, end = i, max(end, i+len(l.Text))
				}
			}
		}
		got := s.find(ls, b, from)
		is := got < len(b) && slices.ContainsFunc(ls, func(l event.Literal) bool { return stands(&l, b[got:]) })
		if first == len(b) && got != len(b) || first < len(b) && (!is || got < first || got >= end) {
			t.Fatalf("%+v in %q from %d: found at %d, want %d", ls, b, from, got, first)
		}
		if is {
			found++
		}
		// Nothing in front of from counts.
		if i := s.find(ls, bytes.Repeat([]byte("xy"), 64), 0); i != 128 {
			t.Fatalf("%+v: found at %d of a text that has none", ls, i)
		}
	}
	if found < 2000 {
		t.Errorf("found only %d times", found)
	}
}
