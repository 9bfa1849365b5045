package detect_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	lang "github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

// An engine with an index raises what trying every predicate on every event
// raises, to the byte and in the same order.
func TestIndexIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var rules []*rule.Rule
		for i := range rapid.IntRange(1, 40).Draw(r, "rules") {
			rules = append(rules, eql(fmt.Sprint(i), drawQuery(r)))
		}
		indexed, naive := newBench(r, detect.Options{Lateness: -1}, rules...), newBench(r, detect.Options{Lateness: -1}, rules...)
		detect.TryAll(naive.Engine)
		// What is remembered of events, or not for want of room, does not matter.
		detect.Narrow(indexed.Engine, rapid.SampledFrom([]int{1 << 20, 1 << 20, 4000, 0}).Draw(r, "room"), rapid.IntRange(0, 200).Draw(r, "credit"))
		compare := func(after string) {
			got, want := indexed.documents(), naive.documents()
			if d := cmp.Diff(want, got); d != "" {
				r.Fatalf("after %s (-without the index +with it):\n%s", after, d)
			}
		}
		for n := range rapid.IntRange(1, 30).Draw(r, "events") {
			text := doc(float64(n), drawFields(r))
			indexed.see("s", text)
			naive.see("s", text)
			compare(text)
		}
		indexed.Flush(indexed.emit)
		naive.Flush(naive.emit)
		compare("all events")
		if got, want := indexed.Stats(), naive.Stats(); got != want {
			r.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// documents are the alerts that were raised, and are forgotten then.
func (b *bench) documents() []string {
	var out []string
	for _, a := range b.alerts {
		out = append(out, string(a.AppendJSON(nil)))
	}
	b.alerts = nil
	return out
}

// drawQuery draws queries of every kind.
func drawQuery(r *rapid.T) string {
	category := rapid.SampledFrom([]string{"process", "file", "any", `"5"`})
	filter := func() string { return category.Draw(r, "category") + " where " + drawCondition(r, 3) }
	by := func() string {
		return rapid.SampledFrom([]string{" by f", " by ?g", " by f, ?n"}).Draw(r, "by")
	}
	switch rapid.IntRange(0, 7).Draw(r, "kind") {
	case 0:
		q := "sequence"
		if rapid.Bool().Draw(r, "keys") {
			q += by()
		}
		q += " [" + filter() + "] [" + filter() + "]"
		if rapid.Bool().Draw(r, "runs") {
			q += " with runs=2"
		}
		if rapid.Bool().Draw(r, "until") {
			q += " until [" + filter() + "]"
		}
		return q
	case 1:
		missing := rapid.IntRange(0, 2).Draw(r, "missing")
		q := "sequence with maxspan=3s"
		for i := range 3 {
			if q += " "; i == missing {
				q += "!"
			}
			q += "[" + filter() + "]"
		}
		return q
	case 2:
		return "sample" + by() + " [" + filter() + "] [" + filter() + "]"
	}
	return filter()
}

var indexTexts = []string{
	"a", "A", "b", "ab", "aB", "abc", "xabc", "abcx", "cab", "5", "5.0", "05", "-5", "6e0", "true", "TRUE", "", "é", "É", "aé", "\u212a", "k",
	"2020-01-01", "2020-01-01T00:00:00Z", "1970-01-01T00:00:00.005Z", "10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "::1", "fe80::1",
	"/tmp/a/b", "/TMP/ab", "/usr/bin/ab", strings.Repeat("ab", 40), strings.Repeat("b", 33) + "a",
}

var indexWildcards = []string{
	"a*", "*a", "*a*", "A*", "*B", "a?c", "?b", "a?", "*", "?", "?*", "a*c", "*b*c*", "5*", "*.0", "t*e", "*é", "é*", "?é", "/tmp/*", "/tmp/*/b", "*/bin/*", "*k*",
	"10.*", "*:1", strings.Repeat("ab", 20) + "*", "*" + strings.Repeat("ba", 18) + "b", "*" + strings.Repeat("b", 33) + "?", "2020*", "*-5", "ab",
}

var indexRegexes = []string{
	"a.*", ".*b", "ab|abc", "(a|b)+", "[ab]b?c?", ".*(abc|cab).*", "a{1,2}b", "(ab)+", "5(.0)?", "/(tmp|usr)/.*", "@&~(.*b)", "[^a].*", "é.", "<1-9>", "~(a)", ".*ab.*&.*x", "(ab){20}.*", "",
}

func drawCondition(r *rapid.T, depth int) string {
	if depth > 0 && rapid.Bool().Draw(r, "nest") {
		x := drawCondition(r, depth-1)
		switch rapid.SampledFrom([]string{"and", "and", "or", "not"}).Draw(r, "op") {
		case "and":
			return "(" + x + " and " + drawCondition(r, depth-1) + ")"
		case "or":
			return "(" + x + " or " + drawCondition(r, depth-1) + ")"
		default:
			return "not (" + x + ")"
		}
	}
	field := rapid.SampledFrom([]string{"f", "g", "?f", "?n", "n", "event.category"}).Draw(r, "field")
	one := func(from []string) string { return `"` + rapid.SampledFrom(from).Draw(r, "text") + `"` }
	text := func() string { return one(indexTexts) }
	list := func(from []string) string {
		out := make([]string, rapid.IntRange(1, 4).Draw(r, "length"))
		for i := range out {
			out[i] = one(from)
		}
		return "(" + strings.Join(out, ", ") + ")"
	}
	either := slices.Concat(indexTexts, indexWildcards)
	number := func() string {
		return rapid.SampledFrom([]string{"5", "-5", "4", "6", "5.0", "5.5", "0", "9007199254740993", "1577836800000"}).Draw(r, "number")
	}
	switch rapid.IntRange(0, 13).Draw(r, "leaf") {
	case 0:
		return field + " == " + text()
	case 1:
		return field + " != " + text()
	case 2:
		return field + rapid.SampledFrom([]string{" in ", " in~ ", " not in "}).Draw(r, "in") + list(indexTexts)
	case 3, 4:
		return field + rapid.SampledFrom([]string{" : ", " like ", " like~ "}).Draw(r, "like") + list(either)
	case 5:
		return field + " : " + one(either)
	case 6:
		return field + rapid.SampledFrom([]string{" regex ", " regex~ "}).Draw(r, "regex") + list(indexRegexes)
	case 7:
		return field + rapid.SampledFrom([]string{" == ", " != ", " < ", " <= ", " > ", " >= "}).Draw(r, "compare") + number()
	case 8:
		return field + " in (" + number() + ", " + number() + ")"
	case 9:
		return field + rapid.SampledFrom([]string{" == null", " != null", " == true", " != false"}).Draw(r, "constant")
	case 10:
		return "cidrMatch(" + rapid.SampledFrom([]string{"a", "a", field}).Draw(r, "address") + `, "10.0.0.0/8", ` + rapid.SampledFrom([]string{`"10.1.2.3"`, `"::1"`, `"fe80::/10"`, `"::ffff:10.0.0.0/104"`}).Draw(r, "block") + ")"
	case 11:
		return rapid.SampledFrom([]string{"length(f) > 0", `startsWith(f, "a")`, `endsWith~(g, "B")`, `stringContains(f, "ab")`}).Draw(r, "script")
	case 12:
		return field + rapid.SampledFrom([]string{" < ", " >= "}).Draw(r, "compare") + text()
	}
	return rapid.SampledFrom([]string{"true", "false"}).Draw(r, "constant")
}

// drawFields draws the fields of an event: of a few kinds that come again, and
// others.
func drawFields(r *rapid.T) string {
	value := func() string {
		s, _ := json.Marshal(rapid.SampledFrom(indexTexts).Draw(r, "value"))
		return rapid.SampledFrom([]string{string(s), string(s), string(s), "5", "5.0", "-5", "4.5", "1e300", "9007199254740993", "5e0", "true", "false", "null", `"ABC"`}).Draw(r, "as")
	}
	var fields []string
	for _, f := range []string{"f", "g", "n"} {
		switch rapid.IntRange(0, 3).Draw(r, "count") {
		case 0:
		case 1:
			fields = append(fields, fmt.Sprintf("%q:%s", f, value()))
		case 2:
			fields = append(fields, fmt.Sprintf("%q:[%s,%s,%s]", f, value(), value(), value()))
		default:
			fields = append(fields, fmt.Sprintf("%q:[]", f))
		}
	}
	if rapid.Bool().Draw(r, "address") {
		fields = append(fields, `"a":`+rapid.SampledFrom([]string{`"10.1.2.3"`, `"::ffff:10.9.9.9"`, `"::1"`, `"fe80::2%eth0"`, `["192.0.2.1","10.0.0.0"]`, `"10.0.0.0/8"`}).Draw(r, "address"))
	}
	fields = append(fields, `"event.category":`+rapid.SampledFrom([]string{
		`"process"`, `"file"`, `["process","file"]`, `["file","process","file"]`, `"a"`, "null", "5", `[5,"a"]`}).Draw(r, "category"))
	return strings.Join(fields, ",")
}

// pack makes n rules that look like those that people have: most ask for a
// category, an operating system, a type and one or more names.
func pack(n int, kind lang.Kind) []*rule.Rule {
	var rules []*rule.Rule
	for i := range n {
		name := func(k int) string { return fmt.Sprintf("tool%d", (i*7+k*13)%(n+20)) }
		start := fmt.Sprintf(`process where host.os.type == "linux" and event.type == "start" and event.action in ("exec", "exec_event") and process.name in (%q, %q, %q) and process.args == "-c" and not process.parent.executable in ("/usr/bin/a%d", "/usr/bin/b")`,
			name(0), name(1), name(2), i)
		then := fmt.Sprintf(`network where host.os.type == "linux" and event.action == "connection_attempted" and process.executable : ("/tmp/*", "/dev/shm/*", "/var/tmp/x%d") and destination.port == %d`, i, 1000+i)
		switch {
		case kind == lang.Sequences && i%9 == 0:
			then = fmt.Sprintf(`file where host.os.type == "linux" and event.action == "creation" and file.path like "/etc/conf%d/*"`, i)
			fallthrough
		case kind == lang.Sequences:
			rules = append(rules, eql(fmt.Sprint(i), fmt.Sprintf("sequence by host.id, process.entity_id with maxspan=1m [%s] [%s]", start, then)))
		case i%10 == 0:
			rules = append(rules, eql(fmt.Sprint(i), fmt.Sprintf(`file where host.os.type == "linux" and event.type != "deletion" and file.path : ("/etc/*%d", "/root/.%d*")`, i, i)))
		case i%10 == 1:
			rules = append(rules, eql(fmt.Sprint(i), then))
		case i%50 == 2: // nothing to look up: tried on every start of a process
			rules = append(rules, eql(fmt.Sprint(i), fmt.Sprintf(`process where host.os.type == "linux" and event.type == "start" and process.command_line like "*tool%d --evil*"`, i)))
		default:
			rules = append(rules, eql(fmt.Sprint(i), start))
		}
	}
	return rules
}

// wildcards makes n sequences of which no item asks for a whole text but the
// category of its events.
func wildcards(n int) []*rule.Rule {
	var rules []*rule.Rule
	for i := range n {
		rules = append(rules, eql(fmt.Sprint(i), fmt.Sprintf(`sequence by host.id, process.entity_id with maxspan=1m
			[process where process.name : ("tool%d*", "*%dtool") and process.command_line like~ ("*--evil%d*", "*/tmp/.x%d/*")]
			[process where process.executable : ("/tmp/x%d*", "/dev/shm/*.%d") and process.args : "*run?%d*"]`, i, i, i, i, i, i, i)))
	}
	return rules
}

const ordinary = `"host":{"id":"h1","os":{"type":"linux"}},"event":{"category":["process"],"type":["start"],"action":"exec"},
	"process":{"name":"ls","pid":4242,"entity_id":"e1","executable":"/usr/bin/ls","command_line":"ls -l -a /tmp","args":["ls","-l","-a","/tmp"],
	"parent":{"name":"bash","executable":"/usr/bin/bash"}},"user":{"id":"1000"}`

// BenchmarkProcess is what the engine takes for an event that no rule wants.
func BenchmarkProcess(b *testing.B) {
	run := func(name string, rules []*rule.Rule) {
		b.Run(name, func(b *testing.B) {
			g := newBench(b, detect.Options{Lateness: 10 * time.Second}, rules...)
			var e event.Event
			if err := g.decoder.Decode([]byte(doc(0, ordinary)), &e); err != nil {
				b.Fatal(err)
			}
			e.Origin.Source = "s"
			emit := func(a *alert.Alert) { b.Fatal("an alert") }
			b.ReportAllocs()
			for b.Loop() {
				e.Time = e.Time.Add(time.Millisecond)
				g.Process(&e, emit)
			}
		})
	}
	run("rules=1", pack(1, lang.Events))
	run("rules=1000", pack(1000, lang.Events))
	run("sequences=217", pack(217, lang.Sequences))
	run("sequences=217,rules=1000", append(pack(1000, lang.Events), pack(217, lang.Sequences)...))
	run("wildcards=217", wildcards(217))
}

// The engine does not allocate for an event that no rule wants.
func TestProcessAllocations(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: 10 * time.Second}, slices.Concat(pack(100, lang.Events), pack(50, lang.Sequences), wildcards(50))...)
	var e event.Event
	if err := b.decoder.Decode([]byte(doc(0, ordinary)), &e); err != nil {
		t.Fatal(err)
	}
	emit := b.emit
	if n := testing.AllocsPerRun(100, func() { b.Process(&e, emit) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if d := cmp.Diff("", b.raised()); d != "" {
		t.Error(d)
	}
}

// Of a field with more names than are remembered, and of values in which more is found,
// rules get what they want.
func TestIndexOfManyNames(t *testing.T) {
	var rules []*rule.Rule
	for i := range 1100 {
		rules = append(rules, eql(fmt.Sprint(i), fmt.Sprintf(`any where f in ("tool%d", "all%d") and g == "%d"`, i, i%50, i%3)))
	}
	indexed, naive := newBench(t, detect.Options{}, rules...), newBench(t, detect.Options{}, rules...)
	detect.TryAll(naive.Engine)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2500 {
		f := fmt.Sprintf("%q", fmt.Sprintf("tool%d", r.IntN(1200)))
		for range r.IntN(3) * r.IntN(20) {
			f += fmt.Sprintf(`,"%s%d"`, []string{"tool", "all"}[r.IntN(2)], r.IntN(60))
		}
		text := doc(float64(i), fmt.Sprintf(`"f":[%s],"g":"%d"`, f, r.IntN(4)))
		indexed.see("s", text)
		naive.see("s", text)
		if got, want := indexed.raised(), naive.raised(); got != want {
			t.Fatalf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	if n := indexed.Stats().Alerts; n < 500 {
		t.Errorf("%d alerts", n)
	}
}

// What is remembered of kinds of events stays right when there are more kinds than
// are remembered, long ones and ones that never come again.
func TestIndexForgetsKinds(t *testing.T) {
	var rules []*rule.Rule
	for i := range 100 {
		rules = append(rules, eql(fmt.Sprint(i), fmt.Sprintf(`process where event.type == "start" and event.action in ("exec", "fork") and process.name == "tool%d"`, i)))
	}
	indexed, naive := newBench(t, detect.Options{}, rules...), newBench(t, detect.Options{}, rules...)
	detect.TryAll(naive.Engine)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20000 {
		action := []string{"exec", "fork", "EXEC", "end"}[r.IntN(4)]
		switch phase := i / 5000; {
		case phase == 1 && r.IntN(4) > 0, phase == 3 && r.IntN(10) == 0:
			action = fmt.Sprint(r.Uint64())
		case phase == 2 && r.IntN(2) > 0:
			action = strings.Repeat("x", 200+r.IntN(200))
		}
		text := doc(float64(i), fmt.Sprintf(`"event":{"category":"process","type":["start",%q],"action":[%q,%q]},"process":{"name":"tool%d"}`,
			fmt.Sprint(r.IntN(3)), action, fmt.Sprint(r.IntN(3)), r.IntN(2000)))
		indexed.see("s", text)
		naive.see("s", text)
		if got, want := indexed.raised(), naive.raised(); got != want {
			t.Fatalf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	if n := indexed.Stats().Alerts; n < 100 {
		t.Errorf("%d alerts", n)
	}
}
