// Package store keeps alerts, what people do with them, and who they are; and answers
// questions about them.
//
//	s, err := store.Open(ctx, "/var/lib/orlop/orlop.db", store.Options{})
//	added, err := s.Insert(ctx, now, alerts)
//	page, err := s.Query(ctx, &store.Query{
//		Filters: []store.Filter{{Field: store.FieldStatus, Values: []string{"open"}}},
//		Facets:  []store.Facet{{Field: "host.name", Limit: 10}},
//		Limit:   50,
//	})
//	n, err := s.Update(ctx, store.Actor{User: "ann"}, now, ids, store.Change{Status: store.Closed})
//
// It is one file of SQLite, or a database of PostgreSQL where several consoles share
// it; both answer alike. What must not be lost or changed unseen is in rows of the
// database: alerts and actions, each chained to the one before by its hash ([Store.Verify]).
// Questions are answered from columns: see [Store.Query].
//
// A Store is safe for concurrent use. Time is an argument everywhere.
package store

import (
	"errors"
	"log/slog"
)

// Options say how a store is opened. The zero value is good.
type Options struct {
	CacheBytes int64        // memory for the columns of alerts that queries read; 0 is 256 MiB
	ReadOnly   bool         // nothing is written: no migration, no Insert
	Log        *slog.Logger // nil is none
}

var (
	// ErrNotFound is what asking for something by its name or id returns if it is not there.
	ErrNotFound = errors.New("not found")
	// ErrExists says that there is one of that name.
	ErrExists = errors.New("already exists")
)

// An Actor is who does something.
type Actor struct {
	User string `json:"user"`          // name of the user
	Via  string `json:"via,omitempty"` // by which way: session, token NAME, cli, or the program itself: orlop
}

// The methods, by room:
//
//	func Open(ctx, name string, o Options) (*Store, error)       // a path, or postgres://…
//	func (s *Store) Close() error
//	func (s *Store) Info(ctx) (Info, error)
//
//	func (s *Store) Insert(ctx, now, alerts []*alert.Alert) (added int, err error)
//	func (s *Store) Alert(ctx, id string) (*Record, error)       // ErrNotFound
//	func (r *Record) AppendJSON(dst []byte) []byte               // the document, with the workflow as it is now
//	func (s *Store) Query(ctx, q *Query) (*Result, error)
//	func (s *Store) Records(ctx, q *Query) iter.Seq2[*Record, error] // all of them, for exports
//	func ParseWhere(text string) (expr.Pred, error)
//
//	func (s *Store) Update(ctx, by Actor, now, ids []string, c Change) (changed int, err error)
//	func (s *Store) Note(ctx, now, a *Action) error              // anything else for the audit log
//	func (s *Store) Actions(ctx, q *ActionQuery) iter.Seq2[*Action, error]
//
//	func (s *Store) PutException(ctx, by, now, x *Exception) error
//	func (s *Store) DeleteException(ctx, by, now, id, why string) error
//	func (s *Store) Exception(ctx, id) (*Exception, error); Exceptions(ctx) ([]*Exception, error)
//	func (s *Store) Preview(ctx, x *Exception, from, to time.Time, sample int) (*Preview, error)
//	func (x *Exception) Compile(s *event.Schema) (expr.Pred, error)
//
//	func (s *Store) PutUser(ctx, by, now, u *User) error; CreateUser → ErrExists; DeleteUser; User; Users
//	func (s *Store) BeginSession(ctx, secret string, x *Session) error; Session(ctx, now, secret); TouchSession; EndSession; EndSessions(ctx, user)
//	func (s *Store) CreateToken(ctx, by, now, secret string, t *Token) error; UseToken(ctx, now, secret) (*Token, error); Tokens; DeleteToken
//	func (s *Store) PutRuleState(ctx, by, now, r *RuleState) error; RuleStates(ctx) ([]*RuleState, error)
//
//	func (s *Store) Heads(ctx) (Heads, error)
//	func (s *Store) Verify(ctx, witness Heads, emit func(Fault)) (Proof, error)
//	func (s *Store) Prune(ctx, now, Retention) (Pruned, error)
//	func (s *Store) Watch(ctx, emit func(Notice) error) error
