// Box is the only program of the test's image, under the name of each that it needs.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case "sleep":
		time.Sleep(time.Minute)
	case "id":
		fmt.Println("uid=0(root)")
	case "dial":
		for _, name := range os.Args[1:] {
			if c, err := net.Dial("unix", name); err == nil {
				c.Close()
			}
		}
	case "join": // PID PROGRAM: as nsenter -m does, in code of its own
		if err := join(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "cat":
		for _, name := range os.Args[1:] {
			b, _ := os.ReadFile(name)
			os.Stdout.Write(b)
		}
	default:
		if os.Getenv("BOX_WAIT") != "" { // until it has been looked at
			io.Copy(io.Discard, os.Stdin)
		}
	}
}

// join runs a program among the files of another process.
func join(pid, program string) error {
	setns := map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]
	fd, err := syscall.Open("/proc/"+pid+"/ns/mnt", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // A thread that shares its files with others may not leave them.
	if err := syscall.Unshare(syscall.CLONE_FS); err != nil {
		return err
	}
	if _, _, no := syscall.RawSyscall(setns, uintptr(fd), syscall.CLONE_NEWNS, 0); no != 0 {
		return no
	}
	return syscall.Exec(program, []string{filepath.Base(program), strconv.Itoa(os.Getpid())}, nil)
}
