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
	client := &http.Client{Jar: jar}
	get := func(link string) string {
		t.Helper()
		resp, err := client.Get(link)
		if err != nil {
			t.Fatalf("%q: %v", link, err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	body := get(link)
	for _, want := range []string{">" + said + "<", "Renamed Container Runtime Client", "worker-1"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	// The rules are there to be tried.
	host, _, _ := strings.Cut(link, "/enter")
	for path, want := range map[string]string{`"(/alerts/[0-9a-f]+)"`: "It matches today too.", `"(/rules/[0-9a-f-]+)"`: " passed</span>"} {
		from, end := body, "/replay"
		if strings.Contains(path, "rules") {
			from, end = get(host+"/rules"), ""
		}
		m := regexp.MustCompile(path).FindStringSubmatch(from)
		if m == nil {
			t.Errorf("no %s", path)
		} else if got := get(host + m[1] + end); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q", m[1]+end, want)
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
