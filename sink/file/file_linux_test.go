package file_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/sink/file"
	"github.com/orlop/orlop/sink/sinktest"
)

// A folder is the peer: it is down when it has another name.
type folder struct{ dir string }

func newFolder(t *testing.T) sinktest.Peer {
	p := folder{filepath.Join(t.TempDir(), "[x] *")}
	p.Up()
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p folder) path() string { return filepath.Join(p.dir, "alerts.ndjson") }

func (p folder) Open(t *testing.T) sink.Sink {
	now := sinktest.NewClock() // of the time of sinktest's alerts
	return open(t, file.Options{Path: p.path(), Now: now.Now})
}

func (p folder) Down() { os.Rename(p.dir, p.dir+".away") }
func (p folder) Up()   { os.Rename(p.dir+".away", p.dir) }

func (p folder) Received(t *testing.T, n int) []string {
	t.Helper()
	for {
		ids, whole := read(t, p.path())
		if len(ids) >= n && whole {
			return ids
		}
		runtime.Gosched()
	}
}

// read are the IDs of the alerts in a file, and whether the last line ends.
func read(t *testing.T, path string) (ids []string, whole bool) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	for line := range bytes.Lines(b) {
		if whole = bytes.HasSuffix(line, []byte("\n")); !whole {
			break
		}
		a, err := alert.Parse(line)
		if err != nil {
			t.Fatalf("not an alert: %v: %.200q", err, line)
		}
		ids = append(ids, a.ID)
	}
	return ids, whole
}

func open(t *testing.T, o file.Options) sink.Sink {
	t.Helper()
	s, err := file.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t *testing.T, s sink.Sink, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Write(t.Context(), []*alert.Alert{sinktest.Alert(t, id, "x")}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestContract(t *testing.T) { sinktest.Contract(t, newFolder) }

func TestOptions(t *testing.T) {
	f := func(o file.Options, want string) {
		t.Helper()
		if _, err := file.Open(o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(file.Options{}, "file: it has no path")
	f(file.Options{Path: "x", MaxBytes: -1}, "file: max_bytes: expected at least 0")
	f(file.Options{Path: "x", MaxAge: -1}, "file: max_age: expected at least 0s")
	f(file.Options{Path: "x", Keep: -1}, "file: keep: expected at least 0")
	f(file.Options{Path: "x", Compress: "lz4"}, "file: compress: expected none, gzip, zstd")
}

func rotated(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestRotatesBySizeAndKeepsSome(t *testing.T) {
	for _, compress := range []string{"none", "gzip", "zstd"} {
		path := filepath.Join(t.TempDir(), "a.ndjson")
		now := time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC)
		s := open(t, file.Options{Path: path, MaxBytes: 5000, Keep: 3, Compress: compress, Now: func() time.Time { return now }})
		var all []string
		for i := range 60 {
			all = append(all, fmt.Sprintf("%03d", i))
			write(t, s, all[i])
		}
		names := rotated(t, path)
		if len(names) != 3 {
			t.Fatalf("%s: %d rotated files, want 3: %q", compress, len(names), names)
		}
		var got []string
		for _, name := range append(names, path) {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 || info.Size() > 5000 {
				t.Errorf("%s has mode %v and %d bytes", name, info.Mode(), info.Size())
			}
			b := expand(t, name)
			plain := filepath.Join(t.TempDir(), "plain")
			os.WriteFile(plain, b, 0o600)
			ids, _ := read(t, plain)
			got = append(got, ids...)
		}
		if !slices.Equal(got, all[len(all)-len(got):]) {
			t.Errorf("%s: got %q", compress, got)
		}
	}
}

func expand(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader = bytes.NewReader(b)
	switch filepath.Ext(name) {
	case ".gz":
		r, err = gzip.NewReader(r)
	case ".zst":
		var z *zstd.Decoder
		z, err = zstd.NewReader(r)
		r = z
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err = io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The age is that of the first alert, also after a restart.
func TestRotatesByAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ndjson")
	now := time.Date(2026, 4, 29, 10, 0, 7, 0, time.UTC) // as sinktest's alerts
	o := file.Options{Path: path, MaxAge: time.Hour, Now: func() time.Time { return now }}
	s := open(t, o)
	write(t, s, "a")
	now = now.Add(59 * time.Minute)
	s.Close()
	s = open(t, o)
	write(t, s, "b")
	now = now.Add(time.Minute)
	write(t, s, "c")
	names := rotated(t, path)
	if len(names) != 1 || !strings.HasSuffix(names[0], ".20260429T110007.000Z") {
		t.Fatalf("rotated: %q", names)
	}
	if ids, _ := read(t, names[0]); !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("rotated: %q", ids)
	}
	if ids, _ := read(t, path); !slices.Equal(ids, []string{"c"}) {
		t.Errorf("now: %q", ids)
	}
}

func TestLivesWithOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	s := open(t, file.Options{Path: path, MaxBytes: 5000, Keep: 1})
	write(t, s, "a")

	// logrotate moves it away,
	if err := os.Rename(path, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	write(t, s, "b")
	if ids, _ := read(t, path); !slices.Equal(ids, []string{"b"}) {
		t.Errorf("after a move: %q", ids)
	}
	// or cuts it,
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, s, "c")
	if ids, _ := read(t, path); !slices.Equal(ids, []string{"c"}) {
		t.Errorf("after a cut: %q", ids)
	}
	// and names that are not ours stay.
	for _, name := range []string{"a.ndjson.bak", "a.ndjson.1", "a.ndjson.part"} {
		os.WriteFile(filepath.Join(dir, name), nil, 0o600)
	}
	for i := range 30 {
		write(t, s, fmt.Sprint(i))
	}
	if names := rotated(t, path); len(names) != 4 {
		t.Errorf("%q, want three and one rotated", names)
	}
}

// What an earlier process left unfinished is finished or removed.
func TestUnfinished(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	o := file.Options{Path: path, Compress: "zstd", Now: sinktest.NewClock().Now}
	s := open(t, o)
	write(t, s, "a")
	s.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"kibana.alert.uu` + strings.Repeat("x", 200<<10))
	f.Close()
	os.WriteFile(path+".20260429T100000.000Z", []byte("{}\n"), 0o600)
	os.WriteFile(path+".20260429T100000.000Z.zst.part", []byte("half"), 0o600)
	s = open(t, o)
	write(t, s, "b")
	if ids, whole := read(t, path); !whole || !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("got %q", ids)
	}
	names := rotated(t, path)
	if len(names) != 1 || filepath.Base(names[0]) != "a.ndjson.20260429T100000.000Z.zst" || string(expand(t, names[0])) != "{}\n" {
		t.Errorf("rotated: %q", names)
	}
}

func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	f := func(path, want string) {
		t.Helper()
		s := open(t, file.Options{Path: path})
		err := s.Write(t.Context(), sinktest.Alerts(t, "a", 1))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f(pipe, "is not a regular file")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "target"), link); err != nil {
		t.Fatal(err)
	}
	f(link, "is not a regular file")
	f(dir, "is not a regular file")
	f(filepath.Join(dir, "none", "a"), "no such file or directory")
}

