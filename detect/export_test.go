package detect

// InMemory sets how much waits in memory before it goes to disk, until SetRules.
func InMemory(g *Engine, bytes int64) {
	for _, o := range g.orders {
		o.room = bytes
	}
}

// TryAll makes g try every predicate of every rule on every event.
func TryAll(g *Engine) {
	x := newIndex(nil)
	for _, a := range g.rules {
		if a.query == nil {
			continue
		}
		for _, p := range a.preds() {
			x.entries = append(x.entries, &entry{pred: p, rule: a})
		}
	}
	words := (len(x.entries) + 63) / 64
	x.left, x.have, x.live = make([]uint64, words), make([]uint64, words), make([]int, 0, words)
	g.index = x
}
