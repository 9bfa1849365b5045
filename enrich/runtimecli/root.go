package runtimecli

import (
	"path"
	"slices"
	"strings"
)

// rooted takes a wrapper that may change its root to a container's, as chroot and
// unshare --root do: that enters its files as nsenter does.
func (u *unwrapper) rooted(name string, args []string, depth int) {
	own := -1
	if root, rest := rootOf(name, args); root != "" {
		if call, ok := containerRoot(name, root, u.cwd); ok {
			call.Payload = rest
			own = u.itself(call)
		}
	}
	u.wrapper(name, args, depth)
	if own >= 0 {
		u.within(own)
	}
}

// rootOf returns the root that a wrapper gives to the rest of its line, and that rest.
func rootOf(name string, args []string) (root string, rest []string) {
	var short, long string
	switch name {
	case "chroot", "jchroot":
	case "unshare":
		short, long = "R", "root"
	case "sudo":
		short, long = "R", "chroot"
	case "start-stop-daemon":
		short, long = "r", "chroot"
	case "capsh", "firejail":
		long = "chroot"
	case "proot":
		short, long = "rRS", "rootfs"
	case "chpst":
		short = "/"
	case "systemd-run":
		short, long = "p", "property"
	case "bwrap":
		if i := slices.IndexFunc(args, func(a string) bool { return a == "--bind" || a == "--ro-bind" }); i >= 0 && i+2 < len(args) && args[i+2] == "/" {
			return args[i+1], afterBwrap(args)
		}
		return "", nil
	default:
		return "", nil
	}
	w := wrappers[name]
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' || a == "--" {
			if a == "--" {
				i++
			}
			rest = args[min(i, len(args)):]
			break
		}
		value, is := "", false
		if a[1] == '-' {
			opt, v, eq := strings.Cut(a[2:], "=")
			is = opt == long && long != ""
			value = v
			if !eq && (listed(w.long, opt) || is) && i+1 < len(args) {
				i++
				value = args[i]
			}
		} else {
			for j := 1; j < len(a); j++ {
				hit := strings.IndexByte(short, a[j]) >= 0
				if !hit && strings.IndexByte(w.short, a[j]) < 0 {
					continue
				}
				value, is = a[j+1:], hit
				if value == "" && i+1 < len(args) {
					i++
					value = args[i]
				}
				break
			}
		}
		if is && name == "systemd-run" {
			value, is = strings.CutPrefix(value, "RootDirectory=")
		}
		if is {
			root = value
		}
	}
	if short == "" && long == "" && len(rest) > 0 { // chroot
		root, rest = rest[0], rest[1:]
	}
	return root, rest
}

// containerRoot returns the call that a change of the root to dir is, if that is the root
// of another process, or of a container as its runtime has mounted it.
func containerRoot(tool, dir, cwd string) (c Call, ok bool) {
	if !strings.HasPrefix(dir, "/") {
		if cwd == "" {
			return c, false
		}
		dir = cwd + "/" + dir
	}
	dir = path.Clean(dir)
	if !leadsToRoot(dir) {
		return c, false // Fast path: it is neither.
	}
	c = Call{Tool: tool, IdentifiedBy: "name", Command: tool, Behaviours: []string{"namespace-enter"}, Entered: []string{"root"}}
	if pid := processOf(dir); pid != "" {
		_, below, _ := strings.Cut(dir[strings.LastIndex(dir, "/proc/")+len("/proc/"):], "/")
		if task, in, ok := strings.Cut(below, "/"); ok && task == "task" {
			_, below, _ = strings.Cut(in, "/")
		}
		link, _, _ := strings.Cut(below, "/")
		if pid == "self" || pid == "thread-self" || link != "root" && link != "cwd" {
			return Call{}, false
		}
		if c.Target = pid; pid == "1" {
			p := parser{call: c}
			p.grant(hostNamespace["mnt"], "")
			c = p.call
		}
		return c, true
	}
	parts := strings.Split(dir[1:], "/")
	for i := 2; i < len(parts); i++ {
		switch parts[i] {
		case "rootfs": // …/io.containerd.runtime.v2.task/NAMESPACE/ID/rootfs, /var/lib/lxc/NAME/rootfs
			if i > 2 && strings.HasPrefix(parts[i-3], "io.containerd.runtime.") {
				c.Namespace, c.Container = parts[i-2], parts[i-1]
				return c, true
			}
			if parts[i-2] == "lxc" {
				c.Container = parts[i-1]
				return c, true
			}
		case "merged": // …/overlay2/ID/merged, …/storage/overlay/ID/merged
			if strings.HasPrefix(parts[i-2], "overlay") || strings.HasPrefix(parts[i-2], "fuse-overlay") {
				return c, true
			}
		case "fs": // …/io.containerd.snapshotter.v1.overlayfs/snapshots/N/fs
			if parts[i-2] == "snapshots" {
				return c, true
			}
		}
	}
	return Call{}, false
}

// leadsToRoot reports whether a path, or code or a script that names one, may lead to the
// root of a container.
func leadsToRoot(s string) bool {
	return strings.IndexByte(s, '/') >= 0 && (strings.Contains(s, "/proc/") && (strings.Contains(s, "/root") || strings.Contains(s, "/cwd")) ||
		strings.Contains(s, "/rootfs") || strings.Contains(s, "/merged") || strings.Contains(s, "/snapshots/"))
}

// entersInCode returns the process whose root or namespaces code enters, by the calls that
// are named alike in all languages; "" if it enters none, "?" if it does not say whose.
func entersInCode(s string) (pid string) {
	root := strings.Contains(s, "chroot")
	ns := strings.Contains(s, "setns") || strings.Contains(s, "syscall")
	if !root && !ns {
		return ""
	}
	for rest := s; ; {
		i := strings.Index(rest, "/proc/")
		if i < 0 {
			break
		}
		rest = rest[i+len("/proc/"):]
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			break
		}
		after := rest[end:]
		if strings.HasPrefix(rest, "self") || strings.HasPrefix(rest, "thread-self") {
			continue
		}
		pid = rest[:end]
		if pid == "" {
			// '/proc/%d/root' % p, f'/proc/{p}/root', '/proc/'+p+'/root'
			pid = "?"
			if i := strings.Index(after[:min(len(after), 128)], "/"); i >= 0 {
				after = after[i:]
			}
		}
		if root && strings.HasPrefix(after, "/root") || ns && strings.HasPrefix(after, "/ns") {
			return pid
		}
	}
	if root && (strings.Contains(s, "/io.containerd.runtime.") && strings.Contains(s, "/rootfs") || strings.Contains(s, "/merged") && strings.Contains(s, "overlay")) {
		return "?"
	}
	return ""
}
