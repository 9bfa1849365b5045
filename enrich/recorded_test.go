package enrich_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
)

// testdata/recorded.ndjson is the recorded session of a real containerd (41
// commands, 364 events) as audit shows it, in Auditd Manager's shape. Beside
// each exec, under "truth", is what an eBPF program read in the kernel at the same
// moment: the parent's executable and the cgroup. Two very long argument lists are
// shortened.
func recorded(t testing.TB) [][]byte {
	b, err := os.ReadFile("testdata/recorded.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(b), []byte("\n"))
}

// What is filled from audit's pids alone is what the kernel knew.
func TestRecordingAgreesWithTheKernel(t *testing.T) {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	get := func(e *event.Event, f string) string { return e.Get(s.Field(f)).Text() }
	for _, f := range []string{"event.sequence", "truth.cgroup", "truth.parent", "truth.ppid"} {
		s.Field(f)
	}
	execs, parents, containers, missed := 0, 0, 0, 0
	var e event.Event
	for _, doc := range recorded(t) {
		if err := d.Decode(doc, &e); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		x.Apply(&e)
		if !e.Get(s.Field("truth.ppid")).Exists() {
			continue
		}
		execs++
		serial := get(&e, "event.sequence")
		// The parent may have been adopted between the two readings.
		if get(&e, "truth.ppid") == get(&e, "process.parent.pid") {
			got, want := get(&e, "process.parent.executable"), get(&e, "truth.parent")
			switch {
			case got == "null":
				if want != "" && e.Get(s.Field("process.parent.entity_id")).Exists() {
					t.Errorf("%s: no executable of a known parent, want %s", serial, want)
				}
			case want == "": // It was exiting and had no memory left to read it from.
			case got != want:
				t.Errorf("%s: parent %s, want %s", serial, got, want)
			default:
				parents++
			}
		}
		got, want := get(&e, "container.id"), strings.TrimPrefix(get(&e, "truth.cgroup"), "/k8s.io/")
		title := get(&e, "process.command_line")
		switch {
		case got == "null" && want == "":
		case got == "null":
			missed++
			t.Logf("%s: no container for %s, in %s", serial, title, want)
		case title == "runc init": // It is put into the cgroup a moment later.
		case got != want:
			t.Errorf("%s: %s is in container %s, want %s", serial, title, got, want)
		default:
			containers++
		}
	}
	t.Logf("%d execs: %d parents, %d containers (%d missed), %+v", execs, parents, containers, missed, x.Stats())
	if containers != 26 || missed != 0 {
		t.Errorf("found the container of %d programs and missed %d, want 26 and 0", containers, missed)
	}
	if parents != 178 {
		t.Errorf("found the parents of %d execs of %d, want 178", parents, execs)
	}
}

// Named steps of the recording.
func TestRecordingSteps(t *testing.T) {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	seq := s.Field("event.sequence")
	all := map[int64]*event.Event{}
	for _, doc := range recorded(t) {
		var e event.Event
		if err := d.Decode(doc, &e); err != nil {
			t.Fatal(err)
		}
		x.Apply(&e)
		all[e.Get(seq).Int()] = e.Clone()
	}
	f := func(serial int64, field, want string) {
		t.Helper()
		if got := all[serial].Get(s.Field(field)).Text(); got != want {
			t.Errorf("%d: %s is %s, want %s", serial, field, got, want)
		}
	}
	f(524253, "container.id", "web1") // sh, by ctr tasks exec
	f(524254, "container.id", "web1") // its child
	f(524190, "container.id", "web1") // the container's first program
	f(524242, "container.id", "null") // the operator's ctr
	f(524369, "container.id", "null") // the operator's runc
	f(524378, "container.id", "web1") // and what it ran
	f(524351, "container.id", "null") // runc delete, below the shim
	f(524385, "container.id", "null") // nsenter enters namespaces, not the container
	// A pod: the shim is called after the sandbox, the program is in the container.
	f(524205, "container.id", "229ff564a92ff684fb9a1810f5bfacf348547c68cb7e014c18cd9d04b68fb8b8")
	f(524325, "container.id", "27fb5ccde822463e76b53951879b4216f08599f4b45bed00701ecd9d39bf9ba1")
	// A failed exec shows the caller.
	f(524282, "process.parent.executable", "/usr/bin/python3.11")
	f(524282, "process.executable", "/usr/bin/python3.11")
	f(524282, "process.command_line", "null")
	// A subshell that never called exec is unknown.
	f(524206, "process.parent.executable", "null")
	f(524239, "process.parent.executable", "/usr/local/bin/kubelet")
	f(524242, "process.parent.command_line", "/bin/bash /root/session.sh")
}

// A table that is written and read again before each event is the same table.
func TestRecordingAcrossRestarts(t *testing.T) {
	s := event.NewSchema()
	x, y := enrich.New(s, enrich.Options{}), enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	var a, b event.Event
	for i, doc := range recorded(t) {
		for _, e := range []*event.Event{&a, &b} {
			if err := d.Decode(doc, e); err != nil {
				t.Fatal(err)
			}
		}
		y = restarted(t, y, s)
		x.Apply(&a)
		y.Apply(&b)
		got, want := b.Record(s), a.Record(s)
		if len(got.Names) != len(want.Names) {
			t.Fatalf("event %d: filled %q, want %q", i, got.Names, want.Names)
		}
		for j, name := range want.Names {
			if got.Names[j] != name || !got.Values[j].Equal(want.Values[j]) {
				t.Errorf("event %d: %s is %s, want %s %s", i, got.Names[j], got.Values[j].Text(), name, want.Values[j].Text())
			}
		}
	}
}
