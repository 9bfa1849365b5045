package event_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
)

// values decodes doc and prints the value of each field, as JSON or as the
// kinds that JSON lacks.
func values(t *testing.T, doc string, fields ...string) string {
	t.Helper()
	s := event.NewSchema()
	d := event.NewDecoder(s)
	var nums []event.Field
	for _, f := range fields {
		nums = append(nums, s.Field(f))
	}
	var e event.Event
	if err := d.Decode([]byte(doc), &e); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	var out []string
	for _, f := range nums {
		v := e.Get(f)
		if v.Kind() == event.KindMissing {
			out = append(out, "missing")
			continue
		}
		out = append(out, string(v.AppendJSON(nil)))
	}
	return strings.Join(out, " ")
}

func TestDecodePaths(t *testing.T) {
	f := func(doc, want string) {
		t.Helper()
		if got := values(t, doc, "process.parent.name"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", doc, got, want)
		}
	}
	// Nested, dotted and mixed keys name the same field.
	f(`{"process":{"parent":{"name":"bash"}}}`, `"bash"`)
	f(`{"process.parent.name":"bash"}`, `"bash"`)
	f(`{"process":{"parent.name":"bash"}}`, `"bash"`)
	f(`{"process.parent":{"name":"bash"}}`, `"bash"`)
	f(`{"pro\u0063ess":{"parent.n\u0061me":"bash"}}`, `"bash"`)
	// Both spellings in one document are both values.
	f(`{"process.parent.name":"a","process":{"parent":{"name":"b"}}}`, `["a","b"]`)
	// Arrays are sets of values; one element is that element.
	f(`{"process":{"parent":{"name":["bash"]}}}`, `"bash"`)
	f(`{"process":{"parent":{"name":["a","b",null,["c"]]}}}`, `["a","b","c"]`)
	f(`{"process":[{"parent":{"name":"a"}},{"parent":[{"name":"b"},{"name":"c"}]}]}`, `["a","b","c"]`)
	// Null and nothing.
	f(`{"process":{"parent":{"name":null}}}`, `null`)
	f(`{"process":{"parent":{"name":[]}}}`, `null`)
	f(`{"process":{"parent":{"name":[null,"x"]}}}`, `"x"`)
	f(`{"process":{"parent":{}}}`, `missing`)
	f(`{"process":{"parent":{"name":{"first":"x"}}}}`, `missing`)
	f(`{"process":"ctr"}`, `missing`)
	f(`{"process.parent.name.":"x",".process.parent.name":"x","process..parent.name":"x"}`, `missing`)
	f(`{}`, `missing`)
}

func TestDecodeScalars(t *testing.T) {
	f := func(json, want string) {
		t.Helper()
		if got := values(t, `{"f":`+json+`}`, "f"); got != want {
			t.Errorf("%s: got %s, want %s", json, got, want)
		}
	}
	f(`9007199254740993`, `9007199254740993`) // above 2^53, exact
	f(`9223372036854775807`, `9223372036854775807`)
	f(`-9223372036854775808`, `-9223372036854775808`)
	f(`18446744073709551615`, `1.8446744073709552e+19`)
	f(`-0`, `0`)
	f(`0.1`, `0.1`)
	f(`1e3`, `1000`)
	f(`-1.5E-3`, `-0.0015`)
	f(`true`, `true`)
	f(`false`, `false`)
	f(`""`, `""`)
	f(`"a\"b\\c\/d\b\f\n\r\t\u00e9\ud83d\ude00"`, `"a\"b\\c/d\u0008\u000c\n\r\té😀"`)
	f(`"\ud800 \ud800A"`, `"� �A"`)
	f(`"ünï 漢"`, `"ünï 漢"`)
	f(` [ 1 , 2.5 , "x" , true ] `, `[1,2.5,"x",true]`)
}

