package agent

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write the tables of docs/run.md and docs/sinks.md")

// docs/run.md has a line for each key of a configuration, and for each metric, and
// docs/sinks.md for each key of each kind of sink. -update writes them.
func TestReference(t *testing.T) {
	table := func(v reflect.Value) string {
		var b strings.Builder
		b.WriteString("| key | type | default | |\n|---|---|---|---|\n")
		keyTable(&b, "", v.Elem())
		return b.String()
	}
	var metrics strings.Builder
	all := make(chan *prometheus.Desc)
	go func() {
		(&collector{}).Describe(all)
		close(all)
	}()
	for d := range all {
		m := descParts.FindStringSubmatch(d.String())
		labels := strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })
		series := m[1]
		if len(labels) > 0 {
			series += "{" + strings.Join(labels, ",") + "}"
		}
		fmt.Fprintf(&metrics, "| `%s` | %s |\n", series, m[2])
	}
	reference(t, "../../docs/run.md", map[string]string{"keys": table(reflect.ValueOf(NewConfig())), "metrics": metrics.String()})
	kinds := map[string]string{}
	for _, k := range sinkKinds {
		kinds[k.name] = table(reflect.ValueOf(k.options()))
	}
	reference(t, "../../docs/sinks.md", kinds)
}

// reference holds the tables of a page against what they should be.
func reference(t *testing.T, name string, tables map[string]string) {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got := page
	for table, text := range tables {
		begin, end := []byte("<!-- "+table+" -->\n"), []byte("<!-- end -->\n")
		before, rest, ok := bytes.Cut(got, begin)
		_, after, ok2 := bytes.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place for the table of %s", name, table)
		}
		got = bytes.Join([][]byte{before, begin, []byte(text), end, after}, nil)
	}
	if bytes.Equal(got, page) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: go test ./internal/agent -run Reference -update", name)
	}
	if err := os.WriteFile(name, got, 0o644); err != nil {
		t.Fatal(err)
	}
}

var descParts = regexp.MustCompile(`fqName: "(\w+)", help: "(.*?)", .*variableLabels: \{(.*?)\}`)

// keyTable writes a line for each key of a struct, and those of the structs in it.
func keyTable(b *strings.Builder, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, doc := f.Tag.Get("yaml"), f.Tag.Get("doc")
		if key == "" || doc == "" {
			continue
		}
		at, kind, inner := v.Field(i), f.Type, reflect.Value{}
		what := ""
		switch {
		case kind == reflect.TypeFor[time.Duration]():
			what = "duration"
		case kind.Kind() == reflect.Pointer:
			what = kind.Elem().Kind().String()
		case kind.Kind() == reflect.Struct:
			what, inner = "map", at
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct:
			what, inner = "list of maps", reflect.New(kind.Elem()).Elem()
			key += "[]"
		case kind.Kind() == reflect.Slice:
			what = "list of " + kind.Elem().Kind().String() + "s"
		default:
			what = kind.Kind().String()
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			what = "`" + strings.ReplaceAll(enum, "|", "`, `") + "`"
		}
		value := ""
		if !inner.IsValid() && !at.IsZero() {
			value = fmt.Sprintf("`%v`", at)
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, key, what, value, doc)
		if inner.IsValid() {
			keyTable(b, prefix+key+".", inner)
		}
	}
}

// A zero stands for the default in all options of sinks and the outbox, and each says so.
func TestZeroIsSaidToBeTheDefault(t *testing.T) {
	all := map[string]reflect.Value{"outbox": reflect.ValueOf(NewConfig().Outbox)}
	for _, k := range sinkKinds {
		all[k.name] = reflect.ValueOf(k.options()).Elem()
	}
	numbers := 0
	for name, v := range all {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !v.Field(i).CanInt() || f.Tag.Get("yaml") == "-" {
				continue
			}
			numbers++
			if v.Field(i).IsZero() || !strings.HasSuffix(f.Tag.Get("doc"), " 0 is the default.") {
				t.Errorf("%s.%s: its default is %v, and its doc %q", name, f.Name, v.Field(i), f.Tag.Get("doc"))
			}
		}
	}
	if numbers < 8 {
		t.Errorf("%d numbers, want more", numbers)
	}
}
