//go:build linux

package bpf

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// Where the kernel refuses tp_btf, raw tracepoints see the same.
func TestRawTracepoints(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	if err := ready(); err != nil {
		t.Skip(err)
	}
	uid := uint32(2_900_000_000 + os.Getpid())
	s := &Sensor{o: Options{Options: source.Options{Schema: event.NewSchema()}, LoginUID: &uid, Ring: 64 << 10}}
	defer s.Close()
	if err := s.load("raw_"); err != nil {
		t.Fatal(err)
	}
	if err := s.attach("raw_tracepoint"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/bin/sh", "-c", `echo "$1" >/proc/self/loginuid; (exit 3); exec /bin/true`, "sh", strconv.FormatUint(uint64(uid), 10)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := s.Stats().Sent, (KindStats{Exec: 1, Fork: 1, Exit: 2}); got.Exec != want.Exec || got.Fork != want.Fork || got.Exit != want.Exit {
		t.Errorf("sent %+v, want %+v", got, want)
	}
}
