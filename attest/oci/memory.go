// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// manifestMemory bounds what all manifests take together that a Client is
	// reading at the same time, bytes: a thousand requests about images of
	// ordinary size go side by side, those about giants take turns.
	manifestMemory = 128 << 20
	// parsedSize is how many bytes a byte of a manifest takes while it is read:
	// a buffer that has grown, and what the parser makes of it.
	parsedSize = 6
	// smallManifest is counted for any manifest.
	smallManifest = 16 << 10
)

// newMemory is what readers of manifests share.
func newMemory() *semaphore.Weighted { return semaphore.NewWeighted(manifestMemory) }

// reserve waits until there is room for a manifest of that many bytes, -1 if the
// registry does not say how many. Whoever holds a reservation must not wait for
// another one.
func (c *Client) reserve(ctx context.Context, size int64) (release func(), err error) {
	if size < 0 || size > maxManifest {
		size = maxManifest // more is refused when it has been read
	}
	weight := parsedSize*size + smallManifest
	if err := c.memory.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { c.memory.Release(weight) }), nil
}
