package agent

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/sink"
)

// SocketName is the socket in a state directory over which orlop status asks.
const SocketName = "orlop.sock"

// stuck is how long after a tick a run counts as dead.
const stuck = 15 * time.Second

// Status is what a run says of itself.
type Status struct {
	Version    string      `json:"version"`
	PID        int         `json:"pid"`
	Started    time.Time   `json:"started"`
	Ready      bool        `json:"ready"`
	Sources    []Account   `json:"sources"`
	Alerts     uint64      `json:"alerts"`
	Repeated   int64       `json:"alerts_repeated"`
	Rules      int         `json:"rules_running"`
	Idle       int         `json:"rules_idle"`
	Reloads    int64       `json:"reloads"`
	Refused    int64       `json:"reloads_refused"`
	Refusal    string      `json:"reload_error,omitempty"`   // why the last one was refused
	Mistakes   int         `json:"rule_mistakes"`            // in rules of the start, which do not run
	Mistaken   []string    `json:"rules_mistaken,omitempty"` // the first of these
	Evicted    uint64      `json:"sequences_evicted"`
	Untimed    uint64      `json:"events_untimed"`
	Early      uint64      `json:"events_early"`
	ClockSteps int64       `json:"clock_steps"`
	Processes  int         `json:"processes"`
	TableBytes int         `json:"process_table_bytes"`
	Checkpoint *Written    `json:"checkpoint,omitempty"`
	Outbox     *sink.Stats `json:"outbox,omitempty"`
	Decided    *Decided    `json:"decided,omitempty"` // in the console
	perRule    map[string]detect.Status
}

// Status returns what the run says of itself now.
func (l *Live) Status() Status {
	s := Status{Version: version(), PID: os.Getpid(), Started: l.started, Ready: l.Ready(time.Now())}
	s.Sources = l.Accounts()
	c := l.Counts()
	s.Alerts, s.Repeated = c.Engine.Alerts, c.Repeated
	s.Evicted, s.Untimed, s.Early, s.ClockSteps = c.Engine.Evicted, c.Engine.Untimed, c.Engine.Early, c.ClockSteps
	s.Processes, s.TableBytes = c.Table.Processes, c.Table.Bytes
	s.perRule = map[string]detect.Status{}
	for _, r := range l.Rules() {
		if r.Idle == "" {
			s.Rules++
			s.perRule[r.Rule.ID] = r
		} else {
			s.Idle++
		}
	}
	if l.Outbox != nil {
		o := l.Outbox.Stats()
		s.Outbox = &o
	}
	s.Decided = l.Decided()
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Reloads, s.Refused, s.Refusal = l.reloads.done, l.reloads.refused, l.reloads.why
	s.Mistakes, s.Mistaken = l.reloads.mistakes, slices.Clone(l.reloads.mistaken)
	if l.State != nil {
		w := l.State.Written()
		s.Checkpoint = &w
	}
	return s
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// Alive reports whether time passes: whether events can be judged. It waits for
// nobody.
func (l *Live) Alive(now time.Time) bool {
	at := l.beat.Load()
	if at == 0 {
		at = l.started.UnixNano()
	}
	return now.UnixNano()-at < int64(stuck)
}

// Ready reports whether the sources are read.
func (l *Live) Ready(now time.Time) bool { return l.beat.Load() != 0 && l.Alive(now) }

// Handler serves /metrics, /healthz, /readyz and /status. None of it changes
// anything, and none of it holds what events say.
func (l *Live) Handler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &collector{l})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	probe := func(ok func(time.Time) bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if !ok(time.Now()) {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, "no")
				return
			}
			fmt.Fprintln(w, "ok")
		}
	}
	mux.Handle("GET /healthz", probe(l.Alive))
	mux.Handle("GET /readyz", probe(l.Ready))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(l.Status())
	})
	return mux
}

// Server returns a server of h that no client can hold up for long.
func Server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
}

// ListenState listens on the socket of a state directory that this process has
// locked: one that is there already is of a run that was killed.
func ListenState(dir string) (net.Listener, error) {
	name := filepath.Join(dir, SocketName)
	os.Remove(name)
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// collector makes metrics of a Status.
type collector struct{ l *Live }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("orlop_"+name, help, labels, nil)
}