func TestDecodeErrors(t *testing.T) {
	f := func(doc, want string) {
		t.Helper()
		s := event.NewSchema()
		s.Field("a")
		var e event.Event
		err := event.NewDecoder(s).Decode([]byte(doc), &e)
		var syn *event.SyntaxError
		if !errors.As(err, &syn) {
			t.Errorf("%.60q: got error %v, want a SyntaxError", doc, err)
			return
		}
		if syn.Error() != want {
			t.Errorf("%.60q: got %q, want %q", doc, syn, want)
		}
		if e.Raw != nil || e.Get(s.Field("a")).Exists() {
			t.Errorf("%.60q: the event is not empty after an error", doc)
		}
	}
	f(``, `empty document at byte 0`)
	f(`  `, `empty document at byte 2`)
	f(`[1]`, `not a JSON object at byte 0`)
	f(`{"a":1`, `document ends early at byte 6`)
	f(`{"a":"x`, `document ends early at byte 7`)
	f(`{"a":1}}`, `data after the document at byte 7`)
	f(`{"a":1}{"a":2}`, `data after the document at byte 7`)
	f(`{a:1}`, `expected a key at byte 1`)
	f(`{"a" 1}`, `expected ':' at byte 5`)
	f(`{"a":1,}`, `expected a key at byte 7`)
	f(`{"a":1 "b":2}`, `expected ',' or '}' at byte 7`)
	f(`{"a":[1 2]}`, `expected ',' or ']' at byte 8`)
	f(`{"a":01}`, `bad number at byte 5`)
	f(`{"a":1.}`, `bad number at byte 5`)
	f(`{"a":+1}`, `expected a value at byte 5`)
	f(`{"a":nul}`, `expected null at byte 5`)
	f(`{"a":"\x"}`, `bad escape at byte 6`)
	f(`{"a":"\u12g4"}`, `bad escape at byte 6`)
	f("{\"a\":\"\x00\"}", `control character in a string at byte 6`)
	f("{\"a\":\"tab\there\"}", `control character in a string at byte 9`)
	f("{\"a\":\"\xff\"}", `invalid UTF-8 at byte 6`)
	f("\x00", `not a JSON object at byte 0`)
	f(`{"a":1,"b":2,"b":3}`, `duplicate key at byte 13`)
	f(`{"a":1,"\u0061":2}`, `duplicate key at byte 7`)
	deep := strings.Repeat(`[`, event.MaxDepth)
	f(`{"a":`+deep, fmt.Sprintf("nested too deep at byte %d", len(`{"a":`)+event.MaxDepth-1))
	f(`{"skipped":`+deep, fmt.Sprintf("nested too deep at byte %d", len(`{"skipped":`)+event.MaxDepth-1))
}

