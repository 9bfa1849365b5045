//go:build linux

package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/netlink"
	"github.com/orlop/orlop/source"
)

// A Listener is a source of this host's audit events. It reads from Listen on, and
// never makes the kernel wait for what is done with them.
type Listener struct {
	*core
	about  string
	limits []source.Check
	whole  bool // all programs that start are recorded
	queue  *queue

	file *os.File // the socket of the events
	raw  syscall.RawConn
	acks chan error // of what is asked on it
	wg   sync.WaitGroup

	asking  sync.Mutex // the kernel, and what follows
	ctl     *conn      // nil if we may not ask
	changed *changes
	own     bool   // we are the kernel's daemon, and not in the multicast group
	base    uint32 // lost before us
	lost    int64
	closed  bool

	hungUp             atomic.Bool
	overruns, rejoined atomic.Int64
}

// receiveBuffer is what the kernel may keep for us, some 600 execs.
const receiveBuffer, bufferedExecs = 8 << 20, 600

// Listen begins to listen. Where no audit daemon runs it becomes the kernel's, with
// rules of its own; beside one it joins the multicast group, and changes nothing. If
// neither can be, the error is a *source.MissingError that says why.
func Listen(o Options) (*Listener, error) {
	if o.State == "" {
		o.State = DefaultState
	}
	c, err := newCore(o)
	if err != nil {
		return nil, err
	}
	l := &Listener{core: c, acks: make(chan error, 1)}
	s := look()
	s.host, s.multicast, s.state, s.loginUID = o.Host, o.Multicast, o.State, o.LoginUID
	if s.ctl != nil {
		l.ctl = s.ctl
		l.base = s.status.Lost
	}
	if err := l.open(s); err != nil {
		l.hangUp()
		if l.ctl != nil {
			l.ctl.close()
		}
		return nil, err
	}
	return l, nil
}

func (l *Listener) open(s sight) error {
	if s.ctl != nil {
		if err := cleanUp(s.ctl, l.o.State); err != nil {
			return err
		}
		if err := s.ask(); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	checks := s.checks()
	l.limits = source.Limits(checks)
	if err := source.FirstMissing("audit", checks); err != nil {
		return err
	}
	if s.mayOwn() {
		err := l.become(s.status)
		if !errors.Is(err, errTaken) {
			return err
		}
		if err := s.ask(); err != nil { // A daemon has come in between.
			return fmt.Errorf("audit: %w", err)
		}
		checks = s.checks()
		l.limits = source.Limits(checks)
		if err := source.FirstMissing("audit", checks); err != nil {
			return err
		}
	}
	if err := l.listen(groupReadlog); err != nil {
		return err
	}
	l.whole = len(cover(s.rules, runtime.GOARCH, l.o.LoginUID).add) == 0
	l.about = "multicast" + s.beside()
	if l.ctl == nil {
		l.about += "; what the kernel loses is not told without CAP_AUDIT_CONTROL"
	}
	// That we have joined is itself a record, since Linux 5.8 and if audit is on.
	select {
	case <-l.queue.ready:
		l.queue.wake()
	case <-time.After(time.Second):
		if l.ctl == nil {
			return &source.MissingError{Source: "audit", What: "nothing is heard: audit is off, or this is a network namespace of its own", Fix: "auditctl -e 1, and load rules; or give CAP_AUDIT_CONTROL"}
		}
		l.about += "; nothing is heard yet, as in a network namespace of its own"
	}
	return nil
}

var errTaken = errors.New("audit: another daemon has come")

// become makes us the kernel's audit daemon.
func (l *Listener) become(before status) error {
	c := plan(l.o.State, before)
	if err := c.save(); err != nil {
		return err
	}
	l.changed = c
	err := l.listen(0)
	if err == nil {
		err = l.ctl.set(c.Mask&^setEnabled, c.After)
	}
	if err == nil {
		err = l.register(c.PID)
		if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EACCES) {
			err = errTaken
		}
	}
	if err == nil {
		l.own = true
		err = l.ctl.set(c.Mask&setEnabled, c.After)
	}
	n := 0
	if err == nil {
		if _, err = l.ctl.dropRules(); err == nil { // left by one whose notes are gone
			for _, r := range ourRules(runtime.GOARCH, l.o.LoginUID) {
				if err = l.ctl.request(msgAddRule, r, nil); err != nil {
					err = fmt.Errorf("audit: add a rule: %w", err)
					break
				}
				n++
			}
		}
	}
	if err != nil {
		l.own = false
		var back error
		if errors.Is(err, errTaken) { // They are its own from here on, as they were.
			back = l.ctl.set(c.Mask&^setEnabled, c.Before)
		}
		back = errors.Join(back, c.undo(l.ctl))
		l.changed = nil
		l.hangUp()
		if errors.Is(err, errTaken) && back == nil {
			return errTaken
		}
		return errors.Join(fmt.Errorf("audit: become the audit daemon: %w", err), back)
	}
	l.about = fmt.Sprintf("unicast, with %d rules of our own for exec, connect and exit", n)
	return nil
}

