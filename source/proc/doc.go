// Package proc is the live source of last resort: the kernel's proc connector says
// that a process forked, executed a program or ended, and the rest is what /proc still
// shows of it.
//
//	s, err := proc.Open(proc.Options{Options: source.Options{Schema: schema}})
//	err = s.Run(ctx, emit)
//
// It needs CAP_NET_ADMIN, in the host's namespaces, and nothing of the kernel that any
// of the last twenty years lacks. Run first emits an existing_process for every process
// that /proc shows, then:
//
//	event.action  event.type
//	fork          start
//	exec          start
//	end           end         process.exit_code
//
// Each has the parent, process.entity_id and the login uid, as far as /proc showed them
// while the process lived. A fork has the name and session of the new process, too, and an
// exec all that an existing_process has.
//
// The kernel says only the pid of an exec. Program and arguments are read from /proc
// after it, so they are those of a later exec if one came soon, and of a short process
// nothing is left: every exec is marked orlop.evidence.truncated. Connects are not seen.
// What nobody read in time is counted exactly.
package proc
