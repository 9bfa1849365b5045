// Efficacy measures the rules on labelled command lines of container runtimes:
//
//	go run ./cmd/efficacy FILE...
//
// Each line of a file is a command line and what an analyst on a production node
// wants of it: alert "yes", "no", or "depends", which is an alert of low severity
// unless it reaches the host. A table has a row for each tool and each class of
// behaviour, a second one for each class by each tool, with recall and precision of
// the pack beside those of the rule it grew from.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
)

// seedFile is the rule that the project grew from.
const seedFile = "execution_container_runtime_cli_suspicious_arguments.toml"

// A line is a labelled command line.
type line struct {
	ID         string          `json:"id"`
	Argv       []string        `json:"argv"`
	Executable string          `json:"executable"`
	Parent     string          `json:"parent"`
	Env        json.RawMessage `json:"env"` // a list of NAME=value, or an object
	Tool       string          `json:"tool"`
	Behaviours []string        `json:"behaviours"`
	HostAccess []string        `json:"host_access"`
	Alert      string          `json:"alert"`
	Transform  string          `json:"transform"` // how it was respelled, if it was
}

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: efficacy FILE...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	for _, name := range flag.Args() {
		lines, err := read(name)
		if err == nil {
			err = report(os.Stdout, lines)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "efficacy:", err)
			os.Exit(1)
		}
	}
}

func read(name string) ([]line, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []line
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	return lines, sc.Err()
}

// document is the event that a source such as Elastic Defend would send.
func (l *line) document(n int) []byte {
	exe, parent := l.Executable, l.Parent
	if exe == "" {
		exe = l.Argv[0]
	}
	if parent == "" {
		parent = "/bin/bash"
	}
	process := map[string]any{
		"name": exe[strings.LastIndexByte(exe, '/')+1:], "executable": exe, "args": l.Argv, "args_count": len(l.Argv),
		"command_line": strings.Join(l.Argv, " "), "pid": 1000 + n,
		"parent": map[string]any{"pid": 900, "executable": parent, "name": parent[strings.LastIndexByte(parent, '/')+1:]},
	}
	var env []string
	if json.Unmarshal(l.Env, &env) != nil {
		var pairs map[string]string
		if json.Unmarshal(l.Env, &pairs) == nil {
			for k, v := range pairs {
				env = append(env, k+"="+v)
			}
		}
	}
	if env != nil {
		process["env_vars"] = env
	}
	doc, err := json.Marshal(map[string]any{
		"@timestamp": 1777600000000 + 60_000*int64(n),
		"event":      map[string]any{"category": "process", "type": "start", "action": "exec"},
		"host":       map[string]any{"id": fmt.Sprint("h", n), "name": "worker-1", "os": map[string]any{"type": "linux"}},
		"user":       map[string]any{"id": "0", "name": "root"},
		"process":    process,
	})
	if err != nil {
		panic("efficacy: bug: " + err.Error())
	}
	return doc
}

var levels = map[string]int{"low": 1, "medium": 2, "high": 3, "critical": 4}

// judge runs rules over the lines and returns the highest severity for each, 0
// for none.
func judge(pack []*rule.Rule, lines []line) ([]int, error) {
	s := event.NewSchema()
	g := detect.New(detect.Options{Schema: s, Lateness: -1})
	if err := g.SetRules(pack); err != nil {
		return nil, err
	}
	tuning, err := agent.LoadTuning("", s)
	if err != nil {
		return nil, err
	}
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	top := make([]int, len(lines))
	var e event.Event
	for i := range lines {
		if err := d.Decode(lines[i].document(i), &e); err != nil {
			return nil, fmt.Errorf("%s: %w", lines[i].ID, err)
		}
		x.Apply(&e)
		tuning.Apply(&e)
		g.Process(&e, func(a *alert.Alert) {
			if !a.BuildingBlock {
				top[i] = max(top[i], levels[a.Severity])
			}
		})
	}
	return top, nil
}

// A score counts what the rules did with lines of one label.
type score struct{ hits, of int }

func (s score) String() string {
	if s.of == 0 {
		return "–"
	}
	return fmt.Sprintf("%d/%d (%.1f %%)", s.hits, s.of, 100*float64(s.hits)/float64(s.of))
}

// tally is a row of the table.
type tally struct {
	yes, depends, no [2]score // of the seed rule, of the pack
}

// recall is how many of the lines that want an alert have one.
func (t *tally) recall(which int) score { return t.yes[which] }

// precision is how many of the alerts are wanted. Not wanted are those that count
// at lines of the other labels.
func (t *tally) precision(which int) score {
	hits := t.yes[which].hits
	return score{hits, hits + t.no[which].hits + t.depends[which].hits}
}

// count adds a line: alerts count for yes, alerts at medium or above for no, and
// for depends unless the line reaches the host.
func (t *tally) count(l *line, which, top int) {
	add := func(s *score, hit bool) {
		s.of++
		if hit {
			s.hits++
		}
	}
	switch {
	case l.Alert == "yes":
		add(&t.yes[which], top > 0)
	case l.Alert == "no":
		add(&t.no[which], top >= 2)
	case len(l.HostAccess) == 0:
		add(&t.depends[which], top >= 2)
	}
}

// report writes the tables of lines, in Markdown.
func report(w io.Writer, lines []line) error {
	packs, err := packs()
	if err != nil {
		return err
	}
	var total tally
	tools, classes, crossed := map[string]*tally{}, map[string]*tally{}, map[string]*tally{}
	row := func(m map[string]*tally, k string) *tally {
		if m[k] == nil {
			m[k] = &tally{}
		}
		return m[k]
	}
	for which, p := range packs {
		top, err := judge(p, lines)
		if err != nil {
			return err
		}
		for i := range lines {
			l := &lines[i]
			total.count(l, which, top[i])
			row(tools, l.Tool).count(l, which, top[i])
			for _, b := range l.Behaviours {
				row(classes, b).count(l, which, top[i])
				row(crossed, b+" | "+l.Tool).count(l, which, top[i])
			}
		}
	}
	fmt.Fprintln(w, "| lines | recall, seed rule | recall, pack | precision, seed rule | precision, pack | no: medium or above, pack | depends: medium or above, pack |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, m := range []map[string]*tally{{"all": &total}, tools, classes} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			t := m[k]
			fmt.Fprintf(w, "| %s | %v | %v | %v | %v | %v | %v |\n", k, t.recall(0), t.recall(1), t.precision(0), t.precision(1), t.no[1], t.depends[1])
		}
	}
	fmt.Fprintln(w, "\n| behaviour | tool | recall, seed rule | recall, pack | precision, seed rule | precision, pack |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, k := range slices.Sorted(maps.Keys(crossed)) {
		if t := crossed[k]; t.recall(1).of+t.precision(0).of+t.precision(1).of > 0 { // else there is nothing to say
			fmt.Fprintf(w, "| %s | %v | %v | %v | %v |\n", k, t.recall(0), t.recall(1), t.precision(0), t.precision(1))
		}
	}
	return nil
}

// packs are the seed rule alone, and the whole pack.
func packs() ([2][]*rule.Rule, error) {
	var out [2][]*rule.Rule
	pack := rule.LoadFS(rules.FS, "rules")
	if len(pack.Errors) > 0 {
		return out, pack.Errors
	}
	for _, r := range pack.Rules {
		if strings.HasSuffix(r.File, seedFile) {
			out[0] = append(out[0], r)
		}
	}
	out[1] = pack.Rules
	return out, nil
}
