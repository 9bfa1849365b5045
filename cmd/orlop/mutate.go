package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
)

func newRulesMutate() *cobra.Command {
	const help = `Mutate takes the events that rules must match by their own [[test]]s and spells
their command lines in every other way that the tool takes: aliases, forms and
order of flags, the environment, configuration files, working directories, wrappers,
launchers, copies under another name, padding. It says how many of each kind the rule sees, how many all loaded rules
see together, and prints the spellings that nothing sees.

A renamed copy is tried twice: as a source reports it that can read the program
(Orlop's live sensor), and by its line alone, which need not give it away. Nor
need a line whose address is in a configuration file: its connect does.

Of a wrapper (sudo, sh -c, nsenter) its own line alone is looked at. A rule on
plain process.args that misses it may still see the program that the wrapper
starts, whose event follows on a host and is not made up here.`
	var (
		paths  []string
		output string
	)
	cmd := &cobra.Command{
		Use:   "mutate [PATH|ID|NAME...]",
		Short: "Try the other spellings of what rules match",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop rules mutate
  orlop rules mutate "Container Runtime CLI Execution"
  orlop rules mutate --rules my.toml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := newPrinter(cmd, output)
			if err != nil {
				return err
			}
			var files, names []string
			for _, a := range args {
				if strings.HasSuffix(a, ".toml") || exists(a) {
					files = append(files, a)
				} else {
					names = append(names, a)
				}
			}
			c, err := compile(append(paths, files...))
			if err != nil {
				return err
			}
			chosen, err := choose(c.statuses, names)
			if err != nil {
				return err
			}
			m, err := newMutation(c.pack.Rules)
			if err != nil {
				return &failure{exitUsage, err}
			}
			for _, s := range chosen {
				if s.Idle == "" {
					if err := m.try(s.Rule); err != nil {
						return &failure{exitUsage, err}
					}
				}
			}
			if out.form == "table" {
				out.write([]byte(m.table()))
			} else {
				for _, k := range m.kinds {
					doc, err := json.Marshal(k)
					if err != nil {
						return err
					}
					out.print(doc, nil)
				}
			}
			if err := out.close(); err != nil {
				return err
			}
			w := cmd.ErrOrStderr()
			missed, tried := 0, 0
			for _, k := range m.kinds {
				tried += k.Spellings
				if k.Gate {
					missed += k.Spellings - k.Pack
				}
			}
			if tried > 0 {
				fmt.Fprintln(w, "Of a wrapper, such as sudo, its own line alone is looked at: the event of what it starts is not.")
			}
			fmt.Fprintf(w, "%s of %s; %s that nothing sees\n", count(tried, "spelling"), count(m.commands, "command"), count(missed, "spelling"))
			if tried == 0 {
				return usage("none of the rules has a test with a runtime's command line")
			}
			if missed > 0 {
				return errFindings
			}
			return nil
		},
	}
	addRules(cmd, &paths)
	addOutput(cmd, &output)
	return cmd
}

// A mutationKind is one kind of respelling and what was seen of it.
type mutationKind struct {
	How       string     `json:"how"`
	Spellings int        `json:"spellings"`
	Rule      int        `json:"seen_by_rule"`
	Pack      int        `json:"seen_by_all_rules"`
	Gate      bool       `json:"must_be_seen"`
	Missed    [][]string `json:"missed,omitempty"` // arguments that nothing sees
}

// A mutation tries respellings on a rule and on all loaded rules.
type mutation struct {
	all      *judge
	kinds    []*mutationKind
	commands int
	n        int
}

func newMutation(rules []*rule.Rule) (*mutation, error) {
	all, err := newJudge(rules)
	return &mutation{all: all}, err
}

func (m *mutation) kind(how string, gate bool) *mutationKind {
	for _, k := range m.kinds {
		if k.How == how {
			return k
		}
	}
	k := &mutationKind{How: how, Gate: gate}
	m.kinds = append(m.kinds, k)
	slices.SortFunc(m.kinds, func(a, b *mutationKind) int { return strings.Compare(a.How, b.How) })
	return k
}

// try respells the events that r must match.
func (m *mutation) try(r *rule.Rule) error {
	one, err := newJudge([]*rule.Rule{r})
	if err != nil {
		return err
	}
	for _, t := range r.Tests {
		if !t.Match || len(t.Events) != 1 {
			continue
		}
		var doc map[string]any
		if err := json.Unmarshal(t.Events[0], &doc); err != nil {
			return err
		}
		cmd := commandOf(t.Events[0])
		spellings := runtimecli.Respell(cmd)
		if len(spellings) == 0 {
			continue
		}
		m.commands++
		for _, s := range spellings {
			if s.NeedsSocket {
				m.one(one, doc, s, s.How+" that has the address", false)
				continue
			}
			m.one(one, doc, s, s.How, true)
			if s.NeedsContent {
				s.Command.Tool = ""
				m.one(one, doc, s, s.How+", by its line alone", false)
			}
		}
	}
	return nil
}

