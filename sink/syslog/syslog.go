// Package syslog sends alerts to a syslog server, as RFC 5424 messages over TCP with
// octet counting (RFC 6587, 3.4.1) or over TLS (RFC 5425).
//
//	212 <107>1 2026-04-29T10:00:07.000000Z node-1 orlop - alert - {"@timestamp":…}
//
// The facility is log audit (13). The message is the alert's document in JSON, which
// is all ASCII here, or ArcSight's Common Event Format, version 0, in UTF-8: with a
// byte order mark, as the RFC wants it, if it is not all ASCII.
//
// Syslog has no answers. On Linux, Write returns when the peer's kernel has
// acknowledged what was sent; what the server had not read from it when it died is
// lost.
package syslog

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/sink"
)

// Kind is the name of this kind of sink.
const Kind = "syslog"

// Options say which server, and in which form it wants alerts.
type Options struct {
	Address   string   `yaml:"address" required:"true" example:"as in siem.example:6514" format:"peer" doc:"Host and port of the server, such as siem.example:6514."`
	Transport string   `yaml:"transport" enum:"tls|tcp" doc:"TLS, or TCP in the clear."`
	Format    string   `yaml:"format" enum:"json|cef" doc:"The message: the alert's document, or Common Event Format."`
	MaxBytes  int      `yaml:"max_bytes" min:"2048" zero:"true" doc:"The longest message that the server takes. Of a document that is longer only the main fields are sent, shortened if need be. 0 is the default."`
	TLS       sink.TLS `yaml:"tls" doc:"How the server is known, and we to it."`

	Host string `yaml:"-"` // ours, for alerts without one; "" is what the host calls itself
}

// Defaults is what options that are zero stand for.
func Defaults() Options { return Options{Transport: "tls", Format: "json", MaxBytes: 64 << 10} }

// Conditions are those of several options together.
func (o *Options) Conditions() []config.Condition {
	return []config.Condition{{
		If: config.Is("transport", "tcp"), Then: config.Not(config.Has("tls")),
		At: "tls", Msg: "tls: the transport is tcp", Hint: "transport: tls",
	}}
}

// Check says which option is wrong, why, and what would be right; "" if none is.
func (o *Options) Check() (key, msg, hint string) { return config.Check(o) }

// patience is how long the server may take: to be reached, and for a Write.
const patience = 30 * time.Second

type output struct {
	o    Options
	tls  *tls.Config // nil is TCP in the clear
	tcp  *net.TCPConn
	conn net.Conn // tcp, or TLS over it; nil is none
	buf  []byte
}

// Open reads the certificates. The connection is made by the first Write.
func Open(o Options) (sink.Sink, error) {
	if _, msg, _ := o.Check(); msg != "" {
		return nil, errors.New("syslog: " + msg)
	}
	d := Defaults()
	o.Transport, o.Format, o.MaxBytes = cmp.Or(o.Transport, d.Transport), cmp.Or(o.Format, d.Format), cmp.Or(o.MaxBytes, d.MaxBytes)
	if o.Host == "" {
		o.Host, _ = os.Hostname()
	}
	s := &output{o: o}
	if o.Transport == "tls" {
		c, err := o.TLS.Config()
		if err != nil {
			return nil, fmt.Errorf("syslog: %w", err)
		}
		if c.ServerName == "" {
			c.ServerName, _, _ = net.SplitHostPort(o.Address) // Check has seen to it.
		}
		s.tls = c
	}
	return s, nil
}

// Write sends all alerts, or says that none is known to be there: a connection that
// breaks does not tell.
func (s *output) Write(ctx context.Context, alerts []*alert.Alert) error {
	if len(alerts) == 0 {
		return nil
	}
	b := s.buf[:0]
	for _, a := range alerts {
		m := s.message(a)
		b = append(strconv.AppendInt(b, int64(len(m)), 10), ' ')
		b = append(b, m...)
	}
	if s.buf = b; cap(b) > 4<<20 {
		s.buf = nil
	}
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := s.send(ctx, b)
	if err == nil {
		return nil
	}
	s.hangUp()
	switch {
	case parent.Err() != nil:
		err = parent.Err()
	case ctx.Err() != nil:
		err = fmt.Errorf("%s took more than %v", s.o.Address, patience)
	}
	return fmt.Errorf("syslog: %w", err)
}

func (s *output) send(ctx context.Context, b []byte) error {
	if s.conn != nil && gone(s.tcp) != nil {
		s.hangUp()
	}
	if s.conn == nil {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", s.o.Address)
		if err != nil {
			return err
		}
		s.tcp, s.conn = c.(*net.TCPConn), c
		if s.tls != nil {
			if s.conn, err = handshake(ctx, s.tcp, s.tls); err != nil {
				return err
			}
		}
	}
	tcp := s.tcp // not s.tcp: it may run later than hangUp
	stop := context.AfterFunc(ctx, func() { tcp.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			s.hangUp() // of no use with that deadline
		}
	}()
	if _, err := s.conn.Write(b); err != nil {
		return err
	}
	return acknowledged(ctx, tcp)
}

// verdict is how long a server has to turn us away after a handshake of TLS 1.3.
const verdict = time.Second

// handshake makes a TLS connection. In TLS 1.3 it ends for us before the server has
// looked at our certificate. What is sent to one that turns us away is lost, so we
// wait until it sends a ticket, as most do, or has said nothing for a while.
func handshake(ctx context.Context, tcp *net.TCPConn, c *tls.Config) (net.Conn, error) {
	c = c.Clone()
	c.ClientSessionCache = welcome{tcp}
	t := tls.Client(tcp, c)
	if err := t.HandshakeContext(ctx); err != nil {
		return tcp, err
	}
	if t.ConnectionState().Version < tls.VersionTLS13 {
		return t, nil
	}
	t.SetReadDeadline(time.Now().Add(verdict))
	stop := context.AfterFunc(ctx, func() { tcp.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := t.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return t, err
	}
	return t, ctx.Err()
}

// welcome keeps no sessions: it ends the wait for a ticket.
type welcome struct{ tcp *net.TCPConn }

func (w welcome) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (w welcome) Put(string, *tls.ClientSessionState)        { w.tcp.SetReadDeadline(time.Unix(1, 0)) }

func (s *output) hangUp() {
	if s.tcp != nil {
		// Not s.conn: TLS would try to say goodbye to who does not listen.
		s.tcp.Close()
	}
	s.conn, s.tcp = nil, nil
}

func (s *output) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}
