// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

func withMembers(c *oci.Config) { c.Members = true }

// entry is a descriptor of a manifest that was pushed.
func entry(mediaType string, body []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": string(attest.DigestOf(body)), "size": len(body)}
}

// TestWholeIndex: all that an index lists is read, once.
func TestWholeIndex(t *testing.T) {
	f := newFake(t, true)
	amd, arm := image(imageConfig), image(imageConfig+";arm")
	f.push("", ociManifest, amd)
	f.push("", ociManifest, arm)
	inner := referrerIndex(t, entry(ociManifest, arm), entry(ociManifest, amd))
	f.push("", ociIndex, inner)
	outer := referrerIndex(t, entry(ociManifest, amd), entry(ociIndex, inner), entry(ociManifest, amd))
	digest := f.push("", ociIndex, outer)
	ref := f.host + "/acme/app@" + string(digest)

	c := f.client(withMembers)
	f.misbehave(nil)
	if a, err := c.Resolve(t.Context(), ref); err != nil || a.Kind != oci.KindIndex || a.Digest != digest {
		t.Fatalf("%+v, %v", a, err)
	}
	if seen := f.seen(); len(seen) != 4 {
		t.Errorf("%d requests, want the index, two images and one index: %v", len(seen), seen)
	}
	f.misbehave(nil)
	if _, err := c.Resolve(t.Context(), ref); err != nil || len(f.seen()) != 1 || !c.Idle() {
		t.Errorf("again: %v, %v", f.seen(), err)
	}
	// Who only asks what it is does not pay for it.
	f.misbehave(nil)
	if _, err := f.client().Resolve(t.Context(), ref); err != nil || len(f.seen()) != 1 {
		t.Errorf("without members: %v, %v", f.seen(), err)
	}
}

// TestIndexMembersRefused: the attacks on an index are all in what it lists.
func TestIndexMembersRefused(t *testing.T) {
	img := image(imageConfig)
	many := func(n int) []map[string]any {
		var all []map[string]any
		for i := range n {
			all = append(all, map[string]any{"mediaType": ociManifest, "digest": string(attest.DigestOf(fmt.Append(nil, i))), "size": 3})
		}
		return all
	}
	change := func(name string, value any) map[string]any {
		d := entry(ociManifest, img)
		d[name] = value
		return d
	}
	big := make([]map[string]any, 5)
	for i := range big {
		big[i] = map[string]any{"mediaType": ociManifest, "digest": string(attest.DigestOf(fmt.Append(nil, i))), "size": 4 << 20}
	}
	foreign := []byte(strings.Replace(string(img), `"layers":[]`, `"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","size":1,"digest":"`+string(attest.DigestOf(nil))+`","urls":["https://evil.example/layer"]}]`, 1))
	for name, tc := range map[string]struct {
		members []map[string]any
		serve   []byte // in place of every member
		as      string // its type
		want    error
	}{
		"missing":               {[]map[string]any{entry(ociManifest, image("application/x"))}, nil, "", oci.ErrNotFound},
		"other bytes":           {[]map[string]any{entry(ociManifest, img)}, image("application/x"), ociManifest, oci.ErrDigestMismatch},
		"other size":            {[]map[string]any{change("size", len(img)+1)}, nil, "", oci.ErrDigestMismatch},
		"other type":            {[]map[string]any{change("mediaType", dockerManifest)}, nil, "", oci.ErrBadManifest},
		"index as manifest":     {[]map[string]any{entry(ociManifest, referrerIndex(t))}, referrerIndex(t), ociIndex, oci.ErrBadManifest},
		"served as another":     {[]map[string]any{entry(ociManifest, img)}, img, dockerManifest, oci.ErrBadManifest},
		"schema 1":              {[]map[string]any{change("mediaType", "application/vnd.docker.distribution.manifest.v1+prettyjws")}, nil, "", oci.ErrBadManifest},
		"layer for a manifest":  {[]map[string]any{change("mediaType", "application/vnd.oci.image.layer.v1.tar+gzip")}, nil, "", oci.ErrBadManifest},
		"SHA-512":               {[]map[string]any{change("digest", "sha512:"+strings.Repeat("0", 128))}, nil, "", oci.ErrBadManifest},
		"MD5":                   {[]map[string]any{change("digest", "md5:"+strings.Repeat("0", 32))}, nil, "", oci.ErrBadManifest},
		"a path for a digest":   {[]map[string]any{change("digest", "sha256:../../../../other/manifests/x")}, nil, "", oci.ErrBadManifest},
		"no digest":             {[]map[string]any{change("digest", "")}, nil, "", oci.ErrBadManifest},
		"negative size":         {[]map[string]any{change("size", -1)}, nil, "", oci.ErrTooLarge},
		"huge member":           {[]map[string]any{change("size", 1<<40)}, nil, "", oci.ErrTooLarge},
		"large together":        {big, nil, "", oci.ErrTooLarge},
		"elsewhere":             {[]map[string]any{change("urls", []string{"https://evil.example/manifest"})}, nil, "", oci.ErrBadManifest},
		"other embedded data":   {[]map[string]any{change("data", []byte("{}"))}, nil, "", oci.ErrBadManifest},
		"a thousand platforms":  {many(1000), nil, "", oci.ErrTooMany},
		"foreign layer":         {[]map[string]any{entry(ociManifest, foreign)}, foreign, ociManifest, oci.ErrBadManifest},
		"ambiguous member":      {[]map[string]any{entry(ociManifest, []byte(`{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`))}, []byte(`{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`), ociManifest, oci.ErrBadManifest},
		"null for a descriptor": {[]map[string]any{nil}, nil, "", oci.ErrBadManifest},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			f.push("", ociManifest, img)
			body := referrerIndex(t, tc.members...)
			ref := f.host + "/acme/app@" + string(attest.DigestOf(body))
			requests := 0
			f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				requests++
				if strings.HasSuffix(r.URL.Path, string(attest.DigestOf(body))) {
					w.Header().Set("Content-Type", ociIndex)
					_, _ = w.Write(body)
					return true
				}
				if tc.serve == nil {
					return false
				}
				w.Header().Set("Content-Type", tc.as)
				_, _ = w.Write(tc.serve)
				return true
			})
			c := f.client(withMembers)
			got, err := c.Resolve(t.Context(), ref)
			if !errors.Is(err, tc.want) || got != (oci.Artifact{}) || !c.Idle() {
				t.Errorf("%+v, %v", got, err)
			}
			if requests > 2 {
				t.Errorf("%d requests were made", requests)
			}
		})
	}
}

