package audit

import "strings"

// A norm is what an event means in ECS: the vocabulary is that of Auditbeat
// and Auditd Manager, so that rules written for those match.
type norm struct {
	action   string
	category string // JSON
	types    string // JSON
}

func normal(action, category, types string) norm {
	list := func(s string) string {
		if s == "" {
			return ""
		}
		return `["` + strings.ReplaceAll(s, ",", `","`) + `"]`
	}
	return norm{action, list(category), list(types)}
}

// syscallNorms says what a system call means, by name. One that is not listed
// is process/info under its own name.
var syscallNorms = func() map[string]norm {
	m := map[string]norm{}
	add := func(calls, action, category, types string) {
		for _, c := range strings.Fields(calls) {
			a := action
			if a == "" {
				a = c
			}
			m[c] = normal(a, category, types)
		}
	}
	add("execve execveat", "executed", "process", "start") // a failed one is info: see norm in event.go
	add("fork vfork clone clone3", "forked", "process", "info")
	add("exit exit_group", "exited", "process", "end")
	add("kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal", "killed-pid", "process", "end")
	add("setuid seteuid setfsuid setreuid setgid setegid setfsgid setregid setresuid setresgid"+
		" setuid32 setfsuid32 setreuid32 setgid32 setfsgid32 setregid32 setresuid32 setresgid32", "changed-identity-of", "process", "change")
	add("sched_setparam sched_setscheduler sched_setattr", "adjusted-scheduling-policy-of", "process", "change")
	add("mmap mmap2 brk", "allocated-memory", "process", "info")
	add("setns unshare pivot_root chroot", "", "process", "change")
	add("ptrace process_vm_readv process_vm_writev", "", "process", "access")

	add("connect", "connected-to", "network", "connection,start")
	add("accept accept4", "accepted-connection-from", "network", "connection,start")
	add("bind", "bound-socket", "network", "start")
	add("listen", "listen-for-connections", "network", "start")
	add("recv recvfrom recvmsg recvmmsg recvmmsg_time64", "received-from", "network", "connection,info")
	add("send sendto sendmsg sendmmsg", "sent-to", "network", "connection,info")

	add("creat", "opened-file", "file", "creation")
	add("open openat openat2 open_by_handle_at readlink readlinkat", "opened-file", "file", "info")
	add("fallocate truncate ftruncate truncate64 ftruncate64", "opened-file", "file", "change")
	add("read pread64 readv preadv preadv2", "read-file", "file", "info")
	add("write pwrite64 writev pwritev pwritev2", "wrote-to-file", "file", "change")
	add("setxattr fsetxattr lsetxattr removexattr fremovexattr lremovexattr", "changed-file-attributes-of", "file", "change")
	add("chmod fchmod fchmodat fchmodat2", "changed-file-permissions-of", "file", "change")
	add("chown fchown fchownat lchown chown32 fchown32 lchown32", "changed-file-ownership-of", "file", "change")
	add("mkdir mkdirat", "created-directory", "file", "creation")
	add("mknod mknodat", "make-device", "file", "creation")
	add("symlink symlinkat", "symlinked", "file", "creation")
	add("link linkat", "linked", "file", "creation")
	add("rename renameat renameat2", "renamed", "file", "change")
	add("rmdir unlink unlinkat", "deleted", "file", "deletion")
	add("utime utimes futimesat utimensat utimensat_time64", "changed-timestamp-of", "file", "info")
	add("access faccessat faccessat2 fstatat newfstatat stat stat64 fstat fstat64 fstatat64 lstat lstat64 statx"+
		" getxattr lgetxattr fgetxattr", "checked-metadata-of", "file", "info")
	add("statfs fstatfs statfs64 fstatfs64", "checked-filesystem-metadata-of", "file", "info")
	add("mount", "mounted", "file", "creation")
	add("umount umount2", "unmounted", "file", "deletion")
	add("move_mount open_tree fsmount fsopen mount_setattr", "", "file", "change")

	add("init_module finit_module", "loaded-kernel-module", "driver", "start")
	add("delete_module", "unloaded-kernel-module", "driver", "end")
	add("settimeofday clock_settime clock_settime64 stime adjtimex clock_adjtime", "changed-system-time", "host", "change")
	add("sethostname setdomainname", "changed-system-name", "host", "change")
	return m
}()

