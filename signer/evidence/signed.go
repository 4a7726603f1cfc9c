// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// workers is how many bundles of one image are looked at at a time.
	workers = 4
	// maxSignature bounds a bundle that can be a signature, bytes: its statement
	// has no predicate, and the rest is certificates and proofs. What is larger is
	// an attestation.
	maxSignature = 1 << 20
)

// SignedConfig is what a Signed is made of. All of it is compulsory.
type SignedConfig struct {
	Registry Registry
	// Facts is that of Config.
	Facts func(ctx context.Context, digest attest.Digest, bundle []byte) (policy.Fact, error)
	// ByKey returns the name of the deployment's own key that signed the digest
	// in a bundle, and "" if none has.
	ByKey func(ctx context.Context, digest attest.Digest, bundle []byte) string
	// Revoked is what of an error of Facts says that the bundle verifies and was
	// revoked; "" if it says something else.
	Revoked func(error) string
	Origin  string
	Logger  *slog.Logger
}

// Signed tells who has had artifacts signed by this service, as the registry
// shows it: a signature that is not there helps no cluster. It implements
// signer.ImageSigners.
type Signed struct{ cfg SignedConfig }

// NewSigned returns a Signed.
func NewSigned(cfg SignedConfig) (*Signed, error) {
	if cfg.Registry == nil || cfg.Facts == nil || cfg.ByKey == nil || cfg.Revoked == nil || cfg.Origin == "" || cfg.Logger == nil {
		return nil, errors.New("new source of signatures: Registry, Facts, ByKey, Revoked, Origin and Logger are compulsory")
	}
	return &Signed{cfg}, nil
}

// Signatures implements signer.ImageSigners.
func (s *Signed) Signatures(ctx context.Context, image oci.Artifact) (out signer.ImageSignatures, err error) {
	attached, err := s.cfg.Registry.ListBundles(ctx, image)
	switch {
	case isJunk(err):
		// What cannot be read proves nothing, here as in a cluster.
		s.cfg.Logger.WarnContext(ctx, "what is attached to an image cannot be used: it counts as not signed", "image", image.String(), "error", err)
		return out, nil
	case err != nil:
		return out, err
	}
	found, gone := make([]string, len(attached)), make([]string, len(attached))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i, b := range attached {
		if b.Size > maxSignature {
			continue
		}
		group.Go(func() error {
			raw, err := s.cfg.Registry.ReadBundle(ctx, image, b)
			switch {
			case isJunk(err):
				return nil
			case err != nil:
				return err
			}
			found[i], gone[i] = s.signer(ctx, image.Digest, raw)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return out, err
	}
	for i := range found {
		if found[i] != "" {
			out.By = append(out.By, found[i])
		}
		out.Revoked = cmp.Or(out.Revoked, gone[i])
	}
	return out, nil
}

// signer is who signed, if the bundle is a signature that this service has made:
// not what a job signed by itself with a certificate on request, for which no
// policy has decided anything. Revoked is said of signatures and attestations
// alike: it explains why there is none.
func (s *Signed) signer(ctx context.Context, digest attest.Digest, bundle []byte) (who, revoked string) {
	fact, err := s.cfg.Facts(ctx, digest, bundle)
	if err != nil {
		return s.cfg.ByKey(ctx, digest, bundle), s.cfg.Revoked(err)
	}
	if !fact.Bound || fact.PredicateType != policy.PredicateSignature || fact.OnRequest || fact.SAN == signer.AttestorSAN(s.cfg.Origin) {
		return "", ""
	}
	return fact.SAN, ""
}
