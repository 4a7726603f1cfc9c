// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// maxProven bounds how many entries about one artifact are proven: more would
// say the same.
const maxProven = 64

// artifactLinked says why an entry is about an artifact.
type artifactLinked struct {
	Digest string `json:"digest"`
	How    string `json:"how"`
}

// How an entry can be about an artifact.
const (
	byEntry  = "which the entry names"
	byBundle = "which the statement in its bundle names"
)

// prove proves a bundle's entries, or those about a file or digest.
func (f *finder) prove(ctx context.Context, env environment, what string) ([]entryDocument, error) {
	if hash, ok := strings.CutPrefix(what, "sha256:"); ok {
		if _, err := index.Hash("sha256", hash); err != nil || strings.ToLower(hash) != hash {
			return nil, usage("%q is no digest (hint: sha256: and 64 hexadecimal digits in lower case)", what)
		}
		return f.proveDigest(ctx, what)
	}
	if bundle, ok, err := readBundleFile(env, what); err != nil {
		return nil, err
	} else if ok {
		return f.proveBundle(ctx, bundle, "")
	}
	blob, err := openBlob(what)
	if err != nil {
		return nil, err
	}
	return f.proveDigest(ctx, blob.Digest())
}

// proveDigest proves the entries about an artifact: those of the bundles that
// the service keeps for it, and those that name the digest themselves.
func (f *finder) proveDigest(ctx context.Context, digest string) ([]entryDocument, error) {
	bundles, err := f.service.bundles(ctx, digest)
	if err != nil {
		return nil, err
	}
	var found []entryDocument
	proven := map[string]bool{}
	for _, b := range bundles {
		documents, err := f.proveBundle(ctx, b, digest)
		if err != nil {
			return nil, err
		}
		for _, d := range documents {
			if !proven[d.UUID] {
				proven[d.UUID], found = true, append(found, d)
			}
		}
	}
	key, err := index.ParseHash(digest)
	if err != nil {
		return nil, usage("%w", err)
	}
	hits, err := f.service.searchAll(ctx, searchQuery{terms: []string{key}, limit: maxProven})
	if err != nil {
		return nil, err
	}
	for _, hit := range hits {
		d, err := f.proveHit(ctx, hit, digest)
		if err != nil {
			return nil, err
		}
		if d != nil && !proven[d.UUID] {
			proven[d.UUID], found = true, append(found, *d)
		}
	}
	if len(found) == 0 {
		return nil, no("no entry about %s is proven: the service found %d, and none of them names it (hint: an image's signature names it in its bundle; `hallmark log prove BUNDLE`)", digest, len(hits))
	}
	return found, nil
}

// proveHit proves an entry that the index knows, if it names the digest itself.
func (f *finder) proveHit(ctx context.Context, hit logHint, digest string) (*entryDocument, error) {
	row, err := f.row(hit.Log)
	if err != nil {
		return nil, err
	}
	e, err := f.at(ctx, row, hit.Index)
	if err != nil || !names(e.body, digest) {
		return nil, err
	}
	d := e.document()
	d.Artifact = &artifactLinked{Digest: digest, How: byEntry}
	return &d, nil
}

// bundles returns the bundles that the service keeps for an artifact, newest
// first, at most maxProven.
func (c *logClient) bundles(ctx context.Context, digest string) (all []*protobundle.Bundle, err error) {
	for r, err := range c.receipts(ctx, digest) {
		if err != nil {
			return nil, err
		}
		b, err := parseBundle(r.Bundle)
		if err != nil {
			return nil, no("a receipt of the service: %w", err)
		}
		if all = append(all, b); len(all) == maxProven {
			break
		}
	}
	return all, nil // none: the entry may be another client's
}

// names says whether an entry names a SHA-256 digest as what was signed: in
// the places where the kinds of both APIs have it.
func names(body []byte, digest string) bool {
	want := strings.TrimPrefix(digest, "sha256:")
	type hash struct {
		Algorithm, Value string
	}
	type content struct{ Hash hash }
	var entry struct {
		Spec struct {
			Data, Chart, Archive, Package, Content content
			PayloadHash                            hash
			HashedRekordV002                       struct {
				Data struct{ Algorithm, Digest string }
			}
		}
	}
	if json.Unmarshal(body, &entry) != nil {
		return false
	}
	s := entry.Spec
	for _, h := range []hash{s.Data.Hash, s.Chart.Hash, s.Archive.Hash, s.Package.Hash, s.PayloadHash} {
		if h.Algorithm == "sha256" && h.Value == want {
			return true
		}
	}
	raw, err := hex.DecodeString(want)
	v2 := s.HashedRekordV002.Data
	return err == nil && v2.Algorithm == "SHA2_256" && v2.Digest == base64.StdEncoding.EncodeToString(raw)
}
