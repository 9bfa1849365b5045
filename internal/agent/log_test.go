//go:build linux

package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/source"
)

const pairRule = `[metadata]
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
query = '''sequence with maxspan=1m [process where process.args == "first"] [process where process.args == "second"]'''
`

// What was written to a log while nobody ran is judged in its own time: the clock
// stands still until it is read, and the processes of today come after it.
func TestLogIsJudgedInItsOwnTime(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	serial := 0
	write := func(at time.Time, arg string) {
		serial++
		stamp := fmt.Sprintf("msg=audit(%d.%03d:%d):", at.Unix(), at.Nanosecond()/1e6, serial)
		f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, `type=SYSCALL %s arch=c000003e syscall=59 success=yes exit=0 items=0 ppid=2000000001 pid=%d auid=1 uid=0 gid=0 comm="x" exe="/x"
type=EXECVE %[1]s argc=2 a0="x" a1=%[3]q
type=CWD %[1]s cwd="/"
type=PROCTITLE %[1]s proctitle=78
`, stamp, 2_000_000_001+serial, arg)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	life := func(now time.Time, during func(raised <-chan bool)) (alerts []*alert.Alert) {
		t.Helper()
		schema := event.NewSchema()
		l := agent.NewLive(detect.Options{Schema: schema})
		if err := l.Engine.SetRules(pack(t, pairRule)); err != nil {
			t.Fatal(err)
		}
		var err error
		if l.State, err = agent.OpenState(filepath.Join(dir, "state"), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		defer l.State.Close()
		s := &agent.Stream{Name: "log", About: log, Rejects: &source.Stats{}}
		s.Source, s.Lateness, err = agent.OpenLive("audit-log", agent.LiveOptions{Options: source.Options{Schema: schema, Stats: s.Rejects}, Path: log, Resume: l.State.Position("log", log)})
		if err != nil {
			t.Fatal(err)
		}
		l.Streams = []*agent.Stream{s}
		l.Restore()
		ticks := make(chan time.Time)
		l.Tick = ticks
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		done := make(chan error, 1)
		raised := make(chan bool, 100)
		go func() {
			defer close(raised)
			done <- l.Run(ctx, func(a *alert.Alert) error { alerts = append(alerts, a); raised <- true; return nil })
		}()
		ended := make(chan bool)
		go func() { // all the time, so also before the first line is read
			defer close(ended)
			for ctx.Err() == nil {
				select {
				case ticks <- now:
				case <-ctx.Done():
				}
			}
		}()
		during(raised)
		stop()
		<-ended
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if a := l.Accounts()[0]; a.Late != 0 || a.Rejected != 0 || a.Waiting != 0 {
			t.Errorf("account %s", a)
		}
		return alerts
	}
	began := time.Now().Add(time.Second) // after what this host's processes are of
	if got := life(began, func(<-chan bool) { write(began, "first") }); len(got) != 0 {
		t.Fatalf("%d alerts, want none yet", len(got))
	}
	write(began.Add(10*time.Second), "second")
	if got := life(began.Add(time.Hour), func(raised <-chan bool) { <-raised }); len(got) < 1 || got[len(got)-1].RuleID != "pair" {
		t.Errorf("%d alerts, want that of the pair", len(got))
	}
}
