package ecs

// A scan finds the end of a JSON value by its brackets and strings. It can go
// on where it stopped when there are more bytes.
type scan struct {
	pos  int
	open []byte // brackets
	str  bool   // inside a string
	esc  bool   // after a backslash
	prev byte   // last byte that was neither space nor in a string
	bad  int    // where the value is broken, or -1
	why  string
}

// reset begins a value, inside brackets that are already open.
func (s *scan) reset(open string) {
	*s = scan{open: append(s.open[:0], open...), bad: -1}
	if open != "" {
		s.prev = ']'
	}
}

const maxDepth = 1002 // one more than the decoder takes, with room for a wrapper

// run scans b, of which it has seen the first pos bytes before, and returns
// where the value ends.
func (s *scan) run(b []byte) (end int, ok bool) {
	i := s.pos
	for ; i < len(b); i++ {
		c := b[i]
		if s.str {
			switch {
			case s.esc:
				s.esc = false
			case c == '\\':
				s.esc = true
			case c == '"':
				s.str = false
			case c == '\n':
				return s.broken(i, "line ends inside a string")
			}
			continue
		}
		switch c {
		case ' ', '\t', '\n', '\r':
			continue
		case '"':
			s.str = true
		case '{', '[':
			n := len(s.open)
			if n > 0 && s.prev != ':' && s.prev != '[' && !(s.prev == ',' && s.open[n-1] == '[') {
				return s.broken(i, "a new value begins before the document ends")
			}
			if n >= maxDepth {
				return s.broken(i, "nested too deep")
			}
			s.open = append(s.open, c)
		case '}', ']':
			n := len(s.open)
			if n == 0 || s.open[n-1] != c-2 { // { is 0x7b, } 0x7d, [ 0x5b, ] 0x5d
				return s.broken(i, "brackets do not match")
			}
			s.open = s.open[:n-1]
			if n == 1 {
				s.pos = i + 1
				return i + 1, true
			}
		}
		s.prev = c
	}
	s.pos = i
	return 0, false
}

func (s *scan) broken(at int, why string) (int, bool) {
	s.pos, s.bad, s.why = at, at, why
	return 0, false
}

// members calls do with each key, without its quotes, and value of the object
// b. It reports whether b is an object as far as do let it look.
func members(b []byte, do func(key, val []byte) bool) bool {
	_, _, ok := walk(b, 1, func(k, v []byte, _ int) bool { return v != nil && do(k, v) })
	return ok
}

// walk goes over the members of an object from offset i, which is behind its
// opening bracket, until do returns false or the object ends. It returns where
// it stopped; short says that b ended before.
func walk(b []byte, i int, do func(key, val []byte, at int) bool) (at int, short, ok bool) {
	for {
		for i < len(b) && (space(b[i]) || b[i] == ',') {
			i++
		}
		if i >= len(b) {
			return i, true, false
		}
		if b[i] == '}' {
			return i, false, true
		}
		if b[i] != '"' {
			return i, false, false
		}
		end := endOf(b, i)
		if end < 0 {
			return i, true, false
		}
		key := b[i+1 : end-1]
		for i = end; i < len(b) && space(b[i]); i++ {
		}
		if i >= len(b) {
			return i, true, false
		}
		if b[i] != ':' {
			return i, false, false
		}
		for i++; i < len(b) && space(b[i]); i++ {
		}
		if i >= len(b) {
			return i, true, false
		}
		end = endOf(b, i)
		if end < 0 {
			// The value is not here yet; do may still want to look at its start.
			do(key, nil, i)
			return i, true, false
		}
		if !do(key, b[i:end], i) {
			return i, false, true
		}
		i = end
	}
}

// endOf returns where the value that begins at i ends, or -1.
func endOf(b []byte, i int) int {
	depth, str := 0, false
	for ; i < len(b); i++ {
		c := b[i]
		if str {
			if c == '\\' {
				i++
			} else if c == '"' {
				if str = false; depth == 0 {
					return i + 1
				}
			}
			continue
		}
		switch c {
		case '"':
			str = true
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of the scalar before
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}
