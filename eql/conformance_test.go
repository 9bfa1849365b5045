package eql_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
)

// shared is where the conformance cases are when they are at hand: beside the
// checkout.
const shared = "../../shared/conformance/eql"

// conformanceCase is one line of a suite; ../../shared/conformance/eql/README.md
// describes it.
type conformanceCase struct {
	Suite, Name, Dataset, Query, Expect, Kind string

	ExpectedIDs   json.RawMessage `json:"expected_ids"`
	JoinKeys      json.RawMessage `json:"join_keys"`
	Alternatives  json.RawMessage `json:"expected_alternatives"`
	ExpectedValue any             `json:"expected_value"`
	ErrorClass    string          `json:"error_class"`
	ErrorMessage  string          `json:"error_message"`
	MessageMatch  string          `json:"message_match"`

	Params struct {
		Dialect       string
		Input         string
		Category      string `json:"event_category_field"`
		Timestamp     string `json:"timestamp_field"`
		Tiebreaker    string `json:"tiebreaker_field"`
		ID            string `json:"id_field"`
		Schema        string
		Size          *int
		MaxSamples    int  `json:"max_samples_per_key"`
		ESUnsupported bool `json:"es_unsupported"`
	}
}

func conformanceCases(t *testing.T) []conformanceCase {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(shared, "*.jsonl"))
	if len(files) == 0 {
		t.Skipf("no conformance cases in %s; the corpora in testdata cover the same ground", shared)
	}
	var cases []conformanceCase
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sc := bufio.NewScanner(f)
		sc.Buffer(nil, 1<<22)
		for sc.Scan() {
			var c conformanceCase
			d := json.NewDecoder(strings.NewReader(sc.Text()))
			d.UseNumber()
			if err := d.Decode(&c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if c.Params.Dialect == "elasticsearch" && !c.Params.ESUnsupported {
				cases = append(cases, c)
			}
		}
		if err := sc.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return cases
}

func (c *conformanceCase) compiler(t *testing.T) *eql.Compiler {
	comp := &eql.Compiler{Schema: event.NewSchema(), Category: c.Params.Category, Timestamp: c.Params.Timestamp, Tiebreaker: c.Params.Tiebreaker}
	if f, err := os.Open(filepath.Join(shared, "schemas", c.Params.Schema+".json")); err == nil && c.Params.Schema != "" {
		defer f.Close()
		if comp.Mapping, err = eql.ReadMapping(f); err != nil {
			t.Fatal(err)
		}
	}
	return comp
}

func TestConformance(t *testing.T) {
	count := map[string]int{}
	for _, c := range conformanceCases(t) {
		count[c.Suite+" "+c.Expect+" "+c.Kind]++
		t.Run(c.Suite+"/"+c.Name, func(t *testing.T) {
			comp := c.compiler(t)
			src := syntax.Source{Text: c.Query}
			switch c.Expect {
			case "value", "literals":
				c.value(t, comp, src)
			case "valid":
				if _, err := comp.Compile(src); err != nil {
					t.Errorf("refused: %v", err)
				}
			case "error":
				c.refusal(t, comp, src)
			case "events":
				c.events(t, comp, src)
			default:
				t.Fatalf("unknown expectation %q", c.Expect)
			}
		})
	}
	var lines []string
	for k, n := range count {
		lines = append(lines, fmt.Sprintf("%s: %d", k, n))
	}
	sort.Strings(lines)
	t.Log(strings.Join(lines, "\n"))
}

func (c *conformanceCase) value(t *testing.T, comp *eql.Compiler, src syntax.Source) {
	if c.Expect == "literals" {
		x, err := syntax.ParseExpr(src)
		if err != nil {
			t.Fatal(err)
		}
		b := x.(*syntax.Binary)
		got := []any{b.X.(*syntax.Literal).Str, b.Y.(*syntax.Literal).Str}
		if want := c.ExpectedValue.([]any); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		return
	}
	v, constant, err := comp.CompileExpr(src)
	if err != nil || !constant {
		t.Fatalf("constant %v, error %v", constant, err)
	}
	same := false
	switch want := c.ExpectedValue.(type) {
	case nil:
		same = !v.Exists()
	case bool:
		same = v.Kind() == event.KindBool && v.Bool() == want
	case string:
		same = v.Kind() == event.KindString && v.Str() == want
	case json.Number:
		f, _ := want.Float64()
		same = math.Abs(v.Float()-f) < 1e-12 && v.Exists()
	}
	if !same {
		t.Errorf("got %v %s, want %v", v.Kind(), v.Text(), c.ExpectedValue)
	}
}

var place = regexp.MustCompile(`^(?:Line )?(\d+):(\d+): `)

