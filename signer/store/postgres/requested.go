// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
)

// Requested implements signer.Journal.
func (db *DB) Requested(ctx context.Context, key string) (signer.Intent, error) {
	found, err := db.intents(ctx, `request_key = $1 AND state <> 'void'`, key)
	if err == nil && len(found) == 0 {
		err = signer.ErrNoIntent
	}
	if err != nil {
		return signer.Intent{}, fmt.Errorf("read intent of a request: %w", err)
	}
	return found[0], nil
}
