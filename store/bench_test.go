package store_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/store"
	"github.com/orlop/orlop/store/storetest"
)

var (
	benchAlerts = flag.Int("alerts", 100_000, "how many alerts a store has in benchmarks")
	benchStore  = flag.String("filled", "", "a file that BenchmarkPages fills, if it is not there, and asks, instead of one that goes")
)

// cpu is how long this process has computed: what a machine that has nothing else to do
// would have taken, also if this one has.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A maker makes alerts as the engine does, of a fleet: 60 rules, 400 hosts, some of which
// are much louder than others, 200 users, command lines of which half are unique.
type maker struct {
	t     testing.TB
	r     *rand.Rand
	s     *event.Schema
	d     *event.Decoder
	mk    *alert.Maker
	rules []*rule.Rule
	n     int
}

func newMaker(t testing.TB) *maker {
	s := event.NewSchema()
	m := &maker{t: t, r: rand.New(rand.NewPCG(1, 2)), s: s, d: event.NewDecoder(s), mk: alert.NewMaker(s)}
	for i := range 60 {
		severity := []string{"low", "medium", "high", "critical"}[i%4]
		r, _, err := rule.Parse("rule.toml", fmt.Appendf(nil, `[rule]
author = ["Orlop"]
description = "Tells when somebody does thing %d below the API, which is not what a node is for. %[2]s"
name = "Thing %[1]d below the API"
risk_score = %[1]d
rule_id = "5a1d0000-0000-4000-8000-%012[1]d"
severity = %[3]q
tags = ["OS: Linux", "Domain: Container", "Use Case: Threat Detection", "Tactic: T%[4]d"]
type = "eql"
note = %[5]q
query = '''process where event.type == "start" and process.name : ("ctr", "crictl", "nerdctl") and not process.parent.executable : "/opt/%[1]d/*"'''
`, i, strings.Repeat("It matters. ", 20), severity, i%12, strings.Repeat("Look at the parent, then at the image. ", 30)))
		if err != nil {
			t.Fatal(err)
		}
		m.rules = append(m.rules, r)
	}
	return m
}

// zipf is a number below n, low ones being much more frequent.
func (m *maker) zipf(n int) int {
	f := m.r.Float64()
	return int(f * f * f * float64(n))
}

