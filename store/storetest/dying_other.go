//go:build unix && !linux

package storetest

import "syscall"

func dyingWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
