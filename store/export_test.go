package store

import (
	"context"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// ParseWhereIn is ParseWhere for fields of a schema.
func ParseWhereIn(text string, s *event.Schema) (expr.Pred, error) {
	return whereOf(parseWhere(text, s))
}

// ParseKQL is ParseWhere without EQL.
func ParseKQL(text string) (expr.Pred, error) { return ParseKQLIn(text, event.NewSchema()) }

// ParseKQLIn is ParseKQL for fields of a schema.
func ParseKQLIn(text string, s *event.Schema) (expr.Pred, error) {
	return whereOf(compileKQL(text, s))
}

func whereOf(a *asking, err error) (expr.Pred, error) {
	if err != nil {
		return nil, err
	}
	return a.where, nil
}

// BlockRows is how many alerts are a block.
const BlockRows = blockRows

// RemoveUpto is a step of Prune.
func (s *Store) RemoveUpto(ctx context.Context, now time.Time, upto int64) error {
	_, err := s.removeAlerts(ctx, now, upto)
	return err
}

// Version is that of this program's schema.
const Version = version
