package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
)

func newRules() *cobra.Command {
	const help = `Rules lists, shows and checks detection rules: those of the files and folders
given, or the built-in pack. The format is Elastic's: a TOML file for each rule.
A [[test]] in it holds events that the rule must or must not match.`
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "List, show and check rules",
		Long:  help + "\n\n" + exitCodes,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRulesList(), newRulesShow(), newRulesCheck(), newRulesMutate())
	return cmd
}

// compiled is a pack whose queries have been compiled.
type compiled struct {
	pack     *rule.Pack
	statuses []detect.Status
	mistakes syntax.Errors // in files and in queries
}

func compile(paths []string) (*compiled, error) {
	pack, err := loadPack(paths)
	if err != nil {
		return nil, err
	}
	g := detect.New(detect.Options{Schema: event.NewSchema()})
	c := &compiled{pack: pack, mistakes: append(slices.Clone(pack.Errors), queryMistakes(pack.Broken)...)}
	if err := g.SetRules(pack.Rules); err != nil {
		var more syntax.Errors
		if !errors.As(err, &more) {
			return nil, &failure{exitUsage, err}
		}
		c.mistakes = append(c.mistakes, more...)
	}
	c.statuses = g.Rules()
	return c, nil
}

// queryMistakes are those in the queries of rules that do not run for other
// reasons, so that all of a file is reported at once.
func queryMistakes(broken []*rule.Rule) syntax.Errors {
	var mistakes syntax.Errors
	errors.As(detect.Check(broken), &mistakes)
	return mistakes
}

