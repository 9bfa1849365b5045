package enrich

import "github.com/orlop/orlop/event"

// sessionFields say who leads the session of a process.
type sessionFields struct {
	pid, entity, start, exe, name, args, argsCount, commandLine event.Field
}

func newSessionFields(s *event.Schema) sessionFields {
	f := func(name string) event.Field { return s.Field("process.session_leader." + name) }
	return sessionFields{f("pid"), f("entity_id"), f("start"), f("executable"), f("name"), f("args"), f("args_count"), f("command_line")}
}

// fillSession fills what e lacks of the leader of its session, if the source states
// which pid that is. c is the entry of e's own process, or nil.
func (x *Enricher) fillSession(s *sight, c *proc) {
	e, f := s.e, &x.sf
	pid := number(first(e.Get(f.pid)))
	if pid == 0 {
		return // Fast path: nothing is said.
	}
	l := c
	if pid != s.pid {
		l = x.procs[key{s.host.num, pid}]
	}
	if l == nil || pid != s.pid && !x.leads(s, l) {
		return
	}
	x.fillText(e, f.entity, l.entity)
	if l.startText.Exists() {
		x.fill(e, f.start, l.startText)
	}
	if s.t != 0 && s.t < l.since {
		return
	}
	x.fillText(e, f.exe, l.exe)
	x.fillText(e, f.name, l.title())
	if l.args != nil {
		x.fill(e, f.args, event.List(l.args))
		x.fill(e, f.argsCount, event.Int(int64(len(l.args))))
		x.fill(e, f.commandLine, event.String(l.command))
	}
}

// leads reports whether l, which has the pid, is the leader that s means. One that has
// ended may still be: the kernel gives no pid out again while it is a session's id. But
// then the entry may be of the process before it.
func (x *Enricher) leads(s *sight, l *proc) bool {
	if v := first(s.e.Get(x.sf.entity)); v.Exists() && l.said {
		return v.Str() == l.entity
	}
	if start := when(s.e.Get(x.sf.start)); start != 0 && l.start != 0 {
		return near64(start, l.start)
	}
	younger := s.start != 0 && l.start > s.start+moment
	return !younger && (s.t == 0 || s.t >= l.first) && x.gone(s.t, l) == no
}
