package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
)

// reach says which rules of the pack an entry silences for anybody: those whose own
// examples it exempts, though they are done by a stranger with a program of no name, on a
// host that no list knows. What it says goes to Warnings; an entry that silences all of
// them on every host is a mistake.
func (t *Tuning) reach(name string, s *event.Schema) error {
	probes := probesOf(s)
	var errs []error
	everywhere := ""
	for _, r := range t.roles {
		var e event.Event
		if strange(s, &e); r.pred.Match(&e) {
			everywhere = fmt.Sprintf(" (role %q matches every host)", r.name)
		}
	}
	for i := range t.exempts {
		x := &t.exempts[i]
		said := false
		for _, roles := range [][]string{nil, x.roles} {
			if said || roles == nil && len(x.roles) > 0 && everywhere == "" {
				continue
			}
			silent, all := t.silences(s, x, probes, roles, func(*event.Event) {})
			where := "on every host"
			if roles != nil {
				where = "on hosts of role " + strings.Join(roles, ", ")
			}
			if len(x.roles) > 0 && roles == nil {
				where += everywhere
			}
			switch {
			case len(silent) == 0:
				continue
			case all && roles == nil:
				errs = append(errs, fmt.Errorf("%s: exempt %q exempts everything that anybody does, %s: say whom, by user, login, ancestor or where", name, x.name, where))
			case all:
				t.Warnings = append(t.Warnings, fmt.Sprintf("%s: exempt %q exempts everything that anybody does, %s", name, x.name, where))
			default:
				t.Warnings = append(t.Warnings, fmt.Sprintf("%s: exempt %q exempts anybody, %s, from %s", name, x.name, where, quoted(silent)))
			}
			said = true
		}
		if said {
			continue
		}
		if _, all := t.silences(s, x, probes, x.roles, func(e *event.Event) { root(s, e) }); all {
			t.Warnings = append(t.Warnings, fmt.Sprintf("%s: exempt %q exempts root, who does nearly all that the rules look for: say more, by login, parent, ancestor or where", name, x.name))
		}
	}
	return errors.Join(errs...)
}

// root makes e the act of root, who has logged in as that.
func root(s *event.Schema, e *event.Event) {
	for _, user := range [...]string{"user", "user.effective", "auditd.user.audit", "user.audit"} {
		e.Set(s.Field(user+".name"), event.String("root"))
		e.Set(s.Field(user+".id"), event.String("0"))
	}
}

// silences returns the names of the rules all of whose examples x exempts, on hosts of the
// roles and changed by change, and whether those are all rules on what processes do.
func (t *Tuning) silences(s *event.Schema, x *entryPred, probes []probe, roles []string, change func(*event.Event)) (names []string, all bool) {
	all = true
	var list []event.Value
	for _, r := range roles {
		list = append(list, event.String(r))
	}
	for _, p := range probes {
		silent := true
		for _, example := range p.examples {
			silent = silent && slices.ContainsFunc(example, func(e *event.Event) bool {
				c := e.Clone()
				change(c)
				if list != nil {
					c.Set(t.role, event.List(list))
				} else {
					var on []event.Value
					for _, r := range t.roles {
						if r.pred.Match(c) {
							on = append(on, event.String(r.name))
						}
					}
					if on != nil {
						c.Set(t.role, event.List(on))
					}
				}
				return x.holds(c)
			})
		}
		if silent {
			names = append(names, p.rule)
		}
		all = all && (silent || p.connects)
	}
	return names, all && len(names) > 0
}

// A probe is a rule that heeds the tuning, and the events of its examples.
type probe struct {
	rule     string
	connects bool // it is of connects, which a query for processes cannot exempt
	examples [][]*event.Event
}

func probesOf(s *event.Schema) []probe {
	var probes []probe
	category := s.Field("event.category")
	for _, r := range rule.LoadFS(rules.FS, "rules").Rules {
		if !strings.Contains(r.Query.Text, "orlop.tuning.exempt") {
			continue
		}
		p := probe{rule: r.Name, connects: true}
		for _, test := range r.Tests {
			if !test.Match {
				continue
			}
			x, d := enrich.New(s, enrich.Options{}), event.NewDecoder(s)
			var example []*event.Event
			for _, doc := range test.Events {
				var e event.Event
				if d.Decode(doc, &e) != nil {
					continue
				}
				x.Apply(&e)
				strange(s, &e)
				example = append(example, e.Clone())
			}
			if len(example) > 0 {
				of := example[len(example)-1].Get(category)
				for i := range of.Len() {
					p.connects = p.connects && of.At(i).Text() != "process"
				}
			}
			p.examples = append(p.examples, example)
		}
		if len(p.examples) > 0 {
			probes = append(probes, p)
		}
	}
	return probes
}

