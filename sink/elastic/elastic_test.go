package elastic_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
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
	"github.com/orlop/orlop/sink/elastic"
	"github.com/orlop/orlop/sink/sinktest"
)

// A node speaks the bulk API as its reference has it: NDJSON of actions and sources,
// an answer with an item for each, 409 for an id that is there. It is no
// Elasticsearch, but strict: whatever is not right fails the test.
type node struct {
	t      *testing.T
	server *httptest.Server
	down   atomic.Bool
	hang   atomic.Bool
	hung   chan bool
	item   func(id string) (status int, problem string) // nil creates
	most   int                                          // alerts in a request; 0 is no limit

	mu       sync.Mutex
	ids      []string
	there    map[string]bool
	requests int
	came     chan bool
}

func newNode(t *testing.T) *node {
	n := &node{t: t, hung: make(chan bool), there: map[string]bool{}, came: make(chan bool, 100000)}
	n.server = httptest.NewServer(n)
	t.Cleanup(n.server.Close)
	t.Cleanup(func() { close(n.hung) })
	return n
}

func (n *node) refuse(w http.ResponseWriter, code int, kind string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"error":{"root_cause":[],"type":%q,"reason":"of the whole"},"status":%d}`, kind, code)
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n.hang.Load() {
		<-n.hung
		return
	}
	if n.down.Load() {
		n.refuse(w, http.StatusServiceUnavailable, "cluster_block_exception")
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests++
	if r.Method != "POST" || r.URL.Path != "/logs-orlop.alerts-default/_bulk" || r.Header.Get("Content-Type") != "application/x-ndjson" || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Authorization") != "APIKey a2V5" {
		n.t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		n.t.Error(err)
		return
	}
	b, err := io.ReadAll(z)
	if err != nil {
		n.t.Errorf("body: %v", err)
	}
	if !bytes.HasSuffix(b, []byte("\n")) {
		n.t.Error("the last line does not end")
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 64<<20)
	var items []string
	var ids []string
	for lines.Scan() {
		var action map[string]map[string]string
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		if err := d.Decode(&action); err != nil || len(action) != 1 || len(action["create"]) != 1 || d.More() {
			n.t.Errorf("no create: %v: %.200q", err, lines.Text())
		}
		id := action["create"]["_id"]
		if !lines.Scan() {
			n.t.Error("an action without a source")
		}
		a, err := alert.Parse(lines.Bytes())
		if err != nil || a.ID != id || id == "" || a.Time.IsZero() {
			n.t.Errorf("the action is of %q, the source is not: %v", id, err)
		}
		ids = append(ids, id)
		status, problem := 201, ""
		if n.item != nil {
			status, problem = n.item(id)
		}
		if n.there[id] && status == 201 {
			status, problem = 409, "version_conflict_engine_exception"
		}
		if status == 201 {
			n.there[id] = true
			items = append(items, `{"create":{"status":201}}`)
			continue
		}
		items = append(items, fmt.Sprintf(`{"create":{"status":%d,"error":{"type":%q,"reason":"of %s\u001b","caused_by":{"reason":"because"}}}}`, status, problem, id))
	}
	if n.most > 0 && len(ids) > n.most {
		n.refuse(w, http.StatusRequestEntityTooLarge, "content_too_long_exception")
		return
	}
	n.ids = append(n.ids, ids...)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(items, ","))
	for range ids {
		n.came <- true
	}
}

func (n *node) Open(t *testing.T) sink.Sink {
	return open(t, elastic.Options{URLs: []string{n.server.URL}})
}
func (n *node) Down() { n.down.Store(true) }
func (n *node) Up()   { n.down.Store(false) }
func (n *node) Hang() { n.hang.Store(true) }

func (n *node) Received(t *testing.T, want int) []string {
	for {
		n.mu.Lock()
		ids := slices.Clone(n.ids)
		n.mu.Unlock()
		if len(ids) >= want {
			return ids
		}
		<-n.came
	}
}

func open(t *testing.T, o elastic.Options) sink.Sink {
	t.Helper()
	t.Setenv("ORLOP_TEST_KEY", "a2V5")
	if o.Username == "" {
		o.APIKey = sink.Secret{Env: "ORLOP_TEST_KEY"}
	}
	s, err := elastic.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	sinktest.Contract(t, func(t *testing.T) sinktest.Peer { return newNode(t) })
}

// outcome is what a Write says.
func outcome(err error) string {
	if err == nil {
		return "delivered"
	}
	var p *sink.Partial
	if !errors.As(err, &p) {
		return "not partial: " + err.Error()
	}
	return fmt.Sprintf("%d done, %d refused, wait %v: %v", p.Done, len(p.Refused), p.WaitFor, err)
}

// Each item has its own end.
func TestItems(t *testing.T) {
	f := func(status int, problem, want string) {
		t.Helper()
		n := newNode(t)
		n.item = func(id string) (int, string) {
			if id == "a-0001" {
				return status, problem
			}
			return 201, ""
		}
		s := n.Open(t)
		if got := outcome(s.Write(t.Context(), sinktest.Alerts(t, "a", 3))); got != want {
			t.Errorf("%d: %s\nwant %s", status, got, want)
		}
	}
	f(200, "", "delivered")
	f(409, "version_conflict_engine_exception", "delivered")
	f(400, "document_parsing_exception", "3 done, 1 refused, wait 0s: alert 1 refused: the answer is 400 Bad Request: document_parsing_exception: of a-0001 : because")
	retried := func(status int, text, problem string) {
		t.Helper()
		f(status, problem, fmt.Sprintf("1 done, 0 refused, wait 0s: after 1 alerts: elastic: the answer is %d %s: %s: of a-0001 : because", status, text, problem))
	}
	retried(429, "Too Many Requests", "es_rejected_execution_exception")
	retried(503, "Service Unavailable", "unavailable_shards_exception")
	retried(403, "Forbidden", "cluster_block_exception")
	retried(404, "Not Found", "index_not_found_exception")
}

// An alert that is tried again, and those after it, are there once.
func TestAfterARetryNothingIsTwice(t *testing.T) {
	n := newNode(t)
	busy := true
	n.item = func(id string) (int, string) {
		if busy && id == "a-0001" {
			return 429, "es_rejected_execution_exception"
		}
		return 201, ""
	}
	s := n.Open(t)
	all := sinktest.Alerts(t, "a", 4)
	var p *sink.Partial
	if err := s.Write(t.Context(), all); !errors.As(err, &p) || p.Done != 1 {
		t.Fatal(err)
	}
	busy = false
	if err := s.Write(t.Context(), all[p.Done:]); err != nil || len(n.there) != 4 {
		t.Errorf("%v, %d there", err, len(n.there))
	}
}

// What is too much at once goes in parts, and one that is too much alone is refused.
func TestTooMuch(t *testing.T) {
	n := newNode(t)
	n.most = 3
	s := n.Open(t)
	all := sinktest.Alerts(t, "a", 20)
	if err := s.Write(t.Context(), all); err != nil || !slices.Equal(n.Received(t, 20), sinktest.IDs(all)) {
		t.Errorf("%v", err)
	}
	s = open(t, elastic.Options{URLs: []string{answer(t, func(w http.ResponseWriter, _ *http.Request) { n.refuse(w, 413, "too_long") })}})
	if got, want := outcome(s.Write(t.Context(), all[:2])), "2 done, 2 refused, wait 0s: alert 0 refused: the answer is 413 Request Entity Too Large: too_long: of the whole; alert 1 refused: the answer is 413 Request Entity Too Large: too_long: of the whole"; got != want {
		t.Errorf("%s\nwant %s", got, want)
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
	f := func(code int, body, want string) {
		t.Helper()
		s := open(t, elastic.Options{Now: func() time.Time { return now }, URLs: []string{answer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(code)
			io.WriteString(w, body)
		})}})
		if got := outcome(s.Write(t.Context(), sinktest.Alerts(t, "a", 2))); got != want {
			t.Errorf("%d: %s\nwant %s", code, got, want)
		}
	}
	const none, wait = "0 done, 0 refused, wait 0s: after 0 alerts: elastic: ", "0 done, 0 refused, wait 7s: after 0 alerts: elastic: the answer is "
	f(429, `{"error":{"type":"circuit_breaking_exception","reason":"hot"},"status":429}`, wait+"429 Too Many Requests: circuit_breaking_exception: hot")
	f(503, `<html>`, wait+"503 Service Unavailable")
	f(401, `{"error":"no"}`, wait+"401 Unauthorized: no")
	f(302, ``, wait+"302 Found")
	f(200, `<html>`, none+"the answer is not of the bulk API")
	f(200, `{}`, none+"the answer has 0 results for 2 alerts")
	f(200, `{"items":[{"create":{"status":201}},{"index":{"status":201}}]}`, none+"the answer has 1 results for 2 alerts")
	f(200, `{"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}`, none+"the answer has 3 results for 2 alerts")
}

