package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

func openSQLite(path string, readOnly bool) (*database, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if readOnly {
		if _, err := os.Stat(abs); err != nil {
			return nil, err
		}
	} else {
		// What SQLite makes beside it has the same mode.
		f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		f.Close()
	}
	open := func(params string) (*sql.DB, error) {
		c, err := sqlite.NewConnector("file:" + (&url.URL{Path: abs}).EscapedPath() + "?_busy_timeout=5000&_dqs=0&_defensive=1&_error_rc=1&_pragma=cache_size(-16384)&" + params)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(c), nil
	}
	d := &database{kind: "sqlite", name: path, explain: explainSQLite}
	// FULL: what Insert has returned for is on disk even after a loss of power. A
	// transaction that begins as a reader may be refused as a writer, so none does.
	if d.w, err = open("_auto_vacuum=INCREMENTAL&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate"); err != nil {
		return nil, err
	}
	if d.r, err = open("_query_only=1"); err != nil {
		return nil, err
	}
	d.w.SetMaxOpenConns(1)
	d.r.SetMaxOpenConns(4)
	d.r.SetMaxIdleConns(4)
	return d, nil
}

// explainSQLite says what to do about an error.
func explainSQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	hint := ""
	switch e.Code() & 0xff {
	case lib.SQLITE_FULL:
		hint = "the disk is full: make room, or let orlop store prune remove the oldest alerts"
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		hint = "another program holds its lock"
	case lib.SQLITE_CORRUPT:
		hint = "the file is damaged: move it away, or put a backup in its place"
	case lib.SQLITE_NOTADB:
		hint = "the file is no SQLite database: another path was meant, or it is damaged; it is left as it is"
	case lib.SQLITE_READONLY:
		hint = "the file, or its folder, may not be written"
	case lib.SQLITE_CANTOPEN:
		hint = "the file, or one beside it, cannot be opened"
	case lib.SQLITE_IOERR:
		hint = "the disk does not read or write"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}
