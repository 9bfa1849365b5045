package eql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
)

var many = strings.Repeat

// mistakes compiles a query and lists its mistakes, each as "class line:column: message".
func mistakes(text string) (list []string) {
	_, err := eql.Compile(syntax.Source{Text: text}, event.NewSchema())
	errs, _ := err.(syntax.Errors)
	for _, e := range errs {
		list = append(list, string(e.Class)+" "+e.Error())
	}
	return list
}

// A query at its limit is taken, and one beyond is refused: with one mistake, of
// the class that Elasticsearch has for what it cannot read or run, where the limit is passed.
func TestLimits(t *testing.T) {
	f := func(what string, query func(n int) string, limit int, want string) {
		t.Helper()
		if got := mistakes(query(limit)); len(got) > 0 {
			t.Errorf("%s, %d: %q", what, limit, got)
		}
		got := mistakes(query(limit + 1))
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s, %d:\ngot  %q\nwant %q", what, limit+1, got, want)
		}
	}
	around := func(open, in, shut string) func(int) string {
		return func(n int) string { return "any where " + many(open, n) + in + many(shut, n) }
	}
	const levels = ": nested deeper than the limit of 500 levels"

	// Length.
	f("bytes", func(n int) string { return "any where x == \"" + many("a", n-len(`any where x == ""`)) + `"` }, syntax.MaxText,
		"ParsingException 1:1: query of 1048577 bytes is longer than the limit of 1048576")
	f("bytes on many lines", func(n int) string { return "any where true" + many("\n", n-len("any where true")) }, syntax.MaxText,
		"ParsingException 1:1: query of 1048577 bytes is longer than the limit of 1048576")

	// Depth. What is around counts as a level.
	const d = syntax.MaxDepth
	f("parentheses", around("(", "true", ")"), d-1, "ParsingException 1:511"+levels)
	f("not", around("not ", "x == 1", ""), d-2, "ParsingException 1:2012"+levels)
	f("signs", around("-", "1 == 1", ""), d-2, "ParsingException 1:510"+levels)
	f("calls", func(n int) string { return "any where " + many("string(", n) + "x" + many(")", n) + ` == "a"` }, d-2, "ParsingException 1:3504"+levels)
	f("lists", around("true in (", "true", ")"), d-1, "ParsingException 1:4511"+levels)
	f("sum", func(n int) string { return "any where x == 1" + many("+1", n) }, d-2, "ParsingException 1:18"+levels)
	f("term", func(n int) string {
		return "sequence [any where true] [any where " + many("(", n) + "true" + many(")", n) + "]"
	}, d-1, "ParsingException 1:538"+levels)
	f("names", func(n int) string { return "any where a" + many(".a", n-1) + " == 1" }, d,
		"ParsingException 1:11: a name of more than the limit of 500 levels")
	f("names in backticks", func(n int) string { return "any where `a" + many(".a", n-1) + "` == 1" }, d,
		"ParsingException 1:11: a name of more than the limit of 500 levels")

	// Counts.
	f("terms", func(n int) string { return "sequence " + many("[any where true]", n) }, syntax.MaxStages,
		"ParsingException 1:8010: more than the limit of 500 queries in a sequence, runs counted")
	f("runs", func(n int) string { return "sequence [any where true] with runs=" + fmt.Sprint(n) }, 100,
		"ParsingException 1:37: A positive runs value from 1 to 100 is required, found [101]")
	f("terms and runs", func(n int) string {
		return "sequence " + many("[any where true] with runs=100 ", 4) + many("[any where true] ", n-400)
	}, syntax.MaxStages, "ParsingException 1:1834: more than the limit of 500 queries in a sequence, runs counted")
	f("samples", func(n int) string { return "sample by x " + many("[any where true]", n) }, syntax.MaxStages,
		"ParsingException 1:8013: more than the limit of 500 queries in a sample")
	f("keys", func(n int) string { return "sequence by a" + many(",a", n-1) + " [any where true] [any where true]" }, syntax.MaxBy,
		"ParsingException 1:213: more than the limit of 100 keys")
	f("keys of a term", func(n int) string {
		return "sequence [any where true] by a" + many(",a", n-1) + " [any where true] by a" + many(",a", min(n, syntax.MaxBy)-1)
	}, syntax.MaxBy, "ParsingException 1:230: more than the limit of 100 keys")
	f("fields", func(n int) string {
		var b strings.Builder
		b.WriteString("any where true")
		for i := range n {
			fmt.Fprintf(&b, " or a%04d == 1 and a%04d > 0", i, i)
		}
		return b.String()
	}, syntax.MaxFields, "ParsingException 1:28019: more than the limit of 1000 different fields")

	// Numbers.
	f("head", func(n int) string { return "any where true | head " + fmt.Sprint(n) }, 1<<31-1,
		"ParsingException 1:23: Pipe [head] expects a constant integer of at least 0, found [2147483648]")
	f("maxspan", func(n int) string {
		return fmt.Sprintf("sequence with maxspan=%dd [any where true] [any where true]", n)
	}, 106751,
		"ParsingException 1:23: maxspan [106752d] is too long")

	// Regular expressions, of Lucene on a field and of Java on a function.
	for _, on := range []struct{ of, at string }{{"x", "1:19"}, {`concat(x, "")`, "1:31"}} {
		re := func(p string) string { return "any where " + on.of + ` regex "` + p + `"` }
		at := "QlIllegalArgumentException " + on.at + ": Cannot compile the regular expression: "
		f("thousands of characters", func(n int) string { return re(many("a", n*1000-10) + "b?") }, 10,
			at+"regular expression is larger than 10000 characters with its repetitions written out")
		f("repetitions of a thousand", func(n int) string { return re(many("a{999}", n)) }, 5,
			at+"regular expression is larger than 10000 characters with its repetitions written out")
	}
	f("repetitions in repetitions", func(n int) string { return fmt.Sprintf(`any where x regex "((ab){9}){%d}"`, n) }, 111,
		"QlIllegalArgumentException 1:19: Cannot compile the regular expression: regular expression is too large")
	f("repetition", func(n int) string { return fmt.Sprintf(`any where x regex "a{%d}"`, n) }, 1000,
		"QlIllegalArgumentException 1:19: Cannot compile the regular expression: more than 1000 repetitions")
	f("repetition in Java", func(n int) string { return fmt.Sprintf(`any where concat(x, "") regex "a{%d}"`, n) }, 1000,
		"QlIllegalArgumentException 1:31: Cannot compile the regular expression: invalid repeat count: {1001}")
	f("groups", func(n int) string { return `any where x regex "` + many("(", n) + "a" + many(")", n) + `"` }, 199,
		"QlIllegalArgumentException 1:19: Cannot compile the regular expression: nested deeper than 200 levels")
	f("states", func(n int) string { return fmt.Sprintf(`any where x regex "~(.*a.{%d})"`, n) }, 9,
		"QlIllegalArgumentException 1:19: Cannot compile the regular expression: regular expression needs too many states")
	for _, on := range []struct{ of, re, at string }{{"x", "a{990}", "1:1078"}, {`concat(x, "")`, "(a{990})", "1:1790"}} {
		f("all regular expressions", func(n int) string { return "any where true" + many(" and "+on.of+` regex "`+on.re+`"`, n) }, 50,
			"QlIllegalArgumentException "+on.at+": the regular expressions of the query are larger than the limit of 100000 characters with their repetitions written out")
	}
}

