// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/hallmark-dev/hallmark/signer"
)

const subject = "repo:acme/app:ref:refs/heads/main"

// desk is a Certifier that knows one token, and certifies what was proven.
type desk struct {
	mu    sync.Mutex
	calls []signer.CertifyRequest
	keys  []crypto.PublicKey // proven
	fail  error
	key   *ecdsa.PrivateKey
}

func (d *desk) Certify(_ context.Context, req signer.CertifyRequest) (signer.Certificate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, req)
	if d.fail != nil {
		return signer.Certificate{}, d.fail
	}
	if req.Token != "good" {
		return signer.Certificate{}, &signer.Unauthenticated{Reason: "wrong_audience", Detail: "the audience is another one"}
	}
	key, err := req.Prove(signer.Principal{Subject: subject})
	if err != nil {
		return signer.Certificate{}, err
	}
	d.keys = append(d.keys, key)
	leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(7)}, &x509.Certificate{SerialNumber: big.NewInt(8)}, key, d.key)
	return signer.Certificate{Leaf: leaf, Chain: [][]byte{[]byte("issuing"), []byte("root")}}, err
}

// newAPI returns the API as a server has it.
func newAPI(t testing.TB) (*desk, http.Handler) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{key: key}
	a, err := New(Config{
		Certifier: d, Chains: func() [][]*x509.Certificate {
			return [][]*x509.Certificate{{{Raw: []byte("issuing")}, {Raw: []byte("root")}}}
		}, Audience: "sigstore",
		Issuers:   []Issuer{{"https://token.actions.githubusercontent.com", "github"}, {"https://ci.corp.example", "jenkins"}},
		RequestID: func(context.Context) string { return "ID" },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a.Register(mux)
	return d, mux
}

func send(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.1:1234"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var withToken = []string{"Authorization", "Bearer good", "Content-Type", "application/json"}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type m = map[string]any

func v2(key string, proof []byte) m {
	return m{"publicKeyRequest": m{"publicKey": m{"algorithm": "ECDSA", "content": key}, "proofOfPossession": proof}}
}

// v1 is what cosign 2.6 sends.
func v1(key, proof []byte) m {
	return m{"publicKey": m{"content": key, "algorithm": ""}, "signedEmailAddress": proof, "certificateSigningRequest": nil}
}

func pemOf(t testing.TB, pub crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// proofOf signs text with the default hash of the key.
func proofOf(t testing.TB, key crypto.Signer, text string) []byte {
	t.Helper()
	s, err := signature.LoadDefaultSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := s.SignMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func csrOf(t testing.TB, key crypto.Signer, change ...func(*x509.CertificateRequest)) []byte {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "somebody else"}}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func newEC(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// goodKeys are all kinds that Fulcio certifies.
func goodKeys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{
		"P-256": newEC(t, elliptic.P256()), "P-384": newEC(t, elliptic.P384()), "P-521": newEC(t, elliptic.P521()), "Ed25519": ed,
		"RSA 2048": newRSA(t, 2048), "RSA 3072": newRSA(t, 3072), "RSA 4096": newRSA(t, 4096),
	}
}

// TestCertificate: every kind of key, in every form of the request, gets its
// certificate in the form that the client wants.
func TestCertificate(t *testing.T) {
	for name, key := range goodKeys(t) {
		text, proof := pemOf(t, key.Public()), proofOf(t, key, subject)
		block, _ := pem.Decode([]byte(text))
		for form, req := range map[string]struct {
			path string
			body m
		}{
			"v2":     {PathV2Certificate, v2(text, proof)},
			"v2 csr": {PathV2Certificate, m{"certificateSigningRequest": csrOf(t, key)}},
			"v1 PEM": {PathV1Certificate, v1([]byte(text), proof)},
			"v1 DER": {PathV1Certificate, v1(block.Bytes, proof)},
			"v1 csr": {PathV1Certificate, m{"publicKey": nil, "certificateSigningRequest": csrOf(t, key)}},
		} {
			d, h := newAPI(t)
			w := send(h, http.MethodPost, req.path, encode(t, req.body), withToken...)
			leaf := checkAnswer(t, w, req.path == PathV1Certificate)
			if leaf == nil {
				t.Errorf("%s %s: %d %s", name, form, w.Code, w.Body)
				continue
			}
			if pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(leaf.PublicKey) {
				t.Errorf("%s %s: certified is another key", name, form)
			}
			if o := d.calls[0].Origin; o.RequestID != "ID" || o.RemoteAddr != "192.0.2.1:1234" {
				t.Errorf("%s %s: origin %+v", name, form, o)
			}
		}
	}
}

// checkAnswer returns the leaf of an answer that is as clients want it.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, old bool) *x509.Certificate {
	t.Helper()
	var chain string
	if old {
		if w.Code != http.StatusCreated || w.Header().Get("Content-Type") != "application/pem-certificate-chain" || w.Header().Get("SCT") != "" {
			return nil
		}
		chain = w.Body.String()
	} else {
		var got struct {
			SignedCertificateEmbeddedSct struct {
				Chain struct{ Certificates []string }
			}
		}
		dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			return nil
		}
		chain = strings.Join(got.SignedCertificateEmbeddedSct.Chain.Certificates, "")
	}
	first, rest := pem.Decode([]byte(chain))
	second, rest := pem.Decode(rest)
	third, rest := pem.Decode(rest)
	if first == nil || second == nil || third == nil || string(second.Bytes) != "issuing" || string(third.Bytes) != "root" || len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("chain %s", chain)
		return nil
	}
	leaf, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		t.Error(err)
	}
	return leaf
}

