package store

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// The grammar is Kibana's (elastic/kibana: packages/kbn-es-query/grammar/grammar.peggy),
// but that parentheses may touch a word, "not not" is taken, and "not" is none within a
// word. These are refused with a sentence: wildcards in names of fields, {} of nested
// fields, null, and dates relative to now; and a "=" in text without a field, since whoever
// writes one means EQL. Fields are keywords, those named ip addresses, and numbers and
// dates what they are in ranges.

// anyText stands for a * that is a wildcard. It is in no text that is UTF-8.
const anyText = "\xff"

// A kqlParser makes a predicate of KQL in one pass.
type kqlParser struct {
	text   string
	at     int
	depth  int
	schema *event.Schema
	fields map[string]bool
	free   int    // words without a field
	words  string // the text, if it is words and nothing else

	mentions []mention
}

// compileKQL reads a condition in KQL.
func compileKQL(text string, s *event.Schema) (a *asking, err error) {
	p := &kqlParser{text: text, schema: s, fields: map[string]bool{}}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *syntax.Error:
			a, err = nil, syntax.Errors{e}
		default:
			panic(e)
		}
	}()
	if len(text) > syntax.MaxText {
		p.fail(0, 0, "", "query of %d bytes is longer than the limit of %d", len(text), syntax.MaxText)
	}
	if !utf8.ValidString(text) {
		p.fail(0, 0, "", "query is not UTF-8")
	}
	p.space()
	if p.at == len(text) {
		return &asking{where: expr.Bool(true), language: "KQL"}, nil
	}
	where := p.or(p.clause)
	if p.space(); p.at < len(text) {
		p.unexpected(`"and", "or" or the end`)
	}
	return &asking{where, p.words, "KQL", p.mentions}, nil
}

func (p *kqlParser) error(class syntax.Class, start, end int, hint, format string, args ...any) {
	panic(&syntax.Error{Class: class, Src: syntax.Source{Text: p.text}, Range: syntax.Range{Start: start, End: end}, Msg: syntax.Message(format, args...), Hint: hint})
}

func (p *kqlParser) fail(start, end int, hint, format string, args ...any) {
	p.error(syntax.Parsing, start, end, hint, format, args...)
}

// refuse is for what is KQL, but is not known here.
func (p *kqlParser) refuse(start, end int, hint, format string, args ...any) {
	p.error(syntax.Verification, start, end, hint, format, args...)
}

