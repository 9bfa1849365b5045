//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/sink"
)

// While a webhook is down, and through a kill, the run goes on and its other sinks
// get every alert; when the webhook is back it gets them all, in order. An alert has
// the same id everywhere.
func TestDrillSinkDown(t *testing.T) {
	var mu sync.Mutex
	var posted []map[string]any
	hook := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var doc map[string]any
		if err == nil {
			err = json.Unmarshal(b, &doc)
		}
		if id := lookUp(doc, "kibana.alert.uuid"); err != nil || id != r.Header.Get("Idempotency-Key") {
			t.Errorf("%v: the key is %q: %.200s", err, r.Header.Get("Idempotency-Key"), b)
		}
		mu.Lock()
		posted = append(posted, doc)
		mu.Unlock()
	})}
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := down.Addr().String()
	down.Close() // nobody listens there for now
	state, out := t.TempDir(), filepath.Join(t.TempDir(), "alerts.ndjson")
	file := drillConfig(t, state)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "sinks:\n  - kind: file\n    path: %q\n  - kind: webhook\n    url: http://%s/alerts\n", out, address)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	of := func(s *agent.Status, name string) (k sink.SinkStats) {
		if s.Outbox != nil {
			for _, k := range s.Outbox.Sinks {
				if k.Name == name {
					return k
				}
			}
		}
		return k
	}
	inFile := func() []map[string]any {
		t.Helper()
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return alerts(t, strings.Split(strings.TrimSpace(string(text)), "\n"))
	}

	// It is down, and the run is killed.
	uid := newUID()
	n := times(t, 20)
	d := watch(t, uid, "run", "--config", file)
	d.storm(0, n, 0)
	d.status(state, func(s *agent.Status) bool {
		hook := of(s, "webhook")
		return of(s, "file").Delivered == int64(n) && hook.Waiting == int64(n) && strings.Contains(hook.Failing, "connection refused")
	})
	if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-d.done
	d.cmd.Wait()
	wantNumbers(t, numbers(t, inFile()), 0, n)

	// It comes back while the next run is at work.
	d = watch(t, uid, "run", "--config", file)
	d.storm(n, 2*n, 0)
	d.status(state, func(s *agent.Status) bool {
		return of(s, "webhook").Failures > 0 && of(s, "file").Delivered == int64(n)
	})
	up, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- hook.Serve(up) }()
	s := d.status(state, func(s *agent.Status) bool { return of(s, "webhook").Delivered == int64(2*n) })
	if k := of(s, "webhook"); k.Waiting != 0 || k.Refused != 0 || k.GivenUp != 0 || k.Failing != "" {
		t.Errorf("%+v", k)
	}
	printed := numbers(t, alerts(t, d.end()))
	wantNumbers(t, printed, n, 2*n)
	hook.Close()
	<-served
	wantNumbers(t, numbers(t, posted), 0, 2*n)
	wantNumbers(t, numbers(t, inFile()), 0, 2*n)
	ids := func(docs []map[string]any) (all []any) {
		for _, a := range docs {
			all = append(all, lookUp(a, "kibana.alert.uuid"))
		}
		return all
	}
	if a, b := ids(posted), ids(inFile()); !slices.Equal(a, b) {
		t.Errorf("the webhook got %v\nthe file %v", a, b)
	}
}
