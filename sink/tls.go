package sink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS is how a sink knows its peer, and the peer the sink. The zero value trusts
// the host's authorities and shows no certificate. There is no way to trust anybody.
type TLS struct {
	CA         string `yaml:"ca,omitempty"`          // PEM file of the authorities to trust instead of the host's
	Cert       string `yaml:"cert,omitempty"`        // PEM file of our certificate, with Key
	Key        string `yaml:"key,omitempty"`         // PEM file of its private key
	ServerName string `yaml:"server_name,omitempty"` // the name in the peer's certificate, if not that of the address
}

// Config reads the files. The version is at least TLS 1.2.
func (t TLS) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls: ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: ca: %s has no certificate in PEM", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("tls: expected cert and key, or neither")
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls: cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