func (c *conformanceCase) refusal(t *testing.T, comp *eql.Compiler, src syntax.Source) {
	var err error
	if c.Params.Input == "expression" {
		_, _, err = comp.CompileExpr(src)
	} else {
		_, err = comp.Compile(src)
	}
	if err == nil {
		t.Fatal("accepted")
	}
	first := err.(syntax.Errors)[0]
	switch c.ErrorClass {
	case "ParsingException", "VerificationException", "QlIllegalArgumentException":
		if string(first.Class) != c.ErrorClass {
			t.Errorf("got a %s, want a %s: %v", first.Class, c.ErrorClass, err)
		}
	}
	m := place.FindStringSubmatch(c.ErrorMessage)
	if m == nil {
		return
	}
	line, col := first.Src.Position(first.Range.Start)
	got := fmt.Sprintf("%d:%d", line, col)
	want := m[1] + ":" + m[2]
	// Elasticsearch prints the column of a mistake that it finds after parsing,
	// yet calls a ParsingException, one too high: Source counts columns from 1
	// and ParsingException adds 1 once more. Ours is the true one.
	if first.Class == syntax.Parsing && oneTooHigh(c.ErrorMessage) {
		got = fmt.Sprintf("%d:%d", line, col+1)
	}
	if got != want {
		t.Errorf("got %s %q, want %q", got, first.Msg, c.ErrorMessage)
	}
}

func oneTooHigh(msg string) bool {
	for _, s := range []string{"error building", "No time unit", "Use double quotes", "Use triple double quotes", "Unsupported join key"} {
		if strings.Contains(msg, s) {
			return true
		}
	}
	return false
}

// dataset decodes the documents of a case.
func (c *conformanceCase) dataset(t *testing.T, comp *eql.Compiler) []*event.Event {
	data, err := os.ReadFile(filepath.Join(shared, "data", c.Dataset))
	if err != nil {
		t.Fatal(err)
	}
	d := event.NewDecoder(comp.Schema)
	if c.Params.Timestamp != "" {
		d.SetTimeField(comp.Schema.Field(c.Params.Timestamp))
	}
	var events []*event.Event
	for line := range strings.Lines(string(data)) {
		var e event.Event
		if err := d.Decode([]byte(strings.TrimSpace(line)), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e.Clone())
	}
	return events
}

// observe maps the fields that only the documents have, as an index does.
func (c *conformanceCase) observe(t *testing.T, comp *eql.Compiler, src syntax.Source) {
	tree, err := syntax.Parse(src)
	if err != nil || comp.Mapping == nil {
		return
	}
	var names []string
	tree.Fields(func(f *syntax.Field) {
		comp.Schema.Field(f.Path)
		names = append(names, f.Path)
	})
	for _, e := range c.dataset(t, comp) {
		for _, n := range names {
			comp.Mapping.Observe(n, e.Get(comp.Schema.Field(n)))
		}
	}
}

func (c *conformanceCase) events(t *testing.T, comp *eql.Compiler, src syntax.Source) {
	c.observe(t, comp, src)
	q, err := comp.Compile(src)
	if err != nil {
		t.Fatal(err)
	}
	id := comp.Schema.Field(c.Params.ID)
	events := c.dataset(t, comp)
	slices.SortStableFunc(events, q.Compare)
	size := -1
	if c.Params.Size != nil {
		size = *c.Params.Size
	}
	var got, keys any
	if q.Kind() == eql.Events {
		var hits []*event.Event
		for _, e := range events {
			if q.Match(e) {
				hits = append(hits, e)
			}
		}
		ids := []int64{}
		for _, e := range eql.Window(q, size, hits) {
			ids = append(ids, e.Get(id).Int())
		}
		got = ids
	} else {
		ids, texts := [][]int64{}, []string{}
		for _, m := range eql.Window(q, size, matches(q, c.Params.MaxSamples, events)) {
			var one []int64
			for _, e := range m.Events {
				if e == nil {
					one = append(one, -1)
					continue
				}
				one = append(one, e.Get(id).Int())
			}
			ids = append(ids, one)
			for _, k := range m.Keys {
				texts = append(texts, k.Text())
			}
		}
		got, keys = ids, texts
	}
	gotJSON, _ := json.Marshal(got)
	wants := []json.RawMessage{c.ExpectedIDs}
	if c.Alternatives != nil {
		json.Unmarshal(c.Alternatives, &wants)
	}
	for _, w := range wants {
		var want any
		json.Unmarshal(w, &want)
		wantJSON, _ := json.Marshal(want)
		if string(gotJSON) == string(wantJSON) {
			if keysJSON, _ := json.Marshal(keys); c.JoinKeys != nil && len(wants) == 1 {
				var want any
				json.Unmarshal(c.JoinKeys, &want)
				if wantJSON, _ := json.Marshal(want); string(wantJSON) != string(keysJSON) {
					t.Errorf("got keys %s, want %s", keysJSON, wantJSON)
				}
			}
			return
		}
	}
	t.Errorf("got %s, want %s", gotJSON, wants)
}

// matches runs a sequence or sample over events that are in order.
func matches(q *eql.Query, perKey int, events []*event.Event) []eql.Match {
	var out []eql.Match
	if q.Kind() == eql.Samples {
		s := q.NewSampler()
		for _, e := range events {
			s.Add(e)
		}
		s.Samples(perKey, func(m eql.Match) bool { out = append(out, m); return true })
		return out
	}
	m := q.NewMatcher()
	for _, e := range events {
		m.Add(e, func(x eql.Match) { out = append(out, x) })
	}
	m.Flush(func(x eql.Match) { out = append(out, x) })
	slices.SortStableFunc(out, func(a, b eql.Match) int { return int(a.Ordinal - b.Ordinal) })
	return out
}
