package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
)

var update = flag.Bool("update", false, "write what comes out into the corpus")

// run reads text and returns the documents and the rejections.
func run(t testing.TB, text string) (docs, rejected []string, counts audit.Counts) {
	t.Helper()
	r := audit.New(source.NewInput("test", strings.NewReader(text)), source.Options{
		Schema: event.NewSchema(),
		Reject: func(r source.Rejection) {
			rejected = append(rejected, fmt.Sprintf("%d %s: %s", r.Origin.Offset, r.Class, r.Reason))
		},
	})
	if err := r.Run(context.Background(), func(e *event.Event) error {
		docs = append(docs, string(e.Raw))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return docs, rejected, r.Counts()
}

// Each file of the corpus begins with a sentence, then has the records ("in"),
// the members that the documents must have ("docs", one object a line in the
// order of the events; null is a member that must be missing), the counts, and
// the rejections.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range a.Files {
				part[f.Name] = string(f.Data)
			}
			// ␝ is the separator of ENRICHED records.
			docs, rejected, counts := run(t, strings.ReplaceAll(part["in"], "␝", "\x1d"))
			want := strings.Split(strings.TrimSpace(part["docs"]), "\n")
			if want[0] == "" {
				want = nil
			}
			if *update && len(want) == 0 {
				a.Files = append(a.Files, txtar.File{Name: "docs", Data: []byte(strings.Join(docs, "\n") + "\n")})
				os.WriteFile(file, txtar.Format(a), 0o644)
			}
			for i, doc := range docs {
				if i >= len(want) {
					t.Errorf("one document more than wanted: %s", doc)
					continue
				}
				var g, w map[string]any
				if err := json.Unmarshal([]byte(doc), &g); err != nil {
					t.Fatalf("%s: %v", doc, err)
				}
				if err := json.Unmarshal([]byte(want[i]), &w); err != nil {
					t.Fatalf("%s: %v", want[i], err)
				}
				for path, v := range w {
					if d := cmp.Diff(v, at(g, path)); d != "" {
						t.Errorf("event %d, %s (-want +got):\n%s%s", i, path, d, doc)
					}
				}
			}
			if len(docs) < len(want) {
				t.Errorf("%d documents, want %d", len(docs), len(want))
			}
			if got := strings.Join(rejected, "\n"); got != strings.TrimSpace(part["rejected"]) {
				t.Errorf("rejected:\n%s\nwant:\n%s", got, part["rejected"])
			}
			if w, ok := part["counts"]; ok {
				if got := fmt.Sprintf("%+v", counts); got != strings.TrimSpace(w) {
					t.Errorf("counts %s, want %s", got, w)
				}
			}
		})
	}
}

// exec is the records of one exec, as auditd writes them.
func exec(serial int) string {
	return strings.ReplaceAll(strings.ReplaceAll(`type=SYSCALL msg=audit(%T:%S): arch=c000003e syscall=59 success=yes exit=0 a0=555e16772cf0 a1=555e1676b550 a2=555e16766f00 a3=8 items=2 ppid=26006 pid=26829 auid=1001 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=84 comm="ctr" exe="/usr/bin/ctr" key="exec"`+"\x1d"+`ARCH=x86_64 SYSCALL=execve AUID="ops" UID="root" GID="root" EUID="root" SUID="root" FSUID="root" EGID="root" SGID="root" FSGID="root"
type=BPRM_FCAPS msg=audit(%T:%S): fver=0 fp=0 fi=0 fe=0 old_pp=000001fffeffffff old_pi=0 old_pe=000001fffeffffff old_pa=0 pp=000001fffeffffff pi=0 pe=000001fffeffffff pa=0 frootid=0
type=EXECVE msg=audit(%T:%S): argc=9 a0="ctr" a1="-n" a2="k8s.io" a3="tasks" a4="exec" a5="--exec-id" a6="x8" a7="web1" a8="/bin/sh"
type=CWD msg=audit(%T:%S): cwd="/root"
type=PATH msg=audit(%T:%S): item=0 name="/usr/bin/ctr" inode=10166288 dev=fe:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0`+"\x1d"+`OUID="root" OGID="root"
type=PATH msg=audit(%T:%S): item=1 name="/lib64/ld-linux-x86-64.so.2" inode=325835 dev=fe:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0`+"\x1d"+`OUID="root" OGID="root"
type=PROCTITLE msg=audit(%T:%S): proctitle=637472002D6E006B38732E696F007461736B730065786563002D2D657865632D69640078380077656231002F62696E2F7368
`, "%S", fmt.Sprint(serial)), "%T", fmt.Sprintf("%d.%03d", 1795382413+serial/1000, serial%1000))
}

