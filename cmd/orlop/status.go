package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/sink"
)

func newStatus() *cobra.Command {
	const help = `Status asks a run what became of every event: of each source, what came in is what
was evaluated, filtered, late, rejected and lost. It asks over the socket in the run's
state directory, or at the address that it listens at.

It exits with 1 if the run is not ready, rules that it began with have mistakes and do
not run, a reload of its rules was refused, a sink does not take its alerts, or its
state or its outbox cannot be written.`
	var state, listen, output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask a run how it is",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop status --state /var/lib/orlop
  orlop status --listen 127.0.0.1:7070 --output json`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&state, "state", "", "state `DIR` of the run")
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDRESS` that the run listens at")
	addOutput(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if (state == "") == (listen == "") {
			return usage("one of --state and --listen says whom to ask")
		}
		doc, err := ask(cmd.Context(), state, listen)
		if err != nil {
			return &failure{exitIO, err}
		}
		var s agent.Status
		if err := json.Unmarshal(doc, &s); err != nil {
			return &failure{exitIO, fmt.Errorf("the answer is not of an orlop: %w", err)}
		}
		out, err := newPrinter(cmd, output)
		if err != nil {
			return err
		}
		if out.form == "table" {
			out.write([]byte(printStatus(&s)))
		} else {
			out.print(doc, nil)
		}
		if err := out.close(); err != nil {
			return err
		}
		if !s.Ready || s.Mistakes > 0 || s.Refusal != "" || failing(&s) {
			return errFindings
		}
		return nil
	}
	return cmd
}

// ask gets the status of a run.
func ask(ctx context.Context, state, listen string) ([]byte, error) {
	network, address := "tcp", listen
	if state != "" {
		network, address = "unix", filepath.Join(state, agent.SocketName)
	}
	var dial net.Dialer
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial.DialContext(ctx, network, address)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, "GET", "http://orlop/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op
		}
		return nil, fmt.Errorf("no run answers: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
}

// failing reports whether a sink takes nothing, or the disk does not.
func failing(s *agent.Status) bool {
	if s.Checkpoint != nil && s.Checkpoint.Failing != "" {
		return true
	}
	return s.Outbox != nil && (s.Outbox.Failing != "" || slices.ContainsFunc(s.Outbox.Sinks, func(k sink.SinkStats) bool { return k.Failing != "" }))
}

func printStatus(s *agent.Status) string {
	var b []byte
	line := func(name, format string, args ...any) {
		b = fmt.Appendf(b, "%-12s%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	state := "ready"
	if !s.Ready {
		state = "not ready"
	}
	line("state", "%s since %s, pid %d", state, s.Started.Format(time.RFC3339), s.PID)
	for _, a := range s.Sources {
		line("events", "%s: %s", a.Source, a)
		if a.Unidentified+a.Unrecorded > 0 {
			line("", "%s: judged without a look at their file %d programs, at their container's record %d", a.Source, a.Unidentified, a.Unrecorded)
		}
	}
	line("alerts", "%d, and %d that an earlier run had raised", s.Alerts, s.Repeated)
	line("rules", "%d run, %d do not; %d reloads, %d refused", s.Rules, s.Idle, s.Reloads, s.Refused)
	if s.Mistakes > 0 {
		line("mistakes", "%d in the rules that it began with; those that have one do not run", s.Mistakes)
		for _, m := range s.Mistaken {
			line("", "%s", m)
		}
	}
	if s.Refusal != "" {
		line("refused", "%s", s.Refusal)
	}
	line("processes", "%d, in %d kB", s.Processes, s.TableBytes>>10)
	if o := s.Outbox; o != nil {
		line("outbox", "%d alerts, %d kB on disk; %d only in memory, %d too long", o.Appended, o.Bytes>>10, o.Memory, o.TooLong)
		if o.Failing != "" {
			line("", "the outbox cannot be written: %s", o.Failing)
		}
		for _, k := range o.Sinks {
			line("sink", "%s: %d delivered + %d refused + %d given up; %d waiting, %d failures", k.Name, k.Delivered, k.Refused, k.GivenUp, k.Waiting, k.Failures)
			if k.Failing != "" {
				line("", "%s fails: %s", k.Name, k.Failing)
			}
		}
	}
	if s.Evicted+s.Untimed+s.Early > 0 || s.ClockSteps > 0 {
		line("also", "%d partial sequences given up, %d events rejected by sequences for want of a time from 1970 to 2261, %d that did not wait for older ones, the clock was set back %d times", s.Evicted, s.Untimed, s.Early, s.ClockSteps)
	}
	switch c := s.Checkpoint; {
	case c == nil:
	case c.Checkpoints == 0:
		line("checkpoint", "none written yet; %d failures", c.Failures)
	case c.Time.IsZero():
		line("checkpoint", "%d written, before the first tick, of %d kB; %d failures", c.Checkpoints, c.Bytes>>10, c.Failures)
	default:
		line("checkpoint", "%d written, the last at %s of %d kB; %d failures", c.Checkpoints, c.Time.Format(time.RFC3339), c.Bytes>>10, c.Failures)
	}
	if c := s.Checkpoint; c != nil && c.Failing != "" {
		line("", "the state cannot be written: %s", c.Failing)
	}
	return string(b)
}
