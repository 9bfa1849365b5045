package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/valyala/fastjson"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
	"github.com/orlop/orlop/source"
)

// BenchmarkScan runs the seed rule over 4 kB process documents, from lines of
// text to verdicts, with and without the process table. fastjson merely parses
// the same lines. Compare MB/s.
func BenchmarkScan(b *testing.B) {
	const n = 1024
	text := documents(b, n)
	pack := rule.LoadFS(rules.FS, "rules")
	pack.Rules = seed(pack.Rules)
	scan := func(enrich bool) func(*testing.B) {
		return func(b *testing.B) {
			schema := event.NewSchema()
			g := detect.New(detect.Options{Schema: schema, Lateness: -1})
			if err := g.SetRules(pack.Rules); err != nil {
				b.Fatal(err)
			}
			emit := func(*alert.Alert) { b.Fatal("an alert") }
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				p := agent.Replay{Schema: schema, Enrich: enrich, Inputs: []*source.Input{source.NewInput("bench", bytes.NewReader(text))}}
				err := p.Run(context.Background(), func(e *event.Event) error { g.Process(e, emit); return nil })
				if err != nil || p.Stats.Events.Load() != n {
					b.Fatalf("%d events, error %v", p.Stats.Events.Load(), err)
				}
			}
		}
	}
	b.Run("orlop", scan(false))
	b.Run("orlop-enriched", scan(true))
	b.Run("fastjson", func(b *testing.B) {
		var p fastjson.Parser
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			for line := range bytes.Lines(text) {
				if _, err := p.ParseBytes(line); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkRules runs many rules over the events of a workday, from lines of text
// to verdicts, and one rule in turns with them: times-of-one is what the many
// take of what the one takes, each in its fastest run, which others on the machine
// disturbed least.
func BenchmarkRules(b *testing.B) {
	const n = 1000
	text := workday(b, n)
	scan := func(b *testing.B, rules []*rule.Rule) func() {
		schema := event.NewSchema()
		g := detect.New(detect.Options{Schema: schema, Lateness: 10 * time.Second})
		if err := g.SetRules(rules); err != nil {
			b.Fatal(err)
		}
		emit := func(*alert.Alert) { b.Fatal("an alert") }
		return func() {
			p := agent.Replay{Schema: schema, Inputs: []*source.Input{source.NewInput("bench", bytes.NewReader(text))}}
			err := p.Run(context.Background(), func(e *event.Event) error { g.Process(e, emit); return nil })
			if err != nil || p.Stats.Events.Load() != n {
				b.Fatalf("%d events, error %v", p.Stats.Events.Load(), err)
			}
		}
	}
	for _, k := range []int{10, 100, 1000, 2000} {
		b.Run(fmt.Sprintf("rules=%d", k), func(b *testing.B) {
			one, many := scan(b, manyRules(1)), scan(b, manyRules(k))
			ofOne, ofMany := time.Hour, time.Hour
			one()
			many()
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				one()
				middle := time.Now()
				many()
				ofOne = min(ofOne, middle.Sub(start))
				ofMany = min(ofMany, time.Since(middle))
			}
			b.ReportMetric(float64(ofMany)/float64(ofOne), "times-of-one")
			b.ReportMetric(float64(ofMany.Nanoseconds())/n, "ns/event")
			b.ReportMetric(float64(len(text))/ofMany.Seconds()/1e6, "MB/s")
		})
	}
}

// BenchmarkLoad reads 2,000 rule files and gives them to an engine. live-MB is
// what both keep.
func BenchmarkLoad(b *testing.B) {
	const n = 2000
	files := fstest.MapFS{}
	for _, r := range manyRules(n) {
		files[r.ID+".toml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "[rule]\nname = %q\nrule_id = %q\ndescription = \"d\"\nauthor = [\"a\"]\nseverity = \"low\"\nrisk_score = 21\ntype = \"eql\"\nlanguage = \"eql\"\nquery = '''\n%s\n'''\n", r.Name, r.ID, r.Query.Text)}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var kept any
	b.ReportAllocs()
	for b.Loop() {
		pack := rule.LoadFS(files, ".")
		if len(pack.Errors) > 0 || len(pack.Rules) != n {
			b.Fatal(len(pack.Rules), pack.Errors.Report())
		}
		g := detect.New(detect.Options{Schema: event.NewSchema(), Lateness: 10 * time.Second})
		if err := g.SetRules(pack.Rules); err != nil {
			b.Fatal(err)
		}
		kept = []any{pack, g}
	}
	b.ReportMetric(float64(heap()-before)/1e6, "live-MB")
	runtime.KeepAlive(kept)
}

func seed(rs []*rule.Rule) []*rule.Rule {
	for _, r := range rs {
		if strings.HasSuffix(r.File, "execution_container_runtime_cli_suspicious_arguments.toml") {
			return []*rule.Rule{r}
		}
	}
	return nil
}
