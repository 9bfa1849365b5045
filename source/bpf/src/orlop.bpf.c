// Orlop's sensor in the kernel: exec, fork, exit and connect, each one record in a
// ring buffer. Package source/bpf loads it; `make bpf` compiles it.
//
// Licence: this file and kernel.h are under MIT or GPL-2.0, at your choice, since
// the kernel lends the helpers that read its memory only to programs under a
// licence that the GPL is compatible with. The rest of Orlop is Apache-2.0 and
// talks to this program through records and maps.
//
// SPDX-License-Identifier: MIT OR GPL-2.0-only

#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

// If filtered, only processes of this login uid are reported. Set before loading.
const volatile u32 filtered = 0;
const volatile u32 filter_loginuid = 0;

// If set, exit_connect tells of the connects to local sockets, and enter_connect only of
// the others. Set when exit_connect is attached.
u32 sockets = 0;

enum { EXEC = 1, FORK, EXIT, CONNECT, MORE, KINDS };

// Flags of a record.
enum {
	ARGS_CUT = 1 << 0,    // more arguments than ARGS: MORE has come before with all of them
	ARGS_FAULT = 1 << 1,  // they could not be read
	EXE_CUT = 1 << 2,     // the path is longer than we walk: its beginning is missing
	PARENT_CUT = 1 << 3,
	CWD_CUT = 1 << 4,
	EXE_DELETED = 1 << 5, // no directory has the file
	EXE_DETACHED = 1 << 6, // no mount namespace has its mount: memfd, open_tree
	CWD_DETACHED = 1 << 7,
	CGROUP_CUT = 1 << 8,
	PARENT_DETACHED = 1 << 9,
	NO_MM = 1 << 10, // the parent is a kernel thread, or has exited
	NO_LOGIN = 1 << 11, // a kernel without audit
	REACHED = 1 << 12, // the connect of a local socket has ended: result says how
	SOCKET_CUT = 1 << 13,
	SOCKET_DETACHED = 1 << 14,
	OWNER_CUT = 1 << 15,
};

#define ARGS 16384   // bytes of arguments in a record
#define PIECES 128   // records for the arguments of one exec: 2 MiB
#define PARTS 256    // names of a path
#define NAME 256     // NAME_MAX and its NUL
#define VALUE 32768  // the most that a per-CPU map may hold
#define LINE 1024     // of the name given to exec
#define ADDRESS 128  // of a socket

// A record is a header and then, without gaps, parts: the arguments, each with
// its NUL; the names of four paths, leaf first, each with its NUL; the file name
// as it was given to exec. That of a connect has the address in ADDRESS bytes, and then
// the names of three paths: P_EXE is that of the socket that was reached, P_PARENT of the
// program that listens there, P_CWD of the directory that a relative address is from.
// record.go mirrors it.
enum { P_ARGS, P_EXE, P_PARENT, P_CWD, P_CGROUP, P_FILENAME, P_ADDRESS, P_PARTS };

struct header {
	u64 time, start, parent_start; // boot time, ns
	u64 caps;
	u64 ino, size, ctime; // of the program's file, or the socket's; ctime in ns
	u32 dev;
	u32 kind, flags;
	u32 pid, tid, ppid, nspid;
	u32 uid, euid, suid, gid, egid;
	u32 loginuid, session;
	u32 ns_pid, ns_mnt, ns_net, ns_user;
	u32 sid, pgid, tty;
	u32 exit_code;
	u32 argc, args_size;
	u32 owner, owner_uid; // of the socket that was reached: who listens
	s32 result;
	u32 unused;
	char comm[16], parent_comm[16];
	u16 len[8]; // of the parts
	u32 off; // of all of them
};

_Static_assert(sizeof(struct header) == 224, "record.go reads 224 bytes");

struct scratch {
	struct header h;
	u8 data[VALUE - sizeof(struct header)];
};

#define DATA (VALUE - sizeof(struct header))

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2); // one for syscalls, which an exec may interrupt
	__type(key, u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); // set before loading
} ring SEC(".maps");

// An attempt is a connect to a local socket that is under way.
struct attempt {
	struct sock *sk; // that is to be connected
	u32 size;        // of the address
	u8 address[ADDRESS];
	u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32); // thread
	__type(value, struct attempt);
} attempts SEC(".maps");

