// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	merkle "golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/verifier"
)

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
