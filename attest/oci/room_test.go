// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

var oneOfEach = oci.Attachments{Bundles: 1, Layers: 1, Kind: oci.SignatureTag}

// flooded is a list of n things that somebody attached.
func flooded(t *testing.T, n int) []byte {
	var list []map[string]any
	for i := range n {
		list = append(list, map[string]any{"mediaType": "application/x", "size": 1, "digest": string(attest.DigestOf(fmt.Append(nil, i)))})
	}
	return referrerIndex(t, list...)
}

// tagOf is a manifest under a legacy tag with n layers.
func tagOf(n int) []byte {
	var layers []string
	for i := range n {
		layers = append(layers, fmt.Sprintf(`{"mediaType":"application/x","size":1,"digest":%q}`, attest.DigestOf(fmt.Append(nil, i))))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[%s]}`,
		ociManifest, imageConfig, strings.Join(layers, ","))
}

// TestRoom: what would find no room is told before anything is written, and what to delete.
func TestRoom(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*testing.T, *fake, oci.Artifact)
		want    oci.Attachments
		is      error
		hint    string
	}{
		"nothing there": {func(*testing.T, *fake, oci.Artifact) {}, oneOfEach, nil, ""},
		"room for one more": {func(t *testing.T, f *fake, a oci.Artifact) {
			f.push(fallback(a), ociIndex, flooded(t, 255))
			f.push(sigTag(a), ociManifest, tagOf(255))
		}, oneOfEach, nil, ""},
		"no room for two": {func(t *testing.T, f *fake, a oci.Artifact) {
			f.push(fallback(a), ociIndex, flooded(t, 255))
		}, oci.Attachments{Bundles: 2}, oci.ErrTooMany, "delete referrers"},
		"a full list": {func(t *testing.T, f *fake, a oci.Artifact) {
			f.push(fallback(a), ociIndex, flooded(t, 256))
		}, oneOfEach, oci.ErrTooMany, "delete referrers"},
		"a full tag": {func(_ *testing.T, f *fake, a oci.Artifact) {
			f.push(sigTag(a), ociManifest, tagOf(256))
		}, oneOfEach, oci.ErrTooMany, "delete the tag"},
		"a full tag of the other kind": {func(_ *testing.T, f *fake, a oci.Artifact) {
			f.push(fallback(a)+".att", ociManifest, tagOf(256))
		}, oneOfEach, nil, ""},
		"a full tag, and none is written": {func(_ *testing.T, f *fake, a oci.Artifact) {
			f.push(sigTag(a), ociManifest, tagOf(256))
		}, oci.Attachments{Bundles: 1}, nil, ""},
		"no list in its place": {func(_ *testing.T, f *fake, a oci.Artifact) {
			f.push(fallback(a), ociManifest, tagOf(1))
		}, oneOfEach, oci.ErrBadManifest, "delete the tag"},
		"no signatures in their place": {func(t *testing.T, f *fake, a oci.Artifact) {
			f.push(sigTag(a), ociIndex, flooded(t, 1))
		}, oneOfEach, oci.ErrBadManifest, "delete the tag"},
	} {
		f := newFake(t, false)
		subject := f.subject()
		c.prepare(t, f, subject)
		client := f.client()
		err := client.Room(t.Context(), subject, c.want)
		if !client.Idle() {
			t.Errorf("%s: what was read is reserved for ever", name)
		}
		if !errors.Is(err, c.is) || (c.is != nil && (!strings.Contains(err.Error(), "hint") || !strings.Contains(err.Error(), c.hint))) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRoomTakesNoMemory: looking for room at large manifests, which whoever can
// push can make, leaves the memory for those of others.
func TestRoomTakesNoMemory(t *testing.T) {
	f := newFake(t, false)
	c, subject := f.client(), f.subject()
	large := bytes.Replace(tagOf(200), []byte(`"schemaVersion"`), fmt.Appendf(nil, `"annotations":{"x":%q},"schemaVersion"`, strings.Repeat("x", 3<<20)), 1)
	f.push(sigTag(subject), ociManifest, large)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 16 {
		if err := c.Room(ctx, subject, oneOfEach); err != nil {
			t.Fatalf("look %d: %v", i, err)
		}
	}
}

// TestRoomBytes: a tag that would grow beyond a manifest is full, however few layers it has.
func TestRoomBytes(t *testing.T) {
	f := newFake(t, false)
	subject := f.subject()
	big := bytes.Replace(tagOf(1), []byte(`"application/x"`), fmt.Appendf(nil, `"application/x","annotations":{"x":%q}`, strings.Repeat("x", 4<<20-10<<10)), 1)
	f.push(sigTag(subject), ociManifest, big)
	if err := f.client().Room(t.Context(), subject, oneOfEach); !errors.Is(err, oci.ErrTooLarge) || !strings.Contains(err.Error(), "delete the tag") {
		t.Error(err)
	}
}

// TestRoomIsAskedOnce: for the statements of one request the registry is asked once, as long as there is plenty.
func TestRoomIsAskedOnce(t *testing.T) {
	full := map[oci.Attachments]bool{} // the second time
	for _, what := range []oci.Attachments{{Bundles: 1}, {Layers: 1, Kind: oci.SignatureTag}, {Bundles: 1}, {Layers: 1, Kind: oci.SignatureTag}} {
		layers := 10
		if full[what] {
			layers = 200
		}
		full[what] = true
		f := newFake(t, false)
		subject := f.subject()
		f.push(sigTag(subject), ociManifest, tagOf(layers))
		f.push(fallback(subject), ociIndex, flooded(t, layers))
		c := f.client()
		var asked []int
		for range 2 {
			f.misbehave(nil)
			if err := c.Room(t.Context(), subject, what); err != nil {
				t.Fatal(err)
			}
			asked = append(asked, len(f.seen()))
		}
		if asked[0] == 0 || (asked[1] == 0) != (layers == 10) {
			t.Errorf("%+v, and there are %d: %v requests", what, layers, asked)
		}
	}
}

// TestFloodDoesNotStopAttachments: where the registry keeps the list, as many referrers as anybody pushes keep nothing from being attached.
func TestFloodDoesNotStopAttachments(t *testing.T) {
	list := flooded(t, 1000)
	large := append(bytes.TrimSuffix(list, []byte("}")), fmt.Appendf(nil, `,"annotations":{"x":%q}}`, strings.Repeat("x", 4<<20))...)
	for name, answer := range map[string][]byte{"many": list, "more than is read": large} {
		f := newFake(t, true)
		subject, c := f.subject(), f.client()
		f.push(fallback(subject), ociIndex, flooded(t, 256)) // for clients that look there
		f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			w.Header().Set("Content-Type", ociIndex)
			_, _ = w.Write(answer) // the client has gone: its test fails
			return true
		})
		if err := c.Room(t.Context(), subject, oci.Attachments{Bundles: 1}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		digest, err := c.AttachBundle(t.Context(), subject, blob(1))
		if err != nil || f.get(string(digest)) == nil {
			t.Errorf("%s: %v", name, err)
		}
		// A list that is empty, such as another digest's, is no reason to look elsewhere.
		f.misbehave(nil)
		if err := c.Room(t.Context(), subject, oci.Attachments{Bundles: 1}); err != nil || len(f.seen()) != 0 {
			t.Errorf("%s: the registry has shown a list: %v, %v", name, err, f.seen())
		}
	}
}

// TestLocate: a reference on another host is refused, and nobody is asked.
func TestLocate(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	c := f.client()
	f.misbehave(nil)
	if ref, err := c.Locate(subject.String()); err != nil || ref.Repository != "acme/app" || ref.Digest != subject.Digest {
		t.Errorf("%+v, %v", ref, err)
	}
	for ref, want := range map[string]error{"elsewhere.example/acme/app:v1": oci.ErrForeignRegistry, f.host + "/acme/app": oci.ErrBadReference, "": oci.ErrBadReference} {
		if _, err := c.Locate(ref); !errors.Is(err, want) {
			t.Errorf("%q: %v", ref, err)
		}
	}
	if len(f.seen()) != 0 {
		t.Errorf("asked %v", f.seen())
	}
}
