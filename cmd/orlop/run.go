package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/source"
)

// watching is the flags of commands that watch this host.
type watching struct {
	source   once
	loginuid int64
	host     string
}

// nodeName is the variable in which Kubernetes is asked to put the name of the node.
const nodeName = "NODE_NAME"

func (w *watching) add(cmd *cobra.Command) {
	w.source.value = "auto"
	cmd.Flags().Var(&w.source, "source", "where events come from (`SOURCE`): auto, the first of bpf, audit and proc that works; one of these; audit-log[=FILE]; kube-audit=FILE; or stdin")
	cmd.Flags().Int64Var(&w.loginuid, "loginuid", -1, "watch only processes of this login uid (`N`; default: all)")
	cmd.Flags().StringVar(&w.host, "host-name", "", "call this host `NAME` in host.name of events (default: $"+nodeName+", or what it calls itself)")
	cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions(agent.LiveKinds(), cobra.ShellCompDirectiveNoFileComp))
}

// hostName is what the flag or the environment calls this host, "" if neither does.
func (w *watching) hostName() (string, error) {
	for _, from := range []struct{ name, value string }{{"--host-name", w.host}, {nodeName, os.Getenv(nodeName)}} {
		if from.value == "" {
			continue
		}
		if msg, hint := config.Wrong("host", from.value); msg != "" {
			return "", usage("%s: %s (%s)", from.name, msg, hint)
		}
		return from.value, nil
	}
	return "", nil
}

// once is the value of a flag that is given once: of two, one would be dropped.
type once struct {
	value string
	given bool
}

func (o *once) String() string { return o.value }
func (o *once) Type() string   { return "string" }

func (o *once) Set(s string) error {
	if o.given {
		return errors.New("it is there twice (several sources stand in a configuration: --config)")
	}
	o.value, o.given = s, true
	return nil
}

// config is the source that the flags name.
func (w *watching) config() (agent.SourceConfig, error) {
	kind, path, named := strings.Cut(w.source.value, "=")
	c := agent.SourceConfig{Kind: kind, Path: path}
	if named && path == "" {
		return c, usage("--source %q: no file after the =", w.source.value)
	}
	if key, msg, hint := c.Check(); msg != "" {
		if strings.Contains(kind, ",") {
			hint = "one of them; several sources stand in a configuration: --config"
		}
		if hint != "" {
			hint = " (" + hint + ")"
		}
		return c, usage("--source %q: %s%s", w.source.value, strings.TrimPrefix(msg, key+": "), hint)
	}
	if w.loginuid < -1 || w.loginuid >= 1<<32-1 {
		return c, usage("--loginuid %d: expected 0 to 4294967294, or -1, which is all", w.loginuid)
	}
	if w.loginuid >= 0 {
		uid := uint32(w.loginuid)
		c.LoginUID = &uid
	}
	return c, nil
}

