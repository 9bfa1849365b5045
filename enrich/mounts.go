package enrich

import (
	"strings"

	"github.com/orlop/orlop/event"
)

// mountFields say whether the paths of programs are what the host's files say.
type mountFields struct {
	private event.Field // as a source states it of the process that a program is started in

	path, above event.Field
}

func newMountFields(s *event.Schema) mountFields {
	return mountFields{
		private: s.Field("orlop.namespace.private"),
		path:    s.Field("orlop.process.private_path"), above: s.Field("orlop.process.private_ancestor"),
	}
}

// mounts tells c, of which s shows a new program, whether that was started in a mount
// namespace of its own, where anybody who may make one mounts any file at any path, and
// whether one above it was. p is its parent, or nil. Services of the system's manager have
// such namespaces of its making (PrivateTmp and the like), unless somebody who has logged
// in started them, or asked for a passing one. What is in a container is known to be.
func (x *Enricher) mounts(s *sight, c, p *proc) {
	if s.kind&(execed|seeded|forked) == 0 {
		return
	}
	if p != nil && (p.private || p.below) {
		c.below = true
	}
	if s.kind&(execed|seeded) == 0 {
		if p != nil && c.exe == p.exe {
			c.private = p.private
		}
		return
	}
	if s.t < c.since {
		return // A later exec came first.
	}
	c.private = first(s.e.Get(x.mf.private)).Bool() && c.container == "" && !x.service(s, c)
}

// service reports whether s is of a service that the system's manager has started.
func (x *Enricher) service(s *sight, c *proc) bool {
	if c.auid != 0 && c.auid != unset {
		return false
	}
	_, at, _ := strings.Cut(first(x.cgroupOf(s.e)).Str(), "/system.slice/")
	unit, _, _ := strings.Cut(at, "/")
	return strings.HasSuffix(unit, ".service") && !strings.HasPrefix(unit, "run-")
}

// fillMounts fills what is known of c's path and of those above it.
func (x *Enricher) fillMounts(s *sight, c *proc) {
	if c == nil || c.container != "" {
		return
	}
	if c.private {
		x.fill(s.e, x.mf.path, event.Bool(true))
	}
	if c.below {
		x.fill(s.e, x.mf.above, event.Bool(true))
	}
}
