package console_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/store"
)

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// csrf is the token of a page's forms.
func (v *visitor) csrf(path string) string {
	v.t.Helper()
	_, body := v.get(path)
	m := csrfField.FindStringSubmatch(body)
	if m == nil {
		v.t.Fatalf("%s has no form", path)
	}
	return m[1]
}

func (v *visitor) post(path string, form url.Values, head ...string) (int, string, http.Header) {
	v.t.Helper()
	r, err := http.NewRequest(http.MethodPost, v.at+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	return v.do(r)
}

// api asks the JSON API with a token.
func (v *visitor) api(method, path, token, body string) (int, string) {
	v.t.Helper()
	r, err := http.NewRequest(method, v.at+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	code, text, _ := v.do(r)
	return code, text
}

func (s *site) token(user string, expires time.Time, scopes ...string) string {
	s.t.Helper()
	key := "orlop_" + strings.Repeat(fmt.Sprintf("%x", len(user)+len(scopes)), 40) + strings.Join(scopes, "") + user
	err := s.store.CreateToken(s.t.Context(), store.Actor{User: "test"}, s.at, key, &store.Token{Name: user + strings.Join(scopes, "+") + expires.String(), User: user, Scopes: scopes, Expires: expires})
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

var (
	inputs = regexp.MustCompile(`<input[^>]*>`)
	quoted = regexp.MustCompile(`"[^"]*"`)
	inline = regexp.MustCompile(`(?i)<[^>]+\s(style|on[a-z]+)=`)
)

// What an event says is shown, and acts on nothing.
func TestHostileFieldsAreInertOnEachPage(t *testing.T) {
	s := emptySite(t)
	evil := `<script>alert(1)</script><img src=x onerror=alert(2)>` + "\x1b[31m\u202egpj.exe\u2066\x00\x07" + `"'><a href="javascript:alert(3)">{{.}}`
	long := strings.Repeat("A", 1<<20)
	doc := func(id string, more map[string]any) *alert.Alert {
		m := map[string]any{
			"@timestamp": "2026-11-23T08:00:00Z", "kibana.alert.uuid": id, "kibana.alert.rule.rule_id": evil, "kibana.alert.rule.name": evil,
			"kibana.alert.severity": evil, "kibana.alert.reason": evil, "kibana.alert.rule.note": "# " + evil + "\n![x](http://evil.example/x.png) [y](javascript:alert(4)) <iframe src=//evil.example>",
			"kibana.alert.rule.description": evil, "kibana.alert.rule.references": []string{"javascript:alert(5)", evil}, "kibana.alert.workflow_status": "open",
			"kibana.alert.rule.threat": []any{map[string]any{"framework": "MITRE ATT&CK", "tactic": map[string]any{"id": evil, "name": evil}, "technique": []any{map[string]any{"id": evil, "name": evil}}}},
			"host":                     map[string]any{"name": evil}, "user": map[string]any{"name": "=cmd|' /C calc'!A1"}, "event": map[string]any{"category": []string{"process"}, "kind": "signal"},
			"process": map[string]any{"pid": 1, "name": evil, "executable": evil, "command_line": evil, "args": []string{evil}, "entity_id": evil, "parent": map[string]any{"name": evil, "command_line": evil, "entity_id": "p"}},
			"orlop": map[string]any{"runtime": map[string]any{"tool": evil, "behaviour": []string{"container-exec", evil}, "host_access": []string{evil, "mount:" + evil}, "container": evil, "payload": evil},
				"explain": map[string]any{"query": evil, "matched": []any{map[string]any{"clause": evil, "field": evil, "value": evil, "matched": evil}}, "exclusions": "not a list", "items": []any{map[string]any{"item": evil, "time": evil}}}},
			evil: evil,
		}
		for k, v := range more {
			m[k] = v
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		a, err := alert.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	s.alerts = []*alert.Alert{doc("one", nil), doc("two", map[string]any{"process": map[string]any{"command_line": long, "name": long, "executable": long, "pid": long}, "host": map[string]any{"name": long}}),
		doc("three", map[string]any{"process": []any{1, nil, map[string]any{}}, "orlop": "text", "host": nil, "kibana.alert.rule.threat": "x"})}
	s.insert(s.alerts...)
	v := s.visit("admin")
	// What somebody writes is as hostile.
	code, text, _ := v.post("/alerts/act", url.Values{"csrf": {v.csrf("/alerts")}, "id": {"one"}, "do": {"tag"}, "tag": {"<b>t</b>"}, "comment": {evil}})
	if code != http.StatusSeeOther {
		t.Fatalf("tagging answers %d: %s", code, text)
	}
	q := url.QueryEscape
	for _, path := range []string{
		"/alerts", "/alerts?by=host.name&by=user.name&by=process.name", "/alerts?q=" + q(evil), "/alerts?f=" + q("host.name:"+evil), "/alerts?f=" + q("-"+evil), "/alerts?status=all&sort=" + q(evil),
		"/alerts/one/replay", "/alerts/two/replay", "/alerts/one", "/alerts/two", "/alerts/three", "/except?alert=one", "/except?alert=two", "/except?where=" + q(evil), "/exceptions", "/rules", "/rules/" + url.PathEscape(evil),
		"/coverage", "/sources", "/hosts", "/audit", "/settings", "/settings?done=" + q(evil), "/sign-in?then=" + q(evil), "/alerts/" + url.PathEscape(evil), "/alerts?from=" + q(evil), "/" + url.PathEscape(evil),
	} {
		r, err := http.NewRequest(http.MethodGet, v.at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		code, body, head := v.do(r)
		if code >= 500 {
			t.Errorf("%.80s answers %d: %.300s", path, code, body)
		}
		body = inputs.ReplaceAllString(body, "") // what is in a field can be changed, and is as it was
		for _, bad := range []string{"<script>alert", "<img src=x", "<iframe", "\x1b", "\u202e", "\u2066", "\x00", `href="javascript:`, "evil.example/x.png\" alt", "<b>t</b>", "src=\"http"} {
			if strings.Contains(body, bad) {
				at := strings.Index(body, bad)
				t.Errorf("%.80s has %q: …%q…", path, bad, body[max(0, at-80):min(len(body), at+80)])
			}
		}
		if len(body) > 600_000 {
			t.Errorf("%.80s is of %d bytes: a long value is not cut", path, len(body))
		}
		csp := head.Get("Content-Security-Policy")
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%.80s has the policy %q", path, csp)
		}
		if inline.MatchString(quoted.ReplaceAllString(body, `""`)) {
			t.Errorf("%.80s has inline style or script", path)
		}
	}
	_, body := v.get("/alerts/export.csv")
	cells, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(cells) != 4 {
		t.Fatalf("the CSV has %d lines, want a title and 3 alerts", len(cells))
	}
	for _, line := range cells {
		for _, c := range line {
			if strings.ContainsAny(c, "\x1b\x00\u202e") || len(c) > 0 && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				t.Errorf("a cell acts: %.60q", c)
			}
		}
	}
	_, body = v.get("/alerts/export.ndjson")
	if strings.ContainsAny(body, "\x1b\x00\u202e\u2066") {
		t.Error("the NDJSON has characters that act on a terminal")
	}
	lines := strings.Split(strings.TrimSpace(body), "\n")
	found := false
	for _, l := range lines {
		var d map[string]any
		if err := json.Unmarshal([]byte(l), &d); err != nil {
			t.Fatal(err)
		}
		found = found || d["kibana.alert.reason"] == evil
	}
	if !found || len(lines) != 3 {
		t.Errorf("the NDJSON has %d lines, or not what was said", len(lines))
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	s := newSite(t)
	nobody, viewer, analyst, admin := s.visit(""), s.visit("vic"), s.visit("ann"), s.visit("admin")
	if code, _ := nobody.get("/alerts"); code != http.StatusSeeOther {
		t.Errorf("nobody gets %d of the alerts, want to be led to sign in", code)
	}
	if code, _ := nobody.api("GET", "/alerts", "", ""); code != http.StatusUnauthorized {
		t.Errorf("nobody gets %d of the API, want 401", code)
	}
	f := func(v *visitor, method, path string, want int) {
		t.Helper()
		var code int
		if method == http.MethodGet {
			code, _ = v.get(path)
		} else {
			code, _, _ = v.post(path, url.Values{"csrf": {v.csrf("/settings")}})
		}
		if code != want {
			t.Errorf("%s %s answers %d, want %d", method, path, code, want)
		}
	}
	f(viewer, "GET", "/alerts", 200)
	f(viewer, "GET", "/except", 403)
	f(viewer, "GET", "/audit", 403)
	f(viewer, "POST", "/alerts/act", 403)
	f(analyst, "GET", "/except", 200)
	f(analyst, "GET", "/audit", 403)
	f(analyst, "POST", "/alerts/act", 400) // nothing is said
	f(analyst, "POST", "/rules/x/state", 403)
	f(analyst, "POST", "/settings/users", 403)
	f(admin, "GET", "/audit", 200)
	f(viewer, "GET", "/static/..%2fopenapi.json", 404)

	id := s.alerts[0].ID
	form := url.Values{"id": {id}, "do": {"acknowledge"}}
	if code, _, _ := analyst.post("/alerts/act", form); code != http.StatusForbidden {
		t.Errorf("a form without a token answers %d, want 403", code)
	}
	form.Set("csrf", admin.csrf("/alerts"))
	if code, _, _ := analyst.post("/alerts/act", form); code != http.StatusForbidden {
		t.Errorf("a form with another's token answers %d, want 403", code)
	}
	form.Set("csrf", analyst.csrf("/alerts"))
	if code, _, _ := analyst.post("/alerts/act", form, "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("a form of another origin answers %d, want 403", code)
	}
	form.Set("comment", strings.Repeat("x", 2<<20))
	if code, _, _ := analyst.post("/alerts/act", form); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a form of 2 MB answers %d, want 413", code)
	}
	form.Del("comment")
	if code, _, head := analyst.post("/alerts/act", form); code != http.StatusSeeOther || !strings.HasPrefix(head.Get("Location"), "/alerts") {
		t.Errorf("a right form answers %d and leads to %q", code, head.Get("Location"))
	}
	form.Set("back", "//evil.example/")
	if _, _, head := analyst.post("/alerts/act", form); !strings.HasPrefix(head.Get("Location"), "/alerts") {
		t.Errorf("a form leads to %q", head.Get("Location"))
	}
	if r, err := s.store.Alert(t.Context(), id); err != nil || r.Workflow.Status != store.StatusAcknowledged || r.Workflow.User != "ann" {
		t.Errorf("the alert is %+v (%v), want acknowledged by ann", r, err)
	}
}

func TestALinkSignsInOnce(t *testing.T) {
	s := emptySite(t)
	v := s.visit("")
	path, err := s.server.Link(t.Context(), "")
	if err != nil || path == "" {
		t.Fatalf("Link: %q, %v; want one, as no admin can sign in", path, err)
	}
	r, err := http.NewRequest(http.MethodGet, v.at+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Purpose", "prefetch")
	if code, _, _ := v.do(r); code != http.StatusNoContent {
		t.Errorf("looking ahead answers %d, want 204", code)
	}
	if code, _ := v.get(path); code != http.StatusSeeOther {
		t.Errorf("the link answers %d, want 303", code)
	}
	if code, _ := s.visit("").get(path); code != http.StatusUnauthorized {
		t.Errorf("the used link answers %d, want 401", code)
	}
	late, err := s.server.Link(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	s.pass(2*time.Hour, 0)
	if code, _ := s.visit("").get(late); code != http.StatusUnauthorized {
		t.Errorf("the expired link answers %d, want 401", code)
	}
	// A password is set, and no link is made any more.
	code, body, _ := v.post("/settings/password", url.Values{"csrf": {v.csrf("/settings")}, "new": {"a long password"}})
	if code != http.StatusSeeOther {
		t.Fatalf("setting a password answers %d: %s", code, body)
	}
	if path, err := s.server.Link(t.Context(), ""); err != nil || path != "" {
		t.Errorf("Link: %q, %v; want none", path, err)
	}
	s.pass(13*time.Hour, 0)
	if code, _ := v.get("/alerts"); code != http.StatusSeeOther {
		t.Errorf("a session that was not used for 13 hours answers %d, want to be led to sign in", code)
	}
}

func TestSigningInIsLimited(t *testing.T) {
	s := emptySite(t)
	v := s.visit("")
	f := func(password string, want int) {
		t.Helper()
		if code, body, _ := v.post("/sign-in", url.Values{"name": {"ann"}, "password": {password}, "then": {"//evil.example"}}); code != want {
			t.Errorf("answers %d, want %d: %.200s", code, want, body)
		}
	}
	f("correct horse", http.StatusSeeOther)
	for range 5 {
		f("wrong", http.StatusUnauthorized)
	}
	f("correct horse", http.StatusTooManyRequests)
	s.pass(31*time.Second, 0)
	f("correct horse", http.StatusSeeOther)
}

func TestTheAPIIsWhatItsDocumentSays(t *testing.T) {
	s := newSite(t)
	v := s.visit("")
	_, text := v.api("GET", "/openapi.json", "", "")
	var doc struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	reader, looker := s.token("admin", time.Time{}, "read", "audit"), s.token("admin", time.Time{}, "read", "audit", "users", "tokens")
	for path, methods := range doc.Paths {
		for method := range methods {
			at := strings.NewReplacer("{id}", "none", "{name}", "none").Replace(path)
			code, body := v.api(strings.ToUpper(method), at, "", "")
			if code != http.StatusUnauthorized {
				t.Errorf("%s %s without a token answers %d, want 401: %s", method, path, code, body)
			}
			if method == "get" && !strings.Contains(path, "{") {
				if code, body := v.api("GET", at, looker, ""); code != 200 {
					t.Errorf("%s answers %d: %.200s", path, code, body)
				}
			} else if method != "get" && path != "/exceptions/preview" {
				if code, body := v.api(strings.ToUpper(method), at, reader, "{}"); code != http.StatusForbidden {
					t.Errorf("%s %s with a token that reads answers %d, want 403: %.200s", method, path, code, body)
				}
			}
		}
	}
	worker := s.token("ann", s.at.Add(time.Hour), "read", "alerts", "exceptions")
	var page struct {
		Total  int
		Alerts []map[string]any
		After  string
	}
	ids := []string{}
	for after := ""; ; {
		code, body := v.api("GET", "/alerts?n=10&after="+url.QueryEscape(after), worker, "")
		page.After = ""
		if err := json.Unmarshal([]byte(body), &page); err != nil || code != 200 {
			t.Fatalf("%d: %v: %.200s", code, err, body)
		}
		for _, a := range page.Alerts {
			ids = append(ids, a["kibana.alert.uuid"].(string))
		}
		if after = page.After; after == "" {
			break
		}
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != page.Total {
		t.Errorf("the pages have %d alerts, want %d", len(ids), page.Total)
	}
	f := func(method, path, body string, want int) {
		t.Helper()
		if code, text := v.api(method, path, worker, body); code != want {
			t.Errorf("%s %s %.80s answers %d, want %d: %.300s", method, path, body, code, want, text)
		}
	}
	f("POST", "/alerts/update", `{"ids":["`+ids[0]+`"],"status":"closed","reason":"false_positive"}`, 200)
	f("POST", "/alerts/update", `{"ids":["`+ids[0]+`"],"status":"gone"}`, 400)
	f("POST", "/alerts/update", `{"ids":["`+ids[0]+`"],"assign":["nobody at all"]}`, 400)
	f("POST", "/alerts/update", `{"ids":[],"status":"closed"}`, 400)
	f("POST", "/alerts/update", `{"ids":["x"],"surprise":1}`, 400)
	f("POST", "/alerts/update", `{"ids":["x"]}{"ids":["y"]}`, 400)
	f("POST", "/alerts/update", `{"ids":["`+strings.Repeat("x", 2<<20)+`"]}`, 413)
	f("GET", "/alerts?q=process.name+%3D%3D", "", 400)
	f("GET", "/alerts?after=nonsense", "", 400)
	f("GET", "/alerts/none", "", 404)
	f("GET", "/nothing", "", 404)
	f("POST", "/exceptions", `{"name":"all","reason":"none"}`, 400)
	f("POST", "/exceptions", `{"name":"backup","reason":"it is ours","where":"process.name == \"ctr\""}`, 200)
	s.pass(2*time.Hour, 0)
	f("GET", "/alerts", "", 401) // it has expired
	if code, _ := v.api("GET", "/alerts", "orlop_wrong", ""); code != 401 {
		t.Errorf("a wrong token answers %d, want 401", code)
	}
}

// What nothing has the id of is named, by the API and by the forms of pages, and what is
// there is worked with all the same.
func TestAnIDThatNothingHasIsNamed(t *testing.T) {
	s := newSite(t)
	v := s.visit("admin")
	key := s.token("admin", time.Time{}, "read", "alerts", "exceptions", "rules", "audit")
	f := func(method, path, body string, want int, says string) {
		t.Helper()
		if code, text := v.api(method, path, key, body); code != want || !strings.Contains(text, says) {
			t.Errorf("%s %s %s answers %d %s, want %d and %s", method, path, body, code, text, want, says)
		}
	}
	id := s.alerts[0].ID
	for _, change := range []string{`"status":"closed"`, `"status":"acknowledged"`, `"assign":["ann"]`, `"tag":["t"]`, `"untag":["t"]`, `"comment":"c"`} {
		f("POST", "/alerts/update", `{"ids":["nope","nope"],`+change+`}`, 404, `There is no alert \"nope\".`)
	}
	f("POST", "/alerts/update", `{"ids":["nope","`+id+`","too","nope"],"tag":["seen"]}`, 200, `{"changed":1,"missing":["nope","too"]}`)
	f("POST", "/alerts/update", `{"ids":["`+id+`","`+id+`"],"tag":["seen"]}`, 200, `{"changed":0}`)
	f("GET", "/alerts/nope", "", 404, `alert \"nope\"`)
	f("GET", "/alerts/nope/history", "", 404, `alert \"nope\"`)
	f("PUT", "/rules/nope/state", `{"disabled":true,"reason":"noise"}`, 404, `rule \"nope\"`)
	f("PUT", "/rules/"+s.rules()[0].ID+"/state", `{"disabled":true,"reason":"noise"}`, 200, s.rules()[0].ID)
	f("DELETE", "/exceptions/nope", "", 404, `exception \"nope\"`)
	f("POST", "/exceptions", `{"id":"nope","name":"n","reason":"r","where":"process.name == \"x\""}`, 404, `exception \"nope\"`)
	f("POST", "/exceptions", `{"rules":["nope"],"name":"n","reason":"r","where":"process.name == \"x\""}`, 404, `rule \"nope\"`)

	g := func(path string, want int, says string, form url.Values) {
		t.Helper()
		form.Set("csrf", v.csrf("/settings"))
		code, text, head := v.post(path, form)
		if where, err := url.QueryUnescape(head.Get("Location")); err != nil || code != want || !strings.Contains(html.UnescapeString(text)+where, says) {
			t.Errorf("POST %s answers %d and leads to %s (%v), want %d and %s", path, code, where, err, want, says)
		}
	}
	g("/alerts/act", 404, `There is no alert "nope".`, url.Values{"do": {"close"}, "id": {"nope"}})
	g("/alerts/act", 303, `1 alert changed. There is no alert "nope" any more.`, url.Values{"do": {"close"}, "id": {"nope", id}})
	g("/rules/nope/state", 404, `rule "nope"`, url.Values{"disabled": {"1"}, "reason": {"noise"}})
	g("/exceptions/nope/delete", 404, `exception "nope"`, url.Values{})
	g("/except", 404, `alert "nope"`, url.Values{"alert": {"nope"}})
	g("/settings/users/nope/link", 404, `user "nope"`, url.Values{})
	g("/settings/users/nope/delete", 404, `user "nope"`, url.Values{})
	g("/settings/tokens/nope/delete", 404, `token "nope"`, url.Values{})
	for _, path := range []string{"/alerts/nope", "/alerts/nope/replay", "/except?alert=nope", "/rules/nope"} {
		if code, text := v.get(path); code != 404 || !strings.Contains(html.UnescapeString(text), `"nope"`) {
			t.Errorf("%s answers %d without the name", path, code)
		}
	}
	if states, err := s.store.RuleStates(t.Context()); err != nil || len(states) != 1 {
		t.Errorf("%d rules have a state (%v), want that which is there", len(states), err)
	}
}

// A whole query of EQL is taken by its condition, and what is hardly meant is told, on the
// page and by the API.
func TestTheQueryBarSaysWhatItMadeOfAText(t *testing.T) {
	s := newSite(t)
	v := s.visit("vic")
	key := s.token("vic", time.Time{}, "read")
	total := func(q string) (n int, warnings string) {
		t.Helper()
		code, text := v.api("GET", "/alerts?n=1&q="+url.QueryEscape(q), key, "")
		var page struct {
			Total    int
			Warnings json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil || code != 200 {
			t.Fatalf("%s answers %d %s", q, code, text)
		}
		return page.Total, string(page.Warnings)
	}
	whole, _ := total(`process where process.name == "nsenter"`)
	if part, _ := total(`process.name == "nsenter"`); whole == 0 || whole != part {
		t.Errorf("a whole query finds %d alerts and its condition %d", whole, part)
	}
	f := func(q, warnings, says string) {
		t.Helper()
		if _, got := total(q); got != warnings {
			t.Errorf("%s warns %s, want %s", q, got, warnings)
		}
		_, page := v.get("/alerts?q=" + url.QueryEscape(q))
		page = html.UnescapeString(page)
		if !strings.Contains(page, says) || (warnings == "") == strings.Contains(page, `class="hint"`) {
			t.Errorf("%s: the page does not say %s", q, says)
		}
	}
	f(`process.pid == "17"`, "", "Read as EQL.")
	f(`dns.question.name: x`, "", "Read as KQL.") // known, though no alert has it
	f(`kibana.alert.building_block_type == null`, "", "Read as EQL.")
	f(`proces.name == "x"`, `[{"start":0,"end":11,"message":"proces.name is a field that no alert has (did you mean \"process.name\"?)."}]`,
		`<code>proces.name</code> is a field that no alert has (did you mean "process.name"?).`)
	f(`process.name: x and process.pid: abc`, `[{"start":33,"end":36,"message":"abc is no number, and process.pid has numbers alone."}]`, `<code>abc</code> is no number, and process.pid has numbers alone.`)
	f(`wholly.own == "<b>"`, `[{"start":0,"end":10,"message":"wholly.own is a field that no alert has."}]`, "<code>wholly.own</code> is a field that no alert has.")
	_, page := v.get("/alerts?q=" + url.QueryEscape(`sequence by host.id [process where process.name == "a"] [any where true]`))
	if page = html.UnescapeString(page); !strings.Contains(page, `a sequence is not taken here: the alerts are asked one by one, by one condition (write that of one of its steps: process where process.name == "a")`) {
		t.Error("the page does not say what to write instead of a sequence")
	}
}

func TestAnExceptionShowsWhatItWouldRemove(t *testing.T) {
	s := newSite(t)
	v := s.visit("ann")
	one := s.id("Container Entered Below the Kubernetes API")
	want := 0
	for _, a := range s.alerts {
		if a.RuleName == "Container Entered Below the Kubernetes API" {
			want++
		}
	}
	_, body := v.get("/except?set=1&alert=" + one + "&where=" + url.QueryEscape(`user.name == "root"`))
	m := regexp.MustCompile(`<b id="removed">(\d+)</b> of (\d+) alerts`).FindStringSubmatch(body)
	if m == nil || m[1] != fmt.Sprint(want) || m[2] != fmt.Sprint(want) {
		t.Fatalf("the preview says %v, want %d of %d", m, want, want)
	}
	form := url.Values{"csrf": {v.csrf("/except")}, "set": {"1"}, "alert": {one}, "where": {`user.name == "root"`}, "name": {"root"}}
	if code, body, _ := v.post("/except", form); code != http.StatusBadRequest || !strings.Contains(body, "needs a reason") {
		t.Errorf("without a reason it answers %d", code)
	}
	form.Set("reason", "it is ours")
	form.Set("expires", "2026-01-01")
	if code, _, _ := v.post("/except", form); code != http.StatusBadRequest {
		t.Errorf("an expiry that has passed answers %d, want 400", code)
	}
	form.Set("expires", "2027-01-01")
	if code, body, _ := v.post("/except", form); code != http.StatusSeeOther {
		t.Fatalf("keeping it answers %d: %.300s", code, body)
	}
	all, err := s.store.Exceptions(t.Context())
	if err != nil || len(all) != 1 || all[0].By != "ann" || len(all[0].Rules) != 1 {
		t.Errorf("the exceptions are %+v (%v), want one by ann for one rule", all, err)
	}
}

// The pages of exceptions and of a rule say how often an exception held: there, of all
// rules, here of that one; and the rule's how it fares.
func TestPagesSayHowOftenAnExceptionHeld(t *testing.T) {
	s := emptySite(t)
	rule := "r"
	s.insert(s.another("low"))
	put := func(name string, expires time.Time, rules ...string) string {
		t.Helper()
		x := &store.Exception{Name: name, Reason: "ours", Where: `process.name == "ctr"`, Rules: rules, Expires: expires}
		if err := s.store.PutException(t.Context(), store.Actor{User: "ann"}, s.at, x); err != nil {
			t.Fatal(err)
		}
		return x.ID
	}
	one, all := put("of the rule", s.at.Add(-time.Hour), rule), put("of all rules", time.Time{})
	put("of another", time.Time{}, "another")
	if err := s.store.AddHolds(t.Context(), []store.Hold{
		{Exception: one, Rule: rule, Count: 1, Last: s.at}, {Exception: all, Rule: rule, Count: 1200, Last: s.at.Add(-time.Hour)}, {Exception: all, Rule: "another", Count: 34, Last: s.at},
	}); err != nil {
		t.Fatal(err)
	}
	v := s.visit("vic")
	f := func(path string, want ...string) (body string) {
		t.Helper()
		code, body := v.get(path)
		if code != http.StatusOK {
			t.Fatalf("%s answers %d: %.300s", path, code, body)
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
		return body
	}
	f("/exceptions", "1 event, the last", "1,234 events, the last", ">nothing<", "of another", ">expired<")
	body := f("/rules/"+url.PathEscape(rule), "has kept away 1 event, the last", "has kept away 1,200 events, the last", "of all rules", "in the last 30 days", ">0.0 <")
	if strings.Contains(body, "of another") {
		t.Error("the rule's page shows an exception of another rule")
	}
}

func TestPagesAreSmall(t *testing.T) {
	s := newSite(t)
	v := s.visit("admin")
	for _, path := range []string{"/alerts?status=all", "/alerts/" + s.id("Container Given Host Access Below the Kubernetes API"), "/rules", "/coverage"} {
		r, err := http.NewRequest(http.MethodGet, v.at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", "gzip") // asked for by hand, it is not undone
		_, page, _ := v.do(r)
		n := len(page)
		for _, f := range []string{"orlop.css", "orlop.js", "orlop.svg"} {
			r.URL.Path, r.URL.RawQuery = "/static/"+f, ""
			_, body, _ := v.do(r)
			n += len(body)
		}
		if n > 100_000 {
			t.Errorf("%s takes %d bytes with all that it needs, want at most 100 kB", path, n)
		}
	}
}

func TestOnlyTheHostsThatItHas(t *testing.T) {
	s := emptySite(t)
	c := newConsole(t, s, "127.0.0.1")
	f := func(host string, want int) {
		t.Helper()
		if got := answer(c, host); got != want {
			t.Errorf("asked as %q it answers %d, want %d", host, got, want)
		}
	}
	f("127.0.0.1:7070", 200)
	f("127.0.0.1", 200)
	f("evil.example", http.StatusMisdirectedRequest)
	f("127.0.0.1.evil.example:7070", http.StatusMisdirectedRequest)
}

// What a query bar takes is the same on the page and in the API.
func TestTheQueryBarTakesKQL(t *testing.T) {
	s := newSite(t)
	v := s.visit("ann")
	token := s.token("ann", s.at.Add(time.Hour), "read")
	f := func(q, says string, matches bool) {
		t.Helper()
		_, body := v.get("/alerts?status=all&q=" + url.QueryEscape(q))
		if !strings.Contains(body, says) {
			t.Errorf("the page of %s does not say %q", q, says)
		}
		code, text := v.api("GET", "/alerts?status=all&q="+url.QueryEscape(q), token, "")
		var page struct{ Total int }
		if err := json.Unmarshal([]byte(text), &page); err != nil || code != 200 || page.Total > 0 != matches {
			t.Errorf("%s: %d, %v, %d alerts, want some: %v", q, code, err, page.Total, matches)
		}
	}
	f("CRICTL", "Searched as words.", true)
	f("no-such-word", "Searched as words.", false)
	f(`process.name: (crictl or ctr) and not host.name: nothing*`, "Read as KQL.", true)
	f(`process.name: CRICTL and process.pid: *`, "Read as KQL.", false)
	f(`process.name : "CRICTL"`, "Read as EQL.", true)
	code, text := v.api("GET", "/alerts?q="+url.QueryEscape(`host.name: (a or b`), token, "")
	if want := `behind \"host.name: (a or b\": expected \"and\", \"or\" or \")\"`; code != 400 || !strings.Contains(text, want) {
		t.Errorf("a mistake answers %d: %s, want %s", code, text, want)
	}
}

// What the pages of rules, coverage, users and tokens do, the API does: with the same rights.
func TestTheAPIDoesWhatThePagesDo(t *testing.T) {
	s := newSite(t)
	v := s.visit("")
	admin := s.token("admin", time.Time{}, "read", "users", "tokens")
	worker := s.token("ann", time.Time{}, "exceptions", "tokens")
	ask := func(method, path, token, body string, want int) (out map[string]any) {
		t.Helper()
		code, text := v.api(method, path, token, body)
		if code != want {
			t.Fatalf("%s %s %s answers %d, want %d: %.300s", method, path, body, code, want, text)
		}
		if text != "" {
			if err := json.Unmarshal([]byte(text), &out); err != nil {
				t.Fatalf("%s %s: %v: %.300s", method, path, err, text)
			}
		}
		return out
	}
	// Rules and what they cover.
	rules := ask("GET", "/rules", admin, "", 200)["rules"].([]any)
	id := rules[0].(map[string]any)["rule_id"].(string)
	one := ask("GET", "/rules/"+url.PathEscape(id), admin, "", 200)
	for _, k := range []string{"name", "severity", "alerts", "query", "threat", "tests", "exceptions", "alerts_per_day"} {
		if _, ok := one[k]; !ok {
			t.Errorf("a rule lacks %s: %v", k, one)
		}
	}
	ask("GET", "/rules/nope", admin, "", 404)
	if c := ask("GET", "/coverage", admin, "", 200); c["tactics"] == nil || c["rules"] == nil {
		t.Errorf("coverage: %v", c)
	}
	alerts := ask("GET", "/alerts?n=1", admin, "", 200)["alerts"].([]any)
	if r := ask("GET", "/alerts/"+alerts[0].(map[string]any)["kibana.alert.uuid"].(string)+"/replay", admin, "", 200); r["matches"] != true && r["not_tried"] == "" && len(r["did_not_hold"].([]any)) == 0 {
		t.Errorf("a replay that says nothing: %v", r)
	}
	ask("GET", "/alerts/nope/replay", admin, "", 404)

	// Users: made, changed, let in once, removed.
	made := ask("PUT", "/users/bea", admin, `{"role":"analyst"}`, 201)
	if made["role"] != "analyst" || made["password"] != false {
		t.Errorf("%v", made)
	}
	link := ask("POST", "/users/bea/link", admin, `{}`, 201)["link"].(string)
	if _, after, ok := strings.Cut(link, "/enter?"); !ok {
		t.Errorf("the link is %q", link)
	} else if code, _ := s.visit("").get("/enter?" + after); code != http.StatusSeeOther {
		t.Errorf("the link answers %d", code)
	}
	ask("PUT", "/users/bea", admin, `{"role":"viewer","disabled":true}`, 200)
	ask("PUT", "/users/bea", admin, `{"role":"king"}`, 400)
	ask("PUT", "/users/admin", admin, `{"role":"viewer"}`, 400)
	ask("DELETE", "/users/admin", admin, "", 400)
	ask("POST", "/users/nope/link", admin, `{}`, 404)
	names := fmt.Sprint(ask("GET", "/users", admin, "", 200))
	if !strings.Contains(names, "bea") || strings.Contains(names, "argon2id") {
		t.Errorf("users: %s", names)
	}
	ask("DELETE", "/users/bea", admin, "", 204)
	ask("DELETE", "/users/bea", admin, "", 404)
	ask("GET", "/users", worker, "", 403)

	// Tokens: of no more than one may do oneself, by a token no more than that may.
	fresh := ask("POST", "/tokens", worker, `{"name":"ci","scopes":["exceptions"],"days":1}`, 201)
	key := fresh["token"].(string)
	ask("POST", "/tokens", worker, `{"name":"more","scopes":["read"]}`, 400)
	ask("POST", "/tokens", worker, `{"name":"more","scopes":["users"]}`, 400)
	ask("POST", "/tokens", worker, `{"name":"ci","scopes":["exceptions"]}`, 400)
	ask("POST", "/tokens", worker, `{"name":"long","scopes":["exceptions"],"days":9999}`, 400)
	if all := fmt.Sprint(ask("GET", "/tokens", worker, "", 200)); !strings.Contains(all, "ci") || strings.Contains(all, key) {
		t.Errorf("tokens: %s", all)
	}
	// Who may save an exception may see before what it would remove.
	if code, text := v.api("POST", "/exceptions/preview", key, `{"where":"process.name == \"backup\""}`); code == 403 {
		t.Errorf("a preview with the scope exceptions answers %d: %s", code, text)
	}
	ask("DELETE", "/tokens/ci", worker, "", 204)
	ask("DELETE", "/tokens/ci", worker, "", 404)
	ask("POST", "/exceptions/preview", key, `{}`, 401)
}
