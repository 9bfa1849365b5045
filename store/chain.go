package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/orlop/orlop/alert"
)

// Two chains: alerts and actions. The sum of a row is
//
//	SHA-256(sum of the row before, name of the chain, 0, seq, time, length of the content, content)
//
// numbers being of 8 bytes, big endian; the content of an alert is its document, as it
// came, that of an action its JSON. The first row follows a sum of zeros. What people
// make of an alert is not part of it but an action.
//
// So a row that is changed, put in or taken away does not fit its neighbours. Who may
// write the database can calculate all sums anew, from some row to the end; against
// that, and against an end that was cut off together with the chain's own note of
// where it ends, helps a Head that is kept elsewhere.
const (
	alertChain  = "alerts"
	actionChain = "actions"
)

// A Head is the end of a chain: the number of its last row and the hash of it. Kept
// elsewhere, it proves later that nothing up to it was taken away or changed.
type Head struct {
	Seq int64
	Sum [32]byte
}

// String is SEQ:HASH.
func (h Head) String() string {
	return strconv.FormatInt(h.Seq, 10) + ":" + hex.EncodeToString(h.Sum[:])
}

// ParseHead reads what String has written.
func ParseHead(text string) (h Head, err error) {
	seq, sum, ok := strings.Cut(text, ":")
	b, err := hex.DecodeString(sum)
	if h.Seq, _ = strconv.ParseInt(seq, 10, 64); !ok || err != nil || len(b) != 32 || h.Seq < 0 {
		return Head{}, fmt.Errorf("head %q: expected NUMBER:HASH, the hash being 64 hexadecimal digits", text)
	}
	copy(h.Sum[:], b)
	return h, nil
}

// Heads are those of both chains.
type Heads struct{ Alerts, Actions Head }

// A Fault is a row that is not what it was when it was written.
type Fault struct {
	Chain string // alerts, actions
	Seq   int64
	What  string // a sentence
}

func (f Fault) String() string {
	return fmt.Sprintf("%s %d: %s", strings.TrimSuffix(f.Chain, "s"), f.Seq, f.What)
}

// A Proof says what Verify looked at.
type Proof struct {
	Alerts, Actions             int  // rows that were read
	AlertsAnchor, ActionsAnchor Head // what retention has removed ends here; zero is nothing
	AlertsHead, ActionsHead     Head
	Faults                      int
}

func (h Head) next(chain string, at int64, content []byte) Head {
	s := sha256.New()
	s.Write(h.Sum[:])
	b := append([]byte(chain), 0)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Seq+1))
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint64(b, uint64(len(content)))
	s.Write(b)
	s.Write(content)
	n := Head{Seq: h.Seq + 1}
	s.Sum(n.Sum[:0])
	return n
}

// lock takes a chain, of which nobody else can then write another row, and returns its
// end. Who takes both takes that of alerts first.
func (t *tx) lock(chain string) (Head, error) {
	q := "SELECT seq, sum FROM chain WHERE name = ?"
	if t.db.postgres() {
		q += " FOR UPDATE"
	}
	return t.end(q, chain)
}

func (t *tx) head(chain string) (Head, error) {
	return t.end("SELECT seq, sum FROM chain WHERE name = ?", chain)
}

func (t *tx) anchor(chain string) (Head, error) {
	return t.end("SELECT anchor, anchor_sum FROM chain WHERE name = ?", chain)
}

func (t *tx) end(q, chain string) (h Head, err error) {
	var sum []byte
	ok, err := t.row(q, []any{chain}, &h.Seq, &sum)
	if err == nil && (!ok || len(sum) != len(h.Sum)) {
		err = fmt.Errorf("the end of the chain of %s is not noted", chain)
	}
	copy(h.Sum[:], sum)
	return h, err
}

func (t *tx) setHead(chain string, h Head) error {
	_, err := t.exec("UPDATE chain SET seq = ?, sum = ? WHERE name = ?", h.Seq, h.Sum[:], chain)
	return err
}

func (t *tx) setAnchor(chain string, h Head) error {
	_, err := t.exec("UPDATE chain SET anchor = ?, anchor_sum = ? WHERE name = ?", h.Seq, h.Sum[:], chain)
	return err
}

// Heads are the ends of both chains, to be kept elsewhere: see Verify.
func (s *Store) Heads(ctx context.Context) (h Heads, err error) {
	err = s.snapshot(ctx, func(t *tx) (err error) {
		if h.Alerts, err = t.head(alertChain); err != nil {
			return err
		}
		h.Actions, err = t.head(actionChain)
		return err
	})
	return h, s.fail(err)
}

