package source_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// Of lines that are objects, those that have none of the literals are skipped, and no
// others, however long the literals are and wherever they stand.
func TestSieveFindsEveryLiteral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[abAB]{3,12}`)
		var ls []event.Literal
		for range rapid.IntRange(0, 5).Draw(t, "literals") {
			l := event.Literal{Text: text.Draw(t, "literal"), Fold: rapid.Bool().Draw(t, "fold")}
			if l.Fold {
				l.Text = strings.ToLower(l.Text)
			}
			ls = append(ls, l)
		}
		has := func(line string) bool {
			for _, l := range ls {
				if strings.Contains(line, l.Text) || l.Fold && strings.Contains(strings.ToLower(line), l.Text) {
					return true
				}
			}
			return false
		}
		sample := []byte(strings.Repeat("{"+text.Draw(t, "sample")+"}\n", rapid.IntRange(1, 3).Draw(t, "samples")))
		s := source.NewSieve(func(cost func(event.Literal) float64) ([]event.Literal, bool) {
			for _, l := range ls {
				cost(l)
			}
			return ls, true
		}, sample)
		if s == nil {
			return // most of the sample has them
		}
		var b []byte
		for range rapid.IntRange(1, 20).Draw(t, "lines") {
			b = append(b, "{"+rapid.StringMatching(`[abAB]{0,20}`).Draw(t, "line")+"}\n"...)
		}
		keep := func([]byte) bool { return false }
		for at, end := 0, 0; at < len(b); {
			end = rapid.IntRange(max(at, end), len(b)).Draw(t, "end") // of what has come
			there := b[at:end]
			n, lines, more := s.Skip(there, int64(at), end == len(b), 100, keep)
			if lines == 0 && more && end < len(b) {
				continue
			}
			for range lines {
				line, _, _ := bytes.Cut(b[at:], []byte{'\n'})
				if has(string(line)) {
					t.Fatalf("skipped %q, which has one of %v", line, ls)
				}
				n, at = n-len(line)-1, at+len(line)+1
			}
			if lines > 0 && n != -1 {
				t.Fatalf("skipped %d bytes too many", n+1)
			}
			if lines == 0 {
				line, _, whole := bytes.Cut(there, []byte{'\n'})
				if whole && !has(string(line)) {
					t.Fatalf("did not skip %q, which has none of %v", line, ls)
				}
				at += bytes.IndexByte(b[at:], '\n') + 1
			}
		}
	})
}
