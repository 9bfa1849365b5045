package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
)

// tune writes a tuning file and returns it loaded, with its schema.
func tune(t *testing.T, text string) (*agent.Tuning, *event.Schema, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tuning.toml")
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	s := event.NewSchema()
	tuning, err := agent.LoadTuning(name, s)
	if err != nil {
		err = errorText(strings.ReplaceAll(err.Error(), filepath.Dir(name)+"/", ""))
	}
	return tuning, s, err
}

type errorText string

func (e errorText) Error() string { return string(e) }

func TestTuning(t *testing.T) {
	const text = `
[[role]]
name  = "bastion"
host  = ["bastion-*"]
label = { "node.role" = ["jump"] }

[[exempt]]
name = "break-glass on bastions"
role = ["bastion"]
user = ["sre-*"]

[[exempt]]
name     = "the janitor"
ancestor = ["/opt/janitor/*"]
where    = 'process where orlop.runtime.behaviour == "image-delete"'
until    = "2027-01-01"
`
	f := func(doc, want string) {
		t.Helper()
		tuning, s, err := tune(t, text)
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		if err := event.NewDecoder(s).Decode([]byte(doc), &e); err != nil {
			t.Fatal(err)
		}
		tuning.Apply(&e)
		var got []string
		for _, f := range e.Derived() {
			got = append(got, strings.TrimPrefix(s.Name(f), "orlop.")+"="+e.Get(f).Text())
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s\ngot  %s\nwant %s", doc, g, want)
		}
	}
	const glass = `host.role=bastion tuning.exempt=true tuning.exempt_by=break-glass on bastions`
	f(`{"host":{"name":"bastion-1"},"user":{"name":"sre-kim"}}`, glass)
	f(`{"labels":{"node.role":"jump"},"user":{"name":"root"},"auditd":{"user":{"audit":{"name":"sre-kim"}}}}`, glass)
	f(`{"host":{"name":"bastion-1"},"user":{"name":"root"}}`, `host.role=bastion`)
	f(`{"host":{"name":"worker-1"},"user":{"name":"sre-kim"}}`, ``)
	const janitor = `{"@timestamp":"2026-05-01T10:00:00Z","event":{"category":"process"},"orlop":{"runtime":{"behaviour":"image-delete"},"process":{"ancestor":["/bin/sh","/opt/janitor/run"]}}}`
	f(janitor, `tuning.exempt=true tuning.exempt_by=the janitor`)
	f(strings.Replace(janitor, "2026", "2027", 1), ``)
	f(strings.Replace(janitor, "image-delete", "container-exec", 1), ``)
	f(strings.Replace(janitor, "/opt/janitor/run", "/tmp/run", 1), ``)
}

func TestTuningMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, _, err := tune(t, text)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	f("[[exempt]]\nname = \"x\"\nparent = [\"/usr/lib/systemd/systemd\"]\n",
		`tuning.toml: exempt "x": /usr/lib/systemd/systemd is the parent of every orphan, and exempts nobody`)
	f("[[exempt]]\nname = \"x\"\nancestor = [\"/sbin/init\"]\n",
		`tuning.toml: exempt "x": /sbin/init is the parent of every orphan, and exempts nobody`)
	f("[[exempt]]\nname = \"x\"\nparent = [\"*\"]\n",
		`tuning.toml: exempt "x": * is the parent of every orphan, and exempts nobody`)
	f("[[exempt]]\nname = \"x\"\nancestor = [\"bash\"]\n",
		`tuning.toml: exempt "x": bash is no path of a program, such as /opt/bash or */bash`)
	f("[[exempt]]\nname = \"x\"\nwhere = 'process where true or 1 == 2'\n",
		`tuning.toml: exempt "x": where asks for no field, and would exempt everything or nothing`)
	const orphans = `tuning.toml: exempt "x": where asks for no more than that init is the parent, as it is of every orphan, and exempts nobody`
	for _, where := range []string{
		`process where process.parent.executable == "/usr/lib/systemd/systemd"`, `process where process.parent.name : "SYSTEM?"`, `any where process.parent.pid == 1`,
		`process where orlop.process.ancestor == "/sbin/init"`, `process where process.parent.name in ("cron", "systemd") and event.type == "start"`,
	} {
		f("[[exempt]]\nname = \"x\"\nuser = [\"root\"]\nwhere = '"+where+"'\n", orphans)
	}
	f("[[exempt]]\nname = \"x\"\nwhere = 'process where process.parent.name == \"systemd\" and process.args == \"/opt/backup\"'\n", "")
	f("[[exempt]]\nname = \"x\"\nuser = [\"root\"]\nwhere = 'process where not process.name == \"docker\"'\n", "")
	f("[[exempt]]\nname = \"x\"\nuser = [\"*\"]\n", `tuning.toml: exempt "x": user "*" is everybody: leave the key out`)
	f("[[exempt]]\nname = \"x\"\nuser = \"bob\"\n", `tuning.toml:3:8: exempt.user: expected a list of strings`)
	f("[[exempt]]\nname = 3\n", `tuning.toml:2:8: exempt.name: expected a string`)
	f("[[exempt]]\nname = \"x\"\nuser = [\"a\"]\n[[exempt]]\nname = \"x\"\nuser = [\"b\"]\n", `tuning.toml: exempt "x" is there twice`)
	f("[[role]]\nname = \"r\"\nhost = [\"a\"]\n[[role]]\nname = \"r\"\nhost = [\"b\"]\n", `tuning.toml: role "r" is there twice`)
	f("[[exempt]]\nname = \"x\"\n", `tuning.toml: exempt "x" would exempt everything: say whom`)
	f("[[exempt]]\nuser = [\"x\"]\n", `tuning.toml: exempt 1 needs a name`)
	f("[[exempt]]\nname = \"x\"\nrole = [\"worker\"]\n", `tuning.toml: exempt "x": there is no role "worker"`)
	f("[[exempt]]\nname = \"x\"\nwhere = 'process where'\n",
		`tuning.toml: exempt x:1:14: mismatched input '<EOF>' expecting a field, a constant, a function or '('`)
	f("[[exempt]]\nname = \"x\"\nuser = [\"y\"]\nuntil = \"soon\"\n", `tuning.toml: exempt "x": until "soon" is not a date, such as 2027-01-01`)
	f("[[role]]\nname = \"x\"\n", `tuning.toml: role 1 needs a name, and a host or a label`)
	f("[[exempt]]\nname = \"x\"\nusers = [\"y\"]\n", `tuning.toml:3:1: unknown key "exempt.users"`)
	f("[[exempt]\n", `tuning.toml:1:9: expected ']]' to close array table name`)
}
