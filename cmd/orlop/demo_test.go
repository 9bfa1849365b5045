package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The demo prints a link on a line of its own, which signs in and shows the alerts.
func TestDemoShowsTheAlertsOfTheSession(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"demo", "--no-open", "--listen", "127.0.0.1:0"}, strings.NewReader(""), w, io.Discard)
		w.Close()
	}()
	var link, said string
	lines := bufio.NewScanner(r)
	for link == "" && lines.Scan() {
		if m := regexp.MustCompile(`replayed: (\d+ alerts)`).FindStringSubmatch(lines.Text()); m != nil {
			said = m[1]
		}
		if strings.HasPrefix(lines.Text(), "http://127.0.0.1:") {
			link = lines.Text()
		}
	}
	go io.Copy(io.Discard, r)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Jar: jar}).Get(link)
	if err != nil {
		t.Fatalf("the link %q: %v", link, err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">" + said + "<", "Renamed Container Runtime Client", "worker-1"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	stop()
	if got := <-code; got != exitDone {
		t.Errorf("interrupted, the demo ends with %d, want %d", got, exitDone)
	}
}

// said is a log that calls found with the first line that has the text.
type said struct {
	text  string
	found func()
	all   strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.all.Write(p)
	if s.found != nil && strings.Contains(string(p), s.text) {
		s.found()
		s.found = nil
	}
	return len(p), nil
}

// Where no terminal is, the console prints no link, but how to get the first.
func TestTheConsolePrintsNoLinkIntoALog(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	name := filepath.Join(t.TempDir(), "orlop.db")
	var stdout strings.Builder
	log := &said{text: "orlop console --link admin", found: stop}
	if code := run(ctx, []string{"console", "--store", name, "--listen", "127.0.0.1:0"}, strings.NewReader(""), &stdout, log); code != exitDone || stdout.Len() > 0 {
		t.Errorf("exit code %d, want 0; it prints %q, want nothing", code, stdout.String())
	}
	if strings.Contains(log.all.String(), "token=") {
		t.Errorf("the log has a link: %s", log.all.String())
	}
	if code := run(t.Context(), []string{"console", "--store", name, "--link", "admin"}, strings.NewReader(""), &stdout, log); code != exitDone || !strings.HasPrefix(stdout.String(), "http://127.0.0.1:7070/enter?token=") {
		t.Errorf("exit code %d; --link admin prints %q, want a link: %s", code, stdout.String(), log.all.String())
	}
}

func TestAlertsNeedsAToken(t *testing.T) {
	t.Setenv("ORLOP_TOKEN", "")
	f := func(want string, args ...string) {
		t.Helper()
		var errs strings.Builder
		if code := run(t.Context(), args, strings.NewReader(""), io.Discard, &errs); code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%q ends with %d and says %q, want %d and %q", args, code, errs.String(), exitUsage, want)
		}
	}
	f("no token", "alerts", "list")
	t.Setenv("ORLOP_TOKEN", "orlop_x")
	f("expected https://", "alerts", "list", "--server", "http://console.example:7070")
	f("expected a URL", "alerts", "list", "--server", "console")
	f("--format", "alerts", "export", "--format", "xml")
	f("--limit", "alerts", "list", "-n", "0")
}
