package detect

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

// Timed says which of so many events are timed.
func Timed(events int) []bool {
	m, out := newMeter(), make([]bool, events)
	for i := range out {
		m.next()
		out[i] = m.on
	}
	return out
}
