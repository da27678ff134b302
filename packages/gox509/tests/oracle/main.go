// Oracle verifies a server's certificates as a Go TLS client does, with crypto/x509's Certificate.Verify and the
// surrounding checks of crypto/tls. It reads one JSON case per line and writes one JSON answer per line.
package main

import (
	"bufio"
	"crypto/dsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

type question struct {
	Served [][]byte  `json:"served"`
	Trust  [][]byte  `json:"trust"`
	Host   string    `json:"host"`
	At     time.Time `json:"at"`
	Parse  []byte    `json:"parse"` // instead of a verdict: how ParseCertificate reads this certificate
}

type answer struct {
	Trusted bool       `json:"trusted"`
	Message string     `json:"message"`
	Chains  [][]string `json:"chains"`
	Parsed  *parsed    `json:"parsed,omitempty"`
}

type parsed struct {
	Version    int    `json:"version"`
	Serial     string `json:"serial"`
	CommonName string `json:"commonName"`
	NotBefore  int64  `json:"notBefore"`
	NotAfter   int64  `json:"notAfter"`
	IsCA       bool   `json:"isCA"`
	Names      int    `json:"names"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for decoder.More() {
		var q question
		if err := decoder.Decode(&q); err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			os.Exit(1)
		}
		a := answer{Chains: [][]string{}}
		var err error
		if q.Parse != nil {
			a.Parsed, err = parse(q.Parse)
		} else {
			var chains [][]*x509.Certificate
			chains, err = decide(q)
			a.Chains = fingerprints(chains)
		}
		a.Trusted = err == nil
		if err != nil {
			a.Message = err.Error()
		}
		if err := encoder.Encode(a); err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			os.Exit(1)
		}
	}
}

func parse(der []byte) (*parsed, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &parsed{
		Version: c.Version, Serial: c.SerialNumber.String(), CommonName: c.Subject.CommonName,
		NotBefore: c.NotBefore.Unix(), NotAfter: c.NotAfter.Unix(), IsCA: c.BasicConstraintsValid && c.IsCA,
		Names: len(c.DNSNames) + len(c.EmailAddresses) + len(c.IPAddresses) + len(c.URIs),
	}, nil
}

// decide follows verifyServerCertificate of crypto/tls.
func decide(q question) ([][]*x509.Certificate, error) {
	var served []*x509.Certificate
	for _, der := range q.Served {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("tls: failed to parse certificate from server: %s", err)
		}
		if key, ok := certificate.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > 8192 {
			return nil, fmt.Errorf("tls: server sent certificate containing RSA key larger than %d bits", 8192)
		}
		served = append(served, certificate)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, der := range q.Trust {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			roots.AddCert(certificate)
		}
	}
	for _, certificate := range served[1:] {
		intermediates.AddCert(certificate)
	}
	chains, err := served[0].Verify(x509.VerifyOptions{
		DNSName: q.Host, Roots: roots, Intermediates: intermediates, CurrentTime: q.At,
	})
	if err != nil {
		return nil, err
	}
	switch key := served[0].PublicKey.(type) {
	case nil, *dsa.PublicKey:
		return nil, fmt.Errorf("tls: server's certificate contains an unsupported type of public key: %T", key)
	}
	return chains, nil
}

func fingerprints(chains [][]*x509.Certificate) [][]string {
	all := [][]string{}
	for _, chain := range chains {
		var digests []string
		for _, certificate := range chain {
			sum := sha256.Sum256(certificate.Raw)
			digests = append(digests, hex.EncodeToString(sum[:]))
		}
		all = append(all, digests)
	}
	return all
}
