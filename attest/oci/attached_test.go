// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Attached shows everything, with what cannot be read among it.
func TestAttached(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		subject, c := f.subject(), f.client()
		const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
		bundle, document, missing := []byte("a bundle"), []byte(`{"bomFormat":"CycloneDX"}`), []byte("a bundle whose blob is gone")
		f.pushBlob(bundle)
		f.pushBlob(document)
		manifests := map[string][]byte{
			"bundle": referrer(bundleType, bundle, subject.Digest), "document": referrer("application/vnd.cyclonedx+json", document, subject.Digest),
			"no blob": referrer(bundleType, missing, subject.Digest), "elsewhere": referrer(bundleType, bundle, attest.DigestOf([]byte("x"))),
			"not a manifest": []byte(`{"schemaVersion":2,"subject":{"mediaType":"x","size":1,"digest":"` + string(subject.Digest) + `"}}`),
			"too large":      bytes.Replace(referrer(bundleType, bundle, subject.Digest), []byte(`"size":8`), fmt.Appendf(nil, `"size":%d`, 1<<40), 1),
		}
		names := map[attest.Digest]string{}
		var all [][]byte
		for name, m := range manifests {
			names[attest.DigestOf(m)] = name
			all = append(all, m)
		}
		f.list(subject, all...)
		if _, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(1)}); err != nil {
			t.Fatal(err)
		}
		envelope := layer(2)
		envelope.Bytes, envelope.Signature, envelope.PredicateType = []byte(`{"payload":""}`), nil, "https://x.example"
		if _, err := c.AttachLayers(t.Context(), subject, oci.AttestationTag, []oci.TagLayer{envelope}); err != nil {
			t.Fatal(err)
		}
		found, tags, err := c.Attached(t.Context(), subject)
		if err != nil || !c.Idle() {
			t.Fatalf("%v; nothing is reserved afterwards: %v", err, c.Idle())
		}
		got := map[string]oci.Attachment{}
		for _, a := range found {
			got[names[a.Manifest]] = a
		}
		if a := got["bundle"]; !bytes.Equal(a.Bundle, bundle) || a.Err != nil {
			t.Errorf("bundle: %+v", a)
		}
		if a := got["document"]; a.Bundle != nil || a.Err != nil || len(a.Layers) != 1 || a.Layers[0].Digest != attest.DigestOf(document) || a.Layers[0].MediaType != "application/vnd.cyclonedx+json" {
			t.Errorf("document: %+v", a)
		}
		if a := got["no blob"]; !errors.Is(a.Err, oci.ErrNotFound) {
			t.Errorf("no blob: %+v", a)
		}
		if a := got["too large"]; !errors.Is(a.Err, oci.ErrTooLarge) || a.Bundle != nil {
			t.Errorf("too large: %+v", a)
		}
		for _, name := range []string{"elsewhere", "not a manifest"} {
			if a, there := got[name]; there && !errors.Is(a.Err, oci.ErrBadManifest) {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if len(tags) != 2 || len(tags[0].Layers) != 1 || len(tags[1].Layers) != 1 || tags[0].Err != nil {
			t.Fatalf("tags %+v", tags)
		}
		if l := tags[0].Layers[0]; !bytes.Equal(l.Bytes, layer(1).Bytes) || !bytes.Equal(l.Signature, layer(1).Signature) || string(l.Certificate) != "PEM" {
			t.Errorf("layer of a signature %+v", l)
		}
		if l := tags[1].Layers[0]; l.Signature != nil || !bytes.Equal(l.Bytes, envelope.Bytes) || l.PredicateType != "https://x.example" {
			t.Errorf("layer of an attestation %+v", l)
		}
		if b, err := c.Blob(t.Context(), subject, attest.DigestOf(document), int64(len(document)), 1<<10); err != nil || !bytes.Equal(b, document) {
			t.Errorf("document %q, %v", b, err)
		}
		if _, err := c.Blob(t.Context(), subject, attest.DigestOf(document), 2<<10, 1<<10); !errors.Is(err, oci.ErrTooLarge) {
			t.Errorf("a document beyond the limit: %v", err)
		}
		// Together they may not be more than a client has room for.
		small := f.client(func(cfg *oci.Config) { cfg.BundleBytes = 4 })
		found, _, err = small.Attached(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range found {
			if a.Bundle != nil {
				t.Errorf("read beyond the limit: %+v", a)
			}
		}
	})
}

// A tag that holds junk is shown as junk; a registry that does not answer is an error.
func TestAttachedJunkAndSilence(t *testing.T) {
	f := newFake(t, true)
	subject, c := f.subject(), f.client()
	f.push(fallback(subject)+".sig", ociManifest, []byte(`{"schemaVersion":1}`))
	if _, tags, err := c.Attached(t.Context(), subject); err != nil || len(tags) != 1 || !errors.Is(tags[0].Err, oci.ErrBadManifest) {
		t.Errorf("tags %+v, %v", tags, err)
	}
	f.pushBlob([]byte("b"))
	f.list(subject, referrer("application/vnd.dev.sigstore.bundle.v0.3+json", []byte("b"), subject.Digest))
	for _, silent := range []string{"/referrers/", ".att", "/blobs/"} {
		f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, silent) {
				return false
			}
			w.WriteHeader(http.StatusForbidden)
			return true
		})
		if _, _, err := f.client().Attached(t.Context(), subject); !errors.Is(err, oci.ErrDenied) {
			t.Errorf("%s: %v", silent, err)
		}
	}
}