struct count {
	u64 sent, lost;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, u32);
	__type(value, struct count);
} counts SEC(".maps");

// Clang would otherwise drop bounds that the verifier wants to see.
#define opaque(x) asm volatile("" : "+r"(x))

static __always_inline bool skip(struct task_struct *t)
{
	if (!filtered)
		return false;
	if (!bpf_core_field_exists(t->loginuid))
		return true;
	return BPF_CORE_READ(t, loginuid.val) != filter_loginuid;
}

static __always_inline struct scratch *get(u32 which)
{
	return bpf_map_lookup_elem(&scratch, &which);
}

static __always_inline u64 started(struct task_struct *t)
{
	struct task_struct *leader = BPF_CORE_READ(t, group_leader);

	if (bpf_core_field_exists(t->start_boottime))
		return BPF_CORE_READ(leader, start_boottime);
	return BPF_CORE_READ((struct task_struct___old *)leader, real_start_time);
}

static __always_inline u32 number(struct pid *p)
{
	return BPF_CORE_READ(p, numbers[0].nr);
}

// about fills the header with what is said of every process.
static __always_inline void about(struct header *h, struct task_struct *t, u32 kind)
{
	struct task_struct *parent = BPF_CORE_READ(t, real_parent);
	const struct cred *cred = BPF_CORE_READ(t, cred);
	struct nsproxy *ns = BPF_CORE_READ(t, nsproxy);
	struct signal_struct *sig = BPF_CORE_READ(t, signal);
	struct pid *pid = BPF_CORE_READ(t, thread_pid);
	struct tty_struct *tty;

	__builtin_memset(h, 0, sizeof(*h));
	h->time = bpf_ktime_get_boot_ns();
	h->start = started(t);
	h->parent_start = started(parent);
	h->kind = kind;
	h->pid = BPF_CORE_READ(t, tgid);
	h->tid = BPF_CORE_READ(t, pid);
	h->ppid = BPF_CORE_READ(parent, tgid);
	h->uid = BPF_CORE_READ(cred, uid.val);
	h->euid = BPF_CORE_READ(cred, euid.val);
	h->suid = BPF_CORE_READ(cred, suid.val);
	h->gid = BPF_CORE_READ(cred, gid.val);
	h->egid = BPF_CORE_READ(cred, egid.val);
	bpf_core_read(&h->caps, sizeof(h->caps), &cred->cap_effective);
	h->ns_user = BPF_CORE_READ(cred, user_ns, ns.inum);
	h->ns_mnt = BPF_CORE_READ(ns, mnt_ns, ns.inum);
	h->ns_net = BPF_CORE_READ(ns, net_ns, ns.inum);
	if (pid) {
		u32 level = BPF_CORE_READ(pid, level);
		struct upid *first = __builtin_preserve_access_index(&pid->numbers[0]);
		struct upid *own = (void *)first + (level & 63) * bpf_core_type_size(struct upid);

		h->nspid = BPF_CORE_READ(own, nr);
		h->ns_pid = BPF_CORE_READ(own, ns, ns.inum);
	}
	h->pgid = number(BPF_CORE_READ(sig, pids[2]));
	h->sid = number(BPF_CORE_READ(sig, pids[3]));
	tty = BPF_CORE_READ(sig, tty);
	if (tty) {
		u32 major = BPF_CORE_READ(tty, driver, major);
		u32 minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);

		h->tty = major << 20 | (minor & 0xfffff);
	}
	if (bpf_core_field_exists(t->loginuid)) {
		h->loginuid = BPF_CORE_READ(t, loginuid.val);
		h->session = BPF_CORE_READ(t, sessionid);
	} else {
		h->flags |= NO_LOGIN;
	}
	BPF_CORE_READ_STR_INTO(&h->comm, t, comm);
	BPF_CORE_READ_STR_INTO(&h->parent_comm, parent, comm);
}

// put appends a text with its NUL and reports whether there was room. How much
// there is so far stands in memory, where the verifier does not follow it: it
// would otherwise look at every sum of lengths.
static __always_inline bool put(struct scratch *s, const void *text)
{
	u32 off = s->h.off;
	long n;

	if (off > DATA - NAME)
		return false;
	n = bpf_probe_read_kernel_str(&s->data[off], NAME, text);
	if (n < 1 || n > NAME)
		return false;
	s->h.off = off + n;
	return true;
}

