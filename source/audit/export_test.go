//go:build linux

package audit

import (
	"fmt"
	"strings"
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
