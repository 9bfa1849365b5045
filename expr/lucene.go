package expr

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file reads Lucene's regular expressions (org.apache.lucene.util.automaton.RegExp
// with all flags on, as Elasticsearch's EQL uses it on fields):
//
//	a|b  a&b  ab  a? a* a+ a{n} a{n,} a{n,m}  ~a  .  @  #  [a-z] [^a]  "text"  <n-m>  (a)  \a
//
// A value has to match as a whole; ^ and $ are ordinary characters. What has no
// complement, intersection or empty language becomes a Go regular expression;
// the rest becomes a deterministic automaton, built when the query is compiled.
// Both run in time linear in the value.

// A reNode is a piece of a regular expression.
type reNode struct {
	op       reOp
	subs     []*reNode
	set      []runeRange // reSet
	min, max int         // reRepeat (max -1 is no limit), reInterval
	width    int         // reInterval: digits to pad to, 0 for none
}

type reOp uint8

const (
	reEmptyText  reOp = iota // matches ""
	reNothing                // # matches no text
	reSet                    // one character of a set
	reConcat                 // all, one after another
	reUnion                  // one of them
	reIntersect              // all of them, on the same text
	reComplement             // not the one
	reRepeat
	reInterval // <n-m>
)

type runeRange struct{ lo, hi rune }

var anyRune = []runeRange{{0, utf8.MaxRune}}

// Bounds on a pattern. Lucene has none on {n,m} but refuses what would need too
// many states; a value is matched in time linear in its length times the size.
const (
	maxRepeat    = 1000  // of n and m in {n,m}
	MaxRegexSize = 10000 // characters and sets of a pattern, with repetitions written out
	maxNesting   = 200   // groups in groups, repetitions of repetitions
)

// ErrRegexSize is said of a regular expression that is larger than MaxRegexSize.
var ErrRegexSize = fmt.Errorf("regular expression is larger than %d characters with its repetitions written out", MaxRegexSize)

