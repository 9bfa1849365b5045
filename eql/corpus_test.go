package eql_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the reports of the corpora, and the tables of the reference")

// A corpus file begins with a sentence, and holds in this order:
//
//	mapping    a mapping, for the queries below it
//	events     one document a line; without an id it has its number, from 1,
//	           without @timestamp it comes a second after the one before
//	queries    a query, =>, and what it finds: ids, or ids in brackets with
//	           - for a missing event; a query goes on over indented lines
//	values     an expression, =>, and its value as EQL
//	mistakes   paragraphs of a query and all its mistakes, each with its class
//	x.query    a query, and
//	x.report   its mistakes as they are shown to people
//
// Among the queries, a line "set tiebreaker=seq size=2 perkey=3 category=kind"
// says how those below are run. A # begins a comment.
func TestCorpus(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no corpora")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(string(ar.Comment), "\n"); !strings.HasSuffix(first, ".") {
				t.Errorf("the first line is no sentence: %q", first)
			}
			c := corpus{t: t}
			for i := range ar.Files {
				c.section(&ar.Files[i])
			}
			if c.changed && *update {
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type corpus struct {
	t       *testing.T
	mapping *eql.Mapping
	lines   []string // of events
	input   string   // of the report that follows
	changed bool

	compiler     eql.Compiler
	size, perKey int
}

func (c *corpus) section(f *txtar.File) {
	data := string(f.Data)
	switch {
	case f.Name == "mapping":
		m, err := eql.ReadMapping(strings.NewReader(data))
		if err != nil {
			c.t.Fatal(err)
		}
		c.mapping = m
	case f.Name == "events":
		c.lines = strings.Split(strings.TrimSpace(data), "\n")
	case f.Name == "queries":
		c.compiler, c.size, c.perKey = eql.Compiler{}, -1, 1
		c.pairs(data, c.query)
	case f.Name == "values":
		c.pairs(data, c.value)
	case f.Name == "mistakes":
		var got strings.Builder
		for i, paragraph := range strings.Split(strings.TrimSpace(data), "\n\n") {
			if i > 0 {
				got.WriteString("\n")
			}
			query, _, _ := strings.Cut(paragraph, "\n")
			got.WriteString(query + "\n")
			if strings.HasPrefix(query, "#") {
				continue
			}
			comp := eql.Compiler{Schema: event.NewSchema(), Mapping: c.mapping}
			_, err := comp.Compile(syntax.Source{Text: query})
			errs, _ := err.(syntax.Errors)
			if len(errs) == 0 {
				c.t.Errorf("%s: accepted", query)
			}
			for _, e := range errs {
				fmt.Fprintf(&got, "  %s %v\n", e.Class, e)
			}
		}
		c.golden(f, got.String())
	case strings.HasSuffix(f.Name, ".query"):
		c.input = strings.TrimSuffix(data, "\n")
	case strings.HasSuffix(f.Name, ".report"):
		comp := eql.Compiler{Schema: event.NewSchema(), Mapping: c.mapping}
		_, err := comp.Compile(syntax.Source{Text: c.input})
		got := "accepted\n"
		if errs, ok := err.(syntax.Errors); ok {
			got = string(errs[0].Class) + "\n" + errs.Report()
		}
		c.golden(f, got)
	default:
		c.t.Fatalf("unknown section %q", f.Name)
	}
}

// golden compares a section with what it should hold.
func (c *corpus) golden(f *txtar.File, got string) {
	want := string(f.Data)
	if got == want {
		return
	}
	c.changed = true
	f.Data = []byte(got)
	if !*update {
		c.t.Errorf("%s: got\n%swant\n%s", f.Name, got, want)
	}
}

// pairs splits a section into "a => b", over indented lines.
func (c *corpus) pairs(data string, f func(a, b string)) {
	item := ""
	for l := range strings.Lines(data) {
		l = strings.TrimRight(l, "\n")
		if strings.TrimSpace(l) == "" || l[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(l, "set "); ok && item == "" {
			c.set(rest)
			continue
		}
		item += l + "\n"
		a, b, ok := strings.Cut(item, "=>")
		if !ok {
			continue
		}
		item = ""
		f(strings.TrimSpace(a), strings.TrimSpace(b))
	}
	if item != "" {
		c.t.Fatalf("no => in %s", item)
	}
}

func (c *corpus) set(words string) {
	for w := range strings.FieldsSeq(words) {
		name, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch name {
		case "tiebreaker":
			c.compiler.Tiebreaker = value
		case "category":
			c.compiler.Category = value
		case "timestamp":
			c.compiler.Timestamp = value
		case "size":
			c.size = n
		case "perkey":
			c.perKey = n
		default:
			c.t.Fatalf("set %s?", name)
		}
	}
}

func (c *corpus) query(text, want string) {
	comp := c.compiler
	comp.Schema, comp.Mapping = event.NewSchema(), c.mapping
	q, err := comp.Compile(syntax.Source{Text: text})
	if err != nil {
		c.t.Errorf("%s\n%v", text, err)
		return
	}
	id := comp.Schema.Field("id")
	var events []*event.Event
	var ids []string // by the place in the file, which an event's origin says
	name := func(e *event.Event) string { return ids[e.Origin.Offset] }
	d := event.NewDecoder(comp.Schema)
	if comp.Timestamp != "" {
		d.SetTimeField(comp.Schema.Field(comp.Timestamp))
	}
	now := time.Date(2026, 4, 29, 0, 0, 0, 0, time.UTC)
	for i, l := range c.lines {
		var e event.Event
		if err := d.Decode([]byte(l), &e); err != nil {
			c.t.Fatalf("%s: %v", l, err)
		}
		if now = now.Add(time.Second); e.Time.IsZero() {
			e.Time = now
		}
		now = e.Time
		e.Origin.Offset = int64(i)
		ids = append(ids, strconv.Itoa(i+1))
		if v := e.Get(id); v.Exists() {
			ids[i] = v.Text()
		}
		events = append(events, e.Clone())
	}
	slices.SortStableFunc(events, q.Compare)
	var got []string
	if q.Kind() == eql.Events {
		for _, e := range events {
			if q.Match(e) {
				got = append(got, name(e))
			}
		}
	} else {
		for _, m := range matches(q, c.perKey, events) {
			var in []string
			for _, e := range m.Events {
				if e == nil {
					in = append(in, "-")
					continue
				}
				in = append(in, name(e))
			}
			got = append(got, "["+strings.Join(in, " ")+"]")
		}
	}
	got = eql.Window(q, c.size, got)
	if line := strings.Join(got, " "); line != want {
		c.t.Errorf("%s\ngot  %s\nwant %s", text, line, want)
	}
}

func (c *corpus) value(text, want string) {
	comp := eql.Compiler{Schema: event.NewSchema(), Mapping: c.mapping}
	if err := sameValue(&comp, text, want); err != nil {
		c.t.Error(err)
	}
}

// sameValue checks that an expression is constant and has the value, of the
// same kind, that another one has.
func sameValue(comp *eql.Compiler, text, want string) error {
	get := func(text string) (event.Value, error) {
		v, ok, err := comp.CompileExpr(syntax.Source{Text: text})
		if err == nil && !ok {
			err = fmt.Errorf("not constant")
		}
		return v, err
	}
	v, err := get(text)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	w, err := get(want)
	if err != nil {
		return fmt.Errorf("%s: %w", want, err)
	}
	if !v.Equal(w) {
		return fmt.Errorf("%s is %v %s, want %v %s", text, v.Kind(), v.Text(), w.Kind(), w.Text())
	}
	return nil
}
