package console

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/store"
)

// OIDC says how people sign in at a provider of OpenID Connect: Core 1.0, the code flow
// with PKCE (RFC 7636). The provider is asked for its endpoints when somebody signs in
// (Discovery 1.0).
type OIDC struct {
	Issuer   string      `yaml:"issuer" required:"true" format:"url" doc:"The provider's issuer, https."`
	ClientID string      `yaml:"client_id" required:"true" doc:"What the provider calls this console."`
	Secret   sink.Secret `yaml:"client_secret" doc:"The client's secret; without it, the client is a public one."`
	URL      string      `yaml:"url" required:"true" format:"url" doc:"Where people find this console. The provider has to know URL/sign-in/oidc/callback as a redirect URI."`
	Name     string      `yaml:"name" doc:"What the provider is called on the sign-in page; without it, the host of the issuer."`
	Scopes   []string    `yaml:"scopes" doc:"What is asked for besides openid."`

	UserClaim string   `yaml:"user_claim" doc:"Claim that names the user here."`
	RoleClaim string   `yaml:"role_claim" doc:"Claim with a text, or a list of texts, that the three keys below look for."`
	Admins    []string `yaml:"admins" doc:"Values of role_claim that make an admin."`
	Analysts  []string `yaml:"analysts" doc:"Values that make an analyst; * is everybody whom the provider lets in."`
	Viewers   []string `yaml:"viewers" doc:"Values that make a viewer; * is everybody whom the provider lets in."`

	TLS sink.TLS `yaml:"tls" doc:"How the provider is known, and we to it."`
}

// NewOIDC returns the defaults.
func NewOIDC() *OIDC {
	return &OIDC{Scopes: []string{"profile", "email"}, UserClaim: "preferred_username", RoleClaim: "groups"}
}

// Conditions implements [config.Ruled].
func (o *OIDC) Conditions() []config.Condition {
	return []config.Condition{
		{Then: config.Matches("issuer", "sealed"), At: "issuer", Msg: "issuer: who somebody may be is not asked over a network without TLS", Hint: "use https"},
		{Then: config.Matches("url", "sealed"), At: "url", Msg: "url: sessions are not for a network without TLS", Hint: "use https"},
		{Then: config.Any(config.Has("admins"), config.Has("analysts"), config.Has("viewers")),
			At: "issuer", Msg: "nobody could sign in: none of admins, analysts and viewers is there", Hint: "for example viewers: ['*']"},
	}
}

// Check implements [config.Checker].
func (o *OIDC) Check() (key, msg, hint string) {
	if key, msg, hint := config.Check(o); msg != "" {
		return key, msg, hint
	}
	if slices.Contains(o.Admins, "*") {
		return "admins", "admins: * would make everybody an admin", "name a group"
	}
	return "", "", ""
}

// Ready says what keeps people from being sent to the provider: a secret or certificate
// that cannot be read. The provider is not asked.
func (o *OIDC) Ready() error {
	_, err := newProvider(o, nil)
	return err
}

// role is the highest that values of the role claim give.
func (o *OIDC) role(values []string) (store.Role, bool) {
	for _, of := range []struct {
		role   store.Role
		values []string
	}{{store.Admin, o.Admins}, {store.Analyst, o.Analysts}, {store.Viewer, o.Viewers}} {
		for _, v := range of.values {
			if v == "*" || slices.Contains(values, v) {
				return of.role, true
			}
		}
	}
	return "", false
}

// A provider is one that people sign in at.
type provider struct {
	o      *OIDC
	host   string // of this console, as people know it
	now    func() time.Time
	client *http.Client
	config oauth2.Config

	mu    sync.Mutex
	found *oidc.Provider // nil until it has been asked
}

const (
	// providerPatience is how long one answer of a provider may take.
	providerPatience = 10 * time.Second
	mostOfProvider   = 1 << 20 // bytes of an answer
	// flowLife is how long somebody may take to sign in at the provider.
	flowLife = 10 * time.Minute
)

const oidcCallbackPath = "/sign-in/oidc/callback"