// What is long is cut in messages and reports, and a mistake has its place however far it is.
func TestMistakesInLargeQueries(t *testing.T) {
	f := func(what, query, want string) {
		t.Helper()
		_, err := eql.Compile(syntax.Source{Text: query}, event.NewSchema())
		errs, _ := err.(syntax.Errors)
		if len(errs) != 1 {
			t.Errorf("%s: %d mistakes, want 1: %.300s", what, len(errs), err)
			return
		}
		if got := string(errs[0].Class) + " " + errs[0].Error(); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
		}
		if r := errs.Report(); len(r) > 1500 {
			t.Errorf("%s: a report of %d bytes: %.300s", what, len(r), r)
		}
	}
	long := many("a", 900_000)
	f("a long line", "any where "+many("true and ", 110_000)+"x = 1", "ParsingException 1:990013: mismatched input '=' expecting an operator (compare with ==)")
	f("many lines", "any where"+many("\ntrue and", 110_000)+"\n  x = 1", "ParsingException 110002:5: mismatched input '=' expecting an operator (compare with ==)")
	f("characters that are long", "any where "+many("\"é€😀\" == x and ", 40_000)+"x = 1", "ParsingException 1:600013: mismatched input '=' expecting an operator (compare with ==)")
	f("a long number", "any where x == "+many("9", 900_000), "ParsingException 1:16: Cannot parse number ["+many("9", 200)+"…]")
	f("a long function", "any where "+long+"(x)", "VerificationException 1:11: Unknown function ["+long[:200]+"…]")
	f("a long pipe", "any where true | "+long+" 5", "ParsingException 1:18: Unrecognized pipe ["+long[:200]+"…]")
	f("a long unit", "sequence with maxspan=5"+long+" [any where true] [any where true]", "ParsingException 1:24: Unrecognized time unit ["+long[:200]+"…] in [5"+long[:200]+"…] (units are ms, s, m, h and d)")
	f("a long string as a condition", "any where \""+long+"\"", "VerificationException 1:11: Condition expression needs to be boolean, found [KEYWORD] (compare it with something)")
	f("a long string as a number", "any where x == 1 + \""+long+"\"", "VerificationException 1:20: second argument of [+] must be [numeric], found value [\""+long[:59]+"…] type [keyword]")
	f("a long string that does not end", "any where x == \""+long, "ParsingException 1:16: token recognition error at: '\""+long[:39]+"…' (close the string with a double quote)")
	f("a long name in two", "any where x "+long, "ParsingException 1:13: mismatched input '"+long[:40]+"…' expecting and, or, | or the end of the query")
	f("a long field beside a field", "any where x == "+long, "QlIllegalArgumentException 1:16: Comparisons against fields are not (currently) supported; offender ["+long[:200]+"…] in [==] (compare a field with a constant)")
	f("a long block", `any where cidrMatch(x, "`+long+`")`, "VerificationException 1:24: ["+long[:200]+"…] is not a CIDR block (write an address, a slash and a number of bits, such as 10.0.0.0/8)")
	f("a long escape", `any where x == "\u{`+many("1", 900_000)+`}"`, "ParsingException 1:17: Unicode sequence should use [2-8] hex digits, [\\u{"+many("1", 200)+"…}] has [900000]")
	f("a long key", "sequence by \""+long+"\" [any where true] [any where true]", "ParsingException 1:13: Unsupported join key ['\""+long[:39]+"…']")
	f("a long regular expression", "any where x regex \"a(b"+long+"\"", "QlIllegalArgumentException 1:19: Cannot compile the regular expression: expected ')' at character 900004")
	f("a long regular expression on a function", `any where concat(x, "") regex "a(b`+long+`"`, "QlIllegalArgumentException 1:31: Cannot compile the regular expression: missing closing )")

	// Of a hundred thousand mistakes a hundred are told.
	for _, q := range []string{many("$", 500_000), "any where " + many("x = 1 or ", 100_000) + "true", "any where " + many("a == b or ", 100_000) + "true",
		"sequence " + many("[a where ] ", 80_000), "any where true " + many("| hed 1", 100_000), "any where x in (" + many("y, ", 200_000) + "y)"} {
		if n := len(mistakes(q)); n < 100 || n > 200 {
			t.Errorf("%.40s…: %d mistakes are told, want 100 or so", q, n)
		}
	}
}

