//go:build linux

package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/netlink"
	"github.com/orlop/orlop/internal/procfs"
	"github.com/orlop/orlop/source"
)

const capNetAdmin = 12

// receiveBuffer is what the kernel may keep for us: some 10,000 messages.
const receiveBuffer = 8 << 20

// maxQueue is how many messages are kept until they are looked at.
const maxQueue = 1 << 17

// A Sensor is a source of this host's events. It reads from Open on.
type Sensor struct {
	o      Options
	limits []source.Check
	host   *procfs.Host
	dec    *event.Decoder
	e      event.Event
	doc    []byte
	seq    uint64

	since  int64 // a time before the first event, in nanoseconds since 1970
	file   *os.File
	raw    syscall.RawConn
	wg     sync.WaitGroup
	closed atomic.Bool
	acked  chan error
	ready  chan struct{}

	mu    sync.Mutex
	queue []message
	spare []message
	ended error

	known map[uint32]origin // by pid

	received, ignored, emitted, seeded, lost, gone atomic.Int64
}

// origin is what is known of a process without asking /proc.
type origin struct {
	ppid     uint32
	loginUID uint32
	login    bool   // loginUID is known
	start    uint64 // boot time in nanoseconds; 0 is unknown
}

// Open begins to listen. If the host does not let it, the error is a
// *source.MissingError that says what is missing.
func Open(o Options) (*Sensor, error) {
	checks := Checks(o.Host)
	if err := source.FirstMissing("proc", checks); err != nil {
		return nil, err
	}
	h, err := procfs.NewHost(o.Host)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("proc: socket: %w", err)
	}
	s := &Sensor{o: o, limits: source.Limits(checks), since: time.Now().UnixNano(), host: h, dec: event.NewDecoder(o.Schema), acked: make(chan error, 1), ready: make(chan struct{}, 1), known: map[uint32]origin{}}
	s.file = os.NewFile(uintptr(fd), "proc connector")
	netlink.SetBuffer(fd, receiveBuffer)
	s.raw, err = s.file.SyscallConn()
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: idxProc})
	}
	if err == nil {
		s.wg.Go(s.read)
		err = unix.Sendto(fd, listenRequest(uint32(os.Getpid())), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err == nil {
		select {
		case err = <-s.acked:
		case <-time.After(2 * time.Second):
			err = &source.MissingError{Source: "proc", What: "the kernel's connector does not answer", Fix: "boot a kernel with CONFIG_PROC_EVENTS=y"}
		}
	}
	if err != nil {
		s.Close()
		var missing *source.MissingError
		if errors.Is(err, unix.ECONNREFUSED) {
			missing = &source.MissingError{Source: "proc", What: "there is no connector in this network namespace", Fix: "run it with hostNetwork: true, or --net=host", Err: err}
		}
		if missing != nil || errors.As(err, &missing) {
			return nil, missing
		}
		return nil, fmt.Errorf("proc: listen: %w", err)
	}
	return s, nil
}

// Checks looks at what the source needs, and changes nothing. Host is what the host is to be
// called, "" if nobody says.
func Checks(host string) []source.Check {
	var out []source.Check
	add := func(name, state, fix string) {
		out = append(out, source.Check{Name: name, State: state, Fix: fix, Needed: true})
	}
	switch caps, ok := procfs.Capabilities(); {
	case !ok:
		add("capabilities", "/proc/self/status cannot be read", "mount /proc")
	case caps>>capNetAdmin&1 == 0:
		add("capabilities", "no CAP_NET_ADMIN", "run as root, or with AmbientCapabilities=CAP_NET_ADMIN CAP_SYS_PTRACE CAP_DAC_READ_SEARCH in the unit")
	default:
		add("capabilities", "CAP_NET_ADMIN", "")
	}
	switch {
	case !procfs.InitUsers():
		add("namespaces", "a user namespace of its own, to which the kernel tells nothing", "run it outside")
	case !procfs.InitPIDs():
		add("namespaces", "a pid namespace of its own, to which the kernel tells nothing", "run it with hostPID: true, or --pid=host")
	case !procfs.InitNet():
		add("namespaces", "a network namespace of its own, where there is no connector", "run it with hostNetwork: true, or --net=host")
	default:
		add("namespaces", "the host's", "")
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		add("connector", "not in this kernel: "+err.Error(), "boot a kernel with CONFIG_CONNECTOR=y and CONFIG_PROC_EVENTS=y")
		return out
	}
	unix.Close(fd)
	add("connector", "yes", "")
	state, fix := procfs.Identity(host)
	out = append(out, source.Check{Name: "identity", State: state, Fix: fix})
	if traced, hidden, _ := procfs.Unseen(); traced {
		what := "the programs and working directories"
		if hidden {
			what = "anything but the pids, since /proc hides them (hidepid)"
		}
		out = append(out, source.Check{Name: "CAP_SYS_PTRACE", State: "missing; not known of other users' or more capable processes: " + what, Fix: "AmbientCapabilities=CAP_SYS_PTRACE in the unit, or --cap-add=SYS_PTRACE"})
	}
	return out
}

// read reads until the socket is closed.
func (s *Sensor) read() {
	buf := make([]byte, 4096)
	seen := counters{}
	for {
		var failed error
		err := s.raw.Read(func(fd uintptr) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			var some bool
			some, failed = netlink.Batch(int(fd), buf, func(b []byte) { s.hear(b, seen) }, func() {}) // The numbers tell how many.
			return some || failed != nil
		})
		err = errors.Join(err, failed)
		if err != nil {
			s.mu.Lock()
			s.ended = err
			s.mu.Unlock()
		}
		select {
		case s.ready <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// hear queues a message, or passes on that we are heard. The caller holds mu.
func (s *Sensor) hear(b []byte, seen counters) {
	var m message
	if !m.parse(b) {
		return
	}
	if m.what == whatNone {
		var err error
		if m.args[0] != 0 {
			err = unix.Errno(m.args[0])
		}
		select {
		case s.acked <- err:
		default:
		}
		return
	}
	s.lost.Add(seen.lost(&m))
	if len(s.queue) >= maxQueue {
		s.lost.Add(1)
		return
	}
	s.received.Add(1)
	s.queue = append(s.queue, m)
}

// String says what the source listens to.
func (s *Sensor) String() string {
	return "proc: proc connector exec, fork, exit; programs and arguments as far as /proc still shows them; no connect"
}

// Limits says what the sensor does not see here, though it could elsewhere.
func (s *Sensor) Limits() []source.Check { return s.limits }

// Run implements [source.Source]: until ctx ends, and then what has been read until
// then. It may be called once.
func (s *Sensor) Run(ctx context.Context, emit func(*event.Event) error) error {
	all, err := procfs.Processes()
	if err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	for _, p := range all.Processes {
		s.known[p.PID] = origin{p.PPID, p.LoginUID, p.Audit, p.Start}
	}
	if !s.o.NoSeed {
		err := s.host.Existing(all, s.since, func(doc []byte, seq uint64) error {
			s.seq = seq
			s.seeded.Add(1)
			return s.put(doc, emit)
		})
		if err != nil {
			return err
		}
	}
	stop := ctx.Done()
	lost := int64(0)
	for {
		over := false
		select {
		case <-stop:
			// What has happened is in the socket already, and so read by now or soon.
			time.Sleep(20 * time.Millisecond)
			s.Close() // What is read is judged, to the last one.
			over = true
		case <-s.ready:
		}
		s.host.Refresh()
		s.mu.Lock()
		batch, ended := s.queue, s.ended
		s.queue, s.spare = s.spare[:0], batch
		s.mu.Unlock()
		if n := s.lost.Load(); n != lost {
			lost = n
			for pid, was := range s.known { // It may be another's pid by now.
				was.start = 0
				s.known[pid] = was
			}
		}
		for i := range batch {
			if err := s.judge(&batch[i], emit); err != nil {
				return err
			}
		}
		switch {
		case over || ended != nil && s.closed.Load():
			return nil
		case ended != nil:
			return fmt.Errorf("proc: read: %w", ended)
		}
	}
}

// judge makes an event of a message.
func (s *Sensor) judge(m *message, emit func(*event.Event) error) error {
	ev := procfs.Event{Dataset: "orlop.proc", At: s.host.WallOf(m.at)}
	var p procfs.Process
	var was origin
	switch {
	case m.what == whatFork && m.args[2] == m.args[3]:
		pid, ppid := m.args[3], m.args[1]
		was = origin{ppid: ppid, loginUID: s.known[ppid].loginUID, login: s.known[ppid].login}
		ev.Action, ev.Type = "fork", "start"
		if !p.Stat(pid) || !s.host.Began(&p, ev.At) {
			p = procfs.Process{}
		}
		p.PID, p.PPID = pid, ppid
		was.start = p.Start
		s.known[pid] = was
	case m.what == whatExec:
		pid := m.args[1]
		was = s.known[pid]
		ev.Action, ev.Type, ev.Incomplete = "exec", "start", true
		q, ok := procfs.Read(pid)
		if ok && s.host.Began(q, ev.At) {
			p = *q
			was.ppid, was.start = q.PPID, q.Start
			if q.Audit {
				was.loginUID, was.login = q.LoginUID, true
			}
		} else {
			s.gone.Add(1)
			p = procfs.Process{PPID: was.ppid, Start: was.start}
		}
		p.PID = pid
		s.known[pid] = was
	case m.what == whatExit && m.args[0] == m.args[1]:
		pid := m.args[1]
		was = s.known[pid]
		ev.Action, ev.Type = "end", "end"
		code := m.args[2] >> 8 & 0xff
		if sig := m.args[2] & 0x7f; sig != 0 {
			code = 128 + sig
		}
		p = procfs.Process{PID: pid, PPID: was.ppid, Start: was.start, ExitCode: code}
		delete(s.known, pid)
	default:
		s.ignored.Add(1)
		return nil
	}
	if uid := s.o.LoginUID; uid != nil && (!was.login || was.loginUID != *uid) {
		s.ignored.Add(1)
		return nil
	}
	if !p.Audit && was.login {
		p.LoginUID, p.Audit = was.loginUID, true
	}
	var parent procfs.Process
	if p.PPID != 0 && parent.Stat(p.PPID) && s.host.Began(&parent, ev.At) {
		p.ParentStart = parent.Start
	}
	s.seq++
	ev.Sequence = s.seq
	s.doc = s.host.Document(s.doc[:0], ev, &p)
	s.emitted.Add(1)
	return s.put(s.doc, emit)
}

func (s *Sensor) put(doc []byte, emit func(*event.Event) error) error {
	from := event.Origin{Source: "proc", Offset: int64(s.seq)}
	if err := s.dec.Decode(doc, &s.e); err != nil {
		s.o.Refuse(source.Rejection{Origin: from, Class: source.ClassSyntax, Reason: "proc: bug: " + err.Error(), Data: doc})
		return nil
	}
	s.e.Origin = from
	s.o.Emitted()
	return emit(&s.e)
}

// Stats returns the counters so far.
func (s *Sensor) Stats() Stats {
	return Stats{Received: s.received.Load(), Ignored: s.ignored.Load(), Emitted: s.emitted.Load(), Seeded: s.seeded.Load(), Lost: s.lost.Load(), Gone: s.gone.Load()}
}

// Close ends the source, and a Run that is under way.
func (s *Sensor) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.file.Close()
	s.wg.Wait()
	return nil
}
