//go:build linux

package proc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/proc"
)

func get(doc map[string]any, path string) any {
	var v any = doc
	for key := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// A process that lives is seen as it is, and its end with its code; whatever it is, an
// exec is said to be incomplete. Those of other login uids are not reported.
func TestConnector(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	uid := 3_200_000_000 + uint32(os.Getpid())
	s, err := proc.Open(proc.Options{Options: source.Options{Schema: event.NewSchema()}, LoginUID: &uid})
	var missing *source.MissingError
	if errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	seen := make(chan map[string]any, 4096)
	done := make(chan error, 1)
	go func() {
		defer close(seen)
		done <- s.Run(ctx, func(e *event.Event) error {
			var doc map[string]any
			if err := json.Unmarshal(e.Raw, &doc); err != nil {
				return fmt.Errorf("%w in %s", err, e.Raw)
			}
			if get(doc, "event.action") != "existing_process" {
				seen <- doc
			}
			return nil
		})
	}()
	// It waits on its input, so that it can be looked at.
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `echo "$1" >/proc/self/loginuid && exec /bin/sh -c 'read x; /bin/true; exit 7' a ''`, "sh", strconv.FormatUint(uint64(uid), 10))
	input, _ := cmd.StdinPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait := func(action string, pid int) map[string]any {
		for doc := range seen {
			if get(doc, "event.action") == action && (pid == 0 || get(doc, "process.pid") == float64(pid)) {
				return doc
			}
		}
		t.Fatalf("no %s", action)
		return nil
	}
	pid := cmd.Process.Pid
	d := wait("exec", pid)
	if args, _ := get(d, "process.args").([]any); len(args) == 0 || args[0] != "/bin/sh" {
		t.Errorf("args %v", args)
	}
	for field, want := range map[string]any{
		"process.parent.pid":       float64(os.Getpid()),
		"orlop.evidence.truncated": true,
		"auditd.user.audit.id":     strconv.FormatUint(uint64(uid), 10),
		"event.type":               []any{"start"},
		"user.id":                  "0",
	} {
		if got := get(d, field); !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %v, want %v", field, got, want)
		}
	}
	input.Close()
	child := wait("fork", 0)
	if get(child, "process.parent.pid") != float64(pid) {
		t.Errorf("the child's parent is %v, want %d", get(child, "process.parent.pid"), pid)
	}
	end := wait("end", pid)
	if get(end, "process.exit_code") != 7.0 {
		t.Errorf("exit code %v, want 7", get(end, "process.exit_code"))
	}
	if id, _ := get(end, "process.entity_id").(string); id == "" || id != get(d, "process.entity_id") {
		t.Errorf("it ends as %q and was executed as %v", id, get(d, "process.entity_id"))
	}
	cmd.Wait()
	stop()
	for d := range seen {
		if id := get(d, "auditd.user.audit.id"); id != strconv.FormatUint(uint64(uid), 10) {
			t.Errorf("an event of login uid %v", id)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Lost != 0 || st.Received != st.Emitted+st.Ignored {
		t.Errorf("%+v", st)
	}
}

var _ source.Source = (*proc.Sensor)(nil)
