// Package audit reads the records of the Linux audit system and puts them
// together into events, as ECS documents.
//
// It reads what auditd writes (raw and ENRICHED), what ausearch --raw prints,
// what a netlink reader gets, and the kernel's lines in syslog. The records of
// an event may be interleaved with others, out of order, twice, or missing;
// a command line of any length comes out with all its arguments:
//
//	r := audit.New(in, source.Options{Schema: schema})
//	err := r.Run(ctx, func(e *event.Event) error { … })
//
// Live, it listens to the kernel itself ([Listen]), follows the log that auditd writes
// ([OpenTail]), or reads what auditd sends to a plugin ([NewStream]). These begin with the
// processes that are there already, and add what only the host knows: its name, those of
// its users (as auditd does: also for processes in containers), and of a program that has
// just started what /proc still shows: start, session, cgroup, and entity ids.
//
// A document has the shape of Elastic's Auditd Manager, with three differences.
// process.name is the base name of the executable, not the kernel's 15 bytes of
// it (those are auditd.data.comm). A failed exec is not the start of a process
// but event.type info. And what could not be had whole says so, in
// orlop.evidence.truncated. A connect to a local socket has the socket's file in
// orlop.socket.inode and orlop.socket.device.
package audit
