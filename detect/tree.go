package detect

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"unsafe"

	"github.com/orlop/orlop/event"
)

// A tree remembers how events were sifted by an index: which field was looked at, what
// was found in its values, and which branches that left. It grows as events come, as a
// lazy automaton does: one that is like an earlier one is led from node to node, and what
// is left of the index for it is at hand in the end.
//
// It has a root for each kind of events: those that have the same values in the fields
// that most branches ask for. From there on it looks first at the field that left least
// of the event for which it grew.
//
// To grow costs more than to go on, and is earned by events for which nothing grows.
// Where there is no room, and for events that are always others, nothing is remembered.
type tree struct {
	x      *index
	common int // as the index's, unless that has turned out to be too many
	kinds  []kind
	seed   uint64
	event  uint64 // number of the event
	misses int    // events whose kind was not there, since the one with the number since
	since  uint64

	size, room int // bytes, about, and at most
	refused    int // how often there was no room
	credit     int

	key    []uint64 // of the event's kind
	have   []uint64 // by word: the branches that have what they need of a field
	asked  []uint64 // fields
	listed []uint64 // by entry: the last of the ends that has it
	ends   uint64   // so many were made
	left   []word   // what narrow leaves
	spare  [2]node  // of events for which nothing is remembered, in turn
}

// A kind is the events that have the same values in the fields that most branches ask for.
type kind struct {
	key  []uint64 // see event.Value.AppendKey
	root *node
}

// A node is how far events have been sifted that are alike so far.
type node struct {
	field   *indexed // that is looked at next; nil at the end
	search  bool     // the field's texts must be searched
	absent  *node    // for events that do not have it
	nothing *node    // for those in whose values nothing is found
	edges   []edge   // for others, by what is found: a hash table that is at most half full
	used    int      // edges
	entries []*entry // at the end: those to be tried, each once
	left    []word   // the branches that are left
	done    []uint64 // the fields that were looked at
}

// An edge leads on from a node if these are found, in this order.
type edge struct {
	found []*set // nil is no edge
	to    *node
}

const (
	maxKinds = 1024
	kindWays = 4    // of so many kinds with about the same hash, each is remembered
	maxKey   = 64   // words of a key: values that are longer together are not remembered
	trial    = 4096 // of so many events, half must be of a kind that is remembered

	maxTree   = 8 << 20 // bytes
	maxFound  = 16      // sets: what finds more is not remembered
	maxEdges  = 1 << 10 // of a node
	fullTree  = 1 << 14 // so many refusals, and the tree is forgotten
	growth    = 8       // to grow costs so much credit; an event for which nothing grows earns one
	maxCredit = 1 << 14
)

func newTree(x *index) tree {
	return tree{
		x: x, common: x.common, kinds: make([]kind, maxKinds+kindWays-1), seed: rand.Uint64(), room: maxTree, credit: maxCredit,
		have: make([]uint64, (len(x.entries)+63)/64), asked: make([]uint64, x.width), listed: make([]uint64, x.preds),
	}
}

// sift returns the entries that have what they need of all of e's fields, or a few more.
func (t *tree) sift(e *event.Event, x *finder) []*entry {
	t.event++
	credit := t.credit
	n := t.begin(e, x)
	for n.field != nil {
		v := e.Get(n.field.field)
		var to *node
		if v.Exists() {
			x.find(n.field, v, n.search)
			to = n.follow(x.found)
		} else {
			x.found = x.found[:0]
			to = n.absent
		}
		if to == nil {
			to = t.grow(n, e, v.Exists(), x)
		}
		n = to
	}
	if t.credit == credit && credit < maxCredit {
		t.credit++
	}
	return n.entries
}

// begin returns the root for e's kind.
func (t *tree) begin(e *event.Event, x *finder) *node {
	k := t.kindOf(e)
	if k != nil && k.root != nil {
		return k.root
	}
	left := t.left[:0]
	for w := range t.have {
		left = append(left, word{w, ^uint64(0)})
	}
	if n := len(t.x.entries) % 64; n != 0 {
		left[len(left)-1].bits = 1<<n - 1
	}
	t.left = left
	for i := range t.common {
		f := &t.x.fields[i]
		v := e.Get(f.field)
		x.find(f, v, true)
		t.narrow(t.left, f, v.Exists(), x.found)
	}
	n := &t.spare[0]
	if k != nil && t.afford(t.weight(len(k.key))) {
		n = new(node)
		k.root = n
	}
	n.done = append(n.done[:0], make([]uint64, t.x.width)...)
	for i := range t.common {
		n.done[i/64] |= 1 << (i % 64)
	}
	t.settle(n, e, x)
	return n
}

