package console_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// The page of sources shows the last hour of those that a run reads, and no more.
func TestSourcesAreShownOverTime(t *testing.T) {
	s := newSite(t)
	v := s.visit("vic")
	figures := regexp.MustCompile(`aria-label="(\w+) in the last hour: now ([^"]*), at most ([^"]*)"`)
	bars := regexp.MustCompile(`<path d="([^"]*)"`)
	f := func(want string) (steps int) {
		t.Helper()
		code, body := v.get("/sources")
		var got []string
		for _, m := range figures.FindAllStringSubmatch(body, -1) {
			got = append(got, m[1]+" "+m[2]+" of "+m[3])
		}
		if code != 200 || strings.Join(got, "; ") != want {
			t.Errorf("got %q, want %q", strings.Join(got, "; "), want)
		}
		if m := bars.FindStringSubmatch(body); m != nil {
			steps = strings.Count(m[1], "M")
		}
		return steps
	}
	next := func(after time.Duration, events uint64) {
		s.pass(after, events)
		s.server.Sample(s.at)
	}
	f("") // one sample is no course
	next(10*time.Second, 40)
	f("Rate 4/s of 4/s; Lag 2 s of 2 s; Late 0 of 0; Rejected 0 of 0; Lost 0 of 0")
	next(20*time.Second, 12_560)
	f("Rate 628/s of 628/s; Lag 0 s of 2 s; Late 2 of 2; Rejected 0 of 0; Lost 0 of 0")
	s.pass(0, -s.read) // counters that begin anew count nothing
	next(10*time.Second, 0)
	f("Rate 0/s of 628/s; Lag 0 s of 2 s; Late 0 of 2; Rejected 0 of 0; Lost 0 of 0")
	for range 1000 {
		next(10*time.Second, 15)
	}
	if n := f("Rate 1.5/s of 1.5/s; Lag 0 s of 0 s; Late 0 of 1; Rejected 0 of 0; Lost 0 of 0"); n != 360 {
		t.Errorf("%d samples are shown, want those of an hour", n)
	}
	next(-time.Minute, 0) // the clock was set back
	f("")
	next(10*time.Second, 10)
	f("Rate 1/s of 1/s; Lag 2 s of 2 s; Late 0 of 0; Rejected 0 of 0; Lost 0 of 0")
}
