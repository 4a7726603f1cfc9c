// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/keys"
)

// TestTendFulcio: rotations of CA and CT leave the authority of certificates on
// request where it is, in the trusted root and in the repository, and its
// certificates get their timestamps by the CT key of the moment. One that is made
// after a rotation of the CA is certified by the root of that moment.
func TestTendFulcio(t *testing.T) {
	cfg, care := tended(t)
	config := cfg.path(configName)
	writeFile(t, config, readFile(t, config)+"fulcio: {audience: sigstore}\n")
	runs(t, 0, "fulcio", "enable", "--dir", cfg.dir)
	cfg, err := readConfig(config)
	check(t, err)
	care.cfg = cfg
	ctx, start := context.Background(), time.Now().UTC().Truncate(time.Second)
	check(t, cfg.checkAuthority())
	online, err := newAuthorities(ctx, cfg, care.password, slog.New(slog.DiscardHandler))
	check(t, err)
	stampedBy(t, cfg, online, keyCT)

	for _, kind := range []string{kindCA, kindCT} {
		_, err := recordRotation(ctx, cfg, care.password, kind, rotateOptions{keep: time.Hour})
		check(t, err)
	}
	for range 3 { // published, active, done
		check(t, care.tend(ctx, start.Add(time.Hour)))
		check(t, care.tend(ctx, start.Add(3*time.Hour)))
		check(t, online.look(ctx))
	}
	stampedBy(t, cfg, online, "ct-2")
	m, err := cfg.readMaterial()
	check(t, err)
	chain, err := readChain(cfg.path("certs", fulcioChainName))
	check(t, err)
	found := 0
	for _, a := range m.CertificateAuthorities {
		if a.Chain[0].Equal(chain[0]) && a.End.IsZero() {
			found++
		}
	}
	if found != 1 || len(m.CertificateAuthorities) != 3 {
		t.Errorf("the authority is %d times in a trusted root of %d", found, len(m.CertificateAuthorities))
	}
	targets, err := cfg.targets()
	check(t, err)
	found = 0
	for _, target := range targets {
		if target.Usage == "Fulcio" && bytes.Equal(target.Content, encodeChain(chain[:1])) && !target.Ended {
			found++
		}
	}
	if found != 1 {
		t.Errorf("old clients find the authority %d times", found)
	}

	// The CA has another root now, and its key is the one that is needed.
	check(t, os.Remove(cfg.path("certs", fulcioChainName)))
	says(t, exitUsage, "this is not the key of", "fulcio", "enable", "--dir", cfg.dir, "--ca-root-key", cfg.path("keys", "ca-root.key"))
	runs(t, 0, "fulcio", "enable", "--dir", cfg.dir)
	again, err := readChain(cfg.path("certs", fulcioChainName))
	check(t, err)
	present, err := readChain(cfg.chainFile("ca-2"))
	check(t, err)
	if !again[1].Equal(present[1]) || again[1].Equal(chain[1]) {
		t.Errorf("certified by %q", again[1].Subject.CommonName)
	}
}

// stampedBy wants the timestamp in a certificate on request to be by a key: it
// names its log, which is the key's hash.
func stampedBy(t *testing.T, cfg *Config, online *authorities, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	cert, err := onRequest{online}.Issue(t.Context(), signer.CertificateRequest{
		SAN: "https://github.com/acme/app", Extensions: certificate.Extensions{Issuer: "https://issuer.example"}, PublicKey: key.Public(),
	})
	check(t, err)
	public, err := keys.ReadPublic(cfg.path("keys", name+".pub"))
	check(t, err)
	if !bytes.Contains(cert.Leaf, logIDOf(t, public)) {
		t.Errorf("the certificate has no timestamp by %s", name)
	}
}

func logIDOf(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	check(t, err)
	sum := sha256.Sum256(spki)
	return sum[:]
}

// TestRotatedKeysArePinned: the keys that rotations make, their roots and those of
// the trust repository are keys like all others, with a pin, and listed.
func TestRotatedKeysArePinned(t *testing.T) {
	cfg, care := tended(t)
	for _, kind := range []string{kindCA, kindCT, "tuf-timestamp"} {
		_, err := recordRotation(t.Context(), cfg, care.password, kind, rotateOptions{})
		check(t, err)
	}
	out, _ := runs(t, 0, "keys", "list", "--dir", cfg.dir)
	for _, name := range []string{"ca-2", "ca-2-root", "ct-2", "tuf-targets", "tuf-timestamp", "tuf-timestamp-2"} {
		pin, err := keys.ReadPublic(cfg.path("keys", name+".pub"))
		check(t, err)
		hint, err := keys.Hint(pin)
		check(t, err)
		if !strings.HasSuffix(name, "root") && (!strings.Contains(out, "\n"+name+" ") || !strings.Contains(out, hint)) {
			t.Errorf("%s is not in\n%s", name, out)
		}
	}
	// Another key in the place of a coming one is an error before it signs.
	check(t, os.Rename(cfg.path("keys", "ct.key"), cfg.path("keys", "ct-2.key")))
	if _, err := cfg.openOwn(t.Context(), "ct-2", care.password); err == nil || !strings.Contains(err.Error(), "pinned") {
		t.Errorf("another key: %v", err)
	}
}

// TestLaterKeysInKMS: which keys to come may be in a KMS.
func TestLaterKeysInKMS(t *testing.T) {
	for name, good := range map[string]bool{
		"ca-2": true, "ca-2-root": true, "tsa-12": true, "tsa-2-root": true, "ct-2": true, "log-v2-3": true, "tuf-targets": true, "tuf-timestamp-2": true,
		"ca-fulcio-2": true, "ca-fulcio-2-root": true, "sign-release.2": true, "attest-a.12": true, "sign-release": false, "sign-release-2": false, "sign-.2": false,
		"ca-": false, "ct-2-root": false, "tuf-root": false, "tuf-mirror-2": false, "ca-2-root-2": false, "log-v3-2": false,
	} {
		cfg := &Config{dir: t.TempDir(), Keys: map[string]string{name: "hashivault://k"}}
		if err := cfg.checkKeys(); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A key of a KMS is free until a rotation names it, also when an interrupted
	// call has left its pin; one in a file is never used twice.
	cfg := &Config{dir: t.TempDir(), Keys: map[string]string{"ca-3": "hashivault://k"}}
	check(t, os.MkdirAll(cfg.path("keys"), 0o700))
	all := &rotations{}
	for _, left := range []string{"ca-2.key", "ca-3.pub"} {
		writeFile(t, filepath.Join(cfg.path("keys"), left), "left")
	}
	if name, err := cfg.nextKey(all, kindCA); err != nil || name != "ca-3" {
		t.Errorf("%q, %v", name, err)
	}
	all.Rotations = []*keyRotation{{Kind: kindCA, Key: "ca-3"}}
	if name, err := cfg.nextKey(all, kindCA); err != nil || name != "ca-4" {
		t.Errorf("%q, %v", name, err)
	}
}
