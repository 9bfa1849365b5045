package enrich

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/orlop/orlop/event"
)

const (
	moment  = int64(10 * time.Millisecond) // how far apart two clocks' readings of one instant may be
	reorder = int64(time.Second)           // how late an event of a known process may come
	maxArgs = 128 << 10                    // bytes of arguments of a process; with more, they are not kept
	maxText = 4096                         // bytes of any other string; a longer one is not kept
	maxAnc  = 20
)

type host struct {
	name  string
	boot  string // host.boot.id
	num   uint32
	procs int
	cursor
	sockets []socketFile // of container runtimes, the newest last

	kubernetes        bool // it is a node of a cluster
	containers, older map[string]*container
	calls             []clientCall // the newest last
	overs             []handOver   // the newest last
	visits            []visit      // the newest last
	kept              int          // bytes that sockets, containers and what follows them take
}

type key struct{ host, pid uint32 }

// proc is one process of the table. All strings are its own or shared with other
// entries; lists are never changed, so events may borrow them.
type proc struct {
	next, prev *proc
	key        key
	host       *host

	ppid  uint32
	at    place // where on the circle it was known alive
	first int64 // time of the first event that showed it
	since int64 // time from which the program below is known
	seen  int64 // time of the last event that touched it
	start int64 // as the source states it
	end   int64
	born  bool // first is the time of its fork
	ended bool
	said  bool // entity is the source's
	login bool // its session changed while we looked

	glimpse bool // the program is known from an event that is no exec

	session, auid id

	exe, name string
	args      []event.Value
	command   string // args joined; args point into it
	entity    string
	startText event.Value
	ancestry  []event.Value
	entry     *entry // by whom it came in; nil is unknown

	act   uint64 // what it asked of a container runtime, see callID,
	actAt int64  // and when
	main  string // it is called like a client, and is this program in Go
	open  string // the call, if its words are not those of the program that it starts
	acts  bool   // its start said what a connect of it would
	spoke [2]spoken

	readAt int64  // when it was told that it reads secrets; 0 is never
	under  uint32 // the pid of the parent that ancestry begins with

	container string
	joins     int64  // when it was told to join the namespaces of another process; 0 is never
	mnt       uint32 // mount namespace, as its last exec stated it; 0 is unknown
	outside   bool   // a cgroup says it is in no container
	entered   bool   // its first own program in the container was seen
	told      bool   // how it got into the container was told
	visits    bool   // it, or what started it there, was put into the container later
	verb      string // a runc: what it does,
	makes     string // and the container it does it to
	execID    string // with this id
	shim      *shim

	bytes int
}

// overhead is what an entry takes in the heap, map and ring, without its strings.
const overhead = int(unsafe.Sizeof(proc{})) + 64

func (x *Enricher) hostOf(e *event.Event) *host {
	name := first(e.Get(x.f.hostID)).Str()
	if name == "" {
		name = first(e.Get(x.f.hostName)).Str()
	}
	boot := first(e.Get(x.f.bootID)).Str()
	if l := x.last; l != nil && l.name == name && (boot == "" || boot == l.boot) {
		return l // Fast path: the host of the last event.
	}
	h := x.hosts[name]
	if h != nil && h.boot == "" {
		h.boot = strings.Clone(boot)
	}
	if h == nil || boot != "" && h.boot != boot {
		// After a reboot it is another host, as far as processes go.
		h = &host{name: strings.Clone(name), boot: strings.Clone(boot), num: x.nextHost}
		x.nextHost++
		x.hosts[h.name] = h
	}
	l := x.last
	x.last = h
	if l != nil {
		x.drop(l) // if it was named by events that left nothing
	}
	return h
}

// drop forgets a host without processes.
func (x *Enricher) drop(h *host) {
	if h.procs > 0 || h == x.last {
		return
	}
	if x.hosts[h.name] == h {
		delete(x.hosts, h.name)
	}
	h.sockets, h.containers, h.older, h.calls, h.overs, h.visits = nil, nil, nil, nil, nil, nil
	x.hold(h, -h.kept)
}

