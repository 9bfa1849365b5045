package storetest

import "syscall"

// dyingWithUs makes a program end when this one does, however that ends.
func dyingWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT} }