enum { CUT = 1, DETACHED = 2 };

// put_path appends the names of a path, leaf first, up to the root of its mounts.
// A path whose mount nobody has is walked to the root of its file system. It is a
// function of its own to the verifier, which so looks at it once.
__noinline u32 put_path(u32 which, u64 dentry, u64 vfsmount)
{
	struct scratch *s = get(which);
	struct dentry *d = (void *)dentry;
	struct vfsmount *v = (void *)vfsmount;
	struct mount *m = (void *)v - bpf_core_field_offset(struct mount, mnt);
	struct dentry *root = BPF_CORE_READ(v, mnt_root);
	u64 ns = (u64)BPF_CORE_READ(m, mnt_ns);
	u32 how = 0;

	if (!s)
		return CUT;
	if (ns == 0 || ns >= (u64)-4095) {
		root = 0;
		how = DETACHED;
	}
	for (int i = 0; i < PARTS; i++) {
		struct dentry *up;

		if (d == root) {
			struct mount *below = BPF_CORE_READ(m, mnt_parent);

			if (below == m || !below)
				return how;
			d = BPF_CORE_READ(m, mnt_mountpoint);
			m = below;
			root = BPF_CORE_READ(m, mnt.mnt_root);
			continue;
		}
		up = BPF_CORE_READ(d, d_parent);
		if (up == d && i > 0)
			return how;
		if (!put(s, BPF_CORE_READ(d, d_name.name)))
			break;
		if (up == d) // a file without a directory: memfd
			return how;
		d = up;
	}
	return how | CUT;
}

__noinline u32 put_cgroup(u32 which, u64 task)
{
	struct scratch *s = get(which);
	struct task_struct *t = (void *)task;
	struct css_set *set = BPF_CORE_READ(t, cgroups);
	struct cgroup *c = BPF_CORE_READ(set, dfl_cgrp);
	struct kernfs_node *kn;

	if (!s)
		return CUT;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		// Version 1 has a tree for each controller; that of pids is where runtimes
		// put a container. Version 2 has one tree, in which the controller may be
		// off further down.
		u64 id = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
		struct cgroup_subsys_state **first = __builtin_preserve_access_index(&set->subsys[0]);
		struct cgroup_subsys_state *css;
		struct cgroup *pids;

		bpf_probe_read_kernel(&css, sizeof(css), first + (id & 31));
		pids = BPF_CORE_READ(css, cgroup);
		if (pids && BPF_CORE_READ(pids, root) != BPF_CORE_READ(c, root))
			c = pids;
	}
	kn = BPF_CORE_READ(c, kn);
	for (int i = 0; i < PARTS; i++) {
		struct kernfs_node *up;

		if (bpf_core_field_exists(kn->__parent))
			up = BPF_CORE_READ(kn, __parent);
		else
			up = BPF_CORE_READ((struct kernfs_node___old *)kn, parent);
		if (!up)
			return 0;
		if (!put(s, BPF_CORE_READ(kn, name)))
			break;
		kn = up;
	}
	return CUT;
}

enum {
	NO_WAKEUP = 1 << 0, // BPF_RB_NO_WAKEUP
	FORCE_WAKEUP = 1 << 1,
	AVAIL_DATA = 0,
};

#define FEW 8192
#define MANY 12288

// wakeup says whether a record wakes the reader, which costs more than the record.
// Execs and connects do; forks, ends and pieces of arguments wait for those, for
// FEW bytes, or for the reader's next look. With MANY bytes unread the reader has
// been woken and is on its way.
static __always_inline u64 wakeup(u32 kind)
{
	u64 unread = bpf_ringbuf_query(&ring, AVAIL_DATA);

	if (unread >= MANY)
		return kind == EXEC || kind == CONNECT ? 0 : NO_WAKEUP;
	if (kind == EXEC || kind == CONNECT || unread >= FEW)
		return FORCE_WAKEUP;
	return NO_WAKEUP;
}

static __always_inline void send(struct scratch *s, u32 kind)
{
	struct count *c = bpf_map_lookup_elem(&counts, &kind);
	u64 size = sizeof(struct header) + s->h.off;

	if (!c)
		return;
	opaque(size);
	if (size > VALUE)
		size = VALUE;
	if (bpf_ringbuf_output(&ring, s, size, wakeup(kind)) < 0)
		c->lost++;
	else
		c->sent++;
}

