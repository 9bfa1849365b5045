package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orlop/orlop/store"
)

const secret = "0123456789abcdef0123456789abcdef"

// What people did, as the audit log has it.
func logOf(t *testing.T, s *store.Store) (log []string) {
	t.Helper()
	for a, err := range s.Actions(t.Context(), &store.ActionQuery{Limit: 1000}) {
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, a.By.User+" "+a.What+" "+a.Object)
		for _, b := range [][]byte{a.Before, a.After} {
			if strings.Contains(string(b), "argon2id") || strings.Contains(string(b), secret) {
				t.Errorf("action %d holds a secret: %s", a.Seq, b)
			}
		}
	}
	return log
}

func TestPeople(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s, ctx := open(t, name), t.Context()
		u := &store.User{Name: "bob", Role: store.Analyst, Hash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", Settings: store.Settings{Theme: "dark", Queries: map[string]string{"mine": "x"}}}
		if err := s.CreateUser(ctx, ann, now, u); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateUser(ctx, ann, now, u); !errors.Is(err, store.ErrExists) {
			t.Errorf("a second: %v", err)
		}
		for _, bad := range []store.User{{Role: store.Admin}, {Name: "x", Role: "root"}} {
			if err := s.PutUser(ctx, ann, now, &bad); err == nil {
				t.Errorf("%+v is taken", bad)
			}
		}
		want := *u
		want.Created = now
		got, err := s.User(ctx, "bob")
		if err != nil || !cmp.Equal(*got, want) {
			t.Errorf("%v %s", err, cmp.Diff(&want, got))
		}
		if _, err := s.User(ctx, "eve"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}

		session := func(want error) {
			t.Helper()
			if _, _, err := s.Session(ctx, now.Add(time.Minute), secret); !errors.Is(err, want) {
				t.Errorf("session: %v, want %v", err, want)
			}
		}
		session(store.ErrNotFound)
		begin := func() {
			t.Helper()
			if err := s.BeginSession(ctx, secret, &store.Session{User: "bob", Created: now, Expires: now.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		begin()
		session(nil)
		if _, _, err := s.Session(ctx, now.Add(time.Hour), secret); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an expired one: %v", err)
		}
		if _, _, err := s.Session(ctx, now, secret+"x"); !errors.Is(err, store.ErrNotFound) || strings.Contains(err.Error(), secret) {
			t.Errorf("another secret: %v", err)
		}
		if err := s.TouchSession(ctx, now.Add(time.Minute), secret, now.Add(30*time.Second)); err != nil {
			t.Fatal(err)
		}
		session(store.ErrNotFound)
		begin()
		if err := s.EndSession(ctx, secret); err != nil {
			t.Fatal(err)
		}
		session(store.ErrNotFound)
		begin()
		u.Disabled = true
		if err := s.PutUser(ctx, ann, now, u); err != nil {
			t.Fatal(err)
		}
		session(store.ErrNotFound)
		u.Disabled = false
		if err := s.PutUser(ctx, ann, now, u); err != nil {
			t.Fatal(err)
		}
		session(nil)
		if err := s.ExpireSessions(ctx, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		session(store.ErrNotFound)

		if err := s.CreateToken(ctx, ann, now, secret, &store.Token{Name: "ci", User: "bob", Scopes: []string{"alerts.read"}, Expires: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateToken(ctx, ann, now, secret+"2", &store.Token{Name: "ci"}); !errors.Is(err, store.ErrExists) {
			t.Error(err)
		}
		if err := s.CreateToken(ctx, ann, now, "short", &store.Token{Name: "x"}); err == nil {
			t.Error("a short secret is taken")
		}
		x, err := s.UseToken(ctx, now.Add(time.Minute), secret)
		if err != nil || x.Name != "ci" || x.Scopes[0] != "alerts.read" || x.Key != "" {
			t.Errorf("%+v %v", x, err)
		}
		if _, err := s.UseToken(ctx, now.Add(time.Hour), secret); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an expired one: %v", err)
		}
		all, err := s.Tokens(ctx)
		if err != nil || len(all) != 1 || !all[0].Used.Equal(now.Add(time.Minute)) || all[0].Key != "" {
			t.Errorf("%+v %v", all, err)
		}

		// For one use: of many at once, one gets it.
		if err := s.CreateToken(ctx, ann, now, secret+"once", &store.Token{Name: "link", Once: true}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		used := 0
		for range 8 {
			wg.Go(func() {
				_, err := s.UseToken(ctx, now, secret+"once")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					used++
				} else if !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if used != 1 {
			t.Errorf("it was used %d times", used)
		}

		begin()
		if err := s.DeleteUser(ctx, ann, now, "bob"); err != nil {
			t.Fatal(err)
		}
		session(store.ErrNotFound)
		if _, err := s.UseToken(ctx, now, secret); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of a user that is gone: %v", err)
		}
		if err := s.DeleteUser(ctx, ann, now, "bob"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}

		r := &store.RuleState{RuleID: "r1", Disabled: true, Reason: "noise"}
		if err := s.PutRuleState(ctx, ann, now, r); err != nil {
			t.Fatal(err)
		}
		states, err := s.RuleStates(ctx)
		if err != nil || len(states) != 1 || *states[0] != (store.RuleState{RuleID: "r1", Disabled: true, Reason: "noise", By: "ann", Changed: now}) {
			t.Errorf("%+v %v", states, err)
		}
		wantLog := []string{"ann rule.put r1", "ann token.delete ci", "ann user.delete bob", "orlop token.use link", "ann token.put link", "ann token.put ci", "ann user.put bob", "ann user.put bob", "ann user.put bob"}
		if d := cmp.Diff(wantLog, logOf(t, s)); d != "" {
			t.Error(d)
		}
		if f := verify(t, s); f != nil {
			t.Error(f)
		}
	})
}

// What an exception has held is counted by exception and rule, whoever brings it, and goes
// with the exception.
func TestHolds(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		ctx := t.Context()
		stores := []*store.Store{open(t, name), open(t, name)}
		x := &store.Exception{Name: "nightly", Reason: "the job", Where: `process.name == "ctr"`}
		if err := stores[0].PutException(ctx, ann, now, x); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				err := stores[i%2].AddHolds(ctx, []store.Hold{
					{Exception: x.ID, Rule: "r1", Count: 2, Last: now.Add(time.Duration(i) * time.Second)},
					{Exception: x.ID, Rule: "r0", Count: 1, Last: now},
					{Exception: "nobody's", Rule: "r1", Count: 1, Last: now},
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		f := func(want ...store.Hold) {
			t.Helper()
			all, err := stores[0].Holds(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var got []store.Hold
			for _, h := range all {
				got = append(got, *h)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
		f(store.Hold{Exception: x.ID, Rule: "r0", Count: 20, Last: now}, store.Hold{Exception: x.ID, Rule: "r1", Count: 40, Last: now.Add(19 * time.Second)})
		if err := stores[1].DeleteException(ctx, ann, now, x.ID, ""); err != nil {
			t.Fatal(err)
		}
		f()
	})
}

// An exception is asked of the event, which has nothing of what an alert says.
func TestExceptionsAreOfEvents(t *testing.T) {
	f := func(where, want string) {
		t.Helper()
		x := &store.Exception{Name: "n", Reason: "r", Where: where}
		if err := x.Check(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", where, err, want)
		}
	}
	f(`process.name == "ctr" and kibana.alert.severity == "low"`, `"kibana.alert.severity" is a field of alerts`)
	f(`orlop.evidence.lost > 0`, `"orlop.evidence.lost" is a field of alerts`)
	f(`orlop.evidence.truncated == true`, "")
	f(`kibana_version == "8" and orlop.runtime.tool == "ctr"`, "")
}

// An exception is kept only if it says why and whom, and its preview counts what it would
// have removed.
func TestExceptions(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s, ctx := open(t, name), t.Context()
		for i := range 10 {
			insert(t, s, newAlert(t, fmt.Sprint("a", i), map[string]any{
				"kibana.alert.rule.rule_id": fmt.Sprint("r", i%2), "kibana.alert.rule.name": fmt.Sprint("rule ", i%2),
				"@timestamp": now.Add(time.Duration(-i) * time.Hour).Format(time.RFC3339), "process": map[string]any{"name": "ctr", "args": []string{"ctr", fmt.Sprint("x", i)}},
			}))
		}
		if _, err := s.Update(ctx, ann, now, []string{"a1"}, store.Change{Status: store.StatusClosed, Reason: "true_positive"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Update(ctx, ann, now, []string{"a2"}, store.Change{Assign: []string{"ann"}}); err != nil {
			t.Fatal(err)
		}
		match := store.Entry{Field: "process.name", Type: "match", Operator: "included", Values: []string{"ctr"}}
		preview := func(x store.Exception, want string) {
			t.Helper()
			p, err := s.Preview(ctx, &x, now.Add(-7*time.Hour), now.Add(time.Hour), 2)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = fmt.Sprint(p.Removed, " of ", p.Total, " ", p.Rules, " true ", p.True, " worked ", p.Worked, " ", ids(p.Alerts))
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
		preview(store.Exception{Entries: []store.Entry{match}}, "8 of 8 [{r0 rule 0 4 4} {r1 rule 1 4 4}] true 1 worked 1 [a0 a1]")
		preview(store.Exception{Rules: []string{"r0"}, Entries: []store.Entry{match}}, "4 of 4 [{r0 rule 0 4 4}] true 0 worked 1 [a0 a2]")
		preview(store.Exception{Entries: []store.Entry{{Field: "process.args", Type: "match_any", Values: []string{"x1", "x3"}}}}, "2 of 8 [{r1 rule 1 4 2}] true 1 worked 0 [a1 a3]")
		preview(store.Exception{Entries: []store.Entry{match, {Field: "process.args", Type: "wildcard", Operator: "excluded", Values: []string{"x?"}}}}, "0 of 8 [] true 0 worked 0 []")
		preview(store.Exception{Entries: []store.Entry{{Field: "process", Type: "nested", Entries: []store.Entry{{Field: "name", Type: "match", Values: []string{"ctr"}}, {Field: "pid", Type: "exists", Operator: "excluded"}}}}, Where: `process.args == "x4"`}, "1 of 8 [{r0 rule 0 4 1}] true 0 worked 0 [a4]")
		preview(store.Exception{Name: "n"}, `exception "n": it has no condition, and would remove everything`)
		preview(store.Exception{Name: "n", Where: "true"}, `exception "n": it asks for no field, and would remove everything or nothing`)
		preview(store.Exception{Name: "n", Entries: []store.Entry{{Field: "x", Type: "list"}, {Field: "y", Type: "wildcard", Values: []string{"**"}}, {Type: "match"}, {Field: "z", Type: "match", Operator: "is", Values: []string{"1"}}}},
			`exception "n": entry 1: "x": a value list (type list) is not known here: match_any takes its values
entry 2: "y": the pattern "**" is everything: exists says so
entry 3: it names no field
entry 4: "z": operator "is": expected included or excluded`)

		x := &store.Exception{Name: "nightly", Entries: []store.Entry{match}, Expires: now.Add(time.Hour)}
		if err := s.PutException(ctx, ann, now, x); err == nil || !strings.Contains(err.Error(), "needs a reason") {
			t.Error(err)
		}
		x.Reason = "the nightly job"
		if err := s.PutException(ctx, ann, now, x); err != nil || x.ID == "" || x.By != "ann" || !x.Created.Equal(now) {
			t.Errorf("%+v %v", x, err)
		}
		x.Name = "nightly \xff\x00"
		if err := s.PutException(ctx, store.Actor{User: "bob"}, now.Add(time.Hour), x); err != nil {
			t.Fatal(err)
		}
		got, err := s.Exception(ctx, x.ID)
		if err != nil || got.Name != "nightly \xff\x00" || got.By != "bob" || !got.Created.Equal(now) || !got.Active(now) || got.Active(now.Add(time.Hour)) {
			t.Errorf("%+v %v", got, err)
		}
		if err := s.DeleteException(ctx, ann, now, x.ID, "the job is gone"); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Exceptions(ctx); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
		if d := cmp.Diff([]string{"ann exception.delete " + x.ID, "bob exception.put " + x.ID, "ann exception.put " + x.ID}, logOf(t, s)[:3]); d != "" {
			t.Error(d)
		}
	})
}
