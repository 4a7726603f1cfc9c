// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxDamage bounds how many problems of a file are told.
const maxDamage = 100

// primaryCode masks an extended result code of SQLite to its kind.
const primaryCode = 0xff

// Damage has SQLite read the whole file, the tables of the log and all others,
// and compares the index with the entries. It returns what is wrong, one
// sentence a problem; nil if nothing is. It is slow and may run while the
// service does.
func (db *DB) Damage(ctx context.Context) (problems []string, err error) {
	query := fmt.Sprintf("PRAGMA integrity_check(%d)", maxDamage)
	err = db.read(ctx, func(q queryer) error {
		return q.each(query, nil, func(scan func(...any) error) error {
			var line string
			if err := scan(&line); err != nil {
				return err
			}
			if line != "ok" {
				problems = append(problems, "file: "+line)
			}
			return nil
		})
	})
	var damaged *sqlite.Error
	if errors.As(err, &damaged) && damaged.Code()&primaryCode == sqlite3.SQLITE_CORRUPT {
		return append(problems, "file: "+damaged.Error()), nil // so broken that the check itself gave up
	}
	if err != nil {
		return nil, fmt.Errorf("check the database file: %w", err)
	}
	if len(problems) > 0 {
		return problems, nil // what else is wrong follows from it
	}
	if problems, err = db.indexDamage(ctx); err != nil {
		return nil, fmt.Errorf("check the index: %w", err)
	}
	missing, err := db.receiptDamage(ctx)
	if err != nil {
		return nil, fmt.Errorf("check the receipts: %w", err)
	}
	return append(problems, missing...), nil
}