// register makes us the daemon. If one that was killed still seems to be it, that the
// kernel refuses us is a record, with which it finds out.
func (l *Listener) register(pid uint32) error {
	for try := 0; ; try++ {
		err := l.ask(msgSet, (&status{Mask: setPID, PID: pid}).bytes())
		if !errors.Is(err, unix.EEXIST) || try == 100 {
			return err
		}
		if st, e := l.ctl.status(); e != nil || st.PID != 0 && !gone(st.PID) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// listen opens the socket of the events and begins to read it.
func (l *Listener) listen(group uint32) error {
	fd, err := socket(unix.SOCK_NONBLOCK)
	if err != nil {
		return err
	}
	netlink.SetBuffer(fd, receiveBuffer)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: group}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("audit: listen: %w", err)
	}
	l.file = os.NewFile(uintptr(fd), "audit")
	if l.raw, err = l.file.SyscallConn(); err != nil {
		return fmt.Errorf("audit: listen: %w", err)
	}
	l.queue = newQueue()
	raw, q := l.raw, l.queue
	l.wg.Go(func() { q.end(l.read(raw, q)) })
	return nil
}

// hangUp closes the socket of the events, and waits until it is not read any more.
func (l *Listener) hangUp() {
	if l.file == nil {
		return
	}
	l.hungUp.Store(true)
	l.file.Close()
	l.wg.Wait()
	l.hungUp.Store(false)
	l.file = nil
}

// ask sends a request on the socket of the events, since the kernel sends events to
// the port that the request comes from.
func (l *Listener) ask(typ uint16, data []byte) error {
	var sent error
	err := l.raw.Control(func(fd uintptr) { sent = sendTo(int(fd), typ, 1, data) })
	if err = errors.Join(err, sent); err != nil {
		return err
	}
	select {
	case err := <-l.acks:
		return err
	case <-time.After(answerTime):
		return errors.New("the kernel does not answer")
	}
}

// gather is how long records wait for others when they come faster than that: a
// wake-up for each would cost as much as all the rest.
const gather = time.Millisecond

// read reads until the socket is closed.
func (l *Listener) read(raw syscall.RawConn, q *queue) error {
	buf := make([]byte, maxMessage)
	var last time.Time
	for {
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			var some bool
			some, failed = netlink.Batch(int(fd), buf, func(b []byte) { l.hear(b, q) }, func() { l.overruns.Add(1) })
			return some || failed != nil
		})
		q.wake()
		if err = errors.Join(err, failed); err != nil {
			if l.hungUp.Load() {
				return os.ErrClosed
			}
			return err
		}
		now := time.Now()
		if now.Sub(last) < gather {
			time.Sleep(gather)
			now = time.Now()
		}
		last = now
	}
}

// hear queues a record, or passes on an acknowledgement. The caller holds the queue's mu.
func (l *Listener) hear(b []byte, q *queue) {
	m, ok := message(b)
	if !ok {
		return
	}
	if m.typ == unix.NLMSG_ERROR {
		select {
		case l.acks <- m.errno():
		default:
		}
		return
	}
	if m.typ < msgFirst || m.typ == msgReplace {
		return
	}
	for len(m.data) > 0 && (m.data[len(m.data)-1] == 0 || m.data[len(m.data)-1] == '\n') {
		m.data = m.data[:len(m.data)-1]
	}
	q.put(Type(m.typ), m.data)
}

// String says what the source listens to.
func (l *Listener) String() string { return "audit: " + l.about }

// Records reports whether all programs that start are recorded, and whether that is by
// our own rules, by which the ends of processes are recorded, too.
func (l *Listener) Records() (whole, own bool) {
	l.asking.Lock()
	defer l.asking.Unlock()
	return l.whole, l.own
}

// Limits says what the source does not hear here, though it could elsewhere.
func (l *Listener) Limits() []source.Check { return l.limits }

