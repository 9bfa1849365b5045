package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/sink/sinktest"
	"github.com/orlop/orlop/sink/webhook"
)

// key is the one of the example of Standard Webhooks.
const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// A receiver is a server that takes what is right, and fails the test otherwise.
type receiver struct {
	t      *testing.T
	id     func(body []byte) (string, error)
	format string
	server *httptest.Server
	down   atomic.Bool
	hang   atomic.Bool
	hung   chan bool // closed when the test ends

	mu   sync.Mutex
	ids  []string
	came chan bool
}

func newReceiver(t *testing.T, format string, id func([]byte) (string, error)) *receiver {
	r := &receiver{t: t, id: id, format: format, hung: make(chan bool), came: make(chan bool, 10000)}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	t.Cleanup(func() { close(r.hung) })
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if r.hang.Load() {
		<-r.hung
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Errorf("the body: %v", err)
	}
	if r.down.Load() {
		http.Error(w, "down for a while", http.StatusServiceUnavailable)
		return
	}
	h := req.Header
	id, at := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	secret, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + at + "." + string(body)))
	if got, want := h.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
		r.t.Errorf("signature %q, want %q", got, want)
	}
	if req.Method != "POST" || req.URL.String() != "/in?x=1" || h.Get("Content-Type") != "application/json" || h.Get("Idempotency-Key") != id || h.Get("X-Forged") != "" {
		r.t.Errorf("%s %s %v", req.Method, req.URL, h)
	}
	if !json.Valid(body) {
		r.t.Errorf("no JSON: %.200q", body)
	}
	inside, err := r.id(body)
	if err != nil || inside != id {
		r.t.Errorf("the body is of %q, the header of %q: %v", inside, id, err)
	}
	r.mu.Lock()
	r.ids = append(r.ids, id)
	r.mu.Unlock()
	r.came <- true
}

func (r *receiver) Open(t *testing.T) sink.Sink {
	t.Setenv("ORLOP_TEST_KEY", key)
	o := webhook.Options{URL: r.server.URL + "/in?x=1", Format: r.format, Secret: sink.Secret{Env: "ORLOP_TEST_KEY"}}
	if r.format == "template" {
		o.Template = `{"id": "{{.ID}}", "what": "{{.RuleName}}: {{.Reason}}", "command": "{{.Field "process.command_line"}}", "all": {{.Document}}, "score": {{.RiskScore}}}`
	}
	return open(t, o)
}

func (r *receiver) Down() { r.down.Store(true) }
func (r *receiver) Up()   { r.down.Store(false) }
func (r *receiver) Hang() { r.hang.Store(true) }

func (r *receiver) Received(t *testing.T, n int) []string {
	for {
		r.mu.Lock()
		ids := slices.Clone(r.ids)
		r.mu.Unlock()
		if len(ids) >= n {
			return ids
		}
		<-r.came
	}
}

func open(t *testing.T, o webhook.Options) sink.Sink {
	t.Helper()
	s, err := webhook.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// idOf finds the id in the bodies of a format.
var idOf = map[string]func(body []byte) (string, error){
	"json": func(body []byte) (string, error) {
		a, err := alert.Parse(body)
		if err != nil {
			return "", err
		}
		return a.ID, nil
	},
	"slack": func(body []byte) (string, error) {
		type text struct {
			Type, Text string
			Emoji      bool
		}
		var m struct {
			Text, Parse string
			Blocks      []struct {
				Type   string
				Text   text
				Fields []text
			}
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return "", err
		}
		if strings.ContainsAny(m.Text, "<>") || m.Parse != "none" || len(m.Blocks) != 3 {
			return "", fmt.Errorf("markup in %q", m.Text)
		}
		fields := m.Blocks[2].Fields
		for i, f := range append(fields, m.Blocks[0].Text, m.Blocks[1].Text) {
			most := 2000
			if i == len(fields) {
				most = 150
			} else if i > len(fields) {
				most = 3000
			}
			if n := len([]rune(f.Text)); f.Type != "plain_text" || f.Emoji || n > most || n == 0 || len(fields) > 10 {
				return "", fmt.Errorf("a text of %d characters: %.80q", n, f.Text)
			}
		}
		return strings.TrimPrefix(fields[len(fields)-1].Text, "alert: "), nil
	},
	"alertmanager": func(body []byte) (string, error) {
		var all []struct {
			Labels, Annotations map[string]string
			StartsAt            time.Time
		}
		if err := json.Unmarshal(body, &all); err != nil {
			return "", err
		}
		if len(all) != 1 || all[0].Labels["alertname"] == "" || all[0].StartsAt.IsZero() || len(all[0].Annotations["summary"]) == 0 {
			return "", fmt.Errorf("%.200s", body)
		}
		return all[0].Labels["alert_id"], nil
	},
	"template": func(body []byte) (string, error) {
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			return "", err
		}
		if len(m) != 5 || m["score"] != 73.0 {
			return "", fmt.Errorf("other keys: %.200s", body)
		}
		return m["id"].(string), nil
	},
}

