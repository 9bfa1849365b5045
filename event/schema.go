package event

import (
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

// node is one step of a path: process -> parent -> name.
type node struct {
	kids  map[string]*node
	bloom uint64 // one bit for each kid, by keyBit
	field Field
}

// keyBit is a cheap hash of a key, to reject most unknown keys without a lookup.
func keyBit(k []byte) uint64 {
	n := len(k)
	if n == 0 {
		return 1
	}
	return 1 << ((uint(k[0]) + uint(k[n-1])*7 + uint(k[n/2])*31 + uint(n)*11) & 63)
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
	c.kids = maps.Clone(c.kids)
	if c.kids == nil {
		c.kids = map[string]*node{}
	}
	c.kids[path[0]] = c.kids[path[0]].with(path[1:], f)
	c.bloom |= keyBit([]byte(path[0]))
	return c
}

// kid returns the node that key, which may hold dots, leads to, or nil.
func (n *node) kid(key []byte) *node {
	for i, c := range key {
		if c != '.' {
			continue
		}
		n = n.step(key[:i])
		if n == nil {
			return nil
		}
		return n.kid(key[i+1:])
	}
	return n.step(key)
}

func (n *node) step(key []byte) *node {
	// Fast path: most keys of a document lead nowhere.
	if n.bloom&keyBit(key) == 0 {
		return nil
	}
	return n.kids[string(key)]
}
