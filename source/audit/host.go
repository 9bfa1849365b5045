//go:build linux

package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/procfs"
	"github.com/orlop/orlop/source"
)

const capNetAdmin, capAuditControl, capAuditRead = 12, 30, 37

// A sight is what the host shows of its audit system. Looking changes nothing.
type sight struct {
	host      string // what it is to be called
	caps      uint64
	ctl       *conn // nil if it may not be asked
	err       error // why
	status    status
	rules     []rule
	users     bool // we are in the host's namespace of that kind
	pids, net bool
	cmdline   string // of the kernel
	multicast bool   // it is what we want
	loginUID  *uint32
	state     string // where what is changed is written down
}

func look() sight {
	s := sight{state: DefaultState, users: procfs.InitUsers(), pids: procfs.InitPIDs(), net: procfs.InitNet()}
	s.caps, _ = procfs.Capabilities()
	b, _ := os.ReadFile("/proc/cmdline")
	s.cmdline = string(b)
	if s.ctl, s.err = dial(); s.err != nil {
		return s
	}
	if s.err = s.ask(); s.err != nil {
		s.ctl.close()
		s.ctl = nil
	}
	return s
}

// ask looks at the kernel's status and rules. A daemon that was killed stays in it until the
// kernel finds out, which is when it has something to tell: that is none.
func (s *sight) ask() (err error) {
	if s.status, err = s.ctl.status(); err == nil && s.pids && s.status.PID != 0 && gone(s.status.PID) {
		s.status.PID = 0
	}
	if err == nil {
		s.rules, err = s.ctl.rules()
	}
	return err
}

func gone(pid uint32) bool { return errors.Is(unix.Kill(int(pid), 0), unix.ESRCH) }

func (s *sight) has(c int) bool { return s.caps>>c&1 == 1 }

// mayOwn reports whether we can be the kernel's audit daemon.
func (s *sight) mayOwn() bool {
	return s.ctl != nil && !s.multicast && s.status.PID == 0 && s.status.Enabled != enabledLocked && s.pids
}

// beside says why we are not.
func (s *sight) beside() string {
	switch {
	case s.ctl == nil:
		return ""
	case s.status.PID != 0:
		return ", beside the audit daemon (" + program(s.status.PID) + ")"
	case s.status.Enabled == enabledLocked:
		return ", since audit is locked (enabled 2)"
	}
	return ""
}

