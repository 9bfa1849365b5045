// Package elastic writes alerts to a data stream of Elasticsearch, with the bulk API.
//
// Each alert is created with its id as _id, so one that comes again is not there
// twice: Elasticsearch answers 409, and it counts as delivered. That holds until the
// data stream rolls over.
//
// What the answer to an item means, or to the request if it has no items:
//
//	2xx, 409  the alert is delivered
//	400, and other 4xx than those below
//	          it is refused: its document does not fit the mapping
//	401, 403, 404, 408, 429, 5xx
//	          it is tried again: the cluster, or who may write what, is at fault
//
// The items of a request are taken or not each by itself, so one that is tried again
// can come after others that follow it.
package elastic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8/esapi"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/sink"
)

// Kind is the name of this kind of sink.
const Kind = "elastic"

// Options say which cluster and data stream, and who we are.
type Options struct {
	URLs       []string      `yaml:"urls" required:"true" example:"as in urls: [https://es.example:9200]" format:"node" doc:"The nodes of the cluster, http or https; the next one is asked if one does not answer."`
	DataStream string        `yaml:"data_stream" format:"data stream" doc:"Where alerts are created. A name that begins with logs- and has two more parts is made as needed by a template that Elasticsearch brings along."`
	APIKey     sink.Secret   `yaml:"api_key" doc:"API key, encoded: what Elasticsearch calls encoded when it makes one. It needs create_doc and auto_configure on the data stream."`
	Username   string        `yaml:"username" doc:"User name, instead of an API key."`
	Password   sink.Secret   `yaml:"password" doc:"The user's password."`
	TLS        sink.TLS      `yaml:"tls" doc:"How the nodes are known, and we to them."`
	Timeout    time.Duration `yaml:"timeout" min:"0s" doc:"How long an answer may take. 0 is the default."`

	Now func() time.Time `yaml:"-"` // for Retry-After; nil is time.Now
}

// Defaults is what options that are zero stand for.
func Defaults() Options {
	return Options{DataStream: "logs-orlop.alerts-default", Timeout: time.Minute}
}

// Conditions are those of several options together.
func (o *Options) Conditions() []config.Condition {
	key, user, password := config.Has("api_key"), config.Has("username"), config.Has("password")
	return []config.Condition{
		{If: key, Then: config.Not(config.Any(user, password)), At: "api_key", Msg: "expected one of api_key and username"},
		{If: user, Then: password, At: "username", Msg: "expected username and password, or neither"},
		{If: password, Then: user, At: "username", Msg: "expected username and password, or neither"},
		{If: config.Any(key, password), Then: config.Matches("urls", "sealed"), At: "urls", Msg: "urls: a secret is not sent over a network without TLS", Hint: "use https"},
	}
}

// Check says which option is wrong, why, and what would be right; "" if none is.
func (o *Options) Check() (key, msg, hint string) { return config.Check(o) }

// mostAnswer is how much of an answer is read. It has a few hundred bytes for an item.
const mostAnswer = 32 << 20

type stream struct {
	o      Options
	client *elastictransport.Client
	idle   interface{ CloseIdleConnections() }
	hush   []*strings.Replacer // of what a node says: it may repeat what we sent
}

// Open reads the secrets and certificates. Nothing is sent before the first Write.
func Open(o Options) (sink.Sink, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("elastic: %w", err)
	}
	return s, nil
}

func open(o Options) (*stream, error) {
	if _, msg, _ := o.Check(); msg != "" {
		return nil, errors.New(msg)
	}
	d := Defaults()
	o.DataStream, o.Timeout = cmp.Or(o.DataStream, d.DataStream), cmp.Or(o.Timeout, d.Timeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	key, err := o.APIKey.Read()
	if err != nil {
		return nil, fmt.Errorf("api_key: %w", err)
	}
	password, err := o.Password.Read()
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("api_key: expected one word of base64")
	}
	t, err := o.TLS.Config()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: t, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	var nodes []*url.URL
	for _, text := range o.URLs {
		u, err := url.Parse(strings.TrimSuffix(text, "/"))
		if err != nil {
			return nil, errors.New("urls: expected URLs of hosts, with http or https") // the error would hold all of it
		}
		nodes = append(nodes, u)
	}
	with := []elastictransport.Option{
		elastictransport.WithURLs(nodes...), elastictransport.WithUserAgent("Orlop"),
		elastictransport.WithTransport(sink.Bounded(transport, mostAnswer)), elastictransport.WithCompression(),
	}
	if key != "" {
		with = append(with, elastictransport.WithAPIKey(key))
	}
	if o.Username != "" {
		with = append(with, elastictransport.WithBasicAuth(o.Username, password))
	}
	// Each node is asked once; the outbox tries again later.
	if len(nodes) == 1 {
		with = append(with, elastictransport.WithDisableRetry())
	} else {
		with = append(with, elastictransport.WithMaxRetries(len(nodes)-1),
			elastictransport.WithRetryOnError(func(r *http.Request, _ error) bool { return r.Context().Err() == nil }))
	}
	// The transport and the API, without the client around them: that brings along
	// five hundred packages of typed requests.
	client, err := elastictransport.NewClient(with...)
	if err != nil {
		return nil, err
	}
	basic := base64.StdEncoding.EncodeToString([]byte(o.Username + ":" + password)) // as it is sent
	s := &stream{o: o, client: client, idle: transport}
	for _, text := range o.URLs {
		s.hush = append(s.hush, sink.Hush(text, key, password, basic))
	}
	return s, nil
}

