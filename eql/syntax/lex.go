package syntax

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tokenKind names a token by what it looks like.
type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokIdent
	tokQuotedIdent // `name`
	tokFoldIdent   // name~
	tokString
	tokInt
	tokDecimal

	// Keywords, in lower case only.
	tokAnd
	tokAny
	tokBy
	tokFalse
	tokIn
	tokInFold // in~
	tokJoin
	tokLike
	tokLikeFold // like~
	tokMaxspan
	tokNot
	tokNull
	tokOf
	tokOr
	tokRegex
	tokRegexFold // regex~
	tokSample
	tokSequence
	tokTrue
	tokUntil
	tokWhere
	tokWith

	tokEq      // ==
	tokNe      // !=
	tokLt      // <
	tokLe      // <=
	tokGt      // >
	tokGe      // >=
	tokSeq     // :
	tokPlus    // +
	tokMinus   // -
	tokStar    // *
	tokSlash   // /
	tokPercent // %
	tokDot     // .
	tokComma   // ,
	tokLParen  // (
	tokRParen  // )
	tokLBrack  // [
	tokMissing // ![
	tokRBrack  // ]
	tokPipe    // |
	tokOpt     // ?
	tokAssign  // =
)

var keywords = map[string]tokenKind{
	"and": tokAnd, "any": tokAny, "by": tokBy, "false": tokFalse, "in": tokIn,
	"in~": tokInFold, "join": tokJoin, "like": tokLike, "like~": tokLikeFold,
	"maxspan": tokMaxspan, "not": tokNot, "null": tokNull, "of": tokOf, "or": tokOr,
	"regex": tokRegex, "regex~": tokRegexFold, "sample": tokSample,
	"sequence": tokSequence, "true": tokTrue, "until": tokUntil,
	"where": tokWhere, "with": tokWith,
}

// IsKeyword reports whether s is a reserved word, which a field path may hold
// only in backticks.
func IsKeyword(s string) bool { _, ok := keywords[s]; return ok }

type token struct {
	Range
	kind tokenKind
	text string // the value of a string or name, the spelling of anything else
	raw  bool   // of a string: written as """…"""
}

// lexer turns a query into tokens. Mistakes are collected; scanning goes on
// behind them, so that one run finds them all.
type lexer struct {
	src    Source
	text   string
	pos    int
	tokens []token
	errs   Errors

	comments []Range // in order; formatting keeps them
	closes   []int32 // see closing
}

// maxMistakes bounds how many mistakes one query is told of. Every one is
// found in its line and hinted at, and a file of dollar signs has a million.
const maxMistakes = 100

func (l *lexer) fail(class Class, r Range, hint, format string, args ...any) {
	l.errs = append(l.errs, &Error{Class: class, Src: l.src, Range: r, Msg: Message(format, args...), Hint: hint})
}

func isSpace(c byte) bool  { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func (l *lexer) run() {
	l.tokens = make([]token, 0, len(l.text)/8+1)
	for {
		l.space()
		if l.pos >= len(l.text) || len(l.errs) >= maxMistakes {
			l.tokens = append(l.tokens, token{Range: Range{len(l.text), len(l.text)}, kind: tokEOF, text: "<EOF>"})
			return
		}
		l.next()
	}
}

// space skips blanks and comments.
func (l *lexer) space() {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch {
		case isSpace(rest[0]):
			l.pos++
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexAny(rest, "\r\n")
			if n < 0 {
				n = len(rest)
			}
			l.comments = append(l.comments, Range{l.pos, l.pos + n})
			l.pos += n
		case strings.HasPrefix(rest, "/*"):
			end := l.commentEnd()
			if end < 0 {
				l.fail(Parsing, Range{l.pos, l.pos + 2}, "close it with */", "comment does not end")
				end = len(l.text)
			}
			l.comments = append(l.comments, Range{l.pos, end})
			l.pos = end
		default:
			return
		}
	}
}

// commentEnd is where the block comment at pos ends, or -1. Comments nest where
// they balance; else the first */ ends one.
func (l *lexer) commentEnd() int {
	body := l.text[l.pos+2:]
	first := strings.Index(body, "*/")
	if first < 0 {
		return -1
	}
	first += l.pos + 4
	if !strings.Contains(l.text[l.pos+2:first-2], "/*") {
		return first // Fast path: nothing nested.
	}
	if end := l.closing(l.pos + 2); end >= 0 {
		return end
	}
	return first
}

// closing is where a block comment whose inside begins at i ends, counting
// nested ones, or -1. It is computed for every i at once, from the end, so that
// a text full of openings is still read in linear time.
func (l *lexer) closing(i int) int {
	if l.closes == nil {
		n := len(l.text)
		l.closes = make([]int32, n+1)
		l.closes[n] = -1
		for i := n - 1; i >= 0; i-- {
			switch rest := l.text[i:]; {
			case strings.HasPrefix(rest, "*/"):
				l.closes[i] = int32(i + 2)
			case strings.HasPrefix(rest, "/*"):
				l.closes[i] = -1
				if inner := l.closes[i+2]; inner >= 0 {
					l.closes[i] = l.closes[inner]
				}
			default:
				l.closes[i] = l.closes[i+1]
			}
		}
	}
	return int(l.closes[i])
}