static __always_inline void file(struct header *h, struct file *f)
{
	struct inode *i = BPF_CORE_READ(f, f_inode);

	h->ino = BPF_CORE_READ(i, i_ino);
	h->size = BPF_CORE_READ(i, i_size);
	h->dev = BPF_CORE_READ(i, i_sb, s_dev);
	if (BPF_CORE_READ(i, i_nlink) == 0)
		h->flags |= EXE_DELETED;
	if (bpf_core_field_exists(i->i_ctime_sec)) {
		// The highest bit of the nanoseconds says that somebody has asked.
		h->ctime = BPF_CORE_READ(i, i_ctime_sec) * 1000000000 + (BPF_CORE_READ(i, i_ctime_nsec) & 0x7fffffff);
	} else if (bpf_core_field_exists(((struct inode___6_6 *)i)->__i_ctime)) {
		struct inode___6_6 *o = (void *)i;

		h->ctime = BPF_CORE_READ(o, __i_ctime.tv_sec) * 1000000000 + BPF_CORE_READ(o, __i_ctime.tv_nsec);
	} else {
		struct inode___old *o = (void *)i;

		h->ctime = BPF_CORE_READ(o, i_ctime.tv_sec) * 1000000000 + BPF_CORE_READ(o, i_ctime.tv_nsec);
	}
}

// put_piece sends at most ARGS bytes of the arguments of an exec that has more than
// fit into its record, and returns how many. argc is the number of the piece.
__noinline u32 put_piece(u32 i, u64 from, u64 n)
{
	struct scratch *s = get(0);

	if (!s)
		return 0;
	if (n > ARGS)
		n = ARGS;
	opaque(n);
	if (n > ARGS)
		n = ARGS;
	if (bpf_probe_read_user(s->data, n, (void *)from) < 0)
		return 0;
	s->h.argc = i;
	s->h.off = n;
	s->h.len[P_ARGS] = n;
	send(s, MORE);
	return n;
}

static __always_inline void pieces(struct scratch *s, u64 from, u64 n)
{
	u32 argc = s->h.argc;

	s->h.kind = MORE;
	for (u32 i = 0; i < PIECES; i++) {
		u32 sent = put_piece(i, from + (u64)i * ARGS, n - (u64)i * ARGS);

		if (sent < ARGS)
			break;
		if (n <= (u64)(i + 1) * ARGS)
			break;
	}
	s->h.kind = EXEC;
	s->h.argc = argc;
	s->h.off = 0;
}

static __always_inline u32 path(struct scratch *s, u32 which, struct path *p, u32 part)
{
	u32 last = s->h.off;
	u32 how = put_path(which, (u64)BPF_CORE_READ(p, dentry), (u64)BPF_CORE_READ(p, mnt));

	s->h.len[part] = s->h.off - last;
	return how;
}

static __always_inline int on_exec(struct task_struct *t, struct linux_binprm *bprm)
{
	struct scratch *s;
	struct header *h;
	struct file *f;
	struct fs_struct *fs;
	struct mm_struct *mm;
	u64 from, n;
	u32 last, how;

	if (skip(t))
		return 0;
	s = get(0);
	if (!s)
		return 0;
	h = &s->h;
	about(h, t, EXEC);

	mm = BPF_CORE_READ(t, mm);
	from = BPF_CORE_READ(mm, arg_start);
	n = BPF_CORE_READ(mm, arg_end) - from;
	h->argc = BPF_CORE_READ(bprm, argc);
	h->args_size = n;
	if (n > ARGS) {
		pieces(s, from, n);
		n = ARGS;
		h->flags |= ARGS_CUT;
	}
	opaque(n);
	if (n > ARGS)
		n = ARGS;
	if (bpf_probe_read_user(s->data, n, (void *)from) < 0)
		h->flags |= ARGS_FAULT;
	else
		h->off = n;
	h->len[P_ARGS] = h->off;

	f = BPF_CORE_READ(bprm, file);
	file(h, f);
	how = path(s, 0, &f->f_path, P_EXE);
	if (how & CUT)
		h->flags |= EXE_CUT;
	if (how & DETACHED)
		h->flags |= EXE_DETACHED;

	f = BPF_CORE_READ(t, real_parent, mm, exe_file);
	if (f) {
		how = path(s, 0, &f->f_path, P_PARENT);
		if (how & CUT)
			h->flags |= PARENT_CUT;
		if (how & DETACHED)
			h->flags |= PARENT_DETACHED;
	} else {
		h->flags |= NO_MM;
	}

	fs = BPF_CORE_READ(t, fs);
	how = path(s, 0, &fs->pwd, P_CWD);
	if (how & CUT)
		h->flags |= CWD_CUT;
	if (how & DETACHED)
		h->flags |= CWD_DETACHED;

	last = h->off;
	if (put_cgroup(0, (u64)t))
		h->flags |= CGROUP_CUT;
	h->len[P_CGROUP] = h->off - last;

	last = h->off;
	if (last <= DATA - LINE) {
		long got = bpf_probe_read_kernel_str(&s->data[last], LINE, BPF_CORE_READ(bprm, filename));

		if (got > 0) {
			h->len[P_FILENAME] = got;
			h->off = last + got;
		}
	}
	send(s, EXEC);
	return 0;
}

