// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// author is somebody with a P-256 key and files.
type author struct {
	dir    string
	key    *ecdsa.PrivateKey
	public []byte // PEM
}

func newAuthor(t testing.TB) *author {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	check(t, err)
	a := &author{dir: t.TempDir(), key: key, public: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
	a.file(t, "key.pub", a.public)
	return a
}

// der is the author's public key as SubjectPublicKeyInfo.
func (a *author) der(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(a.key.Public())
	check(t, err)
	return der
}

// file writes a file and returns its path.
func (a *author) file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	check(t, os.WriteFile(path, content, 0o600))
	return path
}

func (a *author) path(name string) string { return filepath.Join(a.dir, name) }

// sign signs SHA-256 of a message.
func (a *author) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(message)
	signature, err := a.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	check(t, err)
	return signature
}

// certificate is one that the author gave themselves, with an e-mail address;
// PEM.
func (a *author) certificate(t testing.TB, email string) []byte {
	t.Helper()
	return pemOf(a.certify(t, &x509.Certificate{EmailAddresses: []string{email}}))
}

// fatCertificate is one of at least so many bytes, DER.
func (a *author) fatCertificate(t testing.TB, fat int) []byte {
	t.Helper()
	return a.certify(t, &x509.Certificate{
		EmailAddresses:  []string{"fat@example.com"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: make([]byte, fat)}},
	})
}

func (a *author) certify(t testing.TB, template *x509.Certificate) []byte {
	t.Helper()
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "author"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	check(t, err)
	return der
}

// envelope is a DSSE envelope of a statement about an artifact.
func (a *author) envelope(t testing.TB, artifact []byte) []byte {
	t.Helper()
	payload := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"%x"}}],"predicateType":"https://example.com/p","predicate":{}}`, sha256.Sum256(artifact))
	envelope, err := json.Marshal(map[string]any{
		"payloadType": attest.PayloadType, "payload": base64.StdEncoding.EncodeToString(payload),
		"signatures": []map[string]string{{"sig": base64.StdEncoding.EncodeToString(a.sign(t, attest.PAE(attest.PayloadType, payload)))}},
	})
	check(t, err)
	return envelope
}

// stamp asks the service for a timestamp token over a message.
func stamp(t testing.TB, l *lab.Lab, message []byte) []byte {
	t.Helper()
	query, err := timestamp.CreateRequest(bytes.NewReader(message), &timestamp.RequestOptions{Hash: crypto.SHA256, Certificates: true})
	check(t, err)
	answer := send(t, http.MethodPost, l.URL+"/api/v1/timestamp", "application/timestamp-query", query)
	if answer.status != http.StatusOK && answer.status != http.StatusCreated {
		t.Fatalf("timestamp: %d %s", answer.status, answer.body)
	}
	return answer.body
}

// hashedRekord is a proposed v1 entry.
func (a *author) hashedRekord(t testing.TB, artifact []byte) []byte {
	t.Helper()
	return fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`,
		sha256.Sum256(artifact), base64.StdEncoding.EncodeToString(a.sign(t, artifact)), base64.StdEncoding.EncodeToString(a.public))
}

// hashedRekordV2 is a request to the v2 API.
func (a *author) hashedRekordV2(t testing.TB, artifact []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(artifact)
	der, err := x509.MarshalPKIXPublicKey(a.key.Public())
	check(t, err)
	return fmt.Appendf(nil, `{"hashedRekordRequestV002":{"digest":"%s","signature":{"content":"%s","verifier":{"publicKey":{"rawBytes":"%s"},"keyDetails":"PKIX_ECDSA_P256_SHA_256"}}}}`,
		base64.StdEncoding.EncodeToString(digest[:]), base64.StdEncoding.EncodeToString(a.sign(t, artifact)), base64.StdEncoding.EncodeToString(der))
}

// answered is an HTTP answer.
type answered struct {
	status int
	header http.Header
	body   []byte
}

// maxAnswer bounds what a test reads of an answer.
const maxAnswer = 32 << 20

// send makes one request.
func send(t testing.TB, method, url, contentType string, body []byte) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	check(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer func() { _ = resp.Body.Close() }() // read below
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	check(t, err)
	return answered{resp.StatusCode, resp.Header, raw}
}

func get(t testing.TB, url string) answered { return send(t, http.MethodGet, url, "", nil) }

// unmarshal reads JSON.
func unmarshal[T any](t testing.TB, raw []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return v
}