func (l *lexer) emit(kind tokenKind, n int, text string) {
	l.tokens = append(l.tokens, token{Range: Range{l.pos, l.pos + n}, kind: kind, text: text})
	l.pos += n
}

func (l *lexer) op(kind tokenKind, n int) { l.emit(kind, n, l.text[l.pos:l.pos+n]) }

func (l *lexer) next() {
	s := l.text[l.pos:]
	c := s[0]
	two := byte(0)
	if len(s) > 1 {
		two = s[1]
	}
	switch {
	case isLetter(c) || c == '_' || c == '@':
		l.ident(s)
		return
	case isDigit(c) || c == '.' && isDigit(two):
		l.number(s)
		return
	}
	switch c {
	case '"':
		if strings.HasPrefix(s, `"""`) {
			l.rawString(s)
			return
		}
		l.string(s)
	case '\'':
		n := quotedLen(s, '\'')
		l.fail(Parsing, Range{l.pos, l.pos + n}, "", "Use double quotes [\"] to define string literals, not single quotes [']")
		l.pos += n
	case '`':
		l.quotedIdent(s)
	case '?':
		if two == '"' || two == '\'' {
			n := 1 + quotedLen(s[1:], two)
			l.fail(Parsing, Range{l.pos, l.pos + n}, "", "Use triple double quotes [\"\"\"] to define unescaped string literals, not [?%c]", two)
			l.pos += n
			return
		}
		l.op(tokOpt, 1)
	case '=':
		if two == '=' {
			l.op(tokEq, 2)
			return
		}
		l.op(tokAssign, 1)
	case '!':
		switch two {
		case '=':
			l.op(tokNe, 2)
		case '[':
			l.op(tokMissing, 2)
		default:
			l.unknown(s)
		}
	case '<':
		if two == '=' {
			l.op(tokLe, 2)
			return
		}
		l.op(tokLt, 1)
	case '>':
		if two == '=' {
			l.op(tokGe, 2)
			return
		}
		l.op(tokGt, 1)
	default:
		if i := strings.IndexByte(":+-*/%.,()[]|", c); i >= 0 {
			l.op([...]tokenKind{tokSeq, tokPlus, tokMinus, tokStar, tokSlash, tokPercent, tokDot,
				tokComma, tokLParen, tokRParen, tokLBrack, tokRBrack, tokPipe}[i], 1)
			return
		}
		l.unknown(s)
	}
}

// unknown reports a run of characters that begin no token.
func (l *lexer) unknown(s string) {
	r, n := utf8.DecodeRuneInString(s)
	hint := ""
	switch r {
	case '!':
		hint = "use not"
		if strings.HasPrefix(strings.TrimLeft(s[1:], " \t"), "[") {
			hint = "no blank in ![, which begins a missing event"
		} else if k := len(l.tokens); k > 0 && l.tokens[k-1].kind == tokLBrack {
			hint = "use not, or ![…] for a missing event"
		}
	case '&':
		hint = "use and"
		if strings.HasPrefix(s, "&&") {
			n = 2
		}
	case '$':
		hint = "there are no variables"
	case '~':
		hint = "~ stands right behind what it goes with: like~"
	case ';':
		hint = "nothing ends a query"
	case '“', '”', '„', '«', '»', '‘', '’':
		hint = "strings stand in \""
		line := s[n:]
		if i := strings.IndexAny(line, lineEnds); i >= 0 {
			line = line[:i]
		}
		if i := strings.IndexAny(line, "“”„«»‘’"); i >= 0 {
			_, m := utf8.DecodeRuneInString(line[i:])
			n += i + m // one mistake, not one for each end
		}
	}
	l.fail(Parsing, Range{l.pos, l.pos + n}, hint, "token recognition error at: %q", s[:n])
	l.pos += n
}

func (l *lexer) ident(s string) {
	n := 1
	for n < len(s) && (isLetter(s[n]) || isDigit(s[n]) || s[n] == '_') {
		n++
	}
	if n < len(s) && s[n] == '~' && isLetter(s[0]) {
		if k, ok := keywords[s[:n+1]]; ok {
			l.op(k, n+1)
			return
		}
		l.emit(tokFoldIdent, n+1, s[:n])
		return
	}
	if k, ok := keywords[s[:n]]; ok {
		l.op(k, n)
		return
	}
	l.op(tokIdent, n)
}

func (l *lexer) number(s string) {
	n, kind := 0, tokInt
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n < len(s) && s[n] == '.' {
		kind = tokDecimal
		n++
		for n < len(s) && isDigit(s[n]) {
			n++
		}
	}
	if n < len(s) && s[n]|0x20 == 'e' {
		m := n + 1
		if m < len(s) && (s[m] == '+' || s[m] == '-') {
			m++
		}
		if m < len(s) && isDigit(s[m]) {
			kind = tokDecimal
			for m < len(s) && isDigit(s[m]) {
				m++
			}
			n = m
		}
	}
	l.op(kind, n)
}

