package console

import (
	"fmt"
	"slices"
	"strings"
)

// verbs are what behaviours are in words, as enrich/runtimecli has them.
var verbs = map[string]string{
	"container-run": "make and start a container", "container-create": "make a container", "container-start": "start a container", "container-restart": "start a container again",
	"container-exec": "run a command in a container", "pod-create": "make a pod sandbox", "attach": "attach to a container",
	"copy": "copy files into or out of a container", "restore": "start a container from a checkpoint", "checkpoint": "write a container's memory to disk",
	"container-update": "change a container's settings", "health-check": "run a container's own health check", "container-pause": "pause a container", "container-resume": "resume a container",
	"container-stop": "stop a container", "task-kill": "kill a container's task", "pod-stop": "stop a pod sandbox",
	"container-delete": "delete a container", "pod-delete": "delete a pod sandbox", "checkpoint-delete": "delete a checkpoint",
	"container-mount": "mount a container's files on the host", "container-unmount": "unmount a container's files", "image-mount": "mount an image on the host",
	"image-unmount": "unmount an image", "container-export": "write a container's files to an archive", "image-pull": "pull an image", "image-push": "push an image",
	"image-import": "import an image", "image-export": "export an image", "image-delete": "delete an image", "image-build": "build an image",
	"image-commit": "make an image of a container", "image-tag": "name an image", "build-cache-delete": "delete the build cache",
	"snapshot-mount": "mount a snapshot on the host", "snapshot-prepare": "prepare a snapshot", "snapshot-commit": "commit a snapshot", "snapshot-update": "change a snapshot",
	"snapshot-export": "export a snapshot", "snapshot-delete": "delete a snapshot", "content-fetch": "fetch content", "content-write": "write content", "content-delete": "delete content",
	"lease-create": "make a lease", "lease-delete": "delete a lease", "namespace-create": "make a namespace", "namespace-update": "change a namespace", "namespace-delete": "delete a namespace",
	"shim-start": "start a shim", "shim-delete": "delete a shim", "host-install": "unpack programs of an image onto the host",
	"namespace-enter": "enter the namespaces of another process", "socket-client": "talk to the runtime's socket", "volume": "work with volumes", "volume-delete": "delete a volume",
	"network": "change networks", "port-forward": "forward a port", "read": "look at what the runtime has", "host-mount": "mount a path of the host",
	"login": "sign in to a registry", "config": "change the configuration", "plugin": "work with plugins", "daemon": "start a daemon", "hook": "run a hook", "unshare": "enter a user namespace",
}

// grants are what a host access is in words.
func grant(access string) string {
	kind, arg, _ := strings.Cut(access, ":")
	switch kind {
	case "privileged":
		return "all capabilities and all devices of the host"
	case "privileged-without-host-devices":
		return "all capabilities of the host"
	case "host-net", "host-pid", "host-ipc", "host-uts", "host-user", "host-mnt", "host-time":
		names := map[string]string{"net": "network", "pid": "processes", "ipc": "IPC", "uts": "hostname", "user": "users", "mnt": "mounts", "time": "clocks"}
		return "the host's " + names[strings.TrimPrefix(kind, "host-")]
	case "cgroup-host":
		return "the host's cgroups"
	case "container-net", "container-pid", "container-ipc":
		return "the " + strings.TrimPrefix(kind, "container-") + " namespace of container " + arg
	case "namespace":
		return "the namespace at " + arg
	case "sandbox":
		return "all namespaces of pod " + arg
	case "mount":
		if arg == "/" {
			return "the whole file system of the host"
		}
		return "the host's " + arg
	case "volumes-from":
		return "the mounts of container " + arg
	case "device":
		return "the device " + arg
	case "device-cgroup":
		return "devices by the rule " + arg
	case "cap":
		if arg == "ALL" {
			return "all capabilities"
		}
		return "the capability " + arg
	case "seccomp-unconfined":
		return "any system call (seccomp is off)"
	case "apparmor-unconfined", "selinux-disabled":
		return "no mandatory access control"
	case "systempaths-unconfined":
		return "the masked paths of /proc and /sys"
	case "allow-new-privs":
		return "more privileges by setuid programs"
	case "rootfs":
		return "the host's " + arg + " as its root"
	case "spec-file":
		return "whatever the specification in " + arg + " says"
	case "log-uri-binary", "runtime", "hooks-dir":
		return "programs of the host, run from " + arg
	case "runtime-config":
		return "a runtime configured by " + arg
	case "mount-propagation":
		return "mounts that appear on the host"
	case "api-socket":
		return "the runtime's own socket"
	}
	return access
}

