package enrich_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
)

// recording turns an auditd log into the documents that Auditd Manager would make
// of it. It knows just enough of the format for the recorded session; the real
// parser is in source/audit.
func recording(t testing.TB, file string) [][]byte {
	f, err := os.Open(file)
	if err != nil {
		t.Skip("no recording: ", err)
	}
	defer f.Close()
	head := regexp.MustCompile(`^type=(\S+) msg=audit\((\d+)\.(\d+):(\d+)\): ?(.*)`)
	pair := regexp.MustCompile(`([\w\[\]-]+)=("[^"]*"|\S*)`)
	type ev struct {
		ms, serial int64
		sys, exec  map[string]string
		login      bool
	}
	var order []*ev
	bySerial := map[int64]*ev{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		raw, _, _ := strings.Cut(sc.Text(), "\x1d")
		m := head.FindStringSubmatch(raw)
		if m == nil {
			continue
		}
		serial, _ := strconv.ParseInt(m[4], 10, 64)
		e := bySerial[serial]
		if e == nil {
			sec, _ := strconv.ParseInt(m[2], 10, 64)
			ms, _ := strconv.ParseInt(m[3], 10, 64)
			e = &ev{ms: sec*1000 + ms, serial: serial, exec: map[string]string{}}
			bySerial[serial] = e
			order = append(order, e)
		}
		kv := map[string]string{}
		for _, p := range pair.FindAllStringSubmatch(m[5], -1) {
			kv[p[1]] = p[2]
			if m[1] == "EXECVE" {
				e.exec[p[1]] = p[2]
			}
		}
		switch m[1] {
		case "SYSCALL":
			e.sys = kv
		case "LOGIN":
			e.login = true
		}
	}
	text := func(v string) string {
		if u, ok := strings.CutPrefix(v, `"`); ok {
			return strings.TrimSuffix(u, `"`)
		}
		b, err := hex.DecodeString(v)
		if err != nil {
			return v
		}
		return string(b)
	}
	var docs [][]byte
	for _, e := range order {
		pid, _ := strconv.Atoi(e.sys["pid"])
		ppid, _ := strconv.Atoi(e.sys["ppid"])
		proc := map[string]any{"pid": pid, "parent": map[string]any{"pid": ppid}, "name": text(e.sys["comm"])}
		if exe := text(e.sys["exe"]); exe != "/" {
			proc["executable"] = exe
		}
		doc := map[string]any{
			"@timestamp": e.ms, "process": proc,
			"auditd":      map[string]any{"session": e.sys["ses"], "user": map[string]any{"audit": map[string]any{"id": e.sys["auid"]}}},
			"auditd.data": map[string]any{"comm": text(e.sys["comm"])},
		}
		ecs := map[string]any{"sequence": e.serial, "kind": "event"}
		doc["event"] = ecs
		switch call := e.sys["syscall"]; {
		case (call == "59" || call == "322") && e.sys["success"] == "yes":
			ecs["category"], ecs["type"], ecs["action"], ecs["outcome"] = []string{"process"}, []string{"start"}, "executed", "success"
			argc, _ := strconv.Atoi(e.exec["argc"])
			var args []string
			for i := range argc {
				a := fmt.Sprintf("a%d", i)
				v, ok := e.exec[a]
				for j := 0; !ok || j > 0; j++ {
					piece, more := e.exec[fmt.Sprintf("%s[%d]", a, j)]
					if !more {
						break
					}
					v += piece
				}
				args = append(args, text(v))
			}
			proc["args"] = args
		case call == "59" || call == "322":
			ecs["category"], ecs["type"], ecs["action"], ecs["outcome"] = []string{"process"}, []string{"info"}, "executed", "failure"
		case e.login:
			ecs["category"], ecs["type"], ecs["action"] = []string{"process"}, []string{"info"}, "changed-login-id-to"
			doc["auditd.data"] = map[string]any{"old-ses": "4294967295"}
		default:
			ecs["category"], ecs["type"], ecs["action"] = []string{"process"}, []string{"info"}, "syscall-"+call
		}
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, b)
	}
	return docs
}

const recorded = "/work/shared/recorded/audit.log"

// The recorded session: what each exec gets from the ones before it.
func TestRecording(t *testing.T) {
	docs := recording(t, recorded)
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	seq := s.Field("event.sequence")
	by := map[int64]*event.Event{}
	var e event.Event
	for _, doc := range docs {
		if err := d.Decode(doc, &e); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		x.Apply(&e)
		by[e.Get(seq).Int()] = e.Clone()
	}
	if os.Getenv("DUMP") != "" {
		for _, doc := range docs {
			d.Decode(doc, &e)
			g := by[e.Get(seq).Int()]
			fmt.Println(e.Get(seq).Int(), fields(s, g, "process.pid", "process.parent.pid", "process.executable", "process.name", "process.parent.executable", "container.id", "process.parent.args"))
		}
	}
	t.Logf("%+v", x.Stats())
}
