package eql

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

//go:generate go test . -run TestReference -update

// A function of the language. Its examples are its tests and its reference, in
// docs/eql.md.
type function struct {
	name     string
	fold     bool // has a case-insensitive form, name~
	params   []param
	optional int  // how many of the last params may be left out
	variadic bool // the last param may be repeated
	result   dataType
	doc      string
	examples []example
	eval     func(fold bool, a []event.Value) (event.Value, error)
}

// An example is an expression and what it gives, both as EQL.
type example struct{ expr, want string }

// param is what a parameter accepts.
type param uint8

const (
	anyParam    param = iota
	stringParam       // [string]
	numberParam       // [numeric]
	intParam          // [integer]
	boolParam         // [boolean]
	ipParam           // [ip]: a field of type ip, or text
	blockParam        // a constant string that is a CIDR block
)

func (p param) String() string {
	return [...]string{"any", "string", "numeric", "integer", "boolean", "ip", "string"}[p]
}

var (
	errOverflow = errors.New("overflow")
	errDivide   = errors.New("division by zero")
	errNumber   = errors.New("not a number")
)

var functions = []*function{
	{
		name: "add", params: []param{numberParam, numberParam}, result: numberType,
		doc:      "The sum, as the operator +.",
		examples: []example{{`add(1, 2)`, `3`}, {`add(1, 0.5)`, `1.5`}, {`add(1, null)`, `null`}},
		eval:     func(_ bool, a []event.Value) (event.Value, error) { return arithmetic("+", a[0], a[1]) },
	},
	{
		name: "between", fold: true, params: []param{stringParam, stringParam, stringParam, boolParam}, optional: 1, result: keywordType,
		doc: "The text after the first left up to the next right or, if greedy, the last one. Empty text if either is not found; the source itself if it is empty or left or right is empty or null.",
		examples: []example{
			{`between("welcome to the planet", "welcome", "planet")`, `" to the "`},
			{`between("welcome to the planet", "welcome", "e", true)`, `" to the plan"`},
			{`between("welcome to the planet", "welcome", "village")`, `""`},
			{`between~("System", "s", "E")`, `"yst"`},
			{`between("abc", "", "c")`, `"abc"`},
		},
		eval: between,
	},
	{
		name: "cidrMatch", params: []param{ipParam, blockParam}, variadic: true, result: boolType,
		doc: "Whether an address is in one of the blocks, IPv4 or IPv6. Bits of the host may be set in a block, and an address alone is a block of one.",
		examples: []example{
			{`cidrMatch("10.6.48.157", "10.0.0.0/8")`, `true`},
			{`cidrMatch("::1", "10.6.48.157/8", "::/64")`, `true`},
			{`cidrMatch("::1", "::1")`, `true`},
			{`cidrMatch(null, "10.0.0.0/8")`, `null`},
		},
		eval: func(_ bool, a []event.Value) (event.Value, error) {
			if !a[0].Exists() {
				return event.Null(), nil
			}
			for _, b := range a[1:] {
				block, err := expr.ParseBlock(b.Str())
				if err != nil {
					return event.Null(), err
				}
				if expr.InBlocks(a[0].Str(), []netip.Prefix{block}) {
					return event.Bool(true), nil
				}
			}
			return event.Bool(false), nil
		},
	},
	{
		name: "concat", params: []param{anyParam}, variadic: true, result: keywordType,
		doc:      "The values as text, one after another. Null if one of them is.",
		examples: []example{{`concat("a", "||", 1, "||", true)`, `"a||1||true"`}, {`concat("a", null)`, `null`}, {`concat("process is ", 42.5)`, `"process is 42.5"`}},
		eval: func(_ bool, a []event.Value) (event.Value, error) {
			var b []byte
			for _, v := range a {
				if !v.Exists() {
					return event.Null(), nil
				}
				b = v.Append(b)
			}
			return event.String(string(b)), nil
		},
	},
	{
		name: "divide", params: []param{numberParam, numberParam}, result: numberType,
		doc:      "The quotient, as the operator /: two integers give an integer, cut towards zero.",
		examples: []example{{`divide(4, 2)`, `2`}, {`divide(4, 3)`, `1`}, {`divide(0.5, 2)`, `0.25`}},
		eval:     func(_ bool, a []event.Value) (event.Value, error) { return arithmetic("/", a[0], a[1]) },
	},
	{
		name: "endsWith", fold: true, params: []param{stringParam, stringParam}, result: boolType,
		doc:      "Whether the source ends with the text. Empty text ends everything.",
		examples: []example{{`endsWith("regsvr32.exe", ".exe")`, `true`}, {`endsWith("regsvr32.exe", ".EXE")`, `false`}, {`endsWith~("regsvr32.exe", ".EXE")`, `true`}, {`endsWith("a", null)`, `null`}},
		eval:     textTest(strings.HasSuffix),
	},
	{
		name: "indexOf", fold: true, params: []param{stringParam, stringParam, intParam}, optional: 1, result: intType,
		doc:      "The first position, from 0, at or after start where the text stands in the source; null if nowhere. A start that is null or negative is 0.",
		examples: []example{{`indexOf("subdomain.example.com", ".")`, `9`}, {`indexOf("subdomain.example.com", ".", 10)`, `17`}, {`indexOf("url.com", "x")`, `null`}, {`indexOf~("foobarbaz", "R")`, `5`}, {`indexOf("foobarbaz", "o", -3)`, `1`}},
		eval:     indexOf,
	},
	{
		name: "length", params: []param{stringParam}, result: intType,
		doc:      "The number of UTF-16 code units of the text.",
		examples: []example{{`length("foo")`, `3`}, {`length("")`, `0`}, {`length(null)`, `null`}},
		eval: func(_ bool, a []event.Value) (event.Value, error) {
			if !a[0].Exists() {
				return event.Null(), nil
			}
			return event.Int(int64(units(a[0].Text()))), nil
		},
	},
	{
		name: "modulo", params: []param{numberParam, numberParam}, result: numberType,
		doc:      "The remainder, as the operator %, with the sign of the dividend.",
		examples: []example{{`modulo(10, 6)`, `4`}, {`modulo(-10, -6)`, `-4`}, {`modulo(10, 0.5)`, `0.0`}},
		eval:     func(_ bool, a []event.Value) (event.Value, error) { return arithmetic("%", a[0], a[1]) },
	},
	{
		name: "multiply", params: []param{numberParam, numberParam}, result: numberType,
		doc:      "The product, as the operator *.",
		examples: []example{{`multiply(2, 3)`, `6`}, {`multiply(-2, 0.5)`, `-1.0`}},
		eval:     func(_ bool, a []event.Value) (event.Value, error) { return arithmetic("*", a[0], a[1]) },
	},
	{
		name: "number", params: []param{stringParam, intParam}, optional: 1, result: numberType,
		doc:      "The number that the text writes, in base 10 or, behind 0x or where the base says so, another.",
		examples: []example{{`number("1337")`, `1337`}, {`number("42.5")`, `42.5`}, {`number("0xff")`, `255`}, {`number("ff", 16)`, `255`}, {`number("52403", 7)`, `12890`}, {`number(null)`, `null`}},
		eval:     toNumber,
	},
	{
		name: "startsWith", fold: true, params: []param{stringParam, stringParam}, result: boolType,
		doc:      "Whether the source begins with the text. Empty text begins everything.",
		examples: []example{{`startsWith("explorer.exe", "explorer")`, `true`}, {`startsWith("explorer.exe", "EXPLORER")`, `false`}, {`startsWith~("explorer.exe", "EXPLORER")`, `true`}},
		eval:     textTest(strings.HasPrefix),
	},
	{
		name: "string", params: []param{anyParam}, result: keywordType,
		doc:      "The value as text.",
		examples: []example{{`string(42)`, `"42"`}, {`string(42.5)`, `"42.5"`}, {`string(true)`, `"true"`}, {`string(null)`, `null`}},
		eval: func(_ bool, a []event.Value) (event.Value, error) {
			if !a[0].Exists() {
				return event.Null(), nil
			}
			return event.String(a[0].Text()), nil
		},
	},
	{
		name: "stringContains", fold: true, params: []param{stringParam, stringParam}, result: boolType,
		doc:      "Whether the text stands somewhere in the source. False if either is empty.",
		examples: []example{{`stringContains("start regsvr32.exe", "regsvr32")`, `true`}, {`stringContains("abc", "B")`, `false`}, {`stringContains~("abc", "B")`, `true`}, {`stringContains("abc", "")`, `false`}},
		eval: textTest(func(s, sub string) bool {
			return s != "" && sub != "" && strings.Contains(s, sub)
		}),
	},
	{
		name: "substring", params: []param{stringParam, intParam, intParam}, optional: 1, result: keywordType,
		doc:      "The text from start up to, not including, end. Positions count from 0, negative ones from the end of the source. A null start gives the whole source, a null end the rest.",
		examples: []example{{`substring("start regsvr32.exe", 6)`, `"regsvr32.exe"`}, {`substring("start regsvr32.exe", 0, 5)`, `"start"`}, {`substring("start regsvr32.exe", -4)`, `".exe"`}, {`substring("start regsvr32.exe", -4, -1)`, `".ex"`}},
		eval:     substring,
	},
	{
		name: "subtract", params: []param{numberParam, numberParam}, result: numberType,
		doc:      "The difference, as the operator -.",
		examples: []example{{`subtract(10, 2)`, `8`}, {`subtract(-2, 4)`, `-6`}},
		eval:     func(_ bool, a []event.Value) (event.Value, error) { return arithmetic("-", a[0], a[1]) },
	},
}

