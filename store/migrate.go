package store

import (
	"context"
	"embed"
	"fmt"
	"path"
)

// Each file brings a database from the version before to the one that it is named after.
//
//go:embed schema
var schema embed.FS

// version is that of the schema that this program knows.
const version = 1

// migrate brings the database to this program's schema.
func (s *Store) migrate(ctx context.Context) error {
	return s.write(ctx, func(tx *tx) error {
		// One at a time, and those that come later see that it is done.
		if err := tx.alone(); err != nil {
			return err
		}
		was, err := tx.version()
		if err != nil {
			return err
		}
		if was > version {
			return s.tooNew(was)
		}
		for n := was + 1; n <= version; n++ {
			text, err := schema.ReadFile(path.Join("schema", s.db.kind, fmt.Sprintf("%d.sql", n)))
			if err != nil {
				return err
			}
			if err := tx.script(string(text)); err != nil {
				return fmt.Errorf("bring the schema to version %d: %w", n, err)
			}
		}
		if was == version {
			return nil
		}
		return tx.setVersion(version)
	})
}

func (s *Store) tooNew(was int) error {
	return fmt.Errorf("its schema has version %d, and this program knows up to %d: a newer orlop has written it; use that one, or another store", was, version)
}
