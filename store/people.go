package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Role says what somebody may do.
type Role string

const (
	Viewer  Role = "viewer"  // sees everything but users, tokens and the audit log
	Analyst Role = "analyst" // works with alerts and exceptions
	Admin   Role = "admin"   // rules, users, tokens, settings
)

// A User is somebody who may sign in.
type User struct {
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Hash     string    `json:"hash,omitempty"`    // of the password, argon2id in PHC's form; "" cannot sign in by one
	Subject  string    `json:"subject,omitempty"` // issuer and subject at the OIDC provider
	Disabled bool      `json:"disabled,omitempty"`
	Created  time.Time `json:"created"`
	Settings Settings  `json:"settings,omitzero"`
}

// Settings are how somebody likes the console.
type Settings struct {
	Theme   string            `json:"theme,omitempty"`
	Zone    string            `json:"zone,omitempty"`
	Queries map[string]string `json:"queries,omitempty"` // saved ones, by name
}

// A Session is one sign-in. Its secret is never stored, only the SHA-256 of it.
type Session struct {
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Seen    time.Time `json:"seen"` // when it was used last
	From    string    `json:"from,omitempty"`
	Agent   string    `json:"agent,omitempty"`
	CSRF    string    `json:"csrf,omitempty"`
}

// A Token lets a program, or somebody with a one-time link, do what its scopes say. Its
// secret is never stored, only the SHA-256 of it.
type Token struct {
	Name    string    `json:"name"` // unique
	User    string    `json:"user"` // on whose behalf
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero is never
	Once    bool      `json:"once,omitempty"`   // gone after its first use
	Used    time.Time `json:"used,omitzero"`    // when it was used last, to the minute

	Key string `json:"key,omitempty"` // SHA-256 of the secret, for the store
}

// A RuleState is what people have set about a rule, apart from its file.
type RuleState struct {
	RuleID   string    `json:"rule_id"`
	Disabled bool      `json:"disabled"`
	Reason   string    `json:"reason,omitempty"`
	By       string    `json:"by"`
	Changed  time.Time `json:"changed"`
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// Check says what is wrong with a user.
func (u *User) Check() error {
	switch {
	case u.Name == "" || len(u.Name) > longLabel:
		return fmt.Errorf("a user's name of %d bytes: expected 1 to %d", len(u.Name), longLabel)
	case u.Role != Viewer && u.Role != Analyst && u.Role != Admin:
		return fmt.Errorf("role %.100q: expected viewer, analyst or admin", u.Role)
	}
	return nil
}

// withoutHash is a user as the audit log has it.
func withoutHash(u User) User {
	if u.Hash != "" {
		u.Hash = "…" + tail(u.Hash) // so that a change of it is seen
	}
	return u
}

// tail tells two hashes apart and says nothing of either.
func tail(hash string) string { return fmt.Sprintf("%x", alertKey(hash)[:4]) }

// CreateUser adds a user; ErrExists if there is one of the name. Zero Created is now.
func (s *Store) CreateUser(ctx context.Context, by Actor, now time.Time, u *User) error {
	return s.putUser(ctx, by, now, u, true)
}

// PutUser adds or changes a user.
func (s *Store) PutUser(ctx context.Context, by Actor, now time.Time, u *User) error {
	return s.putUser(ctx, by, now, u, false)
}

func (s *Store) putUser(ctx context.Context, by Actor, now time.Time, u *User, fresh bool) error {
	if err := u.Check(); err != nil {
		return err
	}
	v := *u
	if v.Created.IsZero() {
		v.Created = now.UTC()
	}
	return set(ctx, s, users, by, now, u.Name, "", withoutHash, func(was *User) (*User, error) {
		if fresh && was != nil {
			return nil, fmt.Errorf("user %.100q: %w", u.Name, ErrExists)
		}
		return &v, nil
	})
}

// DeleteUser removes a user, and the sessions and tokens that are the user's.
func (s *Store) DeleteUser(ctx context.Context, by Actor, now time.Time, name string) error {
	err := set(ctx, s, users, by, now, name, "", withoutHash, func(*User) (*User, error) { return nil, nil })
	if err != nil {
		return err
	}
	if err := s.EndSessions(ctx, name); err != nil {
		return err
	}
	all, err := s.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.User == name {
			if err := s.DeleteToken(ctx, by, now, t.Name); err != nil && !isNotFound(err) {
				return err
			}
		}
	}
	return nil
}

