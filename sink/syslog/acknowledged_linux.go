package syslog

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// established is the state of a connection that neither side has closed.
const established = 1

var errGone = errors.New("the server has closed the connection")

// gone says that the peer has closed the connection.
func gone(c *net.TCPConn) error {
	_, err := queued(c)
	return err
}

// queued is how many bytes the peer's kernel has not acknowledged.
func queued(c *net.TCPConn) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	var err2 error
	err = raw.Control(func(fd uintptr) {
		if n, err2 = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err2 == nil {
			info, err2 = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		}
	})
	switch {
	case err != nil:
		return 0, err
	case err2 != nil:
		return 0, err2
	case info.State != established:
		return 0, errGone
	}
	return n, nil
}

// acknowledged waits until the peer's kernel has all that was written. That a
// connection was closed before is told by no write, only by this.
func acknowledged(ctx context.Context, c *net.TCPConn) error {
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 50*time.Millisecond) {
		n, err := queued(c)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
