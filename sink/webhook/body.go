package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/sink"
)

// A body makes what is sent of an alert: JSON, or nil for one that is not sent.
type body func(a *alert.Alert) ([]byte, error)

func (o *Options) body() (body, error) {
	switch o.Format {
	case "", "json":
		return func(a *alert.Alert) ([]byte, error) { return sink.Document(a), nil }, nil
	case "slack":
		return slack, nil
	case "alertmanager":
		return alertmanager, nil
	case "template":
		return templated(o.Template)
	}
	return nil, errors.New("format: expected json, slack, alertmanager, template")
}

type object map[string]any

// Slack's limits, in characters: https://docs.slack.dev/reference/block-kit
const (
	slackHeader  = 150
	slackSection = 3000
	slackField   = 2000
)

// slack is a message for an incoming webhook. What an event says is plain_text, in
// which Slack sees no mention, no link and no markup. The text for notifications has
// its three signs escaped, and links are not fetched.
func slack(a *alert.Alert) ([]byte, error) {
	plain := func(s string, most int) object {
		s = sink.Plain(s, most-1)
		if strings.TrimSpace(s) == "" {
			s = "-" // Slack refuses an empty text
		}
		return object{"type": "plain_text", "text": s, "emoji": false}
	}
	var fields []object
	names := []string{"host.name", "user.name", "process.executable", "process.command_line", "container.id", "orlop.runtime.command"}
	field := func(name, value string) {
		if value != "" {
			fields = append(fields, plain(name+": "+value, slackField))
		}
	}
	field("severity", a.Severity)
	for i, text := range sink.Texts(sink.Document(a), names...) {
		field(names[i], text)
	}
	field("alert", a.ID)
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return json.Marshal(object{
		"text":         escape.Replace(sink.Plain(a.Severity+": "+a.RuleName+": "+a.Reason, slackSection/5)),
		"mrkdwn":       false,
		"parse":        "none",
		"unfurl_links": false,
		"unfurl_media": false,
		"blocks": []object{
			{"type": "header", "text": plain(a.RuleName, slackHeader)},
			{"type": "section", "text": plain(a.Reason, slackSection)},
			{"type": "section", "fields": fields},
		},
	})
}

// alertmanager is the body of Alertmanager's POST /api/v2/alerts. The id is a label,
// so that no alert takes the place of another; group by the others.
func alertmanager(a *alert.Alert) ([]byte, error) {
	labels, annotations := object{}, object{}
	put := func(to object, name, value string, most int) {
		if value = sink.Plain(value, most); value != "" {
			to[name] = value
		}
	}
	const short, long = 256, 4096
	put(labels, "alertname", a.RuleName, short)
	if labels["alertname"] == nil {
		labels["alertname"] = a.RuleID
	}
	put(labels, "severity", a.Severity, short)
	put(labels, "rule_id", a.RuleID, short)
	put(labels, "alert_id", a.ID, short)
	texts := sink.Texts(sink.Document(a), "host.name", "user.name", "process.executable", "process.command_line", "container.id")
	put(labels, "host", texts[0], short)
	put(annotations, "summary", a.Reason, long)
	for i, name := range []string{"user", "executable", "command_line", "container"} {
		put(annotations, name, texts[i+1], long)
	}
	one := object{"labels": labels, "annotations": annotations}
	if at := a.Time; !at.IsZero() {
		one["startsAt"] = at.UTC().Format(time.RFC3339Nano)
	}
	return json.Marshal([]object{one})
}

// text is a value in a template. It prints as the inside of a JSON string, so that
// what an event says stays in the quotes around it.
type text string

func (t text) String() string {
	b := event.AppendQuoted(nil, string(t))
	return string(b[1 : len(b)-1])
}

// document is JSON in a template.
type document string

// facts are what a template may ask for.
type facts struct {
	ID, RuleID, RuleName, Severity, Reason text
	RiskScore                              float64
	Time, OriginalTime                     text     // RFC 3339, or empty
	Document                               document // the whole alert

	doc []byte // the same, for Field
}

// Field is the value of a field of the document, "" if there is none.
func (f facts) Field(name text) text { return text(sink.Texts(f.doc, string(name))[0]) }

// mostTemplated is how long a body a template makes may be.
const mostTemplated = 32 << 20

// templated makes bodies with a template.
func templated(src string) (body, error) {
	t, err := template.New("template").Option("missingkey=error").Parse(src)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	render := func(a *alert.Alert) ([]byte, error) {
		stamp := func(at time.Time) text {
			if at.IsZero() {
				return ""
			}
			return text(at.UTC().Format(time.RFC3339Nano))
		}
		doc := sink.Document(a)
		w := &bounded{most: mostTemplated}
		err := t.Execute(w, facts{
			ID: text(a.ID), RuleID: text(a.RuleID), RuleName: text(a.RuleName), Severity: text(a.Severity), Reason: text(a.Reason),
			RiskScore: a.RiskScore, Time: stamp(a.Time), OriginalTime: stamp(a.OriginalTime),
			Document: document(doc), doc: doc,
		})
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
		}
		b := bytes.TrimSpace(w.b.Bytes())
		if len(b) == 0 {
			return nil, nil
		}
		if !json.Valid(b) {
			return nil, fmt.Errorf("the template makes no JSON: %s", sink.Plain(string(b), 200))
		}
		return b, nil
	}
	// One try, so that a mistake in a name is told at the start.
	a, err := alert.Parse([]byte(`{"kibana.alert.uuid":"example","kibana.alert.rule.rule_id":"example","kibana.alert.severity":"low"}`))
	if err != nil {
		panic("webhook: bug: " + err.Error())
	}
	if _, err := render(a); err != nil {
		return nil, err
	}
	return render, nil
}

// bounded is a buffer that refuses to grow without end.
type bounded struct {
	b    bytes.Buffer
	most int
}

func (w *bounded) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > w.most {
		return 0, errors.New("it makes too much")
	}
	return w.b.Write(p)
}
