// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv2"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// body encodes a request as stock clients do.
func body(t testing.TB, req *pb.HashedRekordRequestV002) string {
	t.Helper()
	b, err := protojson.Marshal(&pb.CreateEntryRequest{
		Spec: &pb.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: req},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// answer is what came back.
type answer struct {
	status  int
	header  http.Header
	body    string
	code    int
	message string
}

// do sends a request; paths go out as they are written.
func (e *env) do(method, path, content string) answer {
	e.Helper()
	req, err := http.NewRequestWithContext(e.Context(), method, e.url, strings.NewReader(content))
	if err != nil {
		e.Fatal(err)
	}
	req.URL.Opaque = path
	req.Host = e.host
	res, err := http.DefaultTransport.RoundTrip(req) // no redirects
	if err != nil {
		e.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil {
		e.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(b)}
	var status struct {
		Code    int
		Message string
		Details []any
	}
	if json.Unmarshal(b, &status) == nil {
		a.code, a.message = status.Code, status.Message
	}
	return a
}

func (e *env) post(content string) answer {
	e.Helper()
	return e.do(http.MethodPost, "/api/v2/log/entries", content)
}

func TestRefusedRequests(t *testing.T) {
	ws := signers(t)
	p256, p384 := ws[0], ws[1]
	good := body(t, p256.request(t, "artifact"))
	change := func(f func(*pb.HashedRekordRequestV002)) string {
		req := p256.request(t, "artifact")
		f(req)
		return body(t, req)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pure := writer{"Ed25519", ed, crypto.SHA512, crypto.Hash(0), commonv1.PublicKeyDetails_PKIX_ED25519}
	p384sha256 := p384
	p384sha256.hash, p384sha256.opts = crypto.SHA256, crypto.SHA256
	p384sha256.details = commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_256 //nolint:staticcheck // deprecated, and still sent
	const invalid, wrongType = "invalid hashedrekord request", "invalid type, must be hashedrekord"
	for _, tc := range []struct {
		name, content string
		status, code  int
		message       string // exactly, or "" for any
	}{
		{"no body", "", 400, 3, ""},
		{"not JSON", "hello", 400, 3, ""},
		{"array", "[]", 400, 3, ""},
		{"null", "null", 400, 3, ""},
		{"nothing", "{}", 400, 3, wrongType},
		{"trailing data", good + "{}", 400, 3, ""},
		{"unknown member", `{"x":1}`, 400, 3, ""},
		{"unknown inner member", strings.Replace(good, `"digest"`, `"x":1,"digest"`, 1), 400, 3, ""},
		{"member twice", strings.Replace(good, `"digest"`, `"digest":"AA==","digest"`, 1), 400, 3, ""},
		{"null kind", `{"hashedRekordRequestV002":null}`, 400, 3, wrongType},
		{"empty kind", `{"hashedRekordRequestV002":{}}`, 400, 3, invalid},
		{"empty dsse", `{"dsseRequestV002":{}}`, 400, 3, "invalid dsse request"},
		{"not base64", strings.Replace(good, `"digest":"`, `"digest":"!`, 1), 400, 3, ""},
		{"deep", strings.Repeat(`{"a":`, 20000), 400, 3, ""},
		{"no digest", change(func(r *pb.HashedRekordRequestV002) { r.Digest = nil }), 400, 3, invalid},
		{"other digest", change(func(r *pb.HashedRekordRequestV002) { r.Digest[0] ^= 1 }), 400, 3, invalid},
		{"long digest", change(func(r *pb.HashedRekordRequestV002) { r.Digest = make([]byte, 64) }), 400, 3, invalid},
		{"digest with a tail that ECDSA ignores", change(func(r *pb.HashedRekordRequestV002) { r.Digest = append(r.Digest, 0) }), 400, 3, invalid},
		{"no signature", change(func(r *pb.HashedRekordRequestV002) { r.Signature = nil }), 400, 3, invalid},
		{"empty signature", change(func(r *pb.HashedRekordRequestV002) { r.Signature.Content = nil }), 400, 3, invalid},
		{"no verifier", change(func(r *pb.HashedRekordRequestV002) { r.Signature.Verifier = nil }), 400, 3, invalid},
		{"empty verifier", change(func(r *pb.HashedRekordRequestV002) { r.Signature.Verifier.Verifier = nil }), 400, 3, invalid},
		{"no key details", change(func(r *pb.HashedRekordRequestV002) { r.Signature.Verifier.KeyDetails = 0 }), 400, 3, invalid},
		{"other key details", change(func(r *pb.HashedRekordRequestV002) { r.Signature.Verifier.KeyDetails = p384.details }), 400, 3, invalid},
		{"details of another kind of key with the same hash", change(func(r *pb.HashedRekordRequestV002) {
			r.Signature.Verifier.KeyDetails = commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256
		}), 400, 3, invalid},
		{"unknown key details", change(func(r *pb.HashedRekordRequestV002) { r.Signature.Verifier.KeyDetails = 999 }), 400, 3, invalid},
		{"key as certificate", change(func(r *pb.HashedRekordRequestV002) {
			r.Signature.Verifier.Verifier = &pb.Verifier_X509Certificate{X509Certificate: &commonv1.X509Certificate{RawBytes: r.Signature.Verifier.GetPublicKey().RawBytes}}
		}), 400, 3, invalid},
		{"certificate chain", change(func(r *pb.HashedRekordRequestV002) {
			cert := p256.certificate(t, 0)
			r.Signature.Verifier.Verifier = &pb.Verifier_X509Certificate{X509Certificate: &commonv1.X509Certificate{RawBytes: append(cert, cert...)}}
		}), 400, 3, invalid},
		{"P-384 with SHA-256", body(t, p384sha256.request(t, "artifact")), 400, 3, invalid},
		{"pure Ed25519", body(t, pure.request(t, "artifact")), 400, 3, invalid},
		{"RSA 1024", body(t, weakRSA(t)), 400, 3, invalid},
		{"entry too large for a leaf", body(t, p256.withCertificate(t, p256.request(t, "artifact"), 50_000)), 413, 3, "the canonical entry is larger than 65535 bytes"},
		{"certificate too large for a leaf", body(t, p256.withCertificate(t, p256.request(t, "artifact"), 100_000)), 413, 3, "the canonical entry is larger than 65535 bytes"},
		{"many objects", `{"dsseRequestV002":{"envelope":{"signatures":[{}` + strings.Repeat(",{}", 64) + `]}}}`, 400, 3, "the request has more than 64 objects"},
		{"long name", `{"` + strings.Repeat("a", 100_000) + `":1}`, 400, 3, ""},
		{"request too large", strings.Repeat(" ", rekorv2.DefaultMaxBody) + good, 413, 3, "the request is larger than 4194304 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t, nil)
			got := e.post(tc.content)
			if got.status != tc.status || got.code != tc.code || (tc.message != "" && got.message != tc.message) || got.message == "" {
				t.Errorf("%d %s", got.status, got.body)
			}
			if !strings.HasSuffix(got.body, `,"details":[]}`) || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v %s", got.header, got.body)
			}
			if len(got.body) > 2000 {
				t.Errorf("an answer of %d bytes", len(got.body))
			}
			if e.log.Size() != 0 {
				t.Error("an entry was logged")
			}
			if got := e.post(good); got.status != http.StatusCreated {
				t.Errorf("after it, a good request: %d %s", got.status, got.body)
			}
		})
	}
}

// weakRSA is a signature by a key of 1,024 bits, which nothing accepts.
func weakRSA(t *testing.T) *pb.HashedRekordRequestV002 {
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // on purpose
	if err != nil {
		t.Fatal(err)
	}
	w := writer{"RSA 1024", key, crypto.SHA256, crypto.SHA256, commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256}
	return w.request(t, "artifact")
}

func TestAcceptedSpellings(t *testing.T) {
	e := newEnv(t, nil)
	good := body(t, signers(t)[0].request(t, "artifact"))
	snake := strings.NewReplacer("hashedRekordRequestV002", "hashed_rekord_request_v002", "publicKey", "public_key",
		"rawBytes", "raw_bytes", "keyDetails", "key_details").Replace(good)
	number := strings.Replace(good, `"PKIX_ECDSA_P256_SHA_256"`, "5", 1)
	if snake == good || number == good {
		t.Fatal("the spellings are the same")
	}
	for _, content := range []string{good, snake, number, " \n" + good + "\t"} {
		got := e.post(content)
		if got.status != http.StatusCreated {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if e.log.Size() != 1 {
		t.Errorf("one entry became %d", e.log.Size())
	}
}

// The answer has every member, set or not, and integers as strings.
func TestAnswerShape(t *testing.T) {
	got := newEnv(t, nil).post(body(t, signers(t)[0].request(t, "artifact")))
	var members map[string]any
	if err := json.Unmarshal([]byte(got.body), &members); err != nil {
		t.Fatal(err)
	}
	proof, _ := members["inclusionProof"].(map[string]any)
	for _, ok := range []bool{
		got.status == http.StatusCreated,
		got.header.Get("Content-Type") == "application/json",
		len(members) == 7, members["logIndex"] == "0", members["integratedTime"] == "0",
		strings.Contains(got.body, `"inclusionPromise":`), members["inclusionPromise"] == nil,
		len(proof) == 5, proof["treeSize"] == "1", proof["hashes"] != nil,
	} {
		if !ok {
			t.Fatalf("%d %v %s", got.status, got.header, got.body)
		}
	}
}

func TestMethodsAndPaths(t *testing.T) {
	e := newEnv(t, nil).to(origin)
	e.fill(0, 300)
	for _, tc := range []struct {
		method, path string
		status       int
		cache        string // "" for any
	}{
		{"GET", "/checkpoint", 200, "no-store"},
		{"GET", "/api/v2/checkpoint", 200, "no-store"},
		{"HEAD", "/checkpoint", 200, "no-store"},
		{"POST", "/checkpoint", 405, "no-store"},
		{"DELETE", "/tile/0/000", 405, "no-store"},
		{"GET", "/api/v2/log/entries", 405, "no-store"},
		{"PUT", "/api/v2/log/entries", 405, "no-store"},
		{"POST", "/log/entries", 404, "no-store"},
		{"GET", "/tile/0/000", 200, "public, max-age=31536000, immutable"},
		{"GET", "/api/v2/tile/0/000", 200, "public, max-age=31536000, immutable"},
		{"GET", "/tile/entries/000", 200, "public, max-age=31536000, immutable"},
		{"GET", "/api/v2/tile/entries/000", 200, "public, max-age=31536000, immutable"},
		{"GET", "/tile/0/001.p/44", 200, "public, max-age=60"},
		{"GET", "/tile/0/000.p/255", 200, "public, max-age=60"},
		{"GET", "/tile/0/001.p/1", 200, ""},
		{"GET", "/tile/entries/001.p/44", 200, "public, max-age=60"},
		{"GET", "/tile/1/000.p/1", 200, ""},
		{"GET", "/tile/0/001.p/45", 404, "no-store"},
		{"GET", "/tile/0/001", 404, "no-store"},
		{"GET", "/tile/entries/001.p/45", 404, ""},
		{"GET", "/tile/entries/001", 404, ""},
		{"GET", "/tile/1/000", 404, ""},
		{"GET", "/tile/1/000.p/2", 404, ""},
		{"GET", "/tile/2/000.p/1", 404, ""},
		{"GET", "/tile/63/000.p/1", 404, ""},
		{"GET", "/tile/64/000.p/1", 404, ""},
		{"GET", "/tile/999999999999999999999/000", 404, ""},
		{"GET", "/tile/-1/000", 404, ""},
		{"GET", "/tile/0/-01", 404, ""},
		{"GET", "/tile/00/000", 404, ""},
		{"GET", "/tile/+0/000", 404, ""},
		{"GET", "/tile/data/000", 404, ""},
		{"GET", "/tile/8/0/000", 404, ""},
		{"GET", "/tile/entries/0/000", 404, ""},
		{"GET", "/tile/entries/data/000", 404, ""},
		{"GET", "/tile/0/0", 404, ""},
		{"GET", "/tile/0/0000", 404, ""},
		{"GET", "/tile/0/x000/000", 404, ""},
		{"GET", "/tile/0/x001/000", 404, ""},
		{"GET", "/tile/0/x999/x999/x999/x999/x999/x999/x999/999", 404, ""},
		{"GET", "/tile/0/000.p/0", 404, ""},
		{"GET", "/tile/0/000.p/256", 404, ""},
		{"GET", "/tile/0/000.p/01", 404, ""},
		{"GET", "/tile/0/000.p/-1", 404, ""},
		{"GET", "/tile/0/000.p/", 404, ""},
		{"GET", "/tile/0/000/", 404, ""},
		{"GET", "/tile/0/%30%30%30", 404, ""},
		{"GET", "/tile%2f0%2f000", 404, ""},
		{"GET", "//tile/0/000", 404, ""},
		{"GET", "/tile/../checkpoint", 404, ""},
		{"GET", "/api/v2/api/v2/checkpoint", 404, ""},
		{"GET", "/api/v2checkpoint", 404, ""},
		{"GET", "/api/v2//checkpoint", 404, ""},
		{"GET", "//checkpoint", 404, ""},
		{"POST", "/api/v2/log/%65ntries", 404, "no-store"},
		{"GET", "/healthz", 404, ""},
		{"GET", "/api/v2/", 404, ""},
		{"GET", "/", 404, ""},
	} {
		got := e.do(tc.method, tc.path, "")
		if got.status != tc.status || (tc.cache != "" && got.header.Get("Cache-Control") != tc.cache) {
			t.Errorf("%s %s: %d, %q, want %d, %q", tc.method, tc.path, got.status, got.header.Get("Cache-Control"), tc.status, tc.cache)
		}
		if tc.status == 405 && got.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", tc.method, tc.path)
		}
	}
	if e.log.Size() != 300 {
		t.Errorf("%d entries", e.log.Size())
	}
}

func TestWriters(t *testing.T) {
	ours, stranger := signers(t)[0], writer{"stranger", p256(t), crypto.SHA256, crypto.SHA256, commonv1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256}
	check := func(leaf *x509.Certificate) (crypto.PublicKey, error) {
		if leaf.Subject.CommonName != ours.name {
			return nil, errors.New("its issuer is unknown")
		}
		return ours.key.Public(), nil
	}
	issued := body(t, ours.withCertificate(t, ours.request(t, "artifact"), 0))
	foreign := body(t, stranger.withCertificate(t, stranger.request(t, "artifact"), 0))
	bare := body(t, ours.request(t, "artifact"))
	for _, tc := range []struct {
		mode    writers.Mode
		name    string
		content string
		status  int
	}{
		{writers.Open, "issued", issued, 201},
		{writers.Open, "foreign", foreign, 201},
		{writers.Open, "bare key", bare, 201},
		{writers.Issued, "issued, not logged", issued, 403},
		{writers.Issued, "foreign", foreign, 403},
		{writers.Issued, "bare key", bare, 403},
		{writers.Closed, "issued", issued, 403},
		{writers.Closed, "foreign", foreign, 403},
		{writers.Closed, "bare key", bare, 403},
		{writers.Closed, "rubbish", "rubbish", 403},
	} {
		e := newEnv(t, func(_ *tlog.Config, cfg *writers.Config) {
			cfg.Mode = tc.mode
			cfg.CheckIssued = check
		})
		got := e.post(tc.content)
		if got.status != tc.status || (tc.status == 403 && (got.code != 7 || got.message == "")) {
			t.Errorf("%s, %s: %d %s", tc.mode, tc.name, got.status, got.body)
		}
		if logged := e.log.Size() == 1; logged != (tc.status == 201) {
			t.Errorf("%s, %s: %d entries", tc.mode, tc.name, e.log.Size())
		}
		// The signing service may write to every log.
		req := stranger.request(t, "in process")
		if _, err := e.service.Append(t.Context(), req.Digest, req.Signature.Content, stranger.certificate(t, 0), nil); err != nil {
			t.Errorf("%s: in process: %v", tc.mode, err)
		}
	}
}

// blocked returns a log that holds its first batch until release is closed.
func blocked(t *testing.T) (e *env, taken, release chan struct{}) {
	taken, release = make(chan struct{}, 100), make(chan struct{})
	e = newEnv(t, func(cfg *tlog.Config, _ *writers.Config) {
		cfg.MaxWaiting = 1
		cfg.Fault = func(p tlog.Point) error {
			if p == tlog.Taken {
				taken <- struct{}{}
				<-release
			}
			return nil
		}
	})
	return e, taken, release
}

func TestPushback(t *testing.T) {
	e, taken, release := blocked(t)
	w := signers(t)[0]
	contents := []string{body(t, w.request(t, "a")), body(t, w.request(t, "b")), body(t, w.request(t, "c"))}
	answers := make(chan answer, len(contents))
	go func() { answers <- e.post(contents[0]) }()
	<-taken // the first is in a batch; the pool has room for one
	go func() { answers <- e.post(contents[1]) }()
	go func() { answers <- e.post(contents[2]) }()
	refused := <-answers
	if refused.status != 503 || refused.code != 14 || refused.message != "reached max pushback; retry" || refused.header.Get("Retry-After") != "1" {
		t.Errorf("%d %v %s", refused.status, refused.header, refused.body)
	}
	close(release)
	for range 2 {
		if got := <-answers; got.status != 201 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	for _, content := range contents { // who was refused may come again
		if got := e.post(content); got.status != 201 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if e.log.Size() != 3 {
		t.Errorf("%d entries", e.log.Size())
	}
}

func TestClientGoesAway(t *testing.T) {
	e, taken, release := blocked(t)
	content := body(t, signers(t)[0].request(t, "artifact"))
	ctx, cancel := context.WithCancel(t.Context())
	recorder := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.service.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v2/log/entries", strings.NewReader(content)))
	}()
	<-taken
	cancel()
	<-done
	if recorder.Code != 499 {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
	close(release)
	// The entry was on its way: asking again finds it.
	if got := e.post(content); got.status != 201 || e.log.Size() != 1 {
		t.Errorf("%d %s, %d entries", got.status, got.body, e.log.Size())
	}
}

func TestLogNotAvailable(t *testing.T) {
	w := signers(t)[0]
	e := newEnv(t, func(cfg *tlog.Config, _ *writers.Config) {
		cfg.Fault = func(p tlog.Point) error {
			if p == tlog.BeforeCommit {
				return errors.New("disk full")
			}
			return nil
		}
	})
	got := e.post(body(t, w.request(t, "artifact")))
	if got.status != 503 || got.code != 14 || got.header.Get("Retry-After") == "" || strings.Contains(got.body, "disk") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := e.do("GET", "/checkpoint", ""); got.status != 200 || !strings.HasPrefix(got.body, origin+"\n0\n") {
		t.Errorf("reading meanwhile: %d %s", got.status, got.body)
	}
}

// Whatever is posted, the answer is well-formed, nothing panics, and the log
// grows only for a 201 whose entry is the canonical form of itself.
func FuzzPost(f *testing.F) {
	e := newEnv(f, nil)
	for _, w := range signers(f) {
		f.Add([]byte(body(f, w.request(f, "artifact"))))
	}
	f.Add([]byte(body(f, signers(f)[0].withCertificate(f, signers(f)[0].request(f, "artifact"), 0))))
	f.Add([]byte(dsseBody(f, signers(f)[0].pae(f), nil)))
	f.Add([]byte(`{"dsseRequestV002":{"envelope":{"signatures":[{}]},"verifiers":[{"keyDetails":"PKIX_ED25519"}]}}`))
	f.Add([]byte(`{"hashedRekordRequestV002":{"signature":{"verifier":{"publicKey":{"rawBytes":"AA=="}}}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		before := e.log.Size()
		recorder := httptest.NewRecorder()
		e.service.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v2/log/entries", strings.NewReader(string(content))))
		var got struct {
			Code              int
			Message           string
			LogIndex          string
			CanonicalizedBody string
		}
		if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
			t.Fatalf("%d %s: %v", recorder.Code, recorder.Body, err)
		}
		if recorder.Code != http.StatusCreated {
			if got.Code == 0 || got.Message == "" || e.log.Size() != before {
				t.Errorf("%d %s, size %d to %d", recorder.Code, recorder.Body, before, e.log.Size())
			}
			return
		}
		leaf, err := base64.StdEncoding.DecodeString(got.CanonicalizedBody)
		if err != nil {
			t.Fatal(err)
		}
		var entry pb.Entry
		if err := protojson.Unmarshal(leaf, &entry); err != nil {
			t.Fatal(err)
		}
		if string(leaf) != canonical(t, &entry) {
			t.Errorf("leaf %s is not canonical", leaf)
		}
	})
}
