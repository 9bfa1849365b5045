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
	items, err := items(line)
	if err != nil {
		r.o.Refuse(source.Rejection{Origin: at, Class: source.ClassSyntax, Reason: err.Error(), Data: line})
		return nil
	}
	for _, item := range items {
		doc, err := document(item)
		if err == nil {
			err = r.dec.Decode(doc, &r.ev)
		}
		if err != nil {
			r.o.Refuse(source.Rejection{Origin: at, Class: source.ClassSyntax, Reason: err.Error(), Data: item})
			continue
		}
		r.ev.Origin = at
		r.o.Emitted()
		if err := emit(&r.ev); err != nil {
			return err
		}
	}
	return nil
}

// items returns the events of a line: itself, or those of a list.
func items(line []byte) ([]json.RawMessage, error) {
	var list struct {
		Kind       string            `json:"kind"`
		APIVersion string            `json:"apiVersion"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(line, &list); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	switch {
	case !strings.HasPrefix(list.APIVersion, "audit.k8s.io/"):
		return nil, fmt.Errorf("apiVersion %q, expected audit.k8s.io/v1", list.APIVersion)
	case list.Kind == "EventList":
		return list.Items, nil
	case list.Kind == "Event":
		return []json.RawMessage{line}, nil
	}
	return nil, fmt.Errorf("kind %q, expected Event or EventList", list.Kind)
}

// An auditEvent is what is read of one.
type auditEvent struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
		UID      string `json:"uid"`
	} `json:"user"`
	Impersonated *struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	SourceIPs []string `json:"sourceIPs"`
	UserAgent string   `json:"userAgent"`
	Object    struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIVersion  string `json:"apiVersion"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	Response *struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Received string `json:"requestReceivedTimestamp"`
	StageAt  string `json:"stageTimestamp"`
}

type object = map[string]any

// document writes an audit event as an ECS document.
func document(raw []byte) ([]byte, error) {
	var e auditEvent
	if err := json.Unmarshal(raw, &e); err != nil {
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
	audit, err := underscored(raw)
	if err != nil {
		return nil, err
	}
	doc["kubernetes"] = object{"audit": audit}
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

// underscored returns the event with the dots in its annotations' names replaced, which
// would otherwise be paths.
func underscored(raw []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	var notes map[string]json.RawMessage
	if json.Unmarshal(members["annotations"], &notes) == nil && len(notes) > 0 {
		out := make(map[string]json.RawMessage, len(notes))
		for k, v := range notes {
			out[strings.ReplaceAll(k, ".", "_")] = v
		}
		b, err := json.Marshal(out)
		if err != nil {
			return nil, err
		}
		members["annotations"] = b
	}
	return members, nil
}
