package runtimecli

import (
	"path"
	"slices"
	"strings"
)

// A role is what the value of a flag means to us.
type role uint8

const (
	_ role = iota
	roleAddress
	roleNamespace
	roleSnapshotter
	roleConfigFile
	roleRoot
	roleName
	roleFile
	roleSelector
	roleTarget // a name that stands for the argument
	roleImage
	roleRepository
	roleUnshare // what the command shares else
	// Booleans that grant; the last one given counts.
	rolePrivileged
	roleNoDevices
	roleNewPrivs
	roleNetHost
	roleRootfs
	roleAPISocket
	// Values that grant.
	roleNet
	rolePID
	roleIPC
	roleUTS
	roleUser
	roleCgroup
	roleWithNS
	roleVolume
	roleMount
	roleVolumeOpt
	roleDevice
	roleDeviceRule
	roleCap
	roleSecurity
	roleAppArmor
	roleLogURI
	roleRuntime
	roleRuntimeConfig
	roleVolumesFrom
	rolePropagation
	roleSandbox
	roleSpec
	roleHooks
	roleBind
	roleRootDir
	roleOption
	roleEntitlement
)

var roles = map[string]role{
	"address": roleAddress, "namespace": roleNamespace, "snapshotter": roleSnapshotter, "configfile": roleConfigFile,
	"root": roleRoot, "name": roleName, "file": roleFile, "selector": roleSelector, "target": roleTarget, "image": roleImage, "repository": roleRepository, "unshare": roleUnshare,
	"privileged": rolePrivileged, "nodevices": roleNoDevices, "newprivs": roleNewPrivs, "nethost": roleNetHost,
	"rootfs": roleRootfs, "apisocket": roleAPISocket,
	"net": roleNet, "pid": rolePID, "ipc": roleIPC, "uts": roleUTS, "userns": roleUser, "cgroupns": roleCgroup,
	"withns": roleWithNS, "volume": roleVolume, "mount": roleMount, "volumeopt": roleVolumeOpt, "device": roleDevice,
	"devicerule": roleDeviceRule, "cap": roleCap, "secopt": roleSecurity, "apparmor": roleAppArmor, "loguri": roleLogURI,
	"runtime": roleRuntime, "runtimeconfig": roleRuntimeConfig, "volumesfrom": roleVolumesFrom,
	"propagation": rolePropagation, "sandbox": roleSandbox, "spec": roleSpec, "hooks": roleHooks,
	"bind": roleBind, "rootdir": roleRootDir, "option": roleOption, "entitlement": roleEntitlement,
}

// The words of namespace flags: what sharing the host's is called, and the kind in namespace:KIND:PATH.
var hostNamespace = map[string]string{
	"net": "host-net", "network": "host-net", "pid": "host-pid", "ipc": "host-ipc", "uts": "host-uts", "user": "host-user",
	"mnt": "host-mnt", "mount": "host-mnt", "cgroup": "cgroup-host", "time": "host-time",
}

// maxAccess bounds what one line can put into an event.
const (
	maxAccess = 128
	maxValue  = 4096
)

func (p *parser) grant(prefix, value string) {
	if len(value) > maxValue {
		value, p.call.Confidence = value[:maxValue], Partial
	}
	s := prefix
	if value != "" {
		s = prefix + value
	}
	for _, h := range p.call.HostAccess {
		if h == s {
			return
		}
	}
	if len(p.call.HostAccess) >= maxAccess {
		p.call.Confidence = Partial
		return
	}
	p.call.HostAccess = append(p.call.HostAccess, s)
}

