package store

import (
	"context"
	"os"
	"time"
)

// Retention says what is kept. Zero is all.
type Retention struct {
	Age     time.Duration // alerts that were stored longer ago go
	Bytes   int64         // the oldest alerts go until the database is no larger
	Actions time.Duration // actions that are longer ago go, but those since the last that removed alerts
}

// Pruned says what Prune has removed.
type Pruned struct {
	Alerts, Actions int64
	Bytes           int64 // of the database, after it
}

const (
	pruneAction = "store.prune"
	pruneStep   = 4 * blockRows // alerts that are removed at once
)

// pruneNote is what the action says of it: where the alerts that are left begin.
type pruneNote struct {
	Anchor string `json:"anchor"` // a Head
	Alerts int64  `json:"alerts"` // how many were removed
}

// Prune removes the oldest alerts, with their workflow, and the oldest actions, as
// retention says. What is left is verified from where it begins, which an action notes:
// that of alerts always, that of actions as long as it is kept.
func (s *Store) Prune(ctx context.Context, now time.Time, r Retention) (p Pruned, err error) {
	for {
		upto, err := s.pruneUpto(ctx, now, r)
		if err != nil {
			return p, s.fail(err)
		}
		if upto == 0 {
			break
		}
		n, err := s.removeAlerts(ctx, now, upto)
		if err != nil {
			return p, s.fail(err)
		}
		p.Alerts += n
		if n == 0 {
			break
		}
	}
	if r.Actions > 0 {
		if p.Actions, err = s.removeActions(ctx, now.Add(-r.Actions)); err != nil {
			return p, s.fail(err)
		}
	}
	p.Bytes, err = s.bytes(ctx)
	return p, s.fail(err)
}

// pruneUpto is up to which alert the next step removes; 0 is none.
func (s *Store) pruneUpto(ctx context.Context, now time.Time, r Retention) (upto int64, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		anchor, err := t.anchor(alertChain)
		if err != nil {
			return err
		}
		head, err := t.head(alertChain)
		if err != nil {
			return err
		}
		if r.Age > 0 {
			// Stored in this order, but clocks are set back: up to the first that is to stay.
			var stays int64
			_, err := t.row("SELECT COALESCE(MIN(seq), 0) FROM (SELECT seq, stored FROM alert ORDER BY seq LIMIT ?) AS oldest WHERE stored >= ?", []any{pruneStep, stamp(now.Add(-r.Age))}, &stays)
			if err != nil {
				return err
			}
			upto = min(head.Seq, anchor.Seq+pruneStep)
			if stays > 0 {
				upto = stays - 1
			}
			if upto <= anchor.Seq {
				upto = 0
			}
		}
		return nil
	})
	if err != nil || upto > 0 || r.Bytes <= 0 {
		return upto, err
	}
	size, err := s.bytes(ctx)
	if err != nil || size <= r.Bytes {
		return 0, err
	}
	h, err := s.Heads(ctx)
	if err != nil {
		return 0, err
	}
	anchor, err := s.read(ctx).anchor(alertChain)
	n := h.Alerts.Seq - anchor.Seq
	if err != nil || n == 0 {
		return 0, err
	}
	// As many as make up for what is too much, if all were alike, and some more: each
	// time costs an action.
	over := float64(size-r.Bytes) / float64(size)
	return anchor.Seq + min(n, pruneStep, int64(over*float64(n))+n/16+1), nil
}

