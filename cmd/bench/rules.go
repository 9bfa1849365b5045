package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/rule"
)

// A pack is made with the shape that a large public pack of 1,081 EQL rules has: one in
// five is a sequence, most of a process and then a connection, a process or a file; two
// thirds ask for processes, a fifth for files, a tenth for connections; three in five
// have exclusions, with lists of up to dozens of wildcards; half take names from a list;
// three in five use ":". Of five rules four are Linux's, for a pack is chosen for its
// hosts. None of them wants an event of the fleet, but most ask for programs that it runs.
type pack struct {
	r *rand.Rand
	n int // of the rule that is being made
}

func synthesize(n int) []*rule.Rule {
	var out []*rule.Rule
	p := pack{r: rand.New(rand.NewPCG(5, 6))}
	for p.n = range n {
		out = append(out, &rule.Rule{
			ID: fmt.Sprint("bench-", p.n), Name: fmt.Sprint("Rule ", p.n), Type: "eql", Enabled: true, Severity: "low", RiskScore: 21,
			From: "now-9m", To: "now", Interval: "5m", Language: "eql", Query: syntax.Source{Name: fmt.Sprint(p.n), Text: p.query()},
		})
	}
	return out
}

var (
	programs = strings.Fields("bash dash sh zsh curl wget python3 perl php node java git tar ssh cat sed awk grep find systemctl iptables base64 openssl nc socat mount chmod chattr insmod gdb psql crontab useradd ln cp mv")
	folders  = strings.Fields("/tmp/ /dev/shm/ /var/tmp/ /run/user/ /home/ /boot/ /opt/ /srv/ /usr/local/bin/ /etc/cron.d/ /etc/systemd/system/ /root/.ssh/ /var/spool/cron/ /etc/ld.so.conf.d/")
	parents  = strings.Fields("/usr/sbin/cron /usr/lib/systemd/systemd /usr/bin/dpkg /usr/bin/apt /usr/bin/dnf /usr/libexec/packagekitd /usr/bin/puppet /opt/chef/bin/chef-client /usr/sbin/sshd /usr/bin/snap /usr/bin/make")
)

// often reports true in so many of 100 rules.
func (p *pack) often(percent int) bool { return p.r.IntN(100) < percent }

func (p *pack) pick(words []string) string { return words[p.r.IntN(len(words))] }

