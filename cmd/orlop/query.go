package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/internal/spool"
	"github.com/orlop/orlop/source"
)

// queryFlags are what a request to _eql/search would carry.
type queryFlags struct {
	category, timestamp, tiebreaker string
	size, perKey                    int
	schema                          string
	output                          string
	in                              reading
}

func newQuery() *cobra.Command {
	const help = `Query prints the recorded events that match an EQL query, in the order of their
time, each as it was. Of a sequence or sample it prints a line for each result:

  {"join_keys":["web1"],"events":[{…},null,{…}]}

where null stands for an event whose absence was asked for. It reads what scan
reads, and with --no-enrich skips unread what scan would. The query means what it
means to Elasticsearch's _eql/search.

With a schema, fields that neither it nor the events have are errors, and so are
tests that do not fit a field's type. To know what the events have, files are read
twice, and pipes are kept until their end. A schema is a file of the form

  {"fields": {"process.name": {"type": "keyword"}, "process.pid": {"type": "long"}}}
`
	var q queryFlags
	cmd := &cobra.Command{
		Use:   "query [flags] EQL [FILE...]",
		Short: "Print the events that match a query",
		Long:  help + "\n" + exitCodes,
		Example: `  orlop query 'process where process.name == "ctr" and process.args == "exec"' audit.log
  orlop query 'sequence by process.entity_id [process where true] [network where true]' events.ndjson
  orlop query 'any where true | tail 3' events.ndjson`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("query needs an EQL query, such as 'process where process.name == \"ctr\"'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return q.run(cmd, args[0], args[1:]) },
	}
	f := cmd.Flags()
	f.StringVar(&q.category, "event-category-field", "event.category", "the field of the event category")
	f.StringVar(&q.timestamp, "timestamp-field", "@timestamp", "the field of the event's time")
	f.StringVar(&q.tiebreaker, "tiebreaker-field", "", "the field that orders events of one time (default: as they come)")
	f.IntVar(&q.size, "size", -1, "print at most so many results, the latest; 0 gives none (default all)")
	f.IntVar(&q.perKey, "max-samples-per-key", 1, "of a sample: results for each set of keys")
	f.StringVar(&q.schema, "schema", "", "check the query against the fields of this `FILE`")
	addOutput(cmd, &q.output)
	q.in.add(cmd)
	return cmd
}

func (q *queryFlags) run(cmd *cobra.Command, text string, files []string) error {
	if q.size < -1 {
		return usage("--size %d: expected a number of results, or -1 for all", q.size)
	}
	if q.perKey < 1 {
		return usage("--max-samples-per-key %d: expected at least 1", q.perKey)
	}
	out, err := newPrinter(cmd, q.output, eventColumns...)
	if err != nil {
		return err
	}
	schema := event.NewSchema()
	c := &eql.Compiler{Schema: schema, Category: q.category, Timestamp: q.timestamp, Tiebreaker: q.tiebreaker}
	src := syntax.Source{Text: text}
	var in replayed
	if q.schema != "" {
		if in, err = q.mapping(cmd, c, src, files); err != nil {
			return err
		}
	}
	query, err := c.Compile(src)
	if err != nil {
		return errors.Join(&failure{exitUsage, err}, in.close())
	}
	if in.replay == nil {
		if in.replay, in.done, err = q.in.replay(cmd, schema, files); err != nil {
			return err
		}
	}
	untimed, err := q.print(cmd, query, schema, &in, out)
	if err := errors.Join(err, out.close(), in.close()); err != nil {
		return err
	}
	replay := in.replay
	if untimed > 0 {
		warn(cmd.ErrOrStderr(), "%s rejected by the sequence: no time from 1970 to 2261 in %s", count(untimed, "event"), q.timestamp)
	}
	if n := replay.Stats.Rejected.Load(); n > 0 {
		warn(cmd.ErrOrStderr(), "%d of %d lines or documents could not be read; --dead-letter FILE keeps them", n, n+replay.Stats.Events.Load())
		if n := replay.Stats.Skipped.Load(); n > 0 {
			warn(cmd.ErrOrStderr(), "beside them %s skipped unread: the query cannot match them", count(int(n), "line"))
		}
	}
	return nil
}

// replayed is the events that a query is asked of. Those that could be read only
// once, and have been, are in a spool.
type replayed struct {
	replay *agent.Replay
	done   func() error // ends the dead letter file
	seen   *spool.Queue // in the order in which they came
}

func (r *replayed) run(ctx context.Context, emit func(*event.Event) error) error {
	if r.seen != nil {
		return each(ctx, r.seen, emit)
	}
	return r.replay.Run(ctx, emit)
}

func (r *replayed) close() error {
	if r.replay == nil {
		return nil
	}
	if r.seen != nil {
		return errors.Join(r.seen.Close(), r.done())
	}
	return r.done()
}

// mapping reads the schema and adds the fields that only the events have, as an
// index that maps dynamically does. If that took events that cannot be read again
// it returns them.
func (q *queryFlags) mapping(cmd *cobra.Command, c *eql.Compiler, src syntax.Source, files []string) (in replayed, err error) {
	f, err := os.Open(q.schema)
	if err != nil {
		return in, &failure{exitIO, err}
	}
	defer f.Close()
	if c.Mapping, err = eql.ReadMapping(f); err != nil {
		return in, usage("%s: %v", q.schema, err)
	}
	tree, err := syntax.Parse(src)
	if err != nil {
		return in, &failure{exitUsage, err}
	}
	unknown := map[string]event.Field{}
	ask := func(name string) {
		if name != "" && !c.Mapping.Has(name) {
			unknown[name] = c.Schema.Field(name)
		}
	}
	tree.Fields(func(f *syntax.Field) { ask(f.Path) })
	ask(q.category)
	ask(q.tiebreaker)
	if len(unknown) == 0 {
		return in, nil
	}
	if in.replay, in.done, err = q.in.replay(cmd, c.Schema, files); err != nil {
		return in, err
	}
	if slices.ContainsFunc(in.replay.Inputs, func(in *source.Input) bool { return in.Name() == "-" || in.Size() < 0 }) {
		in.seen = spool.New(c.Schema, 0, func(a, b *event.Event) int { return 0 })
		in.seen.Interrupted = cmd.Context().Err
	} else {
		in.replay.Reject = nil // the second time it counts
	}
	err = in.replay.Run(cmd.Context(), func(e *event.Event) error {
		for name, f := range unknown {
			if c.Mapping.Observe(name, e.Get(f)) {
				delete(unknown, name)
			}
		}
		switch {
		case in.seen != nil:
			in.seen.Add(e, nil)
			return in.seen.Bound(spool.Enough)
		case len(unknown) == 0:
			return errSeen
		}
		return nil
	})
	if err == nil && in.seen != nil {
		err = in.seen.Bound(0) // so that it is decoded again, with the query's fields
	}
	if err != nil && !errors.Is(err, errSeen) {
		return in, errors.Join(&failure{exitIO, err}, in.close())
	}
	if in.seen == nil {
		return replayed{}, in.close()
	}
	return in, nil
}

// errSeen ends a look at the events early.
var errSeen = errors.New("seen enough")

// print runs the query and writes its results. It returns how many events a
// sequence could not order.
func (q *queryFlags) print(cmd *cobra.Command, query *eql.Query, schema *event.Schema, in *replayed, out *printer) (untimed int, err error) {
	ordered := spool.New(schema, query.Tiebreaker, query.Compare)
	ordered.Interrupted = cmd.Context().Err
	defer ordered.Close()
	at := schema.Field(q.timestamp)
	in.replay.Literals = query.Literals
	err = in.run(cmd.Context(), func(e *event.Event) error {
		if q.timestamp != "@timestamp" {
			e.Time = time.Time{}
			if v := e.Get(at); v.Exists() {
				e.Time, _ = event.TimeOf(v.At(0))
			}
		}
		if !query.Wants(e) {
			return nil
		}
		if query.Kind() == eql.Sequences && !event.Orders(e.Time) {
			untimed++
			return nil
		}
		ordered.Add(e, nil)
		return ordered.Bound(spool.Enough)
	})
	if err != nil {
		return 0, &failure{exitIO, err}
	}
	rows := newEventRows(out.table)
	if query.Kind() == eql.Events {
		from, to := query.Range(q.size, ordered.Len())
		n := 0
		err = each(cmd.Context(), ordered, func(e *event.Event) error {
			if n++; n <= from {
				return nil
			}
			if n > to {
				return io.EOF
			}
			out.print(e.Raw, func() string { return rows.line("", e) })
			return out.err
		})
	} else {
		err = q.results(cmd.Context(), query, ordered, func(m eql.Match) error {
			out.print(appendMatch(nil, m), func() string { return rows.match(m) })
			return out.err
		})
	}
	if err != nil {
		return 0, &failure{exitIO, err}
	}
	return untimed, nil
}

// each calls f for each event, in order, until it returns an error; io.EOF is none.
// The event is borrowed for the call.
func each(ctx context.Context, q *spool.Queue, f func(*event.Event) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, _, err := q.Next()
		if err == nil {
			err = f(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// results runs a sequence or sample over events that are in order.
func (q *queryFlags) results(ctx context.Context, query *eql.Query, ordered *spool.Queue, emit func(eql.Match) error) error {
	var all []eql.Match
	if query.Kind() == eql.Samples {
		s := query.NewSampler()
		if err := each(ctx, ordered, func(e *event.Event) error { s.Add(e); return nil }); err != nil {
			return err
		}
		n, _ := query.Limit(q.size)
		s.Samples(q.perKey, func(m eql.Match) bool {
			if n >= 0 && len(all) >= n {
				return false
			}
			all = append(all, m)
			return true
		})
	} else {
		m := query.NewMatcher()
		add := func(x eql.Match) { all = append(all, x) }
		if err := each(ctx, ordered, func(e *event.Event) error { m.Add(e, add); return nil }); err != nil {
			return err
		}
		m.Flush(add)
		// One that waited for a missing event comes after later ones; results
		// are in the order of their last events.
		slices.SortStableFunc(all, func(a, b eql.Match) int { return a.Compare(&b) })
	}
	for _, m := range eql.Window(query, q.size, all) {
		if err := emit(m); err != nil {
			return err
		}
	}
	return nil
}

// appendMatch writes a result of a sequence or sample as JSON.
func appendMatch(dst []byte, m eql.Match) []byte {
	dst = append(dst, `{"join_keys":[`...)
	for i, k := range m.Keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = k.AppendJSON(dst)
	}
	dst = append(dst, `],"events":[`...)
	for i, e := range m.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		if e == nil {
			dst = append(dst, "null"...)
			continue
		}
		dst = append(dst, e.Raw...)
	}
	return append(dst, `]}`...)
}
