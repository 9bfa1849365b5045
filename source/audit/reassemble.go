package audit

import (
	"bytes"
	"math/bits"
	"time"

	"github.com/orlop/orlop/event"
)

// Bounds of what a Reassembler holds. Events that are finished leave at once,
// so only a flood of unfinished ones comes near.
const (
	maxPending = 4096     // unfinished events
	maxHeld    = 32 << 20 // bytes of their records, all together
	maxEvent   = 8 << 20  // bytes of one event's records; execve allows 6 MiB of arguments
	maxRecords = 8192     // of one event
	maxNodes   = 1024

	patience  = 2000 // ms that an event waits for its records; auditd's end_of_event_timeout
	remember  = 8192 // finished events whose late records are recognised
	setBack   = 64   // events in a row before the clock that mean it was set back
	keepBytes = 64 << 10
)

// Counts are what happened to the records and events of a Reassembler.
type Counts struct {
	Events     int64 // emitted
	Incomplete int64 // of those, the ones that lack records
	Evicted    int64 // of Events, those that had to leave early for want of room
	Late       int64 // records that came after their event was emitted, and duplicates
	Gaps       int64 // serial numbers that were passed over: lost, or not selected by a rule
}

// A Reassembler puts the records of events together again. Push it records in
// the order they were read; an event is emitted when it is whole, or when the
// clock of its node, which is the time of the records, has moved on by two
// seconds. It never looks at the wall clock and is not safe for concurrent use.
//
// An event is whole at its EOE record; files have none, so also when the
// SYSCALL, the PROCTITLE, all the PATHs and all the arguments that the records
// promise are there. Types that are records of their own are whole at once.
type Reassembler struct {
	only     []byte // the login uid of events that are wanted; nil is any
	filtered int64  // events of others
	current  struct {
		node   string
		serial uint64
	} // the event that is emitted

	dec    *event.Decoder
	ev     event.Event
	parse  parser
	doc    []byte
	counts Counts

	nodes   map[string]*node
	nodeIDs uint64
	last    *pending // of the last record
	n       int      // pending events
	held    int      // bytes of their records
	table   [2 * maxPending]*pending
	all     list // in order of arrival
	free    *pending
	nfree   int
	closed  [remember]key
}

// NewReassembler returns a Reassembler of events with the fields of s.
func NewReassembler(s *event.Schema) *Reassembler {
	return &Reassembler{dec: event.NewDecoder(s), nodes: map[string]*node{}}
}

// Counts returns what has been counted so far.
func (r *Reassembler) Counts() Counts {
	c := r.counts
	for _, n := range r.nodes {
		c.Gaps += n.missing()
	}
	return c
}

// key identifies an event.
type key struct {
	node   uint64
	millis int64
	serial uint64
}

func (k key) hash() uint64 {
	h := (k.serial ^ k.node<<40) * 0x9e3779b97f4a7c15
	return (h ^ uint64(k.millis)*0xff51afd7ed558ccd) >> 32
}

// A node is one host of the log.
type node struct {
	id     uint64
	name   string
	clock  int64  // ms: the latest record time
	behind int    // events in a row that were before clock - patience
	serial uint64 // the highest
	recent uint64 // bit i says that serial-i was seen
	seen   bool   // serial is set
	open   list   // its pending events, in order of arrival
}

// A pending event waits for its records.
type pending struct {
	key
	n      *node
	opened int64 // the node's clock at its first record
	origin event.Origin
	buf    []byte
	recs   []rec
	has    uint8
	over   bool // records were dropped: too many
	tries  int

	chain *pending // in table
	all   links
	open  links
}

const (
	hasSyscall = 1 << iota
	hasProctitle
	hasSubject // a record that can be alone
	hasPart    // a record that belongs to a system call
	hasExecve
)

// A rec is a record of a pending event: parts of its buf.
type rec struct {
	typ            Type
	name, raw, end uint32 // raw is where the name ends and the raw text begins
	names          uint32 // where the translated fields begin
}

