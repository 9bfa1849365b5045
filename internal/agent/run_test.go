package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/source"
)

// script is a live source that hands on what a test sends it.
type script struct {
	schema                   *event.Schema
	rejects                  source.Stats
	docs                     chan string // "" asks for an answer on seen
	seen                     chan bool
	sent, lost               atomic.Int64
	filtered, waiting, hasty atomic.Int64

	mu      sync.Mutex
	at      int64 // documents that are done with, also those of earlier runs
	emitted int64
}

func newScript(s *event.Schema) *script {
	return &script{schema: s, docs: make(chan string), seen: make(chan bool)}
}

func (s *script) Run(ctx context.Context, emit func(*event.Event) error) error {
	d := event.NewDecoder(s.schema)
	o := source.Options{Stats: &s.rejects}
	for {
		select {
		case <-ctx.Done():
			return nil
		case doc, ok := <-s.docs:
			if !ok {
				return nil
			}
			if doc == "" {
				s.seen <- true
				continue
			}
			var e event.Event
			s.sent.Add(1)
			if err := d.Decode([]byte(doc), &e); err != nil {
				o.Refuse(source.Rejection{Class: source.ClassSyntax, Reason: err.Error()})
				s.done(0)
				continue
			}
			e.Origin.Source = "script"
			if err := emit(&e); err != nil {
				return err
			}
			s.done(1)
		}
	}
}

func (s *script) done(emitted int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at++
	s.emitted += emitted
}

func (s *script) Intake() agent.Intake {
	n, lost, filtered, waiting := s.sent.Load(), s.lost.Load(), s.filtered.Load(), s.waiting.Load()
	return agent.Intake{Seen: n + lost + filtered + waiting, Emitted: n, Lost: lost, Filtered: filtered, Waiting: waiting, Unidentified: s.hasty.Load()}
}
func (s *script) String() string { return "script" }
func (s *script) Close() error   { return nil }

// Position is the number of documents that are done with.
func (s *script) Position() ([]byte, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(strconv.FormatInt(s.at, 10)), s.emitted
}

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

// running is a Live with one scripted source.
type running struct {
	*agent.Live
	*script
	t      *testing.T
	ticks  chan time.Time
	cancel context.CancelFunc
	done   chan error
	alerts []*alert.Alert
}

