package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/store"
)

func TestKQL(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := open(t, name)
		insert(t, s,
			newAlert(t, "a", map[string]any{"host.name": "node-1", "process.name": "ctr", "process.pid": 17, "source.ip": "10.200.0.1", "process.args": []string{"ctr", "tasks", "exec"}, "message": "The ctr runs (again): a*b"}),
			newAlert(t, "b", map[string]any{"host.name": "node-2", "process.name": "crictl", "process.pid": "5", "source.ip": "2001:db8::1", "flag": true, "message": "Élan and ardour"}),
			newAlert(t, "c", map[string]any{"host.name": "NODE-1", "process.name": "ctr or crictl", "empty": "", "file.path": "éÉèÈêÊëË", "message": `C:\what? "so"`}),
		)
		f := func(text, want string) {
			t.Helper()
			q := store.Query{Limit: 10, Sort: store.Sort{Field: "kibana.alert.uuid", Ascending: true}}
			if _, err := q.Ask(text); err != nil {
				t.Errorf("%s: %v", text, err)
				return
			}
			r := query(t, s, q)
			if got := strings.Join(ids(r.Records), " "); got != want {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
		}
		// A value is compared exactly, whatever it looks like.
		f(`host.name: node-1`, "a")
		f(`host.name:node-1`, "a")
		f(`host.name : NODE-1`, "c")
		f(`process.pid: 17`, "a")
		f(`process.pid: 5`, "b")
		f(`flag: true`, "b")
		f(`process.args: tasks`, "a")
		f(`process.args: ctr tasks`, "")
		f(`process.name: ctr \or crictl`, "c")
		f(`process.name: "ctr or crictl" and message: *`, "c")
		f(`process.name: (ctr)`, "a")

		// * is any text, ? is itself.
		f(`host.name: node-*`, "a b")
		f(`host.name: *1`, "a c")
		f(`host.name: *o*e*`, "a b")
		f(`message: *what?*`, "c")
		f(`message: *wha?*`, "")
		f(`message: *a\*b`, "a")
		f(`process.name: *`, "a b c")
		f(`empty: *`, "c")
		f(`not empty: *`, "a b")
		f(`*`, "a b c")
		f(`*:*`, "a b c")

		// Ranges, of numbers that are written as text too.
		f(`process.pid >= 5 AND process.pid<17`, "b")
		f(`process.pid > "5" and host.name: node*`, "a")
		f(`@timestamp >= 2026-04-29 and host.name: node*`, "a b")
		f(`@timestamp <= 2026-04-29 and host.name: node*`, "a b")
		f(`@timestamp > 2026-04-29 and host.name: node*`, "")
		f(`source.ip: 10.1.2.0/8`, "a")
		f(`source.ip >= 9.0.0.0 and host.name: *`, "a b")
		f(`source.ip: 2001\:DB8\:0\:\:1`, "b")
		f(`@timestamp < 2026-04-29 and host.name: node*`, "")

		// and before or; not before both.
		f(`host.name: node-1 or host.name: node-2 and flag: false`, "a")
		f(`(host.name: node-1 or host.name: node-2) and flag: true`, "b")
		f(`not host.name: node-1 and not flag: true`, "c")
		f(`not (host.name: node-1 or flag: true)`, "c")
		f(`NOT host.name: (node-1 Or node-2)`, "c")
		f(`host.name: (node* and not (*2 or x))`, "a")
		f(`not(host.name: node-1)and(host.name:node-2)`, "b")

		// Without a field, in any case and in any of the fields of text.
		f(`NODE-1`, "a c")
		f(`crictl node`, "b c")
		f(`CTR and not crictl`, "a")
		f(`tasks`, "")                      // not in this one
		f(`flag and process.pid == 5`, "b") // EQL
		f(`"runs (AGAIN)" or flag: true`, "a b")
		f(`ÉLAN and flag: true`, "b")
		f(`"élan AND" and flag: true`, "b")
		f(`ÄÖÜßÉÈ and flag: true`, "")
		f(`ÉéÈèÊêËë and process.name: *`, "c") // more than are written out
		f(`cr*l and flag: true`, "b")
		f(`a\*b and host.name: *`, "a")
		f(`"a*b" and host.name: *`, "a")
		f(`c\:\\WHAT? and process.name: *`, "c")
		f(`"\"so\"" and process.name: *`, "c")
		f(`\u00e9lan and process.name: *`, "b")
		f(`or`, "c")

		// A whole query of EQL is its category and condition; what is rather words is words.
		f(`any where host.name == "node-1"`, "a")
		f(`process where host.name == "node-1" and true`, "")
		f(`any where true`, "a b c")
		f(`any where host.name`, "")
		f(`host.name`, "")
	})
}

func TestKQLMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := store.ParseWhere(text)
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	f(`host.*: x`, `1:1: wildcards in names of fields are not known here (name each, with or between)`)
	f(`host.name: {a: b}`, `1:12: nested fields are not known here (name the field within it: a.b: x)`)
	f(`host.name: (a or b`, `1:19: expected "and", "or" or ")"`)
	f(`host.name: (a or not)) and x`, `1:22: expected "and", "or" or the end, not ")" (\) is the character itself)`)
	f(`host.name: "a`, `1:12: the quotes are not closed`)
	f(`host.name: a b: c`, `1:15: expected "and", "or" or the end, not ":" (\: is the character itself)`)
	f(`words host.name: c`, `1:1: the name of a field has no blanks (join them: words and host.name: …)`)
	f(`host.name: a \x`, `1:14: nothing is known that a backslash means here (\\ is the character itself)`)
	f(`host.name: not x`, `1:12: "not" is not taken here (within parentheses, as in field: (not a), it is)`)
	f(`host.name: (null or b)`, `1:18: mismatched input 'or' expecting ',' or ')'`)
	f(`@timestamp >= now-1d`, `1:15: times relative to now are not known here (choose the time beside the query, or write a date)`)
	f(`process.pid > 1*`, `1:15: a range has no wildcards`)
	f(`*: x`, `1:4: one field has to be named (a value without a field is looked for in many)`)
	f(`host.name: x and (`, `1:19: expected a field or a value`)
	f(`user.name = "ops"`, `1:11: "=" is not taken here (compare with == or ":", or put it in quotes to look for it)`)
	f(`process.name ==`, `1:16: mismatched input '<EOF>' expecting a field, a constant, a function or '('`)
	f(`process.name == "a" and`, `1:24: mismatched input '<EOF>' expecting a field, a constant, a function or '('`)
	f(`length(true) == 1`, `1:1: first argument of [length(true)] must be [string], found value [true] type [boolean]`)
	f(`"" and host.name: x`, `1:19: mismatched input 'x' expecting a constant`)
	f(`a b c d e f g h i j k l m n o p q`, `1:1: more than 16 words`)
	f(`sequence by host.id [process where process.name == "a"] [any where true]`, `1:1: a sequence is not taken here: the alerts are asked one by one, by one condition (write that of one of its steps: process where process.name == "a")`)
	f(`sample by host.id [any where true] [any where process.name == "b"]`, `1:1: a sample is not taken here: the alerts are asked one by one, by one condition (write that of one of its steps: any where true)`)
	f(` sequence by host.id [process where process.name = "a"]`, `1:2: a sequence is not taken here: the alerts are asked one by one, by one condition (write that of one of its steps, without the brackets)`)
	f(`process where process.name == "a" | head 5`, `1:35: pipes are not taken here (leave out what begins with the first |, and sort and group by the page)`)
	f(`process.name == "a" | tail 5`, `1:21: pipes are not taken here (leave out what begins with the first |, and sort and group by the page)`)
	f(`process where process.name = "x"`, `1:28: mismatched input '=' expecting an operator (compare with ==)`)
	f("\xff: x", `1:1: query is not UTF-8`)
	f(strings.Repeat("(", 600)+"x: *y"+strings.Repeat(")", 600), `1:501: nested deeper than the limit of 500 levels`)
}

// What is no mistake, but hardly what was meant, is told with its place.
func TestHintsOfWhatWasAsked(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := open(t, name)
		insert(t, s,
			newAlert(t, "a", map[string]any{"process.name": "ctr", "process.pid": 17, "user.id": "0", "process.args": []string{"1"}, "ports": []int{1, 2}}),
			newAlert(t, "b", map[string]any{"process.name": "5", "process.pid": "5", "user.id": "1000"}),
		)
		f := func(text string, want ...string) {
			t.Helper()
			var q store.Query
			if _, err := q.Ask(text); err != nil {
				t.Errorf("%s: %v", text, err)
				return
			}
			var got []string
			for _, h := range query(t, s, q).Hints {
				got = append(got, fmt.Sprintf("%s in %s: %v", text[h.Start:h.End], h.Field, h.Absent))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
		}
		f(`process.name == "x" and process.pid == "17" and user.id == "root"`)
		f(`process.nam == "x" or length(proces.name) == 3 and process.nam != null`, "process.nam in process.nam: true", "proces.name in proces.name: true")
		f(`process where process.nam == "x"`, "process.nam in process.nam: true")
		f(`?process.nam == "x"`)
		f(`kibana.alert.workflow_tags == "x"`) // nobody has given one yet
		f(`process.pid == "abc"`, `"abc" in process.pid: false`)
		f(`"abc" != process.pid`, `"abc" in process.pid: false`)
		f(`process.pid in ("5", "x", "y")`, `"x" in process.pid: false`, `"y" in process.pid: false`)
		f(`process.pid : "a" or process.pid : "1*"`, `"a" in process.pid: false`)
		f(`ports == "a" or process.args == "a"`, `"a" in ports: false`)
		f(`process.pid: abc and process.nam: x`, "abc in process.pid: false", "process.nam in process.nam: true")
		f(`process.pid: (17 or "abc" or 1*)`, `"abc" in process.pid: false`)
		f(`process.pid > abc and process.name: x`, "abc in process.pid: false")
		f(`a: 1 and b: 1 and c: 1 and d: 1 and e: 1 and f: 1`, "a in a: true", "b in b: true", "c in c: true", "d in d: true", "e in e: true")
		f(`nothing of that`)
	})
}

