package agent_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

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

func seed(rs []*rule.Rule) []*rule.Rule {
	for _, r := range rs {
		if strings.HasSuffix(r.File, "execution_container_runtime_cli_suspicious_arguments.toml") {
			return []*rule.Rule{r}
		}
	}
	return nil
}
