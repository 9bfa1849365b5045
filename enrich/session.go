package enrich

import (
	"strings"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
)

// leaderFields are those of a process that others are led by.
type leaderFields struct {
	pid, entity, start, exe, name, args, argsCount, commandLine, same event.Field
}

func newLeaderFields(s *event.Schema, of string) leaderFields {
	f := func(name string) event.Field { return s.Field("process." + of + "." + name) }
	return leaderFields{
		f("pid"), f("entity_id"), f("start"), f("executable"), f("name"), f("args"), f("args_count"), f("command_line"),
		f("same_as_process"),
	}
}

// sessionFields say who leads the session of a process, and by whom it came in.
type sessionFields struct {
	leaderFields
	entry     leaderFields
	entryType event.Field
	ttyMajor  event.Field
	ttyMinor  event.Field
}

func newSessionFields(s *event.Schema) sessionFields {
	return sessionFields{
		newLeaderFields(s, "session_leader"), newLeaderFields(s, "entry_leader"), s.Field("process.entry_leader.entry_meta.type"),
		s.Field("process.tty.char_device.major"), s.Field("process.tty.char_device.minor"),
	}
}

// fillSession fills what e lacks of the leader of its session, if the source states
// which pid that is. c is the entry of e's own process, or nil.
func (x *Enricher) fillSession(s *sight, c *proc) {
	e, f, pid := s.e, &x.sf, s.sid
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
	x.fill(e, f.same, event.Bool(pid == s.pid))
	x.fillLeader(s, &f.leaderFields, l)
}

// fillLeader fills what e lacks of the program of l.
func (x *Enricher) fillLeader(s *sight, f *leaderFields, l *proc) {
	if s.t != 0 && s.t < l.since {
		return
	}
	e := s.e
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

// An entry is how a process came to run on its host: by which leader of a session, and
// which way. It is its own: the leader may be long gone.
type entry struct {
	pid    uint32
	how    string // process.entry_leader.entry_meta.type
	entity string
	start  event.Value
}

func (n *entry) size() int { return 96 + len(n.entity) + len(n.start.Str()) }

// enters tells c, of which s shows a new program, by whom it came in. p is its parent,
// or nil. It takes a source that states the leaders of sessions: who is none has come in
// with its session's, and a leader with its parent unless it is one that began an entry.
func (x *Enricher) enters(s *sight, c, p *proc) {
	switch {
	case s.pid == 1:
		c.entry = &entry{s.pid, "init", c.entity, c.startText}
	case s.pid == 2:
		c.entry = &entry{s.pid, "kthread", c.entity, c.startText}
	case s.ppid == 2 && c.entry == nil && p == nil:
		c.entry = &entry{pid: s.ppid, how: "kthread"}
	case !s.led:
	case s.pid == s.sid:
		if how := x.began(s, c, p); how != "" {
			c.entry = &entry{s.pid, how, c.entity, c.startText}
		} else if c.entry == nil && p != nil {
			c.entry = p.entry
		}
	default:
		l := x.procs[key{s.host.num, s.sid}] // none for 0, where no session began
		if l == nil || l.entry == nil || !x.leads(s, l) {
			l = p
		}
		if c.entry == nil && l != nil {
			c.entry = l.entry
		}
	}
}

// began is the way in which c, which leads a session, has come in, or "" if not by
// itself. The ways are those of ECS, and container and kthread as Elastic's agents say.
func (x *Enricher) began(s *sight, c, p *proc) string {
	name, major, minor := base(c.exe), number(s.e.Get(x.sf.ttyMajor)), number(s.e.Get(x.sf.ttyMinor))
	above := ""
	if p != nil {
		above = base(p.exe)
	}
	switch {
	case within(name):
		return "" // It goes on to run what it is for.
	case major == 4 && minor < 64 && name == "login":
		return "console"
	case major == 4 && minor >= 64:
		return "terminal"
	case strings.HasPrefix(above, "sshd") && !strings.HasPrefix(name, "sshd"):
		return "sshd"
	case above == "ssm-session-worker" && major >= 136 && major <= 143: // a pseudo terminal
		return "ssm"
	case above == "teleport" && name != above:
		return "teleport"
	case within(above), c.container != "" && p != nil && p.container != c.container:
		return "container"
	}
	return ""
}

// within reports whether a program of this name puts others into containers.
func within(name string) bool {
	if runtimecli.LowLevel(name) {
		return true
	}
	for _, of := range [...]string{"containerd-shim", "runc", "crun", "youki", "conmon"} {
		if rest, ok := strings.CutPrefix(name, of); ok && (rest == "" || rest[0] == '-') {
			return true
		}
	}
	return false
}

// fillEntry fills what e lacks of the leader by which its process, c, came in.
func (x *Enricher) fillEntry(s *sight, c *proc) {
	if c == nil || c.entry == nil {
		return
	}
	e, f, n := s.e, &x.sf.entry, c.entry
	if v := e.Get(f.pid); v.Exists() && number(v) != n.pid {
		return
	}
	if v := first(e.Get(f.entity)); v.Exists() && v.Str() != n.entity {
		return
	}
	x.fill(e, f.pid, event.Int(int64(n.pid)))
	x.fillText(e, f.entity, n.entity)
	if n.start.Exists() {
		x.fill(e, f.start, n.start)
	}
	x.fill(e, f.same, event.Bool(n.pid == s.pid))
	x.fillText(e, x.sf.entryType, n.how)
	if l := x.procs[key{c.host.num, n.pid}]; l != nil && l.entity == n.entity {
		x.fillLeader(s, f, l)
	}
}
