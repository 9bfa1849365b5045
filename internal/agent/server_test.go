package agent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
)

// Metrics and status say the same of every event, and the probes whether time passes.
func TestServer(t *testing.T) {
	r := start(t, nil)
	h := r.Handler()
	get := func(path string, code int) string {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		b, _ := io.ReadAll(w.Result().Body)
		if w.Code != code {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, code, b)
		}
		return string(b)
	}
	get("/healthz", 200)
	get("/readyz", 503) // Nothing has been read yet.
	r.tick(clock("10:00:00"))
	get("/readyz", 200)
	if r.Alive(time.Now().Add(time.Minute)) {
		t.Error("alive though time does not pass")
	}
	r.send(process("10:00:09", "ctr"), process("10:00:01", "a"), `{"event":{"category":"file"}}`, `{"broken`)
	r.lost.Store(5)
	r.hasty.Store(3)
	metrics := get("/metrics", 200)
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^orlop_events_total\{outcome="\w+",source="s"\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		n, _ := strconv.Atoi(m[1])
		sum += n
	}
	for _, want := range []string{
		"orlop_events_in_total{source=\"s\"} " + strconv.Itoa(sum), `orlop_events_total{outcome="lost",source="s"} 5`,
		`orlop_programs_without_look_total{source="s",what="unidentified"} 3`, `orlop_programs_without_look_total{source="s",what="unrecorded"} 0`,
		`orlop_alerts_total{rule_id="one"} 1`, `orlop_rules{state="running"} 2`, "orlop_ready 1",
		`orlop_rule_candidates_total{rule_id="one"} 1`, `orlop_rule_matches_total{rule_id="one"} 1`, `orlop_rule_state_bytes{rule_id="one"} 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	var s agent.Status
	if err := json.Unmarshal([]byte(get("/status", 200)), &s); err != nil {
		t.Fatal(err)
	}
	if a := s.Sources[0]; a.In != int64(sum) || sum != 9 || s.Alerts != 1 || !s.Ready || a.Unidentified != 3 {
		t.Errorf("status %+v", s)
	}
	if text := get("/status", 200); !strings.Contains(text, `"sources":[{"source":"s","in":9,"evaluated":`) {
		t.Errorf("status %s", text)
	}
	get("/", 404)
	get("/debug/pprof/", 404)
	r.stop()
}

// Rules of the start that do not run for their mistakes are told, until a reload has none.
func TestMistakesOfTheStartAreTold(t *testing.T) {
	files := fstest.MapFS{"r/bad.toml": {Data: []byte(strings.Replace(liveRules, "process.name ==", "process.name =", 1))}, "r/none.toml": {Data: []byte("[rule\n")}}
	p := rule.LoadFS(files, "r")
	var wrong syntax.Errors
	errors.As(detect.Check(p.Rules), &wrong)
	wrong = append(wrong, p.Errors...)
	if len(wrong) != 2 {
		t.Fatal(wrong)
	}
	r := start(t, func(l *agent.Live) { l.Mistaken(wrong) })
	f := func(want ...string) {
		t.Helper()
		if s := r.Status(); s.Mistakes != len(want) || !slices.Equal(s.Mistaken, want) {
			t.Errorf("the status has %d mistakes %q, want %q", s.Mistakes, s.Mistaken, want)
		}
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if want := fmt.Sprintf("orlop_rule_mistakes %d\n", len(want)); !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	f(wrong[0].Error(), wrong[1].Error())
	if err := r.Reload(pack(t, strings.Replace(liveRules, "process.name ==", "process.name =", 1)), nil); err == nil {
		t.Error("a wrong rule is taken")
	}
	f(wrong[0].Error(), wrong[1].Error())
	if err := r.Reload(pack(t, liveRules), nil); err != nil {
		t.Error(err)
	}
	f()
	r.stop()
}
