package expr

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// These tests are inside the package because they hold the two ways in which an
// expression can be run against each other.

func matches(t *testing.T, pattern, s string, fold bool) bool {
	t.Helper()
	m, err := compileLucene([]string{pattern}, fold)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	return m.match(s)
}

func TestLuceneOperators(t *testing.T) {
	f := func(pattern, s string, want bool) {
		t.Helper()
		if got := matches(t, pattern, s, false); got != want {
			t.Errorf("%q on %q: got %v", pattern, s, got)
		}
	}
	f("ab", "ab", true)
	f("ab", "xab", false) // the whole value
	f("a.c", "a\nc", true)
	f("^ab$", "ab", false) // ordinary characters
	f("^ab$", "^ab$", true)
	f("a~(b)", "a", true)
	f("a~(b)", "ab", false)
	f("a~(b)", "abc", true)
	f("~(ab)", "ab", false)
	f("~~a", "a", true)
	f("@&~(abc.+)", "abc", true)
	f("@&~(abc.+)", "abcd", false)
	f("[a-z]+&.{3}", "abc", true)
	f("[a-z]+&.{3}", "abcd", false)
	f("@", "", true)
	f("@", "any thing", true)
	f("#", "", false)
	f("a#b", "ab", false)
	f("foo<1-100>", "foo7", true)
	f("foo<1-100>", "foo007", true)
	f("foo<1-100>", "foo101", false)
	f("foo<01-10>", "foo7", false)
	f("foo<01-10>", "foo07", true)
	f(`"a.*"b`, "a.*b", true)
	f(`"a.*"b`, "axxb", false)
	f(`a\.b`, "a.b", true)
	f(`a\.b`, "axb", false)
	f(`net\.exe`, "net.exe", true)
	f("[^a-c]", "d", true)
	f("[^a-c]", "b", false)
	f("[a-]", "-", true)
	f(`[\]]`, "]", true)
	f(`\d\w\s`, "1a ", true)
	f("()", "", true)
	f("(a|b)*a(a|b){3}&@", "bbbabb", false)
	f("(a|b)*a(a|b){3}&@", "baabab", true)
	f("é+", "éé", true)
	f("a{2,3}", "aaaa", false)
	f("a{2,}", "aaaa", true)
	f("a?*", "aaa", true)
}

func TestLuceneFoldsSingleCharacters(t *testing.T) {
	f := func(pattern, s string, want bool) {
		t.Helper()
		if got := matches(t, pattern, s, true); got != want {
			t.Errorf("%q on %q: got %v", pattern, s, got)
		}
	}
	f("abc", "ABC", true)
	f("a.C", "AbC", true)
	f(`"aB".`, "Abx", true)
	f("[a-c]", "A", false) // not a range
	f("[abc]", "A", true)
	f("~(a)", "A", false)
	f("é", "É", false) // ASCII only
}

