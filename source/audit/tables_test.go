package audit

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The tables have the numbers that golang.org/x/sys has from the kernel's headers.
func TestSystemCallNumbers(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Skip("no module cache:", err)
	}
	line := regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+= (\d+)$`)
	for goarch, arch := range map[string]uint32{"amd64": archX8664, "386": archI386, "arm64": archAArch64, "arm": archARM} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+goarch+".go"))
		if err != nil {
			t.Skip(err)
		}
		seen := 0
		numbers := map[string]uint32{}
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			nr, _ := strconv.ParseUint(m[2], 10, 32)
			numbers[strings.ToLower(m[1])] = uint32(nr)
		}
		for nr, name := range syscallTable(arch) {
			want, known := numbers[name]
			if name == "-" || !known {
				continue
			}
			seen++
			if got, ok := syscallNumber(arch, name); !ok || got != want || syscallName(arch, want) != name {
				t.Errorf("%s: %s is %d here, want %d (table has it at %d)", goarch, name, got, want, nr)
			}
		}
		if seen < 250 {
			t.Errorf("%s: only %d calls could be compared", goarch, seen)
		}
	}
	// What the rules of the live source are made of.
	f := func(arch uint32, name string, want uint32) {
		t.Helper()
		if got, ok := syscallNumber(arch, name); !ok || got != want {
			t.Errorf("%x %s = %d, want %d", arch, name, got, want)
		}
	}
	f(archX8664, "execve", 59)
	f(archX8664, "execveat", 322)
	f(archX8664, "connect", 42)
	f(archX8664, "exit_group", 231)
	f(archI386, "execve", 11)
	f(archI386, "execveat", 358)
	f(archI386, "connect", 362)
	f(archI386, "socketcall", 102)
	f(archI386, "exit_group", 252)
	f(archAArch64, "execve", 221)
	f(archAArch64, "execveat", 281)
	f(archAArch64, "connect", 203)
	f(archAArch64, "exit_group", 94)
	f(archARM, "execve", 11)
	f(archARM, "execveat", 387)
	f(archARM, "connect", 283)
	f(archARM, "exit_group", 248)
}

// The rules of a machine record the same calls for its 64-bit and its 32-bit programs.
func TestRulesNameEveryCall(t *testing.T) {
	uid := uint32(1001)
	for goarch, want := range map[string]int{"amd64": 3, "arm64": 2} { // i386 also has socketcall
		rules := ourRules(goarch, &uid)
		if len(rules) != want {
			t.Errorf("%s: %d rules, want %d", goarch, len(rules), want)
		}
		for _, arch := range arches(goarch) {
			for _, name := range watched {
				nr, _ := syscallNumber(arch, name)
				shown := 0
				for _, raw := range rules {
					r, err := parseRule(raw)
					if err != nil {
						t.Fatal(err)
					}
					if !r.ours() {
						t.Errorf("%s: rule with key %q", goarch, r.key)
					}
					q := question{arch: arch, nr: nr, a0: -1}
					if s := scopeOf([]rule{r}, q); s.String() == "only those with auid=1001" {
						shown++
					} else if s.programs() {
						t.Errorf("%s %s: recorded are %s", goarch, name, s)
					}
					if q.loginUID = &uid; scopeOf([]rule{r}, q).programs() && !scopeOf([]rule{r}, q).whole() {
						t.Errorf("%s %s: recorded of the login uid are %s", goarch, name, scopeOf([]rule{r}, q))
					}
				}
				if shown != 1 {
					t.Errorf("%s: %d rules show %s of %x, want 1", goarch, shown, name, arch)
				}
			}
		}
	}
	if _, err := parseRule(make([]byte, 100)); err == nil {
		t.Error("a short rule is read")
	}
}
