package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A fleet makes up what its hosts record: processes that start each other and end, write
// files and connect. The same seed makes the same. Documents have the fields, the nesting
// and the length of those that Elastic Defend, Auditbeat and auditd write.
type fleet struct {
	r     *rand.Rand
	hosts []*host
	at    time.Time
	seq   int
}

type host struct {
	name, id string
	ip       string
	worker   bool // of a cluster: what runs there has come by a container's shim
	procs    []*process
	pid      int
}

type process struct {
	pid        int
	id         string
	args       []string
	executable string
	start      time.Time
	user       account
	dir        string
	parent     *process
	leader     *process // of its session
	entry      *process
}

type account struct {
	id   int
	name string
}

type object = map[string]any

// newFleet has eight hosts, of which workers are of a cluster.
func newFleet(seed uint64, workers int) *fleet {
	f := &fleet{r: rand.New(rand.NewPCG(seed, 1)), at: time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC)}
	for i := range 8 {
		h := &host{name: fmt.Sprintf("node-%02d.eu.example.net", i), id: f.hex(32), ip: fmt.Sprint("10.0.4.", 10+i), worker: i < workers, pid: 3000 + 997*i}
		entry := &process{pid: 812, executable: "/usr/sbin/sshd", args: []string{"/usr/sbin/sshd", "-D"}}
		if h.worker {
			entry = &process{pid: 1893, executable: "/usr/bin/containerd-shim-runc-v2", args: []string{"/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", f.hex(64), "-address", "/run/containerd/containerd.sock"}}
		}
		entry.id, entry.start, entry.dir, entry.user = f.id(), f.at.Add(-time.Hour), "/", account{0, "root"}
		entry.leader, entry.entry = entry, entry
		shell := f.child(h, entry, "/usr/bin/bash", "-bash")
		shell.leader = shell
		h.procs = []*process{entry, shell}
		f.hosts = append(f.hosts, h)
	}
	return f
}

func (f *fleet) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[f.r.IntN(16)]
	}
	return string(b)
}

func (f *fleet) id() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := []byte("OGE0ZjUwMGQtMmYxYi00ZWM5LTg2")
	for i := 12; i < len(b); i++ {
		b[i] = letters[f.r.IntN(len(letters))]
	}
	return string(b) + "=="
}

// commands are what hosts run all day; % stands for a word that differs.
var commands = strings.Split(`/usr/bin/ls -la --color=auto /var/log/%
/usr/bin/grep -rn timeout=% /etc/nginx/conf.d
/usr/bin/git -C /srv/% status --porcelain
/usr/bin/python3 /srv/app/manage.py collectstatic --noinput --tag %
/usr/bin/bash -c test -f /run/% && exit 0
/usr/bin/curl -fsS --retry 3 http://localhost:8080/healthz?probe=%
/usr/bin/cat /proc/%/status
/usr/bin/sed -i s/debug/info/ /srv/app/%.ini
/usr/local/bin/node /srv/web/server.js --port 3000 --id %
/usr/bin/apt-get -qq -o Acquire::Retries=3 update
/usr/bin/dash -e /etc/cron.daily/logrotate
/usr/bin/tar -czf /srv/backup/%.tgz /srv/app /etc/app
/usr/bin/ssh -o BatchMode=yes deploy@10.0.0.7 uptime
/usr/sbin/iptables -w 5 -C FORWARD -m conntrack --ctstate % -j ACCEPT
/usr/bin/systemctl is-active %.service
/usr/bin/java -Xmx2g -jar /opt/search/lib/server-%.jar --spring.profiles.active=production
/usr/bin/find /var/cache/% -mtime +7 -type f -print0
/usr/bin/openssl x509 -in /etc/ssl/certs/%.pem -noout -enddate
/usr/bin/psql -At -c select count(*) from jobs where state = '%'
/usr/sbin/logrotate /etc/logrotate.conf --state /var/lib/logrotate/%
/usr/bin/awk -F: {print $1} /etc/passwd
/usr/bin/perl -MJSON -e print encode_json({id=>'%'})
/usr/bin/mount -o remount,ro /mnt/%
/usr/bin/chmod 0644 /srv/app/static/%.css`, "\n")

// step is the next process of some host.
func (f *fleet) step() (*host, *process) {
	f.at = f.at.Add(time.Duration(1+f.r.IntN(80)) * time.Millisecond)
	f.seq++
	h := f.hosts[f.r.IntN(len(f.hosts))]
	parent := h.procs[1+f.r.IntN(len(h.procs)-1)]
	words := strings.Fields(strings.ReplaceAll(commands[f.r.IntN(len(commands))], "%", f.hex(4+f.r.IntN(6))))
	name := words[0][strings.LastIndexByte(words[0], '/')+1:]
	p := f.child(h, parent, words[0], append([]string{name}, words[1:]...)...)
	if len(h.procs) < 12 {
		h.procs = append(h.procs, p)
	} else {
		h.procs[2+f.r.IntN(10)] = p
	}
	return h, p
}

