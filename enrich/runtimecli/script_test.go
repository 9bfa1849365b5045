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
