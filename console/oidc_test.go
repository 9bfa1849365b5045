package console_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/store"
)

// A company is a provider of OpenID Connect with groups, and a console whose people sign
// in at it.
type company struct {
	*site
	console  *httptest.Server
	provider *httptest.Server
	groups   map[string][]string // by subject
	options  *console.OIDC
}

// people are the provider's storage, which knows groups as well.
type people struct {
	*storage.Storage
	of *company
}

func (p *people) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	if err := p.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin); err != nil {
		return err
	}
	info.AppendClaims("groups", p.of.groups[subject])
	return nil
}

func newCompany(t *testing.T, change func(*console.OIDC)) *company {
	t.Helper()
	c := &company{site: emptySite(t), groups: map[string][]string{}}
	c.at = time.Now() // The provider goes by the clock.
	var shop, login http.Handler
	serve := func(h *http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*h).ServeHTTP(w, r) }))
		s.Start()
		s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
		t.Cleanup(s.Close)
		return s
	}
	c.console, c.provider = serve(&shop), serve(&login)
	storage.RegisterClients(storage.WebClient("orlop", "well kept", c.console.URL+"/sign-in/oidc/callback"))
	login = exampleop.SetupServer(c.provider.URL, &people{storage.NewStorage(storage.NewUserStore(c.provider.URL)), c}, nil, false, op.WithAllowInsecure())

	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("well kept\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.options = console.NewOIDC()
	c.options.Issuer, c.options.ClientID, c.options.Secret = c.provider.URL, "orlop", sink.Secret{File: file}
	c.options.URL, c.options.Name = c.console.URL, "the company"
	c.options.Admins, c.options.Analysts, c.options.Viewers = []string{"sec-admins"}, []string{"soc", "sre"}, []string{"staff"}
	if change != nil {
		change(c.options)
	}
	var err error
	c.server, err = console.New(console.Options{Store: c.store, Now: c.now, OIDC: c.options})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.server.Close)
	shop = c.server
	return c
}

// A person's browser keeps cookies and follows redirects.
type person struct {
	t *testing.T
	*http.Client
}

func newPerson(t *testing.T) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, &http.Client{Jar: jar}}
}

func (b *person) get(url string) (at *url.URL, code int, body string) {
	b.t.Helper()
	w, err := b.Get(url)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.page(w)
}

func (b *person) page(w *http.Response) (at *url.URL, code int, body string) {
	b.t.Helper()
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return w.Request.URL, w.StatusCode, string(text)
}

const callback = "/sign-in/oidc/callback"

// reach signs in at the provider, from the console's page on, as one of its people, and
// returns where the provider sends the browser then.
func (b *person) reach(c *company, then, name string) *url.URL {
	b.t.Helper()
	at, code, body := b.get(c.console.URL + "/sign-in/oidc?then=" + url.QueryEscape(then))
	if code != http.StatusOK || !strings.HasPrefix(at.String(), c.provider.URL) {
		b.t.Fatalf("%d at %s: %s", code, at, body)
	}
	form := url.Values{"username": {name}, "password": {"verysecure"}}
	for _, in := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		form.Set(in[1], in[2])
	}
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == callback {
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { b.CheckRedirect = nil }()
	w, err := b.PostForm(c.provider.URL+"/login/username", form)
	if err != nil {
		b.t.Fatal(err)
	}
	defer w.Body.Close()
	to, err := w.Location()
	if err != nil || to.Path != callback {
		b.t.Fatalf("the provider sends the browser to %v, %v", to, err)
	}
	return to
}

func (b *person) signIn(c *company, then, name string) (at *url.URL, code int, body string) {
	b.t.Helper()
	return b.get(b.reach(c, then, name).String())
}

func (c *company) user(name string) *store.User {
	u, err := c.store.User(c.t.Context(), name)
	if err != nil {
		c.t.Fatal(err)
	}
	return u
}