func newProvider(o *OIDC, now func() time.Time) (*provider, error) {
	if _, msg, _ := o.Check(); msg != "" {
		return nil, errors.New("oidc: " + msg)
	}
	secret, err := o.Secret.Read()
	if err != nil {
		return nil, fmt.Errorf("oidc: client_%w", err)
	}
	tls, err := o.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	here, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("oidc: url: %w", err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = tls
	return &provider{
		o: o, host: here.Hostname(), now: now,
		client: &http.Client{Transport: sink.Bounded(t, mostOfProvider), Timeout: providerPatience},
		config: oauth2.Config{
			ClientID: o.ClientID, ClientSecret: secret, RedirectURL: strings.TrimSuffix(o.URL, "/") + oidcCallbackPath,
			Scopes: append([]string{oidc.ScopeOpenID}, o.Scopes...),
		},
	}, nil
}

// Name is what people know the provider by.
func (p *provider) Name() string {
	if p == nil {
		return ""
	}
	if p.o.Name != "" {
		return p.o.Name
	}
	u, err := url.Parse(p.o.Issuer)
	if err != nil {
		return p.o.Issuer
	}
	return u.Hostname()
}

// discover asks the provider for its endpoints, until it has told them once.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	p.mu.Lock()
	found := p.found
	p.mu.Unlock()
	if found == nil {
		var err error
		if found, err = oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.o.Issuer); err != nil {
			return nil, nil, err
		}
		p.mu.Lock()
		p.found = found
		p.mu.Unlock()
	}
	c := p.config
	c.Endpoint = found.Endpoint()
	return found, &c, nil
}

// A subject is whom the provider says somebody is.
type subject struct {
	id    string // issuer and sub, which is of one person for good
	name  string
	roles []string
}

// ask makes of a code what the provider says of who brought it.
func (p *provider) ask(ctx context.Context, code string, f *flow) (*subject, error) {
	found, c, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := c.Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := found.VerifierContext(ctx, &oidc.Config{ClientID: p.o.ClientID, Now: p.now}).Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		return nil, errors.New("the ID token is of another sign-in: its nonce differs")
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return nil, err
	}
	if claims[p.o.UserClaim] == nil || claims[p.o.RoleClaim] == nil {
		// Many providers have these for the UserInfo endpoint alone (Core 1.0, 5.4).
		info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return nil, err
		}
		if info.Subject != id.Subject {
			return nil, errors.New("the UserInfo is of another subject than the ID token")
		}
		var more map[string]any
		if err := info.Claims(&more); err != nil {
			return nil, err
		}
		for _, name := range [...]string{p.o.UserClaim, p.o.RoleClaim} {
			if claims[name] == nil {
				claims[name] = more[name]
			}
		}
	}
	who := &subject{id: id.Issuer + " " + id.Subject, roles: texts(claims[p.o.RoleClaim])}
	if names := texts(claims[p.o.UserClaim]); len(names) == 1 {
		who.name = names[0]
	}
	return who, nil
}

// A flow is what a browser keeps while somebody signs in at the provider.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Then     string `json:"t"`
}

func (s *Server) flowCookie(value string, life time.Duration) *http.Cookie {
	return &http.Cookie{Name: s.cookieName() + "-oidc", Value: value, Path: "/", HttpOnly: true, Secure: s.o.TLS, SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second)}
}

var errNoProvider = &problem{http.StatusNotFound, "There is no such page."}

// oidcBegin sends somebody to the provider.
func (s *Server) oidcBegin(w http.ResponseWriter, r *http.Request, _ *who) error {
	if s.provider == nil {
		return errNoProvider
	}
	if wait := s.limit.take(s.o.Now(), "oidc "+client(r), 20, 3*time.Second); wait > 0 {
		return &problem{http.StatusTooManyRequests, "Too many tries. Wait a moment."}
	}
	_, c, err := s.provider.discover(r.Context())
	if err != nil {
		return s.silent(err)
	}
	f := flow{State: secret(), Nonce: secret(), Verifier: oauth2.GenerateVerifier(), Then: s.local(r.URL.Query().Get("then"))}
	if len(f.Then) > 2048 {
		f.Then = s.o.Home
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.flowCookie(base64.RawURLEncoding.EncodeToString(text), flowLife))
	http.Redirect(w, r, c.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusSeeOther)
	return nil
}