func (f *fleet) child(h *host, parent *process, executable string, args ...string) *process {
	h.pid += 1 + f.r.IntN(9)
	users := []account{{0, "root"}, {1000, "deploy"}, {33, "www-data"}}
	return &process{pid: h.pid, id: f.id(), args: args, executable: executable, start: f.at, user: users[f.r.IntN(3)],
		dir: []string{"/", "/root", "/srv/app", "/home/deploy"}[f.r.IntN(4)], parent: parent, leader: parent.leader, entry: parent.entry}
}

func (p *process) name() string { return p.executable[strings.LastIndexByte(p.executable, '/')+1:] }

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.0000000Z") }

// line writes a document as one line.
func line(doc object) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		panic("bench: bug: " + err.Error())
	}
	return b.Bytes()
}

// defend is the part that all documents of Elastic Defend have.
func (f *fleet) defend(h *host, dataset, category, kind, action string) object {
	return object{
		"@timestamp": stamp(f.at), "message": "Endpoint " + category + " event",
		"agent":       object{"id": h.id[:8] + "-2f1b-4ec9-8a26-3a35cd1c1a1f", "type": "endpoint", "version": "9.1.2"},
		"data_stream": object{"dataset": "endpoint.events." + dataset, "namespace": "default", "type": "logs"},
		"ecs":         object{"version": "8.10.0"},
		"elastic":     object{"agent": object{"id": h.id[:8] + "-2f1b-4ec9-8a26-3a35cd1c1a1f"}},
		"event": object{"action": action, "agent_id_status": "verified", "category": []string{category}, "created": stamp(f.at), "dataset": "endpoint.events." + dataset,
			"id": "NGnj" + f.id()[8:28], "ingested": f.at.Add(7 * time.Second).Format(time.RFC3339), "kind": "event", "module": "endpoint", "outcome": "unknown",
			"sequence": 1234567 + f.seq, "type": []string{kind}},
		"host": object{"architecture": "x86_64", "hostname": h.name, "id": h.id, "ip": []string{h.ip, "127.0.0.1", "::1", "fe80::42:acff:fe11:2"}, "mac": []string{"02-42-ac-11-00-" + h.id[:2]}, "name": h.name,
			"os": object{"Ext": object{"variant": "Debian"}, "family": "debian", "full": "Debian 12.5", "kernel": "6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)", "name": "Linux", "platform": "debian", "type": "linux", "version": "12.5"}},
	}
}

func group(a account) object { return object{"id": a.id, "name": a.name} }

// short is a process as others refer to it.
func (p *process) short() object {
	return object{"args": p.args, "args_count": len(p.args), "entity_id": p.id, "executable": p.executable, "interactive": true, "name": p.name(), "pid": p.pid,
		"start": stamp(p.start), "user": group(p.user), "group": group(p.user), "real_user": group(p.user), "real_group": group(p.user), "same_as_process": false, "working_directory": p.dir}
}

