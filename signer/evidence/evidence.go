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
//
// Newer statements outweigh older ones, so bundles are read newest first, one by
// one, and no further than an older one could change the decision
// (policy.Sieve). Nothing is cut off: where more would have to be read than the
// limits of this package allow, there is no decision but an error that says so.
// So nobody can hide a scan behind a thousand newer ones, nor take more memory
// than one bundle, by attesting a lot. What somebody attests a lot about is
// what cannot be signed then: one digest.
package evidence

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

// Registry is what the package needs of the registry client.
type Registry interface {
	ListBundles(ctx context.Context, subject oci.Artifact) ([]oci.ListedBundle, error)
	ReadBundle(ctx context.Context, subject oci.Artifact, b oci.ListedBundle) ([]byte, error)
	// Relatives is as in signer.Registry.
	Relatives(ctx context.Context, subject oci.Artifact, named []attest.Digest) ([]attest.Digest, error)
	Images(ctx context.Context, index oci.Artifact) ([]oci.PlatformImage, error)
}

// Config is what a Source is made of. All of it but Clock is compulsory.
type Config struct {
	Registry Registry
	// Receipts is the service's own store.
	Receipts signer.ReceiptReader
	// Facts verifies a bundle about a digest with the published trusted root.
	// It returns an error if the bundle proves nothing about it.
	Facts func(ctx context.Context, digest attest.Digest, bundle []byte) (policy.Fact, error)
	// Origin is the service's: its attestor signs what counts.
	Origin string
	Logger *slog.Logger
	// Clock is the service's; nil for the machine's.
	Clock func() time.Time
}

// Source implements signer.Evidence. It is safe for concurrent use.
type Source struct {
	cfg Config
	memory
}

// New returns a Source.
func New(cfg Config) (*Source, error) {
	if cfg.Registry == nil || cfg.Receipts == nil || cfg.Facts == nil || cfg.Origin == "" || cfg.Logger == nil {
		return nil, errors.New("new evidence source: Registry, Receipts, Facts, Origin and Logger are compulsory")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Source{cfg: cfg, memory: newMemory()}, nil
}

// Gather implements signer.Evidence.
func (s *Source) Gather(ctx context.Context, subject oci.Artifact, needs policy.Needs) (signer.Gathered, error) {
	subjects := []oci.Artifact{subject}
	var out signer.Gathered
	if needs.Platforms {
		images, err := s.cfg.Registry.Images(ctx, subject)
		if err != nil {
			return signer.Gathered{}, err
		}
		out.PlatformNames = make(map[string][]string, len(images))
		for _, image := range images {
			out.Platforms = append(out.Platforms, string(image.Digest))
			out.PlatformNames[string(image.Digest)] = image.Platforms()
			subjects = append(subjects, image.Artifact)
		}
	}
	// 1. What there is, without its bytes.
	g := &gathering{Source: s, sieve: policy.NewSieve(needs, s.cfg.Clock())}
	places := make([]place, len(subjects))
	for i, one := range subjects {
		var err error
		if places[i], err = g.list(ctx, one, needs.Kinds); err != nil {
			return signer.Gathered{}, err
		}
	}
	// 2. Room for what will be kept of it, until the decision is made.
	room, release, err := s.keep(ctx, places)
	if err != nil {
		return signer.Gathered{}, err
	}
	g.room = room
	// 3. Bundles, one by one, until older ones decide nothing.
	for _, p := range places {
		if err := g.read(ctx, p); err != nil {
			release()
			return signer.Gathered{}, err
		}
	}
	out.Documents, out.Release = g.sieve.Documents(), release
	return out, nil
}
