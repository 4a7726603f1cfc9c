// SPDX-License-Identifier: Apache-2.0

// Package evidence finds what is proven about an artifact, for the gates of
// the signing policy.
//
// Two places may have it: the central registry, where it is attached for
// everybody, and the service's own store, which has the bundle of every
// receipt. The store alone has all that this deployment has attested; the
// registry is asked as well because it outlives a lost database. What either
// has is believed only after it was verified as a stranger would, with the
// published trusted root, and only if the deployment's attestor signed it: a
// registry is written to by many.
//
// The time of a statement is that of its log entry or timestamp. A statement
// about another digest is not evidence, wherever it hangs.
package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// maxGathering bounds how many artifacts' evidence is in memory at a time:
	// bundles of SBOMs are large.
	maxGathering = 4
	// workers is how many bundles of one artifact are verified at a time.
	workers = 4
)

// Registry is what the package needs of the registry client.
type Registry interface {
	Bundles(ctx context.Context, subject oci.Artifact) ([]oci.StoredBundle, error)
	Platforms(ctx context.Context, index oci.Artifact) ([]oci.Artifact, error)
}

// Receipts is the service's own store: the receipts about an artifact, newest
// first.
type Receipts interface {
	Receipts(ctx context.Context, digest attest.Digest) ([]signer.Receipt, error)
}

// Config is what a Source is made of. All of it is compulsory.
type Config struct {
	Registry Registry
	Receipts Receipts
	// Facts verifies a bundle about a digest with the published trusted root.
	// It returns an error if the bundle proves nothing about it.
	Facts func(ctx context.Context, digest attest.Digest, bundle []byte) (policy.Fact, error)
	// Origin is the service's: its attestor signs what counts.
	Origin string
	Logger *slog.Logger
}

// Source implements signer.Evidence. It is safe for concurrent use.
type Source struct {
	cfg   Config
	turns *semaphore.Weighted
}

// New returns a Source.
func New(cfg Config) (*Source, error) {
	if cfg.Registry == nil || cfg.Receipts == nil || cfg.Facts == nil || cfg.Origin == "" || cfg.Logger == nil {
		return nil, errors.New("new evidence source: Registry, Receipts, Facts, Origin and Logger are compulsory")
	}
	return &Source{cfg: cfg, turns: semaphore.NewWeighted(maxGathering)}, nil
}

// Gather implements signer.Evidence.
func (s *Source) Gather(ctx context.Context, subject oci.Artifact, platforms bool) (signer.Gathered, error) {
	if err := s.turns.Acquire(ctx, 1); err != nil {
		return signer.Gathered{}, err
	}
	defer s.turns.Release(1)
	subjects := []oci.Artifact{subject}
	var out signer.Gathered
	if platforms {
		images, err := s.cfg.Registry.Platforms(ctx, subject)
		if err != nil {
			return signer.Gathered{}, err
		}
		for _, image := range images {
			out.Platforms = append(out.Platforms, string(image.Digest))
		}
		subjects = append(subjects, images...)
	}
	for _, one := range subjects {
		found, err := s.gather(ctx, one)
		if err != nil {
			return signer.Gathered{}, err
		}
		out.Documents = append(out.Documents, found...)
	}
	return out, nil
}

// gather finds the evidence about one digest.
func (s *Source) gather(ctx context.Context, subject oci.Artifact) ([]policy.Document, error) {
	receipts, err := s.cfg.Receipts.Receipts(ctx, subject.Digest)
	if err != nil {
		return nil, err
	}
	bundles := map[attest.Digest][]byte{}
	for _, r := range receipts {
		if attest.IsEvidence(r.PredicateType) { // our own record of what we made
			bundles[attest.DigestOf(r.Bundle)] = r.Bundle
		}
	}
	attached, err := s.cfg.Registry.Bundles(ctx, subject)
	switch {
	case isJunk(err):
		// Anybody who may push can attach too much, and what cannot be read. It
		// must not keep others from signing, and hides nothing: what we attested is
		// in the store.
		s.cfg.Logger.WarnContext(ctx, "what is attached to an artifact cannot be used, evidence is taken from the store alone", "artifact", subject.String(), "error", err)
	case err != nil:
		return nil, err
	}
	for _, b := range attached {
		if isEvidence(b.Bytes) {
			bundles[attest.DigestOf(b.Bytes)] = b.Bytes
		}
	}
	return s.verify(ctx, subject.Digest, bundles)
}

// isJunk tells what somebody has pushed from a registry that does not answer:
// too much, a list that is none, a bundle of another size or without its bytes.
func isJunk(err error) bool {
	for _, junk := range []error{oci.ErrTooMany, oci.ErrTooLarge, oci.ErrBadManifest, oci.ErrDigestMismatch, oci.ErrNotFound} {
		if errors.Is(err, junk) {
			return true
		}
	}
	return false
}

// verify keeps what is proven. A bundle that proves nothing about the digest is
// somebody's junk, and no reason not to decide.
func (s *Source) verify(ctx context.Context, digest attest.Digest, bundles map[attest.Digest][]byte) ([]policy.Document, error) {
	documents := make(chan policy.Document, len(bundles))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for name, bundle := range bundles {
		group.Go(func() error {
			fact, err := s.cfg.Facts(ctx, digest, bundle)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				s.cfg.Logger.DebugContext(ctx, "a bundle proves nothing", "artifact", string(digest), "bundle", string(name), "error", err)
				return nil
			case fact.SAN != signer.AttestorSAN(s.cfg.Origin) || fact.Issuer != s.cfg.Origin:
				return nil // somebody else's word
			}
			if d, ok := document.Of(fact, digest); ok {
				documents <- d
			}
			return nil
		})
	}
	err := group.Wait()
	close(documents)
	if err != nil {
		return nil, err
	}
	return distinct(documents), nil
}

// distinct keeps one document of each log entry: the registry may have a bundle
// with another inclusion proof than the store. Or with another timestamp, which
// anybody may have made of the same signature while its certificate lives, so
// that it looks newer than what has taken it back since: the earliest counts.
func distinct(documents <-chan policy.Document) []policy.Document {
	type entry struct {
		log   string
		index int64
	}
	seen := map[entry]int{}
	var kept []policy.Document
	for d := range documents {
		e := entry{d.LogID, d.LogIndex}
		i, again := seen[e]
		switch {
		case !again:
			seen[e] = len(kept)
			kept = append(kept, d)
		case d.At.Before(kept[i].At):
			kept[i] = d
		}
	}
	return kept
}

// isEvidence looks into a bundle before it is verified, which costs more: most
// of what hangs on an artifact are signatures.
func isEvidence(bundle []byte) bool {
	b, err := attest.ParseBundle(bundle)
	if err != nil {
		return false
	}
	var st struct {
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	return json.Unmarshal(b.Payload, &st) == nil && attest.IsEvidence(st.PredicateType)
}
