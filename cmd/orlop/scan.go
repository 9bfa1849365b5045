package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
	"github.com/orlop/orlop/source"
)

// reading is the flags of commands that read recorded events.
type reading struct {
	format     string
	noEnrich   bool
	deadLetter string
	tuning     string
}

func (r *reading) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.format, "format", "", "what the input is: "+strings.Join(agent.Formats(), ", ")+" (default: found out for each file)")
	cmd.Flags().BoolVar(&r.noEnrich, "no-enrich", false, "see events as they were recorded, as Elasticsearch would")
	cmd.Flags().StringVar(&r.tuning, "tuning", "", "who is exempt from what, beside the kubelet, the runtimes and known agents: host roles, users, automation (`FILE`)")
	cmd.Flags().StringVar(&r.deadLetter, "dead-letter", "", "write what cannot be read to this `FILE`, as NDJSON with its place and the reason")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(agent.Formats(), cobra.ShellCompDirectiveNoFileComp))
}

// replay opens the inputs. The function it returns ends the dead letter file.
func (r *reading) replay(cmd *cobra.Command, s *event.Schema, args []string) (*agent.Replay, func() error, error) {
	if r.format != "" && !slices.Contains(agent.Formats(), r.format) {
		return nil, nil, usage("--format %q: expected %s", r.format, strings.Join(agent.Formats(), ", "))
	}
	tuning, err := loadTuning(r.tuning, s)
	if err != nil {
		return nil, nil, err
	}
	remark(cmd.ErrOrStderr(), tuning)
	inputs, err := openInputs(args, cmd.InOrStdin())
	if err != nil {
		return nil, nil, err
	}
	p := &agent.Replay{Tuning: tuning, Schema: s, Format: source.Format(r.format), Enrich: !r.noEnrich, Inputs: inputs}
	if r.deadLetter == "" {
		return p, func() error { return nil }, nil
	}
	f, err := create(r.deadLetter)
	if err != nil {
		return nil, nil, &failure{exitIO, errors.Join(fmt.Errorf("dead letters: %w", err), agent.Discard(inputs))}
	}
	w := bufio.NewWriter(f)
	letters := source.NewDeadLetter(w)
	p.Reject = letters.Reject
	return p, func() error {
		if err := errors.Join(letters.Err(), w.Flush(), f.Close()); err != nil {
			return &failure{exitIO, fmt.Errorf("dead letters: %w", err)}
		}
		return nil
	}, nil
}

