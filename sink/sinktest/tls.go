package sinktest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/sink"
)

// ServeTLS serves h over TLS as example.com, and returns the server's URL and the file
// of the authority to trust.
func ServeTLS(t *testing.T, h http.HandlerFunc) (url, ca string) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // Clients that turn away are meant to.
	server.StartTLS()
	t.Cleanup(server.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.URL, ca
}

// KnowsItsPeer proves that a sink trusts a peer that is example.com by the authority
// in the file ca, and no other.
func KnowsItsPeer(t *testing.T, ca string, open func(t *testing.T, o sink.TLS) sink.Sink) {
	t.Helper()
	f := func(o sink.TLS, want string) {
		t.Helper()
		s := open(t, o)
		defer s.Close()
		err := s.Write(t.Context(), Alerts(t, "a", 1))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
	f(sink.TLS{CA: ca}, "")
	f(sink.TLS{CA: ca, ServerName: "example.com"}, "")
	f(sink.TLS{CA: ca, ServerName: "other.example"}, "certificate is valid for example.com")
	f(sink.TLS{}, "certificate signed by unknown authority")
}
