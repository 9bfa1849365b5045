// Storm starts a program again and again and prints how many nanoseconds it took:
// storm COUNT PROGRAM [ARG...]
// An argument {} is which time it is.
package main

import (
	"fmt"
	"os"
	"slices"
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
	args := slices.Clone(os.Args[2:])
	for i := range n {
		for j, a := range os.Args[2:] {
			if a == "{}" {
				args[j] = strconv.Itoa(i)
			}
		}
		pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{})
		if err != nil {
			panic(err)
		}
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
			panic(err)
		}
	}
	fmt.Println(time.Since(begin).Nanoseconds())
}
