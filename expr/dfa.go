package expr

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A dfa is a complete deterministic automaton over classes of characters. It is
// built from derivatives (Brzozowski 1964), which know complement and
// intersection as well as they know union.
type dfa struct {
	ascii  [128]uint16 // class of each ASCII character
	starts []rune      // first character of each class piece, ascending
	class  []uint16    // class of each piece
	next   [][]uint16  // state, class -> state
	accept []bool
}

// Bounds on an automaton, as Lucene bounds the work of determinising.
const (
	MaxRegexStates = 2000
	maxPieces      = 2000    // of the characters
	maxWork        = 2000000 // languages looked at while it is built: a tenth of a second
)

var errTooComplex = errors.New("regular expression needs too many states")

func (d *dfa) size() int { return len(d.next) }

func (d *dfa) match(s string) bool {
	state := uint16(0)
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			state = d.next[state][d.ascii[c]]
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		state = d.next[state][d.classOf(r)]
	}
	return d.accept[state]
}

func (d *dfa) classOf(r rune) uint16 {
	i := sort.Search(len(d.starts), func(i int) bool { return d.starts[i] > r })
	return d.class[i-1]
}

// lang is a language in normal form. Equal languages that are built the same
// way have the same id, which is what makes the automaton finite.
type lang struct {
	id       int
	op       langOp
	a, b     *lang   // cat: a then b; star and not: a
	set      []rune  // set: the classes, as their first characters
	xs       []*lang // or, and: sorted by id, no two the same
	nullable bool
}

type langOp uint8

const (
	langNone langOp = iota
	langEps
	langSet
	langCat
	langOr
	langAnd
	langNot
	langStar
)

type langBuilder struct {
	work  int
	byKey map[string]*lang
	none  *lang
	eps   *lang
	all   *lang
	reps  []rune // one character of each piece
}

// spend counts work, and gives up when it is too much.
func (b *langBuilder) spend(n int) {
	if b.work += n; b.work > maxWork {
		panic(reError(errTooComplex.Error()))
	}
}

func (b *langBuilder) make(l lang, key string) *lang {
	b.spend(1 + len(key)/8)
	if old, ok := b.byKey[key]; ok {
		return old
	}
	l.id = len(b.byKey)
	b.byKey[key] = &l
	return &l
}

func (b *langBuilder) setOf(rs []runeRange) *lang {
	b.spend(len(b.reps))
	var set []rune
	for _, rep := range b.reps {
		for _, r := range rs {
			if rep >= r.lo && rep <= r.hi {
				set = append(set, rep)
				break
			}
		}
	}
	if len(set) == 0 {
		return b.none
	}
	return b.make(lang{op: langSet, set: set}, fmt.Sprint("set", set))
}

func (b *langBuilder) cat(x, y *lang) *lang {
	switch {
	case x == b.none || y == b.none:
		return b.none
	case x == b.eps:
		return y
	case y == b.eps:
		return x
	case x.op == langCat:
		return b.cat(x.a, b.cat(x.b, y))
	}
	return b.make(lang{op: langCat, a: x, b: y, nullable: x.nullable && y.nullable}, "cat"+strconv.Itoa(x.id)+","+strconv.Itoa(y.id))
}

func (b *langBuilder) star(x *lang) *lang {
	if x == b.none || x == b.eps {
		return b.eps
	}
	if x.op == langStar {
		return x
	}
	return b.make(lang{op: langStar, a: x, nullable: true}, "star"+strconv.Itoa(x.id))
}

func (b *langBuilder) not(x *lang) *lang {
	if x.op == langNot {
		return x.a
	}
	return b.make(lang{op: langNot, a: x, nullable: !x.nullable}, "not"+strconv.Itoa(x.id))
}

// join builds a union or intersection; zero is its absorbing element and one
// its neutral.
func (b *langBuilder) join(op langOp, zero, one *lang, in ...*lang) *lang {
	var xs []*lang
	for _, x := range in {
		switch {
		case x == zero:
			return zero
		case x == one:
		case x.op == op:
			xs = append(xs, x.xs...)
		default:
			xs = append(xs, x)
		}
	}
	b.spend(len(xs))
	slices.SortFunc(xs, func(x, y *lang) int { return x.id - y.id })
	xs = slices.Compact(xs)
	switch len(xs) {
	case 0:
		return one
	case 1:
		return xs[0]
	}
	nullable := op == langAnd
	var key strings.Builder
	key.WriteString(strconv.Itoa(int(op)))
	for _, x := range xs {
		key.WriteString("," + strconv.Itoa(x.id))
		if op == langAnd {
			nullable = nullable && x.nullable
		} else {
			nullable = nullable || x.nullable
		}
	}
	return b.make(lang{op: op, xs: xs, nullable: nullable}, key.String())
}

