package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"avjepa/internal/durable"
)

// certificateDays is how long a certificate of our own lasts.
const certificateDays = 825

// selfSigned returns the certificate in a folder, made there if it is missing, no longer
// good, or not for one of the hosts: browsers warn of it once.
func selfSigned(dir string, hosts []string) (tls.Certificate, error) {
	certFile, keyFile := filepath.Join(dir, "tls-cert.pem"), filepath.Join(dir, "tls-key.pem")
	names := append([]string{"localhost", "127.0.0.1", "::1"}, hosts...)
	if found, err := net.InterfaceAddrs(); err == nil {
		for _, a := range found {
			if n, ok := a.(*net.IPNet); ok {
				names = append(names, n.IP.String())
			}
		}
	}
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && good(pair.Leaf, names) {
		return pair, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	about := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "avjepa"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, certificateDays),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			about.IPAddresses = append(about.IPAddresses, ip)
		} else if name != "" {
			about.DNSNames = append(about.DNSNames, name)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	// The folder is this user's alone; the key's file is so as well.
	if err = writePEM(keyFile, "PRIVATE KEY", secret); err == nil {
		err = os.Chmod(keyFile, 0o600)
	}
	if err == nil {
		err = writePEM(certFile, "CERTIFICATE", cert)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.LoadX509KeyPair(certFile, keyFile)
}

func writePEM(path, kind string, text []byte) error {
	return durable.WriteFile(path, func(w io.Writer) error {
		return pem.Encode(w, &pem.Block{Type: kind, Bytes: text})
	})
}

// good reports whether a certificate lasts another day and is for all names.
func good(c *x509.Certificate, names []string) bool {
	if c == nil || time.Now().AddDate(0, 0, 1).After(c.NotAfter) {
		return false
	}
	for _, name := range names {
		if name != "" && c.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}
