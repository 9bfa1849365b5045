package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// tuned is a document with what a tuning says of it.
func tuned(t *testing.T, tuning *agent.Tuning, s *event.Schema, doc string) *event.Event {
	t.Helper()
	var e event.Event
	if err := event.NewDecoder(s).Decode([]byte(doc), &e); err != nil {
		t.Fatal(err)
	}
	tuning.Apply(&e)
	return &e
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
		e := tuned(t, tuning, s, doc)
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

// A peer is known by where it is installed, and in a container by its image or namespace.
func TestPeers(t *testing.T) {
	const text = `
[[peer]]
name       = "our monitoring"
executable = ["/opt/mon/agent"]
unit       = ["mon"]

[[peer]]
name      = "our monitoring, in a pod"
namespace = ["monitoring"]
image     = ["registry.corp/mon:*"]

[[peer]]
name       = "falco"
executable = ["/opt/falco/bin/falco"]
user       = ["root"]
`
	s := event.NewSchema()
	name := filepath.Join(t.TempDir(), "tuning.toml")
	if err := os.WriteFile(name, []byte("remove = [\"portainer\"]\n"+text), 0o666); err != nil {
		t.Fatal(err)
	}
	own, err := agent.LoadTuning(name, s)
	if err != nil {
		t.Fatal(err)
	}
	builtIn, err := agent.LoadTuning("", s)
	if err != nil {
		t.Fatal(err)
	}
	if w := builtIn.Warnings; len(w) > 0 {
		t.Errorf("the built-in tuning warns of itself: %q", w)
	}
	f := func(tuning *agent.Tuning, fields, want string) {
		t.Helper()
		doc := `{"event":{"action":"connected-to"},"orlop":{"socket":{"runtime":"containerd"}},` + fields + `}`
		e := tuned(t, tuning, s, doc)
		if got := e.Get(s.Field("orlop.socket.peer")).Str(); got != want {
			t.Errorf("%s: peer is %q, want %q", fields, got, want)
		}
	}
	const mon = `"process":{"executable":"/opt/mon/agent"`
	f(own, mon+`,"cgroup":"0::/system.slice/mon.service"}`, "our monitoring")
	f(own, mon+`,"cgroup":{"path":"/system.slice/mon.service/worker"}}`, "our monitoring")
	f(own, mon+`}`, "")
	f(own, mon+`,"cgroup":"0::/user.slice/user-1000.slice/user@1000.service/app.slice/mon.service"}`, "")
	f(own, mon+`,"cgroup":"0::/system.slice/mon.service.slice"}`, "")
	f(own, `"process":{"executable":"/tmp/x","cgroup":"0::/system.slice/mon.service"}`, "")
	const pod = `"process":{"executable":"/agent"},"container":{"id":"c","image":{"name":"registry.corp/mon:1"}}`
	f(own, pod+`,"orchestrator":{"namespace":"monitoring"}`, "our monitoring, in a pod")
	f(own, pod+`,"orchestrator":{"namespace":"default"}`, "")
	// An entry of one's own takes the place of the built-in one of that name.
	f(own, `"process":{"executable":"/opt/falco/bin/falco"},"user":{"name":"root"}`, "falco")
	f(own, `"process":{"executable":"/opt/falco/bin/falco"},"user":{"name":"kim"}`, "")
	f(own, `"process":{"executable":"/usr/bin/falco"},"user":{"name":"root"}`, "")
	f(own, `"process":{"executable":"/opt/portainer/portainer"}`, "")
	f(own, `"process":{"executable":"/usr/bin/kubelet"}`, "kubelet")

	f(builtIn, `"process":{"executable":"/usr/bin/kubelet"}`, "kubelet")
	f(builtIn, `"process":{"executable":"/usr/bin/falco"}`, "falco")
	f(builtIn, `"process":{"executable":"/usr/bin/falco"},"auditd":{"user":{"audit":{"id":"unset"}}}`, "falco")
	// Whoever has logged in starts no agent, whatever it is called.
	f(builtIn, `"process":{"executable":"/usr/bin/falco"},"auditd":{"user":{"audit":{"id":"1000"}}}`, "")
	for _, fake := range []string{"/tmp/falco", "/home/u/falco", "/usr/bin/falco2", "/usr/bin/x/falco", "falco", "/dev/shm/kubelet", "/tmp/usr/bin/kubelet", "/var/tmp/opt/datadog-agent/bin/agent/agent", "/opt/mon/agent"} {
		f(builtIn, `"process":{"executable":"`+fake+`"}`, "")
	}
	// In a container a path is what its files say.
	f(builtIn, `"process":{"executable":"/usr/bin/kubelet"},"container":{"id":"c"}`, "")
	f(builtIn, `"process":{"executable":"/usr/bin/falco"},"container":{"id":"c"}`, "")
	f(builtIn, `"process":{"executable":"/usr/bin/falco"},"container":{"id":"c","image":{"name":"docker.io/falcosecurity/falco:0.40.0"}}`, "agents in containers")
	f(builtIn, `"process":{"executable":"/tmp/x"},"container":{"id":"c","image":{"name":"docker.io/falcosecurity/falco:0.40.0"}}`, "")
	f(builtIn, `"process":{"executable":"/usr/bin/kubelet"},"container":{"id":"c","image":{"name":"kindest/node:v1.31.0"}}`, "nodes of kind, k3d and minikube")
}

// What an exemption takes in that its author may not have meant is said when it is read.
// In a container a path is whatever its files say: a kubelet there exempts nobody, and what
// is meant to is named by its image.
func TestExemptInAContainer(t *testing.T) {
	tuning, s, err := tune(t, `
[[exempt]]
name   = "the janitor"
parent = ["/opt/janitor/run"]

[[exempt]]
name   = "the janitor, in a pod"
parent = ["/opt/janitor/run"]
image  = ["registry.corp/janitor:*"]

[[exempt]]
name   = "the sweeper, in a pod"
parent = ["/opt/sweeper/run"]
where  = 'process where orchestrator.namespace == "ops"'
`)
	if err != nil {
		t.Fatal(err)
	}
	f := func(parent, rest, want string) {
		t.Helper()
		doc := `{"event":{"category":"process"},"process":{"parent":{"executable":"` + parent + `"}}` + rest + `}`
		e := tuned(t, tuning, s, doc)
		if by := e.Get(s.Field("orlop.tuning.exempt_by")).Str(); by != want {
			t.Errorf("%s: exempt by %q, want %q", doc, by, want)
		}
	}
	const kubelet = "the kubelet and the container runtimes themselves"
	f("/usr/bin/kubelet", ``, kubelet)
	f("/usr/bin/kubelet", `,"container":{"id":"0123"}`, "")
	f("/usr/bin/kubelet", `,"auditd":{"user":{"audit":{"id":"1000"}}}`, "")
	f("/opt/janitor/run", ``, "the janitor")
	f("/opt/janitor/run", `,"container":{"id":"0123"}`, "")
	f("/opt/janitor/run", `,"container":{"id":"0123","image":{"name":"registry.corp/janitor:2"}}`, "the janitor, in a pod")
	f("/opt/sweeper/run", `,"container":{"id":"0123"},"orchestrator":{"namespace":"ops"}`, "the sweeper, in a pod")
}

func TestTuningSaysWhatItSilences(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		tuning, _, err := tune(t, text)
		if err != nil {
			t.Errorf("%s\n%v", text, err)
			return
		}
		var got []string
		for _, w := range tuning.Warnings {
			_, w, _ = strings.Cut(w, "tuning.toml: ")
			got = append(got, w)
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("%s\ngot  %s\nwant %s", text, g, w)
		}
	}
	const worker = "[[role]]\nname = \"worker\"\nhost = [\"*\"]\n"
	const everyHost = `role "worker" matches every host, whatever its name is`
	f(worker+"[[exempt]]\nname = \"x\"\nrole = [\"worker\"]\nlogin = [\"kim\"]\n", everyHost)
	f(worker+"[[exempt]]\nname = \"x\"\nrole = [\"worker\"]\nwhere = 'process where orlop.runtime.behaviour == \"image-delete\" or orlop.runtime.behaviour in (\"container-delete\", \"pod-delete\")'\n",
		everyHost, `exempt "x" exempts anybody, on every host (role "worker" matches every host), from "Container Removed After It Was Entered Below the Kubernetes API"`)
	f("[[role]]\nname = \"lab\"\nhost = [\"lab-*\"]\n[[exempt]]\nname = \"x\"\nrole = [\"lab\"]\n",
		`exempt "x" exempts everything that anybody does, on hosts of role lab`)
	f("[[exempt]]\nname = \"x\"\nwhere = 'any where event.action == \"connected-to\"'\n",
		`exempt "x" exempts anybody, on every host, from "Attempt to Reach a Container Runtime Socket by an Unknown Program", "Unknown Program on a Container Runtime Socket"`)
	f("[[exempt]]\nname = \"x\"\nuser = [\"kim\"]\n")
	f("[[exempt]]\nname = \"x\"\nancestor = [\"/opt/janitor/*\"]\n")
	f("[[exempt]]\nname = \"x\"\nancestor = [\"*/janitor\"]\n", `exempt "x": */janitor: is a name alone, which a program in any folder may have: write its folder`)
	f("[[exempt]]\nname = \"x\"\nancestor = [\"/var/*/janitor\"]\n", `exempt "x": /var/*/janitor: takes in programs in /var/tmp, where anybody may put one`)
	f("[[exempt]]\nname = \"x\"\nancestor = [\"/usr/sbin/cron\"]\n", `exempt "x": /usr/sbin/cron is above much that anybody runs: say more, by user, login or where`)
	f("[[exempt]]\nname = \"x\"\nparent = [\"/usr/bin/python3*\"]\n", `exempt "x": /usr/bin/python3* is above much that anybody runs: say more, by user, login or where`)
	f("[[exempt]]\nname = \"x\"\nparent = [\"/usr/sbin/cron\"]\nuser = [\"backup\"]\n")
	const root = ` exempts root, who does nearly all that the rules look for: say more, by login, parent, ancestor or where`
	f("[[exempt]]\nname = \"x\"\nuser = [\"0\"]\n", `exempt "x"`+root)
	f("[[exempt]]\nname = \"x\"\nuser = [\"kim\", \"r*\"]\n", `exempt "x"`+root)
	f("[[exempt]]\nname = \"x\"\nwhere = 'process where user.id == \"0\"'\n", `exempt "x"`+root)
	f("[[exempt]]\nname = \"x\"\nwhere = 'process where user.id == \"0\" and process.parent.executable == \"/opt/janitor/run\"'\n")
	f("[[exempt]]\nname = \"x\"\nuser = [\"0\"]\nancestor = [\"/opt/janitor/*\"]\n")
	const speaks = `, by which anybody may speak to a socket: write the program's own path, or its unit too`
	f("[[peer]]\nname = \"x\"\nexecutable = [\"/usr/bin/*\"]\n", `peer "x": executable /usr/bin/* takes in /usr/bin/sh`+speaks)
	f("[[peer]]\nname = \"x\"\nexecutable = [\"/usr/*\"]\n", `peer "x": executable /usr/* takes in /usr/bin/sh`+speaks)
	f("[[peer]]\nname = \"x\"\nexecutable = [\"/usr/bin/python3*\"]\n", `peer "x": executable /usr/bin/python3* takes in /usr/bin/python3`+speaks)
	f("[[peer]]\nname = \"x\"\nexecutable = [\"/opt/a\", \"/usr/bin/soca?\"]\n", `peer "x": executable /usr/bin/soca? takes in /usr/bin/socat`+speaks)
	f("[[peer]]\nname = \"x\"\nexecutable = [\"/usr/bin/python3.12\"]\nunit = [\"mon.service\"]\n")
	f("[[peer]]\nname = \"x\"\nexecutable = [\"/usr/bin/mon*\"]\n")
}

