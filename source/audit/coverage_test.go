package audit

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// compileRule makes a rule of a line for auditctl, as far as tests need it.
func compileRule(t *testing.T, line string) rule {
	t.Helper()
	words := strings.Fields(line)
	if words[0] == "-w" {
		words = []string{"-a", "always,exit", "-S", "all", "-F", "path=" + words[1], "-F", "perm=" + words[3]}
	}
	action, list, _ := strings.Cut(words[1], ",")
	var fields []ruleField
	calls := []string{"all"}
	arch := uint32(archX8664)
	for i := 2; i < len(words); i += 2 {
		switch words[i] {
		case "-S":
			calls = strings.Split(words[i+1], ",")
		case "-F", "-C":
			at := strings.IndexAny(words[i+1], "=!<>&")
			name, rest := words[i+1][:at], words[i+1][at:]
			end := strings.IndexFunc(rest, func(r rune) bool { return !strings.ContainsRune("=!<>&", r) })
			f := ruleField{op: map[string]uint32{"=": opEqual, "!=": opLess | opGreater, ">=": opGreater | opEqual, "<": opLess, "<=": opLess | opEqual, ">": opGreater, "&": opBitMask, "&=": opBitMask | opEqual}[rest[:end]]}
			value := rest[end:]
			if words[i] == "-C" {
				f.field = fieldCompare
				f.value = uint32(slices.Index(comparisons[:], [2]string{name, value}))
				fields = append(fields, f)
				continue
			}
			for n, known := range fieldNames {
				if known == name {
					f.field = n
				}
			}
			n, err := strconv.ParseInt(value, 10, 64)
			switch {
			case hasText(f.field):
				f.text = value
			case name == "arch":
				f.value = map[string]uint32{"b64": archX8664, "b32": archI386}[value]
				arch = f.value
			case name == "perm":
				for i, c := range "xwra" {
					if strings.ContainsRune(value, c) {
						f.value |= 1 << i
					}
				}
			case name == "msgtype":
				f.value = map[string]uint32{"SYSCALL": 1300, "EXECVE": 1309, "CWD": 1307, "PROCTITLE": 1327}[value]
			case value == "unset":
				f.value = 1<<32 - 1
			case err == nil:
				f.value = uint32(n)
			default:
				t.Fatalf("%s: %s", line, words[i+1])
			}
			fields = append(fields, f)
		default:
			t.Fatalf("%s: %s", line, words[i])
		}
	}
	var nrs []uint32
	for _, c := range calls {
		if c == "all" {
			for nr := range uint32(maskWords * 32) {
				nrs = append(nrs, nr)
			}
			continue
		}
		nr, ok := syscallNumber(arch, c)
		if !ok {
			t.Fatalf("%s: no %s", line, c)
		}
		nrs = append(nrs, nr)
	}
	b := ruleFor(0, nrs, fields...)
	// Without our architecture: the last of its fields takes its place.
	n := binary.NativeEndian.Uint32(b[8:]) - 1
	binary.NativeEndian.PutUint32(b[8:], n)
	for _, at := range []int{3 + maskWords, 3 + maskWords + maxFields, 3 + maskWords + 2*maxFields} {
		copy(b[4*at:4*(at+int(n))], b[4*(at+1):])
	}
	binary.NativeEndian.PutUint32(b, map[string]uint32{"task": filterTask, "exit": filterExit, "exclude": filterExclude}[list])
	binary.NativeEndian.PutUint32(b[4:], map[string]uint32{"always": actAlways, "never": actNever}[action])
	r, err := parseRule(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func compileRules(t *testing.T, lines string) (rules []rule) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			rules = append(rules, compileRule(t, line))
		}
	}
	return rules
}

// What rules record is said as the kernel decides it: the first that fits counts.
func TestScope(t *testing.T) {
	f := func(want, lines string) {
		t.Helper()
		q := question{arch: archX8664, nr: 59, a0: -1, starts: true}
		if got := scopeOf(compileRules(t, lines), q).String(); got != want {
			t.Errorf("%s\nrecords %s,\nwant    %s", lines, got, want)
		}
	}
	f("none", "")
	f("none", "-a always,exit -F arch=b32 -S execve")
	f("none", "-a always,exit -F arch=b64 -S connect")
	f("none", "-w /etc/passwd -p wa")
	f("all", "-a always,exit -F arch=b64 -S execve")
	f("all", "-a always,exit -F arch!=b32 -S all")
	f("all", "-a always,exit -F arch=b64 -S execve -F success=1")
	f("none", "-a always,exit -F arch=b64 -S execve -F exit=-13")
	f("all", "-a always,exit -F arch=b64 -S execve -F auid>=1000\n-a always,exit -F arch=b64 -S execve")
	f("only those with auid>=1000 auid!=unset", "-a always,exit -F arch=b64 -S execve -F auid>=1000 -F auid!=unset")
	f("only those with uid!=euid euid=0 or auid=5", "-a always,exit -F arch=b64 -S execve -C uid!=euid -F euid=0\n-a always,exit -F arch=b64 -S execve -F auid=5\n-a never,exit -S all")
	f("only those with path=/usr/bin/ctr", "-w /usr/bin/ctr -p x")
	f("all", "-a always,exit -F arch=b64 -S execve\n-a never,exit -F arch=b64 -S execve -F uid=33")
	f("all but those with uid=33 or exe=/usr/bin/ctr", "-a never,exit -F arch=b64 -S execve -F uid=33\n-a never,exit -F exe=/usr/bin/ctr -S all\n-a always,exit -F arch=b64 -S execve")
	f("only those with auid=5, and none with uid=33", "-a never,exit -S all -F uid=33\n-a always,exit -F arch=b64 -S execve -F auid=5")
	f("in this order with auid=5, none with uid=33, else all", "-a always,exit -F arch=b64 -S execve -F auid=5\n-a never,exit -S all -F uid=33\n-a always,exit -F arch=b64 -S execve")
	f("none", "-a never,exit -F arch=b64 -S execve,execveat\n-a always,exit -F arch=b64 -S execve")
	f("none", "-a never,task\n-a always,exit -F arch=b64 -S execve")
	f("all but those with uid=33 at the fork", "-a never,task -F uid=33\n-a always,exit -F arch=b64 -S execve")
	// The file of a program is looked at last.
	f("all but those with path=/usr/bin/ctr", "-a always,exit -F arch=b64 -S execve\n-a never,exit -F path=/usr/bin/ctr -F perm=x")
	f("all but those with a1&3 or a2&=4", "-a never,exit -S all -F a1&3\n-a never,exit -S all -F a2&=4\n-a always,exit -S all")
	f("only those with ppid=1 or ppid=2 or ppid=3 or ppid=4 or ppid=5, and 2 conditions more", strings.Join([]string{"-a always,exit -S all -F ppid=1", "-a always,exit -S all -F ppid=2",
		"-a always,exit -S all -F ppid=3", "-a always,exit -S all -F ppid=4", "-a always,exit -S all -F ppid=5", "-a always,exit -S all -F ppid=6", "-a always,exit -S all -F ppid=7"}, "\n"))
}