// findFunction looks a function up by name, in any case.
func findFunction(name string) *function {
	for _, f := range functions {
		if strings.EqualFold(f.name, name) {
			return f
		}
	}
	return nil
}

func functionNames() []string {
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = f.name
	}
	return names
}

// arity says how many arguments f expects, in words.
func (f *function) arity() string {
	words := [...]string{"no", "one", "two", "three", "four"}
	least, most := len(f.params)-f.optional, len(f.params)
	noun := " arguments"
	if most == 1 {
		noun = " argument"
	}
	switch {
	case f.variadic:
		return "at least " + words[least] + noun
	case least == most:
		return "exactly " + words[least] + noun
	}
	return words[least] + " or " + words[most] + noun
}

// accepts reports whether f can be called with n arguments.
func (f *function) accepts(n int) bool {
	return n >= len(f.params)-f.optional && (f.variadic || n <= len(f.params))
}

func (f *function) param(i int) param { return f.params[min(i, len(f.params)-1)] }

// textTest makes a function of two texts that is null if either is null.
func textTest(test func(s, sub string) bool) func(bool, []event.Value) (event.Value, error) {
	return func(fold bool, a []event.Value) (event.Value, error) {
		if !a[0].Exists() || !a[1].Exists() {
			return event.Null(), nil
		}
		s, sub := a[0].Text(), a[1].Text()
		if fold {
			s, sub = lower(s), lower(sub)
		}
		return event.Bool(test(s, sub)), nil
	}
}

