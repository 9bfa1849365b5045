package syntax

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits that keep hostile queries cheap. Elastic's largest public rule has
// 46,906 characters, 15 levels and 2,697 string literals.
const (
	MaxText   = 1 << 20 // bytes of a query
	MaxDepth  = 500     // levels of parentheses, calls, not, signs and operators
	MaxStages = 500     // terms of a sequence or sample, each counted as often as it runs
	MaxFields = 1000    // different fields; an index of Elasticsearch has no more by default
	MaxBy     = 100     // keys of an event
)

// Parse reads a query. Its error is an Errors with every mistake it could tell
// apart: all those of the characters, else one for each bracketed term, clause
// and pipe, and each = that should be ==.
func Parse(src Source) (*Query, error) {
	p, err := newParser(src)
	if err != nil {
		return nil, err
	}
	q := p.query()
	if errs := p.mistakes(); len(errs) > 0 {
		return nil, errs
	}
	for _, x := range q.conditions() {
		p.height(x)
	}
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	return q, nil
}

// ParseExpr reads an expression, such as what stands behind where.
func ParseExpr(src Source) (Expr, error) {
	p, err := newParser(src)
	if err != nil {
		return nil, err
	}
	var x Expr
	p.try(func() {
		x = p.expr()
		p.end("and, or or the end of the query", operators...)
	})
	if errs := p.mistakes(); len(errs) > 0 {
		return nil, errs
	}
	p.height(x)
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	return x, nil
}

// conditions lists the expressions of q.
func (q *Query) conditions() []Expr {
	var xs []Expr
	if q.Event != nil {
		xs = append(xs, q.Event.Where)
	}
	for _, t := range q.Terms() {
		xs = append(xs, t.Filter.Where)
	}
	for _, pipe := range q.Pipes {
		xs = append(xs, pipe.Args...)
	}
	return xs
}

// height refuses a tree that is higher than MaxDepth. Text need not nest for
// that: 1+1+1+… leans to the left by one level for each sign, and whoever walks
// the tree does so by recursion.
func (p *parser) height(x Expr) {
	type level struct {
		x Expr
		n int
	}
	levels := []level{{x, 1}}
	for len(levels) > 0 {
		at := levels[len(levels)-1]
		levels = levels[:len(levels)-1]
		if at.n > MaxDepth {
			p.report(at.x.Span(), "", "nested deeper than the limit of %d levels", MaxDepth)
			return
		}
		children(at.x, func(y Expr) { levels = append(levels, level{y, at.n + 1}) })
	}
}

// mistakes joins those of the characters and those of the grammar. Where a bad
// character stands before or right behind the first token that does not fit,
// it is why that does not, and only the characters are reported.
func (p *parser) mistakes() Errors {
	slices.SortStableFunc(p.errs, func(a, b *Error) int { return a.Range.Start - b.Range.Start })
	if len(p.lexErrs) == 0 || len(p.errs) == 0 {
		return append(p.lexErrs, p.errs...)
	}
	first := p.errs[0].Range.Start
	next, _ := slices.BinarySearchFunc(p.tokens, first+1, func(t token, at int) int { return t.Start - at })
	if next == len(p.tokens) || p.lexErrs[0].Range.Start < p.tokens[next].Start {
		return p.lexErrs
	}
	return append(p.errs, p.lexErrs...)
}

type parser struct {
	src    Source
	tokens []token
	at     int
	depth  int
	fields map[string]bool
	kind   tokenKind // sequence, sample, join, or something else for an event query
	errs   Errors

	lexErrs Errors
}

func newParser(src Source) (*parser, error) {
	if len(src.Text) > MaxText {
		return nil, Errors{{Class: Parsing, Src: src, Msg: fmt.Sprintf("query of %d bytes is longer than the limit of %d", len(src.Text), MaxText)}}
	}
	if !utf8.ValidString(src.Text) {
		at := 0
		for i, r := range src.Text {
			if r == utf8.RuneError {
				at = i
				break
			}
		}
		return nil, Errors{{Class: Parsing, Src: src, Range: Range{at, at + 1}, Msg: "the query is not valid UTF-8"}}
	}
	l := lexer{src: src, text: src.Text}
	l.run()
	return &parser{src: src, tokens: l.tokens, lexErrs: l.errs, fields: map[string]bool{}}, nil
}