// TestIndexDepth: indexes lie in each other three deep, not four. An index that
// lists itself cannot be made, and one that is served as if it did is caught by
// its digest.
func TestIndexDepth(t *testing.T) {
	f := newFake(t, true)
	leaf := image(imageConfig)
	f.push("", ociManifest, leaf)
	body, kind := leaf, ociManifest
	for depth := 1; depth <= 5; depth++ {
		body, kind = referrerIndex(t, entry(kind, body)), ociIndex
		digest := f.push("", kind, body)
		_, err := f.client(withMembers).Resolve(t.Context(), f.host+"/acme/app@"+string(digest))
		if (err == nil) != (depth <= 3) || err != nil && !errors.Is(err, oci.ErrTooMany) {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
	// Wide and deep: every level within its limit, all together not.
	var outer []map[string]any
	for i := range 20 {
		var inner []map[string]any
		for j := range 20 {
			m := image(fmt.Sprint("application/x", i, ".", j))
			f.push("", ociManifest, m)
			inner = append(inner, entry(ociManifest, m))
		}
		list := referrerIndex(t, inner...)
		f.push("", ociIndex, list)
		outer = append(outer, entry(ociIndex, list))
	}
	digest := f.push("", ociIndex, referrerIndex(t, outer...))
	f.misbehave(nil)
	if _, err := f.client(withMembers).Resolve(t.Context(), f.host+"/acme/app@"+string(digest)); !errors.Is(err, oci.ErrTooMany) || len(f.seen()) != 21 {
		t.Errorf("%d requests, %v", len(f.seen()), err)
	}
}

// TestIndexOfIndexes: a registry that serves an index as its own member is caught
// by the digest.
func TestIndexOfIndexes(t *testing.T) {
	f := newFake(t, true)
	top := referrerIndex(t, entry(ociIndex, referrerIndex(t)))
	digest := attest.DigestOf(top)
	f.misbehave(func(w http.ResponseWriter, _ *http.Request) bool { // itself, whatever is asked for
		w.Header().Set("Content-Type", ociIndex)
		_, _ = w.Write(top)
		return true
	})
	if _, err := f.client(withMembers).Resolve(t.Context(), f.host+"/acme/app@"+string(digest)); !errors.Is(err, oci.ErrDigestMismatch) {
		t.Error(err)
	}
}