// silent is that the provider does not answer.
func (s *Server) silent(err error) error {
	s.o.Log.Error("the OIDC provider does not answer as it should", "issuer", s.provider.o.Issuer, "reason", err)
	return &problem{http.StatusBadGateway, s.provider.Name() + " does not answer as it should; the log of this console says how. Who has a password signs in by that."}
}

// oidcCallback takes what the provider says of somebody, and begins a session.
func (s *Server) oidcCallback(w http.ResponseWriter, r *http.Request, _ *who) error {
	if s.provider == nil {
		return errNoProvider
	}
	if wait := s.limit.take(s.o.Now(), "oidc "+client(r), 20, 3*time.Second); wait > 0 {
		return &problem{http.StatusTooManyRequests, "Too many tries. Wait a moment."}
	}
	var f flow
	if c, err := r.Cookie(s.cookieName() + "-oidc"); err == nil {
		if text, err := base64.RawURLEncoding.DecodeString(c.Value); err != nil || json.Unmarshal(text, &f) != nil {
			f = flow{}
		}
	}
	http.SetCookie(w, s.flowCookie("", -time.Second))
	q := r.URL.Query()
	if f.State == "" || f.Nonce == "" || f.Verifier == "" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.State)) != 1 {
		return &problem{http.StatusBadRequest, "This sign-in was not begun here, or too long ago. Begin again."}
	}
	if e := q.Get("error"); e != "" {
		return s.refuse(r, "", s.provider.Name()+" says no: "+plain(strings.TrimSpace(e+" "+q.Get("error_description")), 300))
	}
	who, err := s.provider.ask(r.Context(), q.Get("code"), &f)
	if err != nil {
		return s.silent(err)
	}
	user, err := s.userOf(r, who)
	if err != nil {
		return err
	}
	if err := s.begin(w, r, user, "oidc"); err != nil {
		return err
	}
	http.Redirect(w, r, s.local(f.Then), http.StatusSeeOther)
	return nil
}

// userOf is the user that somebody is here, with the role that the provider says now. The
// first time one is added: never one that there was, who may be somebody else.
func (s *Server) userOf(r *http.Request, who *subject) (*store.User, error) {
	role, ok := s.provider.o.role(who.roles)
	if !ok {
		return nil, s.refuse(r, who.name, fmt.Sprintf("%s lets you in, but what it has in %s gives you no role here. An admin of this console sees to that.", s.provider.Name(), s.provider.o.RoleClaim))
	}
	all, err := s.o.Store.Users(r.Context())
	if err != nil {
		return nil, err
	}
	now, by := s.o.Now(), store.Actor{User: "orlop", Via: "oidc"}
	if i := slices.IndexFunc(all, func(u *store.User) bool { return u.Subject == who.id }); i >= 0 {
		u := all[i]
		if u.Disabled {
			return nil, s.refuse(r, u.Name, "You are shut out. An admin of this console can change that.")
		}
		if u.Role != role {
			u.Role = role
			err = s.o.Store.PutUser(r.Context(), by, now, u)
		}
		return u, err
	}
	if who.name == "" || who.name != plain(who.name, 200) {
		return nil, s.refuse(r, who.name, fmt.Sprintf("What %s has in %s is no name for a user.", s.provider.Name(), s.provider.o.UserClaim))
	}
	u := &store.User{Name: who.name, Role: role, Subject: who.id}
	err = s.o.Store.CreateUser(r.Context(), by, now, u)
	if errors.Is(err, store.ErrExists) {
		return nil, s.refuse(r, who.name, "There is a user of your name here who does not sign in by "+s.provider.Name()+". An admin of this console can remove that one.")
	}
	return u, err
}

// refuse is that somebody is not let in, which the audit log has.
func (s *Server) refuse(r *http.Request, name, why string) error {
	err := s.o.Store.Note(r.Context(), s.o.Now(), &store.Action{By: store.Actor{User: "orlop", Via: "oidc"}, What: "session.refuse", Object: plain(name, 100), Note: "from " + client(r)})
	return cmp.Or[error](err, &problem{http.StatusForbidden, why})
}