// removeAlerts removes alerts up to a number.
func (s *Store) removeAlerts(ctx context.Context, now time.Time, upto int64) (n int64, err error) {
	err = s.change(ctx, func(t *tx) error {
		if _, err := t.lock(alertChain); err != nil {
			return err
		}
		was, err := t.anchor(alertChain)
		if err != nil {
			return err
		}
		if upto <= was.Seq { // somebody else has
			n = 0
			return nil
		}
		h := Head{Seq: upto}
		var sum []byte
		if ok, err := t.row("SELECT sum FROM alert WHERE seq = ?", []any{upto}, &sum); err != nil || !ok || len(sum) != len(h.Sum) {
			return orMissing(err, upto)
		}
		copy(h.Sum[:], sum)
		for _, q := range []string{"DELETE FROM workflow WHERE alert <= ?", "DELETE FROM action_alert WHERE alert <= ?"} {
			if _, err := t.exec(q, upto); err != nil {
				return err
			}
		}
		for _, q := range []string{"DELETE FROM field WHERE block < ?", "DELETE FROM block WHERE n < ?"} {
			if _, err := t.exec(q, upto/blockRows); err != nil {
				return err
			}
		}
		if n, err = t.exec("DELETE FROM alert WHERE seq <= ?", upto); err != nil {
			return err
		}
		if err := t.setAnchor(alertChain, h); err != nil {
			return err
		}
		a := &Action{By: Actor{User: "orlop", Via: "retention"}, What: pruneAction}
		if a.After, err = encode(pruneNote{h.String(), n}); err != nil {
			return err
		}
		return t.act(now, a)
	})
	if err == nil && !s.db.postgres() {
		_, err = s.db.w.ExecContext(ctx, "PRAGMA incremental_vacuum")
	}
	return n, err
}

// removeActions removes actions before a time, up to the last that removed alerts: it
// says where the chain of alerts begins.
func (s *Store) removeActions(ctx context.Context, before time.Time) (n int64, err error) {
	err = s.change(ctx, func(t *tx) error {
		h, err := t.lock(actionChain)
		if err != nil {
			return err
		}
		upto := h.Seq
		var stays int64
		if _, err := t.row("SELECT COALESCE(MIN(seq), 0) FROM action WHERE time >= ?", []any{stamp(before)}, &stays); err != nil {
			return err
		}
		if stays > 0 {
			upto = stays - 1
		}
		anchor, err := t.anchor(alertChain)
		if err != nil {
			return err
		}
		if anchor.Seq > 0 {
			err = t.rows("SELECT seq, time, data FROM action WHERE seq <= ? ORDER BY seq DESC", []any{h.Seq}, func(scan func(...any) error) error {
				var seq, at int64
				var data []byte
				if err := scan(&seq, &at, &data); err != nil {
					return err
				}
				a, err := readAction(seq, at, data)
				if err != nil {
					return err
				}
				if a.What == pruneAction {
					upto = min(upto, seq-1)
					return errFound
				}
				return nil
			})
			if err != nil && err != errFound {
				return err
			}
		}
		a := Head{Seq: upto}
		var sum []byte
		if ok, err := t.row("SELECT sum FROM action WHERE seq = ?", []any{upto}, &sum); err != nil || !ok || len(sum) != len(a.Sum) {
			return err // nothing is to be removed
		}
		copy(a.Sum[:], sum)
		if _, err := t.exec("DELETE FROM action_alert WHERE action <= ?", upto); err != nil {
			return err
		}
		if n, err = t.exec("DELETE FROM action WHERE seq <= ?", upto); err != nil || n == 0 {
			return err
		}
		return t.setAnchor(actionChain, a)
	})
	return n, err
}

// bytes is how much the database holds: what is free in its files does not count.
func (s *Store) bytes(ctx context.Context) (n int64, err error) {
	if s.db.postgres() {
		// Rows that were removed leave room in the files that only VACUUM gives back.
		_, err = s.read(ctx).row(`SELECT COALESCE(SUM(pg_column_size(doc) + 150), 0) + (SELECT COALESCE(SUM(pg_column_size(data) + 60), 0) FROM field) +
			(SELECT COALESCE(SUM(pg_column_size(data) + 80), 0) FROM action) FROM alert`, nil, &n)
		return n, err
	}
	var pages, free, size int64
	for _, p := range []struct {
		q    string
		into *int64
	}{{"PRAGMA page_count", &pages}, {"PRAGMA freelist_count", &free}, {"PRAGMA page_size", &size}} {
		if _, err := s.read(ctx).row(p.q, nil, p.into); err != nil {
			return 0, err
		}
	}
	return (pages - free) * size, nil
}

// fileBytes is what the files of SQLite take on disk.
func (s *Store) fileBytes() (n int64) {
	for _, end := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(s.db.name + end); err == nil {
			n += info.Size()
		}
	}
	return n
}