// A kqlNode is KQL and what it means, said plainly.
type kqlNode struct {
	text  string
	holds func(r *oracleRow) bool
}

// glob reports whether pattern, in which * is any text, is the whole of s.
func glob(pattern, s string) bool {
	head, rest, ok := strings.Cut(pattern, "*")
	if !ok {
		return s == pattern
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	for i := len(head); i <= len(s); i++ {
		if glob(rest, s[i:]) {
			return true
		}
	}
	return false
}

var kqlEscapes = strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`, `:`, `\:`, `<`, `\<`, `>`, `\>`, `"`, `\"`, `*`, `\*`, `{`, `\{`, `}`, `\}`)

func kqlWord(t *rapid.T, word string) string {
	if rapid.Bool().Draw(t, "quoted") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
	}
	return kqlEscapes.Replace(word)
}

// kqlJoin joins nodes, each of which may be in parentheses, and makes none where there is one.
func kqlJoin(t *rapid.T, depth int, leaf func(*rapid.T) kqlNode) kqlNode {
	wrap := func(n kqlNode) kqlNode { return kqlNode{"(" + n.text + " )", n.holds} }
	kind := 0
	if depth > 0 {
		kind = rapid.IntRange(0, 3).Draw(t, "kind")
	}
	switch kind {
	case 1:
		x := wrap(kqlJoin(t, depth-1, leaf))
		word := rapid.SampledFrom([]string{"not ", "NOT", "Not  "}).Draw(t, "not")
		return kqlNode{word + x.text, func(r *oracleRow) bool { return !x.holds(r) }}
	case 2, 3:
		// a and b or c and d, without parentheses, where the parts have no "or".
		var ors []func(*oracleRow) bool
		var texts []string
		for range rapid.IntRange(1, 3).Draw(t, "alternatives") {
			var ands []func(*oracleRow) bool
			var parts []string
			for range rapid.IntRange(1, 3).Draw(t, "conditions") {
				n := leaf(t)
				if rapid.Bool().Draw(t, "deeper") {
					n = wrap(kqlJoin(t, depth-1, leaf))
				}
				parts, ands = append(parts, n.text), append(ands, n.holds)
			}
			texts = append(texts, strings.Join(parts, rapid.SampledFrom([]string{" and ", "\tAND\n", " And "}).Draw(t, "and")))
			ors = append(ors, func(r *oracleRow) bool {
				return !slices.ContainsFunc(ands, func(f func(*oracleRow) bool) bool { return !f(r) })
			})
		}
		return kqlNode{strings.Join(texts, rapid.SampledFrom([]string{" or ", "  OR "}).Draw(t, "or")), func(r *oracleRow) bool {
			return slices.ContainsFunc(ors, func(f func(*oracleRow) bool) bool { return f(r) })
		}}
	}
	return leaf(t)
}

func kqlValue(t *rapid.T, field string) kqlNode {
	word := rapid.OneOf(rapid.SampledFrom(oracleWords), rapid.SampledFrom([]string{"open", "closed", "t", "3", "true", "b? ", "A"})).Draw(t, "word")
	word = strings.TrimSpace(word)
	any := func(test func(v string) bool) func(*oracleRow) bool {
		return func(r *oracleRow) bool { return slices.ContainsFunc(r.values(field), test) }
	}
	switch rapid.IntRange(0, 3).Draw(t, "value") {
	case 0:
		return kqlNode{"*", any(func(string) bool { return true })}
	case 1:
		if strings.Contains(word, "*") {
			break
		}
		text, pattern := kqlEscapes.Replace(word), word
		if rapid.Bool().Draw(t, "before") {
			text, pattern = "*"+text, "*"+pattern
		} else {
			text, pattern = text+"*", pattern+"*"
		}
		return kqlNode{text, any(func(v string) bool { return glob(pattern, v) })}
	}
	return kqlNode{kqlWord(t, word), any(func(v string) bool { return v == word })}
}

