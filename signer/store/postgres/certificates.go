// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// RecordCertificate implements signer.CertificateRecord.
func (db *DB) RecordCertificate(ctx context.Context, c signer.IssuedCertificate, ev signer.AuditEvent) error {
	event, err := eventColumns(ev)
	if err != nil {
		return err
	}
	err = db.numbered(ctx, func(b *pgx.Batch) {
		b.Queue(`DELETE FROM certificates WHERE expires < $1`, ev.Time.Add(-store.CertificateKept).Unix())
		b.Queue(`INSERT INTO certificates (id, expires) VALUES ($1, $2)`, c.ID[:], c.Expires.Unix())
		b.Queue(sqlRecord, event...)
	})
	if err != nil {
		return fmt.Errorf("record certificate: %w", err)
	}
	return nil
}

// UseCertificate implements store.Certificates. The row is locked by the update:
// who comes second looks at what the first one has committed.
func (db *DB) UseCertificate(ctx context.Context, certificate, signature [sha256.Size]byte, kind string, leaf [sha256.Size]byte) (bool, error) {
	column, err := store.LeafColumn(kind)
	if err != nil {
		return false, err
	}
	conn, err := db.writer(ctx)
	if err != nil {
		return false, fmt.Errorf("use certificate: %w", hint(err))
	}
	defer conn.Release()
	tag, err := conn.Exec(ctx, `UPDATE certificates SET signature = $2, `+column+` = $3
		WHERE id = $1 AND (signature IS NULL OR signature = $2) AND (`+column+` IS NULL OR `+column+` = $3)`,
		certificate[:], signature[:], leaf[:])
	if err != nil {
		return false, fmt.Errorf("use certificate: %w", hint(err))
	}
	return tag.RowsAffected() == 1, nil
}