// An answer that never ends is read so far and no further, and one that never comes is
// waited for so long and no longer.
func TestAnswersAreBounded(t *testing.T) {
	s := open(t, elastic.Options{URLs: []string{answer(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
				return
			}
		}
	})}})
	if got, want := outcome(s.Write(t.Context(), sinktest.Alerts(t, "a", 1))), "0 done, 0 refused, wait 0s: after 0 alerts: elastic: the answer is not of the bulk API"; got != want {
		t.Error(got)
	}
	hang := make(chan bool)
	s = open(t, elastic.Options{Timeout: 20 * time.Millisecond, URLs: []string{answer(t, func(http.ResponseWriter, *http.Request) { <-hang })}})
	if got, want := outcome(s.Write(t.Context(), sinktest.Alerts(t, "a", 1))), "0 done, 0 refused, wait 0s: after 0 alerts: elastic: no answer in 20ms"; got != want {
		t.Error(got)
	}
	close(hang)
}

// When a node does not answer the next one is asked.
func TestNextNode(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	n := newNode(t)
	s := open(t, elastic.Options{URLs: []string{gone.URL, n.server.URL}})
	all := sinktest.Alerts(t, "a", 3)
	for _, a := range all {
		if err := s.Write(t.Context(), []*alert.Alert{a}); err != nil {
			t.Error(err)
		}
	}
	if got := n.Received(t, 3); !slices.Equal(got, sinktest.IDs(all)) {
		t.Errorf("%q", got)
	}
}

