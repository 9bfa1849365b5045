package enrich

import (
	"math"
	"strings"

	"github.com/orlop/orlop/event"
)

// kindOf says what e shows of its process.
func (x *Enricher) kindOf(e *event.Event) kind {
	f := &x.f
	if c := e.Get(f.category); c.Exists() && !has(c, "process") {
		return 0 // A connection also has a start and an end.
	}
	var k kind
	action := e.Get(f.action)
	for i := range action.Len() {
		switch action.At(i).Str() {
		case "fork":
			k |= forked
		case "exec", "executed", "exec_event", "start", "ProcessRollup2", "process_started", "process_changed_image":
			k |= execed
		case "existing_process":
			k |= seeded
		case "exited":
			if !has(e.Get(f.call), "exit") { // Audit's exit(2) ends a thread.
				k |= ended
			}
		case "end", "exit_group", "process_stopped", "crashed-program":
			k |= ended
		}
	}
	if k == 0 {
		// A kill, too, is of type end, and the process is the one that kills.
		typ := e.Get(f.typ)
		if has(typ, "start") {
			k |= execed
		}
		if !action.Exists() && has(typ, "end") {
			k |= ended
		}
	}
	// A failed exec has the caller as its process, which goes on.
	if k != 0 && has(e.Get(f.outcome), "failure") {
		return 0
	}
	return k
}

func has(v event.Value, s string) bool {
	for i := range v.Len() {
		if v.At(i).Str() == s {
			return true
		}
	}
	return false
}

// first returns the first value of v.
func first(v event.Value) event.Value {
	if v.Kind() == event.KindList {
		return v.At(0)
	}
	return v
}

// number reads a pid, which some sources write as text. 0 is none.
func number(v event.Value) uint32 {
	v = first(v)
	if v.Kind() == event.KindString {
		v, _ = event.Number(v.Str())
	}
	if n := v.Int(); n > 0 && n <= math.MaxInt32 {
		return uint32(n)
	}
	return 0
}

// when reads a date in nanoseconds since 1970. 0 is none.
func when(v event.Value) int64 {
	if !v.Exists() {
		return 0
	}
	t, ok := event.TimeOf(first(v))
	if !ok {
		return 0
	}
	return t.UnixNano()
}

// path reads an executable. A file that is not in the file system, "/" in audit,
// has none, and one that was replaced since is still that program.
func path(v event.Value) string {
	s := strings.TrimSuffix(first(v).Str(), " (deleted)")
	if s == "/" {
		return ""
	}
	return s
}

// id is an audit session or login uid, made comparable. 0 is unknown.
type id uint64

const unset id = math.MaxUint32 + 1

// idOf reads a number, in either spelling, or a name.
func idOf(v event.Value) id {
	v = first(v)
	if v.Kind() == event.KindString {
		s := v.Str()
		switch s {
		case "":
			return 0
		case "unset", "-1":
			return unset
		}
		n, ok := event.Number(s)
		if !ok {
			h := id(14695981039346656037) // FNV-1a
			for i := range len(s) {
				h = (h ^ id(s[i])) * 1099511628211
			}
			return h | 1<<63
		}
		v = n
	}
	if v.Kind() != event.KindInt {
		return 0
	}
	if v.Int() < 0 {
		return unset
	}
	return id(v.Int()) + 1
}

func (a id) differs(b id) bool { return a != 0 && b != 0 && a != b }

// base is the last element of a path.
func base(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