func newScan() *cobra.Command {
	const help = `Scan runs detection rules over recorded events and prints an alert for each
match. It reads files, glob patterns and, without arguments or for -, standard
input; plain, gzip or zstd. Linux audit logs and ECS documents in JSON (Auditbeat,
Auditd Manager, Elastic Defend, Defend for Containers, Elasticsearch hits) and
audit logs of the Kubernetes API are told apart by their content.

What an event lacks and the stream has shown is filled in: parent process,
command line, entity ids, container. The alert lists it under orlop.derived.

With --no-enrich, lines of ECS documents that lack every text that a rule would need
are skipped unread: not checked for being JSON, and counted apart from the events.
With --dead-letter, every line is read.

Alerts have the form of Elastic Security's documents; orlop.explain says why
each was raised. Building blocks (the events of a sequence, and the alerts of
rules that are one) are among the documents, marked by
kibana.alert.building_block_type; a table leaves them out, and --exit-code does
not count them.

--profile lists the rules by what they cost: the time of each event that went to
the rule (as far as one event in 64 tells, - if that was none of its), how many
events it was tried on, since the index could not rule them out, how many of those
it raised or looked at for a sequence, how many bytes it kept at most, and how
many partial sequences it gave up for want of them.`
	var (
		paths    []string
		output   string
		findings bool
		quiet    bool
		profiled bool
		in       reading
		seqs     sequenceFlags
	)
	cmd := &cobra.Command{
		Use:   "scan [FILE...]",
		Short: "Run the rules over recorded events and print alerts",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop scan /var/log/audit/audit.log
  orlop scan --rules ~/detection-rules/rules/linux 'logs/*.ndjson.gz'
  zcat audit.log.1.gz | orlop scan --output json --exit-code`,
	}
	addRules(cmd, &paths)
	addOutput(cmd, &output)
	in.add(cmd)
	seqs.add(cmd)
	cmd.Flags().BoolVar(&findings, "exit-code", false, "exit with 1 if there are alerts")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print no progress and no summary")
	cmd.Flags().BoolVar(&profiled, "profile", false, "print what each rule cost, on stderr")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		schema := event.NewSchema()
		o, err := seqs.options()
		if err != nil {
			return err
		}
		o.Schema, o.Interrupted = schema, cmd.Context().Err
		engine := detect.New(o)
		if err := loadRules(cmd.ErrOrStderr(), engine, paths); err != nil {
			return err
		}
		out, err := newPrinter(cmd, output, alertColumns(engine.Rules())...)
		if err != nil {
			return err
		}
		replay, done, err := in.replay(cmd, schema, args)
		if err != nil {
			return err
		}
		// What comes through a pipe may happen now: tail -f audit.log | orlop scan
		out.live = out.live || slices.ContainsFunc(replay.Inputs, func(in *source.Input) bool { return in.Size() < 0 })
		start := time.Now()
		bar := newProgress(cmd.ErrOrStderr(), replay, quiet, out.width > 0)
		rows := newAlertRows(out.table)
		emit := func(a *alert.Alert) {
			if a.BuildingBlock && out.form == "table" {
				return
			}
			bar.alert()
			out.print(a.AppendJSON(nil), func() string { return rows.line(a) })
		}
		replay.Ended = seqs.expect(engine, replay.Inputs, emit)
		replay.Literals = engine.Literals
		err = replay.Detect(cmd.Context(), engine, emit, func(events int) error {
			bar.events(events)
			if out.err != nil {
				return out.err
			}
			return engine.Err()
		})
		if err == nil {
			engine.Flush(emit)
			err = engine.Err()
		}
		bar.done()
		closed := out.close()
		if err := errors.Join(closed, done()); err != nil {
			return err
		}
		if !quiet {
			if out.n > 0 && out.width > 0 && terminal(cmd.ErrOrStderr()) > 0 {
				fmt.Fprintln(cmd.ErrOrStderr()) // apart from the alerts above
			}
			summary(cmd.ErrOrStderr(), engine, replay, time.Since(start))
		}
		if profiled {
			profile(cmd.ErrOrStderr(), engine)
		}
		if err != nil {
			return &failure{exitIO, err}
		}
		if findings && engine.Stats().Alerts > 0 {
			return errFindings
		}
		return nil
	}
	return cmd
}

func addRules(cmd *cobra.Command, paths *[]string) {
	cmd.Flags().StringArrayVarP(paths, "rules", "r", nil, "run the rules of this file or folder instead of the built-in pack (repeatable)")
}

// loadPack reads the rules that paths name, or the built-in pack.
func loadPack(paths []string) (*rule.Pack, error) {
	if len(paths) == 0 {
		return rule.LoadFS(rules.FS, "rules"), nil
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return nil, &failure{exitIO, fmt.Errorf("rules %s: %w", p, err)}
		}
	}
	return rule.Load(paths...), nil
}

// loadRules gives the engine its rules and reports what is wrong with them. It
// fails only if none can run.
func loadRules(w io.Writer, engine *detect.Engine, paths []string) error {
	mistakes, err := setRules(engine, paths)
	fmt.Fprint(w, mistakes.Report())
	return err
}

// setRules gives the engine its rules, and returns what is wrong with them. It fails only
// if none can run.
func setRules(engine *detect.Engine, paths []string) (mistakes syntax.Errors, err error) {
	pack, err := loadPack(paths)
	if err != nil {
		return nil, err
	}
	mistakes = append(slices.Clone(pack.Errors), queryMistakes(pack.Broken)...)
	if err := engine.SetRules(pack.Rules); err != nil {
		var more syntax.Errors
		if !errors.As(err, &more) {
			return mistakes, &failure{exitUsage, err}
		}
		mistakes = append(mistakes, more...)
	}
	switch {
	case running(engine) > 0:
	case len(pack.Rules) == 0 && len(mistakes) == 0:
		return nil, usage("no rules (*.toml) in %s", strings.Join(paths, ", "))
	default:
		return mistakes, usage("no rule can run; orlop rules list says why of each")
	}
	return mistakes, nil
}

// summary accounts for every event and every alert.
func summary(w io.Writer, engine *detect.Engine, replay *agent.Replay, took time.Duration) {
	st := engine.Stats()
	rejected := uint64(replay.Stats.Rejected.Load())
	fmt.Fprintf(w, "events    %d = %d evaluated + %d filtered + %d rejected\n", st.In+rejected, st.Evaluated, st.Filtered, rejected)
	classes := replay.Stats.Classes()
	for _, c := range slices.Sorted(maps.Keys(classes)) {
		fmt.Fprintf(w, "          %d rejected: %s\n", classes[c], c)
	}
	if rejected > 0 && replay.Reject == nil {
		fmt.Fprintln(w, "          --dead-letter FILE keeps what was rejected, and why")
	}
	if n := replay.Stats.Skipped.Load(); n > 0 {
		fmt.Fprintf(w, "          beside them %s skipped unread: no rule can match them\n", count(int(n), "line"))
	}
	if a := replay.Audit; a.Incomplete+a.Late > 0 {
		fmt.Fprintf(w, "audit     %d events lack records, %d records repeated or too late\n", a.Incomplete, a.Late)
	}
	if st.Late+st.Untimed+st.Evicted > 0 {
		fmt.Fprintf(w, "sequences %d events late, %d rejected: no time from 1970 to 2261, %d partial matches given up\n", st.Late, st.Untimed, st.Evicted)
		if late := engine.Late(); len(replay.Inputs) > 1 {
			for _, name := range slices.Sorted(maps.Keys(late)) {
				fmt.Fprintf(w, "          %d late: %s\n", late[name], printable(name))
			}
		}
	}
	blocks := ""
	if st.Blocks > 0 {
		blocks = ", and " + count(int(st.Blocks), "building block")
	}
	fmt.Fprintf(w, "alerts    %d%s\n", st.Alerts, blocks)
	byRule := engine.Rules()
	slices.SortStableFunc(byRule, func(a, b detect.Status) int { return int(b.Alerts) - int(a.Alerts) })
	severity := 0
	for _, s := range byRule {
		if s.Alerts > 0 {
			severity = max(severity, len(s.Rule.Severity))
		}
	}
	t := newTable(terminal(w), colourful(w), column{"", 0, 0}, column{"", severity, severity}, column{"", 20, 20})
	for _, s := range byRule {
		if s.Alerts > 0 {
			fmt.Fprintln(w, t.row(fmt.Sprintf("%8d", s.Alerts), "", s.Rule.Severity, s.Rule.Name))
		}
	}
	fmt.Fprintf(w, "duration  %s", took.Round(time.Millisecond))
	if sec := took.Seconds(); sec >= 1 {
		fmt.Fprintf(w, ", %.0f events a second", float64(st.In)/sec)
	}
	fmt.Fprintln(w)
}
