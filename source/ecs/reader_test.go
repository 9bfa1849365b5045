package ecs_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/ecs"
)

var update = flag.Bool("update", false, "write what comes out into the corpus")

// run reads text and returns the documents, each with its offset, and the
// rejections.
func run(t testing.TB, text string, o source.Options) (docs, rejected []string) {
	t.Helper()
	o.Schema = event.NewSchema()
	o.Reject = func(r source.Rejection) {
		rejected = append(rejected, fmt.Sprintf("%d %s: %s", r.Origin.Offset, r.Class, r.Reason))
	}
	r := ecs.New(source.NewInput("test", strings.NewReader(text)), o)
	err := r.Run(context.Background(), func(e *event.Event) error {
		docs = append(docs, fmt.Sprintf("%d %s", e.Origin.Offset, e.Raw))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs, rejected
}

// Each file of the corpus begins with a sentence, then what is read ("in"),
// and the documents ("docs") and rejections ("rejected") that come of it.
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
			docs, rejected := run(t, part["in"], source.Options{})
			if *update {
				a.Files = []txtar.File{a.Files[0], {Name: "docs", Data: []byte(lines(docs))}, {Name: "rejected", Data: []byte(lines(rejected))}}
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got := lines(docs); got != part["docs"] {
				t.Errorf("documents:\n%s\nwant:\n%s", got, part["docs"])
			}
			if got := lines(rejected); got != part["rejected"] {
				t.Errorf("rejected:\n%s\nwant:\n%s", got, part["rejected"])
			}
		})
	}
}

func lines(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return strings.Join(s, "\n") + "\n"
}

// Whatever the layout, the same documents come out.
func TestLayouts(t *testing.T) {
	a, b := `{"a":1,"s":"]}\"{"}`, `{"b":[1,{"c":[]},"x"]}`
	pretty := "{\n  \"b\": [\n    1,\n    {\n      \"c\": []\n    },\n    \"x\"\n  ]\n}"
	f := func(text string, want ...string) {
		t.Helper()
		docs, rejected := run(t, text, source.Options{})
		for i := range docs {
			_, docs[i], _ = strings.Cut(docs[i], " ")
		}
		if lines(docs) != lines(want) || len(rejected) > 0 {
			t.Errorf("%.80q: got\n%swant\n%srejected %q", text, lines(docs), lines(want), rejected)
		}
	}
	f("")
	f(" \n\n ")
	f("[]")
	f(a+"\n"+b, a, b)
	f(a+"\r\n"+b+"\r\n", a, b)
	f("\xef\xbb\xbf"+a+"\n", a)
	f(a+b+a, a, b, a)
	f(a+"\n"+b+a+"\n"+a, a, b, a, a)
	f("["+a+","+b+"]", a, b)
	f("[\n  "+a+",\n  "+b+"\n]\n", a, b)
	f("["+a+"]["+b+"]\n"+a, a, b, a)
	f(pretty+"\n"+pretty+"\n"+a, pretty, pretty, a)
	f("["+pretty+",\n"+a+"]", pretty, a)
	f("\x1e"+a+"\n\x1e"+b+"\n", a, b)
	f(`{"took":1,"hits":{"total":{"value":2},"hits":[{"_id":"1","_index":"i","_source":`+a+`},`+b+`],"x":"]"},"aggregations":{"a":[1,2]}}`+"\n"+a,
		`{"_id":"1","_index":"i",`+a[1:], b, a)
	f(`{"is_partial":false,"hits":{"events":[{"_index":"i","_id":"1","_source":`+a+`}]}}`, `{"_id":"1","_index":"i",`+a[1:])
	f(`{"took":1,"hits":{"total":{"value":0},"hits":[]}}`)
}

// A document over the limit is dropped without being kept, those around it
// are not.
func TestLongDocument(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 5000) + `"}`
	want := []string{`0 {"a":1}`, fmt.Sprintf(`%d {"b":2}`, 8+len(long)+1)}
	docs, rejected := run(t, `{"a":1}`+"\n"+long+"\n"+`{"b":2}`, source.Options{MaxLine: 1000})
	if lines(docs) != lines(want) || len(rejected) != 1 || rejected[0] != "8 too long: document longer than 1000 bytes" {
		t.Errorf("got %.80q, rejected %q", docs, rejected)
	}
	if docs, rejected = run(t, long+"\n", source.Options{MaxLine: len(long)}); len(docs) != 1 || len(rejected) != 0 {
		t.Errorf("a document as long as the limit: got %d, rejected %q", len(docs), rejected)
	}
}