func TestDuplicateKeysOfAWideObject(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{`)
	for i := range 100_000 {
		fmt.Fprintf(&b, `"k%d":%d,`, i, i)
	}
	var e event.Event
	d := event.NewDecoder(event.NewSchema())
	if err := d.Decode([]byte(b.String()+`"z":1}`), &e); err != nil {
		t.Error(err)
	}
	err := d.Decode([]byte(b.String()+`"k99999":1}`), &e)
	if err == nil || !strings.HasPrefix(err.Error(), "duplicate key at byte ") {
		t.Errorf("got %v, want a duplicate key", err)
	}
}

func TestParseTime(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got := "no"
		if at, ok := event.ParseTime(in); ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	f("2026-04-29T10:11:12Z", "2026-04-29T10:11:12Z")
	f("2026-04-29T10:11:12.5Z", "2026-04-29T10:11:12.5Z")
	f("2026-04-29T10:11:12.123456789Z", "2026-04-29T10:11:12.123456789Z")
	f("2026-04-29T10:11:12.12345678912345Z", "2026-04-29T10:11:12.123456789Z")
	f("2026-04-29T10:11:12.8657898+02:00", "2026-04-29T08:11:12.8657898Z")
	f("2026-04-29T10:11:12-0330", "2026-04-29T13:41:12Z")
	f("2026-04-29T10:11:12+02", "2026-04-29T08:11:12Z")
	f("2026-04-29 10:11:12", "2026-04-29T10:11:12Z")
	f("2026-04-29T10:11", "2026-04-29T10:11:00Z")
	f("2026-04-29", "2026-04-29T00:00:00Z")
	f("2026-04", "2026-04-01T00:00:00Z")
	f("2024-02-29", "2024-02-29T00:00:00Z")
	f("2026-02-29", "no")
	f("2026-13-01", "no")
	f("2026-04-29T24:00:00Z", "no")
	f("2026-04-29T10:11:12.Z", "no")
	f("2026-04-29T10:11:12Zx", "no")
	f("20260429", "no")
	f("bad", "no")
	f("", "no")
}

// A time in UTC, as nearly all are, is what the same time with a zone is, and so is what is
// none, for another byte.
func TestParseTimeInUTC(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	years := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	good := 0
	for range 200_000 {
		want := time.Unix(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()+r.Int64N(years), r.Int64N(1e9))
		text := []byte(want.UTC().Format("2006-01-02T15:04:05.000000000")[:19+r.IntN(11)])
		if r.IntN(2) == 0 {
			text[r.IntN(len(text))] = "0123456789-:T.Z/"[r.IntN(16)]
		}
		got, ok := event.ParseTime(string(text) + "Z")
		want, wanted := event.ParseTime(string(text) + "+00:00")
		if !got.Equal(want) || ok != wanted {
			t.Fatalf("%sZ: got %v, %v, want %v, %v", text, got, ok, want, wanted)
		}
		if ok {
			good++
		}
	}
	if good < 50_000 {
		t.Errorf("%d are times", good)
	}
}

func TestTimeOf(t *testing.T) {
	f := func(v event.Value, want string) {
		t.Helper()
		got := "no"
		if at, ok := event.TimeOf(v); ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", v.Text(), got, want)
		}
	}
	f(event.Int(0), "1970-01-01T00:00:00Z")
	f(event.Int(1504126051000), "2017-08-30T20:47:31Z")
	f(event.Int(1504126051), "2017-08-30T20:47:31Z")
	f(event.Int(1504126051000123), "2017-08-30T20:47:31.000123Z")
	f(event.Int(1504126051000123456), "2017-08-30T20:47:31.000123456Z")
	f(event.Float(1504126051.5), "2017-08-30T20:47:31.5Z")
	f(event.Float(1504126051000.5), "2017-08-30T20:47:31.0005Z")
	f(event.String("1504126051000"), "2017-08-30T20:47:31Z")
	f(event.Float(math.NaN()), "no")
	f(event.Float(1e300), "no")
	f(event.Bool(true), "no")
	f(event.Null(), "no")
}

func TestEventTimeIsTheTimestamp(t *testing.T) {
	s := event.NewSchema()
	d := event.NewDecoder(s)
	var e event.Event
	d.Decode([]byte(`{"@timestamp":"2026-04-29T10:11:12.5Z"}`), &e)
	if want := time.Date(2026, 4, 29, 10, 11, 12, 5e8, time.UTC); !e.Time.Equal(want) {
		t.Errorf("got %v, want %v", e.Time, want)
	}
	d.Decode([]byte(`{"@timestamp":"soon"}`), &e)
	if !e.Time.IsZero() {
		t.Errorf("got %v, want no time", e.Time)
	}
}

func TestCloneOwnsItsMemory(t *testing.T) {
	s := event.NewSchema()
	name, args, set := s.Field("name"), s.Field("args"), s.Field("set")
	d := event.NewDecoder(s)
	doc := []byte(`{"name":"c\u0074r","args":["a","b"],"n":1}`)
	var e event.Event
	if err := d.Decode(doc, &e); err != nil {
		t.Fatal(err)
	}
	e.Set(set, event.String("derived"))
	c := e.Clone()
	for i := range doc {
		doc[i] = 'X'
	}
	d.Decode([]byte(`{"name":"zzzzzzzzzzzzz","args":["y","z"]}`), &e)
	got := c.Get(name).Str() + string(c.Get(args).AppendJSON(nil)) + c.Get(set).Str() + string(c.Raw)
	want := `ctr["a","b"]derived{"name":"c\u0074r","args":["a","b"],"n":1}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if d := c.Derived(); len(d) != 1 || d[0] != set {
		t.Errorf("got derived %v, want [%v]", d, set)
	}
}

func TestSchemaGrowsBetweenDocuments(t *testing.T) {
	s := event.NewSchema()
	d := event.NewDecoder(s)
	var e event.Event
	doc := []byte(`{"a":{"b":1,"b.c":2}}`)
	d.Decode(doc, &e)
	b, c := s.Field("a.b"), s.Field("a.b.c")
	if e.Get(b).Exists() {
		t.Error("a field that nobody had asked for is there")
	}
	d.Decode(doc, &e)
	if e.Get(b).Int() != 1 || e.Get(c).Int() != 2 {
		t.Errorf("got %s and %s, want 1 and 2", e.Get(b).Text(), e.Get(c).Text())
	}
	if s.Field("a.b") != b || s.Name(c) != "a.b.c" {
		t.Error("a field changed its number")
	}
}

