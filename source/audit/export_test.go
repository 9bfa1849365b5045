//go:build linux

package audit

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
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

// LoadedExec reports whether a rule that is loaded records execve.
func LoadedExec() (bool, error) {
	c, err := dial()
	if err != nil {
		return false, err
	}
	defer c.close()
	s := sight{}
	s.rules, err = c.rules()
	return cover(s.rules, runtime.GOARCH, nil).exec, err
}

// Watch loads the rule of auditctl -w for a folder, or takes it out.
func Watch(dir string, load bool) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.close()
	r := ruleFor(0, nil, ruleField{field: fieldDir, text: dir}, ruleField{field: fieldPerm, value: 15})
	binary.NativeEndian.PutUint32(r, filterExit)
	for i := range maskWords { // all system calls
		binary.NativeEndian.PutUint32(r[4*(3+i):], 1<<32-1)
	}
	// Without an architecture: the last of its fields takes its place.
	n := binary.NativeEndian.Uint32(r[8:]) - 1
	binary.NativeEndian.PutUint32(r[8:], n)
	for _, at := range []int{3 + maskWords, 3 + maskWords + maxFields, 3 + maskWords + 2*maxFields} {
		copy(r[4*at:4*(at+int(n))], r[4*(at+1):])
	}
	if load {
		return c.request(msgAddRule, r, nil)
	}
	return c.request(msgDelRule, r, nil)
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

// BootOf is the host.boot.id of a record of this host, at a time.
func BootOf(millis int64) string {
	c, err := newCore(Options{Options: source.Options{Schema: event.NewSchema()}})
	if err != nil {
		return err.Error()
	}
	fields, _ := c.host.fields("", millis)
	var h struct{ Boot struct{ ID string } }
	if err := json.Unmarshal([]byte("{"+fields+"}"), &h); err != nil {
		return err.Error()
	}
	return h.Boot.ID
}

// LeftBehind is what doctor says of rules that a killed one has left, whose notes are in dir.
func LeftBehind(dir string) (what, fix string) {
	s := look()
	if s.ctl != nil {
		defer s.ctl.close()
	}
	s.state = dir
	return s.leftBehind()
}
