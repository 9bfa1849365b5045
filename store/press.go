package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// A document is kept as
//
//	0  the document
//	1  S2
//	2  uvarint number of a dictionary, S2 by it
//
// Most of an alert is about its rule, and the same in all alerts of it: the first alert
// of a rule is the dictionary of the others, which then take a fifteenth of their size.
// (zstd makes a third less of that, in five times the time.)
const (
	plainDoc byte = iota
	s2Doc
	dictDoc
)

const (
	leastDictionary  = 64
	mostDictionary   = 32 << 10 // bytes of a document that become a dictionary
	mostDictionaries = 4096     // rules that have one
	mostInMemory     = 256      // dictionaries
	mostDoc          = 1 << 30
)

// A press compresses documents, and columns. It is safe for concurrent use.
type press struct {
	enc *zstd.Encoder // of columns
	dec *zstd.Decoder

	mu    sync.Mutex
	byKey map[[32]byte]int64 // dictionaries by the hash of the rule's id
	dicts map[int64]*s2.Dict
}

func newPress() *press {
	p := &press{byKey: map[[32]byte]int64{}, dicts: map[int64]*s2.Dict{}}
	var err error
	if p.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)); err != nil {
		panic("store: bug: " + err.Error())
	}
	if p.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostDoc)); err != nil {
		panic("store: bug: " + err.Error())
	}
	return p
}

// A made is the dictionaries that a transaction has made: they count once it is
// committed.
type made struct {
	byKey map[[32]byte]int64
	dicts map[int64]*s2.Dict
}

func newMade() *made { return &made{map[[32]byte]int64{}, map[int64]*s2.Dict{}} }

// keep remembers the dictionaries of a transaction that was committed.
func (p *press) keep(m *made) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byKey) > 2*mostDictionaries {
		clear(p.byKey)
	}
	for k, id := range m.byKey {
		p.byKey[k] = id
	}
}

// pack compresses a document of a rule.
func (p *press) pack(t *tx, ruleID string, doc []byte, m *made) ([]byte, error) {
	id, d, err := p.dictOf(t, ruleID, doc, m)
	if err != nil {
		return nil, err
	}
	var b []byte
	if d == nil {
		b = append(b, s2Doc)
		b = append(b, s2.Encode(nil, doc)...)
	} else {
		b = binary.AppendUvarint(append(b, dictDoc), uint64(id))
		b = append(b, d.Encode(nil, doc)...)
	}
	if len(b) > len(doc) {
		return append([]byte{plainDoc}, doc...), nil
	}
	return b, nil
}

// dictOf is the dictionary of a rule, which the document may become; or nil.
func (p *press) dictOf(t *tx, ruleID string, doc []byte, m *made) (id int64, d *s2.Dict, err error) {
	key := sha256.Sum256([]byte(ruleID))
	if id := m.byKey[key]; id > 0 {
		if d := m.dicts[id]; d != nil {
			return id, d, nil
		}
		d, err := p.dict(t, id)
		return id, d, err
	}
	p.mu.Lock()
	id, ok := p.byKey[key]
	p.mu.Unlock()
	if ok {
		d, err := p.dict(t, id)
		return id, d, err
	}
	ok, err = t.row("SELECT id FROM dictionary WHERE key = ?", []any{key[:]}, &id)
	if err != nil {
		return 0, nil, err
	}
	if ok {
		m.byKey[key] = id
		d, err := p.dict(t, id)
		return id, d, err
	}
	var last int64
	if _, err := t.row("SELECT COALESCE(MAX(id), 0) FROM dictionary", nil, &last); err != nil {
		return 0, nil, err
	}
	if len(doc) < leastDictionary || last >= mostDictionaries {
		return 0, nil, nil
	}
	text := doc[:min(len(doc), mostDictionary)]
	if _, err := t.exec("INSERT INTO dictionary (id, key, data) VALUES (?, ?, ?)", last+1, key[:], text); err != nil {
		return 0, nil, err
	}
	d = s2.MakeDict(text, nil)
	m.byKey[key], m.dicts[last+1] = last+1, d
	return last + 1, d, nil
}

// dict reads a dictionary that is in the database.
func (p *press) dict(t *tx, id int64) (*s2.Dict, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.dicts[id]; d != nil {
		return d, nil
	}
	var text []byte
	ok, err := t.row("SELECT data FROM dictionary WHERE id = ?", []any{id}, &text)
	if err != nil {
		return nil, err
	}
	d := s2.MakeDict(text, nil)
	if !ok || d == nil {
		return nil, fmt.Errorf("dictionary %d is missing or damaged", id)
	}
	if len(p.dicts) >= mostInMemory {
		clear(p.dicts)
	}
	p.dicts[id] = d
	return d, nil
}

var errPacked = errors.New("not a packed document")

// unpack returns the document that pack was given.
func (p *press) unpack(t *tx, b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errPacked
	}
	kind, b := b[0], b[1:]
	var d *s2.Dict
	switch kind {
	case plainDoc:
		return b, nil
	case s2Doc:
	case dictDoc:
		id, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errPacked
		}
		b = b[n:]
		var err error
		if d, err = p.dict(t, int64(id)); err != nil {
			return nil, err
		}
	default:
		return nil, errPacked
	}
	if n, err := s2.DecodedLen(b); err != nil || n > mostDoc {
		return nil, errPacked
	}
	if d == nil {
		return s2.Decode(nil, b)
	}
	return d.Decode(nil, b)
}
