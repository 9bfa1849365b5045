package detect_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/expr"
)

// A searcher finds what a text has, of texts that are all short, all long or both, as
// looking for one after the other does: at most, of a long one, too much.
func TestSearcherFindsWhatIsThere(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	word := func(least, most int) string {
		b := make([]byte, least+r.IntN(most-least+1))
		for i := range b {
			b[i] = "abcAB/-.0@`"[r.IntN(11)]
		}
		return string(b)
	}
	matched := 0
	for range 3000 {
		least := 1 + r.IntN(9)
		var hows []expr.How
		var texts []string
		for range 1 + r.IntN(40) {
			hows = append(hows, []expr.How{expr.Start, expr.End, expr.Part}[r.IntN(3)])
			texts = append(texts, strings.ToLower(word(least, least+r.IntN(6))))
		}
		find := detect.Searcher(hows, texts)
		for range 30 {
			text := word(0, 12)
			if i := r.IntN(len(texts)); r.IntN(2) == 0 {
				text += strings.ToUpper(texts[i]) + word(0, 3*r.IntN(2))
			}
			var want []int
			low := strings.ToLower(text)
			for i, how := range hows {
				if how == expr.Start && strings.HasPrefix(low, texts[i]) || how == expr.End && strings.HasSuffix(low, texts[i]) || how == expr.Part && strings.Contains(low, texts[i]) {
					want = append(want, i)
				}
			}
			if d := cmp.Diff(want, find(text)); d != "" {
				t.Fatalf("%q in %v %q: (-want +got):\n%s", text, hows, texts, d)
			}
			matched += len(want)
		}
	}
	if matched < 10_000 {
		t.Errorf("only %d were there", matched)
	}
}
