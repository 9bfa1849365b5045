package console_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
	"github.com/orlop/orlop/store"
)

// A site is a store with the alerts of the recorded session, and a console over it.
type site struct {
	t      *testing.T
	store  *store.Store
	server *console.Server
	engine *detect.Engine
	at     time.Time
	alerts []*alert.Alert

	mu     sync.Mutex                   // at and read, which the console looks at by itself
	read   uint64                       // events, by the source that there is
	trials int                          // how many were made
	change func(r rule.Rule) *rule.Rule // what became of the rules since, or nil
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// pass lets time pass, in which the source reads events.
func (s *site) pass(d time.Duration, events uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
	s.read += events
}

// recorded are the alerts of the session on a node.
func recorded(t *testing.T) ([]*alert.Alert, *detect.Engine) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "examples", "node-session", "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	schema := event.NewSchema()
	var now time.Time
	engine := detect.New(detect.Options{Schema: schema, Lateness: -1, Now: func() time.Time { return now }})
	if err := engine.SetRules(rule.LoadFS(rules.FS, "rules").Rules); err != nil {
		t.Fatal(err)
	}
	var all []*alert.Alert
	emit := func(a *alert.Alert) { all = append(all, a) }
	x := enrich.New(schema, enrich.Options{})
	tuning, err := agent.LoadTuning("", schema)
	if err != nil {
		t.Fatal(err)
	}
	in := source.NewInput("audit.log", f)
	err = audit.New(in, source.Options{Schema: schema, Stats: &source.Stats{}}).Run(t.Context(), func(e *event.Event) error {
		x.Apply(e)
		tuning.Apply(e)
		now = e.Time
		engine.Process(e, emit)
		return engine.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	engine.Flush(emit)
	if len(all) < 30 {
		t.Fatalf("%d alerts of the session, want those of the demo", len(all))
	}
	return all, engine
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.alerts, s.engine = recorded(t)
	s.insert(s.alerts...)
	return s
}

func emptySite(t *testing.T) *site {
	t.Helper()
	return siteOf(t, filepath.Join(t.TempDir(), "orlop.db"))
}

// siteOf is a site with people and without alerts, over a new store.
func siteOf(t *testing.T, name string) *site {
	t.Helper()
	st, err := store.Open(t.Context(), name, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	s := &site{t: t, store: st, at: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	for _, u := range []*store.User{
		{Name: "admin", Role: store.Admin}, {Name: "ann", Role: store.Analyst, Hash: console.HashPassword("correct horse")}, {Name: "vic", Role: store.Viewer},
	} {
		if err := st.CreateUser(t.Context(), store.Actor{User: "test"}, s.at, u); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *site) insert(alerts ...*alert.Alert) {
	s.t.Helper()
	if _, err := s.store.Insert(s.t.Context(), s.at, alerts); err != nil {
		s.t.Fatal(err)
	}
}

// except keeps an exception that has held, of one rule or of all.
func (s *site) except(name, field, value, rule string, expires time.Time) {
	s.t.Helper()
	x := &store.Exception{Name: name, Reason: "it is ours", Expires: expires, Entries: []store.Entry{{Field: field, Type: "match", Values: []string{value}}}}
	if rule != "" {
		x.Rules = []string{rule}
	}
	err := s.store.PutException(s.t.Context(), store.Actor{User: "ann"}, s.at, x)
	if err == nil {
		err = s.store.AddHolds(s.t.Context(), []store.Hold{{Exception: x.ID, Rule: s.rules()[0].ID, Count: 1234, Last: s.at.Add(-2 * time.Hour)}})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// id is that of an alert of a rule which is no building block.
func (s *site) id(ruleName string) string {
	s.t.Helper()
	for _, a := range s.alerts {
		if a.RuleName == ruleName && !a.BuildingBlock {
			return a.ID
		}
	}
	s.t.Fatalf("no alert of %s", ruleName)
	return ""
}

func (s *site) rules() []console.Rule {
	var out []console.Rule
	if s.engine == nil {
		return nil
	}
	for _, r := range s.engine.Rules() {
		if s.change != nil {
			r.Rule = s.change(*r.Rule)
		}
		out = append(out, console.Rule{Rule: r.Rule, Idle: r.Idle, Tried: r.Cost.Candidates, Matched: r.Cost.Matches, Time: 81 * time.Microsecond, Events: 364})
	}
	return out
}

func (s *site) trial(r *rule.Rule, _ bool) (console.Trial, error) {
	s.trials++
	return agent.NewTrial(r, "")
}

func (s *site) sources() []console.Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.read
	return []console.Source{{Name: "audit", About: "a recording", In: 364 + n, Evaluated: 350 + n, Filtered: 4, Late: n / 6000, Lost: 3, Rejected: 7, Waiting: n % 3, Live: true, Newest: s.at.Add(-2 * time.Second)}}
}

// A visitor is somebody with cookies.
type visitor struct {
	*site
	http *http.Client
	at   string
}

// visit serves the console, and returns somebody who is signed in as a user, or nobody.
func (s *site) visit(user string) *visitor {
	s.t.Helper()
	if s.server == nil {
		c, err := console.New(console.Options{Store: s.store, Rules: s.rules, Sources: s.sources, Trial: s.trial, Now: s.now, Known: agent.KnownField})
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(c.Close)
		s.server = c
	}
	srv := httptest.NewServer(s.server)
	s.t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	v := &visitor{site: s, at: srv.URL, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if user != "" {
		path, err := s.server.Link(s.t.Context(), user)
		if err != nil {
			s.t.Fatal(err)
		}
		if code, body := v.get(path); code != http.StatusSeeOther {
			s.t.Fatalf("the link answers %d: %s", code, body)
		}
	}
	return v
}

func (v *visitor) do(r *http.Request) (int, string, http.Header) {
	v.t.Helper()
	resp, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, resp.Body); err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, b.String(), resp.Header
}

func (v *visitor) get(path string) (int, string) {
	v.t.Helper()
	r, err := http.NewRequest(http.MethodGet, v.at+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	code, body, _ := v.do(r)
	return code, body
}

func newConsole(t *testing.T, s *site, hosts ...string) *console.Server {
	t.Helper()
	c, err := console.New(console.Options{Store: s.store, Now: s.now, Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answer is the code of the page to sign in, asked for by a host.
func answer(c *console.Server, host string) int {
	r := httptest.NewRequest(http.MethodGet, "/sign-in", nil)
	r.Host = host
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code
}

// another is an alert that is not there yet.
func (s *site) another(severity string) *alert.Alert {
	s.t.Helper()
	a, err := alert.Parse([]byte(`{"@timestamp":"2026-11-23T08:59:00Z","kibana.alert.uuid":"another","kibana.alert.rule.rule_id":"r","kibana.alert.rule.name":"Another","kibana.alert.severity":"` + severity + `","kibana.alert.workflow_status":"open","host":{"name":"h"}}`))
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}
