// SPDX-License-Identifier: Apache-2.0

package tsa

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/timestamp-authority/v2/pkg/verification"

	"github.com/hallmark-dev/hallmark/signer"
)

var epoch = time.Date(2026, 3, 4, 5, 6, 7, 800_000_000, time.UTC)

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newConfig is an authority that came into being an hour ago.
func newConfig(t testing.TB) Config {
	t.Helper()
	key := newP256(t)
	chain, err := NewCertificates(newP256(t), key.Public(), Name{"acme", "Hallmark TSA"}, epoch.Add(-time.Hour))
	check(t, err)
	return Config{Chain: chain, Signer: key, Clock: func() time.Time { return epoch }, Logger: slog.New(slog.DiscardHandler)}
}

func newTSA(t testing.TB) *TSA {
	t.Helper()
	authority, err := New(newConfig(t))
	check(t, err)
	return authority
}

// oracle verifies a response with Sigstore's own code.
func oracle(authority *TSA, response, artifact []byte, change func(*verification.VerifyOpts)) (*timestamp.Timestamp, error) {
	chain := authority.Chain()
	opts := verification.VerifyOpts{TSACertificate: chain[0], Roots: chain[len(chain)-1:], OID: policy(), CurrentTime: epoch}
	if change != nil {
		change(&opts)
	}
	return verification.VerifyTimestampResponse(response, bytes.NewReader(artifact), opts)
}

func TestTimestamp(t *testing.T) {
	authority := newTSA(t)
	signature := []byte("a signature")
	response, err := authority.Timestamp(t.Context(), signature)
	check(t, err)
	token, err := oracle(authority, response, signature, nil)
	check(t, err)
	if want := epoch.Truncate(time.Second); !token.Time.Equal(want) {
		t.Errorf("time %s, want %s", token.Time, want)
	}
	if token.HashAlgorithm != crypto.SHA256 || token.Accuracy != time.Second || len(token.Certificates) != 0 || token.Nonce != nil {
		t.Errorf("token %+v", token)
	}
	if _, err := oracle(authority, response, []byte("another"), nil); err == nil {
		t.Error("token verifies for another signature")
	}
	if _, err := oracle(newTSA(t), response, signature, nil); err == nil {
		t.Error("token verifies for another authority")
	}
}

