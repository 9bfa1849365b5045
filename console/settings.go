package console

import (
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
	all, err := s.o.Store.Tokens(r.Context())
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if !slices.Contains(t.Scopes, enterScope) && (t.User == u.User.Name || u.may(store.Admin)) {
			v.Tokens = append(v.Tokens, t)
		}
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
	name, role := strings.TrimSpace(f.Get("name")), store.Role(f.Get("role"))
	user, err := s.o.Store.User(r.Context(), name)
	fresh := errors.Is(err, store.ErrNotFound)
	if err != nil && !fresh {
		return err
	}
	if fresh {
		user = &store.User{Name: name}
	}
	user.Role, user.Disabled = role, f.Get("disabled") == "1"
	if name == u.User.Name && (role != store.Admin || user.Disabled) {
		return s.again(w, r, u, http.StatusBadRequest, func(v *settingsView) { v.Wrong = "Nobody takes their own rights away: another admin can." })
	}
	if err := user.Check(); err != nil {
		return s.again(w, r, u, http.StatusBadRequest, func(v *settingsView) { v.Wrong = err.Error() + "." })
	}
	if err := s.o.Store.PutUser(r.Context(), u.actor(), s.o.Now(), user); err != nil {
		return err
	}
	if user.Disabled {
		if err := s.o.Store.EndSessions(r.Context(), name); err != nil {
			return err
		}
	}
	if fresh {
		return s.showLink(w, r, u, name)
	}
	return s.settled(w, r, "The user is changed.")
}

func (s *Server) userLink(w http.ResponseWriter, r *http.Request, u *who) error {
	return s.showLink(w, r, u, r.PathValue("name"))
}

func (s *Server) showLink(w http.ResponseWriter, r *http.Request, u *who, name string) error {
	path, err := s.Link(r.Context(), name)
	if err != nil {
		return err
	}
	scheme := "http://"
	if s.o.TLS {
		scheme = "https://"
	}
	return s.again(w, r, u, http.StatusOK, func(v *settingsView) { v.Link, v.For = scheme+r.Host+path, name })
}

func (s *Server) userDelete(w http.ResponseWriter, r *http.Request, u *who) error {
	name := r.PathValue("name")
	if name == u.User.Name {
		return s.again(w, r, u, http.StatusBadRequest, func(v *settingsView) { v.Wrong = "Nobody removes themselves: another admin can." })
	}
	if err := s.o.Store.DeleteUser(r.Context(), u.actor(), s.o.Now(), name); err != nil {
		return err
	}
	return s.settled(w, r, "The user is gone.")
}

func (s *Server) tokenCreate(w http.ResponseWriter, r *http.Request, u *who) error {
	refuse := func(format string, args ...any) error {
		return s.again(w, r, u, http.StatusBadRequest, func(v *settingsView) { v.Wrong = fmt.Sprintf(format, args...) })
	}
	t := &store.Token{Name: strings.TrimSpace(r.PostForm.Get("name")), User: u.User.Name, Scopes: r.PostForm["scope"]}
	for _, sc := range t.Scopes {
		i := slices.IndexFunc(scopes, func(x struct {
			Name, Says string
			Role       store.Role
		}) bool {
			return x.Name == sc
		})
		if i < 0 || !u.may(scopes[i].Role) {
			return refuse("Scope %q is none that you may give.", plain(sc, 50))
		}
	}
	switch {
	case t.Name == "" || len(t.Name) > 100:
		return refuse("A token needs a name of at most 100 bytes.")
	case len(t.Scopes) == 0:
		return refuse("A token needs a scope.")
	}
	days := 0
	if d := r.PostForm.Get("days"); d != "" {
		if _, err := fmt.Sscan(d, &days); err != nil || days < 0 || days > 3650 {
			return refuse("Days: expected a number up to 3650.")
		}
	}
	if days > 0 {
		t.Expires = s.o.Now().AddDate(0, 0, days)
	}
	key := "orlop_" + secret()
	err := s.o.Store.CreateToken(r.Context(), u.actor(), s.o.Now(), key, t)
	if errors.Is(err, store.ErrExists) {
		return refuse("There is a token of that name.")
	}
	if err != nil {
		return err
	}
	return s.again(w, r, u, http.StatusOK, func(v *settingsView) { v.Secret, v.For = key, t.Name })
}

func (s *Server) tokenDelete(w http.ResponseWriter, r *http.Request, u *who) error {
	name := r.PathValue("name")
	all, err := s.o.Store.Tokens(r.Context())
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Name == name && (t.User == u.User.Name || u.may(store.Admin)) {
			if err := s.o.Store.DeleteToken(r.Context(), u.actor(), s.o.Now(), name); err != nil {
				return err
			}
			return s.settled(w, r, "The token is gone.")
		}
	}
	return fmt.Errorf("token %.100q: %w", name, store.ErrNotFound)
}
