// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// RecordCertificate implements signer.CertificateRecord.
func (db *DB) RecordCertificate(ctx context.Context, c signer.IssuedCertificate, ev signer.AuditEvent) error {
	err := db.write(ctx, func(t *tx) error {
		if err := t.exec(`DELETE FROM certificates WHERE expires < ?`, ev.Time.Add(-store.CertificateKept).Unix()); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO certificates (id, expires) VALUES (?, ?)`, c.ID[:], c.Expires.Unix()); err != nil {
			return err
		}
		return t.record(ev)
	})
	if err != nil {
		return fmt.Errorf("record certificate: %w", err)
	}
	return nil
}

// UseCertificate implements store.Certificates.
func (db *DB) UseCertificate(ctx context.Context, certificate, signature [sha256.Size]byte, kind string, leaf [sha256.Size]byte) (used bool, err error) {
	column, err := store.LeafColumn(kind)
	if err != nil {
		return false, err
	}
	err = db.write(ctx, func(t *tx) error {
		n, err := t.changed(`UPDATE certificates SET signature = ?2, `+column+` = ?3
			WHERE id = ?1 AND (signature IS NULL OR signature = ?2) AND (`+column+` IS NULL OR `+column+` = ?3)`,
			certificate[:], signature[:], leaf[:])
		used = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("use certificate: %w", err)
	}
	return used, nil
}
