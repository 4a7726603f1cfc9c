// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// TestRoomForDocuments: the share is half, one large document always fits, and no
// share is more than there is.
func TestRoomForDocuments(t *testing.T) {
	const gib = 1 << 30
	for name, tc := range map[string]struct {
		config       DocumentsConfig
		limit, share int64
		good         bool
	}{
		"nothing said":       {DocumentsConfig{}, gib, gib / 2, true},
		"more room":          {DocumentsConfig{Spool: 4 * gib}, 4 * gib, 2 * gib, true},
		"the least":          {DocumentsConfig{Spool: signer.MaxDocument}, leastSpool, signer.MaxDocument, true},
		"a share":            {DocumentsConfig{SpoolShare: gib}, gib, gib, true},
		"a share of nothing": {DocumentsConfig{SpoolShare: 1}, gib, 1, false},
		"more than there is": {DocumentsConfig{SpoolShare: 2 * gib}, gib, 2 * gib, false},
		"too little room":    {DocumentsConfig{Spool: 1}, leastSpool, signer.MaxDocument, false},
	} {
		limit, share := tc.config.room()
		if limit != tc.limit || share != tc.share || (tc.config.check() == nil) != tc.good {
			t.Errorf("%s: %d and %d, %v", name, limit, share, tc.config.check())
		}
	}
}