// A rule for a login uid records all of who is watched by that, or nothing.
func TestScopeOfALoginUID(t *testing.T) {
	f := func(uid uint32, want, lines string) {
		t.Helper()
		if got := scopeOf(compileRules(t, lines), question{arch: archX8664, nr: 59, a0: -1, starts: true, loginUID: &uid}).String(); got != want {
			t.Errorf("of %d %s\nrecords %s, want %s", uid, lines, got, want)
		}
	}
	const people = "-a always,exit -F arch=b64 -S execve -F auid>=1000 -F auid!=unset"
	f(1000, "all", people)
	f(999, "none", people)
	f(1<<32-1, "none", people)
}

// Each call of each architecture is named that is not recorded, with the rules that
// would record it.
func TestCover(t *testing.T) {
	f := func(lines, limits, add, lacks string, exec, mute bool) {
		t.Helper()
		c := cover(compileRules(t, lines), "amd64", nil)
		if got := strings.Join(c.limits, "\n"); got != limits {
			t.Errorf("%s\nlimits\n%s\nwant\n%s", lines, got, limits)
		}
		if got := strings.Join(c.add, "\n"); got != add {
			t.Errorf("%s\nto add\n%s\nwant\n%s", lines, got, add)
		}
		if got := strings.Join(c.lacks, "\n"); got != lacks {
			t.Errorf("%s\nlacks\n%s\nwant\n%s", lines, got, lacks)
		}
		if c.exec != exec || c.mute != mute {
			t.Errorf("%s\nexec %v, mute %v", lines, c.exec, c.mute)
		}
	}
	const full = "-a always,exit -F arch=b64 -S execve,execveat,connect\n-a always,exit -F arch=b32 -S execve,execveat,connect\n-a always,exit -F arch=b32 -S socketcall -F a0=3\n"
	f(full, "", "", "", true, false)
	f("-a always,exit -F arch=b64 -S execve,execveat,connect",
		"execve (32 bit), execveat (32 bit), connect (32 bit), socketcall (32 bit): none",
		"-a always,exit -F arch=b32 -S socketcall -F a0=3 -k orlop\n-a always,exit -F arch=b32 -S execve,execveat,connect -k orlop", "", true, false)
	f("-a never,exit -S all -F auid=0\n"+full,
		"execve (64 bit), execveat (64 bit), connect (64 bit), execve (32 bit), execveat (32 bit), connect (32 bit), socketcall (32 bit): all but those with auid=0",
		"-A always,exit -F arch=b64 -S execve,execveat,connect -k orlop\n-A always,exit -F arch=b32 -S socketcall -F a0=3 -k orlop\n-A always,exit -F arch=b32 -S execve,execveat,connect -k orlop", "", true, false)
	f(full+"-a never,exclude -F msgtype=CWD\n-a always,exclude -F msgtype=PROCTITLE", "", "", "CWD records, so not known is the working directory", true, false)
	f(full+"-a always,exclude -F msgtype=EXECVE -F uid=33", "", "", "EXECVE records of those with uid=33, so of these not known is arguments, but for the first 128 bytes", true, false)
	f(full+"-a always,exclude -F msgtype>=SYSCALL -F msgtype<=EXECVE", "", "",
		"SYSCALL records, so not known is who has executed what, and whether\nEXECVE records, so not known is arguments, but for the first 128 bytes\nCWD records, so not known is the working directory\nPATH records, so not known is the file of a socket\nSOCKADDR records, so not known is where a connect goes", true, true)
	f("-w /usr/bin/ctr -p x\n-w /etc/shadow -p rwa", "execve (64 bit), execveat (64 bit), execve (32 bit), execveat (32 bit): only those with path=/usr/bin/ctr\nconnect (64 bit), connect (32 bit), socketcall (32 bit): none",
		"-a always,exit -F arch=b64 -S execve,execveat,connect -k orlop\n-a always,exit -F arch=b32 -S socketcall -F a0=3 -k orlop\n-a always,exit -F arch=b32 -S execve,execveat,connect -k orlop", "", false, false)
}
