package store_test

import (
	"database/sql"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"github.com/orlop/orlop/store"
)

var update = flag.Bool("update", false, "write testdata/schema-N of this program's schema, if it is not there: before a release that has a new one")

// testdata/schema-N is a store that a release with that schema has written: the
// statements that made its tables in each database, and its rows, a line each:
//
//	table column=value …
//
// a value being a number, a text in quotes, or hexadecimal after x.
func TestReleasedSchemas(t *testing.T) {
	if *update {
		writeSchema(t)
	}
	dirs, _ := filepath.Glob("testdata/schema-*")
	if len(dirs) < store.Version {
		t.Fatalf("%d schemas of %d are in testdata: go test ./store -run Schemas -update", len(dirs), store.Version)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			each(t, func(t *testing.T, name string) {
				restore(t, dir, name)
				s := open(t, name)
				if f := verify(t, s); f != nil {
					t.Error(f)
				}
				r := query(t, s, store.Query{Limit: 10, Facets: []store.Facet{{Field: store.FieldStatus}}})
				if r.Total != 4 || fmt.Sprint(ids(r.Records)) != "[a4 a3 a2 a1]" || fmt.Sprint(r.Facets[0].Values) != "[{open 3} {closed 1}]" {
					t.Errorf("%d %s %v", r.Total, ids(r.Records), r.Facets)
				}
				if n := insert(t, s, newAlert(t, "a4", nil), newAlert(t, "a5", nil)); n != 1 {
					t.Errorf("%d are new", n)
				}
				u, err := s.User(t.Context(), "bob")
				if err != nil || u.Role != store.Analyst {
					t.Errorf("%+v %v", u, err)
				}
				x, err := s.Exceptions(t.Context())
				if err != nil || len(x) != 1 || x[0].Reason != "the nightly job" {
					t.Errorf("%+v %v", x, err)
				}
				if d := strings.Join(logOf(t, s), "\n"); d != "orlop store.prune \nann exception.put e1\nann user.put bob\nann alert.update " {
					t.Error(d)
				}
				if f := verify(t, s); f != nil {
					t.Error(f)
				}
			})
		})
	}
}

// restore makes a store of what is in a folder.
func restore(t *testing.T, dir, name string) {
	kind := "postgres"
	if isSQLite(name) {
		kind = "sqlite"
	}
	made, err := os.ReadFile(filepath.Join(dir, kind+".sql"))
	if err != nil {
		t.Fatal(err)
	}
	for stmt := range strings.SplitSeq(string(made), ";\n") {
		if strings.TrimSpace(stmt) != "" {
			edit(t, name, stmt)
		}
	}
	rows, err := os.ReadFile(filepath.Join(dir, "rows.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(rows)) {
		table, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var cols, marks []string
		var args []any
		for part := range strings.SplitSeq(rest, " ") {
			col, v, _ := strings.Cut(part, "=")
			cols, marks = append(cols, col), append(marks, "?")
			switch v[0] {
			case 'x':
				b, err := hex.DecodeString(v[1:])
				if err != nil {
					t.Fatal(err)
				}
				args = append(args, b)
			case '"':
				args = append(args, strings.Trim(v, `"`))
			default:
				var n int64
				if _, err := fmt.Sscan(v, &n); err != nil {
					t.Fatal(err)
				}
				args = append(args, n)
			}
		}
		edit(t, name, "INSERT INTO "+table+" ("+strings.Join(cols, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", args...)
	}
}

// writeSchema writes a store of this program's schema.
func writeSchema(t *testing.T) {
	dir := fmt.Sprintf("testdata/schema-%d", store.Version)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return // it is there
	}
	name := sqliteName(t)
	s := open(t, name)
	ctx := t.Context()
	insert(t, s, newAlert(t, "a0", nil), newAlert(t, "a1", nil), newAlert(t, "a2", nil), newAlert(t, "a3", map[string]any{"x": "\x00"}), newAlert(t, "a4", nil))
	if _, err := s.Update(ctx, ann, now, []string{"a2"}, store.Change{Status: store.StatusClosed, Comment: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutUser(ctx, ann, now, &store.User{Name: "bob", Role: store.Analyst}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutException(ctx, ann, now, &store.Exception{ID: "e1", Name: "nightly", Reason: "the nightly job", Where: `x == "y"`}); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveUpto(ctx, now, 1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, kind := range []string{"sqlite", "postgres"} {
		var all strings.Builder
		for n := 1; n <= store.Version; n++ {
			text, err := os.ReadFile(fmt.Sprintf("schema/%s/%d.sql", kind, n))
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		all.WriteString("\nDELETE FROM chain;\n")
		if kind == "sqlite" {
			fmt.Fprintf(&all, "PRAGMA user_version = %d;\n", store.Version)
		} else {
			fmt.Fprintf(&all, "CREATE TABLE orlop_schema (version BIGINT NOT NULL);\nINSERT INTO orlop_schema VALUES (%d);\n", store.Version)
		}
		if err := os.WriteFile(filepath.Join(dir, kind+".sql"), []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := sqlite.NewConnector("file:" + name)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	defer db.Close()
	var tables []string
	rows, err := db.Query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
	}
	var out strings.Builder
	for _, table := range tables {
		rows, err := db.Query("SELECT * FROM " + table)
		if err != nil {
			t.Fatal(err)
		}
		cols, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			vs := make([]any, len(cols))
			into := make([]any, len(cols))
			for i := range vs {
				into[i] = &vs[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			out.WriteString(table)
			for i, v := range vs {
				switch v := v.(type) {
				case []byte:
					fmt.Fprintf(&out, " %s=x%x", cols[i], v)
				case string:
					fmt.Fprintf(&out, " %s=%q", cols[i], v)
				default:
					fmt.Fprintf(&out, " %s=%v", cols[i], v)
				}
			}
			out.WriteByte('\n')
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "rows.txt"), []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
