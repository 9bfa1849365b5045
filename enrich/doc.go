// Package enrich gives every source's events one shape, from a table of the
// processes that the stream has shown.
//
// Kernel audit says which pid ran what and which pid was its parent, and no
// more; Elastic's rules ask for the parent's executable, the command line, the
// entity ids and the container. An [Enricher] remembers what each process was
// and fills what a document lacks:
//
//	process.parent.{pid,executable,name,args,args_count,command_line,entity_id,start}
//	process.{command_line,args_count,entity_id,name}
//	process.executable      of events that are not an exec
//	process.session_leader.{executable,name,args,args_count,command_line,entity_id,start,same_as_process}
//	                        if the source states process.session_leader.pid
//	process.entry_leader.{pid,executable,name,args,args_count,command_line,entity_id,start,same_as_process}
//	                        then too: the session's leader by which it came to run,
//	                        and entry_meta.type says how: init, sshd, ssm, teleport,
//	                        container, console, terminal, kthread
//	process.Ext.ancestry    entity ids, nearest first, at most 20
//	container.id
//
//	orlop.runtime.*         of a process that is a container runtime's client:
//	                        what its command line means, see runtimecli.Call
//	                        Without process.args it is read from the words of
//	                        process.command_line, and partial
//	orlop.runtime.removed   of a removal, the containers that a client entered in the last
//	                        hour and that are removed, as they were named then: by the
//	                        same name or a part of the same id, with its pod, with all
//	                        there are, or, by prune, once a client has stopped them. Pod
//	                        and id are known if the stream has shown the shim and what it
//	                        ran for the visit
//	orlop.process.ancestor  of these, of connects to a runtime's socket and of what reads
//	                        secrets: the programs above, nearest first. Of an orphan whose
//	                        fork was shown, also those above its first parent
//	                        (a live source may state orlop.runtime.content_tool,
//	                        the tool that the program's own content names, and
//	                        content_main, the main package of one that has the name of a
//	                        client and is none: a connect of that process has it too)
//	orlop.secret.*          of a process whose command line names a pod's token or secret,
//	                        or a container's file of keys, and that is no program
//	                        which looks at names alone: kind, path, pod_uid, view and
//	                        again; see secret.go
//
//	orlop.socket.*          of a client and of a connect: the runtime's socket: path as it
//	                        was given, runtime, confidence (exact, likely, guess) and
//	                        identified_by. A source may state listener, the path of the
//	                        file that was reached; owner.executable, who listens;
//	                        inode and device of the file. Any of these is surer than path.
//
//	orlop.container.*       of a process in a container: made_by (kubernetes, other),
//	                        namespace (containerd's), announced (a client's command line
//	                        has asked for it, and for no more than it says, while the
//	                        client runs, or in the last five minutes where its end is
//	                        not seen); of one that came in
//	                        from outside: entry (init, exec), exec_id, entered_by (cri,
//	                        runtime, namespaces). Which runtime is by the form of exec_id:
//	                        cri is one of 64 hexadecimal digits that no client's command
//	                        line was seen to give. Who came by namespaces has taken the
//	                        container's mount namespace without a runtime. Of one that
//	                        takes that of who made its container, instead of the
//	                        container's: left. A live source may state record (cri,
//	                        other), what the runtime has on record, pod_uid, and
//	                        orlop.namespace.mnt, which these two are known by
//	orlop.container.repeated  of an exec of the CRI without a request: how often its
//	                        command was run there before, in the last ten minutes
//	orlop.container.periodic  of the same: it was run for a quarter of a minute or more,
//	                        and twice before at one distance of a second or more, as
//	                        probes are
//	orlop.kubernetes.exec   of an exec of the CRI and of a pods/exec request in the API's
//	                        audit log: what the two have in common. A request accounts
//	                        for one process.
//	orlop.kubernetes.requested, joined_by (container, pod, names, command), unjoined
//	                        (pod, forgotten)  of the process: that a request came before
//	                        it, how it is known to be its, why it cannot be told
//	orlop.kubernetes.user.name  of the same: who asked, as the API knows them
//	orlop.kubernetes.behind  of the process, if it has none: requests have come behind their execs
//	orlop.kubernetes.audited  of such a process: the stream has the API's audit log
//	orlop.host.kubernetes   the host has shown a kubelet or a pod's cgroup
//
// Everything is filled with [event.Event.Set], so the event lists it as
// derived. What a source said is never replaced, and what cannot be known is
// left out: a wrong parent is worse than none. A process.parent.pid is only
// filled from the old name process.ppid, a process.session_leader.pid never.
//
// # Who is who
//
// A pid names a process only until it is given out again. An entry of the table
// answers for pid P at the time of an event unless one of these rules says no.
// Each has a file in testdata that shows it.
//
//   - decisive: process.entity_id, process.start, process.parent.entity_id or
//     process.parent.start of a source that differs from the entry's says it is
//     another process, one that agrees that it is the same, and no other rule is
//     asked. Starts agree within 10 ms.
//   - fork: a fork makes a new process, with its parent's program.
//   - exec: an exec of a known pid replaces the program, not the process: the
//     entity id stays. (Whether Elastic Defend's id stays is not documented; an
//     id that a source states is kept as stated.) A failed exec replaces nothing.
//   - exit: nothing is after its end. For 10 ms, events that were under way still
//     find it. Audit's exit (not exit_group) ends only a thread.
//   - order: an entry says nothing about the time before it was first shown, nor
//     its program about the time before the exec. Events of one pid may come up
//     to a second out of order if they agree with each other.
//   - reparent: a parent pid that changes is believed if the new parent is 1, an
//     ancestor, or a process of the same container; otherwise the pid was reused.
//   - session: audit session and login uid are inherited. If both sides state
//     one and it differs, and no LOGIN of either was shown, the pid was reused.
//   - program: an event that is not an exec but names another executable is of
//     another process, or its exec was lost.
//   - wrap: the kernel hands out pids in a circle. Starts that the stream shows
//     tell where it is; when it has come round to within 1,024 pids of an entry's
//     pid, that entry is not trusted, unless by a decisive field. That holds as
//     long as a start is shown for every thousand pids or so, and lets a
//     long-lived parent go once per lap on a host whose source tells no start
//     times: seed it again (event.action existing_process from /proc; Stats.Wraps
//     tells when). The end of the circle is taken to be 32,768 or, when a higher pid
//     was seen, 4,194,304. Pids below 300 are given out once, at boot.
//   - reboot: another host.boot.id, or pids that begin again while the end of the
//     circle was far, end every process of the host.
//   - age: an entry that no event touched for 24 hours is not trusted.
//   - contradiction: a document that names another process.parent.executable
//     than the entry's gets nothing from it.
//
// The host is host.id, else host.name, else the one unnamed host.
//
// # Entity ids
//
// The id of a process whose source has none is the first 12 bytes of
// SHA-256(host NUL pid NUL start) in base64 without padding, 16 characters, where
// start is process.start, else the time of the first event that showed the
// process, in nanoseconds since 1970. A replay gives the same ids.
//
// # Containers
//
// A container id comes, in this order, from container.id; from the cgroup path
// in process.cgroup, process.cgroup.path or orlop.cgroup, which may also say none;
// or from the runtime's own processes: a runc or crun command line names the
// container whose init and payload are its children, and the process that then
// appears below a containerd-shim is the payload of the runc that the shim has run
// in the last ten seconds. A shim's own -id serves only outside the CRI's namespace k8s.io, where
// it would be the pod, or if it is none that the CRI draws. Where two containers of one
// pod start at the same moment and no cgroup names them the answer is unknown.
// Everything a process of a container starts is in it.
//
// Whoever makes a container may choose its cgroup. Where the path names no container or
// another one than the runtime was told to start, the runtime is believed, the path is
// taken to be that container's, and it is no proof of a pod.
//
// # Limits
//
// Parents are those at the time of the event. An exec that the stream lost leaves
// the old program in the table until an event contradicts it. Runtimes are known by
// their file names. A container that crun makes below conmon, a hook of runc run,
// and a container whose runc the stream did not show are only told right by a
// cgroup. A container that was entered by its id and is removed by its name is not told to
// be the same: no process of Docker's or containerd's runtime has both on its command line.
// The table is bounded by number and
// bytes (see [Options]); the process touched longest ago goes first.
package enrich