var (
	descBuild      = describe("build_info", "1, with the version.", "version")
	descIn         = describe("events_in_total", "Events that have come in: the sum of orlop_events_total.", "source")
	descEvents     = describe("events_total", "Events by what became of them: evaluated, filtered, late, rejected or lost.", "source", "outcome")
	descWaiting    = describe("events_waiting", "Events that the source has seen and that are not judged yet.", "source")
	descHasty      = describe("programs_without_look_total", "Programs that were judged without a look at what is in their file (unidentified) or at what a runtime has on record of their container (unrecorded), because it took too long.", "source", "what")
	descAlerts     = describe("alerts_total", "Alerts raised, building blocks not counted.", "rule_id")
	descCandidates = describe("rule_candidates_total", "Events that a rule was tried on, because the index could not rule them out.", "rule_id")
	descMatches    = describe("rule_matches_total", "Events of those that the rule raised or that its sequence looks at.", "rule_id")
	descSeconds    = describe("rule_seconds_total", "Time that the rule took, as far as one event in 64 tells.", "rule_id")
	descState      = describe("rule_state_bytes", "What a sequence or sample keeps.", "rule_id")
	descGivenUp    = describe("rule_evicted_total", "Partial sequences of the rule given up for want of memory.", "rule_id")
	descRepeated   = describe("alerts_repeated_total", "Alerts that were not raised again, because an earlier run had.")
	descRules      = describe("rules", "Rules that are loaded.", "state")
	descMistakes   = describe("rule_mistakes", "Mistakes in the rules that the run began with: those that have one do not run.")
	descReloads    = describe("reloads_total", "Reloads of rules and tuning.", "result")
	descEvicted    = describe("sequences_evicted_total", "Partial sequences given up for want of memory.")
	descUntimed    = describe("events_untimed_total", "Events that sequences rejected: they have no time from 1970 to 2261.")
	descEarly      = describe("events_early_total", "Events that sequences saw before older ones could come, for want of memory.")
	descSteps      = describe("clock_steps_total", "Times that the clock was set back.")
	descProcesses  = describe("process_table_processes", "Processes that are remembered.")
	descTable      = describe("process_table_bytes", "Memory of the process table.")
	descCheckpoint = describe("checkpoints_total", "Checkpoints that were written.")
	descFailures   = describe("state_failures_total", "Writes to the state directory that failed.")
	descStateFails = describe("state_failing", "1 if the last write to the state directory failed.")
	descSize       = describe("checkpoint_bytes", "Size of the last checkpoint.")
	descTime       = describe("checkpoint_timestamp_seconds", "When the last checkpoint was written.")
	descReady      = describe("ready", "1 if the sources are read and judged.")
)

// failing is the value of a gauge that says whether there is a reason.
func failing(why string) float64 {
	if why != "" {
		return 1
	}
	return 0
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBuild, descIn, descEvents, descWaiting, descHasty, descAlerts,
		descCandidates, descMatches, descSeconds, descState, descGivenUp, descRepeated, descRules, descMistakes, descReloads,
		descEvicted, descUntimed, descEarly, descSteps, descProcesses, descTable, descCheckpoint, descFailures, descStateFails, descSize, descTime, descReady} {
		ch <- d
	}
	for _, d := range outboxDescs {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.l.Status()
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descBuild, 1, s.Version)
	for _, a := range s.Sources {
		count(descIn, float64(a.In), a.Source)
		count(descEvents, float64(a.Evaluated), a.Source, "evaluated")
		count(descEvents, float64(a.Filtered), a.Source, "filtered")
		count(descEvents, float64(a.Late), a.Source, "late")
		count(descEvents, float64(a.Rejected), a.Source, "rejected")
		count(descEvents, float64(a.Lost), a.Source, "lost")
		gauge(descWaiting, float64(a.Waiting), a.Source)
		count(descHasty, float64(a.Unidentified), a.Source, "unidentified")
		count(descHasty, float64(a.Unrecorded), a.Source, "unrecorded")
	}
	for id, r := range s.perRule {
		count(descAlerts, float64(r.Alerts), id)
		count(descCandidates, float64(r.Cost.Candidates), id)
		count(descMatches, float64(r.Cost.Matches), id)
		count(descSeconds, r.Cost.Time.Seconds(), id)
		gauge(descState, float64(r.Cost.State), id)
		count(descGivenUp, float64(r.Cost.Evicted), id)
	}
	count(descRepeated, float64(s.Repeated))
	gauge(descRules, float64(s.Rules), "running")
	gauge(descRules, float64(s.Idle), "idle")
	gauge(descMistakes, float64(s.Mistakes))
	count(descReloads, float64(s.Reloads), "done")
	count(descReloads, float64(s.Refused), "refused")
	count(descEvicted, float64(s.Evicted))
	count(descUntimed, float64(s.Untimed))
	count(descEarly, float64(s.Early))
	count(descSteps, float64(s.ClockSteps))
	gauge(descProcesses, float64(s.Processes))
	gauge(descTable, float64(s.TableBytes))
	if w := s.Checkpoint; w != nil {
		count(descCheckpoint, float64(w.Checkpoints))
		count(descFailures, float64(w.Failures))
		gauge(descSize, float64(w.Bytes))
		if !w.Time.IsZero() {
			gauge(descTime, float64(w.Time.UnixMilli())/1000)
		}
		gauge(descStateFails, failing(w.Failing))
	}
	if s.Outbox != nil {
		collectOutbox(s.Outbox, count, gauge)
	}
	ready := 0.0
	if s.Ready {
		ready = 1
	}
	gauge(descReady, ready)
}
