//go:build !linux

package store_test

import "syscall"

func dyingWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
