package agent_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/rule"
)

// documents makes n lines out of the template: processes that eight shells of
// one host start, each with its own pid, times, ids, hashes and arguments.
func documents(tb testing.TB, n int) []byte {
	var out bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	template := readTemplate(tb)
	for i := range n {
		doc := fresh(template, r, i)
		doc = strings.ReplaceAll(doc, "for i in $(seq 1 10); do echo $i; done", fmt.Sprintf("for i in $(seq 1 %d); do echo $i; done", i%90+10))
		out.WriteString(doc)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

func readTemplate(tb testing.TB) string {
	template, err := os.ReadFile("testdata/process_4kb.json")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(template))
}

// fresh gives the template the times and ids of its own that the i-th event has.
func fresh(template string, r *rand.Rand, i int) string {
	hex := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "0123456789abcdef"[r.IntN(16)]
		}
		return string(b)
	}
	shell := r.IntN(8)
	return strings.NewReplacer(
		"2026-04-29T10:11:12.8657898Z", fmt.Sprintf("2026-04-29T10:%02d:%02d.%07dZ", i/60%60, i%60, r.IntN(1e7)),
		"NGnjKBMwXvNVqf9k++++0sVe", hex(24),
		"\"pid\":4711", fmt.Sprintf("\"pid\":%d", 4711+i),
		"\"pid\":4700", fmt.Sprintf("\"pid\":%d", 4700+shell),
		"OGE0ZjUwMGQtMmYxYi00ZWM5LTg=", hex(28),
		"OGE0ZjUwMGQtMmYxYi00ZWM5LTc=", fmt.Sprintf("OGE0ZjUwMGQtMmYxYi00ZWM5%04d", shell),
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", hex(64),
		"\"sequence\":1234567", fmt.Sprintf("\"sequence\":%d", 1234567+i),
	).Replace(template)
}

