package ecs

import "bytes"

// firstKey returns the first key of the object b, if that is short.
func firstKey(b []byte) []byte {
	i := 1
	for i < len(b) && space(b[i]) {
		i++
	}
	if i >= len(b) || b[i] != '"' {
		return nil
	}
	b = b[i+1:]
	if i = bytes.IndexByte(b[:min(len(b), 24)], '"'); i < 0 {
		return nil
	}
	return b[:i]
}

// unwrap returns the document of a hit: its _source or else its fields, with
// its _id and _index, put together at the end of mem if need be. What is not a hit is
// returned as it is.
func unwrap(mem, b []byte) (doc, after []byte) {
	var id, index, source, fields []byte
	ok := members(b, func(k, v []byte) bool {
		switch string(k) {
		case "_id":
			id = v
		case "_index":
			index = v
		case "_source":
			source = v
		case "fields":
			fields = v
		}
		return true
	})
	if !ok {
		return b, mem
	}
	if !hasMembers(source) {
		source = fields
	}
	if !hasMembers(source) {
		return b, mem
	}
	return withID(mem, source, id, index)
}

func hasMembers(b []byte) bool {
	return len(b) > 0 && b[0] == '{' && firstKey(b) != nil || len(b) > 24 && b[0] == '{'
}

// withID returns doc with _id and _index, which are JSON or nil, unless it has
// its own: put together at the end of mem if need be.
func withID(mem, doc, id, index []byte) (with, after []byte) {
	if id == nil && index == nil || len(doc) == 0 || doc[0] != '{' {
		return doc, mem
	}
	empty := true
	members(doc, func(k, _ []byte) bool {
		empty = false
		switch string(k) {
		case "_id":
			id = nil
		case "_index":
			index = nil
		}
		return true
	})
	n := len(mem)
	m := append(mem, '{')
	add := func(k string, v []byte) {
		if len(v) == 0 {
			return
		}
		if len(m) > n+1 {
			m = append(m, ',')
		}
		m = append(append(m, k...), v...)
	}
	add(`"_id":`, id)
	add(`"_index":`, index)
	if len(m) > n+1 && !empty {
		m = append(m, ',')
	}
	m = append(m, doc[1:]...)
	return m[n:], m
}

// An action is the line of a bulk request that says what to do with the
// document on the next one.
type action struct {
	verb      byte // 'i'ndex, 'c'reate, 'u'pdate; 0 if the next line is not its document
	id, index []byte
}

func isAction(key []byte) bool {
	switch string(key) {
	case "index", "create", "update", "delete":
		return true
	}
	return false
}

// read reads an action line, such as {"index":{"_index":"logs","_id":"1"}}, and
// reports whether b is one: no document has only such a member.
func (a *action) read(b []byte) bool {
	n, verb := 0, byte(0)
	var meta []byte
	if !members(b, func(k, v []byte) bool {
		n++
		verb, meta = k[0], v
		return n == 1
	}) || n != 1 || len(meta) == 0 || meta[0] != '{' {
		return false
	}
	var id, index []byte
	if !members(meta, func(k, v []byte) bool {
		switch string(k) {
		case "_id":
			id = v
		case "_index":
			index = v
		case "_type", "routing", "pipeline", "version", "version_type", "if_seq_no", "if_primary_term",
			"require_alias", "require_data_stream", "retry_on_conflict", "dynamic_templates", "list_executed_pipelines":
		default:
			n++
			return false
		}
		return true
	}) || n != 1 {
		return false
	}
	if verb == 'd' { // A deletion has no document.
		verb = 0
	}
	a.verb = verb
	a.id, a.index = append(a.id[:0], id...), append(a.index[:0], index...)
	return true
}

// maxHead is how far into a response its hits must begin.
const maxHead = 64 << 10

// enter reports whether the window begins with a search response, and goes to
// its hits.
func (r *Reader) enter() bool {
	if r.w.Offset() < r.plain {
		return false
	}
	for {
		b := r.w.Bytes()
		at, short := hits(b[:min(len(b), maxHead)])
		if at > 0 {
			r.w.Discard(at)
			r.around = append(r.around[:0], "{{["...)
			r.indent = -1
			return true
		}
		if !short {
			return false
		}
		if len(b) >= maxHead || !r.w.More(r.max+1) {
			// Do not look through the same bytes for each line in them.
			r.plain = r.w.Offset() + int64(min(len(b), maxHead))
			return false
		}
	}
}

// isResponse reports whether a search response may begin with the key.
func isResponse(key []byte) bool {
	switch string(key) {
	case "took", "hits", "_scroll_id", "pit_id", "is_partial", "is_running", "timed_out", "_shards", "id":
		return true
	}
	return false
}

// hits returns where the hits of a response begin, behind their bracket. It is
// short if b ends before that can be said.
func hits(b []byte) (at int, short bool) {
	switch key := firstKey(b); {
	case isResponse(key):
	case len(key) == 0:
		rest := bytes.TrimLeft(b[1:], " \t\r\n")
		return 0, len(rest) == 0 || rest[0] == '"' && len(rest) < 26 && bytes.IndexByte(rest[1:], '"') < 0
	default:
		return 0, false
	}
	outer := 0
	_, short, _ = walk(b, 1, func(k, v []byte, i int) bool {
		if string(k) == "hits" && b[i] == '{' {
			outer = i + 1
			return false
		}
		return true
	})
	if outer == 0 {
		return 0, short
	}
	_, short, _ = walk(b, outer, func(k, v []byte, i int) bool {
		if (string(k) == "hits" || string(k) == "events") && b[i] == '[' {
			at = i + 1
			return false
		}
		return true
	})
	return at, short && at == 0
}

// leave goes past what follows the hits in a response, whose brackets are open.
func (r *Reader) leave() {
	if len(r.around) == 0 {
		return
	}
	r.scan.reset(string(r.around))
	r.around = r.around[:0]
	for {
		end, ok := r.scan.run(r.w.Bytes())
		if ok {
			r.w.Discard(end)
			return
		}
		if r.scan.bad >= 0 {
			r.resync(r.scan.bad, r.scan.why)
			return
		}
		// What has been looked at is not needed any more.
		r.w.Discard(r.scan.pos)
		r.scan.pos = 0
		if !r.w.More(r.max + 1) {
			if r.w.Err() != nil {
				r.broken()
			} else {
				r.refuse(nil, "syntax", "document ends early")
			}
			return
		}
	}
}
