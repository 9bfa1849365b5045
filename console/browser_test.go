package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/store"
)

// A browser is Chromium with a console, and what it has complained of and asked for.
type browser struct {
	t    *testing.T
	ctx  context.Context
	at   string // of the console
	site *site

	mu     sync.Mutex
	said   []string // errors on the browser's console
	beyond []string // requests to elsewhere
}

// newBrowser starts Debian's Chromium. Where there is none the test is skipped.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium here; make deps installs it")
	}
	st := newSite(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := console.New(console.Options{Store: st.store, Rules: st.rules, Sources: st.sources, Trial: st.trial, Now: st.now, Hosts: console.Loopback(l.Addr())})
	if err != nil {
		t.Fatal(err)
	}
	srv := c.HTTPServer()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
		c.Close()
	})
	st.server = c
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900),
		chromedp.Flag("disable-background-networking", true), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, at: "http://" + l.Addr().String(), site: st}
	// The first call starts the browser, which lives as long as its context.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	err = chromedp.Listen(ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, ev.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			if ev.Type == "error" || ev.Type == "warning" {
				b.said = append(b.said, fmt.Sprint(ev.Type, " ", ev.Args))
			}
		case *log.EventEntryAdded:
			if ev.Entry.Level == log.EntryLevelError {
				b.said = append(b.said, ev.Entry.Text+" "+ev.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(ev.Request.URL); err == nil && u.Host != l.Addr().String() && u.Scheme != "data" && u.Scheme != "chrome" {
				b.beyond = append(b.beyond, ev.Request.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	call(b, log.Enable, cdp.Empty{})
	return b
}

// run runs an action that has a value.
func run[T any](b *browser, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// call gives the browser a command of its protocol.
func call[P, R any](b *browser, cmd cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, cmd, params); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) open(path string) { b.t.Helper(); run(b, chromedp.Navigate(b.at+path)) }

func (b *browser) text(sel string) string {
	b.t.Helper()
	return run(b, chromedp.TextContent(chromedp.CSS(sel)))
}

// press gives the page a key.
func (b *browser) press(keys string) { b.t.Helper(); run(b, chromedp.KeyEvent(keys)) }

// until waits for a condition in JavaScript.
func (b *browser) until(condition string) {
	b.t.Helper()
	// A page that gives way to the next one takes the question with it: it is asked again.
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](`document.readyState === "complete" && !!(`+condition+")", chromedp.WithPollingTimeout(10*time.Second)))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("waiting for %s: %v", condition, err)
		}
	}
}

// shot writes a picture of the page, if ORLOP_SCREENSHOTS names a folder.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("ORLOP_SCREENSHOTS")
	if dir == "" {
		return
	}
	png := run(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// clean fails if the browser has complained, or has asked elsewhere.
func (b *browser) clean(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.said {
		b.t.Errorf("%s: the browser says: %s", where, s)
	}
	for _, s := range b.beyond {
		b.t.Errorf("%s: a request beyond the host: %s", where, s)
	}
	b.said, b.beyond = nil, nil
}

// accessible fails if axe-core finds something serious.
func (b *browser) accessible(where string) {
	b.t.Helper()
	axe, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		b.t.Fatal(err)
	}
	run(b, chromedp.Evaluate[int](string(axe)+";0"))
	out := run(b, chromedp.Evaluate[string](`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations
		.filter(v => v.impact === "serious" || v.impact === "critical").map(v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " :: " + (n.any[0]?.message ?? ""))}))))`, chromedp.EvalAwaitPromise))
	var found []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		b.t.Fatal(err)
	}
	for _, f := range found {
		b.t.Errorf("%s: %s (%s): %s\n\t%s", where, f.ID, f.Impact, f.Help, strings.Join(f.Nodes, "\n\t"))
	}
}

func (b *browser) signIn() {
	b.t.Helper()
	path, err := b.site.server.Link(b.ctx, "admin")
	if err != nil {
		b.t.Fatal(err)
	}
	b.open(path)
	if got := b.text("h1"); !strings.Contains(got, "Alerts") {
		b.t.Fatalf("after the link the page is %q, want Alerts", got)
	}
}

