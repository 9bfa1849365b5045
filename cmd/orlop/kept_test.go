//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/store"
	"github.com/orlop/orlop/store/storetest"
)

// kept is a run that follows a log and keeps alerts in a store, with its console.
type kept struct {
	*daemon
	t                 *testing.T
	store, state, log string
	serial            int
	url               string
	client            *http.Client // signed in
}

const keptSecret = "orlop_0123456789abcdef0123456789abcdef"

func keep(t *testing.T, name string) *kept {
	t.Helper()
	dir := t.TempDir()
	k := &kept{t: t, store: name, state: filepath.Join(dir, "state"), log: filepath.Join(dir, "audit.log"), serial: 1}
	rules := t.TempDir()
	writeRule(t, rules, "drill", drillRule, `process where event.type == "start" and process.args == "drill"`)
	writeRule(t, rules, "pair", pairRule, `sequence with maxspan=10m
  [process where event.type == "start" and process.args == "first"]
  [process where event.type == "start" and process.args == "second"]`)
	addTo(t, k.log, recordsOf(1, time.Now().Add(-3*time.Hour), "old"))
	k.daemon = start(t, program(t), "run", "--source", "audit-log="+k.log, "--rules", rules, "--state", k.state, "--store", name, "--listen", "127.0.0.1:0", "--output", "ndjson")
	k.url = "http://" + k.says(`msg=listening address=(\S+)`)
	return k
}

// says waits for a line of the log, and returns what the pattern finds in it.
func (k *kept) says(pattern string) string {
	k.t.Helper()
	re := regexp.MustCompile(pattern)
	for _, l := range k.logs {
		if m := re.FindStringSubmatch(l); m != nil {
			return m[len(m)-1]
		}
	}
	for {
		select {
		case l, ok := <-k.daemon.log:
			if !ok {
				k.t.Fatalf("it ended without saying %s: %s", pattern, strings.Join(k.logs, "\n"))
			}
			k.logs = append(k.logs, l)
			if m := re.FindStringSubmatch(l); m != nil {
				return m[len(m)-1]
			}
		case <-time.After(20 * time.Second):
			k.t.Fatalf("it does not say %s: %s", pattern, strings.Join(k.logs, "\n"))
		}
	}
}