func (p *pending) nameOf(r *rec) []byte  { return p.buf[r.name:r.raw] }
func (p *pending) rawOf(r *rec) []byte   { return p.buf[r.raw:r.names] }
func (p *pending) namesOf(r *rec) []byte { return p.buf[r.names:r.end] }

type links struct{ prev, next *pending }

// A list is one of the two that a pending event is on.
type list struct{ head, tail *pending }

func (l *list) push(p *pending, at func(*pending) *links) {
	a := at(p)
	a.prev, a.next = l.tail, nil
	if l.tail == nil {
		l.head = p
	} else {
		at(l.tail).next = p
	}
	l.tail = p
}

func (l *list) remove(p *pending, at func(*pending) *links) {
	a := at(p)
	if a.prev == nil {
		l.head = a.next
	} else {
		at(a.prev).next = a.next
	}
	if a.next == nil {
		l.tail = a.prev
	} else {
		at(a.next).prev = a.prev
	}
	*a = links{}
}

func inAll(p *pending) *links  { return &p.all }
func inOpen(p *pending) *links { return &p.open }

// Push adds a record, which was read at o, and emits the events that are whole
// by it. The record may be reused at once. The error is that of emit.
func (r *Reassembler) Push(rec *Record, o event.Origin, emit func(*event.Event) error) error {
	p := r.last
	// Fast path: the records of an event mostly follow each other.
	if p == nil || p.serial != rec.Serial || p.millis != rec.Millis || p.n.name != string(rec.Node) {
		var err error
		if p, err = r.find(rec, o, emit); p == nil {
			return err
		}
	}
	r.last = p
	if rec.Type == typeEOE {
		return r.finish(p, false, emit)
	}
	if !r.add(p, rec) {
		return nil
	}
	if single(rec.Type) {
		return r.finish(p, false, emit)
	}
	// Whole already? Ask only when it can be, and a hostile event not forever.
	if p.has&(hasSyscall|hasProctitle) == hasSyscall|hasProctitle && p.tries < 32 {
		p.tries++
		if r.parse.event(p); r.parse.whole() {
			return r.emit(p, false, emit)
		}
	}
	if r.held > maxHeld {
		return r.evict(emit)
	}
	return nil
}

// find returns the pending event of a record. It is nil if the record is late
// or if there is nothing to wait for.
func (r *Reassembler) find(rec *Record, o event.Origin, emit func(*event.Event) error) (*pending, error) {
	n := r.nodes[string(rec.Node)]
	if n == nil {
		if len(r.nodes) >= maxNodes {
			if err := r.Flush(emit); err != nil {
				return nil, err
			}
			r.counts = r.Counts()
			clear(r.nodes)
		}
		r.nodeIDs++
		n = &node{id: r.nodeIDs, name: string(rec.Node), clock: rec.Millis}
		r.nodes[n.name] = n
	}
	k := key{n.id, rec.Millis, rec.Serial}
	h := k.hash() % uint64(len(r.table))
	for p := r.table[h]; p != nil; p = p.chain {
		if p.key == k {
			return p, nil
		}
	}
	if *r.done(k) == k {
		if rec.Type != typeEOE {
			r.counts.Late++
		}
		return nil, nil
	}
	if rec.Type == typeEOE {
		return nil, nil
	}
	n.tick(rec.Millis)
	if !daemons(rec.Type) {
		n.count(rec.Serial, &r.counts.Gaps)
	}
	if err := r.expire(n, emit); err != nil {
		return nil, err
	}
	if r.n >= maxPending {
		if err := r.evict(emit); err != nil {
			return nil, err
		}
	}
	p := r.free
	if p == nil {
		p = &pending{}
	} else {
		r.free, p.chain = p.chain, nil
		r.nfree--
	}
	p.key, p.n, p.opened, p.origin = k, n, n.clock, o
	p.chain, r.table[h] = r.table[h], p
	r.all.push(p, inAll)
	n.open.push(p, inOpen)
	r.n++
	return p, nil
}

