// Package sink is what a way out for alerts is, and the outbox in front of all of
// them.
//
//	box, err := sink.OpenOutbox(sink.OutboxOptions{Dir: "/var/lib/orlop/outbox"},
//		sink.Route{Name: "siem", Sink: s})
//	go box.Run(ctx)
//	err = box.Append(a)
//
// The kinds of sink are packages of their own: sink/file, sink/webhook and so on.
package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/config"
)

// A Sink is a way out for alerts. It is used by one goroutine at a time.
//
// It gets alerts and not bytes: each kind needs id, severity and sentence, and an
// outbox that kept only the document has the same alert back by alert.Parse.
type Sink interface {
	// Write delivers the alerts in their order and returns when the peer has them.
	// An error that is no *Partial says that none is known to be delivered, and
	// all should be tried again. An alert that is written twice keeps its ID, by
	// which the peer can tell. Write returns soon after ctx ends, and its errors
	// hold no secret. The alerts do not change and may be kept.
	Write(ctx context.Context, alerts []*alert.Alert) error

	// Close frees what the sink holds. No Write comes after it.
	Close() error
}

// A Partial is the error of a Write that did not deliver all alerts.
type Partial struct {
	Done    int           // so many, from the first, are not to be written again: delivered, or in Refused
	Refused []Refusal     // those among them that can never be delivered
	Err     error         // why not the rest; nil if Done is all
	WaitFor time.Duration // the peer's wish: no Write for so long; 0 is none
}

// A Refusal is an alert that the peer will never take.
type Refusal struct {
	At  int   // its position in the Write's alerts
	Err error // why
}

func (p *Partial) Error() string {
	var b strings.Builder
	if p.Err != nil {
		fmt.Fprintf(&b, "after %d alerts: %v", p.Done, p.Err)
	}
	for _, r := range p.Refused {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "alert %d refused: %v", r.At, r.Err)
		if b.Len() > 1<<10 {
			b.WriteString("; …")
			break
		}
	}
	return b.String()
}

func (p *Partial) Unwrap() error { return p.Err }

// Document is an alert's document on one line: JSON in valid UTF-8, whatever the
// event held.
func Document(a *alert.Alert) []byte {
	doc := a.AppendJSON(nil)
	if !utf8.Valid(doc) {
		doc = bytes.ToValidUTF8(doc, []byte("\uFFFD"))
	}
	return doc
}

// A Secret says where a secret is: in an environment variable or in a file, whose
// trailing newline is not part of it. It is never in the configuration itself.
type Secret struct {
	Env  string `yaml:"env" doc:"Name of the environment variable that holds it."`
	File string `yaml:"file" file:"true" doc:"Path of the file that holds it; a newline at its end is not part of it."`
}

// Conditions are those of both options together.
func (s *Secret) Conditions() []config.Condition {
	env, file := config.Has("env"), config.Has("file")
	return []config.Condition{{
		Then: config.All(config.Any(env, file), config.Not(config.All(env, file))),
		At:   "file", Msg: "expected one of env and file", Hint: "env is the name of an environment variable, file the path of a file",
	}}
}

// Check says which option is wrong, why, and what would be right; "" if none is.
func (s *Secret) Check() (key, msg, hint string) { return config.Check(s) }

// RefersToSecret says to a configuration that what stands in place of one may be the
// secret itself.
func (*Secret) RefersToSecret() {}

// Set reports whether there is a secret.
func (s Secret) Set() bool { return s != Secret{} }

// Read returns the secret, or "" if none is set. Its errors do not hold any of it.
func (s Secret) Read() (string, error) {
	switch {
	case s.Env != "" && s.File != "":
		return "", errors.New("secret: expected env or file, not both")
	case s.Env != "":
		v := os.Getenv(s.Env)
		if v == "" {
			return "", fmt.Errorf("secret: the environment has no %s", s.Env)
		}
		return v, nil
	case s.File != "":
		b, err := config.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("secret: %w", err)
		}
		v := strings.TrimRight(string(b), "\r\n")
		if v == "" {
			return "", fmt.Errorf("secret: %s is empty", s.File)
		}
		return v, nil
	}
	return "", nil
}