func kqlClause(t *rapid.T) kqlNode {
	field := rapid.SampledFrom(append([]string{store.FieldStatus, store.FieldTags}, oracleFields...)).Draw(t, "field")
	switch rapid.IntRange(0, 5).Draw(t, "clause") {
	case 0:
		op := rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op")
		k := rapid.IntRange(-1, 6).Draw(t, "bound")
		return kqlNode{"n " + op + fmt.Sprint(k), func(r *oracleRow) bool {
			return slices.ContainsFunc(r.values("n"), func(v string) bool {
				var n int
				_, err := fmt.Sscan(v, &n)
				return err == nil && map[string]bool{"<": n < k, "<=": n <= k, ">": n > k, ">=": n >= k}[op]
			})
		}}
	case 1:
		word := rapid.SampledFrom([]string{"a", "AB", "CTR", "É", "*", "'; -", "run"}).Draw(t, "word")
		return kqlNode{kqlWord(t, word), func(r *oracleRow) bool {
			return slices.ContainsFunc(store.TextFields(), func(f string) bool {
				return slices.ContainsFunc(r.values(f), func(v string) bool {
					return strings.Contains(strings.ToLower(v), strings.ToLower(word))
				})
			})
		}}
	case 2:
		n := kqlJoin(t, 2, func(t *rapid.T) kqlNode { return kqlValue(t, field) })
		return kqlNode{field + ": (" + n.text + ")", n.holds}
	}
	n := kqlValue(t, field)
	return kqlNode{field + rapid.SampledFrom([]string{":", " : "}).Draw(t, "colon") + n.text, n.holds}
}

// Whatever is written in KQL, a store selects what its words say.
func TestKQLOracle(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := open(t, name)
		o := &oracle{}
		rnd := rand.New(rand.NewPCG(3, 4))
		var as []*alert.Alert
		for range 200 {
			as = append(as, o.add(t, rnd.IntN))
		}
		insert(t, s, as...)
		var some []string
		for _, r := range o.rows[:80] {
			r.flow.Status, r.flow.Tags = store.StatusClosed, []string{"t"}
			some = append(some, r.id)
		}
		if _, err := s.Update(t.Context(), ann, now, some, store.Change{Status: store.StatusClosed, Tag: []string{"t"}}); err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(rt *rapid.T) {
			n := kqlJoin(rt, 3, kqlClause)
			where, err := store.ParseKQL(n.text)
			if err != nil && strings.Contains(err.Error(), "more than 16 words") {
				return
			} else if err != nil {
				rt.Fatalf("%s: %v", n.text, err)
			}
			got, err := s.Query(t.Context(), &store.Query{Where: where, Limit: 1000, Sort: store.Sort{Ascending: true}})
			if err != nil {
				rt.Fatal(err)
			}
			var want []string
			for _, r := range o.sorted(o.rows, store.Sort{Ascending: true}) {
				if n.holds(r) {
					want = append(want, r.id)
				}
			}
			if d := gocmp.Diff(want, ids(got.Records)); d != "" {
				rt.Fatalf("%s: want -, got +\n%s", n.text, d)
			}
		})
	})
}

// FuzzKQL: no text makes reading or asking a condition panic or run long, a mistake is
// at a place in the text, and what is read prints as EQL.
func FuzzKQL(f *testing.F) {
	for _, text := range []string{
		`host.name: node-* and not process.pid >= 5`, `process.args: ("a b" or \(c\) and not d\*)`, `"a \"phrase\"" or (x and \u00e9)`, `a: {b: c}`, `a.*: b`,
		`a b: c`, `not not x`, `or and not`, `a: \or`, `a <= now-1d`, `*:*`, `a: null`, `x=y`, "a\u00a0or\u00a0b", `a: "\ud83d\ude00"`, `((((a))))`, "\xff*",
	} {
		f.Add(text)
	}
	docs := []string{`{"host":{"name":["node-1","b"]},"process":{"pid":5},"a":{"b":"c"},"message":"x é"}`, `{"a":"b c","process.pid":"7"}`, `{}`}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		schema := event.NewSchema()
		where, err := store.ParseKQLIn(text, schema)
		if err != nil {
			errs, ok := err.(syntax.Errors)
			if !ok || len(errs) != 1 || errs[0].Range.Start < 0 || errs[0].Range.Start > errs[0].Range.End || errs[0].Range.End > len(text) {
				t.Fatalf("%q: %#v", text, err)
			}
			_ = errs.Report()
			return
		}
		_ = where.String()
		d := event.NewDecoder(schema)
		for _, doc := range docs {
			var e event.Event
			if err := d.Decode([]byte(doc), &e); err != nil {
				t.Fatal(err)
			}
			where.Match(&e)
		}
		if took := time.Since(start); took > 5*time.Second && len(text) < 10_000 {
			t.Errorf("%q took %v", text, took)
		}
	})
}
