package enrich

import (
	"time"

	"github.com/orlop/orlop/enrich/runtimecli"
	"github.com/orlop/orlop/event"
)

// Options bound the memory of an Enricher. The zero Options are the defaults.
type Options struct {
	MaxProcesses int           // default 65,536; at least 16
	MaxBytes     int           // default 32 MiB, for entries and what they keep, and what is known of containers and sockets; at least 64 KiB
	MaxAge       time.Duration // how long an entry that no event touches is trusted; default 24 h
}

// Stats counts what an Enricher has done.
type Stats struct {
	Events    uint64 // events that name a process
	Filled    uint64 // fields filled
	Parents   uint64 // parents asked for and found
	Unknown   uint64 // parents asked for that the stream has not shown
	Untrusted uint64 // parents asked for whose pid was in the table, but for another process as far as one can tell
	Reused    uint64 // pids seen to have passed to another process
	Late      uint64 // events about a process that was already replaced
	Wraps     uint64 // laps of the pid circle seen, all hosts
	Evicted   uint64 // processes forgotten to stay within the limits

	Processes int // in the table now
	Bytes     int // that they take, by our reckoning
	Hosts     int
}

// An Enricher fills the events of a stream. It is not safe for concurrent use,
// and wants the events of a host in the order in which they happened, or nearly.
type Enricher struct {
	f     fields
	o     Options
	stats Stats

	hosts    map[string]*host
	last     *host // of the last event
	nextHost uint32

	procs map[key]*proc
	lru   proc // ring of processes that run, for all that is known; next is the newest
	over  proc // ring of those that have ended
	ended int  // how many those are
	free  *proc
	bytes int
	kept  int // by hosts, of what is no process
	known int // of the Kubernetes API

	words map[string]string
	buf   []byte

	rf        runtimeFields
	of        originFields
	kf        requestFields
	requests  []request  // for execs, the oldest first
	entrances []entrance // the newest last
	forgotten int64      // until when requests are no longer remembered
	behind    bool       // a request has come behind its exec
	pods      map[string]pod
	olderPods map[string]pod
	audited   bool // the stream has the audit log of the Kubernetes API
	sf        sessionFields
	yf        secretFields
	args, env []string
}

// fields are the numbers of all fields that are read or filled.
type fields struct {
	hostID, hostName, bootID event.Field
	category                 event.Field
	typ, action              event.Field
	outcome, call            event.Field

	pid, entity, start, exe, name, args event.Field
	argsCount, commandLine, ancestry    event.Field
	ppid, oldPpid                       event.Field

	parentExe, parentName, parentArgs, parentArgsCount event.Field
	parentCommandLine, parentEntity, parentStart       event.Field

	session                    event.Field
	auid, userAuid             event.Field
	oldSession, oldSession2    event.Field
	container                  event.Field
	cgroup, cgroupPath, orlopC event.Field
}

// New returns an Enricher for events of s.
func New(s *event.Schema, o Options) *Enricher {
	if o.MaxProcesses <= 0 {
		o.MaxProcesses = 1 << 16
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 32 << 20
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 24 * time.Hour
	}
	o.MaxProcesses = max(o.MaxProcesses, 16)
	o.MaxBytes = max(o.MaxBytes, 64<<10)
	x := &Enricher{
		o:     o,
		rf:    newRuntimeFields(s),
		of:    newOriginFields(s),
		sf:    newSessionFields(s),
		kf:    newRequestFields(s),
		yf:    newSecretFields(s),
		hosts: map[string]*host{},
		procs: map[key]*proc{},
		words: map[string]string{},
		f: fields{
			hostID: s.Field("host.id"), hostName: s.Field("host.name"), bootID: s.Field("host.boot.id"),
			category: s.Field("event.category"), typ: s.Field("event.type"),
			action: s.Field("event.action"), outcome: s.Field("event.outcome"), call: s.Field("auditd.data.syscall"),
			pid: s.Field("process.pid"), entity: s.Field("process.entity_id"), start: s.Field("process.start"),
			exe: s.Field("process.executable"), name: s.Field("process.name"), args: s.Field("process.args"),
			argsCount: s.Field("process.args_count"), commandLine: s.Field("process.command_line"),
			ancestry: s.Field("process.Ext.ancestry"),
			ppid:     s.Field("process.parent.pid"), oldPpid: s.Field("process.ppid"),
			parentExe: s.Field("process.parent.executable"), parentName: s.Field("process.parent.name"),
			parentArgs: s.Field("process.parent.args"), parentArgsCount: s.Field("process.parent.args_count"),
			parentCommandLine: s.Field("process.parent.command_line"),
			parentEntity:      s.Field("process.parent.entity_id"), parentStart: s.Field("process.parent.start"),
			session: s.Field("auditd.session"), auid: s.Field("auditd.user.audit.id"), userAuid: s.Field("user.audit.id"),
			oldSession: s.Field("auditd.data.old-ses"), oldSession2: s.Field("auditd.data.old_ses"),
			container: s.Field("container.id"),
			cgroup:    s.Field("process.cgroup"), cgroupPath: s.Field("process.cgroup.path"), orlopC: s.Field("orlop.cgroup"),
		},
	}
	x.lru.next, x.lru.prev = &x.lru, &x.lru
	x.over.next, x.over.prev = &x.over, &x.over
	return x
}

