package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orlop/orlop/internal/procfs"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/sink/file"
)

// A SinkConfig is one sink: its kind, and what that kind wants to know.
type SinkConfig struct {
	Kind string `yaml:"kind" doc:"What kind of sink it is: docs/sinks.md has the keys of each."`
	Name string `yaml:"name" format:"sink" doc:"Its name in counters, log and outbox; without it, its kind."`

	of      string // the kind that options is of
	options any
}

// Kinds implements [config.Variant].
func (c *SinkConfig) Kinds() []string {
	names := make([]string, len(sinkKinds))
	for i, k := range sinkKinds {
		names[i] = k.name
	}
	return names
}

// Options implements [config.Variant].
func (c *SinkConfig) Options(kind string) any {
	if c.of != kind {
		c.of, c.options = kind, sinkKindOf(kind).options()
	}
	return c.options
}

// Label is the sink's name.
func (c *SinkConfig) Label() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Kind
}

// checkSinks says what is wrong with all sinks together.
func (c *Config) checkSinks() (key, msg, hint string) {
	seen := map[string]bool{}
	for i := range c.Sinks {
		name := c.Sinks[i].Label()
		if seen[name] {
			return "sinks", "two sinks have the name " + name, "give one of them another name"
		}
		seen[name] = true
	}
	files := map[string]string{} // who writes them
	if c.Store != "" {
		files[resolved(c.Store)] = "the store"
	}
	for i := range c.Sinks {
		if o, ok := c.Sinks[i].options.(*file.Options); ok && o.Path != "" {
			at, who := resolved(o.Path), "the sink "+c.Sinks[i].Label()
			if other := files[at]; other != "" {
				return "sinks", fmt.Sprintf("%s and %s write the same file, %s", other, who, o.Path), "give one of them another"
			}
			files[at] = who
		}
	}
	return "", "", ""
}

// resolved is the one path of a file that may be named in several ways.
func resolved(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	if whole, err := filepath.EvalSymlinks(name); err == nil {
		return whole
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(name)); err == nil {
		return filepath.Join(folder, filepath.Base(name))
	}
	return name
}

// A sinkKind is a kind of sink: what its keys in a configuration are, and how one is
// made of them.
type sinkKind struct {
	name    string
	options func() any // a pointer to the struct that the keys go into
	open    func(options any, here place) (sink.Sink, error)
}

// A place is what a sink knows of the run that it is of.
type place struct {
	host string // host.name of its events
	log  *slog.Logger
}

// sinkOf is a kind of sink whose options are an O.
func sinkOf[O any](name string, defaults O, open func(O, place) (sink.Sink, error)) sinkKind {
	return sinkKind{
		name:    name,
		options: func() any { o := defaults; return &o },
		open:    func(o any, here place) (sink.Sink, error) { return open(*o.(*O), here) },
	}
}

func sinkKindOf(name string) sinkKind {
	for _, k := range sinkKinds {
		if k.name == name {
			return k
		}
	}
	panic("agent: bug: no sink of kind " + name)
}

// calls is what the host is called, in host.name of events.
func (c *Config) calls() string {
	if c.HostName != "" {
		return c.HostName
	}
	return procfs.HostName()
}

// openSinks opens the sinks of a configuration: their secrets and certificates are read,
// and nothing is connected or written yet.
func openSinks(c *Config, log *slog.Logger) (routes []sink.Route, err error) {
	host := c.calls()
	for i := range c.Sinks {
		s := &c.Sinks[i]
		opened, err := sinkKindOf(s.Kind).open(s.Options(s.Kind), place{host, log.With("sink", s.Label())})
		if err != nil {
			closeSinks(routes)
			if place := c.places[fmt.Sprintf("sinks[%d].kind", i)]; place != "" {
				return nil, fmt.Errorf("%s: sink %s: %w", place, s.Label(), err)
			}
			return nil, fmt.Errorf("sink %s: %w", s.Label(), err)
		}
		routes = append(routes, sink.Route{Name: s.Label(), Sink: opened})
	}
	return routes, nil
}

func closeSinks(routes []sink.Route) {
	for _, r := range routes {
		r.Sink.Close()
	}
}

// CheckSinks says why sinks could not be opened, or their files not be made. A run waits for
// a folder that is still to come, as one that is mounted later.
func CheckSinks(c *Config) error {
	routes, err := openSinks(c, slog.New(slog.DiscardHandler))
	closeSinks(routes)
	for i := range c.Sinks {
		if o, ok := c.Sinks[i].options.(*file.Options); ok {
			if e := c.makeable(o.Path); e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", c.Given(fmt.Sprintf("sinks[%d].path", i)), e))
			}
		}
	}
	return err
}

