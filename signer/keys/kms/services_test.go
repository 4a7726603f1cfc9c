// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"hash/crc32"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The servers here speak as much of each protocol as Sigstore's libraries ask
// for. What the real services answer beside that is not shown by them.

// testTimeout is long for this machine, and short for a test.
const testTimeout = 400 * time.Millisecond

// vaultToken is the token of the test's Vault.
const vaultToken = "s.token"

// held is the key of a service, and how the service behaves.
type held struct {
	mu    sync.Mutex // guards what follows
	key   crypto.Signer
	pss   bool // Google's: the padding belongs to the key
	gone  bool
	sleep time.Duration
}

func (h *held) service(ref string, cfg Config) service {
	set := func(f func()) { h.mu.Lock(); defer h.mu.Unlock(); f() }
	return service{
		ref: ref, cfg: cfg,
		holds: func(key crypto.Signer) { set(func() { h.key = key }) },
		down:  func(gone bool) { set(func() { h.gone = gone }) },
		stall: func(wait time.Duration) { set(func() { h.sleep = wait }) },
	}
}

// now returns the key, after the time that the service thinks; nil if it is
// down.
func (h *held) now() crypto.Signer {
	h.mu.Lock()
	key, gone, sleep := h.key, h.gone, h.sleep
	h.mu.Unlock()
	time.Sleep(sleep)
	if gone {
		return nil
	}
	return key
}

// signed is a signature over a SHA-256 digest.
func signed(t *testing.T, key crypto.Signer, digest []byte, pss bool) []byte {
	t.Helper()
	var opts crypto.SignerOpts = crypto.SHA256
	if pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := key.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Error(err)
	}
	return signature
}

func isRSA(key crypto.Signer) bool { _, is := key.(*rsa.PrivateKey); return is }

func (h *held) spki(t *testing.T) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(h.now().Public())
	check(t, err)
	return spki
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is a test
}

// startVault is a transit engine with one key.
func startVault(t *testing.T, key crypto.Signer) service {
	h := &held{key: key}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := h.now()
		if key == nil || r.Header.Get("X-Vault-Token") != vaultToken {
			answer(w, http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}})
			return
		}
		switch {
		case r.URL.Path == "/v1/signing/keys/release":
			public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: h.spki(t)}))
			answer(w, http.StatusOK, map[string]any{"data": map[string]any{
				"latest_version": 1, "keys": map[string]any{"1": map[string]any{"name": "P-256", "public_key": public}},
			}})
		case strings.HasPrefix(r.URL.Path, "/v1/signing/sign/release"):
			var body struct {
				Input     []byte `json:"input"`
				Prehashed bool   `json:"prehashed"`
				Algorithm string `json:"signature_algorithm"`
			}
			if json.NewDecoder(r.Body).Decode(&body) != nil || !body.Prehashed {
				answer(w, http.StatusBadRequest, map[string]any{"errors": []string{"what?"}})
				return
			}
			signature := signed(t, key, body.Input, isRSA(key) && body.Algorithm != "pkcs1v15") // Vault's default is PSS
			answer(w, http.StatusOK, map[string]any{"data": map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(signature)}})
		default:
			answer(w, http.StatusNotFound, map[string]any{"errors": []string{}})
		}
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	check(t, os.WriteFile(token, []byte(vaultToken+"\n"), 0o600))
	return h.service("hashivault://release", Config{Timeout: testTimeout, Vault: Vault{Address: server.URL, TokenFile: token, Mount: "signing"}})
}

