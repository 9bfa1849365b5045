package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/procfs"
)

// Two sources of a host tell of the same acts: one exec is an event of bpf, one of audit
// and some lines in auditd's log. It is judged once, as the better of them tells it; what
// the other says of it is filtered. Only that is which the better one is sure to tell:
// acts of a kind that it sees, of a login uid that it watches, since it was opened.

// acts are kinds of what processes do.
type acts int

const (
	execs acts = 1 << iota
	forks
	ends
	connects // of 64-bit programs
	seeds    // processes that are there already
	records  // all that the kernel's audit system tells
)

// A teller is a live source that tells of acts of this host.
type teller interface {
	// tells says which acts no one of that kind happens without an event, and how good
	// the source is: the least is the best.
	tells() (a acts, rank int)
}

const (
	rankBPF = iota
	rankAudit
	rankProc
	rankLog // what auditd writes or sends
)

func (s bpfSource) tells() (acts, int) {
	a := execs | forks | ends
	if s.SeesConnects() {
		a |= connects
	}
	if s.SeesProcesses() {
		a |= seeds
	}
	return a, rankBPF
}

func (s auditSource) tells() (acts, int) {
	a := seeds | records
	if whole, own := s.Records(); own {
		a |= execs | ends
	} else if whole {
		a |= execs
	}
	return a, rankAudit
}

func (s procSource) tells() (acts, int)   { return execs | forks | ends | seeds, rankProc }
func (s tailSource) tells() (acts, int)   { return 0, rankLog }
func (s streamSource) tells() (acts, int) { return 0, rankLog }

// An overlap is what a better source tells, too.
type overlap struct {
	by      *Stream
	acts    acts
	only    string // of this login uid; "" is all
	boot    string // of this boot of this host
	fields  *overlapFields
	filters bool // by judges only some of its events
}

type overlapFields struct {
	action, typ, boot, login, arch, message event.Field
}

// Once makes streams judge each act once. It returns what that means, in sentences: of
// those that begin with neither, some may be judged twice. It is called before Run.
func (l *Live) Once() (done, open []string) {
	boot, err := procfs.BootID()
	if err != nil {
		return nil, nil // no host whose acts somebody could tell
	}
	f := &overlapFields{
		l.Schema.Field("event.action"), l.Schema.Field("event.type"), l.Schema.Field("host.boot.id"),
		l.Schema.Field("auditd.user.audit.id"), l.Schema.Field("auditd.data.arch"), l.Schema.Field("auditd.message_type"),
	}
	for i, s := range l.Streams {
		mine, rank, ok := tellsOf(s)
		if !ok {
			continue
		}
		for j, by := range l.Streams {
			theirs, better, ok := tellsOf(by)
			if !ok || i == j || better > rank || better == rank && j > i {
				continue
			}
			o := overlap{by: by, acts: theirs, boot: boot, fields: f, filters: by.Include != nil || by.Exclude != nil}
			if rank != rankAudit && rank != rankLog {
				o.acts &^= records
			}
			if by.LoginUID != nil {
				if s.LoginUID != nil && *s.LoginUID != *by.LoginUID {
					continue
				}
				o.only = fmt.Sprint(*by.LoginUID)
			}
			switch {
			case rank == rankLog && better == rankLog:
				_, log := s.Source.(tailSource)
				_, other := by.Source.(tailSource)
				switch {
				case s.About == by.About:
					open = append(open, fmt.Sprintf("%s and %s are the same: what they tell is judged twice", by.Name, s.Name))
				case log != other:
					open = append(open, fmt.Sprintf("if %s and %s are of the same auditd, what they tell is judged twice", by.Name, s.Name))
				}
				continue
			case rank == rankProc && mine&^theirs&execs != 0:
				open = append(open, fmt.Sprintf("%s and %s both tell of execs, and the rules that are loaded leave some out of %s: those that both tell are judged twice", by.Name, s.Name, by.Name))
			}
			if o.acts != 0 {
				s.overlaps = append(s.overlaps, o)
				done = append(done, fmt.Sprintf("what %s tells, too, is judged as %s tells it, and filtered from %s", s.Name, by.Name, s.Name))
			}
		}
	}
	return done, open
}

func tellsOf(s *Stream) (a acts, rank int, ok bool) {
	src := s.Source
	if second, ok := src.(second); ok {
		src = second.LiveSource
	}
	t, ok := src.(teller)
	if !ok {
		return 0, 0, false
	}
	a, rank = t.tells()
	return a, rank, true
}

// told reports whether a better source tells of the act of e.
func (s *Stream) told(e *event.Event) bool {
	return slices.ContainsFunc(s.overlaps, func(o overlap) bool { return o.has(e) })
}

func (o *overlap) has(e *event.Event) bool {
	f := o.fields
	a := o.actOf(e)
	switch {
	case o.acts&a == 0, text(e, f.boot) != o.boot:
		return false
	case o.only != "" && text(e, f.login) != o.only:
		return false
	case a != seeds && e.Time.Before(o.by.Opened):
		return false
	case !o.filters:
		return true
	}
	return (o.by.Include == nil || o.by.Include.match(e)) && (o.by.Exclude == nil || !o.by.Exclude.match(e))
}

// actOf says which act an event is about: 0 if none that others may tell.
func (o *overlap) actOf(e *event.Event) acts {
	f := o.fields
	var a acts
	switch text(e, f.action) {
	case "existing_process":
		return seeds
	case "exec":
		a = execs
	case "executed": // of one that failed only audit tells
		if text(e, f.typ) == "start" {
			a = execs
		}
	case "fork", "forked":
		a = forks
	case "end", "exited":
		a = ends
	case "connected-to":
		if arch := text(e, f.arch); arch != "i386" && arch != "arm" {
			a = connects
		}
	}
	// auditd's own records do not come from the kernel.
	if m := text(e, f.message); m != "" && !strings.HasPrefix(m, "daemon_") {
		a |= records
	}
	return a
}

func text(e *event.Event, f event.Field) string {
	v := e.Get(f)
	if v.Kind() == event.KindList {
		v = v.At(0)
	}
	return v.Str()
}