func (b *browser) theme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

func (b *browser) size(w, h int64, phone bool) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: w, Height: h, DeviceScaleFactor: 1, Mobile: phone})
}

func TestEachPageInABrowser(t *testing.T) {
	b := newBrowser(t)
	b.open("/sign-in")
	b.accessible("sign-in")
	b.shot("sign-in")
	b.signIn()
	for i := range 360 {
		b.site.pass(10*time.Second, 400+300*uint64(i%40)/40+uint64(i*i%97))
		b.site.server.Sample(b.site.at)
	}
	one := b.site.id("Container Given Host Access Below the Kubernetes API")
	b.site.except("the nightly clean-up", "process.parent.executable", "/opt/janitor/janitor", b.site.rules()[0].ID, time.Time{})
	b.site.except("a drill", "user.name", "drill", "", b.site.at.Add(-time.Hour))
	pages := map[string]string{
		"alerts": "/alerts?status=all", "groups": "/alerts?status=all&by=kibana.alert.rule.name&by=user.name", "alert": "/alerts/" + one,
		"sequence": "/alerts/" + b.site.id("Container Removed After It Was Entered Below the Kubernetes API"),
		"replay":   "/alerts/" + one + "/replay",
		"except":   "/except?alert=" + one, "exceptions": "/exceptions", "rules": "/rules", "rule": "/rules/" + b.site.rules()[0].ID,
		"coverage": "/coverage", "sources": "/sources", "hosts": "/hosts", "audit": "/audit", "settings": "/settings",
		"mistake": "/alerts?q=process.name+%3D%3D", "nothing": "/alerts?q=nowhere",
	}
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		for name, path := range pages {
			b.open(path)
			b.accessible(theme + " " + name)
			b.shot(name + "-" + theme)
			b.clean(theme + " " + name)
		}
		b.help(theme)
	}
	b.size(390, 844, true)
	for name, path := range pages {
		b.open(path)
		if wide := run(b, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`)); wide > 0 {
			t.Errorf("%s is %d pixels wider than a phone", name, wide)
		}
		b.shot(name + "-phone")
	}
	// The first alert is on the screen, and what is folded opens without a script.
	b.open(pages["alerts"])
	top := func(sel string) int {
		return run(b, chromedp.Evaluate[int](`Math.round((document.querySelector("`+sel+`").checkVisibility() ? document.querySelector("`+sel+`").getBoundingClientRect().top : -1))`))
	}
	if y := top("#alerts tbody tr"); y < 0 || y > 300 {
		t.Errorf("the first alert begins at %d pixels of a phone's 844, want at most 300", y)
	}
	for _, sel := range []string{".chart", ".facets", ".bulk", ".tools", ".range"} {
		if top(sel) >= 0 {
			t.Errorf("%s is not folded on a phone", sel)
		}
	}
	if high := run(b, chromedp.Evaluate[int](`Math.max(...[...document.querySelectorAll(".top nav a")].map(a => a.offsetHeight))`)); high > 40 {
		t.Errorf("a name in the navigation is %d pixels high on a phone: it wraps", high)
	}
	run(b, chromedp.Click(chromedp.CSS(".more-button")))
	for _, sel := range []string{".chart", ".facets", ".bulk", ".tools", ".range"} {
		if top(sel) < 0 {
			t.Errorf("%s is not shown when it is asked for", sel)
		}
	}
	b.accessible("phone, unfolded")
	b.shot("alerts-phone-open")
	b.help("phone")
	b.clean("phone")
}

// help opens what the query bar says of its syntax.
func (b *browser) help(where string) {
	b.t.Helper()
	b.open("/alerts?q=process.name:+ctr")
	run(b, chromedp.Click(chromedp.CSS(".help summary")))
	b.until(`document.querySelector(".help").open`)
	out := run(b, chromedp.Evaluate[bool](`(r => r.left < 0 || r.right > document.documentElement.clientWidth)(document.querySelector(".help .pop").getBoundingClientRect())`))
	if out {
		b.t.Errorf("%s: the help is not all on the screen", where)
	}
	b.accessible(where + " help")
	b.shot("help-" + where)
}

func TestTenAlertsByKeys(t *testing.T) {
	b := newBrowser(t)
	b.signIn()
	b.until(`document.querySelectorAll("#alerts tbody tr").length >= 30`)
	// A filter by the + of a facet.
	before := run(b, chromedp.Evaluate[int](`document.querySelectorAll("#alerts tbody tr").length`))
	run(b, chromedp.Click(chromedp.CSS(`.facet a[aria-label="Only Severity medium"]`)))
	b.until(`location.search.includes("severity%3Amedium")`)
	b.until(`document.querySelectorAll("#alerts tbody tr").length > 10`)
	if after := run(b, chromedp.Evaluate[int](`document.querySelectorAll("#alerts tbody tr").length`)); after >= before {
		t.Errorf("with the filter there are %d alerts, without it %d", after, before)
	}
	order := run(b, chromedp.Evaluate[string](`[...document.querySelectorAll("#alerts tbody tr")].map(tr => tr.dataset.id).join()`))
	b.press("j")
	for i := range 10 {
		key, status := "a", "acknowledged"
		if i%2 == 1 {
			key, status = "f", "closed"
		}
		b.press(key)
		b.until(fmt.Sprintf(`document.querySelectorAll("#alerts tbody tr")[%d].dataset.status === %q`, i, status))
		b.until(fmt.Sprintf(`document.querySelectorAll("#alerts tbody tr")[%d].classList.contains("at")`, i+1))
	}
	if now := run(b, chromedp.Evaluate[string](`[...document.querySelectorAll("#alerts tbody tr")].map(tr => tr.dataset.id).join()`)); now != order {
		t.Error("the rows have moved")
	}
	for i, id := range strings.Split(order, ",")[:10] {
		r, err := b.site.store.Alert(b.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"acknowledged", "closed"}[i%2]; string(r.Workflow.Status) != want {
			t.Errorf("alert %d is %s, want %s", i, r.Workflow.Status, want)
		}
	}
	// The explanation of the one at hand.
	b.press("\r")
	b.until(`document.querySelector("#why .clauses li.yes")`)
	b.press("u")
	b.until(`document.querySelector("#alerts")`)
	// A new alert is told and moves nothing.
	was := run(b, chromedp.Evaluate[string](`[...document.querySelectorAll("#alerts tbody tr")].map(tr => tr.dataset.id).join()`))
	b.site.insert(b.site.another("medium"))
	b.until(`!document.querySelector("#new").hidden && document.querySelector("#new").textContent === "1 new alert"`)
	if now := run(b, chromedp.Evaluate[string](`[...document.querySelectorAll("#alerts tbody tr")].map(tr => tr.dataset.id).join()`)); now != was {
		t.Error("the rows have moved for a new alert")
	}
	// What a colleague makes of one is shown in its row, which stays.
	last := was[strings.LastIndexByte(was, ',')+1:]
	if _, err := b.site.store.Update(b.ctx, store.Actor{User: "ben"}, b.site.at, []string{last}, store.Change{Status: store.StatusClosed, Reason: "duplicate", Assign: []string{"ann"}}); err != nil {
		t.Fatal(err)
	}
	row := `document.querySelector("#alerts tr[data-id='` + last + `'] .work")`
	b.until(row + `.textContent.includes("closed duplicate") && ` + row + `.textContent.includes("@ann") && ` + row + `.querySelector(".status").title === "by ben"`)
	if now := run(b, chromedp.Evaluate[string](`[...document.querySelectorAll("#alerts tbody tr")].map(tr => tr.dataset.id).join()`)); now != was {
		t.Error("the rows have moved for what a colleague did")
	}
	b.clean("triage")
}
