package rule_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orlop/orlop/rule"
)

const query = "query = \"process where true\"\n"

// What is on a disk is read without ever hanging on it or filling the memory.
func TestLoadFromDisk(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	good := func(id string) string { return strings.Replace(before, `"x"`, `"`+id+`"`, 1) + query }
	write("good.toml", good("a"))
	// As Kubernetes mounts a ConfigMap.
	write("..2026_04_29/mounted.toml", strings.Replace(good("b"), `rule_id = "x"`, `rule_id = "y"`, 1))
	link("..2026_04_29", "..data")
	link("..data/mounted.toml", "mounted.toml")

	link("nowhere", "dangling.toml")
	link(".", "self")
	write("dir.toml/inner.txt", "")
	write("huge.toml", "")
	if err := os.Truncate(filepath.Join(dir, "huge.toml"), 100<<20); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.toml"), 0o644); err != nil {
		t.Fatal(err)
	}

	p := rule.Load(dir, filepath.Join(dir, "missing"))
	var got []string
	for _, r := range p.Rules {
		got = append(got, r.File)
	}
	for _, e := range append(p.Errors, p.Warnings...) {
		if !strings.Contains(e.Msg, "UUID") && !strings.Contains(e.Msg, "name is also") {
			got = append(got, e.Error())
		}
	}
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], dir+"/")
	}
	want := []string{
		"good.toml",
		"mounted.toml",
		"dangling.toml:1:1: stat: no such file or directory",
		"huge.toml:1:1: 102400 kB, larger than the 1024 kB that a rule file may have",
		"missing:1:1: stat: no such file or directory",
		"pipe.toml:1:1: not a regular file",
		"self:1:1: a link to a folder is not followed",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}

	one := rule.Load(filepath.Join(dir, "good.toml"))
	if len(one.Rules) != 1 || one.Rules[0].File != filepath.Join(dir, "good.toml") {
		t.Errorf("a single file: %+v", one)
	}
}

// Hostile text costs little and says what is wrong.
func TestHostileText(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		start := time.Now()
		_, _, err := rule.Parse("x.toml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %.200v, want %q", text, err, want)
			return
		}
		if n := strings.Count(err.Error(), "\n"); n > 100 {
			t.Errorf("%.60q: %d mistakes", text, n)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%.60q took %v", text, d)
		}
	}
	const n = 300_000
	f("x = "+strings.Repeat("[", n), "levels deep")
	f("x = "+strings.Repeat("[", 500)+strings.Repeat("]", 500), "nested more than 100 deep")
	f("x = "+strings.Repeat("{a=", 500)+"1"+strings.Repeat("}", 500), "nested more than 100 deep")
	f(strings.Repeat("a.", n)+"b = 1", "a key of more than 100 parts")
	f("["+strings.Repeat("a.", n)+"b]", "a key of more than 100 parts")
	f(strings.Repeat("[[a]]\n", n/2), "no [rule] table")
	f(strings.Repeat("a=1\n", n/2), `key "a" is already defined`)
	f("[rule]\n"+strings.Repeat("\x00", n), "invalid character at start of key")
	f("[rule]\nname = \"\xff\"", "2:9: byte 0xff is not UTF-8 text")
	f(strings.Repeat("\x80", n), "1:1: byte 0x80 is not UTF-8 text")
	f(strings.Repeat("#", rule.MaxSize+1), "larger than the 1024 kB")
	f(before+query+"[test_event]\na = '"+strings.Repeat("x", 500_000)+"'\n"+strings.Repeat("[[test]]\nname='a'\nmatch=true\nevent={}\n", 10_000), "more than 16 MB")
	unknown := strings.Builder{}
	for i := range 20_000 {
		unknown.WriteString("k" + strings.Repeat("y", i%40) + time.Duration(i).String() + " = 1\n")
	}
	f("[rule]\n"+strings.ReplaceAll(unknown.String(), "µ", "u"), "rule has no rule_id")
}