func TestTimestampFails(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newTSA(t).Timestamp(cancelled, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := newTSA(t).Timestamp(t.Context(), nil); !errors.Is(err, signer.ErrBadRequest) {
		t.Errorf("empty signature: %v", err)
	}
	cfg := newConfig(t)
	now := epoch
	cfg.Clock = func() time.Time { return now }
	authority, err := New(cfg)
	check(t, err)
	now = epoch.Add(Life)
	if _, err := authority.Timestamp(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "rotate") {
		t.Errorf("expired: %v", err)
	}
	authority = newTSA(t)
	authority.signer = newP256(t) // a KMS that exchanged the key behind our back
	if _, err := authority.Timestamp(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "check what was issued") {
		t.Errorf("wrong key: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no key", func(c *Config) { c.Signer = nil }, "compulsory"},
		{"no logger", func(c *Config) { c.Logger = nil }, "compulsory"},
		{"no chain", func(c *Config) { c.Chain = nil }, "chain of 0"},
		{"leaf alone", func(c *Config) { c.Chain = c.Chain[:1] }, "chain of 1"},
		{"wrong order", func(c *Config) { c.Chain = []*x509.Certificate{c.Chain[1], c.Chain[0]} }, "is a CA"},
		{"another root", func(c *Config) { c.Chain = []*x509.Certificate{c.Chain[0], newConfig(t).Chain[1]} }, "rotate"},
		{"another key", func(c *Config) { c.Signer = newP256(t) }, "does not belong"},
		{"expired", func(c *Config) { c.Clock = func() time.Time { return epoch.Add(Life) } }, "rotate"},
		{"usage not critical", func(c *Config) {
			c.Chain[0] = recertified(t, c, func(tmpl *x509.Certificate) {
				tmpl.ExtraExtensions, tmpl.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
			})
		}, "not critical"},
		{"two usages", func(c *Config) {
			c.Chain[0] = recertified(t, c, func(tmpl *x509.Certificate) {
				tmpl.ExtraExtensions, tmpl.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping, x509.ExtKeyUsageCodeSigning}
			})
		}, "timeStamping alone"},
		{"no usage", func(c *Config) {
			c.Chain[0] = recertified(t, c, func(tmpl *x509.Certificate) { tmpl.ExtraExtensions = nil })
		}, "timeStamping alone"},
		{"not for signatures", func(c *Config) {
			c.Chain[0] = recertified(t, c, func(tmpl *x509.Certificate) { tmpl.KeyUsage = x509.KeyUsageKeyEncipherment })
		}, "digital signatures"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := newConfig(t)
			tt.change(&cfg)
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
}

// recertified replaces the configuration's root and returns a leaf of it that
// differs from a good one by the change.
func recertified(t *testing.T, c *Config, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	rootKey := newP256(t)
	chain, err := NewCertificates(rootKey, c.Signer.Public(), Name{"acme", "Hallmark TSA"}, epoch)
	check(t, err)
	c.Chain[1] = chain[1]
	tmpl := *chain[0]
	tmpl.ExtKeyUsage = nil
	for _, e := range chain[0].Extensions {
		if e.Id.Equal(oidEKU) {
			tmpl.ExtraExtensions = append(tmpl.ExtraExtensions, e)
		}
	}
	change(&tmpl)
	cert, err := certify(&tmpl, chain[1], c.Signer.Public(), rootKey)
	check(t, err)
	return cert
}

func TestNewCertificates(t *testing.T) {
	rootKey, key := newP256(t), newP256(t)
	chain, err := NewCertificates(rootKey, key.Public(), Name{"acme", "Hallmark TSA"}, epoch)
	check(t, err)
	if len(chain) != 2 || chain[0].IsCA || !chain[1].IsCA || chain[0].Subject.CommonName != "Hallmark TSA" || chain[1].Subject.CommonName != "Hallmark TSA root" {
		t.Errorf("chain %v", chain)
	}
	if got := chain[0].NotAfter.Sub(chain[0].NotBefore); got != Life || chain[0].NotAfter.After(chain[1].NotAfter) {
		t.Errorf("leaf lives %s, until %s; root until %s", got, chain[0].NotAfter, chain[1].NotAfter)
	}
	late, err := NewLeaf(chain[1], rootKey, newP256(t).Public(), Name{"acme", "next"}, epoch.AddDate(5, 0, 0))
	check(t, err)
	if !late.NotAfter.Equal(chain[1].NotAfter) {
		t.Errorf("next leaf ends %s, root %s", late.NotAfter, chain[1].NotAfter)
	}
	if _, err := NewCertificates(rootKey, rootKey.Public(), Name{"acme", "x"}, epoch); err == nil {
		t.Error("one key for root and leaf")
	}
	if _, err := NewCertificates(rootKey, key.Public(), Name{"", "x"}, epoch); err == nil {
		t.Error("no organization")
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	if _, err := NewCertificates(ed, key.Public(), Name{"acme", "x"}, epoch); err != nil {
		t.Errorf("Ed25519 root: %v", err)
	}
}

// TestOpenSSL verifies tokens with a third implementation.
func TestOpenSSL(t *testing.T) {
	authority := newTSA(t)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, content, 0o600))
		return path
	}
	signature := []byte("a signature")
	response, err := authority.Timestamp(t.Context(), signature)
	check(t, err)
	leaf, err := cryptoutils.MarshalCertificateToPEM(authority.chain[0])
	check(t, err)
	root, err := cryptoutils.MarshalCertificateToPEM(authority.chain[1])
	check(t, err)
	args := []string{"ts", "-verify", "-in", write("response", response), "-untrusted", write("leaf.pem", leaf), "-CAfile", write("root.pem", root),
		"-attime", "1772600767", // epoch
		"-data"}
	out, err := exec.CommandContext(t.Context(), "openssl", append(args, write("signature", signature))...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Verification: OK") {
		t.Errorf("openssl: %v (hint: these tests need the openssl program)\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), "openssl", append(args, write("other", []byte("another")))...).CombinedOutput()
	if err == nil {
		t.Errorf("openssl accepts another signature:\n%s", out)
	}
}