// Stats returns the counters so far.
func (x *Enricher) Stats() Stats {
	s := x.stats
	s.Processes, s.Bytes, s.Hosts = len(x.procs), x.bytes+x.kept+x.known, len(x.hosts)
	return s
}

// kind is what an event says about its process; a document may say several.
type kind uint8

const (
	forked kind = 1 << iota
	execed
	seeded // was already there
	ended
)

// sight is what one event shows of its process.
type sight struct {
	e         *event.Event
	host      *host
	pid, ppid uint32 // 0 is unknown
	sid       uint32 // of the leader of its session; 0 is none, or unknown
	led       bool   // it is known
	t         int64  // nanoseconds since 1970; 0 is unknown
	kind      kind
	exe       string
	cgroup    string // "" is not stated, or of no account
	apart     bool   // that is not what its container is called
	entity    string
	start     int64
	session   id
	auid      id
	login     bool             // it is a change of session
	words     event.Value      // of its command line, where it has no arguments
	call      *runtimecli.Call // what it asks of a container runtime, if it does
}

// Apply remembers what e shows and fills what e lacks. What it sets stays valid
// as long as e does.
func (x *Enricher) Apply(e *event.Event) {
	f := &x.f
	if e.Get(x.of.auditID).Exists() {
		x.audited = true
		x.api(e)
	}
	v := e.Get(f.pid)
	pid := number(first(v))
	if pid == 0 { // Fast path: no process.
		if e.Get(f.args).Exists() || e.Get(x.rf.socketPath).Exists() {
			s := sight{e: e, kind: x.kindOf(e), exe: path(e.Get(f.exe))}
			x.meaning(&s, nil, nil)
			x.reads(&s, nil, nil)
		}
		return
	}
	x.stats.Events++
	s := sight{e: e, pid: pid, host: x.hostOf(e)}
	if !e.Time.IsZero() {
		s.t = e.Time.UnixNano()
	}
	s.kind = x.kindOf(e)
	if v := e.Get(f.ppid); v.Exists() {
		s.ppid = number(v)
	} else if v := e.Get(f.oldPpid); v.Exists() {
		if s.ppid = number(v); s.ppid != 0 {
			x.fill(e, f.ppid, event.Int(int64(s.ppid)))
		}
	}
	s.exe = path(e.Get(f.exe))
	s.entity = first(e.Get(f.entity)).Str()
	s.start = when(e.Get(f.start))
	if v := e.Get(x.sf.pid); v.Exists() {
		s.sid, s.led = number(v), true
	}
	s.session = idOf(e.Get(f.session))
	if s.auid = idOf(e.Get(f.auid)); s.auid == 0 {
		s.auid = idOf(e.Get(f.userAuid))
	}
	s.login = e.Get(f.oldSession).Exists() || e.Get(f.oldSession2).Exists() || has(e.Get(f.action), "changed-login-id-to")

	c, fresh := x.find(&s)
	p := x.parent(&s, c)
	if c != nil {
		x.update(&s, c, p, fresh)
	}
	x.fillOwn(&s, c)
	if p != nil {
		x.fillParent(&s, p)
	}
	x.fillSession(&s, c)
	x.fillEntry(&s, c)
	x.meaning(&s, c, p)
	x.reads(&s, c, p)
	if s.kind&(ended|execed) == ended && len(s.host.calls) > 0 {
		s.host.hungUp(s.pid, s.t)
	}
	for len(x.procs) > x.o.MaxProcesses || x.bytes+x.kept+x.known > x.o.MaxBytes && len(x.procs) > 1 {
		x.stats.Evicted++
		x.remove(x.stale())
	}
}