func (m *maker) alert(at time.Time) *alert.Alert {
	m.n++
	host, user := m.zipf(400), m.zipf(200)
	tool := []string{"ctr", "crictl", "nerdctl", "runc", "docker", "bash", "python3"}[m.zipf(7)]
	args := []string{tool, "-n", "k8s.io", "task", "exec", "--exec-id", "x", fmt.Sprintf("%x", m.zipf(1000)), "sh"}
	if m.r.IntN(2) == 0 {
		args[6] = fmt.Sprintf("%016x", m.r.Uint64())
	}
	doc, err := json.Marshal(map[string]any{
		"@timestamp": at.Format(time.RFC3339Nano),
		"event":      map[string]any{"kind": "event", "category": []string{"process"}, "type": []string{"start"}, "action": "exec", "module": "orlop", "sequence": m.n},
		"host":       map[string]any{"name": fmt.Sprintf("node-%03d", host), "id": fmt.Sprintf("%032x", host), "os": map[string]any{"type": "linux", "kernel": "6.1.0"}, "ip": []string{fmt.Sprintf("10.0.%d.%d", host/250, host%250), "::1"}},
		"agent":      map[string]any{"id": fmt.Sprintf("a%d", host), "type": "orlop", "version": "0.1.0"},
		"user":       map[string]any{"name": fmt.Sprintf("user%d", user), "id": fmt.Sprint(user)},
		"process": map[string]any{
			"pid": m.r.IntN(1 << 22), "name": tool, "executable": "/usr/bin/" + tool, "args": args, "args_count": len(args), "command_line": strings.Join(args, " "),
			"entity_id": fmt.Sprintf("%016x", m.r.Uint64()), "start": at.Format(time.RFC3339Nano), "working_directory": "/root",
			"parent": map[string]any{"pid": m.r.IntN(1 << 22), "name": "bash", "executable": "/usr/bin/bash", "command_line": "-bash", "entity_id": fmt.Sprintf("%016x", m.r.Uint64())},
		},
		"container": map[string]any{"id": fmt.Sprintf("%064x", m.zipf(5000)), "image": map[string]any{"name": fmt.Sprintf("registry/app%d:1", m.zipf(50))}},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	var e event.Event
	if err := m.d.Decode(doc, &e); err != nil {
		m.t.Fatal(err)
	}
	a, err := m.mk.Event(m.rules[m.zipf(len(m.rules))], &e, alert.Match{Now: at, Explain: map[string]any{"clause": "process.name : (\"ctr\", …)", "held": true, "fields": []any{map[string]any{"field": "process.name", "value": tool}}}})
	if err != nil {
		m.t.Fatal(err)
	}
	return a
}

// facets are those of the alerts page.
var facets = []string{store.FieldStatus, "kibana.alert.severity", "kibana.alert.rule.name", "host.name", "user.name", "process.name", "container.image.name", store.FieldAssignees}

// pageQuery is one that the alerts page may ask.
func pageQuery(r *rand.Rand, from, to time.Time) (q store.Query, what string) {
	pick := func(l ...string) string { return l[r.IntN(len(l))] }
	q.Limit = 50
	for _, f := range facets {
		q.Facets = append(q.Facets, store.Facet{Field: f})
	}
	q.Histogram = &store.Histogram{Interval: to.Sub(from) / 60, By: "kibana.alert.severity"}
	filter := func(field, value string, not bool) {
		q.Filters = append(q.Filters, store.Filter{Field: field, Values: []string{value}, Not: not})
	}
	what = pick("all", "filter", "filters", "not", "text", "where", "where in KQL", "group", "groups", "time", "other field", "sort", "deep page", "rare")
	switch what {
	case "filter":
		filter(pick("host.name"), fmt.Sprintf("node-%03d", r.IntN(400)), false)
	case "filters":
		filter("kibana.alert.severity", pick("low", "high"), false)
		filter(store.FieldStatus, pick("open", "closed"), false)
		filter("process.name", pick("ctr", "bash"), false)
	case "not":
		filter("user.name", "user0", true)
		filter("kibana.alert.rule.name", "Thing 0 below the API", true)
	case "text":
		q.Text = pick("crictl", "node-00 exec", "user1", fmt.Sprintf("%04x", r.IntN(1<<16)))
	case "where":
		var err error
		if q.Where, err = store.ParseWhere(pick(`process.command_line : "*exec-id*f*" and not host.name : "node-0*"`, `process.args_count > 3 and length(process.name) == 3`, `process.pid > 1000000`)); err != nil {
			panic(err)
		}
	case "where in KQL": // those of where, and words among conditions
		if _, err := q.Ask(pick(`process.command_line: *exec-id*f* and not host.name: node-0*`, `process.args_count > 3 and process.name: (ctr or *c)`, `process.pid > 1000000`, `crictl and not user.name: user0`)); err != nil {
			panic(err)
		}
	case "group":
		q.GroupBy = []string{pick("host.name", "kibana.alert.rule.name", "process.command_line")}
	case "groups":
		q.GroupBy = []string{"kibana.alert.rule.name", "host.name", "user.name"}
	case "time":
		q.From = from.Add(time.Duration(r.Float64() * float64(to.Sub(from))))
		q.To = q.From.Add(to.Sub(from) / 30)
	case "other field":
		filter(pick("process.working_directory", "agent.id", "host.ip", "kibana.alert.rule.tags"), pick("/root", "a7", "10.0.0.7", "Tactic: T3"), false)
	case "sort":
		q.Sort = store.Sort{Field: pick("kibana.alert.risk_score", "host.name", "process.command_line"), Ascending: r.IntN(2) == 0}
	case "rare":
		filter("container.id", fmt.Sprintf("%064x", r.IntN(5000)), false)
	}
	return q, what
}

// BenchmarkPages fills a store and asks it what the alerts page does. make bench-store
// runs it with a million alerts.
func BenchmarkPages(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			name := ""
			if kind == "sqlite" {
				name = sqliteName(b)
			} else {
				name = storetest.Postgres(b)
			}
			filled := false
			if kind == "sqlite" && *benchStore != "" {
				name = *benchStore
				_, err := os.Stat(name)
				filled = err == nil
			}
			s := open(b, name)
			m := newMaker(b)
			from, to := now.AddDate(0, 0, -30), now
			n := *benchAlerts
			const batch = 100
			var took, worked time.Duration
			var size int
			var some []string
			for i := 0; i < n && !filled; i += batch {
				var as []*alert.Alert
				for k := range batch {
					a := m.alert(from.Add(to.Sub(from) / time.Duration(n) * time.Duration(i+k)))
					as = append(as, a)
					size += len(a.AppendJSON(nil))
				}
				some = append(some, as[0].ID)
				start, busy := time.Now(), cpu()
				if _, err := s.Insert(b.Context(), as[batch-1].Time, as); err != nil {
					b.Fatal(err)
				}
				took += time.Since(start)
				worked += cpu() - busy
			}
			for part := range slices.Chunk(some, 1000) {
				if _, err := s.Update(b.Context(), ann, now, part, store.Change{Status: store.StatusClosed, Assign: []string{"ann"}}); err != nil {
					b.Fatal(err)
				}
			}
			info, err := s.Info(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			s.Close()
			s = open(b, name)
			r := rand.New(rand.NewPCG(3, 4))
			start := time.Now()
			q, _ := pageQuery(rand.New(rand.NewPCG(0, 0)), from, to)
			q.Filters, q.Where, q.Text, q.GroupBy, q.From, q.To, q.Sort = nil, nil, "", nil, time.Time{}, time.Time{}, store.Sort{}
			if _, err := s.Query(b.Context(), &q); err != nil {
				b.Fatal(err)
			}
			first := time.Since(start)
			by := map[string][]time.Duration{}
			var all, cold, busy []time.Duration
			seen := map[string]bool{}
			for i := range 600 {
				q, what := pageQuery(r, from, to)
				if what == "deep page" {
					res, err := s.Query(b.Context(), &store.Query{From: from.Add(to.Sub(from) / 2), Limit: 1, Sort: store.Sort{Ascending: true}})
					if err != nil || len(res.Records) == 0 {
						b.Fatal(err)
					}
					q.After = res.Records[0].Cursor
				}
				start, began := time.Now(), cpu()
				if _, err := s.Query(b.Context(), &q); err != nil {
					b.Fatal(err)
				}
				d, c := time.Since(start), cpu()-began
				// The first that names a field reads its column.
				key := fmt.Sprint(what, q.GroupBy, q.Sort.Field, q.Where)
				for _, f := range q.Filters {
					key += f.Field
				}
				if !seen[key] || i < 60 {
					seen[key] = true
					cold = append(cold, d)
					continue
				}
				by[what] = append(by[what], c)
				all, busy = append(all, d), append(busy, c)
			}
			at := func(ds []time.Duration, p float64) float64 {
				slices.Sort(ds)
				return float64(ds[int(p*float64(len(ds)-1))].Microseconds()) / 1000
			}
			if testing.Verbose() || n >= 1_000_000 {
				if !filled {
					fmt.Fprintf(os.Stderr, "%s: %d alerts of %d bytes on average, %d on disk each; inserted %d at a time: %.0f/s, %.0f in a second of CPU\n",
						info.Kind, n, size/n, info.Bytes/int64(n), batch, float64(n)/took.Seconds(), float64(n)/worked.Seconds())
				}
				fmt.Fprintf(os.Stderr, "  page, ms: median %.1f, p99 %.1f, max %.1f; of CPU: median %.1f, p99 %.1f, max %.1f\n", at(all, .5), at(all, .99), at(all, 1), at(busy, .5), at(busy, .99), at(busy, 1))
				fmt.Fprintf(os.Stderr, "  first after a start %d; first to name a field: median %.0f, max %.0f; then, of CPU:\n", first.Milliseconds(), at(cold, .5), at(cold, 1))
				var names []string
				for w := range by {
					names = append(names, w)
				}
				slices.Sort(names)
				for _, w := range names {
					fmt.Fprintf(os.Stderr, "    %-12s median %6.1f  max %6.1f  of %d\n", w, at(by[w], .5), at(by[w], 1), len(by[w]))
				}
			}
			b.ReportMetric(float64(n)/took.Seconds(), "alerts/s")
			b.ReportMetric(at(all, .5), "median-ms")
			b.ReportMetric(at(all, .99), "p99-ms")
			for b.Loop() {
				q, _ := pageQuery(r, from, to)
				if _, err := s.Query(b.Context(), &q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
