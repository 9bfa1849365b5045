package agent_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/orlop/orlop/internal/agent"
)

// systemd is the socket that it would listen at.
func systemd(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What systemd is told is what sd_notify(3) says.
func TestNotify(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	c := systemd(t, name)
	env := map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}
	n := agent.NewNotifier(func(key string) string { return env[key] })
	told := func(want string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1024)
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		k, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(buf[:k]); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	told("READY=1", n.Ready())
	told("RELOADING=1\nMONOTONIC_USEC=[0-9]+", n.Reloading())
	now := time.Unix(1000, 0)
	told("WATCHDOG=1", n.Alive(now))
	if err := n.Alive(now.Add(4 * time.Second)); err != nil { // less than half its time
		t.Error(err)
	}
	told("WATCHDOG=1", n.Alive(now.Add(6*time.Second)))
	told("WATCHDOG=1", n.Alive(now)) // The clock was set back.
	told("STOPPING=1", n.Stopping())

	abstract := systemd(t, "@orlop-test-"+strconv.Itoa(os.Getpid()))
	env["NOTIFY_SOCKET"], env["WATCHDOG_PID"] = "@orlop-test-"+strconv.Itoa(os.Getpid()), "1"
	c = abstract
	n = agent.NewNotifier(func(key string) string { return env[key] })
	if err := n.Alive(now); err != nil { // The watchdog watches another process.
		t.Error(err)
	}
	told("READY=1", n.Ready())
	abstract.Close()
	if err := n.Ready(); err == nil {
		t.Error("no error though nobody listens")
	}
	if err := agent.NewNotifier(func(string) string { return "" }).Ready(); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}