func TestLuceneMistakes(t *testing.T) {
	f := func(pattern, want string) {
		t.Helper()
		_, err := compileLucene([]string{pattern}, false)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", clipped(pattern), err, want)
		}
	}
	f("(a", "expected ')' at character 3")
	f("a)", "end of the expression expected at character 2")
	f("[a", "expected ']' at the end")
	f("[b-a]", "the range b-a is backwards")
	f("a{", "expected a number at character 3")
	f("a{2", "expected '}' at character 4")
	f("a{3,2}", "a repetition from 3 to 2")
	f("a{1001}", "more than 1000 repetitions")
	f(`"a`, `expected '"' at the end`)
	f("<1-", "expected '>' at the end")
	f("<a-b>", "expected <number-number>")
	f(`.\`, "ends early")
	f("a|", "ends early")
	// Hostile ones are refused, in time, rather than run.
	const big, states = "larger than 10000 characters", "too many states"
	start := time.Now()
	f("(a{1000}){1000}", big)
	f("((a{1000}){1000}){1000}&@", big)
	f(strings.Repeat(".{1000}", 100), big)
	f(strings.Repeat("<1-999999999>", 10000), big)
	f("a"+strings.Repeat("{1}", 100000), "nested deeper than 200 levels")
	f(strings.Repeat("(", 100000), "nested deeper than 200 levels")
	f(strings.Repeat("~(", 100000), "nested deeper than 200 levels")
	f("(a|b)*a(a|b){20}&@", states)
	f("(a?){1000}a{1000}&@", states)
	f("(a*b*c*d*e*){200}&~(x)", states)
	f("((a|b)?){1000}&~((a|b)*a(a|b){10})", states)
	var all strings.Builder
	for r := rune(0x4e00); r < 0x4e00+5000; r += 2 {
		all.WriteRune(r)
	}
	f("["+all.String()+"]&@", states)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// What blows up in a backtracking matcher runs in linear time here.
func TestLuceneRunsInLinearTime(t *testing.T) {
	value := strings.Repeat("a", 1<<16)
	start := time.Now()
	for _, p := range []string{"(a*)*b", "(a|a)*b", "(a|aa)+b", "(a*)*b&@", "~((a|aa)+)", ".*.*.*.*b"} {
		matches(t, p, value, false)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func clipped(s string) string { return s[:min(len(s), 40)] }

// rx is a regular expression that a test draws: its text, and a matcher that
// tries everything. ends lists where a match that begins at i can end.
type rx struct {
	text string
	ends func(s []rune, i int) map[int]bool
}

func drawRx(t *rapid.T, depth int) rx {
	n := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "") }
	char := func(text string, ok func(rune) bool) rx {
		return rx{text, func(s []rune, i int) map[int]bool {
			if i < len(s) && ok(s[i]) {
				return map[int]bool{i + 1: true}
			}
			return nil
		}}
	}
	any := func(rune) bool { return true }
	all := func(s []rune, i int) map[int]bool {
		m := map[int]bool{}
		for j := i; j <= len(s); j++ {
			m[j] = true
		}
		return m
	}
	if depth == 0 {
		switch n(9) {
		case 0:
			return char(".", any)
		case 1:
			return char("[ab]", func(r rune) bool { return r == 'a' || r == 'b' })
		case 2:
			return char("[^a]", func(r rune) bool { return r != 'a' })
		case 3:
			return rx{"@", all}
		case 4:
			return rx{"#", func([]rune, int) map[int]bool { return nil }}
		case 5:
			return rx{`"ab"`, func(s []rune, i int) map[int]bool {
				if i+2 <= len(s) && string(s[i:i+2]) == "ab" {
					return map[int]bool{i + 2: true}
				}
				return nil
			}}
		case 6:
			return char("b", func(r rune) bool { return r == 'b' })
		case 7:
			return char("é", func(r rune) bool { return r == 'é' })
		}
		return char("a", func(r rune) bool { return r == 'a' })
	}
	x := drawRx(t, depth-1)
	pair := func() rx { return drawRx(t, depth-1) }
	switch n(6) {
	case 0:
		y := pair()
		return rx{"(" + x.text + "|" + y.text + ")", func(s []rune, i int) map[int]bool {
			m := map[int]bool{}
			for j := range x.ends(s, i) {
				m[j] = true
			}
			for j := range y.ends(s, i) {
				m[j] = true
			}
			return m
		}}
	case 1:
		y := pair()
		return rx{"(" + x.text + "&" + y.text + ")", func(s []rune, i int) map[int]bool {
			m := map[int]bool{}
			ys := y.ends(s, i)
			for j := range x.ends(s, i) {
				if ys[j] {
					m[j] = true
				}
			}
			return m
		}}
	case 2:
		return rx{"~(" + x.text + ")", func(s []rune, i int) map[int]bool {
			m := all(s, i)
			for j := range x.ends(s, i) {
				delete(m, j)
			}
			return m
		}}
	case 3:
		least, most, text := 0, -1, "*"
		switch n(4) {
		case 0:
			least, text = 1, "+"
		case 1:
			most, text = 1, "?"
		case 2:
			least, most, text = 1, 2, "{1,2}"
		}
		return rx{"(" + x.text + ")" + text, func(s []rune, i int) map[int]bool {
			m, at := map[int]bool{}, map[int]bool{i: true}
			for k := 0; len(at) > 0 && (most < 0 && k <= len(s)+least || k <= most); k++ {
				next := map[int]bool{}
				for j := range at {
					if k >= least {
						m[j] = true
					}
					for e := range x.ends(s, j) {
						next[e] = true
					}
				}
				at = next
			}
			return m
		}}
	}
	y := pair()
	return rx{"(" + x.text + ")(" + y.text + ")", func(s []rune, i int) map[int]bool {
		m := map[int]bool{}
		for j := range x.ends(s, i) {
			for k := range y.ends(s, j) {
				m[k] = true
			}
		}
		return m
	}}
}

func TestLuceneMatchesWhatTryingEverythingMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawRx(t, rapid.IntRange(0, 3).Draw(t, ""))
		m, err := compileLucene([]string{x.text}, false)
		if err != nil {
			t.Fatalf("%s: %v", x.text, err)
		}
		p := luceneParser{s: x.text}
		n, err := p.parse()
		if err != nil {
			t.Fatal(err)
		}
		d, err := buildDFA(n)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			s := rapid.SliceOfN(rapid.SampledFrom([]rune("abé\n")), 0, 5).Draw(t, "")
			want := x.ends(s, 0)[len(s)]
			if got := m.match(string(s)); got != want {
				t.Fatalf("%s on %q: got %v", x.text, string(s), got)
			}
			if got := d.match(string(s)); got != want {
				t.Fatalf("%s on %q: the automaton gives %v", x.text, string(s), got)
			}
		}
	})
}

// common are the operators that Go's syntax and Lucene's share.
var (
	common     = regexp.MustCompile(`^[a-z0-9.|*+?()é ]*$`)
	quantifier = regexp.MustCompile(`[*+?][*+?]|\(\?|^[*+?|]|[(|][*+?|)]|\|$|\(\)`)
)

// FuzzLucene: no pattern makes the compiler panic or run long; where Go's
// regexp reads a pattern the same way, both match the same; and the automaton
// gives what the Go expression gives.
func FuzzLucene(f *testing.F) {
	f.Fuzz(func(t *testing.T, pattern, value string, fold bool) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(value) {
			return // queries and documents are checked
		}
		start := time.Now()
		m, err := compileLucene([]string{pattern}, fold)
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("compiling took %v", took)
		}
		flags := "(?s)"
		if fold {
			flags = "(?si)"
		}
		_, goErr := regexp.Compile(pattern)
		same := common.MatchString(pattern) && !quantifier.MatchString(pattern) && goErr == nil
		if err != nil {
			if same && len(pattern) < 1000 && strings.Count(pattern, "(") < 100 {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		got := m.match(value)
		if ascii := strings.Trim(value+pattern, "\x00-\x7f") == ""; same && pattern != "" && (!fold || ascii) {
			if want := regexp.MustCompile(flags + `\A(?:` + pattern + `)\z`).MatchString(value); got != want {
				t.Fatalf("%q on %q: got %v, Go gives %v", pattern, value, got, want)
			}
		}
		p := luceneParser{s: pattern, fold: fold}
		n, err := p.parse()
		if err != nil {
			if _, plain := withoutOperators(pattern); !plain {
				t.Fatalf("accepted, but does not parse: %v", err)
			}
			return
		}
		if d, err := buildDFA(n); err == nil && d.match(value) != got {
			t.Fatalf("%q on %q: got %v, the automaton gives %v", pattern, value, got, !got)
		}
	})
}
