package store

import "time"

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
	Used    time.Time `json:"used,omitzero"`    // when it was used last, to the hour
}

// A RuleState is what people have set about a rule, apart from its file.
type RuleState struct {
	RuleID   string    `json:"rule_id"`
	Disabled bool      `json:"disabled"`
	Reason   string    `json:"reason,omitempty"`
	By       string    `json:"by"`
	Changed  time.Time `json:"changed"`
}
