package detect

import "time"

// A Cost is what a rule has cost since it was loaded.
type Cost struct {
	// Candidates are the events that the index could not rule out, on which the
	// rule's predicates were tried, and Matches those of them that it wanted: that it
	// raised, or that its sequence looks at.
	Candidates, Matches uint64

	// Time is about how long that took, and what a sequence or sample does with its
	// events, and the making of alerts, but not the call of emit. It is measured for
	// one event in 64, at random, and so says little of a rule that has seen few. What
	// all rules share, the index above all, is nobody's.
	Time time.Duration

	State, Peak int64  // bytes that the rule keeps, now and at most
	Evicted     uint64 // of Stats.Evicted, those of this rule
}

// sample is how many events there are, on average, for one that is timed.
const sample = 64

func newMeter() meter {
	began := time.Now()
	return meter{nanos: func() int64 { return int64(time.Since(began)) }, wait: sample / 2, seed: 1}
}

// A meter times some events.
type meter struct {
	nanos func() int64 // a clock that only goes forward
	on    bool         // the event is one of those that are timed
	wait  uint32       // for so many events more, it is not
	seed  uint32
	from  int64 // what is not charged yet began then
}

// next decides about another event.
func (m *meter) next() {
	m.on = m.wait == 0
	if m.wait--; m.on {
		m.draw()
	}
}

// draw decides how many events are not timed now. It is by xorshift: of events that
// come in turns a fixed step would meet a part only.
func (m *meter) draw() {
	m.seed ^= m.seed << 13
	m.seed ^= m.seed >> 17
	m.seed ^= m.seed << 5
	m.wait = m.seed % (2*sample - 1) // 0 to 2*sample-2
}

// start says that what follows is some rule's.
func (m *meter) start() {
	if m.on {
		m.from = m.nanos()
	}
}

// charge says whose it was since start or the last charge.
func (m *meter) charge(c *Cost) {
	if m.on {
		now := m.nanos()
		c.Time += sample * time.Duration(now-m.from)
		m.from = now
	}
}
