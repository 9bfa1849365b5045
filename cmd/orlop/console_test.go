package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/orlop/orlop/store"
)

// A served console is one that runs in a test until it is ended.
type served struct {
	address string // with its scheme
	log     *listening
	end     func() int
}

// listening is a log that tells where the console listens.
type listening struct {
	mu    sync.Mutex
	all   strings.Builder
	where chan string
}

var listens = regexp.MustCompile(`the console listens.*address=(\S+)`)

func (l *listening) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Write(p)
	if m := listens.FindSubmatch(p); m != nil {
		l.where <- string(m[1])
	}
	return len(p), nil
}

func (l *listening) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// serve runs orlop console with the arguments.
func serve(ctx context.Context, args ...string) (*served, error) {
	ctx, stop := context.WithCancel(ctx)
	log := &listening{where: make(chan string, 1)}
	code := make(chan int, 1)
	go func() { code <- run(ctx, append([]string{"console"}, args...), strings.NewReader(""), log, log) }()
	select {
	case at := <-log.where:
		return &served{at, log, func() int { stop(); return <-code }}, nil
	case n := <-code:
		stop()
		return nil, fmt.Errorf("it ends with %d: %s", n, log)
	}
}

// console STORE serves a store, until the script ends: SERVER is where, TOKEN may read and
// work with alerts, and READER only read.
func cmdConsole(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: console store")
	}
	ctx := context.Background()
	s, err := store.Open(ctx, ts.MkAbs(args[0]), store.Options{})
	ts.Check(err)
	by := store.Actor{User: "test"}
	ts.Check(s.CreateUser(ctx, by, time.Now(), &store.User{Name: "ann", Role: store.Analyst}))
	for name, scopes := range map[string][]string{"TOKEN": {"read", "alerts"}, "READER": {"read"}} {
		secret := "orlop_" + rand.Text()
		ts.Check(s.CreateToken(ctx, by, time.Now(), secret, &store.Token{Name: name, User: "ann", Scopes: scopes, Expires: time.Now().Add(time.Hour)}))
		ts.Setenv(name, secret)
	}
	ts.Check(s.Close())
	c, err := serve(ctx, "--store", ts.MkAbs(args[0]), "--listen", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { c.end() })
	ts.Setenv("SERVER", c.address)
}

// certificate writes one for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "console"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool = x509.NewCertPool()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool.AppendCertsFromPEM(text)
	if err := os.WriteFile(cert, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		t.Fatal(err)
	}
	return cert, key, pool
}

func TestTheConsoleIsServedByTLS(t *testing.T) {
	name := filepath.Join(t.TempDir(), "orlop.db")
	cert, key, pool := certificate(t, t.TempDir())
	c, err := serve(t.Context(), "--store", name, "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(c.address + "/sign-in")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !strings.HasPrefix(c.address, "https://") || resp.StatusCode != 200 || resp.TLS == nil {
		t.Errorf("%s answers %s", c.address, resp.Status)
	}
	for _, k := range resp.Cookies() {
		if !k.Secure {
			t.Errorf("the cookie %s is not for TLS alone", k.Name)
		}
	}
	// Who speaks HTTP is not answered in clear.
	if resp, err := http.Get("http" + strings.TrimPrefix(c.address, "https") + "/sign-in"); err == nil {
		if resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("in clear it answers %s", resp.Status)
		}
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}}}
	if resp, err := old.Get(c.address + "/sign-in"); err == nil {
		resp.Body.Close()
		t.Error("it answers TLS 1.1")
	}
	if code := c.end(); code != exitDone {
		t.Errorf("interrupted, it ends with %d, want %d: %s", code, exitDone, c.log)
	}
}

// Beyond loopback passwords cross a network: that is told, unless they do so by TLS.
func TestTheConsoleWarnsBeyondLoopback(t *testing.T) {
	cert, key, _ := certificate(t, t.TempDir())
	f := func(warns bool, args ...string) {
		t.Helper()
		c, err := serve(t.Context(), append(args, "--store", filepath.Join(t.TempDir(), "orlop.db"))...)
		if err != nil {
			t.Fatal(err)
		}
		c.end()
		if got := strings.Contains(c.log.String(), "beyond loopback without TLS"); got != warns {
			t.Errorf("%q warns: %v, want %v: %s", args, got, warns, c.log)
		}
	}
	f(false, "--listen", "127.0.0.1:0")
	f(true, "--listen", "0.0.0.0:0")
	f(false, "--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key)
}

// What is wrong with a certificate is said before a store is made.
func TestACertificateThatIsNone(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := certificate(t, t.TempDir())
	_, other, _ := certificate(t, t.TempDir())
	name := filepath.Join(dir, "orlop.db")
	f := func(cert, key, want string) {
		t.Helper()
		_, err := serve(t.Context(), "--store", name, "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("it ends with %d", exitUsage)) || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 2 {
			t.Errorf("got %v, want a sentence with %q", err, want)
		}
	}
	f(cert, other, "private key does not match public key")
	f(key, cert, "failed to find certificate PEM data")
	f(filepath.Join(dir, "none.pem"), key, "none.pem: no such file or directory")
	f(cert, dir, "expected a file")
	if _, err := os.Stat(name); err == nil {
		t.Error("a store was made")
	}
}
