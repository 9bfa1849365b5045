package runtimecli

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// What a new version of a tool changes, against the file testdata/versions.txt.
// After adding a grammar file, add its pair and run with -update.
func TestVersionsDiffer(t *testing.T) {
	var b strings.Builder
	for _, pair := range [][2]string{
		{"ctr-1.6.20", "ctr-2.3.4"}, {"ctr-2.3.4", "ctr-2.4.2"}, {"docker-20.10.24", "docker-28.2.2"},
	} {
		fmt.Fprintf(&b, "%s → %s\n", pair[0], pair[1])
		old, now := surface(t, pair[0]), surface(t, pair[1])
		for _, line := range old {
			if !slices.Contains(now, line) {
				fmt.Fprintf(&b, "  - %s\n", line)
			}
		}
		for _, line := range now {
			if !slices.Contains(old, line) {
				fmt.Fprintf(&b, "  + %s\n", line)
			}
		}
	}
	const file = "testdata/versions.txt"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("versions differ otherwise than %s says; got:\n%s", file, b.String())
	}
}

// surface lists the commands, aliases, roles and flags of one version, one a line.
func surface(t *testing.T, name string) []string {
	data, err := grammarFiles.ReadFile("grammar/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string]*tool{}
	if err := read(tools, string(data)); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, tool := range tools {
		walk(tool.root, func(v *verb) {
			out = append(out, v.path+" : "+strings.Join(v.classes, ","))
			for _, n := range v.names {
				if n != base(strings.ReplaceAll(v.path, " ", "/")) {
					out = append(out, v.path+" alias "+n)
				}
			}
			for n, f := range v.flags {
				value := ""
				if f.value {
					value = "="
				}
				out = append(out, v.path+" flag "+n+value)
			}
		})
	}
	slices.Sort(out)
	return out
}

func walk(v *verb, f func(*verb)) {
	f(v)
	for n, sub := range v.subs {
		if n == sub.names[0] {
			walk(sub, f)
		}
	}
}

// Every command of every tool has one class that the package comment names, and
// is found by each of its names.
func TestEveryCommandHasOneClass(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, vocabulary, _ := strings.Cut(string(doc), "Call.Behaviours begins")
	vocabulary, _, _ = strings.Cut(vocabulary, "Call.HostAccess")
	words := strings.FieldsFunc(vocabulary, func(r rune) bool { return strings.ContainsRune(" \t\n/,", r) })
	second := []string{"image-pull", "image-delete"}
	n := 0
	for name, tool := range grammars() {
		walk(tool.root, func(v *verb) {
			n++
			for i, class := range v.classes {
				if !slices.Contains(words, class) || i > 0 && !slices.Contains(second, class) || i > 1 {
					t.Errorf("%s: got classes %v, want one of the package comment", v.path, v.classes)
				}
			}
			for i, role := range v.args {
				if !slices.Contains([]string{"container", "image", "pod", "service", "file", "spec", "copy", "label", "bind", "option", "instance", "source", "profile", "device", "type", "*"}, role) || role == "*" && i != len(v.args)-1 {
					t.Errorf("%s: got arguments %v", v.path, v.args)
				}
			}
		})
		var descend func(v *verb, args []string)
		descend = func(v *verb, args []string) {
			for n, sub := range v.subs {
				line := append(slices.Clip(args), n)
				words := append([]string{name}, line...)
				if !sub.group() {
					words = append(words, "x", "y", "z") // without them it may only complain
				}
				call, ok := Parse(Command{Args: words})
				if !ok || call.Command != sub.path || call.Behaviours[0] != sub.classes[0] || call.UnknownVerb {
					t.Errorf("%s %q: got %q %v, want %q %v", name, line, call.Command, call.Behaviours, sub.path, sub.classes)
				}
				descend(sub, line)
			}
		}
		descend(tool.root, nil)
	}
	if n < 700 {
		t.Errorf("got %d commands, want the whole data", n)
	}
}

// A flag that takes a value in one version and none in another would need a
// reading that grants more; none does.
func TestFlagsAgreeOnValues(t *testing.T) {
	takes := map[string]string{}
	for _, name := range []string{"ctr-1.6.20", "ctr-2.3.4", "ctr-2.4.2", "docker-20.10.24", "docker-28.2.2"} {
		for _, line := range surface(t, name) {
			path, f, ok := strings.Cut(line, " flag ")
			if !ok {
				continue
			}
			plain := strings.TrimSuffix(f, "=")
			if old, seen := takes[path+" "+plain]; seen && old != f {
				t.Errorf("%s %s: %s and %s", name, path, old, f)
			}
			takes[path+" "+plain] = f
		}
	}
}

func TestGrammarMistakesSayWhere(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if err := read(map[string]*tool{}, text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	f("run : read : :", "1: no tool line yet")
	f("tool ctr 1", "1: tool line has 2 words, want name, version, syntax")
	f("tool ctr 1 urfave\nrun : read", "2: 2 parts, want path : class : arguments : flags")
	f("tool ctr 1 urfave\na b : read : :", "2: a b comes before a")
	f("tool ctr 1 urfave\na : read : : x@nonsense", `2: flag x has the unknown role "nonsense"`)
}

// A grammar says whether its tool is a low-level runtime; all names of the tool are.
func TestLowLevelRuntimes(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if got := LowLevel(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"runc", "crun", "youki", "runsc", "railcar", "kata-runtime", "kata-qemu", "crun-wasmedge", "krun", "docker-runc", "crio-crun", "sysbox-runc", "nvidia-container-runtime"} {
		f(name, true)
	}
	for _, name := range []string{"", "ctr", "docker", "podman", "kata-ctl", "runc2", "containerd-shim-runc-v2", "bash"} {
		f(name, false)
	}
}
