package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
		err := s.verify(t, actionChain, "SELECT seq, time, data, sum FROM action ORDER BY seq", witness.Actions, &p.Actions, &p.ActionsAnchor, &p.ActionsHead, count,
			func(seq int64, data []byte) ([]byte, string) {
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
			})
		if err != nil {
			return err
		}
		err = s.verify(t, alertChain, "SELECT seq, stored, doc, sum, key FROM alert ORDER BY seq", witness.Alerts, &p.Alerts, &p.AlertsAnchor, &p.AlertsHead, count,
			func(seq int64, data []byte) ([]byte, string) {
				doc, err := s.press.unpack(t, data)
				if err != nil {
					return nil, "its document cannot be read: " + err.Error()
				}
				return doc, ""
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

// verify reads one chain.
func (s *Store) verify(t *tx, chain, q string, witness Head, n *int, anchor, head *Head, emit func(Fault), content func(seq int64, data []byte) (b []byte, wrong string)) (err error) {
	if *anchor, err = t.anchor(chain); err != nil {
		return err
	}
	if *head, err = t.head(chain); err != nil {
		return err
	}
	at := *anchor
	check := func(h Head) {
		if h.Seq == witness.Seq && witness.Seq > 0 && h != witness {
			emit(Fault{chain, h.Seq, "it is not the one that the witness saw: it, or one before it, was written anew"})
		}
	}
	check(at)
	err = t.rows(q, nil, func(scan func(...any) error) error {
		var seq, when int64
		var data, sum, key []byte
		into := []any{&seq, &when, &data, &sum}
		if chain == alertChain {
			into = append(into, &key)
		}
		if err := scan(into...); err != nil {
			return err
		}
		*n++
		switch {
		case seq <= at.Seq:
			emit(Fault{chain, seq, fmt.Sprintf("it does not belong there: the chain begins after %d", at.Seq)})
			return nil
		case seq > at.Seq+1:
			what := fmt.Sprintf("%d to %d are missing", at.Seq+1, seq-1)
			if seq == at.Seq+2 {
				what = "it is missing"
			}
			emit(Fault{chain, at.Seq + 1, what})
		}
		b, wrong := content(seq, data)
		if chain == alertChain && wrong == "" {
			switch a, err := alert.Parse(b); {
			case err != nil:
				wrong = "its document is no alert: " + err.Error()
			case string(key) != string(alertKey(a.ID)):
				wrong = "it is filed under the id of another alert"
			}
		}
		next := Head{Seq: seq - 1, Sum: at.Sum}.next(chain, when, b)
		var is Head
		is.Seq = seq
		copy(is.Sum[:], sum)
		switch {
		case wrong != "":
			emit(Fault{chain, seq, wrong})
		case next == is:
		case seq > at.Seq+1:
			// What it should follow is not there.
		default:
			emit(Fault{chain, seq, "it was changed, or the one before it was: its hash is not that of its content after the one before"})
		}
		at = is
		check(at)
		return nil
	})
	switch {
	case err != nil:
		return err
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
