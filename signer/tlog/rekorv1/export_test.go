// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"context"

	"github.com/sigstore/rekor/pkg/generated/models"
)

// The two ways from a request to a leaf, for tests that hold them side by side.

// Fast is what is read without Rekor's code.
func Fast(raw []byte) (leaf []byte, keys []string, ok bool) {
	doc, err := parseJSON(raw)
	if err != nil {
		return nil, nil, false
	}
	e, ok := readHashedRekord(&doc)
	if !ok {
		e, ok = readDSSE(&doc)
	}
	return e.leaf, e.keys, ok
}

// Slow is what Rekor's code makes of it.
func Slow(ctx context.Context, s *Service, raw []byte) (leaf []byte, keys []string, err error) {
	proposed, err := unmarshal(raw)
	if err != nil {
		return nil, nil, err
	}
	e, err := s.readSlowly(ctx, proposed)
	return e.leaf, e.keys, err
}

// Strict reads JSON as requests are read.
func Strict(raw []byte) error {
	_, err := parseJSON(raw)
	return err
}

// SlowProposed is Slow behind the schema.
func SlowProposed(ctx context.Context, s *Service, proposed models.ProposedEntry) error {
	_, err := s.readSlowly(ctx, proposed)
	return err
}
