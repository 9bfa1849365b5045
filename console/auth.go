package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/store"
)

const (
	idle     = 12 * time.Hour // a session ends when it was not used for so long
	longest  = 7 * 24 * time.Hour
	LinkLife = time.Hour // how long a one-time link is good for
)

// who is somebody who asks: by a session, or by a token.
type who struct {
	User    *store.User
	Session *store.Session
	secret  string
	Token   *store.Token
}

var roles = []store.Role{store.Viewer, store.Analyst, store.Admin}

// may reports whether somebody has a role or one above it.
func (u *who) may(r store.Role) bool {
	return u != nil && slices.Index(roles, u.User.Role) >= slices.Index(roles, r)
}

func (u *who) actor() store.Actor {
	if u.Token != nil {
		return store.Actor{User: u.User.Name, Via: "token " + u.Token.Name}
	}
	return store.Actor{User: u.User.Name, Via: "session"}
}

func secret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// mask makes of a token one that is different on each page, so that what compresses well
// beside it tells nothing of it.
func mask(token string) string {
	if token == "" {
		return ""
	}
	b := make([]byte, 2*len(token))
	rand.Read(b[:len(token)])
	for i := range len(token) {
		b[len(token)+i] = b[i] ^ token[i]
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func unmask(masked, token string) bool {
	b, err := base64.RawURLEncoding.DecodeString(masked)
	if err != nil || token == "" || len(b) != 2*len(token) {
		return false
	}
	n := len(token)
	for i := range n {
		b[n+i] ^= b[i]
	}
	return subtle.ConstantTimeCompare(b[n:], []byte(token)) == 1
}

func (s *Server) cookieName() string {
	if s.o.TLS {
		return "__Host-orlop"
	}
	return "orlop"
}

// who is who asks, or nil.
func (s *Server) who(r *http.Request) (*who, error) {
	c, err := r.Cookie(s.cookieName())
	if err != nil || c.Value == "" {
		return nil, nil
	}
	now := s.o.Now()
	x, u, err := s.o.Store.Session(r.Context(), now, c.Value)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if u.Disabled || now.Sub(x.Created) > longest {
		return nil, nil
	}
	if now.Sub(x.Seen) > 10*time.Minute {
		if err := s.o.Store.TouchSession(r.Context(), now, c.Value, now.Add(idle)); err != nil {
			s.o.Log.Warn("a session was not prolonged", "reason", err)
		}
	}
	return &who{User: u, Session: x, secret: c.Value}, nil
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request, u *store.User, how string) error {
	now, key := s.o.Now(), secret()
	x := &store.Session{User: u.Name, Created: now, Seen: now, Expires: now.Add(idle), From: client(r), Agent: plain(r.UserAgent(), 200), CSRF: secret()}
	if err := s.o.Store.BeginSession(r.Context(), key, x); err != nil {
		return err
	}
	err := s.o.Store.Note(r.Context(), now, &store.Action{By: store.Actor{User: u.Name, Via: how}, What: "session.begin", Object: client(r)})
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Value: key, Path: "/", HttpOnly: true, Secure: s.o.TLS, SameSite: http.SameSiteLaxMode, MaxAge: int(longest / time.Second)})
	return nil
}

func client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// local is a path of this console to go on to, or the home.
func (s *Server) local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\x00") {
		return s.o.Home
	}
	return path
}

type signInView struct {
	page
	Then, Name, Wrong string
	Provider          string // of OIDC; "" is none
}

