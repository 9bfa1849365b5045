package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"modernc.org/sqlite"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/store"
	"github.com/orlop/orlop/store/storetest"
)

var now = time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC)

var ann = store.Actor{User: "ann", Via: "session"}

// editing runs a statement of another program.
func editing(name, query string, args ...any) error {
	ctx := context.Background()
	if !isSQLite(name) {
		c, err := pgx.Connect(ctx, name)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		for i := range args {
			query = strings.Replace(query, "?", fmt.Sprint("$", i+1), 1)
		}
		_, err = c.Exec(ctx, query, args...)
		return err
	}
	c, err := sqlite.NewConnector("file:" + name + "?_busy_timeout=5000")
	if err != nil {
		return err
	}
	db := sql.OpenDB(c)
	defer db.Close()
	_, err = db.Exec(query, args...)
	return err
}

// newAlert is an alert with some fields of its own.
func newAlert(t testing.TB, id string, more map[string]any) *alert.Alert {
	t.Helper()
	m := map[string]any{
		"@timestamp": "2026-04-29T09:00:00.000Z", "kibana.alert.uuid": id, "kibana.alert.rule.rule_id": "r1", "kibana.alert.rule.name": "ctr runs",
		"kibana.alert.severity": "high", "kibana.alert.risk_score": 73, "kibana.alert.workflow_status": "open", "kibana.alert.workflow_tags": []string{},
	}
	maps.Copy(m, more)
	doc, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	a, err := alert.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func insert(t testing.TB, s *store.Store, alerts ...*alert.Alert) int {
	t.Helper()
	n, err := s.Insert(t.Context(), now, alerts)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func verify(t testing.TB, s *store.Store) []string {
	t.Helper()
	return verifyWith(t, s, store.Heads{})
}

func verifyWith(t testing.TB, s *store.Store, w store.Heads) (faults []string) {
	t.Helper()
	p, err := s.Verify(t.Context(), w, func(f store.Fault) { faults = append(faults, f.String()) })
	if err != nil {
		t.Fatal(err)
	}
	if p.Faults != len(faults) {
		t.Errorf("%d faults, told %d", p.Faults, len(faults))
	}
	return faults
}

func query(t testing.TB, s *store.Store, q store.Query) *store.Result {
	t.Helper()
	r, err := s.Query(t.Context(), &q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ids(recs []*store.Record) (ids []string) {
	for _, r := range recs {
		ids = append(ids, r.Alert.ID)
	}
	return ids
}

// An alert is stored once, whoever brings it again.
func TestInsertIsIdempotent(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := open(t, name)
		a, b := newAlert(t, "a", nil), newAlert(t, "b", nil)
		if n := insert(t, s, a, b, a); n != 2 {
			t.Errorf("%d are new, want 2", n)
		}
		if n := insert(t, s, b, newAlert(t, "c", nil), a); n != 1 {
			t.Errorf("%d are new, want 1", n)
		}
		s.Close()
		s = open(t, name)
		if n := insert(t, s, a); n != 0 {
			t.Errorf("%d are new after a restart", n)
		}
		r := query(t, s, store.Query{Limit: 10})
		if d := cmp.Diff([]string{"c", "b", "a"}, ids(r.Records)); d != "" || r.Total != 3 || r.Head != 3 {
			t.Errorf("%d of %d: %s", r.Total, r.Head, d)
		}
		if f := verify(t, s); f != nil {
			t.Error(f)
		}
	})
}

// What a document holds comes back to the byte, whatever it is.
func TestHostileTextComesBack(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 900) + "1" + strings.Repeat("}", 900)
	docs := map[string]string{
		"nul":                `{"kibana.alert.uuid":"nul\u0000","kibana.alert.rule.rule_id":"r\u0000","x":"a\u0000b"}`,
		"lone surrogate":     `{"kibana.alert.uuid":"s","kibana.alert.rule.rule_id":"r","x":"\ud800 \udfff"}`,
		"invalid UTF-8":      "{\"kibana.alert.uuid\":\"u\",\"kibana.alert.rule.rule_id\":\"r\",\"x\":\"\xff\xfe\xc3\"}",
		"bidi":               "{\"kibana.alert.uuid\":\"b\",\"kibana.alert.rule.rule_id\":\"r\",\"x\":\"\u202eexe.txt\u2066\"}",
		"a long text":        `{"kibana.alert.uuid":"l","kibana.alert.rule.rule_id":"r","x":"` + strings.Repeat("long ", 200_000) + `"}`,
		"a long id":          `{"kibana.alert.uuid":"` + strings.Repeat("i", 1<<20) + `","kibana.alert.rule.rule_id":"r"}`,
		"a long name":        `{"kibana.alert.uuid":"n","kibana.alert.rule.rule_id":"r","` + strings.Repeat("n", 1<<20) + `":1}`,
		"deep":               `{"kibana.alert.uuid":"d","kibana.alert.rule.rule_id":"r","x":` + deep + `}`,
		"too deep to search": `{"kibana.alert.uuid":"dd","kibana.alert.rule.rule_id":"r","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"a key twice":        `{"kibana.alert.uuid":"t","kibana.alert.rule.rule_id":"r","x":1,"x":2}`,
		"no name":            `{"kibana.alert.uuid":"e","kibana.alert.rule.rule_id":"r","":1,".":2,"a..b":3}`,
		"numbers":            `{"kibana.alert.uuid":"f","kibana.alert.rule.rule_id":"r","x":1e400,"y":123456789012345678901234567890,"z":-0}`,
	}
	each(t, func(t *testing.T, name string) {
		s := open(t, name)
		for what, doc := range docs {
			a, err := alert.Parse([]byte(doc))
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			insert(t, s, a)
			r, err := s.Alert(t.Context(), a.ID)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := string(r.Alert.AppendJSON(nil)); got != doc {
				t.Errorf("%s: got %.200q, want %.200q", what, got, doc)
			}
		}
		if f := verify(t, s); f != nil {
			t.Error(f)
		}
		// All can be asked for, and none stands in the way of the others.
		if r := query(t, s, store.Query{Limit: 100, Facets: []store.Facet{{Field: "x"}}}); r.Total != len(docs) || len(r.Records) != len(docs) {
			t.Errorf("%d alerts, %d records; want %d", r.Total, len(r.Records), len(docs))
		}
		f := func(field, value, want string) {
			t.Helper()
			r := query(t, s, store.Query{Limit: 10, Filters: []store.Filter{{Field: field, Values: []string{value}}}})
			got := ""
			for _, id := range ids(r.Records) {
				got += fmt.Sprintf("%.6q", id)
			}
			if got != want {
				t.Errorf("%.20q %.20q: got %s, want %s", field, value, got, want)
			}
		}
		f("x", "a\x00b", `"nul\x00"`)
		f("x", "\u202eexe.txt\u2066", `"b"`)
		f("x", strings.Repeat("long ", 200_000), `"l"`)
		f("x", "'; DROP TABLE alert; --", "")
		f("'; DROP TABLE alert; --", "x", "")
		f("x\x00y", "?", "")
		f(strings.Repeat("n", 1<<20), "1", "")
		f("x"+strings.Repeat(".a", 900), "1", `"d"`)
		var comment = "NUL \x00, \xff, \u202e, " + strings.Repeat("x", 1000)
		if _, err := s.Update(t.Context(), store.Actor{User: "a\x00\xff"}, now, []string{"b"}, store.Change{Status: store.StatusClosed, Tag: []string{"\xff\x00", "ok"}, Comment: comment}); err != nil {
			t.Fatal(err)
		}
		for a, err := range s.Actions(t.Context(), &store.ActionQuery{Alert: "b"}) {
			if err != nil || a.Note != comment || a.By.User != "a\x00\xff" {
				t.Errorf("%v: %q", err, a.Note)
			}
		}
		r, err := s.Alert(t.Context(), "b")
		if err != nil || r.Workflow.Tags[1] != "\xff\x00" {
			t.Errorf("%v %+v", err, r)
		}
		if f := verify(t, s); f != nil {
			t.Error(f)
		}
	})
}

// What people do is in the workflow, in queries, in the document and in the audit log.
func TestWorkflow(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := open(t, name)
		insert(t, s, newAlert(t, "a", nil), newAlert(t, "b", nil), newAlert(t, "c", nil))
		open := store.Query{Filters: []store.Filter{{Field: store.FieldStatus, Values: []string{"open"}}}, Facets: []store.Facet{{Field: store.FieldStatus}}}
		if r := query(t, s, open); r.Total != 3 {
			t.Errorf("%d are open", r.Total)
		}
		f := func(want int, by string, at time.Time, c store.Change, ids ...string) {
			t.Helper()
			did, err := s.Update(t.Context(), store.Actor{User: by}, at, ids, c)
			if err != nil || did.Changed != want {
				t.Errorf("%d changed, %v; want %d", did.Changed, err, want)
			}
			if none := slices.Contains(ids, "nobody's"); fmt.Sprint(did.Missing) != map[bool]string{true: "[nobody's]", false: "[]"}[none] {
				t.Errorf("of %q it says that %q are of no alert", ids, did.Missing)
			}
		}
		f(1, "ann", now, store.Change{Status: store.StatusAcknowledged, Assign: []string{"ann"}}, "nobody's", "b", "nobody's")
		f(3, "bob", now.Add(time.Minute), store.Change{Status: store.StatusClosed, Reason: "false_positive", Tag: []string{"noise"}, Comment: "the nightly job"}, "a", "b", "c", "a")
		f(0, "bob", now.Add(time.Hour), store.Change{Status: store.StatusClosed}, "a")
		f(1, "cid", now.Add(time.Hour), store.Change{Status: store.StatusOpen, Untag: []string{"noise"}, Unassign: []string{"x"}}, "c")
		if r := query(t, s, open); r.Total != 1 || fmt.Sprint(r.Facets[0].Values) != "[{closed 2} {open 1}]" {
			t.Errorf("%d are open: %v", r.Total, r.Facets)
		}
		r, err := s.Alert(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		want := store.Workflow{Status: store.StatusClosed, Reason: "false_positive", Assignees: []string{"ann"}, Tags: []string{"noise"}, User: "bob", Updated: now.Add(time.Minute), Comments: 1}
		if d := cmp.Diff(want, r.Workflow); d != "" {
			t.Error(d)
		}
		var doc map[string]any
		if err := json.Unmarshal(r.AppendJSON(nil), &doc); err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{store.FieldStatus: "closed", store.FieldReason: "false_positive", store.FieldTags: "[noise]", store.FieldAssignees: "[ann]", store.FieldUser: "bob", store.FieldUpdated: "2026-04-29T10:01:00.000Z", "kibana.alert.rule.name": "ctr runs"} {
			if fmt.Sprint(doc[k]) != v {
				t.Errorf("%s: %v, want %s", k, doc[k], v)
			}
		}
		var log []string
		for a, err := range s.Actions(t.Context(), &store.ActionQuery{}) {
			if err != nil {
				t.Fatal(err)
			}
			log = append(log, fmt.Sprint(a.Seq, " ", a.By.User, " ", a.What, " ", a.Alerts, " ", a.Note, " ", string(a.Before)))
		}
		wantLog := []string{
			`4 cid alert.update [c]  {"status":"closed","reason":"false_positive","tags":["noise"],"user":"bob","updated":"2026-04-29T10:01:00Z","comments":1}`,
			`3 bob alert.update [b] the nightly job {"status":"acknowledged","assignees":["ann"],"user":"ann","updated":"2026-04-29T10:00:00Z"}`,
			`2 bob alert.update [a c] the nightly job {"status":"open"}`,
			`1 ann alert.update [b]  {"status":"open"}`,
		}
		if d := cmp.Diff(wantLog, log); d != "" {
			t.Error(d)
		}
		n := 0
		for a, err := range s.Actions(t.Context(), &store.ActionQuery{Alert: "a", What: "alert", User: "bob"}) {
			if err != nil || a.Seq != 2 {
				t.Error(a, err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d actions of a by bob", n)
		}
		for _, c := range []store.Change{{Status: "done"}, {Reason: "other"}, {Status: store.StatusClosed, Reason: "tired"}, {Tag: []string{""}}} {
			if _, err := s.Update(t.Context(), ann, now, []string{"a"}, c); err == nil {
				t.Errorf("%+v is taken", c)
			}
		}
		if f := verify(t, s); f != nil {
			t.Error(f)
		}
	})
}

// Verify names what was edited, put in or taken away.
func TestVerify(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		fresh := func(t *testing.T) (string, *store.Store, store.Heads) {
			name := name
			if isSQLite(name) {
				name = sqliteName(t)
			} else {
				name = storetest.Postgres(t)
			}
			s := open(t, name)
			for i := range 6 {
				insert(t, s, newAlert(t, fmt.Sprint("a", i), nil))
				if _, err := s.Update(t.Context(), ann, now, []string{fmt.Sprint("a", i)}, store.Change{Comment: "x"}); err != nil {
					t.Fatal(err)
				}
			}
			h, err := s.Heads(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return name, s, h
		}
		f := func(what string, want string, edits ...string) {
			t.Run(what, func(t *testing.T) {
				name, s, h := fresh(t)
				if got := verifyWith(t, s, h); got != nil {
					t.Fatal(got)
				}
				for _, q := range edits {
					edit(t, name, q)
				}
				if got := strings.Join(verify(t, s), "\n"); got != want {
					t.Errorf("got %s\nwant %s", got, want)
				}
			})
		}
		const changed = "it was changed, or the one before it was: its hash is not that of its content after the one before"
		f("a document", "alert 3: it is filed under the id of another alert", "UPDATE alert SET doc = (SELECT doc FROM alert WHERE seq = 2) WHERE seq = 3")
		f("a time", "alert 3: "+changed, "UPDATE alert SET stored = stored + 1 WHERE seq = 3")
		f("a key", "alert 3: it is filed under the id of another alert", "UPDATE alert SET key = sum WHERE seq = 3")
		f("a sum", "alert 3: "+changed+"\nalert 4: "+changed, "UPDATE alert SET sum = key WHERE seq = 3")
		f("one missing", "alert 3: it is missing", "DELETE FROM alert WHERE seq = 3")
		f("the first missing", "alert 1: 1 to 2 are missing", "DELETE FROM alert WHERE seq <= 2")
		f("the last missing", "alert 6: it is missing at the end", "DELETE FROM alert WHERE seq = 6")
		f("one more", "alert 7: it is filed under the id of another alert\nalert 7: the chain's own note says that it ends at 6", "INSERT INTO alert SELECT 7, sum, stored, doc, sum FROM alert WHERE seq = 6")
		f("an action", "action 2: "+changed, "UPDATE action SET time = time + 1 WHERE seq = 2")
		f("an action missing", "action 6: it is missing at the end\nalert 6: its workflow (status, assignees, tags) was changed without an action", "DELETE FROM action WHERE seq = 6")
		f("a workflow", "alert 2: its workflow (status, assignees, tags) is not what the last action made of it", "UPDATE workflow SET data = (SELECT data FROM action WHERE seq = 1) WHERE alert = 2")
		f("a workflow gone", "alert 2: its workflow (status, assignees, tags) is gone, and an action had made one", "DELETE FROM workflow WHERE alert = 2")
		f("the beginning, and the anchor moved", "alert 2: the alerts up to it are gone, and no action says that retention removed them",
			"UPDATE chain SET anchor = 2, anchor_sum = (SELECT sum FROM alert WHERE seq = 2) WHERE name = 'alerts'", "DELETE FROM alert WHERE seq <= 2", "DELETE FROM workflow WHERE alert <= 2")

		// Cut off at the end, with the note of where it ends: only a witness knows.
		name, s, h := fresh(t)
		for _, q := range []string{"DELETE FROM alert WHERE seq = 6", "DELETE FROM workflow WHERE alert = 6", "DELETE FROM action WHERE seq = 6",
			"UPDATE chain SET seq = 5, sum = (SELECT sum FROM alert WHERE seq = 5) WHERE name = 'alerts'", "UPDATE chain SET seq = 5, sum = (SELECT sum FROM action WHERE seq = 5) WHERE name = 'actions'"} {
			edit(t, name, q)
		}
		if got := verify(t, s); got != nil {
			t.Errorf("without a witness: %s", got)
		}
		want := []string{"action 6: it is missing: the witness saw rows up to 6", "alert 6: it is missing: the witness saw rows up to 6"}
		if d := cmp.Diff(want, verifyWith(t, s, h)); d != "" {
			t.Error(d)
		}
		// And what is stored in its place is not what the witness saw.
		insert(t, s, newAlert(t, "other", nil))
		back, err := store.ParseHead(h.Alerts.String())
		if err != nil || back != h.Alerts {
			t.Error(back, err)
		}
		if got := verifyWith(t, s, store.Heads{Alerts: back}); len(got) != 1 || !strings.HasPrefix(got[0], "alert 6: it is not the one that the witness saw") {
			t.Error(got)
		}
	})
}

// Retention by age and by size removes the oldest; the rest is verified from there.
func TestPrune(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := open(t, name)
		var noise []byte
		for i := range 4096 {
			noise = append(noise, "0123456789abcdef"[(i*i*7919>>3)%16])
		}
		for day := range 10 {
			var as []*alert.Alert
			for i := range 50 {
				as = append(as, newAlert(t, fmt.Sprint(day, "-", i), map[string]any{"process.args": fmt.Sprint(string(noise[i:]), day)}))
			}
			if _, err := s.Insert(t.Context(), now.AddDate(0, 0, day), as); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Update(t.Context(), ann, now, []string{"0-1", "9-1"}, store.Change{Comment: "x"}); err != nil {
			t.Fatal(err)
		}
		query(t, s, store.Query{Facets: []store.Facet{{Field: "process.args"}}})
		at := now.AddDate(0, 0, 10)
		p, err := s.Prune(t.Context(), at, store.Retention{Age: 5 * 24 * time.Hour})
		if err != nil || p.Alerts != 250 {
			t.Fatalf("%+v, %v", p, err)
		}
		if f := verify(t, s); f != nil {
			t.Error(f)
		}
		r := query(t, s, store.Query{Limit: 1000, Facets: []store.Facet{{Field: "process.args", Limit: 1000}}})
		if r.Total != 250 || len(r.Records) != 250 || r.Facets[0].Distinct != 250 {
			t.Errorf("%d left, %d records, %d values", r.Total, len(r.Records), r.Facets[0].Distinct)
		}
		if _, err := s.Alert(t.Context(), "0-1"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		i, err := s.Info(t.Context())
		if err != nil || i.Alerts != 250 || i.Removed != 250 || !i.Oldest.Equal(now.AddDate(0, 0, 5)) {
			t.Errorf("%+v %v", i, err)
		}
		most := i.Bytes - i.Bytes/5
		if p, err = s.Prune(t.Context(), at, store.Retention{Bytes: most}); err != nil || p.Alerts == 0 || p.Alerts == 250 || p.Bytes > most {
			t.Errorf("%+v, %v; want at most %d bytes", p, err, most)
		}
		if p, err = s.Prune(t.Context(), at.AddDate(1, 0, 0), store.Retention{Actions: time.Hour}); err != nil || p.Actions == 0 {
			t.Errorf("%+v, %v", p, err)
		}
		if f := verify(t, s); f != nil {
			t.Error(f)
		}
		if p, err = s.Prune(t.Context(), at, store.Retention{Age: time.Hour}); err != nil {
			t.Errorf("%+v, %v", p, err)
		}
		insert(t, s, newAlert(t, "new", nil))
		if r := query(t, s, store.Query{Limit: 10}); r.Total != 1 || len(r.Records) != 1 {
			t.Errorf("%+v", r)
		}
		if f := verify(t, s); f != nil {
			t.Error(f)
		}
	})
}

// Those that watch hear of what others do.
func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		here, there := open(t, name), open(t, name) // of two programs
		insert(t, here, newAlert(t, "a", nil))
		told := make(chan store.Notice)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- there.Watch(ctx, func(n store.Notice) error {
				told <- n
				return nil
			})
		}()
		f := func(want store.Notice) {
			t.Helper()
			start := time.Now()
			if got := <-told; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if d := time.Since(start); d > time.Second {
				t.Logf("after %v", d)
			}
		}
		f(store.Notice{Alerts: 1})
		insert(t, here, newAlert(t, "b", nil))
		f(store.Notice{Alerts: 2})
		if _, err := here.Update(t.Context(), ann, now, []string{"a"}, store.Change{Status: store.StatusClosed}); err != nil {
			t.Fatal(err)
		}
		f(store.Notice{Alerts: 2, Actions: 1})
		if r := query(t, there, store.Query{Filters: []store.Filter{{Field: store.FieldStatus, Values: []string{"closed"}}}}); r.Total != 1 {
			t.Errorf("the other console sees %d closed", r.Total)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		stop := errors.New("stop")
		if err := there.Watch(t.Context(), func(store.Notice) error { return stop }); !errors.Is(err, stop) {
			t.Error(err)
		}
	})
}

// A store that a newer program has written is refused.
func TestNewerSchema(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		open(t, name).Close()
		if isSQLite(name) {
			edit(t, name, "PRAGMA user_version = 99")
		} else {
			edit(t, name, "UPDATE orlop_schema SET version = 99")
		}
		for _, o := range []store.Options{{}, {ReadOnly: true}} {
			_, err := store.Open(t.Context(), name, o)
			if err == nil || !strings.Contains(err.Error(), "its schema has version 99, and this program knows up to 1") {
				t.Error(err)
			}
		}
	})
}

func TestNames(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		got := ""
		if err := store.CheckName(name); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || want == "" && got != "" || strings.Contains(got, "s3cret") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f("/var/lib/orlop/orlop.db", "")
	f("postgres://orlop@db/orlop", "")
	f("postgres://orlop:s3cret@db/orlop", "PGPASSFILE")
	f("postgres://orlop@db/orlop?password=s3cret", "PGPASSFILE")
	f("postgres://orlop:s3cret%zz@db/orlop", "not valid")
	f("postgresql://orlop@db:5432/orlop?sslmode=require", "")
	f("postgres://orlop@db/orlop?sslpassword=s3cret", "PGSSLPASSWORD")
	f("postgres://orlop@db/orlop?a;password=s3cret", "not valid")
	f("postgres://orlop@db/orlop?sslmode=maybe", "sslmode is invalid")
	f("mysql://db", `expected a path or postgres://…, found "mysql://"`)
	f("mysql://ann:s3cret@db/orlop", `found "mysql://"`)
	f("host=localhost password=s3cret dbname=orlop", "postgres://USER@HOST:PORT/DATABASE")
	f(" password = 's3cret' host=db", "postgres://USER@HOST:PORT/DATABASE")
	f("sslmode=disable password=s3cret://", "postgres://USER@HOST:PORT/DATABASE")
	f("POSTGRES://ann:s3cret@db/orlop", "postgres://USER@HOST:PORT/DATABASE")
	f("postgres:orlop", "postgres://USER@HOST:PORT/DATABASE")
	f("./host=a", "")
	// Whatever else may have a password in it, or mean another database.
	for _, name := range []string{"HOST=db PASSWORD=s3cret", "postgres//ann:s3cret@db/orlop", "sqlite:orlop.db", "file:orlop.db?mode=memory", ":memory:", "s3cret@db://orlop", "hosts=a.db"} {
		f(name, "postgres://USER@HOST:PORT/DATABASE")
	}
	f("../a=b:c@d.db", "")
	f("/a=b:c@d.db", "")
	f("orlop.db", "")
	f("postgres://orlop@db/orlop?sslmode=s3cret", "sslmode is invalid")
	f("postgres://orlop@db:port/s3cret", "not valid")
	f("postgres://orlop@db/orlop#s3cret", "not valid")
	f("postgres://orlop@db/orlop?s3cret", "not valid")
}

// A store is called by its URL without what may be a secret: PostgreSQL takes any name in a
// query as a setting of the session, a mistyped password too.
func TestNoErrorOfAStoreHasASecret(t *testing.T) {
	for _, name := range []string{"postgres://orlop@127.0.0.1:1/orlop?passwd=s3cret", "postgres://orlop@127.0.0.1:1/orlop?sslmode=disable&options=-cpassword%3Ds3cret"} {
		_, err := store.Open(t.Context(), name, store.Options{})
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.HasPrefix(err.Error(), "store postgres://orlop@127.0.0.1:1/orlop") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that is no store, or damaged, says what to do and is left as it is.
func TestBadFiles(t *testing.T) {
	f := func(what string, want string, make func(t *testing.T, name string)) {
		t.Run(what, func(t *testing.T) {
			name := sqliteName(t)
			make(t, name)
			before, _ := os.ReadFile(name)
			s, err := store.Open(t.Context(), name, store.Options{})
			if err == nil {
				_, err = s.Query(t.Context(), &store.Query{Limit: 10})
				if err == nil {
					_, err = s.Insert(t.Context(), now, []*alert.Alert{newAlert(t, "z", nil)})
				}
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
				t.Errorf("%v, want %s", err, want)
			}
			if after, _ := os.ReadFile(name); what != "damage" && string(after) != string(before) {
				t.Error("it was changed")
			}
		})
	}
	write := func(text string) func(t *testing.T, name string) {
		return func(t *testing.T, name string) {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	f("a text", "the file is no SQLite database", write(strings.Repeat("not a database\n", 1000)))
	f("a folder", "is a directory", func(t *testing.T, name string) {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	})
	f("damage", "damaged", func(t *testing.T, name string) {
		s := open(t, name)
		for i := range 50 {
			insert(t, s, newAlert(t, fmt.Sprint(i), map[string]any{"x": strings.Repeat(fmt.Sprint(i), 3000)}))
		}
		s.Close()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 4096; i < len(b); i++ {
			b[i] = 0xa5
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	f("no folder", "no such file or directory", func(t *testing.T, name string) {
		if err := os.RemoveAll(strings.TrimSuffix(name, "/orlop.db")); err != nil {
			t.Fatal(err)
		}
	})
}

// A lock that another program holds is waited for, and said.
func TestLocked(t *testing.T) {
	name := sqliteName(t)
	s := open(t, name)
	c, err := sqlite.NewConnector("file:" + name + "?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Insert(t.Context(), now, []*alert.Alert{newAlert(t, "a", nil)})
	if err == nil || !strings.Contains(err.Error(), "another program holds its lock") {
		t.Error(err)
	}
	tx.Rollback()
	if n := insert(t, s, newAlert(t, "a", nil)); n != 1 {
		t.Error("it does not go on")
	}
}

// Of many groups and values, those of most alerts come, and of as many, the first by text.
func TestManyGroups(t *testing.T) {
	s := open(t, sqliteName(t))
	var as []*alert.Alert
	for i := range 4000 {
		// v0000 … v3999 once each, but every hundredth i/100 times more.
		as = append(as, newAlert(t, fmt.Sprint(i), map[string]any{"x": fmt.Sprintf("v%04d", 3999-i), "y": "z"}))
		if i%100 == 0 {
			for k := range i / 100 {
				as = append(as, newAlert(t, fmt.Sprint(i, "-", k), map[string]any{"x": fmt.Sprintf("v%04d", 3999-i), "y": "z"}))
			}
		}
	}
	insert(t, s, as...)
	r := query(t, s, store.Query{Facets: []store.Facet{{Field: "x", Limit: 42}}, GroupBy: []string{"x", "y"}, Groups: 42})
	var want []store.Count
	for i := 39; i > 0; i-- {
		want = append(want, store.Count{Value: fmt.Sprintf("v%04d", 3999-100*i), Count: i + 1})
	}
	want = append(want, store.Count{Value: "v0000", Count: 1}, store.Count{Value: "v0001", Count: 1}, store.Count{Value: "v0002", Count: 1})
	if d := cmp.Diff(want, r.Facets[0].Values); d != "" || r.Facets[0].Distinct != 4000 || r.AllGroups != 4000 {
		t.Errorf("%d values, %d groups: %s", r.Facets[0].Distinct, r.AllGroups, d)
	}
	var groups []store.Count
	for _, g := range r.Groups {
		groups = append(groups, store.Count{Value: g.Values[0].Value, Count: g.Count})
	}
	if d := cmp.Diff(want, groups); d != "" {
		t.Error(d)
	}
}
