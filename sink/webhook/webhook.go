// Package webhook sends each alert to an HTTP server, as one POST of JSON.
//
//	POST /alerts HTTP/1.1
//	Content-Type: application/json
//	Idempotency-Key: 4f0b…
//	Webhook-Id: 4f0b…
//	Webhook-Timestamp: 1777456807
//	Webhook-Signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=
//
// The signature is that of Standard Webhooks (standardwebhooks.com): HMAC-SHA256 of
// id, timestamp and body with dots between, in base64. The id is that of the alert,
// the same however often it is sent.
//
// What an answer means:
//
//	2xx       the alert is delivered
//	409       it is delivered: the server has one of that id
//	400, 406, 411, 413, 414, 415, 422, 431
//	          it is refused: the server will never take it
//	all else  the server or the configuration is at fault: it is tried again
//
// Redirects are not followed: they are answers like all else.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/sink"
)

// Kind is the name of this kind of sink.
const Kind = "webhook"

// Options say where alerts go, and in which form.
type Options struct {
	URL           string        `yaml:"url" format:"url" doc:"Where alerts are sent, http or https."`
	URLSecret     sink.Secret   `yaml:"url_secret" doc:"Where alerts are sent, if the URL is a secret, as that of Slack is; instead of url."`
	Format        string        `yaml:"format" enum:"json|slack|alertmanager|template" doc:"The body: the alert's document, a message for Slack, an alert for Alertmanager's /api/v2/alerts, or what the template makes."`
	Template      string        `yaml:"template" doc:"Go text/template of a JSON body. What it takes from an alert is escaped for JSON strings. An alert that it makes nothing of is not sent."`
	Secret        sink.Secret   `yaml:"secret" doc:"Key of the signature: that of Standard Webhooks (whsec_ and base64), or any text. Without it, nothing is signed."`
	Authorization sink.Secret   `yaml:"authorization" doc:"Value of the header Authorization, such as Bearer and a token."`
	TLS           sink.TLS      `yaml:"tls" doc:"How the server is known, and we to it."`
	Timeout       time.Duration `yaml:"timeout" min:"0s" doc:"How long an answer may take. 0 is the default."`

	Now func() time.Time `yaml:"-"` // for signatures and Retry-After; nil is time.Now
}

// Defaults is what options that are zero stand for.
func Defaults() Options { return Options{Format: "json", Timeout: 30 * time.Second} }

// Conditions are those of several options together.
func (o *Options) Conditions() []config.Condition {
	secret := config.Any(config.Has("secret"), config.Has("authorization"))
	return []config.Condition{
		{Then: config.Any(config.Has("url"), config.Has("url_secret")), At: "url", Msg: "it has no url"},
		{If: config.Has("url"), Then: config.Not(config.Has("url_secret")), At: "url_secret", Msg: "expected one of url and url_secret"},
		{If: config.Is("format", "template"), Then: config.Has("template"), At: "format", Msg: "format: template without a template"},
		{If: config.Has("template"), Then: config.Is("format", "template"), At: "template", Msg: "template: the format is not template", Hint: "format: template"},
		{If: secret, Then: config.Matches("url", "sealed"), At: "url", Msg: "url: a secret is not sent over a network without TLS", Hint: "use https"},
	}
}

// Check says which option is wrong, why, and what would be right; "" if none is.
func (o *Options) Check() (key, msg, hint string) {
	_, key, msg, hint = o.check()
	return key, msg, hint
}

// check does so, and returns what makes bodies if none is wrong: a template is parsed
// and tried once.
func (o *Options) check() (b body, key, msg, hint string) {
	if key, msg, hint = config.Check(o); msg != "" {
		return nil, key, msg, hint
	}
	b, err := o.body()
	if err != nil {
		return nil, "template", err.Error(), ""
	}
	return b, "", "", ""
}

const (
	// An answer is read so far, for what it says of an error and so that the
	// connection can be used again.
	mostAnswer  = 64 << 10
	mostHeaders = 64 << 10
)

type hook struct {
	o      Options
	url    string
	auth   string
	key    []byte
	body   body
	hush   *strings.Replacer // of what the server says: it may repeat what we sent
	client *http.Client
}

