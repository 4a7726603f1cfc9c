// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// name is a hash that stands for whatever it is called.
func name(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

func recordCertificate(t *testing.T, db store.Database, id string, expires time.Time) {
	t.Helper()
	ev := Event(signer.DecisionIssued, "")
	if err := db.RecordCertificate(t.Context(), signer.IssuedCertificate{ID: name(id), Expires: expires}, ev); err != nil {
		t.Fatal(err)
	}
}

// certificates: each is used for one signature, once in a log of each kind, and
// what is used stays used.
func certificates(t *testing.T, e Engine) {
	db := e.Create(t)
	now := Event("", "").Time
	for _, id := range []string{"a", "b", "old"} {
		recordCertificate(t, db, id, now.Add(time.Minute))
	}
	use := func(id, signature, kind, leaf string, want bool) {
		t.Helper()
		got, err := db.UseCertificate(t.Context(), name(id), name(signature), kind, name(leaf))
		if err != nil || got != want {
			t.Errorf("%s %s %s %s: %v, %v", id, signature, kind, leaf, got, err)
		}
	}
	use("a", "s1", "v1", "l1", true)
	use("a", "s1", "v1", "l1", true) // somebody lost the answer
	use("a", "s1", "v1", "l2", false)
	use("a", "s2", "v1", "l1", false)
	use("a", "s2", "v1", "l2", false)
	use("a", "s2", "v2", "l3", false)
	use("a", "s1", "v2", "l3", true)
	use("a", "s1", "v2", "l1", false)
	use("b", "s2", "v2", "l2", true)
	use("nobody's", "s1", "v1", "l1", false)
	if _, err := db.UseCertificate(t.Context(), name("a"), name("s1"), "v3", name("l")); err == nil {
		t.Error("a kind of log that nobody knows")
	}
	db = e.Reopen(t, db)
	use("a", "s1", "v1", "l1", true)
	use("a", "s1", "v1", "l2", false)
	use("b", "s1", "v1", "l2", false)
	if got := len(Events(t, db)); got != 3 {
		t.Errorf("%d events, want one of each certificate", got)
	}
	// One certificate has one record, and without the record no event.
	err := db.RecordCertificate(t.Context(), signer.IssuedCertificate{ID: name("a"), Expires: now}, Event(signer.DecisionIssued, ""))
	if err == nil || len(Events(t, db)) != 3 {
		t.Errorf("recorded twice: %v, %d events", err, len(Events(t, db)))
	}
	// A day after the end nobody remembers it, and nobody can use it.
	later := Event(signer.DecisionIssued, "")
	later.Time = now.Add(time.Minute + store.CertificateKept + time.Second)
	if err := db.RecordCertificate(t.Context(), signer.IssuedCertificate{ID: name("new"), Expires: later.Time}, later); err != nil {
		t.Fatal(err)
	}
	use("old", "s1", "v1", "l1", false)
	use("a", "s1", "v1", "l1", false)
	use("new", "s1", "v1", "l1", true)
}

// certificateRaces: of many at a time, with different signatures, one is let.
func certificateRaces(t *testing.T, e Engine) {
	db := e.Create(t)
	for range 4 {
		id := time.Now().String()
		recordCertificate(t, db, id, time.Now())
		var let atomic.Int32
		var wg sync.WaitGroup
		for i := range byte(16) {
			wg.Go(func() {
				kind := []string{"v1", "v2"}[i%2]
				ok, err := db.UseCertificate(context.Background(), name(id), sha256.Sum256([]byte{i}), kind, sha256.Sum256([]byte{i, 1}))
				if err != nil {
					t.Error(err)
				}
				if ok {
					let.Add(1)
				}
			})
		}
		wg.Wait()
		if let.Load() != 1 {
			t.Errorf("%d signatures were let with one certificate", let.Load())
		}
	}
}
