// Package kubeaudit reads the audit log of the Kubernetes API server: events of
// audit.k8s.io/v1, one a line as the log backend writes them, or in an EventList as the
// webhook backend sends them.
//
//	r := kubeaudit.New(in, source.Options{Schema: schema})
//	err := r.Run(ctx, func(e *event.Event) error { … })
//
// A document has the shape of Elastic's Kubernetes integration: the event as it is under
// kubernetes.audit, with the dots in the names of its annotations written as underscores
// (kubernetes.audit.annotations.authorization_k8s_io/decision). Beside that it says in
// ECS's terms who did what to what:
//
//	@timestamp     requestReceivedTimestamp: when the request came, at every stage of it
//	event.action   the verb, or with a subresource "create pods/exec"
//	event.outcome  by the status of the response, when there is one
//	user.name      also user.effective.name of whoever was impersonated
//	source.ip      the nearest to the client
//	orchestrator.* namespace, resource.type and resource.name of the object
//
// The fields are described at
// https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/.
package kubeaudit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// A Reader is a source of the events of one recorded input.
type Reader struct {
	in  *source.Input
	o   source.Options
	dec *event.Decoder
	ev  event.Event
}

// New returns a Reader of in.
func New(in *source.Input, o source.Options) *Reader {
	return &Reader{in: in, o: o, dec: event.NewDecoder(o.Schema)}
}

// Run implements [source.Source]. Lines that are no audit events are rejected.
func (r *Reader) Run(ctx context.Context, emit func(*event.Event) error) error {
	defer r.in.Close()
	lines := source.NewLines(r.in.Window(ctx), &r.o)
	for {
		line, off, err := lines.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.line(line, event.Origin{Source: r.in.Name(), Offset: off}, emit); err != nil {
			return err
		}
	}
}

// line hands on the events of a line. The error is that of emit.
func (r *Reader) line(line []byte, at event.Origin, emit func(*event.Event) error) error {
	refuse := func(err error, data []byte) {
		r.o.Refuse(source.Rejection{Origin: at, Class: source.ClassSyntax, Reason: err.Error(), Data: data})
	}
	hand := func(m members, raw []byte) error {
		doc, err := document(m)
		if err == nil {
			err = r.dec.Decode(doc, &r.ev)
		}
		if err != nil {
			refuse(err, raw)
			return nil
		}
		r.ev.Origin = at
		r.o.Emitted()
		return emit(&r.ev)
	}
	m, items, err := parse(line)
	if err != nil {
		refuse(err, line)
		return nil
	}
	if m != nil {
		return hand(m, line)
	}
	for _, item := range items {
		var m members
		if err := json.Unmarshal(item, &m); err != nil {
			refuse(fmt.Errorf("not an audit event: %w", err), item)
			continue
		}
		if err := hand(m, item); err != nil {
			return err
		}
	}
	return nil
}

// members are those of an object, as they are written.
type members map[string]json.RawMessage

// read reads a member, if it is there.
func (m members) read(name string, to any) error {
	if m[name] == nil {
		return nil
	}
	if err := json.Unmarshal(m[name], to); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// parse returns the event that a line is, or the events of the list that it is.
func parse(line []byte) (event members, list []json.RawMessage, err error) {
	var m members
	if err := json.Unmarshal(line, &m); err != nil {
		return nil, nil, fmt.Errorf("not JSON: %w", err)
	}
	var kind, version string
	if err := cmp.Or(m.read("kind", &kind), m.read("apiVersion", &version)); err != nil {
		return nil, nil, err
	}
	switch {
	case !strings.HasPrefix(version, "audit.k8s.io/"):
		return nil, nil, fmt.Errorf("apiVersion %q, expected audit.k8s.io/v1", version)
	case kind == "EventList":
		err = m.read("items", &list)
		return nil, list, err
	case kind == "Event":
		return m, nil, nil
	}
	return nil, nil, fmt.Errorf("kind %q, expected Event or EventList", kind)
}

// An auditEvent is what is read of one.
type auditEvent struct {
	Verb string
	User struct {
		Username string `json:"username"`
		UID      string `json:"uid"`
	}
	Impersonated *struct {
		Username string `json:"username"`
	}
	SourceIPs []string
	UserAgent string
	Object    struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIVersion  string `json:"apiVersion"`
		Subresource string `json:"subresource"`
	}
	Response *struct {
		Code int `json:"code"`
	}
	Received string
	StageAt  string
}