func TestTextOfNumbersIsJavas(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := event.Float(v).Text(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(42.5, "42.5")
	f(21, "21.0")
	f(0, "0.0")
	f(-0.001, "-0.001")
	f(0.0001, "1.0E-4")
	f(9999999, "9999999.0")
	f(1e7, "1.0E7")
	f(1.5e300, "1.5E300")
	f(math.Inf(-1), "-Infinity")
	f(math.NaN(), "NaN")
}

func ExampleDecoder() {
	s := event.NewSchema()
	name, args := s.Field("process.name"), s.Field("process.args")
	d := event.NewDecoder(s)

	var e event.Event
	err := d.Decode([]byte(`{"process":{"name":"ctr","args":["ctr","t","exec"]},"user.id":"0"}`), &e)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Get(name).Str(), e.Get(args).Len(), e.Get(args).At(2).Str())
	// Output: ctr 3 exec
}

// A clone is small, and otherwise an event like any other.
func TestCloneCanBeUsedAgain(t *testing.T) {
	s := event.NewSchema()
	for i := range 500 {
		s.Field(fmt.Sprint("wide.f", i))
	}
	b, a := s.Field("b"), s.Field("a")
	d := event.NewDecoder(s)
	var e event.Event
	if err := d.Decode([]byte(`{"b":"x","a":[1,2]}`), &e); err != nil {
		t.Fatal(err)
	}
	c := e.Clone()
	if n := c.Size(); n > 600 {
		t.Errorf("a clone of two fields takes %d bytes", n)
	}
	show := func(e *event.Event) string {
		return e.Get(b).Text() + " " + e.Get(a).Text() + " " + e.Get(s.Field("late")).Kind().String()
	}
	if got := show(c); got != "x [1,2] missing" {
		t.Errorf("got %s", got)
	}
	c.Set(b, event.String("y"))
	if got := show(c); got != "y [1,2] missing" {
		t.Errorf("after Set: got %s", got)
	}
	if got := show(c.Clone().Clone()); got != "y [1,2] missing" {
		t.Errorf("a clone of a clone: got %s", got)
	}
	k := e.Clone()
	if err := d.Decode([]byte(`{"a":3}`), k); err != nil {
		t.Fatal(err)
	}
	if got := show(k); got != "null 3 missing" {
		t.Errorf("decoded into: got %s", got)
	}
	if got := show(&e); got != "x [1,2] missing" {
		t.Errorf("the original changed: %s", got)
	}
}

// Decoding does not allocate: neither for objects that repeat, nor for those that
// never do, nor where more of them take turns than are remembered.
func TestDecodeDoesNotAllocate(t *testing.T) {
	s := event.NewSchema()
	hash, parent := s.Field("process.hash.sha256"), s.Field("process.parent.entity_id")
	d := event.NewDecoder(s)
	var e event.Event
	const n = 2000
	docs := make([][]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range docs {
		docs[i] = fmt.Appendf(nil, `{"host":{"name":"worker-1","os":{"type":"linux"}},"process":{"hash":{"sha256":"%064d"},"parent":{"entity_id":"%032d","name":"bash"}}}`, i, r.IntN(40))
	}
	check := func(doc []byte) {
		if !strings.Contains(string(doc), e.Get(hash).Str()) || !strings.Contains(string(doc), e.Get(parent).Str()) {
			t.Fatalf("%s: got %s and %s", doc, e.Get(hash).Str(), e.Get(parent).Str())
		}
	}
	decode := func() {
		for _, doc := range docs {
			if err := d.Decode(doc, &e); err != nil {
				t.Fatal(err)
			}
			check(doc)
		}
	}
	decode()
	check = func([]byte) {}
	if got := testing.AllocsPerRun(1, decode); got > n/100 {
		t.Errorf("%v allocations for %d documents", got, n)
	}
}

// A string of nothing but escapes takes time by its length, not by the square of it: this
// one took minutes.
func TestStringOfEscapes(t *testing.T) {
	const n = 4 << 20
	s := event.NewSchema()
	f := s.Field("a")
	var e event.Event
	if err := event.NewDecoder(s).Decode([]byte(`{"skipped":"`+strings.Repeat(`\n`, n)+`","a":"`+strings.Repeat(`\"`, n)+`"}`), &e); err != nil {
		t.Fatal(err)
	}
	if got := e.Get(f).Str(); len(got) != n || strings.Trim(got, `"`) != "" {
		t.Errorf("%d bytes, want %d quotes", len(got), n)
	}
}
