package syntax_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/orlop/orlop/eql/syntax"
)

// blanks is what may stand between two tokens. Unbalanced comments may take in
// what follows them: then the text is another query, or none.
var blanks = []string{
	" ", "\t", "\n", "\r", "\r\n", "\n\n \n",
	"//\n", "// x\n", "// x\r\n", "// x\r", "//\t\n", "// */\n", "// /*\n", "// \" ' ` \\\n", "// ''' \"\"\"\n", "//// ü\u2028\u202e\n",
	"/**/", "/* x */", "/***/", "/* // */", "/* \" ' ` \\ */", "/* ''' \"\"\" */", "/*\n*/", "/* x\n  y */", "/* x\r\n\r\ny */", "/* x\ry */", "/*\x00\x1b*/",
	"/* /* x */ */", "/*/* */*/", "/* /* */", "/*/*/",
	"/* " + strings.Repeat("long ", 25) + "*/", "// " + strings.Repeat("long ", 25) + "\n",
}

// sprinkle puts blanks between the tokens of a query, as pick says: it is given
// a bound and returns a number below it.
func sprinkle(text string, pick func(n int) int) string {
	tokens, _ := syntax.Pieces(text)
	var b strings.Builder
	at := 0
	for _, t := range tokens {
		b.WriteString(text[at:t.Start])
		for range max(0, pick(8)-4) {
			b.WriteString(blanks[pick(len(blanks))])
		}
		b.WriteString(text[t.Start:t.End])
		at = t.End
	}
	return b.String()
}

// spelled are the comments of a query, but for blanks and line ends that
// formatting need not keep.
func spelled(text string) (list []string) {
	_, comments := syntax.Pieces(text)
	for _, c := range comments {
		s := text[c.Start:c.End]
		if strings.HasPrefix(s, "//") {
			s = strings.TrimRight(s, " \t")
		}
		s = strings.ReplaceAll(s, "\r\n", "\n")
		list = append(list, strings.ReplaceAll(s, "\r", "\n"))
	}
	return list
}

// formatsOnce checks that formatting keeps the query and every comment, once and
// in order, and that doing it again changes nothing. It reports whether the text
// is a query.
func formatsOnce(t *testing.T, text string) bool {
	t.Helper()
	q, err := syntax.Parse(syntax.Source{Text: text})
	if err != nil {
		return false
	}
	f := syntax.Format(q)
	p, err := syntax.Parse(syntax.Source{Text: f})
	if err != nil {
		t.Fatalf("%q\nformatted:\n%s%v", text, f, err)
	}
	if !syntax.Equal(p, q) {
		t.Fatalf("%q\nformatted:\n%sis another query: %s", text, f, p)
	}
	if again := syntax.Format(p); again != f {
		t.Fatalf("%q\nformatted:\n%sand again:\n%s", text, f, again)
	}
	if want, got := spelled(text), spelled(f); !slices.Equal(got, want) {
		t.Fatalf("%q\nformatted:\n%scomments %q\nwant     %q", text, f, got, want)
	}
	return true
}

func TestCommentsStayWhereverTheyStand(t *testing.T) {
	const draws = 20
	r := rand.New(rand.NewPCG(1, 2))
	queries, n := 0, 0
	seen := map[string]bool{}
	sources(t, func(text string) {
		q, err := syntax.Parse(syntax.Source{Text: text})
		if err != nil || seen[text] || len(text) > 3000 {
			return
		}
		seen[text] = true
		queries++
		for range draws {
			x := sprinkle(text, r.IntN)
			if formatsOnce(t, x) {
				n++
			}
			// What was formatted, with comments in it, is a text like any other.
			formatsOnce(t, sprinkle(syntax.Format(q), r.IntN))
		}
	})
	t.Logf("%d texts of %d queries", n, queries)
	if n < queries*draws/4 {
		t.Errorf("of %d queries only %d texts could be read", queries, n)
	}
}

// FuzzFormat: no comments, wherever they are put, make formatting unstable or
// get lost. The second argument says where, a byte at a time.
func FuzzFormat(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string, where []byte) {
		formatsOnce(t, text)
		if len(text) > 3000 {
			return
		}
		formatsOnce(t, sprinkle(text, func(n int) int {
			if len(where) == 0 {
				return 0
			}
			b := where[0]
			where = where[1:]
			return int(b) % n
		}))
	})
}
