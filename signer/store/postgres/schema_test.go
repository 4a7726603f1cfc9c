// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// What is append-only cannot be changed by any SQL, not even the owner's, short
// of dropping the triggers.
func TestAppendOnly(t *testing.T) {
	db, cfg := create(t, pglab.Start(t))
	w := newWorld(t, db)
	appendAll(t, w, w.Load(db, w.Config), "entry", 300)
	storetest.To(t, db, storetest.Intent("intent", "request"), "finished")
	id := sha256.Sum256(nil)
	if err := db.RecordCertificate(t.Context(), signer.IssuedCertificate{ID: id}, storetest.Event(signer.DecisionIssued, "")); err != nil {
		t.Fatal(err)
	}
	if ok, err := db.UseCertificate(t.Context(), id, id, "v1", id); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if ok, err := db.RecordOnce(t.Context(), storetest.Operation("one")); err != nil || !ok {
		t.Fatal(ok, err)
	}
	other := connect(t, cfg)
	for _, query := range []string{
		`UPDATE entries SET body = '\x00' WHERE id = (SELECT min(id) FROM entries)`,
		`UPDATE entries SET keys = '{}'`,
		`DELETE FROM entries`,
		`TRUNCATE entries`,
		`UPDATE tiles SET data = '\x00'`,
		`UPDATE tiles SET id = id + 1`,
		`DELETE FROM tiles`,
		`TRUNCATE tiles`,
		`UPDATE logs SET size = size - 1`,
		`UPDATE logs SET time = 0`,
		`UPDATE logs SET key = '\x00'`,
		`UPDATE logs SET origin = 'x'`,
		`UPDATE logs SET tree_id = 8`,
		`UPDATE logs SET first_index = 8`,
		`UPDATE logs SET state = 'pending'`,
		`DELETE FROM logs`,
		`TRUNCATE logs`,
		`UPDATE audit SET event = '{}'`,
		`DELETE FROM audit`,
		`TRUNCATE audit`,
		`UPDATE operations SET seq = 0`,
		`DELETE FROM operations`,
		`TRUNCATE operations`,
		`DELETE FROM token_uses`,
		`TRUNCATE token_uses`,
		`UPDATE token_uses SET until = 0`,
		`UPDATE token_uses SET holder = token`,
		`UPDATE token_clock SET time = time - 1`,
		`DELETE FROM token_clock`,
		`TRUNCATE token_clock`,
		`UPDATE receipts SET outline = '{}'`,
		`DELETE FROM receipts`,
		`TRUNCATE receipts`,
		`DELETE FROM intents`,
		`TRUNCATE intents`,
		`UPDATE certificates SET signature = '\x00'`,
		`UPDATE certificates SET v1 = NULL`,
		`UPDATE certificates SET expires = 0`,
		`UPDATE secret SET index_key = sha256('')`,
		`INSERT INTO entries SELECT id + 1000, time, leaf, keys, body FROM entries`,
		`INSERT INTO intents SELECT seq + 1, 'copy', request_key, 'recorded', owner, created, action, digest, predicate_type, document, statement FROM intents`,
		`UPDATE logs SET state = 'frozen'; UPDATE logs SET size = size + 1`,
		`UPDATE logs SET state = 'frozen'; UPDATE logs SET state = 'active'`,
	} {
		if _, err := other.Exec(t.Context(), query); err == nil {
			t.Errorf("allowed: %s", query)
		}
	}
	if problems, err := db.Damage(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// A backup has every table there is.
func TestTables(t *testing.T) {
	_, cfg := create(t, pglab.Start(t))
	rows, err := connect(t, cfg).Query(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version'`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := postgres.Tables()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the schema has %q, a backup %q", got, want)
	}
}

// migrations is the text of all of them.
func migrations(t *testing.T) (all string) {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

// The privileges that the schema's first lines list are enough to serve, and no
// more: that role changes no table.
func TestPrivileges(t *testing.T) {
	pg := pglab.Start(t)
	owner, cfg := create(t, pg)
	w := newWorld(t, owner)
	pg.Exec(t, `CREATE ROLE hallmark_serve LOGIN PASSWORD 'serve'`)
	schema := migrations(t)
	manual, err := os.ReadFile("../../../docs/LOG.md")
	if err != nil {
		t.Fatal(err)
	}
	grants := 0
	for line := range strings.Lines(schema) {
		if grant, ok := strings.CutPrefix(line, "--     GRANT "); ok {
			if _, err := connect(t, cfg).Exec(t.Context(), "GRANT "+grant); err != nil {
				t.Fatal(err)
			}
			if privilege, _, _ := strings.Cut(grant, " TO "); !strings.Contains(string(manual), "`"+privilege+"`") {
				t.Errorf("docs/LOG.md does not list %s", privilege)
			}
			grants++
		}
	}
	if grants < 6 {
		t.Fatalf("%d grants are documented", grants)
	}
	cfg.URL = strings.Replace(cfg.URL, pglab.User+"@", "hallmark_serve@", 1)
	cfg.Password = "serve"
	db := open(t, cfg)
	l := w.Load(db, w.Config)
	appendAll(t, w, l, "entry", 100)
	commitEntries(t, db, "bulk", 2*postgres.SpanEntries)
	storetest.To(t, db, storetest.Intent("intent", "request"), "finished")
	storetest.To(t, db, storetest.Intent("void", "void"), "void")
	if _, _, err := db.Unfinished(t.Context(), 0); err != nil {
		t.Error(err)
	}
	id := sha256.Sum256(nil)
	if err := db.RecordCertificate(t.Context(), signer.IssuedCertificate{ID: id}, storetest.Event(signer.DecisionIssued, "")); err != nil {
		t.Error(err)
	}
	if ok, err := db.UseCertificate(t.Context(), id, id, "v1", id); err != nil || !ok {
		t.Error(ok, err)
	}
	fold(t, db, map[int]int{0: 2})
	if err := db.Freeze(t.Context(), "v2"); err != nil {
		t.Error(err)
	}
	if _, err := connect(t, cfg).Exec(t.Context(), `DROP TRIGGER entries_kept ON entries`); err == nil {
		t.Error("the serving role drops triggers")
	}
}

// On tables that were never analyzed, and with a plan made for any parameters,
// duplicates are looked up in their index, entry by entry.
func TestPlanOfDuplicates(t *testing.T) {
	db, cfg := create(t, pglab.Start(t))
	other := connect(t, cfg)
	for _, table := range postgres.Tables() {
		if _, err := other.Exec(t.Context(), `ALTER TABLE `+table+` SET (autovacuum_enabled = off)`); err != nil {
			t.Fatal(err)
		}
	}
	commitEntries(t, db, "v2", 3000)
	var analyzed bool
	if err := other.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stats WHERE tablename = 'entries')`).Scan(&analyzed); err != nil || analyzed {
		t.Fatalf("analyzed: %v, %v", analyzed, err)
	}
	var leaves []string
	for i := range int64(500) {
		leaves = append(leaves, fmt.Sprintf(`"\\x%x"`, [32]byte(madeUp("v2", i*10).Hash))) // most of them are there
	}
	for _, setup := range []string{`SET plan_cache_mode = force_generic_plan`, `SET plan_cache_mode = force_custom_plan`, `SET enable_seqscan = on`} {
		if _, err := other.Exec(t.Context(), setup); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Exec(t.Context(), `DEALLOCATE ALL`); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Exec(t.Context(), `PREPARE find (bigint, bytea[]) AS `+postgres.SQLFind); err != nil {
			t.Fatal(err)
		}
		rows, err := other.Query(t.Context(), `EXPLAIN (ANALYZE) EXECUTE find (1, '{`+strings.Join(leaves, ",")+`}')`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		plan := strings.Join(lines, "\n")
		if !strings.Contains(plan, "Index Scan using entries_leaf") || strings.Contains(plan, "Seq Scan on entries") {
			t.Errorf("%s:\n%s", setup, plan)
		}
	}
}

// Uses of tokens are looked up in their indexes, however many are kept and
// whether the table was analyzed or not.
func TestPlanOfTokens(t *testing.T) {
	db, cfg := create(t, pglab.Start(t))
	if err := db.UseToken(t.Context(), storetest.Use("token"), "request"); err != nil {
		t.Fatal(err)
	}
	other := connect(t, cfg)
	exec := func(query string) {
		t.Helper()
		if _, err := other.Exec(t.Context(), query, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec(`ALTER TABLE token_uses SET (autovacuum_enabled = off)`)
	exec(`INSERT INTO token_uses SELECT sha256(n::text::bytea), 'request', sha256(''), n FROM generate_series(1, 20000) n`)
	for name, value := range postgres.Settings() {
		exec(`SET ` + name + ` = '` + value + `'`)
	}
	for range 2 {
		for query, args := range map[string]string{
			"(bigint) AS " + postgres.SQLForget:                          "(8)",
			"(bytea, text, bytea, bigint, bigint) AS " + postgres.SQLUse: `('\x00', 'r', '\x00', 1, 1)`,
			"(bytea, text, bytea) AS " + postgres.SQLJudge:               `('\x00', 'r', '\x00')`,
		} {
			exec(`PREPARE tokens ` + query)
			rows, err := other.Query(t.Context(), `EXPLAIN EXECUTE tokens `+args, pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			if plan := strings.Join(lines, "\n"); strings.Contains(plan, "Seq Scan on token_uses") || strings.Contains(plan, "Hash ") || strings.Contains(plan, "Merge ") {
				t.Errorf("%s:\n%s", query, plan)
			}
			exec(`DEALLOCATE tokens`)
		}
		exec(`ANALYZE token_uses`)
	}
}

// commitEntries appends n made-up entries to a log of that name, which it makes
// if there is none, in large batches. Entry i has the keys of numbered(i).
func commitEntries(t testing.TB, db *postgres.DB, name string, n int) {
	t.Helper()
	ctx := context.Background()
	if _, err := db.Log(ctx, name); err != nil {
		row := tlog.LogRow{Name: name, Kind: tlog.Kind("test " + name), TreeID: int64(len(name)) << 32, State: tlog.Active, Origin: name, Key: []byte(name), Head: tlog.Head{Checkpoint: []byte("empty")}}
		if err := db.CreateLog(ctx, row); err != nil {
			t.Fatal(err)
		}
	}
	const batch = 2048
	for done := 0; done < n; done += batch {
		err := db.Commit(ctx, tlog.Batch{Log: name}, func(locked tlog.Locked) (w tlog.Write, err error) {
			for i := locked.Head.Size; i < locked.Head.Size+int64(min(batch, n-done)); i++ {
				w.Entries = append(w.Entries, madeUp(name, i))
			}
			w.Head = tlog.Head{Size: locked.Head.Size + int64(len(w.Entries)), Time: locked.Head.Time, Checkpoint: []byte("made up")}
			return w, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A backup of an older schema, which lacks the tables of later ones, is restored
// and brought up to date.
func TestRestoreOlder(t *testing.T) {
	pg := pglab.Start(t)
	file := filepath.Join(t.TempDir(), "old")
	if err := postgres.BackupOld(t.Context(), config(t, pg.NewDatabase(t)), 1, file); err != nil {
		t.Fatal(err)
	}
	cfg := config(t, pg.NewDatabase(t))
	if err := postgres.Restore(t.Context(), file, cfg); err != nil {
		t.Fatal(err)
	}
	db := open(t, cfg)
	storetest.To(t, db, storetest.Intent("intent", "request"), "finished")
}