// access takes the value of a flag that grants something.
func (p *parser) access(r role, value string) {
	switch r {
	case roleNet:
		// Docker's long form: name=host,alias=…
		if i := strings.Index(value, "name="); i >= 0 && (i == 0 || value[i-1] == ',') {
			value, _, _ = strings.Cut(value[i+len("name="):], ",")
		}
		p.namespace("net", value)
	case rolePID:
		p.namespace("pid", value)
	case roleIPC:
		p.namespace("ipc", value)
	case roleUTS:
		p.namespace("uts", value)
	case roleUser:
		p.namespace("user", value)
	case roleCgroup:
		p.namespace("cgroup", value)
	case roleWithNS:
		if kind, at, ok := strings.Cut(value, ":"); ok {
			p.namespaceAt(kind, at)
		}
	case roleVolume:
		p.volume(value)
	case roleMount:
		p.mount(value)
	case roleVolumeOpt:
		// A local volume can be any directory: --opt type=none --opt o=bind --opt device=/
		for field := range strings.SplitSeq(value, ",") {
			if at, ok := strings.CutPrefix(field, "device="); ok && strings.HasPrefix(at, "/") {
				p.bind(at)
			}
		}
		p.overlay(strings.TrimPrefix(value, "o="))
	case roleDevice:
		at, _, _ := strings.Cut(value, ":")
		p.grant("device:", at)
	case roleDeviceRule:
		p.grant("device-cgroup:", value)
	case roleCap:
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.ToUpper(strings.TrimSpace(name)); name != "" {
				p.grant("cap:", strings.TrimPrefix(name, "CAP_"))
			}
		}
	case roleSecurity:
		p.security(value)
	case roleAppArmor:
		if value == "unconfined" {
			p.grant("apparmor-unconfined", "")
		}
	case roleLogURI:
		if at, ok := strings.CutPrefix(value, "binary://"); ok {
			at, _, _ = strings.Cut(at, "?")
			p.grant("log-uri-binary:", at)
		}
	case roleRuntime:
		if strings.Contains(value, "/") {
			p.grant("runtime:", value)
		}
	case roleRuntimeConfig:
		p.grant("runtime-config:", value)
	case roleVolumesFrom:
		p.grant("volumes-from:", value)
	case rolePropagation:
		if strings.Contains(value, "shared") {
			p.grant("mount-propagation:", value)
		}
	case roleSandbox:
		p.grant("sandbox:", value)
	case roleSpec:
		p.file(value)
		if !ownBundle(value) {
			p.grant("spec-file:", value)
		}
	case roleHooks:
		p.grant("hooks-dir:", value)
	case roleBind:
		// SOURCE[:TARGET…], the source alone being both.
		if source, _, _ := strings.Cut(strings.TrimLeft(value, "+-"), ":"); source != "" {
			p.bind(source)
		}
	case roleRootDir:
		p.grant("rootfs:", value)
	case roleOption:
		p.option(value)
	case roleEntitlement:
		// What a build may ask for: its steps run as in a privileged container.
		if slices.Contains(strings.Split(value, ","), "security.insecure") {
			p.grant("privileged", "")
		}
	}
}

// option takes a setting or device of an instance of LXD: key=value, or the two
// in words of their own.
func (p *parser) option(value string) {
	for field := range strings.SplitSeq(value, ",") {
		key, v, ok := strings.Cut(field, "=")
		if !ok {
			if key, v = p.key, field; key == "" {
				p.key = field
				continue
			}
		}
		p.key = ""
		switch on, _ := truth(v); {
		case (key == "security.privileged" || key == "security.nesting.privileged") && on:
			p.grant("privileged", "")
		case key == "source" && strings.HasPrefix(v, "/dev/"):
			p.grant("device:", v)
		case key == "source" && strings.HasPrefix(v, "/"):
			p.bind(v)
		case key == "raw.lxc" || key == "raw.apparmor" || key == "raw.qemu":
			p.partial() // settings within a setting
		}
	}
}

// share grants what a command always has, but for the namespaces that its flags unshare.
func (p *parser) share(access []string) {
	for _, a := range access {
		kept := true
		for _, f := range p.unshared {
			switch a {
			case "host-net":
				kept = kept && !strings.Contains(f, "net") && !strings.HasSuffix(f, "-all")
			case "host-ipc":
				kept = kept && !strings.Contains(f, "ipc") && !strings.HasSuffix(f, "-all")
			case "host-pid":
				kept = kept && !strings.Contains(f, "process") && !strings.HasSuffix(f, "-all")
			}
		}
		if at, ok := strings.CutPrefix(a, "mount:"); ok && kept {
			p.bind(at)
		} else if kept {
			p.grant(a, "")
		}
	}
}

