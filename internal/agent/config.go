package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/sink"
)

// A Config is all that a run can be told. orlop run --config reads it from a file.
type Config struct {
	Sources    []SourceConfig     `yaml:"sources" doc:"Where events come from; without any, the best source that works here."`
	Rules      []string           `yaml:"rules" doc:"Rule files, and folders of them, which are watched for changes; without any, the built-in pack."`
	Tuning     string             `yaml:"tuning" doc:"File that says who is exempt from what, beside the kubelet, the runtimes and known agents."`
	State      string             `yaml:"state" doc:"Directory for what outlives a run: pending sequences, places in files, alerts that were raised. Without it a restart begins anew."`
	Checkpoint time.Duration      `yaml:"checkpoint" doc:"How often the state is written."`
	Listen     string             `yaml:"listen" doc:"Address of /metrics, /healthz, /readyz and /status, such as 127.0.0.1:7070. Without it nothing listens but a socket in the state directory."`
	Sequences  SequenceConfig     `yaml:"sequences" doc:"What rules of several events may take."`
	Output     string             `yaml:"output" enum:"ndjson|json|table|none" doc:"How alerts are printed on standard output."`
	Sinks      []SinkConfig       `yaml:"sinks" doc:"Where alerts go besides standard output; they need a state directory."`
	Outbox     sink.OutboxOptions `yaml:"outbox" doc:"What is kept for sinks that are behind, in the state directory."`
	Drain      time.Duration      `yaml:"drain" doc:"How long an end may take, for judging what has happened until then."`
	Log        LogConfig          `yaml:"log" doc:"The log, on standard error."`
}

// A LogConfig says how a run logs.
type LogConfig struct {
	Format string `yaml:"format" enum:"text|json" doc:"How a line is written."`
	Level  string `yaml:"level" enum:"debug|info|warn|error" doc:"The least level that is written."`
}

// A SequenceConfig bounds the memory of rules of several events.
type SequenceConfig struct {
	MaxBytes     int64 `yaml:"max_bytes" doc:"Memory for partial sequences of all rules together, in bytes, and again for events that wait to be put in order; for more, the oldest are given up."`
	RuleMaxBytes int64 `yaml:"rule_max_bytes" doc:"Memory for partial sequences of one rule, in bytes; 0 is the same as max_bytes."`
}

// Check implements [config.Checker].
func (c *SequenceConfig) Check() (key, msg, hint string) {
	switch {
	case c.MaxBytes < 1:
		return "max_bytes", "max_bytes: expected at least 1", ""
	case c.RuleMaxBytes < 0:
		return "rule_max_bytes", "rule_max_bytes: expected at least 0", ""
	}
	return "", "", ""
}

// A SourceConfig is one source of events.
type SourceConfig struct {
	Kind     string        `yaml:"kind" enum:"auto|bpf|audit|proc|audit-log|kube-audit|stdin" doc:"What kind of source it is; auto is the best that works here."`
	Name     string        `yaml:"name" doc:"Its name in counters, log and alerts; without it, its kind."`
	Path     string        `yaml:"path" doc:"The file that audit-log reads (without it, /var/log/audit/audit.log) or kube-audit."`
	LoginUID *uint32       `yaml:"loginuid" doc:"Only processes of this login uid; without it, all."`
	Lateness time.Duration `yaml:"lateness" doc:"How much older than its newest event one may be and still be seen in order by sequences; 0 is the default of its kind: 2s for bpf and proc, 3s for audit, 5s for audit-log, kube-audit and stdin."`
	Include  string        `yaml:"include" doc:"EQL event query: only events that match it are judged."`
	Exclude  string        `yaml:"exclude" doc:"EQL event query: events that match it are not judged."`
}

// Check implements [config.Checker].
func (c *SourceConfig) Check() (key, msg, hint string) {
	switch {
	case c.Kind == "":
		return "kind", "it has no kind", "one of " + strings.Join(LiveKinds(), ", ")
	case !slices.Contains(LiveKinds(), c.Kind):
		return "kind", "kind: expected " + strings.Join(LiveKinds(), ", "), syntax.DidYouMean(c.Kind, LiveKinds())
	case c.Path != "" && c.Kind != "audit-log" && c.Kind != "kube-audit":
		return "path", "path: " + c.Kind + " reads no file", "leave it out; audit-log and kube-audit read one"
	case c.Path == "" && c.Kind == "kube-audit":
		return "kind", "kube-audit needs the file that kube-apiserver writes", "the value of its flag --audit-log-path"
	case c.LoginUID != nil && c.Kind == "kube-audit":
		return "loginuid", "loginuid: requests to the API have none", "leave it out"
	case c.Lateness < 0:
		return "lateness", "lateness: expected at least 0s", ""
	case c.LoginUID != nil && *c.LoginUID == 1<<32-1:
		return "loginuid", "loginuid: 4294967295 stands for none", "leave the key out to watch all"
	}
	for _, f := range []struct{ key, query string }{{"include", c.Include}, {"exclude", c.Exclude}} {
		if f.query == "" {
			continue
		}
		_, err := NewFilter("", f.query, event.NewSchema())
		var mistakes syntax.Errors
		if errors.As(err, &mistakes) {
			line, col := mistakes[0].Src.Position(mistakes[0].Range.Start)
			return f.key, fmt.Sprintf("%s: line %d, column %d of the query: %s", f.key, line, col, mistakes[0].Msg), mistakes[0].Hint
		}
	}
	return "", "", ""
}

// Label is the source's name.
func (c *SourceConfig) Label() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Kind
}

// Check implements [config.Checker].
func (c *Config) Check() (key, msg, hint string) {
	seen := map[string]bool{}
	inputs := 0
	for i := range c.Sources {
		if c.Sources[i].Kind == "stdin" {
			if inputs++; inputs == 2 {
				return "sources", "two sources read standard input", "there is one"
			}
		}
		name := c.Sources[i].Label()
		if seen[name] {
			return "sources", "two sources have the name " + name, "give one of them another name"
		}
		seen[name] = true
	}
	switch {
	case c.Checkpoint < time.Second:
		return "checkpoint", "checkpoint: expected at least 1s", ""
	case c.Drain < time.Second:
		return "drain", "drain: expected at least 1s", ""
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			return "listen", "listen: " + err.Error(), "for example 127.0.0.1:7070"
		}
	}
	return c.checkSinks()
}

// NewConfig returns the defaults.
func NewConfig() *Config {
	return &Config{Checkpoint: DefaultCheckpoint, Sequences: SequenceConfig{MaxBytes: detect.DefaultBudget}, Outbox: sink.DefaultOutbox(), Drain: 10 * time.Second, Log: LogConfig{"text", "info"}}
}

// LoadConfig reads a file on top of what c holds. The error has all its mistakes.
func LoadConfig(name string, c *Config) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return config.Read(name, text, os.LookupEnv, c)
}

// Schema is the JSON Schema of a Config.
func Schema() []byte { return config.Schema("orlop run --config", NewConfig()) }
