package procfs

import "testing"

// A process that is being reaped is gone: what stat says of it then is of nobody.
func TestStatOfOneThatIsReaped(t *testing.T) {
	f := func(stat string, want bool) {
		t.Helper()
		var p Process
		if got := p.parse(7, []byte(stat)); got != want {
			t.Errorf("%s: there is %v, want %v: %+v", stat, got, want, p)
		}
	}
	const rest = " 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0 18446744073709551615"
	f("7 (sh) S 5 7 5"+rest, true)
	f("7 (a) b) R 5 7 5"+rest, true)
	f("7 (sh) X 0 -1 -1"+rest, false)
	f("7 (sh) S 5 7 5", false)
	f("7 sh", false)
}
