package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/store"
)

func pathEscape(s string) string { return url.PathEscape(s) }

// scopes are what tokens may be for, and the role that their user needs.
var scopes = []struct {
	Name, Says string
	Role       store.Role
}{
	{"read", "read alerts, rules, hosts, exceptions", store.Viewer},
	{"alerts", "change alerts: status, assignees, tags, comments", store.Analyst},
	{"exceptions", "make and remove exceptions", store.Analyst},
	{"rules", "switch rules on and off", store.Admin},
	{"audit", "read the audit log", store.Admin},
	{"users", "read, make, change and remove users", store.Admin},
	{"tokens", "read, make and remove tokens for what it may do itself", store.Analyst},
}

type settingsView struct {
	page
	Users  []*store.User
	Tokens []*store.Token
	Scopes []scopeChoice
	Info   store.Info
	Secret string // of a token that has just been made
	Link   string // a one-time link that has just been made
	For    string
	Wrong  string
	NoHash bool
	Zones  []string
	Roles  []store.Role
}

type scopeChoice struct{ Name, Says string }

func (s *Server) settingsView(r *http.Request, u *who) (*settingsView, error) {
	v := &settingsView{page: s.page(r, u, "Settings"), NoHash: u.User.Hash == "", Roles: roles,
		Zones: []string{"UTC", "Europe/London", "Europe/Berlin", "Europe/Kyiv", "America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney"}}
	if z := u.User.Settings.Zone; z != "" && !contains(v.Zones, z) {
		v.Zones = append(v.Zones, z)
	}
	for _, sc := range scopes {
		if u.may(sc.Role) {
			v.Scopes = append(v.Scopes, scopeChoice{sc.Name, sc.Says})
		}
	}
	var err error
	if u.may(store.Admin) {
		if v.Users, err = s.o.Store.Users(r.Context()); err != nil {
			return nil, err
		}
	}
	if v.Tokens, err = s.tokens(r.Context(), u); err != nil {
		return nil, err
	}
	v.Info, err = s.o.Store.Info(r.Context())
	return v, err
}

func (s *Server) settings(w http.ResponseWriter, r *http.Request, u *who) error {
	v, err := s.settingsView(r, u)
	if err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "settings", v)
}

// again shows the settings with something to say.
func (s *Server) again(w http.ResponseWriter, r *http.Request, u *who, code int, say func(*settingsView)) error {
	v, err := s.settingsView(r, u)
	if err != nil {
		return err
	}
	say(v)
	return s.render(w, code, "settings", v)
}

func (s *Server) settled(w http.ResponseWriter, r *http.Request, done string) error {
	http.Redirect(w, r, "/settings?done="+queryEscape(done), http.StatusSeeOther)
	return nil
}

func (s *Server) password(w http.ResponseWriter, r *http.Request, u *who) error {
	refuse := func(code int, text string) error {
		return s.again(w, r, u, code, func(v *settingsView) { v.Wrong = text })
	}
	if wait := s.limit.take(s.o.Now(), "password "+u.User.Name, 5, 30*time.Second); wait > 0 {
		return refuse(http.StatusTooManyRequests, "Too many tries. Wait a moment.")
	}
	if u.User.Subject != "" { // Else it would outlive the account there.
		return refuse(http.StatusForbidden, "You sign in at the provider; there is no password of yours here.")
	}
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	if u.User.Hash != "" && !verifyPassword(u.User.Hash, r.PostForm.Get("old")) {
		return refuse(http.StatusForbidden, "The old password is wrong.")
	}
	p := r.PostForm.Get("new")
	if err := checkPassword(p); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	next := *u.User
	next.Hash = HashPassword(p)
	if err := s.o.Store.PutUser(r.Context(), u.actor(), s.o.Now(), &next); err != nil {
		return err
	}
	// Whoever was signed in as the user elsewhere is signed out.
	if err := s.o.Store.EndSessions(r.Context(), next.Name); err != nil {
		return err
	}
	if err := s.begin(w, r, &next, "password"); err != nil {
		return err
	}
	return s.settled(w, r, "The password is changed; other sessions are ended.")
}

func (s *Server) look(w http.ResponseWriter, r *http.Request, u *who) error {
	next := *u.User
	theme, zone := r.PostForm.Get("theme"), r.PostForm.Get("zone")
	if theme != "" && theme != "dark" && theme != "light" {
		return &problem{http.StatusBadRequest, "theme: expected dark, light or nothing."}
	}
	if _, err := time.LoadLocation(zone); err != nil || len(zone) > 64 {
		return &problem{http.StatusBadRequest, "There is no such time zone."}
	}
	next.Settings.Theme, next.Settings.Zone = theme, zone
	if err := s.o.Store.PutUser(r.Context(), u.actor(), s.o.Now(), &next); err != nil {
		return err
	}
	return s.settled(w, r, "Kept.")
}

func (s *Server) userPut(w http.ResponseWriter, r *http.Request, u *who) error {
	f := r.PostForm
	name := strings.TrimSpace(f.Get("name"))
	_, fresh, err := s.putUser(r.Context(), u, name, store.Role(f.Get("role")), f.Get("disabled") == "1")
	switch {
	case err != nil:
		return s.told(w, r, u, err)
	case fresh:
		return s.showLink(w, r, u, name)
	}
	return s.settled(w, r, "The user is changed.")
}

// told shows the settings with a problem, and returns any other error.
func (s *Server) told(w http.ResponseWriter, r *http.Request, u *who, err error) error {
	var p *problem
	if !errors.As(err, &p) {
		return err
	}
	return s.again(w, r, u, p.code, func(v *settingsView) { v.Wrong = p.text })
}