// User is the user of a name, or ErrNotFound.
func (s *Store) User(ctx context.Context, name string) (*User, error) {
	u, err := users.get(s.read(ctx), name)
	return u, s.fail(err)
}

// Users are all of them, in order of name.
func (s *Store) Users(ctx context.Context) ([]*User, error) {
	all, err := users.all(s.read(ctx))
	slices.SortFunc(all, func(a, b *User) int { return cmp.Compare(a.Name, b.Name) })
	return all, s.fail(err)
}

// secretKey is what is kept of a secret.
func secretKey(secret string) string { return fmt.Sprintf("%x", alertKey(secret)) }

// BeginSession keeps a session that a secret opens.
func (s *Store) BeginSession(ctx context.Context, secret string, x *Session) error {
	return s.fail(s.write(ctx, func(t *tx) error { return sessions.put(t, secretKey(secret), x) }))
}

// Session is the one that a secret opens, or ErrNotFound: also if it has expired, or its
// user is gone or disabled.
func (s *Store) Session(ctx context.Context, now time.Time, secret string) (*Session, *User, error) {
	x, err := sessions.get(s.read(ctx), secretKey(secret))
	if err == nil && !now.Before(x.Expires) {
		err = ErrNotFound
	}
	if err == nil {
		var u *User
		if u, err = users.get(s.read(ctx), x.User); err == nil && !u.Disabled {
			return x, u, nil
		}
	}
	if err == nil || isNotFound(err) {
		return nil, nil, fmt.Errorf("session: %w", ErrNotFound) // and not the hash
	}
	return nil, nil, s.fail(err)
}

// TouchSession notes that a session is used, and until when it is good.
func (s *Store) TouchSession(ctx context.Context, now time.Time, secret string, expires time.Time) error {
	return s.fail(s.write(ctx, func(t *tx) error {
		x, err := sessions.get(t, secretKey(secret))
		if isNotFound(err) {
			return fmt.Errorf("session: %w", ErrNotFound)
		}
		if err != nil {
			return err
		}
		x.Seen, x.Expires = now.UTC(), expires.UTC()
		return sessions.put(t, secretKey(secret), x)
	}))
}

// EndSession ends a session, if it is there.
func (s *Store) EndSession(ctx context.Context, secret string) error {
	return s.fail(s.write(ctx, func(t *tx) error { return sessions.remove(t, secretKey(secret)) }))
}

// EndSessions ends all sessions of a user.
func (s *Store) EndSessions(ctx context.Context, user string) error {
	return s.removeSessions(ctx, func(x *Session) bool { return x.User == user })
}

// ExpireSessions removes those that have expired.
func (s *Store) ExpireSessions(ctx context.Context, now time.Time) error {
	return s.removeSessions(ctx, func(x *Session) bool { return !now.Before(x.Expires) })
}

func (s *Store) removeSessions(ctx context.Context, which func(*Session) bool) error {
	return s.fail(s.write(ctx, func(t *tx) error {
		var gone [][]byte
		err := t.rows("SELECT name, data FROM thing WHERE kind = ?", []any{sessions.name}, func(scan func(...any) error) error {
			var name, data []byte
			if err := scan(&name, &data); err != nil {
				return err
			}
			var x Session
			if err := decode(data, &x); err != nil || which(&x) {
				gone = append(gone, name)
			}
			return nil
		})
		for _, name := range gone {
			if err == nil {
				_, err = t.exec("DELETE FROM thing WHERE kind = ? AND name = ?", sessions.name, name)
			}
		}
		return err
	}))
}

// withoutKey is a token as it is shown.
func withoutKey(t Token) Token {
	t.Key = ""
	return t
}

