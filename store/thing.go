package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// Things are small and have a name: users, sessions, tokens, exceptions and how often they
// held, rule states. A kind of them is a type T, kept as JSON.
type kind[T any] struct{ name string }

var (
	users      = kind[User]{"user"}
	sessions   = kind[Session]{"session"}
	tokens     = kind[Token]{"token"}
	exceptions = kind[Exception]{"exception"}
	holds      = kind[Hold]{"hold"}
	ruleStates = kind[RuleState]{"rule"}
)

func (k kind[T]) get(t *tx, name string) (*T, error) {
	var data []byte
	ok, err := t.row("SELECT data FROM thing WHERE kind = ? AND name = ?", []any{k.name, alertKey(name)}, &data)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s %.100q: %w", k.name, name, ErrNotFound)
	}
	v := new(T)
	if err := decode(data, v); err != nil {
		return nil, fmt.Errorf("%s %.100q: %w", k.name, name, err)
	}
	return v, nil
}

func (k kind[T]) put(t *tx, name string, v *T) error {
	data, err := encode(*v)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO thing (kind, name, data) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET data = excluded.data", k.name, alertKey(name), data)
	return err
}

func (k kind[T]) remove(t *tx, name string) error {
	_, err := t.exec("DELETE FROM thing WHERE kind = ? AND name = ?", k.name, alertKey(name))
	return err
}

// all are those of the kind, in no order.
func (k kind[T]) all(t *tx) (all []*T, err error) {
	err = t.rows("SELECT data FROM thing WHERE kind = ?", []any{k.name}, func(scan func(...any) error) error {
		var data []byte
		if err := scan(&data); err != nil {
			return err
		}
		v := new(T)
		all = append(all, v)
		return decode(data, v)
	})
	return all, err
}

// set puts a thing, or removes it where v is nil, and notes the action. was is what
// there was, or nil, and may refuse; public leaves out of the audit log what it is not to
// hold.
func set[T any](ctx context.Context, s *Store, k kind[T], by Actor, now time.Time, name string, note string, public func(T) T, change func(was *T) (*T, error)) error {
	err := s.change(ctx, func(t *tx) error {
		if _, err := t.lock(actionChain); err != nil { // one at a time
			return err
		}
		was, err := k.get(t, name)
		if err != nil && !isNotFound(err) {
			return err
		}
		v, err := change(was)
		if err != nil {
			return err
		}
		a := &Action{By: by, What: k.name + ".put", Object: name, Note: note}
		if was != nil {
			if a.Before, err = encode(public(*was)); err != nil {
				return err
			}
		}
		if v == nil {
			if was == nil {
				return fmt.Errorf("%s %.100q: %w", k.name, name, ErrNotFound)
			}
			a.What = k.name + ".delete"
			if err := k.remove(t, name); err != nil {
				return err
			}
			return t.act(now, a)
		}
		if a.After, err = encode(public(*v)); err != nil {
			return err
		}
		if err := k.put(t, name, v); err != nil {
			return err
		}
		return t.act(now, a)
	})
	return s.fail(err)
}

func same[T any](v T) T { return v }

// newID is one that nobody else has.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