func (p *kqlParser) unexpected(want string) {
	if p.at == len(p.text) {
		p.fail(p.at, p.at, "", "expected %s", want)
	}
	_, n := utf8.DecodeRuneInString(p.text[p.at:])
	hint := ""
	if special(p.text[p.at]) {
		hint = `\` + p.text[p.at:p.at+1] + " is the character itself"
	}
	p.fail(p.at, p.at+n, hint, "expected %s, not %q", want, p.text[p.at:p.at+n])
}

// spaces is how many bytes of white space s begins with.
func spaces(s string) int { return len(s) - len(strings.TrimLeft(s, " \t\r\n\u00a0")) }

func (p *kqlParser) space() { p.at += spaces(p.text[p.at:]) }

func (p *kqlParser) is(c byte) bool { return p.at < len(p.text) && p.text[p.at] == c }

// special reports whether c has a meaning that a backslash takes from it.
func special(c byte) bool { return strings.IndexByte(`\():<>"*{}`, c) >= 0 }

// keyword is how long a word is that s begins with, in any case: 0 if it begins with
// another one, or ends with it.
func keyword(s, word string) int {
	n := len(word)
	if len(s) > n && strings.EqualFold(s[:n], word) && (s[n] == '(' || spaces(s[n:]) > 0) {
		return n
	}
	return 0
}

// word takes a keyword, and the white space before it.
func (p *kqlParser) word(word string) bool {
	at := p.at + spaces(p.text[p.at:])
	n := keyword(p.text[at:], word)
	if n > 0 {
		p.at = at + n
	}
	return n > 0
}

func (p *kqlParser) or(leaf func() expr.Pred) expr.Pred {
	xs := []expr.Pred{p.and(leaf)}
	for p.word("or") {
		xs = append(xs, p.and(leaf))
	}
	return expr.NewAny(xs...)
}

func (p *kqlParser) and(leaf func() expr.Pred) expr.Pred {
	xs := []expr.Pred{p.not(leaf)}
	for p.word("and") {
		xs = append(xs, p.not(leaf))
	}
	return expr.NewAll(xs...)
}

func (p *kqlParser) not(leaf func() expr.Pred) expr.Pred {
	p.deeper()
	defer func() { p.depth-- }()
	if p.word("not") {
		return expr.NewNot(p.not(leaf))
	}
	return p.group(leaf)
}

func (p *kqlParser) deeper() {
	if p.depth++; p.depth > syntax.MaxDepth {
		p.fail(p.at, p.at, "", "nested deeper than the limit of %d levels", syntax.MaxDepth)
	}
}

// group is a leaf, or more of them in parentheses.
func (p *kqlParser) group(leaf func() expr.Pred) expr.Pred {
	if p.space(); !p.is('(') {
		return leaf()
	}
	p.at++
	x := p.or(leaf)
	if p.space(); !p.is(')') {
		p.unexpected(`"and", "or" or ")"`)
	}
	p.at++
	return x
}

// clause is field: value, field >= value, or a value.
func (p *kqlParser) clause() expr.Pred {
	lit := p.literal("a field or a value")
	p.space()
	switch {
	case p.is(':'):
		p.at++
		if p.space(); p.is('{') {
			p.refuse(p.at, p.at+1, "name the field within it: a.b: x", "nested fields are not known here")
		}
		if lit.all() {
			start := p.at
			if v := p.literal("*"); !v.all() {
				p.refuse(start, p.at, "a value without a field is looked for in many", "one field has to be named")
			}
			return expr.Bool(true)
		}
		ref := p.field(lit)
		return p.group(func() expr.Pred { return p.value(ref, p.literal("a value")) })
	case p.is('<') || p.is('>'):
		op := p.text[p.at : p.at+1]
		if p.at++; p.is('=') {
			op += "="
			p.at++
		}
		ref := p.field(lit)
		p.space()
		return p.compare(ref, op, p.literal("a value"))
	}
	return p.anywhere(lit)
}

// A kqlLiteral is text as it was meant, in which anyText is a wildcard.
type kqlLiteral struct {
	syntax.Range
	text   string
	quoted bool
}

// all reports whether it is a * and no more.
func (l kqlLiteral) all() bool { return l.text == anyText }

func (l kqlLiteral) wild() bool { return strings.Contains(l.text, anyText) }

func (p *kqlParser) literal(want string) kqlLiteral {
	start := p.at
	if p.is('"') {
		return p.quoted()
	}
	var b strings.Builder
	for p.at < len(p.text) && !p.ends(start) {
		switch c := p.text[p.at]; c {
		case '*':
			b.WriteString(anyText)
			p.at++
		case '\\':
			p.escape(&b)
		default:
			b.WriteByte(c)
			p.at++
		}
	}
	l := kqlLiteral{syntax.Range{Start: start, End: p.at}, strings.TrimSpace(b.String()), false}
	if l.text == "" {
		p.at = start
		p.space()
		if keyword(p.text[p.at:], "not") > 0 {
			p.fail(p.at, p.at+len("not"), "within parentheses, as in field: (not a), it is", `"not" is not taken here`)
		}
		p.unexpected(want)
	}
	return l
}

// ends reports whether a literal without quotes, that begins at start, ends before p.at.
func (p *kqlParser) ends(start int) bool {
	rest := p.text[p.at:]
	if c := rest[0]; special(c) && c != '*' && c != '\\' {
		return true
	}
	n := spaces(rest)
	word := rest[n:]
	return n > 0 && (keyword(word, "or") > 0 || keyword(word, "and") > 0 || keyword(word, "not") > 0) ||
		p.at == start && keyword(word, "not") > 0
}

// escape reads what a backslash begins.
func (p *kqlParser) escape(b *strings.Builder) {
	rest := p.text[p.at+1:]
	if rest != "" && special(rest[0]) {
		b.WriteByte(rest[0])
		p.at += 2
		return
	}
	if n := p.common(b); n > 0 {
		p.at += n
		return
	}
	for _, w := range []string{"or", "and"} { // \not is a line feed before "ot", in Kibana too
		if len(rest) >= len(w) && strings.EqualFold(rest[:len(w)], w) {
			b.WriteString(rest[:len(w)])
			p.at += 1 + len(w)
			return
		}
	}
	p.fail(p.at, p.at+1, `\\ is the character itself`, "nothing is known that a backslash means here")
}

// common reads the escapes that are the same in quotes and without, and returns how long
// it is: 0 if there is none.
func (p *kqlParser) common(b *strings.Builder) int {
	rest := p.text[p.at+1:]
	if rest == "" {
		return 0
	}
	switch rest[0] {
	case 't':
		b.WriteByte('\t')
		return 2
	case 'r':
		b.WriteByte('\r')
		return 2
	case 'n':
		b.WriteByte('\n')
		return 2
	case 'u':
		r, ok := unit(p.text[p.at:])
		if !ok {
			return 0
		}
		if low, ok := unit(p.text[p.at+6:]); ok && utf16.DecodeRune(r, low) != unicode.ReplacementChar {
			b.WriteRune(utf16.DecodeRune(r, low))
			return 12
		}
		b.WriteRune(r) // half a pair is U+FFFD
		return 6
	}
	return 0
}

// unit is the UTF-16 unit that \u and four digits write.
func unit(s string) (rune, bool) {
	if len(s) < 6 || s[:2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}

func (p *kqlParser) quoted() kqlLiteral {
	start := p.at
	var b strings.Builder
	for p.at++; p.at < len(p.text); {
		switch c := p.text[p.at]; c {
		case '"':
			p.at++
			return kqlLiteral{syntax.Range{Start: start, End: p.at}, b.String(), true}
		case '\\':
			if n := p.common(&b); n > 0 {
				p.at += n
				continue
			}
			if p.at+1 < len(p.text) && (p.text[p.at+1] == '"' || p.text[p.at+1] == '\\') {
				p.at++
			}
			fallthrough
		default:
			b.WriteByte(p.text[p.at])
			p.at++
		}
	}
	p.fail(start, len(p.text), "", "the quotes are not closed")
	panic("unreachable")
}

// field is the field that a literal names.
func (p *kqlParser) field(l kqlLiteral) expr.Ref {
	switch {
	case l.wild():
		p.refuse(l.Start, l.End, "name each, with or between", "wildcards in names of fields are not known here")
	case l.text == "":
		p.fail(l.Start, l.End, "", "expected the name of a field")
	case !l.quoted && strings.ContainsFunc(l.text, unicode.IsSpace):
		at := strings.LastIndexFunc(l.text, unicode.IsSpace) + 1
		p.refuse(l.Start, l.End, `join them: `+cut(l.text[:at-1])+" and "+cut(l.text[at:])+": …", "the name of a field has no blanks")
	case strings.Count(l.text, ".") >= syntax.MaxDepth:
		p.fail(l.Start, l.End, "", "a name of more than the limit of %d levels", syntax.MaxDepth)
	}
	if !p.fields[l.text] {
		if len(p.fields) == syntax.MaxFields {
			p.fail(l.Start, l.End, "", "more than the limit of %d different fields", syntax.MaxFields)
		}
		p.fields[l.text] = true
	}
	p.mentions = append(p.mentions, mention{Range: l.Range, field: l.text})
	return p.ref(l.text)
}

func (p *kqlParser) ref(name string) expr.Ref {
	r := expr.Ref{Field: p.schema.Field(name), Name: name}
	if strings.HasSuffix("."+name, ".ip") { // without a mapping the name says so, as ECS has them
		r.Type = expr.IP
	}
	return r
}

// cut is the beginning of a text, for a hint.
func cut(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// value is that a field has it: exactly, or by its wildcards.
func (p *kqlParser) value(ref expr.Ref, l kqlLiteral) expr.Pred {
	switch {
	case l.all():
		return &expr.Exists{Ref: ref}
	case l.wild():
		return p.like(ref, l, l.text, false)
	case !l.quoted && l.text == "null":
		p.refuse(l.Start, l.End, `not `+cut(ref.Name)+`: * finds what has none, "null" the word`, "null is no value")
	}
	if net, err := netip.ParsePrefix(l.text); err == nil && ref.Type == expr.IP {
		return &expr.CIDR{Ref: ref, Blocks: []netip.Prefix{net.Masked()}, Text: []string{l.text}}
	}
	p.compared(ref, l)
	return expr.NewIn(ref, false, event.String(l.text))
}

func (p *kqlParser) compared(ref expr.Ref, l kqlLiteral) {
	p.mentions = append(p.mentions, mention{Range: l.Range, field: ref.Name, text: l.text, with: true})
}

func (p *kqlParser) compare(ref expr.Ref, op string, l kqlLiteral) expr.Pred {
	if l.wild() {
		p.refuse(l.Start, l.End, "", "a range has no wildcards")
	}
	if rest, ok := strings.CutPrefix(l.text, "now"); ok && (rest == "" || strings.ContainsAny(rest[:1], "+-/")) {
		p.refuse(l.Start, l.End, "choose the time beside the query, or write a date", "times relative to now are not known here")
	}
	p.compared(ref, l)
	v := event.String(l.text)
	if n, ok := event.Number(l.text); ok {
		v = n
	}
	if day, err := time.Parse(time.DateOnly, l.text); err == nil && (op == ">" || op == "<=") { // behind the day
		op = map[string]string{">": ">=", "<=": "<"}[op]
		v = event.String(day.AddDate(0, 0, 1).Format(time.DateOnly))
	}
	return &expr.Compare{Ref: ref, Op: op, C: expr.NewConst(v)}
}

// anywhere is that each word is in one of TextFields, in any case, or the whole if it is
// quoted.
func (p *kqlParser) anywhere(l kqlLiteral) expr.Pred {
	words := []string{l.text}
	switch raw := p.text[l.Start:l.End]; {
	case l.all():
		return expr.Bool(true)
	case l.quoted && l.text == "":
		p.fail(l.Start, l.End, "", "expected a text in the quotes")
	case l.quoted:
	default:
		if i := strings.IndexByte(raw, '='); i >= 0 {
			p.fail(l.Start+i, l.Start+i+1, `compare with == or ":", or put it in quotes to look for it`, `"=" is not taken here`)
		}
		words = strings.Fields(l.text)
		if spaces(p.text[:l.Start]) == l.Start && l.End == len(p.text) && !l.wild() {
			p.words = l.text
		}
	}
	if p.free += len(words); p.free > mostWords {
		p.refuse(l.Start, l.End, "", "more than %d words", mostWords)
	}
	var all []expr.Pred
	for _, w := range words {
		var any []expr.Pred
		for _, name := range TextFields() {
			any = append(any, p.like(p.ref(name), l, anyText+w+anyText, true))
		}
		all = append(all, expr.NewAny(any...))
	}
	return expr.NewAll(all...)
}

// like is a test by a pattern. What EQL's wildcards cannot say, being without escapes and
// folding ASCII alone, is said by several, or a regular expression, which takes longer.
func (p *kqlParser) like(ref expr.Ref, l kqlLiteral, pattern string, fold bool) expr.Pred {
	if !strings.ContainsAny(pattern, "*?") {
		wildcard := strings.ReplaceAll(pattern, anyText, "*")
		if !fold {
			return expr.NewLike(ref, "like", false, wildcard)
		}
		if all := foldings(wildcard); all != nil {
			return expr.NewLike(ref, "like~", true, all...)
		}
	}
	var b strings.Builder
	for i, part := range strings.Split(pattern, anyText) {
		if i > 0 {
			b.WriteString(".*")
		}
		for _, r := range part {
			b.WriteByte('(')
			for o := r; ; {
				if o < utf8.RuneSelf && !unicode.IsLetter(o) && !unicode.IsDigit(o) {
					b.WriteByte('\\')
				}
				b.WriteRune(o)
				if o = unicode.SimpleFold(o); !fold || o == r {
					break
				}
				b.WriteByte('|')
			}
			b.WriteByte(')')
		}
	}
	re, err := expr.NewRegex(ref, "regex", false, b.String())
	if err != nil {
		p.fail(l.Start, l.End, "", "%s", err.Error())
	}
	return re
}

// foldings are a text with its letters beyond ASCII in either case, or nil if that is too
// many texts.
func foldings(s string) []string {
	all := []string{""}
	for _, r := range s {
		cases := []rune{r}
		if r >= utf8.RuneSelf {
			for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
				cases = append(cases, o)
			}
		}
		if len(all)*len(cases) > 16 {
			return nil
		}
		var next []string
		for _, t := range all {
			for _, c := range cases {
				next = append(next, t+string(c))
			}
		}
		all = next
	}
	return all
}

// further is the mistake of the language in which more of a text is good: KQL, if neither.
func further(inEQL, inKQL error) error {
	var e, k syntax.Errors
	if !errors.As(inEQL, &e) || !errors.As(inKQL, &k) || e[0].Class != syntax.Parsing {
		return inEQL // it was read to its end
	}
	reached := k[0].Range.Start
	if k[0].Class == syntax.Verification {
		reached = k[0].Range.End
	}
	if reached < e[0].Range.Start {
		return inEQL
	}
	return inKQL
}

// wordy reports whether a condition in EQL has a field or a constant for a condition, as
// what is rather words has.
func wordy(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.Field, *syntax.Literal:
		return true
	case *syntax.Not:
		return wordy(x.X)
	case *syntax.Logical:
		return slices.ContainsFunc(x.Xs, wordy)
	}
	return false
}
