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
	const help = `Doctor says what this host lets orlop see, by each of the sources that --source auto
takes, the best first, and for what is missing, what to do. It changes nothing.

It exits with 0 if orlop run works here, else with 1.`
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this host can do, and what is missing",
		Long:  help,
		Args:  cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w := cmd.OutOrStdout()
		all, best := agent.Doctor(os.Getenv(nodeName))
		fmt.Fprintf(w, "%-14s%s/%s, Linux %s, uid %d\n", "host", runtime.GOOS, runtime.GOARCH, release(), os.Geteuid())
		for _, d := range all {
			verdict := "works"
			if d.Err != nil {
				verdict = "does not work"
			}
			fmt.Fprintf(w, "\n--source %s %s\n", d.Source, verdict)
			for _, c := range d.Checks {
				mark := "ok"
				switch {
				case c.Fix != "" && c.Needed:
					mark = "MISSING"
				case c.Fix != "":
					mark = "limited"
				}
				fmt.Fprintf(w, "  %-20s%-8s %s\n", c.Name, mark, printable(c.State))
				if c.Fix != "" {
					fmt.Fprintf(w, "  %-20s%-8s fix: %s\n", "", "", c.Fix)
				}
			}
		}
		if best == "" {
			fmt.Fprint(w, "\norlop run does not work here.\n")
			return errFindings
		}
		fmt.Fprintf(w, "\norlop run works here: --source auto takes %s.\n", best)
		return nil
	}
	return cmd
}

func release() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(b))
}