// Run implements [source.Source]: until ctx ends, and then what has happened until
// then. It may be called once.
func (l *Listener) Run(ctx context.Context, emit func(*event.Event) error) error {
	defer l.release()
	if err := l.existing(emit); err != nil {
		return err
	}
	out := l.counted(emit)
	tick := time.NewTicker(every)
	defer tick.Stop()
	stop := ctx.Done()
	var quiet <-chan time.Time
	for {
		select {
		case <-stop:
			stop = nil
			quiet = l.windUp()
		case <-l.queue.ready:
		case now := <-tick.C:
			if err := l.advance(now, out); err != nil {
				return err
			}
			l.check()
			l.publish(false)
		case <-quiet:
			if _, err := l.judge(out); err != nil {
				return err
			}
			return l.finish(out)
		}
		if over, err := l.judge(out); err != nil {
			return err
		} else if over {
			return l.finish(out)
		}
	}
}

// judge puts together what has been read. It reports whether that is all there will be.
func (l *Listener) judge(emit func(*event.Event) error) (over bool, err error) {
	b, ended := l.queue.take()
	origin := event.Origin{Source: "audit"}
	var rec Record
	done := int64(0)
	for len(b) > 0 {
		var text []byte
		rec.Type, text, b = next(b)
		rec.Node, rec.Name, rec.Names = nil, nil, nil
		if err := rec.ParseText(text); err != nil {
			l.o.Refuse(source.Rejection{Origin: origin, Class: source.ClassRecord, Reason: err.Error(), Data: text})
			continue
		}
		origin.Offset = int64(rec.Serial)
		if err := l.r.Push(&rec, origin, emit); err != nil {
			return false, err
		}
		if rec.Type == typeEOE {
			if done++; done == 64 {
				l.queue.did(done, false)
				l.publish(false)
				done = 0
			}
		}
	}
	l.publish(false)
	l.queue.did(0, true)
	if ended != nil && !errors.Is(ended, os.ErrClosed) {
		return false, fmt.Errorf("audit: read: %w", ended)
	}
	return ended != nil, nil
}

// check looks whether we still are what we were: while we do not read, stopped by a
// signal, the kernel gives us up.
func (l *Listener) check() {
	l.asking.Lock()
	defer l.asking.Unlock()
	if !l.own || l.closed {
		return
	}
	st, err := l.ctl.status()
	if err != nil || st.PID == l.changed.PID {
		return
	}
	if st.PID == 0 && l.ask(msgSet, (&status{Mask: setPID, PID: l.changed.PID}).bytes()) == nil {
		l.rejoined.Add(1)
		return
	}
	// Somebody else's now: listen beside it. Our rules stay until we end.
	l.raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, groupReadlog) == nil {
			l.own = false
		}
	})
}

// windUp makes an end of events, and returns when the last ones should be here: what
// the kernel still has comes within moments.
func (l *Listener) windUp() <-chan time.Time {
	l.asking.Lock()
	defer l.asking.Unlock()
	if l.changed != nil && !l.closed {
		l.ctl.dropRules()
	}
	if l.ctl != nil && !l.closed {
		for range 200 {
			if st, err := l.ctl.status(); err != nil || st.Backlog == 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return time.After(50 * time.Millisecond)
}

// Stats returns the counters so far.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	s := l.counts
	l.mu.Unlock()
	s.Overruns, s.Rejoined = l.overruns.Load(), l.rejoined.Load()
	waiting, dropped := l.queue.waiting()
	s.Waiting += waiting
	s.Dropped = dropped
	l.asking.Lock()
	defer l.asking.Unlock()
	s.Blind = l.ctl == nil
	l.askLost()
	s.Lost = l.lost
	if l.closed {
		s.Waiting = 0 // What came last is what we did ourselves.
	}
	return s
}

// askLost asks the kernel what it has lost. The caller holds asking.
func (l *Listener) askLost() {
	if l.ctl == nil || l.closed {
		return
	}
	if st, err := l.ctl.status(); err == nil {
		l.lost = int64(st.Lost - l.base)
	}
}

// release puts the kernel's settings back. It may be called again.
func (l *Listener) release() error {
	l.asking.Lock()
	defer l.asking.Unlock()
	if l.closed {
		return nil
	}
	l.askLost()
	l.closed = true
	var err error
	if l.changed != nil {
		err = l.changed.undo(l.ctl)
	}
	l.hangUp()
	if l.ctl != nil {
		l.ctl.close()
	}
	return err
}

// Close ends the source, and a Run that is under way, and puts everything back.
func (l *Listener) Close() error { return l.release() }
