//go:build linux

package netlink

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetBuffer lets the kernel keep that many bytes for the reader of fd; without
// CAP_NET_ADMIN, as far as net.core.rmem_max allows.
func SetBuffer(fd, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
}

// Receive reads a datagram and the port of its sender, which is 0 for the kernel.
func Receive(fd int, buf []byte) (n int, from uint32, errno syscall.Errno) {
	var sa unix.RawSockaddrNetlink
	size := uint32(unsafe.Sizeof(sa))
	r, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0,
		uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	return int(r), sa.Pid, errno
}

// batch is how many datagrams are read before they are handed on.
const batch = 1024

// Batch reads what has come on fd, which does not block, and calls each for every
// datagram of the kernel, and overrun whenever it had no room for one. The datagram is
// valid during the call. Batch reports false if nothing had come.
func Batch(fd int, buf []byte, each func(datagram []byte), overrun func()) (some bool, err error) {
	for n := 0; n < batch; {
		size, from, errno := Receive(fd, buf)
		switch errno {
		case 0:
		case unix.EAGAIN:
			return n > 0, nil
		case unix.EINTR:
			continue
		case unix.ENOBUFS:
			overrun()
			continue
		default:
			return n > 0, errno
		}
		n++
		if from == 0 {
			each(buf[:size])
		}
	}
	return true, nil
}