// CreateToken keeps a token that a secret stands for; ErrExists if there is one of the name.
// The secret should be of at least 128 random bits: it is hashed once.
func (s *Store) CreateToken(ctx context.Context, by Actor, now time.Time, secret string, x *Token) error {
	if x.Name == "" || len(x.Name) > longLabel {
		return fmt.Errorf("a token's name of %d bytes: expected 1 to %d", len(x.Name), longLabel)
	}
	if len(secret) < 16 {
		return errors.New("a secret of less than 16 bytes")
	}
	v := *x
	v.Key, v.Created = secretKey(secret), now.UTC()
	return set(ctx, s, tokens, by, now, x.Name, "", withoutKey, func(was *Token) (*Token, error) {
		if was != nil {
			return nil, fmt.Errorf("token %.100q: %w", x.Name, ErrExists)
		}
		return &v, nil
	})
}

// UseToken is the token that a secret stands for, or ErrNotFound: also if it has expired,
// was for one use and is used, or its user is gone or disabled. Of two who use a token for
// one use at once, one gets it.
func (s *Store) UseToken(ctx context.Context, now time.Time, secret string) (*Token, error) {
	none := fmt.Errorf("token: %w", ErrNotFound)
	key := secretKey(secret)
	find := func(t *tx) (*Token, error) {
		all, err := tokens.all(t)
		if err != nil {
			return nil, err
		}
		for _, x := range all {
			if x.Key != key {
				continue
			}
			if !x.Expires.IsZero() && !now.Before(x.Expires) {
				return nil, none
			}
			if x.User != "" {
				switch u, err := users.get(t, x.User); {
				case isNotFound(err):
					return nil, none
				case err != nil:
					return nil, err
				case u.Disabled:
					return nil, none
				}
			}
			return x, nil
		}
		return nil, none
	}
	x, err := find(s.read(ctx))
	if err != nil {
		return nil, s.fail(err)
	}
	minute := now.UTC().Truncate(time.Minute)
	if !x.Once && x.Used.Equal(minute) {
		shown := withoutKey(*x)
		return &shown, nil
	}
	err = s.change(ctx, func(t *tx) error {
		if _, err := t.lock(actionChain); err != nil { // one at a time
			return err
		}
		if x, err = find(t); err != nil {
			return err
		}
		x.Used = minute
		if !x.Once {
			return tokens.put(t, x.Name, x)
		}
		if err := tokens.remove(t, x.Name); err != nil {
			return err
		}
		return t.act(now, &Action{By: Actor{User: cmp.Or(x.User, "orlop"), Via: "token " + x.Name}, What: "token.use", Object: x.Name})
	})
	if err != nil {
		return nil, s.fail(err)
	}
	shown := withoutKey(*x)
	return &shown, nil
}

// Tokens are all of them, in order of name.
func (s *Store) Tokens(ctx context.Context) ([]*Token, error) {
	all, err := tokens.all(s.read(ctx))
	for _, x := range all {
		x.Key = ""
	}
	slices.SortFunc(all, func(a, b *Token) int { return cmp.Compare(a.Name, b.Name) })
	return all, s.fail(err)
}

// DeleteToken removes a token.
func (s *Store) DeleteToken(ctx context.Context, by Actor, now time.Time, name string) error {
	return set(ctx, s, tokens, by, now, name, "", withoutKey, func(*Token) (*Token, error) { return nil, nil })
}

// PutRuleState keeps what somebody has set about a rule: By and Changed are set.
func (s *Store) PutRuleState(ctx context.Context, by Actor, now time.Time, r *RuleState) error {
	if r.RuleID == "" {
		return errors.New("a state of no rule")
	}
	v := *r
	v.By, v.Changed = by.User, now.UTC()
	return set(ctx, s, ruleStates, by, now, r.RuleID, r.Reason, same, func(*RuleState) (*RuleState, error) { return &v, nil })
}

// RuleStates are all that were set, in order of rule_id.
func (s *Store) RuleStates(ctx context.Context) ([]*RuleState, error) {
	all, err := ruleStates.all(s.read(ctx))
	slices.SortFunc(all, func(a, b *RuleState) int { return cmp.Compare(a.RuleID, b.RuleID) })
	return all, s.fail(err)
}