// TestForms are spellings of a good request that clients of gRPC's JSON use.
func TestForms(t *testing.T) {
	key := newEC(t, elliptic.P256())
	text, proof := pemOf(t, key.Public()), proofOf(t, key, subject)
	snake := m{"public_key_request": m{"public_key": m{"content": text}, "proof_of_possession": proof}}
	withCredentials := v2(text, proof)
	withCredentials["credentials"] = m{"oidcIdentityToken": "good"}
	unknown := v2(text, proof)
	unknown["aMemberOfTheFuture"] = m{"x": 1}
	unknown["publicKeyRequest"] = m{"publicKey": m{"algorithm": "ML_DSA", "content": text}, "proofOfPossession": proof}
	for name, tc := range map[string]struct {
		body   m
		header []string
	}{
		"snake case":                {snake, withToken},
		"token in credentials":      {withCredentials, []string{"Content-Type", "application/json"}},
		"token in both":             {withCredentials, withToken},
		"members of the future":     {unknown, withToken},
		"no content type":           {v2(text, proof), withToken[:2]},
		"content type with charset": {v2(text, proof), []string{"Authorization", "bearer good", "Content-Type", "application/json; charset=utf-8"}},
	} {
		_, h := newAPI(t)
		if w := send(h, http.MethodPost, PathV2Certificate, encode(t, tc.body), tc.header...); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// TestBadInput: no certificate, and the reason in Fulcio's form.
func TestBadInput(t *testing.T) {
	key, other := newEC(t, elliptic.P256()), newEC(t, elliptic.P256())
	text, proof := pemOf(t, key.Public()), proofOf(t, key, subject)
	good := encode(t, v2(text, proof))
	p224 := newEC(t, elliptic.P224())
	rsa1024 := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	dsaKey := "-----BEGIN PUBLIC KEY-----\nMIIBtzCCASwGByqGSM44BAEwggEfAoGBAA==\n-----END PUBLIC KEY-----\n"
	for name, tc := range map[string]struct {
		path, body string
		header     []string
		status     int
		code       int
		says       string
	}{
		"empty":                       {"", "", withToken, 400, 3, "not JSON"},
		"no JSON":                     {"", "key=value", withToken, 400, 3, "not JSON"},
		"cut":                         {"", good[:len(good)-1], withToken, 400, 3, "not JSON"},
		"trailing":                    {"", good + "{}", withToken, 400, 3, "not JSON"},
		"a list":                      {"", "[]", withToken, 400, 3, "cannot be read"},
		"null":                        {"", "null", withToken, 400, 3, "cannot be read"},
		"nothing in it":               {"", "{}", withToken, 400, 3, "could not be parsed"},
		"a member twice":              {"", `{"publicKeyRequest":{},"publicKeyRequest":{}}`, withToken, 400, 3, "not JSON"},
		"a member in two cases":       {"", `{"publicKeyRequest":{},"publickeyrequest":{}}`, withToken, 400, 3, "not JSON"},
		"bad UTF-8":                   {"", "{\"x\":\"\xff\"}", withToken, 400, 3, "not JSON"},
		"deep":                        {"", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), withToken, 400, 3, "not JSON"},
		"wrong type":                  {"", `{"publicKeyRequest":7}`, withToken, 400, 3, "cannot be read"},
		"proof is no base64":          {"", `{"publicKeyRequest":{"publicKey":{"content":"x"},"proofOfPossession":"?"}}`, withToken, 400, 3, "cannot be read"},
		"large":                       {"", `{"x":"` + strings.Repeat("a", maxBody) + `"}`, withToken, 413, 3, "more than 65536 bytes"},
		"large key":                   {"", encode(t, v2(strings.Repeat("a", maxPart+1), proof)), withToken, 400, 3, "public key of 16385 bytes"},
		"large proof":                 {"", encode(t, v2(text, make([]byte, maxPart+1))), withToken, 400, 3, "proof of possession of"},
		"form":                        {"", good, []string{"Authorization", "Bearer good", "Content-Type", "application/x-www-form-urlencoded"}, 400, 3, "content type"},
		"no token":                    {"", good, nil, 401, 16, "There was an error processing the identity token"},
		"bad token":                   {"", good, []string{"Authorization", "Bearer bad"}, 401, 16, `audience "sigstore"`},
		"basic":                       {"", good, []string{"Authorization", "Basic Z29vZA=="}, 400, 3, "not that of a bearer token"},
		"two headers":                 {"", good, []string{"Authorization", "Bearer good", "Authorization", "Bearer good"}, 400, 3, "more than one"},
		"two tokens":                  {"", strings.Replace(good, "{", `{"credentials":{"oidcIdentityToken":"x"},`, 1), withToken, 400, 3, "two different tokens"},
		"no key":                      {"", encode(t, v2("", proof)), withToken, 400, 3, sayBadKey},
		"key is rubbish":              {"", encode(t, v2("rubbish", proof)), withToken, 400, 3, sayBadKey},
		"key is a private one":        {"", encode(t, v2(privatePEM(t, key), proof)), withToken, 400, 3, sayBadKey},
		"two keys":                    {"", encode(t, v2(text+pemOf(t, other.Public()), proof)), withToken, 400, 3, sayBadKey},
		"key and CSR":                 {PathV1Certificate, encode(t, m{"publicKey": m{"content": []byte(text)}, "signedEmailAddress": proof, "certificateSigningRequest": csrOf(t, key)}), withToken, 400, 3, "one of them"},
		"key and CSR, v2":             {"", encode(t, m{"publicKeyRequest": v2(text, proof)["publicKeyRequest"], "certificateSigningRequest": csrOf(t, key)}), withToken, 400, 3, "cannot be read"},
		"no proof":                    {"", encode(t, v2(text, nil)), withToken, 400, 3, sayBadProof},
		"proof of another key":        {"", encode(t, v2(text, proofOf(t, other, subject))), withToken, 400, 3, sayBadProof},
		"proof for another subject":   {"", encode(t, v2(text, proofOf(t, key, "repo:acme/other"))), withToken, 400, 3, sayBadProof},
		"proof for no subject":        {"", encode(t, v2(text, proofOf(t, key, ""))), withToken, 400, 3, sayBadProof},
		"proof with a byte more":      {"", encode(t, v2(text, append(proof[:len(proof):len(proof)], 0))), withToken, 400, 3, sayBadProof},
		"P-224":                       {"", encode(t, v2(pemOf(t, p224.Public()), []byte("x"))), withToken, 400, 3, sayWeakKey},
		"RSA 1024":                    {"", encode(t, v2(pemOf(t, rsa1024), []byte("x"))), withToken, 400, 3, sayWeakKey},
		"DSA":                         {"", encode(t, v2(dsaKey, []byte("x"))), withToken, 400, 3, sayBadKey},
		"point is not on the curve":   {"", encode(t, v2(offCurve(t), []byte("x"))), withToken, 400, 3, sayBadKey},
		"CSR is rubbish":              {"", encode(t, m{"certificateSigningRequest": []byte("rubbish")}), withToken, 400, 3, sayBadCSR},
		"CSR is a key":                {"", encode(t, m{"certificateSigningRequest": []byte(text)}), withToken, 400, 3, sayBadCSR},
		"two CSRs":                    {"", encode(t, m{"certificateSigningRequest": append(csrOf(t, key), csrOf(t, key)...)}), withToken, 400, 3, sayBadCSR},
		"CSR, DER":                    {"", encode(t, m{"certificateSigningRequest": []byte("0\x00")}), withToken, 400, 3, sayBadCSR},
		"CSR with another's key":      {"", encode(t, m{"certificateSigningRequest": swapKey(t, key, other)}), withToken, 400, 3, sayBadProof},
		"CSR with P-224":              {"", encode(t, m{"certificateSigningRequest": csrOf(t, p224)}), withToken, 400, 3, sayWeakKey},
		"CSR with SHA-1":              {"", encode(t, m{"certificateSigningRequest": sha1CSR(t)}), withToken, 400, 3, sayBadProof},
		"v1 with a token in the body": {PathV1Certificate, strings.Replace(encode(t, v1([]byte(text), proof)), "{", `{"credentials":{"oidcIdentityToken":"good"},`, 1), nil, 401, 16, "identity token"},
	} {
		if tc.path == "" {
			tc.path = PathV2Certificate
		}
		d, h := newAPI(t)
		w := send(h, http.MethodPost, tc.path, tc.body, tc.header...)
		got := errorOf(t, w)
		if w.Code != tc.status || got.Code != tc.code || !strings.Contains(got.Message, tc.says) {
			t.Errorf("%s: %d %+v, want %d, code %d, %q", name, w.Code, got, tc.status, tc.code, tc.says)
		}
		if len(d.keys) != 0 {
			t.Errorf("%s: a key was taken for proven", name)
		}
	}
}

type status struct {
	Code    int
	Message string
	Details []any
}

// errorOf reads an error and checks its form.
func errorOf(t *testing.T, w *httptest.ResponseRecorder) status {
	t.Helper()
	var s status
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil || s.Details == nil || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("not a gRPC status: %v, %s", err, w.Body)
	}
	if len(s.Message) > 500 {
		t.Errorf("a message of %d bytes", len(s.Message))
	}
	return s
}

