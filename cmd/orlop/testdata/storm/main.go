// Storm starts a program again and again and prints how many nanoseconds it took:
// storm COUNT PROGRAM [ARG...]
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	begin := time.Now()
	for range n {
		pid, err := syscall.ForkExec(os.Args[2], os.Args[2:], &syscall.ProcAttr{})
		if err != nil {
			panic(err)
		}
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
			panic(err)
		}
	}
	fmt.Println(time.Since(begin).Nanoseconds())
}