static __always_inline int on_fork(struct task_struct *child)
{
	struct scratch *s;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid) || skip(child))
		return 0;
	s = get(0);
	if (!s)
		return 0;
	about(&s->h, child, FORK);
	send(s, FORK);
	return 0;
}

static __always_inline int on_exit(struct task_struct *t)
{
	struct scratch *s;
	u32 code;

	// Threads that end at the same moment may both be the last: user space
	// drops the second.
	if (BPF_CORE_READ(t, signal, live.counter) != 0 || skip(t))
		return 0;
	s = get(0);
	if (!s)
		return 0;
	about(&s->h, t, EXIT);
	code = BPF_CORE_READ(t, signal, group_exit_code);
	s->h.exit_code = code ? code : BPF_CORE_READ(t, exit_code);
	send(s, EXIT);
	return 0;
}

// local returns the local socket that a descriptor is, or 0.
static __always_inline struct sock *local(struct task_struct *t, u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(t, files, fdt);
	struct file **files, *f = 0;
	struct socket *sock;
	struct sock *sk;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&f, sizeof(f), files + fd);
	if (!f || (BPF_CORE_READ(f, f_inode, i_mode) & 0170000) != 0140000)
		return 0;
	sock = BPF_CORE_READ(f, private_data);
	sk = BPF_CORE_READ(sock, sk);
	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_family) != 1)
		return 0;
	return sk;
}

// connecting fills in what is known of every attempt. The address is in s->data.
static __always_inline void connecting(struct scratch *s, struct task_struct *t, u32 n)
{
	s->h.len[P_ADDRESS] = n;
	if (s->data[0] == 1 && s->data[1] == 0 && s->data[2] != 0 && s->data[2] != '/') {
		struct fs_struct *fs = BPF_CORE_READ(t, fs);
		u32 how = path(s, 1, &fs->pwd, P_CWD); // of a relative name

		if (how & CUT)
			s->h.flags |= CWD_CUT;
		if (how & DETACHED)
			s->h.flags |= CWD_DETACHED;
	}
}

static __always_inline int on_connect(u32 fd, const void *addr, u64 n)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct scratch *s;
	u16 family = 0;

	if (n < 4 || skip(t))
		return 0;
	if (bpf_probe_read_user(&family, sizeof(family), addr) < 0)
		return 0;
	if (family != 1 && family != 2 && family != 10)
		return 0;
	if (n > ADDRESS)
		n = ADDRESS;
	opaque(n);
	if (n > ADDRESS)
		n = ADDRESS;
	if (family == 1 && sockets) {
		// The socket is looked up before the address is read, which another thread
		// can hold up: what answers is found by it.
		struct attempt a = { .sk = local(t, fd), .size = n };
		u32 tid = BPF_CORE_READ(t, pid);

		if (a.sk && bpf_probe_read_user(a.address, n, addr) == 0 && bpf_map_update_elem(&attempts, &tid, &a, 0) == 0)
			return 0;
	}
	s = get(1);
	if (!s)
		return 0;
	if (bpf_probe_read_user(s->data, n, addr) < 0)
		return 0;
	about(&s->h, t, CONNECT);
	s->h.off = ADDRESS;
	connecting(s, t, n);
	send(s, CONNECT);
	return 0;
}

