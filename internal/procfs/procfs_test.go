//go:build linux

package procfs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/internal/procfs"
)

// A process is what it says of itself, and its parent comes before it.
func TestProcesses(t *testing.T) {
	there, err := procfs.Processes()
	all := there.Processes
	if err != nil {
		t.Fatal(err)
	}
	place := map[uint32]int{}
	for i, p := range all {
		place[p.PID] = i
		if at, ok := place[p.PPID]; !ok && p.ParentStart != 0 && p.ParentStart != p.Start {
			t.Errorf("pid %d comes before its parent %d", p.PID, p.PPID)
		} else if ok && all[at].Start != p.ParentStart {
			t.Errorf("pid %d: its parent began at %d, not %d", p.PID, all[at].Start, p.ParentStart)
		}
	}
	i, ok := place[uint32(os.Getpid())]
	if !ok {
		t.Fatal("we are not there")
	}
	p := all[i]
	sid, _ := unix.Getsid(0)
	exe, _ := os.Executable()
	cwd, _ := os.Getwd()
	if p.PPID != uint32(os.Getppid()) || p.SID != uint32(sid) || p.PGID != uint32(unix.Getpgrp()) || p.Exe != exe || p.Cwd != cwd || p.Start == 0 || !p.Cred || p.UID != uint32(os.Getuid()) {
		t.Errorf("we are %+v", p)
	}
}

// A document has what is known, and nothing else.
func TestDocument(t *testing.T) {
	h, err := procfs.NewHost("")
	if err != nil {
		t.Fatal(err)
	}
	f := func(p *procfs.Process, e procfs.Event, want string) {
		t.Helper()
		var doc map[string]any
		if err := json.Unmarshal(h.Document(nil, e, p), &doc); err != nil {
			t.Fatal(err)
		}
		delete(doc, "host")
		delete(doc, "ecs")
		if got, _ := json.Marshal(doc); string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(&procfs.Process{PID: 7, PPID: 6}, procfs.Event{Dataset: "d", Action: "exec", Type: "start", At: 1e9, Incomplete: true},
		`{"@timestamp":"1970-01-01T00:00:01.000000000Z","event":{"action":"exec","category":["process"],"dataset":"d","kind":"event","module":"orlop","sequence":0,"type":["start"]},"orlop":{"evidence":{"truncated":true},"process":{}},"process":{"parent":{"pid":6},"pid":7}}`)
	f(&procfs.Process{PID: 7, Comm: "a\x1b\xff", Exe: "/bin/a \"b\"", Args: []byte("a\x00\x00c\x00"), SID: 5, PGID: 6, TTY: 136<<20 | 3},
		procfs.Event{Dataset: "d", Action: "existing_process", Type: "info"},
		`{"@timestamp":"1970-01-01T00:00:00.000000000Z","event":{"action":"existing_process","category":["process"],"dataset":"d","kind":"event","module":"orlop","sequence":0,"type":["info"]},"orlop":{"process":{"comm":"a\u001b`+"\uFFFD"+`"}},"process":{"args":["a","","c"],"args_count":3,"command_line":"a  c","executable":"/bin/a \"b\"","group_leader":{"pid":6},"interactive":true,"name":"a \"b\"","pid":7,"session_leader":{"pid":5},"tty":{"char_device":{"major":136,"minor":3}}}}`)
}

// A name with brackets and blanks does not move the fields behind it.
func TestStatOfAHostileName(t *testing.T) {
	program := filepath.Join(t.TempDir(), ") R 1 1 (")
	text, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Skip(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var p procfs.Process
	if !p.Stat(uint32(cmd.Process.Pid)) || p.Comm != ") R 1 1 (" || p.PPID != uint32(os.Getpid()) {
		t.Errorf("%+v", p)
	}
	if p.Stat(1 << 30) {
		t.Error("nobody has that pid")
	}
}