func newRun() *cobra.Command {
	const help = `Run watches this host and prints an alert for each match of a rule, within
milliseconds. Alerts go to standard output, everything else to standard error.

Events come from the first of these that the host allows, and the first line of the
log says which, and why not a better one:

  bpf        eBPF programs; needs CAP_BPF and CAP_PERFMON
  audit      the kernel's audit system: as its daemon where there is none, with rules
             of its own, and everything put back at the end; beside auditd by
             multicast, with the rules that are loaded
  proc       the proc connector; what /proc no longer shows is missing

or from what --source names:

  audit-log  the log that auditd writes, as it grows and is rotated
  kube-audit the audit log that a kube-apiserver of this host writes; beside another
             source in --config, it names who asked for an exec
  stdin      the records that auditd sends to a plugin, until their end

Orlop doctor says what this host can do and what is missing. No process ever waits for
orlop: what it cannot read in time is lost, counted, and told, also in the alerts around
it (orlop.evidence).

All that matters is a flag; a file (--config) can say more: see orlop config schema.
A flag goes before what the file says. Rule files and folders are watched, and read
again when they change and on SIGHUP; if one of the rules is wrong then, those that
run stay. With --state, a restart goes on where the last run ended, and neither loses
nor repeats an alert. Nothing listens unless --listen says so.

Interrupt and SIGTERM end it once all that has happened is judged. The last lines
account for every event.`
	var (
		in                                                             watching
		memory                                                         memoryFlags
		file, tuning, state, keep, listen, output, logFormat, logLevel string
		paths                                                          []string
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Watch this host and print alerts",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop run
  orlop run --rules /etc/orlop/rules --output table
  orlop run --config /etc/orlop/orlop.yaml
  orlop run --state /var/lib/orlop --listen 127.0.0.1:7070
  orlop run --source audit-log=/var/log/audit/audit.log`,
		Args: cobra.NoArgs,
	}
	in.add(cmd)
	addRules(cmd, &paths)
	addOutput(cmd, &output, "none")
	memory.add(cmd)
	cmd.Flags().StringVarP(&file, "config", "c", "", "read the configuration in `FILE` (YAML)")
	cmd.Flags().StringVar(&tuning, "tuning", "", "who is exempt from what, beside the kubelet, the runtimes and known agents: host roles, users, automation (`FILE`)")
	cmd.Flags().StringVar(&state, "state", "", "keep what outlives a run in `DIR`")
	cmd.Flags().StringVar(&keep, "store", "", "keep alerts in `STORE`: the path of a file, or postgres://USER@HOST/DATABASE, whose password is in PGPASSWORD or PGPASSFILE")
	cmd.Flags().StringVar(&listen, "listen", "", "serve /metrics, /healthz, /readyz and /status, and with --store the console, at `ADDRESS`, such as 127.0.0.1:7070")
	cmd.Flags().StringVar(&logFormat, "log-format", "text", "text or json")
	cmd.Flags().StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		signal.Ignore(syscall.SIGHUP) // until it is waited for, see reloads
		given := cmd.Flags().Changed
		watched, err := in.config()
		if err != nil {
			return err
		}
		if given("config") && file == "" {
			return usage("--config: expected a file, and its name is empty")
		}
		flags := agent.Flags{Names: map[string]string{}}
		for _, name := range []string{"source", "loginuid", "rules", "tuning", "state", "store", "listen", "output"} {
			key := name
			if name == "source" || name == "loginuid" {
				key = "sources"
			}
			if given(name) && flags.Names[key] == "" {
				flags.Names[key] = "--" + name
			}
		}
		switch {
		case given("host-name"):
			flags.Names["host_name"] = "--host-name"
		case os.Getenv(nodeName) != "":
			flags.Names["host_name"] = nodeName
		}
		flags.Set = func(c *agent.Config) {
			if given("host-name") {
				c.HostName = in.host
			}
			c.HostName = cmp.Or(c.HostName, os.Getenv(nodeName))
			if flags.Names["sources"] != "" || len(c.Sources) == 0 {
				c.Sources = []agent.SourceConfig{watched}
			}
			for _, f := range []struct {
				name string
				from string
				to   *string
			}{{"tuning", tuning, &c.Tuning}, {"state", state, &c.State}, {"store", keep, &c.Store}, {"listen", listen, &c.Listen}, {"output", output, &c.Output}, {"log-format", logFormat, &c.Log.Format}, {"log-level", logLevel, &c.Log.Level}} {
				if given(f.name) {
					*f.to = f.from
				}
			}
			if given("rules") {
				c.Rules = paths
			}
			if given("sequence-memory") {
				c.Sequences.MaxBytes = int64(memory.memory)
			}
			if given("rule-memory") {
				c.Sequences.RuleMaxBytes = int64(memory.ruleMemory)
			}
		}
		c, err := loadConfig(file, true, flags)
		if err != nil {
			return err
		}
		log, err := newLog(cmd.ErrOrStderr(), c.Log)
		if err != nil {
			return err
		}
		d := &service{c: c, file: file, stdin: cmd.InOrStdin(), log: log, flags: flags}
		return d.run(cmd)
	}
	return cmd
}

// newLog is the log that a configuration asks for.
func newLog(w io.Writer, c agent.LogConfig) (*slog.Logger, error) {
	var o slog.HandlerOptions
	level := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := level[c.Level]
	if !ok {
		return nil, usage("--log-level %q: expected debug, info, warn or error", c.Level)
	}
	o.Level = l
	switch c.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &o)), nil
	}
	return nil, usage("--log-format %q: expected text or json", c.Format)
}

// loadTuning reads a tuning file, or the built-in one.
func loadTuning(name string, s *event.Schema) (*agent.Tuning, error) {
	t, err := agent.LoadTuning(name, s)
	if err != nil {
		return nil, configured(err)
	}
	return t, nil
}

// A service is one run of the daemon.
type service struct {
	c     *agent.Config
	file  string
	flags agent.Flags
	stdin io.Reader
	log   *slog.Logger
	live  *agent.Live
	tell  *agent.Notifier
	oidc  *console.OIDC
	tuned atomic.Pointer[string] // the file of the tuning that runs

	unwatched error // not all rules are watched
}

func (d *service) run(cmd *cobra.Command) error {
	c, log := d.c, d.log
	judged := d.bound(cmd.Context())
	defer judged()
	schema := event.NewSchema()
	d.live = agent.NewLive(detect.Options{Schema: schema, Budget: c.Sequences.MaxBytes, RuleBudget: c.Sequences.RuleMaxBytes})
	live := d.live
	live.Log, live.Checkpoint = log, c.Checkpoint
	changed, unwatch := d.watch(cmd.Context())
	defer unwatch()
	if err := d.load(cmd.ErrOrStderr()); err != nil {
		return d.blame("rules", err)
	}
	var err error
	if live.Tuning, err = loadTuning(c.Tuning, schema); err != nil {
		return d.blame("tuning", err)
	}
	d.tuned.Store(&c.Tuning)
	d.remark(live.Tuning)
	if d.oidc, err = loadOIDC(c.OIDC); err != nil {
		return d.blame("oidc", err)
	}
	// Before anything is changed on the host, for an address that is taken.
	public, err := d.bind()
	if err != nil {
		return err
	}
	if public != nil {
		defer public.Close()
	}
	emit, closeOutput, err := d.output(cmd)
	if err != nil {
		return err
	}
	if c.State != "" {
		if live.State, err = agent.OpenState(c.State, log); err != nil {
			return d.blame("state", &failure{exitIO, err})
		}
		defer live.State.Close()
	}
	var keeper *agent.Keeper
	if c.Store != "" {
		keeper = agent.NewKeeper(c.Store, c.Retention.Retention(), time.Now, log)
		d.learn(cmd.Context(), keeper)
	}
	if live.Outbox, err = agent.OpenOutbox(c, keeper, log); err != nil {
		return configured(err)
	}
	deliver := d.deliver()
	defer deliver()
	defer func() {
		for _, s := range live.Streams {
			s.Source.Close()
		}
	}()
	if err := d.open(schema); err != nil {
		return err
	}
	live.Restore()
	stopServing := d.serve(cmd, keeper, public)
	defer stopServing()

	ctx := cmd.Context()
	d.tell = agent.NewNotifier(os.Getenv)
	ready := sync.OnceFunc(func() { d.notify(d.tell.Ready()) })
	live.Notify = func(now time.Time) {
		ready()
		d.notify(d.tell.Alive(now))
	}
	stopReloading := d.reloads(ctx, changed)
	defer stopReloading()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	live.Tick = tick.C

	stop := context.AfterFunc(ctx, func() { d.notify(d.tell.Stopping()) })
	defer stop()
	err = live.Run(ctx, emit)
	judged()
	stopServing() // The console, and what exceptions have held, need the store.
	kept := deliver()
	closed := closeOutput()
	n := live.Counts()
	for _, a := range live.Accounts() {
		log.Info("ended", "source", a.Source, "events", a.String(), "alerts", n.Engine.Alerts, "repeated", n.Repeated)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return &failure{exitIO, errors.Join(fmt.Errorf("run: %w", err), kept)}
	}
	if kept != nil {
		return &failure{exitIO, errors.Join(kept, closed)}
	}
	return closed
}

// bound ends the process if it is asked to end and takes too long until judged is called:
// what is opened does not answer, a source does not end, or somebody does not take what we
// write, which may be the log.
func (d *service) bound(ctx context.Context) (judged func()) {
	over, drain := make(chan struct{}), d.c.Drain
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-over:
			return
		case <-time.After(drain):
		}
		told := make(chan struct{})
		go func() {
			defer close(told)
			d.log.Error("the end takes too long; what waits is given up", "after", drain)
		}()
		select {
		case <-told:
		case <-time.After(time.Second):
		}
		os.Exit(exitIO)
	})
	return sync.OnceFunc(func() {
		stop()
		close(over)
	})
}

// load gives the run its first rules. What is wrong with some, so that they do not run, is
// told to the log and to who asks the run; if none can run it is reported.
func (d *service) load(w io.Writer) error {
	mistakes, err := setRules(d.live.Engine, d.c.Rules)
	if err != nil {
		fmt.Fprint(w, mistakes.Report())
		return err
	}
	d.live.Mistaken(mistakes)
	for _, m := range mistakes {
		d.log.Error("a rule does not run", "reason", m)
	}
	return nil
}

// blame names the flag, or the place in the configuration, that gave a file that cannot be
// read or written, or an address that cannot be taken: the value at a path in the
// configuration. What is wrong in a file has a place of its own.
func (d *service) blame(path string, err error) error { return blame(d.c.Given(path), err) }

// blame names what gave a value by which something cannot be read or written.
func blame(name string, err error) error {
	var f *failure
	if name != "" && errors.As(err, &f) && f.code == exitIO {
		return &failure{exitIO, fmt.Errorf("%s: %w", name, f.err)}
	}
	return err
}

// deliver brings alerts to the sinks until the caller ends it. Each sink that works
// gets what is left then; the rest waits for the next run. The error of the end says what
// is lost, or may come again.
func (d *service) deliver() (end func() error) {
	box := d.live.Outbox
	if box == nil {
		return sync.OnceValue(d.live.Keep)
	}
	ctx, cancel := context.WithCancel(context.Background()) // the run's ends before its last alerts
	done := make(chan error, 1)
	go func() { done <- box.Run(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		err := errors.Join(<-done, d.live.Keep(), box.Close())
		for _, s := range box.Stats().Sinks {
			d.log.Info("sink ended", "sink", s.Name, "delivered", s.Delivered, "refused", s.Refused, "given_up", s.GivenUp, "waiting", s.Waiting)
		}
		return err
	})
}

// notify logs that systemd cannot be told.
func (d *service) notify(err error) {
	if err != nil {
		d.log.Warn(err.Error())
	}
}

// output makes what alerts are printed with.
func (d *service) output(cmd *cobra.Command) (emit func(*alert.Alert) error, end func() error, err error) {
	switch o := d.c.Output; {
	case o == "none":
		return func(*alert.Alert) error { return nil }, func() error { return nil }, nil
	case o != "" && !slices.Contains(outputs, o):
		return nil, nil, usage("--output %q: expected %s", o, either(append(slices.Clone(outputs), "none")))
	}
	out, err := newPrinter(cmd, d.c.Output, alertColumns(d.live.Engine.Rules())...)
	if err != nil {
		return nil, nil, err
	}
	out.live = true
	rows := newAlertRows(out.table)
	return func(a *alert.Alert) error {
		if a.BuildingBlock && out.form == "table" {
			return nil
		}
		out.print(a.AppendJSON(nil), func() string { return rows.line(a) })
		return out.err
	}, out.close, nil
}

// open opens the sources.
func (d *service) open(schema *event.Schema) error {
	agent.PutBack(d.log)
	for i, c := range d.c.Sources {
		s := &agent.Stream{Name: c.Label(), About: c.Kind + " " + c.Path, Rejects: &source.Stats{}}
		for _, f := range []struct {
			name, query string
			to          **agent.Filter
		}{{"include", c.Include, &s.Include}, {"exclude", c.Exclude, &s.Exclude}} {
			if f.query == "" {
				continue
			}
			filter, err := agent.NewFilter("source "+s.Name+": "+f.name, f.query, schema)
			if err != nil {
				return &failure{exitUsage, err}
			}
			*f.to = filter
		}
		src, lateness, err := agent.OpenLive(c.Kind, agent.LiveOptions{
			Options:  source.Options{Schema: schema, Host: d.c.HostName, Stats: s.Rejects, Reject: agent.Refusals(d.log, s.Name, time.Now)},
			LoginUID: c.LoginUID, Path: c.Path, Stdin: d.stdin, Resume: d.live.State.Position(s.Name, s.About),
		})
		if err != nil {
			if err = unopened(err); c.Path != "" {
				err = d.blame(fmt.Sprintf("sources[%d].path", i), err)
			}
			return err
		}
		s.Source, s.Lateness = src, cmp.Or(c.Lateness, lateness)
		s.LoginUID, s.Opened = c.LoginUID, time.Now()
		d.live.Streams = append(d.live.Streams, s)
		d.log.Info("watching", "source", src.String(), "rules", running(d.live.Engine))
		warnOfLimits(d.log, src)
	}
	done, open := d.live.Once()
	for _, what := range done {
		d.log.Info("two sources tell of the same acts", "what", what)
	}
	for _, what := range open {
		d.log.Warn("two sources tell of the same acts", "what", what)
	}
	return nil
}

// unopened is why a source does not open.
func unopened(err error) error {
	if missing := (*source.MissingError)(nil); errors.As(err, &missing) {
		return &failure{exitHost, err}
	}
	return &failure{exitIO, err}
}

// warnOfLimits logs what a source does not see, and what to do.
func warnOfLimits(log *slog.Logger, src agent.LiveSource) {
	for _, c := range agent.Limits(src) {
		log.Warn("not all is seen", "what", c.Name+": "+c.State, "fix", c.Fix)
	}
}

// bind takes the address that the configuration says, nil if it says none. Who connects
// waits until serve answers.
func (d *service) bind() (net.Listener, error) {
	if d.c.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", d.c.Listen)
	if err != nil {
		return nil, d.blame("listen", &failure{exitIO, err})
	}
	return l, nil
}

// serve answers on the listener, if it is not nil, and on the socket of the state
// directory. Where there is a store, the console on it is served as well, as soon as it is
// open. The caller ends it.
func (d *service) serve(cmd *cobra.Command, keeper *agent.Keeper, public net.Listener) (stop func()) {
	var listeners []net.Listener
	var pages desk
	counts := d.live.Handler()
	if d.c.State != "" {
		l, err := agent.ListenState(d.c.State)
		if err != nil {
			d.log.Warn("orlop status cannot ask this run", "reason", err)
		} else {
			listeners = append(listeners, l)
		}
	}
	if public != nil {
		if keeper != nil {
			warnBeyondLoopback(d.log, public, false)
		}
		if a, ok := public.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			d.log.Warn("others than this host can ask what this run counts: it listens beyond loopback, without authentication", "address", a.String())
		}
		d.log.Info("listening", "address", public.Addr().String())
		listeners = append(listeners, public)
	}
	server := agent.Server(counts)
	both := server
	stopKeeping := func() {}
	if keeper != nil {
		stopKeeping = d.keep(cmd, keeper, &pages, public)
		mux := http.NewServeMux()
		for _, path := range []string{"/metrics", "/healthz", "/readyz", "/status"} {
			mux.Handle("GET "+path, counts)
		}
		mux.Handle("/", &pages)
		both = console.NewHTTPServer(mux, d.log)
	}
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() {
			s := server
			if l.Addr().Network() == "tcp" {
				s = both
			}
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				d.log.Error("serving ended", "address", l.Addr().String(), "reason", err)
			}
		})
	}
	return sync.OnceFunc(func() {
		stopKeeping()
		server.Close()
		both.Close()
		for _, l := range listeners {
			l.Close()
		}
		serving.Wait()
	})
}

// watch looks for changes of rules and tuning from before they are read, so that none
// is missed. The caller ends it.
func (d *service) watch(ctx context.Context) (changed <-chan bool, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ch := make(chan bool, 1)
	mark := func() {
		select {
		case ch <- true:
		default:
		}
	}
	paths := slices.Clone(d.c.Rules)
	if d.c.Tuning != "" {
		paths = append(paths, d.c.Tuning)
	}
	if len(paths) == 0 {
		return ch, cancel
	}
	wait, err := agent.Watch(ctx, paths, time.After, mark)
	if err != nil {
		d.unwatched = err
	}
	return ch, func() {
		cancel()
		wait()
	}
}

// reloads reads rules and tuning again when they have changed, and on SIGHUP also the
// configuration that names them. The caller ends it.
func (d *service) reloads(ctx context.Context, changed <-chan bool) (stop func()) {
	if d.unwatched != nil {
		d.log.Warn("not all rules are watched for changes; send SIGHUP after one", "reason", d.unwatched)
	}
	ctx, cancel := context.WithCancel(ctx)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	var reloading sync.WaitGroup
	reloading.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				d.reload(d.c)
			case <-hup:
				d.notify(d.tell.Reloading())
				d.reload(d.reread())
				d.notify(d.tell.Ready())
			}
		}
	})
	return func() {
		signal.Stop(hup)
		cancel()
		reloading.Wait()
	}
}

// reread reads the configuration again, for rules and tuning. If it is wrong the old
// one stays, and nil is returned.
func (d *service) reread() *agent.Config {
	if d.file == "" {
		return d.c
	}
	c, err := loadConfig(d.file, true, d.flags)
	if err != nil {
		d.live.Refuse(err)
		d.log.Error("the configuration is refused; what runs stays", "reason", err)
		return nil
	}
	next := *d.c
	next.Rules, next.Tuning = c.Rules, c.Tuning
	if !slices.Equal(next.Rules, d.c.Rules) || next.Tuning != d.c.Tuning {
		d.log.Warn("the configuration names other rules: they are read, and watched from the next start on")
	}
	return &next
}

// reload gives the run new rules and tuning, or none of both.
func (d *service) reload(c *agent.Config) {
	if c == nil {
		return
	}
	rules, err := goodRules(c.Rules)
	var tuning *agent.Tuning
	if err == nil {
		tuning, err = loadTuning(c.Tuning, d.live.Schema)
	}
	if err != nil {
		d.live.Refuse(err)
	} else if err = d.live.Reload(rules, tuning); err == nil {
		d.c = c
		d.tuned.Store(&c.Tuning)
		d.remark(tuning)
		d.log.Info("rules are reloaded", "rules", len(rules))
		return
	}
	d.log.Error("the new rules are refused; those that run stay", "reason", err)
}

// remark logs what a tuning takes in that its author may not have meant.
func (d *service) remark(t *agent.Tuning) {
	for _, w := range t.Warnings {
		d.log.Warn("the tuning exempts more than it may mean to", "entry", w)
	}
	for _, w := range t.Ended(time.Now()) {
		d.log.Warn("an exemption of the tuning is over", "entry", w)
	}
}

// goodRules are the rules that paths name, if nothing is wrong with any.
func goodRules(paths []string) ([]*rule.Rule, error) {
	pack, err := loadPack(paths)
	if err != nil {
		return nil, err
	}
	mistakes := append(slices.Clone(pack.Errors), queryMistakes(pack.Broken)...)
	var more syntax.Errors
	if errors.As(detect.Check(pack.Rules), &more) {
		mistakes = append(mistakes, more...)
	}
	switch {
	case len(mistakes) > 0:
		return nil, mistakes
	case len(pack.Rules) == 0:
		return nil, fmt.Errorf("no rules (*.toml) in %s", strings.Join(paths, ", "))
	}
	return pack.Rules, nil
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
