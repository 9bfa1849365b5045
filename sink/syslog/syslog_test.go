package syslog_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/sink/sinktest"
	"github.com/orlop/orlop/sink/syslog"
)

// A message is what a server reads of one.
type message struct {
	pri  int
	host string
	text string // without byte order mark
	size int    // of it all
}

var grammar = regexp.MustCompile(`(?s)^<(0|[1-9][0-9]{0,2})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ([!-~]{1,255}) orlop - alert - (.*)$`)

// parse reads a message, strictly: RFC 5424, without structured data.
func parse(b []byte) (m message, err error) {
	parts := grammar.FindStringSubmatch(string(b))
	if parts == nil {
		return m, fmt.Errorf("not a message: %.200q", b)
	}
	m.pri, _ = strconv.Atoi(parts[1])
	m.host, m.text, m.size = parts[3], parts[4], len(b)
	if m.pri > 191 {
		return m, fmt.Errorf("priority %d", m.pri)
	}
	text, mark := strings.CutPrefix(m.text, "\uFEFF")
	isASCII := strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
	if !utf8.ValidString(text) || mark == isASCII {
		return m, fmt.Errorf("mark %v, ASCII %v: %.200q", mark, isASCII, text)
	}
	if strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return m, fmt.Errorf("a control character in %.200q", text)
	}
	m.text = text
	return m, nil
}