// Somebody signs in at the provider and is a user here, with the role of their groups,
// which the next sign-in reads again.
func TestOIDCSignsIn(t *testing.T) {
	c := newCompany(t, nil)
	c.groups["id1"] = []string{"staff", "soc"}
	const name = "test-user@localhost"

	b := newPerson(t)
	if _, _, body := b.get(c.console.URL + "/alerts?status=all"); !strings.Contains(body, `href="/sign-in/oidc?then=%2falerts%3fstatus%3dall"`) || !strings.Contains(body, "Sign in with the company") {
		t.Errorf("the sign-in page has no link to the provider:\n%s", body)
	}
	at, code, body := b.signIn(c, "/alerts?status=all", name)
	if code != http.StatusOK || at.String() != c.console.URL+"/alerts?status=all" || !strings.Contains(body, name) {
		t.Fatalf("%d at %s:\n%s", code, at, body)
	}
	u := c.user(name)
	if u.Role != store.Analyst || u.Subject != c.provider.URL+" id1" || u.Hash != "" {
		t.Errorf("the user is %+v", u)
	}
	if _, _, body := b.get(c.console.URL + "/settings"); strings.Contains(body, `action="/settings/password"`) {
		t.Error("who signs in at the provider is offered a password")
	}

	c.groups["id1"] = []string{"staff", "sec-admins"}
	if at, code, _ := newPerson(t).signIn(c, "https://elsewhere.example/", name); code != http.StatusOK || at.String() != c.console.URL+"/alerts" {
		t.Errorf("%d at %s", code, at)
	}
	if u := c.user(name); u.Role != store.Admin {
		t.Errorf("with other groups the role is %s, want admin", u.Role)
	}
	if at, code, _ := b.get(c.console.URL + "/audit"); code != http.StatusOK || at.Path != "/audit" {
		t.Errorf("as an admin: %d at %s", code, at)
	}
	if unclaimed, err := c.server.Unclaimed(t.Context()); unclaimed || err != nil {
		t.Errorf("an admin of the provider's cannot sign in: %v, %v", unclaimed, err)
	}
	var did []string
	for a, err := range c.store.Actions(t.Context(), &store.ActionQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if a.By.Via == "oidc" {
			did = append(did, a.By.User+" "+a.What)
		}
	}
	if got, want := fmt.Sprint(did), "[test-user@localhost session.begin orlop user.put test-user@localhost session.begin orlop user.put]"; got != want {
		t.Errorf("the audit log has %s, want %s", got, want)
	}
}

// Who has no role here is refused, and so is who would be somebody else.
func TestOIDCRefuses(t *testing.T) {
	f := func(about, want string, groups []string, before func(*company)) {
		t.Helper()
		c := newCompany(t, nil)
		c.groups["id2"] = groups
		if before != nil {
			before(c)
		}
		at, code, body := newPerson(t).signIn(c, "/", "test-user2")
		if code != http.StatusForbidden || !strings.Contains(body, want) || at.Path != "/sign-in/oidc/callback" {
			t.Errorf("%s: %d at %s, want %q:\n%s", about, code, at, want, body)
		}
		if _, _, body := newPerson(t).get(c.console.URL + "/alerts"); strings.Contains(body, "test-user2") {
			t.Errorf("%s: there is a session", about)
		}
	}
	put := func(u store.User) func(*company) {
		return func(c *company) {
			if u.Subject != "" {
				u.Subject = c.provider.URL + " " + u.Subject
			}
			if err := c.store.PutUser(t.Context(), store.Actor{User: "test"}, c.at, &u); err != nil {
				t.Fatal(err)
			}
		}
	}
	f("no group", "gives you no role here", nil, nil)
	f("another group", "gives you no role here", []string{"sales", "STAFF", "*"}, nil)
	f("shut out", "You are shut out", []string{"staff"}, put(store.User{Name: "test-user2", Role: store.Viewer, Subject: "id2", Disabled: true}))
	f("a user of that name", "There is a user of your name here", []string{"sec-admins"}, put(store.User{Name: "test-user2", Role: store.Viewer}))
	f("somebody else of that name", "There is a user of your name here", []string{"staff"}, put(store.User{Name: "test-user2", Role: store.Viewer, Subject: "id7"}))
}

