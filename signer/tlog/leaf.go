// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"slices"
)

// Leaf is what Append logs.
type Leaf struct {
	// Body is the leaf, 1 to MaxLeaf bytes. Append copies it.
	Body []byte
	// Keys are what the entry can be found by, for example "sha256:<hex>": at
	// most MaxKeys, each 1 to MaxKey bytes, normalised by who makes them (see
	// package signer/tlog/index). They are written in the entry's transaction
	// and are no part of the leaf. An entry that exists keeps the keys it has.
	Keys []string
}

const (
	// MaxKeys is how many index keys an entry may have: an SBOM of an index
	// with all its platforms names this many subjects and no more.
	MaxKeys = 64
	// MaxKey is the longest index key, bytes: what the longest e-mail address,
	// URL or image name in practice needs.
	MaxKey = 1024
)

// check refuses what cannot be logged, and returns the keys, each once.
func (leaf Leaf) check() ([]string, error) {
	switch {
	case len(leaf.Body) == 0:
		return nil, ErrEmptyLeaf
	case len(leaf.Body) > MaxLeaf:
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(leaf.Body), MaxLeaf)
	}
	return checkKeys(leaf.Keys, MaxKeys)
}

// checkKeys returns each key once, in their order.
func checkKeys(keys []string, limit int) ([]string, error) {
	if len(keys) > limit {
		return nil, fmt.Errorf("%w: %d keys, the limit is %d", ErrBadKeys, len(keys), limit)
	}
	distinct := make([]string, 0, len(keys))
	for i, key := range keys {
		if key == "" || len(key) > MaxKey {
			return nil, fmt.Errorf("%w: key %d has %d bytes, keys have 1 to %d", ErrBadKeys, i, len(key), MaxKey)
		}
		if !slices.Contains(distinct, key) {
			distinct = append(distinct, key)
		}
	}
	return distinct, nil
}
