package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/store"
)

// A StoreConfig says what a store keeps.
type StoreConfig struct {
	MaxAge   time.Duration `yaml:"max_age" doc:"How long alerts are kept; 0 is for good."`
	MaxBytes int64         `yaml:"max_bytes" doc:"Most bytes of the database; then the oldest alerts go. 0 is no limit."`
	MaxAudit time.Duration `yaml:"max_audit" doc:"How long the audit log is kept; 0 is for good."`
}

// Check implements [config.Checker].
func (c *StoreConfig) Check() (key, msg, hint string) {
	switch {
	case c.MaxAge != 0 && c.MaxAge < time.Hour:
		return "max_age", "max_age: expected at least 1h", ""
	case c.MaxBytes != 0 && c.MaxBytes < 1<<20:
		return "max_bytes", "max_bytes: expected at least 1048576", ""
	case c.MaxAudit != 0 && c.MaxAudit < time.Hour:
		return "max_audit", "max_audit: expected at least 1h", ""
	}
	return "", "", ""
}

// Retention is what it means to a store.
func (c *StoreConfig) Retention() store.Retention {
	return store.Retention{Age: c.MaxAge, Bytes: c.MaxBytes, Actions: c.MaxAudit}
}

// storeRoute is the name by which the outbox remembers how far the store is.
const storeRoute = "store"

// housekeepStore is how often retention is applied, and the ends of the chains logged.
const housekeepStore = time.Hour

// StoreName is the file of a store in a state directory: a path, whatever that is called.
func StoreName(state string) string {
	name := filepath.Join(state, "orlop.db")
	if !filepath.IsAbs(name) {
		name = "." + string(filepath.Separator) + name
	}
	return name
}

// A Keeper is the sink that brings alerts into a store. A store that cannot be opened is
// tried again with every delivery, so the outbox keeps alerts until it can.
type Keeper struct {
	name   string
	keep   store.Retention
	log    *slog.Logger
	now    func() time.Time
	mu     sync.Mutex
	s      *store.Store
	closed bool
	kept   time.Time // when retention was applied
}

// NewKeeper returns the sink of a store that is not opened yet.
func NewKeeper(name string, keep store.Retention, now func() time.Time, log *slog.Logger) *Keeper {
	return &Keeper{name: name, keep: keep, now: now, log: log}
}

// Store opens the store, if it is not open.
func (k *Keeper) Store(ctx context.Context) (*store.Store, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return nil, errors.New("store: closed")
	case k.s != nil:
		return k.s, nil
	}
	s, err := store.Open(ctx, k.name, store.Options{Log: k.log})
	if err != nil {
		return nil, err
	}
	k.s = s
	return s, nil
}

// Write implements [sink.Sink].
func (k *Keeper) Write(ctx context.Context, alerts []*alert.Alert) error {
	s, err := k.Store(ctx)
	if err != nil {
		return err
	}
	now := k.now()
	// Before: if the disk is full, it makes room.
	if since := now.Sub(k.kept); since >= housekeepStore || since < 0 {
		k.kept = now
		k.housekeep(ctx, s, now)
	}
	_, err = s.Insert(ctx, now, alerts)
	return err
}

// housekeep applies retention, and writes the ends of the chains into the log: the log is
// elsewhere, and a witness of them.
func (k *Keeper) housekeep(ctx context.Context, s *store.Store, now time.Time) {
	if k.keep != (store.Retention{}) {
		switch p, err := s.Prune(ctx, now, k.keep); {
		case err != nil:
			k.log.Error("store: remove what is old", "err", err)
		case p.Alerts+p.Actions > 0:
			k.log.Info("store: the oldest are removed", "alerts", p.Alerts, "actions", p.Actions)
		}
	}
	k.witness(ctx, s)
}

func (k *Keeper) witness(ctx context.Context, s *store.Store) {
	h, err := s.Heads(ctx)
	if err != nil {
		k.log.Error("store: read the ends of its chains", "err", err)
		return
	}
	k.log.Info("store: witness", "alerts", h.Alerts.String(), "actions", h.Actions.String())
}

// Close implements [sink.Sink].
func (k *Keeper) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if k.s == nil {
		return nil
	}
	k.witness(context.Background(), k.s)
	return k.s.Close()
}

// checkStore says what is wrong with the store of a configuration.
func (c *Config) checkStore() (key, msg, hint string) {
	if c.Store == "" {
		return "", "", ""
	}
	if err := store.CheckName(c.Store); err != nil {
		return "store", err.Error(), ""
	}
	// What its folder is for may still be mounted; a folder does not become a file.
	if st, err := os.Stat(c.Store); err == nil && st.IsDir() {
		return "store", "store: expected the name of a file, and this is a folder", ""
	}
	for i := range c.Sinks {
		if c.Sinks[i].Label() == storeRoute {
			return "sinks", fmt.Sprintf("a sink has the name %s, which is that of the store", storeRoute), "give it another name"
		}
	}
	return "", "", ""
}