// workday makes n lines of what a host does all day: of ten events, six begin a
// process, one ends one, two make a file and one connects.
func workday(tb testing.TB, n int) []byte {
	commands := []string{
		"/usr/bin/ls -la --color=auto /var/log", "/usr/bin/grep -rn timeout /etc/nginx/conf.d", "/usr/bin/git status --porcelain",
		"/usr/bin/python3 /srv/app/manage.py collectstatic --noinput", "/usr/bin/bash -c test -f /run/ready && exit 0", "/usr/bin/curl -fsS http://localhost:8080/healthz",
		"/usr/sbin/runc --root /run/containerd/runc/k8s.io state 7d3f", "/usr/bin/cat /proc/loadavg", "/usr/bin/sed -i s/a/b/ /srv/app/settings.ini",
		"/usr/local/bin/node /srv/web/server.js --port 3000", "/usr/bin/apt-get -qq update", "/usr/bin/dash -e /etc/cron.daily/logrotate", "/usr/bin/tar -czf /srv/backup/daily.tgz /srv/app",
		"/usr/bin/ssh -o BatchMode=yes deploy@10.0.0.7 uptime", "/usr/sbin/iptables -w 5 -C KUBE-FORWARD -m conntrack", "/usr/bin/systemctl is-active kubelet",
	}
	files := []string{"/srv/app/static/main.css", "/var/log/nginx/access.log.1", "/var/lib/kubelet/pods/4f2a/volumes/token", "/home/deploy/.cache/pip/http/a1", "/tmp/tmp.k3j4h5"}
	r := rand.New(rand.NewPCG(3, 4))
	template := readTemplate(tb)
	var out bytes.Buffer
	for i := range n {
		command := commands[r.IntN(len(commands))]
		args := strings.Fields(command)
		executable := args[0]
		name := executable[strings.LastIndexByte(executable, '/')+1:]
		args[0] = name
		doc := strings.NewReplacer(
			`"args":["bash","-c","for i in $(seq 1 10); do echo $i; done","--norc"],"args_count":4`, fmt.Sprintf(`"args":["%s"],"args_count":%d`, strings.Join(args, `","`), len(args)),
			`"command_line":"bash -c for i in $(seq 1 10); do echo $i; done --norc"`, fmt.Sprintf(`"command_line":%q`, strings.Join(args, " ")),
			`"executable":"/usr/bin/bash","group_leader"`, fmt.Sprintf(`"executable":%q,"group_leader"`, executable),
			`"interactive":true,"name":"bash","parent":{"args":["-bash"]`, fmt.Sprintf(`"interactive":true,"name":%q,"parent":{"args":["-bash"]`, name),
		).Replace(fresh(template, r, i))
		change := func(category, kind, action, more string) {
			doc = strings.NewReplacer(`"category":["process"]`, fmt.Sprintf(`"category":[%q]`, category), `"type":["start"]`, fmt.Sprintf(`"type":[%q]`, kind), `"action":"exec"`, fmt.Sprintf(`"action":%q`, action)).Replace(doc)
			doc = strings.TrimSuffix(doc, "}") + more + "}"
		}
		switch i % 10 {
		case 6:
			change("process", "end", "end", "")
		case 7, 8:
			path := files[r.IntN(len(files))]
			change("file", "creation", "creation", fmt.Sprintf(`,"file":{"path":%q,"name":%q,"size":%d}`, path, path[strings.LastIndexByte(path, '/')+1:], r.IntN(1e5)))
		case 9:
			change("network", "start", "connection_attempted", fmt.Sprintf(`,"source":{"ip":"10.0.0.5","port":%d},"destination":{"ip":"10.0.%d.%d","port":443},"network":{"transport":"tcp","type":"ipv4"}`, 30000+r.IntN(30000), r.IntN(256), r.IntN(256)))
		}
		out.WriteString(doc)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// manyRules makes n rules with the shapes that those of large packs have: lists
// of names, wildcards over paths and arguments, exclusions, blocks and ports,
// sequences. They ask for programs that every host runs, and none of them wants
// an event of a workday.
func manyRules(n int) []*rule.Rule {
	r := rand.New(rand.NewPCG(5, 6))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	list := func(n int, words ...string) string {
		var out []string
		for _, i := range r.Perm(len(words))[:n] {
			out = append(out, fmt.Sprintf("%q", words[i]))
		}
		return "(" + strings.Join(out, ", ") + ")"
	}
	shells := []string{"bash", "dash", "sh", "tcsh", "csh", "zsh", "ksh", "fish"}
	tools := []string{"curl", "wget", "python3", "perl", "php", "node", "git", "tar", "ssh", "cat", "sed", "grep", "systemctl", "iptables", "base64", "openssl", "nc", "socat", "mount", "chattr", "insmod", "gdb"}
	paths := []string{"/tmp/*", "/dev/shm/*", "/var/tmp/*", "/run/user/*", "/home/*/.ssh/*", "/boot/*", "./*"}
	var out []*rule.Rule
	for i := range n {
		start := `process where host.os.type == "linux" and event.type == "start" and event.action in ("exec", "exec_event", "start", "executed")`
		unlike := fmt.Sprintf(`not (process.parent.executable : ("/opt/agent%d/*", "/usr/lib/systemd/systemd") or process.parent.name in ("job%d", "dpkg"))`, i, i)
		query := ""
		switch i % 12 {
		case 0, 1, 2:
			query = fmt.Sprintf(`%s and process.name in %s and process.args == "--evil%d" and %s`, start, list(3, tools...), i, unlike)
		case 3:
			query = fmt.Sprintf(`%s and process.name : (%q, "odd%d*") and process.args : ("*payload%d*", "%s/.hidden%d/*") and %s`, start, pick(tools...), i, i, pick("/tmp", "/opt"), i, unlike)
		case 4:
			query = fmt.Sprintf(`%s and process.parent.name in %s and process.command_line like~ ("*/dev/tcp/%d*", "*%s -e stage%d*") and %s`, start, list(4, shells...), i, pick(tools...), i, unlike)
		case 5:
			query = fmt.Sprintf(`%s and (process.executable like %s or process.name : ".*") and process.args like ("*x%d.sock*", "k%d.io") and not user.id == "0"`, start, list(3, paths...), i, i)
		case 6:
			query = fmt.Sprintf(`file where host.os.type == "linux" and event.type != "deletion" and file.path : ("/etc/cron.d/*%d", "/root/.config/%d*") and not process.name in %s`, i, i, list(4, tools...))
		case 7:
			query = fmt.Sprintf(`network where host.os.type == "linux" and event.action == "connection_attempted" and process.executable like %s and destination.port == %d and not cidrmatch(destination.ip, "10.0.0.0/8", "127.0.0.0/8")`, list(2, paths...), 1024+i)
		case 8:
			query = fmt.Sprintf(`process where host.os.type == "windows" and event.type == "start" and process.name : ("tool%d.exe", "powershell.exe") and process.args : "*-enc%d*"`, i, i)
		case 9:
			query = fmt.Sprintf(`sequence by host.id, process.entity_id with maxspan=%ds [%s and process.name in %s and process.args : "*stage%d*"] [network where host.os.type == "linux" and event.action == "connection_attempted" and destination.port > %d]`, i%60+1, start, list(3, tools...), i, 60000+i%5000)
		case 10:
			query = fmt.Sprintf(`any where event.category == "file" and file.name regex ".*\\.so\\.%d|core\\.[0-9]+\\.%d" and process.name != "ldconfig"`, i, i)
		case 11:
			query = fmt.Sprintf(`%s and process.name in %s and process.args_count >= %d and process.parent.args : "*run%d*"`, start, list(2, append(shells, tools...)...), i%9, i)
		}
		out = append(out, &rule.Rule{
			ID: fmt.Sprint(i), Name: fmt.Sprint(i), Type: "eql", Enabled: true, Severity: "low", RiskScore: 21,
			From: "now-6m", To: "now", Interval: "5m", Language: "eql", Query: syntax.Source{Name: fmt.Sprint(i), Text: query},
		})
	}
	return out
}