// checks say what is missing.
func (s *sight) checks() []source.Check {
	var out []source.Check
	add := func(needed bool, name, state, fix string) {
		out = append(out, source.Check{Name: name, State: state, Fix: fix, Needed: needed})
	}
	if errors.Is(s.err, unix.EPROTONOSUPPORT) || errors.Is(s.err, unix.EAFNOSUPPORT) {
		add(true, "kernel", "it has no audit system", "boot a kernel with CONFIG_AUDIT=y, and without audit=0 on its command line")
		return out
	}
	if arches(runtime.GOARCH) == nil {
		add(true, "kernel", "the system calls of "+runtime.GOARCH+" are not known", "use amd64 or arm64")
		return out
	}
	own := s.mayOwn()
	switch control, read := s.has(capAuditControl), s.has(capAuditRead); {
	case !control && !read:
		add(true, "capabilities", "no CAP_AUDIT_CONTROL, no CAP_AUDIT_READ", "run as root, or with AmbientCapabilities=CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_SYS_PTRACE CAP_DAC_READ_SEARCH in the unit")
	case !control:
		add(false, "capabilities", "CAP_AUDIT_READ, no CAP_AUDIT_CONTROL: beside a daemon only, and what the kernel loses is not told", "add CAP_AUDIT_CONTROL")
	case !read && !own:
		add(true, "capabilities", "CAP_AUDIT_CONTROL, no CAP_AUDIT_READ: nothing can be read beside a daemon", "add CAP_AUDIT_READ")
	default:
		add(true, "capabilities", "CAP_AUDIT_CONTROL", "")
	}
	switch {
	case !s.users:
		add(true, "namespaces", "a user namespace of its own, to which the kernel tells nothing", "run it outside")
	case !s.pids:
		add(true, "namespaces", "a pid namespace of its own: the kernel's pids are not those of /proc here", "run it with hostPID: true, or --pid=host")
	case !s.net && !own:
		add(true, "namespaces", "a network namespace of its own, where the multicast group is silent", "run it with hostNetwork: true, or --net=host")
	case !s.net:
		add(true, "namespaces", "a network namespace of its own, in which orlop can be the audit daemon", "")
	default:
		add(true, "namespaces", "the host's", "")
	}
	state, fix := procfs.Identity(s.host)
	add(false, "identity", state, fix)
	if traced, hidden, _ := procfs.Unseen(); traced {
		what := "not known are programs and working directories of other users' or more capable processes that are there already, and so parents and session leaders of what they start"
		if hidden {
			what = "not known are other users' processes that are there already, since /proc hides them (hidepid), and when what they start began"
		}
		add(false, "CAP_SYS_PTRACE", "missing; "+what, "AmbientCapabilities=CAP_SYS_PTRACE in the unit, or --cap-add=SYS_PTRACE")
	}
	if !s.has(capNetAdmin) {
		b, _ := os.ReadFile("/proc/sys/net/core/rmem_max")
		if room, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && room < receiveBuffer {
			add(false, "buffer", fmt.Sprintf("the kernel keeps what %d bytes hold until it is read, some %d execs; what is more at once is lost", room, max(room*bufferedExecs/receiveBuffer, 1)),
				fmt.Sprintf("add CAP_NET_ADMIN, or sysctl net.core.rmem_max=%d", receiveBuffer))
		}
	}
	if s.ctl == nil {
		if s.err != nil && s.has(capAuditControl) && s.users && s.pids {
			add(true, "status", "the kernel does not answer: "+s.err.Error(), "look for a container's seccomp profile")
		}
		if !s.has(capAuditControl) && s.has(capAuditRead) {
			add(false, "rules", "what the loaded rules record cannot be asked without CAP_AUDIT_CONTROL", "add CAP_AUDIT_CONTROL, or have a look with auditctl -l")
		}
		return out
	}
	st := &s.status
	switch {
	case st.PID != 0 && st.Enabled == enabledOff:
		add(true, "daemon", program(st.PID)+", and audit is off", "auditctl -e 1")
	case st.PID != 0:
		add(false, "daemon", program(st.PID)+"; orlop reads beside it", "")
	default:
		add(false, "daemon", "none; orlop can be it", "")
	}
	switch st.Enabled {
	case enabledOff:
		fix := "boot with audit=1 on the kernel's command line"
		if strings.Contains(s.cmdline, "audit=1") {
			fix = ""
		}
		add(false, "enabled", "0; programs older than audit are only seen through their children", fix)
	case enabledLocked:
		add(false, "enabled", "2 (locked): orlop can only read what the loaded rules record", "")
	default:
		add(false, "enabled", "1", "")
	}
	s.ruleChecks(own, add)
	if own && !writable(s.state) {
		add(true, "notes", s.state+" cannot be written, where what is changed has to be written down first", "RuntimeDirectory="+filepath.Base(s.state)+" and RuntimeDirectoryPreserve=yes in the unit, or run as root")
	}
	if st.RateLimit != 0 {
		add(false, "rate limit", fmt.Sprintf("%d records a second; what is more is lost", st.RateLimit), "auditctl -r 0")
	}
	return out
}

