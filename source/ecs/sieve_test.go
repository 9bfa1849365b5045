package ecs_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/ecs"
)

// words are what fields and queries are made of: in either case, with what JSON escapes,
// and what is like a number or a boolean.
var words = []string{
	"ctr", "CTR", "Ctr", "crictl", "containerd.sock", "/run/containerd/containerd.sock", "/tmp/x", "k8s.io", `a"b\c`, "tab\there", "é-ctr", "\uFFFD\uFFFDz",
	"true", "4711", "47110.0", "1.0E10", "Infinity", "2026-04-29T10:00:00Z", "x", "", "exec", "process",
}

var conditions = []string{
	`name == %q`, `name in ("nope", %q)`, `name in~ (%q, "CRICTL")`, `name : %q`, `name : ("*%s*", "none")`, `name like "*%s"`, `name like~ "%s*"`,
	`args == %q`, `args like ("?%s?", %q)`, `name regex ".*%s"`, `name regex~ "(%s|other)"`, `startsWith(name, %q)`, `name != %q`, `name == null`, `n == 4711`, `n : "47*"`, `ok == true`, `ok : "tr*"`,
	`name == %q and args == "exec"`, `name == %q or not args : "*xec*"`, `_id == %q`, `_index : "*%s*"`,
}

func drawCondition(t *rapid.T) string {
	word := rapid.SampledFrom(words[:12]).Draw(t, "word")
	c := rapid.SampledFrom(conditions).Draw(t, "condition")
	c = strings.ReplaceAll(c, "%q", syntax.QuoteString(word))
	inside := syntax.QuoteString(word)
	return strings.ReplaceAll(c, "%s", inside[1:len(inside)-1])
}

// drawText writes a string of JSON in one of the ways in which it may be written.
func drawText(t *rapid.T, s string) string {
	how := rapid.IntRange(0, 9).Draw(t, "how")
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < 0x20 || how == 0 && i%3 == 1 && r < 0x80:
			fmt.Fprintf(&b, `\u%04x`, r)
		case r == '/' && how == 1:
			b.WriteString(`\/`)
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

func drawDocument(t *rapid.T) string {
	word := func() string { return drawText(t, rapid.SampledFrom(words).Draw(t, "value")) }
	doc := `{"event":{"category":"process"},"name":` + word()
	if rapid.Bool().Draw(t, "args") {
		doc += `,"args":[` + word() + `,"exec"]`
	}
	doc += rapid.SampledFrom([]string{"", `,"n":4711`, `,"n":4711.0`, `,"n":4.711e3`, `,"ok":true`, `,"_id":"ctr"`, `,"pad":"` + strings.Repeat("p", 300) + `"`}).Draw(t, "more")
	return doc + "}"
}

// drawLines draws what a file may begin or go on with.
func drawLines(t *rapid.T) string {
	doc := drawDocument(t)
	end := rapid.SampledFrom([]string{"\n", "\n", "\n", "\n", "\r\n", " \n", "\n\n"}).Draw(t, "end")
	switch rapid.IntRange(0, 30).Draw(t, "layout") {
	case 0:
		return strings.ReplaceAll(doc, ",", "\n,") + end
	case 1:
		return strings.ReplaceAll(doc, ":", ":\n") + end
	case 2:
		return doc + drawDocument(t) + end
	case 3:
		return fmt.Sprintf(`{"index":{"_index":"logs-ctr","_id":%s}}`, drawText(t, "crictl")) + "\n" + doc + end
	case 4:
		return `{"delete":{"_index":"x","_id":"ctr"}}` + "\n" + doc + end
	case 5:
		return `{"_index":"ctr","_id":"1","_source":` + doc + "}" + end
	case 6:
		return `{"took":1,"hits":{"hits":[{"_id":"ctr","_source":` + doc + `}` + end + `,{"_source":` + drawDocument(t) + "}]}}" + end
	case 7:
		return "[" + doc + ",\n" + drawDocument(t) + "]" + end
	case 8:
		return doc[:len(doc)-1] + end
	case 9:
		return "no document ctr" + end
	case 10:
		return `{"name":{}` + end + `,"args":"ctr"}` + end
	case 11:
		return `{"name":"x","name":"ctr"}` + end
	case 12:
		return " " + doc + end
	case 13:
		return "{\n" + doc[1:len(doc)-1] + "\n}" + end
	case 14, 15, 16, 17, 18, 19:
		return strings.Repeat(`{"event":{"category":"process"},"name":"sh","args":["-c","sleep 10"]}`+"\n", rapid.IntRange(1, 9).Draw(t, "dull"))
	}
	return doc + end
}

// chunks is a reader that gives a few bytes at a time.
type chunks struct {
	io.Reader
	n int
}

func (c chunks) Read(p []byte) (int, error) { return c.Reader.Read(p[:min(len(p), c.n)]) }

// What a query wants, it gets of the lines that are not skipped, at the same places and
// in the same order, whatever they are.
func TestSkippingIsExact(t *testing.T) {
	skipped, wanted := int64(0), 0
	rapid.Check(t, func(t *rapid.T) {
		schema := event.NewSchema()
		text := "process where " + drawCondition(t)
		if rapid.Bool().Draw(t, "sequence") {
			text = fmt.Sprintf("sequence with maxspan=1m [process where %s] ![any where %s] until [process where %s]", drawCondition(t), drawCondition(t), drawCondition(t))
		}
		q, err := eql.Compile(syntax.Source{Text: text}, schema)
		if err != nil {
			t.Skip("quotes stand for something in a regular expression:", err)
		}
		var b strings.Builder
		for range rapid.IntRange(1, 40).Draw(t, "lines") {
			b.WriteString(drawLines(t))
		}
		in := strings.TrimRight(b.String(), rapid.SampledFrom([]string{"", "\n"}).Draw(t, "last"))
		chunk := rapid.SampledFrom([]int{1 << 20, 700, 61, 7}).Draw(t, "chunk")
		run := func(literals source.Literals) (events, refused []string) {
			var stats source.Stats
			o := source.Options{Schema: schema, Stats: &stats, Literals: literals, MaxLine: 1000,
				Reject: func(r source.Rejection) { refused = append(refused, fmt.Sprint(r.Origin.Offset, r.Reason)) }}
			err := ecs.New(source.NewInput("f", chunks{strings.NewReader(in), chunk}), o).Run(context.Background(), func(e *event.Event) error {
				if q.Wants(e) {
					events = append(events, fmt.Sprint(e.Origin.Offset, " ", string(e.Raw)))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			skipped += stats.Skipped.Load()
			wanted += len(events)
			return events, refused
		}
		want, all := run(nil)
		got, some := run(q.Literals)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s\nof\n%s\n(-all lines read +some skipped):\n%s", text, in, d)
		}
		for _, r := range some {
			if !strings.Contains(strings.Join(all, "\x00"), r) {
				t.Errorf("%s\nof\n%s\nrefused %q, which it is not when all lines are read", text, in, r)
			}
		}
	})
	if skipped == 0 || wanted == 0 {
		t.Errorf("%d lines skipped, %d events wanted: nothing is tested", skipped, wanted)
	}
	t.Logf("%d lines skipped, %d events wanted", skipped, wanted)
}
