package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/examples"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/store"
)

// consoleAddress is where the console listens if nothing else is said.
const consoleAddress = "127.0.0.1:7070"

func newDemo() *cobra.Command {
	const help = `Demo replays a recorded session on a node through the whole pipeline (source, process
table, rules, store) and serves the console on what it found. It needs no root, watches
nothing of this host and keeps nothing: the store is a temporary file.

The session is examples/node-session of the source: 41 commands with a real containerd,
among them exec in a dozen disguises, privileged containers with the host's root, nsenter
and curl on the socket. Its times are those of the recording.

It prints a link that signs in, once, and stays until it is interrupted.`
	var listen string
	var noOpen bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the console on a recorded session",
		Long:  help + "\n\n" + exitCodes,
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVar(&listen, "listen", consoleAddress, "serve the console at this `ADDRESS`; where the default is taken, at a free port")
	cmd.Flags().BoolVar(&noOpen, "no-open", false, "open no browser")
	cmd.RunE = untilEnded(func(cmd *cobra.Command, _ []string) (err error) {
		ctx := cmd.Context()
		l, err := net.Listen("tcp", listen)
		if errors.Is(err, syscall.EADDRINUSE) && !cmd.Flags().Changed("listen") {
			l, err = net.Listen("tcp", "127.0.0.1:0")
		}
		if err != nil {
			return &failure{exitIO, err}
		}
		defer l.Close()
		dir, err := os.MkdirTemp("", "orlop-demo-")
		if err != nil {
			return &failure{exitIO, err}
		}
		defer os.RemoveAll(dir)
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		s, err := store.Open(ctx, filepath.Join(dir, "orlop.db"), store.Options{Log: log})
		if err != nil {
			return &failure{exitIO, err}
		}
		defer s.Close()
		seen, err := replayDemo(ctx, s)
		if err != nil {
			return &failure{exitIO, fmt.Errorf("demo: %w", err)}
		}
		c, err := console.New(console.Options{Store: s, Log: log, Known: agent.KnownField, Rules: seen.rules, Sources: seen.sources, Trial: consoleTrial(func() string { return "" }), Hosts: console.Loopback(l.Addr())})
		if err != nil {
			return &failure{exitIO, err}
		}
		defer c.Close()
		warnBeyondLoopback(log, l, false)
		path, err := c.Link(ctx, "")
		if err != nil {
			return &failure{exitIO, err}
		}
		link := "http://" + l.Addr().String() + path
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "A session of %s on a node, replayed: %s. This link signs in, once:\n\n%s\n\nIt stays until Ctrl-C, and keeps nothing.\n",
			count(seen.events, "event"), count(seen.alerts, "alert"), link)
		if !noOpen {
			openBrowser(link)
		}
		return serveConsole(ctx, c, l, nil)
	})
	return cmd
}

// A demonstration is what a replay saw.
type demonstration struct {
	events, alerts int
	engine         *detect.Engine
	replay         *agent.Replay
}

// replayDemo runs the recorded session into a store.
func replayDemo(ctx context.Context, s *store.Store) (*demonstration, error) {
	schema := event.NewSchema()
	var now time.Time // alerts have the times that a live run would have given them
	engine := detect.New(detect.Options{Schema: schema, Lateness: -1, Interrupted: ctx.Err, Now: func() time.Time { return now }})
	if err := loadRules(io.Discard, engine, nil); err != nil {
		return nil, err
	}
	tuning, err := agent.LoadTuning("", schema)
	if err != nil {
		return nil, err
	}
	in := source.NewInput("node-session", io.NopCloser(named(examples.NodeSession, "worker-1")))
	replay := &agent.Replay{Tuning: tuning, Schema: schema, Enrich: true, Inputs: []*source.Input{in}}
	d := &demonstration{engine: engine, replay: replay}
	var found []*alert.Alert
	emit := func(a *alert.Alert) { found = append(found, a) }
	err = replay.Run(ctx, func(e *event.Event) error {
		if now = e.Time; now.IsZero() {
			now = time.Now()
		}
		d.events++
		engine.Process(e, emit)
		return engine.Err()
	})
	if err != nil {
		return nil, err
	}
	engine.Flush(emit)
	if err := engine.Err(); err != nil {
		return nil, err
	}
	for _, a := range found {
		if !a.BuildingBlock {
			d.alerts++
		}
	}
	_, err = s.Insert(ctx, time.Now(), found)
	return d, err
}

// named is a log of audit records with the name of their node, as auditd writes it with
// name_format = hostname. That of the session was off.
func named(log []byte, node string) io.Reader {
	r, w := io.Pipe()
	go func() {
		lines := bufio.NewScanner(bytes.NewReader(log))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if _, err := fmt.Fprintf(w, "node=%s %s\n", node, lines.Bytes()); err != nil {
				return
			}
		}
		w.CloseWithError(lines.Err())
	}()
	return r
}

func (d *demonstration) rules() []console.Rule {
	return consoleRules(d.engine.Rules(), d.engine.Stats().In)
}

func (d *demonstration) sources() []console.Source {
	st := d.engine.Stats()
	rejected := uint64(d.replay.Stats.Rejected.Load())
	return []console.Source{{Name: "node-session", About: "a recording of auditd", In: st.In + rejected, Evaluated: st.Evaluated, Filtered: st.Filtered, Late: st.Late, Rejected: rejected,
		Note: "Replayed from the program itself; nothing of this host is watched."}}
}

// consoleRules is what the console shows of rules.
func consoleRules(all []detect.Status, events uint64) []console.Rule {
	var out []console.Rule
	for _, r := range all {
		out = append(out, console.Rule{Rule: r.Rule, Idle: r.Idle, Tried: r.Cost.Candidates, Matched: r.Cost.Matches, Time: r.Cost.Time, Events: events})
	}
	return out
}

// consoleTrial is how the console tries rules, with the tuning of a file or the built-in one.
func consoleTrial(tuning func() string) func(*rule.Rule, bool) (console.Trial, error) {
	return func(r *rule.Rule, tuned bool) (console.Trial, error) {
		name := ""
		if tuned {
			name = tuning()
		}
		t, err := agent.NewTrial(r, name)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
}

// openBrowser shows a link to whoever sits here. It is no matter if nobody does.
func openBrowser(link string) {
	name, args := "xdg-open", []string{link}
	if runtime.GOOS == "darwin" {
		name = "open"
	}
	if runtime.GOOS == "linux" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	if cmd := exec.Command(name, args...); cmd.Start() == nil {
		go cmd.Wait()
	}
}
