package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/orlop/orlop/source"
)

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func zst(s string) string {
	w, _ := zstd.NewWriter(nil)
	return string(w.EncodeAll([]byte(s), nil))
}

func utf16(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteByte(c)
		b.WriteByte(0)
	}
	return b.String()
}

// read returns the lines of in, each with its offset, and the rejections.
func read(t testing.TB, in *source.Input, o source.Options) (lines, rejected []string) {
	t.Helper()
	o.Reject = func(r source.Rejection) {
		rejected = append(rejected, fmt.Sprintf("%d %s: %s", r.Origin.Offset, r.Class, r.Reason))
	}
	l := source.NewLines(in.Window(context.Background()), &o)
	for {
		line, off, err := l.Next()
		if err == io.EOF {
			return lines, rejected
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%d %s", off, line))
	}
}

func TestLines(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		lines, rejected := read(t, source.NewInput("test", strings.NewReader(text)), source.Options{MaxLine: 10})
		if got := append(lines, rejected...); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%.40q: got %q, want %q", text, got, want)
		}
	}
	f("")
	f("a\nb\n", "0 a", "2 b")
	f("a\n\n \t\r\nb", "0 a", "7 b")
	f("a\r\nb\r", "0 a", "3 b")
	f("\xef\xbb\xbfa\nb", "3 a", "5 b")
	f("0123456789\n0123456789\r\n0123456789", "0 0123456789", "11 0123456789", "23 0123456789")
	f("a\n0123456789x\nb", "0 a", "14 b", "2 too long: line longer than 10 bytes")
	f("0123456789x", "0 too long: line longer than 10 bytes")
	f("\xff\xfea\x00", "0 encoding: UTF-16 text: convert it first (iconv -f UTF-16 -t UTF-8)")
	f(utf16("type=SYSCALL\n"), "0 encoding: UTF-16 text: convert it first (iconv -f UTF-16 -t UTF-8)")

	f(gz("a\nb\n"), "0 a", "2 b")
	f(gz("a\nb")+gz("c\nd\n"), "0 a", "2 bc", "5 d")
	f(zst("a\nb\n")+zst("c"), "0 a", "2 b", "4 c")
	f(gz("\xef\xbb\xbfa"), "3 a")
	f("\x1f\x8b", "0 compression: gzip: unexpected end of data")
	f(gz("a\n")+"rubbish after the end", "0 a", "2 compression: gzip: invalid header")
}

// What could be read of a torn file is read; the rest is one rejection.
func TestTorn(t *testing.T) {
	var text strings.Builder
	for i := range 50000 {
		fmt.Fprintf(&text, "line %d %x\n", i, i*2654435761)
	}
	for kind, whole := range map[string]string{"gzip": gz(text.String()), "zstd": zst(text.String())} {
		all, rejected := read(t, source.NewInput("test", strings.NewReader(whole)), source.Options{})
		if len(all) != 50000 || len(rejected) != 0 {
			t.Fatalf("%s: %d lines, rejected %q", kind, len(all), rejected)
		}
		torn, rejected := read(t, source.NewInput("test", strings.NewReader(whole[:len(whole)/2])), source.Options{})
		if len(torn) < 10000 || len(torn) > 40000 || len(rejected) != 1 || !strings.HasSuffix(rejected[0], kind+": unexpected end of data") {
			t.Fatalf("torn %s: %d lines, rejected %q", kind, len(torn), rejected)
		}
		for i := range torn {
			if torn[i] != all[i] {
				t.Fatalf("torn %s: line %d is %q, want %q", kind, i, torn[i], all[i])
			}
		}
	}
	broken := []byte(gz(text.String()))
	broken[len(broken)-6] ^= 1 // in the checksum
	lines, rejected := read(t, source.NewInput("test", bytes.NewReader(broken)), source.Options{})
	if len(lines) != 50000 || len(rejected) != 1 || !strings.HasSuffix(rejected[0], "gzip: invalid checksum") {
		t.Errorf("bad checksum: %d lines, rejected %q", len(lines), rejected)
	}
}

// endless is a line of n bytes that is never in memory.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(len(p), e.n)]
	for i := range p {
		p[i] = 'x'
	}
	e.n -= len(p)
	return len(p), nil
}

