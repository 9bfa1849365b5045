package detect_test

import (
	"fmt"
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

// An engine with an index raises what trying every query on every event raises,
// in the order of the rules.
func TestIndexIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var rules []*rule.Rule
		for i := range rapid.IntRange(1, 12).Draw(r, "rules") {
			rules = append(rules, eql(fmt.Sprint(i), drawQuery(r)))
		}
		b := newBench(r, detect.Options{Lateness: -1}, rules...)
		schema := event.NewSchema()
		d := event.NewDecoder(schema)
		var queries []*lang.Query
		matchers := map[int]*lang.Matcher{}
		for i, rl := range rules {
			q, err := lang.Compile(rl.Query, schema)
			if err != nil {
				r.Fatal(err)
			}
			queries = append(queries, q)
			if q.Kind() == lang.Sequences {
				matchers[i] = q.NewMatcher()
			}
		}
		sequences := make([]int, len(rules))
		for n := range rapid.IntRange(1, 12).Draw(r, "events") {
			text := doc(float64(n), drawFields(r))
			var e event.Event
			if err := d.Decode([]byte(text), &e); err != nil {
				r.Fatal(err)
			}
			var want []string
			for i, q := range queries {
				if m := matchers[i]; m != nil {
					m.Add(&e, func(lang.Match) { sequences[i]++ })
				} else if q.Match(&e) {
					want = append(want, fmt.Sprintf("%d@%d", i, n))
				}
			}
			b.see("s", text)
			if got := b.raised(); got != strings.Join(want, " ") {
				r.Errorf("%s\n got %s\nwant %s", text, got, strings.Join(want, " "))
			}
		}
		b.Flush(b.emit)
		got := make([]int, len(rules))
		for _, a := range b.alerts {
			if !a.BuildingBlock {
				var i int
				fmt.Sscan(a.RuleID, &i)
				got[i]++
			}
		}
		if !slices.Equal(got, sequences) {
			r.Errorf("sequences: got %v, want %v", got, sequences)
		}
	})
}

// drawQuery draws what the index looks at: texts, folded or not, numbers, dates,
// wildcards and what negates them, below and, or and not.
func drawQuery(r *rapid.T) string {
	category := rapid.SampledFrom([]string{"process", "file", "any", `"5"`})
	filter := func() string { return category.Draw(r, "category") + " where " + drawCondition(r, 3) }
	if rapid.IntRange(0, 3).Draw(r, "sequence") > 0 {
		return filter()
	}
	q := "sequence [" + filter() + "] [" + filter() + "]"
	if rapid.Bool().Draw(r, "runs") {
		q += " with runs=2"
	}
	if rapid.Bool().Draw(r, "until") {
		q += " until [" + filter() + "]"
	}
	return q
}

var indexTexts = []string{"a", "A", "b", "ab", "5", "5.0", "true", "2020-01-01", "2020-01-01T00:00:00Z", "", "é"}

func drawCondition(r *rapid.T, depth int) string {
	if depth > 0 && rapid.Bool().Draw(r, "nest") {
		x := drawCondition(r, depth-1)
		switch rapid.SampledFrom([]string{"and", "or", "not"}).Draw(r, "op") {
		case "and":
			return "(" + x + " and " + drawCondition(r, depth-1) + ")"
		case "or":
			return "(" + x + " or " + drawCondition(r, depth-1) + ")"
		default:
			return "not (" + x + ")"
		}
	}
	field := rapid.SampledFrom([]string{"f", "g", "event.category"}).Draw(r, "field")
	text := func() string { return `"` + rapid.SampledFrom(indexTexts).Draw(r, "text") + `"` }
	switch rapid.IntRange(0, 11).Draw(r, "leaf") {
	case 0:
		return field + " == " + text()
	case 1:
		return field + " != " + text()
	case 2:
		return field + " in (" + text() + ", " + text() + ", " + text() + ")"
	case 3:
		return field + " in~ (" + text() + ", " + text() + ")"
	case 4:
		return field + " : " + text()
	case 5:
		return field + " : (" + text() + ", " + text() + ")"
	case 6:
		return field + " like (" + text() + ", " + text() + ")"
	case 7:
		return field + ` like~ ("a*", ` + text() + ")"
	case 8:
		return field + rapid.SampledFrom([]string{" == 5", " in (5, 6)", " > 4", ` regex "a.*"`, " == true"}).Draw(r, "number")
	case 9:
		return field + rapid.SampledFrom([]string{" == null", " != null"}).Draw(r, "null")
	case 10:
		return "length(" + field + ") > 0"
	}
	return rapid.SampledFrom([]string{"true", "false"}).Draw(r, "constant")
}

func drawFields(r *rapid.T) string {
	value := func() string {
		s := rapid.SampledFrom(indexTexts).Draw(r, "value")
		return rapid.SampledFrom([]string{`"` + s + `"`, `"` + s + `"`, "5", "5.0", "true", "null", `"ABC"`}).Draw(r, "as")
	}
	var fields []string
	for _, f := range []string{"f", "g"} {
		switch rapid.IntRange(0, 3).Draw(r, "count") {
		case 0:
		case 1:
			fields = append(fields, fmt.Sprintf("%q:%s", f, value()))
		default:
			fields = append(fields, fmt.Sprintf("%q:[%s,%s,%s]", f, value(), value(), value()))
		}
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
}

// The engine does not allocate for an event that no rule wants.
func TestProcessAllocations(t *testing.T) {
	b := newBench(t, detect.Options{Lateness: 10 * time.Second}, append(pack(100, lang.Events), pack(50, lang.Sequences)...)...)
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
