package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	HostName   string             `yaml:"host_name" format:"host" doc:"What this host is called in host.name of events; without it, what NODE_NAME in the environment says, or else what the host calls itself."`
	Rules      []string           `yaml:"rules" file:"true" doc:"Rule files, and folders of them, which are watched for changes; without any, the built-in pack."`
	Tuning     string             `yaml:"tuning" file:"true" doc:"File that says who is exempt from what, beside the kubelet, the runtimes and known agents."`
	State      string             `yaml:"state" doc:"Directory for what outlives a run: pending sequences, places in files, alerts that were raised. Without it a restart begins anew."`
	Checkpoint time.Duration      `yaml:"checkpoint" min:"1s" doc:"How often the state is written."`
	Listen     string             `yaml:"listen" format:"address" doc:"Address of /metrics, /healthz, /readyz and /status, such as 127.0.0.1:7070. Without it nothing listens but a socket in the state directory."`
	Sequences  SequenceConfig     `yaml:"sequences" doc:"What rules of several events may take."`
	Output     string             `yaml:"output" enum:"ndjson|json|table|none" doc:"How alerts are printed on standard output."`
	Sinks      []SinkConfig       `yaml:"sinks" doc:"Where alerts go besides standard output; they need a state directory."`
	Store      string             `yaml:"store" format:"store" secret:"true" doc:"Where alerts are kept to be worked with: the path of a file, or postgres://USER@HOST/DATABASE, whose password is in PGPASSWORD or PGPASSFILE. It needs a state directory."`
	OIDC       string             `yaml:"oidc" file:"true" doc:"File that says how people sign in to the console at a provider of OpenID Connect: docs/console.md has its keys. It needs a store."`
	Retention  StoreConfig        `yaml:"retention" doc:"What the store keeps."`
	Outbox     sink.OutboxOptions `yaml:"outbox" doc:"What is kept for sinks that are behind, in the state directory."`
	Drain      time.Duration      `yaml:"drain" min:"1s" doc:"How long an end may take, for judging what has happened until then."`
	Log        LogConfig          `yaml:"log" doc:"The log, on standard error."`

	names, places map[string]string // of what gave the values: of flags, and in the file
}

// Given names what gave the value at a path such as state or sources[0].path: the flag, or
// the place in the file and the path; "" if nothing did.
func (c *Config) Given(path string) string {
	key, _, _ := strings.Cut(path, ".")
	key, _, _ = strings.Cut(key, "[")
	if name := c.names[key]; name != "" {
		return name
	}
	if place := c.places[path]; place != "" {
		return place + ": " + path
	}
	return ""
}

// A LogConfig says how a run logs.
type LogConfig struct {
	Format string `yaml:"format" enum:"text|json" doc:"How a line is written."`
	Level  string `yaml:"level" enum:"debug|info|warn|error" doc:"The least level that is written."`
}

// A SequenceConfig bounds the memory of rules of several events.
type SequenceConfig struct {
	MaxBytes     int64 `yaml:"max_bytes" min:"1" doc:"Memory for partial sequences of all rules together, in bytes, and again for events that wait to be put in order; for more, the oldest are given up."`
	RuleMaxBytes int64 `yaml:"rule_max_bytes" min:"0" doc:"Memory for partial sequences of one rule, in bytes; 0 is the same as max_bytes."`
}

// A SourceConfig is one source of events.
type SourceConfig struct {
	Kind     string        `yaml:"kind" required:"true" enum:"auto|bpf|audit|proc|audit-log|kube-audit|stdin" doc:"What kind of source it is; auto is the best that works here."`
	Name     string        `yaml:"name" doc:"Its name in counters, log and alerts; without it, its kind."`
	Path     string        `yaml:"path" doc:"The file that audit-log reads (without it, /var/log/audit/audit.log) or kube-audit."`
	LoginUID *uint32       `yaml:"loginuid" max:"4294967294" hint:"leave the key out to watch all" doc:"Only processes of this login uid; without it, all."`
	Lateness time.Duration `yaml:"lateness" min:"0s" doc:"How much older than its newest event one may be and still be seen in order by sequences; 0 is the default of its kind: 2s for bpf and proc, 3s for audit, 5s for audit-log, kube-audit and stdin."`
	Include  string        `yaml:"include" doc:"EQL event query: only events that match it are judged."`
	Exclude  string        `yaml:"exclude" doc:"EQL event query: events that match it are not judged."`
}