// verdict says whose event this is.
type verdict uint8

const (
	other  verdict = iota // of a later process than the entry's
	doubt                 // perhaps
	unsure                // can be said later
	same
	late // of an earlier process than the entry's
)

// find returns the entry of the process that s shows, and whether it is new. It
// returns nil if s is about a process that is no longer in the table, or if it is
// in doubt that it is.
func (x *Enricher) find(s *sight) (c *proc, fresh bool) {
	k := key{s.host.num, s.pid}
	c = x.procs[k]
	if c != nil {
		v := x.whose(s, c)
		switch v {
		case same:
			x.touch(c, s.t)
			return c, false
		case late:
			x.stats.Late++
			return nil, false
		case unsure:
			if s.kind&ended != 0 { // Either way, this process is over.
				x.end(c, s.t)
			}
			return nil, false
		}
		x.stats.Reused++
		x.remove(c)
		// An old process that execs must not move the place on the circle.
		return x.add(s, k, v != doubt || near(s.pid, s.host.pid)), true
	}
	return x.add(s, k, true), true
}

// whose compares an event of a pid with the entry of that pid.
func (x *Enricher) whose(s *sight, c *proc) verdict {
	before := s.t != 0 && s.t < c.first
	differs := other
	if before {
		differs = late
	}
	// Decisive: what a source states about identity.
	if s.entity != "" && c.said {
		if s.entity != c.entity {
			return differs
		}
		c.at = s.host.now(s.pid)
		return same
	}
	if s.start != 0 {
		switch {
		case c.start != 0 && near64(s.start, c.start):
			c.at = s.host.now(s.pid)
			return same
		case c.start != 0 && s.start < c.start:
			return late
		case c.start != 0 || s.start > c.first+moment:
			return differs
		case !before:
			c.at = s.host.now(s.pid)
			return same
		}
	}
	switch {
	case before:
		// Out of order, if all agrees; else of the process that had the pid before.
		if c.first-s.t > reorder || s.ppid != c.ppid || s.exe != "" && c.exe != "" && s.exe != c.exe && s.kind&forked == 0 || c.born {
			return late
		}
		c.first = s.t
		return same
	case s.kind&forked != 0:
		if s.t == c.first && s.t != 0 && s.ppid == c.ppid {
			return same // the same document again
		}
		return other
	case c.ended && (s.t == 0 || s.t > c.end+moment):
		return other
	case !s.login && !c.login && (s.session.differs(c.session) || s.auid.differs(c.auid)):
		return other
	case s.ppid != 0 && c.ppid != 0 && s.ppid != c.ppid && !x.reparented(s, c):
		return other
	case s.kind&(execed|seeded) == 0 && s.exe != "" && c.exe != "" && s.exe != c.exe:
		return other
	}
	switch g := x.gone(s.t, c); {
	case g == no:
		return same
	case g == perhaps && s.kind&(execed|seeded) == 0:
		return unsure
	}
	return doubt
}

func near64(a, b int64) bool { return a-b <= moment && b-a <= moment }

// gone says whether the process of c may have given its pid to another by t.
func (x *Enricher) gone(t int64, c *proc) chance {
	if c.ended && (t == 0 || t > c.end+moment) || t != 0 && t-c.seen > int64(x.o.MaxAge) {
		return yes
	}
	return c.host.passed(c.key.pid, c.at)
}

// reparented reports whether the parent that s states can have adopted c.
func (x *Enricher) reparented(s *sight, c *proc) bool {
	if s.ppid == 1 {
		return true
	}
	if n := x.procs[key{s.host.num, s.ppid}]; n != nil && n.container != "" && n.container == c.container {
		return true
	}
	up := c.ppid
	for range 32 {
		a := x.procs[key{s.host.num, up}]
		if a == nil {
			return false
		}
		if up = a.ppid; up == s.ppid {
			return true
		}
	}
	return false
}