// Open reads the secrets and certificates. Nothing is sent before the first Write.
func Open(o Options) (sink.Sink, error) {
	h, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return h, nil
}

func open(o Options) (*hook, error) {
	b, _, msg, _ := o.check()
	if msg != "" {
		return nil, errors.New(msg)
	}
	o.Timeout = cmp.Or(o.Timeout, Defaults().Timeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &hook{o: o, url: o.URL, body: b}
	var err error
	if o.URLSecret.Set() {
		if h.url, err = o.URLSecret.Read(); err != nil {
			return nil, fmt.Errorf("url_secret: %w", err)
		}
		if msg, _ := sink.CheckURL(h.url, true); msg != "" {
			return nil, errors.New("url_secret: " + msg)
		}
	}
	secret, err := o.Secret.Read()
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	h.key = []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if h.key, err = base64.StdEncoding.DecodeString(encoded); err != nil || len(h.key) == 0 {
			return nil, errors.New("secret: expected base64 after whsec_")
		}
	}
	if h.auth, err = o.Authorization.Read(); err != nil {
		return nil, fmt.Errorf("authorization: %w", err)
	}
	if strings.ContainsFunc(h.auth, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("authorization: expected one line")
	}
	secrets := []string{h.auth, secret}
	if _, token, ok := strings.Cut(h.auth, " "); ok {
		secrets = append(secrets, token)
	}
	if u, err := url.Parse(h.url); err == nil && o.URLSecret.Set() {
		secrets = append(secrets, strings.Trim(u.EscapedPath(), "/"))
	}
	h.hush = sink.Hush(h.url, secrets...)
	t, err := o.TLS.Config()
	if err != nil {
		return nil, err
	}
	h.client = &http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			TLSClientConfig: t, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: mostHeaders,
		},
	}
	return h, nil
}

// Write sends one alert after the other.
func (h *hook) Write(ctx context.Context, alerts []*alert.Alert) error {
	p := &sink.Partial{}
	for i, a := range alerts {
		err := h.send(ctx, a, p)
		var no refusal
		if errors.As(err, &no) {
			p.Refused = append(p.Refused, sink.Refusal{At: i, Err: no})
		} else if err != nil {
			p.Err = fmt.Errorf("webhook: %w", err)
			return p
		}
		p.Done++
	}
	if len(p.Refused) > 0 {
		return p
	}
	return nil
}

// A refusal is an error that another try does not change.
type refusal struct{ error }

// send sends an alert. If the server wants to be left alone for a while, p says so.
func (h *hook) send(ctx context.Context, a *alert.Alert, p *sink.Partial) error {
	body, err := h.body(a)
	if err != nil {
		return refusal{err}
	}
	if body == nil {
		return nil // not of interest
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return bare(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Orlop")
	id := identifier(a.ID)
	req.Header.Set("Idempotency-Key", id)
	if h.auth != "" {
		req.Header.Set("Authorization", h.auth)
	}
	if len(h.key) > 0 {
		at := strconv.FormatInt(h.o.Now().Unix(), 10)
		mac := hmac.New(sha256.New, h.key)
		fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
		req.Header.Set("Webhook-Id", id)
		req.Header.Set("Webhook-Timestamp", at)
		req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return bare(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil && resp.StatusCode/100 != 2 {
		return bare(err)
	}
	says := fmt.Sprintf("the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if text := strings.TrimSpace(sink.Plain(h.hush.Replace(string(answer)), 200)); text != "" {
		says += ": " + text
	}
	switch code := resp.StatusCode; code {
	case http.StatusConflict:
		return nil
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		return refusal{errors.New(says)}
	default:
		if code/100 == 2 {
			return nil
		}
		p.WaitFor = sink.RetryAfter(resp.Header.Get("Retry-After"), h.o.Now())
		return errors.New(says)
	}
}

// identifier is an alert's id where only some signs are allowed.
func identifier(id string) string {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && r != '"' && r != '\\' && r != '.' }
	if id != "" && len(id) <= 128 && strings.IndexFunc(id, func(r rune) bool { return !plain(r) }) < 0 {
		return id
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(id)))
}

// bare is a client's error without the URL, which may be a secret.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (h *hook) Close() error {
	h.client.CloseIdleConnections()
	return nil
}