// ownBundle reports whether dir is in the state of a runtime, whose shims start
// every container with one there, or the file that they write for every exec.
func ownBundle(dir string) bool {
	if rest, ok := strings.CutPrefix(dir, "/tmp/runc-process"); ok && digits(rest) {
		return true
	}
	for _, own := range [...]string{"/run/containerd/", "/var/run/containerd/", "/run/docker/containerd/", "/var/run/docker/containerd/", "/run/k3s/containerd/", "/run/k0s/containerd/",
		"/var/snap/microk8s/common/run/containerd/", "/run/containers/storage/", "/var/run/containers/storage/", "/var/lib/containers/storage/"} {
		if strings.HasPrefix(path.Clean(dir), own) {
			return true
		}
	}
	return false
}

// namespace takes --net, --pid and the like: host, container:ID, ns:PATH, or none of our business.
func (p *parser) namespace(kind, value string) {
	switch {
	case strings.EqualFold(value, "host"):
		p.grant(hostNamespace[kind], "")
	case strings.HasPrefix(value, "container:"):
		p.grant("container-"+kind+":", value[len("container:"):])
	case strings.HasPrefix(value, "ns:"):
		p.namespaceAt(kind, value[len("ns:"):])
	}
}

// namespaceAt takes a namespace given by its file.
func (p *parser) namespaceAt(kind, at string) {
	if kind == "network" {
		kind = "net"
	}
	if kind == "mount" {
		kind = "mnt"
	}
	pid := processOf(at)
	// The caller's own namespaces are the host's, or nothing is gained.
	if (pid == "1" || pid == "self" || pid == "thread-self") && hostNamespace[kind] != "" {
		p.grant(hostNamespace[kind], "")
		return
	}
	p.grant("namespace:"+kind+":", at)
}

// processOf returns the pid in the path of a file of /proc, which a container may have
// from its host in another place: /host/proc/1/ns/mnt. It is "" for other files.
func processOf(at string) string {
	clean := path.Clean(at)
	i := strings.LastIndex(clean, "/proc/")
	if i < 0 {
		return ""
	}
	pid, _, _ := strings.Cut(clean[i+len("/proc/"):], "/")
	if i > 0 && !digits(pid) {
		return ""
	}
	return pid
}

func (p *parser) security(value string) {
	key, v, _ := strings.Cut(strings.Replace(value, ":", "=", 1), "=")
	switch {
	case key == "seccomp" && v == "unconfined":
		p.grant("seccomp-unconfined", "")
	case key == "apparmor" && v == "unconfined":
		p.grant("apparmor-unconfined", "")
	case key == "label" && v == "disable":
		p.grant("selinux-disabled", "")
	case key == "systempaths" && v == "unconfined", key == "unmask":
		p.grant("systempaths-unconfined", "")
	case key == "privileged-without-host-devices":
		p.grant("privileged-without-host-devices", "")
	}
}

// volume takes -v: [SOURCE:]TARGET[:OPTIONS], where a source with no slash is a named volume.
func (p *parser) volume(value string) {
	source, rest, ok := strings.Cut(value, ":")
	if !ok || source == "" {
		return
	}
	_, options, _ := strings.Cut(rest, ":")
	switch {
	case everyday(source) && slices.Contains(strings.Split(options, ","), "ro"):
		p.data(source)
	case source[0] == '/', source[0] == '.', source[0] == '~':
		p.bind(source)
	case source[0] == '$' || source[0] == '`':
		p.data(source) // a shell's word, left as it is
	}
	if strings.Contains(options, "shared") {
		p.grant("mount-propagation:", options)
	}
}

// mount takes --mount: type=bind,src=PATH,dst=PATH,…
func (p *parser) mount(value string) {
	kind, source, bind, readOnly := "", "", false, false
	for field := range strings.SplitSeq(value, ",") {
		field = strings.Trim(field, `" `)
		k, v, _ := strings.Cut(field, "=")
		switch strings.ToLower(k) {
		case "type":
			kind = strings.ToLower(v)
		case "src", "source":
			source = v
		case "options", "o":
			for option := range strings.SplitSeq(v, ":") {
				bind = bind || option == "bind" || option == "rbind"
				readOnly = option == "ro" || readOnly && option != "rw"
				if strings.Contains(option, "shared") {
					p.grant("mount-propagation:", option)
				}
			}
			p.overlay(v)
		case "ro", "readonly":
			readOnly, _ = truth(v)
		case "bind-propagation":
			if strings.Contains(v, "shared") {
				p.grant("mount-propagation:", v)
			}
		case "volume-opt":
			if at, ok := strings.CutPrefix(v, "device="); ok && strings.HasPrefix(at, "/") {
				p.bind(at)
			}
			p.overlay(strings.TrimPrefix(v, "o="))
		case "lowerdir", "upperdir": // the rest of a quoted volume-opt
			p.overlay(field)
		}
	}
	p.source(kind, source, bind, readOnly)
}

