package console_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/store"
)

// What an alert has kept is enough to raise it again.
func TestEachAlertIsReplayed(t *testing.T) {
	s := newSite(t)
	v := s.visit("vic")
	for _, a := range s.alerts {
		code, body := v.get("/alerts/" + url.PathEscape(a.ID) + "/replay")
		if code != 200 || !strings.Contains(body, "It matches today too.") || !strings.Contains(body, "The query is the same.") || !strings.Contains(body, "Why it matches") {
			_, rest, _ := strings.Cut(body, "<h1>")
			t.Errorf("the replay of %q (%s, block %v) answers %d: %.3000s", a.RuleName, a.Reason, a.BuildingBlock, code, rest)
		}
	}
}

func TestAReplaySaysWhatHasChanged(t *testing.T) {
	s := newSite(t)
	v := s.visit("ann")
	const name = "Container Given Host Access Below the Kubernetes API"
	id := s.id(name)
	f := func(want ...string) {
		t.Helper()
		_, body := v.get("/alerts/" + id + "/replay")
		for _, w := range want {
			if !strings.Contains(body, w) {
				_, rest, _ := strings.Cut(body, "<h1>")
				t.Errorf("the replay does not say %q: %s", w, rest)
			}
		}
	}
	var of string
	for _, r := range s.rules() {
		if r.Name == name {
			of = r.ID
		}
	}
	actor := store.Actor{User: "test"}
	if err := s.store.PutRuleState(t.Context(), actor, s.at, &store.RuleState{RuleID: of, Disabled: true, Reason: "too loud"}); err != nil {
		t.Fatal(err)
	}
	f("but no alert would come", "The rule is switched off: too loud")
	if err := s.store.PutRuleState(t.Context(), actor, s.at, &store.RuleState{RuleID: of}); err != nil {
		t.Fatal(err)
	}
	s.except("ours", "event.type", "start", of, time.Time{})
	s.except("a drill", "event.type", "start", of, s.at.Add(-time.Hour))
	f("but no alert would come", "<b>ours</b> keeps it away")

	to := func(query string) func(rule.Rule) *rule.Rule {
		return func(r rule.Rule) *rule.Rule {
			if r.ID == of {
				r.Query.Text, r.Query.Place = query, nil
			}
			return &r
		}
	}
	s.change = to(`process where event.type == "start" and process.name == "no such program" and not process.pid == -1`)
	f("It does not match today.", "The query has changed since.", `process.name == &#34;no such program&#34;`)
	s.change = to(`sequence by process.pid [process where event.type == "start"] [process where event.type == "end"]`)
	f("It does not match today.", `event.type == &#34;end&#34;`)
	s.change = to(`process where process.pid = 1`)
	f("It cannot be run: ")
	s.change = func(r rule.Rule) *rule.Rule { r.ID += "x"; return &r }
	f("The rule is not among those that run here now.")
}

// The tests of a rule are run when its page is opened first.
func TestARulesTestsAreRunOnItsPage(t *testing.T) {
	s := newSite(t)
	v := s.visit("vic")
	r := s.rules()[0].Rule
	for range 2 {
		if _, body := v.get("/rules/" + r.ID); !strings.Contains(body, " passed</span>") || strings.Contains(body, "not run") {
			t.Errorf("the page does not say that tests have passed: %s", body)
		}
	}
	if s.trials != 1 {
		t.Errorf("the tests were run %d times, want once", s.trials)
	}
	wrong := *r
	wrong.Tests = []rule.Test{{Name: "good", Match: false, Events: r.Tests[0].Events[:0]}, {Name: "bad", Match: true}, {Name: "ugly", Events: []json.RawMessage{json.RawMessage("{")}}}
	s.change = func(x rule.Rule) *rule.Rule {
		if x.ID == wrong.ID {
			return &wrong
		}
		return &x
	}
	if _, body := v.get("/rules/" + r.ID); !strings.Contains(body, "2 of 3 failed") || !strings.Contains(body, "The rule does not match, and must.") {
		t.Errorf("the page of a rule with a wrong test: %s", body)
	}
}
