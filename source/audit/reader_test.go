package audit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
)

// recorded returns the path of a file of the recorded run, which lies beside
// the checkout. The test is skipped where it does not.
func recorded(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "recorded", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the recorded run is not here: %v", err)
	}
	return path
}

// read runs a reader over a file and hands each event's document to do.
func read(t testing.TB, path string, do func(doc map[string]any)) (audit.Counts, *source.Stats) {
	t.Helper()
	ins, err := source.Open([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var stats source.Stats
	r := audit.New(ins[0], source.Options{Schema: event.NewSchema(), Stats: &stats, Reject: func(r source.Rejection) {
		t.Errorf("rejected: %v: %.100s", &r, r.Data)
	}})
	err = r.Run(context.Background(), func(e *event.Event) error {
		var doc map[string]any
		if err := json.Unmarshal(e.Raw, &doc); err != nil {
			t.Errorf("%s: %v", e.Raw, err)
		}
		do(doc)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.Counts(), &stats
}

func at(doc map[string]any, path string) any {
	var v any = doc
	for _, k := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func is(doc map[string]any, path string, want string) bool {
	switch v := at(doc, path).(type) {
	case string:
		return v == want
	case []any:
		return slices.Contains(v, any(want))
	}
	return false
}

func isExec(doc map[string]any) bool {
	return is(doc, "event.type", "start") && is(doc, "event.category", "process") && is(doc, "event.action", "executed")
}

// Three recorders watched the same run: the file of auditd, the audit netlink
// socket and an eBPF program. All three must tell the same 193 execs.
func TestRecordedRun(t *testing.T) {
	f, err := os.Open(recorded(t, "ebpf-exec.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type exec struct {
		Args []string
		Argc int
		Pid  int
		Exe  string
	}
	var want []exec
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var e exec
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		want = append(want, e)
	}
	for _, name := range []string{"audit.log", "audit-netlink.log"} {
		t.Run(name, func(t *testing.T) {
			var got []exec
			total := 0
			counts, stats := read(t, recorded(t, name), func(doc map[string]any) {
				total++
				if at(doc, "orlop.evidence") != nil {
					t.Errorf("event %v is flagged incomplete", at(doc, "event.sequence"))
				}
				if !isExec(doc) {
					return
				}
				e := exec{Pid: int(at(doc, "process.pid").(float64))}
				e.Exe, _ = at(doc, "process.executable").(string)
				for _, a := range at(doc, "process.args").([]any) {
					e.Args = append(e.Args, a.(string))
				}
				got = append(got, e)
			})
			if total != 364 || stats.Events.Load() != 364 || counts.Events != 364 {
				t.Errorf("%d events (stats %d, counts %d), want 364", total, stats.Events.Load(), counts.Events)
			}
			if counts.Incomplete+counts.Evicted+counts.Late != 0 {
				t.Errorf("counts: %+v, want none incomplete, evicted or late", counts)
			}
			seen := make([]bool, len(got))
			for _, w := range want {
				found := false
				for i, g := range got {
					if !seen[i] && g.Pid == w.Pid && sameArgs(g.Args, w.Args, w.Argc) && (g.Exe == w.Exe) {
						seen[i], found = true, true
						break
					}
				}
				if !found {
					t.Errorf("eBPF saw pid %d run %.100q (exe %q), audit did not", w.Pid, w.Args, w.Exe)
				}
			}
			for i, s := range seen {
				if !s {
					t.Errorf("audit saw pid %d run %.100q (exe %q), eBPF did not", got[i].Pid, got[i].Args, got[i].Exe)
				}
			}
			if len(got) != 193 || len(want) != 193 {
				t.Errorf("%d exec starts in audit and %d in eBPF, want 193", len(got), len(want))
			}
		})
	}
}

// sameArgs compares arguments with those of the eBPF file, which has long ones
// as their first 200 bytes or so and the length, and a cut argv without its end.
func sameArgs(got, want []string, argc int) bool {
	if len(got) != argc {
		return false
	}
	for i, w := range want {
		g := got[i]
		if g == w {
			continue
		}
		if head, tail, ok := strings.Cut(w, "…("); ok {
			cut := len(want) < argc && i == len(want)-1 // argv ends at 16,383 bytes there
			if strings.HasPrefix(g, head) && (cut || tail == fmt.Sprintf("%d)", len(g))) {
				continue
			}
		}
		return false
	}
	return true
}