// parent returns the entry of the parent that s states, if it can be trusted. c is
// the entry of the process itself, or nil.
func (x *Enricher) parent(s *sight, c *proc) *proc {
	if s.ppid == 0 || s.ppid == s.pid || x.complete(s, c) {
		return nil
	}
	p := x.procs[key{s.host.num, s.ppid}]
	if p == nil {
		if !s.e.Get(x.f.parentExe).Exists() {
			x.stats.Unknown++
		}
		return nil
	}
	if !x.trust(s, c, p) {
		x.stats.Untrusted++
		return nil
	}
	x.stats.Parents++
	x.touch(p, s.t)
	return p
}

// complete reports whether a document needs nothing of its parent's entry.
func (x *Enricher) complete(s *sight, c *proc) bool {
	// Fast path: Elastic Defend.
	f, e := &x.f, s.e
	return c != nil && c.ancestry != nil && s.kind&^ended == 0 &&
		e.Get(f.parentExe).Exists() && e.Get(f.parentEntity).Exists() && e.Get(f.parentArgs).Exists()
}

func (x *Enricher) trust(s *sight, c, p *proc) bool {
	e, f := s.e, &x.f
	if exe := path(e.Get(f.parentExe)); exe != "" && p.exe != "" && exe != p.exe {
		return false
	}
	if s.start != 0 && p.start > s.start+moment {
		return false // younger than its child
	}
	// Decisive: what the source states about the parent's identity.
	before := s.t != 0 && s.t < p.first
	decided, yes := false, false
	if v := first(e.Get(f.parentEntity)); v.Exists() && p.said {
		decided, yes = true, v.Str() == p.entity
	} else if start := when(e.Get(f.parentStart)); start != 0 {
		if p.start != 0 {
			decided, yes = true, near64(start, p.start)
		} else if !before {
			decided, yes = true, start <= p.first+moment
		}
	}
	if decided {
		if yes {
			p.at = s.host.now(s.ppid)
		}
		return yes
	}
	if before {
		return false
	}
	if x.gone(s.t, p) != no {
		return false
	}
	login := s.login || p.login || c != nil && c.login
	return login || !s.session.differs(p.session) && !s.auid.differs(p.auid)
}

// now is the place on the circle of a process that is alive at this moment.
func (h *host) now(pid uint32) place {
	if pid > h.pid && near(pid, h.pid) {
		return place{h.lap, h.cursor.boot, pid}
	}
	return h.place
}

// add makes the entry of a process that s shows for the first time.
// If it may be a new process, its pid tells where on the circle the kernel is.
func (x *Enricher) add(s *sight, k key, started bool) *proc {
	c := x.free
	if c != nil {
		x.free = c.next
		*c = proc{}
	} else {
		c = new(proc)
	}
	h := s.host
	c.key, c.host = k, h
	c.first, c.seen, c.start = s.t, s.t, s.start
	c.born = s.kind&forked != 0
	if started && s.kind&(forked|execed) != 0 {
		lap := h.lap
		if was := h.start(s.pid); was != 0 {
			x.confirm(h, was)
		}
		x.stats.Wraps += uint64(h.lap - lap)
	}
	h.see(s.pid)
	c.at = h.now(s.pid)
	if s.entity != "" && len(s.entity) <= maxText {
		c.entity, c.said = strings.Clone(s.entity), true
	} else {
		start := s.start
		if start == 0 {
			start = s.t
		}
		c.entity = x.entityID(h.name, s.pid, start)
	}
	if s.start != 0 {
		c.startText = keep(first(s.e.Get(x.f.start)))
	}
	h.procs++
	x.procs[k] = c
	x.link(c)
	x.weigh(c)
	return c
}

// confirm tells the entry of a pid whose place on the circle was in doubt.
func (x *Enricher) confirm(h *host, pid uint32) {
	if c := x.procs[key{h.num, pid}]; c != nil {
		c.at = h.place
	}
}

