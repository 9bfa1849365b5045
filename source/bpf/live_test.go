//go:build linux

package bpf_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/bpf"
)

// TestMain lets the test binary be the program that is watched.
func TestMain(m *testing.M) {
	switch mode, arg := os.Getenv("ORLOP_HELPER"), os.Getenv("ORLOP_ARG"); mode {
	case "":
		os.Exit(m.Run())
	case "storm":
		n, _ := strconv.Atoi(arg)
		for range n {
			if err := exec.Command("/bin/true").Run(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	case "dial":
		for target := range strings.SplitSeq(arg, ",") {
			network, address, _ := strings.Cut(target, "=")
			if c, err := net.DialTimeout(network, address, 5*time.Second); err == nil {
				c.Close()
			}
		}
	case "memfd", "deleted": // execs a copy of true that has no name (any more)
		text, err := os.ReadFile("/bin/true")
		if err != nil {
			panic(err)
		}
		var fd int
		if mode == "memfd" {
			fd, err = unix.MemfdCreate("hidden", 0)
			if err == nil {
				_, err = unix.Write(fd, text)
			}
		} else if err = os.WriteFile(arg, text, 0o700); err == nil {
			fd, err = unix.Open(arg, unix.O_RDONLY, 0)
			os.Remove(arg)
		}
		if err == nil {
			err = unix.Exec("/proc/self/fd/"+strconv.Itoa(fd), []string{"x"}, nil)
		}
		panic(err)
	}
	os.Exit(0)
}

var lastUID atomic.Uint32

// A watch is a sensor that sees one login uid.
type watch struct {
	t      *testing.T
	uid    uint32
	sensor *bpf.Sensor
	ctx    context.Context
	stop   context.CancelFunc
	docs   []map[string]any
	saw    func(doc map[string]any) // may be nil
	stdin  io.Reader                // of what is run
	done   chan error
}

// open loads the sensor, or skips the test and says why.
func open(t *testing.T, o bpf.Options) *watch {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	w := &watch{t: t, uid: 3_000_000_000 + uint32(os.Getpid())*64 + lastUID.Add(1), done: make(chan error, 1)}
	o.Schema, o.LoginUID = event.NewSchema(), &w.uid
	var err error
	if w.sensor, err = bpf.Open(o); err != nil {
		var missing *source.MissingError
		if errors.As(err, &missing) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	w.ctx, w.stop = context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(func() { w.stop(); w.sensor.Close() })
	return w
}

func (w *watch) start() *watch {
	go func() {
		w.done <- w.sensor.Run(w.ctx, func(e *event.Event) error {
			var doc map[string]any
			if err := json.Unmarshal(e.Raw, &doc); err != nil {
				return fmt.Errorf("%w in %s", err, e.Raw)
			}
			w.docs = append(w.docs, doc)
			if w.saw != nil {
				w.saw(doc)
			}
			return nil
		})
	}()
	return w
}

// run runs a command under the login uid.
func (w *watch) run(env []string, args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.ctx, "/bin/sh", append([]string{"-c", `echo "$1" >/proc/self/loginuid; shift; exec "$@"`, "sh", strconv.FormatUint(uint64(w.uid), 10)}, args...)...)
	cmd.Env, cmd.Stdin = append(os.Environ(), env...), w.stdin
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || strings.Contains(string(out), "loginuid") {
		w.t.Fatalf("%v: %s", err, out)
	}
}

// end returns all events.
func (w *watch) end() []map[string]any {
	w.t.Helper()
	w.stop()
	select {
	case err := <-w.done:
		if err != nil {
			w.t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		w.t.Fatal("Run does not end")
	}
	st := w.sensor.Stats()
	if st.Received != st.Sent {
		w.t.Errorf("received %+v of %+v", st.Received, st.Sent)
	}
	return w.docs
}

func get(doc map[string]any, path string) any {
	var v any = doc
	for key := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// find returns the events of an action whose field has the value.
func find(docs []map[string]any, action, field string, value any) []map[string]any {
	var out []map[string]any
	for _, d := range docs {
		if get(d, "event.action") == action && (field == "" || reflect.DeepEqual(get(d, field), value)) {
			out = append(out, d)
		}
	}
	return out
}

func one(t *testing.T, docs []map[string]any, action, field string, value any) map[string]any {
	t.Helper()
	found := find(docs, action, field, value)
	if len(found) != 1 {
		t.Fatalf("%d events %s with %s = %v, want 1", len(found), action, field, value)
	}
	return found[0]
}

func TestExec(t *testing.T) {
	w := open(t, bpf.Options{NoSeed: true}).start()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "ein Programm")
	text, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n:\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cases := [][]string{
		{"plain"},
		{"", "", "empty", ""},
		{"größe", "日本", "\xff\xfe", "a\nb\t\"c\\"},
		{strings.Repeat("x", 15000)},
		{strings.Repeat("y", 20000), "after"},
		{strings.Repeat("z", 120000), strings.Repeat("z", 120000), "", "after"},
		slices.Repeat([]string{"many"}, 300),
	}
	for _, c := range cases {
		w.run(nil, append([]string{program}, c...)...)
	}
	w.run(nil, script, "arg")
	w.run(nil, "/bin/sh", "-c", "cd /; '"+program+"' child; :")
	deep := filepath.Join(dir, strings.Repeat("d/", 150))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(deep+"/x", text, 0o755); err != nil {
		t.Fatal(err)
	}
	w.run(nil, deep+"/x")
	w.run(nil, "/usr/bin/unshare", "-m", "/bin/sh", "-c", "mount -t tmpfs x /mnt && cp /bin/true /mnt/t && /mnt/t inside")
	docs := w.end()

	execs := find(docs, "exec", "process.executable", program)
	if len(execs) != len(cases)+1 {
		t.Fatalf("%d execs of the program, want %d", len(execs), len(cases)+1)
	}
	here, _ := os.Getwd()
	for i, c := range cases {
		d := execs[i]
		want := []any{program}
		for _, a := range c {
			want = append(want, strings.ToValidUTF8(a, "\uFFFD"))
		}
		if i == 2 {
			want[3] = "\uFFFD\uFFFD" // for each byte
		}
		if got := get(d, "process.args"); !reflect.DeepEqual(got, want) {
			t.Errorf("case %d: args %.200q, want %.200q", i, got, want)
		}
		if get(d, "orlop.evidence.truncated") != nil || get(d, "process.Ext.command_line_truncated") != nil {
			t.Errorf("case %d: said to be truncated", i)
		}
		if n := get(d, "process.args_count"); n != float64(len(c)+1) {
			t.Errorf("case %d: args_count %v, want %d", i, n, len(c)+1)
		}
		for field, want := range map[string]any{
			"process.name":                "ein Programm",
			"process.working_directory":   here,
			"process.parent.pid":          float64(os.Getpid()),
			"user.id":                     "0",
			"user.name":                   "root",
			"auditd.user.audit.id":        strconv.FormatUint(uint64(w.uid), 10),
			"orlop.process.filename":      program,
			"orlop.process.comm":          "ein Programm",
			"orlop.process.deleted":       nil,
			"orlop.runtime.content_tool":  nil,
			"host.os.type":                "linux",
			"event.category":              []any{"process"},
			"event.type":                  []any{"start"},
			"process.session_leader.pid":  float64(must(unix.Getsid(0))),
			"process.parent.executable":   must(os.Executable()),
			"process.interactive":         get(d, "process.tty") != nil,
			"event.module":                "orlop",
			"process.Ext.dummy_not_there": nil,
		} {
			if got := get(d, field); !reflect.DeepEqual(got, want) {
				t.Errorf("case %d: %s = %v, want %v", i, field, got, want)
			}
		}
		if at, err := time.Parse(time.RFC3339Nano, get(d, "@timestamp").(string)); err != nil || time.Since(at) > time.Minute || time.Since(at) < 0 {
			t.Errorf("case %d: @timestamp %v", i, get(d, "@timestamp"))
		}
		if path, _ := get(d, "process.cgroup.path").(string); !strings.HasPrefix(path, "/") {
			t.Errorf("case %d: cgroup path %q", i, path)
		}
		if c, _ := get(d, "process.thread.capabilities.effective").([]any); !slices.Contains(c, any("CAP_SYS_ADMIN")) {
			t.Errorf("case %d: capabilities %v", i, c)
		}
	}

	shell := must(filepath.EvalSymlinks("/bin/sh"))
	d := one(t, docs, "exec", "orlop.process.filename", script)
	if get(d, "process.executable") != shell || !reflect.DeepEqual(get(d, "process.args"), []any{"/bin/sh", script, "arg"}) {
		t.Errorf("script: %v %v", get(d, "process.executable"), get(d, "process.args"))
	}
	d = execs[len(cases)]
	if get(d, "process.parent.executable") != shell || get(d, "process.parent.name") != filepath.Base(shell) || get(d, "process.working_directory") != "/" {
		t.Errorf("child: parent %v, in %v", get(d, "process.parent"), get(d, "process.working_directory"))
	}
	start := one(t, docs, "exec", "process.pid", get(d, "process.parent.pid"))
	if get(start, "process.entity_id") != get(d, "process.parent.entity_id") || get(start, "process.start") != get(d, "process.parent.start") {
		t.Errorf("the parent is another one for its child")
	}
	one(t, docs, "exec", "process.executable", filepath.Join(deep, "x"))
	d = one(t, docs, "exec", "process.executable", "/mnt/t")
	if get(d, "user.name") != "root" || get(d, "orlop.namespace.mnt") == get(start, "orlop.namespace.mnt") {
		t.Errorf("in a mount namespace: %v %v", get(d, "user"), get(d, "orlop.namespace"))
	}
}

// Arguments beyond 2 MiB are missing, and that is said.
func TestArgumentsAreBounded(t *testing.T) {
	w := open(t, bpf.Options{NoSeed: true}).start()
	w.run(nil, "/bin/sh", "-c", `ulimit -s unlimited; ulimit -s 65536; a=$(head -c 130000 /dev/zero | tr '\0' x); exec /bin/true $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a end`)
	d := one(t, w.end(), "exec", "process.name", "true")
	got, _ := get(d, "process.args").([]any)
	if get(d, "orlop.evidence.truncated") != true || get(d, "process.Ext.command_line_truncated") != true || get(d, "process.args_count") != 19.0 {
		t.Errorf("truncated %v, %v of %d arguments", get(d, "orlop.evidence"), get(d, "process.args_count"), len(got))
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func must2[T, U any](v T, u U, err error) (T, U) {
	if err != nil {
		panic(err)
	}
	return v, u
}

func TestProgramsWithoutAFile(t *testing.T) {
	w := open(t, bpf.Options{NoSeed: true}).start()
	self := must(os.Executable())
	gone := filepath.Join(must(filepath.EvalSymlinks(t.TempDir())), "gone")
	w.run([]string{"ORLOP_HELPER=memfd"}, self)
	w.run([]string{"ORLOP_HELPER=deleted", "ORLOP_ARG=" + gone}, self)
	docs := w.end()
	d := one(t, docs, "exec", "process.name", "memfd:hidden")
	if get(d, "process.executable") != "/memfd:hidden" || get(d, "orlop.process.detached") != true || get(d, "orlop.process.deleted") != true {
		t.Errorf("memfd: %v %v", get(d, "process.executable"), get(d, "orlop.process"))
	}
	d = one(t, docs, "exec", "process.name", "gone")
	if get(d, "process.executable") != gone || get(d, "orlop.process.detached") != nil || get(d, "orlop.process.deleted") != true {
		t.Errorf("deleted: %v %v", get(d, "process.executable"), get(d, "orlop.process"))
	}
}

func TestForkAndExit(t *testing.T) {
	w := open(t, bpf.Options{NoSeed: true}).start()
	w.run(nil, "/bin/sh", "-c", `(exit 7); sh -c 'kill -9 $$'; exit 3`)
	docs := w.end()
	forks := find(docs, "fork", "", nil)
	if len(forks) != 2 {
		t.Fatalf("%d forks, want 2", len(forks))
	}
	top := get(forks[0], "process.parent.pid")
	f := func(pid any, code float64) {
		t.Helper()
		d := one(t, docs, "end", "process.pid", pid)
		if get(d, "process.exit_code") != code {
			t.Errorf("exit code %v, want %v", get(d, "process.exit_code"), code)
		}
	}
	f(get(forks[0], "process.pid"), 7)
	f(get(forks[1], "process.pid"), 128+9)
	f(top, 3)
	one(t, docs, "exec", "process.pid", get(forks[1], "process.pid"))
	for _, d := range docs {
		if uid := get(d, "auditd.user.audit.id"); uid != strconv.FormatUint(uint64(w.uid), 10) {
			t.Errorf("an event of login uid %v", uid)
		}
	}
}

func TestConnect(t *testing.T) {
	w := open(t, bpf.Options{NoSeed: true})
	if !strings.Contains(w.sensor.String(), "tracepoint connect") {
		t.Skip(w.sensor)
	}
	w.start()
	dir := must(filepath.EvalSymlinks(t.TempDir()))
	t.Chdir(dir)
	abstract := fmt.Sprintf("@orlop-test-%d", os.Getpid())
	var targets []string
	for _, target := range []string{"unix=" + dir + "/a.sock", "unix=b.sock", "unix=" + abstract, "tcp=127.0.0.1:0"} {
		network, address, _ := strings.Cut(target, "=")
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if network == "tcp" {
			target = "tcp=" + l.Addr().String()
		}
		targets = append(targets, target)
	}
	w.run([]string{"ORLOP_HELPER=dial", "ORLOP_ARG=" + strings.Join(targets, ",")}, must(os.Executable()))
	docs := w.end()
	for _, path := range []string{dir + "/a.sock", dir + "/b.sock", abstract} {
		d := one(t, docs, "connected-to", "destination.path", path)
		if get(d, "network.type") != "unix" || !reflect.DeepEqual(get(d, "event.category"), []any{"network"}) {
			t.Errorf("%s: %v", path, d)
		}
		one(t, docs, "exec", "process.entity_id", get(d, "process.entity_id"))
	}
	_, port, _ := net.SplitHostPort(targets[3])
	d := one(t, docs, "connected-to", "destination.ip", "127.0.0.1")
	if fmt.Sprint(get(d, "destination.port")) != port {
		t.Errorf("port %v, want %s", get(d, "destination.port"), port)
	}
}

// A local socket is the one that was reached, whatever the path.
func TestConnectIsKnownByTheSocket(t *testing.T) {
	w := open(t, bpf.Options{NoSeed: true})
	if !strings.Contains(w.sensor.String(), "tracepoint connect") {
		t.Skip(w.sensor)
	}
	w.start()
	dir := must(filepath.EvalSymlinks(t.TempDir()))
	t.Chdir(dir)
	listen := func(network, name string) string {
		t.Helper()
		c, err := net.Listen(network, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return name
	}
	socket := listen("unix", dir+"/a.sock")
	listen("unixpacket", dir+"/packet.sock")
	datagram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/gram.sock", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	abstract := listen("unix", fmt.Sprintf("@orlop-reach-%d", os.Getpid()))
	if err := errors.Join(os.WriteFile("mounted.sock", nil, 0o600), os.Symlink(socket, "link.sock"), os.Link(socket, "hard.sock"), os.Symlink(dir, "dir")); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(socket, &st); err != nil {
		t.Fatal(err)
	}
	closed := must(net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/closed.sock", Net: "unix"}))
	closed.SetUnlinkOnClose(false)
	closed.Close()

	ways := []string{socket, "a.sock", "dir/../" + filepath.Base(dir) + "/a.sock", dir + "/link.sock", "hard.sock", "dir/link.sock", "/proc/self/cwd/a.sock",
		fmt.Sprintf("/proc/%d/root%s/a.sock", os.Getpid(), dir)}
	var targets []string
	for _, way := range ways {
		targets = append(targets, "unix="+way)
	}
	others := []string{"unixpacket=" + dir + "/packet.sock", "unixgram=" + dir + "/gram.sock", "unix=" + abstract, "unix=" + dir + "/closed.sock", "unix=" + dir + "/none.sock"}
	w.run([]string{"ORLOP_HELPER=dial", "ORLOP_ARG=" + strings.Join(append(targets, others...), ",")}, must(os.Executable()))
	// A bind mount, and the name of the socket in a root that is another.
	w.run([]string{"ORLOP_HELPER=dial", "ORLOP_ARG=unix=" + dir + "/mounted.sock"}, "/usr/bin/unshare", "-m", "/bin/sh", "-c",
		`mount --bind "$1" "$2" && exec "$3"`, "sh", socket, dir+"/mounted.sock", must(os.Executable()))
	docs := w.end()

	connects := find(docs, "connected-to", "network.type", "unix")
	if want := len(ways) + len(others) + 1; len(connects) != want {
		t.Fatalf("%d connects to local sockets, want %d: %v", len(connects), want, connects)
	}
	f := func(d map[string]any, field string, want any) {
		t.Helper()
		if got := get(d, field); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %s = %v, want %v", get(d, "destination.address"), field, got, want)
		}
	}
	reached := func(d map[string]any, socket any) {
		t.Helper()
		f(d, "event.outcome", "success")
		f(d, "orlop.socket.listener", socket)
		f(d, "orlop.socket.owner.pid", float64(os.Getpid()))
		f(d, "orlop.socket.owner.user.id", "0")
		f(d, "orlop.socket.owner.executable", must(os.Executable()))
	}
	for i, way := range append(ways, dir+"/mounted.sock") {
		d := connects[i]
		if i == len(ways) {
			d = connects[len(connects)-1]
		}
		f(d, "destination.address", way)
		reached(d, socket)
		f(d, "orlop.socket.inode", strconv.FormatUint(st.Ino, 10))
		f(d, "orlop.socket.device", fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	}
	rest := connects[len(ways):]
	reached(rest[0], dir+"/packet.sock")
	f(rest[1], "event.outcome", "success") // nobody says whose a datagram socket is
	f(rest[1], "orlop.socket.listener", dir+"/gram.sock")
	f(rest[1], "orlop.socket.owner", nil)
	f(rest[2], "destination.path", abstract)
	reached(rest[2], nil)
	f(rest[2], "orlop.socket.inode", nil)
	for _, d := range rest[3:5] {
		f(d, "event.outcome", "failure")
		f(d, "orlop.socket", nil)
	}
}

// What was there before is there first, and is the same process in what follows.
func TestSeed(t *testing.T) {
	w := open(t, bpf.Options{})
	w.run(nil, "/bin/true") // before the processes that are there are looked at
	docs := w.start().end()
	self := one(t, docs, "existing_process", "process.pid", float64(os.Getpid()))
	if exe := get(self, "process.executable"); exe != must(os.Executable()) {
		t.Errorf("executable %v", exe)
	}
	if !reflect.DeepEqual(get(self, "process.args").([]any)[0], os.Args[0]) {
		t.Errorf("args %v", get(self, "process.args"))
	}
	d := one(t, docs, "exec", "process.executable", must(filepath.EvalSymlinks("/bin/true")))
	if get(d, "process.parent.entity_id") != get(self, "process.entity_id") {
		t.Errorf("we are %v, and as a parent %v", get(self, "process.entity_id"), get(d, "process.parent.entity_id"))
	}
	when := func(doc map[string]any) time.Time {
		return must(time.Parse(time.RFC3339Nano, get(doc, "@timestamp").(string)))
	}
	if !when(self).Before(when(d)) {
		t.Errorf("we are there since %v, and our child since %v", when(self), when(d))
	}
	seen := map[any]bool{}
	for i, d := range docs {
		if get(d, "event.action") == "existing_process" {
			if i > 0 && get(docs[i-1], "event.action") != "existing_process" {
				t.Errorf("document %d comes after what happened", i)
			}
			if p := get(d, "process.parent.pid"); p != nil && get(d, "process.parent.entity_id") != nil && !seen[p] {
				t.Errorf("pid %v comes before its parent %v", get(d, "process.pid"), p)
			}
			seen[get(d, "process.pid")] = true
		}
	}
	if n := w.sensor.Stats().Seeded; int(n) != len(seen) {
		t.Errorf("Seeded is %d, want %d", n, len(seen))
	}
}

// A reader that does not read loses events, and says exactly how many. Nobody
// waits for it.
func TestLossIsExact(t *testing.T) {
	const n = 200
	w := open(t, bpf.Options{NoSeed: true, Ring: 64 << 10})
	w.run([]string{"ORLOP_HELPER=storm", "ORLOP_ARG=" + strconv.Itoa(n)}, must(os.Executable()))
	before := w.sensor.Stats()
	if before.Received.Total() != 0 || before.Lost.Exec == 0 {
		t.Errorf("nobody has read: %+v", before)
	}
	docs := w.start().end()
	st := w.sensor.Stats()
	if got := st.Received.Exec + st.Lost.Exec; got != n+1 {
		t.Errorf("%d execs received and %d lost, want %d in all", st.Received.Exec, st.Lost.Exec, n+1)
	}
	// Package os forks once more, to try pidfd.
	if got := st.Received.Fork + st.Lost.Fork; got != n && got != n+1 {
		t.Errorf("%d forks received and %d lost, want %d in all", st.Received.Fork, st.Lost.Fork, n)
	}
	if got := st.Received.Exit + st.Lost.Exit - st.Repeated; got < n+1 {
		t.Errorf("%d ends, want at least %d", got, n+1)
	}
	if got := len(find(docs, "exec", "", nil)); int64(got) != st.Received.Exec {
		t.Errorf("%d exec documents, want %d", got, st.Received.Exec)
	}
}

// A reader that reads loses nothing.
func TestNothingIsLost(t *testing.T) {
	const n = 200
	w := open(t, bpf.Options{NoSeed: true}).start()
	w.run([]string{"ORLOP_HELPER=storm", "ORLOP_ARG=" + strconv.Itoa(n)}, must(os.Executable()))
	docs := w.end()
	if st := w.sensor.Stats(); st.Lost.Total() != 0 {
		t.Errorf("lost %+v", st.Lost)
	}
	if got := len(find(docs, "exec", "process.args", []any{"/bin/true"})); got != n {
		t.Errorf("%d execs, want %d", got, n)
	}
	// Each process forks, execs and ends, in this order.
	last := map[any]string{}
	for _, d := range docs {
		id, action := get(d, "process.entity_id"), get(d, "event.action").(string)
		if was := last[id]; action == "exec" && was == "end" || action == "end" && was == "end" {
			t.Errorf("%v: %s after %s", id, action, was)
		}
		last[id] = action
	}
}

// A renamed client is known by its content, also when its build information is gone.
func TestContent(t *testing.T) {
	w := open(t, bpf.Options{NoSeed: true})
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	if err := os.MkdirAll(src, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"go.mod": "module github.com/containerd/containerd/cmd/ctr\n", "main.go": "package main\n\nimport \"os\"\n\nfunc main() { os.Stdin.Read(make([]byte, 1)) }\n"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kworker := filepath.Join(dir, "kworker")
	cmd := exec.CommandContext(w.ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", kworker, ".")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("go build: %v: %s", err, out)
	}
	text, err := os.ReadFile(kworker)
	if err != nil {
		t.Fatal(err)
	}
	erased := filepath.Join(dir, "erased")
	text = []byte(strings.ReplaceAll(string(text), "\xff Go buildinf:", strings.Repeat("\x00", 14)))
	if err := os.WriteFile(erased, text, 0o755); err != nil {
		t.Fatal(err)
	}
	copied := func(name, as string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Skip(err)
		}
		as = filepath.Join(dir, as)
		if err := os.WriteFile(as, b, 0o755); err != nil {
			t.Fatal(err)
		}
		return as
	}
	renamed, other := copied("/usr/bin/nsenter", "nse"), copied("/usr/bin/unshare", "ush")
	disguised := copied(must(os.Executable()), "crictl")
	// The first waits on its input until it has been seen.
	input, hold := must2(os.Pipe())
	defer input.Close()
	w.saw = func(doc map[string]any) {
		if get(doc, "process.name") == "kworker" {
			hold.Close()
		}
	}
	w.start()
	w.stdin = input
	w.run([]string{"CONTAINERD_NAMESPACE=k8s.io", "SECRET=x"}, kworker)
	w.stdin = nil
	w.run(nil, erased)
	w.run(nil, renamed, "--version")
	w.run(nil, other, "--version")
	w.run(nil, must(os.Executable()), "-test.run=^$")
	w.run(nil, disguised, "-test.run=^$")
	docs := w.end()
	const main = "github.com/orlop/orlop/source/bpf.test"
	if got := get(one(t, docs, "exec", "process.name", "crictl"), "orlop.runtime.content_main"); got != main {
		t.Errorf("a test under a client's name is %v, want %s", got, main)
	}
	f := func(exe string, want any) {
		t.Helper()
		d := one(t, docs, "exec", "process.executable", must(filepath.EvalSymlinks(exe)))
		if got := get(d, "orlop.runtime.content_main"); got != nil {
			t.Errorf("%s is %v, and has no client's name", exe, got)
		}
		if got := get(d, "orlop.runtime.content_tool"); got != want {
			t.Errorf("%s is %v, want %v", exe, got, want)
		}
	}
	f(kworker, "ctr")
	f(erased, "ctr")
	f(renamed, "nsenter")
	f(other, nil)
	f(must(os.Executable()), nil)
	if got := get(one(t, docs, "exec", "process.name", "kworker"), "process.env_vars"); !reflect.DeepEqual(got, []any{"CONTAINERD_NAMESPACE=k8s.io"}) {
		t.Errorf("environment %v", got)
	}
	if n := w.sensor.Stats().Unidentified; n != 0 {
		t.Errorf("%d unidentified", n)
	}
}

// An emit that fails ends the run.
func TestEmitFails(t *testing.T) {
	w := open(t, bpf.Options{})
	oops := errors.New("oops")
	if err := w.sensor.Run(w.ctx, func(*event.Event) error { return oops }); err != oops {
		t.Errorf("Run = %v, want %v", err, oops)
	}
}

func TestCloseEndsRun(t *testing.T) {
	w := open(t, bpf.Options{NoSeed: true}).start()
	w.sensor.Close()
	select {
	case err := <-w.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Run goes on")
	}
}

var _ source.Source = (*bpf.Sensor)(nil)