// What is many but not too many is taken.
func TestLargeQueriesAreTaken(t *testing.T) {
	f := func(what, query string) {
		t.Helper()
		if got := mistakes(query); len(got) > 0 {
			t.Errorf("%s: %.300q", what, got)
		}
	}
	f("a long string", `any where x == "`+many("a", 900_000)+`"`)
	f("a long name", "any where "+many("a", 900_000)+" == 1")
	f("a long decimal", "any where x == 0."+many("9", 900_000))
	f("a list", `any where x in ("a"`+many(`, "b"`, 200_000)+")")
	f("a list of wildcards", `any where x : ("a"`+many(`, "*a*b?"`, 100_000)+")")
	f("one of many wildcards", `any where x : "`+many("*a?", 300_000)+`"`)
	f("a chain", "any where x == 1"+many(" or x == 2", 100_000))
	f("arguments", `any where concat(x`+many(`, "a"`, 200_000)+`) == "b"`)
	f("blocks", `any where cidrMatch(x`+many(`, "10.0.0.0/8"`, 70_000)+`)`)
	f("pipes", "any where true "+many("| head 1 ", 100_000))
	f("a constant of a megabyte", `any where concat(x, concat("`+many("a", 400_000)+`", "`+many("a", 400_000)+`")) == "b"`)
	f("an integer beyond 64 bits", "any where x == 18446744073709551616 or x == "+many("9", 300))
}

// A mapping that nests too deeply is refused.
func TestLimitsOfMappings(t *testing.T) {
	nested := func(n int) string {
		return many(`{"properties":{"a":`, n) + `{"type":"long"}` + many("}}", n)
	}
	if _, err := eql.ReadMapping(strings.NewReader(nested(100))); err != nil {
		t.Error(err)
	}
	for _, n := range []int{102, 5000, 100_000} {
		_, err := eql.ReadMapping(strings.NewReader(nested(n)))
		if err == nil || len(err.Error()) > 300 {
			t.Errorf("%d levels: %v", n, err)
		}
	}
}