// rawString reads """…""": one line, no escapes. Up to two more quotes behind
// the closing three belong to the text.
func (l *lexer) rawString(s string) {
	body := s[3:]
	line := body
	if i := strings.IndexAny(body, "\r\n"); i >= 0 {
		line = body[:i]
	}
	end := strings.Index(line, `"""`)
	if end < 0 {
		// Not a raw string then: an empty string and one that follows.
		l.emit(tokString, 2, "")
		return
	}
	for extra := 0; extra < 2 && end+3 < len(line) && line[end+3] == '"'; extra++ {
		end++
	}
	l.emit(tokString, 3+end+3, line[:end])
	l.tokens[len(l.tokens)-1].raw = true
}

// quotedLen is the length of a string in quotes q, or of the rest of the line.
func quotedLen(s string, q byte) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case q:
			return i + 1
		case '\\':
			i++
		case '\r', '\n':
			return i
		}
	}
	return len(s)
}

func (l *lexer) string(s string) {
	if i := 1 + strings.IndexAny(s[1:], "\"\\\r\n"); i > 0 && s[i] == '"' {
		l.emit(tokString, i+1, s[1:i])
		return
	}
	var b strings.Builder
	whole := Range{l.pos, l.pos + quotedLen(s, '"')}
	bad := func(upto int, hint string) {
		l.fail(Parsing, whole, hint, "token recognition error at: %s", clip(s[:min(upto, len(s))]))
		l.pos = whole.End
	}
	for i := 1; i < len(s); {
		c := s[i]
		switch c {
		case '"':
			l.emit(tokString, i+1, b.String())
			return
		case '\r', '\n':
			bad(i, "a string ends on the line it begins on")
			return
		case '\\':
			if i+1 == len(s) {
				bad(len(s), "close the string with a double quote")
				return
			}
			if s[i+1] == 'u' {
				n, ok := l.unicodeEscape(s[i:], i, whole, &b, bad)
				if !ok {
					return
				}
				i += n
				continue
			}
			j := strings.IndexByte(`btnfr"'\`, s[i+1])
			if j < 0 {
				bad(i+2, `escapes are \b \t \n \f \r \" \\ \u{…}; in """…""" a backslash is a backslash`)
				return
			}
			b.WriteByte("\b\t\n\f\r\"'\\"[j])
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	hint := "close the string with a double quote"
	if n := len(l.tokens); n > 0 && l.tokens[n-1].End == l.pos && l.tokens[n-1].kind == tokString {
		hint = "close it with \"\"\" on the same line"
	}
	bad(len(s), hint)
}

// unicodeEscape reads \u{H…}, at offset at of the string.
func (l *lexer) unicodeEscape(s string, at int, whole Range, b *strings.Builder, bad func(int, string)) (int, bool) {
	const hint = `write \u{…} with 2 to 8 hexadecimal digits`
	n := 2
	if n >= len(s) || s[n] != '{' {
		bad(at+n+1, hint)
		return 0, false
	}
	n++
	start := n
	for n < len(s) && isHex(s[n]) {
		n++
	}
	if n == start || n >= len(s) || s[n] != '}' {
		bad(at+n+1, hint)
		return 0, false
	}
	digits := s[start:n]
	n++
	r := Range{whole.Start + at, whole.Start + at + n}
	if len(digits) < 2 || len(digits) > 8 {
		l.fail(Parsing, r, "", "Unicode sequence should use [2-8] hex digits, [\\u{%s}] has [%d]", digits, len(digits))
		return n, true
	}
	var code uint64
	for _, c := range []byte(digits) {
		code = code<<4 | uint64(strings.IndexByte("0123456789abcdef", lower(c)))
	}
	switch {
	case code > utf8.MaxRune:
		l.fail(Parsing, r, "", "Invalid unicode character code [%s]", digits)
	case code >= 0xd800 && code <= 0xdfff:
		l.fail(Parsing, r, "", "Invalid unicode character code, [%s] is a surrogate code", digits)
	default:
		b.WriteRune(rune(code))
	}
	return n, true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

func (l *lexer) quotedIdent(s string) {
	var b strings.Builder
	end, text := 0, "" // the longest name that closes
	for i := 1; i < len(s); i++ {
		if s[i] != '`' {
			b.WriteByte(s[i])
			continue
		}
		end, text = i+1, b.String()
		if i+1 == len(s) || s[i+1] != '`' {
			break
		}
		b.WriteByte('`')
		i++
	}
	if end == 0 {
		l.fail(Parsing, Range{l.pos, len(l.text)}, "close the name with a backtick", "token recognition error at: %s", clip(s))
		l.pos = len(l.text)
		return
	}
	l.emit(tokQuotedIdent, end, text)
}

// clip quotes a piece of a query for a message.
func clip(s string) string { return "'" + cut(s, 40) + "'" }

// cut is s up to most bytes, and whole characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// Message is fmt.Sprintf for messages about a query: of a string, which may be as long
// as that, it takes the beginning.
func Message(format string, args ...any) string {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = cut(s, 200)
		}
	}
	return fmt.Sprintf(format, args...)
}