// done is where a finished event is remembered: by its serial, so that the last
// ones of a node do not displace each other.
func (r *Reassembler) done(k key) *key {
	return &r.closed[(k.serial+k.node*0x9e3779b1)%remember]
}

// tick moves the node's clock to the time of a new event. A record's time is
// that of the entry to the system call, so it can lie far back; only when all
// events do has somebody set the clock, or begun with another log.
func (n *node) tick(millis int64) {
	switch {
	case millis >= n.clock:
		n.clock, n.behind = millis, 0
	case millis < n.clock-patience:
		if n.behind++; n.behind >= setBack {
			n.behind = 0
			for p := n.open.head; p != nil; p = p.open.next {
				p.opened += millis - n.clock
			}
			n.clock = millis
		}
	default:
		n.behind = 0
	}
}

// daemons reports whether a type of record is one that auditd makes itself, with serial
// numbers of its own (AUDIT_FIRST_DAEMON to AUDIT_LAST_DAEMON of linux/audit.h).
func daemons(t Type) bool { return t >= 1200 && t <= 1299 }

// count follows the serial numbers. They are consecutive as long as nothing is
// lost, but can arrive a little out of order, wrap around, and begin anew. What is
// missing of the last 64 may still come.
func (n *node) count(serial uint64, gaps *int64) {
	if !n.seen {
		n.seen, n.serial, n.recent = true, serial, ^uint64(0)
		return
	}
	switch d := int32(uint32(serial) - uint32(n.serial)); {
	case d > 1<<20 || d < -1<<12: // another boot
		*gaps += n.missing()
		n.serial, n.recent = serial, ^uint64(0)
	case d >= 64:
		*gaps += n.missing() + int64(d) - 64
		n.serial, n.recent = serial, 1
	case d > 0:
		*gaps += int64(d) - int64(bits.OnesCount64(n.recent>>(64-d)))
		n.serial, n.recent = serial, n.recent<<d|1
	case d > -64:
		n.recent |= 1 << -d
	case *gaps > 0: // one that seemed to be missing
		*gaps--
	}
}

// missing is how many of the last 64 serials have not been seen.
func (n *node) missing() int64 {
	if !n.seen {
		return 0
	}
	return int64(64 - bits.OnesCount64(n.recent))
}

// add stores a record of p; it reports false for a duplicate and for one that
// there is no room for.
func (r *Reassembler) add(p *pending, in *Record) bool {
	size := len(in.Name) + len(in.Raw) + len(in.Names)
	if len(p.buf)+size > maxEvent || len(p.recs) >= maxRecords {
		p.over = true
		return false
	}
	for i := range p.recs {
		q := &p.recs[i]
		if q.typ == in.Type && int(q.end-q.name) == size && bytes.Equal(p.rawOf(q), in.Raw) {
			r.counts.Late++
			return false
		}
	}
	q := rec{typ: in.Type, name: uint32(len(p.buf))}
	p.buf = append(p.buf, in.Name...)
	q.raw = uint32(len(p.buf))
	p.buf = append(p.buf, in.Raw...)
	q.names = uint32(len(p.buf))
	p.buf = append(p.buf, in.Names...)
	q.end = uint32(len(p.buf))
	p.recs = append(p.recs, q)
	r.held += size
	switch {
	case in.Type == typeSyscall:
		p.has |= hasSyscall
	case in.Type == typeProctitle:
		p.has |= hasProctitle | hasPart
	case in.Type == typeExecve:
		p.has |= hasExecve | hasPart
	case part(in.Type):
		p.has |= hasPart
	default:
		p.has |= hasSubject
	}
	return true
}

