// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// layer is a signature of somebody over the one document there is.
func layer(by int) oci.TagLayer {
	return oci.TagLayer{
		Bytes: []byte(`{"critical":{}}`), Signature: fmt.Appendf(nil, "signature %d", by), Certificate: []byte("PEM"), Chain: []byte("PEM PEM"), Timestamp: []byte("time"),
		Entry: attest.LogEntry{CanonicalizedBody: []byte("body"), IntegratedTime: 12, LogIndex: 34, LogID: []byte{0xab}, SignedEntryTimestamp: []byte("promise")},
	}
}

func sigTag(subject oci.Artifact) string { return fallback(subject) + ".sig" }

// layersOf reads the tag with the field's client.
func layersOf(t *testing.T, subject oci.Artifact, kind oci.TagKind) []map[string]string {
	t.Helper()
	ref, err := name.NewTag(subject.Registry + "/" + subject.Repository + ":" + fallback(subject) + "." + string(kind))
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil || len(config.RootFS.DiffIDs) != len(m.Layers) {
		t.Errorf("config %+v, %v: want a diff id for each of %d layers", config, err, len(m.Layers))
	}
	var all []map[string]string
	for _, l := range m.Layers {
		all = append(all, l.Annotations)
	}
	return all
}

func TestAttachLayers(t *testing.T) {
	f := newFake(t, true)
	c, subject := f.client(), f.subject()
	got, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(1)})
	if err != nil {
		t.Fatal(err)
	}
	// What stock cosign was shown to read (e2e/sign), in full.
	document := string(attest.DigestOf(layer(1).Bytes))
	config := `{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z"}],"os":"","rootfs":{"type":"layers","diff_ids":["` + document + `"]},"config":{}}`
	want := `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + string(attest.DigestOf([]byte(config))) + `","size":` + fmt.Sprint(len(config)) + `},` +
		`"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","digest":"` + document + `","size":15,"annotations":{` +
		`"dev.cosignproject.cosign/signature":"c2lnbmF0dXJlIDE=",` +
		`"dev.sigstore.cosign/bundle":"{\"SignedEntryTimestamp\":\"cHJvbWlzZQ==\",\"Payload\":{\"body\":\"Ym9keQ==\",\"integratedTime\":12,\"logIndex\":34,\"logID\":\"ab\"}}",` +
		`"dev.sigstore.cosign/certificate":"PEM","dev.sigstore.cosign/chain":"PEM PEM",` +
		`"dev.sigstore.cosign/rfc3161timestamp":"{\"SignedRFC3161Timestamp\":\"dGltZQ==\"}"}}],` +
		`"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}`
	if raw := string(f.get(sigTag(subject))); raw != want || got.Digest != attest.DigestOf([]byte(want)) || got.Tag != sigTag(subject) {
		t.Errorf("%+v\n%s\nwant\n%s", got, raw, want)
	}

	// Again: nothing is written. Another promise of the same entry is no other layer.
	f.misbehave(nil)
	again := layer(1)
	again.Entry.SignedEntryTimestamp = []byte("another promise")
	if same, err := f.client().AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{again}); err != nil || same != got {
		t.Errorf("again: %+v, %v", same, err)
	}
	for _, request := range f.seen() {
		if strings.HasPrefix(request, "PUT") && strings.Contains(request, "/manifests/") {
			t.Errorf("a repetition made the request %s", request)
		}
	}

	// Signatures of others, by key, of the same document, and an attestation.
	byKey := layer(2)
	byKey.Certificate, byKey.Chain, byKey.Timestamp = nil, nil, nil
	if _, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(1), byKey, layer(3)}); err != nil {
		t.Fatal(err)
	}
	all := layersOf(t, subject, oci.SignatureTag)
	if len(all) != 3 || all[1]["dev.cosignproject.cosign/signature"] != "c2lnbmF0dXJlIDI=" {
		t.Fatalf("layers %v", all)
	}
	for _, absent := range []string{"dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain", "dev.sigstore.cosign/rfc3161timestamp"} {
		if _, there := all[1][absent]; there {
			t.Errorf("a signature by key has the annotation %s", absent)
		}
	}
	statement := layer(4)
	statement.Bytes, statement.Signature, statement.PredicateType = []byte(`{"payload":""}`), nil, "https://spdx.dev/Document"
	if _, err := c.AttachLayers(t.Context(), subject, oci.AttestationTag, []oci.TagLayer{statement}); err != nil {
		t.Fatal(err)
	}
	one := layersOf(t, subject, oci.AttestationTag)
	if len(one) != 1 || one[0]["predicateType"] != statement.PredicateType {
		t.Errorf("attestations %v", one)
	}
	if signature, there := one[0]["dev.cosignproject.cosign/signature"]; !there || signature != "" {
		t.Errorf("an attestation has the signature %q beside it", signature)
	}
	if found, err := c.Bundles(t.Context(), subject); err != nil || len(found) != 0 {
		t.Errorf("tags are taken for bundles: %v, %v", found, err)
	}
}

