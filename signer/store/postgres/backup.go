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
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/signer/store"
)

// A backup is a ZIP file, so that anybody can look into it: a member for every
// table, named after it, with its rows as `COPY … (FORMAT binary)` writes them,
// and manifest.json behind them. Numbers, texts and byte strings have had the
// same binary form in every version of PostgreSQL, which every driver relies
// on; so a backup of one version is restored into a later one. Members are
// stored as they are: hashes and signatures do not get smaller.

// manifest says what is in a backup. It is the last member, so that an
// unfinished file has none.
type manifest struct {
	Format int             `json:"format"`
	Schema int64           `json:"schema"` // version of the schema
	Taken  time.Time       `json:"taken"`
	Server string          `json:"server"` // version of PostgreSQL
	Tables []manifestTable `json:"tables"`
}

type manifestTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	SHA256  string   `json:"sha256"` // of the member, hex
}

const (
	backupFormat = 1
	manifestName = "manifest.json"
	// maxManifest bounds what is read of one.
	maxManifest = 1 << 20
)

// tables are all of a version of the schema but goose's own, in the order of a
// backup. A migration that makes a table adds it here, with its own number.
func tables(schema int64) []string {
	var names []string
	for _, t := range []struct {
		since int64
		names []string
	}{
		{1, []string{"secret", "logs", "entries", "tiles", "spans", "span_keys", "intents", "audit"}},
		{2, []string{"token_uses", "token_clock"}},
		{5, []string{"certificates"}},
		{6, []string{"receipts"}},
		{7, []string{"operations"}},
	} {
		if schema >= t.since {
			names = append(names, t.names...)
		}
	}
	return names
}

const (
	sqlSnapshot = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
		SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0`
	sqlSchema  = `SELECT max(version_id) FROM goose_db_version WHERE is_applied`
	sqlColumns = `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`
)

// snapshot runs fn in a transaction that sees the database as it is now, for as
// long as fn takes.
func (db *DB) snapshot(ctx context.Context, fn func(conn *pgx.Conn) error) error {
	conn, err := db.reads.Acquire(ctx)
	if err != nil {
		return hint(err)
	}
	defer conn.Release() // closes it if the transaction has failed
	if _, err := conn.Exec(ctx, sqlSnapshot, pgx.QueryExecModeSimpleProtocol); err != nil {
		return hint(err)
	}
	if err := fn(conn.Conn()); err != nil {
		return hint(err)
	}
	_, err = conn.Exec(ctx, `ROLLBACK`)
	return err
}

// Backup implements store.Database: it writes what one snapshot shows to a file
// beside the one it is to be, and gives it its name when it is durable.
func (db *DB) Backup(ctx context.Context, file string) error {
	if err := db.backup(ctx, file); err != nil {
		return fmt.Errorf("back up to %s: %w", file, err)
	}
	return nil
}

func (db *DB) backup(ctx context.Context, file string) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return store.ErrExists
	}
	draft, err := os.CreateTemp(filepath.Dir(file), ".hallmark-backup-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }() // best effort: it has a name of its own
	err = db.snapshot(ctx, func(conn *pgx.Conn) error { return dump(ctx, conn, draft) })
	if err == nil {
		err = draft.Sync()
	}
	if err := errors.Join(err, draft.Close()); err != nil {
		return err
	}
	// Link, unlike rename, does not replace what somebody made meanwhile.
	if err := os.Link(draft.Name(), file); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return store.ErrExists
		}
		return err
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator's own path
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// dump writes all tables and the manifest.
func dump(ctx context.Context, conn *pgx.Conn, w io.Writer) error {
	m := manifest{Format: backupFormat, Taken: time.Now().UTC(), Server: conn.PgConn().ParameterStatus("server_version")}
	if err := conn.QueryRow(ctx, sqlSchema).Scan(&m.Schema); err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	for _, name := range tables(m.Schema) {
		t, err := dumpTable(ctx, conn, archive, name, m.Taken)
		if err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		m.Tables = append(m.Tables, t)
	}
	encoded, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	member, err := archive.CreateHeader(&zip.FileHeader{Name: manifestName, Modified: m.Taken})
	if err != nil {
		return err
	}
	if _, err := member.Write(encoded); err != nil {
		return err
	}
	return archive.Close()
}

func dumpTable(ctx context.Context, conn *pgx.Conn, archive *zip.Writer, name string, taken time.Time) (manifestTable, error) {
	columns, err := columnsOf(ctx, conn, name)
	if err != nil {
		return manifestTable{}, err
	}
	member, err := archive.CreateHeader(&zip.FileHeader{Name: name, Modified: taken})
	if err != nil {
		return manifestTable{}, err
	}
	sum := sha256.New()
	tag, err := conn.PgConn().CopyTo(ctx, io.MultiWriter(member, sum), copySQL(name, columns)+` TO STDOUT (FORMAT binary)`)
	if err != nil {
		return manifestTable{}, err
	}
	return manifestTable{Name: name, Columns: columns, Rows: tag.RowsAffected(), SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

func columnsOf(ctx context.Context, conn *pgx.Conn, table string) ([]string, error) {
	rows, err := conn.Query(ctx, sqlColumns, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func copySQL(table string, columns []string) string {
	quoted := make([]string, len(columns))
	for i := range columns {
		quoted[i] = pgx.Identifier{columns[i]}.Sanitize()
	}
	return `COPY ` + pgx.Identifier{table}.Sanitize() + ` (` + strings.Join(quoted, ", ") + `)`
}
