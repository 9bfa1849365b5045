package runtimecli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// FuzzParse splits its input at newlines: executable, arguments; the environment
// follows an empty line.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		head, env, _ := strings.Cut(s, "\n\n")
		lines := strings.Split(head, "\n")
		c := runtimecli.Command{Executable: lines[0], Args: lines[1:], Env: strings.Split(env, "\n"), Cwd: "/w"}
		call, ok := runtimecli.Parse(c)
		if ok && (call.Tool == "" || call.Command == "" || len(call.Behaviours) == 0 || call.IdentifiedBy == "") {
			t.Errorf("%q: got %+v, want tool, command, behaviour and identity", s, call)
		}
		all := runtimecli.ParseAll(c)
		if ok != (len(all) > 0) && ok {
			t.Errorf("%q: Parse found %v, ParseAll none", s, call)
		}
		for _, a := range c.Args {
			runtimecli.Socket(a, c.Cwd)
		}
	})
}

// Bad input gives what can be known of it, in bounded time.
func TestBadInput(t *testing.T) {
	big := strings.Repeat("A", 2<<20)
	many := []string{"ctr", "run"}
	for range 10_000 {
		many = append(many, "--label", "k=v")
	}
	flags := []string{"ctr", "run", "--privileged"}
	for range 10_000 {
		flags = append(flags, "--no-such-flag")
	}
	mounts := []string{"docker", "run"}
	for range 10_000 {
		mounts = append(mounts, "-v", "/etc:/etc", "--cap-add", "X"+string(rune('A'+len(mounts)%26)))
	}
	sudo := []string{}
	for range 1000 {
		sudo = append(sudo, "sudo")
	}
	f := func(name string, args []string, check func(runtimecli.Call, bool) bool) {
		t.Helper()
		start := time.Now()
		call, ok := runtimecli.Parse(runtimecli.Command{Args: args})
		if !check(call, ok) {
			t.Errorf("%s: got %v, %.300v", name, ok, call)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
	privileged := func(c runtimecli.Call, ok bool) bool {
		return ok && c.Behaviours[0] == "container-run" && len(c.HostAccess) == 1 && c.HostAccess[0] == "privileged"
	}
	partial := func(c runtimecli.Call, ok bool) bool { return ok && c.Confidence == runtimecli.Partial }
	f("an argument of 2 MB", []string{"ctr", "run", "--label", big, "--privileged", "docker.io/x/y:1", "a"}, privileged)
	f("a mount of 2 MB", []string{"docker", "run", "-v", "/etc/" + big + ":/x", "y"}, partial)
	f("a script of 2 MB", []string{"sh", "-c", "ctr t ls; " + big}, partial)
	f("a script of 2 MB of commands", []string{"sh", "-c", strings.Repeat("ctr t ls;", 200_000)}, partial)
	f("2 MB of nothing", []string{"sh", "-c", big}, func(_ runtimecli.Call, ok bool) bool { return !ok })
	f("nested substitutions", []string{"sh", "-c", strings.Repeat("$(", 30_000) + "ctr t ls"}, func(runtimecli.Call, bool) bool { return true })
	for _, s := range []string{"{", "''", "\"\"\"", "qw(", "a=1;$b", "`", "${", "$(", "<(", "alias a=b;a;", "f(", "\\", "'a'b", "$'", "for x in ctr; do $x;", "*?[", "a='b';", "zz='b';a(", "case a in ", "'a'+"} {
		many := strings.Repeat(s, 2<<20/len(s)) + " docker run x"
		f("2 MB of "+s+" in a script", []string{"sh", "-c", many}, func(runtimecli.Call, bool) bool { return true })
		f("2 MB of "+s+" in code", []string{"perl", "-e", many}, func(runtimecli.Call, bool) bool { return true })
	}
	create := func(body string) []string {
		return []string{"curl", "--unix-socket", "/var/run/docker.sock", "-d", body, "http://d/containers/create"}
	}
	bound := func(c runtimecli.Call, ok bool) bool { return ok && len(c.HostAccess) <= 128 && len(c.Payload) <= 4096 }
	f("a body of 2 MB", create(`{"HostConfig":{"Privileged":true},"X":"`+big+`"}`), func(c runtimecli.Call, ok bool) bool { return partial(c, ok) && len(c.HostAccess) == 1 })
	for _, s := range []string{"{", "[", `{"Mounts":`, `{"HostConfig":`, `"Binds":["/:/h"],`, `[0,`, "0,", "\xff", `\`} {
		many := strings.Repeat(s, 1<<20/len(s))
		f("a body of 1 MB of "+s, create(many), bound)
		f("1 MB of "+s+" in a body", create(`{"HostConfig":{"Binds":[`+many), bound)
		f("1 MB of "+s+" in another", create(`{"Cmd":[`+many), bound)
	}
	f("10,000 labels", append(many, "--privileged", "docker.io/x/y:1", "a"), privileged)
	f("10,000 labels of a renamed copy", append(append([]string{"/x"}, many[1:]...), "--net-host", "docker.io/x/y:1", "a"), func(c runtimecli.Call, ok bool) bool { return ok && c.Tool == "ctr" })
	f("10,000 unknown flags", append(flags, "docker.io/x/y:1", "a"), func(c runtimecli.Call, ok bool) bool { return privileged(c, ok) && partial(c, ok) })
	f("10,000 mounts", append(mounts, "x"), func(c runtimecli.Call, ok bool) bool { return ok && len(c.HostAccess) <= 128 })
	f("1,000 wrappers", append(sudo, "ctr", "t", "ls"), partial)
	f("invalid UTF-8", []string{"ctr", "t", "exec", "--exec-id", "\xff\xfe", "we\xffb", "s\x00h"}, func(c runtimecli.Call, ok bool) bool {
		return ok && c.Command == "ctr tasks exec" && c.Container == "we\xffb"
	})
	f("no arguments", nil, func(_ runtimecli.Call, ok bool) bool { return !ok })
	f("empty arguments", []string{"", "", ""}, func(_ runtimecli.Call, ok bool) bool { return !ok })
	if c, ok := runtimecli.Parse(runtimecli.Command{Args: []string{"x", "run"}, Tool: "docker nonsense"}); ok {
		t.Errorf("a tool nobody knows: got %v, want none", c)
	}
	if c, ok := runtimecli.Parse(runtimecli.Command{Executable: "/usr/bin/ctr"}); !partial(c, ok) {
		t.Errorf("a tool with its arguments lost: got %v, %v, want a partial call", c, ok)
	}
}