// A disk that is full costs no half line, and the alert goes in when there is room.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs a small file system, and to be root to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path, filler := filepath.Join(dir, "a.ndjson"), filepath.Join(dir, "filler")
	s := open(t, file.Options{Path: path})
	write(t, s, "a")
	os.WriteFile(filler, make([]byte, 56<<10), 0o600)
	var err error
	all := []string{"a"}
	for i := 0; err == nil; i++ {
		id := fmt.Sprint(i)
		if err = s.Write(t.Context(), []*alert.Alert{sinktest.Alert(t, id, strings.Repeat("x", 100))}); err == nil {
			all = append(all, id)
		}
	}
	if !strings.Contains(err.Error(), "no space left on device") {
		t.Fatal(err)
	}
	os.Remove(filler)
	write(t, s, "z")
	if ids, whole := read(t, path); !whole || !slices.Equal(ids, append(all, "z")) {
		t.Errorf("got %q, want %q and z", ids, all)
	}
}

// A rotated file that cannot be compressed holds up no alert, and is compressed later.
func TestCompressedLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ndjson")
	old := path + ".20260429T100000.000Z"
	os.WriteFile(old, []byte("{}\n"), 0o600)
	in := old + ".zst.part"
	var log bytes.Buffer
	o := file.Options{Path: path, Compress: "zstd", Now: sinktest.NewClock().Now, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := os.MkdirAll(old+".zst/x", 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, o)
	write(t, s, "a")
	if !strings.Contains(log.String(), "stays uncompressed") {
		t.Errorf("the log says %q", log.String())
	}
	if _, err := os.Stat(in); err == nil {
		t.Error("what was half done is still there")
	}
	if err := os.RemoveAll(old + ".zst"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, o)
	write(t, s, "b")
	if names := rotated(t, path); len(names) != 1 || names[0] != old+".zst" {
		t.Errorf("rotated: %q", names)
	}
	if ids, _ := read(t, path); !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("got %q", ids)
	}
}