// lower is s in lower case, character by character, so that positions in runes
// stay what they are.
func lower(s string) string { return strings.Map(unicode.ToLower, s) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// units is the length of s in UTF-16.
func units(s string) int {
	if isASCII(s) {
		return len(s)
	}
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// cut is s[i:j] with positions in UTF-16.
func cut(s string, i, j int) string {
	if isASCII(s) {
		return s[i:j]
	}
	return string(utf16.Decode(utf16.Encode([]rune(s))[i:j]))
}

// find is the position of sub in s at or after start, in UTF-16, or -1.
func find(s, sub string, start int) int {
	if isASCII(s) {
		if start > len(s) {
			return -1
		}
		if i := strings.Index(s[start:], sub); i >= 0 {
			return start + i
		}
		return -1
	}
	if sub == "" { // it also stands between the halves of a pair
		if start > units(s) {
			return -1
		}
		return start
	}
	at := 0
	for i, r := range s {
		if at >= start && strings.HasPrefix(s[i:], sub) {
			return at
		}
		at += utf16.RuneLen(r)
	}
	return -1
}

func findLast(s, sub string) int {
	i := strings.LastIndex(s, sub)
	if i < 0 {
		return -1
	}
	return units(s[:i])
}

// textOr is v as text, or missing if it is null.
func textOr(v event.Value, missing string) string {
	if !v.Exists() {
		return missing
	}
	return v.Text()
}

func between(fold bool, a []event.Value) (event.Value, error) {
	if !a[0].Exists() {
		return event.Null(), nil
	}
	s, left, right := a[0].Text(), textOr(a[1], ""), textOr(a[2], "")
	if s == "" || left == "" || right == "" {
		return event.String(s), nil
	}
	in := s
	if fold {
		in, left, right = lower(s), lower(left), lower(right)
	}
	i := find(in, left, 0)
	if i < 0 {
		return event.String(""), nil
	}
	i += units(left)
	j := find(in, right, i)
	if len(a) == 4 && a[3].Bool() {
		j = findLast(in, right)
	}
	if j < i {
		return event.String(""), nil
	}
	return event.String(cut(s, i, j)), nil
}

func indexOf(fold bool, a []event.Value) (event.Value, error) {
	if !a[0].Exists() || !a[1].Exists() {
		return event.Null(), nil
	}
	s, sub, start := a[0].Text(), a[1].Text(), 0
	if len(a) == 3 {
		start = clamp(a[2], 0)
	}
	if fold {
		s, sub = lower(s), lower(sub)
	}
	i := find(s, sub, max(start, 0))
	if i < 0 {
		return event.Null(), nil
	}
	return event.Int(int64(i)), nil
}

// clamp is an integer argument as an int, or missing if it is null.
func clamp(v event.Value, missing int) int {
	if !v.Exists() {
		return missing
	}
	return int(max(math.MinInt32, min(math.MaxInt32, numeric(v).Float())))
}

func substring(_ bool, a []event.Value) (event.Value, error) {
	if !a[0].Exists() {
		return event.Null(), nil
	}
	s := a[0].Text()
	if !a[1].Exists() {
		return event.String(s), nil
	}
	n := units(s)
	place := func(i int) int {
		if i < 0 {
			i += n
		}
		return max(0, min(i, n))
	}
	i, j := place(clamp(a[1], 0)), n
	if len(a) == 3 {
		j = place(clamp(a[2], n))
	}
	if i >= j {
		return event.String(""), nil
	}
	return event.String(cut(s, i, j)), nil
}

func toNumber(_ bool, a []event.Value) (event.Value, error) {
	if !a[0].Exists() {
		return event.Null(), nil
	}
	s, base := a[0].Text(), 10
	given := len(a) == 2 && a[1].Exists()
	if given {
		base = clamp(a[1], 10)
	}
	hex := strings.HasPrefix(s, "0x")
	if hex && !given {
		base = 16
	}
	if base == 10 {
		s = strings.TrimSpace(s)
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return event.Int(i), nil
		}
		if strings.ContainsAny(s, "xXpP_nNiI") { // what Go reads and Java does not
			return event.Null(), errNumber
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return event.Null(), errNumber
		}
		return event.Float(f), nil
	}
	if hex && base == 16 {
		s = s[2:]
	}
	if base < 2 || base > 36 || strings.Contains(s, "_") {
		return event.Null(), errNumber
	}
	i, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		return event.Null(), errNumber
	}
	return event.Int(i), nil
}

