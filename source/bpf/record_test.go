//go:build linux

package bpf

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/event"
)

func TestPath(t *testing.T) {
	f := func(part, want string) {
		t.Helper()
		if got := string(appendPath(nil, []byte(part))); got != want {
			t.Errorf("%q: %q, want %q", part, got, want)
		}
	}
	f("", "/")
	f("\x00", "/")
	f("true\x00bin\x00usr\x00", "/usr/bin/true")
	f("c1\x00k8s.io\x00\x00", "/k8s.io/c1") // a cgroup's root has an empty name
	f("no end", "/no en")
}

// sample is the record of an exec as the kernel writes it.
func sample(kind uint32) []byte {
	b := make([]byte, headerSize)
	le := binary.LittleEndian
	le.PutUint64(b[0:], 5e9)
	le.PutUint64(b[8:], 4e9)
	le.PutUint64(b[24:], 1<<41-1)
	le.PutUint32(b[60:], kind)
	le.PutUint32(b[68:], 4711)
	le.PutUint32(b[76:], 1)
	copy(b[168:], "ctr")
	parts := []string{"ctr\x00-n\x00k8s.io\x00tasks\x00ls\x00", "ctr\x00bin\x00usr\x00", "bash\x00bin\x00usr\x00", "root\x00", "user.slice\x00\x00", "/usr/bin/ctr\x00"}
	if kind == kindConnect {
		address := append([]byte{1, 0}, "/run/containerd/containerd.sock"...)
		le.PutUint32(b[64:], reached)
		le.PutUint64(b[32:], 77)
		le.PutUint32(b[56:], 0x1b)
		le.PutUint32(b[152:], 812)
		le.PutUint16(b[200+2*partAddress:], uint16(len(address)))
		b = append(b, append(address, make([]byte, addressSize-len(address))...)...)
		for i, p := range []string{"", "c.sock\x00run\x00", "containerd\x00bin\x00usr\x00"} { // from partArgs on
			le.PutUint16(b[200+2*i:], uint16(len(p)))
			b = append(b, p...)
		}
		return b
	}
	if kind != kindExec {
		return b
	}
	for i, p := range parts {
		le.PutUint16(b[200+2*i:], uint16(len(p)))
		b = append(b, p...)
	}
	return b
}

func testWriter(t testing.TB) *writer {
	w, err := newWriter("")
	if err != nil {
		t.Skip(err)
	}
	return w
}

func TestDocument(t *testing.T) {
	w := testWriter(t)
	w.made = func(*record) made { return made{tool: "ctr"} }
	var r record
	if err := r.parse(sample(kindExec)); err != nil {
		t.Fatal(err)
	}
	s := event.NewSchema()
	var e event.Event
	if err := event.NewDecoder(s).Decode(w.process(&r), &e); err != nil {
		t.Fatalf("%v: %s", err, w.doc)
	}
	f := func(field, want string) {
		t.Helper()
		if got := e.Get(s.Field(field)).Text(); got != want {
			t.Errorf("%s = %q, want %q", field, got, want)
		}
	}
	for _, name := range []string{"process.executable", "process.args", "process.parent.executable", "process.working_directory", "process.cgroup.path", "orlop.runtime.content_tool", "process.command_line", "process.pid"} {
		s.Field(name)
	}
	if err := event.NewDecoder(s).Decode(w.doc, &e); err != nil {
		t.Fatal(err)
	}
	f("process.executable", "/usr/bin/ctr")
	f("process.args", `["ctr","-n","k8s.io","tasks","ls"]`)
	f("process.command_line", "ctr -n k8s.io tasks ls")
	f("process.parent.executable", "/usr/bin/bash")
	f("process.working_directory", "/root")
	f("process.cgroup.path", "/user.slice")
	f("process.pid", "4711")
	f("orlop.runtime.content_tool", "ctr")

	if err := r.parse(sample(kindConnect)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"destination.path", "event.outcome", "orlop.socket.listener", "orlop.socket.inode", "orlop.socket.device", "orlop.socket.owner.pid", "orlop.socket.owner.executable"} {
		s.Field(name)
	}
	if err := event.NewDecoder(s).Decode(w.process(&r), &e); err != nil {
		t.Fatalf("%v: %s", err, w.doc)
	}
	f("destination.path", "/run/containerd/containerd.sock")
	f("event.outcome", "success")
	f("orlop.socket.listener", "/run/c.sock")
	f("orlop.socket.inode", "77")
	f("orlop.socket.device", "0:27")
	f("orlop.socket.owner.pid", "812")
	f("orlop.socket.owner.executable", "/usr/bin/containerd")
}

// Whatever a record holds, its document is JSON.
func FuzzRecord(f *testing.F) {
	for kind := kindExec; kind < nKinds; kind++ {
		f.Add(sample(uint32(kind)))
	}
	f.Add([]byte{})
	w := testWriter(f)
	d := event.NewDecoder(event.NewSchema())
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		if r.parse(b) != nil || r.kind == 0 || r.kind >= nKinds {
			return
		}
		doc := w.process(&r)
		var e event.Event
		if err := d.Decode(doc, &e); err != nil {
			t.Errorf("%v: %q", err, doc)
		}
		if !json.Valid(doc) || bytes.IndexByte(doc, '\n') >= 0 {
			t.Errorf("%q", doc)
		}
	})
}

func BenchmarkDocument(b *testing.B) {
	w := testWriter(b)
	text := sample(kindExec)
	var r record
	b.ReportAllocs()
	for b.Loop() {
		if err := r.parse(text); err != nil {
			b.Fatal(err)
		}
		w.process(&r)
	}
}

// The object that is committed is what its source compiles to.
func TestObjectIsCurrent(t *testing.T) {
	version, err := exec.Command("clang", "--version").Output()
	if err != nil || !strings.Contains(string(version), "version 14.") {
		t.Skip("the object was compiled by clang 14, which is not here")
	}
	out := filepath.Join(t.TempDir(), "o")
	src, err := filepath.Abs("src")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-Wno-missing-declarations",
		"-fdebug-prefix-map="+src+"=.", "-c", "orlop.bpf.c", "-o", out)
	cmd.Dir = src
	if text, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(text, []byte("bpf/bpf_helpers.h")) {
			t.Skip("libbpf-dev is not here")
		}
		t.Fatalf("%v: %s", err, text)
	}
	if text, err := exec.Command("llvm-strip", "-g", out).CombinedOutput(); err != nil {
		t.Skipf("llvm-strip: %v: %s", err, text)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, object) {
		t.Error("orlop_bpfel.o is not what src/orlop.bpf.c compiles to: run make bpf")
	}
}
