package agent_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/source"
)

// mixture is n pieces of what files of documents are made of: lines with a document for
// the most part, and now and then anything else, among it what begins on one line and ends
// on another.
func mixture(r *rand.Rand, n, odd int) string {
	var b strings.Builder
	at := 0
	doc := func() string {
		at += r.IntN(900)
		pid := 100 + r.IntN(40)
		name := []string{"ctr", "bash", "runc", "ls"}[r.IntN(4)]
		return fmt.Sprintf(`{"@timestamp":%d,"event":{"category":["process"],"type":["start"]},"host":{"name":"h%d","os":{"type":"linux"}},"process":{"pid":%d,"ppid":%d,"name":%q,"args":[%q,"x%d"],"Ext":{"note":%q}},"message":%q}`,
			1767225600000+at, r.IntN(2), pid, 100+r.IntN(40), name, name, r.IntN(9), strings.Repeat("n", r.IntN(30)), strings.Repeat("m ", r.IntN(400)))
	}
	for range n {
		if r.IntN(odd) > 0 {
			b.WriteString(doc() + "\n")
			continue
		}
		switch r.IntN(12) {
		case 0:
			b.WriteString("no document\n")
		case 1:
			b.WriteString(`{"broken":` + "\n")
		case 2:
			b.WriteString("[" + doc() + ",\n" + doc() + "]\n")
		case 3:
			b.WriteString(`{"index":{"_id":"7"}}` + "\n" + doc() + "\n")
		case 4:
			b.WriteString(`{"_id":"a` + fmt.Sprint(r.IntN(1000)) + `","_index":"logs","_source":` + doc() + "}\n")
		case 5:
			b.WriteString(doc() + doc() + "\n")
		case 6:
			b.WriteString(strings.Replace(doc(), `,"host"`, ",\n  \"host\"", 1) + "\n")
		case 7:
			b.WriteString("\n \n\r\n" + doc() + " \r\n")
		case 8:
			b.WriteString("  " + doc() + "\n")
		case 9:
			b.WriteString(`{"took":1,"hits":{"hits":[{"_id":"x","_source":` + doc() + `}]}}` + "\n")
		case 10:
			b.WriteString("{\"bad\":\"\xff\"}\n")
		case 11:
			b.WriteString(`{"long":"` + strings.Repeat("l", 200_000) + `"}` + "\n")
		}
	}
	if r.IntN(2) == 0 {
		b.WriteString(doc())
	}
	return b.String()
}

// However many cores there are, the same comes of a file: the same alerts, in the same
// order, the same rejections and the same counts.
func TestDetectIsTheSameOnManyCores(t *testing.T) {
	rules := []*rule.Rule{
		{ID: "one", Name: "One", Type: "eql", Language: "eql", Enabled: true, Severity: "low", Query: syntax.Source{Text: `process where process.name == "ctr" and process.args == "x3"`}},
		{ID: "two", Name: "Two", Type: "eql", Language: "eql", Enabled: true, Severity: "low", Query: syntax.Source{Text: `sequence by host.name with maxspan=2s [process where process.name == "runc"] [process where process.parent.name == "bash"]`}},
	}
	seeds := 8
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		files := []string{}
		for i, odd := range []int{1_000_000, 400, 3} {
			name := filepath.Join(t.TempDir(), fmt.Sprint(i, ".ndjson"))
			text := mixture(r, 1500, odd)
			if i == 1 { // More of them than a batch may have, and nothing says so before.
				text += strings.Repeat(`{"process":{"pid":1}}`+"\n", 3000) + mixture(r, 100, odd)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			files = append(files, name)
		}
		for _, mode := range []struct {
			enrich   bool
			lateness time.Duration
		}{{false, -1}, {true, -1}, {true, 2 * time.Second}, {false, 2 * time.Second}} {
			var want string
			for _, cores := range []int{1, 2, 5} {
				got := detected(t, cores, rules, files, mode.enrich, mode.lateness)
				if cores == 1 {
					want = got
					if n := strings.Count(got, "kibana.alert.uuid"); n < 50 {
						t.Fatalf("%d alerts say little", n)
					}
				} else if got != want {
					t.Fatalf("seed %d, %+v: with %d cores %s", seed, mode, cores, difference(want, got))
				}
			}
		}
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return fmt.Sprintf("line %d of %d, of %d:\ngot  %.600s\nwant %.600s", i, len(w), len(g), append(g, "")[min(i, len(g))], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// detected is all that can be seen of a run.
func detected(t *testing.T, cores int, rules []*rule.Rule, files []string, enrich bool, lateness time.Duration) string {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	schema := event.NewSchema()
	g := detect.New(detect.Options{Schema: schema, Lateness: lateness, Now: func() time.Time { return time.Unix(1767300000, 0) }})
	if err := g.SetRules(rules); err != nil {
		t.Fatal(err)
	}
	inputs, err := source.Open(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	p := agent.Replay{Schema: schema, Enrich: enrich, Inputs: inputs, Reject: func(r source.Rejection) {
		fmt.Fprintf(&out, "%s %s %.80q\n", &r, r.Class, r.Data)
	}}
	p.Ended = func(in *source.Input) {
		g.Ended(in.Name(), func(a *alert.Alert) { out.Write(append(a.AppendJSON(nil), '\n')) })
	}
	events := 0
	err = p.Detect(context.Background(), g, func(a *alert.Alert) { out.Write(append(a.AppendJSON(nil), '\n')) }, func(n int) error {
		events += n
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Flush(func(a *alert.Alert) { out.Write(append(a.AppendJSON(nil), '\n')) })
	fmt.Fprintf(&out, "%+v\n%d %v %v %v %v\n", g.Stats(), events, p.Stats.Lines.Load(), p.Stats.Events.Load(), p.Stats.Rejected.Load(), p.Stats.Bytes.Load())
	for _, s := range g.Rules() {
		fmt.Fprintln(&out, s.Rule.ID, s.Alerts)
	}
	return out.String()
}

// An error of step ends a run, and one that has begun is not waited for by anybody.
func TestDetectEndsWithTheErrorOfStep(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.ndjson")
	if err := os.WriteFile(name, []byte(mixture(rand.New(rand.NewPCG(1, 1)), 3000, 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	inputs, err := source.Open([]string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	schema := event.NewSchema()
	p := agent.Replay{Schema: schema, Inputs: inputs}
	full := errors.New("full")
	err = p.Detect(context.Background(), detect.New(detect.Options{Schema: schema}), func(*alert.Alert) {}, func(int) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}
