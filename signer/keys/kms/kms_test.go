// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/keys"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	check(t, err)
	return key
}

// TestReferences: what is a reference, and what is refused before anybody is
// asked. No program of these schemes' names is looked for.
func TestReferences(t *testing.T) {
	for ref, ok := range map[string]bool{
		"awskms:///alias/hallmark": true,
		"awskms:///arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab": true,
		"awskms://localhost:4566/alias/hallmark":                                                   true,
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k":                                  true,
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1":              true,
		"azurekms://corp.vault.azure.net/hallmark":                                                 true,
		"azurekms://corp.vault.azure.net/hallmark/0123456789abcdef":                                true,
		"hashivault://hallmark-ca":                                                                 true,

		"":                            false,
		"hallmark-ca":                 false,
		"awskms://":                   false,
		"awskms:///hallmark":          false,
		"awskms:///alias/two words":   false,
		"awskms:///alias/line\nbreak": false,
		"gcpkms://projects/p":         false,
		"azurekms://corp":             false,
		"hashivault://":               false,
		"hashivault://a/b":            false,
		"hashivault://../sys":         false,
		"hashivault:/hallmark-ca":     false,
		"HASHIVAULT://hallmark-ca":    false,
		" hashivault://hallmark-ca":   false,
		"openbao://hallmark-ca":       false,
		"fakekms://hallmark-ca":       false,
		"touch://pwned":               false,
		"k8s://ns/secret":             false,
		"env://KEY":                   false,
		"file:///etc/passwd":          false,
		"https://example.com/key":     false,
		"pkcs11:token=hallmark":       false,
		"awskms:///alias/" + string(make([]byte, 2000)): false,
	} {
		err := CheckReference(ref)
		if (err == nil) != ok {
			t.Errorf("%.60q: %v", ref, err)
		}
		if err != nil && !errors.Is(err, ErrReference) {
			t.Errorf("%.60q: %v is not ErrReference", ref, err)
		}
	}
	if err := CheckReference("touch://x"); err == nil || !strings.Contains(err.Error(), "hashivault://") {
		t.Errorf("the refusal of an unknown scheme does not name those there are: %v", err)
	}
}

// TestNoProgram: for a scheme that it does not know, sigstore's library would
// run sigstore-kms-<scheme> from the PATH.
func TestNoProgram(t *testing.T) {
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	check(t, os.WriteFile(filepath.Join(dir, "sigstore-kms-touch"), []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	key := newKey(t, elliptic.P256())
	if _, err := Open(t.Context(), "touch://key", key.Public(), Config{}); !errors.Is(err, ErrReference) {
		t.Errorf("open: %v", err)
	}
	if _, err := Public(t.Context(), "touch://key", Config{}); !errors.Is(err, ErrReference) {
		t.Errorf("public: %v", err)
	}
	if _, err := os.Stat(ran); !os.IsNotExist(err) {
		t.Error("a program was run")
	}
}

// TestUnsafeSettings: what would send credentials in the clear, believe anybody,
// or run a program is refused before it happens.
func TestUnsafeSettings(t *testing.T) {
	key := newKey(t, elliptic.P256())
	for name, tc := range map[string]struct {
		ref  string
		env  map[string]string
		cfg  Config
		says string
	}{
		"Vault in the clear":        {"hashivault://k", nil, Config{Vault: Vault{Address: "http://vault.corp.example:8200"}}, "HTTPS"},
		"Vault with a password":     {"hashivault://k", nil, Config{Vault: Vault{Address: "https://a:b@vault.corp.example"}}, "not a URL"},
		"Vault nowhere":             {"hashivault://k", nil, Config{}, "where is Vault"},
		"Vault without a token":     {"hashivault://k", nil, Config{Vault: Vault{Address: "https://127.0.0.1:1"}}, "no token"},
		"token that others read":    {"hashivault://k", nil, Config{Vault: Vault{Address: "https://127.0.0.1:1", TokenFile: openToken(t)}}, "readable by others"},
		"AWS without certificates":  {"awskms:///alias/k", map[string]string{"AWS_TLS_INSECURE_SKIP_VERIFY": "1"}, Config{}, "anybody answer for AWS"},
		"Azure by its own programs": {"azurekms://v.vault.azure.net/k", map[string]string{"AZURE_TOKEN_CREDENTIALS": ""}, Config{}, "AZURE_TOKEN_CREDENTIALS=prod"},
		"Azure by one program":      {"azurekms://v.vault.azure.net/k", map[string]string{"AZURE_TOKEN_CREDENTIALS": "AzureCLICredential"}, Config{}, "AZURE_TOKEN_CREDENTIALS=prod"},
		"endless":                   {"hashivault://k", nil, Config{Timeout: time.Hour}, "time-out"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"VAULT_ADDR", "VAULT_TOKEN", "BAO_ADDR", "BAO_TOKEN"} {
				t.Setenv(variable, "")
			}
			for variable, value := range tc.env {
				t.Setenv(variable, value)
			}
			if _, err := Open(t.Context(), tc.ref, key.Public(), tc.cfg); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %q", err, tc.says)
			}
		})
	}
}