// TestAttachLayersKeepsOthers: what is under a tag stays there, in every part,
// whoever wrote it.
func TestAttachLayersKeepsOthers(t *testing.T) {
	f := newFake(t, true)
	c, subject := f.client(), f.subject()
	if _, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(1)}); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(f.get(sigTag(subject)), &m); err != nil {
		t.Fatal(err)
	}
	m["annotations"] = map[string]any{"org.example/note": "theirs"}
	theirs, ok := m["layers"].([]any)[0].(map[string]any)
	if !ok {
		t.Fatal("no layer")
	}
	theirs["urls"], theirs["annotations"] = []string{"https://example.com"}, map[string]any{"dev.cosignproject.cosign/signature": "theirs", "x": "y"}
	changed, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	f.push(sigTag(subject), ociManifest, changed)
	if _, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(1)}); err != nil {
		t.Fatal(err)
	}
	after := string(f.get(sigTag(subject)))
	for _, kept := range []string{`"org.example/note":"theirs"`, `"urls":["https://example.com"]`, `"x":"y"`, `"dev.cosignproject.cosign/signature":"theirs"`, `"c2lnbmF0dXJlIDE="`} {
		if !strings.Contains(after, kept) {
			t.Errorf("%s is not in %s", kept, after)
		}
	}
}

// TestAttachLayersAtOnce: writers of one client do not lose each other's layers.
func TestAttachLayersAtOnce(t *testing.T) {
	f := newFake(t, false)
	c, subject := f.client(), f.subject()
	const writers = 16
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if _, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(layersOf(t, subject, oci.SignatureTag)); n != writers {
		t.Errorf("%d layers, want %d", n, writers)
	}
}

// TestAttachLayersReplaced: somebody else writes the tag between our write and
// our look at it. Once is repaired; for ever is an error.
func TestAttachLayersReplaced(t *testing.T) {
	f := newFake(t, true)
	c, subject := f.client(), f.subject()
	if _, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(1)}); err != nil {
		t.Fatal(err)
	}
	theirs := f.get(sigTag(subject))
	for times, works := range map[int]bool{1: true, 1000: false} {
		var mu sync.Mutex
		left := times
		f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, ".sig") {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			if left == 0 {
				return false
			}
			left--
			f.inner.ServeHTTP(w, r)
			resp := f.do(http.MethodPut, r.URL.Path, ociManifest, theirs)
			_ = resp.Body.Close() // nothing in it
			return true
		})
		_, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(2)})
		f.misbehave(nil)
		if works {
			if n := len(layersOf(t, subject, oci.SignatureTag)); err != nil || n != 2 {
				t.Errorf("replaced once: %d layers, %v", n, err)
			}
			f.push(sigTag(subject), ociManifest, theirs)
		} else if !errors.Is(err, oci.ErrUnavailable) {
			t.Errorf("replaced each time: %v", err)
		}
	}
}

// TestAttachLayersRefuses: what is under the tag cannot be added to, or the layer
// is none.
func TestAttachLayersRefuses(t *testing.T) {
	many := func() []byte {
		var layers []string
		for i := range 256 {
			layers = append(layers, fmt.Sprintf(`{"mediaType":"x","digest":"%s","size":2}`, attest.DigestOf(fmt.Append(nil, i))))
		}
		return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x","digest":"%s","size":2},"layers":[%s]}`,
			ociManifest, attest.DigestOf([]byte("{}")), strings.Join(layers, ","))
	}
	for name, tc := range map[string]struct {
		contentType string
		there       []byte
		layer       oci.TagLayer
		want        error
		says        string
	}{
		"an index":         {ociIndex, []byte(`{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[]}`), layer(1), oci.ErrBadManifest, ""},
		"two layers lists": {ociManifest, []byte(`{"schemaVersion":2,"config":{},"layers":[],"layers":[]}`), layer(1), oci.ErrBadManifest, "delete the tag"},
		"not a manifest":   {ociManifest, []byte(`[]`), layer(1), oci.ErrBadManifest, "delete the tag"},
		"full":             {ociManifest, many(), layer(1), oci.ErrTooMany, "delete the tag"},
		"no promise":       {"", nil, oci.TagLayer{Bytes: []byte("x"), Signature: []byte("s")}, oci.ErrBadManifest, "signed promise"},
		"empty":            {"", nil, oci.TagLayer{Entry: layer(1).Entry}, oci.ErrTooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			c, subject := f.client(), f.subject()
			if tc.there != nil {
				f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".sig") {
						w.Header().Set("Content-Type", tc.contentType)
						_, _ = w.Write(tc.there) // the client looks
						return true
					}
					return false
				})
			}
			_, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{tc.layer})
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %v and %q", err, tc.want, tc.says)
			}
			for _, request := range f.seen() {
				if strings.HasPrefix(request, "PUT") && strings.Contains(request, "/manifests/") {
					t.Errorf("%s was made all the same", request)
				}
			}
		})
	}
}

// TestImmutableTags: a registry that lets no tag change says so, and the error
// tells what to do.
func TestImmutableTags(t *testing.T) {
	f := newFake(t, true)
	c, subject := f.client(), f.subject()
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, ".sig") {
			return false
		}
		http.Error(w, `{"errors":[{"code":"TAG_INVALID","message":"tags are immutable"}]}`, http.StatusConflict)
		return true
	})
	_, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(1)})
	if !errors.Is(err, oci.ErrRejected) || !strings.Contains(err.Error(), "legacyTags") {
		t.Errorf("%v", err)
	}
}

// TestAttachLayersElsewhere: other hosts are not written to.
func TestAttachLayersElsewhere(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	subject.Registry = "elsewhere.example"
	if _, err := f.client().AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(1)}); !errors.Is(err, oci.ErrForeignRegistry) {
		t.Errorf("%v", err)
	}
}
