package agent

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Notifier tells systemd how a service is (sd_notify(3)): ready, reloading,
// stopping, alive. The zero Notifier, and one without systemd, tells nobody.
type Notifier struct {
	addr  string
	every time.Duration // of the watchdog; 0 is none
	last  atomic.Int64
}

// NewNotifier reads what systemd says in the environment.
func NewNotifier(env func(string) string) *Notifier {
	n := &Notifier{addr: env("NOTIFY_SOCKET")}
	if pid := env("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n
	}
	if us, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.every = time.Duration(us) * time.Microsecond
	}
	return n
}

// Ready says that events are judged.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Reloading says that new rules are being read; Ready ends that.
func (n *Notifier) Reloading() error {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return err
	}
	return n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", ts.Nano()/1000))
}

// Stopping says that the end has begun.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Alive feeds the watchdog, at most twice in its time.
func (n *Notifier) Alive(now time.Time) error {
	if n.every == 0 {
		return nil
	}
	last := n.last.Load()
	if since := now.UnixNano() - last; last != 0 && since >= 0 && since < int64(n.every/2) {
		return nil
	}
	n.last.Store(now.UnixNano())
	return n.send("WATCHDOG=1")
}

func (n *Notifier) send(state string) error {
	if n.addr == "" {
		return nil
	}
	name := n.addr
	if name[0] == '@' {
		name = "\x00" + name[1:] // abstract
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}
