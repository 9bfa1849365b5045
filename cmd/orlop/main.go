// Orlop is threat detection for what happens below the Kubernetes API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/internal/interrupt"
	"github.com/orlop/orlop/source"
)

// Exit codes. They are part of the interface; see exitCodes.
const (
	exitDone     = 0
	exitFindings = 1
	exitUsage    = 2
	exitIO       = 3
	exitHost     = 4
)

const exitCodes = `Exit codes:
  0  done
  1  findings: alerts with scan --exit-code, mistakes with rules check
  2  wrong usage, query, rule or configuration
  3  reading the input or writing the output failed, or was interrupted
  4  this host cannot be watched: a right, or something of its kernel, is missing`

// failure is an error with the exit code that it ends in.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error { return &failure{exitUsage, fmt.Errorf(format, args...)} }

// errFindings ends a command that found something, in silence.
var errFindings = &failure{exitFindings, errors.New("findings")}

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // little garbage is made, so less room for it costs nothing
	}
	ctx, stop := interrupt.Context(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings as arguments.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{exitUsage, inOurWords(err)} // cobra's own: unknown commands and flags
		if ctx.Err() != nil {
			return exitIO
		}
	}
	if f == errFindings {
		return f.code
	}
	report(stderr, cmd, f)
	return f.code
}

// inOurWords says what a flag takes, where cobra says why Go could not read it.
func inOurWords(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	want := map[string]string{"int": "a number", "int64": "a number", "uint32": "a number", "bool": "true or false", "duration": "a duration such as 2s or 1h30m"}[bad.GetFlag().Value.Type()]
	if want == "" {
		return err
	}
	return fmt.Errorf("--%s %q: expected %s", bad.GetFlag().Name, bad.GetValue(), want)
}

// report prints why a command failed: mistakes in queries with their place,
// anything else on a line.
func report(w io.Writer, cmd *cobra.Command, f *failure) {
	var mistakes syntax.Errors
	if errors.Is(f.err, context.Canceled) {
		fmt.Fprintln(w, "orlop: interrupted; what follows was not read")
		return
	}
	if errors.As(f.err, &mistakes) {
		fmt.Fprint(w, mistakes.Report())
		return
	}
	for line := range strings.Lines(strings.TrimSpace(f.err.Error())) {
		fmt.Fprintf(w, "orlop: %s\n", printable(strings.TrimRight(line, "\n")))
	}
	if f.code == exitUsage && cmd != nil {
		fmt.Fprintf(w, "See: %s --help\n", cmd.CommandPath())
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "orlop",
		Short: "Threat detection below the Kubernetes API",
		Long: `Orlop finds what happens below the Kubernetes API: container runtime clients
that create, enter, mount or delete containers past RBAC, admission and the
audit log. It runs detection rules in Elastic's format, live and over recorded events.

  orlop demo                           show the console on a recorded session
  orlop run                            watch this host
  orlop scan audit.log                 run the rules over a log
  orlop query 'process where …' FILE   print the events that match a query
  orlop rules list                     show the rules

` + exitCodes,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(newScan(), newQuery(), newRules(), newFmt(), newVersion(), newMan())
	root.AddCommand(newDemo(), newConsole(), newAlerts())
	root.AddCommand(newRun(), newRecord(), newDoctor(), newStatus(), newStore(), newConfig())
	refuseShells(root)
	return root
}

// refuseShells makes completion refuse a shell that it does not know: cobra's own
// command prints its help and is content.
func refuseShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		panic("orlop: bug: " + err.Error())
	}
	var shells []string
	for _, c := range completion.Commands() {
		shells = append(shells, c.Name())
	}
	completion.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("no completion for %q: the shells are %s", args[0], strings.Join(shells, ", "))
		}
		return nil
	}
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// openInputs opens what the arguments name.
func openInputs(args []string, stdin io.Reader) ([]*source.Input, error) {
	inputs, err := source.Open(args, stdin)
	if err != nil {
		return nil, &failure{exitIO, err}
	}
	return inputs, nil
}