// A line over the limit does not grow memory beyond the limit, and not for good.
func TestLongLineIsNotKept(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	in := source.NewInput("test", io.MultiReader(&endless{64 << 20}, strings.NewReader("\nshort\n")))
	before, during := heap(), int64(0)
	o := source.Options{Reject: func(source.Rejection) { during = heap() }}
	l := source.NewLines(in.Window(context.Background()), &o)
	line, off, err := l.Next()
	if string(line) != "short" || off != 64<<20+1 || err != nil {
		t.Fatalf("Next = %.20q, %d, %v", line, off, err)
	}
	if g := during - before; g > 18<<20 {
		t.Errorf("the heap grew by %d MiB at a line of 64 MiB, want no more than the limit of 16", g>>20)
	}
	l.Next()
	if g := heap() - before; g > 1<<20 {
		t.Errorf("%d KiB are kept after the line", g>>10)
	}
	runtime.KeepAlive(l)
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.log", "a.log", "x[1].log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "d.log"), 0o755); err != nil {
		t.Fatal(err)
	}
	names := func(args ...string) string {
		t.Helper()
		for i, a := range args {
			if a != "-" {
				args[i] = filepath.Join(dir, a)
			}
		}
		ins, err := source.Open(args, strings.NewReader("stdin\n"))
		if err != nil {
			return err.Error()
		}
		var got []string
		for _, in := range ins {
			lines, rejected := read(t, in, source.Options{})
			got = append(got, fmt.Sprintf("%s:%s%s", filepath.Base(in.Name()), strings.Join(lines, ","), strings.Join(rejected, ",")))
			if in.Name() != "-" && (in.Size() != in.Read() || in.Read() == 0) {
				t.Errorf("%s: %d of %d bytes read", in.Name(), in.Read(), in.Size())
			}
			in.Close()
		}
		return strings.Join(got, " ")
	}
	f := func(got, want string) {
		t.Helper()
		if got = strings.ReplaceAll(got, dir+"/", ""); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(names(), "-:0 stdin")
	f(names("-"), "-:0 stdin")
	f(names("a.log", "b.log"), "a.log:0 a.log b.log:0 b.log")
	f(names("[ab].log"), "a.log:0 a.log b.log:0 b.log")
	f(names("*.log"), "a.log:0 a.log b.log:0 b.log x[1].log:0 x[1].log")
	f(names("x[1].log"), "x[1].log:0 x[1].log")
	f(names("a.log", "*.none", "missing", "d.log"), `*.none: no file matches the pattern: file does not exist
stat missing: no such file or directory
d.log: is a directory (name its files, for example d.log/*)`)

	_, err := source.Open([]string{filepath.Join(dir, "missing")}, nil)
	var oe *source.OpenError
	if !errors.As(err, &oe) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open = %v, want an *OpenError that is ErrNotExist", err)
	}
}

// A file that vanishes after it was checked is a rejection; the run goes on.
func TestVanished(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.log")
	os.WriteFile(name, []byte("a\n"), 0o644)
	ins, err := source.Open([]string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(name)
	lines, rejected := read(t, ins[0], source.Options{})
	if len(lines) != 0 || len(rejected) != 1 || rejected[0] != "0 read: open: no such file or directory" {
		t.Errorf("%q, rejected %q", lines, rejected)
	}
}

// A pipe that nobody writes to does not hold up the end.
func TestCancelPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	io.WriteString(w, "a\n")
	ctx, cancel := context.WithCancel(context.Background())
	in := source.NewInput("-", r)
	l := source.NewLines(in.Window(ctx), &source.Options{})
	if line, _, err := l.Next(); string(line) != "a" || err != nil {
		t.Fatalf("Next = %q, %v", line, err)
	}
	cancel()
	if _, _, err := l.Next(); err != context.Canceled {
		t.Errorf("Next = %v, want %v", err, context.Canceled)
	}
}

