package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

// A Trial is a rule by itself, for events that are given to it: those of its tests, or
// those that an alert has kept.
type Trial struct {
	rule   *rule.Rule
	schema *event.Schema
	tuning *Tuning
	events *event.Decoder
}

// NewTrial returns a trial of a rule with the tuning of a file, or the built-in one alone
// where the name is "".
func NewTrial(r *rule.Rule, tuning string) (*Trial, error) {
	s := event.NewSchema()
	t, err := LoadTuning(tuning, s)
	if err != nil {
		return nil, err
	}
	return &Trial{rule: r, schema: s, tuning: t, events: event.NewDecoder(s)}, nil
}

// Run enriches events and gives them to the rule, in an engine and a process table of their
// own, and returns the alerts. Building blocks are among them.
func (t *Trial) Run(ctx context.Context, docs []json.RawMessage) (alerts []*alert.Alert, err error) {
	g := detect.New(detect.Options{Schema: t.schema, Lateness: -1, Interrupted: ctx.Err})
	if err := g.SetRules([]*rule.Rule{t.rule}); err != nil {
		return nil, err
	}
	emit := func(a *alert.Alert) { alerts = append(alerts, a) }
	x := enrich.New(t.schema, enrich.Options{})
	var e event.Event
	for n, doc := range docs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := t.events.Decode(doc, &e); err != nil {
			return nil, fmt.Errorf("event %d: %w", n+1, err)
		}
		x.Apply(&e)
		t.tuning.Apply(&e)
		g.Process(&e, emit)
	}
	g.Flush(emit)
	return alerts, g.Err()
}

// Why says what of the rule's query did not hold for events that it does not match.
func (t *Trial) Why(docs []json.RawMessage) ([]detect.Miss, error) {
	c := eql.Compiler{Schema: t.schema, Category: t.rule.EventCategoryOverride, Timestamp: t.rule.TimestampField, Tiebreaker: t.rule.TiebreakerField}
	q, err := c.Compile(t.rule.Query)
	if err != nil {
		return nil, err
	}
	x := enrich.New(t.schema, enrich.Options{})
	var events []*event.Event
	for n, doc := range docs {
		var e event.Event
		if err := t.events.Decode(doc, &e); err != nil {
			return nil, fmt.Errorf("event %d: %w", n+1, err)
		}
		x.Apply(&e)
		t.tuning.Apply(&e)
		events = append(events, e.Clone())
	}
	return detect.Misses(q, events), nil
}
