// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/hallmark-dev/hallmark/signer/keys"
)

// rsaKeys are two RSA keys for all tests: making one takes a second.
var rsaKeys = sync.OnceValue(func() (pair [2]*rsa.PrivateKey) {
	for i := range pair {
		var err error
		if pair[i], err = rsa.GenerateKey(rand.Reader, 3072); err != nil {
			panic(err)
		}
	}
	return pair
})

// TestOpenPGPServices holds each library to the contract of RSA keys: PKCS #1
// v1.5 over SHA-256, by the pinned key.
func TestOpenPGPServices(t *testing.T) {
	for name, start := range map[string]func(*testing.T, crypto.Signer) service{"vault": startVault, "aws": startAWS, "gcp": startGoogle, "azure": startAzure} {
		t.Run(name, func(t *testing.T) {
			key, other := rsaKeys()[0], rsaKeys()[1]
			s := start(t, key)
			if name != "azure" { // Sigstore's library for it, which reads the public key, cannot be led here
				public, err := PublicOpenPGP(t.Context(), s.ref, s.cfg)
				check(t, err)
				if !keys.Equal(public, key.Public()) {
					t.Fatal("the public key is another")
				}
				// Not for any other purpose.
				if _, err := Public(t.Context(), s.ref, s.cfg); !errors.Is(err, keys.ErrUnsupported) {
					t.Errorf("RSA for anything: %v", err)
				}
			}
			if _, err := Open(t.Context(), s.ref, key.Public(), s.cfg); !errors.Is(err, keys.ErrUnsupported) {
				t.Errorf("RSA opened for anything: %v", err)
			}
			k, err := OpenOpenPGP(t.Context(), s.ref, key.Public(), s.cfg)
			check(t, err)
			if k.Kind() != keys.OpenPGPRSA3072 {
				t.Errorf("kind %s", k.Kind())
			}
			sign := func() error {
				signature, err := k.SignOpenPGP(possession[:])
				if err == nil {
					err = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, possession[:], signature)
				}
				return err
			}
			check(t, sign())

			// It does not answer; it thinks for too long; another key is behind the name.
			s.down(true)
			if err := sign(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "hint") {
				t.Errorf("the KMS is down: %v", err)
			}
			s.down(false)
			s.stall(3 * s.cfg.Timeout)
			began := time.Now()
			if err := sign(); !errors.Is(err, ErrUnavailable) || time.Since(began) > 2*s.cfg.Timeout {
				t.Errorf("the KMS hangs: %v after %s", err, time.Since(began))
			}
			s.stall(0)
			s.holds(other)
			if err := sign(); !errors.Is(err, keys.ErrOtherKey) {
				t.Errorf("the key was exchanged: %v", err)
			}
			s.holds(key)
			check(t, sign())
			if _, err := OpenOpenPGP(t.Context(), s.ref, other.Public(), s.cfg); !errors.Is(err, keys.ErrOtherKey) {
				t.Errorf("opened by another pin: %v", err)
			}
		})
	}
}

// TestOpenPGPPadding: a key whose padding is PSS is told from another key, and
// the error says which key to make.
func TestOpenPGPPadding(t *testing.T) {
	s := startGoogle(t, rsaKeys()[0])
	servedByGoogle.pss = true
	_, err := OpenOpenPGP(t.Context(), s.ref, rsaKeys()[0].Public(), s.cfg)
	if !errors.Is(err, keys.ErrUnsupported) || errors.Is(err, keys.ErrOtherKey) || !strings.Contains(err.Error(), "by PSS") || !strings.Contains(err.Error(), "RSA_SIGN_PKCS1_3072_SHA256") {
		t.Errorf("%v", err)
	}
}

// TestOpenPGPKinds: ECDSA stays as it was, and weak keys are refused before they
// are pinned, and if they were pinned somehow.
func TestOpenPGPKinds(t *testing.T) {
	p256 := newKey(t, elliptic.P256())
	s := startVault(t, p256)
	public, err := PublicOpenPGP(t.Context(), s.ref, s.cfg)
	check(t, err)
	k, err := OpenOpenPGP(t.Context(), s.ref, public, s.cfg)
	check(t, err)
	if k.Kind() != keys.OpenPGPP256 {
		t.Errorf("kind %s", k.Kind())
	}
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	for name, key := range map[string]crypto.Signer{"RSA 2048": weak, "P-384": newKey(t, elliptic.P384())} {
		s.holds(key)
		if _, err := PublicOpenPGP(t.Context(), s.ref, s.cfg); !errors.Is(err, keys.ErrUnsupported) || !strings.Contains(err.Error(), "rsa-3072 or rsa-4096") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := OpenOpenPGP(t.Context(), s.ref, key.Public(), s.cfg); !errors.Is(err, keys.ErrUnsupported) {
			t.Errorf("%s, pinned: %v", name, err)
		}
	}
	if _, err := OpenOpenPGP(t.Context(), "touch://key", p256.Public(), Config{}); !errors.Is(err, ErrReference) {
		t.Errorf("open: %v", err)
	}
	if _, err := PublicOpenPGP(t.Context(), "touch://key", Config{}); !errors.Is(err, ErrReference) {
		t.Errorf("public: %v", err)
	}
}

// TestOpenPGPUnsafeSettings: the guards of the libraries that are asked directly.
func TestOpenPGPUnsafeSettings(t *testing.T) {
	for ref, tc := range map[string]struct{ variable, value, says string }{
		"awskms:///alias/k":              {"AWS_TLS_INSECURE_SKIP_VERIFY", "1", "anybody answer for AWS"},
		"azurekms://v.vault.azure.net/k": {"AZURE_TOKEN_CREDENTIALS", "AzureCLICredential", "AZURE_TOKEN_CREDENTIALS=prod"},
	} {
		t.Setenv(tc.variable, tc.value)
		if _, err := OpenOpenPGP(t.Context(), ref, rsaKeys()[0].Public(), Config{}); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// credential is a login at Azure.
type credential struct{}

func (credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// startAzure is a Key Vault with one key.
func startAzure(t *testing.T, key crypto.Signer) service {
	h := &held{key: key}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.example/tenant", resource="https://vault.azure.net"`)
			answer(w, http.StatusUnauthorized, map[string]any{})
			return
		}
		key := h.now()
		if key == nil {
			answer(w, http.StatusForbidden, map[string]any{"error": map[string]any{"code": "Forbidden"}})
			return
		}
		var body struct{ Alg, Value string }
		if r.URL.Path != "/keys/release/v1/sign" || json.NewDecoder(r.Body).Decode(&body) != nil {
			answer(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": "KeyNotFound"}})
			return
		}
		digest, err := base64.RawURLEncoding.DecodeString(body.Value)
		if err != nil || body.Alg != "RS256" {
			t.Errorf("asked to sign %q by %s", body.Value, body.Alg)
		}
		answer(w, http.StatusOK, map[string]any{"value": base64.RawURLEncoding.EncodeToString(signed(t, key, digest, false))})
	}))
	t.Cleanup(server.Close)
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "prod")
	azureTest.credential = credential{}
	azureTest.options = &azkeys.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: server.Client()}, DisableChallengeResourceVerification: true}
	t.Cleanup(func() { azureTest.credential, azureTest.options = nil, nil })
	return h.service("azurekms://"+strings.TrimPrefix(server.URL, "https://")+"/release/v1", Config{Timeout: testTimeout})
}
