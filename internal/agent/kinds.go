// Package agent is the wiring: it makes sources, the enricher and the engine
// into one running thing.
package agent

import (
	"time"

	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/sink/elastic"
	"github.com/orlop/orlop/sink/file"
	"github.com/orlop/orlop/sink/syslog"
	"github.com/orlop/orlop/sink/webhook"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
	"github.com/orlop/orlop/source/bpf"
	"github.com/orlop/orlop/source/ecs"
	"github.com/orlop/orlop/source/kubeaudit"
	"github.com/orlop/orlop/source/proc"
)

// A reader makes a source of a recorded input.
type reader struct {
	format source.Format
	about  string
	open   func(*source.Input, source.Options) source.Source
}

// readers are the formats of recorded events.
var readers = []reader{
	{source.Audit, "Linux audit records: auditd's log, raw or ENRICHED, or netlink text",
		func(in *source.Input, o source.Options) source.Source { return audit.New(in, o) }},
	{source.ECS, "ECS documents in JSON: lines, an array, search hits or bulk requests",
		func(in *source.Input, o source.Options) source.Source { return ecs.New(in, o) }},
	{source.KubeAudit, "audit log of the Kubernetes API server: events of audit.k8s.io/v1, a line each",
		func(in *source.Input, o source.Options) source.Source { return kubeaudit.New(in, o) }},
}

// Formats lists the names of the formats that a Replay can be told to read.
func Formats() []string {
	names := make([]string, len(readers))
	for i, r := range readers {
		names[i] = string(r.format)
	}
	return names
}

// liveKinds are the live sources, the best first: auto takes the first that opens.
//
// The kernel tells bpf and proc at once; two seconds are for a host that is too busy
// to let us read. Of audit, an event that lacks a record waits two seconds for it, and
// auditd may take its time to write.
var liveKinds = []liveKind{
	{"bpf", true, 2 * time.Second, bpf.Checks, func(o LiveOptions) (LiveSource, error) {
		s, err := bpf.Open(bpf.Options{Options: o.Options, LoginUID: o.LoginUID})
		if err != nil {
			return nil, err
		}
		return bpfSource{s}, nil
	}},
	{"audit", true, 3 * time.Second, audit.Checks, func(o LiveOptions) (LiveSource, error) {
		l, err := audit.Listen(audit.Options{Options: o.Options, LoginUID: o.LoginUID})
		if err != nil {
			return nil, err
		}
		return auditSource{l}, nil
	}},
	{"proc", true, 2 * time.Second, proc.Checks, func(o LiveOptions) (LiveSource, error) {
		s, err := proc.Open(proc.Options{Options: o.Options, LoginUID: o.LoginUID})
		if err != nil {
			return nil, err
		}
		return procSource{s}, nil
	}},
	{"audit-log", false, 5 * time.Second, nil, func(o LiveOptions) (LiveSource, error) {
		path := o.Path
		if path == "" {
			path = "/var/log/audit/audit.log"
		}
		t, err := audit.OpenTail(path, o.Resume, audit.Options{Options: o.Options, LoginUID: o.LoginUID})
		if err != nil {
			return nil, err
		}
		return tailSource{t}, nil
	}},
	{"kube-audit", false, 5 * time.Second, nil, func(o LiveOptions) (LiveSource, error) {
		t, err := kubeaudit.OpenTail(o.Path, o.Resume, o.Options)
		if err != nil {
			return nil, err
		}
		return kubeSource{t}, nil
	}},
	{"stdin", false, 5 * time.Second, nil, func(o LiveOptions) (LiveSource, error) {
		s, err := audit.NewStream(o.Stdin, audit.Options{Options: o.Options, LoginUID: o.LoginUID})
		if err != nil {
			return nil, err
		}
		return streamSource{s}, nil
	}},
}

type bpfSource struct{ *bpf.Sensor }

func (s bpfSource) Intake() Intake {
	st := s.Stats()
	return Intake{
		Seen:     st.Sent.Total() + st.Lost.Total() + st.Seeded,
		Emitted:  st.Received.Total() - st.Repeated + st.Seeded,
		Filtered: st.Repeated,
		Lost:     st.Lost.Total(),
		Waiting:  max(st.Sent.Total()-st.Received.Total(), 0),

		Unidentified: st.Unidentified,
		Unrecorded:   st.Unrecorded,
	}
}

type auditSource struct{ *audit.Listener }

func (s auditSource) Intake() Intake { return auditIntake(s.Stats()) }

type tailSource struct{ *audit.Tail }

func (s tailSource) Intake() Intake { return auditIntake(s.Stats()) }

type kubeSource struct{ *kubeaudit.Tail }

func (s kubeSource) Intake() Intake {
	emitted, behind := s.Progress()
	in := Intake{Seen: emitted, Emitted: emitted}
	if behind {
		in.Seen, in.Waiting = in.Seen+1, 1
	}
	return in
}

type streamSource struct{ *audit.Stream }

func (s streamSource) Intake() Intake { return auditIntake(s.Stats()) }

// auditIntake: of what is lost, audit says only a bound.
func auditIntake(st audit.Stats) Intake {
	in := Intake{Emitted: st.Events + st.Seeded, Filtered: st.Filtered, Lost: st.Missing(), Waiting: st.Waiting}
	in.Seen = in.Emitted + in.Filtered + in.Lost + in.Waiting
	return in
}

type procSource struct{ *proc.Sensor }

func (s procSource) Intake() Intake {
	st := s.Stats()
	in := Intake{Emitted: st.Emitted + st.Seeded, Filtered: st.Ignored, Lost: st.Lost}
	in.Waiting = max(st.Received-st.Emitted-st.Ignored, 0)
	in.Seen = in.Emitted + in.Filtered + in.Lost + in.Waiting
	return in
}

// sinkKinds are the kinds of sinks.
var sinkKinds = []sinkKind{
	sinkOf(file.Kind, file.Defaults(), func(o file.Options, here place) (sink.Sink, error) {
		o.Log = here.log
		return file.Open(o)
	}),
	sinkOf(syslog.Kind, syslog.Defaults(), func(o syslog.Options, here place) (sink.Sink, error) {
		o.Host = here.host
		return syslog.Open(o)
	}),
	sinkOf(elastic.Kind, elastic.Defaults(), func(o elastic.Options, _ place) (sink.Sink, error) { return elastic.Open(o) }),
	sinkOf(webhook.Kind, webhook.Defaults(), func(o webhook.Options, _ place) (sink.Sink, error) { return webhook.Open(o) }),
}