// kindOf returns e's kind, or room for it, without a root; nil if it is none that is
// remembered.
func (t *tree) kindOf(e *event.Event) *kind {
	key := t.key[:0]
	for i := range t.common {
		v := e.Get(t.x.fields[i].field)
		if key = v.AppendKey(key, maxKey); len(key) > maxKey {
			t.missed()
			return nil
		}
	}
	t.key = key
	h := t.seed
	for _, w := range key {
		h = bits.RotateLeft64((h^w)*0x9e3779b97f4a7c15, 29)
	}
	ways := t.kinds[h%maxKinds:][:kindWays]
	for i := range ways {
		if k := &ways[i]; k.root != nil && slices.Equal(k.key, key) {
			return k
		}
	}
	t.missed()
	k := &ways[t.event%kindWays]
	for i := range ways {
		if ways[i].root == nil {
			k = &ways[i]
			break
		}
	}
	k.root, k.key = nil, append(k.key[:0], key...)
	return k
}

// missed notes that an event was of no kind that is remembered. Where that is usual, the
// last of the common fields has too many values to tell kinds apart.
func (t *tree) missed() {
	if t.misses++; t.misses < trial/2 {
		return
	}
	if t.event-t.since < trial && t.common > 0 {
		t.common--
		t.forget()
	}
	t.misses, t.since = 0, t.event
}

// forget makes the tree empty.
func (t *tree) forget() {
	for i := range t.kinds {
		t.kinds[i].root = nil
	}
	t.size, t.refused = 0, 0
}

// afford reports whether so many bytes may be added, and counts them.
func (t *tree) afford(size int) bool {
	if t.credit < growth {
		return false
	}
	if t.size+size > t.room {
		if t.refused++; t.refused > fullTree {
			t.forget()
		}
		return false
	}
	t.credit -= growth
	t.size += size
	return true
}

// weight is about what a node with the branches that are left takes, and so many words.
func (t *tree) weight(words int) int {
	return int(unsafe.Sizeof(node{})) + len(t.left)*int(unsafe.Sizeof(word{})) + (words+t.x.width)*8 + 64
}

// follow returns where to go if those are found; nil if that is not known.
func (n *node) follow(found []*set) *node {
	if len(found) == 0 {
		return n.nothing
	}
	if n.edges == nil {
		return nil
	}
	return n.edges[n.slot(found)].to
}

// slot is where the edge for those is, or belongs.
func (n *node) slot(found []*set) int {
	h, mask := uint32(0), len(n.edges)-1
	for _, s := range found {
		h = (h ^ uint32(s.id)) * 0x9e3779b1
	}
	i := int(h>>16) & mask
	for n.edges[i].to != nil && !slices.Equal(n.edges[i].found, found) {
		i = (i + 1) & mask
	}
	return i
}

// link makes n lead on to a node.
func (n *node) link(there bool, found []*set, to *node) {
	switch {
	case !there:
		n.absent = to
		return
	case len(found) == 0:
		n.nothing = to
		return
	}
	if n.used*2 >= len(n.edges) {
		old := n.edges
		n.edges = make([]edge, max(4, 2*len(old)))
		for _, e := range old {
			if e.to != nil {
				n.edges[n.slot(e.found)] = e
			}
		}
	}
	n.used++
	n.edges[n.slot(found)] = edge{slices.Clone(found), to}
}

// grow returns where to go on from n with an event of which that was found.
func (t *tree) grow(n *node, e *event.Event, there bool, x *finder) *node {
	found := x.found
	t.narrow(n.left, n.field, there, found)
	keep := !t.isSpare(n) && len(found) <= maxFound && n.used < maxEdges
	to := n.like(t.left)
	if to != nil {
		if keep && t.afford(len(found)*8+2*int(unsafe.Sizeof(edge{}))) {
			n.link(there, found, to)
		}
		return to
	}
	if keep && t.afford(t.weight(2*len(found))) {
		to = new(node)
		n.link(there, found, to)
	} else if to = &t.spare[0]; to == n {
		to = &t.spare[1]
	}
	to.done = append(to.done[:0], n.done...)
	i := t.x.place[n.field.field]
	to.done[i/64] |= 1 << (i % 64)
	t.settle(to, e, x)
	return to
}

