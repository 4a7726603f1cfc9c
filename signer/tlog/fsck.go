// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"crypto"
)

// Report is what Fsck found.
type Report struct {
	Size     int64
	Root     Hash
	Problems []string
}

// Fsck reads a whole log.
func Fsck(ctx context.Context, st Storage, name, origin string, key crypto.PublicKey) (Report, error) {
	panic("unwritten")
}