// typeNorms says what a record means that is not part of a system call. One
// that is not listed has the type's name as its action.
//
// A service start or a sudo command is not the start of the process that
// reports it (systemd, sudo), so these are info and not start.
var typeNorms = func() map[string]norm {
	m := map[string]norm{}
	add := func(name, action, category, types string) { m[name] = normal(action, category, types) }
	add("LOGIN", "changed-login-id-to", "authentication", "start")
	add("USER_LOGIN", "logged-in", "authentication", "start")
	add("USER_LOGOUT", "logged-out", "authentication", "end")
	add("USER_AUTH", "authenticated", "authentication", "info")
	add("USER_ACCT", "was-authorized", "authentication", "info")
	add("USER_START", "started-session", "authentication", "info")
	add("USER_END", "ended-session", "authentication", "info")
	add("USER_ERR", "error", "authentication", "info")
	add("CRED_ACQ", "acquired-credentials", "authentication", "info")
	add("CRED_REFR", "refreshed-credentials", "authentication", "info")
	add("CRED_DISP", "disposed-credentials", "authentication", "info")
	add("GRP_AUTH", "authenticated-to-group", "authentication", "info")
	add("USER_ROLE_CHANGE", "changed-role-to", "authentication", "info")

	add("ACCT_LOCK", "locked-account", "iam", "user,info")
	add("ACCT_UNLOCK", "unlocked-account", "iam", "user,info")
	add("ADD_USER", "added-user-account", "iam", "user,creation")
	add("DEL_USER", "deleted-user-account", "iam", "user,deletion")
	add("USER_MGMT", "modified-user-account", "iam", "user,change")
	add("USER_CHAUTHTOK", "changed-password", "iam", "user,change")
	add("ADD_GROUP", "added-group-account-to", "iam", "group,creation")
	add("DEL_GROUP", "deleted-group-account-from", "iam", "group,deletion")
	add("GRP_MGMT", "modified-group-account", "iam", "group,change")
	add("GRP_CHAUTHTOK", "changed-group-password", "iam", "group,change")
	add("ROLE_ASSIGN", "assigned-user-role-to", "iam", "user,change")
	add("ROLE_REMOVE", "removed-user-role-from", "iam", "user,change")
	add("ROLE_MODIFY", "modified-role", "iam", "change")

	add("USER_CMD", "ran-command", "process", "info")
	add("SERVICE_START", "started-service", "process", "info")
	add("SERVICE_STOP", "stopped-service", "process", "info")
	add("CHGRP_ID", "changed-group", "process", "change")
	add("CHUSER_ID", "changed-user-id", "process", "change")
	add("TTY", "typed", "process", "info")
	add("USER_TTY", "typed", "process", "info")
	add("ANOM_ABEND", "crashed-program", "process", "end")
	add("ANOM_EXEC", "attempted-execution-of-forbidden-program", "process", "info")
	add("ANOM_LINK", "used-suspicious-link", "file", "info")
	add("ANOM_PROMISCUOUS", "changed-promiscuous-mode-on-device", "network", "info")
	add("SECCOMP", "violated-seccomp-policy", "process", "denied")

	add("SYSTEM_BOOT", "booted-system", "host", "start")
	add("SYSTEM_SHUTDOWN", "shutdown-system", "host", "end")
	add("SYSTEM_RUNLEVEL", "changed-to-runlevel", "host", "change")
	add("SOFTWARE_UPDATE", "software-update", "package", "info")

	add("CONFIG_CHANGE", "changed-audit-configuration", "process,configuration", "change")
	add("FEATURE_CHANGE", "changed-audit-feature", "configuration", "change")
	add("DAEMON_START", "started-audit", "process", "info")
	add("DAEMON_END", "shutdown-audit", "process", "info")
	add("DAEMON_ABORT", "aborted-auditd-startup", "process", "info")
	add("DAEMON_CONFIG", "changed-auditd-configuration", "process,configuration", "change")
	add("DAEMON_RECONFIG", "reconfigured-auditd", "process,configuration", "info")
	add("DAEMON_RESUME", "resumed-audit-logging", "process", "change")
	add("DAEMON_ROTATE", "rotated-audit-logs", "process", "change")
	add("DAEMON_ACCEPT", "remote-audit-connected", "network", "connection,start")
	add("DAEMON_CLOSE", "remote-audit-disconnected", "network", "connection,end")
	add("DAEMON_ERR", "audit-error", "process", "info")
	add("KERNEL", "initialized-audit-subsystem", "process", "info")
	add("USYS_CONFIG", "changed-configuration", "configuration", "change")
	add("NETFILTER_CFG", "loaded-firewall-rule-to", "configuration", "change")
	add("MAC_CONFIG_CHANGE", "changed-selinux-boolean", "configuration", "change")
	add("MAC_POLICY_LOAD", "loaded-selinux-policy", "configuration", "access")
	add("MAC_STATUS", "changed-selinux-enforcement", "configuration", "change")
	add("USER_MAC_CONFIG_CHANGE", "changed-mac-configuration", "configuration", "change")
	add("USER_MAC_POLICY_LOAD", "loaded-mac-policy", "configuration", "access")
	add("SELINUX_ERR", "caused-mac-policy-error", "process", "info")
	add("USER_AVC", "access-permission", "process", "info")
	add("USER_SELINUX_ERR", "access-error", "process", "info")
	add("KERN_MODULE", "loaded-kernel-module", "driver", "start")

	add("VIRT_CONTROL", "issued-vm-control", "host", "info")
	add("VIRT_CREATE", "created-vm-image", "host", "info")
	add("VIRT_DESTROY", "deleted-vm-image", "host", "info")
	add("VIRT_MACHINE_ID", "assigned-vm-id", "host", "info")
	add("VIRT_MIGRATE_IN", "migrated-vm-from", "host", "info")
	add("VIRT_MIGRATE_OUT", "migrated-vm-to", "host", "info")
	add("VIRT_RESOURCE", "assigned-vm-resource", "host", "info")
	add("CRYPTO_KEY_USER", "negotiated-crypto-key", "process", "info")
	add("CRYPTO_LOGIN", "crypto-officer-logged-in", "process", "info")
	add("CRYPTO_LOGOUT", "crypto-officer-logged-out", "process", "info")
	add("CRYPTO_SESSION", "started-crypto-session", "process", "info")
	return m
}()