// ruleLine is a rule as rules list prints it.
type ruleLine struct {
	ID       string   `json:"rule_id"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Kind     string   `json:"kind,omitempty"` // of an EQL query: event, sequence, sample
	Severity string   `json:"severity"`
	Risk     int      `json:"risk_score"`
	Runs     bool     `json:"runs"`
	Idle     string   `json:"idle,omitempty"` // why it does not run
	Tags     []string `json:"tags,omitempty"`
	File     string   `json:"file"`
}

func line(s detect.Status) ruleLine {
	r := s.Rule
	l := ruleLine{r.ID, r.Name, r.Type, "", r.Severity, r.RiskScore, s.Idle == "", s.Idle, r.Tags, r.File}
	if l.Runs {
		l.Kind = s.Kind.String()
	}
	return l
}

// what says in a word or two what a rule is.
func what(s detect.Status) string {
	if s.Idle == "" && s.Kind != eql.Events {
		return s.Rule.Type + " " + s.Kind.String()
	}
	return s.Rule.Type
}

func newRulesList() *cobra.Command {
	var (
		paths  []string
		output string
	)
	cmd := &cobra.Command{
		Use:   "list [PATH...]",
		Short: "List rules, and why those that do not run do not",
		Long:  "List prints a line for each rule: what it is, and whether it runs.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := compile(append(paths, args...))
			if err != nil {
				return err
			}
			name, kind, state := len("NAME"), len("TYPE"), len("STATE")
			for _, s := range c.statuses {
				name = max(name, uniseg.StringWidth(s.Rule.Name))
				kind = max(kind, len(what(s)))
				state = max(state, min(len(s.Idle), 28))
			}
			out, err := newPrinter(cmd, output, column{"SEVERITY", 8, 8}, column{"RISK", 4, 4}, column{"TYPE", kind, kind},
				column{"NAME", min(name, 100), min(name, 30)}, column{"STATE", state, min(state, 12)})
			if err != nil {
				return err
			}
			for _, s := range c.statuses {
				l := line(s)
				doc, err := json.Marshal(l)
				if err != nil {
					return err
				}
				out.print(doc, func() string {
					state := "runs"
					if !l.Runs {
						state = l.Idle
					}
					return out.table.row("", l.Severity, fmt.Sprint(l.Risk), what(s), l.Name, state)
				})
			}
			if err := out.close(); err != nil {
				return err
			}
			if n := len(c.mistakes); n > 0 {
				warn(cmd.ErrOrStderr(), "%s; see: orlop rules check", count(n, "mistake"))
			}
			return nil
		},
	}
	addRules(cmd, &paths)
	addOutput(cmd, &output)
	return cmd
}

func newRulesShow() *cobra.Command {
	var (
		paths  []string
		output string
	)
	cmd := &cobra.Command{
		Use:   "show [PATH|ID|NAME...]",
		Short: "Show rules in full",
		Long: `Show prints rules in full: those of a file or folder, or those of the pack whose
rule_id or name is given; a part of a name will do. Without arguments, all.

` + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := newPrinter(cmd, output)
			if err != nil {
				return err
			}
			var files, names []string
			for _, a := range args {
				if strings.ContainsAny(a, "/\\") || strings.HasSuffix(a, ".toml") || exists(a) {
					files = append(files, a)
				} else {
					names = append(names, a)
				}
			}
			c, err := compile(append(paths, files...))
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.ErrOrStderr(), c.mistakes.Report())
			chosen, err := choose(c.statuses, names)
			if err != nil {
				return err
			}
			for i, s := range chosen {
				if out.form == "table" {
					if i > 0 {
						out.write([]byte("\n"))
					}
					out.write([]byte(describe(s, out.width)))
					continue
				}
				doc, err := json.Marshal(s.Rule)
				if err != nil {
					return err
				}
				out.print(doc, nil)
			}
			if out.form == "table" && len(chosen) == 0 {
				return usage("no rules to show")
			}
			return out.close()
		},
	}
	addRules(cmd, &paths)
	addOutput(cmd, &output)
	return cmd
}

// choose picks the rules with the ids or names; all if there are none.
func choose(all []detect.Status, names []string) ([]detect.Status, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []detect.Status
	for _, n := range names {
		found := false
		for _, s := range all {
			if s.Rule.ID == n || strings.Contains(strings.ToLower(s.Rule.Name), strings.ToLower(n)) {
				out = append(out, s)
				found = true
			}
		}
		if !found {
			var known []string
			for _, s := range all {
				known = append(known, s.Rule.Name)
			}
			hint := syntax.DidYouMean(n, known)
			if hint != "" {
				hint = " (" + hint + ")"
			}
			return nil, usage("no rule with the id or name %q%s", n, hint)
		}
	}
	return out, nil
}

// describe is a rule for people, whose text fits a width if it is not 0.
func describe(s detect.Status, width int) string {
	r := s.Rule
	var b strings.Builder
	field := func(name, format string, args ...any) {
		if text := printable(fmt.Sprintf(format, args...)); text != "" {
			fmt.Fprintf(&b, "%-12s%s\n", name, text)
		}
	}
	b.WriteString(printable(r.Name) + "\n")
	b.WriteString(strings.Repeat("=", len([]rune(printable(r.Name)))) + "\n")
	field("rule_id", "%s", r.ID)
	field("file", "%s", r.File)
	state := "runs"
	if s.Idle != "" {
		state = "does not run: " + s.Idle
	}
	field("state", "%s", state)
	field("type", "%s", r.Type)
	field("severity", "%s, risk score %d", r.Severity, r.RiskScore)
	field("author", "%s", strings.Join(r.Author, ", "))
	field("license", "%s", r.License)
	field("tags", "%s", strings.Join(r.Tags, ", "))
	for _, t := range r.Threat {
		var names []string
		for _, q := range t.Technique {
			names = append(names, q.ID+" "+q.Name)
			for _, sub := range q.Subtechnique {
				names = append(names, sub.ID+" "+sub.Name)
			}
		}
		field("threat", "%s %s: %s", t.Tactic.ID, t.Tactic.Name, strings.Join(names, ", "))
	}
	field("tests", "%d", len(r.Tests))
	section := func(title, text string) {
		if text = strings.TrimSpace(text); text == "" {
			return
		}
		b.WriteString("\n" + title + "\n")
		for l := range strings.Lines(text) {
			b.WriteString(strings.TrimRight("  "+printable(strings.TrimRight(l, "\r\n")), " ") + "\n")
		}
	}
	section("Description", wrap(r.Description, width-2))
	section("Query", r.Query.Text)
	section("False positives", wrap(strings.Join(r.FalsePositives, "\n"), width-2))
	section("Guide", wrap(r.Note, width-2))
	section("References", strings.Join(r.References, "\n"))
	return b.String()
}

func newRulesCheck() *cobra.Command {
	var (
		paths    []string
		output   string
		file     string
		warnings bool
	)
	cmd := &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Check rule files, compile their queries and run their tests",
		Long: `Check reads rule files, compiles every query and runs every [[test]]. It prints
each mistake with its place, and exits with 1 if there are any.

With --tuning, it also says which rules of the pack that file silences for anybody.

` + exitCodes,
		Example: `  orlop rules check
  orlop rules check --warnings rules/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := compile(append(paths, args...))
			if err != nil {
				return err
			}
			tuning, err := loadTuning(file, event.NewSchema())
			if err != nil {
				return err
			}
			out, err := newPrinter(cmd, output)
			if err != nil {
				return err
			}
			tests := 0
			for _, s := range c.statuses {
				if s.Idle != "" {
					continue
				}
				failed, err := runTests(cmd.Context(), s.Rule)
				if err != nil {
					return &failure{exitUsage, err}
				}
				tests += len(s.Rule.Tests)
				c.mistakes = append(c.mistakes, failed...)
			}
			shown := c.mistakes
			if warnings {
				shown = append(shown, c.pack.Warnings...)
			}
			if out.form == "table" {
				out.write([]byte(shown.Report()))
			} else {
				for _, e := range shown {
					doc, err := json.Marshal(mistakeLine(e))
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
			remark(w, tuning)
			runs := 0
			for _, s := range c.statuses {
				if s.Idle == "" {
					runs++
				}
			}
			fmt.Fprintf(w, "%s: %d run, %d do not; %s; %s, %s\n", count(len(c.statuses), "rule"), runs, len(c.statuses)-runs,
				count(tests, "test"), count(len(c.mistakes), "mistake"), count(len(c.pack.Warnings), "warning"))
			if len(c.statuses)+len(c.mistakes) == 0 {
				return usage("no rules (*.toml) in %s", strings.Join(append(paths, args...), ", "))
			}
			if len(c.mistakes) > 0 {
				return errFindings
			}
			return nil
		},
	}
	addRules(cmd, &paths)
	addOutput(cmd, &output)
	cmd.Flags().StringVar(&file, "tuning", "", "say what the tuning in `FILE` silences")
	cmd.Flags().BoolVarP(&warnings, "warnings", "w", false, "print warnings too")
	return cmd
}

