//go:build linux

package netlink_test

import (
	"encoding/binary"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/internal/netlink"
)

// What the kernel answers is read; what another process sends to our port is not.
func TestBatchIsOfTheKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	open := func() (int, *unix.SockaddrNetlink) {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err == nil {
			t.Cleanup(func() { unix.Close(fd) })
			err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		}
		if err != nil {
			t.Fatal(err)
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		return fd, sa.(*unix.SockaddrNetlink)
	}
	ours, port := open()
	other, _ := open()
	netlink.SetBuffer(ours, 1<<20)
	// A request that the kernel does not know is answered at once, by an error.
	request := make([]byte, unix.SizeofNlMsghdr)
	binary.NativeEndian.PutUint32(request, uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], 0xfff0)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	buf := make([]byte, 4096)
	read := func() (some bool, types []uint16) {
		t.Helper()
		some, err := netlink.Batch(ours, buf, func(b []byte) { types = append(types, binary.NativeEndian.Uint16(b[4:])) }, func() { t.Error("overrun") })
		if err != nil {
			t.Error(err)
		}
		return some, types
	}
	if some, _ := read(); some {
		t.Error("something has come before anything was asked")
	}
	if err := unix.Sendto(other, request, 0, port); err != nil {
		t.Fatal(err)
	}
	if some, types := read(); !some || len(types) != 0 {
		t.Errorf("of another process %v, %v", some, types)
	}
	for range 2 {
		if err := unix.Sendto(ours, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			t.Fatal(err)
		}
	}
	if _, types := read(); len(types) != 2 || types[0] != unix.NLMSG_ERROR {
		t.Errorf("the kernel's messages are %v, want two errors", types)
	}
}
