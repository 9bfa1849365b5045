package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/sink"
)

// onlyChecked is what a configuration can be wrong in and still satisfy the schema:
// what JSON Schema cannot say or cannot know.
var onlyChecked = map[string]*regexp.Regexp{
	"a file that has to be there":          regexp.MustCompile(`: no such file or directory|secret: .* is empty|has no certificate in PEM|tls: failed to find`),
	"an environment variable":              regexp.MustCompile(`the variable \w+ is not set|secret: the environment has no `),
	"what a variable comes to":             regexp.MustCompile(`^VARIABLE`),
	"a query":                              regexp.MustCompile(`line \d+, column \d+ of the query: `),
	"a template":                           regexp.MustCompile(`template:\d+|the template makes no JSON`),
	"how long a duration is":               regexp.MustCompile(`expected at least (1s|1m)\b|expected a duration`),
	"two of a name":                        regexp.MustCompile(`two (sources|sinks) have the name `),
	"YAML that JSON has no word for":       regexp.MustCompile(`^YAML`),
	"an anchor or a tag":                   regexp.MustCompile(`anchors, aliases and tags are not read`),
	"brackets around what is no IPv6":      regexp.MustCompile(`^sinks.*expected a URL of a host, with http or https$`),
	"what a secret has in it, once opened": regexp.MustCompile(`url_secret: expected a URL|url_secret: a secret is not sent`),
}

// What the schema says of a configuration and what config check says agree, but for what
// only the second can know.
func TestSchemaAgreesWithCheck(t *testing.T) {
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("orlop.json", raw); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("orlop.json")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	t.Setenv("SEVEN", "7")
	t.Setenv("SLACK", "https://hooks.example/x")
	for name, text := range map[string]string{"there": "hush\n", "address": "https://hooks.example/y", "blank": "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "orlop.yaml")
	seen, both := map[string]int{}, map[bool]int{}
	judge := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		config := NewConfig()
		checked := LoadConfig(file, true, Flags{}, config)
		if checked == nil {
			checked = CheckSinks(config)
		}
		doc, sayable := inJSON(text)
		var valid error
		if sayable {
			valid = schema.Validate(doc)
		}
		if (valid == nil) == (checked == nil) {
			both[valid == nil]++
			return
		}
		if valid != nil {
			t.Errorf("the check takes what the schema refuses:\n%s\n%v", text, valid)
			return
		}
		why := messages(checked)
		if strings.Contains(text, "${") {
			why = append(why, "VARIABLE")
		}
		if !sayable {
			why = append(why, "YAML")
		}
		known := false
		for name, re := range onlyChecked {
			if slices.ContainsFunc(why, re.MatchString) {
				seen[name]++
				known = true
			}
		}
		if known {
			return
		}
		t.Errorf("the schema takes what the check refuses:\n%s\n%v", text, checked)
	}
	every(judge)
	for name := range onlyChecked {
		if seen[name] == 0 {
			t.Errorf("nothing shows that the schema cannot know of %s", name)
		}
	}
	t.Logf("%d configurations are right, %d wrong, and %v only to the check", both[true], both[false], seen)
}

// messages are those of an error, one each.
func messages(err error) (all []string) {
	var mistakes syntax.Errors
	if !errors.As(err, &mistakes) {
		return []string{err.Error()}
	}
	for _, m := range mistakes {
		all = append(all, m.Msg)
	}
	return all
}

// inJSON is a configuration for the schema, if it is YAML that JSON can say.
func inJSON(text string) (doc any, ok bool) {
	v := any(map[string]any{})
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil, false
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	if doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(b)); err != nil {
		return nil, false
	}
	return doc, true
}

