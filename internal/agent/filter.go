package agent

import (
	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
)

// A Filter says which events of a source are judged.
type Filter struct{ query *eql.Query }

// NewFilter compiles an event query of EQL. The name is for messages.
func NewFilter(name, query string, s *event.Schema) (*Filter, error) {
	src := syntax.Source{Name: name, Text: query}
	q, err := eql.Compile(src, s)
	if err != nil {
		return nil, err
	}
	if q.Kind() != eql.Events {
		return nil, syntax.Errors{{Class: syntax.Verification, Src: src, Msg: "a filter is a query for single events", Hint: "for example: process where process.name == \"runc\""}}
	}
	return &Filter{q}, nil
}

func (f *Filter) match(e *event.Event) bool { return f.query.Match(e) }