// An entry that is over is told, by the clock of who reads it.
func TestTuningThatIsOver(t *testing.T) {
	tuning, _, err := tune(t, "[[exempt]]\nname = \"x\"\nlogin = [\"kim\"]\nuntil = \"2026-05-01\"\n[[exempt]]\nname = \"y\"\nlogin = [\"kim\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	if w := tuning.Ended(end.Add(-time.Second)); len(w) > 0 {
		t.Errorf("before its end: %q", w)
	}
	w := tuning.Ended(end)
	if len(w) != 1 || !strings.HasSuffix(w[0], `tuning.toml: exempt "x" is over: it has held until 2026-05-01`) {
		t.Errorf("at its end: %q", w)
	}
}

// The login user stays who it is through su and sudo: to become a user who is exempt
// makes nobody exempt.
func TestBreakGlassIsWhoLoggedIn(t *testing.T) {
	f := func(entry, doc string, want bool) {
		t.Helper()
		tuning, s, err := tune(t, "[[exempt]]\nname = \"x\"\n"+entry)
		if err != nil {
			t.Fatal(err)
		}
		e := tuned(t, tuning, s, doc)
		if got := e.Get(s.Field("orlop.tuning.exempt")).Exists(); got != want {
			t.Errorf("%s%s: exempt is %v, want %v", entry, doc, got, want)
		}
	}
	const user, login = "user = [\"sre\"]\n", "login = [\"sre\"]\n"
	as := func(auid, name string) string {
		return `{"auditd":{"user":{"audit":{"id":"` + auid + `","name":"` + name + `"}}},"user":{"name":"`
	}
	f(user, as("1001", "sre")+`root"}}`, true) // sudo
	f(user, as("1002", "mallory")+`sre"}}`, false)
	f(user, as("0", "root")+`sre"}}`, false)
	f(user, as("unset", "")+`sre"}}`, true)  // a service of that user's
	f(user, `{"user":{"name":"sre"}}`, true) // a source without login users
	f(login, as("1001", "sre")+`root"}}`, true)
	f(login, as("1002", "mallory")+`sre"}}`, false)
	f(login, as("unset", "")+`sre"}}`, false) // systemd-run --uid=sre
	f(login, `{"user":{"name":"sre"}}`, false)

	beat := func(auid, name string) string { // Auditbeat has it elsewhere
		return `{"user":{"audit":{"id":"` + auid + `","name":"` + name + `"},"name":"`
	}
	const daemon = "daemon = true\nuser = [\"root\"]\n"
	f(user, beat("1001", "sre")+`root"}}`, true)
	f(user, beat("1002", "mallory")+`sre"}}`, false)
	f(user, beat("unset", "")+`sre"}}`, true)
	f(login, beat("1001", "sre")+`root"}}`, true)
	f(login, beat("1002", "mallory")+`sre"}}`, false)
	f(daemon, beat("unset", "")+`root"}}`, true)
	f(daemon, beat("1002", "mallory")+`root"}}`, false)
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
	const orphans = `tuning.toml: exempt "x": where asks for init as the parent, as it is of every orphan, and for nothing else that a process comes from: name its unit by process.cgroup, or an ancestor`
	for _, where := range []string{
		`process where process.parent.executable == "/usr/lib/systemd/systemd"`, `process where process.parent.name : "SYSTEM?"`, `any where process.parent.pid == 1`,
		`process where orlop.process.ancestor == "/sbin/init"`, `process where process.parent.name in ("cron", "systemd") and event.type == "start"`,
		// What anybody can make so adds nothing.
		`process where process.parent.pid == 1 and user.id == "0"`, `process where process.parent.pid == 1 and process.name == "ctr"`,
		`process where process.working_directory == "/root" and process.parent.pid < 2`, `process where process.parent.name == "systemd" and process.args == "/opt/backup"`,
		`process where process.name == "x" or (host.name like "w-*" and not (process.parent.pid != 1 or process.args_count > 5))`,
		`process where not process.parent.pid > 1 and process.parent.pid != null and not process.name == "x"`,
		`process where process.parent.pid == 1 and auditd.user.audit.id == "unset" and user.name == "root"`,
		`process where process.entry_leader.entry_meta.type == "init" and user.id == "0"`,
		`process where process.parent.pid == 1 and process.cgroup like "*/system.slice/*"`,
		`process where process.parent.args : "/sbin/init"`, `process where process.parent.args == "--system"`, `process where process.parent.command_line : "*/systemd --*"`,
		`process where process.parent.name : "sys*" and process.parent.entity_id != null`, `process where process.parent.name : "sys*" and process.parent.start != null`,
		`process where (process.parent.pid == 1 and process.name == "a") or process.parent.executable == "/opt/x"`,
	} {
		f("[[exempt]]\nname = \"x\"\nuser = [\"root\"]\nwhere = '"+where+"'\n", orphans)
	}
	// What says where a process comes from besides does.
	for _, where := range []string{
		`process where process.parent.name == "systemd" and process.cgroup == "0::/system.slice/backup.service"`,
		`process where process.parent.pid == 1 and orlop.process.ancestor == "/opt/backup/run"`,
		`process where process.parent.pid == 1 and auditd.user.audit.name == "kim"`,
		`process where process.parent.executable == "/opt/backup/run" and user.id == "0"`,
	} {
		f("[[exempt]]\nname = \"x\"\nwhere = '"+where+"'\n", "")
	}
	f("[[exempt]]\nname = \"x\"\nancestor = [\"/opt/backup/run\"]\nwhere = 'process where process.parent.pid == 1'\n", "")
	f("[[exempt]]\nname = \"x\"\nuser = [\"root\"]\nwhere = 'process where not process.name == \"docker\"'\n", "")
	for _, where := range []string{`process where process.pid > 0`, `process where process.parent.name != "bash"`, `process where not user.name == "nobody"`} {
		f("[[exempt]]\nname = \"x\"\nwhere = '"+where+"'\n", `tuning.toml: exempt "x" exempts everything that anybody does, on every host: say whom, by user, login, ancestor or where`)
	}
	f("[[exempt]]\nname = \"x\"\nuser = [\"*\"]\n", `tuning.toml: exempt "x": user "*" is everybody: leave the key out`)
	f("[[exempt]]\nname = \"x\"\nuser = \"bob\"\n", `tuning.toml:3:8: exempt.user: expected a list of strings`)
	f("[[exempt]]\nname = 3\n", `tuning.toml:2:8: exempt.name: expected a string`)
	f("[[exempt]]\nname = \"x\"\nuser = [\"a\"]\n[[exempt]]\nname = \"x\"\nuser = [\"b\"]\n", `tuning.toml: exempt "x" is there twice`)
	f("[[role]]\nname = \"r\"\nhost = [\"a\"]\n[[role]]\nname = \"r\"\nhost = [\"b\"]\n", `tuning.toml: role "r" is there twice`)
	f("[[exempt]]\nname = \"x\"\n", `tuning.toml: exempt "x" would exempt everything: say whom`)
	f("[[exempt]]\nuser = [\"x\"]\n", `tuning.toml: exempt 1 needs a name`)
	f("[[exempt]]\nname = \"x\"\nrole = [\"worker\"]\n", `tuning.toml: exempt "x": there is no role "worker"`)
	f("[[exempt]]\nname = \"x\"\nwhere = 'process where'\n",
		`tuning.toml:3:23: mismatched input '<EOF>' expecting a field, a constant, a function or '('`)
	f("[[exempt]]\nname = \"x\"\nuser = [\"y\"]\nuntil = \"soon\"\n", `tuning.toml: exempt "x": until "soon" is not a date, such as 2027-01-01`)
	f("[[role]]\nname = \"x\"\n", `tuning.toml: role 1 needs a name, and a host or a label`)
	f("[[exempt]]\nname = \"x\"\nusers = [\"y\"]\n", `tuning.toml:3:1: unknown key "exempt.users"`)
	// A field that nothing has is a mistake: its negation would exempt everything.
	f("[[exempt]]\nname = \"x\"\nwhere = 'process where not proces.name == \"x\"'\n", `tuning.toml:3:28: Unknown column [proces.name] (did you mean "process.name"? Or write ?proces.name for a field of your own)`)
	f("[[exempt]]\nname = \"x\"\nwhere = \"\"\"\nany where\n  orlop.runtime.behavior == \"read\" and\n  usr.name == \"a\"\"\"\"\n",
		"tuning.toml:5:3: Unknown column [orlop.runtime.behavior] (did you mean \"orlop.runtime.behaviour\"? Or write ?orlop.runtime.behavior for a field of your own)\n"+`tuning.toml:6:3: Unknown column [usr.name] (did you mean "user.name"? Or write ?usr.name for a field of your own)`)
	f("[[exempt]]\nname = \"x\"\nwhere = 'any where acme.owner == \"a\"'\n", `tuning.toml:3:20: Unknown column [acme.owner] (did you mean "file.owner"? Or write ?acme.owner for a field of your own)`)
	f("[[exempt]]\nname = \"x\"\nwhere = 'any where ?acme.owner == \"a\" or labels.team == \"b\" or kubernetes.pod.name == \"c\"'\n", "")
	// What would exempt everything does not, however it is written.
	f("[[role]]\nname = \"worker\"\nhost = [\"*\"]\n[[exempt]]\nname = \"x\"\nrole = [\"worker\"]\n",
		`tuning.toml: exempt "x" exempts everything that anybody does, on every host (role "worker" matches every host): say whom, by user, login, ancestor or where`)
	f("[[role]]\nname = \"all\"\nhost = [\"?*\"]\n[[exempt]]\nname = \"x\"\nrole = [\"all\"]\nwhere = 'any where not user.name == \"kim\"'\n",
		`tuning.toml: exempt "x" exempts everything that anybody does, on every host (role "all" matches every host): say whom, by user, login, ancestor or where`)
	f("[[exempt]]\nname = \"x\"\nwhere = 'any where not process.parent.executable == \"/bin/bash\"'\n",
		`tuning.toml: exempt "x" exempts everything that anybody does, on every host: say whom, by user, login, ancestor or where`)
	f("[[peer]]\nname = \"falco\"\nexecutable = [\"*/falco\"]\n", `tuning.toml: peer "falco": executable */falco: is a name alone, which a program in any folder may have: write its folder`)
	f("[[peer]]\nname = \"falco\"\nexecutable = [\"falco\"]\n", `tuning.toml: peer "falco": executable falco: is no path, such as /opt/falco`)
	f("[[peer]]\nname = \"falco\"\nexecutable = [\"/*/bin/falco\"]\n", `tuning.toml: peer "falco": executable /*/bin/falco: takes in programs in /tmp, where anybody may put one`)
	f("[[peer]]\nname = \"a\"\nexecutable = [\"/home/*/agent\"]\n", `tuning.toml: peer "a": executable /home/*/agent: takes in programs in /home, where every user may put one`)
	f("[[peer]]\nname = \"a\"\nuser = [\"root\"]\n", `tuning.toml: peer "a" needs an executable, a unit, an image or a namespace`)
	f("[[peer]]\nname = \"a\"\nimage = [\"*\"]\n", `tuning.toml: peer "a": image "*" says nothing: leave the key out`)
	f("[[peer]]\nexecutable = [\"/opt/a\"]\n", `tuning.toml: peer 1 needs a name`)
	f("remove = [\"portainr\"]\n", `tuning.toml: remove: the built-in tuning has no entry "portainr" (did you mean "portainer"?)`)
	f("[[exempt]]\nname = \"x\"\nparent = [\"/usr/lib/systemd/systemd-executor\"]\n",
		`tuning.toml: exempt "x": /usr/lib/systemd/systemd-executor is the parent of every orphan, and exempts nobody`)
	f("[[exempt]\n", `tuning.toml:1:9: expected ']]' to close array table name`)
}
