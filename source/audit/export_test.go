//go:build linux

package audit

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Settings are those of the kernel and its rules, as text, for tests.
func Settings() (string, error) {
	c, err := dial()
	if err != nil {
		return "", err
	}
	defer c.close()
	st, err := c.status()
	if err != nil {
		return "", err
	}
	rules, err := c.rules()
	var b strings.Builder
	fmt.Fprintf(&b, "enabled %d failure %d pid %d rate_limit %d backlog_limit %d backlog_wait_time %d", st.Enabled, st.Failure, st.PID, st.RateLimit, st.BacklogLimit, st.BacklogWait)
	for _, r := range rules {
		fmt.Fprintf(&b, "\nrule of list %d, key %q", r.list, r.key)
	}
	return b.String(), err
}

// Daemon makes this process the kernel's audit daemon, as auditd does that, with audit
// on, until stop is called.
func Daemon() (stop func() error, err error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	// One that was killed may seem to be it, until the kernel has told it something.
	for range 100000 {
		if err = c.set(setPID, status{PID: uint32(os.Getpid())}); !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	err = errors.Join(err, c.set(setEnabled, status{Enabled: enabledOn}))
	return func() error {
		defer c.close()
		return c.set(setPID, status{})
	}, err
}

// Keep returns what sets the kernel's settings to what they are now.
func Keep() (restore func() error, err error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	st, err := c.status()
	return func() error {
		defer c.close()
		return c.set(setEnabled|setFailure|setBacklog|setWaitTime, st)
	}, err
}
