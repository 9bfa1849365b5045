package agent

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// inits are where the first process of a host or a container has its program.
var inits = []string{
	"/sbin/init", "/usr/sbin/init", "/bin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/bin/systemd", "/usr/bin/systemd",
	"/usr/lib/systemd/systemd-executor", "/lib/systemd/systemd-executor", // what the manager becomes before a unit's program
	"/sbin/openrc-init", "/sbin/runit", "/sbin/runit-init", "/usr/bin/runit", "/sbin/procd", "/usr/bin/s6-svscan", "/bin/s6-svscan", "/init", "/bin/busybox", "/usr/bin/busybox",
	"/sbin/tini", "/usr/bin/tini", "/bin/tini", "/usr/bin/dumb-init", "/usr/bin/catatonit", "/usr/libexec/podman/catatonit",
}

// isInit reports whether a pattern takes in one of them.
func isInit(pattern string) bool {
	p := expr.NewPattern(pattern, false)
	return slices.ContainsFunc(inits, p.Match)
}

// asks reports whether a query asks for a field.
func asks(q *eql.Query) (yes bool) {
	q.Source.Fields(func(*syntax.Field) { yes = true })
	return yes
}

// takesOrphans reports whether a condition can hold for a process because init is its
// parent, and says nothing else of where it comes from. What it asks of the process
// itself, its user or the host may be so or not: anybody can make it so.
func (r *tuningReader) takesOrphans(q *eql.Query) bool {
	if r.orphans == nil {
		docs, d := orphans(), event.NewDecoder(r.schema)
		r.orphans = make([][2]event.Event, len(docs))
		for i := range docs {
			for j := range docs[i] {
				if err := d.Decode([]byte(docs[i][j]), &r.orphans[i][j]); err != nil {
					panic("agent: bug: " + err.Error())
				}
				r.orphans[i][j] = *r.orphans[i][j].Clone()
			}
		}
	}
	o := orphanage{q.Source.Src.Text, r.schema, r.orphans}
	return slices.ContainsFunc(o.outcomes(q.Source.Event.Where), func(x outcomes) bool { return x&onlyOrphan != 0 })
}

// orphans are documents of an orphan, each with one that differs in that no parent is
// known. They come from nowhere that a source would tell: from a double fork in a
// session, or from systemd-run.
func orphans() (docs [][2]string) {
	const what = `"event":{"category":["process"],"type":["start"],"action":"exec"}`
	seen := map[string]bool{}
	for _, init := range inits {
		for _, more := range [...]string{
			``,
			`,"auditd":{"user":{"audit":{"id":"unset"}}},"orlop.cgroup":"0::/system.slice/run-u7.service","process.cgroup":"0::/system.slice/run-u7.service"`,
			`,"orlop.cgroup":"0::/user.slice/user-0.slice/session-5.scope","process.cgroup.path":"/user.slice/user-0.slice/session-5.scope"`,
		} {
			name := path.Base(init)
			for _, line := range [...]string{name, init, init + " --switched-root --system --deserialize=31 splash 3"} {
				args := `"` + strings.ReplaceAll(line, " ", `","`) + `"`
				doc := fmt.Sprintf(`{%s,"process":{"parent":{"pid":1,"ppid":0,"executable":%q,"name":%q,"args":[%s],"args_count":%d,"command_line":%q,`+
					`"entity_id":"x","start":"2026-01-01T00:00:00Z","working_directory":"/"},`+
					`"entry_leader":{"pid":1,"executable":%[2]q,"name":%[3]q,"entity_id":"x","entry_meta":{"type":"init"}},"Ext":{"ancestry":["x"]}},`+
					`"orlop.process.ancestor":[%[2]q]%[7]s}`, what, init, name, args, strings.Count(line, " ")+1, line, more)
				if !seen[doc] {
					seen[doc] = true
					docs = append(docs, [2]string{doc, "{" + what + more + "}"})
				}
			}
		}
	}
	return docs
}

// An orphanage holds conditions against orphans.
type orphanage struct {
	text   string // of the query
	schema *event.Schema
	events [][2]event.Event
}

// outcomes is a set of what a condition may be of an orphan and of the same process
// without a parent.
type outcomes uint8

const (
	neither outcomes = 1 << iota
	onlyOrphan
	onlyOther
	both
)

func outcome(orphan, other bool) outcomes {
	switch {
	case orphan && other:
		return both
	case orphan:
		return onlyOrphan
	case other:
		return onlyOther
	}
	return neither
}

// combine applies op to each pair of outcomes of two conditions.
func combine(x, y outcomes, op func(a, b bool) bool) (z outcomes) {
	for a := neither; a <= both; a <<= 1 {
		for b := neither; b <= both; b <<= 1 {
			if x&a != 0 && y&b != 0 {
				z |= outcome(op(a&(onlyOrphan|both) != 0, b&(onlyOrphan|both) != 0), op(a&(onlyOther|both) != 0, b&(onlyOther|both) != 0))
			}
		}
	}
	return z
}

// outcomes returns, for each of the events, what x may be.
func (o *orphanage) outcomes(x syntax.Expr) []outcomes {
	set := make([]outcomes, len(o.events))
	switch x := x.(type) {
	case *syntax.Not:
		for i, v := range o.outcomes(x.X) {
			set[i] = combine(v, v, func(a, _ bool) bool { return !a })
		}
		return set
	case *syntax.Logical:
		for n, sub := range x.Xs {
			for i, v := range o.outcomes(sub) {
				switch {
				case n == 0:
					set[i] = v
				case x.Op == "and":
					set[i] = combine(set[i], v, func(a, b bool) bool { return a && b })
				default:
					set[i] = combine(set[i], v, func(a, b bool) bool { return a || b })
				}
			}
		}
		return set
	}
	told, fields := false, 0
	syntax.Walk(x, func(sub syntax.Expr) bool {
		if f, ok := sub.(*syntax.Field); ok {
			fields++
			told = told || isOrigin(f.Path)
		}
		return true
	})
	if fields > 0 && !told {
		for i := range set {
			set[i] = neither | both
		}
		return set
	}
	var p expr.Pred = expr.Bool(false)
	span := x.Span()
	if q, err := eql.Compile(syntax.Source{Text: "any where " + o.text[span.Start:span.End]}, o.schema); err == nil {
		p = q.Filter
	}
	for i := range o.events {
		set[i] = outcome(p.Match(&o.events[i][0]), p.Match(&o.events[i][1]))
	}
	return set
}

// isOrigin reports whether a field tells where a process comes from.
func isOrigin(field string) bool {
	for _, of := range [...]string{
		"process.parent", "process.ppid", "process.Ext.ancestry", "process.entry_leader", "process.session_leader", "process.group_leader",
		"process.cgroup", "orlop.cgroup", "orlop.process.ancestor", "auditd.user.audit", "user.audit", "auditd.session",
	} {
		if rest, ok := strings.CutPrefix(field, of); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}
