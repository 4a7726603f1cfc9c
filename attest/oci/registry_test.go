// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

const (
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	imageConfig    = "application/vnd.oci.image.config.v1+json"
)

// fake is a real registry that can be told to misbehave.
type fake struct {
	t      testing.TB
	inner  http.Handler
	server *httptest.Server
	host   string

	mu       sync.Mutex
	requests []string                                                 // "METHOD path", in order
	trick    func(w http.ResponseWriter, r *http.Request) (done bool) // before the registry sees it
}

// newFake starts a registry, with or without the referrers API.
func newFake(t testing.TB, referrers bool) *fake {
	f := &fake{t: t, inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers))}
	f.server = httptest.NewServer(f)
	f.host = strings.TrimPrefix(f.server.URL, "http://")
	t.Cleanup(f.server.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	trick := f.trick
	f.mu.Unlock()
	if trick == nil || !trick(w, r) {
		f.inner.ServeHTTP(w, r)
	}
}

// misbehave installs a trick and forgets the requests so far.
func (f *fake) misbehave(trick func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trick, f.requests = trick, nil
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.requests...)
}

// client makes a client that may use the registry and nothing else.
func (f *fake) client(change ...func(*oci.Config)) *oci.Client {
	f.t.Helper()
	cfg := oci.Config{Registries: []oci.Registry{{Host: f.host, Insecure: true}}, Timeout: time.Minute}
	for _, c := range change {
		c(&cfg)
	}
	c, err := oci.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// do speaks to the registry behind the tricks.
func (f *fake) do(method, path, contentType string, body []byte) *http.Response {
	f.t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	f.inner.ServeHTTP(w, r)
	return w.Result()
}

// push stores a manifest and returns its digest.
func (f *fake) push(name, contentType string, body []byte) attest.Digest {
	f.t.Helper()
	digest := attest.DigestOf(body)
	if name == "" {
		name = string(digest)
	}
	resp := f.do(http.MethodPut, "/v2/acme/app/manifests/"+name, contentType, body)
	defer func() { _ = resp.Body.Close() }() // read by the test
	if resp.StatusCode != http.StatusCreated {
		f.t.Fatalf("push: %s", resp.Status)
	}
	return digest
}

func (f *fake) pushBlob(b []byte) {
	f.t.Helper()
	resp := f.do(http.MethodPost, "/v2/acme/app/blobs/uploads/?digest="+string(attest.DigestOf(b)), "application/octet-stream", b)
	defer func() { _ = resp.Body.Close() }() // read by the test
	if resp.StatusCode != http.StatusCreated {
		f.t.Fatalf("push blob: %s", resp.Status)
	}
}

func (f *fake) hasBlob(b []byte) bool {
	resp := f.do(http.MethodHead, "/v2/acme/app/blobs/"+string(attest.DigestOf(b)), "", nil)
	_ = resp.Body.Close() // nothing in it
	return resp.StatusCode == http.StatusOK
}

// get returns a manifest as the registry has it, nil if it has not.
func (f *fake) get(name string) []byte {
	f.t.Helper()
	resp := f.do(http.MethodGet, "/v2/acme/app/manifests/"+name, "", nil)
	defer func() { _ = resp.Body.Close() }() // read by the test
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	return b
}

// subject pushes an image and resolves it.
func (f *fake) subject() oci.Artifact {
	f.t.Helper()
	digest := f.push("v1", ociManifest, image(imageConfig))
	a, err := f.client().Resolve(f.t.Context(), f.host+"/acme/app:v1@"+string(digest))
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// image returns a manifest that differs for each config type.
func image(config string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}`, ociManifest, config)
}

// blob returns a distinct bundle to attach.
func blob(n int) oci.BundleBlob {
	return oci.BundleBlob{
		Bytes:         fmt.Appendf(nil, `{"mediaType":%q,"n":%d}`, attest.BundleMediaType, n),
		PredicateType: attest.PredicateSignature,
		Created:       time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("", 3600)),
	}
}

// stranger is a server that must never be spoken to.
func stranger(t testing.TB) (host string, visits *atomic.Int64) {
	visits = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), visits
}

// referrerIndex is an index as registries and clients keep for a subject.
func referrerIndex(t testing.TB, descriptors ...map[string]any) []byte {
	t.Helper()
	if descriptors == nil {
		descriptors = []map[string]any{}
	}
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": descriptors})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
