// Package runtimecli says what a container runtime command line means.
//
// [Parse] takes the executable, arguments and environment of a process and
// returns the tool, the command, what it does and what it reaches of the host,
// read by the tool's own grammar: "ctr t exec", "nerdctl -nk8s.io run
// -itv/:/host", CONTAINERD_ADDRESS=… and "sh -c 'sudo k3s ctr …'" are what they
// are, and so is a copy of ctr named kworker where its arguments leave no doubt.
// It knows ctr, crictl, nerdctl, docker (with Compose), podman, buildah, runc, crun,
// youki, kata-runtime and kata-ctl, incus, lxc and the tools of LXC, systemd-nspawn,
// machinectl, toolbox, distrobox and minikube; nsenter with a target; and curl, socat
// and nc on a runtime's socket. kubectl goes through the API and is none of them.
//
// Parse looks only at the line. The Go build information of a binary
// ([ToolOfBuildInfo]) and the socket it talks to ([Socket]) say more; a caller
// that knows the tool from there passes it in Command.Tool.
//
// # Values
//
// All values are stable and lower case, but for names of capabilities and what
// is copied from the line (paths, ids, images).
//
// Call.IdentifiedBy is how the tool was known:
//
//	content   Command.Tool said so
//	name      the executable, or the word after a wrapper
//	argv0     the first argument, the executable being something else (k3s)
//	comm      the kernel's name of the task
//	launcher  a subcommand of k3s, rke2, k0s, microk8s or lima
//	grammar   the arguments alone
//
// Call.Behaviours begins with the one class of the command:
//
//	container-run       makes and starts a container, or several
//	container-create    makes one
//	container-start     starts one
//	container-restart   stops one and starts it again
//	container-exec      runs a command in one
//	pod-create          makes a pod sandbox
//	attach              connects to the terminal or streams of one
//	copy                copies files into or out of one
//	restore, checkpoint writes a container's memory to disk, or starts one from it
//	container-update    changes limits, names or labels of one
//	health-check        runs the command that was given to one for this when it was made
//	container-pause, container-resume
//	container-stop, task-kill, pod-stop
//	container-delete, pod-delete, checkpoint-delete
//	container-mount, container-unmount, image-mount, image-unmount
//	container-export    writes a container's files to a tar
//	image-pull, image-push, image-import, image-export, image-delete
//	image-build, image-commit, image-tag, build-cache-delete
//	snapshot-mount, snapshot-prepare, snapshot-commit, snapshot-update, snapshot-export, snapshot-delete
//	content-fetch, content-write, content-delete
//	lease-create, lease-delete, namespace-create, namespace-update, namespace-delete
//	shim-start, shim-delete
//	host-install        unpacks binaries of an image onto the host
//	namespace-enter     nsenter into the namespaces of another process; chroot, unshare
//	                    --root and the like to its root, or to a container's; code that does either
//	socket-client       a general client on a runtime's socket
//	volume, volume-delete, network, port-forward
//	read                lists, inspects, follows logs or events
//	login, config, secret, trust, plugin, apparmor, swarm, machine, daemon, hook, unshare, debug, help
//	unknown             no version that we know has this command
//
// and may go on with
//
//	host-mount          a path of the host's system is mounted, see mount: below
//	image-pull          the command pulls what is missing (crictl run, compose up)
//	image-delete        system prune
//
// and, for a socket-client, with the class of the API call where the line shows it, and
//
//	container-read      if that is read, and of a container, or of what the line does not show in full
//
// Call.HostAccess is what the command reaches of the host:
//
//	privileged                  all capabilities and devices
//	privileged-without-host-devices
//	host-net, host-pid, host-ipc, host-uts, host-user, host-mnt, cgroup-host, host-time
//	                            the namespace is the host's
//	container-net:ID, container-pid:ID, container-ipc:ID
//	                            the namespace is another container's
//	namespace:TYPE:PATH         the namespace is the one at PATH
//	sandbox:ID                  all namespaces of that pod (ctr --sandbox)
//	mount:PATH                  a directory of the host's system, not one of data
//	volumes-from:ID             the mounts of another container
//	device:PATH                 a device, or a CDI name
//	device-cgroup:RULE
//	cap:NAME                    a capability, as SYS_ADMIN; cap:ALL
//	seccomp-unconfined, apparmor-unconfined, selinux-disabled, systempaths-unconfined
//	allow-new-privs
//	rootfs:PATH                 a directory of the host is the container's root
//	spec-file:PATH              an OCI specification decides (ctr --config, runc --bundle)
//	log-uri-binary:PATH         a program of the host is started to take the log
//	runtime:PATH                a program of the host is the runtime
//	runtime-config:PATH         the runtime's configuration is replaced
//	hooks-dir:PATH              programs of the host are run as hooks
//	mount-propagation:MODE      mounts of the container appear on the host
//	api-socket                  the runtime's own socket (docker --use-api-socket)
//
// A bind of data (/srv, /mnt, /data, /home/user/project, /tmp, /var/tmp, …) is
// listed in Call.Mounts alone.
//
// Call.Image, and the images of Call.More, are whole references where the tool is one
// that completes them as Docker does: docker.io/library/nginx:latest; with a digest
// there is no tag. Of an image-import --base-name gives the repository alone.
//
// # Limits
//
// Of a general client's call to Docker's or Podman's HTTP API the body is read as far
// as its line has it, 1 MiB, with Go's decoder, as both runtimes do. What is in a file
// is not (curl -d @FILE), and the Call is partial; nor is a message of gRPC.
//
// What a file says is not read: crictl's pod and container files, Compose files
// and OCI specifications are named in Call.Files, and a Call of Compose that makes
// containers is partial. Variables of a shell script that neither it nor the
// environment sets stay as written, and make the Call partial. What runs elsewhere (ssh HOST ctr …)
// or in the container (docker exec NODE ctr …) is not looked into; the latter is
// in Call.Payload. Where versions of a tool read a
// line differently, the reading that grants more is returned; grammar.go says
// how. Parse looks at 2^20 arguments, 64 KiB of a script and the first 4 KiB
// of a value.
package runtimecli