// strange makes e the act of somebody whom no list has.
func strange(s *event.Schema, e *event.Event) {
	for _, f := range [...]string{
		"host.name", "host.hostname", "host.id", "user.name", "user.id", "user.effective.name", "user.effective.id",
		"auditd.user.audit.name", "auditd.user.audit.id", "user.audit.name", "user.audit.id", "process.parent.executable", "process.parent.name",
		"process.parent.args", "process.parent.command_line", "process.parent.entity_id", "orlop.process.ancestor",
		"process.entry_leader.executable", "process.session_leader.executable", "process.entity_id",
	} {
		e.Set(s.Field(f), event.String("/a/stranger's"))
	}
}

func quoted(names []string) string {
	for i, n := range names {
		names[i] = syntax.QuoteString(n)
	}
	const most = 6
	if n := len(names) - most; n > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more rules", n)
	}
	return strings.Join(names, ", ")
}

// everything reports whether a pattern is no condition.
func everything(p string) bool { return p != "" && strings.Trim(p, "*") == "" }

// loose says why anybody could have a program that the pattern of a path takes in, or
// "" if only who may install programs could.
func loose(p string) string {
	switch {
	case p == "" || strings.Trim(p, "/*?") == "":
		return "takes in every program"
	case p[0] == '*' || p[0] == '?':
		return "is a name alone, which a program in any folder may have: write its folder"
	case p[0] != '/':
		return "is no path, such as /opt/" + p
	case strings.Contains(p, "/../") || strings.Contains(p, "/./"):
		return "is no path of a file: write it without . and .."
	}
	for _, dir := range [...]string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/run/lock/", "/proc/", "/dev/mqueue/"} {
		if reaches(p, dir) {
			return "takes in programs in " + strings.TrimSuffix(dir, "/") + ", where anybody may put one"
		}
	}
	if home := "/home/"; strings.ContainsAny(p, "*?") && reaches(p, home) {
		return "takes in programs in /home, where every user may put one"
	}
	return ""
}

// reaches reports whether a pattern may match a path that begins with dir.
func reaches(p, dir string) bool {
	for i := range len(dir) {
		switch {
		case i == len(p):
			return false
		case p[i] == '*':
			return true
		case p[i] != '?' && p[i] != dir[i]:
			return false
		}
	}
	return true
}

// Programs that do what they are told, by what that makes of an entry that takes one in.
const (
	// Shells and interpreters are above what anybody runs, and speak to any socket.
	interpreters = "sh bash dash ash zsh ksh mksh fish tcsh csh rbash pwsh expect tclsh " +
		"python python2 python2.7 python3 python3.6 python3.8 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14 pypy3 " +
		"perl perl5.34 perl5.36 perl5.38 perl5.40 ruby ruby3.1 ruby3.3 node nodejs php php8.1 php8.2 php8.3 lua lua5.1 lua5.3 lua5.4"

	// Starters are above what anybody runs.
	starters = "sshd sshd-session login su sudo doas pkexec runuser cron crond anacron atd at batch systemd-run run-parts xargs find env nohup timeout setsid nice " +
		"script screen tmux make ssh"

	// Speakers speak to a socket for whoever tells them to, or run what does.
	speakers = "busybox toybox deno bun luajit java guile gawk awk mawk socat socat1 nc ncat netcat nc.openbsd nc.traditional curl wget openssl " +
		"ssh sshd sshd-session systemd-socket-proxyd gdb sudo env nsenter chroot vim"
)

// takesIn returns a program of those names that a pattern takes in, in a folder for
// programs; "" is none.
func takesIn(pattern string, names ...string) string {
	p := expr.NewPattern(pattern, false)
	for _, some := range names {
		for name := range strings.FieldsSeq(some) {
			for _, dir := range [...]string{
				"/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/", "/usr/lib/systemd/", "/lib/systemd/",
				"/usr/lib/openssh/", "/usr/libexec/openssh/", "/snap/bin/", "/opt/bin/", "/usr/libexec/",
			} {
				if p.Match(dir + name) {
					return dir + name
				}
			}
		}
	}
	return ""
}