type object = map[string]any

// document writes an audit event as an ECS document.
func document(m members) ([]byte, error) {
	var e auditEvent
	if err := cmp.Or(
		m.read("verb", &e.Verb),
		m.read("user", &e.User),
		m.read("impersonatedUser", &e.Impersonated),
		m.read("sourceIPs", &e.SourceIPs),
		m.read("userAgent", &e.UserAgent),
		m.read("objectRef", &e.Object),
		m.read("responseStatus", &e.Response),
		m.read("requestReceivedTimestamp", &e.Received),
		m.read("stageTimestamp", &e.StageAt),
	); err != nil {
		return nil, fmt.Errorf("not an audit event: %w", err)
	}
	at := e.Received
	if at == "" {
		at = e.StageAt
	}
	if _, ok := event.ParseTime(at); !ok {
		return nil, fmt.Errorf("requestReceivedTimestamp %.64q is no time", at)
	}
	if e.Verb == "" {
		return nil, fmt.Errorf("no verb")
	}
	what := object{"kind": "event", "module": "kubernetes", "dataset": "kubernetes.audit_logs", "category": []string{"api"}, "type": typesOf(e.Verb), "action": e.Verb}
	if e.Object.Subresource != "" {
		what["action"] = e.Verb + " " + e.Object.Resource + "/" + e.Object.Subresource
	}
	if e.Response != nil && e.Response.Code != 0 {
		what["outcome"] = "success"
		if e.Response.Code >= 400 {
			what["outcome"] = "failure"
		}
	}
	user := object{}
	put(user, "name", e.User.Username)
	put(user, "id", e.User.UID)
	if e.Impersonated != nil {
		user["effective"] = object{"name": e.Impersonated.Username}
	}
	resource := object{}
	put(resource, "type", e.Object.Resource) // in the plural, as the API names it
	put(resource, "name", e.Object.Name)
	orchestrator := object{"type": "kubernetes"}
	putAll(orchestrator, "resource", resource)
	put(orchestrator, "namespace", e.Object.Namespace)
	put(orchestrator, "api_version", e.Object.APIVersion)
	doc := object{
		"@timestamp":   at,
		"ecs":          object{"version": "8.17.0"},
		"event":        what,
		"orchestrator": orchestrator,
	}
	putAll(doc, "user", user)
	if len(e.SourceIPs) > 0 {
		if ip, err := netip.ParseAddr(e.SourceIPs[0]); err == nil {
			doc["source"] = object{"ip": ip.String(), "address": e.SourceIPs[0]}
		}
	}
	if e.UserAgent != "" {
		doc["user_agent"] = object{"original": e.UserAgent}
	}
	if err := m.underscore(); err != nil {
		return nil, err
	}
	doc["kubernetes"] = object{"audit": m}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("not an audit event: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func put(o object, name, v string) {
	if v != "" {
		o[name] = v
	}
}

func putAll(o object, name string, v object) {
	if len(v) > 0 {
		o[name] = v
	}
}

// typesOf are ECS's types for a verb.
func typesOf(verb string) []string {
	switch verb {
	case "create":
		return []string{"creation"}
	case "update", "patch":
		return []string{"change"}
	case "delete", "deletecollection":
		return []string{"deletion"}
	}
	return []string{"access"}
}

// underscore replaces the dots in the names of an event's annotations, which would
// otherwise be paths.
func (m members) underscore() error {
	var notes members
	if m.read("annotations", &notes) != nil || len(notes) == 0 {
		return nil
	}
	out := make(members, len(notes))
	for k, v := range notes {
		out[strings.ReplaceAll(k, ".", "_")] = v
	}
	b, err := json.Marshal(out)
	m["annotations"] = b
	return err
}
