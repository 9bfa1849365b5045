package enrich_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
	"github.com/rogpeppe/go-internal/txtar"
)

func ExampleEnricher() {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	var e event.Event
	for _, doc := range []string{
		`{"@timestamp":"2026-11-25T02:00:00Z","event":{"action":"executed","category":["process"],"type":["start"]},
			"process":{"pid":100,"parent":{"pid":1},"executable":"/usr/local/bin/kubelet","args":["kubelet","--v=2"]}}`,
		`{"@timestamp":"2026-11-25T02:00:01Z","event":{"action":"executed","category":["process"],"type":["start"]},
			"process":{"pid":101,"parent":{"pid":100},"executable":"/usr/local/bin/crictl","args":["crictl","ps"]}}`,
	} {
		if err := d.Decode([]byte(doc), &e); err != nil {
			fmt.Println(err)
			return
		}
		x.Apply(&e)
	}
	for _, f := range e.Derived() {
		fmt.Println(s.Name(f), "=", e.Get(f).Text())
	}
	// Output:
	// process.command_line = crictl ps
	// process.args_count = 2
	// process.name = crictl
	// process.entity_id = XlGPNjAKFY7EtKDO
	// process.Ext.ancestry = ryM3AD6axy524MzD
	// process.parent.executable = /usr/local/bin/kubelet
	// process.parent.name = kubelet
	// process.parent.args = ["kubelet","--v=2"]
	// process.parent.args_count = 2
	// process.parent.command_line = kubelet --v=2
	// process.parent.entity_id = ryM3AD6axy524MzD
	// orlop.runtime.tool = crictl
	// orlop.runtime.identified_by = name
	// orlop.runtime.command = crictl ps
	// orlop.runtime.behaviour = read
	// orlop.runtime.confidence = complete
	// orlop.process.ancestor = /usr/local/bin/kubelet
}

// Memory stays within the limits however many processes and hosts go by.
func TestMemoryIsBounded(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	pad := strings.Repeat("x", 200)
	f := func(name string, o enrich.Options, n int, doc func(i int) string) {
		t.Run(name, func(t *testing.T) {
			before := heap()
			s := event.NewSchema()
			x := enrich.New(s, o)
			d := event.NewDecoder(s)
			var e event.Event
			for i := range n {
				if err := d.Decode([]byte(doc(i)), &e); err != nil {
					t.Fatal(err)
				}
				x.Apply(&e)
				if st := x.Stats(); st.Processes > o.MaxProcesses || st.Bytes > o.MaxBytes || st.Hosts > st.Processes {
					t.Fatalf("after %d: %+v", i, st)
				}
			}
			st, grown := x.Stats(), heap()-before
			t.Logf("%+v, heap grew by %d", st, grown)
			if int(st.Evicted)+st.Processes+int(st.Reused) < n {
				t.Errorf("%d evicted, %d left, of %d", st.Evicted, st.Processes, n)
			}
			const words = 2 << 20 // shared strings and the schema
			if grown > int64(st.Bytes)*5/4+words {
				t.Errorf("heap grew by %d, the table reckons %d", grown, st.Bytes)
			}
			runtime.KeepAlive(x)
		})
	}
	exec := func(i int, host string) string {
		return fmt.Sprintf(`{"@timestamp":%d,"host":{"id":%q},"event":{"action":"executed","type":["start"]},
			"process":{"pid":%d,"parent":{"pid":%d},"executable":"/bin/p%d","args":["/bin/p%d","%s"]}}`,
			1795382411000+i, host, i+2, i+1, i, i, pad)
	}
	f("number", enrich.Options{MaxProcesses: 5000, MaxBytes: 1 << 30}, 100_000, func(i int) string { return exec(i, "h") })
	f("bytes", enrich.Options{MaxProcesses: 1 << 30, MaxBytes: 8 << 20}, 100_000, func(i int) string { return exec(i, "h") })
	f("hosts", enrich.Options{MaxProcesses: 5000, MaxBytes: 1 << 30}, 50_000, func(i int) string { return exec(i, fmt.Sprint("host", i)) })
}

// However many processes come and go, those that still run are remembered where the
// source tells of ends, and where it does not, those that were seen last.
func TestTableKeepsWhatRuns(t *testing.T) {
	f := func(ends bool, want string) {
		t.Helper()
		s := event.NewSchema()
		name := s.Field("process.parent.executable")
		x := enrich.New(s, enrich.Options{MaxProcesses: 100})
		d := event.NewDecoder(s)
		var e event.Event
		at := 1795382411000
		send := func(format string, args ...any) {
			if err := d.Decode(fmt.Appendf(nil, `{"@timestamp":%d,`+format, append([]any{at}, args...)...), &e); err != nil {
				t.Fatal(err)
			}
			x.Apply(&e)
		}
		for i := range 20 {
			send(`"event":{"action":"exec","type":["start"]},"process":{"pid":%d,"executable":"/bin/daemon"}}`, 10+i)
		}
		for i := range 5000 {
			at += 10
			send(`"event":{"action":"exec","type":["start"]},"process":{"pid":%d,"parent":{"pid":1},"executable":"/bin/true"}}`, 1000+i)
			if ends {
				send(`"event":{"action":"end","type":["end"]},"process":{"pid":%d}}`, 1000+i)
			}
		}
		for i := range 20 {
			send(`"event":{"action":"exec","type":["start"]},"process":{"pid":%d,"parent":{"pid":%d},"executable":"/bin/sh"}}`, 9000+i, 10+i)
			if got := e.Get(name).Str(); got != want {
				t.Errorf("ends %v: the parent of child %d is %q, want %q", ends, i, got, want)
			}
		}
	}
	f(true, "/bin/daemon")
	f(false, "")
}

