package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/store"
)

// storeFlags say which store a command is about.
type storeFlags struct{ name, state string }

func (f *storeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "store", "", "the `STORE`: the path of a file, or postgres://USER@HOST/DATABASE, whose password is in PGPASSWORD or PGPASSFILE")
	cmd.Flags().StringVar(&f.state, "state", "", "state `DIR` of a run, for the store in it")
}

func (f *storeFlags) open(ctx context.Context, o store.Options) (*store.Store, error) {
	if (f.name == "") == (f.state == "") {
		return nil, usage("one of --store and --state says which store")
	}
	name := cmp.Or(f.name, agent.StoreName(f.state))
	if err := checkStore(name); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, name, o)
	if err != nil {
		return nil, &failure{exitIO, err}
	}
	return s, nil
}

// checkStore says what is wrong with the value of --store.
func checkStore(name string) error {
	if err := store.CheckName(name); err != nil {
		return usage("--%w", err) // which begins with store:
	}
	return nil
}

func newStore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look after the store of alerts",
		Long: `Store looks after the database that orlop run --store keeps alerts in: one file of
SQLite, or a database of PostgreSQL.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStoreInfo(), newStoreVerify(), newStorePrune(), newStoreImport(), newStoreRebuild())
	return cmd
}

func newStoreInfo() *cobra.Command {
	var f storeFlags
	var output string
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Describe a store, and print the ends of its chains",
		Long: `Info says how much a store holds. The ends of its chains, kept elsewhere, prove later
to orlop store verify --alerts and --actions that nothing up to them has changed.

` + exitCodes,
		Example: `  orlop store info --state /var/lib/orlop
  orlop store info --store postgres://orlop@db/orlop --output json`,
		Args: cobra.NoArgs,
	}
	f.add(cmd)
	addOutput(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := f.open(cmd.Context(), store.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		defer s.Close()
		i, err := s.Info(cmd.Context())
		if err != nil {
			return &failure{exitIO, err}
		}
		out, err := newPrinter(cmd, output)
		if err != nil {
			return err
		}
		doc, err := json.Marshal(map[string]any{
			"store": i.Name, "database": i.Kind, "schema": i.Schema, "alerts": i.Alerts, "removed": i.Removed, "oldest": i.Oldest, "newest": i.Newest,
			"actions": i.Actions, "bytes": i.Bytes, "file_bytes": i.FileBytes,
			"heads": map[string]string{"alerts": i.Heads.Alerts.String(), "actions": i.Heads.Actions.String()},
		})
		if err != nil {
			return err
		}
		if out.form == "table" {
			out.write(fmt.Appendf(nil, "store    %s\n         %s, schema %d, %d bytes in use\nalerts   %d, and %d that retention has removed\n", i.Name, i.Kind, i.Schema, i.Bytes, i.Alerts, i.Removed))
			if i.Alerts > 0 {
				out.write(fmt.Appendf(nil, "         stored from %s to %s\n", i.Oldest.Format(time.RFC3339), i.Newest.Format(time.RFC3339)))
			}
			out.write(fmt.Appendf(nil, "actions  %d\nends     --alerts %s\n         --actions %s\n", i.Actions, i.Heads.Alerts, i.Heads.Actions))
		} else {
			out.print(doc, nil)
		}
		return out.close()
	}
	return cmd
}