// self is the process that an event is about; full where it begins.
func (f *fleet) self(p *process, full bool) object {
	up := p.parent
	o := object{"entity_id": p.id, "executable": p.executable, "name": p.name(), "pid": p.pid,
		"Ext":            object{"ancestry": []string{up.id, p.leader.id, p.entry.id}},
		"group_leader":   object{"entity_id": p.id, "executable": p.executable, "name": p.name(), "pid": p.pid, "start": stamp(p.start)},
		"entry_leader":   object{"entity_id": p.entry.id, "entry_meta": object{"type": "sshd", "source": object{"ip": "10.0.0.9"}}, "parent": object{"entity_id": p.entry.id, "pid": 1, "start": stamp(p.entry.start)}},
		"parent":         object{"entity_id": up.id, "executable": up.executable, "name": up.name(), "pid": up.pid},
		"session_leader": object{"entity_id": p.leader.id, "pid": p.leader.pid},
		"thread":         object{"id": p.pid},
	}
	if !full {
		return o
	}
	entry := p.entry.short()
	entry["entry_meta"] = object{"type": "sshd", "source": object{"ip": "10.0.0.9"}}
	entry["parent"] = object{"entity_id": p.entry.id, "pid": 1, "start": stamp(p.entry.start), "session_leader": object{"entity_id": p.entry.id, "pid": 1}}
	entry["tty"] = object{"char_device": object{"major": 136, "minor": 0}}
	parent := up.short()
	parent["command_line"] = strings.Join(up.args, " ")
	parent["hash"] = object{"sha256": f.hex(64)}
	caps := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETUID", "CAP_NET_ADMIN"}
	for k, v := range (object{
		"args": p.args, "args_count": len(p.args), "command_line": strings.Join(p.args, " "), "interactive": true, "start": stamp(p.start), "working_directory": p.dir,
		"user": group(p.user), "group": group(p.user), "real_user": group(p.user),
		"hash": object{"md5": f.hex(32), "sha1": f.hex(40), "sha256": f.hex(64)}, "parent": parent, "entry_leader": entry,
		"session_leader": p.leader.short(), "group_leader": p.short(),
		"previous": []object{{"args": up.args, "args_count": len(up.args), "executable": up.executable}},
		"thread":   object{"id": p.pid, "capabilities": object{"effective": caps[:1+f.r.IntN(5)], "permitted": caps}},
		"env_vars": []string{"HOME=/home/" + p.user.name, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"},
	}) {
		o[k] = v
	}
	return o
}

// started is the document of a process that begins.
func (f *fleet) started(h *host, p *process) []byte {
	doc := f.defend(h, "process", "process", "start", "exec")
	doc["process"], doc["user"], doc["group"] = f.self(p, true), object{"id": fmt.Sprint(p.user.id), "name": p.user.name}, object{"id": fmt.Sprint(p.user.id), "name": p.user.name}
	return line(doc)
}

// processes makes n documents of Elastic Defend about processes that begin.
func (f *fleet) processes(n int) []byte {
	var out []byte
	for range n {
		out = append(out, f.started(f.step())...)
	}
	return out
}

// workday makes n documents of several sources: of ten, four begin a process, one ends
// one, two write a file and one connects as Elastic Defend has it, and two are
// Auditbeat's.
func (f *fleet) workday(n int) []byte {
	var out []byte
	for i := range n {
		h, p := f.step()
		user := object{"id": fmt.Sprint(p.user.id), "name": p.user.name}
		var doc object
		switch i % 10 {
		case 4:
			doc = f.defend(h, "process", "process", "end", "end")
			doc["process"] = f.self(p, false)
			doc["process"].(object)["exit_code"] = f.r.IntN(2)
		case 5, 6:
			doc = f.defend(h, "file", "file", "creation", "creation")
			name := f.hex(8) + []string{".log", ".css", ".json", ".tmp", ".py"}[f.r.IntN(5)]
			dir := []string{"/var/log/nginx/", "/srv/app/static/", "/var/cache/apt/", "/home/deploy/.cache/pip/"}[f.r.IntN(4)]
			doc["file"] = object{"path": dir + name, "name": name, "extension": name[strings.LastIndexByte(name, '.')+1:], "size": f.r.IntN(1e6), "Ext": object{"original": object{"group": group(p.user), "owner": p.user.name}}}
			doc["process"] = f.self(p, false)
		case 7:
			doc = f.defend(h, "network", "network", "start", "connection_attempted")
			to := fmt.Sprintf("10.%d.%d.%d", f.r.IntN(4), f.r.IntN(256), f.r.IntN(256))
			doc["source"], doc["destination"] = object{"address": h.ip, "ip": h.ip, "port": 30000 + f.r.IntN(30000)}, object{"address": to, "ip": to, "port": []int{443, 5432, 8080, 53}[f.r.IntN(4)]}
			doc["network"] = object{"transport": "tcp", "type": "ipv4", "direction": "egress"}
			doc["process"] = f.self(p, false)
		case 8, 9:
			out = append(out, f.auditbeat(h, p)...)
			continue
		default:
			doc = f.defend(h, "process", "process", "start", "exec")
			doc["process"] = f.self(p, true)
		}
		doc["user"] = user
		out = append(out, line(doc)...)
	}
	return out
}

// auditbeat is the document that Auditbeat's auditd module writes of an execve.
func (f *fleet) auditbeat(h *host, p *process) []byte {
	user := func(names ...string) object {
		o := object{"id": fmt.Sprint(p.user.id), "name": p.user.name}
		for _, n := range names {
			o[n] = object{"id": fmt.Sprint(p.user.id), "name": p.user.name}
		}
		return o
	}
	u := user("audit", "filesystem", "saved", "effective", "group")
	return line(object{
		"@timestamp": f.at.Format("2006-01-02T15:04:05.000Z"), "agent": object{"ephemeral_id": h.id[:8] + "-77c2-4b9e", "id": h.id, "name": h.name, "type": "auditbeat", "version": "8.19.2"},
		"auditd": object{"data": object{"a0": f.hex(12), "a1": f.hex(12), "a2": f.hex(12), "a3": "8", "arch": "x86_64", "argc": fmt.Sprint(len(p.args)), "exit": "0", "syscall": "execve", "tty": "pts0"},
			"message_type": "syscall", "result": "success", "sequence": f.seq, "session": "84",
			"paths": []object{
				{"item": "0", "name": p.executable, "nametype": "NORMAL", "mode": "0100755", "dev": "fe:01", "inode": fmt.Sprint(100000 + f.r.IntN(1e6)), "ogid": "0", "ouid": "0", "rdev": "00:00"},
				{"item": "1", "name": "/lib64/ld-linux-x86-64.so.2", "nametype": "NORMAL", "mode": "0100755", "dev": "fe:01", "inode": "262151", "ogid": "0", "ouid": "0", "rdev": "00:00"}},
			"summary": object{"actor": object{"primary": p.user.name, "secondary": p.user.name}, "how": p.executable, "object": object{"primary": p.executable, "type": "file"}}},
		"ecs": object{"version": "8.0.0"}, "event": object{"action": "executed", "category": []string{"process"}, "kind": "event", "module": "auditd", "outcome": "success", "type": []string{"start"}},
		"file":    object{"device": "00:00", "gid": "0", "group": "root", "inode": "262150", "mode": "0755", "owner": "root", "path": p.executable, "uid": "0"},
		"host":    object{"architecture": "x86_64", "containerized": false, "hostname": h.name, "id": h.id, "ip": []string{h.ip}, "name": h.name, "os": object{"codename": "bookworm", "family": "debian", "kernel": "6.1.0-18-amd64", "name": "Debian GNU/Linux", "platform": "debian", "type": "linux", "version": "12 (bookworm)"}},
		"process": object{"args": p.args, "executable": p.executable, "name": p.name(), "parent": object{"pid": p.parent.pid}, "pid": p.pid, "title": strings.Join(p.args, " "), "working_directory": p.dir},
		"service": object{"type": "auditd"}, "tags": []string{"exec"}, "user": u,
	})
}

// audit makes the records of n events as auditd writes them: of five, four are execve
// and one connect. It returns how many records they are, too.
func (f *fleet) audit(n int) (out []byte, records int) {
	var b bytes.Buffer
	for i := range n {
		_, p := f.step()
		stamp := fmt.Sprintf("msg=audit(%d.%03d:%d):", f.at.Unix(), f.at.Nanosecond()/1e6, 524166+f.seq)
		call := func(nr, items int, key string) {
			fmt.Fprintf(&b, "type=SYSCALL %s arch=c000003e syscall=%d success=yes exit=0 a0=%s a1=%s a2=%s a3=0 items=%d ppid=%d pid=%d auid=%d uid=%d gid=%[10]d euid=%[10]d suid=%[10]d fsuid=%[10]d egid=%[10]d sgid=%[10]d fsgid=%[10]d tty=pts0 ses=83 comm=%[11]q exe=%[12]q key=%[13]q\n",
				stamp, nr, f.hex(12), f.hex(12), f.hex(12), items, p.parent.pid, p.pid, 1000, p.user.id, p.name()[:min(15, len(p.name()))], p.executable, key)
		}
		title := fmt.Sprintf("%X", strings.Join(p.args, "\x00"))
		if i%5 == 4 {
			call(42, 0, "connect")
			fmt.Fprintf(&b, "type=SOCKADDR %s saddr=020001BB0A%06X0000000000000000\ntype=PROCTITLE %[1]s proctitle=%[3]s\n", stamp, f.r.IntN(1<<24), title)
			continue
		}
		call(59, 2, "exec")
		fmt.Fprintf(&b, "type=EXECVE %s argc=%d", stamp, len(p.args))
		for k, a := range p.args {
			fmt.Fprintf(&b, " a%d=%q", k, a)
		}
		fmt.Fprintf(&b, "\ntype=CWD %s cwd=%q\n", stamp, p.dir)
		for k, name := range []string{p.executable, "/lib64/ld-linux-x86-64.so.2"} {
			fmt.Fprintf(&b, "type=PATH %s item=%d name=%q inode=%d dev=fe:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n", stamp, k, name, 100000+f.r.IntN(1e6))
		}
		fmt.Fprintf(&b, "type=PROCTITLE %s proctitle=%s\n", stamp, title)
	}
	return b.Bytes(), bytes.Count(b.Bytes(), []byte{'\n'})
}

// suspicious is the document of a process that the seed rule wants, and that starts no
// others.
func (f *fleet) suspicious() []byte {
	h, p := f.step()
	return f.started(h, f.child(h, p.parent, "/usr/local/bin/ctr", "ctr", "-n", "k8s.io", "tasks", "exec", "--exec-id", f.hex(4), f.hex(64), "sh"))
}
