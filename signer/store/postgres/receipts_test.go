// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
)

// TestReceiptsOfOlderServers: a hallmark-server of before the list of receipts,
// which still serves while another one has brought the schema up to date, hides
// none.
func TestReceiptsOfOlderServers(t *testing.T) {
	db, cfg := create(t, pglab.Start(t))
	storetest.To(t, db, storetest.Intent("new", "new"), "finished")
	storetest.To(t, db, storetest.Intent("old", "old"), "signed")
	if _, err := connect(t, cfg).Exec(t.Context(), `UPDATE intents o SET state = 'finished', bundle = n.bundle, receipt = replace(n.receipt, '"new"', '"old"')
		FROM intents n WHERE o.id = 'old' AND n.id = 'new'`); err != nil {
		t.Fatal(err)
	}
	page, err := db.ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: storetest.Digest})
	if err != nil || len(page) != 2 || page[0].ID != "old" || page[0].Size != page[1].Size || len(page[0].Others) != 1 || page[0].Others[0].Bundle != nil || page[0].Seq != 2 {
		t.Errorf("%+v, %v", page, err)
	}
	if problems, err := db.Damage(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestMissingReceipts: a list of receipts that lacks one, or has one too many, is
// damage.
func TestMissingReceipts(t *testing.T) {
	db, cfg := create(t, pglab.Start(t))
	storetest.To(t, db, storetest.Intent("one", "one"), "finished")
	storetest.To(t, db, storetest.Intent("two", "two"), "signed")
	other := connect(t, cfg)
	if _, err := other.Exec(t.Context(), `ALTER TABLE receipts DISABLE TRIGGER ALL; UPDATE receipts SET id = 'two'`); err != nil {
		t.Fatal(err)
	}
	problems, err := db.Damage(t.Context())
	if err != nil || len(problems) != 2 || !strings.Contains(problems[0], "intent one: its receipt is not in the list") || !strings.Contains(problems[1], "receipt two: there is no finished intent") {
		t.Errorf("%q, %v", problems, err)
	}
}

// TestPlanOfReceipts: a page reads as many rows as it has, however many receipts
// an artifact has, of whatever types, and whether the table was analyzed or not.
func TestPlanOfReceipts(t *testing.T) {
	db, cfg := create(t, pglab.Start(t))
	storetest.To(t, db, storetest.Intent("one", "one"), "finished")
	other := connect(t, cfg)
	exec := func(query string) {
		t.Helper()
		if _, err := other.Exec(t.Context(), query, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec(`ALTER TABLE receipts SET (autovacuum_enabled = off)`)
	exec(`INSERT INTO receipts SELECT n, 'id' || n, 'sha256:' || n % 10, 'type' || n % 3, n, 1, '{}' FROM generate_series(2, 20000) n`)
	for name, value := range postgres.Settings() {
		exec(`SET ` + name + ` = '` + value + `'`)
	}
	for range 2 {
		for query, args := range map[string]string{
			"(text, bigint, bigint) AS " + postgres.SQLReceiptPage:          `('sha256:1', 9223372036854775807, 16)`,
			"(text, bigint, bigint, text[]) AS " + postgres.SQLReceiptTypes: `('sha256:1', 9223372036854775807, 16, '{type1,type2}')`,
			"(text, bigint) AS " + postgres.SQLReceiptTypesOf:               `('sha256:1', 257)`,
		} {
			exec(`PREPARE receipts ` + query)
			rows, err := other.Query(t.Context(), `EXPLAIN EXECUTE receipts `+args, pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			if plan := strings.Join(lines, "\n"); strings.Contains(plan, "Seq Scan on receipts") || strings.Contains(plan, "Bitmap") {
				t.Errorf("%s:\n%s", query, plan)
			}
			exec(`DEALLOCATE receipts`)
		}
		exec(`ANALYZE receipts`)
	}
}
