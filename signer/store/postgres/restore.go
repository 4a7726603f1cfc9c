// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// restoreSettings: filling a table may take long.
var restoreSettings = map[string]string{"statement_timeout": "0", "lock_timeout": "60s", "idle_in_transaction_session_timeout": "0", "enable_seqscan": "on"}

// Restore fills an empty database from a backup, in one transaction, in which
// it also checks that every row of the manifest has arrived, byte for byte, and
// does what Damage does. store.ErrExists if the database has anything in it,
// store.ErrNoDatabase if backup is not there, tlog.ErrCorrupt if it is damaged.
// An error leaves the database empty, at most with the tables of an empty
// deployment, and Restore may be tried again.
func Restore(ctx context.Context, backup string, cfg Config) error {
	c, err := newConnector(cfg)
	if err != nil {
		return err
	}
	if err := c.restore(ctx, backup); err != nil {
		return c.explain("restore "+backup+" to", err)
	}
	return nil
}

func (c *connector) restore(ctx context.Context, backup string) (err error) {
	archive, err := zip.OpenReader(backup)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w there", store.ErrNoDatabase)
	}
	if err != nil {
		return notWhole(err)
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	m, err := readManifest(archive)
	if err != nil {
		return err
	}
	if err := c.migrate(ctx, mayBeFresh, m.Schema); err != nil {
		return err
	}
	conn, err := c.connect(ctx, restoreSettings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return fill(ctx, tx, archive, m) }); err != nil {
		return err
	}
	return c.migrate(ctx, mustExist, latestSchema)
}

// readManifest reads what a backup says about itself. It decides no name: the
// tables are ours, and the columns are compared with those that exist.
func readManifest(archive *zip.ReadCloser) (manifest, error) {
	var m manifest
	member, err := archive.Open(manifestName)
	if err != nil {
		return m, notWhole(err)
	}
	defer func() { _ = member.Close() }() // only read
	encoded, err := io.ReadAll(io.LimitReader(member, maxManifest))
	if err == nil {
		err = json.Unmarshal(encoded, &m)
	}
	if err != nil {
		return m, notWhole(err)
	}
	if m.Format != backupFormat {
		return m, fmt.Errorf("backup format %d is not known to this program (hint: use the hallmark-server that made it)", m.Format)
	}
	names := make([]string, len(m.Tables))
	for i := range m.Tables {
		names[i] = m.Tables[i].Name
	}
	if m.Schema < 1 || !slices.Equal(names, tablesOf(m.Schema)) {
		return m, notWhole(fmt.Errorf("it has schema %d with tables %q, want %q", m.Schema, names, tablesOf(m.Schema)))
	}
	return m, nil
}

func notWhole(err error) error {
	return fmt.Errorf("%w: not a whole backup: %w", tlog.ErrCorrupt, err)
}

// fill writes all tables. Nobody else sees or uses them meanwhile.
func fill(ctx context.Context, tx pgx.Tx, archive *zip.ReadCloser, m manifest) error {
	if _, err := tx.Exec(ctx, `LOCK TABLE `+strings.Join(tablesOf(m.Schema), ", ")+` IN ACCESS EXCLUSIVE MODE`); err != nil {
		return err
	}
	var used bool
	if err := tx.QueryRow(ctx, sqlUsed).Scan(&used); err != nil {
		return err
	}
	if used {
		return store.ErrExists // somebody began to use it a moment ago
	}
	if _, err := tx.Exec(ctx, `DELETE FROM secret`); err != nil { // made with the table
		return err
	}
	for _, t := range m.Tables {
		if err := fillTable(ctx, tx.Conn(), archive, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	problems, err := damage(ctx, tx.Conn())
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("%w: %s", tlog.ErrCorrupt, strings.Join(problems, "; "))
	}
	return err
}

func fillTable(ctx context.Context, conn *pgx.Conn, archive *zip.ReadCloser, t manifestTable) error {
	columns, err := columnsOf(ctx, conn, t.Name)
	if err != nil {
		return err
	}
	if !slices.Equal(columns, t.Columns) {
		return fmt.Errorf("backup has columns %q, the schema %q", t.Columns, columns)
	}
	member, err := archive.Open(t.Name)
	if err != nil {
		return notWhole(err)
	}
	defer func() { _ = member.Close() }() // only read
	sum := sha256.New()
	tag, err := conn.PgConn().CopyFrom(ctx, io.TeeReader(member, sum), copySQL(t.Name, columns)+` FROM STDIN (FORMAT binary)`)
	if errors.Is(err, zip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		return notWhole(err)
	}
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != t.SHA256 || tag.RowsAffected() != t.Rows {
		return fmt.Errorf("%w: %d rows with SHA-256 %s, the manifest says %d and %s", tlog.ErrCorrupt, tag.RowsAffected(), got, t.Rows, t.SHA256)
	}
	return nil
}