// bail is what fail panics with and try recovers from.
type bail struct{}

// try runs f and returns false if it failed.
func (p *parser) try(f func()) (ok bool) {
	depth := p.depth
	defer func() {
		if r := recover(); r != nil {
			if _, is := r.(bail); !is {
				panic(r)
			}
			p.depth = depth
			ok = false
		}
	}()
	f()
	return true
}

func (p *parser) report(r Range, hint, format string, args ...any) {
	p.errs = append(p.errs, &Error{Class: Parsing, Src: p.src, Range: r, Msg: Message(format, args...), Hint: hint})
}

func (p *parser) fail(r Range, hint, format string, args ...any) {
	p.report(r, hint, format, args...)
	panic(bail{})
}

// unexpected fails at the next token. The words are what could have been meant
// by it.
func (p *parser) unexpected(want string, words ...string) {
	t := p.peek()
	p.fail(t.Range, p.hint(t, words), "mismatched input %s expecting %s", clip(p.spelling(t)), want)
}

// hint says what may have been meant by a token that does not fit.
func (p *parser) hint(t token, words []string) string {
	before := token{}
	if p.at > 0 {
		before = p.tokens[p.at-1]
	}
	next := p.peekAt(1)
	switch {
	case t.kind == tokAssign && (before.kind == tokLt || before.kind == tokGt):
		return "no blank in " + before.text + "="
	case t.kind == tokAssign && (next.kind == tokLt || next.kind == tokGt):
		return "write " + next.text + "="
	case t.kind == tokAssign:
		return "compare with =="
	case t.kind == tokGt && before.kind == tokLt:
		return "write !="
	case t.kind == tokPipe && before.kind == tokPipe:
		return "use or"
	case t.kind == tokRParen && before.kind == tokComma:
		return "no comma behind the last value"
	case IsKeyword(t.text) && before.kind == tokDot:
		return "a keyword in a name stands in backticks: `" + t.text + "`"
	case t.kind == tokNot && (next.kind >= tokLike && next.kind <= tokLikeFold || next.kind >= tokRegex && next.kind <= tokRegexFold || next.kind >= tokEq && next.kind <= tokSeq):
		return "not stands before the whole test: not x " + next.text + " …"
	case t.kind == tokOpt:
		return "? stands before the whole name"
	case t.kind == tokComma && (before.kind == tokString || before.kind == tokInt || before.kind == tokDecimal):
		return "a list stands in parentheses"
	case p.kind == tokSequence && t.kind == tokUntil:
		return "one until stands behind all events"
	case p.kind != tokSequence && (t.kind == tokBy || t.kind == tokWith || t.kind == tokUntil):
		return "only a sequence has it: sequence by … with maxspan=… […] […]"
	case t.kind >= tokEq && t.kind <= tokGe && before.kind >= tokIdent && before.kind <= tokDecimal:
		return "a comparison has two sides: 1 < x and x < 5"
	case t.kind == tokIdent && t.text == "is":
		return "x == null asks whether x is missing"
	case t.kind == tokIdent && (t.text == "head" || t.text == "tail"):
		return "a pipe begins with |"
	case t.kind == tokIdent:
		if word := strings.ToLower(t.text); word != t.text && IsKeyword(word) {
			return "keywords are in lower case: " + word
		}
		if len(t.text) > 1 {
			return DidYouMean(t.text, words)
		}
	}
	return ""
}

// recovered runs f and, if it failed, goes on at the next token of a kind, or
// at the end. It stops what is around it where enough mistakes are known.
func (p *parser) recovered(f func(), kinds ...tokenKind) {
	if p.try(f) {
		return
	}
	if len(p.errs) >= maxMistakes {
		p.at = len(p.tokens) - 1
	}
	for !p.is(tokEOF) && !slices.Contains(kinds, p.peek().kind) {
		p.next()
	}
}

func (p *parser) spelling(t token) string {
	if t.kind == tokEOF {
		return "<EOF>"
	}
	return p.src.Text[t.Start:t.End]
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) peekAt(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokEOF {
		p.at++
	}
	return t
}

