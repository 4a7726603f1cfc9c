// SPDX-License-Identifier: Apache-2.0

package tsa

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/timestamp-authority/v2/pkg/verification"
)

// serve starts the authority on loopback.
func serve(t *testing.T, authority *TSA) string {
	t.Helper()
	server := httptest.NewServer(authority.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

func do(t *testing.T, method, url, contentType string, body []byte) (reply, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	check(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	check(t, err)
	return reply{resp.StatusCode, resp.Header}, answer
}

// reply is a response without its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

// query is a correct request after a change.
func query(t testing.TB, change func(*timestamp.Request)) []byte {
	t.Helper()
	digest := crypto.SHA256.New()
	digest.Write([]byte("artifact"))
	req := &timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: digest.Sum(nil)}
	if change != nil {
		change(req)
	}
	der, err := req.Marshal()
	check(t, err)
	return der
}

func TestHandlerGrants(t *testing.T) {
	authority := newTSA(t)
	url := serve(t, authority) + Path
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), maxNonceBits))
	check(t, err)
	hashed := func(h crypto.Hash) func(*timestamp.Request) {
		return func(r *timestamp.Request) {
			digest := h.New()
			digest.Write([]byte("artifact"))
			r.HashAlgorithm, r.HashedMessage = h, digest.Sum(nil)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*timestamp.Request)
		certs  int
		nonce  *big.Int
	}{
		{name: "plain"},
		{name: "with certificates", certs: 1, change: func(r *timestamp.Request) { r.Certificates = true }},
		{name: "with a nonce", nonce: nonce, change: func(r *timestamp.Request) { r.Nonce = nonce }},
		{name: "with our policy", change: func(r *timestamp.Request) { r.TSAPolicyOID = policy() }},
		{name: "SHA-384", change: hashed(crypto.SHA384)},
		{name: "SHA-512", change: hashed(crypto.SHA512)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := do(t, http.MethodPost, url, queryType, query(t, tt.change))
			if resp.StatusCode != http.StatusCreated || resp.Header.Get("Content-Type") != replyType || resp.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("answer %d %v: %s", resp.StatusCode, resp.Header, body)
			}
			token, err := oracle(authority, body, []byte("artifact"), func(o *verification.VerifyOpts) { o.Nonce = tt.nonce })
			check(t, err)
			if len(token.Certificates) != tt.certs {
				t.Errorf("%d certificates, want %d", len(token.Certificates), tt.certs)
			}
			if (tt.nonce == nil) != (token.Nonce == nil) {
				t.Errorf("nonce %v, want %v", token.Nonce, tt.nonce)
			}
		})
	}
}

func TestHandlerRefuses(t *testing.T) {
	url := serve(t, newTSA(t)) + Path
	mangled := query(t, nil)
	mangled[4] = 2 // the version
	for _, tt := range []struct {
		name string
		body []byte
		code timestamp.FailureInfo
		says string
	}{
		{"SHA-1", query(t, func(r *timestamp.Request) { r.HashAlgorithm, r.HashedMessage = crypto.SHA1, make([]byte, 20) }), timestamp.BadAlgorithm, "too weak"},
		{"short digest", query(t, func(r *timestamp.Request) { r.HashedMessage = make([]byte, 20) }), timestamp.BadDataFormat, "digest of 20"},
		{"long digest", query(t, func(r *timestamp.Request) { r.HashedMessage = make([]byte, 64) }), timestamp.BadDataFormat, "digest of 64"},
		{"other policy", query(t, func(r *timestamp.Request) { r.TSAPolicyOID = asn1.ObjectIdentifier{1, 2, 3} }), timestamp.UnacceptedPolicy, "policy 1.2.3"},
		{"extension", query(t, func(r *timestamp.Request) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}}
		}), timestamp.UnacceptedExtension, "1.2.3.4"},
		{"huge nonce", query(t, func(r *timestamp.Request) { r.Nonce = new(big.Int).Lsh(big.NewInt(1), maxNonceBits) }), timestamp.BadRequest, "nonce"},
		{"version 2", mangled, timestamp.BadRequest, "version 2"},
		{"trailing data", append(query(t, nil), 0), timestamp.BadDataFormat, "trailing"},
		{"garbage", []byte("hello"), timestamp.BadDataFormat, "TimeStampReq"},
		{"nothing", nil, timestamp.BadDataFormat, "TimeStampReq"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := do(t, http.MethodPost, url, queryType, tt.body)
			if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Type") != replyType {
				t.Fatalf("answer %d %v", resp.StatusCode, resp.Header)
			}
			_, err := timestamp.ParseResponse(body)
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), tt.code.String()) {
				t.Errorf("a client reads %v, want %q and %q", err, tt.says, tt.code)
			}
		})
	}
}

