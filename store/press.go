package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A document is kept as
//
//	0  the document
//	1  zstd
//	2  uvarint number of a dictionary, zstd by it
//
// Most of an alert is about its rule, and the same in all alerts of it: the first alert
// of a rule is the dictionary of the others, which then take a tenth of their size.
const (
	plainDoc byte = iota
	zstdDoc
	dictDoc
)

const (
	mostDictionary   = 32 << 10 // bytes of a document that become a dictionary
	mostDictionaries = 4096     // rules that have one
	mostPresses      = 64       // that are kept in memory
	mostDoc          = 1 << 30
)

// A press compresses documents. It is safe for concurrent use.
type press struct {
	mu    sync.Mutex
	enc   *zstd.Encoder
	dec   *zstd.Decoder
	byKey map[[32]byte]int64 // dictionaries by the hash of the rule's id
	texts map[int64][]byte
	encs  map[int64]*zstd.Encoder
	decs  map[int64]*zstd.Decoder
}

func newPress() *press {
	p := &press{byKey: map[[32]byte]int64{}, texts: map[int64][]byte{}, encs: map[int64]*zstd.Encoder{}, decs: map[int64]*zstd.Decoder{}}
	var err error
	if p.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false)); err != nil {
		panic("store: bug: " + err.Error())
	}
	if p.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostDoc)); err != nil {
		panic("store: bug: " + err.Error())
	}
	return p
}

// key is that of a rule's dictionary.
func dictKey(ruleID string) [32]byte { return sha256.Sum256([]byte(ruleID)) }

// pack compresses a document. The caller's transaction may make a dictionary, which
// counts once keep has been called.
func (p *press) pack(t *tx, ruleID string, doc []byte, fresh map[[32]byte]int64) ([]byte, error) {
	key := dictKey(ruleID)
	p.mu.Lock()
	defer p.mu.Unlock()
	id, ok := p.byKey[key]
	if !ok {
		id, ok = fresh[key]
	}
	if !ok {
		var data []byte
		found, err := t.row("SELECT id, data FROM dictionary WHERE key = ?", []any{key[:]}, &id, &data)
		if err != nil {
			return nil, err
		}
		if !found {
			var n int64
			if _, err := t.row("SELECT COALESCE(MAX(id), 0) FROM dictionary", nil, &n); err != nil {
				return nil, err
			}
			if n >= mostDictionaries {
				return p.pack0(doc), nil
			}
			id, data = n+1, doc[:min(len(doc), mostDictionary)]
			if _, err := t.exec("INSERT INTO dictionary (id, key, data) VALUES (?, ?, ?)", id, key[:], data); err != nil {
				return nil, err
			}
		}
		fresh[key] = id
		p.texts[id] = data
		// One of a transaction that was rolled back may have been of another rule.
		delete(p.encs, id)
		delete(p.decs, id)
	}
	enc := p.encs[id]
	if enc == nil {
		if len(p.encs) >= mostPresses {
			clear(p.encs)
		}
		text, err := p.text(t, id)
		if err != nil {
			return nil, err
		}
		if enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderDictRaw(uint32(id), text)); err != nil {
			return nil, err
		}
		p.encs[id] = enc
	}
	b := binary.AppendUvarint([]byte{dictDoc}, uint64(id))
	return enc.EncodeAll(doc, b), nil
}

func (p *press) pack0(doc []byte) []byte {
	b := p.enc.EncodeAll(doc, []byte{zstdDoc})
	if len(b) > len(doc) {
		return append([]byte{plainDoc}, doc...)
	}
	return b
}

// keep remembers the dictionaries of a transaction that was committed.
func (p *press) keep(fresh map[[32]byte]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, id := range fresh {
		p.byKey[k] = id
	}
}

func (p *press) text(t *tx, id int64) ([]byte, error) {
	if text := p.texts[id]; text != nil {
		return text, nil
	}
	var data []byte
	found, err := t.row("SELECT data FROM dictionary WHERE id = ?", []any{id}, &data)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("dictionary %d is missing", id)
	}
	if len(p.texts) >= 4*mostPresses {
		clear(p.texts)
	}
	p.texts[id] = data
	return data, nil
}

var errPacked = errors.New("not a packed document")

// unpack returns the document that pack was given.
func (p *press) unpack(t *tx, b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errPacked
	}
	kind, b := b[0], b[1:]
	switch kind {
	case plainDoc:
		return b, nil
	case zstdDoc:
		return p.dec.DecodeAll(b, nil)
	case dictDoc:
		id, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errPacked
		}
		dec, err := p.decoder(t, int64(id))
		if err != nil {
			return nil, err
		}
		return dec.DecodeAll(b[n:], nil)
	}
	return nil, errPacked
}

func (p *press) decoder(t *tx, id int64) (*zstd.Decoder, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if dec := p.decs[id]; dec != nil {
		return dec, nil
	}
	text, err := p.text(t, id)
	if err != nil {
		return nil, err
	}
	if len(p.decs) >= 4*mostPresses {
		clear(p.decs)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(mostDoc), zstd.WithDecoderDictRaw(uint32(id), text))
	if err != nil {
		return nil, err
	}
	p.decs[id] = dec
	return dec, nil
}