// part reports whether records of a type only come with a SYSCALL.
func part(t Type) bool {
	switch t {
	case 1305, 1319, 1324, 1325, 1326: // CONFIG_CHANGE, TTY, NETFILTER_PKT, NETFILTER_CFG, SECCOMP
		return false
	case 1337, 1402, 1420, 1421: // OPENAT2, AVC_PATH, MAC_TASK_CONTEXTS, MAC_OBJ_CONTEXTS
		return true
	}
	return t >= 1301 && t <= 1327
}

// single reports whether a record of a type is an event of its own. Programs
// send those; the kernel's are followed by the SYSCALL that caused them.
func single(t Type) bool {
	return t == 1005 || t >= 1100 && t < 1300 || t == 2000 || t >= 2100 && t < 3000
}

// Advance tells that the time is now, so that events of a live log do not wait
// for the next record. It is of no use for recorded ones.
func (r *Reassembler) Advance(now time.Time, emit func(*event.Event) error) error {
	for _, n := range r.nodes {
		n.clock = max(n.clock, now.UnixMilli())
		if err := r.expire(n, emit); err != nil {
			return err
		}
	}
	return nil
}

// Flush emits all that is pending, in order of arrival, at the end of the input.
func (r *Reassembler) Flush(emit func(*event.Event) error) error {
	for r.all.head != nil {
		if err := r.finish(r.all.head, false, emit); err != nil {
			return err
		}
	}
	return nil
}

// expire emits the events of n that have waited long enough.
func (r *Reassembler) expire(n *node, emit func(*event.Event) error) error {
	for p := n.open.head; p != nil && n.clock > p.opened+patience; p = n.open.head {
		if err := r.finish(p, false, emit); err != nil {
			return err
		}
	}
	return nil
}

// evict emits the oldest events until there is room.
func (r *Reassembler) evict(emit func(*event.Event) error) error {
	for r.all.head != nil && (r.n >= maxPending || r.held > maxHeld) {
		r.counts.Evicted++
		if err := r.finish(r.all.head, true, emit); err != nil {
			return err
		}
	}
	return nil
}

// finish emits what there is of p.
func (r *Reassembler) finish(p *pending, evicted bool, emit func(*event.Event) error) error {
	if len(p.recs) == 0 {
		r.remove(p)
		return nil
	}
	r.parse.event(p)
	return r.emit(p, evicted, emit)
}

// emit encodes p, which has just been parsed, forgets it, and hands it on.
func (r *Reassembler) emit(p *pending, evicted bool, emit func(*event.Event) error) error {
	cut := r.parse.incomplete() || evicted && !r.parse.settled()
	if r.only != nil && !bytes.Equal(r.parse.sys[fAuid].val, r.only) {
		r.remove(p)
		r.filtered++
		return nil
	}
	r.doc = r.parse.appendDoc(r.doc[:0], cut)
	origin := p.origin
	r.current.node, r.current.serial = p.n.name, p.serial
	r.remove(p)
	r.counts.Events++
	if cut {
		r.counts.Incomplete++
	}
	if err := r.dec.Decode(r.doc, &r.ev); err != nil {
		panic("audit: bug: " + err.Error() + ": " + string(r.doc))
	}
	r.ev.Origin = origin
	err := emit(&r.ev)
	if cap(r.doc) > 1<<20 {
		r.doc = nil
	}
	return err
}

// remove takes p off all lists and keeps its memory for the next event.
func (r *Reassembler) remove(p *pending) {
	*r.done(p.key) = p.key
	at := &r.table[p.hash()%uint64(len(r.table))]
	for *at != p {
		at = &(*at).chain
	}
	*at = p.chain
	r.all.remove(p, inAll)
	p.n.open.remove(p, inOpen)
	r.n--
	r.held -= len(p.buf)
	if r.last == p {
		r.last = nil
	}
	if r.nfree >= 256 || cap(p.buf) > keepBytes || cap(p.recs) > 256 {
		return
	}
	*p = pending{buf: p.buf[:0], recs: p.recs[:0], chain: r.free}
	r.free = p
	r.nfree++
}
