package eql_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/event"
)

// flood gives m an event of n different processes, a millisecond apart from
// the i-th on.
func flood(t testing.TB, s *event.Schema, m *eql.Matcher, i, n int, emit func(eql.Match)) {
	d := event.NewDecoder(s)
	var e event.Event
	for ; n > 0; n-- {
		i++
		doc := fmt.Sprintf(`{"@timestamp":%d,"event":{"category":"process"},"process":{"entity_id":"entity-%012d","name":"sh","args":["sh","-c","true"],"command_line":"sh -c true"},"host":{"name":"node-1"}}`, 1767225600000+i, i)
		if err := d.Decode([]byte(doc), &e); err != nil {
			t.Fatal(err)
		}
		m.Add(&e, emit)
	}
}

const perProcess = `sequence by process.entity_id with maxspan=5m [process where process.name == "sh"] [file where true]`

func TestSizeIsWhatTheHeapGrowsBy(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		return int64(ms.HeapAlloc)
	}
	f := func(name, text string, fields int) {
		s := event.NewSchema()
		for i := range fields {
			s.Field(fmt.Sprintf("other.field%d", i))
		}
		q := mustCompile(t, s, text)
		m := q.NewMatcher()
		before := heap()
		flood(t, s, m, 0, 20000, func(eql.Match) {})
		grown := heap() - before
		ratio := float64(m.Size()) / float64(grown)
		t.Logf("%s: %d partial matches of %d bytes each, Size says %d: ratio %.2f", name, m.Pending(), grown/20000, m.Size()/20000, ratio)
		if ratio < 0.6 || ratio > 1.7 {
			t.Errorf("%s: Size is %.2f of what the heap grew by", name, ratio)
		}
		runtime.KeepAlive(m)
	}
	f("pending", perProcess, 0)
	f("pending, 400 fields", perProcess, 400)
	f("waiting", `sequence by process.entity_id with maxspan=5m [process where true] ![file where true]`, 0)
	f("seen", `sequence by process.entity_id with maxspan=5m ![process where true] [file where true]`, 0)
	f("two keys", `sequence by host.name, process.entity_id with maxspan=5m [process where true] [file where true]`, 20)
}

func TestBudgetHolds(t *testing.T) {
	f := func(text string) {
		s := event.NewSchema()
		m := mustCompile(t, s, text).NewMatcher()
		const budget = 1 << 20
		m.SetBudget(budget)
		matched := 0
		for i := 0; i < 50000; i += 1000 {
			flood(t, s, m, i, 1000, func(eql.Match) { matched++ })
			if m.Size() > budget {
				t.Fatalf("%s: %d bytes after %d events, more than %d", text, m.Size(), i, budget)
			}
		}
		if m.Size() < budget*9/10 || m.Evicted() == 0 {
			t.Errorf("%s: %d bytes used, %d evicted", text, m.Size(), m.Evicted())
		}
		t.Logf("%s: %d evicted, %d pending", text, m.Evicted(), m.Pending())
	}
	f(perProcess)
	f(`sequence by process.entity_id with maxspan=5m [process where true] ![file where true]`)
	f(`sequence by process.entity_id with maxspan=5m ![process where true] [file where true]`)
	f(`sequence with maxspan=5m [process where true] ![file where true]`)
}

// The oldest go first: what is left are the latest, and they still complete.
func TestBudgetGivesUpTheOldest(t *testing.T) {
	s := event.NewSchema()
	m := mustCompile(t, s, perProcess).NewMatcher()
	m.SetBudget(1 << 16)
	flood(t, s, m, 0, 1000, func(eql.Match) {})
	pending, evicted := m.Pending(), m.Evicted()
	if pending+evicted != 1000 || evicted == 0 {
		t.Fatalf("%d pending and %d evicted of 1000", pending, evicted)
	}
	var completed []string
	for i := 1; i <= 1000; i++ {
		e := decode(t, s, fmt.Sprintf(`{"@timestamp":1767225602000,"event":{"category":"file"},"process":{"entity_id":"entity-%012d"}}`, i))
		m.Add(e, func(x eql.Match) {
			completed = append(completed, x.Keys[0].Text())
			if x.Evicted != evicted {
				t.Errorf("the match says that %d were evicted, not %d", x.Evicted, evicted)
			}
		})
	}
	if len(completed) != pending || completed[0] != fmt.Sprintf("entity-%012d", evicted+1) {
		t.Errorf("%d of %d completed, the first of %s", len(completed), pending, completed[0])
	}
	if m.Size() != 0 || m.Pending() != 0 {
		t.Errorf("%d bytes and %d pending are left", m.Size(), m.Pending())
	}
}

// Whatever happens to partial matches, their memory is given back in the books.
func TestSizeComesBackToNothing(t *testing.T) {
	for _, text := range []string{
		perProcess,
		`sequence by process.entity_id with maxspan=5m [process where true] ![file where true]`,
		`sequence by process.entity_id with maxspan=5m ![process where true] [file where true]`,
		`sequence by host.name with maxspan=5m ![file where true] [process where true] [process where true] ![file where true] until [process where length(process.entity_id) == 3]`,
	} {
		s := event.NewSchema()
		m := mustCompile(t, s, text).NewMatcher()
		flood(t, s, m, 0, 2000, func(eql.Match) {})
		m.Advance(time.UnixMilli(1767225600000).Add(time.Hour), func(eql.Match) {})
		if m.Size() != 0 || m.Pending() != 0 {
			t.Errorf("%s: %d bytes and %d pending are left", text, m.Size(), m.Pending())
		}
	}
}

// Expiring costs what expires, not what is pending: with fifty times as many
// pending, an event costs about the same.
func TestExpiryDoesNotLookAtAll(t *testing.T) {
	for _, text := range []string{
		`sequence by process.entity_id with maxspan=%dms [process where true] [file where true]`,
		`sequence with maxspan=%dms [process where true] ![file where true]`,
		`sequence by process.entity_id with maxspan=%dms ![process where true] [file where true]`,
	} {
		per := func(pending int) time.Duration {
			s := event.NewSchema()
			m := mustCompile(t, s, fmt.Sprintf(text, pending)).NewMatcher()
			flood(t, s, m, 0, pending, func(eql.Match) {})
			// The quickest of many: a machine that is busy disturbs some, not all.
			best := time.Hour
			const n = 100
			for i := range 50 {
				start := time.Now()
				flood(t, s, m, pending+i*n, n, func(eql.Match) {})
				best = min(best, time.Since(start)/n)
			}
			return best
		}
		few, many := per(1000), per(50000)
		t.Logf("%s: %v an event with 1,000 pending, %v with 50,000", text, few, many)
		if many > 20*few+20*time.Microsecond {
			t.Errorf("%s: %v an event with 1,000 pending, %v with 50,000", text, few, many)
		}
	}
}

// The combinations of the values of its keys that one event stands for are
// bounded: a hostile event has no other limit.
func TestKeysOfAnEventAreBounded(t *testing.T) {
	s := event.NewSchema()
	m := mustCompile(t, s, `sequence by a, b with maxspan=5m [any where true] [process where true]`).NewMatcher()
	values := make([]event.Value, 1000)
	for i := range values {
		values[i] = event.Int(int64(i))
	}
	e := decode(t, s, `{"@timestamp":"2026-01-01T00:00:00Z"}`)
	e.Set(s.Field("a"), event.List(values))
	e.Set(s.Field("b"), event.List(values))
	m.Add(e, func(eql.Match) {})
	if m.Pending() != eql.MaxKeys {
		t.Errorf("%d pending, want %d", m.Pending(), eql.MaxKeys)
	}
}