func parse(t testing.TB, text string) []audit.Record {
	t.Helper()
	var recs []audit.Record
	for line := range strings.Lines(text) {
		var r audit.Record
		if err := r.Parse([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
			t.Fatal(err)
		}
		recs = append(recs, r)
	}
	return recs
}

// In every order of its records an exec is one event, whole.
func TestAnyOrder(t *testing.T) {
	lines := slices.Collect(strings.Lines(exec(1)))
	want, _, _ := run(t, exec(1))
	n := 0
	var permute func(k int)
	permute = func(k int) {
		if k == len(lines) {
			n++
			docs, _, counts := run(t, strings.Join(lines, ""))
			if len(docs) != 1 || counts.Incomplete != 0 || !sameButPaths(docs[0], want[0]) {
				t.Fatalf("%s\ngave %+v %s", strings.Join(lines, ""), counts, docs)
			}
			return
		}
		for i := k; i < len(lines); i++ {
			lines[k], lines[i] = lines[i], lines[k]
			permute(k + 1)
			lines[k], lines[i] = lines[i], lines[k]
		}
	}
	permute(0)
	if n != 5040 {
		t.Errorf("%d orders", n)
	}
}

// sameButPaths compares documents up to the order of auditd.paths.
func sameButPaths(a, b string) bool {
	cut := func(s string) string {
		before, rest, _ := strings.Cut(s, `,"paths":[`)
		_, after, _ := strings.Cut(rest, "]")
		return before + after
	}
	return cut(a) == cut(b) && len(a) == len(b)
}

// Two nodes, many events at once, any interleaving: nothing gets mixed up.
func TestInterleaved(t *testing.T) {
	var lanes [][]string
	for i := range 50 {
		node := "node=a "
		if i%2 == 1 {
			node = "node=b "
		}
		var lane []string
		for line := range strings.Lines(exec(1 + i/2)) {
			lane = append(lane, node+strings.ReplaceAll(line, `"x8"`, fmt.Sprintf(`"x%d"`, i)))
		}
		lanes = append(lanes, lane)
	}
	var text strings.Builder
	for k := range lanes[0] {
		for i := range lanes {
			text.WriteString(lanes[i][k])
		}
	}
	docs, rejected, counts := run(t, text.String())
	if len(docs) != 50 || len(rejected) != 0 || counts != (audit.Counts{Events: 50}) {
		t.Fatalf("%d events, rejected %q, %+v", len(docs), rejected, counts)
	}
	for i, doc := range docs {
		if !strings.Contains(doc, fmt.Sprintf(`"--exec-id","x%d"`, i)) || !strings.Contains(doc, fmt.Sprintf(`"host":{"name":"%c"`, 'a'+i%2)) {
			t.Errorf("event %d: %s", i, doc)
		}
	}
}

// The clock is that of the records. A gap in it closes what was pending.
func TestClock(t *testing.T) {
	r := audit.NewReassembler(event.NewSchema())
	var got []string
	emit := func(e *event.Event) error { got = append(got, string(e.Raw)); return nil }
	recs := parse(t, exec(1))
	if err := r.Push(&recs[0], event.Origin{}, emit); err != nil || len(got) != 0 {
		t.Fatal(err, got)
	}
	at := time.UnixMilli(recs[0].Millis)
	if r.Advance(at.Add(2*time.Second), emit); len(got) != 0 {
		t.Error("closed after 2 s, want after more than that")
	}
	if r.Advance(at.Add(2001*time.Millisecond), emit); len(got) != 1 || !strings.Contains(got[0], `"truncated":true`) {
		t.Errorf("after 2.001 s: %q", got)
	}
	for _, rec := range recs[1:] {
		if r.Push(&rec, event.Origin{}, emit); len(got) != 1 {
			t.Errorf("a late record made an event: %q", got[1])
		}
	}
	if c := r.Counts(); c.Late != 6 || c.Incomplete != 1 || c.Events != 1 {
		t.Errorf("counts %+v, want 6 late", c)
	}
}

// A log that begins again, with an older time and smaller serials, is read on.
func TestClockSetBack(t *testing.T) {
	var text strings.Builder
	for i := range 200 {
		// No PROCTITLE, so that only the clock closes an event.
		text.WriteString(strings.Join(slices.Collect(strings.Lines(exec(5000000 + 10*i)))[:6], ""))
	}
	for i := range 2000 {
		text.WriteString(strings.Join(slices.Collect(strings.Lines(exec(10 * i)))[:6], ""))
	}
	pending, most := 0, 0
	r := audit.NewReassembler(event.NewSchema())
	for _, rec := range parse(t, text.String()) {
		if rec.Type == 1300 {
			pending++
			most = max(most, pending)
		}
		r.Push(&rec, event.Origin{}, func(*event.Event) error { pending--; return nil })
	}
	if most > 600 || r.Counts().Evicted != 0 {
		t.Errorf("%d events were pending, %+v", most, r.Counts())
	}
}

// A long argument in any shape costs no more than its text, whatever argc and
// the indices claim.
func TestHostileArguments(t *testing.T) {
	head := slices.Collect(strings.Lines(exec(1)))[0]
	f := func(execve string, want ...string) {
		t.Helper()
		docs, _, counts := run(t, head+"type=EXECVE msg=audit(1795382413.001:1): "+execve+"\n")
		if len(docs) != 1 || counts.Incomplete != 1 {
			t.Fatalf("%s: %+v %s", execve, counts, docs)
		}
		var doc map[string]any
		if err := json.Unmarshal([]byte(docs[0]), &doc); err != nil {
			t.Fatal(err)
		}
		got, _ := at(doc, "process.args").([]any)
		if len(got) != len(want) {
			t.Fatalf("%s: %d arguments %.100q, want %q", execve, len(got), got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: argument %d is %q, want %q", execve, i, got[i], want[i])
			}
		}
		if at(doc, "orlop.evidence.truncated") != true {
			t.Errorf("%s: not flagged", execve)
		}
	}
	f(`argc=999999999 a0="x"`, "x")
	f(`argc=99999999999999999999 a0="x"`, "x")
	f(`argc=2 a0="x" a999999999="y"`, "x")
	f(`argc=2 a0="x" a99999999999999999999="y"`, "x")
	f(`argc=1 a0="x" a1="past argc"`, "x")
	f(`argc=3 a0="x" a2="z"`, "x", "z")
	f(`argc=2 a0="x" a1[0]=6162 a1[2]=6566`, "x", "abef")
	f(`argc=2 a0="x" a1_len=10 a1[0]=6162`, "x", "ab")
	f(`argc=2 a0="x" a1[4294967295]=61`, "x")
	f(`argc=2 a0="x" a1[-1]=61 a-1="n" a1[]=61`, "x")
	f(`a0="x"`, "x")
	f(`argc=0 a0="x"`)
	f("argc=1 " + strings.Repeat(`a1="y" `, 1000) + `a0_len=1`)
}

// Every spelling of an empty argument that has been seen keeps its place.
func TestEmptyArgument(t *testing.T) {
	head := slices.Collect(strings.Lines(exec(1)))[0]
	for _, execve := range []string{`argc=3 a0="ctr" a1="" a2="run"`, `argc=3 a0="ctr" a1= a2="run"`, `argc=3 a0="ctr" a1_len=0 a1[0]= a2="run"`} {
		docs, _, counts := run(t, head+"type=EXECVE msg=audit(1795382413.001:1): "+execve+"\n")
		if len(docs) != 1 || counts.Incomplete != 0 || !strings.Contains(docs[0], `"args":["ctr","","run"]`) {
			t.Errorf("%s: %+v %s", execve, counts, docs)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A million events that never end take no more memory than a few thousand, and
// all of them come out.
func TestMemoryOfUnfinishedEvents(t *testing.T) {
	r := audit.NewReassembler(event.NewSchema())
	n := int64(0)
	emit := func(*event.Event) error { n++; return nil }
	line := []byte(strings.TrimSuffix(slices.Collect(strings.Lines(exec(1)))[0], "\n"))
	var rec audit.Record
	if err := rec.Parse(line); err != nil {
		t.Fatal(err)
	}
	before := heap()
	for i := range 1_000_000 {
		rec.Serial = uint64(i)
		if err := r.Push(&rec, event.Origin{}, emit); err != nil {
			t.Fatal(err)
		}
	}
	grown := int64(heap()) - int64(before)
	if grown > 20<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if err := r.Flush(emit); err != nil {
		t.Fatal(err)
	}
	if c := r.Counts(); n != 1_000_000 || c.Events != n || c.Incomplete != n || c.Evicted < 900_000 {
		t.Errorf("%d events, %+v", n, c)
	}
}

// One event of endless records is bounded too.
func TestMemoryOfOneEvent(t *testing.T) {
	r := audit.NewReassembler(event.NewSchema())
	var doc string
	emit := func(e *event.Event) error { doc = string(e.Raw); return nil }
	head := parse(t, slices.Collect(strings.Lines(exec(1)))[0])[0]
	r.Push(&head, event.Origin{}, emit)
	rec := head
	rec.Type = 1309
	before := heap()
	for i := range 20_000 {
		rec.Raw = fmt.Appendf(nil, " a1[%d]=%s", i, strings.Repeat("41", 3700))
		r.Push(&rec, event.Origin{}, emit)
	}
	if grown := int64(heap()) - int64(before); grown > 24<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	r.Flush(emit)
	if !strings.Contains(doc, `"truncated":true`) {
		t.Errorf("not flagged: %.200s", doc)
	}
}

// Once warm, reading execs does not allocate.
func TestNoAllocations(t *testing.T) {
	r := audit.NewReassembler(event.NewSchema())
	emit := func(*event.Event) error { return nil }
	var lines [][]byte
	for line := range strings.Lines(exec(1)) {
		lines = append(lines, []byte(strings.TrimSuffix(line, "\n")))
	}
	var rec audit.Record
	serial := uint64(0)
	one := func() {
		serial++
		for _, line := range lines {
			if err := rec.Parse(line); err != nil {
				t.Fatal(err)
			}
			rec.Serial = serial
			if err := r.Push(&rec, event.Origin{}, emit); err != nil {
				t.Fatal(err)
			}
		}
	}
	one()
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations an exec", n)
	}
}

func FuzzReassemble(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		r := audit.NewReassembler(event.NewSchema())
		events := int64(0)
		emit := func(e *event.Event) error {
			events++
			if !json.Valid(e.Raw) {
				t.Errorf("not JSON: %s", e.Raw)
			}
			if e.Time.IsZero() && !bytes.Contains(e.Raw, []byte("1970-")) && !bytes.Contains(e.Raw, []byte(`"@timestamp":"`)) {
				t.Errorf("no time: %s", e.Raw)
			}
			return nil
		}
		for line := range bytes.Lines(text) {
			var rec audit.Record
			if rec.Parse(bytes.TrimSuffix(line, []byte("\n"))) != nil {
				continue
			}
			if err := r.Push(&rec, event.Origin{}, emit); err != nil {
				t.Fatal(err)
			}
		}
		r.Flush(emit)
		if r.Counts().Events != events {
			t.Errorf("%d events, %+v", events, r.Counts())
		}
	})
}

// BenchmarkExec is one exec of seven ENRICHED records: parsed, put together,
// encoded, and decoded for the fields that a rule asks for.
func BenchmarkExec(b *testing.B) {
	s := event.NewSchema()
	for _, f := range []string{"process.name", "process.args", "event.type", "event.action", "host.os.type", "process.executable", "process.parent.executable"} {
		s.Field(f)
	}
	r := audit.NewReassembler(s)
	emit := func(*event.Event) error { return nil }
	var lines [][]byte
	for line := range strings.Lines(exec(1)) {
		lines = append(lines, []byte(strings.TrimSuffix(line, "\n")))
	}
	b.SetBytes(int64(len(exec(1))))
	b.ReportAllocs()
	var rec audit.Record
	serial := uint64(0)
	for b.Loop() {
		serial++
		for _, line := range lines {
			rec.Parse(line)
			rec.Serial = serial
			r.Push(&rec, event.Origin{}, emit)
		}
	}
}

// BenchmarkLog is the recorded run, from its lines to its events.
func BenchmarkLog(b *testing.B) {
	text, err := os.ReadFile("../../examples/node-session/audit.log")
	if err != nil {
		b.Fatal(err)
	}
	var log []byte
	for i := range 20 { // each time another time, else all would be late
		log = append(log, bytes.ReplaceAll(text, []byte("audit(1795"), fmt.Appendf(nil, "audit(%d", 1795+i))...)
	}
	text = log
	s := event.NewSchema()
	s.Field("process.name")
	s.Field("process.args")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := audit.New(source.NewInput("bench", bytes.NewReader(text)), source.Options{Schema: s})
		if err := r.Run(context.Background(), func(*event.Event) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*364*20), "ns/event")
}

func Example() {
	log := `type=SYSCALL msg=audit(1795382413.266:52): arch=c000003e syscall=59 success=yes exit=0 ppid=26006 pid=26829 uid=0 comm="ls" exe="/usr/bin/ctr"
type=EXECVE msg=audit(1795382413.266:52): argc=3 a0="ls" a1="tasks" a2=6C6F67206D65
type=PROCTITLE msg=audit(1795382413.266:52): proctitle=6C73007461736B73
`
	s := event.NewSchema()
	name, args := s.Field("process.name"), s.Field("process.args")
	r := audit.New(source.NewInput("audit.log", strings.NewReader(log)), source.Options{Schema: s})
	err := r.Run(context.Background(), func(e *event.Event) error {
		fmt.Println(e.Time.Format(time.RFC3339Nano), e.Get(name).Text(), e.Get(args).Text())
		return nil
	})
	fmt.Println(err)
	// Output:
	// 2026-11-22T21:20:13.266Z ctr ["ls","tasks","log me"]
	// <nil>
}