func TestContract(t *testing.T) {
	for format, id := range idOf {
		t.Run(format, func(t *testing.T) {
			sinktest.Contract(t, func(t *testing.T) sinktest.Peer { return newReceiver(t, format, id) })
		})
	}
}

// The example of the standard: github.com/standard-webhooks/standard-webhooks
func TestSignatureIsTheStandards(t *testing.T) {
	got := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	defer server.Close()
	t.Setenv("ORLOP_TEST_KEY", key)
	s := open(t, webhook.Options{URL: server.URL, Format: "template", Template: `{"test": 2432232314}`, Secret: sink.Secret{Env: "ORLOP_TEST_KEY"},
		Now: func() time.Time { return time.Unix(1614265330, 999) }})
	if err := s.Write(t.Context(), []*alert.Alert{sinktest.Alert(t, "msg_p5jXN8AQM9LWM0D4loKWxJek", "x")}); err != nil {
		t.Fatal(err)
	}
	if h := <-got; h.Get("Webhook-Signature") != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || h.Get("Webhook-Timestamp") != "1614265330" {
		t.Errorf("%v", h)
	}
}

// answer is a server that says the same to all.
func answer(t *testing.T, f http.HandlerFunc) string {
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnswers(t *testing.T) {
	now := time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC)
	f := func(code int, retry, want string) {
		t.Helper()
		s := open(t, webhook.Options{Now: func() time.Time { return now }, URL: answer(t, func(w http.ResponseWriter, _ *http.Request) {
			if retry != "" {
				w.Header().Set("Retry-After", retry)
			}
			w.WriteHeader(code)
			io.WriteString(w, "why\x1b[31m")
		})})
		got := "delivered"
		if err := s.Write(t.Context(), sinktest.Alerts(t, "a", 2)); err != nil {
			var p *sink.Partial
			if !errors.As(err, &p) {
				t.Fatal(err)
			}
			got = fmt.Sprintf("%d done, %d refused, wait %v: %v", p.Done, len(p.Refused), p.WaitFor, err)
		}
		if got != want {
			t.Errorf("%d: %s\nwant %s", code, got, want)
		}
	}
	f(200, "", "delivered")
	f(202, "9", "delivered")
	f(409, "", "delivered")
	f(400, "", "2 done, 2 refused, wait 0s: alert 0 refused: the answer is 400 Bad Request: why [31m; alert 1 refused: the answer is 400 Bad Request: why [31m")
	f(413, "", "2 done, 2 refused, wait 0s: alert 0 refused: the answer is 413 Request Entity Too Large: why [31m; alert 1 refused: the answer is 413 Request Entity Too Large: why [31m")
	retried := func(code int, retry, wait string) {
		t.Helper()
		f(code, retry, fmt.Sprintf("0 done, 0 refused, wait %s: after 0 alerts: webhook: the answer is %d %s: why [31m", wait, code, http.StatusText(code)))
	}
	retried(401, "", "0s")
	retried(404, "", "0s")
	retried(408, "", "0s")
	retried(429, "120", "2m0s")
	retried(503, "Wed, 29 Apr 2026 10:01:30 GMT", "1m30s")
	retried(503, "Wed, 29 Apr 2026 09:01:30 GMT", "0s")
	retried(503, "soon", "0s")
	retried(503, "-1", "0s")
	retried(500, "99999999999999999999", "0s")
}

// One that is refused, in the middle, costs no other.
func TestRefusesOne(t *testing.T) {
	n := 0
	s := open(t, webhook.Options{URL: answer(t, func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 2 {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	})})
	var p *sink.Partial
	if err := s.Write(t.Context(), sinktest.Alerts(t, "a", 3)); !errors.As(err, &p) || p.Done != 3 || p.Err != nil || len(p.Refused) != 1 || p.Refused[0].At != 1 {
		t.Errorf("%+v", err)
	}
}