// Verify reads all alerts and actions and calls emit for each that is not what it was
// when it was written, and for each place where some are missing.
//
// It proves that nothing between the ends that the database itself notes was changed, put
// in, taken away or reordered by somebody who did not calculate all later sums anew,
// and that the workflow of each alert is what the actions say, as far as they are kept.
// A witness is heads that were kept elsewhere; a zero one is none. It proves the same
// of everybody, up to the row that it names; what came after it may have been cut off or
// written anew by somebody who can write the database.
func (s *Store) Verify(ctx context.Context, witness Heads, emit func(Fault)) (p Proof, err error) {
	count := func(f Fault) {
		p.Faults++
		emit(f)
	}
	err = s.snapshot(ctx, func(t *tx) error {
		pruned := map[int64]Head{}           // by the anchors that Prune has noted
		flows := map[int64]json.RawMessage{} // what the actions made of workflows
		err := s.verify(t, actionChain, "SELECT seq, time, data, sum, NULL FROM action", witness.Actions, &p.Actions, &p.ActionsAnchor, &p.ActionsHead, count,
			func(seq int64, data, _ []byte) ([]byte, string) {
				a, err := readAction(seq, 0, data)
				if err != nil {
					return data, "its JSON cannot be read: " + err.Error()
				}
				if a.What == pruneAction {
					var h pruneNote
					if decode(a.After, &h) == nil {
						if h, err := ParseHead(h.Anchor); err == nil {
							pruned[h.Seq] = h
						}
					}
				}
				replay(a, flows)
				return data, ""
			},
			func(int64, []byte) error { return nil })
		if err != nil {
			return err
		}
		var b *builder
		err = s.verify(t, alertChain, "SELECT seq, stored, doc, sum, key FROM alert", witness.Alerts, &p.Alerts, &p.AlertsAnchor, &p.AlertsHead, count,
			func(seq int64, data, key []byte) ([]byte, string) {
				doc, err := s.press.unpack(t, data)
				if err != nil {
					return nil, "its document cannot be read: " + err.Error()
				}
				a, err := alert.Parse(doc)
				switch {
				case err != nil:
					return doc, "its document is no alert: " + err.Error()
				case string(key) != string(alertKey(a.ID)):
					return doc, "it is filed under the id of another alert"
				}
				return doc, ""
			},
			func(seq int64, doc []byte) error {
				row := int(seq-1) % blockRows
				if b == nil || row == 0 {
					b = newBuilder()
					b.skip(row)
				}
				if b.rows() != row {
					return nil // some are missing, which is said
				}
				b.add(doc)
				if row < blockRows-1 {
					return nil
				}
				wrong, err := s.checkBlock(t, (seq-1)/blockRows, b, p.AlertsAnchor.Seq)
				if wrong != "" {
					count(Fault{alertChain, seq, fmt.Sprintf("of it and the %d before it %s", blockRows-1, wrong)})
				}
				return err
			})
		if err != nil {
			return err
		}
		if a := p.AlertsAnchor; a.Seq > 0 && p.ActionsAnchor.Seq == 0 && pruned[a.Seq] != a {
			count(Fault{alertChain, a.Seq, "the alerts up to it are gone, and no action says that retention removed them"})
		}
		return s.verifyWorkflow(t, flows, p, count)
	})
	return p, s.fail(err)
}

// verify reads one chain: content is what a row hashes, and what is wrong with it; after
// gets that of those that are right.
func (s *Store) verify(t *tx, chain, q string, witness Head, n *int, anchor, head *Head, emit func(Fault), content func(seq int64, data, key []byte) (b []byte, wrong string), after func(seq int64, b []byte) error) (err error) {
	if *anchor, err = t.anchor(chain); err != nil {
		return err
	}
	if *head, err = t.head(chain); err != nil {
		return err
	}
	at := *anchor
	check := func() {
		if at.Seq == witness.Seq && witness.Seq > 0 && at != witness {
			emit(Fault{chain, at.Seq, "it is not the one that the witness saw: it, or one before it, was written anew"})
		}
	}
	check()
	type row struct {
		seq, when      int64
		data, sum, key []byte
	}
	one := func(r *row) error {
		*n++
		switch {
		case r.seq <= at.Seq:
			emit(Fault{chain, r.seq, fmt.Sprintf("it does not belong there: the chain begins after %d", at.Seq)})
			return nil
		case r.seq == at.Seq+2:
			emit(Fault{chain, at.Seq + 1, "it is missing"})
		case r.seq > at.Seq+1:
			emit(Fault{chain, at.Seq + 1, fmt.Sprintf("%d to %d are missing", at.Seq+1, r.seq-1)})
		}
		b, wrong := content(r.seq, r.data, r.key)
		want := Head{Seq: r.seq - 1, Sum: at.Sum}.next(chain, r.when, b)
		is := Head{Seq: r.seq}
		copy(is.Sum[:], r.sum)
		follows := r.seq == at.Seq+1 // else there is nothing to hold it against
		at = is
		switch {
		case wrong != "":
			emit(Fault{chain, r.seq, wrong})
		case follows && want != is:
			emit(Fault{chain, r.seq, "it was changed, or the one before it was: its hash is not that of its content after the one before"})
		default:
			if err := after(r.seq, b); err != nil {
				return err
			}
		}
		check()
		return nil
	}
	for last := int64(math.MinInt64); ; {
		var rows []*row
		size := 0
		err := t.rows(q+" WHERE seq > ? ORDER BY seq LIMIT 500", []any{last}, func(scan func(...any) error) error {
			r := &row{}
			if err := scan(&r.seq, &r.when, &r.data, &r.sum, &r.key); err != nil {
				return err
			}
			rows = append(rows, r)
			if size += len(r.data); size > 16<<20 {
				return errFound
			}
			return nil
		})
		if err != nil && err != errFound {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			if err := one(r); err != nil {
				return err
			}
			last = r.seq
		}
	}
	switch {
	case at.Seq < head.Seq:
		what := fmt.Sprintf("it and all up to %d are missing at the end", head.Seq)
		if at.Seq+1 == head.Seq {
			what = "it is missing at the end"
		}
		emit(Fault{chain, at.Seq + 1, what})
	case at.Seq > head.Seq:
		emit(Fault{chain, head.Seq + 1, fmt.Sprintf("the chain's own note says that it ends at %d", head.Seq)})
	case at != *head:
		emit(Fault{chain, at.Seq, "it is not the row that the chain's own note says it ends with"})
	}
	if witness.Seq > at.Seq {
		emit(Fault{chain, at.Seq + 1, fmt.Sprintf("it is missing: the witness saw rows up to %d", witness.Seq)})
	}
	return nil
}

// stamp is a time as it is kept.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func unstamp(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
