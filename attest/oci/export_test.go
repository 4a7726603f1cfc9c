// SPDX-License-Identifier: Apache-2.0

package oci

import "context"

// Reserve is reserve.
func (c *Client) Reserve(ctx context.Context, size int64) (release func(), err error) {
	return c.reserve(ctx, size)
}

// Idle tells whether nothing is reserved for manifests that are being read.
func (c *Client) Idle() bool {
	if !c.memory.TryAcquire(manifestMemory) {
		return false
	}
	c.memory.Release(manifestMemory)
	return true
}

// Giants is how many manifests of the largest size are read at a time.
const Giants = manifestMemory / (parsedSize*maxManifest + smallManifest)
