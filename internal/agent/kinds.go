// Package agent is the wiring: it makes sources, the enricher and the engine
// into one running thing.
package agent

import (
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
	"github.com/orlop/orlop/source/ecs"
)

// A reader makes a source of a recorded input.
type reader struct {
	format source.Format
	about  string
	open   func(*source.Input, source.Options) source.Source
}

// readers are the formats of recorded events.
var readers = []reader{
	{source.Audit, "Linux audit records: auditd's log, raw or ENRICHED, or netlink text",
		func(in *source.Input, o source.Options) source.Source { return audit.New(in, o) }},
	{source.ECS, "ECS documents in JSON: lines, an array, search hits or bulk requests",
		func(in *source.Input, o source.Options) source.Source { return ecs.New(in, o) }},
}

// Formats lists the names of the formats that a Replay can be told to read.
func Formats() []string {
	names := make([]string, len(readers))
	for i, r := range readers {
		names[i] = string(r.format)
	}
	return names
}
