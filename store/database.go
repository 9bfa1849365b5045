package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// A database is SQLite or PostgreSQL. Statements are written with ? for arguments, and
// never with a value in them.
type database struct {
	kind  string // sqlite, postgres
	name  string // for messages: a path, or a URL without a password
	r, w  *sql.DB
	texts sync.Map // statements with $1 for ?

	explain func(error) error // what the driver's error means, for people
}

func (d *database) postgres() bool { return d.kind == "postgres" }

// text is a statement in the words of the database.
func (d *database) text(q string) string {
	if !d.postgres() {
		return q
	}
	if t, ok := d.texts.Load(q); ok {
		return t.(string)
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(q, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	if len(q) < 1<<10 {
		d.texts.Store(q, b.String())
	}
	return b.String()
}

// fail says which store it is, and what the error means.
func (s *Store) fail(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) {
		return err
	}
	return fmt.Errorf("store %s: %w", s.db.name, s.db.explain(err))
}

// A tx is a transaction, or, of queries that need none, the database.
type tx struct {
	ctx context.Context
	db  *database
	q   interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
		QueryContext(context.Context, string, ...any) (*sql.Rows, error)
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}
}

// write runs f in a transaction.
func (s *Store) write(ctx context.Context, f func(*tx) error) (err error) {
	if s.o.ReadOnly {
		return errors.New("opened to be read only")
	}
	t, err := s.db.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			t.Rollback()
		}
	}()
	if err := f(&tx{ctx, s.db, t}); err != nil {
		return err
	}
	return t.Commit()
}

// read is for single queries. What has to be seen at one time takes snapshot.
func (s *Store) read(ctx context.Context) *tx { return &tx{ctx, s.db, s.db.r} }

// snapshot runs f on what is there at one time.
func (s *Store) snapshot(ctx context.Context, f func(*tx) error) error {
	t, err := s.db.r.BeginTx(ctx, &sql.TxOptions{Isolation: s.db.snapshotLevel(), ReadOnly: s.db.postgres()})
	if err != nil {
		return err
	}
	defer t.Rollback()
	return f(&tx{ctx, s.db, t})
}

func (d *database) snapshotLevel() sql.IsolationLevel {
	if d.postgres() {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

func (t *tx) exec(q string, args ...any) (changed int64, err error) {
	r, err := t.q.ExecContext(t.ctx, t.db.text(q), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// script runs statements without arguments.
func (t *tx) script(text string) error {
	for stmt := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(stmt) == "" {
			continue
		}
		if _, err := t.q.ExecContext(t.ctx, stmt); err != nil {
			return err
		}
	}
	return nil
}

// row scans the only row, and reports whether there is one.
func (t *tx) row(q string, args []any, into ...any) (bool, error) {
	err := t.q.QueryRowContext(t.ctx, t.db.text(q), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// rows calls f for each row, with what scans it.
func (t *tx) rows(q string, args []any, f func(scan func(...any) error) error) error {
	rows, err := t.q.QueryContext(t.ctx, t.db.text(q), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// marks is n question marks for IN, and rows of width for VALUES.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

func (t *tx) version() (n int, err error) {
	if !t.db.postgres() {
		_, err = t.row("PRAGMA user_version", nil, &n)
		return n, err
	}
	var there bool
	if _, err := t.row("SELECT to_regclass('orlop_schema') IS NOT NULL", nil, &there); err != nil || !there {
		return 0, err
	}
	_, err = t.row("SELECT version FROM orlop_schema", nil, &n)
	return n, err
}

func (t *tx) setVersion(n int) error {
	if !t.db.postgres() {
		return t.script(fmt.Sprintf("PRAGMA user_version = %d", n))
	}
	if err := t.script("CREATE TABLE IF NOT EXISTS orlop_schema (version BIGINT NOT NULL)"); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM orlop_schema"); err != nil {
		return err
	}
	_, err := t.exec("INSERT INTO orlop_schema VALUES (?)", n)
	return err
}

// alone keeps other programs from migrating until the transaction ends. SQLite has one
// writer anyway.
func (t *tx) alone() error {
	if !t.db.postgres() {
		return nil
	}
	return t.script("SELECT pg_advisory_xact_lock(7270172270)")
}