// TestFlowErrors are the answers to what the flow says.
func TestFlowErrors(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		code   int
		says   string
		retry  bool
	}{
		{&signer.Refused{Stage: "policy", Reasons: []string{"one", "two"}}, 403, 7, "no certificate for this workflow: one; two", false},
		{&signer.Unauthenticated{Reason: "expired", Detail: "since noon"}, 401, 16, sayBadToken + ": token refused (expired): since noon", false},
		{fmt.Errorf("%w: a key of clay", signer.ErrBadRequest), 400, 3, "a key of clay", false},
		{fmt.Errorf("%w; of this one: x", signer.ErrTooManyRefusals), 429, 8, "too many", true},
		{&signer.Replayed{Reason: signer.ReplayExhausted, Most: 20}, 403, 7, "replay", false},
		{&signer.OverQuota{Of: "project 1", RetryAfter: time.Second}, 429, 8, "too many requests", true},
		{fmt.Errorf("%w: dial tcp 10.1.2.3", signer.ErrNoKeys), 503, 14, "does not answer", true},
		{fmt.Errorf("%w: 10.1.2.3", signer.ErrBusy), 503, 14, "busy", true},
		{errors.New("password of the database is xyzzy"), 500, 13, "under request id ID", false},
	} {
		d, h := newAPI(t)
		d.fail = tc.err
		w := send(h, http.MethodPost, PathV2Certificate, encode(t, v2("k", []byte("p"))), withToken...)
		got := errorOf(t, w)
		if w.Code != tc.status || got.Code != tc.code || !strings.Contains(got.Message, tc.says) || (w.Header().Get("Retry-After") != "") != tc.retry {
			t.Errorf("%v: %d %+v %v", tc.err, w.Code, got, w.Header())
		}
		for _, secret := range []string{"10.1.2.3", "xyzzy", "good"} {
			if strings.Contains(got.Message, secret) {
				t.Errorf("%v: told %q", tc.err, got.Message)
			}
		}
	}
}