// some is a list of up to most of what make makes, short ones being more common.
func (p *pack) some(most int, make func() string) string {
	n := 2 + p.r.IntN(3)
	if p.often(20) {
		n = 2 + p.r.IntN(most)
	}
	seen := map[string]bool{}
	var out []string
	for range n {
		if s := syntax.QuoteString(make()); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return "(" + strings.Join(out, ", ") + ")"
}

func (p *pack) names() string {
	return "process.name in " + p.some(12, func() string { return p.pick(programs) })
}

// word is text that only this rule asks for.
func (p *pack) word() string {
	return fmt.Sprintf("%s-%d", p.pick(strings.Fields("stage payload beacon drop loader implant shell miner")), p.n)
}

// arguments is a test that no event of the fleet passes.
func (p *pack) arguments() string {
	switch p.r.IntN(6) {
	case 0:
		return fmt.Sprintf("process.args == %q", "--"+p.word())
	case 1:
		return "process.args : " + p.some(10, func() string { return "*" + p.word() + "/" + p.pick(programs) + "*" })
	case 2:
		return "process.command_line like~ " + p.some(15, func() string { return "*/dev/tcp/" + p.word() + "*" + p.pick(programs) + "*" })
	case 3:
		return fmt.Sprintf("process.args in (%q, %q) and process.args : %q", "-c", "-e", "*"+p.word()+"*")
	case 4:
		return fmt.Sprintf("process.parent.args : %q and process.args_count >= %d", "*"+p.word()+"*", 1+p.r.IntN(6))
	}
	return fmt.Sprintf(`process.command_line regex~ ".*%s[0-9]{1,3}\\.(so|py|sh).*"`, p.word())
}

func (p *pack) exclusions() string {
	if !p.often(60) {
		return ""
	}
	out := " and not (process.parent.executable in " + p.some(30, func() string { return p.pick(parents) })
	if p.often(60) {
		out += " or process.executable : " + p.some(20, func() string { return p.pick(folders) + p.word() + "/*" })
	}
	if p.often(40) {
		out += " or process.args like " + p.some(10, func() string { return p.pick(folders) + "*" + p.word() })
	}
	if p.often(20) {
		out += fmt.Sprintf(" or ?process.parent.command_line == %q or user.id in (\"99\", \"109\")", p.word())
	}
	return out + ")"
}

func (p *pack) query() string {
	os := "linux"
	if p.often(20) {
		os = []string{"windows", "windows", "macos"}[p.r.IntN(3)]
	}
	host := fmt.Sprintf("host.os.type == %q and ", os)
	start := "process where " + host + `event.type == "start" and event.action in ("exec", "exec_event", "start", "ProcessRollup2", "executed", "process_started")`
	file := "file where " + host + `event.type != "deletion" and `
	network := "network where " + host + `event.type == "start" and event.action == "connection_attempted"`
	in := p.names()
	switch p.r.IntN(4) {
	case 0:
		in = "process.name : " + p.some(8, func() string { return p.pick(programs) + p.pick([]string{"", "*", "?"}) })
	case 1:
		in = "(" + in + " or process.executable like " + p.some(8, func() string { return p.pick(folders) + "*" }) + ")"
	}
	switch kind := p.r.IntN(100); {
	case kind < 20:
		by := p.pick([]string{"host.id, process.entity_id", "process.entity_id", "host.id, process.parent.entity_id", "host.id, user.id"})
		first := start + " and " + in + " and " + p.arguments()
		second := p.pick([]string{
			network + fmt.Sprintf(` and destination.port == %d and not cidrmatch(destination.ip, "10.0.0.0/8", "127.0.0.0/8", "::1", "172.16.0.0/12", "192.168.0.0/16")`, 1024+p.n),
			start + " and " + p.names() + " and " + p.arguments(),
			file + fmt.Sprintf("file.path : %q", p.pick(folders)+p.word()+"/*"),
		})
		return fmt.Sprintf("sequence by %s with maxspan=%s\n  [%s%s]\n  [%s]", by, p.pick([]string{"1m", "5s", "1s", "30s", "15s", "5m"}), first, p.exclusions(), second)
	case kind < 62:
		return start + " and " + in + " and " + p.arguments() + p.exclusions()
	case kind < 68:
		return start + " and process.parent.name in " + p.some(10, func() string { return p.pick(programs) }) + " and " + p.arguments() + p.exclusions()
	case kind < 82:
		return file + p.pick([]string{
			"file.path : " + p.some(20, func() string { return p.pick(folders) + "*" + p.word() }),
			fmt.Sprintf("file.extension in (\"so\", \"py\", \"sh\") and file.name : %q", p.word()+"*"),
			"file.path like " + p.some(12, func() string { return p.pick(folders) + p.word() + "/*" }) + " and " + p.names(),
		}) + p.exclusions()
	case kind < 91:
		return network + " and process.executable like " + p.some(8, func() string { return p.pick(folders) + "*" }) + fmt.Sprintf(" and destination.port in (%d, %d)", 1024+p.n, 2048+p.n) + p.exclusions()
	case kind < 97:
		return fmt.Sprintf("any where %sevent.category in (\"file\", \"library\", \"process\") and process.name == %q and file.name : %q", host, p.pick(programs), p.word()+"*")
	}
	return fmt.Sprintf("authentication where %sevent.action : (\"ssh_login\", \"user_login\") and event.outcome == \"failure\" and user.name : %q", host, p.word()+"*")
}

// file writes a rule as a file of its own has it.
func file(r *rule.Rule) string {
	return fmt.Sprintf(`[metadata]
creation_date = "2026/04/29"
integration = ["endpoint"]
maturity = "production"
updated_date = "2026/04/29"

[rule]
author = ["Orlop"]
description = "Made to measure what rules cost."
from = "now-9m"
index = ["logs-endpoint.events.*"]
language = "eql"
license = "Apache-2.0"
name = %q
note = %q
risk_score = 21
rule_id = %q
severity = "low"
tags = ["Domain: Endpoint", "OS: Linux"]
type = "eql"
query = '''
%s
'''
`, r.Name, "## Triage\n\n"+strings.Repeat("Look at the process, its parent, and what it opened. ", 40), r.ID, r.Query.Text)
}
