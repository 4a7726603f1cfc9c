// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"database/sql"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
)

// alter changes a closed database behind the service's back.
func alter(t *testing.T, path, statements string) {
	t.Helper()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.ExecContext(t.Context(), statements)
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestReceiptsOfBefore: a database of before the list of receipts has one
// after it was opened, with every receipt in it as it would have been made.
func TestReceiptsOfBefore(t *testing.T) {
	db, path := create(t)
	storetest.To(t, db, storetest.Intent("one", "one"), "finished")
	alone := storetest.Intent("two", "two")
	storetest.To(t, db, alone, "signed")
	r := storetest.Receipt(alone)
	r.Others = nil
	if err := db.Finish(t.Context(), "two", r, storetest.Event(signer.DecisionSigned, "two")); err != nil {
		t.Fatal(err)
	}
	storetest.To(t, db, storetest.Intent("open", "open"), "signed")
	query := signer.ReceiptQuery{Digest: storetest.Digest}
	want, err := db.ReceiptPage(t.Context(), query)
	if err != nil || len(want) != 2 {
		t.Fatal(want, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	alter(t, path, `DROP TABLE receipts; DROP TABLE operations; DELETE FROM goose_db_version WHERE version_id >= 6`)
	opened := open(t, path)
	for i := range want { // the record has the time of the beginning
		want[i].Finished = want[i].Finished.Add(time.Hour)
	}
	if got, err := opened.ReceiptPage(t.Context(), query); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if problems, err := opened.Damage(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestMissingReceipts: a list of receipts that lacks one, or has one too many, is
// damage; no SQL makes it so without taking the triggers away first.
func TestMissingReceipts(t *testing.T) {
	db, path := create(t)
	storetest.To(t, db, storetest.Intent("one", "one"), "finished")
	storetest.To(t, db, storetest.Intent("two", "two"), "signed")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{`UPDATE receipts SET id = 'two'`, `DELETE FROM receipts`} {
		if _, err := raw.ExecContext(t.Context(), query); err == nil {
			t.Errorf("allowed: %s", query)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	alter(t, path, `DROP TRIGGER receipts_kept_2; UPDATE receipts SET id = 'two'`)
	problems, err := open(t, path).Damage(t.Context())
	if err != nil || len(problems) != 2 || !strings.Contains(problems[0], "intent one: its receipt is not in the list") || !strings.Contains(problems[1], "receipt two: there is no finished intent") {
		t.Errorf("%q, %v", problems, err)
	}
}