// Write creates the alerts.
func (s *stream) Write(ctx context.Context, alerts []*alert.Alert) error {
	if len(alerts) == 0 {
		return nil
	}
	p := &sink.Partial{}
	if err := s.write(ctx, alerts, p); err != nil {
		p.Err = fmt.Errorf("elastic: %w", err)
		return p
	}
	if len(p.Refused) > 0 {
		return p
	}
	return nil
}

// write creates alerts that follow those that p is about.
func (s *stream) write(ctx context.Context, alerts []*alert.Alert, p *sink.Partial) error {
	results, err := s.bulk(ctx, alerts, p)
	var whole wholeRefused
	switch {
	case errors.As(err, &whole) && len(alerts) > 1:
		// Too much at once, or one of them is no JSON for Elasticsearch: find it.
		half := len(alerts) / 2
		if err := s.write(ctx, alerts[:half], p); err != nil {
			return err
		}
		return s.write(ctx, alerts[half:], p)
	case errors.As(err, &whole):
		p.Refused = append(p.Refused, sink.Refusal{At: p.Done, Err: whole})
		p.Done++
		return nil
	case err != nil:
		return err
	}
	for _, r := range results {
		switch code := r.Status; {
		case code/100 == 2 || code == http.StatusConflict:
		case later(code):
			return errors.New(r.String())
		default:
			p.Refused = append(p.Refused, sink.Refusal{At: p.Done, Err: errors.New(r.String())})
		}
		p.Done++
	}
	return nil
}

// later reports whether another try can end otherwise.
func later(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return code/100 != 4
}

// A result is what became of an item.
type result struct {
	Status int     `json:"status"`
	Error  problem `json:"error"`
}

// A problem is an error of Elasticsearch: an object, or a sentence.
type problem struct{ Type, Reason string }

func (p *problem) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &p.Reason) == nil {
		return nil
	}
	var full struct {
		Type, Reason string
		Cause        *problem `json:"caused_by"`
	}
	if err := json.Unmarshal(b, &full); err != nil {
		return err
	}
	p.Type, p.Reason = full.Type, full.Reason
	if full.Cause != nil && full.Cause.Reason != "" {
		p.Reason += ": " + full.Cause.Reason
	}
	return nil
}

func (r result) String() string {
	text := fmt.Sprintf("the answer is %d %s", r.Status, http.StatusText(r.Status))
	if r.Error != (problem{}) {
		text += ": " + sink.Plain(strings.TrimPrefix(r.Error.Type+": "+r.Error.Reason, ": "), 500)
	}
	return text
}

// wholeRefused is an answer that refuses a request and not items of it.
type wholeRefused struct{ error }

// bulk sends one request. If the cluster wants to be left alone for a while, p says so.
func (s *stream) bulk(ctx context.Context, alerts []*alert.Alert, p *sink.Partial) ([]result, error) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	var body bytes.Buffer
	for _, a := range alerts {
		action := append([]byte(`{"create":{"_id":`), event.AppendQuoted(nil, a.ID)...)
		body.Write(append(action, "}}\n"...))
		body.Write(sink.Document(a))
		body.WriteByte('\n')
	}
	req := esapi.BulkRequest{
		Index: s.o.DataStream, Body: &body,
		FilterPath: []string{"error", "status", "items.*.status", "items.*.error.type", "items.*.error.reason", "items.*.error.caused_by.reason"},
		Header:     http.Header{"Content-Type": {"application/x-ndjson"}},
	}
	resp, err := req.Do(ctx, s.client)
	if err != nil {
		return nil, s.why(parent, ctx, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, s.why(parent, ctx, err)
	}
	var answer struct {
		Items []map[string]result
		Error problem
	}
	wrong := json.Unmarshal(text, &answer)
	if resp.StatusCode != http.StatusOK {
		whole := result{resp.StatusCode, s.quiet(answer.Error)}
		if !later(whole.Status) {
			return nil, wholeRefused{errors.New(whole.String())}
		}
		p.WaitFor = sink.RetryAfter(resp.Header.Get("Retry-After"), s.o.Now())
		return nil, errors.New(whole.String())
	}
	if wrong != nil {
		return nil, errors.New("the answer is not of the bulk API")
	}
	var results []result
	for _, item := range answer.Items {
		if r, ok := item["create"]; ok && r.Status != 0 {
			r.Error = s.quiet(r.Error)
			results = append(results, r)
		}
	}
	if len(results) != len(alerts) {
		return nil, fmt.Errorf("the answer has %d results for %d alerts", len(results), len(alerts))
	}
	return results, nil
}

// quiet is a problem without secrets that the answer repeats.
func (s *stream) quiet(p problem) problem {
	for _, h := range s.hush {
		p.Type, p.Reason = h.Replace(p.Type), h.Replace(p.Reason)
	}
	return p
}

// why is the reason that a request failed.
func (s *stream) why(parent, ctx context.Context, err error) error {
	switch {
	case parent.Err() != nil:
		return parent.Err()
	case ctx.Err() != nil:
		return fmt.Errorf("no answer in %v", s.o.Timeout)
	}
	return err
}

func (s *stream) Close() error {
	s.idle.CloseIdleConnections()
	return nil
}
