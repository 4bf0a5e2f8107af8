package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// ErrCertificate: a file does not hold the certificate or key that it is to hold.
var ErrCertificate = errors.New("auth: bad certificate")

// backdated is how far the clocks of hosts may differ.
const backdated = time.Hour

// A ca issues certificates.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newCA makes an authority that issues certificates of servers, and nothing else.
func newCA(name string, validity time.Duration) (*ca, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("auth: make key: %w", err)
	}
	template := certificate(name+" authority", validity)
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	c := &ca{template, key}
	der, err := c.sign(template, key)
	if err != nil {
		return nil, err
	}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("auth: make certificate: %w", err)
	}
	return c, nil
}

// readCA reads an authority.
func readCA(certPEM, keyPEM []byte) (*ca, error) {
	cert, err := parseCertificate(certPEM)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%w: the authority's key is no PEM", ErrCertificate)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%w: the key is not the authority's", ErrCertificate)
	}
	return &ca{cert, key}, nil
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: no PEM", ErrCertificate)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return cert, nil
}

// server issues a certificate by which clients know a server.
func (c *ca) server(name string, hosts []string, validity time.Duration) (cert, key []byte, err error) {
	t := certificate(name, validity, hosts...)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return c.issue(t)
}

// route issues a certificate by which servers know each other, in both directions.
func (c *ca) route(name string, hosts []string, validity time.Duration) (cert, key []byte, err error) {
	t := certificate(name, validity, hosts...)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return c.issue(t)
}

// again issues a certificate like an old one, with a new key.
func (c *ca) again(old *x509.Certificate, validity time.Duration) (cert, key []byte, err error) {
	t := certificate(old.Subject.CommonName, validity)
	t.DNSNames, t.IPAddresses, t.ExtKeyUsage = old.DNSNames, old.IPAddresses, old.ExtKeyUsage
	return c.issue(t)
}

func (c *ca) issue(t *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("auth: make key: %w", err)
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := c.sign(t, key)
	if err != nil {
		return nil, nil, err
	}
	if keyPEM, err = formatKey(key); err != nil {
		return nil, nil, err
	}
	return formatCertificate(der), keyPEM, nil
}

func (c *ca) sign(t *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	if c.cert != t && t.NotAfter.After(c.cert.NotAfter) {
		t.NotAfter = c.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, t, c.cert, &key.PublicKey, c.key)
	if err != nil {
		return nil, fmt.Errorf("auth: make certificate of %s: %w", t.Subject.CommonName, err)
	}
	return der, nil
}

func certificate(name string, validity time.Duration, hosts ...string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic("auth: no randomness: " + err.Error()) // crypto/rand never fails
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdated),
		NotAfter:     now.Add(validity),
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}

func formatCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func formatKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("auth: make key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