func (t *tree) isSpare(n *node) bool { return n == &t.spare[0] || n == &t.spare[1] }

// like returns a node that n leads to and that has those branches left, or nil.
func (n *node) like(left []word) *node {
	if n.absent != nil && slices.Equal(n.absent.left, left) {
		return n.absent
	}
	if n.nothing != nil && slices.Equal(n.nothing.left, left) {
		return n.nothing
	}
	for _, e := range n.edges {
		if e.to != nil && slices.Equal(e.to.left, left) {
			return e.to
		}
	}
	return nil
}

// narrow leaves of some branches those that need nothing of a field, or have what they
// need of it.
func (t *tree) narrow(from []word, f *indexed, there bool, found []*set) {
	for _, w := range from {
		t.have[w.at] = 0
	}
	if there && f.some != nil {
		f.some.into(t.have)
	}
	for _, s := range found {
		s.into(t.have)
	}
	left := t.left[:0] // which may be from: no word is written before it is read
	for _, w := range from {
		if w.bits &= t.have[w.at] | ^f.asks[w.at]; w.bits != 0 {
			left = append(left, w)
		}
	}
	t.left = left
}

// settle gives n the branches that are left, and says what comes next.
func (t *tree) settle(n *node, e *event.Event, x *finder) {
	n.left = append(n.left[:0], t.left...)
	n.field, n.entries = nil, n.entries[:0]
	if t.choose(n, e, x); n.field != nil {
		return
	}
	t.ends++
	for _, w := range n.left {
		for left := w.bits; left != 0; left &= left - 1 {
			y := t.x.entries[w.at*64+bits.TrailingZeros64(left)]
			if t.listed[y.id] != t.ends {
				t.listed[y.id] = t.ends
				n.entries = append(n.entries, y)
			}
		}
	}
}

// choose chooses the field that is looked at next: one that e does not have, or the one
// that leaves least of it for what it takes to look. For what is not remembered, the
// first has to do.
func (t *tree) choose(n *node, e *event.Event, x *finder) {
	t.ask(n)
	spare := t.isSpare(n)
	branches, best := count(n.left), -1.0
	for i := range t.asked {
		for open := t.asked[i]; open != 0; open &= open - 1 {
			f := &t.x.fields[i*64+bits.TrailingZeros64(open)]
			asks, search := uint64(0), uint64(0)
			for _, w := range n.left {
				asks |= w.bits & f.asks[w.at]
				search |= w.bits & f.search[w.at]
			}
			if asks == 0 {
				continue
			}
			v := e.Get(f.field)
			if spare || !v.Exists() {
				n.field, n.search = f, search != 0
				return
			}
			x.find(f, v, search != 0)
			t.narrow(n.left, f, true, x.found)
			if gain := float64(branches-count(t.left)) / lookups(v, search != 0); gain > best {
				n.field, n.search, best = f, search != 0, gain
			}
		}
	}
}

// ask finds the fields that the branches that are left at n ask for, or some more, and
// that were not looked at.
func (t *tree) ask(n *node) {
	clear(t.asked)
	width := t.x.width
	for _, w := range n.left {
		if bits.OnesCount64(w.bits) > 16 {
			t.add(t.x.words[w.at*width:])
			continue
		}
		for left := w.bits; left != 0; left &= left - 1 {
			t.add(t.x.asked[(w.at*64+bits.TrailingZeros64(left))*width:])
		}
	}
	for i := range t.asked {
		t.asked[i] &^= n.done[i]
	}
}

func (t *tree) add(fields []uint64) {
	for i := range t.asked {
		t.asked[i] |= fields[i]
	}
}

func count(branches []word) (n int) {
	for _, w := range branches {
		n += bits.OnesCount64(w.bits)
	}
	return n
}

// lookups is about what it takes to look at a value, in look-ups of a short text.
func lookups(v event.Value, search bool) float64 {
	n := 0
	for i := range v.Len() {
		n++
		if search {
			n += len(v.At(i).Str()) / 8
		}
	}
	return float64(n)
}