func (p *parser) is(k tokenKind) bool { return p.tokens[p.at].kind == k }

func (p *parser) accept(k tokenKind) bool {
	if !p.is(k) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(k tokenKind, want string) token {
	if !p.is(k) {
		p.unexpected(want)
	}
	return p.next()
}

func (p *parser) end(want string, words ...string) {
	if !p.is(tokEOF) {
		p.unexpected(want, words...)
	}
}

// operators are the words that may follow a value.
var operators = []string{"and", "or", "in", "like", "regex", "not"}

// isWord reports whether the next token is an identifier spelled w, such as
// the soft keywords runs and s.
func (p *parser) isWord(w string) bool { return p.is(tokIdent) && p.peek().text == w }

func (p *parser) query() *Query {
	q := &Query{Src: p.src}
	p.recovered(func() {
		p.kind = p.peek().kind
		switch p.kind {
		case tokSequence:
			q.Sequence = p.sequence()
		case tokSample:
			q.Sample = p.sample()
		case tokJoin:
			p.join()
		default:
			q.Event = p.filter("an event category, any, sequence or sample")
			if !p.is(tokPipe) {
				p.end("and, or, | or the end of the query", operators...)
			}
		}
	}, tokPipe)
	for p.is(tokPipe) {
		p.recovered(func() { q.Pipes = append(q.Pipes, p.pipe()) }, tokPipe)
	}
	return q
}

// join reads a join for its mistakes and then refuses it.
func (p *parser) join() {
	at := p.next()
	if p.is(tokBy) {
		p.by()
	}
	for n := 0; ; n++ {
		if p.is(tokMissing) {
			p.fail(p.peek().Range, "", "a join has no missing events")
		}
		if !p.is(tokLBrack) {
			if n < 2 {
				p.unexpected("[")
			}
			break
		}
		p.term(false)
	}
	if p.accept(tokUntil) {
		p.term(false)
	}
	if !p.is(tokPipe) {
		p.end("[, until, | or the end of the query")
	}
	if len(p.errs) == 0 {
		p.errs = append(p.errs, &Error{Class: Verification, Src: p.src, Range: at.Range,
			Msg: "JOIN command is not supported", Hint: "sequence or sample may do"})
	}
}

const brackets = "each event stands in brackets: [process where …]"

// begins is a hint for a condition without its beginning.
const begins = "a query begins with a category and where: process where …, any where …"

// filter reads a category, where and a condition; category is what is expected
// first.
func (p *parser) filter(category string) *Filter {
	t := p.peek()
	f := &Filter{Range: t.Range}
	switch t.kind {
	case tokAny:
		f.Any = true
	case tokIdent, tokString:
		f.Category = t.text
	default:
		hint := p.hint(t, nil)
		switch t.kind {
		case tokWhere, tokOpt, tokQuotedIdent, tokNot, tokLParen:
			hint = begins
		case tokLBrack:
			hint = "one bracket around each event"
		}
		p.fail(t.Range, hint, "mismatched input %s expecting %s", clip(p.spelling(t)), category)
	}
	p.next()
	if !p.is(tokWhere) {
		at := p.peek()
		if f.Category != "" && at.kind == tokIdent && p.peekAt(1).kind == tokWhere {
			p.fail(t.Range, "", "mismatched input %s expecting an event category", clip(p.spelling(t)))
		}
		hint := p.hint(at, []string{"where"})
		switch {
		case at.kind == tokBy || at.kind == tokWith || at.kind == tokLBrack || at.kind == tokMissing:
			hint = DidYouMean(t.text, []string{"sequence", "sample"})
		case at.kind != tokIdent && at.kind != tokEOF || hint == "" && at.kind == tokIdent:
			hint = begins
		}
		p.fail(at.Range, hint, "mismatched input %s expecting where", clip(p.spelling(at)))
	}
	p.next()
	f.Where = p.expr()
	f.End = f.Where.Span().End
	return f
}

func (p *parser) sequence() *Sequence {
	s := &Sequence{Range: p.next().Range}
	p.recovered(func() {
		if p.is(tokBy) {
			s.By = p.by()
		}
	}, tokWith, tokLBrack, tokMissing, tokUntil, tokPipe)
	p.recovered(func() {
		if p.is(tokWith) {
			s.MaxSpan = p.maxspan()
			if p.is(tokBy) {
				p.fail(p.peek().Range, "", "Please specify sequence [by] before [with] not after")
			}
		}
	}, tokLBrack, tokMissing, tokUntil, tokPipe)
	stages, positive := 0, 0
	s.Terms = p.terms("[, by or with maxspan", []string{"by", "with"}, func(t *Term) {
		if stages += max(t.Runs, 1); stages > MaxStages {
			p.fail(t.Range, "", "more than the limit of %d queries in a sequence, runs counted", MaxStages)
		}
		if !t.Missing {
			positive++
		}
	})
	s.End = p.tokens[p.at-1].End
	if p.accept(tokUntil) {
		p.recovered(func() {
			if p.is(tokMissing) {
				p.report(p.peek().Range, "", "until takes an event, not a missing one")
			} else if !p.is(tokLBrack) {
				p.unexpected("[")
			}
			s.Until = p.safeTerm()
			if s.Until.Runs > 0 {
				p.report(s.Until.Range, "", "until has no runs")
			}
			s.End = p.tokens[p.at-1].End
			if p.is(tokLBrack) || p.is(tokMissing) {
				p.fail(p.peek().Range, "until stands behind all other events", "mismatched input %s expecting | or the end of the query", clip(p.spelling(p.peek())))
			}
			if !p.is(tokPipe) {
				p.end("| or the end of the query")
			}
		}, tokPipe)
	}
	switch {
	case len(p.errs) > 0:
	case stages < 2:
		p.report(s.Range, "", "A sequence requires a minimum of 2 queries, found [%d]", stages)
	case positive == 0:
		p.report(s.Range, "add an event that is there", "A sequence cannot be of missing events alone")
	case positive < len(s.Terms) && s.MaxSpan == 0:
		for _, t := range s.Terms {
			if t.Missing {
				p.report(t.Range, "add with maxspan=… behind sequence", "[maxspan] is required for sequences with missing events queries; found none")
				break
			}
		}
	}
	return s
}

// terms reads the terms of a sequence or sample and calls f for each. What is
// between two of them and no part of either is one mistake. At first, want says
// what was expected before the first.
func (p *parser) terms(want string, words []string, f func(*Term)) (terms []*Term) {
	for !p.is(tokUntil) && !p.is(tokPipe) && !p.is(tokEOF) || len(terms) == 0 && len(p.errs) == 0 {
		if !p.is(tokLBrack) && !p.is(tokMissing) {
			p.recovered(func() {
				hint := ""
				switch p.peek().kind {
				case tokComma, tokAnd, tokOr:
					hint = "nothing stands between two events"
				case tokLParen:
					hint = brackets
				case tokMaxspan:
					hint = "write with maxspan=…"
					if p.kind == tokSample {
						hint = "a sample has no maxspan"
					}
				case tokIdent, tokString, tokAny:
					before := p.tokens[p.at-1].kind
					hint = p.hint(p.peek(), words)
					switch {
					case hint != "":
					case before == tokIdent || before == tokQuotedIdent:
						hint = "a comma stands between keys"
						if p.peekAt(1).kind == tokWhere {
							hint = brackets
						}
					case len(terms) == 0 && p.peekAt(1).kind == tokDot:
						hint = "keys stand behind by"
					case p.isWord("runs") && p.peekAt(1).kind == tokAssign:
						hint = "write with runs=…"
					case p.peekAt(1).kind == tokWhere:
						hint = brackets
					case p.peekAt(1).kind == tokLBrack || p.peekAt(1).kind == tokMissing:
						hint = "nothing stands between two events"
					}
				case tokWith:
					hint = "maxspan stands before the first event, and by before runs"
				case tokBy:
					hint = "by stands before with"
				}
				p.fail(p.peek().Range, hint, "mismatched input %s expecting %s", clip(p.spelling(p.peek())), want)
			}, tokLBrack, tokMissing, tokUntil, tokPipe)
			continue
		}
		t := p.safeTerm()
		terms = append(terms, t)
		f(t)
		want, words = "[, until, | or the end of the query", []string{"until", "by", "with"}
	}
	return terms
}

func (p *parser) sample() *Sample {
	s := &Sample{Range: p.next().Range}
	p.recovered(func() {
		if p.is(tokBy) {
			s.By = p.by()
		}
	}, tokWith, tokLBrack, tokMissing, tokUntil, tokPipe)
	p.recovered(func() {
		p.noWith()
	}, tokBy, tokLBrack, tokMissing, tokUntil, tokPipe)
	p.recovered(func() {
		if s.By == nil && p.is(tokBy) {
			s.By = p.by()
		}
	}, tokLBrack, tokMissing, tokUntil, tokPipe)
	s.Terms = p.terms("[ or by", []string{"by"}, func(t *Term) {
		if t.Missing {
			p.report(Range{t.Start, t.Start + len("![")}, "a sequence has", "a sample has no missing events")
		}
	})
	s.End = p.tokens[p.at-1].End
	if p.is(tokUntil) {
		p.report(p.next().Range, "a sequence has", "a sample has no until")
		if p.is(tokLBrack) || p.is(tokMissing) {
			p.safeTerm()
		}
		for !p.is(tokPipe) && !p.is(tokEOF) { // no mistake of its own
			p.next()
		}
	}
	switch {
	case len(p.errs) > 0:
	case len(s.Terms) > MaxStages:
		p.report(s.Terms[MaxStages].Range, "", "more than the limit of %d queries in a sample", MaxStages)
	case len(s.Terms) < 2:
		p.report(s.Range, "", "A sample requires a minimum of 2 queries, found [%d]", len(s.Terms))
	case len(s.By) == 0 && len(s.Terms[0].By) == 0:
		p.report(s.Range, "", "A sample must have at least one join key, found none")
	}
	return s
}

// noWith fails at what a sample does not have.
func (p *parser) noWith() {
	if !p.is(tokWith) {
		return
	}
	what := "maxspan"
	if n := p.peekAt(1); n.kind == tokIdent && n.text == "runs" {
		what = "runs"
	}
	p.fail(p.peek().Range, "a sequence has", "a sample has no %s", what)
}

// maxspan reads with maxspan=5m.
func (p *parser) maxspan() time.Duration {
	p.next()
	if !p.is(tokMaxspan) {
		if p.isWord("runs") {
			p.fail(p.peek().Range, "runs stands behind an event: […] with runs=3", "mismatched input 'runs' expecting maxspan")
		}
		p.unexpected("maxspan", "maxspan")
	}
	p.next()
	p.expect(tokAssign, "=")
	t := p.peek()
	if t.kind == tokMinus {
		p.fail(t.Range, "", "A positive maxspan value is required")
	}
	if t.kind == tokDecimal {
		p.fail(t.Range, "use a smaller unit", "Decimal time interval [%s] not supported yet", t.text)
	}
	p.expect(tokInt, "a number and a unit, such as 30s")
	n, err := strconv.ParseInt(t.text, 10, 64)
	if err != nil || n <= 0 {
		p.fail(t.Range, "", "A positive maxspan value is required, found [%s]", t.text)
	}
	u := p.peek()
	if u.kind != tokIdent || u.Start != t.End {
		hint := ""
		if u.kind == tokIdent {
			hint = "no blank before the unit"
		}
		p.fail(t.Range, hint, "No time unit specified, did you mean [s] as in [%ss]?", t.text)
	}
	unit, ok := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[u.text]
	if !ok {
		p.fail(u.Range, "units are ms, s, m, h and d", "Unrecognized time unit [%s] in [%s%s]", u.text, t.text, u.text)
	}
	p.next()
	d := time.Duration(n) * unit
	if d/unit != time.Duration(n) {
		p.fail(t.Range, "", "maxspan [%s%s] is too long", t.text, u.text)
	}
	return d
}

func (p *parser) by() []*Field {
	p.next()
	var keys []*Field
	for {
		at, known := p.peek(), len(p.errs)
		x := p.expr()
		f, ok := x.(*Field)
		if len(p.errs) > known {
			panic(bail{})
		}
		if !ok {
			p.fail(at.Range.to(x.Span()), "", "Unsupported join key [%s]", clip(p.src.Text[x.Span().Start:x.Span().End]))
		}
		if keys = append(keys, f); len(keys) > MaxBy {
			p.fail(f.Range, "", "more than the limit of %d keys", MaxBy)
		}
		if !p.accept(tokComma) {
			return keys
		}
	}
}

// safeTerm is term, but goes on behind the closing bracket after a mistake.
func (p *parser) safeTerm() *Term {
	if len(p.errs) >= maxMistakes {
		p.at = len(p.tokens) - 1
		panic(bail{})
	}
	start := p.at
	var t *Term
	if p.try(func() { t = p.term(true) }) {
		return t
	}
	t = &Term{Range: p.tokens[start].Range, Missing: p.tokens[start].kind == tokMissing}
	depth := 0
	for _, t := range p.tokens[start:p.at] {
		switch t.kind {
		case tokLBrack, tokMissing:
			depth++
		case tokRBrack:
			depth--
		}
	}
	for ; ; p.next() {
		switch p.peek().kind {
		case tokEOF:
			return t
		case tokRBrack:
			if depth--; depth == 0 {
				p.next()
				if p.try(func() { p.termTail(t, true) }) {
					return t
				}
				p.at--
			}
		case tokLBrack, tokMissing:
			if depth <= 0 {
				return t
			}
			depth++
		case tokUntil, tokPipe:
			if depth <= 0 {
				return t
			}
		}
	}
}

func (p *parser) term(runs bool) *Term {
	open := p.next()
	t := &Term{Range: open.Range, Missing: open.kind == tokMissing}
	t.Filter = p.filter("an event category or any")
	if !p.is(tokRBrack) {
		p.unexpected("], and or or", operators...)
	}
	p.next()
	p.termTail(t, runs)
	return t
}

func (p *parser) termTail(t *Term, runs bool) {
	if p.is(tokBy) {
		t.By = p.by()
	}
	if p.kind == tokSample {
		p.noWith()
	}
	if runs && p.is(tokWith) {
		p.next()
		if p.is(tokMaxspan) {
			p.fail(p.peek().Range, "maxspan stands before the first event: sequence with maxspan=…", "mismatched input 'maxspan' expecting runs=")
		}
		if !p.isWord("runs") {
			p.unexpected("runs=", "runs")
		}
		p.next()
		p.expect(tokAssign, "=")
		n := p.expect(tokInt, "a number from 1 to 100")
		v, err := strconv.Atoi(n.text)
		if err != nil || v < 1 || v > 100 {
			p.fail(n.Range, "", "A positive runs value from 1 to 100 is required, found [%s]", n.text)
		}
		t.Runs = v
	}
	t.End = p.tokens[p.at-1].End
}

func (p *parser) pipe() *Pipe {
	bar := p.next()
	name := p.peek()
	if name.kind != tokIdent {
		hint := p.hint(name, nil)
		if name.kind == tokPipe {
			p.at = len(p.tokens) - 1 // || is no pipe, and what follows none either
		}
		p.fail(name.Range, hint, "mismatched input %s expecting head or tail", clip(p.spelling(name)))
	}
	p.next()
	pipe := &Pipe{Range: bar.Range.to(name.Range), Name: name.text}
	switch name.text {
	case "head", "tail":
	case "count", "filter", "sort", "unique", "unique_count":
		p.fail(name.Range, "head and tail are", "Pipe [%s] is not supported", name.text)
	default:
		p.fail(name.Range, DidYouMean(name.text, []string{"head", "tail"}), "Unrecognized pipe [%s]", name.text)
	}
	if p.is(tokPipe) || p.is(tokEOF) {
		p.fail(name.Range, "", "Pipe [%s] expects exactly one argument, found [0]", name.text)
	}
	for {
		pipe.Args = append(pipe.Args, p.expr())
		if !p.accept(tokComma) {
			break
		}
	}
	if n := len(pipe.Args); n != 1 {
		p.fail(pipe.Args[1].Span(), "", "Pipe [%s] expects exactly one argument, found [%d]", name.text, n)
	}
	pipe.End = p.tokens[p.at-1].End
	if !p.is(tokPipe) {
		p.end("| or the end of the query")
	}
	return pipe
}

func (p *parser) deeper() {
	if p.depth++; p.depth > MaxDepth {
		p.fail(p.peek().Range, "", "nested deeper than the limit of %d levels", MaxDepth)
	}
}

func (p *parser) expr() Expr {
	p.deeper()
	x := p.chain(tokOr, "or", func() Expr { return p.chain(tokAnd, "and", p.not) })
	p.depth--
	return x
}

func (p *parser) chain(k tokenKind, op string, operand func() Expr) Expr {
	x := operand()
	if !p.is(k) {
		return x
	}
	l := &Logical{Range: x.Span(), Op: op, Xs: []Expr{x}}
	for p.accept(k) {
		l.Xs = append(l.Xs, operand())
	}
	l.End = p.tokens[p.at-1].End
	return l
}

func (p *parser) not() Expr {
	t := p.peek()
	switch t.kind {
	case tokNot:
		p.next()
		p.deeper()
		x := p.not()
		p.depth--
		return &Not{t.Range.to(Range{0, p.tokens[p.at-1].End}), x}
	case tokIdent:
		if p.peekAt(1).kind == tokOf {
			p.fail(t.Range, "use a sequence by process.entity_id and process.parent.entity_id", "Process relationships are not supported")
		}
	}
	return p.comparison()
}

func (p *parser) comparison() Expr {
	x := p.sum()
	op := p.peek()
	switch op.kind {
	case tokEq, tokNe, tokLt, tokLe, tokGt, tokGe:
		p.next()
		y := p.sum()
		return p.binary(x, op, y)
	case tokAssign:
		// Read as what is meant, so that the next one is found as well.
		switch k := p.peekAt(1).kind; {
		case k >= tokIdent && k <= tokDecimal, k == tokTrue, k == tokFalse, k == tokNull, k == tokLParen, k == tokMinus, k == tokOpt:
		default:
			p.unexpected("an operator")
		}
		p.report(op.Range, p.hint(op, nil), "mismatched input '=' expecting an operator")
		if len(p.errs) >= maxMistakes {
			panic(bail{})
		}
		p.next()
		op.text = "=="
		y := p.sum()
		return p.binary(x, op, y)
	}
	return x
}

func (p *parser) binary(x Expr, op token, y Expr) Expr {
	return &Binary{Range{x.Span().Start, p.tokens[p.at-1].End}, op.text, x, y, op.Range}
}

func (p *parser) sum() Expr {
	x := p.product()
	for p.is(tokPlus) || p.is(tokMinus) {
		op := p.next()
		x = p.binary(x, op, p.product())
	}
	return x
}

func (p *parser) product() Expr {
	x := p.signed()
	for p.is(tokStar) || p.is(tokSlash) || p.is(tokPercent) {
		op := p.next()
		x = p.binary(x, op, p.signed())
	}
	return x
}

func (p *parser) signed() Expr {
	if !p.is(tokMinus) && !p.is(tokPlus) {
		return p.predicate()
	}
	op := p.next()
	p.deeper()
	x := p.signed()
	p.depth--
	return &Neg{op.Range.to(Range{0, p.tokens[p.at-1].End}), op.text, x}
}

func (p *parser) predicate() Expr {
	start := p.peek().Start
	x := p.primary()
	op := p.peek()
	span := func() Range { return Range{start, p.tokens[p.at-1].End} }
	switch op.kind {
	case tokNot:
		if k := p.peekAt(1).kind; k != tokIn && k != tokInFold {
			return x
		}
		p.next()
		fold := p.next().kind == tokInFold
		list := p.exprs()
		return &In{span(), x, fold, true, list}
	case tokIn, tokInFold:
		p.next()
		list := p.exprs()
		return &In{span(), x, op.kind == tokInFold, false, list}
	case tokSeq, tokLike, tokLikeFold, tokRegex, tokRegexFold:
		p.next()
		s := &StringOp{X: x, Op: strings.TrimSuffix(op.text, "~"), Fold: op.kind == tokLikeFold || op.kind == tokRegexFold, OpAt: op.Range}
		if p.accept(tokLParen) {
			for {
				s.List = append(s.List, p.constant())
				if !p.accept(tokComma) {
					break
				}
			}
			p.expect(tokRParen, "',' or ')'")
		} else {
			s.List = []*Literal{p.constant()}
		}
		s.Range = span()
		return s
	}
	return x
}

// exprs reads a list in parentheses that is not empty.
func (p *parser) exprs() []Expr {
	if !p.is(tokLParen) {
		p.fail(p.peek().Range, "a list stands in parentheses", "mismatched input %s expecting '('", clip(p.spelling(p.peek())))
	}
	p.next()
	var list []Expr
	for {
		list = append(list, p.expr())
		if !p.accept(tokComma) {
			break
		}
	}
	p.expect(tokRParen, "',' or ')'")
	return list
}

func (p *parser) constant() *Literal {
	if l := p.literal(); l != nil {
		return l
	}
	p.unexpected("a constant")
	return nil
}

// literal reads a constant, or returns nil if the next token is none.
func (p *parser) literal() *Literal {
	t := p.peek()
	l := &Literal{Range: t.Range}
	switch t.kind {
	case tokNull:
	case tokTrue, tokFalse:
		l.Kind, l.Bool = BoolLit, t.kind == tokTrue
	case tokString:
		l.Kind, l.Str, l.Raw = StringLit, t.text, t.raw
	case tokInt:
		i, err := strconv.ParseInt(t.text, 10, 64)
		if err == nil {
			l.Kind, l.Int = IntLit, i
			break
		}
		fallthrough
	case tokDecimal:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			p.fail(t.Range, "", "Cannot parse number [%s]", t.text)
		}
		l.Kind, l.Float = DecimalLit, f
	default:
		return nil
	}
	p.next()
	return l
}

