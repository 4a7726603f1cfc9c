// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

// FactWithin is Facts with a context.
func FactWithin(ctx context.Context, c *Crypto, digest attest.Digest, bundle []byte) (policy.Fact, error) {
	blob, err := blobOf(digest)
	if err != nil {
		return policy.Fact{}, err
	}
	return c.fact(ctx, blob, bundle, nil)
}

// CheckCovers lets tests hold the first log entry of one bundle against the content of another, without the checks around it.
func CheckCovers(bundle, entryOf []byte) error {
	e, err := readBundle(bundle, nil)
	if err != nil {
		return err
	}
	other, err := readBundle(entryOf, nil)
	if err != nil {
		return err
	}
	return checkCovers(other.entries[0], e)
}

// CheckKeyCovers is CheckCovers in key mode; the bundle that the entry comes from may have a certificate.
func CheckKeyCovers(bundle, entryOf []byte, key Key) error {
	e, err := readBundle(bundle, &key)
	if err != nil {
		return err
	}
	other, err := readBundle(entryOf, &key)
	if err != nil {
		if other, err = readBundle(entryOf, nil); err != nil {
			return err
		}
	}
	return checkCovers(other.entries[0], e)
}
