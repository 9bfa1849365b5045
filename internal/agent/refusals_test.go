package agent_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/source"
)

func TestRefusals(t *testing.T) {
	var out strings.Builder
	now := time.Unix(1_800_000_000, 0)
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: noTime}))
	reject := agent.Refusals(log, "api", func() time.Time { return now })
	f := func(later time.Duration, class, reason, want string) {
		t.Helper()
		now = now.Add(later)
		out.Reset()
		reject(source.Rejection{Origin: event.Origin{Source: "kube.log", Offset: 17}, Class: class, Reason: reason})
		if got := strings.TrimSpace(out.String()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(0, "syntax", "not \x1b[1mJSON", `level=WARN msg=rejected source=api events=1 class=syntax reason="not \x1b[1mJSON" at=kube.log offset=17`)
	f(time.Second, "syntax", "not JSON", "")
	f(0, "too long", "line longer than 9 bytes", `level=WARN msg=rejected source=api events=1 class="too long" reason="line longer than 9 bytes" at=kube.log offset=17`)
	f(57*time.Second, "syntax", "not JSON", "")
	f(2*time.Second, "syntax", "no verb", `level=WARN msg=rejected source=api events=3 class=syntax reason="no verb" at=kube.log offset=17`)
	// A clock that is set back silences nothing.
	f(-time.Hour, "syntax", "no verb", `level=WARN msg=rejected source=api events=1 class=syntax reason="no verb" at=kube.log offset=17`)
}
