// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// referrer is a manifest with one layer and a subject.
func referrer(layerType string, layer []byte, subject attest.Digest) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[{"mediaType":%q,"size":%d,"digest":%q}],"subject":{"mediaType":%q,"size":1,"digest":%q}}`,
		ociManifest, layerType, len(layer), attest.DigestOf(layer), ociManifest, subject)
}

// list stores manifests and, for registries without the API, their list.
func (f *fake) list(subject oci.Artifact, manifests ...[]byte) {
	f.t.Helper()
	var descriptors []map[string]any
	for _, m := range manifests {
		digest := f.push("", ociManifest, m)
		descriptors = append(descriptors, map[string]any{"mediaType": ociManifest, "size": len(m), "digest": string(digest), "artifactType": "application/whatever"})
	}
	f.push(fallback(subject), ociIndex, referrerIndex(f.t, descriptors...))
}

func TestBundlesLeavesOthersOut(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		subject := f.subject()
		layer := []byte("a bundle, or something else")
		f.pushBlob(layer)
		good := [][]byte{
			referrer("application/vnd.dev.sigstore.bundle.v0.3+json", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle.v0.3.1+json", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle.v0.10+json", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle.v1+json", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle+json;version=0.3", layer, subject.Digest),
		}
		two := bytes.Replace(good[0], []byte(`"layers":[`), []byte(`"layers":[{"mediaType":"x","size":1,"digest":"x"},`), 1)
		junk := [][]byte{
			referrer("application/vnd.dev.sigstore.bundle.v0.2+json", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle+json;version=0.2", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle.v0.x+json", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle.v0.3", layer, subject.Digest),
			referrer("application/spdx+json", layer, subject.Digest),
			referrer("application/vnd.dev.sigstore.bundle.v0.3+json", layer, attest.DigestOf([]byte("another subject"))),
			bytes.Replace(good[0], []byte(string(attest.DigestOf(layer))), []byte("md5:abc"), 1),
			bytes.Replace(good[0], []byte(`"schemaVersion":2`), []byte(`"schemaVersion":1`), 1),
			two,
		}
		f.list(subject, append(junk, good...)...)
		found, err := f.client().Bundles(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, b := range found {
			got = append(got, string(b.Manifest))
			if !bytes.Equal(b.Bytes, layer) || b.Blob != attest.DigestOf(layer) || b.PredicateTypeHint != "" {
				t.Errorf("bundle %+v", b)
			}
		}
		for _, m := range good {
			want = append(want, string(attest.DigestOf(m)))
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("found %v\nwant  %v", got, want)
		}
	})
}

func TestBundlesOfNothing(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		if found, err := f.client().Bundles(t.Context(), f.subject()); err != nil || len(found) != 0 {
			t.Errorf("%v, %v", found, err)
		}
	})
}

// TestBundlesSkipsWhatIsGone: lists in the fallback tag outlive what they
// list.
func TestBundlesSkipsWhatIsGone(t *testing.T) {
	f := newFake(t, false)
	subject := f.subject()
	b := blob(1)
	digest, err := f.client().AttachBundle(t.Context(), subject, b)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := f.client().AttachBundle(t.Context(), subject, blob(2))
	if err != nil {
		t.Fatal(err)
	}
	resp := f.do(http.MethodDelete, "/v2/acme/app/manifests/"+string(gone), "", nil)
	defer func() { _ = resp.Body.Close() }() // read by the test
	if found, err := f.client().Bundles(t.Context(), subject); err != nil || len(found) != 1 || found[0].Manifest != digest {
		t.Errorf("%v, %v", found, err)
	}
}

func TestBundlesErrors(t *testing.T) {
	other, visits := stranger(t)
	write := func(contentType string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(body)
		}
	}
	answer := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+other+"/", http.StatusFound)
	}
	link := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `<`+to+`>; rel="next"`)
			write(ociIndex, []byte(`{"schemaVersion":2,"manifests":[]}`))(w, r)
		}
	}
	var many []map[string]any
	for i := range 257 {
		many = append(many, map[string]any{"mediaType": "application/x", "size": 1, "digest": string(attest.DigestOf(fmt.Append(nil, i)))})
	}
	for name, tc := range map[string]struct {
		path   string
		handle http.HandlerFunc
		want   error
	}{
		"list fails":             {"/referrers/", answer(500), oci.ErrUnavailable},
		"list denied":            {"/referrers/", answer(401), oci.ErrDenied},
		"list busy":              {"/referrers/", answer(429), oci.ErrUnavailable},
		"list is not an index":   {"/referrers/", write(ociIndex, image(imageConfig)), oci.ErrBadManifest},
		"list is ambiguous":      {"/referrers/", write(ociIndex, []byte(`{"schemaVersion":2,"manifests":[],"Manifests":[]}`)), oci.ErrBadManifest},
		"list is endless":        {"/referrers/", write(ociIndex, make([]byte, 5<<20)), oci.ErrTooLarge},
		"list is too long":       {"/referrers/", write(ociIndex, referrerIndex(t, many...)), oci.ErrTooMany},
		"list redirects":         {"/referrers/", redirect, oci.ErrForeignRegistry},
		"pages are endless":      {"/referrers/", func(w http.ResponseWriter, r *http.Request) { link(r.URL.Path+"?n=1")(w, r) }, oci.ErrTooMany},
		"page elsewhere":         {"/referrers/", link("http://" + other + "/"), oci.ErrForeignRegistry},
		"page of another list":   {"/referrers/", link("/v2/acme/other/referrers/x"), oci.ErrRejected},
		"manifest fails":         {"/manifests/", answer(503), oci.ErrUnavailable},
		"manifest is other":      {"/manifests/", write(ociManifest, image("application/x")), oci.ErrDigestMismatch},
		"manifest is huge":       {"/manifests/", write(ociManifest, make([]byte, 5<<20)), oci.ErrTooLarge},
		"blob fails":             {"/blobs/", answer(500), oci.ErrUnavailable},
		"blob is gone":           {"/blobs/", answer(404), oci.ErrNotFound},
		"blob is other":          {"/blobs/", write("", bytes.Repeat([]byte("x"), len(blob(1).Bytes))), oci.ErrDigestMismatch},
		"blob is shorter":        {"/blobs/", write("", blob(1).Bytes[1:]), oci.ErrDigestMismatch},
		"blob is longer":         {"/blobs/", write("", append(blob(1).Bytes, ' ')), oci.ErrDigestMismatch},
		"blob is endless":        {"/blobs/", write("", make([]byte, 1<<20)), oci.ErrDigestMismatch},
		"blob is with strangers": {"/blobs/", redirect, oci.ErrForeignRegistry},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			subject := f.subject()
			if _, err := f.client().AttachBundle(t.Context(), subject, blob(1)); err != nil {
				t.Fatal(err)
			}
			f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, tc.path) {
					return false
				}
				tc.handle(w, r)
				return true
			})
			if found, err := f.client().Bundles(t.Context(), subject); !errors.Is(err, tc.want) || found != nil {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("another host was visited %d times", n)
	}
}

// TestBundlesLimits: above a limit is an error that names it, never a cut.
func TestBundlesLimits(t *testing.T) {
	f := newFake(t, true)
	c, subject := f.client(), f.subject()
	for i := range 64 {
		if _, err := c.AttachBundle(t.Context(), subject, blob(i)); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := c.Bundles(t.Context(), subject); err != nil || len(found) != 64 {
		t.Fatalf("at the limit: %d, %v", len(found), err)
	}
	if _, err := c.AttachBundle(t.Context(), subject, blob(64)); err != nil {
		t.Fatal(err)
	}
	if found, err := c.Bundles(t.Context(), subject); !errors.Is(err, oci.ErrTooMany) || !strings.Contains(fmt.Sprint(err), "64") || found != nil {
		t.Errorf("above it: %d, %v", len(found), err)
	}
	for name, sizes := range map[string][]int{"one": {attest.MaxBundleBytes + 1}, "negative": {-1}, "together": {attest.MaxBundleBytes, attest.MaxBundleBytes - 1, attest.MaxBundleBytes - 2, attest.MaxBundleBytes - 3, attest.MaxBundleBytes - 4}} {
		f := newFake(t, true)
		subject := f.subject()
		var manifests [][]byte
		for _, size := range sizes {
			m := referrer(attest.BundleMediaType, []byte("x"), subject.Digest)
			manifests = append(manifests, bytes.Replace(m, []byte(`"size":1,"digest"`), fmt.Appendf(nil, `"size":%d,"digest"`, size), 1))
		}
		f.list(subject, manifests...)
		f.misbehave(nil)
		if found, err := f.client().Bundles(t.Context(), subject); !errors.Is(err, oci.ErrTooLarge) || found != nil {
			t.Errorf("%s: %d, %v", name, len(found), err)
		}
		if seen := strings.Join(f.seen(), "\n"); strings.Contains(seen, "/blobs/") {
			t.Errorf("%s: blobs were read:\n%s", name, seen)
		}
	}
}

// TestBundleBytes: whoever has less memory sets a lower limit, and above it nothing is read.
func TestBundleBytes(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	var size int64
	for i := range 2 {
		if _, err := f.client().AttachBundle(t.Context(), subject, blob(i)); err != nil {
			t.Fatal(err)
		}
		size += int64(len(blob(i).Bytes))
	}
	limited := func(n int64) *oci.Client { return f.client(func(c *oci.Config) { c.BundleBytes = n }) }
	if found, err := limited(size).Bundles(t.Context(), subject); err != nil || len(found) != 2 {
		t.Errorf("at the limit: %d, %v", len(found), err)
	}
	f.misbehave(nil)
	if found, err := limited(size-1).Bundles(t.Context(), subject); !errors.Is(err, oci.ErrTooLarge) || found != nil {
		t.Errorf("above it: %d, %v", len(found), err)
	}
	if seen := strings.Join(f.seen(), "\n"); strings.Contains(seen, "/blobs/") {
		t.Errorf("blobs were read above the limit:\n%s", seen)
	}
	if _, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: "reg.example"}}, BundleBytes: -1}); err == nil {
		t.Error("a negative limit was accepted")
	}
}

// TestBundlesPages: a list in several pages is read to its end.
func TestBundlesPages(t *testing.T) {
	f := newFake(t, true)
	c, subject := f.client(), f.subject()
	var pages [][]byte
	for i := range 3 {
		digest, err := c.AttachBundle(t.Context(), subject, blob(i))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, referrerIndex(t, map[string]any{"mediaType": ociManifest, "size": 1, "digest": string(digest)}))
	}
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		page := len(r.URL.Query().Get("last"))
		w.Header().Set("Content-Type", ociIndex+"; charset=utf-8")
		if page < 2 {
			w.Header().Set("Link", `<`+r.URL.Path+"?last="+strings.Repeat("x", page+1)+`>; rel="next"`)
		}
		_, _ = w.Write(pages[page])
		return true
	})
	if found, err := c.Bundles(t.Context(), subject); err != nil || len(found) != 3 {
		t.Errorf("%d, %v", len(found), err)
	}
}

// TestBundlesWithoutAPI: all the ways in which registries say that they do not
// know the referrers API.
func TestBundlesWithoutAPI(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"400": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) },
		"404": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"405": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) },
		"406": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(406) },
		"page for people": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		},
	} {
		f := newFake(t, false)
		subject := f.subject()
		f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			handle(w, r)
			return true
		})
		digest, err := f.client().AttachBundle(t.Context(), subject, blob(1))
		if err != nil {
			t.Errorf("%s: attach: %v", name, err)
		}
		if found, err := f.client().Bundles(t.Context(), subject); err != nil || len(found) != 1 || found[0].Manifest != digest {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// TestListBundles: the list is that of Bundles, and reads no bundle; each is
// read by itself, and must be what its manifest says.
func TestListBundles(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		subject := f.subject()
		for i := range 3 {
			layer := fmt.Appendf(nil, "bundle %d", i)
			f.pushBlob(layer)
			f.list(subject, referrer("application/vnd.dev.sigstore.bundle.v0.3+json", layer, subject.Digest))
		}
		c := f.client()
		want, err := c.Bundles(t.Context(), subject)
		if err != nil || len(want) == 0 {
			t.Fatalf("%d bundles, %v", len(want), err)
		}
		f.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/blobs/") {
				t.Errorf("%s %s", r.Method, r.URL.Path)
			}
			return false
		})
		got, err := c.ListBundles(t.Context(), subject)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d of %d bundles are listed, %v", len(got), len(want), err)
		}
		f.misbehave(nil)
		for i, l := range got {
			b, err := c.ReadBundle(t.Context(), subject, l)
			if err != nil || !bytes.Equal(b, want[i].Bytes) || l.Blob != want[i].Blob || l.Manifest != want[i].Manifest || l.Size != int64(len(b)) {
				t.Errorf("bundle %+v: %q, %v", l, b, err)
			}
		}
		got[0].Size++
		if _, err := c.ReadBundle(t.Context(), subject, got[0]); !errors.Is(err, oci.ErrDigestMismatch) {
			t.Errorf("of another size: %v", err)
		}
		got[0].Size = attest.MaxBundleBytes + 1
		if _, err := c.ReadBundle(t.Context(), subject, got[0]); !errors.Is(err, oci.ErrTooLarge) {
			t.Errorf("of too large a size: %v", err)
		}
	})
}
