package detect

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// An Explanation is why a rule matched: orlop.explain of its alert.
type Explanation struct {
	Query string `json:"query"` // event, sequence or sample

	// Of an event.
	Matched    []Clause `json:"matched,omitempty"`    // what held, and on which value
	Exclusions []Clause `json:"exclusions,omitempty"` // what would have excluded it, and did not

	// Of a sequence or sample.
	Items    []Item         `json:"items,omitempty"`
	Keys     map[string]any `json:"keys,omitempty"`
	MaxSpan  string         `json:"maxspan,omitempty"`
	TimeLeft string         `json:"time_left,omitempty"` // of maxspan, when the last event came
}

// A Clause is a part of a query and what it found in the event.
type Clause struct {
	Clause  string  `json:"clause"`
	Field   string  `json:"field,omitempty"`
	Value   any     `json:"value,omitempty"`   // the field's whole value
	Matched any     `json:"matched,omitempty"` // the element that made the clause true
	Absent  bool    `json:"absent,omitempty"`  // the event has no such field
	Fields  []Field `json:"fields,omitempty"`  // where a clause reads several
}

// A Field is one of the fields that a clause reads.
type Field struct {
	Field  string `json:"field"`
	Value  any    `json:"value,omitempty"`
	Absent bool   `json:"absent,omitempty"`
}

// An Item is a term of a sequence or sample and the event that filled it.
type Item struct {
	Item       string     `json:"item"`
	Missing    bool       `json:"missing,omitempty"` // asked for absence, and nothing came
	Block      *int       `json:"block,omitempty"`   // kibana.alert.group.index of its event's building block
	Time       *time.Time `json:"time,omitempty"`    // of the event
	Matched    []Clause   `json:"matched,omitempty"`
	Exclusions []Clause   `json:"exclusions,omitempty"`
}

func explainEvent(q *eql.Query, e *event.Event) Explanation {
	x := Explanation{Query: q.Kind().String()}
	x.Matched, x.Exclusions = clauses(q.Filter, e)
	return x
}

func explainSequence(q *eql.Query, m eql.Match) Explanation {
	x := Explanation{Query: q.Kind().String()}
	var first, last time.Time
	blocks := 0
	for i, e := range m.Events {
		it := Item{Item: clip(q.Items[i].Text), Missing: e == nil}
		if e != nil {
			at, block := e.Time, blocks
			it.Time, it.Block = &at, &block
			blocks++
			it.Matched, it.Exclusions = clauses(q.Items[i].Pred, e)
			if first.IsZero() {
				first = at
			}
			last = at
		}
		x.Items = append(x.Items, it)
	}
	if q.Span > 0 {
		x.MaxSpan = syntax.Duration(q.Span)
		x.TimeLeft = (q.Span - last.Sub(first)).String()
	}
	for i, k := range q.Items[0].Keys {
		if x.Keys == nil {
			x.Keys = map[string]any{}
		}
		x.Keys[k.Name] = plain(m.Keys[i])
	}
	return x
}

// clauses splits what a predicate found into what held and what was excluded.
func clauses(p expr.Pred, e *event.Event) (matched, exclusions []Clause) {
	var walk func(x expr.Explanation)
	walk = func(x expr.Explanation) {
		switch x.Op {
		case "and":
			for _, y := range x.Parts {
				walk(y)
			}
		case "or":
			for _, y := range x.Parts {
				if y.Held {
					walk(y)
				}
			}
		case "not":
			exclusions = append(exclusions, clause(x))
		default:
			if len(x.Fields) > 0 {
				matched = append(matched, clause(x))
			}
		}
	}
	walk(expr.Explain(p, e))
	return matched, exclusions
}

func clause(x expr.Explanation) Clause {
	c := Clause{Clause: clip(x.Clause)}
	used := leaves(x, nil)
	if len(used) == 1 {
		u := used[0]
		c.Field, c.Value, c.Matched, c.Absent = u.Field, plain(u.Value), plain(u.Matched), !u.Value.Exists()
		if u.Value.Kind() != event.KindList {
			c.Matched = nil // there is only one it can be
		}
		return c
	}
	for _, u := range used {
		c.Fields = append(c.Fields, Field{u.Field, plain(u.Value), !u.Value.Exists()})
	}
	return c
}

// leaves lists what the leaves below x read, each field once.
func leaves(x expr.Explanation, used []expr.Used) []expr.Used {
next:
	for _, u := range x.Fields {
		for _, old := range used {
			if old.Field == u.Field {
				continue next
			}
		}
		used = append(used, u)
	}
	for _, y := range x.Parts {
		used = leaves(y, used)
	}
	return used
}

// clip shortens a clause: one of Elastic's rules has 2,697 constants in one.
func clip(s string) string {
	const most = 400
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}

// plain is a value for encoding/json. It copies what the event only lends, and
// shows no more than the beginning of long lists and text.
func plain(v event.Value) any {
	const most = 64
	switch v.Kind() {
	case event.KindMissing, event.KindNull:
		return nil
	case event.KindBool:
		return v.Bool()
	case event.KindInt:
		return v.Int()
	case event.KindString:
		return clip(string([]byte(v.Str())))
	case event.KindList:
		var out []any
		for i, w := range v.List() {
			if i == most {
				return append(out, "…")
			}
			out = append(out, plain(w))
		}
		return out
	}
	return json.RawMessage(v.AppendJSON(nil))
}

// A Miss is what a query asks for and did not find.
type Miss struct {
	Item    string   // of a sequence or sample, as EQL; "" of a query for single events
	Missing bool     // it asks for none, and there was one
	Clauses []Clause // that did not hold, for the event that stood in its place
}

// Misses says what of a query did not hold for events that it does not match: where it
// asks for several, of each item that none of them is, or that one is and must not be. They
// may all be there and nothing be missed: then it is their order, keys or time.
func Misses(q *eql.Query, events []*event.Event) (all []Miss) {
	if q.Kind() == eql.Events {
		for _, e := range events {
			if !q.Filter.Match(e) {
				all = append(all, Miss{Clauses: failed(q.Filter, e)})
			}
		}
		return all
	}
	n := 0 // of the items that ask for an event
	for _, it := range q.Items {
		met := slices.ContainsFunc(events, it.Pred.Match)
		switch {
		case it.Missing && met:
			all = append(all, Miss{Item: it.Text, Missing: true})
		case !it.Missing && !met && len(events) > 0:
			all = append(all, Miss{Item: it.Text, Clauses: failed(it.Pred, events[min(n, len(events)-1)])})
		}
		if !it.Missing {
			n++
		}
	}
	return all
}

// failed are the clauses of a predicate that do not hold for e.
func failed(p expr.Pred, e *event.Event) (out []Clause) {
	var walk func(x expr.Explanation)
	walk = func(x expr.Explanation) {
		switch {
		case x.Held:
		case x.Op == "and":
			for _, y := range x.Parts {
				walk(y)
			}
		default:
			out = append(out, clause(x))
		}
	}
	walk(expr.Explain(p, e))
	return out
}
