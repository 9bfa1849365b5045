//go:build linux

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orlop/orlop/source/bpf"
)

// lastUID makes login uids that nobody else has, so that each test sees what it
// starts and nothing else.
var lastUID = struct {
	sync.Mutex
	n int
}{n: 3_500_000_000 + os.Getpid()*64}

// A daemon is an orlop that watches one login uid.
type daemon struct {
	t     testing.TB
	ctx   context.Context
	uid   string
	cmd   *exec.Cmd
	mu    sync.Mutex
	out   []string    // lines of standard output
	at    []time.Time // when they came
	done  chan struct{}
	log   chan string // standard error
	logs  []string
	lossy bool // events may be lost
	lost  int
}

// program is the orlop of this test binary.
func program(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "orlop")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// needsKernel skips a test where the kernel cannot be watched.
func needsKernel(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	for _, c := range bpf.Checks("") {
		if c.Needed && c.Fix != "" {
			t.Skipf("%s: %s", c.Name, c.State)
		}
	}
}

func newUID() string {
	lastUID.Lock()
	defer lastUID.Unlock()
	lastUID.n++
	return strconv.Itoa(lastUID.n)
}

// watch starts orlop for one login uid and waits until it watches.
func watch(t testing.TB, uid, verb string, args ...string) *daemon {
	t.Helper()
	needsKernel(t)
	d := start(t, append([]string{program(t), verb, "--loginuid", uid}, args...)...)
	d.uid = uid
	return d
}

// start starts a command that is or becomes an orlop, and waits until that watches.
func start(t testing.TB, command ...string) *daemon {
	t.Helper()
	d := prepare(t, command...)
	d.begin()
	return d
}

// prepare makes a daemon of a command, which begin starts.
func prepare(t testing.TB, command ...string) *daemon {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(times(t, 120))*time.Second)
	t.Cleanup(cancel)
	d := &daemon{t: t, ctx: ctx, done: make(chan struct{}), log: make(chan string, 1000)}
	d.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	return d
}

func (d *daemon) begin() {
	t := d.t
	t.Helper()
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := func(r io.Reader, f func(string)) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, 16<<20)
		for s.Scan() {
			f(s.Text())
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		lines(stdout, func(l string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.out, d.at = append(d.out, l), append(d.at, time.Now())
		})
	})
	wg.Go(func() { lines(stderr, func(l string) { d.log <- l }); close(d.log) })
	go func() { wg.Wait(); close(d.done) }()
	for l := range d.log {
		d.logs = append(d.logs, l)
		if strings.Contains(l, "msg=watching") {
			return
		}
	}
	t.Fatalf("%q does not watch: %s", d.cmd.Args, strings.Join(d.logs, "\n"))
}

// run runs a command under the login uid.
func (d *daemon) run(args ...string) {
	d.t.Helper()
	runAs(d.t, d.ctx, d.uid, args...)
}

// runAs runs a command under a login uid.
func runAs(t testing.TB, ctx context.Context, uid string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `echo "$1" >/proc/self/loginuid && shift && exec "$@"`, "sh", uid}, args...)...)
	cmd.WaitDelay = time.Second // children may hold the pipe
	if out, err := cmd.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// wait waits until something is so.
