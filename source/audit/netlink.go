//go:build linux

package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/internal/netlink"
)

// Messages of the kernel's audit socket.
const (
	msgGet       = 1000
	msgSet       = 1001
	msgAddRule   = 1011
	msgDelRule   = 1012
	msgListRules = 1013
	msgFirst     = 1005 // of the messages that are records
	msgReplace   = 1329 // asks whether we live

	groupReadlog = 1
	headerLen    = unix.SizeofNlMsghdr
	maxMessage   = 16 << 10 // MAX_AUDIT_MESSAGE_LENGTH is 8,970
)

// Bits of a status that AUDIT_SET is to change.
const (
	setEnabled  = 1
	setFailure  = 2
	setPID      = 4
	setBacklog  = 16
	setWaitTime = 32
)

// Values of status.
const (
	enabledOff    = 0
	enabledOn     = 1
	enabledLocked = 2

	failurePrintk = 1
	failurePanic  = 2
)

// status is struct audit_status. Kernels before 3.12 have less of it.
type status struct {
	Mask, Enabled, Failure, PID, RateLimit, BacklogLimit, Lost, Backlog, Features, BacklogWait, WaitActual uint32
}

func (s *status) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s))
}

// A conn is a socket of the kernel's audit system, for questions.
type conn struct {
	fd  int
	seq uint32
	buf []byte
}

// patience in a conversation with the kernel, which answers at once.
const answerTime = 5 * time.Second

func dial() (*conn, error) {
	fd, err := socket(0)
	if err != nil {
		return nil, err
	}
	tv := unix.NsecToTimeval(int64(answerTime))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("audit: socket: %w", err)
	}
	return &conn{fd: fd, buf: make([]byte, maxMessage)}, nil
}

func socket(flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|flags, unix.NETLINK_AUDIT)
	if err != nil {
		return -1, fmt.Errorf("audit: socket: %w", err)
	}
	return fd, nil
}

func (c *conn) close() { unix.Close(c.fd) }

// send sends a request.
func (c *conn) send(typ uint16, data []byte) error {
	c.seq++
	return sendTo(c.fd, typ, c.seq, data)
}

func sendTo(fd int, typ uint16, seq uint32, data []byte) error {
	b := make([]byte, headerLen, headerLen+len(data))
	binary.NativeEndian.PutUint32(b, uint32(headerLen+len(data)))
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return unix.Sendto(fd, append(b, data...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// request sends a request and calls each for the answers of that type, until the
// kernel says that it is done. It acknowledges before it answers.
func (c *conn) request(typ uint16, data []byte, each func(data []byte)) error {
	if err := c.send(typ, data); err != nil {
		return err
	}
	for {
		n, from, errno := netlink.Receive(c.fd, c.buf)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return errno
		}
		m, ok := message(c.buf[:n])
		if from != 0 || !ok || m.seq != c.seq {
			continue // An answer that came after our patience had ended.
		}
		switch m.typ {
		case unix.NLMSG_ERROR:
			if err := m.errno(); err != nil {
				return err
			}
			if each == nil {
				return nil
			}
		case unix.NLMSG_DONE:
			return nil
		case typ:
			if each(m.data); typ != msgListRules { // Those end with NLMSG_DONE.
				return nil
			}
		}
	}
}

// A nlmsg is one message. What the kernel writes as the length of a record is not
// always right; that of the datagram is.
type nlmsg struct {
	typ  uint16
	seq  uint32
	data []byte
}

func message(b []byte) (m nlmsg, ok bool) {
	if len(b) < headerLen {
		return m, false
	}
	return nlmsg{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:]), b[headerLen:]}, true
}

// errno is what an acknowledgement says.
func (m *nlmsg) errno() error {
	if len(m.data) < 4 {
		return errors.New("audit: short acknowledgement")
	}
	if n := int32(binary.NativeEndian.Uint32(m.data)); n != 0 {
		return unix.Errno(-n)
	}
	return nil
}

func (c *conn) status() (st status, err error) {
	got := false
	err = c.request(msgGet, nil, func(b []byte) { got = copy(st.bytes(), b) >= 32 })
	if err == nil && !got {
		err = errors.New("the kernel does not say its audit status")
	}
	return st, err
}

// set changes what mask says to the values of st.
func (c *conn) set(mask uint32, st status) error {
	st.Mask = mask
	return c.request(msgSet, st.bytes(), nil)
}

func (c *conn) rules() ([]rule, error) {
	var rules []rule
	var bad error
	err := c.request(msgListRules, nil, func(b []byte) {
		r, err := parseRule(append([]byte(nil), b...))
		if err != nil {
			bad = err
			return
		}
		rules = append(rules, r)
	})
	return rules, errors.Join(err, bad)
}

// dropRules takes our rules out again and reports how many they were.
func (c *conn) dropRules() (int, error) {
	rules, err := c.rules()
	n := 0
	for _, r := range rules {
		if !r.ours() {
			continue
		}
		if e := c.request(msgDelRule, r.raw, nil); e != nil && e != unix.ENOENT {
			err = errors.Join(err, fmt.Errorf("audit: delete our rule: %w", e))
			continue
		}
		n++
	}
	return n, err
}

// program is the name of a process, for messages.
func program(pid uint32) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("pid %d", pid)
	}
	return fmt.Sprintf("%q, pid %d", b[:max(len(b)-1, 0)], pid)
}
