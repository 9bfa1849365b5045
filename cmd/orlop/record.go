package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/source"
)

// flushEach is how often what was recorded is written to the file.
const flushEach = time.Second

func newRecord() *cobra.Command {
	const help = `Record watches this host like run, and writes every event as a line of JSON
instead of judging it. Scan and query read the file back with the same answers.

The file begins with the processes that are there already; with --loginuid, those of
other login uids are in it only if what follows has come of them. Interrupt and SIGTERM
end it once all that has happened is written. What is a second old can be read
even if the program is killed.

With --rotate, a file that has grown so large is renamed after the time of that,
events.20260429T100000.000Z.ndjson.zst, and a new one begins. Give scan all of
them: it puts them in order.`
	var (
		in   watching
		name string
		max  size
		keep int
	)
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Watch this host and write every event to a file",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop record --out events.ndjson.zst
  orlop record --out events.ndjson.zst --rotate 100MB --keep 10
  orlop record --loginuid 1000 | orlop query 'process where process.name == "ctr"'`,
		Args: cobra.NoArgs,
	}
	in.add(cmd)
	cmd.Flags().StringVar(&name, "out", "-", "where to (`FILE`; - is standard output; a name that ends in .zst is compressed)")
	cmd.Flags().Var(&max, "rotate", "begin another file when one has this `SIZE`, such as 100MB (default: never)")
	cmd.Flags().IntVar(&keep, "keep", 0, "rotated files to keep, `N`; the oldest go (default: all)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case keep < 0:
			return usage("--keep %d: expected at least 0", keep)
		case name == "-" && (max > 0 || keep > 0):
			return usage("--rotate and --keep are about a file: name it with --out")
		case keep > 0 && max == 0:
			return usage("--keep is about rotated files: say with --rotate when to")
		}
		c, err := in.config()
		if err != nil {
			return err
		}
		host, err := in.hostName()
		if err != nil {
			return err
		}
		if c.Kind == "stdin" {
			signal.Ignore(syscall.SIGHUP) // by which auditd tells its plugins to read their settings again
		}
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
		agent.PutBack(log)
		schema := event.NewSchema()
		src, _, err := agent.OpenLive(c.Kind, agent.LiveOptions{
			Options:  source.Options{Schema: schema, Host: host},
			LoginUID: c.LoginUID, Path: c.Path, Stdin: cmd.InOrStdin(),
		})
		if err != nil {
			if err = unopened(err); c.Path != "" {
				err = blame("--source", err)
			}
			return err
		}
		defer src.Close()
		out := &recording{name: name, limit: int64(max), keep: keep, now: time.Now}
		if err := out.begin(cmd.OutOrStdout()); err != nil {
			return &failure{exitIO, err}
		}
		log.Info("watching", "source", src.String())
		warnOfLimits(log, src)
		ctx, end := context.WithCancel(cmd.Context())
		defer end()
		tick := time.NewTicker(flushEach)
		defer tick.Stop()
		var flushing sync.WaitGroup
		flushing.Go(func() {
			if out.flushes(ctx, tick.C) != nil {
				end()
			}
		})
		kin := newKinship(schema, c.LoginUID, out.add)
		err = src.Run(ctx, kin.add)
		end()
		flushing.Wait()
		closed := out.close()
		in, held := src.Intake(), int64(len(kin.held))
		log.Info("ended", "events", fmt.Sprintf("%d = %d written + %d filtered + %d lost", in.Seen, in.Emitted-held, in.Filtered+held, in.Lost))
		if errors.Is(err, closed) {
			closed = nil // said already
		}
		if err := errors.Join(err, closed); err != nil {
			return &failure{exitIO, fmt.Errorf("record: %w", err)}
		}
		return nil
	}
	return cmd
}
