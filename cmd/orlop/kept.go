package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/store"
)

// reopen is how often a store that does not open is tried again.
const reopen = 2 * time.Second

// A desk is where people work with the alerts that a run keeps: the console, once the
// store is open.
type desk struct {
	pages atomic.Pointer[console.Server]
}

func (k *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p := k.pages.Load(); p != nil {
		p.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "2")
	http.Error(w, "The store does not open, and the run says why in its log. The console is here when it does; no alert is lost.", http.StatusServiceUnavailable)
}

// learn makes the run know what people have decided in the console, before it judges
// anything: from the store, or as the last run knew it.
func (d *service) learn(ctx context.Context, keeper *agent.Keeper) {
	kept, err := keeper.Store(ctx)
	if err == nil {
		err = d.live.Learn(ctx, kept)
	}
	if err == nil {
		return
	}
	// It need not be there now: the outbox keeps alerts for it.
	d.log.Error("the store does not answer; alerts wait for it in the outbox, and what people decided in the console holds as it was known last", "reason", err)
	if err := d.live.Recall(); err != nil {
		d.log.Error("that is not known, and does not hold until the store opens", "reason", err)
	}
}

// keep acts on what people decide in the console of the store, and where l is not nil shows
// that console, as soon as the store opens. The caller ends it.
func (d *service) keep(cmd *cobra.Command, keeper *agent.Keeper, k *desk, l net.Listener) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context())) // it ends after the last alerts
	var keeping sync.WaitGroup
	keeping.Go(func() {
		kept := d.opened(ctx, keeper)
		if kept == nil {
			return
		}
		if l != nil {
			if err := d.console(cmd, kept, k, l); err != nil {
				d.log.Error("the console prints no link to sign in by: orlop console --link does", "reason", err)
			}
		}
		d.live.Heed(ctx, kept)
	})
	return sync.OnceFunc(func() {
		cancel()
		keeping.Wait()
		if p := k.pages.Load(); p != nil {
			p.Close()
		}
	})
}

// opened is the store once it opens, or nil when ctx has ended.
func (d *service) opened(ctx context.Context, keeper *agent.Keeper) *store.Store {
	tick := time.NewTicker(reopen)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		kept, err := keeper.Store(ctx)
		if err == nil {
			if tries > 0 {
				d.log.Info("the store is open", "store", kept.Name())
			}
			return kept
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// console shows the pages on the store of this run. As long as nobody can sign in, a link
// is printed that does, once.
func (d *service) console(cmd *cobra.Command, kept *store.Store, k *desk, l net.Listener) error {
	c, err := console.New(console.Options{
		Store: kept, Log: d.log, Hosts: console.Loopback(l.Addr()),
		Rules: func() []console.Rule { return consoleRules(d.live.Rules(), d.live.Counts().Engine.In) },
		Sources: func() []console.Source {
			var out []console.Source
			for _, a := range d.live.Accounts() {
				out = append(out, console.Source{Name: a.Source, In: uint64(a.In), Evaluated: uint64(a.Evaluated), Filtered: uint64(a.Filtered),
					Late: uint64(a.Late), Rejected: uint64(a.Rejected), Lost: uint64(a.Lost), Waiting: uint64(a.Waiting)})
			}
			return out
		},
	})
	if err != nil {
		return err
	}
	k.pages.Store(c)
	path, err := c.Link(cmd.Context(), "")
	if err != nil {
		return err
	}
	if path != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "No admin of the console can sign in yet. This link does, once, within an hour:\n\nhttp://%s%s\n\n", l.Addr(), path)
	}
	return nil
}
