package store

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/orlop/orlop/internal/config"
)

// isPostgres reports whether a store's name is a URL of PostgreSQL.
func isPostgres(name string) bool {
	return strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://")
}

// scheme is how the URL of another database begins.
var scheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*://`)

// CheckName says what is wrong with the name of a store, before anything is opened. It
// repeats nothing of a name that may have a password in it.
func CheckName(name string) error {
	if isPostgres(name) {
		_, err := postgresConfig(name)
		return err
	}
	if other := scheme.FindString(name); other != "" {
		return fmt.Errorf("store: expected a path or postgres://…, found %.20q", other)
	}
	// A connection string of libpq or of another library, or a URL with a slash too few,
	// would be the name of a new file, and its password too.
	if strings.ContainsAny(name, ":=@") && !isPath(name) {
		return errors.New("store: expected a path, or PostgreSQL as a URL: postgres://USER@HOST:PORT/DATABASE, with the password in PGPASSWORD or PGPASSFILE; " +
			"a file with such a name has ./ in front of it")
	}
	return nil
}

// isPath reports whether a name can be nothing but a path, whatever is in it.
func isPath(name string) bool {
	slashes := filepath.ToSlash(name)
	return filepath.IsAbs(name) || strings.HasPrefix(slashes, "./") || strings.HasPrefix(slashes, "../")
}

func postgresConfig(name string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(name)
	var query url.Values
	if err == nil {
		query, err = url.ParseQuery(u.RawQuery)
	}
	alone := func(s string) bool { return s != "" && !strings.Contains(s, "=") }
	if err != nil || u.Fragment != "" || slices.ContainsFunc(strings.Split(u.RawQuery, "&"), alone) {
		// The error would hold all of it, or what is wrong.
		return nil, errors.New("store: the URL of PostgreSQL is not valid; it has the form postgres://USER@HOST:PORT/DATABASE")
	}
	if _, has := u.User.Password(); has || query.Has("password") || query.Has("sslpassword") {
		return nil, errors.New("store: a password in the URL is seen by everybody who lists processes or reads the configuration: " +
			"give it as PGPASSWORD (or PGSSLPASSWORD), or in the file that PGPASSFILE or passfile=… names")
	}
	c, err := pgx.ParseConfig(name)
	if parse := (*pgconn.ParseConfigError)(nil); errors.As(err, &parse) {
		err = cmp.Or(parse.Unwrap(), errors.New("it cannot be parsed")) // without the name
	}
	if err != nil {
		return nil, fmt.Errorf("store: the URL of PostgreSQL: %w", err)
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "orlop"
	}
	return c, nil
}

func openPostgres(name string) (*database, *pgx.ConnConfig, error) {
	c, err := postgresConfig(name)
	if err != nil {
		return nil, nil, err
	}
	d := &database{kind: "postgres", name: shown(name), explain: explainPostgres}
	d.w = stdlib.OpenDB(*c)
	d.w.SetMaxOpenConns(8)
	d.w.SetMaxIdleConns(4)
	d.r = d.w
	return d, c, nil
}

// shown is the name of a store for people. The values of a query are left out: PostgreSQL
// takes any name there as a setting of the session, that of a mistyped password too.
func shown(name string) string {
	url, query, has := strings.Cut(name, "?")
	if !isPostgres(name) || !has {
		return name
	}
	return url + strings.TrimPrefix(config.Redacted("any://host?"+query), "any://host")
}

// explainPostgres says what to do about an error.
func explainPostgres(err error) error {
	var e *pgconn.PgError
	hint := ""
	if errors.As(err, &e) {
		switch {
		case e.Code == "53100":
			hint = "the server's disk is full"
		case e.Code == "53300":
			hint = "the server has no connection left: raise its max_connections"
		case e.Code == "3D000":
			hint = "there is no such database: createdb makes it"
		case e.Code == "28P01" || e.Code == "28000":
			hint = "the server does not let this user in: the password comes from PGPASSWORD or PGPASSFILE"
		case e.Code == "42501":
			hint = "this user may not do that: it needs to own the database's schema"
		case e.Code == "25006":
			hint = "the server is a read-only replica"
		case strings.HasPrefix(e.Code, "XX"):
			hint = "the server's files are damaged"
		}
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}
