package sink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/orlop/orlop/internal/config"
)

// TLS is how a sink knows its peer, and the peer the sink. The zero value trusts
// the host's authorities and shows no certificate. There is no way to trust anybody.
type TLS struct {
	CA         string `yaml:"ca" file:"true" doc:"PEM file of the authorities to trust instead of the host's."`
	Cert       string `yaml:"cert" file:"true" doc:"PEM file of our certificate, for a peer that asks for one."`
	Key        string `yaml:"key" file:"true" doc:"PEM file of its private key."`
	ServerName string `yaml:"server_name" doc:"The name in the peer's certificate, if it is not that of the address."`
}

// Conditions are those of several options together.
func (t *TLS) Conditions() []config.Condition {
	cert, key := config.Has("cert"), config.Has("key")
	const msg = "expected cert and key, or neither"
	return []config.Condition{{If: cert, Then: key, Msg: msg}, {If: key, Then: cert, Msg: msg}}
}

// Check says which option is wrong, why, and what would be right; "" if none is.
func (t *TLS) Check() (key, msg, hint string) { return config.Check(t) }

// Config reads the files. The version is at least TLS 1.2.
func (t TLS) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := config.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls: ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: ca: %s has no certificate in PEM", t.CA)
		}
	}
	if _, msg, _ := t.Check(); msg != "" {
		return nil, errors.New("tls: " + msg)
	}
	if t.Cert != "" {
		pair, err := t.pair()
		if err != nil {
			return nil, fmt.Errorf("tls: cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// pair reads our certificate and its key.
func (t TLS) pair() (tls.Certificate, error) {
	cert, err := config.ReadFile(t.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := config.ReadFile(t.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