var identified = map[string]string{
	"content": "by what the program is, whatever it is called", "name": "by its name", "argv0": "by its first argument, the program being something else",
	"comm": "by the kernel's name of the task", "launcher": "as a subcommand of a distribution's own program", "grammar": "by its arguments alone: the program has another name",
}

// A saying is a sentence of pieces, some of which are values of the event.
type saying []piece

type piece struct {
	Text string
	Code bool // a value, shown as it is
}

func (s *saying) say(text string) { *s = append(*s, piece{Text: text}) }
func (s *saying) code(text string) {
	*s = append(*s, piece{Text: text, Code: true})
}

func (s saying) String() string {
	var b strings.Builder
	for _, p := range s {
		b.WriteString(p.Text)
	}
	return b.String()
}

func list(all []string) string {
	switch len(all) {
	case 0:
		return ""
	case 1:
		return all[0]
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// happened is what happened, in a sentence.
func (d document) happened() saying {
	var s saying
	user, login := d.text("user.name", "user.id"), d.text("auditd.user.audit.name")
	if user != "" {
		s.code(user)
		if login != "" && login != user && login != "unset" {
			s.say(" (signed in as ")
			s.code(login)
			s.say(")")
		}
	} else {
		s.say("Somebody")
	}
	behaviours := d.texts("orlop.runtime.behaviour")
	program := d.text("process.name", "process.executable")
	switch {
	case len(behaviours) > 0 && verbs[behaviours[0]] != "":
		s.say(" used ")
		s.code(d.text("orlop.runtime.tool"))
		if exe := d.text("process.executable"); d.text("orlop.runtime.identified_by") == "grammar" && exe != "" {
			s.say(", under the name ")
			s.code(exe)
			s.say(",")
		}
		s.say(" to ")
		payload := strings.Join(d.texts("orlop.runtime.payload"), " ")
		what := verbs[behaviours[0]]
		if behaviours[0] == "container-exec" && payload != "" {
			s.say("run ")
			s.code(payload)
			s.say(" in a container")
			payload = ""
		} else {
			s.say(what)
		}
		if c := d.text("orlop.runtime.container"); c != "" {
			s.say(" ")
			s.code(shorten(c))
		} else if t := d.text("orlop.runtime.target"); t != "" {
			s.say(" (pid ")
			s.code(t)
			s.say(")")
		} else if a := d.text("orlop.runtime.address"); a != "" {
			s.say(" ")
			s.code(a)
		}
		if img := d.text("orlop.runtime.image"); img != "" {
			s.say(" of image ")
			s.code(img)
		}
		if payload != "" {
			s.say(", to run ")
			s.code(payload)
		}
		if access := d.texts("orlop.runtime.host_access"); len(access) > 0 {
			var g []string
			for _, a := range access[:min(len(access), 6)] {
				g = append(g, grant(a))
			}
			s.say(", with ")
			s.say(list(g))
		}
		if ns := d.text("orlop.runtime.namespace"); ns != "" {
			s.say(", in namespace ")
			s.code(ns)
		}
	case d.text("file.path") != "" && slices.Contains(d.texts("event.category"), "file"):
		s.say(" touched ")
		s.code(d.text("file.path"))
		if program != "" {
			s.say(" with ")
			s.code(program)
		}
	case d.text("destination.ip", "destination.path", "destination.domain") != "":
		s.say(" connected to ")
		to := d.text("destination.ip", "destination.path", "destination.domain")
		if p := d.text("destination.port"); p != "" {
			to += ":" + p
		}
		s.code(to)
		if program != "" {
			s.say(" with ")
			s.code(program)
		}
	case program != "" || d.what() != "":
		s.say(" ran ")
		s.code(d.what())
	default:
		return nil
	}
	if parent := d.text("process.parent.command_line", "process.parent.executable", "process.parent.name"); parent != "" {
		s.say(", from ")
		s.code(parent)
	}
	if host := d.text("host.name", "host.id"); host != "" {
		s.say(", on ")
		s.code(host)
	}
	s.say(".")
	return s
}

// shorten is the beginning of an id of hexadecimal digits.
func shorten(id string) string {
	if len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:12]
	}
	return id
}

// A meaning is a part of what a command line means.
type meaning struct {
	Name, Field string
	Says        []saying
	Values      []string // with + and −
}