// ruleChecks say what the loaded rules record. Ours come before them.
func (s *sight) ruleChecks(own bool, add func(needed bool, name, state, fix string)) {
	var rules []rule
	if own {
		for _, b := range ourRules(runtime.GOARCH, s.loginUID) {
			r, err := parseRule(b)
			if err != nil {
				panic("audit: bug: " + err.Error())
			}
			rules = append(rules, r)
		}
	}
	rules = append(rules, s.rules...)
	c := cover(rules, runtime.GOARCH, s.loginUID)
	load := func(rules []string) string {
		if s.status.Enabled == enabledLocked {
			return "add to /etc/audit/rules.d/orlop.rules " + strings.Join(rules, "; ") + ", and boot"
		}
		return "auditctl " + strings.Join(rules, "; auditctl ")
	}
	never := "take the rules that say never out, of /etc/audit/rules.d too"
	switch {
	case !c.exec && own:
		add(true, "rules", "those that are loaded keep programs that start from being recorded: "+strings.Join(c.limits, "; "), never)
	case own && len(c.limits) > 0:
		add(false, "rules", "orlop loads its own, but of those that are loaded already some keep calls from being recorded: "+strings.Join(c.limits, "; "), never)
	case own:
		add(false, "rules", "orlop loads its own", "")
	case !c.exec:
		fix := load(c.add)
		if slices.ContainsFunc(s.rules, func(r rule) bool { return r.list == filterTask && r.action == actNever }) {
			fix = "auditctl -d never,task, and take the line out of /etc/audit/rules.d; then " + fix
		}
		add(true, "rules", "none that is loaded records the programs that start; "+strings.Join(c.limits, "; "), fix)
	case len(c.limits) > 0:
		add(false, "rules", "those that are loaded do not record all: "+strings.Join(c.limits, "; "), load(c.add))
	default:
		add(false, "rules", "those that are loaded record execve, execveat and connect", "")
	}
	if len(c.lacks) > 0 {
		add(c.mute, "excluded", strings.Join(c.lacks, "; "), "take the rules of the list exclude out, of /etc/audit/rules.d too")
	}
}

// writable reports whether a folder can be written to, or made.
func writable(dir string) bool {
	for {
		err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
		if !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir) {
			return err == nil
		}
		dir = filepath.Dir(dir)
	}
}

// Checks looks at what the source needs, and changes nothing. Host is what the host is to be
// called, "" if nobody says.
func Checks(host string) []source.Check {
	s := look()
	if s.ctl != nil {
		defer s.ctl.close()
	}
	s.host = host
	out := s.checks()
	if what, fix := s.leftBehind(); what != "" {
		out = append(out, source.Check{Name: "left behind", State: what, Fix: fix})
	}
	if s.ctl == nil && source.FirstMissing("audit", out) == nil {
		// Only who listens finds out whether there is anything to hear.
		if l, err := Listen(Options{Options: source.Options{Schema: event.NewSchema()}, Multicast: true}); err == nil {
			l.Close()
		} else if missing := (*source.MissingError)(nil); errors.As(err, &missing) {
			out = append(out, source.Check{Name: "multicast", State: missing.What, Fix: missing.Fix, Needed: true})
		} else {
			out = append(out, source.Check{Name: "multicast", State: err.Error(), Fix: "add CAP_AUDIT_CONTROL", Needed: true})
		}
	}
	return out
}

// hostLook tells a Reassembler of this host.
type hostLook struct {
	h    *procfs.Host
	pids bool // those of /proc are the kernel's
}

// fields: records without a node are of this host, too.
func (l *hostLook) fields(node string, millis int64) (string, bool) {
	if node == "" || node == l.h.Name || node == l.h.Own {
		if millis*1e6 < l.h.Wall(0)-int64(coarse) {
			return l.h.Before, true
		}
		return l.h.Fields, true
	}
	return "", false
}

func (l *hostLook) user(id uint32) string  { return l.h.Names.User(id) }
func (l *hostLook) group(id uint32) string { return l.h.Names.Group(id) }

func (l *hostLook) look(g *glance, pid, ppid uint32, millis int64) {
	if !l.pids {
		return
	}
	h := l.h
	identity := func(b []byte, p *procfs.Process) []byte {
		b = h.AppendEntity(append(b, `,"entity_id":"`...), p.PID, p.Start)
		return append(h.AppendStart(append(b, `","start":"`...), p.Start), '"')
	}
	var p procfs.Process
	if p.Stat(pid) && h.Began(&p, millis*1e6) {
		g.own = p.AppendSession(identity(g.own, &p))
		if at := procfs.Cgroup(pid); at != "" {
			g.own = append(event.AppendQuoted(append(g.own, `,"cgroup":{"path":`...), at), '}')
		}
	}
	if ppid != 0 && p.Stat(ppid) && h.Began(&p, millis*1e6) {
		g.parent = identity(g.parent, &p)
	}
}
