package runtimecli

import (
	"fmt"
	"strings"
	"testing"
)

func TestSplitScript(t *testing.T) {
	f := func(script string, want ...string) {
		t.Helper()
		var got []string
		splitScript(script, []string{"sh", "one", "two words"}, nil, func(c simple) {
			got = append(got, fmt.Sprintf("%s%q%s", strings.Join(c.assign, ","), c.words, strings.Join(c.inner, ",")))
		})
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s\n got %s\nwant %s", script, got, want)
		}
	}
	f(`a b; c && d || e | f & g`, `["a" "b"]`, `["c"]`, `["d"]`, `["e"]`, `["f"]`, `["g"]`)
	f("a\nb # c\n#d\ne#f", `["a"]`, `["b"]`, `["e#f"]`)
	f(`'a b'"c d"\ e f`, `["a bc d e" "f"]`)
	f(`a "\"\$x\\"`, `["a" "\"$x\\"]`)
	f(`X=1 Y='2 3' a Z=4`, `X=1,Y=2 3["a" "Z=4"]`)
	f(`a >f 2>&1 <g >>h 2>/dev/null &>i b`, `["a" "b"]`)
	f("a <<E b\nnot me\nE\nc", `["a" "b"]`, `["c"]`)
	f("a <<-'E'\n\tnot me\n\tE\nc", `["a"]`, `["c"]`)
	f(`a <<< b c`, `["a" "c"]`)
	f(`if a; then b; else c; fi`, `["a"]`, `["b"]`, `["c"]`)
	f(`while ! a; do { b; }; done`, `["a"]`, `["b"]`)
	f(`case a in b|c) d;; (e) f;; esac; g`, `["d"]`, `["f"]`, `["g"]`)
	f("case $x\nin\n a)\n b\n c;;\n*) case d in e) f; esac;; esac | g", `["b"]`, `["c"]`, `["f"]`, `["g"]`)
	f("switch $x; case a; b; case c\n d; end", `["switch" "$x"]`, `["b"]`, `["d"]`, `["end"]`)
	f(`(a; b) && ( c )`, `["a"]`, `["b"]`, `["c"]`)
	f("a $(b $(c)) `d`", "[\"a\" \"$(b $(c))\" \"`d`\"]b $(c),d")
	f(`a "$(b "c)")" d`, `["a" "$(b \"c)\")" "d"]b "c)"`)
	f(`a <(b c)`, `["a" "/dev/fd/63"]b c`)
	f(`a $((1+1)) ${x:-y} $x$y $?`, `["a" "$((1+1))" "y" "$x$y" "$?"]`)
	f(`a "$@" $1 "$2" $3`, `["a" "one" "two words" "one" "two words"]`)
	f(`$'\x63\164r' $"x"`, `["ctr" "x"]`)
	f("a \\\nb", `["a" "b"]`)
	f(`a 'b`, `["a" "b"]`)
	f(`a "b`, `["a" "b"]`)
	f(`a \`, `["a"]`)
	f(`$(`, `["$("]`)
	f(``)
	f(` ;;; `)
}

// A script that is too long to be read, or asks for more than is kept, does not hide what
// weighs most in it; what was skimmed is partial.
func TestLongScriptsAreSkimmed(t *testing.T) {
	f := func(script, command string, confidence Confidence) {
		t.Helper()
		call, ok := Parse(Command{Executable: "/bin/bash", Args: []string{"bash", "-c", script}})
		if !ok || call.Command != command || call.Confidence != confidence {
			t.Errorf("%.20s… (%d bytes): %q, %v, %v; want %q, %v", script, len(script), call.Command, call.Confidence, ok, command, confidence)
		}
	}
	f(strings.Repeat("crictl ps;", 1000)+"crictl exec 9b id", "crictl exec", Complete)
	padding := ": " + strings.Repeat("x", 70_000) + "\n"
	f(padding+"crictl exec 9b id", "crictl exec", Partial)
	f(strings.Repeat(":;", 1_000_000)+"A=1 sudo /usr/bin/ctr -n k8s.io tasks exec --exec-id e 9b id", "ctr tasks exec", Partial)
	f("crictl exec 9b id\n"+padding, "crictl exec", Partial)

	for _, script := range []string{padding + "echo crictl exec 9b id", padding + "less crictl.md"} {
		if call, ok := Parse(Command{Executable: "/bin/bash", Args: []string{"bash", "-c", script}}); ok {
			t.Errorf("%s is %s", script[len(padding):], call.Command)
		}
	}
}
