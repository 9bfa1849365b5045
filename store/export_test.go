package store

import (
	"context"
	"time"
)

// ParseWhereIn is ParseWhere for fields of a schema.
var ParseWhereIn = compileWhere

// BlockRows is how many alerts are a block.
const BlockRows = blockRows

// RemoveUpto is a step of Prune.
func (s *Store) RemoveUpto(ctx context.Context, now time.Time, upto int64) error {
	_, err := s.removeAlerts(ctx, now, upto)
	return err
}

// Version is that of this program's schema.
const Version = version
