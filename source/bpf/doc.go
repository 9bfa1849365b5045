// Package bpf is the live source: what the kernel says of exec, fork, exit and
// connect, through programs that it runs for us.
//
//	s, err := bpf.Open(bpf.Options{Options: source.Options{Schema: schema}})
//	err = s.Run(ctx, emit)
//
// The programs hang on tracepoints and never make anybody wait: what does not fit
// into the ring buffer is dropped and counted exactly ([Stats]). src has their C; the
// object that `make bpf` compiles from it is committed and embedded, and finds its
// way in any kernel with BTF (5.8 or later), on amd64 and arm64.
//
// # Events
//
// Run first emits an existing_process for every process that /proc shows, then what
// happens. Documents have the form of Elastic Defend's where that has one:
//
//	event.action   event.category  event.type
//	existing_process  process      info
//	exec              process      start             the whole program, see below
//	fork              process      start             a new process, not a thread; the program is its parent's
//	end               process      end               process.exit_code
//	connected-to      network      connection,start  an attempt: destination.path, or .ip and .port
//	                                                 (of a local socket how it ended: event.outcome)
//
// An exec has its arguments (up to 2 MiB; what is missing is told by orlop.evidence.truncated and
// process.Ext.command_line_truncated), the paths of the program, of its parent and of
// the working directory as the process's own mounts show them, walked in the kernel,
// credentials, the cgroup, and process.entity_id, which is the same after a restart of
// the sensor. user.name is left out where a mount namespace has users of its own.
//
//	orlop.process.filename  what exec was asked for: for a script, the script
//	orlop.process.comm      the kernel's name of the task
//	orlop.process.deleted   no directory has the program's file any more
//	orlop.process.detached  no mount has it, so that it has no path: memfd, open_tree
//	orlop.socket.listener   path of the socket's file that a connect has reached, whatever
//	                        links, mounts and working directory led there
//	orlop.socket.inode, .device  the file, as 12345 and major:minor
//	orlop.socket.owner.*    pid, user.id and executable of the process that listens
//	orlop.namespace.*       inode numbers of the pid, mnt, net and user namespaces
//	orlop.container.record  of a program in a container, what its runtime has on record:
//	                        cri, if the CRI made it, or other; then also orchestrator.*,
//	                        container.name, container.image.name and
//	                        orlop.container.pod_uid. The record is that of the container
//	                        whose first program has the same mount namespace; where the
//	                        cgroup does not name it, container.id does
//	orlop.runtime.content_tool
//	                        the container runtime client that the program is by its
//	                        content, whatever its name: Go's build information, or the
//	                        names of source files where that was removed; or nsenter, by what it
//	                        prints
//	orlop.runtime.content_main
//	                        of a program that is called like such a client and is another
//	                        one, its main package, as Go's build information has it
//	process.env_vars        of such a client, the variables that it takes settings from
//
// A connect to a local socket is told when it ends. Which socket has answered is read
// from the kernel's own; a thread that closes it at that very moment can leave it
// unknown. A connect by io_uring or by a 32-bit program is not seen.
package bpf