// Where a server sends us to, we do not go: neither the alert nor a token.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := answer(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s", r.Method, r.URL) })
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := open(t, webhook.Options{URL: answer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, code) })})
		if err := s.Write(t.Context(), sinktest.Alerts(t, "a", 1)); err == nil || !strings.Contains(err.Error(), fmt.Sprint("the answer is ", code)) {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// What a server says is read so far and no further, and so long and no longer.
func TestAnswersAreBounded(t *testing.T) {
	ended := make(chan bool)
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				break
			}
		}
		ended <- true
	}
	s := open(t, webhook.Options{URL: answer(t, endless)})
	if err := s.Write(t.Context(), sinktest.Alerts(t, "a", 1)); err != nil {
		t.Errorf("endless: %v", err)
	}
	<-ended
	s = open(t, webhook.Options{URL: answer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 1<<20))
	})})
	if err := s.Write(t.Context(), sinktest.Alerts(t, "a", 1)); err == nil || len(err.Error()) > 500 {
		t.Errorf("huge headers: %v", err)
	}
	hang := make(chan bool)
	s = open(t, webhook.Options{Timeout: 20 * time.Millisecond, URL: answer(t, func(http.ResponseWriter, *http.Request) { <-hang })})
	if err := s.Write(t.Context(), sinktest.Alerts(t, "a", 1)); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	close(hang)
}

func TestTLS(t *testing.T) {
	url, ca := sinktest.ServeTLS(t, func(http.ResponseWriter, *http.Request) {})
	sinktest.KnowsItsPeer(t, ca, func(t *testing.T, o sink.TLS) sink.Sink {
		return open(t, webhook.Options{URL: url, TLS: o})
	})
}

// Whatever goes wrong, the secrets are in no error.
func TestErrorsHoldNoSecret(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	t.Setenv("ORLOP_TEST_URL", server.URL+"/T0KEN")
	t.Setenv("ORLOP_TEST_AUTH", "Bearer T0KEN")
	s := open(t, webhook.Options{URLSecret: sink.Secret{Env: "ORLOP_TEST_URL"}, Authorization: sink.Secret{Env: "ORLOP_TEST_AUTH"}})
	if err := s.Write(t.Context(), sinktest.Alerts(t, "a", 1)); err == nil || strings.Contains(err.Error(), "T0KEN") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
	f := func(url, auth, want string) {
		t.Helper()
		t.Setenv("ORLOP_TEST_URL", url)
		t.Setenv("ORLOP_TEST_AUTH", auth)
		_, err := webhook.Open(webhook.Options{URLSecret: sink.Secret{Env: "ORLOP_TEST_URL"}, Authorization: sink.Secret{Env: "ORLOP_TEST_AUTH"}, Secret: sink.Secret{Env: "ORLOP_TEST_AUTH"}})
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f("https://\x7fT0KEN", "x", "webhook: url_secret: expected a URL of a host, with http or https")
	f("http://siem.example/T0KEN", "x", "webhook: url_secret: a secret is not sent over a network without TLS")
	f(server.URL, "whsec_T0KEN!", "webhook: secret: expected base64 after whsec_")
	f(server.URL, "T0\nKEN", "webhook: authorization: expected one line")
	f(server.URL, "", "webhook: secret: secret: the environment has no ORLOP_TEST_AUTH")
}

// Many servers say in an error which path they do not know: it is not repeated.
func TestAnAnswerThatRepeatsTheURLHoldsNoSecret(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "cannot %s %s (%s, %q) as %s", r.Method, r.URL.EscapedPath(), r.URL.Path, r.URL.Query(), r.Header.Get("Authorization"))
	}))
	defer server.Close()
	f := func(o webhook.Options, want string) {
		t.Helper()
		err := open(t, o).Write(t.Context(), sinktest.Alerts(t, "a", 1))
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got  %v\nwant …%s", err, want)
		}
	}
	t.Setenv("ORLOP_TEST_AUTH", "Bearer B34RER")
	f(webhook.Options{URL: server.URL + "/services/T%2f0/S3CRET?token=T0KEN", Authorization: sink.Secret{Env: "ORLOP_TEST_AUTH"}},
		`Not Found: cannot POST /services/(hidden) (/services/(hidden), map["token":["(hidden)"]]) as (hidden)`)
	t.Setenv("ORLOP_TEST_URL", server.URL+"/hush")
	f(webhook.Options{URLSecret: sink.Secret{Env: "ORLOP_TEST_URL"}}, `Not Found: cannot POST /(hidden) (/(hidden), map[]) as`)
}