// owner says who listens on the socket that sk has been connected to: whoever called
// listen(2), or bind(2) for systemd's children.
static __always_inline void owner(struct scratch *s, struct sock *sk)
{
	struct pid *pid = BPF_CORE_READ(sk, sk_peer_pid);
	struct hlist_node *first;
	struct task_struct *t;
	struct file *f;

	if (!pid)
		return;
	s->h.owner = number(pid);
	s->h.owner_uid = BPF_CORE_READ(sk, sk_peer_cred, uid.val);
	bpf_core_read(&first, sizeof(first), &pid->tasks[0]);
	if (!first)
		return; // it has ended, and the socket was handed on
	t = (void *)first - bpf_core_field_offset(struct task_struct, pid_links);
	f = BPF_CORE_READ(t, mm, exe_file);
	if (f && path(s, 1, &f->f_path, P_PARENT))
		s->h.flags |= OWNER_CUT;
}

// on_connected tells of a connect to a local socket when it has ended: of the one that
// answers, whatever names led to it.
static __always_inline int on_connected(s32 result)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	u32 tid = BPF_CORE_READ(t, pid);
	struct attempt *a = bpf_map_lookup_elem(&attempts, &tid);
	struct unix_sock *peer = 0;
	struct scratch *s;
	struct sock *sk;

	if (!a)
		return 0;
	sk = a->sk;
	s = get(1);
	if (!s)
		return 0;
	__builtin_memcpy(s->data, a->address, ADDRESS);
	about(&s->h, t, CONNECT);
	s->h.flags |= REACHED;
	s->h.result = result;
	s->h.off = ADDRESS;
	// What has been closed meanwhile by another thread is no local socket, or has no peer.
	if (result == 0 && BPF_CORE_READ(sk, __sk_common.skc_family) == 1)
		peer = (void *)BPF_CORE_READ((struct unix_sock *)sk, peer);
	if (peer && BPF_CORE_READ((struct sock *)peer, __sk_common.skc_family) == 1) {
		struct dentry *d = BPF_CORE_READ(peer, path.dentry);

		if (d) { // abstract sockets have none
			struct inode *i = BPF_CORE_READ(d, d_inode);
			u32 how = path(s, 1, __builtin_preserve_access_index(&peer->path), P_EXE);

			if (how & CUT)
				s->h.flags |= SOCKET_CUT;
			if (how & DETACHED)
				s->h.flags |= SOCKET_DETACHED;
			s->h.ino = BPF_CORE_READ(i, i_ino);
			s->h.dev = BPF_CORE_READ(i, i_sb, s_dev);
		}
		owner(s, sk);
	}
	connecting(s, t, a->size);
	bpf_map_delete_elem(&attempts, &tid);
	send(s, CONNECT);
	return 0;
}

// With the kernel's own types, where it lets us.

SEC("tp_btf/sched_process_exec")
int btf_exec(u64 *ctx)
{
	// The current task, since put_path takes no typed pointers.
	return on_exec((void *)bpf_get_current_task(), (void *)ctx[2]);
}

SEC("tp_btf/sched_process_fork")
int btf_fork(u64 *ctx)
{
	return on_fork((void *)ctx[1]);
}

SEC("tp_btf/sched_process_exit")
int btf_exit(u64 *ctx)
{
	return on_exit((void *)ctx[0]);
}

// The same where it does not.

SEC("raw_tp/sched_process_exec")
int raw_exec(struct bpf_raw_tracepoint_args *ctx)
{
	return on_exec((void *)ctx->args[0], (void *)ctx->args[2]);
}

SEC("raw_tp/sched_process_fork")
int raw_fork(struct bpf_raw_tracepoint_args *ctx)
{
	return on_fork((void *)ctx->args[1]);
}

SEC("raw_tp/sched_process_exit")
int raw_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return on_exit((void *)ctx->args[0]);
}

struct sys_enter {
	u64 common;
	u64 nr; // an int and its padding
	u64 args[6];
};

SEC("tracepoint/syscalls/sys_enter_connect")
int enter_connect(struct sys_enter *ctx)
{
	return on_connect(ctx->args[0], (void *)ctx->args[1], ctx->args[2]);
}

struct sys_exit {
	u64 common;
	u64 nr;
	s64 result;
};

SEC("tracepoint/syscalls/sys_exit_connect")
int exit_connect(struct sys_exit *ctx)
{
	return on_connected(ctx->result);
}