// mistake is one of rules check's results in JSON.
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Class   string `json:"class"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func mistakeLine(e *syntax.Error) mistake {
	l, c := e.Src.Position(e.Range.Start)
	return mistake{e.Src.Name, l, c, string(e.Class), e.Msg, e.Hint}
}

// runTests runs the [[test]]s of a rule, and returns those that fail.
func runTests(ctx context.Context, r *rule.Rule) (failed syntax.Errors, err error) {
	if len(r.Tests) == 0 {
		return nil, nil
	}
	trial, err := agent.NewTrial(r, "")
	if err != nil {
		return nil, err
	}
	for i, t := range r.Tests {
		fail := func(msg string) {
			failed = append(failed, r.Mistake(fmt.Sprintf("test.%d", i), fmt.Sprintf("test %q: %s", t.Name, msg), ""))
		}
		switch alerts, err := trial.Run(ctx, t.Events); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			fail(err.Error())
		case t.Match && len(alerts) == 0:
			fail("the rule does not match, and must")
		case !t.Match && len(alerts) > 0:
			fail("the rule matches, and must not")
		}
	}
	return failed, nil
}

// count is a number and a noun in its number.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// warn prints a remark.
func warn(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "orlop: %s\n", printable(fmt.Sprintf(format, args...)))
}