// putUser makes or changes a user. Who is disabled is signed out.
func (s *Server) putUser(ctx context.Context, u *who, name string, role store.Role, disabled bool) (user *store.User, fresh bool, err error) {
	user, err = s.o.Store.User(ctx, name)
	fresh = errors.Is(err, store.ErrNotFound)
	if err != nil && !fresh {
		return nil, false, err
	}
	if fresh {
		user = &store.User{Name: name}
	}
	user.Role, user.Disabled = role, disabled
	if name == u.User.Name && (role != store.Admin || disabled) {
		return nil, false, &problem{http.StatusBadRequest, "Nobody takes their own rights away: another admin can."}
	}
	if err := user.Check(); err != nil {
		return nil, false, &problem{http.StatusBadRequest, err.Error() + "."}
	}
	if err := s.o.Store.PutUser(ctx, u.actor(), s.o.Now(), user); err != nil {
		return nil, false, err
	}
	if disabled {
		err = s.o.Store.EndSessions(ctx, name)
		return user, fresh, err
	}
	return user, fresh, nil
}

func (s *Server) userLink(w http.ResponseWriter, r *http.Request, u *who) error {
	return s.showLink(w, r, u, r.PathValue("name"))
}

func (s *Server) showLink(w http.ResponseWriter, r *http.Request, u *who, name string) error {
	link, err := s.linkOf(r, name)
	if err != nil {
		return err
	}
	return s.again(w, r, u, http.StatusOK, func(v *settingsView) { v.Link, v.For = link, name })
}

// linkOf is a one-time link for a user, at the host that was asked.
func (s *Server) linkOf(r *http.Request, name string) (string, error) {
	path, err := s.Link(r.Context(), name)
	if err != nil {
		return "", err
	}
	scheme := "http://"
	if s.o.TLS {
		scheme = "https://"
	}
	return scheme + r.Host + path, nil
}

func (s *Server) userDelete(w http.ResponseWriter, r *http.Request, u *who) error {
	if err := s.deleteUser(r.Context(), u, r.PathValue("name")); err != nil {
		return s.told(w, r, u, err)
	}
	return s.settled(w, r, "The user is gone.")
}

func (s *Server) deleteUser(ctx context.Context, u *who, name string) error {
	if name == u.User.Name {
		return &problem{http.StatusBadRequest, "Nobody removes themselves: another admin can."}
	}
	return s.o.Store.DeleteUser(ctx, u.actor(), s.o.Now(), name)
}

func (s *Server) tokenCreate(w http.ResponseWriter, r *http.Request, u *who) error {
	days := 0
	if d := r.PostForm.Get("days"); d != "" {
		if _, err := fmt.Sscan(d, &days); err != nil {
			return s.told(w, r, u, &problem{http.StatusBadRequest, wrongDays})
		}
	}
	key, t, err := s.createToken(r.Context(), u, r.PostForm.Get("name"), r.PostForm["scope"], days)
	if err != nil {
		return s.told(w, r, u, err)
	}
	return s.again(w, r, u, http.StatusOK, func(v *settingsView) { v.Secret, v.For = key, t.Name })
}

const wrongDays = "Days: expected a number up to 3650."

// createToken makes a token of the user, for so many days or, if these are 0, for good. It
// is for nothing that the user may not do, or the token by which the user asks.
func (s *Server) createToken(ctx context.Context, u *who, name string, may []string, days int) (key string, t *store.Token, err error) {
	refuse := func(format string, args ...any) (string, *store.Token, error) {
		return "", nil, &problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
	}
	t = &store.Token{Name: strings.TrimSpace(name), User: u.User.Name, Scopes: may}
	for _, sc := range t.Scopes {
		i := slices.IndexFunc(scopes, func(x struct {
			Name, Says string
			Role       store.Role
		}) bool {
			return x.Name == sc
		})
		if i < 0 || !u.may(scopes[i].Role) || u.Token != nil && !contains(u.Token.Scopes, sc) {
			return refuse("Scope %q is none that you may give.", plain(sc, 50))
		}
	}
	switch {
	case t.Name == "" || len(t.Name) > 100:
		return refuse("A token needs a name of at most 100 bytes.")
	case len(t.Scopes) == 0:
		return refuse("A token needs a scope.")
	case days < 0 || days > 3650:
		return refuse(wrongDays)
	}
	if days > 0 {
		t.Expires = s.o.Now().AddDate(0, 0, days)
	}
	key = "orlop_" + secret()
	err = s.o.Store.CreateToken(ctx, u.actor(), s.o.Now(), key, t)
	if errors.Is(err, store.ErrExists) {
		return refuse("There is a token of that name, which may be another user's: names are of the whole console.")
	}
	return key, t, err
}

func (s *Server) tokenDelete(w http.ResponseWriter, r *http.Request, u *who) error {
	if err := s.deleteToken(r.Context(), u, r.PathValue("name")); err != nil {
		return err
	}
	return s.settled(w, r, "The token is gone.")
}

// tokens are those of the user, or all for an admin, but for one-time links.
func (s *Server) tokens(ctx context.Context, u *who) ([]*store.Token, error) {
	all, err := s.o.Store.Tokens(ctx)
	return slices.DeleteFunc(all, func(t *store.Token) bool {
		return slices.Contains(t.Scopes, enterScope) || t.User != u.User.Name && !u.may(store.Admin)
	}), err
}

func (s *Server) deleteToken(ctx context.Context, u *who, name string) error {
	all, err := s.o.Store.Tokens(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(t *store.Token) bool { return t.Name == name && (t.User == u.User.Name || u.may(store.Admin)) }) {
		return fmt.Errorf("token %.100q: %w", name, store.ErrNotFound)
	}
	return s.o.Store.DeleteToken(ctx, u.actor(), s.o.Now(), name)
}