// Steady state: events of known processes allocate nothing.
// What is no client of a runtime costs no memory but what the table keeps.
func TestNoAllocation(t *testing.T) {
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	var e event.Event
	docs := [][]byte{
		[]byte(`{"@timestamp":1795382411000,"event":{"action":"executed","type":["start"]},"process":{"pid":100,"parent":{"pid":1},"executable":"/bin/bash","args":["bash"]}}`),
		[]byte(`{"@timestamp":1795382411000,"event":{"action":"executed","type":["start"]},"process":{"pid":101,"parent":{"pid":100},"executable":"/bin/cat","args":["cat","x"]}}`),
		[]byte(`{"@timestamp":1795382411000,"event":{"category":["network"]},"process":{"pid":101,"parent":{"pid":100}}}`),
	}
	run := func() {
		for _, doc := range docs {
			d.Decode(doc, &e)
			x.Apply(&e)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever comes, nothing that a source said is changed, the table keeps its
// limits, and the same stream gives the same answer.
func FuzzApply(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		if a, err := txtar.ParseFile(file); err == nil {
			for _, f2 := range a.Files {
				if f2.Name == "in" {
					f.Add(f2.Data)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var answers [2]string
		for i := range answers {
			s := event.NewSchema()
			x := enrich.New(s, enrich.Options{MaxProcesses: 16, MaxBytes: 64 << 10})
			d := event.NewDecoder(s)
			var e event.Event
			var out []byte
			for line := range bytes.Lines(in) {
				if d.Decode(line, &e) != nil {
					continue
				}
				said := e.Clone()
				x.Apply(&e)
				for _, f := range e.Derived() {
					if said.Get(f).Kind() != event.KindMissing {
						t.Fatalf("%s replaced %s of %s", s.Name(f), said.Get(f).Text(), line)
					}
					out = append(out, s.Name(f)...)
					out = e.Get(f).AppendJSON(append(out, '='))
				}
				for f := range event.Field(s.Len()) {
					if v := said.Get(f); v.Kind() != event.KindMissing && !v.Equal(e.Get(f)) {
						t.Fatalf("%s changed in %s", s.Name(f), line)
					}
				}
				if st := x.Stats(); st.Processes > 16 || st.Processes > 1 && st.Bytes > 64<<10 || st.Hosts > st.Processes+1 {
					t.Fatalf("over the limits: %+v", st)
				}
			}
			answers[i] = string(out)
		}
		if answers[0] != answers[1] {
			t.Fatal("two runs differ")
		}
	})
}

// What is known of containers is weighed and bounded like what is known of processes,
// whatever the names that a stream gives them.
func TestContainersAreBounded(t *testing.T) {
	s := event.NewSchema()
	o := enrich.Options{MaxBytes: 1 << 20}
	x := enrich.New(s, o)
	held := 0
	for i := range 30_000 {
		id := strings.Repeat("c", 240)
		if i%2 == 0 {
			id = strings.Repeat("c", 4000)
		}
		doc := fmt.Sprintf(`{"@timestamp":%d,"host":{"id":"h%d"},"event":{"category":["process"],"type":["start"],"action":"exec"},
			"process":{"pid":%d,"executable":"/usr/sbin/runc","args":["runc","--root","/run/containerd/runc/k8s.io","create","%s%d"]}}`, 1795382411042+i, i%30, 1000+i/30, id, i)
		x.Apply(decoded(t, s, doc)[0])
		if i%1000 == 0 || i == 29_999 {
			if n := x.Stats().Bytes; n > o.MaxBytes {
				t.Fatalf("%d bytes after %d events, want at most %d", n, i, o.MaxBytes)
			}
			held = 0
			for _, h := range x.State().Hosts {
				for _, k := range h.Containers {
					if len(k.ID) > 256 {
						t.Fatalf("an id of %d bytes is kept", len(k.ID))
					}
					held += len(k.ID)
				}
			}
		}
	}
	if held == 0 || held > o.MaxBytes/4 {
		t.Errorf("%d bytes of ids are kept, want some and at most %d", held, o.MaxBytes/4)
	}
}