func (m *mutation) one(rule *judge, doc map[string]any, s runtimecli.Respelling, how string, gate bool) {
	k := m.kind(how, gate)
	k.Spellings++
	m.n++
	event := respelled(doc, s.Command, m.n)
	if rule.sees(event) {
		k.Rule++
	}
	if m.all.sees(event) {
		k.Pack++
	} else if len(k.Missed) < 1000 {
		k.Missed = append(k.Missed, s.Command.Args)
	}
}

// commandOf reads the process of an event.
func commandOf(doc []byte) runtimecli.Command {
	s := event.NewSchema()
	exe, args, env, cwd := s.Field("process.executable"), s.Field("process.args"), s.Field("process.env_vars"), s.Field("process.working_directory")
	var e event.Event
	if event.NewDecoder(s).Decode(doc, &e) != nil {
		return runtimecli.Command{}
	}
	c := runtimecli.Command{Executable: e.Get(exe).Text()}
	if v := e.Get(cwd); v.Exists() {
		c.Cwd = v.Text()
	}
	for i := range e.Get(args).Len() {
		c.Args = append(c.Args, e.Get(args).At(i).Text())
	}
	for i := range e.Get(env).Len() {
		c.Env = append(c.Env, e.Get(env).At(i).Text())
	}
	return c
}

// respelled is the event of another command, on a host of its own so that no
// two of them are one act.
func respelled(doc map[string]any, c runtimecli.Command, n int) []byte {
	out := map[string]any{}
	for k, v := range doc {
		if k != "process" && !strings.HasPrefix(k, "process.") && k != "orlop" && !strings.HasPrefix(k, "orlop.") && k != "host" {
			out[k] = v
		}
	}
	process := map[string]any{}
	if p, ok := doc["process"].(map[string]any); ok {
		for k, v := range p {
			process[k] = v
		}
	}
	process["args"], process["args_count"], process["command_line"] = c.Args, len(c.Args), strings.Join(c.Args, " ")
	process["executable"], process["name"] = c.Executable, c.Executable[strings.LastIndexByte(c.Executable, '/')+1:]
	if c.Cwd != "" {
		process["working_directory"] = c.Cwd
	}
	delete(process, "env_vars")
	if c.Env != nil {
		process["env_vars"] = c.Env
	}
	out["process"] = process
	out["host"] = map[string]any{"id": fmt.Sprint("mutated-", n), "name": "worker-1", "os": map[string]any{"type": "linux"}}
	if c.Tool != "" {
		out["orlop"] = map[string]any{"runtime": map[string]any{"content_tool": c.Tool}}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic("orlop: bug: " + err.Error()) // it was JSON before
	}
	return b
}

// table is for people.
func (m *mutation) table() string {
	var b strings.Builder
	width := len("SPELLING")
	for _, k := range m.kinds {
		width = max(width, len(k.How))
	}
	fmt.Fprintf(&b, "%-*s  %9s  %9s  %9s\n", width, "SPELLING", "TRIED", "RULE", "ALL RULES")
	for _, k := range m.kinds {
		fmt.Fprintf(&b, "%-*s  %9d  %9d  %9d\n", width, k.How, k.Spellings, k.Rule, k.Pack)
	}
	for _, k := range m.kinds {
		if !k.Gate {
			continue
		}
		for _, args := range k.Missed {
			line := printable(strings.Join(args, " "))
			fmt.Fprintf(&b, "missed (%s): %s\n", k.How, clip(line, 200))
		}
	}
	return b.String()
}

// A judge says whether rules raise an alert on an event.
type judge struct {
	engine   *detect.Engine
	enricher *enrich.Enricher
	tuning   *agent.Tuning
	decoder  *event.Decoder
}

func newJudge(rules []*rule.Rule) (*judge, error) {
	s := event.NewSchema()
	j := &judge{
		engine:   detect.New(detect.Options{Schema: s, Lateness: -1}),
		enricher: enrich.New(s, enrich.Options{}),
		decoder:  event.NewDecoder(s),
	}
	if err := j.engine.SetRules(rules); err != nil {
		return nil, err
	}
	var err error
	j.tuning, err = agent.LoadTuning("", s)
	return j, err
}

func (j *judge) sees(doc []byte) bool {
	var e event.Event
	if j.decoder.Decode(doc, &e) != nil {
		return false
	}
	j.enricher.Apply(&e)
	j.tuning.Apply(&e)
	seen := false
	j.engine.Process(&e, func(a *alert.Alert) { seen = seen || !a.BuildingBlock })
	return seen
}