func (p *parser) primary() Expr {
	if l := p.literal(); l != nil {
		return l
	}
	t := p.peek()
	switch t.kind {
	case tokLParen:
		p.next()
		x := p.expr()
		p.expect(tokRParen, "')', and or or")
		return x
	case tokFoldIdent:
		if p.peekAt(1).kind != tokLParen {
			p.fail(p.peekAt(1).Range, "", "mismatched input %s expecting '('", clip(p.spelling(p.peekAt(1))))
		}
		return p.call()
	case tokIdent:
		if p.peekAt(1).kind == tokLParen {
			return p.call()
		}
		return p.field()
	case tokQuotedIdent, tokOpt:
		return p.field()
	}
	p.unexpected("a field, a constant, a function or '('")
	return nil
}

func (p *parser) call() Expr {
	name := p.next()
	c := &Call{Range: name.Range, Name: name.text, Fold: name.kind == tokFoldIdent, NameAt: name.Range}
	p.next()
	if !p.is(tokRParen) {
		for {
			c.Args = append(c.Args, p.expr())
			if !p.accept(tokComma) {
				break
			}
		}
	}
	p.expect(tokRParen, "',' or ')'")
	c.End = p.tokens[p.at-1].End
	return c
}

func (p *parser) field() *Field {
	f := &Field{Range: p.peek().Range, Optional: p.accept(tokOpt)}
	var path strings.Builder
	for {
		t := p.peek()
		if t.kind != tokIdent && t.kind != tokQuotedIdent {
			p.unexpected("a field name")
		}
		p.next()
		path.WriteString(t.text)
		if p.is(tokLBrack) && p.peekAt(1).kind == tokInt {
			p.fail(p.peekAt(1).Range, "a test on a list is true if any of its elements passes", "Array indexes are not supported")
		}
		if !p.accept(tokDot) {
			break
		}
		path.WriteByte('.')
	}
	f.Path = path.String()
	f.End = p.tokens[p.at-1].End
	if strings.Count(f.Path, ".") >= MaxDepth {
		p.fail(f.Range, "", "a name of more than the limit of %d levels", MaxDepth)
	}
	if !p.fields[f.Path] {
		if len(p.fields) == MaxFields {
			p.fail(f.Range, "", "more than the limit of %d different fields", MaxFields)
		}
		p.fields[f.Path] = true
	}
	return f
}