// What a browser brings that was not begun in it, or was begun for something else, begins
// no session; nor does a provider that says no, does not know us, or is gone.
func TestOIDCForgeries(t *testing.T) {
	f := func(about string, want int, says string, try func(c *company, b *person) (*url.URL, int, string)) {
		t.Helper()
		c, b := newCompany(t, nil), newPerson(t)
		c.groups["id1"] = []string{"staff"}
		at, code, body := try(c, b)
		if code != want || !strings.Contains(body, says) {
			t.Errorf("%s: %d at %s, want %d and %q:\n%s", about, code, at, want, says, body)
		}
		if at, _, _ := b.get(c.console.URL + "/alerts"); at.Path != "/sign-in" {
			t.Errorf("%s: there is a session", about)
		}
	}
	with := func(u *url.URL, key, value string) string {
		q := u.Query()
		q.Set(key, value)
		v := *u
		v.RawQuery = q.Encode()
		return v.String()
	}
	const name, unknown, silent = "test-user@localhost", "not begun here", "the company does not answer as it should"
	f("nothing was begun", 400, unknown, func(c *company, b *person) (*url.URL, int, string) {
		return b.get(c.console.URL + callback + "?code=x&state=y")
	})
	f("begun in another browser", 400, unknown, func(c *company, b *person) (*url.URL, int, string) {
		return b.get(newPerson(t).reach(c, "/", name).String())
	})
	f("another state", 400, unknown, func(c *company, b *person) (*url.URL, int, string) {
		return b.get(with(b.reach(c, "/", name), "state", "y"))
	})
	f("somebody else's code", 502, silent, func(c *company, b *person) (*url.URL, int, string) {
		code := newPerson(t).reach(c, "/", name).Query().Get("code")
		return b.get(with(b.reach(c, "/", name), "code", code))
	})
	f("no code", 502, silent, func(c *company, b *person) (*url.URL, int, string) {
		return b.get(with(b.reach(c, "/", name), "code", ""))
	})
	f("a second time", 400, unknown, func(c *company, b *person) (*url.URL, int, string) {
		to := b.reach(c, "/", name).String()
		if _, code, body := b.get(to); code != http.StatusOK {
			t.Errorf("the first time: %d: %s", code, body)
		}
		if err := c.store.EndSessions(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		return b.get(to)
	})
	f("a refusal", 403, "the company says no: access_denied &lt;b&gt;you&lt;/b&gt;", func(c *company, b *person) (*url.URL, int, string) {
		to := b.reach(c, "/", name)
		return b.get(c.console.URL + callback + "?error=access_denied&error_description=%3Cb%3Eyou%3C/b%3E&state=" + to.Query().Get("state"))
	})
	f("an ID token that has expired", 502, silent, func(c *company, b *person) (*url.URL, int, string) {
		c.at = c.at.Add(2 * time.Hour)
		return b.signIn(c, "/", name)
	})
	f("another secret", 502, silent, func(c *company, b *person) (*url.URL, int, string) {
		storage.RegisterClients(storage.WebClient("orlop", "another one", c.console.URL+callback))
		return b.signIn(c, "/", name)
	})
	f("the provider is gone", 502, silent, func(c *company, b *person) (*url.URL, int, string) {
		c.provider.Close()
		return b.get(c.console.URL + "/sign-in/oidc")
	})
}

// docs/console.md says of each key what its type does.
func TestOIDCManual(t *testing.T) {
	manual, err := os.ReadFile("../docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	of := reflect.TypeFor[console.OIDC]()
	for i := range of.NumField() {
		f := of.Field(i)
		line := regexp.MustCompile("(?m)^\\| `" + f.Tag.Get("yaml") + "` \\|.*\\| (.*) \\|$").FindSubmatch(manual)
		if line == nil || string(line[1]) != f.Tag.Get("doc") {
			t.Errorf("%s: %q, want %q", f.Tag.Get("yaml"), line, f.Tag.Get("doc"))
		}
	}
}

// A console without a provider has no such pages.
func TestNoOIDC(t *testing.T) {
	s := emptySite(t)
	var err error
	if s.server, err = console.New(console.Options{Store: s.store, Now: s.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.server.Close)
	for _, path := range []string{"/sign-in/oidc", callback + "?code=x&state=y"} {
		w := httptest.NewRecorder()
		s.server.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
}
