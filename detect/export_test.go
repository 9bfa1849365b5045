package detect

import (
	"math/bits"
	"slices"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// InMemory sets how much waits in memory before it goes to disk, until SetRules.
func InMemory(g *Engine, bytes int64) {
	for _, o := range g.orders {
		o.room = bytes
	}
}

// Clock makes g time what rules cost by another clock, and all events.
func Clock(g *Engine, nanos func() int64) {
	g.meter = meter{nanos: nanos}
	g.match.meter = g.meter
}

// TryAll makes g try every predicate of every rule on every event.
func TryAll(g *Engine) {
	x := newIndex(nil)
	for _, a := range g.rules {
		if a.query == nil {
			continue
		}
		for _, p := range a.query.Preds() {
			x.entries = append(x.entries, &entry{p, len(x.rules), x.preds})
			x.preds++
		}
		x.rules = append(x.rules, a)
	}
	g.index = x
	g.match = newMatcher(g)
}

// Narrow leaves g's index so many bytes for what it remembers of events, and as much
// credit, until SetRules.
func Narrow(g *Engine, bytes, credit int) {
	g.match.tree.room, g.match.tree.credit = bytes, credit
}

// Searcher returns what finds which of texts another text starts with, ends with or has
// in it, of letters of either case the same.
func Searcher(hows []expr.How, texts []string) func(text string) []int {
	f := indexed{asks: make([]uint64, len(texts)/64+1), search: make([]uint64, len(texts)/64+1)}
	for i := range texts {
		f.add([]expr.Need{{How: hows[i], Text: texts[i]}}, i)
	}
	sets := 0
	f.build(&sets)
	x := finder{seen: make([]uint64, sets)}
	return func(text string) (found []int) {
		x.find(&f, event.String(text), true)
		for _, s := range x.found {
			for _, w := range s.words {
				for left := w.bits; left != 0; left &= left - 1 {
					found = append(found, w.at*64+bits.TrailingZeros64(left))
				}
			}
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
}

// Timed says which of so many events are timed.
func Timed(events int) []bool {
	m, out := newMeter(), make([]bool, events)
	for i := range out {
		m.next()
		out[i] = m.on
	}
	return out
}
