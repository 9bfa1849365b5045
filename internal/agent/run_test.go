package agent_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
)

// script is a live source that hands on what a test sends it.
type script struct {
	schema        *event.Schema
	docs          chan string // "" asks for an answer on seen
	seen          chan bool
	emitted, lost atomic.Int64
}

func (s *script) Run(ctx context.Context, emit func(*event.Event) error) error {
	d := event.NewDecoder(s.schema)
	for {
		select {
		case <-ctx.Done():
			return nil
		case doc := <-s.docs:
			if doc == "" {
				s.seen <- true
				continue
			}
			var e event.Event
			s.emitted.Add(1)
			if err := d.Decode([]byte(doc), &e); err != nil {
				continue
			}
			e.Origin.Source = "script"
			if err := emit(&e); err != nil {
				return err
			}
		}
	}
}

func (s *script) Intake() agent.Intake {
	n, lost := s.emitted.Load(), s.lost.Load()
	return agent.Intake{Seen: n + lost + 2, Emitted: n, Lost: lost, Filtered: 2}
}
func (s *script) String() string { return "script" }
func (s *script) Close() error   { return nil }

const liveRules = `[metadata]
[rule]
author = ["x"]
from = "now-9m"
license = "Apache-2.0"
rule_id = "one"
name = "one"
description = "d"
risk_score = 1
severity = "low"
type = "eql"
language = "eql"
query = 'process where process.name == "ctr"'
`

const sequenceRule = `[metadata]
[rule]
author = ["x"]
from = "now-9m"
license = "Apache-2.0"
rule_id = "pair"
name = "pair"
description = "d"
risk_score = 1
severity = "low"
type = "eql"
language = "eql"
query = '''sequence with maxspan=10s [process where process.name == "a"] ![process where process.name == "b"]'''
`

// live starts a Live with the rules; stop ends it and returns the alerts.
func live(t *testing.T) (l *agent.Live, s *script, tick chan time.Time, stop func() []*alert.Alert) {
	t.Helper()
	schema := event.NewSchema()
	pack := rule.LoadFS(fstest.MapFS{"r/one.toml": {Data: []byte(liveRules)}, "r/two.toml": {Data: []byte(sequenceRule)}}, "r")
	if len(pack.Errors) > 0 {
		t.Fatal(pack.Errors)
	}
	g := detect.New(detect.Options{Schema: schema, Lateness: 2 * time.Second})
	if err := g.SetRules(pack.Rules); err != nil {
		t.Fatal(err)
	}
	s = &script{schema: schema, docs: make(chan string), seen: make(chan bool)}
	tick = make(chan time.Time)
	l = &agent.Live{Schema: schema, Source: s, Engine: g, Tick: tick}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	var alerts []*alert.Alert
	done := make(chan error)
	go func() {
		done <- l.Run(ctx, func(a *alert.Alert) error { alerts = append(alerts, a); return nil })
	}()
	return l, s, tick, func() []*alert.Alert {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		return alerts
	}
}

func process(at, name string) string {
	return `{"@timestamp":"2026-05-01T` + at + `Z","event":{"category":["process"],"type":["start"],"action":"exec"},"process":{"pid":9,"name":"` + name + `"}}`
}

func TestLiveAccountsForEveryEvent(t *testing.T) {
	l, s, _, stop := live(t)
	for _, doc := range []string{process("10:00:00", "ctr"), process("10:00:01", "x"), `{"event":{"category":"file"}}`, `{"broken`, ""} {
		s.docs <- doc
	}
	<-s.seen
	s.lost.Store(5)
	want := agent.Account{In: 11, Evaluated: 2, Filtered: 3, Rejected: 1, Lost: 5, Alerts: 1}
	if got := l.Account(); got != want {
		t.Errorf("account %+v, want %+v", got, want)
	}
	if got, want := l.Account().String(), "11 = 2 evaluated + 3 filtered + 1 rejected + 5 lost"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	stop()
}

// What did not happen is only told by the clock.
func TestLiveTicks(t *testing.T) {
	l, s, tick, stop := live(t)
	s.docs <- process("10:00:00", "a")
	s.docs <- ""
	<-s.seen
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, "2026-05-01T"+s+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tick <- at("10:00:09")
	tick <- at("10:00:09") // the first has been seen to
	if n := l.Account().Alerts; n != 0 {
		t.Errorf("%d alerts before the time is up", n)
	}
	tick <- at("10:00:13")
	tick <- at("10:00:13")
	if n := l.Account().Alerts; n != 1 {
		t.Errorf("%d alerts after the time was up, want 1", n)
	}
	stop()
}

// An alert says that events were lost around it, for a minute.
func TestLiveTellsOfLoss(t *testing.T) {
	_, s, tick, stop := live(t)
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	step := func(lost int64, after time.Duration) {
		s.lost.Store(lost)
		now = now.Add(after)
		tick <- now
		tick <- now
		s.docs <- process("10:00:00", "ctr")
		s.docs <- ""
		<-s.seen
	}
	step(0, 0)
	step(3, time.Second)
	step(10, time.Second)
	step(10, 30*time.Second)
	step(10, 31*time.Second)
	var got []string
	for _, a := range stop() {
		schema := event.NewSchema()
		lost := schema.Field("orlop.evidence.lost")
		var e event.Event
		if err := event.NewDecoder(schema).Decode(a.AppendJSON(nil), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Get(lost).Text())
	}
	if got, want := strings.Join(got, ","), "null,3,10,10,null"; got != want {
		t.Errorf("lost: %q, want %q", got, want)
	}
}

// Who cannot be told of an alert is no reason to go on.
func TestLiveEndsWhenEmitFails(t *testing.T) {
	_, s, _, stop := live(t)
	stop()
	schema := s.schema
	g := detect.New(detect.Options{Schema: schema})
	pack := rule.LoadFS(fstest.MapFS{"r/one.toml": {Data: []byte(liveRules)}}, "r")
	if err := g.SetRules(pack.Rules); err != nil {
		t.Fatal(err)
	}
	l := &agent.Live{Schema: schema, Source: s, Engine: g}
	full := errors.New("disk full")
	go func() { s.docs <- process("10:00:00", "ctr") }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Run(ctx, func(*alert.Alert) error { return full }); err != full {
		t.Errorf("Run = %v, want %v", err, full)
	}
}

func TestOpenLiveKnowsItsSources(t *testing.T) {
	_, err := agent.OpenLive("dtrace", agent.LiveOptions{})
	if want := `source "dtrace": expected auto, bpf`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
