// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// count says how often each kind of request was made.
func count(requests []string) map[string]int {
	n := map[string]int{}
	for _, kind := range kinds(requests) {
		n[kind]++
	}
	return n
}

// TestAttachBundles: ten attachments cost two requests each and one for all,
// and all of them are there afterwards.
func TestAttachBundles(t *testing.T) {
	var ten []oci.BundleBlob
	for i := range 10 {
		ten = append(ten, blob(i))
	}
	for name, tc := range map[string]struct {
		referrers bool
		trick     func(http.ResponseWriter, *http.Request) bool
		want      map[string]int
	}{
		"current": {true, nil, map[string]int{"POST blob": 10, "PUT manifest": 10, "GET referrers": 1}},
		// The list is read, written and read once for all.
		"no referrers API": {false, inTwo(nil), map[string]int{"POST blob": 10, "PUT blob": 10, "PUT manifest": 11, "GET referrers": 1, "GET manifest": 12}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, tc.referrers)
			c, subject := f.client(), f.subject()
			f.misbehave(tc.trick)
			if _, err := c.AttachBundle(t.Context(), subject, blob(100)); err != nil { // what is learned once
				t.Fatal(err)
			}
			f.misbehave(tc.trick)
			digests, err := c.AttachBundles(t.Context(), subject, ten)
			if err != nil {
				t.Fatal(err)
			}
			if got := count(f.seen()); !equal(got, tc.want) {
				t.Errorf("ten attachments take %v, want %v", got, tc.want)
			}
			found, err := c.Bundles(t.Context(), subject)
			if err != nil || len(found) != 11 {
				t.Fatalf("%d bundles, %v", len(found), err)
			}
			for i, d := range digests {
				if !slices.ContainsFunc(found, func(b oci.StoredBundle) bool { return b.Manifest == d && bytes.Equal(b.Bytes, ten[i].Bytes) }) {
					t.Errorf("bundle %d is not there as %s", i, d)
				}
			}
		})
	}
}

func equal(a, b map[string]int) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// TestAttachBundlesLost: of several, one that the registry acknowledges and does
// not keep is an error.
func TestAttachBundlesLost(t *testing.T) {
	f := newFake(t, true)
	c, subject := f.client(), f.subject()
	var puts atomic.Int32
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && puts.Add(1) == 2 {
			w.WriteHeader(http.StatusCreated)
			return true
		}
		return false
	})
	if _, err := c.AttachBundles(t.Context(), subject, []oci.BundleBlob{blob(1), blob(2), blob(3)}); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("a lost manifest: %v", err)
	}
}

func document(content string) oci.DocumentBlob {
	return oci.DocumentBlob{
		From: strings.NewReader(content), Size: int64(len(content)), Digest: attest.DigestOf([]byte(content)), MediaType: "application/spdx+json", Title: "sbom.json",
	}
}

// TestAttachDocument: a document is a referrer of its own media type, found as
// the registry's other clients would, and sent once.
func TestAttachDocument(t *testing.T) {
	large := strings.Repeat("large document ", 200_000)
	for name, referrers := range map[string]bool{"current": true, "no referrers API": false} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, referrers)
			c, subject := f.client(), f.subject()
			var sent atomic.Int64
			f.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
				sent.Add(max(r.ContentLength, 0))
				return false
			})
			first, err := c.AttachDocument(t.Context(), subject, document(large))
			if err != nil {
				t.Fatal(err)
			}
			once := sent.Load()
			if again, err := c.AttachDocument(t.Context(), subject, document(large)); err != nil || again != first {
				t.Errorf("again: %s, %v, want %s", again, err, first)
			}
			if more := sent.Load() - once; more > 4096 {
				t.Errorf("the second time %d bytes were sent", more)
			}
			// It is no bundle, and does not hide any.
			if found, err := c.Bundles(t.Context(), subject); err != nil || len(found) != 0 {
				t.Errorf("%d bundles, %v", len(found), err)
			}
			get := func(path string) string {
				resp, err := http.Get("http://" + f.host + "/v2/" + subject.Repository + path) //nolint:noctx // a test
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = resp.Body.Close() }()
				b, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			}
			list := "/referrers/" + string(subject.Digest)
			if !referrers {
				list = "/manifests/sha256-" + subject.Digest.Hex()
			}
			if !strings.Contains(get(list), string(first)) {
				t.Errorf("not listed: %s", get(list))
			}
			for _, holds := range []string{`"artifactType":"application/spdx+json"`, `"org.opencontainers.image.title":"sbom.json"`, string(subject.Digest)} {
				if m := get("/manifests/" + string(first)); !strings.Contains(m, holds) {
					t.Errorf("manifest without %s: %s", holds, m)
				}
			}
			if got := get("/blobs/" + string(attest.DigestOf([]byte(large)))); got != large {
				t.Errorf("blob of %d bytes", len(got))
			}
		})
	}
}

func TestAttachDocumentRefuses(t *testing.T) {
	f := newFake(t, true)
	c, subject := f.client(), f.subject()
	wrong := document("content")
	wrong.Digest = attest.DigestOf([]byte("another"))
	if _, err := c.AttachDocument(t.Context(), subject, wrong); err == nil {
		t.Error("another digest is taken")
	}
	for name, change := range map[string]func(*oci.DocumentBlob){
		"empty": func(d *oci.DocumentBlob) { d.Size = 0 }, "too large": func(d *oci.DocumentBlob) { d.Size = oci.MaxDocument + 1 },
		"media type": func(d *oci.DocumentBlob) { d.MediaType = "text\n/x" },
	} {
		d := document("content")
		change(&d)
		f.misbehave(nil)
		if _, err := c.AttachDocument(t.Context(), subject, d); !errors.Is(err, oci.ErrTooLarge) && !errors.Is(err, oci.ErrBadManifest) {
			t.Errorf("%s: %v", name, err)
		}
		if seen := f.seen(); len(seen) > 0 {
			t.Errorf("%s: %v", name, seen)
		}
	}
}