// signIn takes the link out of the file that the log names, and makes a token. The log does
// not have it, the file is for its owner alone, and it goes when the link is used.
func (k *kept) signIn() {
	k.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	k.client = &http.Client{Jar: jar}
	file := k.says(`can sign in yet.* file=(\S+)$`)
	st, err := os.Stat(file)
	if err != nil {
		k.t.Fatal(err)
	}
	if st.Mode() != 0o600 || filepath.Dir(file) != k.state {
		k.t.Errorf("the link is in %s with mode %v, want one of mode 0600 in %s", file, st.Mode(), k.state)
	}
	link, err := os.ReadFile(file)
	if err != nil {
		k.t.Fatal(err)
	}
	if code, _ := k.get(strings.TrimPrefix(strings.TrimSpace(string(link)), k.url)); code != http.StatusOK {
		k.t.Fatalf("the link answers %d", code)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		k.t.Errorf("the link is used, and its file is there: %v", err)
	}
	if text := strings.Join(k.logs, "\n"); strings.Contains(text, "token=") {
		k.t.Errorf("the log has the link: %s", text)
	}
	s, err := store.Open(k.t.Context(), k.store, store.Options{})
	if err != nil {
		k.t.Fatal(err)
	}
	defer s.Close()
	users, err := s.Users(k.t.Context())
	if err != nil || len(users) != 1 {
		k.t.Fatalf("%d users: %v", len(users), err)
	}
	err = s.CreateToken(k.t.Context(), store.Actor{User: users[0].Name}, time.Now(), keptSecret, &store.Token{Name: "test", User: users[0].Name, Scopes: []string{"read", "exceptions", "rules"}})
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) get(path string) (code int, body string) {
	k.t.Helper()
	r, err := k.client.Get(k.url + path)
	if err != nil {
		k.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// api asks the API, which has to do it.
func (k *kept) api(method, path string, body, into any) {
	k.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		k.t.Fatal(err)
	}
	req, err := http.NewRequest(method, k.url+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+keptSecret)
	req.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil || r.StatusCode != http.StatusOK {
		k.t.Fatalf("%s %s answers %d: %v: %s", method, path, r.StatusCode, err, b)
	}
}

// acts writes executions into the log.
func (k *kept) acts(args ...string) {
	k.t.Helper()
	k.serial++
	addTo(k.t, k.log, recordsOf(k.serial, time.Now(), args...))
}

// raised are the last arguments of the alerts that were printed.
func (k *kept) raised(t *testing.T) (last []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range alerts(t, k.out) {
		args := lookUp(a, "process.args").([]any)
		last = append(last, fmt.Sprint(args[len(args)-1]))
	}
	return last
}

func (k *kept) decided(want agent.Decided) {
	k.t.Helper()
	k.status(k.state, func(s *agent.Status) bool {
		return s.Decided != nil && s.Decided.Exceptions == want.Exceptions && s.Decided.Off == want.Off
	})
}

// What people save in the console holds in the run beside it, at once and after the next
// start: an exception, and a rule that is switched off. Its page says how often.
func TestRunActsOnTheConsole(t *testing.T) {
	f := func(t *testing.T, name string) {
		k := keep(t, name)
		k.signIn()
		k.acts("ctr", "drill", "a")
		k.lines(1)
		var x store.Exception
		k.api("POST", "/exceptions", map[string]any{"name": "the drill", "reason": "it is ours", "rules": []string{drillRule}, "entries": []store.Entry{{Field: "process.args", Type: "match", Values: []string{"ours"}}}}, &x)
		k.decided(agent.Decided{Exceptions: 1})
		k.acts("ctr", "drill", "ours")
		k.acts("ctr", "drill", "b")
		k.lines(2)
		k.wait("what was held", func() bool {
			code, body := k.get("/exceptions")
			if code != http.StatusOK {
				t.Fatalf("the page answers %d: %s", code, body)
			}
			return strings.Contains(body, "<td>1 event, the last ")
		})
		if _, body := k.get("/rules/" + drillRule); !strings.Contains(body, "the drill") {
			t.Error("the rule's page does not show its exception")
		}
		k.api("PUT", "/rules/"+drillRule+"/state", map[string]any{"disabled": true, "reason": "loud"}, nil)
		k.decided(agent.Decided{Exceptions: 1, Off: 1})
		k.acts("ctr", "drill", "off")
		k.acts("ctr", "first")
		k.acts("ctr", "second") // of the other rule
		k.wait("the pair", func() bool { return len(k.raised(t)) == 3 })
		if _, body := k.get("/rules/" + drillRule); !strings.Contains(body, "switched off in the console") {
			t.Error("the rule's page does not say that it is off")
		}
		k.api("PUT", "/rules/"+drillRule+"/state", map[string]any{"disabled": false}, nil)
		k.decided(agent.Decided{Exceptions: 1})
		k.acts("ctr", "drill", "ours")
		k.acts("ctr", "drill", "c")
		k.wait("the last", func() bool { return len(k.raised(t)) == 4 })
		k.end()
		got := k.raised(t)
		if got[0] != "a" || got[1] != "b" || got[3] != "c" {
			t.Errorf("raised %q", got)
		}

		// The next run knows it before its first event.
		d := prepare(t, k.cmd.Args...)
		d.begin()
		again := *k
		again.daemon = d
		again.acts("ctr", "drill", "ours")
		again.acts("ctr", "drill", "d")
		again.lines(1)
		again.end()
		if got := again.raised(t); len(got) != 1 || got[0] != "d" {
			t.Errorf("after a start raised %q", got)
		}
		s, err := store.Open(t.Context(), name, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		holds, err := s.Holds(t.Context())
		if err != nil || len(holds) != 1 || holds[0].Count != 3 || holds[0].Rule != drillRule {
			t.Errorf("%+v (%v), want one of three", holds, err)
		}
	}
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "orlop.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, storetest.Postgres(t)) })
}

// A store that does not open at the start holds up nobody: the run judges, the outbox
// keeps, and when the store opens it gets every alert, and the console is there.
func TestTheConsoleComesWithTheStore(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "later")
	k := keep(t, filepath.Join(missing, "orlop.db"))
	k.client = http.DefaultClient
	k.says("the store does not answer")
	k.acts("ctr", "drill", "a")
	k.lines(1)
	if code, body := k.get("/alerts"); code != http.StatusServiceUnavailable || !strings.Contains(body, "The store does not open") {
		t.Errorf("without a store the console answers %d: %s", code, body)
	}
	if code, _ := k.get("/status"); code != http.StatusOK {
		t.Errorf("/status answers %d", code)
	}
	if err := os.Mkdir(missing, 0o700); err != nil {
		t.Fatal(err)
	}
	k.signIn()
	k.wait("the alert", func() bool {
		var page struct{ Total int }
		k.api("GET", "/alerts", nil, &page)
		return page.Total == 1
	})
	k.end()
}
