package enrich

import (
	"math"
	"strings"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// mounted notes the mount namespace of c and returns the one that it had before, which is
// its parent's if it has started nothing. Where c is in no container's cgroup, and has come
// to see the files of a container, it is in that one. 0 is unknown.
func (x *Enricher) mounted(s *sight, c, p *proc) (was uint32) {
	if was = c.mnt; was == 0 && p != nil && s.kind&seeded == 0 {
		was = p.mnt
	}
	if s.kind&(execed|seeded) == 0 || s.t < c.since {
		if c.mnt == 0 && s.kind&forked != 0 {
			c.mnt = was
		}
		return was
	}
	c.mnt = 0
	if n := first(s.e.Get(x.of.mnt)).Int(); n > 0 && n <= math.MaxUint32 {
		c.mnt = uint32(n)
	}
	switch {
	case c.container != "" || c.mnt == 0 || was == 0 || runtimecli.LowLevel(x.tool(c)):
	case c.mnt != was:
		c.container = s.host.mountedBy(x, c)
	case p != nil && p.container != "" && c.mnt == p.mnt:
		if k := s.host.known(p.container); k != nil && k.mnt == c.mnt {
			c.container = p.container
		}
	}
	return was
}

// mountedBy is the container whose mount namespace c has, if its first process, which
// keeps that, is still there: the number of one that has ended is given out again.
func (h *host) mountedBy(x *Enricher, c *proc) string {
	for _, generation := range [...]map[string]*container{h.containers, h.older} {
		for id, k := range generation {
			if k.mnt != c.mnt {
				continue
			}
			if f := x.procs[key{h.num, k.first}]; f != nil && !f.ended && f.container == id && f.mnt == k.mnt {
				return id
			}
		}
	}
	return ""
}

// known returns what is remembered of a container, or nil.
func (h *host) known(id string) *container {
	if k := h.containers[id]; k != nil {
		return k
	}
	return h.older[id]
}

// begins notes that c is the first process of container k, which p has started.
func (k *container) begins(c, p *proc) {
	k.first, k.mnt, k.outer = c.key.pid, c.mnt, 0
	if p != nil {
		k.outer = p.mnt
	}
}

// joined reports whether c has put itself into its container by taking its files, without
// the cgroup of the container, which a runtime gives all that it starts, or after that. how
// is its entry.
func (x *Enricher) joined(s *sight, c, p *proc, k *container, path string, was uint32, how string) bool {
	if s.kind&execed == 0 || c.mnt == 0 || was == 0 || c.mnt == was || path == "" || p == nil {
		return false
	}
	if id, ok := cgroup(path); !(ok && id == k.id) && !c.host.apart(k.id, path) {
		return how == "exec" && !x.puts(p)
	}
	return how != "init" && c.mnt == k.mnt && !x.belongs(p, k)
}

// puts reports whether p puts what it starts into a container because it is asked to.
func (x *Enricher) puts(p *proc) bool {
	tool := x.tool(p)
	return p.makes != "" || p.shim != nil || runtimecli.LowLevel(tool) || strings.HasPrefix(tool, "conmon")
}

// belongs reports whether a process of container k, or of what put it there, is p or among
// those above it, as far as they are known.
func (x *Enricher) belongs(p *proc, k *container) bool {
	for range maxAnc {
		if x.puts(p) || p.container == k.id && p.mnt == k.mnt {
			return true
		}
		above := x.bornTo(p)
		if above == nil {
			above = x.procs[key{p.key.host, p.ppid}]
		}
		if above == nil || p.key.pid == 1 {
			return false
		}
		p = above
	}
	return true
}

// left reports whether c, which is in the cgroup of a container, has taken the files of
// who made that instead of the container's.
func (x *Enricher) left(s *sight, c *proc, k *container, was uint32) bool {
	return s.kind&execed != 0 && c.mnt != 0 && c.mnt == k.outer && was == k.mnt && was != c.mnt &&
		!runtimecli.LowLevel(x.tool(c))
}

// joining reports whether c or its parent p was a client that joins namespaces, such as
// nsenter, whose own start has told of it; once.
func (c *proc) joining(p *proc, t int64) bool {
	for _, of := range [...]*proc{c, p} {
		if of != nil && of.joins != 0 && t-of.joins <= act {
			of.joins = 0
			return true
		}
	}
	return false
}