// source takes what a mount is of; bind is whether its options say so.
func (p *parser) source(kind, source string, bind, readOnly bool) {
	if source == "" {
		return
	}
	switch kind {
	case "bind", "rbind":
		bind = true
	case "tmpfs", "volume", "cluster", "image", "devpts", "proc", "sysfs", "mqueue", "cgroup", "npipe":
		bind = false
	case "overlay":
		return
	case "":
		bind = bind || source[0] == '/'
	default:
		// A file system of a block device, which ctr mounts as asked.
		bind = bind || strings.HasPrefix(source, "/dev/")
	}
	if bind {
		if source[0] == '$' || source[0] == '`' || readOnly && everyday(source) {
			p.data(source)
			return
		}
		p.bind(source)
	}
}

// overlay takes the options of an overlay mount, whose layers are folders of the host:
// lowerdir=/a:/b,upperdir=/c. ctr writes colons between options too.
func (p *parser) overlay(options string) {
	layer := false
	for option := range strings.FieldsFuncSeq(options, func(r rune) bool { return r == ',' || r == ':' }) {
		key, at, ok := strings.Cut(option, "=")
		if !ok {
			at = option // one more of the layers before it
		} else {
			layer = key == "lowerdir" || key == "lowerdir+" || key == "datadir+" || key == "upperdir"
		}
		if layer && at != "" && (ok || at[0] == '/') {
			p.bind(at)
		}
	}
}

// bind takes a path of the host that the container sees.
func (p *parser) bind(at string) {
	clean := at
	switch {
	case at[0] == '~':
		clean = "/home/user" + at[1:]
	case at[0] != '/':
		if p.cwd == "" {
			p.data(at)
			return
		}
		clean = p.cwd + "/" + at
	}
	clean = path.Clean(clean)
	if at[0] == '~' {
		at = strings.TrimRight(at, "/")
	} else {
		at = clean
	}
	p.data(at)
	if systemPath(clean) {
		p.grant("mount:", at)
		p.hostMount = true
	}
}

// data notes a mounted path of the host.
func (p *parser) data(at string) {
	if len(at) > maxValue {
		at = at[:maxValue]
	}
	if len(p.call.Mounts) < maxAccess {
		p.call.Mounts = append(p.call.Mounts, at)
	}
}

// everyday reports whether a path, mounted read-only, is what containers are given
// every day, the time and names and certificates of their host, and no secret.
func everyday(at string) bool {
	switch at = path.Clean(at); at {
	case "/etc/localtime", "/etc/timezone", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/os-release", "/etc/nsswitch.conf", "/etc/pki/tls/cert.pem",
		"/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem":
		return true
	}
	for _, dir := range [...]string{"/usr/share/zoneinfo", "/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/ca-certificates", "/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates"} {
		if rest, ok := strings.CutPrefix(at, dir); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// systemPath reports whether a bind of the clean path gives more than data: the
// system's programs, configuration, secrets, state, devices or a runtime's socket.
func systemPath(at string) bool {
	if strings.HasSuffix(at, ".sock") {
		return true
	}
	top, rest, _ := strings.Cut(at[1:], "/")
	switch top {
	case "": // the root itself
		return true
	case "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "opt", "proc", "root", "run", "sbin", "snap", "sys", "usr", "host", "rootfs", "hostfs":
		return true
	case "var":
		second, _, _ := strings.Cut(rest, "/")
		switch second {
		case "", "lib", "log", "run", "spool", "snap", "opt":
			return true
		}
	case "home":
		_, under, _ := strings.Cut(rest, "/")
		return rest == "" || strings.HasPrefix(under, ".")
	}
	return false
}
