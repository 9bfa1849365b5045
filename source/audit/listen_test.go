//go:build linux

package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
	"github.com/orlop/orlop/source/audit/audittest"
)

// TestMain lets the test binary be the program that is watched, or another sensor.
func TestMain(m *testing.M) {
	arg := os.Getenv("ORLOP_ARG")
	switch os.Getenv("ORLOP_HELPER") {
	case "":
		os.Exit(m.Run())
	case "storm":
		n, _ := strconv.Atoi(arg)
		for range n {
			if err := osexec.Command("/bin/true", "one").Run(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	case "daemon": // until its input ends
		stop, err := audit.Daemon()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		os.Stdin.Read(make([]byte, 1))
		if err := stop(); err != nil {
			os.Exit(1)
		}
	case "listen": // until it is killed
		uid := uint32(1)
		l, err := audit.Listen(audit.Options{Options: source.Options{Schema: event.NewSchema()}, State: arg, LoginUID: &uid})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(l)
		l.Run(context.Background(), func(*event.Event) error { return nil })
	}
	os.Exit(0)
}

var lastUID atomic.Uint32

// A heard is a Listener that hears one login uid.
type heard struct {
	t    *testing.T
	uid  uint32
	l    *audit.Listener
	ctx  context.Context
	stop context.CancelFunc
	docs []map[string]any
	done chan error
}

// settings are the kernel's, and its rules.
func settings(t testing.TB) string {
	t.Helper()
	s, err := audit.Settings()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newUID() uint32 { return 3_100_000_000 + uint32(os.Getpid())*64 + lastUID.Add(1) }

// listen begins to listen. When the test is over, all must be as it was.
func listen(t *testing.T, o audit.Options) *heard {
	t.Helper()
	audittest.Need(t)
	before := settings(t)
	h := &heard{t: t, uid: newUID(), done: make(chan error, 1)}
	o.Schema, o.LoginUID = event.NewSchema(), &h.uid
	if o.State == "" {
		o.State = t.TempDir()
	}
	var err error
	if h.l, err = audit.Listen(o); err != nil {
		t.Fatal(err)
	}
	h.ctx, h.stop = context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(func() {
		h.stop()
		if err := h.l.Close(); err != nil {
			t.Error(err)
		}
		if after := settings(t); after != before {
			t.Errorf("the settings are\n%s\nand were\n%s", after, before)
		}
		if left, _ := filepath.Glob(o.State + "/*"); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	return h
}

func (h *heard) start() *heard {
	go func() {
		h.done <- h.l.Run(h.ctx, func(e *event.Event) error {
			var doc map[string]any
			if err := json.Unmarshal(e.Raw, &doc); err != nil {
				return fmt.Errorf("%w in %s", err, e.Raw)
			}
			h.docs = append(h.docs, doc)
			return nil
		})
	}()
	return h
}

// run runs a command under a login uid.
func runAs(t testing.TB, ctx context.Context, uid uint32, env []string, args ...string) {
	t.Helper()
	cmd := osexec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `echo "$1" >/proc/self/loginuid; shift; exec "$@"`, "sh", strconv.FormatUint(uint64(uid), 10)}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	var exit *osexec.ExitError
	if err != nil && !errors.As(err, &exit) || strings.Contains(string(out), "loginuid") {
		t.Fatalf("%v: %s", err, out)
	}
}

func (h *heard) run(env []string, args ...string) {
	h.t.Helper()
	runAs(h.t, h.ctx, h.uid, env, args...)
}

// end returns all events.
func (h *heard) end() []map[string]any {
	h.t.Helper()
	h.stop()
	if err := <-h.done; err != nil {
		h.t.Fatal(err)
	}
	return h.docs
}

func get(doc map[string]any, path string) any {
	var v any = doc
	for key := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func find(docs []map[string]any, action, field string, value any) []map[string]any {
	var out []map[string]any
	for _, d := range docs {
		if get(d, "event.action") == action && (field == "" || reflect.DeepEqual(get(d, field), value)) {
			out = append(out, d)
		}
	}
	return out
}

// What is executed is heard as it was, by us as the kernel's daemon.
func TestListenHearsExecs(t *testing.T) {
	h := listen(t, audit.Options{}).start()
	if s := h.l.String(); !strings.HasPrefix(s, "audit: unicast, with ") {
		t.Errorf("it is %q", s)
	}
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
	cases := [][]string{
		{"plain"},
		{"", "", "empty", ""},
		{"größe", "日本", "a\nb\t\"c\\"},
		{strings.Repeat("y", 20000), "after"},
		{strings.Repeat("z", 120000), "", "after"},
		slices.Repeat([]string{"many"}, 300),
	}
	for _, c := range cases {
		h.run(nil, append([]string{program}, c...)...)
	}
	h.run(nil, "/bin/sh", "-c", "/nowhere/there; exit 7")
	docs := h.end()
	execs := find(docs, "executed", "process.executable", program)
	if len(execs) != len(cases) {
		t.Fatalf("%d execs, want %d", len(execs), len(cases))
	}
	host, _ := os.Hostname()
	for i, c := range cases {
		want := []any{program}
		for _, a := range c {
			want = append(want, a)
		}
		for field, want := range map[string]any{
			"process.args":             want,
			"process.name":             "ein Programm",
			"process.parent.pid":       float64(os.Getpid()),
			"event.type":               []any{"start"},
			"user.id":                  "0",
			"user.name":                "root",
			"group.name":               "root",
			"auditd.user.audit.id":     strconv.FormatUint(uint64(h.uid), 10),
			"host.name":                host,
			"host.os.type":             "linux",
			"orlop.evidence.truncated": nil,
			"tags":                     []any{"orlop-sensor"},
		} {
			if got := get(execs[i], field); !reflect.DeepEqual(got, want) {
				t.Errorf("case %d: %s = %.200v, want %.200v", i, field, got, want)
			}
		}
		// We are there, so what /proc says of us is in it.
		if id, _ := get(execs[i], "process.parent.entity_id").(string); len(id) != 16 || id != get(find(docs, "existing_process", "process.pid", float64(os.Getpid()))[0], "process.entity_id") {
			t.Errorf("case %d: the parent is %q", i, id)
		}
	}
	failed := find(docs, "executed", "event.outcome", "failure")
	if len(failed) != 1 || !reflect.DeepEqual(get(failed[0], "event.type"), []any{"info"}) {
		t.Errorf("failed execs: %v", failed)
	}
	if d := find(docs, "exited", "process.exit_code", 7.0); len(d) != 1 {
		t.Errorf("%d ends with 7, want 1", len(d))
	}
	if s := h.l.Stats(); s.Missing() != 0 || s.Overruns != 0 || s.Incomplete != 0 || s.Events+s.Seeded != int64(len(docs)) {
		t.Errorf("stats %+v for %d documents", s, len(docs))
	}
}

// One that is killed leaves rules and settings, and the next one puts them back.
func TestListenAfterAKill(t *testing.T) {
	audittest.Need(t)
	before := settings(t)
	state := t.TempDir()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ORLOP_HELPER=listen", "ORLOP_ARG="+state)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	said := make([]byte, 1000)
	n, _ := out.Read(said)
	if !strings.Contains(string(said[:n]), "unicast") {
		t.Errorf("it says %s", said[:n])
	}
	// Beside it, there is only the multicast group.
	uid := newUID()
	o := audit.Options{Options: source.Options{Schema: event.NewSchema()}, LoginUID: &uid, State: state, NoSeed: true}
	// Its rules tell of one login uid, and nothing of another.
	if l, err := audit.Listen(o); err == nil || !strings.Contains(err.Error(), "none that is loaded records the programs that start") {
		t.Errorf("of another login uid: %v, %v", l, err)
	}
	all := o
	all.LoginUID = nil
	l, err := audit.Listen(all)
	if err != nil {
		t.Fatal(err)
	}
	if s, want := l.String(), fmt.Sprintf("beside the audit daemon (%q, pid %d)", "audit.test", cmd.Process.Pid); !strings.Contains(s, want) {
		t.Errorf("it is %q, want %q", s, want)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if what, fix := audit.LeftBehind(state); what != "" {
		t.Errorf("of one that runs: %s (%s)", what, fix)
	}
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	if settings(t) == before {
		t.Error("a killed one left nothing")
	}
	if what, fix := audit.LeftBehind(state); !strings.HasSuffix(what, " of an orlop that was killed are loaded, and slow the host down for nobody") || !strings.HasPrefix(fix, "the next orlop run or record takes them out") {
		t.Errorf("of one that was killed: %q (%q)", what, fix)
	}
	if what, fix := audit.LeftBehind(t.TempDir()); what == "" || fix != "auditctl -D -k orlop-sensor" {
		t.Errorf("without its notes: %q (%q)", what, fix)
	}
	h := listenAgain(t, o)
	h.Close()
	if what, _ := audit.LeftBehind(state); what != "" {
		t.Errorf("after the next one: %s", what)
	}
	if after := settings(t); after != before {
		t.Errorf("the settings are\n%s\nand were\n%s", after, before)
	}
}

// Another daemon that came after a kill keeps its settings, which are like ours.
func TestPutBackBesideAnotherDaemon(t *testing.T) {
	audittest.Need(t)
	before := settings(t)
	restore, err := audit.Keep()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := restore(); err != nil {
			t.Error(err)
		}
		if after := settings(t); after != before {
			t.Errorf("the settings are\n%s\nand were\n%s", after, before)
		}
	})
	state := t.TempDir()
	begin := func(helper, want string) (*osexec.Cmd, io.Closer) {
		cmd := osexec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ORLOP_HELPER="+helper, "ORLOP_ARG="+state)
		out, err := cmd.StdoutPipe()
		in, err2 := cmd.StdinPipe()
		if err := errors.Join(err, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		said := make([]byte, 1000)
		if n, _ := out.Read(said); !strings.Contains(string(said[:n]), want) {
			t.Errorf("%s says %s", helper, said[:n])
		}
		return cmd, in
	}
	first, _ := begin("listen", "unicast")
	first.Process.Signal(syscall.SIGKILL)
	first.Wait()
	second, in := begin("daemon", "ready")
	var kept []string // all but our rules
	for line := range strings.Lines(settings(t)) {
		if !strings.Contains(line, "orlop-sensor") {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	if err := audit.PutBack(state); err != nil {
		t.Error(err)
	}
	if after, want := settings(t), strings.Join(kept, "\n"); after != want || !strings.HasPrefix(after, "enabled 1") {
		t.Errorf("the settings are\n%s\nwant\n%s", after, want)
	}
	if left, _ := filepath.Glob(state + "/*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	in.Close()
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
}

// A watch is a rule for all system calls, and no rule that records programs.
func TestAWatchDoesNotRecordExecs(t *testing.T) {
	audittest.Need(t)
	if recorded, err := audit.LoadedExec(); err != nil || recorded {
		t.Skip("a rule for execve is loaded, or", err)
	}
	dir := t.TempDir()
	if err := audit.Watch(dir, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := audit.Watch(dir, false); err != nil {
			t.Error(err)
		}
	})
	if recorded, err := audit.LoadedExec(); err != nil || recorded {
		t.Errorf("with a watch alone execve is recorded: %v, %v", recorded, err)
	}
}

// Whoever was killed is still the kernel's daemon, for as long as that has nothing to
// tell. It is taken for what it is, and its rules are known by their key where its
// notes are gone.
func TestListenAfterAKillWithoutNotes(t *testing.T) {
	audittest.Need(t)
	before := settings(t)
	state, elsewhere := t.TempDir(), t.TempDir()
	uid := newUID()
	o := audit.Options{Options: source.Options{Schema: event.NewSchema()}, LoginUID: &uid, State: elsewhere, NoSeed: true}
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ORLOP_HELPER=listen", "ORLOP_ARG="+state)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 1000))
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	l := listenAgain(t, o)
	if rules := strings.Count(settings(t), "rule of list"); rules != strings.Count(before, "rule of list")+3 && runtime.GOARCH == "amd64" {
		t.Errorf("%d rules are loaded, want ours alone: %s", rules, settings(t))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	// With its notes, all else is put back, too.
	o.State = state
	if err := audit.PutBack(state); err != nil {
		t.Error(err)
	}
	if after := settings(t); after != before {
		t.Errorf("the settings are\n%s\nand were\n%s", after, before)
	}
}

func listenAgain(t *testing.T, o audit.Options) *audit.Listener {
	t.Helper()
	l, err := audit.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(l.String(), "unicast") {
		t.Errorf("it is %q", l)
	}
	return l
}

// A storm is heard whole, in both ways at once, and the same.
func TestListenLosesNothing(t *testing.T) {
	const n = 300
	h := listen(t, audit.Options{NoSeed: true}).start()
	m, err := audit.Listen(audit.Options{Options: source.Options{Schema: event.NewSchema()}, LoginUID: &h.uid, NoSeed: true, State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	both := &heard{t: t, uid: h.uid, l: m, done: make(chan error, 1)}
	both.ctx, both.stop = context.WithCancel(context.Background())
	both.start()
	h.run([]string{"ORLOP_HELPER=storm", "ORLOP_ARG=" + strconv.Itoa(n)}, os.Args[0])
	theirs := both.end()
	ours := h.end()
	for _, docs := range [][]map[string]any{ours, theirs} {
		if got := len(find(docs, "executed", "process.args", []any{"/bin/true", "one"})); got != n {
			t.Errorf("%d execs, want %d", got, n)
		}
		if got := len(find(docs, "exited", "process.name", "true")); got != n {
			t.Errorf("%d ends, want %d", got, n)
		}
	}
	for _, l := range []*audit.Listener{h.l, m} {
		if s := l.Stats(); s.Missing() != 0 || s.Overruns != 0 || s.Incomplete != 0 || s.Waiting != 0 {
			t.Errorf("%s: %+v", l, s)
		}
	}
	if len(ours) != len(theirs) {
		t.Errorf("unicast heard %d, multicast %d", len(ours), len(theirs))
	}
}

func TestListenEndsWithClose(t *testing.T) {
	h := listen(t, audit.Options{NoSeed: true}).start()
	h.l.Close()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
}

func TestListenEndsWhenEmitFails(t *testing.T) {
	h := listen(t, audit.Options{})
	oops := errors.New("oops")
	if err := h.l.Run(h.ctx, func(*event.Event) error { return oops }); err != oops {
		t.Errorf("Run = %v, want %v", err, oops)
	}
}

var _ source.Source = (*audit.Listener)(nil)
