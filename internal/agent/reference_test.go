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

var update = flag.Bool("update", false, "write the tables of docs/run.md")

// docs/run.md has a line for each key of a configuration, and for each metric.
// -update writes them.
func TestReference(t *testing.T) {
	const name = "../../docs/run.md"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var keys, metrics strings.Builder
	keys.WriteString("| key | type | default | |\n|---|---|---|---|\n")
	keyTable(&keys, "", reflect.ValueOf(NewConfig()).Elem())
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
	got := page
	for _, table := range []struct{ name, text string }{{"keys", keys.String()}, {"metrics", metrics.String()}} {
		begin, end := []byte("<!-- "+table.name+" -->\n"), []byte("<!-- end -->\n")
		before, rest, ok := bytes.Cut(got, begin)
		_, after, ok2 := bytes.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place for the table of %s", name, table.name)
		}
		got = bytes.Join([][]byte{before, begin, []byte(table.text), end, after}, nil)
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