func compileLucene(texts []string, fold bool) (matcher, error) {
	var all anyMatcher
	for _, t := range texts {
		m, err := compileOne(t, fold)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func compileOne(text string, fold bool) (matcher, error) {
	if plain, ok := withoutOperators(text); ok {
		if fold {
			plain = lowerASCII(plain)
		}
		return verbatim{plain, fold}, nil
	}
	p := luceneParser{s: text, fold: fold}
	n, err := p.parse()
	if err != nil {
		return nil, err
	}
	if n.size() > MaxRegexSize {
		return nil, ErrRegexSize
	}
	if n.extended() {
		return buildDFA(n)
	}
	var b strings.Builder
	b.WriteString(`(?s)\A(?:`)
	n.writeGo(&b)
	b.WriteString(`)\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, errors.New("regular expression is too large")
	}
	return goRegexp{re, n.size()}, nil
}

// withoutOperators is the text that a pattern without operators stands for.
func withoutOperators(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			if i++; i == len(s) || isClassLetter(s[i]) {
				return "", false
			}
			b.WriteByte(s[i])
			continue
		}
		if strings.IndexByte(`.?+*|{}[]()"#@&<>~`, c) >= 0 {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

func isClassLetter(c byte) bool { return strings.IndexByte("dDwWsS", c) >= 0 }

type luceneParser struct {
	s     string
	at    int
	depth int
	fold  bool
}

func (p *luceneParser) parse() (n *reNode, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(reError)
			if !ok {
				panic(r)
			}
			err = errors.New(string(e))
		}
	}()
	if p.s == "" {
		return &reNode{op: reEmptyText}, nil
	}
	n = p.union()
	if p.at < len(p.s) {
		p.fail("end of the expression expected at character %d", p.at+1)
	}
	return n, nil
}

type reError string

func (p *luceneParser) fail(format string, args ...any) { panic(reError(fmt.Sprintf(format, args...))) }

func (p *luceneParser) peek(set string) bool {
	return p.at < len(p.s) && strings.IndexByte(set, p.s[p.at]) >= 0
}

func (p *luceneParser) accept(c byte) bool {
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *luceneParser) next() rune {
	if p.at >= len(p.s) {
		p.fail("the expression ends early")
	}
	r, n := utf8.DecodeRuneInString(p.s[p.at:])
	p.at += n
	return r
}

func (p *luceneParser) union() *reNode {
	if p.depth++; p.depth > maxNesting {
		p.fail("nested deeper than %d levels", maxNesting)
	}
	defer func() { p.depth-- }()
	n := p.intersection()
	if !p.peek("|") {
		return n
	}
	u := &reNode{op: reUnion, subs: []*reNode{n}}
	for p.accept('|') {
		u.subs = append(u.subs, p.intersection())
	}
	return u
}

func (p *luceneParser) intersection() *reNode {
	n := p.concat()
	if !p.peek("&") {
		return n
	}
	u := &reNode{op: reIntersect, subs: []*reNode{n}}
	for p.accept('&') {
		u.subs = append(u.subs, p.concat())
	}
	return u
}

func (p *luceneParser) concat() *reNode {
	n := p.repeat()
	if p.at >= len(p.s) || p.peek(")|&") {
		return n
	}
	c := &reNode{op: reConcat, subs: []*reNode{n}}
	for p.at < len(p.s) && !p.peek(")|&") {
		c.subs = append(c.subs, p.repeat())
	}
	return c
}

func (p *luceneParser) repeat() *reNode {
	n := p.complement()
	for stacked := 0; p.peek("?*+{"); stacked++ {
		if stacked == maxNesting {
			p.fail("nested deeper than %d levels", maxNesting)
		}
		r := &reNode{op: reRepeat, subs: []*reNode{n}, max: -1}
		switch p.next() {
		case '?':
			r.max = 1
		case '+':
			r.min = 1
		case '{':
			r.min = p.int()
			r.max = r.min
			if p.accept(',') {
				r.max = -1
				if p.peek("0123456789") {
					r.max = p.int()
				}
			}
			if !p.accept('}') {
				p.fail("expected '}' at character %d", p.at+1)
			}
			if r.max >= 0 && r.min > r.max {
				p.fail("a repetition from %d to %d", r.min, r.max)
			}
			if r.min > maxRepeat || r.max > maxRepeat {
				p.fail("more than %d repetitions", maxRepeat)
			}
		}
		n = r
	}
	return n
}

func (p *luceneParser) int() int {
	start := p.at
	for p.peek("0123456789") {
		p.at++
	}
	n, err := strconv.Atoi(p.s[start:p.at])
	if err != nil {
		p.fail("expected a number at character %d", start+1)
	}
	return n
}

func (p *luceneParser) complement() *reNode {
	n := 0
	for p.accept('~') {
		n++
	}
	x := p.class()
	if n%2 == 1 {
		x = &reNode{op: reComplement, subs: []*reNode{x}}
	}
	return x
}

func (p *luceneParser) class() *reNode {
	if !p.accept('[') {
		return p.simple()
	}
	negated := p.accept('^')
	var set []runeRange
	for {
		set = append(set, p.classItem()...)
		if p.at >= len(p.s) {
			p.fail("expected ']' at the end")
		}
		if p.accept(']') {
			break
		}
	}
	if negated {
		set = negate(set)
	}
	return &reNode{op: reSet, set: set}
}

func (p *luceneParser) classItem() []runeRange {
	if p.peek(`\`) && p.at+1 < len(p.s) && isClassLetter(p.s[p.at+1]) {
		p.at += 2
		return shorthand(p.s[p.at-1])
	}
	lo := p.char()
	if p.accept('-') {
		if p.peek("]") {
			return append(p.one(lo), runeRange{'-', '-'})
		}
		hi := p.char()
		if lo > hi {
			p.fail("the range %c-%c is backwards", lo, hi)
		}
		return []runeRange{{lo, hi}} // not folded: Lucene folds single characters only
	}
	return p.one(lo)
}

// char reads one character, perhaps escaped.
func (p *luceneParser) char() rune {
	p.accept('\\')
	return p.next()
}

func (p *luceneParser) one(r rune) []runeRange {
	set := []runeRange{{r, r}}
	if p.fold {
		switch {
		case r >= 'a' && r <= 'z':
			set = append(set, runeRange{r - 32, r - 32})
		case r >= 'A' && r <= 'Z':
			set = append(set, runeRange{r + 32, r + 32})
		}
	}
	return set
}

// shorthand is the set of \d, \w or \s, in ASCII, or of its negation.
func shorthand(c byte) []runeRange {
	var set []runeRange
	switch c | 0x20 {
	case 'd':
		set = []runeRange{{'0', '9'}}
	case 'w':
		set = []runeRange{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	default:
		set = []runeRange{{'\t', '\r'}, {' ', ' '}}
	}
	if c < 'a' {
		return negate(set)
	}
	return set
}

func (p *luceneParser) simple() *reNode {
	r := p.next()
	switch r {
	case '.':
		return &reNode{op: reSet, set: anyRune}
	case '#':
		return &reNode{op: reNothing}
	case '@':
		return &reNode{op: reRepeat, subs: []*reNode{{op: reSet, set: anyRune}}, max: -1}
	case '"':
		end := strings.IndexByte(p.s[p.at:], '"')
		if end < 0 {
			p.fail("expected '\"' at the end")
		}
		n := &reNode{op: reConcat}
		for _, r := range p.s[p.at : p.at+end] {
			n.subs = append(n.subs, &reNode{op: reSet, set: p.one(r)})
		}
		p.at += end + 1
		if len(n.subs) == 0 {
			return &reNode{op: reEmptyText}
		}
		return n
	case '(':
		if p.accept(')') {
			return &reNode{op: reEmptyText}
		}
		n := p.union()
		if !p.accept(')') {
			p.fail("expected ')' at character %d", p.at+1)
		}
		return n
	case '<':
		return p.interval()
	case '\\':
		if p.at < len(p.s) && isClassLetter(p.s[p.at]) {
			p.at++
			return &reNode{op: reSet, set: shorthand(p.s[p.at-1])}
		}
		return &reNode{op: reSet, set: p.one(p.next())}
	}
	return &reNode{op: reSet, set: p.one(r)}
}

// interval reads <n-m>: the decimal numbers from n to m, padded with zeros to
// the same width if both are written with that many digits.
func (p *luceneParser) interval() *reNode {
	end := strings.IndexByte(p.s[p.at:], '>')
	if end < 0 {
		p.fail("expected '>' at the end")
	}
	lo, hi, ok := strings.Cut(p.s[p.at:p.at+end], "-")
	p.at += end + 1
	a, err := strconv.Atoi(lo)
	b, err2 := strconv.Atoi(hi)
	if !ok || err != nil || err2 != nil || a < 0 || b < 0 || len(lo) > 9 || len(hi) > 9 {
		p.fail("expected <number-number> before character %d", p.at)
	}
	n := &reNode{op: reInterval, min: min(a, b), max: max(a, b)}
	if len(lo) == len(hi) {
		n.width = len(lo)
	}
	return n
}

// size is how many characters and sets n has with its repetitions written out,
// or some number above MaxRegexSize.
func (n *reNode) size() int {
	total := 1
	if n.op == reInterval {
		return n.expand().size()
	}
	for _, s := range n.subs {
		if total += s.size(); total > MaxRegexSize {
			return total
		}
	}
	if n.op == reRepeat {
		total *= max(n.min, n.max, 1)
	}
	return total
}

// extended reports whether n needs more than a Go regular expression has.
func (n *reNode) extended() bool {
	switch n.op {
	case reNothing, reIntersect, reComplement:
		return true
	}
	for _, s := range n.subs {
		if s.extended() {
			return true
		}
	}
	return false
}

func (n *reNode) writeGo(b *strings.Builder) {
	switch n.op {
	case reSet:
		writeSet(b, n.set)
	case reConcat:
		for _, s := range n.subs {
			s.writeGo(b)
		}
	case reUnion:
		b.WriteString("(?:")
		for i, s := range n.subs {
			if i > 0 {
				b.WriteByte('|')
			}
			s.writeGo(b)
		}
		b.WriteByte(')')
	case reRepeat:
		b.WriteString("(?:")
		n.subs[0].writeGo(b)
		b.WriteByte(')')
		switch {
		case n.min == 0 && n.max < 0:
			b.WriteByte('*')
		case n.max < 0:
			fmt.Fprintf(b, "{%d,}", n.min)
		default:
			fmt.Fprintf(b, "{%d,%d}", n.min, n.max)
		}
	case reInterval:
		n.expand().writeGo(b)
	}
}

func writeSet(b *strings.Builder, set []runeRange) {
	if len(set) == 1 && set[0].lo == set[0].hi {
		b.WriteString(regexp.QuoteMeta(string(set[0].lo)))
		return
	}
	if len(set) == 0 {
		b.WriteString(`[^\x{0}-\x{10ffff}]`)
		return
	}
	b.WriteByte('[')
	for _, r := range set {
		fmt.Fprintf(b, `\x{%x}-\x{%x}`, r.lo, r.hi)
	}
	b.WriteByte(']')
}

// expand writes an interval as a union of digit patterns. Without a width any
// number of leading zeros is allowed (BasicAutomata.makeDecimalInterval).
func (n *reNode) expand() *reNode {
	u := &reNode{op: reUnion}
	lo, hi := strconv.Itoa(n.min), strconv.Itoa(n.max)
	if n.width > 0 {
		lo = strings.Repeat("0", n.width-len(lo)) + lo
		hi = strings.Repeat("0", n.width-len(hi)) + hi
		digitRange(u, "", lo, hi)
		return u
	}
	for w := len(lo); w <= len(hi); w++ {
		from, to := "1"+strings.Repeat("0", w-1), strings.Repeat("9", w)
		if w == 1 {
			from = "0"
		}
		if w == len(lo) {
			from = lo
		}
		if w == len(hi) {
			to = hi
		}
		digitRange(u, "", from, to)
	}
	zeros := &reNode{op: reRepeat, subs: []*reNode{{op: reSet, set: []runeRange{{'0', '0'}}}}, max: -1}
	return &reNode{op: reConcat, subs: []*reNode{zeros, u}}
}

// digitRange adds to u patterns for the numbers from lo to hi, of one width,
// behind prefix.
func digitRange(u *reNode, prefix, lo, hi string) {
	for lo != "" && hi != "" && lo[0] == hi[0] {
		prefix += lo[:1]
		lo, hi = lo[1:], hi[1:]
	}
	seq := func(first []runeRange, rest int) {
		c := &reNode{op: reConcat}
		for _, r := range prefix {
			c.subs = append(c.subs, &reNode{op: reSet, set: []runeRange{{r, r}}})
		}
		if first != nil {
			c.subs = append(c.subs, &reNode{op: reSet, set: first})
		}
		for range rest {
			c.subs = append(c.subs, &reNode{op: reSet, set: []runeRange{{'0', '9'}}})
		}
		if len(c.subs) == 0 {
			c = &reNode{op: reEmptyText}
		}
		u.subs = append(u.subs, c)
	}
	if lo == "" {
		seq(nil, 0)
		return
	}
	from, to := rune(lo[0]), rune(hi[0])
	rest := len(lo) - 1
	if strings.Trim(lo[1:], "0") != "" {
		digitRange(u, prefix+lo[:1], lo[1:], strings.Repeat("9", rest))
		from++
	}
	last := strings.Trim(hi[1:], "9") != ""
	if last {
		to--
	}
	if from <= to {
		seq([]runeRange{{from, to}}, rest)
	}
	if last {
		digitRange(u, prefix+hi[:1], strings.Repeat("0", rest), hi[1:])
	}
}

// negate is every character that is not in set.
func negate(set []runeRange) []runeRange {
	set = normalize(set)
	var out []runeRange
	next := rune(0)
	for _, r := range set {
		if r.lo > next {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= utf8.MaxRune {
		out = append(out, runeRange{next, utf8.MaxRune})
	}
	return out
}