// bases are configurations that are right; every changes each in every key.
var bases = []string{
	`{}`,
	`{"sources":[{"kind":"bpf"}],"output":"table","log":{"level":"warn"},"sequences":{"max_bytes":1000}}`,
	`{"sources":[{"kind":"audit-log","path":"x"},{"kind":"stdin"}]}`,
	`{"sources":[{"kind":"kube-audit","path":"x"}]}`,
	`{"state":"s","sinks":[{"kind":"file","path":"x"}],"outbox":{"max_age":"1h"}}`,
	`{"state":"s","sinks":[{"kind":"webhook","url":"https://siem.example/x"}]}`,
	`{"state":"s","sinks":[{"kind":"webhook","url":"https://siem.example/x","secret":{"file":"there"},"tls":{"server_name":"x"}}]}`,
	`{"state":"s","sinks":[{"kind":"webhook","url":"http://127.0.0.1:80","authorization":{"file":"there"}}]}`,
	`{"state":"s","sinks":[{"kind":"webhook","url_secret":{"env":"SLACK"},"format":"slack"}]}`,
	`{"state":"s","sinks":[{"kind":"webhook","url":"http://x","format":"template","template":"{\"id\": \"{{.ID}}\"}"}]}`,
	`{"state":"s","sinks":[{"kind":"syslog","address":"siem.example:6514"}]}`,
	`{"state":"s","sinks":[{"kind":"syslog","address":"siem.example:601","transport":"tcp","format":"cef"}]}`,
	`{"state":"s","sinks":[{"kind":"elastic","urls":["http://es.example"]}]}`,
	`{"state":"s","sinks":[{"kind":"elastic","urls":["https://es.example"],"api_key":{"file":"there"}}]}`,
	`{"state":"s","sinks":[{"kind":"elastic","urls":["https://es.example"],"username":"u","password":{"file":"there"}}]}`,
}

// values are what each key is given, as YAML.
var values = []string{
	`5`, `0`, `-1`, `7.0`, `1.5`, `1e3`, `0x10`, `0o17`, `017`, `1_000`, `4294967294`, `4294967295`, `9223372036854775807`, `9223372036854775808`, `1e30`, `.nan`, `.inf`,
	`true`, `True`, `no`, `null`, `~`, ``, `""`, `" "`, `text`, `"5"`, `'true'`, `2026-01-01`, "|\n    text\n",
	`[]`, `[text]`, `[""]`, `[5]`, `[[]]`, `[null]`, `{}`, `{text: 1}`, `[{}]`, `[{kind: auto}]`, `[{kind: auto}, {kind: auto}]`, `[{kind: stdin}, {kind: stdin, name: b}]`, `[{kind: file, path: x}, {kind: file, path: y}]`,
	`"${SEVEN}"`, `"${NOBODY}"`, `"${NOBODY:-}"`, `"${NOBODY:-7}"`, `"${SEVEN}s"`, `"${SEVEN"`, `"${1}"`, `"$${SEVEN}"`, `"$$${SEVEN}"`, `"$SEVEN"`, `"$"`, `"${a b}"`, `["${SEVEN}"]`,
	`1s`, `0s`, `1ms`, `59s`, `90m`, `-1s`, `+1s`, `1.5h`, `1..5h`, `.5m`, `1h30m`, `1 h`, `1d`, `99999999999h`, `"0"`,
	`127.0.0.1:7070`, `":0"`, `localhost:http`, `"[::1]:80"`, `a:65535`, `a:65536`, `a:0`, `a:080`, `a`, `"a:"`, `"::1:80"`,
	`http://siem.example`, `HTTPS://siem.example:8443/a?b=c`, `http://localhost:9200`, `https://u:p@siem.example`, `"https://siem.example/#x"`, `ftp://siem.example`, `https:siem.example`, `https://`, `"https://siem.example/%zz"`, `"https://siem.example/a b"`, `"https://[::1]/"`, `"https://[:::1]/"`, `http://siem.example:99999`, `"http://127.0.0.1.evil.example"`, `[http://siem.example]`, `["https://siem.example?x"]`, `[https://a.example, https://b.example]`,
	`there`, `missing`, `[there]`, `[missing]`, `[there, missing]`, `{file: there}`, `{file: missing}`, `{file: blank}`, `{file: address}`, `{env: SEVEN}`, `{env: NOBODY}`, `{env: SEVEN, file: there}`, `{env: ""}`, `{env: 5}`,
	`{ca: missing}`, `{ca: there}`, `{cert: there}`, `{cert: there, key: there}`, `{server_name: x}`,
	`process where true`, `process where (`, `sequence [any where true] [any where true]`, `"{{.ID}}"`, `"{{.Nmae}}"`, `"{{"`, `"\"{{.ID}}\""`,
	`bpf`, `audit-log`, `kube-audit`, `stdin`, `file`, `webhook`, `ndjson`, `none`, `json`, `xml`, `info`, `slack`, `template`, `tls`, `tcp`, `zstd`,
	`name-1_x`, `Name`, `-x`, `a/b`, `a.b`, `logs-orlop.alerts-default`, `!!str x`, `&a x`, `*a`,
}

