//go:build unix

package own

import "syscall"

// unfollowed opens what a name stands for itself, without waiting for anybody.
const unfollowed = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