func pack(t testing.TB, texts ...string) []*rule.Rule {
	t.Helper()
	files := fstest.MapFS{}
	for i, text := range texts {
		files[fmt.Sprintf("r/%d.toml", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	p := rule.LoadFS(files, "r")
	if len(p.Errors) > 0 {
		t.Fatal(p.Errors)
	}
	return p.Rules
}

// start starts a Live with the rules. What change does comes before that.
func start(t *testing.T, change func(*agent.Live)) *running {
	t.Helper()
	schema := event.NewSchema()
	l := agent.NewLive(detect.Options{Schema: schema})
	if err := l.Engine.SetRules(pack(t, liveRules, sequenceRule)); err != nil {
		t.Fatal(err)
	}
	r := &running{Live: l, script: newScript(schema), t: t, ticks: make(chan time.Time), done: make(chan error)}
	l.Streams = []*agent.Stream{{Name: "s", About: "script", Source: r.script, Rejects: &r.rejects, Lateness: 2 * time.Second}}
	l.Tick = r.ticks
	if change != nil {
		change(l)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithTimeout(context.Background(), time.Minute)
	go func() {
		r.done <- l.Run(ctx, func(a *alert.Alert) error { r.alerts = append(r.alerts, a); return nil })
	}()
	return r
}

// send hands on documents, and waits until they are judged.
func (r *running) send(docs ...string) {
	for _, d := range append(docs, "") {
		r.docs <- d
	}
	<-r.seen
}

// tick tells the time, and waits until that is seen to.
func (r *running) tick(at time.Time) {
	r.ticks <- at
	r.ticks <- at
}

// stop ends the run and returns the alerts.
func (r *running) stop() []*alert.Alert {
	r.t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	return r.alerts
}

func clock(s string) time.Time {
	v, err := time.Parse(time.RFC3339, "2026-05-01T"+s+"Z")
	if err != nil {
		panic(err)
	}
	return v
}

func process(at, name string) string {
	return `{"@timestamp":"2026-05-01T` + at + `Z","event":{"category":["process"],"type":["start"],"action":"exec"},"process":{"pid":9,"name":"` + name + `"}}`
}

func TestLiveAccountsForEveryEvent(t *testing.T) {
	r := start(t, nil)
	r.send(process("10:00:09", "ctr"), process("10:00:01", "x"), process("10:00:02", "a"), `{"event":{"category":"file"}}`, `{"broken`)
	r.lost.Store(5)
	r.filtered.Store(2)
	r.waiting.Store(7)
	want := agent.Account{Source: "s", In: 12, Evaluated: 2, Filtered: 3, Late: 1, Rejected: 1, Lost: 5, Waiting: 7, Newest: clock("10:00:09")}
	if got := r.Accounts()[0]; got != want {
		t.Errorf("account %+v, want %+v", got, want)
	}
	if got, want := r.Accounts()[0].String(), "12 = 2 evaluated + 3 filtered + 1 late + 1 rejected + 5 lost; 7 waiting"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if n := len(r.stop()); n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
}

// What did not happen is only told by the clock.
func TestLiveTicks(t *testing.T) {
	r := start(t, nil)
	f := func(at string, want uint64) {
		t.Helper()
		r.tick(clock(at))
		if n := r.Counts().Engine.Alerts; n != want {
			t.Errorf("%d alerts at %s, want %d", n, at, want)
		}
	}
	r.send(process("10:00:00", "a"))
	f("10:00:09", 0)
	r.waiting.Store(3) // It is behind: what is missing may still come.
	f("10:00:13", 0)
	r.waiting.Store(0)
	f("10:00:13", 1)
	r.stop()
}

// evidence is what an alert says of what was not seen around it.
func evidence(t *testing.T, a *alert.Alert) string {
	t.Helper()
	var d struct {
		Orlop struct{ Evidence json.RawMessage }
	}
	if err := json.Unmarshal(a.AppendJSON(nil), &d); err != nil {
		t.Fatal(err)
	}
	return string(d.Orlop.Evidence)
}

// An alert says what was lost in its time and the minute before, also what no tick
// has told of yet.
func TestLiveTellsOfLoss(t *testing.T) {
	r := start(t, nil)
	step := func(lost int64, at string) {
		r.lost.Store(lost)
		r.send(process(at, "ctr"))
	}
	r.tick(clock("10:00:00"))
	step(0, "10:00:00")
	step(3, "10:00:01")
	r.tick(clock("10:00:01"))
	step(10, "10:00:02")
	r.tick(clock("10:00:40"))
	step(10, "10:01:00")
	r.tick(clock("10:01:03"))
	step(10, "10:01:04")
	r.send(strings.Replace(process("10:01:05", "ctr"), "{", `{"orlop":{"evidence":{"truncated":true,"lost":99}},`, 1))
	r.send(process("10:00:50", "a")) // late
	r.send(process("10:01:06", "ctr"))
	var got []string
	for _, a := range r.stop() {
		got = append(got, evidence(t, a))
	}
	want := []string{"", `{"lost":3}`, `{"lost":10}`, `{"lost":10}`, "", `{"truncated_events":1,"truncated":true}`, `{"late":1,"truncated_events":1}`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// What was lost before the first tick may have been lost at any time before that: the
// reader was stopped, and what it reads now is older.
func TestLiveTellsOfLossBeforeTheFirstTick(t *testing.T) {
	r := start(t, nil)
	r.lost.Store(7)
	r.tick(clock("10:00:05"))
	r.send(process("10:00:02", "ctr"))
	if a := r.stop(); len(a) != 1 || evidence(t, a[0]) != `{"lost":7}` {
		t.Errorf("%d alerts, the last with %s, want one with 7 lost", len(a), evidence(t, a[len(a)-1]))
	}
}

// An absence that may be a loss is raised, and says so.
func TestLiveDoubtsAnAbsence(t *testing.T) {
	f := func(lost int64, want string) {
		t.Helper()
		r := start(t, nil)
		r.tick(clock("10:00:00"))
		r.send(process("10:00:00", "a"))
		r.lost.Store(lost)
		r.tick(clock("10:00:05"))
		r.tick(clock("10:00:13"))
		if a := r.stop(); len(a) != 2 || evidence(t, a[1]) != want {
			t.Errorf("%d alerts, the last with %s, want 2 and %s", len(a), evidence(t, a[len(a)-1]), want)
		}
	}
	f(0, "")
	f(2, `{"lost":2,"absence_uncertain":true}`)
}

// A clock that is set back, by an hour, makes nothing late.
func TestLiveClockStep(t *testing.T) {
	r := start(t, nil)
	r.tick(clock("11:00:00"))
	r.send(process("11:00:00", "x"))
	r.tick(clock("11:00:10"))
	r.tick(clock("10:00:00"))
	r.send(process("10:00:00", "a"))
	r.tick(clock("10:00:13"))
	if c, a := r.Counts(), r.Accounts()[0]; c.Engine.Alerts != 1 || c.ClockSteps != 1 || a.Late != 0 {
		t.Errorf("%d alerts, %d steps, %d late; want 1, 1, 0", c.Engine.Alerts, c.ClockSteps, a.Late)
	}
	r.stop()
}

// Who cannot be told of an alert is no reason to go on.
func TestLiveEndsWhenEmitFails(t *testing.T) {
	schema := event.NewSchema()
	l := agent.NewLive(detect.Options{Schema: schema})
	if err := l.Engine.SetRules(pack(t, liveRules)); err != nil {
		t.Fatal(err)
	}
	s := newScript(schema)
	l.Streams = []*agent.Stream{{Name: "s", Source: s}}
	full := errors.New("disk full")
	go func() { s.docs <- process("10:00:00", "ctr") }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Run(ctx, func(*alert.Alert) error { return full }); err != full {
		t.Errorf("Run = %v, want %v", err, full)
	}
}

// Of each stream, only what its filters let through is judged.
func TestLiveFilters(t *testing.T) {
	filter := func(l *agent.Live, query string) *agent.Filter {
		f, err := agent.NewFilter("include", query, l.Schema)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	r := start(t, func(l *agent.Live) {
		l.Streams[0].Include = filter(l, `process where process.name : "c*"`)
		l.Streams[0].Exclude = filter(l, `any where process.args == "quiet"`)
	})
	r.send(process("10:00:00", "ctr"), process("10:00:00", "a"), strings.Replace(process("10:00:00", "ctr"), `"pid"`, `"args":["quiet"],"pid"`, 1))
	if got, want := r.Accounts()[0].String(), "3 = 1 evaluated + 2 filtered + 0 late + 0 rejected + 0 lost"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r.stop()
	if _, err := agent.NewFilter("include", `sequence [any where true] [any where true]`, event.NewSchema()); err == nil || !strings.Contains(err.Error(), "include:1:1: a filter is a query for single events") {
		t.Errorf("a sequence as filter: %v", err)
	}
}

// Where one login uid is watched, no rule judges the processes of others that were there
// already, or those of nobody. The process table has them.
func TestLiveKnowsOutsiders(t *testing.T) {
	existing := func(pid int, name, login string) string {
		return fmt.Sprintf(`{"@timestamp":"2026-01-01T10:00:00Z","event":{"category":["process"],"type":["info"],"action":"existing_process"},"host":{"id":"h"},"process":{"pid":%d,"parent":{"pid":1},"name":%q,"executable":"/bin/%s","start":"2026-01-01T09:00:00Z"}%s}`, pid, name, name, login)
	}
	login := func(uid string) string { return `,"auditd":{"user":{"audit":{"id":"` + uid + `"}}}` }
	r := start(t, func(l *agent.Live) {
		uid := uint32(1000)
		l.Streams[0].LoginUID = &uid
	})
	r.send(existing(10, "ctr", login("1001")), existing(11, "ctr", login("unset")), existing(12, "ctr", ""), existing(13, "ctr", login("1000")),
		`{"@timestamp":"2026-01-01T10:00:01Z","event":{"category":["process"],"type":["start"],"action":"exec"},"host":{"id":"h"},"process":{"pid":20,"parent":{"pid":10},"name":"ctr","executable":"/bin/ctr"}}`)
	if got, want := r.Accounts()[0].String(), "5 = 2 evaluated + 3 filtered + 0 late + 0 rejected + 0 lost"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r.stop()
	if len(r.alerts) != 2 {
		t.Fatalf("%d alerts, want 2", len(r.alerts))
	}
	if doc, err := json.Marshal(r.alerts[1]); err != nil || !strings.Contains(string(doc), `"/bin/ctr"`) {
		t.Errorf("the parent that another login began is not known: %v: %s", err, doc)
	}
}

// Rules that are wrong are refused, all of them; those that stay keep their state.
func TestLiveReload(t *testing.T) {
	r := start(t, nil)
	r.send(process("10:00:00", "a"))
	bad := pack(t, strings.Replace(liveRules, "process.name ==", "process.name =", 1))
	if err := r.Reload(bad, nil); err == nil || len(r.Rules()) != 2 {
		t.Errorf("bad rules: %v, and %d rules run", err, len(r.Rules()))
	}
	if err := r.Reload(pack(t, sequenceRule, strings.ReplaceAll(liveRules, `"one"`, `"new"`)), nil); err != nil {
		t.Fatal(err)
	}
	r.send(process("10:00:01", "ctr"))
	r.tick(clock("10:00:13"))
	var got []string
	for _, a := range r.stop() {
		if !a.BuildingBlock {
			got = append(got, a.RuleID)
		}
	}
	if !slices.Equal(got, []string{"new", "pair"}) {
		t.Errorf("alerts of %q, want new and pair", got)
	}
}

func TestOpenLiveKnowsItsSources(t *testing.T) {
	_, _, err := agent.OpenLive("dtrace", agent.LiveOptions{})
	if want := `source "dtrace": expected auto, bpf, audit, proc, audit-log, kube-audit, stdin`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
