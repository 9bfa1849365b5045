package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/store"
)

func newConsole() *cobra.Command {
	const help = `Console serves the pages and the JSON API on a store that a run keeps, beside it or on
another machine: several consoles may share a PostgreSQL.

There is no default password. As long as no admin can sign in, the start prints a link
that signs in, once, within an hour, if standard output is a terminal; a password is set
in the settings. --link NAME prints such a link for a user and ends; admin is there as
long as no other admin can sign in.

It listens on loopback unless --listen says otherwise. Beyond loopback give it a
certificate: passwords and sessions would cross the network in clear.`
	var name, listen, cert, key, link, oidc, logFormat, logLevel string
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the console on a store",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop console --store /var/lib/orlop/orlop.db
  orlop console --store postgres:///orlop --listen 0.0.0.0:7070 --tls-cert cert.pem --tls-key key.pem
  orlop console --store /var/lib/orlop/orlop.db --link ann`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&name, "store", "", "the store: a `FILE` of SQLite, or postgres://… (its password from PGPASSWORD or a service file)")
	cmd.Flags().StringVar(&listen, "listen", consoleAddress, "serve at this `ADDRESS`")
	cmd.Flags().StringVar(&cert, "tls-cert", "", "serve by TLS with the certificate in `FILE`")
	cmd.Flags().StringVar(&key, "tls-key", "", "its key, in `FILE`")
	cmd.Flags().StringVar(&oidc, "oidc", "", "people sign in at a provider of OpenID Connect, too, as `FILE` says")
	cmd.Flags().StringVar(&link, "link", "", "print a link that signs in as the user `NAME`, and end")
	cmd.Flags().StringVar(&logFormat, "log-format", "text", "text or json")
	cmd.Flags().StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	cmd.MarkFlagRequired("store")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	run := func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		log, err := newLog(cmd.ErrOrStderr(), agent.LogConfig{Format: logFormat, Level: logLevel})
		if err != nil {
			return err
		}
		if err := checkStore(name); err != nil {
			return err
		}
		provider, err := loadOIDC(oidc)
		if err != nil {
			return err
		}
		// Before anything listens or is made.
		var secure *tls.Config
		if cert != "" {
			if secure, err = (sink.TLS{Cert: cert, Key: key}).Config(); err != nil {
				return &failure{exitUsage, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", cert, key, err)}
			}
		}
		s, err := store.Open(ctx, name, store.Options{Log: log})
		if err != nil {
			return &failure{exitIO, err}
		}
		defer s.Close()
		o := console.Options{Store: s, Log: log, Known: agent.KnownField, TLS: secure != nil, OIDC: provider}
		scheme := "http://"
		if o.TLS {
			scheme = "https://"
		}
		if link != "" {
			c, err := console.New(o)
			if err != nil {
				return &failure{exitIO, err}
			}
			defer c.Close()
			path, err := c.Link(ctx, link)
			if err != nil {
				return &failure{exitIO, err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), scheme+listen+path)
			return nil
		}
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return &failure{exitIO, err}
		}
		defer l.Close()
		o.Hosts = console.Loopback(l.Addr())
		c, err := console.New(o)
		if err != nil {
			return &failure{exitIO, err}
		}
		defer c.Close()
		warnBeyondLoopback(log, l, o.TLS)
		log.Info("the console listens", "address", scheme+l.Addr().String())
		switch unclaimed, err := c.Unclaimed(ctx); {
		case err != nil:
			return &failure{exitIO, err}
		case unclaimed && terminal(cmd.OutOrStdout()) == 0:
			// Who may read a journal is no admin for that.
			log.Warn("no admin can sign in yet: orlop console --link admin, with the same --store and --listen, prints a link that does, once, within an hour")
		case unclaimed:
			path, err := c.Link(ctx, "")
			if err != nil {
				return &failure{exitIO, err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "No admin can sign in yet. This link signs in, once, within an hour:\n\n%s\n\n", scheme+l.Addr().String()+path)
		}
		return serveConsole(ctx, c, l, secure)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if link != "" { // Who waits for it wants to know that it does not come.
			return run(cmd, args)
		}
		return untilEnded(run)(cmd, args)
	}
	return cmd
}

func warnBeyondLoopback(log *slog.Logger, l net.Listener, secure bool) {
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() && !secure {
		log.Warn("the console listens beyond loopback without TLS: passwords and sessions cross the network in clear; give it --tls-cert and --tls-key, or a proxy", "address", a.String())
	}
}

// untilEnded is run for a command that goes on until it is interrupted: that is no failure,
// also before it has begun.
func untilEnded(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
			return nil
		}
		return err
	}
}

// serveConsole serves until ctx ends, by TLS if that is set, and then what is under way for
// a moment.
func serveConsole(ctx context.Context, c *console.Server, l net.Listener, secure *tls.Config) error {
	srv := c.HTTPServer()
	srv.TLSConfig = secure
	ended := make(chan error, 1)
	go func() {
		if secure != nil {
			ended <- srv.ServeTLS(l, "", "")
			return
		}
		ended <- srv.Serve(l)
	}()
	select {
	case err := <-ended:
		return &failure{exitIO, fmt.Errorf("console: %w", err)}
	case <-ctx.Done():
	}
	c.Close()
	last, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := srv.Shutdown(last); err != nil {
		srv.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return &failure{exitIO, fmt.Errorf("console: %w", err)}
	}
	return nil
}