// end notes that the process of c has ended.
func (x *Enricher) end(c *proc, t int64) {
	if c.end = t; c.ended {
		return
	}
	c.prev.next, c.next.prev = c.next, c.prev
	c.ended = true
	x.link(c)
}

// stale is the entry that is missed the least: of those that have ended, the one touched
// longest ago. Where they are few, it is one of the others: no source may tell of ends,
// or some were lost.
func (x *Enricher) stale() *proc {
	if x.over.prev == &x.over || x.ended < len(x.procs)/4 && x.lru.prev != &x.lru {
		return x.lru.prev
	}
	return x.over.prev
}

func (x *Enricher) remove(c *proc) {
	delete(x.procs, c.key)
	c.prev.next, c.next.prev = c.next, c.prev
	if c.ended {
		x.ended--
	}
	x.bytes -= c.bytes
	c.host.procs--
	x.drop(c.host)
	*c = proc{next: x.free}
	x.free = c
}

// link puts c into the ring that it belongs to, as the newest.
func (x *Enricher) link(c *proc) {
	x.insert(c)
	if c.ended {
		x.ended++
	}
}

func (x *Enricher) insert(c *proc) {
	c.prev = x.ring(c)
	c.next = c.prev.next
	c.prev.next, c.next.prev = c, c
}

func (x *Enricher) ring(c *proc) *proc {
	if c.ended {
		return &x.over
	}
	return &x.lru
}

// touch makes c the newest of its ring.
func (x *Enricher) touch(c *proc, t int64) {
	c.seen = max(c.seen, t)
	if x.ring(c).next != c {
		c.prev.next, c.next.prev = c.next, c.prev
		x.insert(c)
	}
}

// weigh reckons the bytes of c anew.
func (x *Enricher) weigh(c *proc) {
	const value = int(unsafe.Sizeof(event.Value{}))
	n := overhead + len(c.exe) + len(c.name) + len(c.command) + len(c.entity) + len(c.container) + len(c.makes) + len(c.execID) + len(c.open) + len(c.main) +
		value*(len(c.args)+len(c.ancestry)) + len(c.startText.Str())
	for _, id := range c.ancestry {
		n += len(id.Str()) // They outlive the ancestors.
	}
	if c.shim != nil {
		n += c.shim.size()
	}
	if c.entry != nil {
		n += c.entry.size()
	}
	x.bytes += n - c.bytes
	c.bytes = n
}

// update tells c what s shows. p is its parent, or nil.
func (x *Enricher) update(s *sight, c, p *proc, fresh bool) {
	changed := fresh
	if s.entity != "" && !c.said && len(s.entity) <= maxText {
		c.entity, c.said, changed = strings.Clone(s.entity), true, true
	}
	if s.start != 0 && c.start == 0 {
		c.start, c.startText, changed = s.start, keep(first(s.e.Get(x.f.start))), true
	}
	if s.login {
		c.login = true
	}
	if s.session != 0 {
		c.session = s.session
	}
	if s.auid != 0 {
		c.auid = s.auid
	}
	if s.ppid != 0 && s.t >= c.since {
		c.ppid = s.ppid
	}
	if c.ancestry == nil && p != nil {
		n := min(len(p.ancestry)+1, maxAnc)
		c.ancestry = make([]event.Value, n)
		c.ancestry[0] = event.String(p.entity)
		c.under = p.key.pid
		copy(c.ancestry[1:], p.ancestry)
		changed = true
	}
	if x.program(s, c, p) {
		changed = true
	}
	if x.contain(s, c, p) {
		changed = true
	}
	if s.kind&ended != 0 && !c.ended {
		x.end(c, s.t)
	}
	if changed {
		x.enters(s, c, p)
		x.weigh(c)
	}
}