// What a rule says goes into its alerts, also what we do not understand.
func TestParametersRoundTrip(t *testing.T) {
	r, _, err := rule.Parse("x.toml", []byte(before+query+`
max_signals = 5
enabled = false
note = "a\tb"
[[rule.filters]]
query.wildcard."file.path" = {case_insensitive = true, value = "*\\x"}
meta = {negate = true, alias = 1.5, params = [1, "2", true]}
[[rule.actions]]
id = "x"
params.body = "hi"
[rule.alert_suppression]
group_by = ["host.id"]
duration = {value = 5, unit = "m"}
[[rule.threat]]
framework = "MITRE ATT&CK"
tactic = {id = "TA0002", name = "Execution", reference = "r"}
[rule.new_terms]
field = "new_terms_fields"
value = ["host.id"]
[[rule.new_terms.history_window_start]]
field = "history_window_start"
value = "now-7d"
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"actions":[{"id":"x","params":{"body":"hi"}}],` +
		`"alert_suppression":{"group_by":["host.id"],"duration":{"value":5,"unit":"m"}},` +
		`"author":["Ann"],"description":"x","enabled":false,` +
		`"filters":[{"meta":{"alias":1.5,"negate":true,"params":[1,"2",true]},"query":{"wildcard":{"file.path":{"case_insensitive":true,"value":"*\\x"}}}}],` +
		`"from":"now-6m","history_window_start":"now-7d","interval":"5m","language":"eql","max_signals":5,"name":"x",` +
		`"new_terms_fields":["host.id"],"note":"a\tb","query":"process where true","risk_score":1,"rule_id":"x","severity":"low",` +
		`"threat":[{"framework":"MITRE ATT\u0026CK","tactic":{"id":"TA0002","name":"Execution","reference":"r"},"technique":[]}],` +
		`"to":"now","type":"eql"}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

func TestWindow(t *testing.T) {
	f := func(keys string, lookback, every time.Duration) {
		t.Helper()
		r, _, err := rule.Parse("x.toml", []byte(before+query+keys))
		if err != nil {
			t.Fatal(err)
		}
		if r.Lookback() != lookback || r.Every() != every {
			t.Errorf("%q: looks back %v every %v, want %v every %v", keys, r.Lookback(), r.Every(), lookback, every)
		}
	}
	const day = 24 * time.Hour
	f("", 6*time.Minute, 5*time.Minute)
	f("from = 'now-9m'\ninterval = '1h'\n", 9*time.Minute, time.Hour)
	f("from = 'now-1d-2h'\nto = 'now-1h'\ninterval = '2d'\n", day+time.Hour, 2*day)
	f("from = 'now-7d/d'\n", 7*day, 5*time.Minute)
	f("from = 'now-999999999y'\n", (1<<63-1)/64, 5*time.Minute)
}

func TestMistake(t *testing.T) {
	r, _, err := rule.Parse("x.toml", []byte(before+query+"tags = ['a', 'b']\n[[test]]\nname = 'n'\nmatch = true\nevent = {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(key, want string) {
		t.Helper()
		if got := r.Mistake(key, "odd", "").Error(); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
	f("rule.tags.1", "x.toml:10:14: odd")
	f("rule.tags.7", "x.toml:10:1: odd")
	f("rule.interval", "x.toml:1:2: odd")
	f("test.0", "x.toml:11:3: odd")
	f("test.0.match", "x.toml:13:9: odd")
	f("nothing", "x.toml:1:1: odd")
}

// A table is merged into [test_event]; JSON is taken as it is.
func TestEvents(t *testing.T) {
	r, _, err := rule.Parse("x.toml", []byte(before+query+`
[test_event]
"@timestamp" = 2026-04-29T10:00:00Z
host.os.type = "linux"
process = {name = "ctr", pid = 0x10}

[[test]]
name = "one"
match = true
[test.event]
process.name = "crictl"
process.args = ["a\"b", 1.5, true, {x = []}]

[[test]]
name = "two"
match = false
events = ['{ "a": 1.50 }', {host = "none"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, test := range r.Tests {
		for _, e := range test.Events {
			got = append(got, test.Name+" "+string(e))
		}
	}
	want := []string{
		`one {"@timestamp":"2026-04-29T10:00:00Z","host":{"os":{"type":"linux"}},"process":{"name":"crictl","pid":16,"args":["a\"b",1.5,true,{"x":[]}]}}`,
		`two {"a":1.50}`,
		`two {"@timestamp":"2026-04-29T10:00:00Z","host":"none","process":{"name":"ctr","pid":16}}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// Elastic's own rules, if ORLOP_ELASTIC_RULES names a copy of them, all load.
func TestElasticRules(t *testing.T) {
	dir := os.Getenv("ORLOP_ELASTIC_RULES")
	if dir == "" {
		t.Skip("ORLOP_ELASTIC_RULES is not set")
	}
	p := rule.LoadFS(os.DirFS(dir), "")
	if len(p.Errors) > 0 {
		t.Error(p.Errors.Report())
	}
	for _, w := range p.Warnings {
		t.Log(w)
	}
	for _, r := range p.Rules {
		text, err := os.ReadFile(filepath.Join(dir, r.File))
		if err != nil {
			t.Fatal(err)
		}
		checkPlace(t, string(text), r.Query)
	}
	t.Logf("%d rules", len(p.Rules))
}
