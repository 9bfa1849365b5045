package main

import (
	"strings"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/event"
)

// alertWidths are the columns of a table of alerts, but for the last.
var alertWidths = []int{19, 8, 40, 12, 10}

// alertRows makes lines of a table out of alerts.
type alertRows struct {
	decoder                    *event.Decoder
	host, hostID, user, uid    event.Field
	command, args, exe, action event.Field
}

func newAlertRows() *alertRows {
	s := event.NewSchema()
	return &alertRows{
		decoder: event.NewDecoder(s),
		host:    s.Field("host.name"), hostID: s.Field("host.id"),
		user: s.Field("user.name"), uid: s.Field("user.id"),
		command: s.Field("process.command_line"), args: s.Field("process.args"),
		exe: s.Field("process.executable"), action: s.Field("event.action"),
	}
}

func (r *alertRows) row(a *alert.Alert) string {
	var e event.Event
	if r.decoder.Decode(a.AppendJSON(nil), &e) != nil {
		return columns(alertWidths, "", a.Severity, a.RuleName)
	}
	first := func(fields ...event.Field) string {
		for _, f := range fields {
			if v := e.Get(f); v.Exists() {
				return v.At(0).Text()
			}
		}
		return "-"
	}
	what := first(r.command)
	if what == "-" {
		what = words(e.Get(r.args), " ")
	}
	if what == "-" {
		what = first(r.exe, r.action)
	}
	if a.Group != "" {
		what = a.Reason
	}
	at := a.OriginalTime
	when := "-"
	if !at.IsZero() {
		when = at.UTC().Format(time.DateTime)
	}
	return columns(alertWidths, when, a.Severity, a.RuleName, first(r.host, r.hostID), first(r.user, r.uid), what)
}

// eventWidths are the columns of a table of events, but for the last.
var eventWidths = []int{23, 14, 16, 12}

// eventRows makes lines of a table out of events and of results of sequences.
type eventRows struct {
	decoder  *event.Decoder
	fields   []event.Field
	what     []event.Field
	args     event.Field
	anything event.Event
}

func newEventRows() *eventRows {
	s := event.NewSchema()
	r := &eventRows{decoder: event.NewDecoder(s), args: s.Field("process.args")}
	for _, n := range []string{"event.category", "event.action", "host.name"} {
		r.fields = append(r.fields, s.Field(n))
	}
	for _, n := range []string{"process.command_line", "process.args", "process.executable", "process.name", "file.path", "destination.ip", "destination.path", "message"} {
		r.what = append(r.what, s.Field(n))
	}
	return r
}

func (r *eventRows) row(e *event.Event) string {
	d := &r.anything
	if r.decoder.Decode(e.Raw, d) != nil {
		return ""
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
	return columns(eventWidths, append(cells, what)...)
}

// match is a line for each event of a result, under its keys.
func (r *eventRows) match(m eql.Match) string {
	var keys []string
	for _, k := range m.Keys {
		keys = append(keys, k.Text())
	}
	lines := []string{"[" + strings.Join(keys, ", ") + "]"}
	for _, e := range m.Events {
		if e == nil {
			lines = append(lines, "  (missing)")
			continue
		}
		lines = append(lines, "  "+r.row(e))
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
