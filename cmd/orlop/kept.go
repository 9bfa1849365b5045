package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/store"
)

// linkName is the file in a state directory that has the link of the first admin.
const linkName = "console-link"

// reopen is how often a store that does not open is tried again.
const reopen = 2 * time.Second

// A desk is where people work with the alerts that a run keeps: the console, once the
// store is open.
type desk struct {
	pages atomic.Pointer[console.Server]
	link  oneTime // that the first admin signs in by
}

// oneTime is a one-time link that waits in a file of the state directory, for nobody who
// reads the log shall be an admin for that.
type oneTime struct {
	file string

	mu     sync.Mutex
	path   string // of the link in the file, "" if there is none
	expiry *time.Timer
}

// put writes the link into the file, for its owner alone.
func (o *oneTime) put(base, path string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	f, err := os.OpenFile(o.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, base+path)
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(o.file)
		return err
	}
	o.path = path
	o.expiry = time.AfterFunc(console.LinkLife, func() { o.used(path) })
	return nil
}

// used removes the file, if the link in it is the one that was used.
func (o *oneTime) used(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if path != o.path || path == "" {
		return
	}
	o.expiry.Stop()
	os.Remove(o.file)
	o.path = ""
}

// end removes the file, whatever is in it.
func (o *oneTime) end() {
	o.mu.Lock()
	path := o.path
	o.mu.Unlock()
	o.used(path)
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
	k.link.file = filepath.Join(d.c.State, linkName)
	os.Remove(k.link.file) // of a run that was killed
	var keeping sync.WaitGroup
	keeping.Go(func() {
		kept := d.opened(ctx, keeper)
		if kept == nil {
			return
		}
		if l != nil {
			if err := d.console(cmd, kept, k, l); err != nil {
				d.log.Error("there is no link to sign in to the console by: orlop console --link admin prints one", "reason", err)
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
		k.link.end()
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

// console shows the pages on the store of this run. As long as no admin can sign in, there
// is a link that does, once: on the terminal, or in a file whose name is logged.
func (d *service) console(cmd *cobra.Command, kept *store.Store, k *desk, l net.Listener) error {
	c, err := console.New(console.Options{
		Store: kept, Log: d.log, Hosts: console.Loopback(l.Addr()), Entered: k.link.used, OIDC: d.oidc, Known: agent.KnownField,
		Trial: consoleTrial(func() string { return *d.tuned.Load() }),
		Rules: func() []console.Rule { return consoleRules(d.live.Rules(), d.live.Counts().Engine.In) },
		Sources: func() []console.Source {
			var out []console.Source
			for _, a := range d.live.Accounts() {
				out = append(out, console.Source{Name: a.Source, In: uint64(a.In), Evaluated: uint64(a.Evaluated), Filtered: uint64(a.Filtered),
					Late: uint64(a.Late), Rejected: uint64(a.Rejected), Lost: uint64(a.Lost), Waiting: uint64(a.Waiting), Live: true, Newest: a.Newest})
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
	base := "http://" + l.Addr().String()
	switch {
	case path == "":
		return nil
	case terminal(cmd.ErrOrStderr()) > 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "No admin of the console can sign in yet. This link does, once, within an hour:\n\n%s%s\n\n", base, path)
		return nil
	}
	if err := k.link.put(base, path); err != nil {
		return err
	}
	d.log.Info("no admin of the console can sign in yet; the link in this file does, once, within an hour", "file", k.link.file)
	return nil
}
