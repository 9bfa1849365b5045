package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/source"
)

// watching is the flags of commands that watch this host.
type watching struct {
	source   string
	loginuid int64
	tuning   string
}

func (w *watching) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.source, "source", "auto", "where events come from: "+strings.Join(agent.LiveKinds(), " or "))
	cmd.Flags().Int64Var(&w.loginuid, "loginuid", -1, "watch only processes of this login uid (`N`; default: all)")
	cmd.Flags().StringVar(&w.tuning, "tuning", "", "who is exempt from what: host roles, users, automation (`FILE`; default: the kubelet and the runtimes themselves)")
	cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions(agent.LiveKinds(), cobra.ShellCompDirectiveNoFileComp))
}

// live opens the source. The caller closes it.
func (w *watching) live(cmd *cobra.Command, s *event.Schema) (*agent.Live, error) {
	if !slices.Contains(agent.LiveKinds(), w.source) {
		return nil, usage("--source %q: expected %s", w.source, strings.Join(agent.LiveKinds(), " or "))
	}
	o := agent.LiveOptions{Options: source.Options{Schema: s}}
	if w.loginuid >= 0 {
		if w.loginuid >= 1<<32-1 {
			return nil, usage("--loginuid %d: expected less than 4294967295", w.loginuid)
		}
		uid := uint32(w.loginuid)
		o.LoginUID = &uid
	}
	tuning, err := agent.LoadTuning(w.tuning, s)
	if err != nil {
		code := exitUsage
		var pe *fs.PathError
		if errors.As(err, &pe) {
			code = exitIO
		}
		return nil, &failure{code, err}
	}
	src, err := agent.OpenLive(w.source, o)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	return &agent.Live{Schema: s, Source: src, Tuning: tuning, Log: log}, nil
}

func newRun() *cobra.Command {
	const help = `Run watches this host and prints an alert for each match of a rule, within
milliseconds. Alerts go to standard output, everything else to standard error.

It needs CAP_BPF and CAP_PERFMON, or root; orlop doctor says what this host can do
and what is missing. It never makes a process wait: what it cannot read in time is
lost, counted, and told, also in the alerts of the next minute (orlop.evidence).

Interrupt and SIGTERM end it once all that has happened is judged. The last line
accounts for every event.`
	var (
		in     watching
		paths  []string
		output string
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Watch this host and print alerts",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop run
  orlop run --rules /etc/orlop/rules --output table
  orlop run --loginuid 1000`,
		Args: cobra.NoArgs,
	}
	in.add(cmd)
	addRules(cmd, &paths)
	addOutput(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		schema := event.NewSchema()
		engine := detect.New(detect.Options{Schema: schema, Lateness: 2 * time.Second})
		if err := loadRules(cmd.ErrOrStderr(), engine, paths); err != nil {
			return err
		}
		out, err := newPrinter(cmd, output, alertColumns(engine.Rules())...)
		if err != nil {
			return err
		}
		live, err := in.live(cmd, schema)
		if err != nil {
			return err
		}
		defer live.Source.Close()
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		live.Engine, live.Tick = engine, tick.C
		live.Log.Info("watching", "source", live.Source.String(), "rules", running(engine))
		rows := newAlertRows(out.table)
		err = live.Run(cmd.Context(), func(a *alert.Alert) error {
			if a.BuildingBlock && out.form == "table" {
				return nil
			}
			out.print(a.AppendJSON(nil), func() string { return rows.line(a) })
			if out.err == nil {
				out.err = out.w.Flush() // somebody waits for it
			}
			return out.err
		})
		closed := out.close()
		account := live.Account()
		live.Log.Info("ended", "events", account.String(), "late", account.Late, "alerts", account.Alerts)
		if err != nil && !errors.Is(err, context.Canceled) {
			return &failure{exitIO, fmt.Errorf("run: %w", err)}
		}
		return closed
	}
	return cmd
}

// running is how many rules run.
func running(engine *detect.Engine) int {
	n := 0
	for _, s := range engine.Rules() {
		if s.Idle == "" {
			n++
		}
	}
	return n
}
