// SPDX-License-Identifier: Apache-2.0

package load

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// certificateIn digs the certificate out of a v2 request.
func certificateIn(t *testing.T, body []byte) *x509.Certificate {
	t.Helper()
	var w struct {
		R struct {
			Signature struct {
				Verifier struct {
					X509Certificate struct{ RawBytes []byte }
				}
			}
		} `json:"hashedRekordRequestV002"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(w.R.Signature.Verifier.X509Certificate.RawBytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Entries must cost a log what those of the service do: a key and a valid
// certificate of their own, with everything that is indexed.
func TestRequestsAreLikeThoseOfTheService(t *testing.T) {
	m, err := NewMaker(7)
	if err != nil {
		t.Fatal(err)
	}
	const n = 2*repositories + 1
	reqs, err := m.MakeAll(t.Context(), 0, n, V2)
	if err != nil {
		t.Fatal(err)
	}
	keys, digests := map[string]bool{}, map[string]bool{}
	for i := range reqs {
		cert := certificateIn(t, reqs[i].Body)
		if err := cert.CheckSignatureFrom(m.authority.cert); err != nil {
			t.Fatalf("certificate %d: %v", i, err)
		}
		key, ok := cert.PublicKey.(*ecdsa.PublicKey)
		if !ok {
			t.Fatalf("%T", cert.PublicKey)
		}
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		keys[string(point)], digests[reqs[i].Digest] = true, true
	}
	if len(keys) != n || len(digests) != n {
		t.Errorf("%d requests have %d keys and %d digests", n, len(keys), len(digests))
	}
	found := strings.Join(index.OfCertificate(certificateIn(t, reqs[0].Body)), " ")
	for _, kind := range []string{"identity:", "issuer:", "repository:", "commit:", "workflow:", "publickey:"} {
		if !strings.Contains(found, kind) {
			t.Errorf("no %s among the index keys %s", kind, found)
		}
	}
}

// TestConn reads what servers of net/http write in their several ways, and
// tells a cut from an answer.
func TestConn(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/short":
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte("short"))
		case "/long":
			_, _ = w.Write([]byte(long)) // in chunks
		case "/last":
			w.Header().Set("Connection", "close")
			_, _ = w.Write([]byte("last"))
		case "/cut":
			_, _ = w.Write([]byte(long))
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	conn := NewConn(server.URL)
	defer conn.Close()
	for range 2 {
		for _, tc := range []struct {
			path, body string
			status     int
		}{{"/short", "short", 201}, {"/long", long, 200}, {"/last", "last", 200}, {"/empty", "", 200}} {
			status, body, err := conn.Do(t.Context(), tc.path, nil)
			if err != nil || status != tc.status || string(body) != tc.body {
				t.Errorf("%s: %d, %d bytes, %v", tc.path, status, len(body), err)
			}
		}
		if _, body, err := conn.Do(t.Context(), "/cut", nil); err == nil {
			t.Errorf("a cut answer was taken for one of %d bytes", len(body))
		}
	}
}

// TestOpenCountsFromThePlan has a server stall once: every request that was
// planned meanwhile must show it, not only the one that hit it.
func TestOpenCountsFromThePlan(t *testing.T) {
	const stall = 300 * time.Millisecond
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := 0 // one connection, one goroutine
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if served++; served == 1 {
			time.Sleep(stall) // what is measured
		}
		w.WriteHeader(http.StatusCreated)
	})}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	const n, rate = 10, 1000
	reqs := make([]Request, n)
	for i := range reqs {
		reqs[i] = Request{Kind: V2, Body: []byte("{}")}
	}
	r, err := Open(t.Context(), []string{"http://" + listener.Addr().String()}, 1, reqs, rate)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Quantile(0); len(r.Latencies) != n || got < stall-n*time.Second/rate {
		t.Errorf("%d latencies, the smallest is %v: a stall of %v is hidden", len(r.Latencies), got, stall)
	}
}

func TestPromisedIsCanonical(t *testing.T) {
	a := Answer{Body: []byte(`{"a":"<&>"}`), Time: 5, LogID: []byte{0xab}, Global: 7}
	want := `{"body":"` + base64.StdEncoding.EncodeToString(a.Body) + `","integratedTime":5,"logID":"ab","logIndex":7}`
	if got := string(a.promised()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkMake(b *testing.B) {
	m, err := NewMaker(1)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := m.Make(i, V1DSSE); err != nil {
			b.Fatal(err)
		}
	}
}