func openToken(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	check(t, os.WriteFile(path, []byte("secret\n"), 0o644)) // open to all, which is what is tested
	return path
}

// service is one kind of KMS, on this machine.
type service struct {
	ref   string
	cfg   Config
	holds func(crypto.Signer)      // exchanges the key behind the reference
	down  func(bool)               // whether it answers
	stall func(wait time.Duration) // how long it thinks
}

// TestServices holds each library that can be led to a server on this machine to
// the contract of Key.
func TestServices(t *testing.T) {
	for name, start := range map[string]func(*testing.T, crypto.Signer) service{"vault": startVault, "aws": startAWS, "gcp": startGoogle} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t, elliptic.P256())
			s := start(t, key)
			public, err := Public(t.Context(), s.ref, s.cfg)
			check(t, err)
			if !keys.Equal(public, key.Public()) {
				t.Fatal("the public key is another")
			}
			k, err := Open(t.Context(), s.ref, public, s.cfg)
			check(t, err)
			digest := sha256.Sum256([]byte("message"))
			sign := func() error {
				signature, err := k.Sign(rand.Reader, digest[:], crypto.SHA256)
				if err == nil && !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
					t.Error("a signature that does not verify was returned")
				}
				return err
			}
			check(t, sign())
			if !keys.Equal(k.Public(), key.Public()) {
				t.Error("the key says it is another")
			}

			// Not what it signs.
			if _, err := k.Sign(rand.Reader, digest[:], crypto.SHA512); !errors.Is(err, keys.ErrUnsupported) {
				t.Errorf("SHA-512: %v", err)
			}
			if _, err := k.Sign(rand.Reader, []byte("short"), crypto.SHA256); err == nil {
				t.Error("signed a short digest")
			}

			// The wrong pin.
			if _, err := Open(t.Context(), s.ref, newKey(t, elliptic.P256()).Public(), s.cfg); !errors.Is(err, keys.ErrOtherKey) {
				t.Errorf("opened by another pin: %v", err)
			}
			if _, err := Open(t.Context(), s.ref, newKey(t, elliptic.P384()).Public(), s.cfg); !errors.Is(err, keys.ErrUnsupported) {
				t.Errorf("opened by a pin of P-384: %v", err)
			}

			// It does not answer, and then it does again.
			s.down(true)
			if err := sign(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "hint") {
				t.Errorf("the KMS is down: %v", err)
			}
			s.down(false)
			check(t, sign())

			// It thinks for too long. The caller does not wait for it.
			{
				s.stall(3 * s.cfg.Timeout)
				began := time.Now()
				if err := sign(); !errors.Is(err, ErrUnavailable) || time.Since(began) > 2*s.cfg.Timeout {
					t.Errorf("the KMS hangs: %v after %s", err, time.Since(began))
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				if _, err := k.SignContext(ctx, digest[:]); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the caller has less time: %v", err)
				}
				cancel()
				s.stall(0)
			}

			// Another key behind the same name.
			s.holds(newKey(t, elliptic.P256()))
			if err := sign(); !errors.Is(err, keys.ErrOtherKey) {
				t.Errorf("the key was exchanged: %v", err)
			}
			s.holds(key)
			check(t, sign())
		})
	}
}

// TestOtherKinds: keys that not every verifier knows are not taken into use.
func TestOtherKinds(t *testing.T) {
	s := startVault(t, newKey(t, elliptic.P384()))
	if _, err := Public(t.Context(), s.ref, s.cfg); !errors.Is(err, keys.ErrUnsupported) || !strings.Contains(err.Error(), "ecdsa-p256") {
		t.Errorf("%v", err)
	}
}