func (b *langBuilder) or(xs ...*lang) *lang  { return b.join(langOr, b.all, b.none, xs...) }
func (b *langBuilder) and(xs ...*lang) *lang { return b.join(langAnd, b.none, b.all, xs...) }

func (b *langBuilder) from(n *reNode) *lang {
	subs := func() []*lang {
		out := make([]*lang, len(n.subs))
		for i, s := range n.subs {
			out[i] = b.from(s)
		}
		return out
	}
	switch n.op {
	case reEmptyText:
		return b.eps
	case reSet:
		return b.setOf(n.set)
	case reConcat:
		x := b.eps
		for _, s := range slices.Backward(subs()) {
			x = b.cat(s, x)
		}
		return x
	case reUnion:
		return b.or(subs()...)
	case reIntersect:
		return b.and(subs()...)
	case reComplement:
		return b.not(b.from(n.subs[0]))
	case reInterval:
		return b.from(n.expand())
	case reRepeat:
		x := b.from(n.subs[0])
		rest := b.star(x)
		if n.max >= 0 {
			rest = b.eps
			for range n.max - n.min {
				rest = b.or(b.eps, b.cat(x, rest))
			}
		}
		for range n.min {
			rest = b.cat(x, rest)
		}
		return rest
	}
	return b.none
}

// derive is what may follow once r has been read.
func (b *langBuilder) derive(x *lang, r rune) *lang {
	b.spend(1)
	switch x.op {
	case langSet:
		if slices.Contains(x.set, r) {
			return b.eps
		}
	case langCat:
		d := b.cat(b.derive(x.a, r), x.b)
		if x.a.nullable {
			return b.or(d, b.derive(x.b, r))
		}
		return d
	case langStar:
		return b.cat(b.derive(x.a, r), x)
	case langNot:
		return b.not(b.derive(x.a, r))
	case langOr, langAnd:
		ds := make([]*lang, len(x.xs))
		for i, y := range x.xs {
			ds[i] = b.derive(y, r)
		}
		if x.op == langOr {
			return b.or(ds...)
		}
		return b.and(ds...)
	}
	return b.none
}

func buildDFA(n *reNode) (m matcher, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(reError); !ok {
				panic(r)
			}
			m, err = nil, errTooComplex
		}
	}()
	// Cut the characters into pieces that no set of n tells apart.
	starts := []rune{0}
	var collect func(*reNode)
	collect = func(n *reNode) {
		if n.op == reInterval {
			n = n.expand()
		}
		for _, r := range n.set {
			starts = append(starts, r.lo)
			if r.hi < utf8.MaxRune {
				starts = append(starts, r.hi+1)
			}
		}
		for _, s := range n.subs {
			collect(s)
		}
	}
	collect(n)
	slices.Sort(starts)
	starts = slices.Compact(starts)
	if len(starts) > maxPieces {
		return nil, errTooComplex
	}

	b := &langBuilder{byKey: map[string]*lang{}, reps: starts}
	b.none = b.make(lang{op: langNone}, "none")
	b.eps = b.make(lang{op: langEps, nullable: true}, "eps")
	b.all = b.not(b.none)

	d := &dfa{starts: starts, class: make([]uint16, len(starts))}
	for i := range starts {
		d.class[i] = uint16(i)
	}
	for c := range d.ascii {
		d.ascii[c] = d.classOf(rune(c))
	}
	state := map[*lang]uint16{}
	var queue []*lang
	number := func(x *lang) uint16 {
		if s, ok := state[x]; ok {
			return s
		}
		if len(queue) == MaxRegexStates {
			panic(reError(errTooComplex.Error()))
		}
		s := uint16(len(queue))
		state[x] = s
		queue = append(queue, x)
		d.accept = append(d.accept, x.nullable)
		return s
	}
	number(b.from(n))
	for i := 0; i < len(queue); i++ {
		row := make([]uint16, len(starts))
		for c, rep := range starts {
			row[c] = number(b.derive(queue[i], rep))
		}
		d.next = append(d.next, row)
	}
	return d, nil
}

// normalize sorts a set and joins what touches.
func normalize(set []runeRange) []runeRange {
	set = slices.Clone(set)
	slices.SortFunc(set, func(a, b runeRange) int { return int(a.lo) - int(b.lo) })
	var out []runeRange
	for _, r := range set {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
			continue
		}
		out = append(out, r)
	}
	return out
}