func TestFormat(t *testing.T) {
	f := func(text string, want source.Format) {
		t.Helper()
		in := source.NewInput("test", strings.NewReader(text))
		got, err := in.Format(context.Background())
		if got != want || err != nil {
			t.Errorf("%.40q: %q, %v, want %q", text, got, err, want)
		}
		// Nothing is lost by looking.
		o := source.Options{Stats: new(source.Stats)}
		l := source.NewLines(in.Window(context.Background()), &o)
		for {
			if _, _, err := l.Next(); err != nil {
				break
			}
		}
		if b := o.Stats.Bytes.Load(); b != int64(len(text)) && text[0] != 0x1f {
			t.Errorf("%.40q: %d bytes were read, want %d", text, b, len(text))
		}
		// It does not matter how much of it comes at once.
		in = source.NewInput("test", iotest.OneByteReader(strings.NewReader(text)))
		if got, err := in.Format(context.Background()); got != want || err != nil {
			t.Errorf("%.40q, byte by byte: %q, %v, want %q", text, got, err, want)
		}
	}
	f("{\"a\":1}\n", source.ECS)
	f(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata"}`, source.KubeAudit)
	f(`{ "apiVersion": "audit.k8s.io/v1", "auditID": "x", "kind": "Event" }`, source.KubeAudit)
	f(`{"kind":"Event","metadata":{"name":"longer than what is read of a pipe at once"},"apiVersion":"audit.k8s.io/v1"}`+"\n", source.KubeAudit)
	f(`{"annotations":{"a":["}"]},"apiVersion":"audit.k8s.io/v1","items":[`, source.KubeAudit)
	f(`{"@timestamp":"2026-05-04T10:00:00Z","kubernetes":{"audit":{"apiVersion":"audit.k8s.io/v1","kind":"Event"}}}`, source.ECS)
	f(`{"message":"\"apiVersion\":\"audit.k8s.io/v1\"","event":{"category":"process"}}`+"\n", source.ECS)
	f(" \n\n\xef", source.Unknown)
	f("\xef\xbb\xbf\n[\n", source.ECS)
	f("type=SYSCALL msg=audit(1.001:1): a=b", source.Audit)
	f("node=x type=SYSCALL msg=audit(1.001:1): a=b\n", source.Audit)
	f("----\ntime->x\ntype=SYSCALL msg=audit(1.001:1): a=b\n", source.Audit)
	f("Nov 22 host kernel: audit: type=1300 audit(1.001:1): a=b\n", source.Audit)
	f("hello\nworld\n", source.Unknown)
	f(gz("{\"a\":1}"), source.ECS)
	f(strings.Repeat("x", 1<<20)+"\n{}", source.Unknown)
	in := source.NewInput("test", strings.NewReader(""))
	if got, err := in.Format(context.Background()); got != source.Unknown || err != nil {
		t.Errorf("empty: %q, %v", got, err)
	}
}

// Of a pipe whose sender is quiet, what is sure is said without an end of the line.
func TestFormatOfAQuietPipe(t *testing.T) {
	f := func(text string, want source.Format) {
		t.Helper()
		r, w := io.Pipe()
		defer w.Close()
		go io.WriteString(w, text)
		if got, err := source.NewInput("-", r).Format(t.Context()); got != want || err != nil {
			t.Errorf("%.40q: %q, %v, want %q", text, got, err, want)
		}
	}
	f(`{"a":1}`, source.ECS)
	f(`{"apiVersion":"v1","object":{`, source.ECS)
	f(`{"took":3,"hits":{"hits":[{"_source":{"a":1}},`, source.ECS)
	f(`[{"a":1},{`, source.ECS)
	f(`{"a":]`, source.ECS)
	f(`{"apiVersion":"audit.k8s.io/v1",`, source.KubeAudit)
}

// A dead letter is one line of JSON, whatever was rejected.
func TestDeadLetter(t *testing.T) {
	f := func(data string, want map[string]any) {
		t.Helper()
		var b bytes.Buffer
		d := source.NewDeadLetter(&b)
		r := source.Rejection{Reason: "why\n\"not\"", Data: []byte(data)}
		r.Origin.Source, r.Origin.Offset = "a\nb.log", 7
		d.Reject(r)
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
		if bytes.Count(b.Bytes(), []byte("\n")) != 1 {
			t.Errorf("not one line: %q", b.String())
		}
		var got map[string]any
		if err := json.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", b.Bytes(), err)
		}
		want["source"], want["offset"], want["reason"] = "a\nb.log", 7.0, "why\n\"not\""
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %.200v, want %.200v", got, want)
		}
	}
	f("x\"}\n{\"source\":\"forged\"}", map[string]any{"data": "x\"}\n{\"source\":\"forged\"}"})
	f("\xff\x00", map[string]any{"data_base64": "/wA="})
	f("", map[string]any{"data": ""})
	long := strings.Repeat("x", source.MaxLetter-1)
	f(long+"ä", map[string]any{"data": long, "truncated": true})
	f(long+"x", map[string]any{"data": long + "x"})
}

func TestDeadLetterWriteError(t *testing.T) {
	d := source.NewDeadLetter(failing{})
	d.Reject(source.Rejection{})
	d.Reject(source.Rejection{})
	if d.Err() != io.ErrShortWrite {
		t.Errorf("Err = %v, want %v", d.Err(), io.ErrShortWrite)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestStats(t *testing.T) {
	var s source.Stats
	o := source.Options{Stats: &s}
	o.Refuse(source.Rejection{Class: source.ClassLong})
	o.Refuse(source.Rejection{Class: source.ClassSyntax})
	o.Refuse(source.Rejection{Class: source.ClassSyntax})
	o.Emitted()
	if c := s.Classes(); s.Rejected.Load() != 3 || c[source.ClassLong] != 1 || c[source.ClassSyntax] != 2 || s.Events.Load() != 1 {
		t.Errorf("rejected %d %v, events %d", s.Rejected.Load(), c, s.Events.Load())
	}
}

func FuzzLines(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		read(t, source.NewInput("test", bytes.NewReader(text)), source.Options{MaxLine: 10})
	})
}

func BenchmarkLines(b *testing.B) {
	text := strings.Repeat(strings.Repeat("x", 199)+"\n", 10000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		in := source.NewInput("bench", strings.NewReader(text))
		l := source.NewLines(in.Window(context.Background()), &source.Options{})
		for {
			if _, _, err := l.Next(); err != nil {
				break
			}
		}
	}
}

func Example() {
	ins, err := source.Open([]string{"-"}, strings.NewReader("type=SYSCALL msg=audit(1.001:1): …\n"))
	if err != nil {
		fmt.Println(err) // every argument that cannot be read
		return
	}
	for _, in := range ins {
		f, err := in.Format(context.Background())
		fmt.Println(in.Name(), f, err) // audit.New(in, …) or ecs.New(in, …) reads it
	}
	// Output: - audit <nil>
}
