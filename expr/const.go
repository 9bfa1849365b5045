package expr

import (
	"cmp"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/orlop/orlop/event"
)

// A Type says how a field's values compare. It comes from a mapping; without
// one it is Untyped and the kinds of value and constant decide.
type Type uint8

const (
	Untyped Type = iota
	Keyword
	Number
	Boolean
	Date      // compares to the millisecond
	DateNanos // compares to the nanosecond
	IP
	Version
)

// A Const is the constant side of a leaf, prepared for comparing.
type Const struct {
	V event.Value

	num  event.Value // the number that V is or, as text, writes
	at   time.Time   // the instant that V, as text, writes
	isAt bool
	addr netip.Addr
}

// NewConst prepares v.
func NewConst(v event.Value) Const {
	c := Const{V: v}
	switch v.Kind() {
	case event.KindInt, event.KindFloat:
		c.num = v
	case event.KindString:
		s := v.Str()
		c.num, _ = event.Number(s)
		// A date needs at least its day: 2020 and 2020-02 are rather text.
		if len(s) >= len("2006-01-02") {
			c.at, c.isAt = event.ParseTime(s)
		}
		c.addr, _ = netip.ParseAddr(s)
		c.addr = c.addr.Unmap()
	}
	return c
}

// Equal reports whether a single value equals c under t.
func (c *Const) Equal(v event.Value, t Type) bool {
	if t == Keyword {
		return v.Text() == c.V.Text()
	}
	if t == Version {
		return v.Text() == c.V.Text()
	}
	n, ok := c.Compare(v, t)
	return ok && n == 0
}

// Compare orders a single value and c under t. It is not ok where the two do
// not compare, as a number with a word.
func (c *Const) Compare(v event.Value, t Type) (int, bool) {
	switch t {
	case Keyword:
		return strings.Compare(v.Text(), c.V.Text()), true
	case Version:
		return compareVersions(v.Text(), c.V.Text()), true
	case Date, DateNanos:
		a, ok := event.TimeOf(v)
		b, ok2 := event.TimeOf(c.V)
		if t == Date {
			a, b = a.Truncate(time.Millisecond), b.Truncate(time.Millisecond)
		}
		return a.Compare(b), ok && ok2
	case IP:
		a, err := netip.ParseAddr(v.Str())
		if err != nil || !c.addr.IsValid() {
			return 0, false
		}
		return a.Unmap().Compare(c.addr), true
	case Number:
		return compareNumbers(number(v), c.num)
	case Boolean:
		a, ok := boolean(v)
		b, ok2 := boolean(c.V)
		return b2i(a) - b2i(b), ok && ok2
	}
	switch c.V.Kind() {
	case event.KindString:
		return c.compareText(v)
	case event.KindInt, event.KindFloat:
		switch v.Kind() {
		case event.KindInt, event.KindFloat:
			return compareNumbers(v, c.num)
		case event.KindString: // Elasticsearch maps it as a number or a date
			if n, ok := event.Number(v.Str()); ok {
				return compareNumbers(n, c.num)
			}
			if c.V.Kind() == event.KindInt {
				if at, ok := event.ParseTime(v.Str()); ok && len(v.Str()) >= len("2006-01-02") {
					return cmp.Compare(at.UnixMilli(), c.V.Int()), true
				}
			}
		}
	case event.KindBool:
		if a, ok := boolean(v); ok {
			return b2i(a) - b2i(c.V.Bool()), true
		}
	}
	return 0, false
}

// compareText orders a value of any kind and a string constant.
func (c *Const) compareText(v event.Value) (int, bool) {
	s := c.V.Str()
	switch v.Kind() {
	case event.KindString:
		if c.isAt {
			if at, ok := instant(v.Str()); ok {
				return at.Compare(c.at), true
			}
		}
		return strings.Compare(v.Str(), s), true
	case event.KindInt, event.KindFloat:
		if c.num.Exists() {
			return compareNumbers(v, c.num)
		}
		if c.isAt {
			at, ok := event.TimeOf(v)
			return at.Compare(c.at), ok
		}
	case event.KindBool:
		if b, ok := boolean(c.V); ok {
			return b2i(v.Bool()) - b2i(b), true
		}
	}
	return 0, false
}

// instant reads text that stands beside a date as one: a date, as dynamic mapping
// would find it, or as a field mapped as a date would read it, a time since 1970
// that has the ten digits which seconds have had since 2001. Fewer are rather text.
func instant(s string) (time.Time, bool) {
	const digits = len("1000000000")
	if len(s) < digits {
		return time.Time{}, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return event.ParseTime(s)
		}
	}
	n := event.ParseNumber(s)
	return event.TimeOf(n)
}

func boolean(v event.Value) (val, ok bool) {
	switch v.Kind() {
	case event.KindBool:
		return v.Bool(), true
	case event.KindString:
		switch v.Str() {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// number is the number that v is or, as text, writes.
func number(v event.Value) event.Value {
	switch v.Kind() {
	case event.KindInt, event.KindFloat:
		return v
	case event.KindString:
		n, _ := event.Number(v.Str())
		return n
	}
	return event.Value{}
}

// compareNumbers compares by value, exactly even where an int64 has no float64.
func compareNumbers(a, b event.Value) (int, bool) {
	ka, kb := a.Kind(), b.Kind()
	switch {
	case ka == event.KindInt && kb == event.KindInt:
		return cmp.Compare(a.Int(), b.Int()), true
	case ka == event.KindFloat && kb == event.KindFloat:
		return compareFloats(a.Float(), b.Float())
	case ka == event.KindInt && kb == event.KindFloat:
		return compareIntFloat(a.Int(), b.Float())
	case ka == event.KindFloat && kb == event.KindInt:
		n, ok := compareIntFloat(b.Int(), a.Float())
		return -n, ok
	}
	return 0, false
}

func compareFloats(a, b float64) (int, bool) {
	return cmp.Compare(a, b), !math.IsNaN(a) && !math.IsNaN(b)
}

func compareIntFloat(i int64, f float64) (int, bool) {
	switch {
	case math.IsNaN(f):
		return 0, false
	case f >= 1<<63:
		return -1, true
	case f < -1<<63:
		return 1, true
	}
	whole := math.Floor(f)
	if n := cmp.Compare(i, int64(whole)); n != 0 {
		return n, true
	}
	if f > whole {
		return -1, true
	}
	return 0, true
}