func TestEmitError(t *testing.T) {
	stop := errors.New("stop")
	r := ecs.New(source.NewInput("test", strings.NewReader("{}\n{}\n")), source.Options{Schema: event.NewSchema()})
	n := 0
	err := r.Run(context.Background(), func(*event.Event) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("Run = %v after %d events, want %v after 1", err, n, stop)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := ecs.New(source.NewInput("test", strings.NewReader(strings.Repeat("{}\n", 100))), source.Options{Schema: event.NewSchema()})
	n := 0
	err := r.Run(ctx, func(*event.Event) error { n++; cancel(); return nil })
	if err != context.Canceled || n != 1 {
		t.Errorf("Run = %v after %d events, want %v after 1", err, n, context.Canceled)
	}
}

// The examples are what each of Elastic's sources writes.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/ecs/*.ndjson")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		docs, rejected := run(t, string(b), source.Options{})
		if len(docs) != strings.Count(string(b), "\n") || len(rejected) > 0 {
			t.Errorf("%s: %d documents, rejected %q", file, len(docs), rejected)
		}
	}
}

func FuzzECS(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		docs, rejected := run(t, text, source.Options{MaxLine: 64})
		// Nothing vanishes: what is read is a document, rejected, or structure.
		if len(docs)+len(rejected) == 0 && strings.Trim(text, " \t\r\n\x1e[]{}\":,") != "" && strings.Count(text, "{")+strings.Count(text, "[") == 0 && !strings.HasPrefix(text, "\xef\xbb\xbf") {
			t.Errorf("%q: nothing came of it", text)
		}
	})
}

func BenchmarkNDJSON(b *testing.B) {
	doc, err := os.ReadFile("../../examples/ecs/elastic-defend.ndjson")
	if err != nil {
		b.Fatal(err)
	}
	per := strings.Count(string(doc), "\n")
	text := strings.Repeat(string(doc), 1000)
	s := event.NewSchema()
	for _, f := range []string{"process.name", "process.args", "event.type", "event.action", "host.os.type", "process.executable", "process.parent.executable"} {
		s.Field(f)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := ecs.New(source.NewInput("bench", strings.NewReader(text)), source.Options{Schema: s})
		if err := r.Run(context.Background(), func(*event.Event) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*per*1000), "ns/event")
}

// Once the reader is warm, reading a line does not allocate.
func TestNoAllocations(t *testing.T) {
	text := strings.Repeat(`{"@timestamp":"2026-01-02T03:04:05Z","process":{"name":"ctr","args":["ctr","tasks"]}}`+"\n", 20000)
	s := event.NewSchema()
	s.Field("process.args")
	r := ecs.New(source.NewInput("test", strings.NewReader(text)), source.Options{Schema: s})
	var before, after runtime.MemStats
	n := 0
	if err := r.Run(context.Background(), func(*event.Event) error {
		if n++; n == 1000 {
			runtime.ReadMemStats(&before)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if d := after.Mallocs - before.Mallocs; d > 1000 {
		t.Errorf("%d allocations for 19,000 documents", d)
	}
}

func Example() {
	in := source.NewInput("events.ndjson", strings.NewReader(`{"process":{"name":"ctr"}}`))
	s := event.NewSchema()
	name := s.Field("process.name")
	r := ecs.New(in, source.Options{Schema: s})
	err := r.Run(context.Background(), func(e *event.Event) error {
		fmt.Println(e.Get(name).Str())
		return nil
	})
	fmt.Println(err)
	// Output:
	// ctr
	// <nil>
}

// Where no documents begin, nothing is moved to make a batch: that would be done again for
// each of many such lines.
func TestCutMovesNothingInVain(t *testing.T) {
	for _, text := range []string{"5\n{}\n", "no document\n{}\n", " \n\t[{}]\n"} {
		r := ecs.New(source.NewInput("test", strings.NewReader(text+strings.Repeat("x\n", 1000))), source.Options{Schema: event.NewSchema()})
		r.Begin(context.Background(), func(*event.Event) error { return nil })
		var b ecs.Batch
		r.Cut(&b) // It reads the beginning.
		b = ecs.Batch{}
		if r.Cut(&b) || b.Memory() != 0 {
			t.Errorf("%.12q: cut into %d bytes of memory, want none", text, b.Memory())
		}
	}
}
