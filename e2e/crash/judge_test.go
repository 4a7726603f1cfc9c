// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"net/url"
	"path/filepath"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// logs are those that every signature goes to.
const logs = 2

// story is what is known of an artifact in all places.
type story struct {
	entries  map[string]int // in each log
	attached []attest.Digest
	receipts []signer.Receipt
	events   map[string]int // by decision
}

// openSQLite opens the database of a dead server, and openPostgres that of any,
// as they are.
func openSQLite(t testing.TB, l *lab.Lab) store.Database {
	t.Helper()
	db, err := sqlite.OpenReadOnly(context.Background(), filepath.Join(l.Dir, "hallmark.db"))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func openPostgres(t testing.TB, database string) store.Database {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	db, err := postgres.OpenReadOnly(context.Background(), postgres.Config{URL: u.String(), Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// judge reads what there is about an artifact, and holds what must be true at
// every instant. It closes the database.
func judge(t testing.TB, db store.Database, registry, image string) story {
	t.Helper()
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	subject := resolve(t, registry, image)
	s := story{entries: entries(t, db, subject.Digest), events: map[string]int{}}
	for name, n := range s.entries {
		if n > 1 {
			t.Errorf("log %s has %d signatures for one request", name, n)
		}
	}
	events := s.readTogether(t, db, subject.Digest)
	// Later than the receipts: what they are for is attached by then.
	for _, b := range bundles(t, registry, subject) {
		s.attached = append(s.attached, b.Manifest)
		if !logged(t, db, b.Bytes) {
			t.Errorf("bundle %s is attached and not in its log", b.Manifest)
		}
	}
	if len(s.receipts) > 1 {
		t.Errorf("%d receipts for one request", len(s.receipts))
	}
	for i := range s.receipts {
		judgeReceipt(t, db, s, &s.receipts[i])
	}
	s.judgeEvents(t, events)
	return s
}

// judgeReceipt: a receipt is for bundles that are logged and attached, one of
// each log.
func judgeReceipt(t testing.TB, db store.Database, s story, r *signer.Receipt) {
	t.Helper()
	all := append([]signer.Attached{r.Attached}, r.Others...)
	if len(all) != logs {
		t.Errorf("receipt %s is for %d bundles, want %d", r.ID, len(all), logs)
	}
	for _, a := range all {
		if !logged(t, db, a.Bundle) {
			t.Errorf("receipt %s is for a bundle that is not logged", r.ID)
		}
		attached := false
		for _, manifest := range s.attached {
			attached = attached || manifest == a.Manifest
		}
		if !attached {
			t.Errorf("receipt %s is for a bundle that is not attached", r.ID)
		}
	}
}

// readTogether reads receipts and audit record as they were at one time: a server
// that recovers may finish something between two looks.
func (s *story) readTogether(t testing.TB, db store.Database, digest attest.Digest) []store.Event {
	t.Helper()
	for {
		before := receipts(t, db, digest)
		events, err := db.Events(t.Context(), store.EventQuery{Digest: string(digest)})
		if err != nil {
			t.Fatal(err)
		}
		s.receipts = receipts(t, db, digest)
		if len(before) == len(s.receipts) {
			return events
		}
	}
}

func receipts(t testing.TB, db store.Database, digest attest.Digest) (all []signer.Receipt) {
	t.Helper()
	page, err := db.ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: digest})
	if err != nil {
		t.Fatal(err)
	}
	for _, outline := range page {
		r, err := db.Receipt(t.Context(), outline.ID)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// judgeEvents: the audit record tells of every receipt, and of no more.
func (s *story) judgeEvents(t testing.TB, events []store.Event) {
	t.Helper()
	for _, ev := range events {
		s.events[ev.Decision]++
	}
	if s.events[signer.DecisionSigned] != len(s.receipts) {
		t.Errorf("the audit record has %d signed, and there are %d receipts", s.events[signer.DecisionSigned], len(s.receipts))
	}
	open := s.events[signer.DecisionGranted] - s.events[signer.DecisionVoided] - s.events[signer.DecisionSigned]
	if open < 0 || open > 1 {
		t.Errorf("the audit record tells of %d open requests: %v", open, s.events)
	}
	if open == 0 && len(s.receipts) == 0 && len(s.attached) > 0 {
		t.Error("something is attached that nobody asked for")
	}
}

// finished: one signature in every log, attached, with its receipt.
func (s *story) finished(t testing.TB, r signer.Receipt) {
	t.Helper()
	for name, n := range s.entries {
		if n != 1 {
			t.Errorf("log %s has %d signatures, want one", name, n)
		}
	}
	if len(s.entries) != logs || len(s.receipts) != 1 || s.receipts[0].ID != r.ID {
		t.Errorf("logs %v, receipts %+v, want one of each, and that it is %s", s.entries, s.receipts, r.ID)
	}
	if s.events[signer.DecisionGranted] != s.events[signer.DecisionVoided]+1 {
		t.Errorf("the audit record has %v", s.events)
	}
}

// entries counts the entries about a digest in each active log.
func entries(t testing.TB, db store.Database, digest attest.Digest) map[string]int {
	t.Helper()
	key, err := index.ParseHash(string(digest))
	if err != nil {
		t.Fatal(err)
	}
	found, err := db.Search(t.Context(), tlog.Query{Keys: []string{key}, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, p := range found {
		counts[p.Log]++
	}
	return counts
}

// logged says whether a bundle's entry is a leaf of some log, byte for byte.
func logged(t testing.TB, db store.Database, bundle []byte) bool {
	t.Helper()
	b, err := attest.ParseBundle(bundle)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaf := merkle.RecordHash(b.Entry.CanonicalizedBody)
	for _, row := range rows {
		places, err := db.Find(t.Context(), row.Name, []tlog.Hash{leaf})
		if err != nil {
			t.Fatal(err)
		}
		if place, ok := places[leaf]; ok && place.Index == b.Entry.ProofIndex && place.Index < row.Head.Size {
			return true
		}
	}
	return false
}

func registryClient(t testing.TB, registry string) *oci.Client {
	t.Helper()
	c, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: registry, Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func resolve(t testing.TB, registry, image string) oci.Artifact {
	t.Helper()
	a, err := registryClient(t, registry).Resolve(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func bundles(t testing.TB, registry string, subject oci.Artifact) []oci.StoredBundle {
	t.Helper()
	found, err := registryClient(t, registry).Bundles(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
