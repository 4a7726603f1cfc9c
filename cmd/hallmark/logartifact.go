// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	merkle "golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
	"github.com/hallmark-dev/hallmark/verifier"
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

// readBundleFile reads a file if it is a Sigstore bundle.
func readBundleFile(env environment, path string) (*protobundle.Bundle, bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, usage("%w (hint: a file, a digest like sha256:<hex>, or an index)", err)
	}
	if !info.Mode().IsRegular() || info.Size() > verifier.MaxBundleBytes {
		return nil, false, nil // too large for a bundle; it is an artifact
	}
	raw, err := readBounded(env, path, verifier.MaxBundleBytes)
	if err != nil {
		return nil, false, err
	}
	bundle, err := parseBundle(raw)
	return bundle, err == nil, nil
}

// errNoBundle says that bytes are something else.
var errNoBundle = errors.New("not a Sigstore bundle")

func parseBundle(raw []byte) (*protobundle.Bundle, error) {
	const mediaType = "application/vnd.dev.sigstore.bundle"
	if !bytes.Contains(raw, []byte(mediaType)) {
		return nil, errNoBundle
	}
	var b protobundle.Bundle
	if err := protojson.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoBundle, err)
	}
	if !strings.HasPrefix(b.GetMediaType(), mediaType) {
		return nil, errNoBundle
	}
	return &b, nil
}

// proveBundle proves that a bundle's entries are in the logs as they are now,
// and that the trees which the bundle was shown are their beginnings: whoever
// got the bundle and whoever asks now see one history.
func (f *finder) proveBundle(ctx context.Context, b *protobundle.Bundle, digest string) ([]entryDocument, error) {
	entries := b.GetVerificationMaterial().GetTlogEntries()
	if len(entries) == 0 || len(entries) > maxProven {
		return nil, no("the bundle has %d log entries", len(entries))
	}
	var found []entryDocument
	for _, claimed := range entries {
		e, err := f.proveClaim(ctx, claimed)
		if err != nil {
			return nil, err
		}
		d := e.document()
		if digest != "" {
			if err := speaksAbout(b, e.body, digest); err != nil {
				return nil, err
			}
			d.Artifact = &artifactLinked{Digest: digest, How: byBundle}
		}
		found = append(found, d)
	}
	return found, nil
}

func (f *finder) proveClaim(ctx context.Context, claimed *protorekor.TransparencyLogEntry) (*foundEntry, error) {
	id := claimed.GetLogId().GetKeyId()
	key, ok := f.keys.byID(id)
	if !ok {
		return nil, no("the bundle's entry is of log %x, which is not in the trusted root", id)
	}
	for _, row := range f.rows {
		if row.LogID != key.id {
			continue
		}
		e, err := f.at(ctx, row, claimed.GetInclusionProof().GetLogIndex())
		if err != nil {
			return nil, err
		}
		if want := merkle.RecordHash(claimed.GetCanonicalizedBody()); e.hash != want {
			return nil, no("entry %d of log %q is %x, the bundle's entry is %x", e.index, e.view.Origin, e.hash[:], want[:])
		}
		return e, f.proveShown(ctx, e, []byte(claimed.GetInclusionProof().GetCheckpoint().GetEnvelope()))
	}
	return nil, no("the service does not list the log %s (%s) that the bundle's entry is of", key.id, key.baseURL)
}

// proveShown proves that a checkpoint shown earlier is of this log's past.
func (f *finder) proveShown(ctx context.Context, e *foundEntry, shown []byte) error {
	older, err := f.keys.open(shown)
	if err != nil {
		return err
	}
	g := growth{Origin: e.view.Origin}
	if older.Origin != e.view.Origin || older.Size > e.view.Size {
		return no("the bundle has a checkpoint of %q with %d entries, the service shows %q with %d", older.Origin, older.Size, g.Origin, e.view.Size)
	}
	then, err := e.view.rootAt(ctx, older.Size)
	if err == nil && then != older.Root {
		return no("log %q is forked: the bundle has another tree of %d entries signed by it:\n%s", g.Origin, older.Size, shown)
	}
	return err
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
// first.
func (c *logClient) bundles(ctx context.Context, digest string) ([]*protobundle.Bundle, error) {
	raw, err := c.read(ctx, "/hallmark/v1/artifacts/"+digest, maxAnswer)
	if isNo(err) {
		return nil, nil // none; the entry may be another client's
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Receipts []signer.Receipt `json:"receipts"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("read the service's answer: %w", err)
	}
	var all []*protobundle.Bundle
	for _, r := range answer.Receipts[:min(len(answer.Receipts), maxProven)] {
		b, err := parseBundle(r.Bundle)
		if err != nil {
			return nil, no("a receipt of the service: %w", err)
		}
		all = append(all, b)
	}
	return all, nil
}

// speaksAbout checks that the entry is of the bundle's statement, and the
// statement about the digest. Who signed is not asked here; that is `hallmark
// verify`.
func speaksAbout(b *protobundle.Bundle, body []byte, digest string) error {
	envelope := b.GetDsseEnvelope()
	statement, err := attest.ParseStatement(envelope.GetPayload())
	if err != nil {
		return no("the service's bundle for %s: %w", digest, err)
	}
	if !statement.Binds(attest.Digest(digest)) {
		return no("the service's bundle for %s is a statement about something else", digest)
	}
	for _, signed := range [][]byte{envelope.GetPayload(), attest.PAE(envelope.GetPayloadType(), envelope.GetPayload())} {
		if sum := sha256.Sum256(signed); names(body, "sha256:"+hex.EncodeToString(sum[:])) {
			return nil
		}
	}
	return no("the service's bundle for %s has the log entry of another statement", digest)
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