// program tells c which program it runs now, and reports whether that is news.
func (x *Enricher) program(s *sight, c, p *proc) bool {
	e, f := s.e, &x.f
	name, args := first(e.Get(f.name)).Str(), e.Get(f.args)
	switch {
	case s.kind&(execed|seeded) != 0:
		if s.t < c.since && !(c.glimpse && s.exe == c.exe) {
			return false // A later exec came first.
		}
	case s.kind&forked != 0:
		if c.since > s.t || c.exe != "" {
			return false
		}
		if p != nil && s.exe == "" || p != nil && s.exe == p.exe {
			if !args.Exists() {
				c.args, c.command = p.args, p.command
			} else {
				x.setArgs(c, args)
			}
			c.exe, c.name, c.since = p.exe, x.word(name), s.t
			if c.name == "" {
				c.name = p.name
			}
			return true
		}
	case c.exe == "" && s.exe != "" && s.t >= c.since:
		c.exe, c.since = x.word(s.exe), s.t
		c.name = x.word(name)
		c.args, c.command = nil, ""
		c.glimpse = true
		return true
	default:
		if c.exe == "" && c.name == "" && name != "" {
			c.name = x.word(name)
			c.since = s.t
			return true
		}
		return false
	}
	// Fast path: fork, exec and end documents repeat what is known.
	if c.exe == s.exe && sameArgs(c.args, args) && c.since != 0 && (c.exe != "" || c.name == name) {
		return false
	}
	c.exe, c.name = x.word(s.exe), x.word(name)
	c.since, c.glimpse = s.t, false
	x.setArgs(c, args)
	return true
}

// setArgs keeps the arguments v.
func (x *Enricher) setArgs(c *proc, v event.Value) {
	c.args, c.command = nil, ""
	if !v.Exists() {
		return
	}
	x.buf = join(x.buf[:0], v)
	if n := len(x.buf); n+24*v.Len() > min(maxArgs, x.o.MaxBytes/8) {
		x.buf = nil
		return
	}
	c.command = string(x.buf)
	c.args = make([]event.Value, v.Len())
	rest := c.command
	for i := range c.args {
		var n int
		if s := v.At(i); s.Kind() == event.KindString {
			n = len(s.Str())
		} else {
			n = len(s.Text())
		}
		c.args[i] = event.String(rest[:n])
		if i+1 < len(c.args) {
			rest = rest[n+1:]
		}
	}
}

// join appends the elements of v with a blank between them.
func join(dst []byte, v event.Value) []byte {
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = v.At(i).Append(dst)
	}
	return dst
}

func sameArgs(args []event.Value, v event.Value) bool {
	if len(args) != v.Len() {
		return false
	}
	for i, a := range args {
		if w := v.At(i); w.Kind() != event.KindString || w.Str() != a.Str() {
			return false
		}
	}
	return true
}

// keep copies a scalar.
func keep(v event.Value) event.Value {
	if v.Kind() == event.KindString {
		if len(v.Str()) > maxText {
			return event.Value{}
		}
		return event.String(strings.Clone(v.Str()))
	}
	return v
}

// word returns a copy of s that equal words share.
func (x *Enricher) word(s string) string {
	if s == "" || len(s) > maxText {
		return ""
	}
	if w, ok := x.words[s]; ok {
		return w
	}
	s = strings.Clone(s)
	if len(s) > 256 {
		return s
	}
	if len(x.words) >= 4096 {
		clear(x.words)
	}
	x.words[s] = s
	return s
}

// entityID makes the id of a process whose source has none.
func (x *Enricher) entityID(host string, pid uint32, start int64) string {
	b := append(x.buf[:0], host...)
	b = append(b, 0)
	b = strconv.AppendUint(b, uint64(pid), 10)
	b = append(b, 0)
	b = strconv.AppendInt(b, start, 10)
	x.buf = b
	sum := sha256.Sum256(b)
	var id [16]byte
	base64.RawStdEncoding.Encode(id[:], sum[:12])
	return string(id[:])
}
