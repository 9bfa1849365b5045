package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/orlop/orlop/detect"
)

// profile says what each rule cost that was tried on an event, the dearest first.
func profile(w io.Writer, engine *detect.Engine) {
	events := max(engine.Stats().In, 1)
	rules := slices.DeleteFunc(engine.Rules(), func(s detect.Status) bool { return s.Cost.Candidates == 0 })
	slices.SortStableFunc(rules, func(a, b detect.Status) int {
		return cmp.Or(cmp.Compare(b.Cost.Time, a.Cost.Time), cmp.Compare(b.Cost.Candidates, a.Cost.Candidates))
	})
	row := func(cells ...any) string { return fmt.Sprintf("%8v  %10v  %8v  %10v  %8v", cells...) }
	t := newTable(terminal(w), false, column{row("ns/event", "candidates", "matches", "bytes", "evicted"), 52, 52}, column{"rule", 20, 20})
	fmt.Fprintln(w, t.head())
	for _, s := range rules {
		c, ns := s.Cost, "-" // none of its events was timed
		if c.Time > 0 {
			ns = fmt.Sprintf("%.1f", float64(c.Time)/float64(events))
		}
		fmt.Fprintln(w, t.row("", row(ns, c.Candidates, c.Matches, c.Peak, c.Evicted), s.Rule.Name))
	}
}
