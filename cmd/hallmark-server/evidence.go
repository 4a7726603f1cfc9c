// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer/evidence"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// Facts verifies a bundle with the trusted root that the service publishes.
func (p *published) Facts(ctx context.Context, digest attest.Digest, bundle []byte) (policy.Fact, error) {
	return p.current(ctx).crypto.Facts(digest, bundle)
}

// newEvidence connects the gates with the registry, the store and the trusted
// root.
func newEvidence(cfg *Config, registry *oci.Client, db store.Database, trust *published, logger *slog.Logger) (*evidence.Source, error) {
	return evidence.New(evidence.Config{Registry: registry, Receipts: db, Facts: trust.Facts, Origin: cfg.Origin, Logger: logger})
}
