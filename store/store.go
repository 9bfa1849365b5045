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
//	did, err := s.Update(ctx, store.Actor{User: "ann"}, now, ids, store.Change{Status: store.StatusClosed})
//
// It is one file of SQLite, or a database of PostgreSQL where several consoles share
// it; both answer alike. What must not be lost or changed unseen is in rows of the
// database: alerts and actions, each chained to the one before by its hash
// ([Store.Verify]). Questions are answered from columns ([Store.Query]).
//
// A Store is safe for concurrent use. Time is an argument everywhere.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
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

	errFound = errors.New("found")
)

// An Actor is who does something.
type Actor struct {
	User string `json:"user"`          // name of the user
	Via  string `json:"via,omitempty"` // by which way: session, token NAME, cli
}

// A Store is a database of alerts.
type Store struct {
	o     Options
	db    *database
	pg    *pgx.ConnConfig // for PostgreSQL
	press *press
	index *index

	sealing sync.Mutex
	builder *builder // guarded by sealing

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
}

// Open opens the store of a name, which is the path of a file or a URL of PostgreSQL,
// postgres://USER@HOST:PORT/DATABASE, and makes it if it is not there: the file, but not its
// folder; the tables, but not the database. A password does not stand in the URL: see
// CheckName. A schema that an older program has written is brought to this one's; a
// newer one is an error.
func Open(ctx context.Context, name string, o Options) (*Store, error) {
	s := &Store{o: o, press: newPress(), builder: newBuilder(), changed: make(chan struct{})}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	var err error
	if isPostgres(name) {
		s.db, s.pg, err = openPostgres(name)
	} else {
		s.db, err = openSQLite(name, o.ReadOnly)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", shown(name), err)
	}
	s.index = newIndex(s)
	if o.ReadOnly {
		err = s.checkVersion(ctx)
	} else {
		err = s.migrate(ctx)
	}
	if err != nil {
		s.Close()
		return nil, s.fail(err)
	}
	return s, nil
}

// checkVersion is migrate for those that only read.
func (s *Store) checkVersion(ctx context.Context) error {
	was, err := s.read(ctx).version()
	switch {
	case err != nil:
		return err
	case was > version:
		return s.tooNew(was)
	case was == 0:
		return errors.New("there is no store in it")
	case was < version:
		return fmt.Errorf("its schema has version %d; a program that may write it brings it to %d", was, version)
	}
	return nil
}

// Close closes the database. What it returned is on disk already.
func (s *Store) Close() error {
	err := s.db.w.Close()
	if s.db.r != s.db.w {
		err = errors.Join(err, s.db.r.Close())
	}
	return err
}

// Name is the store's name, which holds no secret.
func (s *Store) Name() string { return s.db.name }

func (s *Store) log() *slog.Logger {
	if s.o.Log != nil {
		return s.o.Log
	}
	return slog.New(slog.DiscardHandler)
}

func (s *Store) cacheBytes() int64 {
	if s.o.CacheBytes > 0 {
		return s.o.CacheBytes
	}
	return 256 << 20
}

// Info is what there is to say of a store.
type Info struct {
	Name           string
	Kind           string // SQLite or PostgreSQL, and its version
	Schema         int
	Alerts         int64     // that are kept
	Removed        int64     // by retention, since the first
	Oldest, Newest time.Time // when those that are kept were stored
	Actions        int64
	Bytes          int64 // in use
	FileBytes      int64 // of SQLite's files
	Heads          Heads
}

// Info describes the store.
func (s *Store) Info(ctx context.Context) (i Info, err error) {
	i.Name = s.db.name
	err = s.snapshot(ctx, func(t *tx) (err error) {
		q := "SELECT 'SQLite ' || sqlite_version()"
		if s.db.postgres() {
			q = "SELECT 'PostgreSQL ' || current_setting('server_version')"
		}
		if _, err := t.row(q, nil, &i.Kind); err != nil {
			return err
		}
		if i.Schema, err = t.version(); err != nil {
			return err
		}
		anchor, err := t.anchor(alertChain)
		if err != nil {
			return err
		}
		if i.Heads.Alerts, err = t.head(alertChain); err != nil {
			return err
		}
		if i.Heads.Actions, err = t.head(actionChain); err != nil {
			return err
		}
		i.Removed, i.Alerts = anchor.Seq, i.Heads.Alerts.Seq-anchor.Seq
		gone, err := t.anchor(actionChain)
		if err != nil {
			return err
		}
		i.Actions = i.Heads.Actions.Seq - gone.Seq
		for _, x := range []struct {
			order string
			into  *time.Time
		}{{"ASC", &i.Oldest}, {"DESC", &i.Newest}} {
			var at int64
			if _, err := t.row("SELECT stored FROM alert ORDER BY seq "+x.order+" LIMIT 1", nil, &at); err != nil {
				return err
			}
			*x.into = unstamp(at)
		}
		return nil
	})
	if err == nil {
		i.Bytes, err = s.bytes(ctx)
	}
	if !s.db.postgres() {
		i.FileBytes = s.fileBytes()
	}
	return i, s.fail(err)
}

func orMissing(err error, seq int64) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("alert %d is missing: orlop store verify says more", seq)
}
