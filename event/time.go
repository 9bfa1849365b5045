package event

import (
	"math"
	"time"
)

// Orders reports whether sequences can order events by t: whether it is known, and
// of the years 1970 to 2261, which nanoseconds since 1970 reach. An event without
// such a time takes no part in a sequence, and who runs the sequence counts it as
// rejected. To everything else it is an event like any other.
func Orders(t time.Time) bool { return !t.IsZero() && t.Unix() >= 0 && t.Year() <= 2261 }

// TimeOf reads a date as Elasticsearch's date fields do: text in the form
// strict_date_optional_time with any number of fraction digits, or a number of
// milliseconds since 1970.
//
// Numbers that as milliseconds would fall in early 1970 or far in the future
// but make sense in another unit are read in that unit: [1e9, 1e10) seconds,
// [1e15, 1e16) microseconds, [1e18, 1e19) nanoseconds.
func TimeOf(v Value) (time.Time, bool) {
	switch v.kind {
	case KindString:
		s := v.Str()
		if t, ok := ParseTime(s); ok {
			return t, true
		}
		if n, ok := Number(s); ok {
			return TimeOf(n)
		}
	case KindInt:
		n := v.Int()
		switch {
		case n >= 1e9 && n < 1e10:
			return time.Unix(n, 0).UTC(), true
		case n >= 1e15 && n < 1e16:
			return time.UnixMicro(n).UTC(), true
		case n >= 1e18:
			return time.Unix(n/1e9, n%1e9).UTC(), true
		}
		return time.UnixMilli(n).UTC(), true
	case KindFloat:
		f := v.Float()
		if math.IsNaN(f) || math.Abs(f) > 1e17 {
			return time.Time{}, false
		}
		if f >= 1e9 && f < 1e10 {
			sec, frac := math.Modf(f)
			return time.Unix(int64(sec), int64(math.Round(frac*1e9))).UTC(), true
		}
		ms, frac := math.Modf(f)
		return time.UnixMilli(int64(ms)).Add(time.Duration(frac * 1e6)).UTC(), true
	}
	return time.Time{}, false
}

// ParseTime reads a date in Elasticsearch's strict_date_optional_time form: a
// year, optionally a month, a day, and after T (or a space) an hour, minute and
// second with a fraction of any length and a zone (Z, +02, +0200, +02:00).
// What is left out is the earliest, the zone UTC.
func ParseTime(s string) (time.Time, bool) {
	if t, ok := parseUTC(s); ok {
		return t, true
	}
	p := timeParser{s: s}
	year := p.digits(4)
	month, day, hour, min, sec, nsec := 1, 1, 0, 0, 0, 0
	zone := time.UTC
	if p.accept('-') {
		month = p.digits(2)
		if p.accept('-') {
			day = p.digits(2)
			if p.accept('T') || p.accept(' ') {
				if p.s != "" {
					hour = p.digits(2)
				}
				if p.accept(':') {
					min = p.digits(2)
					if p.accept(':') {
						sec = p.digits(2)
						if p.accept('.') || p.accept(',') {
							nsec = p.fraction()
						}
					}
				}
				zone = p.zone()
			}
		}
	}
	if p.bad || p.s != "" || month < 1 || month > 12 || day < 1 || day > daysIn(month, year) || hour > 23 || min > 59 || sec > 60 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, min, sec, nsec, zone).UTC(), true
}

// parseUTC is ParseTime for what nearly all sources write: 2006-01-02T15:04:05Z, with a
// fraction of at most nine digits or none.
func parseUTC(s string) (time.Time, bool) {
	const form = "0000-00-00T00:00:00Z"
	n := len(s) - 1
	if n < len(form)-1 || n > len(form)+9 || s[n] != 'Z' || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	over := false
	two := func(i int) int {
		a, b := s[i]-'0', s[i+1]-'0'
		over = over || a > 9 || b > 9
		return int(a)*10 + int(b)
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, min, sec := two(11), two(14), two(17)
	nsec := 0
	if n > 19 {
		if s[19] != '.' || n == 20 {
			return time.Time{}, false
		}
		for i := 20; i < 29; i++ {
			nsec *= 10
			if i < n {
				over = over || s[i]-'0' > 9
				nsec += int(s[i] - '0')
			}
		}
	}
	if over || month < 1 || month > 12 || day < 1 || day > daysIn(month, year) || hour > 23 || min > 59 || sec > 60 {
		return time.Time{}, false
	}
	// Years begin in March, so that what a month has before it does not depend on the year.
	if month < 3 {
		year, month = year-1, month+12
	}
	days := year*365 + (year+400)/4 - (year+400)/100 + (year+400)/400 + (153*month-457)/5 + day - 1
	return time.Unix(int64(days-daysTo1970)*86400+int64(hour*3600+min*60+sec), int64(nsec)).UTC(), true
}

// daysTo1970 are those from the first of March of the year 0, and the leap days of the 400
// years that parseUTC adds.
const daysTo1970 = 719468 + 97

func daysIn(month, year int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

type timeParser struct {
	s   string
	bad bool
}

func (p *timeParser) accept(c byte) bool {
	if p.s == "" || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

func (p *timeParser) digits(n int) int {
	if len(p.s) < n {
		p.bad = true
		return 0
	}
	v := 0
	for i := range n {
		c := p.s[i] - '0'
		if c > 9 {
			p.bad = true
			return 0
		}
		v = v*10 + int(c)
	}
	p.s = p.s[n:]
	return v
}

// fraction reads digits as nanoseconds; those after the ninth do not count.
func (p *timeParser) fraction() int {
	v, i, scale := 0, 0, 100_000_000
	for ; i < len(p.s) && p.s[i]-'0' <= 9; i++ {
		v += int(p.s[i]-'0') * scale
		scale /= 10
	}
	p.bad = p.bad || i == 0
	p.s = p.s[i:]
	return v
}

func (p *timeParser) zone() *time.Location {
	if p.s == "" || p.accept('Z') {
		return time.UTC
	}
	sign := 1
	if !p.accept('+') {
		if !p.accept('-') {
			p.bad = true
			return time.UTC
		}
		sign = -1
	}
	h, m := p.digits(2), 0
	if p.accept(':') || p.s != "" {
		m = p.digits(2)
	}
	if h > 18 || m > 59 {
		p.bad = true
	}
	if p.bad {
		return time.UTC
	}
	return time.FixedZone("", sign*(h*3600+m*60))
}

// Number reads text that is a decimal number as a whole, so that "17100" and
// 17100 can be compared. Blanks, hexadecimal, Inf and NaN are not numbers.
func Number(s string) (Value, bool) {
	if s == "" || len(s) > 64 {
		return Value{}, false
	}
	dot, exp, digit := false, false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digit = true
		case c == '-' || c == '+':
			if i > 0 && s[i-1]|0x20 != 'e' {
				return Value{}, false
			}
		case c == '.' && !dot && !exp:
			dot = true
		case c|0x20 == 'e' && digit && !exp:
			exp = true
		default:
			return Value{}, false
		}
	}
	if last := s[len(s)-1]; !digit || last < '0' || last > '9' {
		return Value{}, false
	}
	return ParseNumber(s), true
}