func TestOptions(t *testing.T) {
	f := func(o webhook.Options, key, want string) {
		t.Helper()
		if k, msg, _ := o.Check(); k != key || msg != want {
			t.Errorf("%s: %q, want %s: %q", k, msg, key, want)
		}
		if _, err := webhook.Open(o); (err == nil) != (want == "") || err != nil && err.Error() != "webhook: "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	const url = "https://siem.example"
	env := sink.Secret{Env: "HOME"}
	f(webhook.Options{URL: url}, "", "")
	f(webhook.Options{}, "url", "it has no url")
	f(webhook.Options{URL: url, URLSecret: env}, "url_secret", "expected one of url and url_secret")
	f(webhook.Options{URL: "http://siem.example", Secret: env}, "url", "url: a secret is not sent over a network without TLS")
	f(webhook.Options{URL: url, Timeout: -1}, "timeout", "timeout: expected at least 0s")
	f(webhook.Options{URL: url, Format: "xml"}, "format", "format: expected json, slack, alertmanager, template")
	f(webhook.Options{URL: url, Format: "template"}, "format", "format: template without a template")
	f(webhook.Options{URL: url, Template: "{}"}, "template", "template: the format is not template")
	f(webhook.Options{URL: url, Format: "template", Template: "{{"}, "template", "template:1: unclosed action")
	f(webhook.Options{URL: url, Format: "template", Template: `"{{.Nmae}}"`}, "template", `template:1:3: executing "template" at <.Nmae>: can't evaluate field Nmae in type webhook.facts`)
	f(webhook.Options{URL: url, Format: "template", Template: `{"x": {{.Reason}}}`}, "template", `the template makes no JSON: {"x": }`)
}

// What a template makes of an alert: text stays inside its quotes, and nothing is not
// sent.
func TestTemplate(t *testing.T) {
	var got []string
	url := answer(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, string(b))
	})
	f := func(template, text, want string) {
		t.Helper()
		got = nil
		s := open(t, webhook.Options{URL: url, Format: "template", Template: template})
		err := s.Write(t.Context(), []*alert.Alert{sinktest.Alert(t, "a", text)})
		if err != nil {
			got = append(got, err.Error())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	f(`{"u": "{{.Field "user.name"}}"}`, `", "x": "\`, `{"u": "\", \"x\": \"\\"}`)
	f(`{"u": "{{printf "%s" (.Field "user.name")}}"}`, "a\nb", `{"u": "a\nb"}`)
	f(`{{if eq .Severity "high"}}{"id": "{{.ID}}", "at": "{{.Time}}"}{{end}}`, "x", `{"id": "a", "at": "2026-04-29T10:00:07Z"}`)
	f(`{{if eq .Severity "critical"}}{"id": "{{.ID}}"}{{end}}`, "x", "")
	f(`{"args": "{{.Field "process.args"}}", "none": "{{.Field "x.y"}}"}`, "x", `{"args": "ctr, x", "none": ""}`)
	f(`{{if ne .Reason ""}}{"x": {{.Reason}}}{{end}}`, "x", `alert 0 refused: the template makes no JSON: {"x": process event with process x}`)
	f(`["{{range .Reason | len}}{{$.Reason}}{{end}}"]`, strings.Repeat("x", 10000), "alert 0 refused: it makes too much")
}

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.Header.Get("Idempotency-Key"), string(b))
	}))
	defer server.Close()
	s, err := webhook.Open(webhook.Options{URL: server.URL, Format: "template", Template: `{"text": "{{.Severity}}: {{.RuleName}}"}`})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	a, err := alert.Parse([]byte(`{"kibana.alert.uuid": "e1", "kibana.alert.rule.rule_id": "r1",
		"kibana.alert.rule.name": "ctr runs", "kibana.alert.severity": "low"}`))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Write(context.Background(), []*alert.Alert{a}); err != nil {
		log.Fatal(err)
	}
	// Output: POST e1 {"text": "low: ctr runs"}
}