// frames reads a connection with octet counting, strictly: RFC 6587, 3.4.1.
func frames(r *bufio.Reader, emit func([]byte) error) error {
	for {
		var n int
		for digits := 0; ; digits++ {
			c, err := r.ReadByte()
			switch {
			case err == io.EOF && digits > 0:
				return io.ErrUnexpectedEOF
			case err != nil:
				return err
			case c == ' ' && digits > 0:
			case c < '0' || c > '9' || c == '0' && digits == 0 || digits > 8:
				return fmt.Errorf("%q in a length", c)
			default:
				n = 10*n + int(c-'0')
				continue
			}
			break
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		if err := emit(b); err != nil {
			return err
		}
	}
}

// cef reads Common Event Format, strictly.
func cef(s string) (header []string, fields map[string]string, err error) {
	s, ok := strings.CutPrefix(s, "CEF:0|")
	if !ok {
		return nil, nil, fmt.Errorf("no CEF: %.100q", s)
	}
	var part strings.Builder
	for len(header) < 6 {
		if s == "" {
			return nil, nil, errors.New("the header ends")
		}
		c := s[0]
		s = s[1:]
		switch c {
		case '\\':
			if s == "" || s[0] != '\\' && s[0] != '|' {
				return nil, nil, fmt.Errorf(`\%.1s in the header`, s)
			}
			part.WriteByte(s[0])
			s = s[1:]
		case '|':
			header = append(header, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	fields = map[string]string{}
	key := ""
	for s != "" {
		var name string
		if name, s, ok = strings.Cut(s, "="); !ok {
			return nil, nil, fmt.Errorf("no key: %.100q", name)
		}
		if key = name; !regexp.MustCompile(`^[A-Za-z0-9]+$`).MatchString(key) {
			return nil, nil, fmt.Errorf("a key %.100q", key)
		}
		part.Reset()
		last, i := -1, 0 // the blank before what may be the next key
	value:
		for ; i < len(s); i++ {
			switch s[i] {
			case '=':
				if last < 0 {
					return nil, nil, fmt.Errorf("an = in the value of %s", key)
				}
				break value
			case '\\':
				if i++; i == len(s) || !strings.Contains(`\=nr`, s[i:i+1]) {
					return nil, nil, fmt.Errorf("a backslash in the value of %s", key)
				}
			case ' ':
				last = i
			}
		}
		v := s
		if i < len(s) {
			v, s = s[:last], s[last+1:]
		} else {
			s = ""
		}
		if _, twice := fields[key]; twice {
			return nil, nil, fmt.Errorf("%s comes twice", key)
		}
		fields[key] = strings.NewReplacer(`\\`, `\`, `\=`, "=", `\n`, "\n", `\r`, "\r").Replace(v)
	}
	return header, fields, nil
}

var cefKeys = []string{"act", "cs1", "cs1Label", "cs2", "cs2Label", "cs3", "cs3Label", "cs4", "cs4Label", "dvchost", "msg", "rt", "sproc", "spid", "suser"}

// idOf finds the id in the text of a message.
func idOf(format, text string) (string, error) {
	if format == "json" {
		a, err := alert.Parse([]byte(text))
		if err != nil {
			return "", err
		}
		return a.ID, nil
	}
	_, fields, err := cef(text)
	for key := range fields {
		if !slices.Contains(cefKeys, key) {
			return "", fmt.Errorf("a field %s", key)
		}
	}
	return fields["cs1"], err
}

// A server reads strictly. It is down when nobody listens.
type server struct {
	t       *testing.T
	o       syslog.Options
	tls     *tls.Config // nil is TCP in the clear
	address string

	mu    sync.Mutex
	hang  bool
	ears  net.Listener
	conns []net.Conn
	all   []message
	ids   []string
	came  chan bool
	wg    sync.WaitGroup
}

func newServer(t *testing.T, o syslog.Options, c *tls.Config) *server {
	s := &server{t: t, o: o, tls: c, address: "127.0.0.1:0", came: make(chan bool, 10000)}
	s.Up()
	s.o.Address = s.address
	t.Cleanup(s.wg.Wait)
	t.Cleanup(s.Down)
	return s
}

func (s *server) Open(t *testing.T) sink.Sink { return open(t, s.o) }

func open(t *testing.T, o syslog.Options) sink.Sink {
	t.Helper()
	k, err := syslog.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *server) Up() {
	ears, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.address = ears.Addr().String()
	s.mu.Lock()
	s.ears = ears
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			c, err := ears.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			hang := s.hang
			s.mu.Unlock()
			if !hang {
				s.wg.Go(func() { s.read(c) })
			}
		}
	})
}

func (s *server) read(c net.Conn) {
	defer c.Close()
	if s.tls != nil {
		c = tls.Server(c, s.tls)
	}
	err := frames(bufio.NewReader(c), func(b []byte) error {
		m, err := parse(b)
		if err != nil {
			return err
		}
		id, err := idOf(s.o.Format, m.text)
		if err != nil {
			return fmt.Errorf("%w: %.300q", err, m.text)
		}
		s.mu.Lock()
		s.all, s.ids = append(s.all, m), append(s.ids, id)
		s.mu.Unlock()
		s.came <- true
		return nil
	})
	if err != io.EOF && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
		s.t.Error(err)
	}
}

func (s *server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ears.Close()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *server) Received(t *testing.T, n int) []string {
	for {
		s.mu.Lock()
		ids := slices.Clone(s.ids)
		s.mu.Unlock()
		if len(ids) >= n {
			return ids
		}
		<-s.came
	}
}

// A hanger can keep a client waiting in the handshake.
type hanger struct{ *server }

func (h hanger) Hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hang = true
}

// certificate is one for 127.0.0.1 and example.com, and the file of its authority.
func certificate(t testing.TB) (c tls.Certificate, ca string) {
	t.Helper()
	h := httptest.NewUnstartedServer(nil)
	h.StartTLS()
	defer h.Close()
	c = h.TLS.Certificates[0]
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return c, ca
}

func TestContract(t *testing.T) {
	c, ca := certificate(t)
	for _, format := range []string{"json", "cef"} {
		t.Run("tcp "+format, func(t *testing.T) {
			sinktest.Contract(t, func(t *testing.T) sinktest.Peer {
				return newServer(t, syslog.Options{Transport: "tcp", Format: format}, nil)
			})
		})
		for name, most := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
			t.Run(name+" "+format, func(t *testing.T) {
				sinktest.Contract(t, func(t *testing.T) sinktest.Peer {
					config := &tls.Config{Certificates: []tls.Certificate{c}, MaxVersion: most}
					return hanger{newServer(t, syslog.Options{Format: format, TLS: sink.TLS{CA: ca}}, config)}
				})
			})
		}
	}
}

// send is what a server reads of an alert.
func send(t *testing.T, o syslog.Options, a *alert.Alert) message {
	t.Helper()
	o.Transport = "tcp"
	s := newServer(t, o, nil)
	k := s.Open(t)
	defer k.Close()
	if err := k.Write(t.Context(), []*alert.Alert{a}); err != nil {
		t.Fatal(err)
	}
	s.Received(t, 1)
	return s.all[0]
}

// CEF has the texts as they are, but for what is no text, and no more than its
// dictionary allows.
func TestCEF(t *testing.T) {
	f := func(text string, want map[string]string) {
		t.Helper()
		m := send(t, syslog.Options{Format: "cef"}, sinktest.Alert(t, "id", text))
		header, fields, err := cef(m.text)
		if err != nil {
			t.Fatal(err)
		}
		if header[0] != "Orlop" || header[1] != "Orlop" || header[3] != "5a1d0000-0000-4000-8000-000000000001" || header[5] != "8" {
			t.Errorf("header %q", header)
		}
		got := map[string]string{"name": header[4]}
		for key := range want {
			if key != "name" {
				got[key] = fields[key]
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("want -, got +:\n%s", d)
		}
	}
	f("x", map[string]string{"name": "ctr runs x", "cs1": "id", "cs1Label": "alertId", "rt": "1777456807000", "dvchost": "x", "spid": "7", "cs2Label": "commandLine", "msg": "process event with process x"})
	f(`a|b\c=d e=f`, map[string]string{"name": `ctr runs a|b\c=d e=f`, "cs2": `a|b\c=d e=f`, "suser": `a|b\c=d e=f`})
	f("a\nb\r\nc\x1b[2J", map[string]string{"name": "ctr runs a b  c [2J", "cs2": "a\nb\nc [2J"})
	f(strings.Repeat("é", 5000), map[string]string{
		"name": "ctr runs " + strings.Repeat("é", 502) + "…", "dvchost": strings.Repeat("é", 98) + "…",
		"cs2": strings.Repeat("é", 3998) + "…", "msg": "process event with process " + strings.Repeat("é", 994) + "…",
	})
}

// A severity is a priority, and an event's host the host.
func TestHeader(t *testing.T) {
	f := func(severity string, pri int) {
		t.Helper()
		a := sinktest.Alert(t, "id", "node one\xff")
		a.Severity = severity
		if m := send(t, syslog.Options{Format: "json"}, a); m.pri != pri || m.host != "node_one__" && m.host != "node_one___" {
			t.Errorf("%s: %+v", severity, m)
		}
	}
	a, err := alert.Parse([]byte(`{"@timestamp": "2026-04-29T10:00:07Z", "kibana.alert.uuid": "e1", "kibana.alert.rule.rule_id": "r1", "kibana.alert.severity": "low"}`))
	if err != nil {
		t.Fatal(err)
	}
	if m := send(t, syslog.Options{Format: "json", Host: "worker-1"}, a); m.host != "worker-1" {
		t.Errorf("an alert without a host is of %q, want worker-1", m.host)
	}
	f("critical", 106)
	f("high", 107)
	f("medium", 108)
	f("low", 109)
	f("other", 110)
}

// A message is as long as the server takes. Of a document that is longer the main
// fields are there.
func TestMaxBytes(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 1<<14), strings.Repeat(`"\=`+"\n", 1<<12), strings.Repeat("\U0001F600", 1<<12)} {
		a := sinktest.Alert(t, "id", text)
		for _, format := range []string{"json", "cef"} {
			for _, most := range []int{2048, 8192, 65536} {
				s := newServer(t, syslog.Options{Transport: "tcp", Format: format, MaxBytes: most}, nil)
				k := s.Open(t)
				if err := k.Write(t.Context(), []*alert.Alert{a}); err != nil {
					t.Fatal(err)
				}
				k.Close()
				if s.Received(t, 1); s.all[0].size > most {
					t.Errorf("%s: %d bytes, want %d", format, s.all[0].size, most)
				}
				if format == "json" && !strings.Contains(s.all[0].text, `"orlop.shortened":true`) {
					t.Errorf("%.200s", s.all[0].text)
				}
			}
		}
	}
	if m := send(t, syslog.Options{Format: "json", MaxBytes: 2048}, sinktest.Alert(t, "id", "x")); strings.Contains(m.text, "shortened") {
		t.Errorf("shortened, though short: %s", m.text)
	}
}

// Who turns us away has got nothing: nothing counts as delivered.
func TestTurnedAway(t *testing.T) {
	c, ca := certificate(t)
	for name, most := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		s := newServer(&testing.T{}, syslog.Options{Format: "json", TLS: sink.TLS{CA: ca}}, &tls.Config{
			Certificates: []tls.Certificate{c}, MaxVersion: most, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(),
		})
		defer s.Down()
		k := open(t, s.o)
		if err := k.Write(t.Context(), sinktest.Alerts(t, "a", 1)); err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
			t.Errorf("%s: %v", name, err)
		}
		k.Close()
	}
}

func TestTLSKnowsTheServer(t *testing.T) {
	c, ca := certificate(t)
	s := newServer(&testing.T{}, syslog.Options{Format: "json"}, &tls.Config{Certificates: []tls.Certificate{c}})
	defer s.Down()
	sinktest.KnowsItsPeer(t, ca, func(t *testing.T, o sink.TLS) sink.Sink {
		return open(t, syslog.Options{Address: s.address, TLS: o})
	})
}

// A server that takes no more does not hold up an end.
func TestFullConnection(t *testing.T) {
	s := newServer(t, syslog.Options{Transport: "tcp", Format: "json", MaxBytes: 64 << 20}, nil)
	s.hang = true
	k := s.Open(t)
	defer k.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	// 15 MB: more than the kernel keeps for a connection.
	alerts := slices.Repeat([]*alert.Alert{sinktest.Alert(t, "a", strings.Repeat("x", 1<<14))}, 64)
	go func() { done <- k.Write(ctx, alerts) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// What ends a Write on a connection has nothing to do with what follows: it may come
// after the connection was hung up.
func TestEndsBeforeItIsAcknowledged(t *testing.T) {
	// More than a peer that does not read takes, and less than the kernel keeps for us.
	alerts := []*alert.Alert{sinktest.Alert(t, "a", strings.Repeat("x", 1<<14))}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ears, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Error(err)
				return
			}
			defer ears.Close()
			k := open(t, syslog.Options{Address: ears.Addr().String(), Transport: "tcp", MaxBytes: 1 << 20})
			defer k.Close()
			for range 25 {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- k.Write(ctx, alerts) }()
				c, err := ears.Accept()
				if err != nil {
					t.Error(err)
				}
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want %v", err, context.Canceled)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
}

func TestOptions(t *testing.T) {
	f := func(o syslog.Options, key, want string) {
		t.Helper()
		if k, msg, _ := o.Check(); k != key || msg != want {
			t.Errorf("%s: %q, want %s: %q", k, msg, key, want)
		}
		if _, err := syslog.Open(o); (err == nil) != (want == "") || err != nil && err.Error() != "syslog: "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	const to = "[::1]:6514"
	f(syslog.Options{Address: to}, "", "")
	f(syslog.Options{}, "address", "it has no address")
	for _, address := range []string{"siem", ":6514", "siem:", "siem:0", "siem:syslog", "siem:65536", "a:b:c"} {
		f(syslog.Options{Address: address}, "address", "address: expected a host and a port")
	}
	f(syslog.Options{Address: to, Transport: "udp"}, "transport", "transport: expected tls, tcp")
	f(syslog.Options{Address: to, Format: "leef"}, "format", "format: expected json, cef")
	f(syslog.Options{Address: to, MaxBytes: 480}, "max_bytes", "max_bytes: expected at least 2048")
	f(syslog.Options{Address: to, Transport: "tcp", TLS: sink.TLS{CA: "x"}}, "tls", "tls: the transport is tcp")
}

func Example() {
	ears, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s, err := syslog.Open(syslog.Options{Address: ears.Addr().String(), Transport: "tcp"})
	if err != nil {
		log.Fatal(err)
	}
	a, err := alert.Parse([]byte(`{"@timestamp": "2026-04-29T10:00:07Z", "host.name": "node-1",
		"kibana.alert.uuid": "e1", "kibana.alert.rule.rule_id": "r1", "kibana.alert.severity": "low"}`))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Write(context.Background(), []*alert.Alert{a}); err != nil {
		log.Fatal(err)
	}
	s.Close()
	c, err := ears.Accept()
	if err != nil {
		log.Fatal(err)
	}
	b, _ := io.ReadAll(c)
	before, doc, _ := bytes.Cut(b, []byte("{"))
	fmt.Println(strings.TrimSpace(string(before)))
	fmt.Println("{" + string(doc))
	// Output:
	// 204 <109>1 2026-04-29T10:00:07.000000Z node-1 orlop - alert -
	// {"@timestamp":"2026-04-29T10:00:07Z","host.name":"node-1","kibana.alert.uuid":"e1","kibana.alert.rule.rule_id":"r1","kibana.alert.severity":"low"}
}
