package main

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/internal/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show configurations of orlop run",
		Long: `Config checks and shows the file that orlop run --config reads. It is YAML, every
mistake is told with its place, and ${NAME} or ${NAME:-default} in a value is a
variable of the environment.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration and all that it names",
		Long: `Check reads a configuration and all that it names: filters, rules, tuning, secrets and
certificates. It connects to nobody and writes nothing. Secrets and variables are those
of the environment that it runs in.

` + exitCodes,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(args[0], true, agent.Flags{})
			if err != nil {
				return err
			}
			if err := agent.CheckSinks(c); err != nil {
				return &failure{exitUsage, err}
			}
			if _, err := goodRules(c.Rules); err != nil {
				return &failure{exitUsage, err}
			}
			tuning, err := loadTuning(c.Tuning, event.NewSchema())
			if err != nil {
				return err
			}
			remark(cmd.ErrOrStderr(), tuning)
			_, err = loadOIDC(c.OIDC)
			return err
		},
	})
	cmd.AddCommand(&cobra.Command{
		Use:   "show [FILE]",
		Short: "Show a configuration with its defaults and variables, without its secrets",
		Long:  "Show prints what a configuration comes to; without a file, the defaults.\n\n" + exitCodes,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := agent.NewConfig()
			if len(args) > 0 {
				var err error
				if c, err = loadConfig(args[0], false, agent.Flags{}); err != nil {
					return err
				}
			}
			if _, err := cmd.OutOrStdout().Write(config.Show(c)); err != nil {
				return &failure{exitIO, err}
			}
			return nil
		},
	})
	cmd.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of configurations, for editors",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := cmd.OutOrStdout().Write(agent.Schema()); err != nil {
				return &failure{exitIO, err}
			}
			return nil
		},
	})
	return cmd
}

// remark prints what a tuning takes in that its author may not have meant.
func remark(w io.Writer, t *agent.Tuning) {
	for _, text := range slices.Concat(t.Warnings, t.Ended(time.Now())) {
		warn(w, "%s", text)
	}
}

// loadConfig reads a configuration, on top of it flags, and with files looks whether those
// that it names can be read.
func loadConfig(name string, files bool, flags agent.Flags) (*agent.Config, error) {
	c := agent.NewConfig()
	if err := agent.LoadConfig(name, files, flags, c); err != nil {
		return nil, configured(err)
	}
	return c, nil
}

// configured is a mistake in a configuration or what it names, or that one of their files
// cannot be read or written.
func configured(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return &failure{exitIO, err}
	}
	return &failure{exitUsage, err}
}