func (s *Server) signInPage(w http.ResponseWriter, r *http.Request, u *who) error {
	then := s.local(r.URL.Query().Get("then"))
	if u != nil {
		http.Redirect(w, r, then, http.StatusSeeOther)
		return nil
	}
	return s.render(w, http.StatusOK, "sign-in", &signInView{page: s.page(r, nil, "Sign in"), Then: then, Provider: s.provider.Name()})
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request, _ *who) error {
	name, password := strings.TrimSpace(r.PostForm.Get("name")), r.PostForm.Get("password")
	v := &signInView{page: s.page(r, nil, "Sign in"), Then: s.local(r.PostForm.Get("then")), Name: name, Provider: s.provider.Name()}
	now := s.o.Now()
	if wait := s.limit.take(now, "address "+client(r), 20, 3*time.Second); wait > 0 {
		return s.tooMany(w, v, wait)
	}
	if wait := s.limit.take(now, "name "+strings.ToLower(plain(name, 200)), 5, 30*time.Second); wait > 0 {
		return s.tooMany(w, v, wait)
	}
	user, err := s.o.Store.User(r.Context(), name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	hash := nobody
	if err == nil && user.Hash != "" {
		hash = user.Hash
	}
	select {
	case s.hashing <- struct{}{}:
	case <-r.Context().Done():
		return r.Context().Err()
	}
	good := verifyPassword(hash, password)
	<-s.hashing
	if !good || err != nil || user.Hash == "" || user.Disabled {
		if err := s.o.Store.Note(r.Context(), now, &store.Action{By: store.Actor{User: "orlop", Via: "sign-in"}, What: "session.refuse", Object: plain(name, 100), Note: "from " + client(r)}); err != nil {
			return err
		}
		v.Wrong = "Name or password is wrong."
		return s.render(w, http.StatusUnauthorized, "sign-in", v)
	}
	s.limit.forget("name " + strings.ToLower(plain(name, 200)))
	if err := s.begin(w, r, user, "password"); err != nil {
		return err
	}
	http.Redirect(w, r, v.Then, http.StatusSeeOther)
	return nil
}

func (s *Server) tooMany(w http.ResponseWriter, v *signInView, wait time.Duration) error {
	secs := int(wait/time.Second) + 1
	w.Header().Set("Retry-After", fmt.Sprint(secs))
	v.Wrong = fmt.Sprintf("Too many tries. Wait %d seconds.", secs)
	return s.render(w, http.StatusTooManyRequests, "sign-in", v)
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request, u *who) error {
	if err := s.o.Store.EndSession(r.Context(), u.secret); err != nil {
		return err
	}
	err := s.o.Store.Note(r.Context(), s.o.Now(), &store.Action{By: u.actor(), What: "session.end"})
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Path: "/", HttpOnly: true, Secure: s.o.TLS, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
	return nil
}

// enterScope is the scope of one-time links.
const enterScope = "enter"

// firstAdmin is the user that there is as long as no admin can sign in.
const firstAdmin = "admin"

// Unclaimed reports whether nobody who is an admin could sign in.
func (s *Server) Unclaimed(ctx context.Context) (bool, error) {
	all, err := s.o.Store.Users(ctx)
	return err == nil && !slices.ContainsFunc(all, func(u *store.User) bool {
		return u.Role == store.Admin && !u.Disabled && (u.Hash != "" || u.Subject != "")
	}), err
}

// Link makes a one-time link, good for [LinkLife], and returns its path. For the user "" it
// makes one only if nobody who is an admin could sign in, for "admin"; else it returns "".
// That user is added then, if need be.
func (s *Server) Link(ctx context.Context, user string) (path string, err error) {
	now, by := s.o.Now(), store.Actor{User: "orlop", Via: "cli"}
	if user == "" || user == firstAdmin {
		unclaimed, err := s.Unclaimed(ctx)
		switch {
		case err != nil:
			return "", err
		case unclaimed:
			user = firstAdmin
			err = s.o.Store.CreateUser(ctx, by, now, &store.User{Name: user, Role: store.Admin})
			if err != nil && !errors.Is(err, store.ErrExists) {
				return "", err
			}
		case user == "":
			return "", nil
		}
	}
	if _, err := s.o.Store.User(ctx, user); err != nil {
		return "", err
	}
	key := secret()
	t := &store.Token{Name: "link " + rand.Text()[:8], User: user, Scopes: []string{enterScope}, Expires: now.Add(LinkLife), Once: true}
	if err := s.o.Store.CreateToken(ctx, by, now, key, t); err != nil {
		return "", err
	}
	return "/enter?token=" + key, nil
}

// enter begins a session by a one-time link. What only looks ahead does not use it up.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, u *who) error {
	if r.Method == http.MethodHead || cmp.Or(r.Header.Get("Sec-Purpose"), r.Header.Get("Purpose"), r.Header.Get("X-Moz")) != "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	now := s.o.Now()
	gone := &problem{http.StatusUnauthorized, "This link is used up, or has expired. On the machine of the console, orlop console --link NAME makes another."}
	if wait := s.limit.take(now, "link "+client(r), 20, 3*time.Second); wait > 0 {
		return &problem{http.StatusTooManyRequests, "Too many tries. Wait a moment."}
	}
	t, err := s.o.Store.UseToken(r.Context(), now, r.URL.Query().Get("token"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		if u != nil {
			http.Redirect(w, r, s.o.Home, http.StatusSeeOther) // who has followed it already
			return nil
		}
		return gone
	case err != nil:
		return err
	case !slices.Contains(t.Scopes, enterScope):
		return gone
	}
	user, err := s.o.Store.User(r.Context(), t.User)
	if err != nil {
		return err
	}
	if err := s.begin(w, r, user, "link"); err != nil {
		return err
	}
	if s.o.Entered != nil {
		s.o.Entered("/enter?token=" + r.URL.Query().Get("token"))
	}
	http.Redirect(w, r, s.o.Home, http.StatusSeeOther)
	return nil
}