// startAWS is AWS KMS with one key. The library speaks HTTPS to any endpoint;
// its own variable names the certificate to believe.
func startAWS(t *testing.T, key crypto.Signer) service {
	h := &held{key: key}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := h.now()
		if key == nil || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256") {
			answer(w, http.StatusBadRequest, map[string]any{"__type": "AccessDeniedException", "message": "no"})
			return
		}
		var body struct {
			KeyID            string `json:"KeyId"`
			Message          []byte
			MessageType      string
			SigningAlgorithm string
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.KeyID != "alias/release" {
			answer(w, http.StatusBadRequest, map[string]any{"__type": "NotFoundException"})
			return
		}
		algorithms := []string{"ECDSA_SHA_256"}
		if isRSA(key) { // PSS first, as local-kms has it
			algorithms = []string{"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_512", "RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_512"}
		}
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.GetPublicKey":
			answer(w, http.StatusOK, map[string]any{"KeyId": body.KeyID, "PublicKey": h.spki(t)})
		case "TrentService.DescribeKey":
			answer(w, http.StatusOK, map[string]any{"KeyMetadata": map[string]any{"KeyId": body.KeyID, "SigningAlgorithms": algorithms}})
		case "TrentService.Sign":
			if body.MessageType != "DIGEST" || !slices.Contains(algorithms, body.SigningAlgorithm) {
				t.Errorf("asked to sign a %s by %s", body.MessageType, body.SigningAlgorithm)
			}
			signature := signed(t, key, body.Message, body.SigningAlgorithm == "RSASSA_PSS_SHA_256")
			answer(w, http.StatusOK, map[string]any{"KeyId": body.KeyID, "Signature": signature})
		default:
			answer(w, http.StatusBadRequest, map[string]any{"__type": "UnknownOperationException"})
		}
	}))
	t.Cleanup(server.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	check(t, os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	for name, value := range map[string]string{
		"AWS_CA_BUNDLE": bundle, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_TLS_INSECURE_SKIP_VERIFY": "",
	} {
		t.Setenv(name, value)
	}
	return h.service("awskms://"+strings.TrimPrefix(server.URL, "https://")+"/alias/release", Config{Timeout: testTimeout})
}

// servedByGoogle is what the last of them holds.
var servedByGoogle *held

// googleKMS is Google's KMS with one key.
type googleKMS struct {
	kmspb.UnimplementedKeyManagementServiceServer
	*held
	t *testing.T
}

const (
	googleKey     = "projects/p/locations/l/keyRings/r/cryptoKeys/release"
	googleVersion = googleKey + "/cryptoKeyVersions/1"
)

func (g *googleKMS) open() (crypto.Signer, error) {
	key := g.now()
	if key == nil {
		return nil, status.Error(codes.PermissionDenied, "no")
	}
	return key, nil
}

func (g *googleKMS) GetCryptoKey(context.Context, *kmspb.GetCryptoKeyRequest) (*kmspb.CryptoKey, error) {
	_, err := g.open()
	return &kmspb.CryptoKey{Name: googleKey, Purpose: kmspb.CryptoKey_ASYMMETRIC_SIGN}, err
}

func (g *googleKMS) GetCryptoKeyVersion(context.Context, *kmspb.GetCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	key, err := g.open()
	algorithm := kmspb.CryptoKeyVersion_EC_SIGN_P256_SHA256
	switch {
	case isRSA(key) && g.pss:
		algorithm = kmspb.CryptoKeyVersion_RSA_SIGN_PSS_3072_SHA256
	case isRSA(key):
		algorithm = kmspb.CryptoKeyVersion_RSA_SIGN_PKCS1_3072_SHA256
	}
	return &kmspb.CryptoKeyVersion{Name: googleVersion, Algorithm: algorithm}, err
}

func (g *googleKMS) GetPublicKey(context.Context, *kmspb.GetPublicKeyRequest) (*kmspb.PublicKey, error) {
	if _, err := g.open(); err != nil {
		return nil, err
	}
	return &kmspb.PublicKey{Name: googleVersion, Pem: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: g.spki(g.t)}))}, nil
}

func (g *googleKMS) AsymmetricSign(_ context.Context, req *kmspb.AsymmetricSignRequest) (*kmspb.AsymmetricSignResponse, error) {
	key, err := g.open()
	if err != nil {
		return nil, err
	}
	signature := signed(g.t, key, req.GetDigest().GetSha256(), g.pss)
	sum := crc32.Checksum(signature, crc32.MakeTable(crc32.Castagnoli))
	return &kmspb.AsymmetricSignResponse{Signature: signature, SignatureCrc32C: wrapperspb.Int64(int64(sum)), VerifiedDigestCrc32C: true}, nil
}

func startGoogle(t *testing.T, key crypto.Signer) service {
	g := &googleKMS{held: &held{key: key}, t: t}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	server := grpc.NewServer()
	kmspb.RegisterKeyManagementServiceServer(server, g)
	go func() { _ = server.Serve(listener) }() // ends with the test
	t.Cleanup(server.Stop)
	googleOptions = []option.ClientOption{
		option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
	t.Cleanup(func() { googleOptions = nil })
	servedByGoogle = g.held
	return g.service("gcpkms://"+googleVersion, Config{Timeout: testTimeout})
}

// TestRenewedToken: the token file is read again when the server refuses the
// token that was in it.
func TestRenewedToken(t *testing.T) {
	key := newKey(t, elliptic.P256())
	s := startVault(t, key)
	k, err := Open(t.Context(), s.ref, key.Public(), s.cfg)
	check(t, err)
	digest := possession
	stale(k, t)
	if _, err := k.SignContext(t.Context(), digest[:]); err == nil {
		t.Fatal("signed with a token that is no good")
	}
	// Later, so that it is not too soon to begin anew.
	k.mu.Lock()
	k.opened = k.opened.Add(-2 * reopenEvery)
	k.mu.Unlock()
	if _, err := k.SignContext(t.Context(), digest[:]); err != nil {
		t.Errorf("the token in the file is good: %v", err)
	}
}

// stale has the key use a token that the server does not accept.
func stale(k *Key, t *testing.T) {
	t.Helper()
	path := k.cfg.Vault.TokenFile
	check(t, os.WriteFile(path, []byte("s.old\n"), 0o600))
	b, err := k.provider.open(t.Context(), k.ref, k.cfg)
	check(t, err)
	k.mu.Lock()
	k.using, k.opened = b, time.Now()
	k.mu.Unlock()
	check(t, os.WriteFile(path, []byte(vaultToken+"\n"), 0o600))
}