// meanings are what a runtime's command line means, part for part.
func (d document) meanings() []meaning {
	rt := "orlop.runtime."
	if d.text(rt+"tool") == "" {
		return nil
	}
	var out []meaning
	add := func(name, field string, say func(string) string) {
		vs := d.texts(rt + field)
		if len(vs) == 0 {
			return
		}
		m := meaning{Name: name, Field: rt + field, Values: vs[:min(len(vs), 20)]}
		for _, v := range m.Values {
			if say == nil {
				m.Says = append(m.Says, nil)
				continue
			}
			m.Says = append(m.Says, saying{{Text: say(v)}})
		}
		out = append(out, m)
	}
	add("Tool", "tool", nil)
	add("Known", "identified_by", func(v string) string { return identified[v] })
	add("Command", "command", nil)
	add("Does", "behaviour", func(v string) string { return verbs[v] })
	add("Gives it", "host_access", grant)
	add("Container", "container", nil)
	add("Pod", "pod", nil)
	add("Target", "target", func(v string) string { return "the process whose namespaces are entered" })
	add("Image", "image", nil)
	add("Namespace", "namespace", nil)
	add("Runs", "payload", nil)
	add("Socket", "address", nil)
	add("Files", "file", func(v string) string { return "decides what the container is; it is not read" })
	add("Through", "via", func(v string) string { return "the shell or wrapper that it was found in" })
	add("Read", "confidence", func(v string) string {
		return map[string]string{"complete": "all of the line is understood", "partial": "not all of the line is understood"}[v]
	})
	return out
}

// A lack is something that may be missing around an alert.
type lack struct {
	Name, Says string
	Count      string // "" is nothing
}

// lacks is how complete the evidence is, by orlop.evidence.
func (d document) lacks() (all []lack, whole bool) {
	whole = true
	for _, k := range []struct{ field, name, says string }{
		{"lost", "Lost", "events that nobody read around it"},
		{"late", "Late", "events that came too late for sequences"},
		{"truncated_events", "Cut", "events that were not read whole"},
		{"unwatched", "Unwatched", "seconds in which nobody watched"},
		{"evicted", "Given up", "partial sequences, for want of memory"},
		{"absence_uncertain", "Absence", "what the rule asks not to be there may have been lost"},
	} {
		l := lack{Name: k.name, Says: k.says}
		if v := d.text("orlop.evidence." + k.field); v != "" && v != "0" && v != "false" {
			l.Count, whole = v, false
			if v == "true" {
				l.Count = "uncertain"
			}
		}
		all = append(all, l)
	}
	return all, whole
}

// A clause is a part of a rule's query, and what it saw.
type clause struct {
	Text   string
	Saw    []saw
	Fields int
}

type saw struct {
	Field, Value string
	Matched      string // the element of a list
	Absent       bool
	Values       []string
}

// An item is a term of a sequence.
type item struct {
	Text                string
	Missing             bool
	Time                string
	Matched, Exclusions []clause
	Block               string // URL of its building block
}

type explanation struct {
	Query               string
	Matched, Exclusions []clause
	Items               []item
	Keys                []saw
	MaxSpan, TimeLeft   string
}

const mostClauses = 100

func readClauses(v any) []clause {
	l, _ := v.([]any)
	var out []clause
	for _, x := range l[:min(len(l), mostClauses)] {
		m, ok := x.(map[string]any)
		if !ok {
			continue
		}
		c := clause{Text: str(m["clause"])}
		one := func(m map[string]any) {
			absent, _ := m["absent"].(bool)
			vs := texts(m["value"])
			c.Saw = append(c.Saw, saw{Field: str(m["field"]), Value: strings.Join(vs, " "), Values: vs, Absent: absent, Matched: strings.Join(texts(m["matched"]), " ")})
		}
		if str(m["field"]) != "" {
			one(m)
		}
		fs, _ := m["fields"].([]any)
		for _, f := range fs[:min(len(fs), 50)] {
			if m, ok := f.(map[string]any); ok {
				one(m)
			}
		}
		out = append(out, c)
	}
	return out
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

// explained reads orlop.explain.
func (d document) explained() *explanation {
	x := d.object("orlop.explain")
	if x == nil {
		return nil
	}
	e := &explanation{Query: str(x["query"]), Matched: readClauses(x["matched"]), Exclusions: readClauses(x["exclusions"]), MaxSpan: str(x["maxspan"]), TimeLeft: str(x["time_left"])}
	items, _ := x["items"].([]any)
	for _, y := range items[:min(len(items), mostClauses)] {
		m, ok := y.(map[string]any)
		if !ok {
			continue
		}
		missing, _ := m["missing"].(bool)
		e.Items = append(e.Items, item{Text: str(m["item"]), Missing: missing, Time: str(m["time"]), Block: fmt.Sprint(m["block"]), Matched: readClauses(m["matched"]), Exclusions: readClauses(m["exclusions"])})
	}
	keys, _ := x["keys"].(map[string]any)
	for k, v := range keys {
		vs := texts(v)
		e.Keys = append(e.Keys, saw{Field: k, Value: strings.Join(vs, " "), Values: vs})
	}
	slices.SortFunc(e.Keys, func(a, b saw) int { return strings.Compare(a.Field, b.Field) })
	return e
}