// TestReading: the answers to everybody.
func TestReading(t *testing.T) {
	_, h := newAPI(t)
	for path, want := range map[string][2]string{
		PathV2TrustBundle: {contentJSON, `{"chains":[{"certificates":["-----BEGIN CERTIFICATE-----\naXNzdWluZw==\n-----END CERTIFICATE-----\n","-----BEGIN CERTIFICATE-----\ncm9vdA==\n-----END CERTIFICATE-----\n"]}]}`},
		PathV1Root:        {contentPEM, "-----BEGIN CERTIFICATE-----\naXNzdWluZw==\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\ncm9vdA==\n-----END CERTIFICATE-----\n"},
		PathV2Configuration: {contentJSON, `{"issuers":[` +
			`{"issuerUrl":"https://token.actions.githubusercontent.com","audience":"sigstore","challengeClaim":"sub","spiffeTrustDomain":"","issuerType":"github-workflow","subjectDomain":""},` +
			`{"issuerUrl":"https://ci.corp.example","audience":"sigstore","challengeClaim":"sub","spiffeTrustDomain":"","issuerType":"ci-provider","subjectDomain":""}]}`},
	} {
		w := send(h, http.MethodGet, path, "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want[0] || w.Body.String() != want[1] {
			t.Errorf("%s: %d %s %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if w := send(h, http.MethodPost, path, ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET" || errorOf(t, w).Code != 12 {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
	for _, path := range []string{PathV1Certificate, PathV2Certificate} {
		if w := send(h, http.MethodGet, path, "", withToken...); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
}

// TestCSRNamesNobody: what a signing request wants to be called has no effect;
// the certificate is made of the token.
func TestCSRNamesNobody(t *testing.T) {
	d, h := newAPI(t)
	u, err := url.Parse("https://github.com/victim/app/.github/workflows/release.yml@refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	csr := csrOf(t, newEC(t, elliptic.P256()), func(c *x509.CertificateRequest) { c.URIs = []*url.URL{u} })
	w := send(h, http.MethodPost, PathV2Certificate, encode(t, m{"certificateSigningRequest": csr}), withToken...)
	if leaf := checkAnswer(t, w, false); leaf == nil || len(leaf.URIs) != 0 || len(d.keys) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestConfigIsChecked(t *testing.T) {
	d, _ := newAPI(t)
	full := Config{Certifier: d, Chains: func() [][]*x509.Certificate { return nil }, Audience: "sigstore", Issuers: []Issuer{{"https://ci.example", "x"}}}
	for name, change := range map[string]func(*Config){
		"certifier": func(c *Config) { c.Certifier = nil }, "chain": func(c *Config) { c.Chains = nil },
		"audience": func(c *Config) { c.Audience = "" }, "issuers": func(c *Config) { c.Issuers = nil },
	} {
		cfg := full
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("no %s: accepted", name)
		}
	}
}