// TestRefusalIsDER compares bytes: decoders are more lenient than each other.
func TestRefusalIsDER(t *testing.T) {
	for _, tt := range []struct {
		code timestamp.FailureInfo
		fail string // BIT STRING: length, unused bits, bits
	}{
		{timestamp.BadAlgorithm, "\x03\x02\x07\x80"},
		{timestamp.BadRequest, "\x03\x02\x05\x20"},
		{timestamp.UnacceptedPolicy, "\x03\x03\x00\x00\x01"},
		{timestamp.SystemFailure, "\x03\x05\x06\x00\x00\x00\x40"},
	} {
		got, err := (&Refusal{tt.code, "no"}).encode()
		check(t, err)
		// PKIStatus rejection(2), one UTF8String, the failure.
		status := "\x02\x01\x02" + "\x30\x04\x0c\x02no" + tt.fail
		want := append([]byte{0x30, byte(len(status) + 2), 0x30, byte(len(status))}, status...) // a dozen bytes
		if !bytes.Equal(got, want) {
			t.Errorf("%d: %x, want %x", tt.code, got, want)
		}
	}
}

func TestHandlerHTTP(t *testing.T) {
	authority := newTSA(t)
	base := serve(t, authority)
	for _, tt := range []struct {
		name, method, path, contentType string
		body                            []byte
		want                            int
	}{
		{"no content type", http.MethodPost, Path, "", query(t, nil), http.StatusUnsupportedMediaType},
		{"JSON", http.MethodPost, Path, "application/json", query(t, nil), http.StatusUnsupportedMediaType},
		{"content type with a parameter", http.MethodPost, Path, queryType + "; x=y", query(t, nil), http.StatusCreated},
		{"too large", http.MethodPost, Path, queryType, make([]byte, maxRequest+1), http.StatusRequestEntityTooLarge},
		{"GET", http.MethodGet, Path, "", nil, http.StatusMethodNotAllowed},
		{"POST to the chain", http.MethodPost, ChainPath, "", nil, http.StatusMethodNotAllowed},
		{"elsewhere", http.MethodPost, Path + "/x", queryType, query(t, nil), http.StatusNotFound},
	} {
		resp, _ := do(t, tt.method, base+tt.path, tt.contentType, tt.body)
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
	}

	resp, body := do(t, http.MethodGet, base+ChainPath, "", nil)
	chain, err := cryptoutils.LoadCertificatesFromPEM(bytes.NewReader(body))
	check(t, err)
	if resp.StatusCode != http.StatusOK || len(chain) != 2 || !chain[0].Equal(authority.chain[0]) || !chain[1].Equal(authority.chain[1]) {
		t.Errorf("chain: %d, %d certificates", resp.StatusCode, len(chain))
	}
}

// broken is a KMS that is down.
type broken struct{ crypto.Signer }

var errDown = errors.New("kms: secret internals")

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errDown }

func TestHandlerHidesFailures(t *testing.T) {
	authority := newTSA(t)
	authority.signer = broken{authority.signer}
	resp, body := do(t, http.MethodPost, serve(t, authority)+Path, queryType, query(t, nil))
	if resp.StatusCode != http.StatusInternalServerError || strings.Contains(string(body), "internals") {
		t.Errorf("answer %d: %s", resp.StatusCode, body)
	}
}

// TestSigstoreClient runs the client that cosign 3 has inside.
func TestSigstoreClient(t *testing.T) {
	authority := newTSA(t)
	client := sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: serve(t, authority) + Path})
	response, err := client.GetTimestamp(t.Context(), []byte("artifact"))
	check(t, err)
	if _, err := oracle(authority, response, []byte("artifact"), nil); err != nil {
		t.Error(err)
	}
}

// FuzzAnswer posts anything. Every answer is one that a client can read: a
// token that verifies, or a refusal.
func FuzzAnswer(f *testing.F) {
	authority := newTSA(f)
	f.Add(query(f, nil))
	f.Add(query(f, func(r *timestamp.Request) { r.Certificates, r.Nonce = true, big.NewInt(-5) }))
	f.Add(query(f, func(r *timestamp.Request) { r.TSAPolicyOID = policy() }))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, body []byte) {
		status, reply, err := authority.answer(body)
		check(t, err)
		token, err := timestamp.ParseResponse(reply)
		switch status {
		case http.StatusCreated:
			check(t, err)
			req, err := timestamp.ParseRequest(body)
			check(t, err)
			if !bytes.Equal(token.HashedMessage, req.HashedMessage) || token.HashAlgorithm == crypto.SHA1 {
				t.Error("token is for something else")
			}
		case http.StatusBadRequest:
			if err == nil {
				t.Error("a refusal with a token")
			}
		default:
			t.Errorf("status %d", status)
		}
	})
}