// arithmetic computes a op b. Null in gives null out; one double makes the
// result a double; two integers give an integer, exactly or not at all.
func arithmetic(op string, a, b event.Value) (event.Value, error) {
	if !a.Exists() || !b.Exists() {
		return event.Null(), nil
	}
	a, b = numeric(a), numeric(b)
	if !a.Exists() || !b.Exists() {
		return event.Null(), errNumber
	}
	if a.Kind() == event.KindFloat || b.Kind() == event.KindFloat {
		x, y := a.Float(), b.Float()
		switch op {
		case "+":
			x += y
		case "-":
			x -= y
		case "*":
			x *= y
		case "/":
			x /= y
		case "%":
			x = math.Mod(x, y)
		}
		return event.Float(x), nil
	}
	x, y := a.Int(), b.Int()
	switch op {
	case "+":
		if s := x + y; (s > x) == (y > 0) {
			return event.Int(s), nil
		}
		return event.Null(), errOverflow
	case "-":
		if s := x - y; (s < x) == (y > 0) {
			return event.Int(s), nil
		}
		return event.Null(), errOverflow
	case "*":
		if x == 0 || y == 0 {
			return event.Int(0), nil
		}
		if p := x * y; p/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64) {
			return event.Int(p), nil
		}
		return event.Null(), errOverflow
	}
	if y == 0 {
		return event.Null(), errDivide
	}
	if op == "/" {
		return event.Int(x / y), nil
	}
	return event.Int(x % y), nil
}

// numeric is v as a number, if it is one or writes one.
func numeric(v event.Value) event.Value {
	if v.Kind() == event.KindString {
		n, _ := event.Number(v.Str())
		return n
	}
	if v.Kind() == event.KindBool {
		return event.Null()
	}
	return v
}
