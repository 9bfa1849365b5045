package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/event"
)

// A Record is an alert as the store has it.
type Record struct {
	Seq      int64     // its number: one more than that of the alert stored before
	Stored   time.Time // when Insert took it
	Alert    *alert.Alert
	Workflow Workflow
	Cursor   Cursor // its place in the order of the query
}

// alertKey is what an alert is found by: ids may be long, and anything.
func alertKey(id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return sum[:]
}

func repeat(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+", ", n), ", ") }

// insertRows is how many alerts go into one statement.
const insertRows = 32

// Insert stores alerts in their order, all or none, and returns how many are new. One
// whose id is there already is left as it is. When it has returned they are on disk, to
// stay there whatever comes.
func (s *Store) Insert(ctx context.Context, now time.Time, alerts []*alert.Alert) (added int, err error) {
	var fresh *made
	var head Head
	err = s.change(ctx, func(t *tx) error {
		added, fresh = 0, newMade()
		if head, err = t.lock(alertChain); err != nil {
			return err
		}
		known, err := t.known(alerts)
		if err != nil {
			return err
		}
		var args []any
		flush := func() error {
			if len(args) == 0 {
				return nil
			}
			_, err := t.exec("INSERT INTO alert (seq, key, stored, doc, sum) VALUES "+repeat("(?, ?, ?, ?, ?)", len(args)/5), args...)
			args = args[:0]
			return err
		}
		for _, a := range alerts {
			key := alertKey(a.ID)
			if known[string(key)] {
				continue
			}
			known[string(key)] = true
			doc := a.AppendJSON(nil)
			if len(doc) == 0 {
				return fmt.Errorf("alert %.100q has no document", a.ID)
			}
			head = head.next(alertChain, stamp(now), doc)
			data, err := s.press.pack(t, a.RuleID, doc, fresh)
			if err != nil {
				return err
			}
			sum := head.Sum
			if args = append(args, head.Seq, key, stamp(now), data, sum[:]); len(args) == 5*insertRows {
				if err := flush(); err != nil {
					return err
				}
			}
			added++
		}
		if err := flush(); err != nil {
			return err
		}
		if added == 0 {
			return nil
		}
		return t.setHead(alertChain, head)
	})
	if err != nil {
		return 0, s.fail(err)
	}
	s.press.keep(fresh)
	if head.Seq/blockRows > (head.Seq-int64(added))/blockRows {
		// What is missing of it another Insert makes, or who asks.
		if err := s.seal(ctx); err != nil {
			s.log().Warn("store: make columns", "err", s.fail(err))
		}
	}
	return added, nil
}

// known are those that are stored already, by key.
func (t *tx) known(alerts []*alert.Alert) (map[string]bool, error) {
	known := map[string]bool{}
	for part := range slices.Chunk(alerts, 400) {
		args := make([]any, len(part))
		for i, a := range part {
			args[i] = alertKey(a.ID)
		}
		err := t.rows("SELECT key FROM alert WHERE key IN ("+marks(len(part))+")", args, func(scan func(...any) error) error {
			var key []byte
			err := scan(&key)
			known[string(key)] = true
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

// Alert is the alert of an id, or ErrNotFound.
func (s *Store) Alert(ctx context.Context, id string) (*Record, error) {
	recs, err := s.records(ctx, "a.key = ?", alertKey(id))
	switch {
	case err != nil:
		return nil, s.fail(err)
	case len(recs) == 0:
		return nil, fmt.Errorf("alert %.100q: %w", id, ErrNotFound)
	}
	return recs[0], nil
}

// records reads those of which a condition on the row holds, in no order.
func (s *Store) records(ctx context.Context, where string, args ...any) (recs []*Record, err error) {
	err = s.snapshot(ctx, func(t *tx) error {
		type row struct {
			rec       *Record
			doc, flow []byte
		}
		var rows []row
		err := t.rows("SELECT a.seq, a.stored, a.doc, w.data FROM alert a LEFT JOIN workflow w ON w.alert = a.seq WHERE "+where, args, func(scan func(...any) error) error {
			r := row{rec: &Record{}}
			var stored int64
			if err := scan(&r.rec.Seq, &stored, &r.doc, &r.flow); err != nil {
				return err
			}
			r.rec.Stored = unstamp(stored)
			rows = append(rows, r)
			return nil
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			doc, err := s.press.unpack(t, r.doc)
			if err == nil {
				r.rec.Alert, err = alert.Parse(doc)
			}
			if err == nil {
				r.rec.Workflow, err = readWorkflow(r.flow)
			}
			if err != nil {
				return fmt.Errorf("alert %d: %w", r.rec.Seq, err)
			}
			recs = append(recs, r.rec)
		}
		return nil
	})
	return recs, err
}

// bySeq reads records by their numbers, in that order. Those that are gone are left out.
func (s *Store) bySeq(ctx context.Context, seqs []int64) ([]*Record, error) {
	found := map[int64]*Record{}
	for part := range slices.Chunk(seqs, 400) {
		args := make([]any, len(part))
		for i, n := range part {
			args[i] = n
		}
		recs, err := s.records(ctx, "a.seq IN ("+marks(len(part))+")", args...)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			found[r.Seq] = r
		}
	}
	var out []*Record
	for _, n := range seqs {
		if r := found[n]; r != nil {
			out = append(out, r)
		}
	}
	return out, nil
}

// workflowFields are in the order of the document.
var workflowFields = [...]string{FieldStatus, FieldReason, FieldTags, FieldAssignees, FieldUser, FieldUpdated}

// AppendJSON appends the alert's document with the workflow as it is now, on one line.
func (r *Record) AppendJSON(dst []byte) []byte {
	at := len(dst)
	dst = r.Alert.AppendJSON(dst)
	doc := dropMembers(dst[at:], workflowFields[:])
	dst = append(dst[:at], doc...)
	dst = dst[:len(dst)-1] // }
	fields := r.Workflow.fields()
	for _, name := range workflowFields {
		vs, ok := fields[name]
		if !ok {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(event.AppendQuoted(dst, name), ':')
		list := name == FieldTags || name == FieldAssignees
		if list {
			dst = append(dst, '[')
		}
		for i, v := range vs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = event.AppendQuoted(dst, v)
		}
		if list {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}
