package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/internal/agent"
)

func newDoctor() *cobra.Command {
	const help = `Doctor says what this host lets orlop see, and for what is missing, what to do.
It changes nothing.

It exits with 0 if orlop run works here, else with 1.`
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this host can do, and what is missing",
		Long:  help,
		Args:  cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w := cmd.OutOrStdout()
		checks, verdict := agent.Doctor()
		fmt.Fprintf(w, "%-14s%s/%s, Linux %s, uid %d\n", "host", runtime.GOOS, runtime.GOARCH, release(), os.Geteuid())
		bad := false
		for _, c := range checks {
			mark := "ok"
			switch {
			case c.Fix != "" && c.Needed:
				mark, bad = "MISSING", true
			case c.Fix != "":
				mark = "limited"
			}
			fmt.Fprintf(w, "%-14s%-8s %s\n", c.Name, mark, printable(c.State))
			if c.Fix != "" {
				fmt.Fprintf(w, "%-14s%-8s fix: %s\n", "", "", c.Fix)
			}
		}
		if verdict != nil {
			bad = true
			fmt.Fprintf(w, "\norlop run does not work here: %s\n", printable(verdict.Error()))
		} else {
			fmt.Fprint(w, "\norlop run works here.\n")
		}
		if bad {
			return errFindings
		}
		return nil
	}
	return cmd
}

func release() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(b))
}