// makeable says why a file cannot be made, or be gone on with.
func (c *Config) makeable(name string) error {
	folder := filepath.Dir(name)
	st, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.makes(folder):
		return nil
	case err == nil && !st.IsDir():
		return fmt.Errorf("%s: %s is no folder", name, folder)
	case err != nil:
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = errors.New(pe.Err.Error()) // It is no failure to read it.
		}
		return fmt.Errorf("%s: its folder %s: %w", name, folder, err)
	}
	if st, err := os.Lstat(name); err == nil && !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", name)
	}
	return nil
}

// makes reports whether a run makes a folder: the state directory, or one that it is in.
func (c *Config) makes(dir string) bool {
	state, err := filepath.Abs(c.State)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if c.State == "" || err != nil {
		return false
	}
	below, err := filepath.Rel(dir, state)
	return err == nil && below != ".." && !strings.HasPrefix(below, ".."+string(filepath.Separator))
}

// OpenOutbox opens the sinks of a configuration and the outbox before them, which is
// in the state directory that this process has locked. The store is one of them, if it
// is not nil. Without sinks the outbox is nil.
func OpenOutbox(c *Config, keeper *Keeper, log *slog.Logger) (*sink.Outbox, error) {
	var routes []sink.Route
	if keeper != nil {
		routes = append(routes, sink.Route{Name: storeRoute, Sink: keeper, Blocks: true})
	}
	if len(c.Sinks)+len(routes) == 0 {
		return nil, nil
	}
	sinks, err := openSinks(c, log)
	if err != nil {
		closeSinks(routes)
		return nil, err
	}
	routes = append(routes, sinks...)
	o := c.Outbox
	o.Dir, o.Host, o.Log = filepath.Join(c.State, "outbox"), c.calls(), log
	box, err := sink.OpenOutbox(o, routes...)
	if err != nil {
		closeSinks(routes)
		return nil, err
	}
	return box, nil
}

// settle waits until the alerts that a checkpoint remembers are in the outbox to stay:
// a checkpoint that outlived them would keep them from being raised again.
func (l *Live) settle() error {
	if l.Outbox == nil {
		return nil
	}
	return l.Outbox.Sync()
}

var (
	descOutbox    = describe("outbox_alerts_total", "Alerts that went into the outbox, by whether the disk took them at once: written or unwritten; or that are too_long for it.", "outcome")
	descOutBytes  = describe("outbox_bytes", "Size of the outbox on disk.")
	descOutMemory = describe("outbox_memory_alerts", "Alerts that are in memory alone, because the disk takes none, and that some sink has not got.")
	descOutFails  = describe("outbox_failing", "1 if the disk does not keep what the outbox gives it.")
	descSink      = describe("sink_alerts_total", "Alerts by what became of them: delivered, refused or given_up.", "sink", "outcome")
	descSinkWait  = describe("sink_alerts_waiting", "Alerts that a sink has not got yet.", "sink")
	descSinkFails = describe("sink_failures_total", "Deliveries that failed, and are tried again.", "sink")
	descSinkDown  = describe("sink_failing", "1 if the last delivery failed.", "sink")
)

var outboxDescs = []*prometheus.Desc{descOutbox, descOutBytes, descOutMemory, descOutFails, descSink, descSinkWait, descSinkFails, descSinkDown}

// collectOutbox makes metrics of an outbox's counters.
func collectOutbox(s *sink.Stats, count, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	count(descOutbox, float64(s.Appended-s.Unwritten), "written")
	count(descOutbox, float64(s.Unwritten), "unwritten")
	count(descOutbox, float64(s.TooLong), "too_long")
	gauge(descOutBytes, float64(s.Bytes))
	gauge(descOutMemory, float64(s.Memory))
	gauge(descOutFails, failing(s.Failing))
	for _, k := range s.Sinks {
		count(descSink, float64(k.Delivered), k.Name, "delivered")
		count(descSink, float64(k.Refused), k.Name, "refused")
		count(descSink, float64(k.GivenUp), k.Name, "given_up")
		gauge(descSinkWait, float64(k.Waiting), k.Name)
		count(descSinkFails, float64(k.Failures), k.Name)
		gauge(descSinkDown, failing(k.Failing), k.Name)
	}
}
