package sink_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/sink"
)

// A secret goes to no peer whose name is in the clear, and is not in its address.
func TestCheckURL(t *testing.T) {
	f := func(text string, secret bool, want string) {
		t.Helper()
		if msg, _ := sink.CheckURL(text, secret); msg != want {
			t.Errorf("%s: %q, want %q", text, msg, want)
		}
	}
	const form, clear = "expected a URL of a host, with http or https", "a secret is not sent over a network without TLS"
	f("https://siem.example:8443/alerts?x=1", true, "")
	f("http://siem.example/", false, "")
	f("http://127.0.0.1:9200", true, "")
	f("http://[::1]:9200", true, "")
	f("http://localhost", true, "")
	f("http://siem.example/", true, clear)
	f("http://localhost.example/", true, clear)
	f("", false, form)
	f("siem.example", false, form)
	f("siem.example:80", false, form)
	f("ftp://siem.example", false, form)
	f("https:siem.example", false, form)
	f("https://:443", false, form)
	f("http://x\n", false, form)
	f("https://me:pw@siem.example", false, "a name and a password have no place in a URL")
	f("https://siem.example/#x", false, "a URL of a peer has no part after #")
}

// A secret comes from one place, and no error has any of it.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Setenv("ORLOP_TEST_SECRET", "hush")
	f := func(s sink.Secret, want, wrong string) {
		t.Helper()
		got, err := s.Read()
		if got != want || wrong == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%+v: %q, %v; want %q, %s", s, got, err, want, wrong)
		}
	}
	f(sink.Secret{}, "", "")
	f(sink.Secret{Env: "ORLOP_TEST_SECRET"}, "hush", "")
	f(sink.Secret{Env: "ORLOP_TEST_NONE"}, "", "the environment has no ORLOP_TEST_NONE")
	f(sink.Secret{File: path("a", " hush \r\n")}, " hush ", "")
	f(sink.Secret{File: path("b", "\n")}, "", "is empty")
	f(sink.Secret{File: filepath.Join(dir, "none")}, "", "no such file")
	f(sink.Secret{Env: "X", File: "y"}, "", "expected env or file, not both")
	for _, s := range []sink.Secret{{}, {Env: "X", File: "y"}} {
		if _, msg, _ := s.Check(); msg != "expected one of env and file" {
			t.Errorf("%+v: %q", s, msg)
		}
	}
}

func TestTLSRefuses(t *testing.T) {
	f := func(o sink.TLS, want string) {
		t.Helper()
		if _, err := o.Config(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
	f(sink.TLS{Cert: "x"}, "tls: expected cert and key, or neither")
	f(sink.TLS{CA: "/none"}, "tls: ca: open /none")
	f(sink.TLS{CA: "options_test.go"}, "tls: ca: options_test.go has no certificate in PEM")
	f(sink.TLS{Cert: "/none", Key: "/none"}, "tls: cert: open /none")
}
