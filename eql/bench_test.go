package eql_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
)

// seed is the query of the rule that the project was born from, as seed/rule.md
// states it.
const seed = `process where host.os.type == "linux" and event.type == "start" and event.action in ("exec", "executed") and
(
  (
    process.name in ("ctr", "crictl", "nerdctl") and
    (
      (process.args == "tasks" and process.args == "exec") or
      (process.args == "run" and process.args in ("--privileged", "--rm", "--mount", "--net-host", "--pid-host")) or
      (process.args == "snapshots" and process.args == "mount")
    )
  ) or
  (
    (process.executable like ("/dev/shm/*", "/tmp/*", "/var/tmp/*") or process.name : ".*") and
    process.args like ("*containerd.sock*", "k8s.io")
  )
) and
not process.parent.executable in (
  "/usr/bin/kubelet", "/usr/local/bin/kubelet",
  "/usr/bin/containerd", "/usr/sbin/containerd",
  "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/sbin/init"
)`

const process = `{"@timestamp":"2026-04-29T00:00:00Z","host":{"os":{"type":"linux"},"id":"h1"},"event":{"category":["process"],"type":["start"],"action":"exec"},` +
	`"process":{"name":%q,"executable":%q,"args":%s,"entity_id":"e1","pid":4711,"parent":{"name":"bash","executable":"/usr/bin/bash"}},"user":{"name":"root"}}`

var (
	hit  = fmt.Sprintf(process, "nerdctl", "/usr/bin/nerdctl", `["nerdctl","--namespace","k8s.io","run","--rm","--privileged","-v","/:/host","alpine"]`)
	miss = fmt.Sprintf(process, "ls", "/usr/bin/ls", `["ls","-la","--color=auto","/var/log"]`)
)

func decode(tb testing.TB, s *event.Schema, doc string) *event.Event {
	tb.Helper()
	var e event.Event
	if err := event.NewDecoder(s).Decode([]byte(doc), &e); err != nil {
		tb.Fatal(err)
	}
	return &e
}

func mustCompile(tb testing.TB, s *event.Schema, text string) *eql.Query {
	tb.Helper()
	q, err := eql.Compile(syntax.Source{Text: text}, s)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

// quiet are event queries that must match without allocating.
func quiet() map[string]string {
	var patterns, words []string
	for i := range 1000 {
		patterns = append(patterns, fmt.Sprintf(`"/opt/app%d/*/bin"`, i))
		words = append(words, fmt.Sprintf(`"word%d"`, i))
	}
	return map[string]string{
		"seed":          seed,
		"in 1000":       "any where process.args in (" + strings.Join(words, ", ") + ")",
		"in~ 1000":      "any where process.args in~ (" + strings.Join(words, ", ") + ")",
		"like 1000":     "any where process.args : (" + strings.Join(patterns, ", ") + ")",
		"regex":         `any where process.executable regex "/(usr|opt)/.*/[a-z]+ctl"`,
		"regex dfa":     `any where process.executable regex "/(usr|opt)/@&~(.*ctl)"`,
		"startsWith":    `any where startsWith(process.executable, "/usr/lib")`,
		"length":        `any where length(process.name) > 30`,
		"number":        `any where process.pid + 1 > 5000`,
		"comparison":    `any where process.pid > 5000`,
		"missing field": `any where not process.code_signature.trusted == true and process.name == "x"`,
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	s := event.NewSchema()
	for name, text := range quiet() {
		q := mustCompile(t, s, text)
		for _, doc := range []string{hit, miss} {
			e := decode(t, s, doc)
			if n := testing.AllocsPerRun(100, func() { q.Match(e) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	}
	if q := mustCompile(t, s, seed); !q.Match(decode(t, s, hit)) || q.Match(decode(t, s, miss)) {
		t.Error("the seed rule does not tell the two events apart")
	}
}

func BenchmarkMatch(b *testing.B) {
	s := event.NewSchema()
	for name, text := range quiet() {
		q := mustCompile(b, s, text)
		for kind, doc := range map[string]string{"hit": hit, "miss": miss} {
			e := decode(b, s, doc)
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					q.Match(e)
				}
			})
		}
	}
}

// rules are 217 sequence queries, as many as the largest public pack has, none
// of which wants the event miss.
func rules(tb testing.TB, s *event.Schema) []*eql.Matcher {
	var ms []*eql.Matcher
	for i := range 217 {
		q := mustCompile(tb, s, fmt.Sprintf(`sequence by host.id, process.entity_id with maxspan=5m
			[process where host.os.type == "linux" and event.type == "start" and process.name : ("tool%d", "other%d*") and process.args : "-x"]
			[network where event.action == "connection_attempted" and not cidrMatch(destination.ip, "10.0.0.0/8", "127.0.0.0/8")]`, i, i))
		ms = append(ms, q.NewMatcher())
	}
	return ms
}

// One event that no item wants, given to every matcher.
func BenchmarkAddToAll(b *testing.B) {
	s := event.NewSchema()
	ms := rules(b, s)
	e := decode(b, s, miss)
	b.ReportAllocs()
	for b.Loop() {
		for _, m := range ms {
			m.Add(e, func(eql.Match) {})
		}
	}
}

// Every event opens a sequence of its own key, and the next completes it.
func BenchmarkAddCompletes(b *testing.B) {
	s := event.NewSchema()
	q := mustCompile(b, s, `sequence by process.entity_id with maxspan=5m [process where event.type == "start"] [process where event.type == "end"]`)
	start, end := decode(b, s, miss), decode(b, s, strings.Replace(miss, `"start"`, `"end"`, 1))
	m := q.NewMatcher()
	b.ReportAllocs()
	for b.Loop() {
		m.Add(start, func(eql.Match) {})
		m.Add(end, func(eql.Match) {})
	}
}

func BenchmarkCompileSeed(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustCompile(b, event.NewSchema(), seed)
	}
}

// Many sequences are pending, one expires with each event and one begins.
func BenchmarkAddAmongPending(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := event.NewSchema()
			q := mustCompile(b, s, fmt.Sprintf(`sequence by process.entity_id with maxspan=%ds [process where true] [file where true]`, n))
			m := q.NewMatcher()
			d := event.NewDecoder(s)
			docs := make([][]byte, n+10)
			for i := range docs {
				docs[i] = []byte(strings.Replace(miss, `"e1"`, fmt.Sprintf(`"e%d"`, i), 1))
			}
			var e event.Event
			i := 0
			add := func() { // decoding is part of it, about a microsecond
				if err := d.Decode(docs[i%len(docs)], &e); err != nil {
					b.Fatal(err)
				}
				i++
				e.Time = time.Unix(int64(i), 0)
				m.Add(&e, func(eql.Match) {})
			}
			for range n {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
			}
		})
	}
}