func newStoreVerify() *cobra.Command {
	const help = `Verify reads all alerts and actions, and names each that was edited, put in or taken
away since it was written. Each row has the hash of the one before it and of its own
content; retention leaves a note of where what is left begins.

By itself it proves that nobody has changed rows who did not calculate all later hashes
anew, nor cut off the end together with the note of where it is. The ends of the chains
that were kept elsewhere prove more: that nothing up to them has changed, whoever did
it. Orlop run writes them into its log every hour and at its end ("store: witness"),
and orlop store info prints them. What came after such an end is not proven by it.

It also looks whether the workflow of each alert is what the audit log says, and whether
the columns that queries are answered from are what the documents make.

It exits with 1 if something is wrong.`
	var f storeFlags
	var alerts, actions string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Find alerts and actions that were changed or are missing",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop store verify --state /var/lib/orlop
  orlop store verify --store orlop.db --alerts 4711:6d2f…`,
		Args: cobra.NoArgs,
	}
	f.add(cmd)
	cmd.Flags().StringVar(&alerts, "alerts", "", "an `END` of the chain of alerts that was kept elsewhere")
	cmd.Flags().StringVar(&actions, "actions", "", "an `END` of the chain of actions that was kept elsewhere")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var w store.Heads
		for _, x := range []struct {
			flag, text string
			into       *store.Head
		}{{"alerts", alerts, &w.Alerts}, {"actions", actions, &w.Actions}} {
			if x.text == "" {
				continue
			}
			var err error
			if *x.into, err = store.ParseHead(x.text); err != nil {
				return usage("--%s: %w", x.flag, err)
			}
		}
		s, err := f.open(cmd.Context(), store.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		defer s.Close()
		out := cmd.OutOrStdout()
		p, err := s.Verify(cmd.Context(), w, func(f store.Fault) { fmt.Fprintln(out, f) })
		if err != nil {
			return &failure{exitIO, err}
		}
		fmt.Fprintf(out, "%d alerts from %d to %s\n%d actions from %d to %s\n", p.Alerts, p.AlertsAnchor.Seq+1, p.AlertsHead, p.Actions, p.ActionsAnchor.Seq+1, p.ActionsHead)
		if p.Faults > 0 {
			return errFindings
		}
		_, err = fmt.Fprintln(out, "nothing was changed")
		return err
	}
	return cmd
}

func newStorePrune() *cobra.Command {
	var f storeFlags
	var age, audit time.Duration
	var bytes size
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the oldest alerts and actions",
		Long: `Prune removes what is older than is said, or more. Orlop run does so by itself if its
configuration says what is kept (retention).

` + exitCodes,
		Example: `  orlop store prune --state /var/lib/orlop --max-age 2160h --max-bytes 4GiB`,
		Args:    cobra.NoArgs,
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&age, "max-age", 0, "remove alerts that were stored longer ago (`DURATION`)")
	cmd.Flags().Var(&bytes, "max-bytes", "remove the oldest alerts until the database has no more")
	cmd.Flags().DurationVar(&audit, "max-audit", 0, "remove actions that are longer ago (`DURATION`), but those that account for removed alerts")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r := store.Retention{Age: age, Bytes: int64(bytes), Actions: audit}
		if r == (store.Retention{}) || age < 0 || audit < 0 || bytes < 0 {
			return usage("one of --max-age, --max-bytes and --max-audit says what goes, and none is negative")
		}
		s, err := f.open(cmd.Context(), store.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		p, err := s.Prune(cmd.Context(), time.Now(), r)
		if err != nil {
			return &failure{exitIO, err}
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d alerts and %d actions are removed; %d bytes are in use\n", p.Alerts, p.Actions, p.Bytes)
		return err
	}
	return cmd
}

func newStoreImport() *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Put alerts from standard input into a store",
		Long: `Import reads alerts, a document a line, such as orlop scan prints them, and keeps them in
a store, which it makes if it is not there. One that is there already is left as it is.

` + exitCodes,
		Example: `  orlop scan audit.log --output ndjson | orlop store import --store orlop.db`,
		Args:    cobra.NoArgs,
	}
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := f.open(cmd.Context(), store.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		added, total := 0, 0
		var batch []*alert.Alert
		flush := func() error {
			n, err := s.Insert(cmd.Context(), time.Now(), batch)
			if err != nil {
				return &failure{exitIO, err}
			}
			added, total, batch = added+n, total+len(batch), batch[:0]
			return nil
		}
		in := bufio.NewReaderSize(cmd.InOrStdin(), 1<<20)
		for line := 1; ; line++ {
			text, err := in.ReadBytes('\n')
			if err != nil && err != io.EOF {
				return &failure{exitIO, err}
			}
			end := err == io.EOF
			if len(text) > 1 || len(text) == 1 && text[0] != '\n' {
				a, err := alert.Parse(text)
				if err != nil {
					return &failure{exitUsage, errors.Join(fmt.Errorf("line %d: %w", line, err), flush())}
				}
				batch = append(batch, a)
			}
			if end || len(batch) == 256 {
				if err := flush(); err != nil {
					return err
				}
			}
			if end {
				break
			}
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d alerts, %d of them new\n", total, added)
		return err
	}
	return cmd
}

func newStoreRebuild() *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the columns that queries are answered from anew",
		Long: `Rebuild makes the columns of a store from its documents, if orlop store verify says that
they are not what they should be.

` + exitCodes,
		Args: cobra.NoArgs,
	}
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := f.open(cmd.Context(), store.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		if err := s.Rebuild(cmd.Context()); err != nil {
			return &failure{exitIO, err}
		}
		return nil
	}
	return cmd
}
