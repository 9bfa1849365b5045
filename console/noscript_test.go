package console_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Whoever has JavaScript off can read, and narrow down what there is to read.
func TestReadingNeedsNoJavaScript(t *testing.T) {
	b := newBrowser(t)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signIn()
	has := func(sel, want string) {
		t.Helper()
		if got := b.text(sel); !strings.Contains(got, want) {
			t.Errorf("%s has %.300q, want %q", sel, got, want)
		}
	}
	has("#alerts tbody", "Container Entered Below the Kubernetes API")
	has(".facets", "Severity")

	// By the form.
	run(b, chromedp.SendKeys(chromedp.CSS("#q"), "process.name: nsenter\r"))
	b.arrive("q=process.name")
	has(".note", "Read as KQL.")
	has("#alerts tbody", "nsenter")
	if got := b.text("#alerts tbody"); strings.Contains(got, "crictl") {
		t.Errorf("the form did not narrow down: %s", got)
	}
	// By a link, and an alert.
	b.open("/alerts")
	run(b, chromedp.Click(chromedp.CSS(`.facet a[aria-label="Only Severity high"]`)))
	b.arrive("severity")
	has(".chips", "high")
	run(b, chromedp.Click(chromedp.CSS(`#alerts tbody tr a[href^="/alerts/"]`)))
	b.arrive("/alerts/")
	has("h1", "Kubernetes API")
	has("#why", "event.type")
	run(b, chromedp.Click(chromedp.CSS(`#why a[href$="/replay"]`)))
	b.arrive("/replay")
	has(".said-it", "It matches today too.")
	for path, want := range map[string]string{"/rules": "Container", "/coverage": "Execution", "/sources": "audit", "/hosts": "Hosts", "/exceptions": "Exceptions", "/audit": "Audit", "/settings": "Settings"} {
		b.open(path)
		has("main", want)
	}
	b.clean("without JavaScript")
}

// arrive waits until the browser is at an address that has a text.
func (b *browser) arrive(part string) {
	b.t.Helper()
	b.until("location.href.includes(" + strconv.Quote(part) + ")")
}

// The first paint of the page of alerts, with nothing in the browser's cache.
func TestFirstPaint(t *testing.T) {
	b := newBrowser(t)
	b.signIn()
	call(b, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	var mu sync.Mutex
	bytes := 0.0
	if err := chromedp.Listen(b.ctx, func(ev any) {
		if ev, ok := ev.(*network.EventLoadingFinished); ok {
			mu.Lock()
			bytes += ev.EncodedDataLength
			mu.Unlock()
		}
	}); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	const times = 11
	var paints, answers []float64
	for range times {
		b.open("/alerts?status=all")
		b.until(`performance.getEntriesByName("first-contentful-paint").length > 0`)
		paints = append(paints, run(b, chromedp.Evaluate[float64](`performance.getEntriesByName("first-contentful-paint")[0].startTime`)))
		answers = append(answers, run(b, chromedp.Evaluate[float64](`performance.getEntriesByType("navigation")[0].responseEnd`)))
	}
	slices.Sort(paints)
	slices.Sort(answers)
	mu.Lock()
	defer mu.Unlock()
	bytes /= times
	t.Logf("first contentful paint after %.0f ms at the median of %d (%.0f to %.0f), the page having come after %.0f ms; %.1f kB transferred",
		paints[times/2], times, paints[0], paints[times-1], answers[times/2], bytes/1000)
	if bytes == 0 || bytes > 100_000 {
		t.Errorf("%.0f bytes are transferred, want at most 100 kB", bytes)
	}
}