// few are those of values that make the most of keys together.
var few = []string{
	`5`, ``, `""`, `[]`, `{}`, `text`, `"${SEVEN}"`, `"${NOBODY:-}"`, `there`, `{file: there}`, `{env: SEVEN}`, `{file: there, env: SEVEN}`, `{server_name: x}`,
	`http://siem.example`, `https://siem.example`, `[http://siem.example]`, `tls`, `tcp`, `json`, `template`, `kube-audit`, `bpf`, `stdin`, `"{{.ID}}"`,
}

// every calls f with each base, without each of its keys, and with values for each key
// that there is and one that there is not. Where a base is the first with a kind, or
// with none, its keys are given all values.
func every(f func(text string)) {
	const mark = "@@@"
	full := map[string]bool{}
	change := func(in map[string]any, of any, root any) {
		name := fmt.Sprintf("%T %v", of, in["kind"])
		try := few
		if !full[name] {
			full[name] = true
			try = values
		}
		keys := []string{"knid", "path", "url"}
		v := reflect.ValueOf(of).Elem()
		for i := range v.NumField() {
			keys = append(keys, v.Type().Field(i).Tag.Get("yaml"))
		}
		if _, ok := of.(*SinkConfig); ok {
			o := reflect.ValueOf(sinkKindOf(in["kind"].(string)).options()).Elem()
			for i := range o.NumField() {
				keys = append(keys, o.Type().Field(i).Tag.Get("yaml"))
			}
		}
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			if key == "" || key == "-" {
				continue
			}
			was, had := in[key]
			if had {
				delete(in, key)
				f(printed(root))
			}
			in[key] = mark
			marked := printed(root)
			for _, v := range try {
				f(strings.Replace(marked, `"`+mark+`"`, v, 1))
			}
			if delete(in, key); had {
				in[key] = was
			}
		}
	}
	for _, base := range bases {
		f(base)
		var root map[string]any
		if err := json.Unmarshal([]byte(base), &root); err != nil {
			panic(err)
		}
		change(root, NewConfig(), root)
		for key, of := range map[string]any{"outbox": &sink.OutboxOptions{}, "log": &LogConfig{}, "sequences": &SequenceConfig{}} {
			if in, ok := root[key].(map[string]any); ok {
				change(in, of, root)
			}
		}
		for key, of := range map[string]any{"sources": &SourceConfig{}, "sinks": &SinkConfig{}} {
			list, _ := root[key].([]any)
			for _, one := range list {
				change(one.(map[string]any), of, root)
				for key, of := range map[string]any{"secret": &sink.Secret{}, "tls": &sink.TLS{}} {
					if in, ok := one.(map[string]any)[key].(map[string]any); ok {
						change(in, of, root)
					}
				}
			}
		}
	}
}

// printed is a configuration as YAML, in the way people write it.
func printed(v any) string {
	b, err := yaml.MarshalWithOptions(v, yaml.IndentSequence(true), yaml.UseSingleQuote(false))
	if err != nil {
		panic(err)
	}
	return string(b)
}
