// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer/evidence"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// evidenceFacts proves evidence with the trusted root that the service publishes
// and the revocations of now: what verifiers do not count opens no gate.
type evidenceFacts struct {
	trust *published
	gone  *revoked

	mu   sync.Mutex // guards what follows
	root *trust.Root
	list *trust.Revocations
	made *verifier.Crypto // of root and list
}

// current makes a Crypto when root or list have been replaced.
func (f *evidenceFacts) current(ctx context.Context) (*verifier.Crypto, error) {
	root, list := f.trust.current(ctx).parsed, f.gone.current(ctx).Revocations
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.made == nil || f.root != root || f.list != list {
		made, err := verifier.NewCrypto(root, verifier.WithRevocations(list, 0))
		if err != nil {
			return nil, err
		}
		f.root, f.list, f.made = root, list, made
	}
	return f.made, nil
}

// Facts verifies a bundle about a digest.
func (f *evidenceFacts) Facts(ctx context.Context, digest attest.Digest, bundle []byte) (policy.Fact, error) {
	crypto, err := f.current(ctx)
	if err != nil {
		return policy.Fact{}, err
	}
	return crypto.Facts(digest, bundle)
}

// newEvidence connects the gates with the registry, the store and the trusted
// root.
func newEvidence(cfg *Config, registry *oci.Client, db store.Database, trust *published, gone *revoked, logger *slog.Logger) (*evidence.Source, error) {
	facts := &evidenceFacts{trust: trust, gone: gone}
	return evidence.New(evidence.Config{Registry: registry, Receipts: db, Facts: facts.Facts, Origin: cfg.Origin, Logger: logger})
}