func (d *daemon) wait(what string, so func() bool) {
	d.t.Helper()
	for !so() {
		select {
		case <-d.ctx.Done():
			d.t.Fatalf("%s: not in time", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// lines waits until that many lines are on standard output.
func (d *daemon) lines(n int) {
	d.t.Helper()
	d.wait(fmt.Sprintf("%d alerts", n), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.out) >= n
	})
}

// kill kills orlop.
func (d *daemon) kill() {
	d.cmd.Process.Kill()
	for range d.log {
	}
	<-d.done
	d.cmd.Wait()
}

// end ends orlop and returns its output. It must account for every event.
func (d *daemon) end() []string {
	d.t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	return d.ended()
}

// ended waits for the end of orlop, and returns its output.
func (d *daemon) ended() []string {
	d.t.Helper()
	for l := range d.log {
		d.logs = append(d.logs, l)
	}
	<-d.done
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("orlop ended with %v: %s", err, strings.Join(d.logs, "\n"))
	}
	// Rules that are being loaded when the input ends may be told of after the account.
	account := regexp.MustCompile(`msg=ended .*events="(\d+) = (.*?)"`)
	var last string
	for _, l := range d.logs {
		if account.MatchString(l) {
			last = l
		}
	}
	m := account.FindStringSubmatch(last)
	if m == nil {
		d.t.Fatalf("no account: %s", strings.Join(d.logs, "\n"))
	}
	sum := 0
	for n := range strings.SplitSeq(m[2], " + ") {
		count, _, _ := strings.Cut(n, " ")
		i, _ := strconv.Atoi(count)
		sum += i
		if strings.HasSuffix(n, " lost") {
			d.lost = i
		}
	}
	if m[1] != strconv.Itoa(sum) || d.lost > 0 && !d.lossy {
		d.t.Errorf("the account does not add up, or events were lost: %s", last)
	}
	return d.out
}

// alerts reads the lines of run, without building blocks.
func alerts(t *testing.T, lines []string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, l := range lines {
		var doc map[string]any
		if err := json.Unmarshal([]byte(l), &doc); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		if lookUp(doc, "kibana.alert.building_block_type") == nil {
			out = append(out, doc)
		}
	}
	return out
}

// summaryOf is a line for each alert: severity, rule, command. They are sorted: when
// that of a sequence comes depends on the clock.
func summaryOf(alerts []map[string]any) string {
	var lines []string
	for _, a := range alerts {
		line := fmt.Sprintf("%s: %s", lookUp(a, "kibana.alert.severity"), lookUp(a, "kibana.alert.rule.name"))
		if command, ok := lookUp(a, "orlop.runtime.command").(string); ok {
			line += ": " + command
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// buildGo builds a Go program of one file, or skips the test.
func buildGo(t testing.TB, module, file, out string) {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"main.go": text, "go.mod": []byte("module " + module + "\n\ngo 1.22\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("go build: %v: %s", err, msg)
	}
}

// A copy of ctr is known by its content, whatever its name and arguments.
func TestRunKnowsARenamedClient(t *testing.T) {
	d := watch(t, newUID(), "run", "--output", "ndjson")
	kworker := filepath.Join(t.TempDir(), "kworker")
	buildGo(t, "github.com/containerd/containerd/v2/cmd/ctr", "testdata/box/main.go", kworker)
	d.run(kworker, "-n", "k8s.io", "t", "exec", "--exec-id", "x", "web", "id")
	d.run("/bin/true", "-n", "k8s.io")
	found := alerts(t, d.end())
	if got, want := summaryOf(found), "high: Renamed Container Runtime Client: ctr tasks exec\n"; got != want {
		t.Fatalf("got:\n%swant:\n%s", got, want)
	}
	for field, want := range map[string]string{"orlop.runtime.identified_by": "content", "process.name": "kworker", "orlop.runtime.container": "web", "orlop.runtime.namespace": "k8s.io"} {
		if got := lookUp(found[0], field); got != want {
			t.Errorf("%s is %v, want %s", field, got, want)
		}
	}
}

// With a login uid, what others have running at the start is neither judged nor written,
// but for the ancestors of what is.
func TestOutsiders(t *testing.T) {
	needsKernel(t)
	uid := newUID()
	sleeper := func(uid string) string {
		in, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		copyOf(t, "/bin/cat", dir, "sleeper")
		name := filepath.Join(dir, "sleeper")
		cmd := exec.Command("/bin/sh", "-c", `echo "$1" >/proc/self/loginuid && exec "$2"`, "sh", uid, name)
		cmd.Stdin = in
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); w.Close(); cmd.Wait() })
		// It is what it is once it answers.
		if _, err := w.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	mine, other := sleeper(uid), sleeper(newUID())
	rules := t.TempDir()
	writeRule(t, rules, "there", drillRule, `process where event.action == "existing_process"`)
	for _, source := range []string{"bpf", "proc"} {
		d := watch(t, uid, "run", "--source", source, "--output", "ndjson", "--rules", rules)
		file := filepath.Join(t.TempDir(), "events.ndjson")
		r := watch(t, uid, "record", "--source", source, "--out", file)
		d.lossy, r.lossy = source == "proc", source == "proc" // which is told of all that the host does
		d.run("/bin/true")
		r.end()
		found := alerts(t, d.end())
		if len(found) != 1 || lookUp(found[0], "process.executable") != mine {
			t.Errorf("%s: %d alerts, want one of %s: %v", source, len(found), mine, found)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), mine) || strings.Contains(string(text), other) || !strings.Contains(string(text), fmt.Sprintf(`"process":{"pid":%d,`, os.Getpid())) {
			t.Errorf("%s: want %s and %d, which all comes of, and not %s, in the recording:\n%s", source, mine, os.Getpid(), other, text)
		}
	}
}

// What record writes, scan reads with the same answers.
func TestRecordIsReadBack(t *testing.T) {
	uid := newUID()
	file := filepath.Join(t.TempDir(), "events.ndjson.zst")
	recorder := watch(t, uid, "record", "--out", file)
	d := watch(t, uid, "run", "--output", "ndjson")
	dir := t.TempDir()
	for _, name := range []string{"ctr", "crictl", "nerdctl"} {
		text, err := os.ReadFile("/bin/true")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.run("/bin/sh", "-c", dir+`/ctr -n k8s.io run --privileged docker.io/library/alpine:3 x; `+dir+`/crictl exec -it 0123456789ab sh; sh -c '`+dir+`/nerdctl -n k8s.io rm -f y'; :`)
	live := alerts(t, d.end())
	recorder.end()
	out, err := exec.Command(program(t), "scan", "--output", "ndjson", "--quiet", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	again := alerts(t, strings.Split(strings.TrimSpace(string(out)), "\n"))
	if len(live) < 3 || summaryOf(live) != summaryOf(again) {
		t.Errorf("live:\n%sfrom the recording:\n%s", summaryOf(live), summaryOf(again))
	}
	for i := range min(len(live), len(again)) {
		for _, field := range []string{"process.entity_id", "process.parent.executable", "process.parent.command_line", "orlop.process.ancestor", "orlop.runtime.host_access"} {
			if a, b := fmt.Sprint(lookUp(live[i], field)), fmt.Sprint(lookUp(again[i], field)); a != b {
				t.Errorf("alert %d: %s is %s live and %s from the recording", i, field, a, b)
			}
		}
	}
}

// Without the rights, run says what is missing, and doctor too.
func TestRunWithoutRights(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and setpriv")
	}
	f := func(code int, want string, args ...string) {
		t.Helper()
		out, err := exec.Command("setpriv", append([]string{"--bounding-set=-all", "--inh-caps=-all", program(t)}, args...)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != code {
			t.Errorf("%q ended with %v, want %d", args, err, code)
		}
		if !strings.Contains(string(out), want) || strings.Contains(string(out), "goroutine") {
			t.Errorf("%q says %q, want %q", args, out, want)
		}
	}
	f(exitHost, "no CAP_BPF, no CAP_PERFMON (run as root", "run")
	f(exitHost, "no CAP_BPF, no CAP_PERFMON (run as root", "record")
	f(1, "capabilities        MISSING", "doctor")
}

// withContainerd returns what runs steps under the eyes of d beside a real containerd,
// or skips the test.
func withContainerd(t *testing.T) func(d *daemon, steps string) {
	t.Helper()
	needsKernel(t)
	for _, name := range []string{"containerd", "ctr", "runc", "unshare"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed (apt-get install containerd runc)", name)
		}
	}
	programs := t.TempDir()
	box, cri := filepath.Join(programs, "box"), filepath.Join(programs, "cri")
	buildGo(t, "box", "testdata/box/main.go", box)
	buildGo(t, "cri", "testdata/cri/main.go", cri)
	// containerd leaves the directories that its containers' cgroups were in.
	cgroups := func() (dirs []string) {
		for _, name := range []string{"k8s.io", "default", "kubepods/besteffort/*", "kubepods/besteffort", "kubepods"} {
			dirs = slices.Concat(dirs, glob("/sys/fs/cgroup/"+name), glob("/sys/fs/cgroup/*/"+name))
		}
		return dirs
	}
	left := cgroups()
	t.Cleanup(func() {
		for _, dir := range cgroups() {
			if !slices.Contains(left, dir) {
				os.Remove(dir)
			}
		}
	})
	return func(d *daemon, steps string) {
		t.Helper()
		dir := t.TempDir()
		writeImage(t, box, filepath.Join(dir, "box.tar"))
		if err := errors.Join(os.Symlink(box, filepath.Join(dir, "dial")), os.Symlink(box, filepath.Join(dir, "join")), os.Symlink(cri, filepath.Join(dir, "cri"))); err != nil {
			t.Fatal(err)
		}
		d.run("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "testdata/live/containerd.sh", dir, "testdata/live/"+steps)
	}
}

// With a real containerd, each act raises its alert, and the work of the node's kubelet
// none.
func TestContainerd(t *testing.T) {
	run := withContainerd(t)
	f := func(steps, want string) []map[string]any {
		t.Helper()
		d := watch(t, newUID(), "run", "--output", "ndjson")
		run(d, steps)
		found := alerts(t, d.end())
		if got := summaryOf(found); got != want {
			t.Errorf("%s raises:\n%swant:\n%s", steps, got, want)
		}
		for _, a := range found {
			if exe := lookUp(a, "process.parent.executable"); exe == nil && lookUp(a, "process") != nil {
				t.Errorf("an alert without the parent's executable: %v", a)
			}
		}
		return found
	}
	f("acts.sh", `high: Container Given Host Access Below the Kubernetes API: ctr run
high: Container Removed After It Was Entered Below the Kubernetes API
high: Image Imported, Then Run, Below the Kubernetes API
high: Renamed Container Runtime Client: ctr tasks exec
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr containers delete
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr images delete
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr tasks kill
low: Image or Runtime State Changed Below the Kubernetes API: ctr images import
medium: Container Created or Started Below the Kubernetes API: ctr run
medium: Container Entered Below the Kubernetes API: ctr tasks exec
medium: Container Entered Below the Kubernetes API: ctr tasks exec
medium: Images or Unused Containers Removed After a Container Was Entered Below the Kubernetes API
`)
	// A kubelet that a login has started may be anybody's; the node's own has none.
	f("kubelet.sh", `high: Container Removed After It Was Entered Below the Kubernetes API
high: Container Removed After It Was Entered Below the Kubernetes API
high: Container Removed After It Was Entered Below the Kubernetes API
high: Image Imported, Then Run, Below the Kubernetes API
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr containers delete
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr containers delete
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr containers delete
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr images delete
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr tasks kill
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr tasks kill
low: Container or Image Stopped or Removed Below the Kubernetes API: ctr tasks kill
low: Image or Runtime State Changed Below the Kubernetes API: ctr images import
medium: Container Created or Started Below the Kubernetes API: ctr run
medium: Container Created or Started Below the Kubernetes API: ctr run
medium: Container Created or Started Below the Kubernetes API: ctr run
medium: Container Entered Below the Kubernetes API: ctr tasks exec
medium: Container Entered Below the Kubernetes API: ctr tasks exec
medium: Container Entered Below the Kubernetes API: ctr tasks exec
medium: Images or Unused Containers Removed After a Container Was Entered Below the Kubernetes API
`)
	uid := newUID()
	file := filepath.Join(t.TempDir(), "kubelet.ndjson")
	recorder := watch(t, uid, "record", "--out", file)
	run(recorder, "kubelet.sh")
	recorder.end()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	login := []byte(`"audit":{"id":"` + uid + `"}`)
	if n := bytes.Count(text, []byte(`"ctr"`)); n < 17 || !bytes.Contains(text, login) {
		t.Fatalf("ctr is %d times in the recording, whose login is not as expected:\n%s", n, text)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(text, login, []byte(`"audit":{"id":"unset"}`)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program(t), "scan", "--output", "ndjson", "--quiet", file).Output()
	if err != nil || len(out) > 0 {
		t.Errorf("without a login, kubelet.sh raises: %v\n%s", err, out)
	}

	for _, a := range f("ghosts.sh", `high: Ghost Container on a Kubernetes Node
high: Ghost Container on a Kubernetes Node
high: Ghost Container on a Kubernetes Node
high: Pod Entered Past the CRI by an Unknown Client
`) {
		// The pod is the one that the CRI has on record.
		pod := fmt.Sprint(lookUp(a, "orlop.container.record"), " ", lookUp(a, "orchestrator.namespace"), "/", lookUp(a, "orchestrator.resource.name"), "/", lookUp(a, "container.name"))
		want := "other <nil>/<nil>/<nil>"
		if lookUp(a, "orlop.container.entry") == "exec" {
			want = "cri shop/web-0/app"
		}
		if pod != want {
			t.Errorf("%v is on record as %s, want %s", lookUp(a, "container.id"), pod, want)
		}
	}

	f("namespaces.sh", `high: Ghost Container on a Kubernetes Node
high: Ghost Container on a Kubernetes Node
high: Host's Namespaces Entered From a Container
high: Pod Entered Past the CRI by an Unknown Client
high: Pod Entered Past the CRI by an Unknown Client
medium: Namespaces of Another Process Entered
`)

	unknown := "medium: Unknown Program on a Container Runtime Socket\n"
	var known []string
	for _, a := range f("sockets.sh", strings.Repeat(unknown, 5)) {
		known = append(known, fmt.Sprint(lookUp(a, "orlop.socket.runtime"), " by ", lookUp(a, "orlop.socket.identified_by"), ", ", lookUp(a, "orlop.socket.confidence")))
	}
	slices.Sort(known)
	if want := append(slices.Repeat([]string{"containerd by listener, exact"}, 4), "containerd by owner, exact"); !slices.Equal(known, want) {
		t.Errorf("sockets are known as %q, want %q", known, want)
	}
}

// An hour of a kubelet's work raises no alert: pods that the CRI makes, probes and
// removes, as they are seen live, again and again until the hour is over.
func TestABenignHour(t *testing.T) {
	run := withContainerd(t)
	uid := newUID()
	file := filepath.Join(t.TempDir(), "pods.ndjson")
	recorder := watch(t, uid, "record", "--out", file)
	d := watch(t, uid, "run", "--output", "ndjson")
	run(d, "pods.sh")
	recorder.end()
	if found := alerts(t, d.end()); len(found) > 0 {
		t.Errorf("live:\n%s", summaryOf(found))
	}

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var docs []map[string]any
	var first, last time.Time
	inside := 0
	for line := range strings.Lines(string(text)) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatal(err)
		}
		if lookUp(doc, "event.action") == "existing_process" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, lookUp(doc, "@timestamp").(string))
		if err != nil {
			t.Fatal(err)
		}
		if first.IsZero() {
			first = at
		}
		last = at
		if lookUp(doc, "orlop.container.record") == "cri" {
			inside++
		}
		docs = append(docs, doc)
	}
	if inside < 3*(1+1+3) { // a pod, its container, and three probes
		t.Fatalf("%d programs in containers of the CRI", inside)
	}
	lap := last.Sub(first) + 100*time.Millisecond
	laps := int(time.Hour/lap) + 1
	hour := filepath.Join(t.TempDir(), "hour.ndjson")
	out, err := os.Create(hour)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(out)
	for i := range laps {
		for _, doc := range docs {
			if err := json.NewEncoder(w).Encode(later(doc, time.Duration(i)*lap, strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Flush(), out.Close()); err != nil {
		t.Fatal(err)
	}
	scan := exec.Command(program(t), "scan", "--output", "ndjson", hour)
	var log bytes.Buffer
	scan.Stderr = &log
	found, err := scan.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, log.Bytes())
	}
	if want := fmt.Sprintf("= %d evaluated", laps*len(docs)); !strings.Contains(log.String(), want) {
		t.Errorf("scan says %s, want %s", log.Bytes(), want)
	}
	if a := alerts(t, strings.Split(strings.TrimSpace(string(found)), "\n")[:strings.Count(string(found), "\n")]); len(a) > 0 {
		t.Errorf("an hour of %d laps:\n%s", laps, summaryOf(a))
	}
	t.Logf("%d events in %d laps", laps*len(docs), laps)
}

// A terminal in a pod is held against the audit log of the Kubernetes API: with a
// request it has a name, without one it is an alert.
func TestExecIsJoinedWithTheAPI(t *testing.T) {
	run := withContainerd(t)
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("script is not installed (apt-get install bsdutils)")
	}
	node := filepath.Join(t.TempDir(), "node.ndjson")
	recorder := watch(t, newUID(), "record", "--out", node)
	run(recorder, "terminal.sh")
	recorder.end()
	text, err := os.ReadFile(node)
	if err != nil {
		t.Fatal(err)
	}
	var at time.Time
	for line := range strings.Lines(string(text)) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatal(err)
		}
		if args, _ := lookUp(doc, "process.args").([]any); lookUp(doc, "process.interactive") == true && len(args) == 1 && args[0] == "/bin/id" && lookUp(doc, "orlop.container.record") == "cri" {
			if at, err = time.Parse(time.RFC3339Nano, lookUp(doc, "@timestamp").(string)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if at.IsZero() {
		t.Fatal("no exec with a terminal was recorded")
	}
	f := func(pod, want string) {
		t.Helper()
		args := []string{"scan", "--output", "ndjson", "--quiet", node}
		if pod != "" {
			api := filepath.Join(t.TempDir(), "kube-audit.log")
			line := fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"0a1b","stage":"ResponseStarted",`+
				`"requestURI":"/api/v1/namespaces/shop/pods/%s/exec?command=id&tty=true","verb":"get","user":{"username":"ann@example.org"},"sourceIPs":["192.0.2.7"],`+
				`"objectRef":{"resource":"pods","namespace":"shop","name":%[1]q,"apiVersion":"v1","subresource":"exec"},"responseStatus":{"code":101},`+
				`"requestReceivedTimestamp":%[2]q}`+"\n", pod, at.Add(-200*time.Millisecond).Format(time.RFC3339Nano))
			if err := os.WriteFile(api, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, api)
		}
		out, err := exec.Command(program(t), args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(out)) {
			var doc map[string]any
			if err := json.Unmarshal([]byte(line), &doc); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprint(lookUp(doc, "kibana.alert.rule.name"))
			if user, ok := lookUp(doc, "user.name").(string); ok && strings.Contains(name, "API") {
				name += " by " + user
			}
			if strings.Contains(fmt.Sprint(lookUp(doc, "kibana.alert.reason")), ", asked for by ann@example.org through the Kubernetes API,") {
				name += ", asked for"
			}
			if !slices.Contains(got, name) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("with a request for %q: %s, want %s", pod, got, want)
		}
	}
	f("", "")
	// The sequence, and its events: what was asked for, by whom, and what was run.
	// The container is gone before its probes can show a period.
	const probes = "Command Run in a Pod Without the Kubernetes API by root, "
	f("web-0", probes+"Pod Entered Through the Kubernetes API by ann@example.org, Pod Entered Through the Kubernetes API by root, asked for, Pod Entered Through the Kubernetes API, asked for")
	f("db-0", probes+"Pod Entered Without the Kubernetes API by root")
}

// later returns a document as it would be that much later, of other processes.
func later(v any, by time.Duration, lap string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, m := range v {
			switch text, _ := m.(string); {
			case k == "@timestamp" || k == "start":
				at, err := time.Parse(time.RFC3339Nano, text)
				if err == nil {
					m = at.Add(by).Format(time.RFC3339Nano)
				}
			case k == "entity_id":
				m = text + "." + lap
			}
			out[k] = later(m, by, lap)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, m := range v {
			out[i] = later(m, by, lap)
		}
		return out
	}
	return v
}

func glob(pattern string) []string {
	names, _ := filepath.Glob(pattern)
	return names
}

// writeImage writes an image of one program, which stands for all that is run in it.
func writeImage(t *testing.T, program, name string) {
	t.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	digest := func(b []byte) string {
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:])
	}
	archive := func(w io.Writer, add func(put func(h tar.Header, text []byte))) {
		tw := tar.NewWriter(w)
		add(func(h tar.Header, text []byte) {
			h.Size = int64(len(text))
			if h.Mode == 0 {
				h.Mode = 0o755
			}
			if err := tw.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if _, err := tw.Write(text); err != nil {
				t.Fatal(err)
			}
		})
		if err := tw.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var layer, zipped, all bytes.Buffer
	archive(&layer, func(put func(tar.Header, []byte)) {
		put(tar.Header{Name: "bin/", Typeflag: tar.TypeDir}, nil)
		put(tar.Header{Name: "bin/box"}, text)
		for _, link := range []string{"sh", "id", "sleep", "cat", "join"} {
			put(tar.Header{Name: "bin/" + link, Typeflag: tar.TypeSymlink, Linkname: "box"}, nil)
		}
	})
	z := gzip.NewWriter(&zipped)
	z.Write(layer.Bytes())
	z.Close()
	object := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	type m = map[string]any
	part := func(kind string, b []byte, notes m) m {
		return m{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest(b), "size": len(b), "annotations": notes}
	}
	config := object(m{"architecture": runtime.GOARCH, "os": "linux",
		"config": m{"Cmd": []string{"/bin/sleep"}, "Env": []string{"PATH=/bin"}},
		"rootfs": m{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer.Bytes())}}})
	manifest := object(m{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": part("config.v1+json", config, nil), "layers": []any{part("layer.v1.tar+gzip", zipped.Bytes(), nil)}})
	index := object(m{"schemaVersion": 2, "manifests": []any{part("manifest.v1+json", manifest, m{"io.containerd.image.name": "localhost/box:1"})}})
	archive(&all, func(put func(tar.Header, []byte)) {
		put(tar.Header{Name: "oci-layout"}, []byte(`{"imageLayoutVersion":"1.0.0"}`))
		put(tar.Header{Name: "index.json"}, index)
		for _, b := range [][]byte{config, manifest, zipped.Bytes()} {
			put(tar.Header{Name: "blobs/sha256/" + digest(b)}, b)
		}
	})
	if err := os.WriteFile(name, all.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
