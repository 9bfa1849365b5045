package main

import (
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/event"
)

// alertColumns are the columns of a table of alerts by rules whose names have
// the widths.
func alertColumns(rules []detect.Status) []column {
	name := len("RULE")
	for _, r := range rules {
		if r.Idle == "" {
			name = max(name, uniseg.StringWidth(r.Rule.Name))
		}
	}
	return []column{
		{"TIME", 19, 14}, {"SEVERITY", 8, 8}, {"RULE", min(name, 80), min(name, 24)},
		{"HOST", 12, 0}, {"USER", 8, 0}, {"WHAT", 30, 24},
	}
}

// alertRows makes lines of a table out of alerts.
type alertRows struct {
	*table
	decoder                    *event.Decoder
	host, hostID, user, uid    event.Field
	command, args, exe, action event.Field
}

func newAlertRows(t *table) *alertRows {
	s := event.NewSchema()
	return &alertRows{
		table: t, decoder: event.NewDecoder(s),
		host: s.Field("host.name"), hostID: s.Field("host.id"),
		user: s.Field("user.name"), uid: s.Field("user.id"),
		command: s.Field("process.command_line"), args: s.Field("process.args"),
		exe: s.Field("process.executable"), action: s.Field("event.action"),
	}
}

func (r *alertRows) line(a *alert.Alert) string {
	host, user, what := r.read(a)
	at := a.OriginalTime
	when := "-"
	if !at.IsZero() {
		when = at.UTC().Format(time.DateTime)
		if r.widths[0] < len(when) {
			when = at.UTC().Format("01-02 15:04:05")
		}
	}
	return r.row("", when, a.Severity, a.RuleName, host, user, what)
}

// read is who and what an alert is about.
func (r *alertRows) read(a *alert.Alert) (host, user, what string) {
	var e event.Event
	if r.decoder.Decode(a.AppendJSON(nil), &e) != nil {
		return "-", "-", a.Reason
	}
	first := func(fields ...event.Field) string {
		for _, f := range fields {
			if v := e.Get(f); v.Exists() {
				return v.At(0).Text()
			}
		}
		return "-"
	}
	what = first(r.command)
	if what == "-" {
		what = words(e.Get(r.args), " ")
	}
	if what == "-" {
		what = first(r.exe, r.action)
	}
	if a.Group != "" {
		what = a.Reason
	}
	return first(r.host, r.hostID), first(r.user, r.uid), what
}

// eventColumns are the columns of a table of events.
var eventColumns = []column{{"TIME", 23, 23}, {"CATEGORY", 14, 8}, {"ACTION", 16, 8}, {"HOST", 12, 0}, {"WHAT", 48, 24}}

// eventRows makes lines of a table out of events and of results of sequences.
type eventRows struct {
	*table
	decoder  *event.Decoder
	fields   []event.Field
	what     []event.Field
	args     event.Field
	anything event.Event
}

func newEventRows(t *table) *eventRows {
	s := event.NewSchema()
	r := &eventRows{table: t, decoder: event.NewDecoder(s), args: s.Field("process.args")}
	for _, n := range []string{"event.category", "event.action", "host.name"} {
		r.fields = append(r.fields, s.Field(n))
	}
	for _, n := range []string{"process.command_line", "process.args", "process.executable", "process.name", "file.path", "destination.ip", "destination.path", "message"} {
		r.what = append(r.what, s.Field(n))
	}
	return r
}

func (r *eventRows) line(indent string, e *event.Event) string {
	d := &r.anything
	if err := r.decoder.Decode(e.Raw, d); err != nil {
		return r.row(indent, "-", "-", "-", "-", err.Error())
	}
	when := "-"
	if !e.Time.IsZero() {
		when = e.Time.UTC().Format("2006-01-02 15:04:05.000")
	}
	cells := []string{when}
	for _, f := range r.fields {
		cells = append(cells, words(d.Get(f), ","))
	}
	what := "-"
	for _, f := range r.what {
		if v := d.Get(f); v.Exists() {
			what = words(v, " ")
			break
		}
	}
	return r.row(indent, append(cells, what)...)
}

// match is a line for each event of a result, under its keys.
func (r *eventRows) match(m eql.Match) string {
	var keys []string
	for _, k := range m.Keys {
		keys = append(keys, k.Text())
	}
	lines := []string{r.row("", "["+strings.Join(keys, ", ")+"]")}
	for _, e := range m.Events {
		if e == nil {
			lines = append(lines, "  (missing)")
			continue
		}
		lines = append(lines, r.line("  ", e))
	}
	return strings.Join(lines, "\n")
}

// words is a value for a cell.
func words(v event.Value, sep string) string {
	if !v.Exists() {
		return "-"
	}
	var w []string
	for i := range v.Len() {
		w = append(w, v.At(i).Text())
	}
	return strings.Join(w, sep)
}