func TestTLSAndPassword(t *testing.T) {
	url, ca := sinktest.ServeTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "orlop" || password != "hush" || r.URL.Path != "/es/alerts/_bulk" {
			t.Errorf("%s: %s, %s", r.URL, user, password)
		}
		io.WriteString(w, `{"items":[{"create":{"status":201}}]}`)
	})
	t.Setenv("ORLOP_TEST_PASSWORD", "hush")
	o := elastic.Options{URLs: []string{url + "/es/"}, DataStream: "alerts", Username: "orlop", Password: sink.Secret{Env: "ORLOP_TEST_PASSWORD"}}
	sinktest.KnowsItsPeer(t, ca, func(t *testing.T, of sink.TLS) sink.Sink {
		o.TLS = of
		return open(t, o)
	})
	err := open(t, o).Write(t.Context(), sinktest.Alerts(t, "a", 1)) // whom it does not trust
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
}

func TestOptions(t *testing.T) {
	f := func(o elastic.Options, key, want string) {
		t.Helper()
		if k, msg, _ := o.Check(); k != key || msg != want {
			t.Errorf("%s: %q, want %s: %q", k, msg, key, want)
		}
		if _, err := elastic.Open(o); (err == nil) != (want == "") || err != nil && err.Error() != "elastic: "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	urls := []string{"https://es.example:9200"}
	env := sink.Secret{Env: "HOME"}
	f(elastic.Options{URLs: urls}, "", "")
	f(elastic.Options{}, "urls", "it has no urls")
	f(elastic.Options{URLs: []string{urls[0], "es:9200"}}, "urls", "urls: expected a URL of a host, with http or https")
	f(elastic.Options{URLs: []string{"https://es.example/?x"}}, "urls", "urls: a URL of a node has no query")
	f(elastic.Options{URLs: []string{"http://es.example"}, APIKey: env}, "urls", "urls: a secret is not sent over a network without TLS")
	for _, name := range []string{"Logs", "-x", "a/b", "a b", "a*", "a,b", strings.Repeat("x", 256)} {
		f(elastic.Options{URLs: urls, DataStream: name}, "data_stream", "data_stream: expected lower case letters, digits and -_. in a name that begins with a letter or digit")
	}
	f(elastic.Options{URLs: urls, APIKey: env, Username: "x"}, "api_key", "expected one of api_key and username")
	f(elastic.Options{URLs: urls, Username: "x"}, "username", "expected username and password, or neither")
	f(elastic.Options{URLs: urls, Password: env}, "username", "expected username and password, or neither")
	f(elastic.Options{URLs: urls, Timeout: -1}, "timeout", "timeout: expected at least 0s")
}

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, _ := gzip.NewReader(r.Body)
		b, _ := io.ReadAll(z)
		fmt.Printf("%s %s\n%s", r.Method, r.URL.Path, b)
		io.WriteString(w, `{"items":[{"create":{"status":201}}]}`)
	}))
	defer server.Close()
	s, err := elastic.Open(elastic.Options{URLs: []string{server.URL}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	a, err := alert.Parse([]byte(`{"kibana.alert.uuid": "e1", "kibana.alert.rule.rule_id": "r1"}`))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Write(context.Background(), []*alert.Alert{a}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// POST /logs-orlop.alerts-default/_bulk
	// {"create":{"_id":"e1"}}
	// {"kibana.alert.uuid":"e1","kibana.alert.rule.rule_id":"r1"}
}

// Elasticsearch, and what stands in front of it, say in an error which path they do not know,
// or whom: neither is repeated.
func TestAnAnswerThatRepeatsSecretsHoldsNone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := r.URL.Path[:len("/S3CRET/")] + " as " + strings.TrimPrefix(strings.TrimPrefix(r.Header.Get("Authorization"), "APIKey "), "Basic ")
		if r.Header.Get("Authorization")[0] == 'A' {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"error":{"type":"none","reason":%q}}`, "no handler for "+said)
			return
		}
		fmt.Fprintf(w, `{"items":[{"create":{"status":503,"error":{"type":"busy","reason":%q}}}]}`, said)
	}))
	defer server.Close()
	t.Setenv("ORLOP_TEST_KEY", "SzN5OktFWQ==")
	t.Setenv("ORLOP_TEST_PASSWORD", "P4SSWORD")
	f := func(o elastic.Options, want string) {
		t.Helper()
		o.URLs = []string{server.URL + "/S3CRET"}
		err := open(t, o).Write(t.Context(), sinktest.Alerts(t, "a", 1))
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got  %v\nwant …%s", err, want)
		}
	}
	f(elastic.Options{APIKey: sink.Secret{Env: "ORLOP_TEST_KEY"}}, "404 Not Found: none: no handler for /(hidden)/ as (hidden)")
	f(elastic.Options{Username: "ann", Password: sink.Secret{Env: "ORLOP_TEST_PASSWORD"}}, "503 Service Unavailable: busy: /(hidden)/ as (hidden)")
}
