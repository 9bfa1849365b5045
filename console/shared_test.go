package console_test

import (
	"bufio"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/store"
	"github.com/orlop/orlop/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// Two consoles of two programs on one store: each tells its readers of the other's new
// alerts while they read, and shows what people did at the other, of alerts, exceptions,
// rules and sessions. What was done at both at once is all there.
func TestTwoConsolesShareAStore(t *testing.T) {
	f := func(t *testing.T, name string) {
		here := siteOf(t, name)
		here.insert(here.another("low"))
		other, err := store.Open(t.Context(), name, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { other.Close() })
		there := &site{t: t, store: other, at: here.at}
		a, b := here.visit("ann"), there.visit("admin")
		shows := func(v *visitor, path, want string) {
			t.Helper()
			if code, body := v.get(path); code != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%s answers %d and lacks %q", path, code, want)
			}
		}
		does := func(v *visitor, page, path string, form url.Values) {
			t.Helper()
			form.Set("csrf", v.csrf(page))
			if code, body, _ := v.post(path, form); code != http.StatusSeeOther {
				t.Fatalf("%s answers %d: %.300s", path, code, body)
			}
		}
		shows(b, "/alerts/another", "Another")

		// What one does the other shows.
		does(a, "/alerts/another", "/alerts/act", url.Values{"id": {"another"}, "do": {"acknowledge"}, "comment": {"mine, says ann"}})
		shows(b, "/alerts/another", "acknowledged")
		does(a, "/except", "/except", url.Values{"set": {"1"}, "where": {`process.name == "backup"`}, "name": {"the backup"}, "reason": {"ours"}, "expires": {"2027-01-01"}})
		shows(b, "/exceptions", "the backup")
		does(b, "/rules/r", "/rules/r/state", url.Values{"disabled": {"1"}, "reason": {"loud"}})
		shows(a, "/rules/r", ">off<")
		shows(b, "/audit", "exception.put")

		// A new alert of one is told at the other, to those who read already.
		told := b.live("/alerts/live?status=all&since=1")
		second, err := alert.Parse([]byte(strings.Replace(string(here.another("high").AppendJSON(nil)), `"kibana.alert.uuid":"another"`, `"kibana.alert.uuid":"second"`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		here.insert(second)
		start := time.Now()
		if got := <-told; !strings.Contains(got, `"new":1`) {
			t.Errorf("the other console tells %q", got)
		}
		t.Logf("told after %v", time.Since(start))
		shows(b, "/alerts/second", "Another")

		// And what somebody makes of an alert, to those who have it before them.
		does(a, "/alerts/second", "/alerts/act", url.Values{"id": {"second", "another"}, "do": {"close"}, "reason": {"false_positive"}})
		if got, want := <-told, `{"alerts":{"another":{"status":"closed","reason":"false_positive","by":"ann"},"second":{"status":"closed","reason":"false_positive","by":"ann"}}}`; got != want {
			t.Errorf("the other console tells %s, want %s", got, want)
		}
		// Whoever begins to listen is told of what came since the page was made.
		if got := <-b.live("/alerts/live?status=all&since=100&did=0"); !strings.Contains(got, `"second":{"status":"closed"`) {
			t.Errorf("who begins to listen is told %s", got)
		}

		// Both work on alerts at once.
		done := make(chan error)
		for i, s := range []*store.Store{here.store, other} {
			go func() {
				for range 20 {
					if _, err := s.Update(t.Context(), store.Actor{User: []string{"ann", "admin"}[i]}, here.at, []string{"another", "second"}, store.Change{Comment: "both"}); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		for _, s := range []*store.Store{here.store, other} {
			r, err := s.Alert(t.Context(), "second")
			if err != nil || r.Workflow.Comments != 40 {
				t.Errorf("%d comments (%v), want 40", r.Workflow.Comments, err)
			}
		}

		// Signed out here is signed out there.
		if err := other.EndSessions(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		if code, _ := a.get("/alerts"); code != http.StatusSeeOther {
			t.Errorf("after the other console ended the session it answers %d", code)
		}
		p, err := other.Verify(t.Context(), store.Heads{}, func(f store.Fault) { t.Error(f.String()) })
		if err != nil || p.Faults != 0 {
			t.Errorf("%+v: %v", p, err)
		}
	}
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "orlop.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, storetest.Postgres(t)) })
}

// live are the events that a page hears, from when it hears.
func (v *visitor) live(path string) <-chan string {
	v.t.Helper()
	r, err := v.http.Get(v.at + path)
	if err != nil || r.StatusCode != http.StatusOK {
		v.t.Fatalf("%v: %v", r, err)
	}
	v.t.Cleanup(func() { r.Body.Close() })
	lines, heard := bufio.NewScanner(r.Body), make(chan string, 100)
	lines.Scan() // retry: it listens
	go func() {
		defer close(heard)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				heard <- data
			}
		}
	}()
	return heard
}
