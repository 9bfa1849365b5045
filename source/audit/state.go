//go:build linux

package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/internal/own"
	"github.com/orlop/orlop/internal/procfs"
)

// changes are what we do to the kernel's settings while we are its daemon. They are
// written down first, so that whoever comes after us can put everything back if we do
// not get to.
type changes struct {
	BootID string
	PID    uint32 // of the process that owns them,
	Start  uint64 // which is that one only if it began then
	Before status
	After  status
	Mask   uint32 // what of Before was changed

	file string
}

func changesFile(dir string) string { return filepath.Join(dir, "audit.json") }

// plan says what is to be changed of the settings.
func plan(dir string, before status) *changes {
	boot, _ := procfs.BootID()
	c := &changes{BootID: boot, PID: uint32(os.Getpid()), Before: before, After: before, file: changesFile(dir)}
	var self procfs.Process
	if self.Stat(c.PID) {
		c.Start = self.Start
	}
	change := func(bit uint32, at *uint32, to uint32) {
		if *at != to {
			*at = to
			c.Mask |= bit
		}
	}
	// A task that has something to record waits when nobody reads: never for us.
	change(setWaitTime, &c.After.BacklogWait, 0)
	change(setBacklog, &c.After.BacklogLimit, max(before.BacklogLimit, backlogLimit))
	if before.Failure == failurePanic { // With no wait, a full backlog would stop the host.
		change(setFailure, &c.After.Failure, failurePrintk)
	}
	change(setEnabled, &c.After.Enabled, enabledOn)
	return c
}

// backlogLimit is how many records the kernel keeps for us, some 1,200 execs.
const backlogLimit = 8192

// save writes the changes down. It does not survive a power failure, and nor do they.
func (c *changes) save() error {
	b, err := json.Marshal(c)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(c.file), 0o700)
	}
	if err == nil {
		err = own.WriteFile(c.file+".new", b)
	}
	if err == nil {
		err = os.Rename(c.file+".new", c.file)
	}
	if err != nil {
		return fmt.Errorf("audit: write down what is changed: %w", err)
	}
	return nil
}

// undo puts back what is as we have set it: somebody else's later changes stay. Those of
// another daemon cannot be told from ours, as it turns audit on, too: while one runs,
// all settings are its own.
func (c *changes) undo(k *conn) error {
	now, err := k.status()
	if err != nil {
		return err
	}
	var errs []error
	if _, err := k.dropRules(); err != nil {
		errs = append(errs, err)
	}
	ours := now.PID == uint32(os.Getpid())
	theirs := now.PID != 0 && !ours && !gone(now.PID)
	back := func(bit, now, after uint32) {
		if c.Mask&bit != 0 && now == after && !theirs {
			errs = append(errs, k.set(bit, c.Before))
		}
	}
	back(setEnabled, now.Enabled, c.After.Enabled)
	if ours {
		errs = append(errs, k.set(setPID, status{}))
	}
	back(setBacklog, now.BacklogLimit, c.After.BacklogLimit)
	back(setWaitTime, now.BacklogWait, c.After.BacklogWait)
	back(setFailure, now.Failure, c.After.Failure)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("audit: put the settings back: %w", err)
	}
	if err := os.Remove(c.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// PutBack undoes what an earlier run of ours has left in the kernel when it was killed,
// according to the notes in dir; "" is DefaultState. Listen does so, too.
func PutBack(dir string) error {
	if dir == "" {
		dir = DefaultState
	}
	if _, err := os.Stat(changesFile(dir)); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // What is another user's is theirs to put back.
	}
	k, err := dial()
	if err != nil {
		return err
	}
	defer k.close()
	return cleanUp(k, dir)
}

// cleanUp undoes what an earlier run of ours has left when it was killed.
func cleanUp(k *conn, dir string) error {
	file := changesFile(dir)
	b, err := own.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var c changes
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return fmt.Errorf("audit: what an earlier run has changed cannot be read: %w (look at auditctl -s, set right what is not, and remove the file)", err)
	}
	c.file = file
	if boot, _ := procfs.BootID(); c.BootID != boot {
		return os.Remove(file) // The kernel has forgotten, too.
	}
	if c.runs() && c.PID != uint32(os.Getpid()) {
		return nil
	}
	if err := c.undo(k); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	return nil
}

// runs reports whether the process that made the changes is still there.
func (c *changes) runs() bool {
	var p procfs.Process
	return p.Stat(c.PID) && p.Start == c.Start
}

// leftBehind says which rules of ours are loaded that nobody reads, and who takes them out;
// "" if there are none.
func (s *sight) leftBehind() (what, fix string) {
	n := 0
	for i := range s.rules {
		if s.rules[i].ours() {
			n++
		}
	}
	if n == 0 || !s.pids {
		return "", ""
	}
	what = fmt.Sprintf("%d of an orlop that was killed are loaded, and slow the host down for nobody", n)
	var c changes
	b, err := own.ReadFile(changesFile(s.state))
	switch {
	case err == nil && json.Unmarshal(b, &c) == nil && c.runs():
		return "", ""
	case err == nil:
		return what, "the next orlop run or record takes them out, whatever it watches"
	case s.status.PID != 0: // who may be the one that made them, and wrote that down elsewhere
		return "", ""
	}
	return what, "auditctl -D -k " + ruleKey
}
