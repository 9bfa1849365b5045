package event

import (
	"bytes"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// A Field is the number of a dotted path in a Schema. The zero Field is no field.
type Field uint32

// A Schema numbers the fields that somebody asked for. It only grows, so a
// Field stays valid for the life of the Schema. Its methods may be called from
// any goroutine; a Decoder sees a new field from its next document on.
type Schema struct {
	mu  sync.Mutex
	tab atomic.Pointer[table]
}

// table is one immutable state of a Schema. Growing copies only the nodes on
// the new path; names share their backing array.
type table struct {
	names  []string
	fields map[string]Field
	root   *node
}

// node is one step of a path: process -> parent -> name. Its kids are in a hash
// table, open and never more than half full.
type node struct {
	kids  []kid
	n     int       // how many there are
	first [4]uint64 // a bit for the first byte of each kid's key
	field Field
}

type kid struct {
	hash uint64
	key  string
	node *node
}

// NewSchema returns a Schema without fields.
func NewSchema() *Schema {
	s := new(Schema)
	s.tab.Store(&table{names: []string{""}, fields: map[string]Field{}, root: &node{}})
	return s
}

// Field returns the number of a dotted path, adding it if it is new.
func (s *Schema) Field(name string) Field {
	if f, ok := s.tab.Load().fields[name]; ok {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.tab.Load()
	if f, ok := old.fields[name]; ok {
		return f
	}
	f := Field(len(old.names))
	t := &table{names: append(old.names, name), fields: maps.Clone(old.fields)}
	t.fields[name] = f
	t.root = old.root.with(strings.Split(name, "."), f)
	s.tab.Store(t)
	return f
}

// Lookup returns the number of a dotted path, if somebody has asked for it.
func (s *Schema) Lookup(name string) (Field, bool) {
	f, ok := s.tab.Load().fields[name]
	return f, ok
}

// Name returns the dotted path of f.
func (s *Schema) Name(f Field) string {
	names := s.tab.Load().names
	if int(f) >= len(names) {
		return ""
	}
	return names[f]
}

// Len is one more than the highest Field.
func (s *Schema) Len() int { return len(s.tab.Load().names) }

func (n *node) with(path []string, f Field) *node {
	c := &node{}
	if n != nil {
		*c = *n
	}
	if len(path) == 0 {
		c.field = f
		return c
	}
	key := path[0]
	below := c.step([]byte(key), hashKey([]byte(key))).with(path[1:], f)
	old := c.kids
	c.kids = make([]kid, max(4, len(old)))
	if 2*(c.n+1) > len(c.kids) {
		c.kids = make([]kid, 2*len(c.kids))
	}
	c.n = 0
	for _, k := range old {
		if k.node != nil && k.key != key {
			c.put(k)
		}
	}
	c.put(kid{hashKey([]byte(key)), key, below})
	return c
}

func (n *node) put(k kid) {
	if k.key != "" {
		n.first[k.key[0]>>6] |= 1 << (k.key[0] & 63)
	}
	i := k.hash
	for n.kids[i&uint64(len(n.kids)-1)].node != nil {
		i++
	}
	n.kids[i&uint64(len(n.kids)-1)] = k
	n.n++
}

// step returns the kid with the key, whose hash is h, or nil.
func (n *node) step(key []byte, h uint64) *node {
	mask := uint64(len(n.kids) - 1)
	if len(n.kids) == 0 {
		return nil
	}
	for i := h; ; i++ {
		k := &n.kids[i&mask]
		if k.node == nil || k.hash == h && k.key == string(key) {
			return k.node
		}
	}
}

// kid returns the node that key, whose hash is h and which may hold dots, leads
// to, or nil, as it does from nil.
func (n *node) kid(key []byte, h uint64) *node {
	if n == nil {
		return nil
	}
	// Fast path: most keys of a document lead nowhere.
	if len(key) == 0 || n.first[key[0]>>6]&(1<<(key[0]&63)) == 0 {
		return nil
	}
	if k := n.step(key, h); k != nil || bytes.IndexByte(key, '.') < 0 {
		return k
	}
	for n != nil {
		part, rest, more := bytes.Cut(key, dot)
		n = n.step(part, hashKey(part))
		if !more {
			break
		}
		key = rest
	}
	return n
}

var dot = []byte{'.'}
