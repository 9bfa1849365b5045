package event_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fastjson"

	"github.com/orlop/orlop/event"
)

// processDoc is an Elastic Defend process event of 4 kB.
func processDoc() []byte {
	doc := `{"@timestamp":"2026-04-29T10:11:12.8657898Z","agent":{"id":"8a4f500d-2f1b-4ec9-8a26-3a35cd1c1a1f","type":"endpoint","version":"9.1.2"},"data_stream":{"dataset":"endpoint.events.process","namespace":"default","type":"logs"},"ecs":{"version":"8.10.0"},"elastic":{"agent":{"id":"8a4f500d-2f1b-4ec9-8a26-3a35cd1c1a1f"}},"event":{"action":"exec","agent_id_status":"verified","category":["process"],"created":"2026-04-29T10:11:12.8657898Z","dataset":"endpoint.events.process","id":"NGnjKBMwXvNVqf9k++++0sVe","ingested":"2026-04-29T10:11:20Z","kind":"event","module":"endpoint","outcome":"unknown","sequence":1234567,"type":["start"]},"group":{"Ext":{"real":{"id":0,"name":"root"}},"id":0,"name":"root"},"host":{"architecture":"x86_64","hostname":"worker-1","id":"1d5a5ad1cf5b4a0fa5cc1b9b2a6a9a0b","ip":["10.0.0.5","127.0.0.1","::1","fe80::42:acff:fe11:2"],"mac":["02-42-ac-11-00-02"],"name":"worker-1","os":{"Ext":{"variant":"Debian"},"family":"debian","full":"Debian 12","kernel":"6.1.0-18-amd64 #1 SMP","name":"Linux","platform":"debian","type":"linux","version":"12"}},"message":"Endpoint process event","process":{"Ext":{"ancestry":["OGE0ZjUwMGQtMmYxYi00ZWM5LTE=","OGE0ZjUwMGQtMmYxYi00ZWM5LTI=","OGE0ZjUwMGQtMmYxYi00ZWM5LTM="],"architecture":"x86_64"},"args":["bash","-c","for i in $(seq 1 10); do echo $i; done","--norc"],"args_count":4,"command_line":"bash -c for i in $(seq 1 10); do echo $i; done --norc","entity_id":"OGE0ZjUwMGQtMmYxYi00ZWM5LTg=","entry_leader":{"args":["/usr/sbin/sshd","-D"],"args_count":2,"entity_id":"OGE0ZjUwMGQtMmYxYi00ZWM5LTk=","entry_meta":{"source":{"ip":"10.0.0.9"},"type":"sshd"},"executable":"/usr/sbin/sshd","group":{"id":0,"name":"root"},"interactive":true,"name":"sshd","parent":{"entity_id":"OGE0ZjUwMGQtMmYxYi00ZWM5LTA=","pid":1,"start":"2026-04-01T00:00:00Z"},"pid":812,"real_user":{"id":0,"name":"root"},"start":"2026-04-29T10:00:00.1Z","tty":{"char_device":{"major":136,"minor":0}},"user":{"id":0,"name":"root"},"working_directory":"/root"},"executable":"/usr/bin/bash","group_leader":{"entity_id":"OGE0ZjUwMGQtMmYxYi00ZWM5LTg=","executable":"/usr/bin/bash","name":"bash","pid":4711},"hash":{"md5":"0123456789abcdef0123456789abcdef","sha1":"0123456789abcdef0123456789abcdef01234567","sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},"interactive":true,"name":"bash","parent":{"args":["-bash"],"args_count":1,"command_line":"-bash","entity_id":"OGE0ZjUwMGQtMmYxYi00ZWM5LTc=","executable":"/usr/bin/bash","group":{"id":0,"name":"root"},"interactive":true,"name":"bash","pid":4700,"start":"2026-04-29T10:00:01Z","user":{"id":0,"name":"root"},"working_directory":"/root"},"pid":4711,"previous":[{"args":["bash"],"args_count":1,"executable":"/usr/bin/bash"}],"session_leader":{"entity_id":"OGE0ZjUwMGQtMmYxYi00ZWM5LTk=","executable":"/usr/sbin/sshd","name":"sshd","pid":812},"start":"2026-04-29T10:11:12.8657898Z","thread":{"capabilities":{"effective":["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_SYS_ADMIN"],"permitted":["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_SYS_ADMIN"]}},"working_directory":"/root"},"user":{"Ext":{"real":{"id":0,"name":"root"}},"id":"0","name":"root"}}`
	pad := 4096 - len(doc) - len(`,"labels":{"note":""}}`) + 1
	return []byte(strings.TrimSuffix(doc, "}") + `,"labels":{"note":"` + strings.Repeat("x", max(pad, 0)) + `"}}`)
}

// BenchmarkDecode reads the fields of the seed rule out of a 4 kB document.
// fastjson merely parses the same document.
func BenchmarkDecode(b *testing.B) {
	doc := processDoc()
	b.Run("orlop", func(b *testing.B) {
		s := event.NewSchema()
		for _, f := range []string{"event.category", "host.os.type", "event.type", "event.action", "process.name", "process.args", "process.executable", "process.parent.executable"} {
			s.Field(f)
		}
		d := event.NewDecoder(s)
		var e event.Event
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			if err := d.Decode(doc, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
	// Ten times and forty times as many fields, as many rules ask for: what the
	// document has, and what it has not.
	for _, n := range []int{80, 320} {
		b.Run(fmt.Sprintf("fields=%d", n), func(b *testing.B) {
			s := event.NewSchema()
			for i := range n {
				of := []string{"process", "process.parent", "event", "host", "user", "process.group_leader", "file", "dns"}[i%8]
				field := []string{"name", "executable", "pid", "id", "args", "entity_id", "category", "type", "action", "command_line"}[i/8%10]
				if i >= 80 {
					field += fmt.Sprint(i / 80)
				}
				s.Field(of + "." + field)
			}
			d := event.NewDecoder(s)
			var e event.Event
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Decode(doc, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("fastjson", func(b *testing.B) {
		var p fastjson.Parser
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.ParseBytes(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
}