// Conditions implements [config.Ruled].
func (c *SourceConfig) Conditions() []config.Condition {
	return []config.Condition{
		{If: config.Has("path"), Then: config.Is("kind", "audit-log|kube-audit"),
			At: "path", Msg: "path: " + c.Kind + " reads no file", Hint: "leave it out; audit-log and kube-audit read one"},
		{If: config.Is("kind", "kube-audit"), Then: config.Has("path"),
			At: "kind", Msg: "kube-audit needs the file that kube-apiserver writes", Hint: "the value of its flag --audit-log-path"},
		{If: config.Is("kind", "kube-audit"), Then: config.Not(config.Has("loginuid")),
			At: "loginuid", Msg: "loginuid: requests to the API have none", Hint: "leave it out"},
	}
}

// Check implements [config.Checker].
func (c *SourceConfig) Check() (key, msg, hint string) {
	if key, msg, hint := config.Check(c); msg != "" {
		return key, msg, hint
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

// Conditions implements [config.Ruled].
func (c *Config) Conditions() []config.Condition {
	return []config.Condition{
		{Then: config.Once("sources", "kind", "stdin"), At: "sources", Msg: "two sources read standard input", Hint: "there is one"},
		{If: config.Has("sinks"), Then: config.Has("state"),
			At: "sinks", Msg: "without a state directory there is no place for alerts that wait for a sink", Hint: "for example state: /var/lib/orlop"},
		{If: config.Has("store"), Then: config.Has("state"),
			At: "store", Msg: "without a state directory there is no place for alerts that wait for the store", Hint: "for example state: /var/lib/orlop"},
		{If: config.Has("oidc"), Then: config.Has("store"),
			At: "oidc", Msg: "oidc: without a store there is no console", Hint: "for example store: /var/lib/orlop/orlop.db"},
	}
}

// Check implements [config.Checker].
func (c *Config) Check() (key, msg, hint string) {
	if key, msg, hint := config.Check(c); msg != "" {
		return key, msg, hint
	}
	seen := map[string]bool{}
	for i := range c.Sources {
		name := c.Sources[i].Label()
		if seen[name] {
			return "sources", "two sources have the name " + name, "give one of them another name"
		}
		seen[name] = true
	}
	if key, msg, hint := c.checkSinks(); msg != "" {
		return key, msg, hint
	}
	return c.checkStore()
}

// NewConfig returns the defaults.
func NewConfig() *Config {
	return &Config{Checkpoint: DefaultCheckpoint, Sequences: SequenceConfig{MaxBytes: detect.DefaultBudget}, Outbox: sink.DefaultOutbox(), Drain: 10 * time.Second, Log: LogConfig{"text", "info"}}
}

// Flags are values that a command line gives in place of a file.
type Flags struct {
	Names map[string]string // by key: --state
	Set   func(c *Config)   // puts them into c
}

// LoadConfig reads a file on top of what c holds, or none for "", and on top of that what
// flags say. The error has all mistakes of the file, or names the flag that is one; with
// files, one is a file it names that cannot be read, if no flag names another.
func LoadConfig(name string, files bool, flags Flags, c *Config) error {
	var text []byte
	if name != "" {
		var err error
		if text, err = config.ReadFile(name); err != nil {
			return err
		}
	}
	c.names, c.places = flags.Names, map[string]string{}
	w := config.World{Env: os.LookupEnv, Instead: flags.Names, Places: c.places}
	if flags.Set != nil {
		w.Set = func() { flags.Set(c) }
	}
	if files {
		w.File = readable
	}
	return config.Read(name, text, w, c)
}

// readable says why a file or folder cannot be read.
func readable(name string) error {
	st, err := os.Stat(name)
	if err == nil && (st.Mode().IsRegular() || st.IsDir()) { // To open another may wait.
		var f *os.File
		if f, err = os.Open(name); err == nil {
			return f.Close()
		}
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = fmt.Errorf("%s: %w", name, pe.Err)
	}
	return err
}

// Schema is the JSON Schema of a Config.
func Schema() []byte { return config.Schema("orlop run --config", NewConfig()) }
